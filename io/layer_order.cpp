#include "io/layer_order.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "io/text.h"

namespace bytegate::detail {
namespace {

using Kind = LayerSpec::Kind;

// The search tries each order of layers of equal sizes; more of them than this are not worth it.
constexpr std::size_t kMostLayers = 9;

std::int64_t input_size(const LayerSpec& spec) { return spec.kind == Kind::lstm ? spec.lstm.input_size : spec.cols; }

std::int64_t output_size(const LayerSpec& spec) {
  if (spec.kind == Kind::lstm) return spec.lstm.directions() * spec.lstm.output_size();
  return spec.kind == Kind::embedding ? spec.cols : spec.rows;
}

/// An Embedding's only tensor looks like that of a Linear without bias.
bool may_embed(const LayerSpec& spec) { return spec.kind == Kind::linear && !spec.bias; }

bool last_name_has(const LayerSpec& spec, const char* part) {
  std::string last = spec.name.substr(spec.name.rfind('.') + 1);
  std::ranges::transform(last, last.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return last.find(part) != std::string::npos;
}

bool named_embedding(const LayerSpec& spec) { return last_name_has(spec, "emb"); }

/// What the first of several layers is: what the next one can take the output of, and its name where that leaves both open.
Kind kind_of_first(const LayerSpec& first, const LayerSpec& next) {
  if (!may_embed(first)) return first.kind;
  const bool embedding_fits = input_size(next) == first.cols, linear_fits = input_size(next) == first.rows;
  if (!embedding_fits) return Kind::linear;
  return !linear_fits || named_embedding(first) || last_name_has(first, "encoder") ? Kind::embedding : Kind::linear;
}

bool follows(const LayerSpec& before, const LayerSpec& next) { return output_size(before) == input_size(next); }

/// Finds orders in which the layers fit, up to two.
class OrderSearch {
 public:
  explicit OrderSearch(const std::vector<LayerSpec>& layers) : layers_(layers), taken_(layers.size(), false) { extend(); }

  std::size_t found() const { return found_; }
  const std::vector<LayerSpec>& first_found() const { return first_; }

 private:
  void extend() {
    if (order_.size() == layers_.size()) {
      if (found_++ == 0) first_ = order_;
      return;
    }
    for (std::size_t i = 0; i < layers_.size() && found_ < 2; ++i) {
      if (taken_[i]) continue;
      LayerSpec before;
      if (!order_.empty()) {
        before = order_.back();
        if (order_.size() == 1) before.kind = kind_of_first(before, layers_[i]);
        if (!follows(before, layers_[i])) continue;
        std::swap(order_.back(), before);
      }
      taken_[i] = true;
      order_.push_back(layers_[i]);
      extend();
      order_.pop_back();
      taken_[i] = false;
      if (!order_.empty()) order_.back() = before;
    }
  }

  const std::vector<LayerSpec>& layers_;
  std::vector<bool> taken_;
  std::vector<LayerSpec> order_;
  std::vector<LayerSpec> first_;
  std::size_t found_ = 0;
};

std::string mismatch(const LayerSpec& before, const LayerSpec& next) {
  return "layer " + in_quotes(next.name) + " takes " + std::to_string(input_size(next)) + " features and " +
         in_quotes(before.name) + " gives " + std::to_string(output_size(before));
}

/// Without an order an embedding is known by its name, or by sizes that leave a Linear nothing to take and nobody to give to.
void find_embeddings(std::vector<LayerSpec>& layers) {
  for (LayerSpec& spec : layers) {
    if (!may_embed(spec)) continue;
    bool gives = false, takes = false, embeds = false;
    for (const LayerSpec& other : layers) {
      if (&other == &spec) continue;
      gives = gives || input_size(other) == spec.rows;
      takes = takes || output_size(other) == spec.cols;
      embeds = embeds || input_size(other) == spec.cols;
    }
    if (named_embedding(spec) || (embeds && !gives && !takes)) spec.kind = Kind::embedding;
  }
}

}  // namespace

std::string order_layers(std::vector<LayerSpec>& layers) {
  if (layers.size() < 2) {
    find_embeddings(layers);
    return "";
  }
  std::vector<LayerSpec> as_they_are = layers;
  as_they_are[0].kind = kind_of_first(layers[0], layers[1]);
  const auto gap = std::ranges::adjacent_find(as_they_are, [](const LayerSpec& a, const LayerSpec& b) { return !follows(a, b); });
  if (gap == as_they_are.end()) {
    layers = std::move(as_they_are);
    return "";
  }
  std::string why = mismatch(*gap, *(gap + 1));
  if (layers.size() <= kMostLayers) {
    const OrderSearch search(layers);
    if (search.found() == 1) {
      layers = search.first_found();
      return "";
    }
    if (search.found() > 1) why += ", and more than one other order is possible";
  }
  find_embeddings(layers);
  return why;
}

}  // namespace bytegate::detail

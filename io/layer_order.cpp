#include "io/layer_order.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "io/text.h"

namespace bytegate::detail {
namespace {

// Sizes that leave this many beginnings of an order open are no guide.
constexpr std::size_t kMostSteps = 100'000;

bool last_name_has(const LayerSpec& spec, std::string_view part) {
  std::string last = spec.name.substr(spec.name.rfind('.') + 1);
  std::ranges::transform(last, last.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return last.find(part) != std::string::npos;
}

/// The claim of a kind that the layer's name hints at; null if there is none.
const Claim* hinted_claim(const LayerSpec& spec) {
  const auto found = std::ranges::find_if(spec.claims, [&](const Claim& claim) {
    return !claim.kind->name_hint.empty() && last_name_has(spec, claim.kind->name_hint);
  });
  return found == spec.claims.end() ? nullptr : &*found;
}

bool follows(const LayerOutline& before, const LayerOutline& next) {
  return !next.takes_indices && before.output_size >= 0 && before.output_size == next.input_size;
}

/// Finds orders in which the layers fit, up to two. Orders that differ in nothing but the names of tied layers count as
/// one.
class OrderSearch {
 public:
  explicit OrderSearch(const std::vector<LayerSpec>& layers) : taken_(layers.size(), char{0}) {
    // Of tied layers, which can be exchanged, the one that is called an encoder goes first.
    for (const bool encoders : {true, false}) {
      for (const LayerSpec& spec : layers) {
        if (last_name_has(spec, "enc") == encoders) layers_.push_back(spec);
      }
    }
    extend();
  }

  const std::vector<std::vector<LayerSpec>>& found() const { return found_; }
  bool gave_up() const { return steps_ > kMostSteps; }

 private:
  struct Step {
    std::size_t index;
    const Claim* claim;
  };

  void extend() {
    if (order_.size() == layers_.size()) {
      std::vector<LayerSpec>& order = found_.emplace_back();
      for (const auto& [index, claim] : order_) order.emplace_back(layers_[index]).choose(*claim);
      return;
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (taken_[i] || is_tied_to_one_before(i)) continue;
      for (const Claim& claim : layers_[i].claims) {
        if (order_.empty() || follows(order_.back().claim->outline, claim.outline)) take(i, claim);
      }
    }
  }

  bool is_tied_to_one_before(std::size_t i) const {
    const auto tied = [](const LayerSpec& a, const LayerSpec& b) {
      return a.tensors == b.tensors && std::ranges::equal(a.claims, b.claims, {}, &Claim::kind, &Claim::kind);
    };
    for (std::size_t k = 0; k < i; ++k) {
      if (!taken_[k] && tied(layers_[k], layers_[i])) return true;
    }
    return false;
  }

  void take(std::size_t i, const Claim& claim) {
    if (found_.size() > 1 || ++steps_ > kMostSteps) return;
    taken_[i] = 1;
    order_.push_back({i, &claim});
    extend();
    order_.pop_back();
    taken_[i] = 0;
  }

  std::vector<LayerSpec> layers_;
  std::vector<char> taken_;
  std::vector<Step> order_;
  std::vector<std::vector<LayerSpec>> found_;
  std::size_t steps_ = 0;
};

std::string order_text(const std::vector<LayerSpec>& order) {
  std::string text;
  for (const LayerSpec& spec : order) {
    append_text(text, {text.empty() ? "" : ", ", printable(spec.name)});
    if (spec.outline.takes_indices) append_text(text, {" (", spec.kind->title, ")"});
  }
  return text;
}

/// A claim of indices, if the layer cannot stand where its likeliest claim takes it but could be the first of some
/// other.
const Claim* claim_that_fits(const LayerSpec& spec, const std::vector<LayerSpec>& layers) {
  const auto any_other = [&](const auto& holds) {
    return std::ranges::any_of(
        layers, [&](const LayerSpec& other) { return &other != &spec && holds(other.claims.front().outline); });
  };
  const LayerOutline& likeliest = spec.claims.front().outline;
  if (any_other([&](const LayerOutline& other) { return follows(other, likeliest) || follows(likeliest, other); }))
    return nullptr;
  for (const Claim& claim : spec.claims) {
    const auto next = [&](const LayerOutline& other) { return follows(claim.outline, other); };
    if (claim.outline.takes_indices && any_other(next)) return &claim;
  }
  return nullptr;
}

}  // namespace

std::string order_by_sizes(std::vector<LayerSpec>& layers) {
  // Sizes go before names: a layer that is called an embedding may be of another kind where an Embedding does not fit.
  std::vector<LayerSpec> by_name = layers;
  for (LayerSpec& spec : by_name) {
    if (const Claim* hinted = hinted_claim(spec)) spec.claims = {Claim(*hinted)};
  }
  OrderSearch search(by_name);
  if (search.found().empty() && !search.gave_up()) search = OrderSearch(layers);
  if (search.gave_up()) return "there are too many orders to try";
  if (search.found().empty()) return "in no order does each layer take as many features as the one before it gives";
  if (search.found().size() > 1) {
    return join_text({"more than one order fits the sizes, such as ", order_text(search.found()[0]), " and ",
                      order_text(search.found()[1])});
  }
  layers = search.found().front();
  return "";
}

void choose_claims(std::vector<LayerSpec>& layers) {
  std::vector<LayerSpec> ordered = layers;
  const bool has_order = layers.size() > 1 && order_by_sizes(ordered).empty();
  for (LayerSpec& spec : layers) {
    if (spec.claims.size() < 2) continue;
    if (has_order) {
      const auto placed = [&](const Claim& claim) {
        return std::ranges::any_of(
            ordered, [&](const LayerSpec& other) { return other.prefix == spec.prefix && other.kind == claim.kind; });
      };
      if (const auto found = std::ranges::find_if(spec.claims, placed); found != spec.claims.end()) spec.choose(*found);
    } else if (const Claim* hinted = hinted_claim(spec)) {
      spec.choose(*hinted);
    } else if (const Claim* fitting = claim_that_fits(spec, layers)) {
      spec.choose(*fitting);
    }
  }
}

}  // namespace bytegate::detail

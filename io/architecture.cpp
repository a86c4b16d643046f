#include "io/architecture.h"

#include <bytegate/model_file.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

#include "io/json.h"
#include "io/text.h"

namespace bytegate {
namespace detail {
namespace {

using Json = nlohmann::ordered_json;
using Kind = LayerSpec::Kind;

constexpr std::string_view kQuantizedDtype = "qint8";
// Large enough for every real model; small enough that no product of two sizes and 4 gates overflows 64 bits.
constexpr std::int64_t kMaxSize = (std::int64_t{1} << 30) - 1;

constexpr std::pair<Kind, std::string_view> kKinds[] = {{Kind::embedding, "embedding"},
                                                        {Kind::lstm, "lstm"},
                                                        {Kind::linear, "linear"},
                                                        {Kind::relu, "relu"},
                                                        {Kind::flatten, "flatten"}};

/// Takes the keys of one layer's object, one by one, so that what is left at the end is unknown.
class LayerObject {
 public:
  LayerObject(const nlohmann::json& object, std::size_t index, const std::string& what)
      : object_(object), what_(what), where_("layer " + std::to_string(index)) {
    if (!object.is_object()) fail("is " + kind_of(object) + "; it must be an object");
    where_ += ' ' + in_quotes(text("name"));
  }

  [[noreturn]] void fail(const std::string& message) const {
    fail_bad_file(what_, "the architecture's " + where_ + ' ' + message);
  }

  std::string text(const char* key) { return take(key, nullptr, &nlohmann::json::is_string, "a string").get<std::string>(); }

  std::string text_or(const char* key, const char* otherwise) {
    const nlohmann::json fallback = otherwise;
    return take(key, &fallback, &nlohmann::json::is_string, "a string").get<std::string>();
  }

  bool flag(const char* key, bool otherwise) {
    const nlohmann::json fallback = otherwise;
    return take(key, &fallback, &nlohmann::json::is_boolean, "true or false").get<bool>();
  }

  std::int64_t size(const char* key) { return size(key, nullptr); }
  std::int64_t size_or(const char* key, std::int64_t otherwise) {
    const nlohmann::json fallback = static_cast<std::uint64_t>(otherwise);
    return size(key, &fallback);
  }

  /// PyTorch's LSTM has it; it does nothing at inference.
  void skip_number(const char* key) {
    const nlohmann::json fallback = 0;
    take(key, &fallback, &nlohmann::json::is_number, "a number");
  }

  void check_all_taken() const {
    for (const auto& [key, value] : object_.items()) {
      if (taken_.count(key) != 0) continue;
      std::string accepted;
      for (const std::string& known : taken_) accepted += (accepted.empty() ? "" : ", ") + known;
      fail("has the unknown key " + in_quotes(key) + "; accepted are " + accepted);
    }
  }

 private:
  static std::string kind_of(const nlohmann::json& value) { return std::string("a JSON ") + value.type_name(); }

  const nlohmann::json& take(const char* key, const nlohmann::json* otherwise, bool (nlohmann::json::*is)() const noexcept,
                             const char* accepted) {
    taken_.insert(key);
    const auto found = object_.find(key);
    if (found == object_.end()) {
      if (otherwise == nullptr) fail(std::string("has no ") + key);
      // Kept beside, since the caller's own goes away.
      return fallback_ = *otherwise;
    }
    if (!((*found).*is)()) fail("has " + std::string(key) + " " + printable(found->dump()) + "; it must be " + accepted);
    return *found;
  }

  std::int64_t size(const char* key, const nlohmann::json* otherwise) {
    const auto value = take(key, otherwise, &nlohmann::json::is_number_unsigned, "an integer of 0 or more").get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(kMaxSize)) {
      fail("has " + std::string(key) + " " + std::to_string(value) + "; at most " + std::to_string(kMaxSize) + " is accepted");
    }
    return static_cast<std::int64_t>(value);
  }

  const nlohmann::json& object_;
  const std::string& what_;
  std::string where_;
  nlohmann::json fallback_;
  std::set<std::string> taken_;
};

LayerSpec parse_layer(LayerObject& object) {
  LayerSpec spec;
  spec.name = object.text("name");
  spec.prefix = spec.name + '.';
  const std::string kind = object.text("kind");
  const auto* found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& known) { return known.second == kind; });
  if (found == std::end(kKinds)) {
    object.fail("has the unknown kind " + in_quotes(kind) + "; accepted are embedding, lstm, linear, relu, flatten");
  }
  spec.kind = found->first;
  if (spec.kind == Kind::embedding) {
    spec.rows = object.size("num_embeddings");
    spec.cols = object.size("embedding_dim");
    spec.bias = false;
  } else if (spec.kind == Kind::linear) {
    spec.cols = object.size("in_features");
    spec.rows = object.size("out_features");
    spec.bias = object.flag("bias", true);
    spec.relu = object.flag("relu", false);
  } else if (spec.kind == Kind::lstm) {
    spec.lstm.input_size = object.size("input_size");
    spec.lstm.hidden_size = object.size("hidden_size");
    spec.lstm.num_layers = object.size_or("num_layers", 1);
    spec.lstm.bias = object.flag("bias", true);
    spec.lstm.batch_first = object.flag("batch_first", false);
    spec.lstm.bidirectional = object.flag("bidirectional", false);
    spec.lstm.proj_size = object.size_or("proj_size", 0);
    object.skip_number("dropout");
    try {
      check(spec.lstm);
    } catch (const Error& error) {
      object.fail(std::string("is not a valid LSTM: ") + error.what());
    }
  }
  if (spec.has_weights()) {
    const std::string dtype = object.text_or("dtype", "");
    if (!dtype.empty() && dtype != kQuantizedDtype)
      object.fail("has the unknown dtype " + in_quotes(dtype) + "; accepted is qint8");
    spec.quantized = !dtype.empty();
  }
  if (spec.quantized && spec.kind != Kind::embedding) {
    try {
      if (const std::string scheme = object.text_or("scheme", ""); !scheme.empty()) spec.scheme = parse_scheme(scheme);
    } catch (const Error& error) {
      object.fail(std::string("has an unknown scheme: ") + error.what());
    }
  }
  object.check_all_taken();
  return spec;
}

// The layers' JSON, defaults left out.

void put_lstm(Json& out, const LSTMConfig& config) {
  out["kind"] = "lstm";
  out["input_size"] = config.input_size;
  out["hidden_size"] = config.hidden_size;
  if (config.num_layers != 1) out["num_layers"] = config.num_layers;
  if (!config.bias) out["bias"] = false;
  if (config.batch_first) out["batch_first"] = true;
  if (config.bidirectional) out["bidirectional"] = true;
  if (config.proj_size != 0) out["proj_size"] = config.proj_size;
}

template <class AnyLinear>
void put_linear(Json& out, const AnyLinear& linear) {
  out["kind"] = "linear";
  out["in_features"] = linear.in_features();
  out["out_features"] = linear.out_features();
  if (!linear.bias()) out["bias"] = false;
  if (linear.relu()) out["relu"] = true;
}

template <class AnyEmbedding>
void put_embedding(Json& out, const AnyEmbedding& embedding) {
  out["kind"] = "embedding";
  out["num_embeddings"] = embedding.num_embeddings();
  out["embedding_dim"] = embedding.embedding_dim();
}

void put(Json& out, const Linear& l) { put_linear(out, l); }
void put(Json& out, const DynamicQuantizedLinear& l) { put_linear(out, l); }
void put(Json& out, const LSTM& l) { put_lstm(out, l.config()); }
void put(Json& out, const DynamicQuantizedLSTM& l) { put_lstm(out, l.config()); }
void put(Json& out, const Embedding& l) { put_embedding(out, l); }
void put(Json& out, const QuantizedEmbedding& l) { put_embedding(out, l); }
void put(Json& out, const ReLU&) { out["kind"] = "relu"; }
void put(Json& out, const Flatten&) { out["kind"] = "flatten"; }

std::optional<Scheme> scheme_of(const Layer& layer) {
  if (const auto* l = std::get_if<DynamicQuantizedLinear>(&layer)) return l->scheme();
  if (const auto* l = std::get_if<DynamicQuantizedLSTM>(&layer)) return l->scheme();
  return std::nullopt;
}

}  // namespace

std::vector<LayerSpec> parse_architecture(const std::string& text, const std::string& what) {
  const nlohmann::json layers = parse_json(text, what + ": the architecture");
  if (!layers.is_array())
    fail_bad_file(what, std::string("the architecture is a JSON ") + layers.type_name() + "; it must be a list of layers");
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    LayerObject object(layers[i], i, what);
    specs.push_back(parse_layer(object));
  }
  return specs;
}

std::optional<Scheme> common_scheme(const NamedLayers& layers) {
  bool embedding = false;
  for (const auto& [name, layer] : layers) {
    if (const auto scheme = scheme_of(layer)) return scheme;
    embedding = embedding || std::holds_alternative<QuantizedEmbedding>(layer);
  }
  return embedding ? std::optional(Scheme::accurate()) : std::nullopt;
}

std::string architecture_text(const NamedLayers& layers) {
  const std::optional<Scheme> common = common_scheme(layers);
  Json list = Json::array();
  for (const auto& [name, layer] : layers) {
    Json out;
    out["name"] = name;
    std::visit([&](const auto& l) { put(out, l); }, layer);
    const std::optional<Scheme> scheme = scheme_of(layer);
    if (scheme || std::holds_alternative<QuantizedEmbedding>(layer)) out["dtype"] = kQuantizedDtype;
    if (scheme && scheme != common) out["scheme"] = to_string(*scheme);
    list.push_back(std::move(out));
  }
  return dump_json(list);
}

}  // namespace detail

std::string architecture_json(const Sequential& model) { return detail::architecture_text(model.layers()); }

}  // namespace bytegate

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

using JsonKind = JsonValue::Kind;
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
  LayerObject(const JsonValue& object, std::size_t index, const std::string& what)
      : object_(object), what_(what), where_("layer " + std::to_string(index)) {
    if (object.kind != JsonKind::object) fail(std::string("is a JSON ") + object.kind_name() + "; it must be an object");
    where_ += ' ' + in_quotes(text("name"));
  }

  [[noreturn]] void fail(const std::string& message) const {
    fail_bad_file(what_, "the architecture's " + where_ + ' ' + message);
  }

  std::string text(const char* key) { return needed(key, take(key, JsonKind::string, "a string")).text; }
  std::string text_or(const char* key, const char* otherwise) {
    const JsonValue* found = take(key, JsonKind::string, "a string");
    return found ? found->text : otherwise;
  }

  bool flag(const char* key, bool otherwise) {
    const JsonValue* found = take(key, JsonKind::boolean, "true or false");
    return found ? found->truth : otherwise;
  }

  std::int64_t size(const char* key) { return checked_size(key, needed(key, take(key, JsonKind::number, kSizes))); }
  std::int64_t size_or(const char* key, std::int64_t otherwise) {
    const JsonValue* found = take(key, JsonKind::number, kSizes);
    return found ? checked_size(key, *found) : otherwise;
  }

  /// PyTorch's LSTM has it; it does nothing at inference.
  void skip_number(const char* key) { take(key, JsonKind::number, "a number"); }

  void check_all_taken() const {
    for (const std::string& key : object_.keys) {
      if (taken_.count(key) != 0) continue;
      std::string accepted;
      for (const std::string& known : taken_) accepted += (accepted.empty() ? "" : ", ") + known;
      fail("has the unknown key " + in_quotes(key) + "; accepted are " + accepted);
    }
  }

 private:
  static constexpr const char* kSizes = "an integer of 0 or more";

  /// Null if there is none.
  const JsonValue* take(const char* key, JsonKind kind, const char* accepted) {
    taken_.insert(key);
    const JsonValue* found = object_.find(key);
    if (found && found->kind != kind) fail_value(key, *found, accepted);
    return found;
  }

  const JsonValue& needed(const char* key, const JsonValue* found) const {
    if (!found) fail(std::string("has no ") + key);
    return *found;
  }

  std::int64_t checked_size(const char* key, const JsonValue& value) const {
    if (!value.whole) fail_value(key, value, kSizes);
    if (*value.whole > static_cast<std::uint64_t>(kMaxSize)) {
      fail("has " + std::string(key) + " " + value.text + "; at most " + std::to_string(kMaxSize) + " is accepted");
    }
    return static_cast<std::int64_t>(*value.whole);
  }

  [[noreturn]] void fail_value(const char* key, const JsonValue& value, const char* accepted) const {
    fail("has " + std::string(key) + " " + printable(to_json(value)) + "; it must be " + accepted);
  }

  const JsonValue& object_;
  const std::string& what_;
  std::string where_;
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

/// Writes a layer's object, keys in the order they are put, one at least.
class ObjectWriter {
 public:
  void put(const char* key, const std::string& text) { put_json(key, json_string(text)); }
  void put(const char* key, std::int64_t value) { put_json(key, std::to_string(value)); }
  void put_unless(bool usual, const char* key, const char* json) {
    if (!usual) put_json(key, json);
  }
  void put_unless(std::int64_t usual, const char* key, std::int64_t value) {
    if (value != usual) put(key, value);
  }
  std::string take() { return std::move(text_.append("}")); }

 private:
  void put_json(const char* key, const std::string& json) {
    text_ += text_.empty() ? '{' : ',';
    text_ += json_string(key) + ':' + json;
  }

  std::string text_;
};

// Defaults are left out.

void put_lstm(ObjectWriter& out, const LSTMConfig& config) {
  out.put("kind", "lstm");
  out.put("input_size", config.input_size);
  out.put("hidden_size", config.hidden_size);
  out.put_unless(std::int64_t{1}, "num_layers", config.num_layers);
  out.put_unless(config.bias, "bias", "false");
  out.put_unless(!config.batch_first, "batch_first", "true");
  out.put_unless(!config.bidirectional, "bidirectional", "true");
  out.put_unless(std::int64_t{0}, "proj_size", config.proj_size);
}

template <class AnyLinear>
void put_linear(ObjectWriter& out, const AnyLinear& linear) {
  out.put("kind", "linear");
  out.put("in_features", linear.in_features());
  out.put("out_features", linear.out_features());
  out.put_unless(linear.bias().has_value(), "bias", "false");
  out.put_unless(!linear.relu(), "relu", "true");
}

template <class AnyEmbedding>
void put_embedding(ObjectWriter& out, const AnyEmbedding& embedding) {
  out.put("kind", "embedding");
  out.put("num_embeddings", embedding.num_embeddings());
  out.put("embedding_dim", embedding.embedding_dim());
}

void put(ObjectWriter& out, const Linear& l) { put_linear(out, l); }
void put(ObjectWriter& out, const DynamicQuantizedLinear& l) { put_linear(out, l); }
void put(ObjectWriter& out, const LSTM& l) { put_lstm(out, l.config()); }
void put(ObjectWriter& out, const DynamicQuantizedLSTM& l) { put_lstm(out, l.config()); }
void put(ObjectWriter& out, const Embedding& l) { put_embedding(out, l); }
void put(ObjectWriter& out, const QuantizedEmbedding& l) { put_embedding(out, l); }
void put(ObjectWriter& out, const ReLU&) { out.put("kind", "relu"); }
void put(ObjectWriter& out, const Flatten&) { out.put("kind", "flatten"); }

std::optional<Scheme> scheme_of(const Layer& layer) {
  if (const auto* l = std::get_if<DynamicQuantizedLinear>(&layer)) return l->scheme();
  if (const auto* l = std::get_if<DynamicQuantizedLSTM>(&layer)) return l->scheme();
  return std::nullopt;
}

}  // namespace

std::vector<LayerSpec> parse_architecture(const std::string& text, const std::string& what) {
  const JsonValue layers = parse_json(text, what + ": the architecture");
  if (layers.kind != JsonKind::array)
    fail_bad_file(what, std::string("the architecture is a JSON ") + layers.kind_name() + "; it must be a list of layers");
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < layers.items.size(); ++i) {
    LayerObject object(layers.items[i], i, what);
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
  std::string list = "[";
  for (const auto& [name, layer] : layers) {
    ObjectWriter out;
    out.put("name", name);
    std::visit([&](const auto& l) { put(out, l); }, layer);
    const std::optional<Scheme> scheme = scheme_of(layer);
    if (scheme || std::holds_alternative<QuantizedEmbedding>(layer)) out.put("dtype", std::string(kQuantizedDtype));
    if (scheme && scheme != common) out.put("scheme", to_string(*scheme));
    if (list.size() > 1) list += ',';
    list += out.take();
  }
  return std::move(list.append("]"));
}

}  // namespace detail

std::string architecture_json(const Sequential& model) { return detail::architecture_text(model.layers()); }

}  // namespace bytegate

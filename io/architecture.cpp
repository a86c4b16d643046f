#include "io/architecture.h"

#include <bytegate/model_file.h>

#include <algorithm>
#include <string_view>

#include "io/json.h"
#include "io/text.h"

namespace bytegate {
namespace detail {
namespace {

std::string kinds_text() {
  std::string out;
  for (const LayerKind& kind : layer_kinds()) append_text(out, {out.empty() ? "" : ", ", kind.name});
  return out;
}

LayerSpec parse_layer(const JsonValue& object, std::size_t index, const std::string& what, Unstated unstated) {
  std::string where = join_text({"the architecture's layer ", index});
  const auto fail = [&](TextParts message) { fail_bad_file(what, {where, " ", join_text(message)}); };
  const auto text = [&](const char* key) {
    const JsonValue* found = object.find(key);
    if (found == nullptr) fail({"has no ", key});
    if (found->kind != JsonValue::Kind::string) {
      fail({"has ", key, " ", printable(to_json(*found)), "; it must be a string"});
    }
    return found->text;
  };
  if (object.kind != JsonValue::Kind::object) {
    fail({"is a JSON ", object.kind_name(), "; it must be an object"});
  }
  LayerSpec spec;
  spec.name = text("name");
  append_text(where, {" ", in_quotes(spec.name)});
  spec.prefix = spec.name + '.';
  const std::string kind = text("kind");
  const LayerKind* found = find_layer_kind(kind);
  if (!found) fail({"has the unknown kind ", in_quotes(kind), "; accepted are ", kinds_text()});
  spec.kind = found;
  spec.stated = object;
  spec.unstated = unstated;
  return spec;
}

/// Notes that the layer is folded into the last one.
void add_fold(LayerSpec spec, std::vector<LayerSpec>& specs, const std::string& what) {
  if (specs.empty() || !specs.back().kind->takes_fold) {
    std::string accepted;
    for (const LayerKind& kind : layer_kinds()) {
      if (kind.takes_fold) append_text(accepted, {accepted.empty() ? "" : " or ", kind.title});
    }
    const std::string before =
        specs.empty() ? "is the first layer"
                      : join_text({"follows ", in_quotes(specs.back().name), ", ", specs.back().kind->title});
    fail_bad_file(what, {"the architecture's layer ", in_quotes(spec.name), ", ", spec.kind->title, ", ", before,
                         "; it can only be folded into ", accepted, " right before it"});
  }
  specs.back().folds.push_back(std::move(spec));
}

/// Writes a layer's object: name, kind, and the fields that have another value than their default.
class ObjectWriter final : public LayerVisitor {
 public:
  ObjectWriter(const std::string& name, std::optional<Scheme> common) : common_(common) {
    put("name", json_string(name));
  }
  std::string take() { return std::move(text_.append("}")); }

 private:
  void begin(std::string_view kind, std::string_view printed) override {
    if (!find_layer_kind(kind)) {
      throw_error(ErrorCode::invalid_argument, {"a layer of a user's own, such as ", printed,
                                                ", cannot be written: files hold the library's kinds of layers alone"});
    }
    put("kind", json_string(std::string(kind)));
  }
  void field(const LayerField& field) override {
    if (!field.in_architecture || field.is_default) return;
    const std::string text = to_string(field);
    put(field.name, field.is_word() ? json_string(text) : text);
  }
  void scheme(const Scheme& scheme) override {
    if (scheme != common_) put("scheme", json_string(to_string(scheme)));
  }

  void put(std::string_view key, const std::string& json) {
    text_ += text_.empty() ? '{' : ',';
    append_text(text_, {json_string(std::string(key)), ":", json});
  }

  std::optional<Scheme> common_;
  std::string text_;
};

/// Finds the scheme of the first layer that has one.
class SchemeFinder final : public LayerVisitor {
 public:
  std::optional<Scheme> found;
  bool any_int8 = false;

 private:
  void scheme(const Scheme& scheme) override {
    if (!found) found = scheme;
  }
  void weight(const std::string&, const Weight& weight) override { any_int8 = any_int8 || weight.quantized(); }
};

}  // namespace

void LayerSpec::choose(const Claim& claim) {
  if (kind != claim.kind) {  // the fields that were stated are those of another kind
    stated = {};
    unstated = Unstated::as_tensors_show;
  }
  kind = claim.kind;
  outline = claim.outline;
}

std::vector<LayerSpec> parse_architecture(const std::string& text, const std::string& what, Unstated unstated) {
  const JsonValue layers = parse_json(text, what + ": the architecture");
  if (layers.kind != JsonValue::Kind::array)
    fail_bad_file(what, {"the architecture is a JSON ", layers.kind_name(), "; it must be a list of layers"});
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < layers.items.size(); ++i) {
    LayerSpec spec = parse_layer(layers.items[i], i, what, unstated);
    if (spec.kind->fold != nullptr)
      add_fold(std::move(spec), specs, what);
    else if (spec.kind->make != nullptr)
      specs.push_back(std::move(spec));
  }
  return specs;
}

std::optional<Scheme> common_scheme(const NamedLayers& layers) {
  SchemeFinder finder;
  for (const auto& [name, layer] : layers) layer->describe(finder);
  if (!finder.found && finder.any_int8) return Scheme::per_row();
  return finder.found;
}

std::string architecture_text(const NamedLayers& layers) {
  const std::optional<Scheme> common = common_scheme(layers);
  std::string list = "[";
  for (const auto& [name, layer] : layers) {
    ObjectWriter out(name, common);
    layer->describe(out);
    if (list.size() > 1) list += ',';
    list += out.take();
  }
  return std::move(list.append("]"));
}

}  // namespace detail

std::string architecture_json(const Sequential& model) { return detail::architecture_text(model.layers()); }

}  // namespace bytegate

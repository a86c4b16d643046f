#include "io/model_metadata.h"

#include <algorithm>
#include <iterator>

#include "io/json.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kVersionKey = "format_version";
constexpr const char* kSchemeKey = "scheme";
constexpr const char* kFormat = "bytegate";
constexpr const char* kVersion = "1";

/// A list of objects that have a name or a kind. With mistakes in it, it is still meant as an architecture.
bool looks_like_architecture(const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") != text.find('[') || text.find('[') == std::string::npos) return false;
  try {
    const JsonValue list = parse_json(text, "");
    return !list.items.empty() && std::ranges::all_of(list.items, [](const JsonValue& item) {
      return item.kind == JsonValue::Kind::object && (item.find("name") != nullptr || item.find("kind") != nullptr);
    });
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

bool is_own_metadata_key(std::string_view key) {
  constexpr std::string_view kKeys[] = {kNameKey,   kArchitectureKey, kLayersKey, kGuessedKey,
                                        kFormatKey, kVersionKey,      kSchemeKey};
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

ModelMetadata read_metadata(const SafetensorsFile& file) {
  const auto get = [&](const char* key, const std::string& otherwise = "") {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? otherwise : found->second;
  };
  ModelMetadata metadata;
  metadata.name = get(kNameKey, metadata.name);
  metadata.architecture = get(kArchitectureKey);
  metadata.is_ours = get(kFormatKey) == kFormat;
  metadata.guessed = metadata.is_ours && get(kGuessedKey) == "true";
  if (!metadata.is_ours) {
    if (!metadata.architecture.empty() && !looks_like_architecture(metadata.architecture)) {
      metadata.notes.push_back(join_text({"the metadata's `architecture` is ", in_quotes(metadata.architecture),
                                          ", not a JSON list of layers, and is ignored"}));
      metadata.architecture.clear();
    }
    return metadata;
  }
  if (get(kVersionKey) != kVersion) {
    fail_bad_file(file.what(), {"the format version is ", in_quotes(get(kVersionKey)), "; this library reads version ",
                                in_quotes(kVersion)});
  }
  metadata.layers = get(kLayersKey);
  if (const std::string scheme = get(kSchemeKey); !scheme.empty()) {
    try {
      metadata.scheme = parse_scheme(scheme);
    } catch (const Error& error) {
      fail_bad_file(file.what(), {"the metadata's `scheme`: ", error.what()});
    }
  }
  return metadata;
}

void write_metadata(const NamedLayers& layers, const char* layers_key, SafetensorsWriter& writer) {
  writer.set_metadata(kFormatKey, kFormat);
  writer.set_metadata(kVersionKey, kVersion);
  const std::string text = architecture_text(layers);
  if (text.size() > kMaxJsonText) {
    throw_error(ErrorCode::invalid_argument,
                {"the architecture of these ", layers.size(), " layers takes ", text.size(), " bytes of JSON; at most ",
                 kMaxJsonText, " can be read again"});
  }
  writer.set_metadata(layers_key, text);
  if (const auto scheme = common_scheme(layers)) writer.set_metadata(kSchemeKey, to_string(*scheme));
}

}  // namespace bytegate::detail

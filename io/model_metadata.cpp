#include "io/model_metadata.h"

#include "io/text.h"

namespace bytegate::detail {
namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kVersionKey = "format_version";
constexpr const char* kSchemeKey = "scheme";
constexpr const char* kFormat = "bytegate";
constexpr const char* kVersion = "1";

}  // namespace

ModelMetadata read_metadata(const SafetensorsFile& file) {
  const auto get = [&](const char* key, const std::string& otherwise = "") {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? otherwise : found->second;
  };
  ModelMetadata metadata;
  metadata.name = get(kNameKey, metadata.name);
  metadata.architecture = get(kArchitectureKey);
  metadata.is_ours = get(kFormatKey) == kFormat;
  if (!metadata.is_ours) return metadata;
  if (get(kVersionKey) != kVersion) {
    fail_bad_file(file.what(),
                  "the format version is " + in_quotes(get(kVersionKey)) + "; this library reads version " + in_quotes(kVersion));
  }
  metadata.layers = get(kLayersKey);
  if (const std::string scheme = get(kSchemeKey); !scheme.empty()) {
    try {
      metadata.scheme = parse_scheme(scheme);
    } catch (const Error& error) {
      fail_bad_file(file.what(), std::string("the metadata's `scheme`: ") + error.what());
    }
  }
  return metadata;
}

void write_metadata(const NamedLayers& layers, const char* layers_key, SafetensorsWriter& writer) {
  writer.set_metadata(kFormatKey, kFormat);
  writer.set_metadata(kVersionKey, kVersion);
  writer.set_metadata(layers_key, architecture_text(layers));
  if (const auto scheme = common_scheme(layers)) writer.set_metadata(kSchemeKey, to_string(*scheme));
}

}  // namespace bytegate::detail

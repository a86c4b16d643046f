#include <bytegate/safetensors.h>

#include <algorithm>
#include <cstring>

#include "io/file.h"
#include "io/json.h"
#include "io/safetensors_header.h"
#include "io/text.h"

namespace bytegate {
namespace {

[[noreturn]] void fail_argument(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }

}  // namespace

void SafetensorsWriter::set_metadata(const std::string& key, const std::string& value) {
  detail::json_string(key);  // throws where it cannot be written
  detail::json_string(value);
  metadata_[key] = value;
}

void SafetensorsWriter::add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape,
                            std::span<const std::byte> data) {
  detail::json_string(name);
  const std::string tensor = "tensor " + detail::in_quotes(name);
  if (name == detail::kMetadataKey) fail_argument(tensor + ": the format keeps this name for itself");
  const std::uint64_t element = detail::dtype_size(dtype);
  if (element == 0)
    fail_argument(tensor + " has dtype " + detail::in_quotes(dtype) + "; the format has " + detail::dtype_names());
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; })) {
    fail_argument(tensor + " has shape " + detail::list_text(shape) + " with a negative dimension");
  }
  Entry entry{name, std::string(dtype), {shape.begin(), shape.end()}, {}};
  const std::int64_t bytes = detail::tensor_bytes(entry.shape, element);
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) != data.size()) {
    fail_argument(tensor + " has shape " + detail::list_text(shape) + " of " + entry.dtype + ", which takes " +
                  (bytes < 0 ? "more than 2^63" : std::to_string(bytes)) + " bytes, but " + std::to_string(data.size()) +
                  " bytes of data");
  }
  if (!names_.insert(name).second) fail_argument(tensor + " was added already");
  entry.data.assign(data.begin(), data.end());
  entries_.push_back(std::move(entry));
}

void SafetensorsWriter::add(const std::string& name, std::span<const std::int64_t> shape, std::span<const float> data) {
  add(name, "F32", shape, std::as_bytes(data));
}

void SafetensorsWriter::add(const std::string& name, std::span<const std::int64_t> shape, std::span<const std::int8_t> data) {
  add(name, "I8", shape, std::as_bytes(data));
}

std::string SafetensorsWriter::header() const {
  std::string text(8, '\0');  // place of the length
  text += '{';
  if (!metadata_.empty()) {
    text += detail::json_string(std::string(detail::kMetadataKey)) + ":{";
    for (const auto& [key, value] : metadata_) text += detail::json_string(key) + ':' + detail::json_string(value) + ',';
    text.back() = '}';
    text += ',';
  }
  std::size_t begin = 0;
  for (const Entry& entry : entries_) {
    const std::size_t end = begin + entry.data.size();
    text += detail::json_string(entry.name) + ":{\"dtype\":\"" + entry.dtype + "\",\"shape\":[";
    for (std::size_t i = 0; i < entry.shape.size(); ++i) {
      if (i > 0) text += ',';
      text += std::to_string(entry.shape[i]);
    }
    text += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]},";
    begin = end;
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  // The data then begins at a multiple of 8, so that readers that map the file find aligned tensors if theirs are.
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t size = text.size() - 8;
  if (size > detail::kMaxHeaderBytes) {
    fail_argument("the names, shapes and metadata take " + std::to_string(size) + " bytes of header; the format allows " +
                  std::to_string(detail::kMaxHeaderBytes));
  }
  for (std::size_t i = 0; i < 8; ++i) text[i] = static_cast<char>(static_cast<unsigned char>(size >> (8 * i)));
  return text;
}

std::vector<std::byte> SafetensorsWriter::bytes() const {
  const std::string head = header();
  const auto head_bytes = std::as_bytes(std::span(head));
  std::vector<std::byte> out(head_bytes.begin(), head_bytes.end());
  for (const Entry& entry : entries_) out.insert(out.end(), entry.data.begin(), entry.data.end());
  return out;
}

void SafetensorsWriter::save(const std::filesystem::path& path) const {
  const std::string head = header();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(head))};
  for (const Entry& entry : entries_) parts.emplace_back(entry.data);
  detail::write_file(path, parts);
}

}  // namespace bytegate

#include <bytegate/safetensors.h>

#include <algorithm>
#include <memory>

#include "io/file.h"
#include "io/json.h"
#include "io/safetensors_header.h"
#include "io/text.h"

namespace bytegate {
namespace {

[[noreturn]] void fail_argument(detail::TextParts message) {
  detail::throw_error(ErrorCode::invalid_argument, message);
}

}  // namespace

void SafetensorsWriter::set_metadata(const std::string& key, const std::string& value) {
  detail::json_string(key);  // throws where it cannot be written
  detail::json_string(value);
  metadata_[key] = value;
}

void SafetensorsWriter::add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape,
                            Producer produce) {
  detail::json_string(name);
  const std::string tensor = detail::join_text({"tensor ", detail::in_quotes(name)});
  if (name == detail::kMetadataKey) fail_argument({tensor, ": the format keeps this name for itself"});
  const std::uint64_t element = detail::dtype_size(dtype);
  if (element == 0) {
    fail_argument({tensor, " has dtype ", detail::in_quotes(dtype), "; the format has ", detail::dtype_names()});
  }
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; })) {
    fail_argument({tensor, " has shape ", detail::list_text(shape), " with a negative dimension"});
  }
  Entry entry{name, std::string(dtype), {shape.begin(), shape.end()}, 0, std::move(produce)};
  const std::int64_t bytes = detail::tensor_bytes(entry.shape, element);
  if (bytes < 0) {
    fail_argument(
        {tensor, " has shape ", detail::list_text(shape), " of ", entry.dtype, ", which takes more than 2^63 bytes"});
  }
  entry.bytes = static_cast<std::uint64_t>(bytes);
  if (!names_.insert(name).second) fail_argument({tensor, " was added already"});
  entries_.push_back(std::move(entry));
}

void SafetensorsWriter::add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape,
                            std::span<const std::byte> data) {
  const auto copy = std::make_shared<const std::vector<std::byte>>(data.begin(), data.end());
  add(name, dtype, shape, [copy](const Sink& sink) { sink(*copy); });
  const Entry& entry = entries_.back();
  if (entry.bytes == data.size()) return;
  const std::string message =
      detail::join_text({"tensor ", detail::in_quotes(name), " has shape ", detail::list_text(shape), " of ",
                         entry.dtype, ", which takes ", entry.bytes, " bytes, but ", data.size(), " bytes of data"});
  names_.erase(name);
  entries_.pop_back();
  fail_argument({message});
}

void SafetensorsWriter::add(const std::string& name, std::span<const std::int64_t> shape, std::span<const float> data) {
  add(name, "F32", shape, std::as_bytes(data));
}

void SafetensorsWriter::add(const std::string& name, std::span<const std::int64_t> shape,
                            std::span<const std::int8_t> data) {
  add(name, "I8", shape, std::as_bytes(data));
}

std::string SafetensorsWriter::header() const {
  std::string text(8, '\0');  // place of the length
  text += '{';
  if (!metadata_.empty()) {
    detail::append_text(text, {detail::json_string(std::string(detail::kMetadataKey)), ":{"});
    for (const auto& [key, value] : metadata_)
      detail::append_text(text, {detail::json_string(key), ":", detail::json_string(value), ","});
    text.back() = '}';
    text += ',';
  }
  std::uint64_t begin = 0;
  for (const Entry& entry : entries_) {
    const std::uint64_t end = begin + entry.bytes;
    detail::append_text(text, {detail::json_string(entry.name), ":{\"dtype\":\"", entry.dtype, "\",\"shape\":["});
    for (std::size_t i = 0; i < entry.shape.size(); ++i) {
      if (i > 0) text += ',';
      detail::append_text(text, {entry.shape[i]});
    }
    detail::append_text(text, {"],\"data_offsets\":[", begin, ",", end, "]},"});
    begin = end;
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  // The data then begins at a multiple of 8, so that readers that map the file find aligned tensors if theirs are.
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t size = text.size() - 8;
  if (size > detail::kMaxHeaderBytes) {
    fail_argument({"the names, shapes and metadata take ", size, " bytes of header; the format allows ",
                   detail::kMaxHeaderBytes});
  }
  for (std::size_t i = 0; i < 8; ++i) text[i] = static_cast<char>(static_cast<unsigned char>(size >> (8 * i)));
  return text;
}

void SafetensorsWriter::write(const Sink& sink) const {
  const std::string head = header();
  sink(std::as_bytes(std::span(head)));
  for (const Entry& entry : entries_) {
    std::uint64_t written = 0;
    entry.produce([&](std::span<const std::byte> piece) {
      written += piece.size();
      if (written <= entry.bytes) sink(piece);
    });
    if (written != entry.bytes) {
      fail_argument({"tensor ", detail::in_quotes(entry.name), " takes ", entry.bytes, " bytes, but ", written,
                     " were produced"});
    }
  }
}

std::vector<std::byte> SafetensorsWriter::bytes() const {
  std::vector<std::byte> out;
  write([&](std::span<const std::byte> piece) { out.insert(out.end(), piece.begin(), piece.end()); });
  return out;
}

void SafetensorsWriter::save(const std::filesystem::path& path) const {
  detail::write_file(path, [&](const detail::ByteSink& sink) { write(sink); });
}

}  // namespace bytegate

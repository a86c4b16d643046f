#include <bytegate/safetensors.h>

#include <bit>
#include <cstring>
#include <new>

#include "io/file.h"
#include "io/safetensors_header.h"
#include "io/text.h"

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read as it is");

namespace bytegate {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

template <class T>
std::vector<T> copy_as(const StoredTensor& tensor, const std::string& name, std::string_view dtype, const std::string& what) {
  if (tensor.dtype != dtype) {
    detail::fail_bad_file(
        what, "tensor " + detail::in_quotes(name) + " has dtype " + tensor.dtype + "; expected " + std::string(dtype));
  }
  std::vector<T> out(tensor.data.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), tensor.data.data(), out.size() * sizeof(T));
  return out;
}

}  // namespace

SafetensorsFile SafetensorsFile::load(const std::filesystem::path& path) {
  const std::string what = path.string();
  detail::InputFile file(path);
  // The header is checked against the file's size before memory is taken for the data.
  std::vector<std::byte> bytes(file.size() < 8 ? file.size() : 8);
  file.read(bytes);
  const std::uint64_t header_size = detail::read_header_size(as_text(bytes), file.size(), what);
  bytes.resize(8 + header_size);
  file.read(std::span(bytes).subspan(8));
  detail::parse_header(as_text(bytes).substr(8), file.size() - bytes.size(), what);
  const std::size_t data_begin = bytes.size();
  try {
    bytes.resize(file.size());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::io_error,
                "cannot read " + detail::in_quotes(what) + ": no memory for its " + std::to_string(file.size()) + " bytes");
  }
  file.read(std::span(bytes).subspan(data_begin));
  return parse(std::move(bytes), what);
}

SafetensorsFile SafetensorsFile::parse(std::vector<std::byte> bytes, const std::string& what) {
  SafetensorsFile file;
  file.what_ = what;
  file.bytes_ = std::move(bytes);
  const std::string_view text = as_text(file.bytes_);
  const std::uint64_t header_size = detail::read_header_size(text.substr(0, 8), text.size(), what);
  const std::span<const std::byte> data = std::span(file.bytes_).subspan(8 + header_size);
  detail::Header header = detail::parse_header(text.substr(8, header_size), data.size(), what);
  file.metadata_ = std::move(header.metadata);
  for (detail::HeaderEntry& entry : header.entries) {
    file.tensors_.emplace(std::move(entry.name), StoredTensor{std::move(entry.dtype), std::move(entry.shape),
                                                              data.subspan(entry.begin, entry.end - entry.begin)});
  }
  return file;
}

const StoredTensor& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) detail::fail_bad_file(what_, "there is no tensor " + detail::in_quotes(name));
  return found->second;
}

std::vector<float> SafetensorsFile::floats(const std::string& name) const {
  return copy_as<float>(tensor(name), name, "F32", what_);
}

std::vector<std::int8_t> SafetensorsFile::int8s(const std::string& name) const {
  return copy_as<std::int8_t>(tensor(name), name, "I8", what_);
}

std::vector<std::int64_t> SafetensorsFile::int64s(const std::string& name) const {
  return copy_as<std::int64_t>(tensor(name), name, "I64", what_);
}

}  // namespace bytegate

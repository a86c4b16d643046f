#include <bytegate/safetensors.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "io/file.h"
#include "io/safetensors_header.h"
#include "io/text.h"

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read as it is");

namespace bytegate {
namespace detail {

/// The data of a file, behind its header.
class TensorBytes {
 public:
  virtual ~TensorBytes() = default;
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

namespace {

class BytesInMemory final : public TensorBytes {
 public:
  BytesInMemory(std::vector<std::byte> bytes, std::uint64_t begin) : bytes_(std::move(bytes)), begin_(begin) {}
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + begin_ + offset, out.size());
  }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t begin_;
};

class BytesInFile final : public TensorBytes {
 public:
  BytesInFile(std::unique_ptr<const InputFile> file, std::uint64_t begin) : file_(std::move(file)), begin_(begin) {}
  void read(std::uint64_t offset, std::span<std::byte> out) const override { file_->read(begin_ + offset, out); }

 private:
  std::unique_ptr<const InputFile> file_;
  std::uint64_t begin_;
};

}  // namespace
}  // namespace detail

namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::map<std::string, StoredTensor> tensors_of(std::vector<detail::HeaderEntry> entries) {
  std::map<std::string, StoredTensor> tensors;
  for (detail::HeaderEntry& e : entries) {
    tensors.emplace(std::move(e.name), StoredTensor{std::move(e.dtype), std::move(e.shape), e.begin, e.end - e.begin});
  }
  return tensors;
}

}  // namespace

SafetensorsFile SafetensorsFile::load(const std::filesystem::path& path) {
  SafetensorsFile result;
  result.what_ = path.string();
  auto file = std::make_unique<const detail::InputFile>(path);
  std::vector<std::byte> header(file->size() < 8 ? file->size() : 8);
  file->read(0, header);
  const std::uint64_t size = detail::read_header_size(as_text(header), file->size(), result.what_);
  header.resize(size);
  file->read(8, header);
  detail::Header parsed = detail::parse_header(as_text(header), file->size() - 8 - size, result.what_);
  result.metadata_ = std::move(parsed.metadata);
  result.tensors_ = tensors_of(std::move(parsed.entries));
  result.bytes_ = std::make_shared<const detail::BytesInFile>(std::move(file), 8 + size);
  return result;
}

SafetensorsFile SafetensorsFile::parse(std::vector<std::byte> bytes, const std::string& what) {
  SafetensorsFile result;
  result.what_ = what;
  const std::string_view text = as_text(bytes);
  const std::uint64_t size = detail::read_header_size(text.substr(0, 8), text.size(), what);
  detail::Header parsed = detail::parse_header(text.substr(8, size), text.size() - 8 - size, what);
  result.metadata_ = std::move(parsed.metadata);
  result.tensors_ = tensors_of(std::move(parsed.entries));
  result.bytes_ = std::make_shared<const detail::BytesInMemory>(std::move(bytes), 8 + size);
  return result;
}

void SafetensorsFile::read(const StoredTensor& tensor, std::uint64_t first, std::span<std::byte> out) const {
  if (first > tensor.bytes || out.size() > tensor.bytes - first) {
    detail::throw_error(ErrorCode::invalid_argument, {"SafetensorsFile::read: ", out.size(), " bytes from byte ", first,
                                                      " of a tensor that has ", tensor.bytes});
  }
  bytes_->read(tensor.offset + first, out);
}

const StoredTensor& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) detail::fail_bad_file(what_, {"there is no tensor ", detail::in_quotes(name)});
  return found->second;
}

namespace {

[[gnu::noinline]] const StoredTensor& tensor_of_dtype(const SafetensorsFile& file, const std::string& name,
                                                      const char* dtype) {
  const StoredTensor& tensor = file.tensor(name);
  if (tensor.dtype != dtype) {
    detail::fail_bad_file(file.what(),
                          {"tensor ", detail::in_quotes(name), " has dtype ", tensor.dtype, "; expected ", dtype});
  }
  return tensor;
}

template <class T>
std::vector<T> read_all(const SafetensorsFile& file, const std::string& name, const char* dtype) {
  const StoredTensor& tensor = tensor_of_dtype(file, name, dtype);
  std::vector<T> out(tensor.bytes / sizeof(T));
  file.read(tensor, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

}  // namespace

std::vector<float> SafetensorsFile::floats(const std::string& name) const {
  return read_all<float>(*this, name, "F32");
}
std::vector<std::int8_t> SafetensorsFile::int8s(const std::string& name) const {
  return read_all<std::int8_t>(*this, name, "I8");
}
std::vector<std::int64_t> SafetensorsFile::int64s(const std::string& name) const {
  return read_all<std::int64_t>(*this, name, "I64");
}

}  // namespace bytegate

// Pieces shared by the tests of files: bytes from text, folders that go away, errors as values.
#pragma once

#include <bytegate/error.h>
#include <bytegate/safetensors.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::testing {

inline std::vector<std::byte> to_bytes(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

/// The 8 bytes of a header length.
inline std::string length_bytes(std::uint64_t length) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<unsigned char>(length >> (8 * i)));
  return out;
}

/// A safetensors file of that header and that many bytes of data, 1, 2, 3, ...
inline std::string file_text(std::string_view header, std::size_t data_size) {
  std::string out = length_bytes(header.size()) + std::string(header);
  for (std::size_t i = 0; i < data_size; ++i) out += static_cast<char>(static_cast<unsigned char>(i + 1));
  return out;
}

inline std::vector<std::byte> tensor_bytes(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.tensor(name);
  std::vector<std::byte> bytes(tensor.bytes);
  file.read(tensor, 0, bytes);
  return bytes;
}

inline SafetensorsFile parse_text(std::string_view text) {
  return SafetensorsFile::parse(to_bytes(text), "test.safetensors");
}

/// The Error that `call` throws; none if it returns. Anything else it throws fails the test.
template <class Call>
std::optional<Error> error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// Expects an Error of that code whose text has every one of the parts.
template <class Call>
void expect_error(ErrorCode code, std::vector<std::string> parts, Call&& call) {
  const std::optional<Error> error = error_of(call);
  ASSERT_TRUE(error.has_value()) << "no error, expected one with: " << parts.front();
  EXPECT_EQ(static_cast<int>(error->code()), static_cast<int>(code)) << error->what();
  for (const std::string& part : parts) {
    EXPECT_NE(std::string_view(error->what()).find(part), std::string_view::npos)
        << "'" << error->what() << "' lacks '" << part << "'";
  }
}

/// A new folder under the system's temporary one, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bytegate-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  /// Names of the files in it.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      out.push_back(entry.path().filename().string());
    return out;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace bytegate::testing

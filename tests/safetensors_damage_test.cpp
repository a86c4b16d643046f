// Every truncation, every flipped bit and every changed byte of a small file: an Error or a valid load, nothing else.
#include <gtest/gtest.h>

#include <string>

#include "tests/io_testing.h"

namespace bytegate::testing {
namespace {

std::string small_file() {
  SafetensorsWriter writer;
  const std::vector<float> floats = {1.0f, 2.0f};
  const std::vector<std::int8_t> int8s = {1, 2, 3};
  writer.set_metadata("format", "test");
  writer.add("w", std::vector<std::int64_t>{2, 1}, floats);
  writer.add("q", std::vector<std::int64_t>{3}, int8s);
  writer.add("e", std::vector<std::int64_t>{0}, std::span<const float>());
  writer.add("s", std::vector<std::int64_t>{}, std::span(floats).first(1));
  const std::vector<std::byte> bytes = writer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Whether the text loads. If so, every tensor's bytes must be inside the file and have the size of its shape.
bool loads(const std::string& text) {
  try {
    const SafetensorsFile file = parse_text(text);
    unsigned sum = 0;
    std::size_t data = 0;
    for (const auto& [name, tensor] : file.tensors()) {
      for (const std::byte byte : tensor_bytes(file, name)) sum += static_cast<unsigned>(byte);
      data += tensor.bytes;
      if (tensor.dtype == "F32") {
        EXPECT_EQ(file.floats(name).size() * 4, tensor.bytes);
      }
      if (tensor.dtype == "I8") {
        EXPECT_EQ(file.int8s(name).size(), tensor.bytes);
      }
    }
    EXPECT_LE(sum, 255u * data);
    EXPECT_LT(data, text.size());
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::bad_file));
    EXPECT_EQ(std::string(error.what()).rfind("test.safetensors: ", 0), 0u) << error.what();
    return false;
  }
}

TEST(Damage, TheFileItselfLoads) { EXPECT_TRUE(loads(small_file())); }

TEST(Damage, EveryTruncationIsAnError) {
  const std::string text = small_file();
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(loads(text.substr(0, size))) << size;
}

TEST(Damage, EveryTruncationOnDiskIsAnError) {
  const TemporaryFolder folder;
  const std::string text = small_file();
  for (std::size_t size = 0; size < text.size(); ++size) {
    write_text(folder / "cut", text.substr(0, size));
    expect_error(ErrorCode::bad_file, {"cut: "}, [&] { SafetensorsFile::load(folder / "cut"); });
  }
}

TEST(Damage, EveryFlippedBit) {
  const std::string text = small_file();
  const std::size_t data_begin = 8 + static_cast<unsigned char>(text[0]) + 256u * static_cast<unsigned char>(text[1]);
  std::size_t loaded = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      const bool valid = loads(damaged);
      if (i < 8) {
        EXPECT_FALSE(valid) << "length byte " << i << " bit " << bit;
      }
      if (i >= data_begin) {
        EXPECT_TRUE(valid) << "data byte " << i << " bit " << bit;
      }
      loaded += i < data_begin && valid ? 1 : 0;
    }
  }
  // In the header only the bits inside names and metadata may go unnoticed: "format", "test", "w", "q", "e", "s" have
  // 14 bytes.
  EXPECT_LE(loaded, 14u * 8);
}

TEST(Damage, EveryByteSetToEveryValueInTheHeader) {
  const std::string text = small_file();
  const std::size_t data_begin = 8 + static_cast<unsigned char>(text[0]) + 256u * static_cast<unsigned char>(text[1]);
  for (std::size_t i = 0; i < data_begin; ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(value);
      loads(damaged);
    }
  }
}

TEST(Damage, EveryByteTakenOutOrDoubled) {
  const std::string text = small_file();
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(loads(text.substr(0, i) + text.substr(i + 1))) << i;
    EXPECT_FALSE(loads(text.substr(0, i + 1) + text.substr(i))) << i;
  }
}

}  // namespace
}  // namespace bytegate::testing

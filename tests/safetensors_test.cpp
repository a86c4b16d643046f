// What the format allows, round trips, and saving that leaves the old file or the new one.
#include <bytegate/safetensors.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/io_testing.h"

namespace bytegate::testing {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

using Dims = std::vector<std::int64_t>;

SafetensorsWriter sample_writer() {
  SafetensorsWriter writer;
  const std::vector<float> floats = {1.5f, -2.0f, std::numeric_limits<float>::infinity(), 0.0f, 1e-40f, 3e38f};
  const std::vector<std::int8_t> int8s = {-128, 0, 127};
  const std::vector<std::int64_t> int64s = {-1, kMax};
  writer.set_metadata("zebra", "last");
  writer.set_metadata("a \"quoted\" key\n", "caf\xC3\xA9 {\"json\": [1]}");
  writer.add("weights", Dims{2, 3}, floats);
  writer.add("bytes", Dims{3}, int8s);
  writer.add("indices", "I64", Dims{2}, std::as_bytes(std::span(int64s)));
  writer.add("\xE6\xB0\xB4/\"x\"", Dims{}, std::span(floats).first(1));
  writer.add("", Dims{0, 4}, std::span<const float>());
  return writer;
}

std::string text_of(const SafetensorsWriter& writer) {
  const std::vector<std::byte> bytes = writer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Safetensors, LegalOddities) {
  const SafetensorsFile empty = parse_text(file_text("{}", 0));
  EXPECT_TRUE(empty.tensors().empty());
  EXPECT_TRUE(empty.metadata().empty());

  EXPECT_EQ(parse_text(file_text("{}      ", 0)).tensors().size(), 0u);
  EXPECT_EQ(parse_text(file_text("{ \n\t }", 0)).tensors().size(), 0u);
  EXPECT_EQ(parse_text(file_text(R"({"__metadata__":{}})", 0)).metadata().size(), 0u);

  const SafetensorsFile scalar = parse_text(file_text(R"({"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1));
  EXPECT_TRUE(scalar.tensor("s").shape.empty());
  EXPECT_EQ(scalar.tensor("s").bytes, 1u);

  // Keys in any order, entries in another order than their data, an F32 at an odd offset.
  const SafetensorsFile mixed =
      parse_text(file_text(R"({"f":{"data_offsets":[1,5],"shape":[1],"dtype":"F32"},"__metadata__":{"k":"v"},)"
                           R"("b":{"dtype":"BOOL","shape":[1,1],"data_offsets":[0,1]}})",
                           5));
  EXPECT_EQ(mixed.metadata().at("k"), "v");
  EXPECT_EQ(tensor_bytes(mixed, "b").at(0), std::byte{1});
  EXPECT_EQ(tensor_bytes(mixed, "f").at(0), std::byte{2});
  EXPECT_EQ(mixed.floats("f").size(), 1u);

  // Empty tensors in any place among others, one with the largest dimension.
  const SafetensorsFile none =
      parse_text(file_text(R"({"x":{"dtype":"F64","shape":[9223372036854775807,0],"data_offsets":[1,1]},)"
                           R"("y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                           1));
  EXPECT_EQ(none.tensor("x").shape, (Dims{kMax, 0}));
  EXPECT_TRUE(none.tensor("x").bytes == 0);
  EXPECT_TRUE(none.floats("z").empty());

  // Names are any string; escapes are resolved.
  EXPECT_TRUE(parse_text(file_text(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0)).contains(""));
  EXPECT_TRUE(parse_text(file_text(R"({"\u00e9\ud83d\ude00":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0))
                  .contains("\xC3\xA9\xF0\x9F\x98\x80"));
}

TEST(Safetensors, EveryTypeOfTheFormat) {
  const std::vector<std::pair<std::string, int>> types = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};
  for (const auto& [type, size] : types) {
    const int bytes = 3 * size;
    const SafetensorsFile file = parse_text(
        file_text(R"({"a":{"dtype":")" + type + R"(","shape":[3],"data_offsets":[0,)" + std::to_string(bytes) + "]}}",
                  static_cast<std::size_t>(bytes)));
    EXPECT_EQ(file.tensor("a").dtype, type);
    EXPECT_EQ(file.tensor("a").bytes, static_cast<std::uint64_t>(bytes));
  }
}

TEST(Safetensors, TypedAccessNamesWhatIsWrong) {
  const SafetensorsFile file = parse_text(text_of(sample_writer()));
  EXPECT_EQ(file.what(), "test.safetensors");
  EXPECT_EQ(file.floats("weights")[1], -2.0f);
  EXPECT_EQ(file.int8s("bytes"), (std::vector<std::int8_t>{-128, 0, 127}));
  EXPECT_EQ(file.int64s("indices"), (std::vector<std::int64_t>{-1, kMax}));
  expect_error(ErrorCode::bad_file, {"test.safetensors: there is no tensor \"nothing\""},
               [&] { file.tensor("nothing"); });
  expect_error(ErrorCode::bad_file, {"\"bytes\" has dtype I8; expected F32"}, [&] { file.floats("bytes"); });
  expect_error(ErrorCode::bad_file, {"\"weights\" has dtype F32; expected I8"}, [&] { file.int8s("weights"); });
  expect_error(ErrorCode::bad_file, {"\"weights\" has dtype F32; expected I64"}, [&] { file.int64s("weights"); });
}

TEST(Safetensors, CopiesAndMovedFilesKeepTheirData) {
  SafetensorsFile first = parse_text(text_of(sample_writer()));
  const SafetensorsFile copy = first, moved = std::move(first);
  EXPECT_EQ(copy.floats("weights")[0], 1.5f);
  EXPECT_EQ(moved.floats("weights")[0], 1.5f);
}

TEST(Safetensors, WriterLayout) {
  const std::string text = text_of(sample_writer());
  EXPECT_EQ(text, text_of(sample_writer()));
  const auto header_size = static_cast<unsigned char>(text[0]) + 256u * static_cast<unsigned char>(text[1]);
  EXPECT_EQ(header_size % 8, 0u);
  const std::string header = text.substr(8, header_size);
  // Metadata first and sorted, then the tensors as they were added.
  EXPECT_EQ(header.rfind(R"({"__metadata__":{"a \"quoted\" key\n":"caf)", 0), 0u) << header;
  EXPECT_NE(header.find(R"("zebra":"last"},"weights":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                        R"("bytes":{"dtype":"I8","shape":[3],)"
                        R"("data_offsets":[24,27]},"indices":{"dtype":"I64","shape":[2],"data_offsets":[27,43]},)"),
            std::string::npos)
      << header;
  EXPECT_EQ(text_of(SafetensorsWriter()), length_bytes(8) + "{}      ");
}

TEST(Safetensors, RoundTripIsByteIdentical) {
  const std::string text = text_of(sample_writer());
  const SafetensorsFile file = parse_text(text);
  EXPECT_EQ(file.metadata().at("a \"quoted\" key\n"), "caf\xC3\xA9 {\"json\": [1]}");
  SafetensorsWriter again;
  for (const auto& [key, value] : file.metadata()) again.set_metadata(key, value);
  for (const std::string name : {"weights", "bytes", "indices", "\xE6\xB0\xB4/\"x\"", ""}) {
    const StoredTensor& tensor = file.tensor(name);
    again.add(name, tensor.dtype, tensor.shape, tensor_bytes(file, name));
  }
  EXPECT_EQ(text_of(again), text);

  const TemporaryFolder folder;
  again.save(folder / "a.safetensors");
  EXPECT_EQ(read_text(folder / "a.safetensors"), text);
  EXPECT_EQ(SafetensorsFile::load(folder / "a.safetensors").int64s("indices"), file.int64s("indices"));
}

TEST(Safetensors, ReadsPiecesFromAFile) {
  const TemporaryFolder folder;
  sample_writer().save(folder / "a");
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  const std::vector<std::byte> whole = tensor_bytes(file, "indices");
  std::vector<std::byte> piece(5);
  for (std::size_t first = 0; first + piece.size() <= whole.size(); ++first) {
    file.read(file.tensor("indices"), first, piece);
    EXPECT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
  }
  for (const std::uint64_t first : {whole.size() - 4, whole.size() + 1, std::size_t{0} - 1}) {
    expect_error(ErrorCode::invalid_argument, {"5 bytes"}, [&] { file.read(file.tensor("indices"), first, piece); });
  }
  std::filesystem::resize_file(folder / "a", std::filesystem::file_size(folder / "a") - whole.size());
  expect_error(ErrorCode::io_error, {"shorter"}, [&] { tensor_bytes(file, ""), tensor_bytes(file, "indices"); });
}

TEST(Safetensors, WriterChecksWhatIsProduced) {
  const TemporaryFolder folder;
  const std::int64_t shape[] = {3};
  for (const std::size_t bytes : {0u, 11u, 13u}) {
    SafetensorsWriter writer;
    writer.add("x", "F32", shape, [=](const SafetensorsWriter::Sink& sink) { sink(std::vector<std::byte>(bytes)); });
    expect_error(ErrorCode::invalid_argument, {"\"x\"", "12 bytes", std::to_string(bytes)},
                 [&] { writer.save(folder / "a"); });
    EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
  }
}

TEST(Safetensors, WriterRefusesWhatTheFormatCannotHold) {
  const std::vector<float> data(4);
  const auto refused = [&](const std::string& part, auto&& call) {
    SafetensorsWriter writer = sample_writer();
    const std::string before = text_of(writer);
    expect_error(ErrorCode::invalid_argument, {part}, [&] { call(writer); });
    EXPECT_EQ(text_of(writer), before) << part;
  };
  refused("\"weights\" was added already", [&](auto& w) { w.add("weights", Dims{4}, data); });
  refused("the format keeps this name", [&](auto& w) { w.add("__metadata__", Dims{4}, data); });
  refused("\"x\" has shape [3] of F32, which takes 12 bytes, but 16 bytes of data",
          [&](auto& w) { w.add("x", Dims{3}, data); });
  refused("more than 2^63 bytes", [&](auto& w) { w.add("x", Dims{kMax, 2}, data); });
  refused("negative dimension", [&](auto& w) { w.add("x", Dims{-2, -2}, data); });
  refused("dtype \"Q4\"; the format has BOOL",
          [&](auto& w) { w.add("x", "Q4", Dims{4}, std::as_bytes(std::span(data))); });
  refused("not valid UTF-8", [&](auto& w) { w.add("\xFF", Dims{4}, data); });
  refused("not valid UTF-8", [&](auto& w) { w.set_metadata("\xFF", "x"); });
  refused("not valid UTF-8", [&](auto& w) { w.set_metadata("x", "\xC3"); });
}

TEST(SafetensorsLoad, RefusalsOfTheSystem) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::io_error, {"cannot open", "missing.safetensors", "No such file"},
               [&] { SafetensorsFile::load(folder / "missing.safetensors"); });
  expect_error(ErrorCode::io_error, {"cannot read", "it is a directory"},
               [&] { SafetensorsFile::load(folder.path()); });
  write_text(folder / "plain", "x");
  expect_error(ErrorCode::io_error, {"cannot open", "Not a directory"},
               [&] { SafetensorsFile::load(folder / "plain/inside"); });
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::io_error, {"cannot read", "not a regular file"},
               [&] { SafetensorsFile::load(folder / "pipe"); });
  expect_error(ErrorCode::io_error, {"cannot read", "not a regular file"}, [&] { SafetensorsFile::load("/dev/zero"); });
  expect_error(ErrorCode::io_error, {"cannot open"}, [&] { SafetensorsFile::load(""); });
  if (::geteuid() != 0) {
    std::filesystem::permissions(folder / "plain", std::filesystem::perms::none);
    expect_error(ErrorCode::io_error, {"cannot open", "Permission denied"},
                 [&] { SafetensorsFile::load(folder / "plain"); });
  }
}

TEST(SafetensorsLoad, HugeFileIsRefusedBeforeMemoryIsTaken) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "huge.safetensors";
  write_text(path, file_text("{}", 0));
  std::error_code error;
  std::filesystem::resize_file(path, std::uintmax_t{1} << 42, error);  // sparse: 4 TB that need no space
  if (error) GTEST_SKIP() << "no sparse files here: " << error.message();
  expect_error(ErrorCode::bad_file, {"has 4398046511094 bytes of data"}, [&] { SafetensorsFile::load(path); });
}

class SafetensorsSave : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  const std::filesystem::path path = folder / "model.safetensors";
};

TEST_F(SafetensorsSave, ReplacesTheOldFileAndLeavesNothingElse) {
  write_text(path, "old");
  std::filesystem::permissions(path, std::filesystem::perms{0640});
  sample_writer().save(path);
  EXPECT_EQ(read_text(path), text_of(sample_writer()));
  EXPECT_EQ(folder.names(), std::vector<std::string>{"model.safetensors"});
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0640});
}

TEST_F(SafetensorsSave, FollowsALink) {
  write_text(folder / "real", "old");
  std::filesystem::create_symlink("real", path);
  sample_writer().save(path);
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(read_text(folder / "real"), text_of(sample_writer()));
  std::filesystem::remove(folder / "real");
  expect_error(ErrorCode::io_error, {"symbolic link to nothing"}, [&] { sample_writer().save(path); });
}

TEST_F(SafetensorsSave, RefusalsOfTheSystem) {
  const SafetensorsWriter writer = sample_writer();
  expect_error(ErrorCode::io_error, {"cannot write", "No such file"},
               [&] { writer.save(folder / "no/such/folder.safetensors"); });
  expect_error(ErrorCode::io_error, {"cannot write", "it is a directory"}, [&] { writer.save(folder.path()); });
  expect_error(ErrorCode::io_error, {"cannot write", "not a regular file"}, [&] { writer.save("/dev/null"); });
  expect_error(ErrorCode::io_error, {"cannot write"}, [&] { writer.save(""); });
  write_text(path, "old");
  expect_error(ErrorCode::io_error, {"cannot write", "Not a directory"}, [&] { writer.save(path / "inside"); });
  EXPECT_EQ(read_text(path), "old");
  if (::geteuid() != 0) {
    std::filesystem::permissions(folder.path(), std::filesystem::perms{0500});
    expect_error(ErrorCode::io_error, {"cannot write", "Permission denied"}, [&] { writer.save(path); });
    std::filesystem::permissions(folder.path(), std::filesystem::perms{0700});
    EXPECT_EQ(read_text(path), "old");
  }
}

// A limit on the size of files makes a write fail half way, as a full disk would.
TEST_F(SafetensorsSave, FailedWriteKeepsTheOldFile) {
  write_text(path, "old");
  SafetensorsWriter writer;
  writer.add("big", Dims{100'000}, std::vector<float>(100'000));
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto error = error_of([&] { writer.save(path); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(static_cast<int>(error->code()), static_cast<int>(ErrorCode::io_error));
  EXPECT_NE(std::string(error->what()).find("File too large"), std::string::npos) << error->what();
  EXPECT_EQ(read_text(path), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"model.safetensors"});
  writer.save(path);
  EXPECT_EQ(SafetensorsFile::load(path).floats("big").size(), 100'000u);
}

}  // namespace
}  // namespace bytegate::testing

// A model file of an earlier version: read on every backend, with the outputs that it had then but for the last bits,
// which its cells rounded differently, and saved as today.
//
// tests/data/format1.safetensors was written by version 0.1.0 at commit 9663744 with
//     bytegate quantize --scheme accurate --embedding float.safetensors format1.safetensors
// from a float model of sines: an Embedding(9, 6), an LSTM(6, 7, batch_first), a ReLU and a Linear(7, 5).
// tests/data/format1_output.safetensors holds an input of indices and the output which that version computed for it.
#include <bytegate/model_file.h>

#include "tests/io_testing.h"
#include "tests/model_testing.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"

namespace bytegate::testing {
namespace {

const std::filesystem::path kData = std::filesystem::path(BYTEGATE_SOURCE_DIR) / "tests/data";

class EarlierFormat : public BackendTest {
 protected:
  /// The output of a model for the input beside the file.
  static Tensor output_of(const Sequential& model) {
    const SafetensorsFile file = SafetensorsFile::load(kData / "format1_output.safetensors");
    const std::vector<std::int64_t> indices = file.int64s("input");
    const Shape shape{std::span<const std::int64_t>(file.tensor("input").shape)};
    Tensor y(model.output_shape(shape));
    Workspace workspace;
    model.forward(IndexView{indices.data(), shape}, y.view(), workspace);
    return y;
  }

  static Tensor expected() {
    const SafetensorsFile file = SafetensorsFile::load(kData / "format1_output.safetensors");
    return {Shape{std::span<const std::int64_t>(file.tensor("output").shape)}, file.floats("output")};
  }

  static void expect_near(const Tensor& output, const Tensor& expected) {
    ASSERT_EQ(output.shape, expected.shape);
    for (std::size_t i = 0; i < output.data.size(); ++i) EXPECT_NEAR(output.data[i], expected.data[i], 1e-6f) << i;
  }
};

TEST_P(EarlierFormat, LoadsRunsAndIsSavedAsToday) {
  const SafetensorsFile old = SafetensorsFile::load(kData / "format1.safetensors");
  ASSERT_EQ(old.metadata().at("scheme"), "accurate");
  ASSERT_EQ(old.metadata().at("format_version"), "1");
  const Sequential model = load_model(old, {.backend = &backend()});
  ASSERT_EQ(model.layers().size(), 4u);
  EXPECT_EQ(to_string(*as<LSTM>(model.layers()[1].layer).scheme()), "per_row");
  EXPECT_EQ(to_string(*as<Linear>(model.layers()[3].layer).scheme()), "per_row");
  EXPECT_EQ(to_string(model),
            "Format1(\n"
            "  (embedding): QuantizedEmbedding(num_embeddings=9, embedding_dim=6, dtype=qint8, "
            "qscheme=per_channel_symmetric)\n"
            "  (lstm): DynamicQuantizedLSTM(6, 7, batch_first=True)\n"
            "  (act): ReLU()\n"
            "  (fc): DynamicQuantizedLinear(in_features=7, out_features=5, dtype=qint8, "
            "qscheme=per_channel_symmetric)\n)");
  const Tensor output = output_of(model);
  expect_near(output, expected());

  const TemporaryFolder folder;
  save_model(model, folder / "today");
  const SafetensorsFile today = SafetensorsFile::load(folder / "today");
  auto metadata = old.metadata();
  metadata["scheme"] = "per_row";
  EXPECT_EQ(today.metadata(), metadata);
  ASSERT_EQ(today.tensors().size(), old.tensors().size());
  for (const auto& [name, tensor] : old.tensors()) {
    EXPECT_EQ(today.tensor(name).dtype, tensor.dtype) << name;
    EXPECT_EQ(today.tensor(name).shape, tensor.shape) << name;
    EXPECT_EQ(tensor_bytes(today, name), tensor_bytes(old, name)) << name;
  }
  EXPECT_EQ(first_difference(output_of(load_model(today, {.backend = &backend()})), output), "");
}

BYTEGATE_ON_EVERY_BACKEND(EarlierFormat);

}  // namespace
}  // namespace bytegate::testing

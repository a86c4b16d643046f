// Tensors that are almost a layer's, or those of a layer this library does not have: errors and notes say which, and
// what to do.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/io_testing.h"

namespace bytegate::testing {
namespace {

using Dims = std::vector<std::int64_t>;
using Tensors = std::vector<std::pair<std::string, Dims>>;

SafetensorsFile state_dict(const Tensors& tensors) {
  SafetensorsWriter writer;
  for (const auto& [name, shape] : tensors) {
    std::size_t bytes = 4;
    for (const std::int64_t dim : shape) bytes *= static_cast<std::size_t>(dim);
    writer.add(name, "F32", shape, std::vector<std::byte>(bytes));
  }
  return SafetensorsFile::parse(writer.bytes(), "dict.safetensors");
}

struct Incomplete {
  const char* what;
  Tensors tensors;
  std::vector<std::string> parts;  ///< of the sentence
};

const std::vector<Incomplete>& all_incomplete() {
  static const std::vector<Incomplete> all = {
      {"old weight_norm",
       {{"m.weight_g", {2, 1}}, {"m.weight_v", {2, 3}}, {"m.bias", {2}}},
       {"\"m.weight_g\" and \"m.weight_v\"", "weight_norm", "torch_to_safetensors.py"}},
      {"old weight_norm of an LSTM",
       {{"m.weight_ih_l0", {8, 3}},
        {"m.weight_hh_l0_g", {8, 1}},
        {"m.weight_hh_l0_v", {8, 2}},
        {"m.bias_ih_l0", {8}},
        {"m.bias_hh_l0", {8}}},
       {"\"m.weight_hh_l0_g\" and \"m.weight_hh_l0_v\"", "in the place of \"weight_hh_l0\"", "weight_norm",
        "torch_to_safetensors.py"}},
      {"weight_norm",
       {{"m.parametrizations.weight.original0", {2, 1}},
        {"m.parametrizations.weight.original1", {2, 3}},
        {"m.bias", {2}}},
       {"\"m.parametrizations.weight.original0\" and \"m.parametrizations.weight.original1\"", "weight_norm",
        "torch_to_safetensors.py"}},
      {"weight_norm of an LSTM",
       {{"m.weight_ih_l0", {8, 3}},
        {"m.parametrizations.weight_hh_l0.original0", {8, 1}},
        {"m.parametrizations.weight_hh_l0.original1", {8, 2}}},
       {"original0", "in the place of \"weight_hh_l0\"", "torch_to_safetensors.py"}},
      {"old spectral_norm",
       {{"m.weight_orig", {2, 3}}, {"m.weight_u", {2}}, {"m.weight_v", {3}}, {"m.bias", {2}}},
       {"\"m.weight_orig\"", "spectral_norm", "torch_to_safetensors.py"}},
      {"spectral_norm",
       {{"m.parametrizations.weight.original", {2, 3}},
        {"m.parametrizations.weight.0._u", {2}},
        {"m.parametrizations.weight.0._v", {3}}},
       {"\"m.parametrizations.weight.original\"", "spectral_norm", "torch_to_safetensors.py"}},
      {"a parametrization of one's own", {{"m.parametrizations.weight.original", {2, 3}}}, {"remove_parametrizations"}},
      {"pruning", {{"m.weight_orig", {2, 3}}, {"m.weight_mask", {2, 3}}}, {"\"m.weight_mask\"", "prune.remove"}},
      {"weight drop",
       {{"m.weight_ih_l0", {8, 3}}, {"m.weight_hh_l0_raw", {8, 2}}, {"m.bias_ih_l0", {8}}, {"m.bias_hh_l0", {8}}},
       {"\"m.weight_hh_l0_raw\"", "in the place of \"weight_hh_l0\"", "weight drop"}},
      {"a cell of 5 gates", {{"m.weight_ih", {10, 3}}, {"m.weight_hh", {10, 2}}}, {"10 rows of weight_ih for 2"}},
      {"5 gates", {{"m.weight_ih_l0", {10, 3}}, {"m.weight_hh_l0", {10, 2}}}, {"10 rows of weight_ih_l0 for 2"}},
      {"Conv1d", {{"m.weight", {4, 3, 2}}, {"m.bias", {4}}}, {"\"m.weight\" [4, 3, 2]", "torch.nn.Conv1d"}},
      {"Conv2d", {{"m.weight", {4, 3, 2, 2}}}, {"\"m.weight\"", "torch.nn.Conv2d"}},
      {"BatchNorm",
       {{"m.weight", {4}}, {"m.bias", {4}}, {"m.running_mean", {4}}, {"m.running_var", {4}}},
       {"\"m.running_mean\"", "batch normalization"}},
      {"LayerNorm", {{"m.weight", {4}}, {"m.bias", {4}}}, {"\"m.weight\" [4]", "LayerNorm"}},
      {"attention", {{"m.in_proj_weight", {12, 4}}, {"m.in_proj_bias", {12}}}, {"MultiheadAttention"}},
  };
  return all;
}

TEST(IncompleteLayers, AreNamedInTheError) {
  for (const Incomplete& incomplete : all_incomplete()) {
    SCOPED_TRACE(incomplete.what);
    std::vector<std::string> parts = incomplete.parts;
    parts.push_back("dict.safetensors: ");
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(state_dict(incomplete.tensors)); });
    Tensors beside = incomplete.tensors;  // a layer that is whole
    beside.push_back({"fc.weight", {2, 3}});
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(state_dict(beside)); });
    beside.push_back({"fc2.weight", {3, 2}});
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(state_dict(beside)); });
  }
}

TEST(IncompleteLayers, AreNotesOfAStateDict) {
  for (const Incomplete& incomplete : all_incomplete()) {
    SCOPED_TRACE(incomplete.what);
    const StateDict dict = load_state_dict(state_dict(incomplete.tensors));
    EXPECT_TRUE(dict.layers.empty());
    EXPECT_EQ(dict.others.size(), incomplete.tensors.size());
    ASSERT_EQ(dict.notes.size(), 1u);
    for (const std::string& part : incomplete.parts)
      EXPECT_NE(dict.notes[0].find(part), std::string::npos) << dict.notes[0];
  }
}

TEST(IncompleteLayers, AreNamedWhereAnArchitectureNeedsThem) {
  const auto refused = [](const std::string& kind, const Tensors& tensors, const std::vector<std::string>& parts) {
    LoadOptions options;
    options.architecture = R"([{"name":"m","kind":")" + kind + "\"}]";
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(state_dict(tensors), options); });
  };
  const std::vector<Incomplete>& all = all_incomplete();
  refused("linear", all[0].tensors, all[0].parts);
  refused("linear", all[2].tensors, all[2].parts);
  refused("lstm", all[1].tensors, all[1].parts);
  refused("lstm", all[8].tensors, all[8].parts);
}

TEST(IncompleteLayers, ModuleWithoutAName) {
  expect_error(ErrorCode::bad_file, {"the module without a name has \"weight_g\" and \"weight_v\""}, [] {
    load_model(state_dict({{"weight_g", {2, 1}}, {"weight_v", {2, 3}}, {"bias", {2}}}));
  });
}

}  // namespace
}  // namespace bytegate::testing

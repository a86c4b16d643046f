// Reference cases: one layer or small model, its input, and PyTorch's outputs. The configuration is JSON under the
// metadata key `case`; its `kind` is a kind of layer, or `sequential` with a list of `layers`, each of such
// a kind.
#pragma once

#include <bytegate/model.h>
#include <bytegate/safetensors.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bytegate::testing {

/// The outputs of a model: `output`, and for a lone recurrent layer hn and, of an LSTM, cn.
struct Outputs {
  Tensor output, hn, cn;
};

struct Case {
  std::string name;
  nlohmann::json config;
  SafetensorsFile file;

  static Case load(const std::filesystem::path& path);

  bool torch_mode() const { return config.value("torch_mode", false); }
  bool per_channel() const { return config.value("weight_scheme", std::string("per_tensor")) == "per_channel"; }
  Tensor tensor(const std::string& name) const;

  /// The float model; a lone layer is a model of one layer named "layer".
  Sequential model(const Backend& backend) const;
  Outputs run(const Sequential& model) const;
  /// The reference of that suffix ("float", "qint8_8bit"), tensors that are not there left empty.
  Outputs reference(const std::string& suffix) const;
};

/// All case files of a folder, by name.
std::vector<std::filesystem::path> case_paths(const std::filesystem::path& folder);

}  // namespace bytegate::testing

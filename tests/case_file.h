// Reference cases (docs/reference_cases.md): one layer or small model, its input, and PyTorch's outputs.
#pragma once

#include <bytegate/model.h>
#include <bytegate/safetensors.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bytegate::testing {

/// What a model gives: `output`, and for a lone LSTM hn and cn.
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

// The names of a file's tensors: tied ones that stand in the metadata only, and the prefixes that wrappers of a model
// put in front.
#pragma once

#include <bytegate/safetensors.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::detail {

/// Whether a tensor of that name (without its module's) is a layer's weight or bias: weight, bias_hh_l0,
/// in_proj_weight.
bool is_parameter_name(std::string_view last);

/// `name` without the leading `module.`, `_orig_mod.` and `model.`, as many as there are.
std::string_view without_wrappers(std::string_view name);

/// Where the module's name ends and its tensor's begins: behind a dot, or 0. A parametrization's tensors belong to the
/// module that has it.
std::size_t module_end(const std::string& name);

class TensorNames {
 public:
  /// Keeps a reference to `file`.
  explicit TensorNames(const SafetensorsFile& file);

  /// What begins every name: `module.` (DataParallel), `_orig_mod.` (torch.compile) and `model.` (Lightning), in any
  /// number and order. Never the last name of a layer: the prefix of the lone tensor `model.weight` is empty.
  const std::string& prefix() const noexcept { return prefix_; }

  /// Every tensor by its full name. Tied tensors appear under each of their names, of which the safetensors package
  /// stores one and maps the others to it in the metadata.
  const std::map<std::string, const StoredTensor*>& tensors() const noexcept { return tensors_; }

  /// Names that the metadata maps to a stored tensor's name.
  const std::map<std::string, std::string>& aliases() const noexcept { return aliases_; }

  /// The name under which the tensor is stored: `name` itself unless it is an alias.
  const std::string& stored_name(const std::string& name) const;

  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// Null if there is none.
  const StoredTensor* find(const std::string& name) const;
  /// Whether the name of any tensor begins with `prefix`.
  bool any_begins_with(const std::string& prefix) const;

  /// The full names of the tensors of one module, whose names begin with `prefix`, less those of modules in it.
  std::vector<std::string> of_module(const std::string& prefix) const;

  /// What the tensors' names of the layer `layer` begin with, "module.lstm."; the layer may be named with wrappers or
  /// without. Without such tensors: `layer` and a dot.
  std::string layer_prefix(const std::string& layer) const;

  /// What the tensors' names of a module without a name begin with: nothing, or wrappers. None if there are no such
  /// tensors.
  std::optional<std::string> nameless_prefix() const;

 private:
  void find_aliases(const SafetensorsFile& file);
  void find_prefix();

  std::map<std::string, const StoredTensor*> tensors_;
  std::map<std::string, std::string> aliases_;
  std::string prefix_;
};

}  // namespace bytegate::detail

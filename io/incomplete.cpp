#include "io/incomplete.h"

#include <optional>
#include <vector>

#include "io/text.h"

namespace bytegate::detail {
namespace {

constexpr std::string_view kParametrizations = "parametrizations.";
constexpr const char* kFolded = "scripts/torch_to_safetensors.py folds them into one weight";

/// A module as an error names it.
std::string module_text(const std::string& prefix) {
  if (prefix.empty()) return "the module without a name";
  return join_text({"module ", in_quotes(std::string_view(prefix).substr(0, prefix.size() - 1))});
}

class Diagnosis {
 public:
  Diagnosis(const std::string& prefix, const ModuleTensors& tensors) : prefix_(prefix), tensors_(tensors) {}

  std::string sentence() const {
    for (const auto& [name, tensor] : tensors_) {
      if (const std::string note = replaced_weight(name); !note.empty()) return note;
    }
    if (has("in_proj_weight")) return not_here("in_proj_weight", "torch.nn.MultiheadAttention");
    if (has("running_mean")) return not_here("running_mean", "a batch normalization");
    if (const StoredTensor* weight = find("weight")) return other_weight(*weight);
    return "";
  }

 private:
  const StoredTensor* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }
  bool has(const std::string& name) const { return find(name) != nullptr; }
  std::string quoted(const std::string& name) const { return join_text({in_quotes(prefix_ + name)}); }

  /// What stands in the place of the weight `base`, and who put it there.
  std::string in_place(const std::string& base, const std::vector<std::string>& names, const std::string& rest) const {
    std::string list;
    for (const std::string& name : names) append_text(list, {list.empty() ? "" : " and ", quoted(name)});
    return join_text({module_text(prefix_), " has ", list, " in the place of ", in_quotes(base), rest});
  }

  /// `name` less `end`, if it ends so and is a parameter.
  static std::optional<std::string> base_of(const std::string& name, std::string_view end) {
    if (!name.ends_with(end) || name.find('.') != std::string::npos) return std::nullopt;
    std::string base = name.substr(0, name.size() - end.size());
    return is_parameter_name(base) ? std::optional(std::move(base)) : std::nullopt;
  }

  std::string replaced_weight(const std::string& name) const {
    if (name.starts_with(kParametrizations)) return parametrized(name);
    if (const auto base = base_of(name, "_g"); base && has(*base + "_v")) {
      return in_place(*base, {name, *base + "_v"}, join_text({" (torch.nn.utils.weight_norm); ", kFolded}));
    }
    if (const auto base = base_of(name, "_orig")) {
      if (has(*base + "_u")) {
        return in_place(*base, {name, *base + "_u"}, join_text({" (torch.nn.utils.spectral_norm); ", kFolded}));
      }
      if (has(*base + "_mask")) {
        return in_place(*base, {name, *base + "_mask"},
                        " (torch.nn.utils.prune); call torch.nn.utils.prune.remove before the model is saved");
      }
    }
    if (const auto base = base_of(name, "_raw")) {
      return in_place(*base, {name},
                      " (weight drop, as AWD-LSTM has it); it is that weight at inference: "
                      "scripts/torch_to_safetensors.py renames it");
    }
    return "";
  }

  std::string parametrized(const std::string& name) const {
    const std::size_t end = name.find('.', kParametrizations.size());
    if (end == std::string::npos) return "";
    const std::string base = name.substr(kParametrizations.size(), end - kParametrizations.size());
    const std::string stem = name.substr(0, end);
    if (has(stem + ".original0") && has(stem + ".original1")) {
      return in_place(base, {stem + ".original0", stem + ".original1"},
                      join_text({" (torch.nn.utils.parametrizations.weight_norm); ", kFolded}));
    }
    if (has(stem + ".0._u") && has(stem + ".original")) {
      return in_place(base, {stem + ".original", stem + ".0._u"},
                      join_text({" (torch.nn.utils.parametrizations.spectral_norm); ", kFolded}));
    }
    return in_place(base, {name},
                    " (torch.nn.utils.parametrize); call torch.nn.utils.parametrize.remove_parametrizations before the "
                    "model is saved");
  }

  std::string not_here(const std::string& name, const std::string& kind, const std::string& shape = "") const {
    return join_text(
        {module_text(prefix_), " has ", quoted(name), shape, ", as ", kind, " has, which this library does not have"});
  }

  std::string other_weight(const StoredTensor& weight) const {
    const std::size_t rank = weight.shape.size();
    const std::string shape = join_text({" ", list_text(weight.shape)});
    if (rank == 1) return not_here("weight", "a normalization such as torch.nn.LayerNorm", shape);
    if (rank >= 3 && rank <= 5)
      return not_here("weight", join_text({"a convolution (torch.nn.Conv", rank - 2, "d)"}), shape);
    return "";
  }

  const std::string& prefix_;
  const ModuleTensors& tensors_;
};

}  // namespace

std::string incomplete_note(const std::string& prefix, const ModuleTensors& tensors) {
  return Diagnosis(prefix, tensors).sentence();
}

std::string incomplete_note(const TensorNames& names, const std::string& prefix) {
  ModuleTensors tensors;
  for (auto item = names.tensors().lower_bound(prefix);
       item != names.tensors().end() && item->first.starts_with(prefix); ++item) {
    tensors.emplace(item->first.substr(prefix.size()), item->second);
  }
  return incomplete_note(prefix, tensors);
}

}  // namespace bytegate::detail

// What a file says of one layer.
#pragma once

#include <bytegate/safetensors.h>

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/architecture.h"
#include "io/tensor_names.h"

namespace bytegate::detail {

/// What follows the name of an int8 matrix in the name of its scales.
inline constexpr const char* kScaleSuffix = "_scale";

/// What the layers of a file have in common.
struct LayerFile {
  const SafetensorsFile& file;
  const TensorNames& names;
  const Backend* backend = nullptr;
  std::optional<Scheme> scheme{};             ///< of layers with int8 weights that do not have their own
  const QuantizeOptions* quantize = nullptr;  ///< as LoadOptions::quantize
};

/// The fields that an architecture states, and the tensors of the file.
class FileSource final : public LayerSource {
 public:
  /// Whether tensors are read, or only their shapes and types are checked. `recognize` accepts tensors in floating
  /// point alone.
  enum class Tensors { read, check, recognize };

  /// Keeps references to all three.
  FileSource(const LayerFile& file, const LayerSpec& spec, Tensors tensors);

  bool states(const char* field) const override { return spec_.stated.find(field) != nullptr; }
  std::int64_t size(const char* field, const std::string& tensor, std::size_t dimension, std::size_t rank) override;
  std::int64_t size(const char* field, std::int64_t by_default, std::int64_t shown) override;
  bool flag(const char* field, bool by_default, const std::string& tensor) override;
  bool flag(const char* field, bool by_default) override;
  std::size_t choice(const char* field, std::span<const std::string_view> accepted) override;
  double number(const char* field, double by_default) override;
  std::vector<std::int64_t> list(const char* field) override;
  void ignore(const char* field) override;

  bool has_fold() const override { return !spec_.folds.empty(); }
  bool has(const std::string& tensor) const override { return find(tensor) != nullptr; }
  std::array<std::int64_t, 2> matrix(const std::string& tensor) const override;
  void ignore_tensor(const std::string& tensor) override;
  using LayerSource::weight;
  Weight weight(const std::string& tensor, const Shape& shape) override;
  Tensor floats(const std::string& tensor, const Shape& shape) override;
  std::vector<std::string> others() const override;

  Scheme scheme() override;
  const Backend* backend() const override;
  /// Without "layer NAME" while tensors alone are to tell what the layer is.
  [[noreturn]] void fail(const std::string& message) const override;
  using LayerSource::fail;

  /// Throws Error unless every field that the architecture states was asked for.
  void check_fields() const;

  /// The tensors that were asked for, by the names under which they are stored.
  const std::set<std::string>& used() const noexcept { return used_; }

 private:
  const JsonValue* take(const char* field, JsonValue::Kind kind, const char* accepted);
  std::int64_t whole(const char* field, const JsonValue& number);
  std::optional<std::int64_t> stated_size(const char* field);
  std::optional<bool> stated_flag(const char* field);
  bool is_quantized(const StoredTensor& weight);
  bool recognizing() const { return tensors_ != Tensors::read && spec_.stated.kind == JsonValue::Kind::null; }

  const StoredTensor* find(const std::string& tensor) const { return file_.names.find(spec_.prefix + tensor); }
  std::string quoted(const std::string& tensor) const;
  /// The shape of a tensor that must be there with that many dimensions, each at most kMaxSize.
  const std::vector<std::int64_t>& shape_of(const std::string& tensor, std::size_t rank) const;
  Tensor stored_floats(const std::string& tensor, const Shape& shape);
  const StoredTensor& take_tensor(const std::string& tensor, const std::vector<std::int64_t>& shape);
  Weight int8_weight(const std::string& tensor, const StoredTensor& stored);
  void check_float_dtype(const std::string& tensor, const StoredTensor& stored) const;
  void read(const std::string& tensor, const StoredTensor& stored, std::uint64_t first, std::span<float> out) const;

  /// All layers that are folded into this one, as one; of `channels` each.
  const ChannelAffine& fold(std::int64_t channels);

  const LayerFile& file_;
  const LayerSpec& spec_;
  Tensors tensors_;
  const QuantizeOptions* quantize_;  ///< how matrices that are float in the file are quantized; null: they are not
  std::optional<bool> quantized_;    ///< in the file; of all of the layer's matrices, as of the first
  std::optional<ChannelAffine> fold_;
  std::set<std::string> taken_{"kind", "name"};
  std::set<std::string> used_;
};

/// What the layer is, by its fields and the shapes of its tensors. Sizes are -1 for a kind without outlines. Throws
/// Error (bad_file).
LayerOutline outline_of(const LayerFile& file, const LayerSpec& spec, FileSource::Tensors tensors);

}  // namespace bytegate::detail

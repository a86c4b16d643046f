#include "io/layer_source.h"

#include <bytegate/backend.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "io/floats.h"
#include "io/incomplete.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

constexpr const char* kQuantizedDtype = "qint8";
constexpr const char* kFoldedBias = "bias";  // what a layer that is folded into another adds to
constexpr const char* kSizes = "an integer of 0 or more";

std::string needs_text(const char* field, const JsonValue& value, const char* accepted) {
  return join_text({"has ", field, " ", printable(to_json(value)), "; it must be ", accepted});
}

/// Of a tensor as a matrix of shape[0] rows.
std::int64_t columns(const Shape& shape) {
  std::int64_t cols = 1;
  for (const std::int64_t size : shape.dims().subspan(1)) cols *= size;
  return cols;
}

}  // namespace

FileSource::FileSource(const LayerFile& file, const LayerSpec& spec, Tensors tensors)
    : file_(file),
      spec_(spec),
      tensors_(tensors),
      quantize_(file.quantize && file.quantize->chooses(spec.name, spec.kind->name) ? file.quantize : nullptr) {}

const Backend* FileSource::backend() const {
  return quantize_ && quantize_->backend ? quantize_->backend : file_.backend;
}

void FileSource::fail(const std::string& message) const {
  if (recognizing()) throw_error(ErrorCode::bad_file, {message});
  const bool stated = spec_.stated.kind != JsonValue::Kind::null;
  fail_bad_file(file_.file.what(),
                {stated ? "the architecture's layer " : "layer ", in_quotes(spec_.name), " ", message});
}

std::string FileSource::quoted(const std::string& tensor) const {
  return join_text({in_quotes(spec_.prefix + tensor)});
}

const JsonValue* FileSource::take(const char* field, JsonValue::Kind kind, const char* accepted) {
  taken_.insert(field);
  const JsonValue* found = spec_.stated.find(field);
  if (found && found->kind != kind) fail({needs_text(field, *found, accepted)});
  return found;
}

std::int64_t FileSource::whole(const char* field, const JsonValue& number) {
  if (!number.whole) fail({needs_text(field, number, kSizes)});
  if (*number.whole > static_cast<std::uint64_t>(kMaxSize)) {
    fail({"has ", field, " ", number.text, "; at most ", kMaxSize, " is accepted"});
  }
  return static_cast<std::int64_t>(*number.whole);
}

std::optional<std::int64_t> FileSource::stated_size(const char* field) {
  const JsonValue* found = take(field, JsonValue::Kind::number, kSizes);
  return found ? std::optional(whole(field, *found)) : std::nullopt;
}

std::optional<bool> FileSource::stated_flag(const char* field) {
  const JsonValue* found = take(field, JsonValue::Kind::boolean, "true or false");
  return found ? std::optional(found->truth) : std::nullopt;
}

std::int64_t FileSource::size(const char* field, const std::string& tensor, std::size_t dimension, std::size_t rank) {
  if (const std::optional<std::int64_t> stated = stated_size(field)) return *stated;
  if (spec_.unstated == Unstated::defaults) fail({"has no ", field});
  return shape_of(tensor, rank)[dimension];
}

std::int64_t FileSource::size(const char* field, std::int64_t by_default, std::int64_t shown) {
  return stated_size(field).value_or(spec_.unstated == Unstated::defaults ? by_default : shown);
}

bool FileSource::flag(const char* field, bool by_default, const std::string& tensor) {
  const bool shown = has(tensor);
  const bool value = stated_flag(field).value_or(spec_.unstated == Unstated::defaults ? by_default : shown);
  if (has_fold() && tensor == kFoldedBias) return true;
  if (!value && shown) fail({"has ", field, " false, but there is a tensor ", quoted(tensor)});
  return value;
}

bool FileSource::flag(const char* field, bool by_default) { return stated_flag(field).value_or(by_default); }

std::size_t FileSource::choice(const char* field, std::span<const std::string_view> accepted) {
  std::string words;
  for (const std::string_view word : accepted) append_text(words, {words.empty() ? "" : " or ", in_quotes(word)});
  const JsonValue* stated = take(field, JsonValue::Kind::string, words.c_str());
  if (!stated) return 0;
  const auto found = std::ranges::find(accepted, stated->text);
  if (found == accepted.end()) fail({needs_text(field, *stated, words.c_str())});
  return static_cast<std::size_t>(found - accepted.begin());
}

double FileSource::number(const char* field, double by_default) {
  constexpr const char* kNumbers = "a finite number";
  const JsonValue* found = take(field, JsonValue::Kind::number, kNumbers);
  if (!found) return by_default;
  double value = 0;
  const char* end = found->text.data() + found->text.size();
  if (std::from_chars(found->text.data(), end, value).ec != std::errc()) fail({needs_text(field, *found, kNumbers)});
  return value;
}

std::vector<std::int64_t> FileSource::list(const char* field) {
  constexpr const char* kLists = "a list of integers of 0 or more";
  const JsonValue* found = take(field, JsonValue::Kind::array, kLists);
  if (!found) fail({"has no ", field});
  std::vector<std::int64_t> values;
  for (const JsonValue& item : found->items) {
    if (item.kind != JsonValue::Kind::number) fail({needs_text(field, *found, kLists)});
    values.push_back(whole(field, item));
  }
  return values;
}

void FileSource::ignore(const char* field) {
  taken_.insert(field);
  const JsonValue* found = spec_.stated.find(field);
  using Kind = JsonValue::Kind;
  if (found && found->kind != Kind::number && found->kind != Kind::boolean && found->kind != Kind::null) {
    fail({needs_text(field, *found, "a number, true, false or null")});
  }
}

void FileSource::check_fields() const {
  for (const std::string& field : spec_.stated.keys) {
    if (taken_.count(field) != 0) continue;
    std::string accepted;
    for (const std::string& known : taken_) append_text(accepted, {accepted.empty() ? "" : ", ", known});
    fail({"has the unknown key ", in_quotes(field), "; accepted are ", accepted});
  }
}

std::array<std::int64_t, 2> FileSource::matrix(const std::string& tensor) const {
  const std::vector<std::int64_t>& shape = shape_of(tensor, 2);
  return {shape[0], shape[1]};
}

const std::vector<std::int64_t>& FileSource::shape_of(const std::string& tensor, std::size_t rank) const {
  const StoredTensor* found = find(tensor);
  const std::string why =
      recognizing() ? "needs a matrix " + quoted(tensor) : "leaves its sizes to the tensor " + quoted(tensor);
  if (!found) {
    const std::string note = recognizing() ? "" : incomplete_note(file_.names, spec_.prefix);
    if (!note.empty()) fail({"is not complete in the file: ", note});
    fail({why, ", which is not in the file"});
  }
  if (found->shape.size() != rank) {
    const std::string expected = rank == 2 ? "a matrix is" : join_text({rank, " dimensions are"});
    fail({why, ", whose shape is ", list_text(found->shape), "; ", expected, " expected"});
  }
  for (const std::int64_t size : found->shape) {
    if (size <= kMaxSize) continue;
    fail({"has the size ", size, " in its tensor ", quoted(tensor), "; at most ", kMaxSize, " is accepted"});
  }
  return found->shape;
}

const StoredTensor& FileSource::take_tensor(const std::string& tensor, const std::vector<std::int64_t>& shape) {
  const StoredTensor* found = find(tensor);
  if (!found) {
    const std::string note = recognizing() ? "" : incomplete_note(file_.names, spec_.prefix);
    if (!note.empty()) fail({"is not complete in the file: ", note});
    fail({"has no tensor ", quoted(tensor), " in the file"});
  }
  if (found->shape != shape) {
    if (recognizing())
      fail({"has ", quoted(tensor), " of shape ", list_text(found->shape), ", not ", list_text(shape)});
    fail_bad_file(file_.file.what(), {"tensor ", quoted(tensor), " has shape ", list_text(found->shape),
                                      "; the architecture asks for ", list_text(shape)});
  }
  used_.insert(file_.names.stored_name(spec_.prefix + tensor));
  return *found;
}

bool FileSource::is_quantized(const StoredTensor& weight) {
  const JsonValue* stated = take("dtype", JsonValue::Kind::string, "a string");
  if (stated && stated->text != kQuantizedDtype) {
    fail({"has the unknown dtype ", in_quotes(stated->text), "; accepted is ", kQuantizedDtype});
  }
  if (stated || spec_.unstated == Unstated::defaults) return stated != nullptr;
  return tensors_ != Tensors::recognize && weight.dtype == "I8";
}

Weight FileSource::weight(const std::string& tensor, const Shape& shape) {
  const std::int64_t rows = shape[0], cols = columns(shape);
  // A matrix of no columns has no bytes in the file that would bound its rows, for which layers take memory.
  if (cols == 0 && rows > static_cast<std::int64_t>(kMaxK)) {
    fail({"has ", rows, " rows of no columns; at most ", kMaxK, " are accepted"});
  }
  const StoredTensor& stored = take_tensor(tensor, {shape.dims().begin(), shape.dims().end()});
  if (!quantized_) quantized_ = is_quantized(stored);
  if (*quantized_) {
    if (has_fold()) fail({"is int8, and ", in_quotes(spec_.folds[0].name), " can only be folded into float weights"});
    if (tensors_ == Tensors::read) return int8_weight(tensor, stored);
    used_.insert(file_.names.stored_name(spec_.prefix + tensor + kScaleSuffix));
    return {};
  }
  check_float_dtype(tensor, stored);
  if (tensors_ != Tensors::read) return {};
  Weight floats(rows, cols, [this, tensor, &stored, cols](std::int64_t first, std::int64_t count, float* out) {
    const auto width = static_cast<std::uint64_t>(cols);
    read(tensor, stored, static_cast<std::uint64_t>(first) * width, {out, static_cast<std::uint64_t>(count) * width});
  });
  if (has_fold()) floats = floats.with_rows_scaled(fold(rows).scale);
  if (!quantize_) return floats;
  return Weight::quantizing(std::move(floats),
                            spec_.kind->quantizes_activations ? quantize_->scheme : Scheme::per_row());
}

void FileSource::ignore_tensor(const std::string& tensor) {
  if (has(tensor)) used_.insert(file_.names.stored_name(spec_.prefix + tensor));
}

const ChannelAffine& FileSource::fold(std::int64_t channels) {
  if (fold_) return *fold_;
  const auto count = static_cast<std::size_t>(channels);
  ChannelAffine all{std::vector<double>(count, 1.0), std::vector<double>(count, 0.0)};
  for (const LayerSpec& spec : spec_.folds) {
    FileSource source(file_, spec, tensors_);
    const ChannelAffine next = spec.kind->fold(source);
    source.check_fields();
    if (next.scale.size() != count)
      source.fail({"has ", next.scale.size(), " channels behind ", in_quotes(spec_.name), ", which has ", channels});
    for (std::size_t i = 0; i < count; ++i) {
      all.scale[i] *= next.scale[i];
      all.shift[i] = all.shift[i] * next.scale[i] + next.shift[i];
    }
    used_.insert(source.used().begin(), source.used().end());
  }
  return fold_.emplace(std::move(all));
}

Tensor FileSource::floats(const std::string& tensor, const Shape& shape) {
  if (!has_fold() || tensor != kFoldedBias) return stored_floats(tensor, shape);
  Tensor values = has(tensor) ? stored_floats(tensor, shape) : Tensor(shape);
  if (tensors_ != Tensors::read) return values;
  const ChannelAffine& affine = fold(shape[0]);
  for (std::size_t i = 0; i < values.data.size(); ++i)
    values.data[i] = static_cast<float>(static_cast<double>(values.data[i]) * affine.scale[i] + affine.shift[i]);
  return values;
}

Tensor FileSource::stored_floats(const std::string& tensor, const Shape& shape) {
  const StoredTensor& stored = take_tensor(tensor, {shape.dims().begin(), shape.dims().end()});
  check_float_dtype(tensor, stored);
  if (tensors_ != Tensors::read) return {};
  Tensor values(shape);
  read(tensor, stored, 0, values.data);
  return values;
}

void FileSource::check_float_dtype(const std::string& tensor, const StoredTensor& stored) const {
  if (is_float_dtype(stored.dtype)) return;
  if (recognizing()) fail({"has ", quoted(tensor), " of dtype ", stored.dtype, ", not in floating point"});
  fail_bad_file(file_.file.what(),
                {"tensor ", quoted(tensor), " has dtype ", stored.dtype, "; accepted are F32, F16, BF16 and F64"});
}

void FileSource::read(const std::string& tensor, const StoredTensor& stored, std::uint64_t first,
                      std::span<float> out) const {
  if (read_floats(file_.file, stored, first, out)) return;
  fail_bad_file(file_.file.what(), {"tensor ", quoted(tensor), " has a value too large for float32"});
}

Weight FileSource::int8_weight(const std::string& tensor, const StoredTensor& stored) {
  if (stored.dtype != "I8") {
    fail_bad_file(file_.file.what(), {"tensor ", quoted(tensor), " has dtype ", stored.dtype, "; expected I8"});
  }
  const std::int64_t rows = stored.shape[0], cols = columns(Shape(stored.shape));
  const std::string scale = tensor + kScaleSuffix;
  // One scale a row or one in all; layers take either, whatever scheme made them.
  const StoredTensor* found = find(scale);
  const bool one = found && found->shape == std::vector<std::int64_t>{1};
  take_tensor(scale, {one ? 1 : rows});
  std::vector<float> scales = file_.file.floats(file_.names.stored_name(spec_.prefix + scale));
  if (!std::ranges::all_of(scales, [](float s) { return std::isfinite(s) && s >= 0; })) {
    fail_bad_file(file_.file.what(),
                  {"tensor ", quoted(scale), " has a scale that is negative, infinite or not a number"});
  }
  const SafetensorsFile& file = file_.file;
  const auto read_rows = [&file, &stored, cols](std::int64_t first, std::int64_t count, std::int8_t* out) {
    const auto width = static_cast<std::uint64_t>(cols);
    const std::span<std::int8_t> values(out, static_cast<std::uint64_t>(count) * width);
    file.read(stored, static_cast<std::uint64_t>(first) * width, std::as_writable_bytes(values));
  };
  return Weight(rows, cols, std::move(scales), read_rows);
}

std::vector<std::string> FileSource::others() const {
  std::vector<std::string> others;
  if (spec_.stated.kind != JsonValue::Kind::null) return others;
  for (const std::string& name : file_.names.of_module(spec_.prefix)) {
    if (used_.count(file_.names.stored_name(name)) == 0) others.push_back(printable(name.substr(spec_.prefix.size())));
  }
  return others;
}

Scheme FileSource::scheme() {
  if (quantize_ && quantized_ == false) return quantize_->scheme;
  if (const JsonValue* stated = take("scheme", JsonValue::Kind::string, "a string")) {
    try {
      return parse_scheme(stated->text);
    } catch (const Error& error) {
      fail({"has an unknown scheme: ", error.what()});
    }
  }
  if (spec_.scheme) return *spec_.scheme;
  if (!file_.scheme) fail({"is quantized, but the metadata has no `scheme`"});
  return *file_.scheme;
}

LayerOutline outline_of(const LayerFile& file, const LayerSpec& spec, FileSource::Tensors tensors) {
  FileSource source(file, spec, tensors);
  if (spec.kind->outline != nullptr) return spec.kind->outline(source);
  return {spec.kind->has_tensors ? std::string(spec.kind->name) : to_string(*spec.kind->make(source)), -1, -1};
}

}  // namespace bytegate::detail

#include "layers/quant/packed_weights.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "layers/quant/row_pieces.h"

namespace bytegate::detail {
namespace {

/// Copies one row into its channel: kr consecutive values to each group, whose groups are `stride` values apart, zeros
/// from k on. kr is a constant where the layout has a usual one, so that each copy is one move.
template <class T, std::size_t fixed_kr>
void pack_row(const T* row, std::size_t k, std::size_t groups, std::size_t any_kr, std::size_t stride, T* out) {
  const std::size_t kr = fixed_kr > 0 ? fixed_kr : any_kr, whole = k / kr;
  for (std::size_t g = 0; g < whole; ++g) std::memcpy(out + g * stride, row + g * kr, kr * sizeof(T));
  for (std::size_t g = whole; g < groups; ++g) {
    const std::size_t rest = g == whole ? k % kr : 0;
    for (std::size_t i = 0; i < kr; ++i) out[g * stride + i] = i < rest ? row[g * kr + i] : T{0};
  }
}

template <class T>
using PackRow = void (*)(const T*, std::size_t, std::size_t, std::size_t, std::size_t, T*);

template <class T>
PackRow<T> pack_row_of(std::uint32_t kr) {
  switch (kr) {
    case 1:
      return pack_row<T, 1>;
    case 2:
      return pack_row<T, 2>;
    case 4:
      return pack_row<T, 4>;
    case 8:
      return pack_row<T, 8>;
    default:
      return pack_row<T, 0>;
  }
}

template <class T, class RowDone>
void pack_rows(const Weight& weight, const PackedLayout& layout, const ChannelOrder& order, const PackedMatrix& view,
               T* data, const RowDone& row_done) {
  const std::size_t k = view.k, stride = std::size_t{layout.block_channels} * layout.kr;
  const auto pack = pack_row_of<T>(layout.kr);
  const auto place = [&](std::size_t channel) { return data + packed_index(layout, view.k_groups, channel, 0); };
  RowPieces<T>(weight).for_each([&](std::size_t first, std::size_t count, std::span<const T> values) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const T> row = values.subspan(i * k, k);
      const std::size_t channel = order.channel(first + i);
      pack(row.data(), k, view.k_groups, layout.kr, stride, place(channel));
      row_done(first + i, channel, row);
    }
  });
  for (std::size_t channel = 0; channel < order.channels(); ++channel) {
    if (order.row(channel) < 0) pack(nullptr, 0, view.k_groups, layout.kr, stride, place(channel));
  }
}

}  // namespace

[[gnu::cold]] PackedWeights::PackedWeights(const Kernels& kernels, const PackedLayout& layout,
                                           const ChannelOrder& order, const Weight& weight, std::span<const float> bias,
                                           bool raw_accumulators)
    : kernels_(&kernels),
      layout_(layout),
      order_(order),
      one_scale_(weight.quantized() && weight.scales().size() == 1) {
  if (weight.cols() > static_cast<std::int64_t>(kMaxK)) {
    throw_error(ErrorCode::invalid_argument,
                {"a weight of ", weight.cols(), " input features: at most ", kMaxK, " keep the int32 sums exact"});
  }
  view_.n = order.rows();
  view_.k = static_cast<std::size_t>(weight.cols());
  view_.k_groups = k_groups(layout, view_.k);
  view_.block_channels = layout.block_channels;
  panels_ = channels() / layout.panel_channels;
  panel_bytes_ = packed_size(layout, layout.panel_channels, view_.k) * kernels.rhs_size;
  lhs_stride_ = staged_stride(kernels, view_.k);
  allocate(raw_accumulators);
  weight.quantized() ? pack_int8(weight) : pack_floats(weight);
  for (std::size_t row = 0; row < bias.size(); ++row) bias_[order.channel(row)] = bias[row];
}

[[gnu::cold]] void PackedWeights::allocate(bool raw_accumulators) {
  const std::size_t data_bytes = round_up(bytes(), kAlignment);
  const std::size_t array_bytes = round_up(channels() * sizeof(float), kAlignment);
  const std::size_t arrays = 3u + (raw_accumulators ? 2 : 0);
  memory_ = AlignedBuffer(data_bytes + arrays * array_bytes + kAlignment);  // never empty
  std::byte* p = memory_.data() + data_bytes;
  std::memset(p, 0, arrays * array_bytes);
  const auto next = [&] { return std::exchange(p, p + array_bytes); };
  view_.data = memory_.data();
  view_.scales = scales_ = reinterpret_cast<float*>(next());
  view_.sums = sums_ = reinterpret_cast<std::int32_t*>(next());
  view_.bias = bias_ = reinterpret_cast<float*>(next());
  if (raw_accumulators) {
    auto* ones = reinterpret_cast<float*>(next());
    std::fill_n(ones, channels(), 1.0f);
    view_.scales = ones;
    view_.bias = reinterpret_cast<float*>(next());  // zeros
  }
}

void PackedWeights::pack_floats(const Weight& weight) {
  pack_rows(weight, layout_, order_, view_, reinterpret_cast<float*>(memory_.data()), [](auto...) {});
}

void PackedWeights::pack_int8(const Weight& weight) {
  bool has_minus_128 = false;
  const auto row_done = [&](std::size_t row, std::size_t channel, std::span<const std::int8_t> values) {
    std::int32_t sum = 0;
    std::int8_t min = 0;
    for (const std::int8_t q : values) {
      sum += q;
      min = q < min ? q : min;
    }
    has_minus_128 = has_minus_128 || min == -128;
    if (sum > kMaxWeightSum || sum < -kMaxWeightSum) {
      throw_error(ErrorCode::invalid_argument, {"the weights of output feature ", row, " sum to ", sum, ": at least ",
                                                -kMaxWeightSum, " and at most ", kMaxWeightSum, " is accepted"});
    }
    sums_[channel] = kernels_->sum_format == SumFormat::pair ? sum_pair(sum) : sum;
    scales_[channel] = weight.scales()[one_scale_ ? 0 : row];
  };
  pack_rows(weight, layout_, order_, view_, reinterpret_cast<std::int8_t*>(memory_.data()), row_done);
  view_.has_minus_128 = has_minus_128 ? 1 : 0;
}

namespace {

template <class T>
void unpack_rows(const PackedMatrix& view, const PackedLayout& layout, const ChannelOrder& order, std::int64_t first,
                 std::int64_t count, T* out) {
  const auto* data = static_cast<const T*>(view.data);
  const std::size_t stride = std::size_t{layout.block_channels} * layout.kr, kr = layout.kr;
  for (std::int64_t row = first; row < first + count; ++row, out += view.k) {
    const std::size_t channel = order.channel(static_cast<std::size_t>(row));
    const T* in = data + packed_index(layout, view.k_groups, channel, 0);
    for (std::size_t k = 0; k < view.k; k += kr, in += stride)
      std::memcpy(out + k, in, std::min(kr, view.k - k) * sizeof(T));
  }
}

}  // namespace

[[gnu::cold]] Weight PackedWeights::unpack(std::shared_ptr<const void> owner) const {
  const auto rows = static_cast<std::int64_t>(view_.n), cols = static_cast<std::int64_t>(view_.k);
  if (kernels_->rhs_size == sizeof(float)) {
    return Weight(rows, cols, [this, owner](std::int64_t first, std::int64_t count, float* out) {
      unpack_rows(view_, layout_, order_, first, count, out);
    });
  }
  std::vector<float> scales(one_scale_ ? 1 : view_.n);
  for (std::size_t row = 0; row < view_.n; ++row) scales[one_scale_ ? 0 : row] = scales_[order_.channel(row)];
  return Weight(rows, cols, std::move(scales), [this, owner](std::int64_t first, std::int64_t count, std::int8_t* out) {
    unpack_rows(view_, layout_, order_, first, count, out);
  });
}

[[gnu::cold]] std::vector<float> PackedWeights::unpack_bias() const {
  std::vector<float> bias(view_.n);
  for (std::size_t row = 0; row < bias.size(); ++row) bias[row] = bias_[order_.channel(row)];
  return bias;
}

}  // namespace bytegate::detail

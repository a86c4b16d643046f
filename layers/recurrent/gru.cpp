// The GRU and its cell.
#include "layers/kinds.h"
#include "layers/recurrent/recurrent_kind.h"

namespace bytegate {
namespace detail {
namespace {

/// r, z = sigmoid((product of x + bias_ih) + (product of h + bias_hh))
/// n = tanh((product of x + bias_ih) + r * (product of h + bias_hh))     h = (h - n) * z + n
void torch_gru_step(const TorchStep& s) {
  for (std::size_t row = 0; row < s.rows; ++row) {
    for (std::size_t u = 0; u < s.units; ++u) {
      const auto channel = [&](std::size_t j) { return gate_channel(s.panel_units, 3, j, u); };
      const auto gate = [&](std::size_t j) { return s.x.at(row, channel(j)) + s.h.at(row, channel(j)); };
      const float r = torch_sigmoid(gate(0)), z = torch_sigmoid(gate(1));
      const float n = torch_tanh(s.x.at(row, channel(2)) + r * s.h.at(row, channel(2)));
      float& h = s.out[row * s.out_stride + u];
      h = (h - n) * z + n;
    }
  }
}

constexpr RecurrentKind kGru{.cell = Cell::gru,
                             .one_step = false,
                             .name = "gru",
                             .printed = "GRU",
                             .title = "a GRU",
                             .carried = Carried::h,
                             .has_projection = false,
                             .has_nonlinearity = true,
                             .prints_nonlinearity = true,
                             .has_reset = true,
                             .torch_step = torch_gru_step,
                             .wrap = wrap_core<GRU>};
constexpr RecurrentKind kGruCell{.cell = Cell::gru,
                                 .one_step = true,
                                 .name = "gru_cell",
                                 .printed = "GRUCell",
                                 .title = "a GRUCell",
                                 .carried = Carried::h,
                                 .has_projection = false,
                                 .has_nonlinearity = true,
                                 .prints_nonlinearity = true,
                                 .has_reset = true,
                                 .torch_step = torch_gru_step,
                                 .wrap = wrap_core<GRUCell>};

}  // namespace

LayerPtr make_gru(LayerSource& source) { return read_recurrent(kGru, source); }
LayerOutline outline_gru(LayerSource& source) { return outline_recurrent(kGru, source); }
LayerPtr make_gru_cell(LayerSource& source) { return read_recurrent(kGruCell, source); }
LayerOutline outline_gru_cell(LayerSource& source) { return outline_recurrent(kGruCell, source); }

}  // namespace detail

GRU::GRU(const GRUConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend)
    : RecurrentLayer(detail::kGru, config, cells, std::nullopt, backend) {}
GRU::GRU(const GRUConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
         const Backend* backend)
    : RecurrentLayer(detail::kGru, config, cells, scheme, backend) {}
GRU GRU::from_float(const GRU& gru, const Scheme& scheme, const Backend* backend) {
  return GRU(gru.quantized_core(scheme, backend));
}

GRUCell::GRUCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend)
    : RecurrentLayer(detail::kGruCell, config, {weights}, std::nullopt, backend) {}
GRUCell::GRUCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
                 const Backend* backend)
    : RecurrentLayer(detail::kGruCell, config, {weights}, scheme, backend) {}
GRUCell GRUCell::from_float(const GRUCell& cell, const Scheme& scheme, const Backend* backend) {
  return GRUCell(cell.quantized_core(scheme, backend));
}

}  // namespace bytegate

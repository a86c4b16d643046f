#include "tests/support/oracle.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <stdexcept>

namespace bytegate::testing::oracle {

std::int64_t product(std::span<const std::uint8_t> qx, std::int32_t zero_point, std::span<const std::int8_t> qw) {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < qx.size(); ++k) sum += (std::int64_t{qx[k]} - zero_point) * qw[k];
  return sum;
}

QuantizedRow quantize_row(std::span<const float> x) {
  float lo = 0, hi = 0;
  for (float v : x) {
    if (!std::isfinite(v)) return {NAN, 0, {}};
    lo = std::min(lo, v);
    hi = std::max(hi, v);
  }
  QuantizedRow row;
  if (lo == 0 && hi == 0) return {1.0f, 0, std::vector<std::uint8_t>(x.size(), 0)};
  const float half = std::max(0.5f * hi - 0.5f * lo, 127.5f * FLT_MIN);
  row.scale = half * (1.0f / 127.5f);
  const float inverse = 127.5f / half;
  row.zero_point = static_cast<std::int32_t>(std::min(std::nearbyint(-lo * inverse), 255.0f));
  for (float v : x) {
    const float q = std::nearbyint(v * inverse) + static_cast<float>(row.zero_point);
    row.q.push_back(static_cast<std::uint8_t>(std::clamp(q, 0.0f, 255.0f)));
  }
  return row;
}

Tensor quantized_linear(const QuantizedWeight& weight, std::span<const float> bias, const Tensor& x, bool relu) {
  Tensor y(x.shape.with_back(weight.rows));
  const auto cols = static_cast<std::size_t>(weight.cols), rows = static_cast<std::size_t>(weight.rows);
  for (std::size_t m = 0; m < y.data.size() / rows; ++m) {
    const QuantizedRow row = quantize_row(std::span(x.data).subspan(m * cols, cols));
    for (std::size_t n = 0; n < rows; ++n) {
      float& out = y.data[m * rows + n];
      if (std::isnan(row.scale)) {
        out = NAN;
        continue;
      }
      const std::int64_t sum = product(row.q, row.zero_point, std::span(weight.data).subspan(n * cols, cols));
      out = std::fma(static_cast<float>(sum), row.scale * weight.scales[weight.scales.size() == 1 ? 0 : n],
                     bias.empty() ? 0.0f : bias[n]);
      if (relu && out < 0) out = 0;
    }
  }
  return y;
}

namespace {

using Vector = std::vector<double>;

Vector to_doubles(std::span<const float> x) { return {x.begin(), x.end()}; }

/// Range widened to hold 0, s = (max - min) / 255, zero point rounded and clamped; what is left of x after the way
/// there and back.
Vector quantized(const Vector& x) {
  double lo = 0, hi = 0;
  for (double v : x) {
    lo = std::min(lo, v);
    hi = std::max(hi, v);
  }
  const double scale = hi > lo ? (hi - lo) / 255 : 1;
  const double zero_point = std::clamp(std::nearbyint(-lo / scale), 0.0, 255.0);
  Vector y;
  for (double v : x) y.push_back((std::clamp(std::nearbyint(v / scale) + zero_point, 0.0, 255.0) - zero_point) * scale);
  return y;
}

class Matrix {
 public:
  Matrix(const Tensor& weight, Arithmetic arithmetic)
      : rows_(static_cast<std::size_t>(weight.shape[0])),
        cols_(static_cast<std::size_t>(weight.shape[1])),
        arithmetic_(arithmetic),
        data_(to_doubles(weight.data)) {
    if (arithmetic == Arithmetic::exact) return;
    for (std::size_t n = 0; n < rows_; ++n) {
      const std::span row = std::span(data_).subspan(n * cols_, cols_);
      double most = 0;
      for (double v : row) most = std::max(most, std::fabs(v));
      const double scale = most > 0 ? most / 127 : 1;
      for (double& v : row) v = std::nearbyint(v / scale) * scale;
    }
  }

  /// this * x + addend
  Vector times(const Vector& input, Vector addend) const {
    const Vector x = arithmetic_ == Arithmetic::accurate ? quantized(input) : input;
    if (x.size() != cols_) throw std::logic_error("oracle: sizes differ");
    addend.resize(rows_);
    for (std::size_t n = 0; n < rows_; ++n) {
      for (std::size_t k = 0; k < cols_; ++k) addend[n] += data_[n * cols_ + k] * x[k];
    }
    return addend;
  }

 private:
  std::size_t rows_, cols_;
  Arithmetic arithmetic_;
  Vector data_;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// One layer and direction, one sequence.
struct PlainCell {
  Matrix ih, hh;
  Vector bias_ih, bias_hh;
  std::vector<Matrix> hr;  ///< one or none

  PlainCell(const FloatCell& cell, Arithmetic a)
      : ih(cell.weight_ih, a),
        hh(cell.weight_hh, a),
        bias_ih(to_doubles(cell.bias_ih.data)),
        bias_hh(to_doubles(cell.bias_hh.data)) {
    if (!cell.weight_hr.data.empty()) hr.emplace_back(cell.weight_hr, a);
  }

  void lstm(const Vector& x, Vector& h, Vector& c) const {
    const Vector gates = sum(ih.times(x, bias_ih), hh.times(h, bias_hh));
    const std::size_t n = c.size();
    Vector m(n);
    for (std::size_t u = 0; u < n; ++u) {
      c[u] = sigmoid(gates[n + u]) * c[u] + sigmoid(gates[u]) * std::tanh(gates[2 * n + u]);
      m[u] = sigmoid(gates[3 * n + u]) * std::tanh(c[u]);
    }
    h = hr.empty() ? m : hr[0].times(m, {});
  }

  void gru(const RecurrentConfig& config, const Vector& x, Vector& h) const {
    const std::size_t n = h.size();
    const Vector of_x = ih.times(x, bias_ih), of_h = hh.times(h, bias_hh);
    Vector r(n), z(n), reset_h(n);
    for (std::size_t u = 0; u < n; ++u) {
      r[u] = sigmoid(of_x[u] + of_h[u]);
      z[u] = sigmoid(of_x[n + u] + of_h[n + u]);
      reset_h[u] = r[u] * h[u];
    }
    const Vector of_reset_h = config.reset_after ? Vector() : hh.times(reset_h, bias_hh);
    for (std::size_t u = 0; u < n; ++u) {
      const double recurrent = config.reset_after ? r[u] * of_h[2 * n + u] : of_reset_h[2 * n + u];
      const double candidate = act(config, of_x[2 * n + u] + recurrent);
      h[u] = (1 - z[u]) * candidate + z[u] * h[u];
    }
  }

  void rnn(const RecurrentConfig& config, const Vector& x, Vector& h) const {
    h = sum(ih.times(x, bias_ih), hh.times(h, bias_hh));
    for (double& v : h) v = act(config, v);
  }

  void step(Cell layer, const RecurrentConfig& config, const Vector& x, Vector& h, Vector& c) const {
    if (layer == Cell::lstm) return lstm(x, h, c);
    if (layer == Cell::gru) return gru(config, x, h);
    rnn(config, x, h);
  }

 private:
  static Vector sum(Vector a, const Vector& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }
  static double act(const RecurrentConfig& config, double v) {
    return config.nonlinearity == Nonlinearity::relu ? std::max(v, 0.0) : std::tanh(v);
  }
};

std::span<const float> part(const Tensor& tensor, std::size_t index, std::size_t size) {
  return std::span(tensor.data).subspan(index * size, size);
}

void store(const Vector& v, Tensor& tensor, std::size_t offset) {
  for (std::size_t i = 0; i < v.size(); ++i) tensor.data[offset + i] = static_cast<float>(v[i]);
}

}  // namespace

Tensor linear(const Linear& layer, const Tensor& x, Arithmetic arithmetic) {
  const Matrix matrix(layer.weight().floats(), arithmetic);
  const std::optional<Tensor> bias = layer.bias();
  Tensor y(x.shape.with_back(layer.out_features()));
  const auto in = static_cast<std::size_t>(layer.in_features()), out = static_cast<std::size_t>(layer.out_features());
  for (std::size_t m = 0; m < y.data.size() / out; ++m) {
    Vector row = matrix.times(to_doubles(part(x, m, in)), bias ? to_doubles(bias->data) : Vector());
    if (layer.relu()) {
      for (double& v : row) v = std::max(v, 0.0);
    }
    store(row, y, m * out);
  }
  return y;
}

LSTMResult recurrent(Cell layer, const RecurrentConfig& config, const std::vector<FloatCell>& cells, const Tensor& x,
                     const RecurrentState* state, std::span<const std::int64_t> lengths, Arithmetic arithmetic) {
  const bool batched = x.shape.rank() == 3, batch_first = batched && config.batch_first;
  const auto steps = static_cast<std::size_t>(x.shape[batch_first ? 1 : 0]);
  const auto batch = static_cast<std::size_t>(batched ? x.shape[batch_first ? 0 : 1] : 1);
  const auto hidden = static_cast<std::size_t>(config.hidden_size),
             out = static_cast<std::size_t>(config.output_size());
  const auto in = static_cast<std::size_t>(config.input_size),
             directions = static_cast<std::size_t>(config.directions());
  const auto states = static_cast<std::int64_t>(cells.size());
  const auto state_shape = [&](std::int64_t size) {
    return batched ? Shape{states, static_cast<std::int64_t>(batch), size} : Shape{states, size};
  };
  LSTMResult result{Tensor(x.shape.with_back(config.directions() * config.output_size())),
                    {Tensor(state_shape(config.output_size())),
                     layer == Cell::lstm ? Tensor(state_shape(config.hidden_size)) : Tensor()}};
  std::vector<PlainCell> plain;
  for (const auto& cell : cells) plain.emplace_back(cell, arithmetic);

  for (std::size_t b = 0; b < batch; ++b) {
    const std::size_t length = lengths.empty() ? steps : static_cast<std::size_t>(lengths[b]);
    const auto row = [&](std::size_t t) { return batch_first ? b * steps + t : t * batch + b; };
    std::vector<Vector> sequence;
    for (std::size_t t = 0; t < length; ++t) sequence.push_back(to_doubles(part(x, row(t), in)));
    for (std::size_t index = 0; index < plain.size(); index += directions) {
      std::vector<Vector> next(length);
      for (std::size_t d = 0; d < directions; ++d) {
        const std::size_t at = (index + d) * batch + b;
        Vector h = state ? to_doubles(part(state->h, at, out)) : Vector(out);
        Vector c = state && layer == Cell::lstm ? to_doubles(part(state->c, at, hidden)) : Vector(hidden);
        for (std::size_t i = 0; i < length; ++i) {
          const std::size_t t = d == 1 ? length - 1 - i : i;
          plain[index + d].step(layer, config, sequence[t], h, c);
          next[t].insert(next[t].end(), h.begin(), h.end());
        }
        store(h, result.state.h, at * out);
        if (layer == Cell::lstm) store(c, result.state.c, at * hidden);
      }
      sequence = std::move(next);
    }
    for (std::size_t t = 0; t < length; ++t) store(sequence[t], result.output, row(t) * directions * out);
  }
  return result;
}

bool covers(const Sequential& model) {
  return std::ranges::all_of(model.layers(), [](const NamedLayer& l) {
    return is<Linear>(l.layer) || is<LSTM>(l.layer) || is<ReLU>(l.layer) || is<Flatten>(l.layer);
  });
}

LSTMResult lstm(const LSTMConfig& config, const std::vector<FloatCell>& cells, const Tensor& x, const LSTMState* state,
                std::span<const std::int64_t> lengths, Arithmetic arithmetic) {
  return recurrent(Cell::lstm, config, cells, x, state, lengths, arithmetic);
}

Tensor sequential(const Sequential& model, const Tensor& input, Arithmetic arithmetic) {
  Tensor x = input;
  for (const auto& [name, layer] : model.layers()) {
    if (const auto* linear_layer = dynamic_cast<const Linear*>(layer.get())) {
      x = linear(*linear_layer, x, arithmetic);
    } else if (const auto* lstm_layer = dynamic_cast<const LSTM*>(layer.get())) {
      x = lstm(lstm_layer->config(), float_cells(*lstm_layer), x, nullptr, {}, arithmetic).output;
    } else if (is<ReLU>(layer)) {
      for (float& v : x.data) v = std::max(v, 0.0f);
    } else if (const auto* flatten = dynamic_cast<const Flatten*>(layer.get())) {
      x.shape = flatten->output_shape(x.shape);
    } else {
      throw std::logic_error("oracle: a layer of another kind");
    }
  }
  return x;
}

}  // namespace bytegate::testing::oracle

#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace bytegate::testing {

std::uint64_t Random::next() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::int64_t Random::integer(std::int64_t lo, std::int64_t hi) {
  return lo + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(hi - lo + 1));
}

float Random::uniform(float lo, float hi) {
  const auto unit = static_cast<float>(next() >> 40) * 0x1p-24f;
  return lo + (hi - lo) * unit;
}

std::int64_t Random::pick(std::initializer_list<std::int64_t> values) {
  return values.begin()[integer(0, static_cast<std::int64_t>(values.size()) - 1)];
}

Tensor random_tensor(const Shape& shape, Random& random, float bound) {
  Tensor tensor(shape);
  for (float& v : tensor.data) v = random.uniform(-bound, bound);
  return tensor;
}

std::vector<RecurrentWeights> to_cells(const std::vector<FloatCell>& cells) { return {cells.begin(), cells.end()}; }

std::vector<FloatCell> float_cells(const RecurrentLayer& layer) {
  const auto floats = [](const Weight& weight) { return weight.empty() ? Tensor() : weight.floats(); };
  std::vector<FloatCell> cells;
  for (const RecurrentWeights& c : layer.cells()) {
    cells.push_back({floats(c.weight_ih), floats(c.weight_hh), c.bias_ih, c.bias_hh, floats(c.weight_hr)});
  }
  return cells;
}

std::vector<FloatCell> random_cells(const LSTMConfig& config, Random& random, float gain, std::int64_t gate_count) {
  const float bound = gain / std::sqrt(static_cast<float>(config.hidden_size));
  const std::int64_t gates = gate_count * config.hidden_size;
  std::vector<FloatCell> cells;
  for (std::int64_t i = 0; i < config.num_layers * config.directions(); ++i) {
    FloatCell cell;
    cell.weight_ih = random_tensor({gates, config.layer_input_size(i / config.directions())}, random, bound);
    cell.weight_hh = random_tensor({gates, config.output_size()}, random, bound);
    if (config.bias) {
      cell.bias_ih = random_tensor({gates}, random, bound);
      cell.bias_hh = random_tensor({gates}, random, bound);
    }
    if (config.proj_size > 0) cell.weight_hr = random_tensor({config.proj_size, config.hidden_size}, random, bound);
    cells.push_back(std::move(cell));
  }
  return cells;
}

Shape LstmCase::state_shape(std::int64_t size) const {
  const std::int64_t states = config.num_layers * config.directions();
  return unbatched ? Shape{states, size} : Shape{states, batch, size};
}

std::string LstmCase::text() const {
  std::ostringstream s;
  s << (layer == Cell::lstm  ? "lstm"
        : layer == Cell::gru ? "gru"
                             : "rnn")
    << " I " << config.input_size << " H " << config.hidden_size << " layers " << config.num_layers << " proj "
    << config.proj_size << " T " << steps << " B " << batch << (config.bias ? "" : " no-bias")
    << (config.batch_first ? " batch_first" : "") << (config.bidirectional ? " bidirectional" : "")
    << (config.nonlinearity == Nonlinearity::relu ? " relu" : "") << (config.reset_after ? "" : " reset-first")
    << (unbatched ? " unbatched" : "") << (has_state ? " state" : "");
  if (!lengths.empty()) s << " lengths";
  for (std::int64_t n : lengths) s << ' ' << n;
  return s.str();
}

std::vector<Cell> recurrent_layers() { return {Cell::lstm, Cell::gru, Cell::rnn}; }

LSTMState LstmCase::zero_state() const {
  return {Tensor(state_shape(config.output_size())), has_c() ? Tensor(state_shape(config.hidden_size)) : Tensor()};
}

LSTMArgs state_in_place(LSTMState& state) {
  LSTMArgs args{state.h.view(), {}, state.h.view(), {}, {}};
  if (state.c.shape.rank() == 0) return args;
  args.c0 = state.c.view();
  args.cn = state.c.view();
  return args;
}

void fill(LstmCase& c, Random& random) {
  c.cells = random_cells(c.config, random, 1.5f, cell_gates(c.layer));
  const std::int64_t size = c.config.input_size;
  c.x = random_tensor(c.unbatched            ? Shape{c.steps, size}
                      : c.config.batch_first ? Shape{c.batch, c.steps, size}
                                             : Shape{c.steps, c.batch, size},
                      random, 2.0f);
  if (c.has_state) {
    c.state.h = random_tensor(c.state_shape(c.config.output_size()), random, 1.0f);
    if (c.has_c()) c.state.c = random_tensor(c.state_shape(c.config.hidden_size), random, 2.0f);
  }
}

LstmCase random_lstm_case(std::uint64_t seed) {
  Random random(seed);
  LstmCase c;
  const std::vector<Cell> layers = recurrent_layers();
  c.layer = layers[seed % layers.size()];
  c.config.input_size = random.pick({1, 2, 3, 7, 8, 13, 16, 17, 31, 33});
  c.config.hidden_size = random.pick({1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 25, 33});
  c.config.num_layers = random.pick({1, 1, 2, 3});
  c.config.bias = random.chance(70);
  c.config.batch_first = random.chance(40);
  c.config.bidirectional = random.chance(40);
  if (c.layer == Cell::lstm && c.config.hidden_size > 1 && random.chance(40))
    c.config.proj_size = random.integer(1, c.config.hidden_size - 1);
  c.steps = random.pick({1, 2, 3, 5, 9, 14});
  c.batch = random.pick({1, 1, 2, 3, 4, 5, 7, 9, 13});
  c.unbatched = c.batch == 1 && random.chance(40);
  c.has_state = random.chance(50);
  if (!c.unbatched && random.chance(50)) {
    for (std::int64_t b = 0; b < c.batch; ++b) c.lengths.push_back(random.integer(1, c.steps));
    if (random.chance(40)) std::sort(c.lengths.rbegin(), c.lengths.rend());
  }
  if (c.layer != Cell::lstm && random.chance(30)) c.config.nonlinearity = Nonlinearity::relu;
  if (c.layer == Cell::gru && random.chance(40)) c.config.reset_after = false;
  fill(c, random);
  return c;
}

std::vector<LstmCase> large_lstm_cases() {
  std::vector<LstmCase> cases;
  Cell layer = Cell::lstm;
  const auto add = [&](LSTMConfig config, std::int64_t steps, std::int64_t batch, bool lengths) {
    LstmCase c;
    c.layer = layer;
    c.config = config;
    c.steps = steps;
    c.batch = batch;
    c.has_state = true;
    Random random(1000 + cases.size());
    for (std::int64_t b = 0; lengths && b < batch; ++b) c.lengths.push_back(random.integer(1, steps));
    fill(c, random);
    cases.push_back(std::move(c));
  };
  // input, hidden, layers, bias, batch_first, bidirectional, proj
  add({5, 6, 2, true, false, true, 0}, 6, 129, true);  // the step tracks 64 rows at once: one is left
  add({4, 7, 1, true, true, false, 3}, 4, 70, false);
  add({6, 130, 2, true, false, true, 0}, 110, 3, true);  // several chunks of steps
  add({3, 129, 2, true, true, true, 40}, 100, 2, false);
  add({9, 130, 3, true, false, false, 0}, 150, 1, false);
  add({2, 3, 2, false, false, true, 0}, 700, 1, true);
  add({300, 5, 1, true, false, false, 0}, 3, 5, true);
  add({4, 600, 1, true, false, false, 0}, 2, 37, false);  // weights beyond a cache
  add({4, 830, 1, true, false, false, 0}, 2, 6, false);   // far beyond
  add({4, 1301, 1, true, false, false, 0}, 3, 1, false);  // and of one row, which takes panels by pairs
  add({5, 80, 1, true, false, false, 0}, 3, 16, false);   // a tile of rows: more of them than steps over k
  add({70, 200, 2, true, false, false, 0}, 3, 11, true);
  for (const Cell other : recurrent_layers()) {
    if (other == Cell::lstm) continue;
    layer = other;
    add({5, 6, 2, true, false, true, 0}, 6, 129, true);
    add({6, 130, 2, true, false, true, 0}, 110, 3, true);
    add({9, 130, 3, true, false, false, 0}, 150, 1, false);
    add({5, 80, 1, true, false, false, 0}, 3, 16, false);
  }
  layer = Cell::gru;
  add({4, 1480, 1, true, false, false, 0}, 1, 65, false);  // by pairs, the 65th row
  add({4, 7, 1, true, true, false, 0, Nonlinearity::tanh, false}, 4, 70, false);
  add({9, 130, 2, true, false, false, 0, Nonlinearity::relu, false}, 120, 2, false);
  return cases;
}

}  // namespace bytegate::testing

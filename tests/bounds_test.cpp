// Nothing is read or written past the ends of the caller's buffers: every buffer is placed against a protected page.
// Each case runs in a process of its own, which an access to that page ends by a signal. (AddressSanitizer may miss
// masked vector loads; this does not.)
#include <algorithm>
#include <cmath>

#include "tests/support/backend_test.h"
#include "tests/support/child.h"
#include "tests/support/compare.h"
#include "tests/support/guarded.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/lstm_runs.h"

namespace bytegate::testing {
namespace {

class BoundsTest : public BackendTest {
 protected:
  int case_count() const { return size() == 0 ? 5 : size() == 1 ? 60 : 600; }

  /// Runs `call` in a child; it returns false if an answer is wrong.
  template <class Call>
  void expect_inside(const std::string& what, const Call& call) {
    const Child child = in_child([&](std::string&) { return call() ? 0 : 1; });
    EXPECT_EQ(child.exit_code, 0) << what << (child.exit_code > 128 ? ": ended by a signal" : ": wrong answer ")
                                  << child.output;
  }
};

bool equal(const float* data, const Tensor& expected) {
  return std::equal(expected.data.begin(), expected.data.end(), data);
}

// The guard itself: a test of the test.
TEST(GuardTest, StopsATouch) {
  for (bool at_end : {true, false}) {
    const Child child = in_child([&](std::string&) {
      const GuardedFloats memory(5, at_end);
      volatile float* p = memory.data();
      p[0] = p[4];
      return p[at_end ? 5 : -1] == 0 ? 0 : 1;
    });
    EXPECT_GT(child.exit_code, 1);
  }
}

TEST_P(BoundsTest, Elementwise) {
  for (bool at_end : {true, false}) {
    expect_inside("activations", [&] {
      for (std::size_t n = 0; n <= 70; ++n) {
        const GuardedFloats x(std::vector<float>(n, 0.5f), at_end), y(n, at_end);
        backend().kernels->sigmoid(x.data(), y.data(), n);
        backend().kernels->tanh(x.data(), y.data(), n);
        if (n > 0 && std::fabs(y.data()[n - 1] - 0.46211716f) > 1e-6f) return false;
      }
      return true;
    });
  }
}

TEST_P(BoundsTest, Linear) {
  for (int seed = 0; seed < case_count(); ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const std::int64_t m = random.integer(1, 9), n = random.integer(1, 70), k = random.integer(1, 140);
    const Tensor weight = random_tensor({n, k}, random), bias = random_tensor({n}, random),
                 x = random_tensor({m, k}, random);
    const bytegate::Linear layer(weight.view(), bias.view(), false, &backend());
    for (bool at_end : {true, false}) {
      const auto check = [&](const auto& l) {
        const GuardedFloats in(x.data, at_end), out(static_cast<std::size_t>(m * n), at_end);
        Workspace workspace;
        l.forward({in.data(), x.shape}, {out.data(), Shape{m, n}}, workspace);
        return equal(out.data(), l.forward(x));
      };
      expect_inside(to_string(x.shape) + " -> " + std::to_string(n), [&] {
        return check(layer) && check(Linear::from_float(layer)) && check(Linear::from_float(layer, Scheme::torch()));
      });
    }
  }
}

bool check_lstm(const LstmCase& c, const LstmKind& kind, const Backend& backend, bool at_end) {
  const AnyLstm layer(c, kind, backend);
  const LSTMResult expected = layer.forward(c.x, c.has_state ? &c.state : nullptr, c.lengths);
  const GuardedFloats x(c.x.data, at_end), h0(c.state.h.data, at_end), c0(c.state.c.data, at_end);
  const GuardedFloats y(expected.output.data.size(), at_end), hn(expected.state.h.data.size(), at_end),
      cn(expected.state.c.data.size(), at_end);
  LSTMArgs args{{}, {}, {hn.data(), expected.state.h.shape}, {}, c.lengths};
  if (c.has_c()) args.cn = {cn.data(), expected.state.c.shape};
  if (c.has_state) args.h0 = {h0.data(), c.state.h.shape};
  if (c.has_state && c.has_c()) args.c0 = {c0.data(), c.state.c.shape};
  Workspace workspace;
  layer.forward({x.data(), c.x.shape}, {y.data(), expected.output.shape}, args, workspace);
  return equal(y.data(), expected.output) && equal(hn.data(), expected.state.h) && equal(cn.data(), expected.state.c);
}

TEST_P(BoundsTest, Lstm) {
  for (int seed = 0; seed < case_count(); ++seed) {
    const LstmCase c = random_lstm_case(static_cast<std::uint64_t>(seed));
    for (bool at_end : {true, false}) {
      expect_inside(c.text(), [&] {
        for (const LstmKind& kind : lstm_kinds(c)) {
          if (!check_lstm(c, kind, backend(), at_end)) return false;
        }
        return true;
      });
    }
  }
}

/// A packed matrix with each of its arrays against a guard (as far as their alignment of 64 lets them).
struct GuardedMatrix {
  GuardedMemory data, scales, sums, bias;
  PackedMatrix view;

  GuardedMatrix(const detail::PackedWeights& packed, bool at_end)
      : data(data_bytes(packed), at_end, 64),
        scales(packed.channels() * 4, at_end, 64),
        sums(packed.channels() * 4, at_end, 64),
        bias(packed.channels() * 4, at_end, 64),
        view(packed.view()) {
    const auto move = [](auto& pointer, const GuardedMemory& to, std::size_t bytes) {
      std::memcpy(to.data(), pointer, bytes);
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(to.data());
    };
    move(view.data, data, data_bytes(packed));
    move(view.scales, scales, packed.channels() * 4);
    move(view.sums, sums, packed.channels() * 4);
    move(view.bias, bias, packed.channels() * 4);
  }
  static std::size_t data_bytes(const detail::PackedWeights& packed) {
    const PackedMatrix& view = packed.view();
    return packed.channels() * view.k_groups * packed.kernels().layout.kr * packed.kernels().rhs_size;
  }
};

TEST_P(BoundsTest, KernelOperands) {
  for (int seed = 0; seed < case_count(); ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const std::int64_t m = random.integer(1, 9), n = random.integer(1, 70), k = random.integer(1, 140);
    const Kernels& kernels = *backend().kernels->int8;
    const Tensor w = random_tensor({n, k}, random), x = random_tensor({m, k}, random);
    QuantizedWeight weight = quantize_weight(w.view(), Scheme::per_row());
    if (random.chance(50)) weight.data[0] = -128;
    const detail::PackedWeights packed = pack(kernels, weight);
    for (bool at_end : {true, false}) {
      expect_inside(to_string(x.shape) + " -> " + std::to_string(n), [&] {
        const std::size_t rows = static_cast<std::size_t>(m), stride = packed.lhs_stride();
        const GuardedMemory staged(rows * stride, at_end, 64),
            scales(rows * sizeof(RowScale), at_end, alignof(RowScale));
        const GuardedMatrix rhs(packed, at_end);
        const GuardedFloats in(x.data, at_end), out(rows * static_cast<std::size_t>(n), at_end);
        StagedRows lhs{staged.data(), stride, reinterpret_cast<RowScale*>(scales.data()), rows};
        const FloatRows source{in.data(), static_cast<std::size_t>(k), rows, static_cast<std::size_t>(k)};
        kernels.stage_rows(&source, nullptr, nullptr, 0, &lhs);
        const GemmArgs args{lhs,
                            rhs.view,
                            out.data(),
                            static_cast<std::size_t>(n),
                            static_cast<std::size_t>(n),
                            0,
                            packed.panels(),
                            0,
                            random.chance(50)};
        kernels.gemm(&args);
        return equal(out.data(), Linear(weight, {}, Scheme::per_row(), false, &backend()).forward(x));
      });
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(BoundsTest);

}  // namespace
}  // namespace bytegate::testing

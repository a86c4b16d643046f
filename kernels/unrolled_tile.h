// DotTile for a CPU that is bound by the instructions it starts in a cycle, as each is on a core whose other thread is
// busy: a turn of the loop over k takes several groups, so that fewer instructions count and fetch ahead.
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

/// One pass over k by `count` vectors of channels.
template <class P, int rows, int count>
struct UnrolledPass {
  using I = typename P::I;
  I sums[rows][count];

  /// a: the first row; w: the first weight of the first vector; `groups` of k.
  template <class Order>
  BYTEGATE_INLINE void run(const std::uint8_t* a, std::size_t stride, const std::int8_t* w, std::size_t groups,
                           const Order& order, FetchAhead& ahead) {
    I parts[chains][rows][count];
    static_for<chains * rows * count>(
        [&]<int i>() BYTEGATE_LAMBDA { parts[i / (rows * count)][i / count % rows][i % count] = I(0); });
    // Each in a register of its own: g++ would compute them again in every turn.
    std::size_t offsets[rows];
    static_for<rows>([&]<int m>() BYTEGATE_LAMBDA { offsets[m] = m > 0 ? computed_here(m * stride) : 0; });
    const auto row_at = [&](int m) BYTEGATE_LAMBDA { return offsets[m]; };
    const auto take = [&]<int n>() BYTEGATE_LAMBDA {
      static_for<n>([&]<int i>() BYTEGATE_LAMBDA {
        dot_step<P, 0>(parts[i % chains], a + i * lhs_group, row_at, w + i * order.group, order);
      });
      a = computed_here(a + n * lhs_group);
      w = computed_here(w + n * order.group);
    };
    for (std::size_t turns = groups / at_once; turns > 0; --turns) {
      take.template operator()<at_once>();
      if constexpr (fetches_ahead<rows, P::mr>) ahead.fetch<at_once>();
    }
    // g++ would unroll this loop, too, if it knew that the rest is small.
    for (std::size_t left = computed_here(groups % at_once); left > 0; --left) take.template operator()<1>();
    static_for<rows * count>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int m = i / count, v = i % count;
      sums[m][v] = parts[0][m][v];
      static_for<chains - 1>([&]<int c>() BYTEGATE_LAMBDA { sums[m][v] = sums[m][v] + parts[c + 1][m][v]; });
    });
  }

  /// The same as a function of its own, for all tiles that have such a pass.
  template <class Order>
  __attribute__((noinline)) void run_apart(const std::uint8_t* a, std::size_t stride, const std::int8_t* w,
                                           std::size_t groups, const Order& order, FetchAhead& ahead) {
    FetchAhead own = ahead;
    run(a, stride, w, groups, Order(order), own);
    ahead = own;
  }

 private:
  static constexpr int at_once = 4, chains = chains_of<P>(rows, count);
  static constexpr std::size_t lhs_group = P::kr * P::lhs_size;
};

/// DotTile by such passes: of all vectors for few rows, else of two at a time. Of one row, a tile may take two panels.
template <class P, int rows, int vectors, int of = vectors>
struct UnrolledTile {
  static constexpr bool few = rows <= 2;
  static constexpr int at_once = few ? vectors : 2, whole = vectors / at_once, rest = vectors % at_once;
  UnrolledPass<P, rows, at_once> passes[whole > 0 ? whole : 1];
  UnrolledPass<P, rows, 1> last;  ///< if there is a rest

  /// apart: bytes from one panel to the next of a tile of several.
  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead& ahead, std::size_t apart = 0) {
    const auto* a = static_cast<const std::uint8_t*>(lhs);
    const auto* w = static_cast<const std::int8_t*>(panel);
    FetchAhead of_pass = ahead.pass_of(whole + rest);
    with_order<P, of>(rhs, apart, [&](const auto& order) BYTEGATE_LAMBDA {
      const auto run_pass = [&](auto& pass, int first) BYTEGATE_LAMBDA {
        const std::int8_t* weights = w + order.vector(static_cast<std::size_t>(first));
        if constexpr (few && vectors <= 4) {
          pass.run(a, stride, weights, rhs.k_groups, order, of_pass);
        } else {
          pass.run_apart(a, stride, weights, rhs.k_groups, order, of_pass);
        }
      };
      static_for<whole>([&]<int i>() BYTEGATE_LAMBDA { run_pass(passes[i], i * at_once); });
      if constexpr (rest > 0) run_pass(last, whole * at_once);
    });
    ahead.go_on_after(of_pass);
  }

  template <int m, int v>
  BYTEGATE_INLINE typename P::I sum() const {
    if constexpr (v < whole * at_once) {
      return passes[v / at_once].sums[m][v % at_once];
    } else {
      return last.sums[m][0];
    }
  }
};

}  // namespace bytegate::kernels

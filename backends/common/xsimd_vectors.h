// Vectors of float and int32 from xsimd, for every backend that has vectors. Included by ISA files only.
//
// An ISA file says `#define BYTEGATE_XSIMD xsimd_<backend>` before it includes this: xsimd is then compiled under that
// name as its namespace, and no function of one backend can be taken for a function of another, whatever the compiler
// leaves uninlined. So xsimd may be included in this way only, and one file serves one backend.
#pragma once

#ifndef BYTEGATE_XSIMD
#error "define BYTEGATE_XSIMD, the name of the namespace that xsimd is compiled under, before including this file"
#endif

// The intrinsics of g++ 12 for AVX-512 start from undefined vectors, and it warns of them wherever they are inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define xsimd BYTEGATE_XSIMD
#if defined(__aarch64__)
#include "backends/common/xsimd_neon_operators.h"
#endif
#include <xsimd/xsimd.hpp>
#undef xsimd

#include <cstddef>
#include <cstdint>

#include "kernels/static_for.h"

namespace {

namespace xs = BYTEGATE_XSIMD;

/// The part of kernels::VectorIsa that xsimd has. Arithmetic is that of the batches: + - * /.
template <class Arch>
struct XsimdVectors {
  using F = xs::batch<float, Arch>;
  using I = xs::batch<std::int32_t, Arch>;
  static constexpr std::uint32_t width = F::size;

  static BYTEGATE_INLINE F load(const float* p) { return F::load_unaligned(p); }
  static BYTEGATE_INLINE I load(const std::int32_t* p) { return I::load_unaligned(p); }
  static BYTEGATE_INLINE void store(float* p, F v) { v.store_unaligned(p); }
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return xs::fma(a, b, c); }
  // On x86 as kernels::VectorIsa wants them: the second operand when either is NaN or both are zero.
  static BYTEGATE_INLINE F min(F a, F b) { return xs::min(a, b); }
  static BYTEGATE_INLINE F max(F a, F b) { return xs::max(a, b); }
  static BYTEGATE_INLINE F max_as_signed(F a, F b) { return max_as<std::int32_t>(a, b); }
  static BYTEGATE_INLINE F max_as_unsigned(F a, F b) { return max_as<std::uint32_t>(a, b); }
  static BYTEGATE_INLINE F to_float(I v) { return xs::to_float(v); }
  /// Rounded half to even.
  static BYTEGATE_INLINE I to_int(F v) { return xs::nearbyint_as_int(v); }

  template <class Batch>
  static BYTEGATE_INLINE void pin_register(Batch& v) {
#if defined(__aarch64__)
    asm volatile("" : "+w"(v.data));
#else
    asm volatile("" : "+v"(v.data));
#endif
  }

 private:
  template <class Integer>
  static BYTEGATE_INLINE F max_as(F a, F b) {
    using Bits = xs::batch<Integer, Arch>;
    return xs::bitwise_cast<F>(xs::max(xs::bitwise_cast<Bits>(a), xs::bitwise_cast<Bits>(b)));
  }
};

}  // namespace

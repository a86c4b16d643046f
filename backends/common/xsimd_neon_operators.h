// The operators of batches on Arm. xsimd 8.1 divides floats by a reciprocal that it refines, which is not the quotient
// rounded once that docs/numerics.md promises; and it looks every operator up in a std::tuple of functions, whose own
// functions, where a compiler leaves them uninlined, several backends would share. Both are overloads for neon64, which
// are preferred to xsimd's for neon; they must be declared before xsimd defines its operators. Included by
// xsimd_vectors.h only, under its #define.
#include <arm_neon.h>
#include <stddef.h>  // xsimd says size_t without std::
#include <stdint.h>

#include <xsimd/config/xsimd_arch.hpp>

namespace xsimd {

template <class T, class A>
class batch;

namespace kernel {

template <class A>
batch<float, A> add(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept;
template <class A>
batch<float, A> sub(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept;
template <class A>
batch<float, A> mul(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept;
template <class A>
batch<float, A> div(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept;
template <class A>
batch<int32_t, A> add(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept;
template <class A>
batch<int32_t, A> sub(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept;
template <class A>
batch<int32_t, A> mul(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept;

}  // namespace kernel
}  // namespace xsimd

#include <xsimd/xsimd.hpp>

namespace xsimd {
namespace kernel {

template <class A>
inline batch<float, A> add(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept {
  return vaddq_f32(a, b);
}
template <class A>
inline batch<float, A> sub(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept {
  return vsubq_f32(a, b);
}
template <class A>
inline batch<float, A> mul(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept {
  return vmulq_f32(a, b);
}
template <class A>
inline batch<float, A> div(batch<float, A> const& a, batch<float, A> const& b, neon64 const&) noexcept {
  return vdivq_f32(a, b);
}
template <class A>
inline batch<int32_t, A> add(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept {
  return vaddq_s32(a, b);
}
template <class A>
inline batch<int32_t, A> sub(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept {
  return vsubq_s32(a, b);
}
template <class A>
inline batch<int32_t, A> mul(batch<int32_t, A> const& a, batch<int32_t, A> const& b, neon64 const&) noexcept {
  return vmulq_s32(a, b);
}

}  // namespace kernel
}  // namespace xsimd

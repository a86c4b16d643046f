// tanh(x) ~ x * P(x^2) / Q(x^2) for |x| <= bound; beyond it float tanh is 1 within the error bound. Minimax fit of
// degrees 4 and 4, then a search over the last bits of each coefficient for the least error when evaluated in float32
// with fma and one division (docs/numerics.md). All 2^32 inputs: tanh within 2.9e-7, sigmoid within 1.8e-7, |tanh| <=
// 1, exactly 1 from the bound on. These hold for these bits and this order of operations only;
// bytegate_activation_check measures them.
#pragma once

namespace bytegate::kernels {

constexpr int kTanhDegree = 4;
constexpr float kTanhBound = 0x1.0041bap+3f;
constexpr float kTanhP[kTanhDegree + 1] = {0x1p+0f, 0x1.11ff54p-3f, 0x1.c9ebe8p-9f, 0x1.59d35ap-16f, 0x1.cdaf3ep-27f};
constexpr float kTanhQ[kTanhDegree + 1] = {0x1p+0f, 0x1.de54eep-2f, 0x1.a7d0d2p-6f, 0x1.5858d6p-12f, 0x1.a26682p-21f};

}  // namespace bytegate::kernels

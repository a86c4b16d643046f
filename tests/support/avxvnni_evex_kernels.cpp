// backends/avxvnni/kernels.cpp once more, with vpdpbusd in its EVEX encoding: what it does is the same to the bit.
#if !defined(__AVX512VL__) || !defined(__AVX512VNNI__)
#error "compile this file with -mavx2 -mfma -mavx512vl -mavx512vnni"
#endif

#include <immintrin.h>

#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define avxvnni_kernels avxvnni_evex_kernels

#include "backends/avxvnni/kernels.cpp"

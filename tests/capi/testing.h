/* What the programs of tests/capi/ share; C99 and C++. */
#ifndef BYTEGATE_TESTS_CAPI_TESTING_H_
#define BYTEGATE_TESTS_CAPI_TESTING_H_

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Multiples of 2^-20 times `scale`, a power of two: the same numbers everywhere. */
static inline void fill(float* data, size_t n, uint32_t seed, float scale) {
  uint32_t state = seed * 2654435761u + 1u;
  size_t i;
  for (i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    data[i] = (float)((int32_t)(state >> 11) - (1 << 20)) / (float)(1 << 20) * scale;
  }
}

/* Prints a name and the bits of an output, which must be the same in C and in C++. */
static inline void print_digest(const char* name, const float* data, size_t n) {
  uint64_t hash = UINT64_C(14695981039346656037);
  size_t i;
  for (i = 0; i < n; ++i) {
    uint32_t bits;
    memcpy(&bits, &data[i], sizeof bits);
    hash = (hash ^ bits) * UINT64_C(1099511628211);
  }
  printf("%s %016" PRIx64 "\n", name, hash);
}

/* The sizes of the layers that both programs make. */
enum { T = 7, B = 3, INPUTS = 10, HIDDEN = 12, PROJ = 5, OUTPUTS = 4 };

#endif

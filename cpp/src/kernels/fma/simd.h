// Small vector helpers of the FMA folder (AVX2 and FMA; f32 families alone). Everything sits in an
// anonymous namespace: an ISA object must hold no weak symbol.
#ifndef EDGECV_KERNELS_FMA_SIMD_H_
#define EDGECV_KERNELS_FMA_SIMD_H_

#include <immintrin.h>

#define EDGECV_ISA fma
#include "kernels/simd/common.h"

namespace edgecv::kernels::fma {
namespace {

EDGECV_INLINE __m256 set(float value) { return _mm256_set1_ps(value); }
EDGECV_INLINE __m256 load8(const float* p) { return _mm256_loadu_ps(p); }
EDGECV_INLINE void store8(float* p, __m256 v) { _mm256_storeu_ps(p, v); }

// The first `count` < 8 floats at p, then zeros. Touches nothing beyond them.
EDGECV_INLINE __m256 load_tail(const float* p, int64_t count) {
  alignas(32) float values[8] = {0};
  memcpy(values, p, static_cast<size_t>(count) * sizeof(float));
  return _mm256_load_ps(values);
}

EDGECV_INLINE void store_tail(float* p, __m256 v, int64_t count) {
  alignas(32) float values[8];
  _mm256_store_ps(values, v);
  memcpy(p, values, static_cast<size_t>(count) * sizeof(float));
}

// Both pass a NaN of v on, as the reference's comparisons do.
struct Clamp {
  __m256 lo, hi;
};
EDGECV_INLINE Clamp make_clamp(float lo, float hi) {
  return {_mm256_set1_ps(lo), _mm256_set1_ps(hi)};
}
EDGECV_INLINE __m256 clamp8(__m256 v, const Clamp& c) {
  return _mm256_min_ps(c.hi, _mm256_max_ps(c.lo, v));
}

}  // namespace
}  // namespace edgecv::kernels::fma

#endif  // EDGECV_KERNELS_FMA_SIMD_H_

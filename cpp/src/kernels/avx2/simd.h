// Small vector helpers of the AVX2 folder. Everything sits in an anonymous namespace: an ISA object
// must hold no weak symbol, or the linker may keep its copy for callers on an older CPU.
#ifndef EDGECV_KERNELS_AVX2_SIMD_H_
#define EDGECV_KERNELS_AVX2_SIMD_H_

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace edgecv::kernels::avx2 {
namespace {

#define EDGECV_INLINE inline __attribute__((always_inline))

// unroll<n>(f) calls f(Index<0>()) ... f(Index<n - 1>()). Register tiles are arrays indexed by such
// constants only: one index that is still a variable when the compiler splits arrays into registers
// leaves the whole tile in memory.
template <int kValue>
struct Index {
  EDGECV_INLINE constexpr operator int() const { return kValue; }
};

template <int kCount, typename Function>
EDGECV_INLINE void unroll(const Function& f) {
  if constexpr (kCount > 0) {
    unroll<kCount - 1>(f);
    f(Index<kCount - 1>());
  }
}

// sum += product, in place and in this order. As an intrinsic it would be free for the compiler to
// reassociate long sums and to rename the accumulator; both cost registers, and a tile that fills
// all sixteen has none to spare.
EDGECV_INLINE void add_to(__m256i& sum, __m256i product) {
  __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(product));
}

inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m128i load64(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
inline void store256(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
inline void store128(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
inline void store64(void* p, __m128i v) { _mm_storel_epi64(static_cast<__m128i*>(p), v); }
inline void store_high64(void* p, __m128i v) {
  _mm_storeh_pi(static_cast<__m64*>(p), _mm_castsi128_ps(v));
}
inline int32_t load_s32(const void* p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

// The first `count` <= 16 bytes at p; the other lanes are 0. Touches no byte beyond p + count.
inline __m128i load_tail(const void* p, int64_t count) {
  alignas(16) uint8_t bytes[16] = {0};
  memcpy(bytes, p, static_cast<size_t>(count));
  return load128(bytes);
}

inline void store_tail(void* p, __m128i v, int64_t count) {
  alignas(16) uint8_t bytes[16];
  store128(bytes, v);
  memcpy(p, bytes, static_cast<size_t>(count));
}

// requantize's last steps for values already rounded to s32: saturating packs first, then the zero
// point, then the clamp. Exact: saturation to s16 only touches values far outside [lo, hi],
// whatever the zero point.
struct Clamp {
  __m256i zero_point;  // s16
  __m256i lo, hi;      // s8
};

inline Clamp make_clamp(int32_t zero_point, int32_t lo, int32_t hi) {
  Clamp c;
  c.zero_point = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  c.lo = _mm256_set1_epi8(static_cast<int8_t>(lo));
  c.hi = _mm256_set1_epi8(static_cast<int8_t>(hi));
  return c;
}

// rint(float(acc) * multiplier): round half to even is the default rounding mode of vcvtps2dq.
inline __m256i scale_round(__m256i acc, __m256 multiplier) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier));
}

// Two times 8 s32 to 16 s16 with the zero point added. packs works per 128-bit half, so the dwords
// of the result are out of order until `clamp_bytes` permutes them.
inline __m256i pack_words(__m256i a, __m256i b, const Clamp& c) {
  return _mm256_adds_epi16(_mm256_packs_epi32(a, b), c.zero_point);
}

// pack_words(q0, q1), pack_words(q2, q3) to the 32 bytes q0 q1 q2 q3, clamped.
inline __m256i clamp_bytes(__m256i words01, __m256i words23, const Clamp& c) {
  __m256i bytes = _mm256_packs_epi16(words01, words23);
  bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, c.lo), c.hi);
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

inline __m128i low_half(__m256i v) { return _mm256_castsi256_si128(v); }
inline __m128i high_half(__m256i v) { return _mm256_extracti128_si256(v, 1); }

// s8 to s16, any count. Overlapping vectors at the end instead of a scalar tail.
EDGECV_INLINE void widen_run(int16_t* out, const int8_t* in, int64_t count) {
  if (count >= 16) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) store256(out + i, _mm256_cvtepi8_epi16(load128(in + i)));
    if (i < count) store256(out + count - 16, _mm256_cvtepi8_epi16(load128(in + count - 16)));
  } else if (count >= 8) {
    store128(out, _mm_cvtepi8_epi16(load64(in)));
    store128(out + count - 8, _mm_cvtepi8_epi16(load64(in + count - 8)));
  } else if (count >= 4) {
    store64(out, _mm_cvtepi8_epi16(_mm_cvtsi32_si128(load_s32(in))));
    store64(out + count - 4, _mm_cvtepi8_epi16(_mm_cvtsi32_si128(load_s32(in + count - 4))));
  } else if (count > 0) {
    out[0] = in[0];
    if (count > 1) out[1] = in[1];
    if (count > 2) out[2] = in[2];
  }
}

inline void fill_words(int16_t* out, int16_t value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = value;
}

}  // namespace
}  // namespace edgecv::kernels::avx2

#endif  // EDGECV_KERNELS_AVX2_SIMD_H_

// What vec128.h and vec256.h share: words on single 128-bit registers (V128).
#ifndef EDGECV_KERNELS_X86_VEC_COMMON_H_
#define EDGECV_KERNELS_X86_VEC_COMMON_H_

#include <immintrin.h>

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

using V128 = __m128i;

inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m128i load64(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
inline void store128(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
inline void store64(void* p, __m128i v) { _mm_storel_epi64(static_cast<__m128i*>(p), v); }
inline void store_high64(void* p, __m128i v) {
  _mm_storeh_pi(static_cast<__m64*>(p), _mm_castsi128_ps(v));
}
inline __m128i load32(const void* p) { return _mm_cvtsi32_si128(load_s32(p)); }
inline void store32(void* p, __m128i v) {
  const int32_t low = _mm_cvtsi128_si32(v);
  memcpy(p, &low, sizeof low);
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

// Bytes of 128-bit registers in memory order, whatever the width of Vec.
inline V128 set128_s8(int32_t v) { return _mm_set1_epi8(static_cast<int8_t>(v)); }
inline V128 xor128(V128 a, V128 b) { return _mm_xor_si128(a, b); }
inline V128 min128_s8(V128 a, V128 b) { return _mm_min_epi8(a, b); }
inline V128 max128_s8(V128 a, V128 b) { return _mm_max_epi8(a, b); }
// Element i of a next to element i of b, of the lower (upper) 8 bytes.
EDGECV_INLINE V128 zip_low_8(V128 a, V128 b) { return _mm_unpacklo_epi8(a, b); }
EDGECV_INLINE V128 zip_high_8(V128 a, V128 b) { return _mm_unpackhi_epi8(a, b); }
EDGECV_INLINE V128 zip_low_16(V128 a, V128 b) { return _mm_unpacklo_epi16(a, b); }
EDGECV_INLINE V128 zip_high_16(V128 a, V128 b) { return _mm_unpackhi_epi16(a, b); }
EDGECV_INLINE V128 zip_low_32(V128 a, V128 b) { return _mm_unpacklo_epi32(a, b); }
EDGECV_INLINE V128 zip_high_32(V128 a, V128 b) { return _mm_unpackhi_epi32(a, b); }
EDGECV_INLINE V128 zip_low_64(V128 a, V128 b) { return _mm_unpacklo_epi64(a, b); }
EDGECV_INLINE V128 zip_high_64(V128 a, V128 b) { return _mm_unpackhi_epi64(a, b); }
// Byte index[i] & 15 of v, or 0 where index[i] is negative.
inline V128 shuffle128(V128 v, V128 index) { return _mm_shuffle_epi8(v, index); }
template <int kDword>
EDGECV_INLINE int32_t dword128(V128 v) {
  return _mm_extract_epi32(v, kDword);
}
// All bytes: the largest of v's. s8 xor 127 is an order of u8 the other way round.
EDGECV_INLINE V128 spread_largest(V128 v) {
  const V128 flip = set128_s8(127);
  const V128 u = _mm_xor_si128(v, flip);
  const V128 least = _mm_minpos_epu16(_mm_min_epu8(u, _mm_srli_epi16(u, 8)));
  return _mm_xor_si128(_mm_shuffle_epi8(least, _mm_setzero_si128()), flip);
}
// Where the first byte of that value is, or -1.
EDGECV_INLINE int32_t find_byte(V128 v, V128 value) {
  const int32_t mask = _mm_movemask_epi8(_mm_cmpeq_epi8(v, value));
  return mask == 0 ? -1 : __builtin_ctz(static_cast<uint32_t>(mask));
}

inline float sqrt_f32(float v) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_VEC_COMMON_H_

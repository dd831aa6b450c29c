// The vocabulary of kernel code written once for several x86 instruction sets, at 256 bits:
// vec128.h has the same names with the same meaning at 128.
//
// Types: Vec (integers, __m256i), VecF (f32). Sizes: kVecBytes = 32, kWords = 16, kDwords = 8.
// Names: <operation>_<lane type>; sat_ saturates; unpack, pack, shuffle and repeated128 work within
// each 128-bit half (so their results at 256 bits are not in memory order), everything else treats
// lanes in memory order. A shared header begins with
//   namespace edgecv::kernels::EDGECV_ISA { namespace {
// and names its rows "<row>__" EDGECV_ISA_NAME, EDGECV_ISA_NAME, <family>, kIsaNeeds; the
// instruction set's folder includes its simd.h, then that header. Everything sits in an anonymous
// namespace: an ISA object must hold no weak symbol, or the linker may keep its copy for callers on
// an older CPU.
#ifndef EDGECV_KERNELS_X86_VEC256_H_
#define EDGECV_KERNELS_X86_VEC256_H_

#include "kernels/x86/vec_common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

using Vec = __m256i;
using VecF = __m256;
constexpr int kVecBytes = 32;
constexpr int kWords = kVecBytes / 2;
constexpr int kDwords = kVecBytes / 4;

EDGECV_INLINE __m128i low_half(Vec v) { return _mm256_castsi256_si128(v); }
EDGECV_INLINE __m128i high_half(Vec v) { return _mm256_extracti128_si256(v, 1); }
// The sums of s32 lanes that are 128 bits apart.
EDGECV_INLINE __m128i fold_halves(Vec v) { return _mm_add_epi32(low_half(v), high_half(v)); }

EDGECV_INLINE Vec load(const void* p) { return _mm256_loadu_si256(static_cast<const Vec*>(p)); }
EDGECV_INLINE Vec load_aligned(const void* p) {
  return _mm256_load_si256(static_cast<const Vec*>(p));
}
EDGECV_INLINE void store(void* p, Vec v) { _mm256_storeu_si256(static_cast<Vec*>(p), v); }
EDGECV_INLINE VecF load_f32(const float* p) { return _mm256_loadu_ps(p); }
EDGECV_INLINE void store_f32(float* p, VecF v) { _mm256_storeu_ps(p, v); }
EDGECV_INLINE Vec zero() { return _mm256_setzero_si256(); }
EDGECV_INLINE Vec set1_s8(int32_t v) { return _mm256_set1_epi8(static_cast<int8_t>(v)); }
EDGECV_INLINE Vec set1_s16(int32_t v) { return _mm256_set1_epi16(static_cast<int16_t>(v)); }
EDGECV_INLINE Vec set1_s32(int32_t v) { return _mm256_set1_epi32(v); }
EDGECV_INLINE VecF set1_f32(float v) { return _mm256_set1_ps(v); }
EDGECV_INLINE Vec from_f32_bits(VecF v) { return _mm256_castps_si256(v); }
EDGECV_INLINE VecF to_f32_bits(Vec v) { return _mm256_castsi256_ps(v); }

// Integer arithmetic: modulo 2^bits, or saturating where the name begins with sat_.
EDGECV_INLINE Vec add_s8(Vec a, Vec b) { return _mm256_add_epi8(a, b); }
EDGECV_INLINE Vec add_s16(Vec a, Vec b) { return _mm256_add_epi16(a, b); }
EDGECV_INLINE Vec add_s32(Vec a, Vec b) { return _mm256_add_epi32(a, b); }
EDGECV_INLINE Vec add_s64(Vec a, Vec b) { return _mm256_add_epi64(a, b); }
EDGECV_INLINE Vec sat_add_s8(Vec a, Vec b) { return _mm256_adds_epi8(a, b); }
EDGECV_INLINE Vec sat_add_s16(Vec a, Vec b) { return _mm256_adds_epi16(a, b); }
EDGECV_INLINE Vec sat_add_u8(Vec a, Vec b) { return _mm256_adds_epu8(a, b); }
EDGECV_INLINE Vec sub_s8(Vec a, Vec b) { return _mm256_sub_epi8(a, b); }
EDGECV_INLINE Vec sub_s16(Vec a, Vec b) { return _mm256_sub_epi16(a, b); }
EDGECV_INLINE Vec sub_s32(Vec a, Vec b) { return _mm256_sub_epi32(a, b); }
EDGECV_INLINE Vec sub_s64(Vec a, Vec b) { return _mm256_sub_epi64(a, b); }
EDGECV_INLINE Vec sat_sub_s8(Vec a, Vec b) { return _mm256_subs_epi8(a, b); }
EDGECV_INLINE Vec sat_sub_s16(Vec a, Vec b) { return _mm256_subs_epi16(a, b); }
EDGECV_INLINE Vec sat_sub_u8(Vec a, Vec b) { return _mm256_subs_epu8(a, b); }
EDGECV_INLINE Vec mul_low_s16(Vec a, Vec b) { return _mm256_mullo_epi16(a, b); }
EDGECV_INLINE Vec mul_low_s32(Vec a, Vec b) { return _mm256_mullo_epi32(a, b); }

// Pairs of s16 products, summed in s32; u8 x s8 pairs summed in s16 with saturation.
EDGECV_INLINE Vec madd_s16(Vec a, Vec b) { return _mm256_madd_epi16(a, b); }
EDGECV_INLINE Vec maddubs(Vec u8, Vec s8) { return _mm256_maddubs_epi16(u8, s8); }
EDGECV_INLINE Vec sad_u8(Vec a, Vec b) { return _mm256_sad_epu8(a, b); }

EDGECV_INLINE Vec min_s8(Vec a, Vec b) { return _mm256_min_epi8(a, b); }
EDGECV_INLINE Vec min_u8(Vec a, Vec b) { return _mm256_min_epu8(a, b); }
EDGECV_INLINE Vec min_s16(Vec a, Vec b) { return _mm256_min_epi16(a, b); }
EDGECV_INLINE Vec min_s32(Vec a, Vec b) { return _mm256_min_epi32(a, b); }
EDGECV_INLINE Vec max_s8(Vec a, Vec b) { return _mm256_max_epi8(a, b); }
EDGECV_INLINE Vec max_u8(Vec a, Vec b) { return _mm256_max_epu8(a, b); }
EDGECV_INLINE Vec max_s16(Vec a, Vec b) { return _mm256_max_epi16(a, b); }
EDGECV_INLINE Vec max_s32(Vec a, Vec b) { return _mm256_max_epi32(a, b); }

EDGECV_INLINE Vec bit_and(Vec a, Vec b) { return _mm256_and_si256(a, b); }
EDGECV_INLINE Vec bit_or(Vec a, Vec b) { return _mm256_or_si256(a, b); }
EDGECV_INLINE Vec bit_xor(Vec a, Vec b) { return _mm256_xor_si256(a, b); }
EDGECV_INLINE Vec bit_and_not(Vec not_a, Vec b) { return _mm256_andnot_si256(not_a, b); }
EDGECV_INLINE Vec greater_s8(Vec a, Vec b) { return _mm256_cmpgt_epi8(a, b); }
EDGECV_INLINE Vec greater_s32(Vec a, Vec b) { return _mm256_cmpgt_epi32(a, b); }

// Shifts by a constant; right: arithmetic for s, logical for u.
template <int kBits>
EDGECV_INLINE Vec shift_left_s16(Vec v) {
  return _mm256_slli_epi16(v, kBits);
}
template <int kBits>
EDGECV_INLINE Vec shift_right_s16(Vec v) {
  return _mm256_srai_epi16(v, kBits);
}
template <int kBits>
EDGECV_INLINE Vec shift_right_u16(Vec v) {
  return _mm256_srli_epi16(v, kBits);
}
template <int kBits>
EDGECV_INLINE Vec shift_left_s32(Vec v) {
  return _mm256_slli_epi32(v, kBits);
}
template <int kBits>
EDGECV_INLINE Vec shift_right_s32(Vec v) {
  return _mm256_srai_epi32(v, kBits);
}
template <int kBits>
EDGECV_INLINE Vec shift_right_u32(Vec v) {
  return _mm256_srli_epi32(v, kBits);
}

// Interleave the lower (upper) 8 bytes of each 128-bit half.
EDGECV_INLINE Vec unpack_low_s8(Vec a, Vec b) { return _mm256_unpacklo_epi8(a, b); }
EDGECV_INLINE Vec unpack_high_s8(Vec a, Vec b) { return _mm256_unpackhi_epi8(a, b); }
EDGECV_INLINE Vec unpack_low_s16(Vec a, Vec b) { return _mm256_unpacklo_epi16(a, b); }
EDGECV_INLINE Vec unpack_high_s16(Vec a, Vec b) { return _mm256_unpackhi_epi16(a, b); }
EDGECV_INLINE Vec unpack_low_s32(Vec a, Vec b) { return _mm256_unpacklo_epi32(a, b); }
EDGECV_INLINE Vec unpack_high_s32(Vec a, Vec b) { return _mm256_unpackhi_epi32(a, b); }
EDGECV_INLINE Vec unpack_low_s64(Vec a, Vec b) { return _mm256_unpacklo_epi64(a, b); }
EDGECV_INLINE Vec unpack_high_s64(Vec a, Vec b) { return _mm256_unpackhi_epi64(a, b); }

// Saturating packs, within each 128-bit half: a's values, then b's.
EDGECV_INLINE Vec pack_s32_s16(Vec a, Vec b) { return _mm256_packs_epi32(a, b); }
EDGECV_INLINE Vec pack_s16_s8(Vec a, Vec b) { return _mm256_packs_epi16(a, b); }
EDGECV_INLINE Vec pack_s16_u8(Vec a, Vec b) { return _mm256_packus_epi16(a, b); }

// pshufb within each 128-bit half; pshufd likewise by a constant.
EDGECV_INLINE Vec shuffle_bytes(Vec v, Vec index) { return _mm256_shuffle_epi8(v, index); }
template <int kOrder>
EDGECV_INLINE Vec shuffle_dwords(Vec v) {
  return _mm256_shuffle_epi32(v, kOrder);
}
template <int kBytes>
EDGECV_INLINE Vec align_right(Vec high, Vec low) {
  return _mm256_alignr_epi8(high, low, kBytes);
}

EDGECV_INLINE VecF to_f32(Vec s32) { return _mm256_cvtepi32_ps(s32); }
// Round half to even, the default rounding mode.
EDGECV_INLINE Vec round_s32(VecF v) { return _mm256_cvtps_epi32(v); }
EDGECV_INLINE VecF add_f32(VecF a, VecF b) { return _mm256_add_ps(a, b); }
EDGECV_INLINE VecF sub_f32(VecF a, VecF b) { return _mm256_sub_ps(a, b); }
EDGECV_INLINE VecF mul_f32(VecF a, VecF b) { return _mm256_mul_ps(a, b); }
EDGECV_INLINE VecF min_f32(VecF a, VecF b) { return _mm256_min_ps(a, b); }
EDGECV_INLINE VecF max_f32(VecF a, VecF b) { return _mm256_max_ps(a, b); }
EDGECV_INLINE VecF div_f32(VecF a, VecF b) { return _mm256_div_ps(a, b); }
EDGECV_INLINE VecF or_f32(VecF a, VecF b) { return _mm256_or_ps(a, b); }
// All bits set where a or b is a NaN.
EDGECV_INLINE VecF unordered_f32(VecF a, VecF b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
EDGECV_INLINE bool any_sign_f32(VecF v) { return _mm256_movemask_ps(v) != 0; }
// b where the sign bit of `choose_b` is set, else a.
EDGECV_INLINE VecF blend_f32(VecF a, VecF b, VecF choose_b) {
  return _mm256_blendv_ps(a, b, choose_b);
}
EDGECV_INLINE Vec blend_bytes(Vec a, Vec b, Vec choose_b) {
  return _mm256_blendv_epi8(a, b, choose_b);
}

EDGECV_INLINE Vec load_repeated128(const void* p) {
  return _mm256_broadcastsi128_si256(load128(p));
}
// Loads of fewer bytes that widen each: 16 of s8 to s16, 8 of s8 to s32, 8 of s16 to s32.
EDGECV_INLINE Vec load_s8_s16(const void* p) { return _mm256_cvtepi8_epi16(load128(p)); }
EDGECV_INLINE Vec load_u8_s16(const void* p) { return _mm256_cvtepu8_epi16(load128(p)); }
EDGECV_INLINE Vec load_s8_s32(const void* p) { return _mm256_cvtepi8_epi32(load64(p)); }
EDGECV_INLINE Vec load_s16_s32(const void* p) { return _mm256_cvtepi16_epi32(load128(p)); }
// The first kDwords, or kWords, bytes of a 128-bit register, widened.
EDGECV_INLINE Vec widen_s8_s16(__m128i bytes) { return _mm256_cvtepi8_epi16(bytes); }
EDGECV_INLINE Vec widen_s8_s32(__m128i bytes) { return _mm256_cvtepi8_epi32(bytes); }
// The lower and the upper half of a vector, in memory order, widened.
EDGECV_INLINE Vec widen_low_s8(Vec v) { return _mm256_cvtepi8_epi16(low_half(v)); }
EDGECV_INLINE Vec widen_high_s8(Vec v) { return _mm256_cvtepi8_epi16(high_half(v)); }
EDGECV_INLINE Vec widen_low_s16(Vec v) { return _mm256_cvtepi16_epi32(low_half(v)); }
EDGECV_INLINE Vec widen_high_s16(Vec v) { return _mm256_cvtepi16_epi32(high_half(v)); }
// table[index], s32 each.
EDGECV_INLINE Vec gather_s32(const int32_t* table, Vec index) {
  return _mm256_i32gather_epi32(table, index, 4);
}

// The first `count` <= kVecBytes bytes; the other lanes are 0. Touches no byte beyond p + count.
EDGECV_INLINE Vec load_part(const void* p, int64_t count) {
  alignas(32) uint8_t bytes[32] = {0};
  memcpy(bytes, p, static_cast<size_t>(count));
  return load(bytes);
}
EDGECV_INLINE void store_part(void* p, Vec v, int64_t count) {
  alignas(32) uint8_t bytes[32];
  store(bytes, v);
  memcpy(p, bytes, static_cast<size_t>(count));
}
// Likewise, faster where vectors hold most of `count` < kVecBytes bytes.
EDGECV_INLINE Vec load_some(const void* p, int64_t count) {
  const auto* bytes = static_cast<const uint8_t*>(p);
  if (count < 16) return _mm256_zextsi128_si256(load_tail(bytes, count));
  const Vec low = _mm256_zextsi128_si256(load128(bytes));
  if (count == 16) return low;
  return _mm256_inserti128_si256(low, load_tail(bytes + 16, count - 16), 1);
}
EDGECV_INLINE void store_some(void* p, Vec v, int64_t count) {
  auto* bytes = static_cast<uint8_t*>(p);
  if (count < 16) {
    store_tail(bytes, low_half(v), count);
    return;
  }
  store128(bytes, low_half(v));
  if (count > 16) store_tail(bytes + 16, high_half(v), count - 16);
}
// The first `count` <= kDwords floats; the others are 0.
EDGECV_INLINE VecF load_part_f32(const float* p, int64_t count) {
  return to_f32_bits(load_part(p, 4 * count));
}

// sum += product, in place and in this order. As an intrinsic it would be free for the compiler to
// reassociate long sums and to rename the accumulator; both cost registers, and a tile that fills
// all sixteen has none to spare.
EDGECV_INLINE void add_to(Vec& sum, Vec product) {
  __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(product));
}
// The same for s16 lanes.
EDGECV_INLINE void add_words_to(Vec& sum, Vec product) {
  __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(product));
}

// requantize's last steps for values already rounded to s32: saturating packs first, then the zero
// point, then the clamp. Exact: saturation to s16 only touches values far outside [lo, hi],
// whatever the zero point.
struct Clamp {
  Vec zero_point;  // s16
  Vec lo, hi;      // s8
};

inline Clamp make_clamp(int32_t zero_point, int32_t lo, int32_t hi) {
  return {set1_s16(zero_point), set1_s8(lo), set1_s8(hi)};
}

// rint(float(acc) * multiplier).
EDGECV_INLINE Vec scale_round(Vec acc, VecF multiplier) {
  return round_s32(mul_f32(to_f32(acc), multiplier));
}

// Two vectors of s32 to one of s16 with the zero point added. packs works per 128-bit half, so the
// dwords of the result are out of order until `clamp_bytes` permutes them.
EDGECV_INLINE Vec pack_words(Vec a, Vec b, const Clamp& c) {
  return sat_add_s16(pack_s32_s16(a, b), c.zero_point);
}

// pack_words(q0, q1), pack_words(q2, q3) to the bytes q0 q1 q2 q3, clamped.
EDGECV_INLINE Vec clamp_bytes(Vec words01, Vec words23, const Clamp& c) {
  Vec bytes = pack_s16_s8(words01, words23);
  bytes = min_s8(max_s8(bytes, c.lo), c.hi);
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Two vectors of s32, or of s16, to one of s16, or s8, in memory order.
EDGECV_INLINE Vec narrow_s32(Vec a, Vec b) {
  const Vec words = pack_s32_s16(a, b);
  return _mm256_permute4x64_epi64(words, 0xD8);
}
EDGECV_INLINE Vec narrow_s16(Vec a, Vec b) {
  const Vec words = pack_s16_s8(a, b);
  return _mm256_permute4x64_epi64(words, 0xD8);
}

// One vector of rounded s32 values to its kDwords bytes, the low ones of the result.
EDGECV_INLINE __m128i quantized_bytes(Vec rounded, const Clamp& c) {
  const Vec words = pack_words(rounded, rounded, c);
  return low_half(clamp_bytes(words, words, c));
}
// Loads and stores kDwords bytes of a 128-bit register; with `count` the first of them.
EDGECV_INLINE __m128i load_quarter(const void* p) { return load64(p); }
EDGECV_INLINE void store_quarter(void* p, __m128i v) { store64(p, v); }
EDGECV_INLINE __m128i load_quarter(const void* p, int64_t count) {
  return count == kDwords ? load64(p) : load_tail(p, count);
}
EDGECV_INLINE void store_quarter(void* p, __m128i v, int64_t count) {
  if (count == kDwords) {
    store64(p, v);
  } else {
    store_tail(p, v, count);
  }
}

// Loads and stores kWords bytes of a 128-bit register; with `count` the first of them.
EDGECV_INLINE __m128i load_half(const void* p) { return load128(p); }
EDGECV_INLINE void store_half(void* p, __m128i v) { store128(p, v); }
EDGECV_INLINE __m128i load_half(const void* p, int64_t count) {
  return count == kWords ? load128(p) : load_tail(p, count);
}
EDGECV_INLINE void store_half(void* p, __m128i v, int64_t count) {
  if (count == kWords) {
    store128(p, v);
  } else {
    store_tail(p, v, count);
  }
}

// The upper kWords bytes of a vector.
EDGECV_INLINE __m128i upper_bytes(Vec bytes) { return high_half(bytes); }

// A 128-bit register as the low bytes of a vector whose others are 0.
EDGECV_INLINE Vec from_low128(__m128i v) { return _mm256_zextsi128_si256(v); }

// Two times kWords bytes to pairs a0 b0 a1 b1 ... of s16, kDwords pairs a vector.
EDGECV_INLINE void interleave_s8_s16(__m128i a, __m128i b, Vec* low, Vec* high) {
  const __m128i first = _mm_unpacklo_epi8(a, b), second = _mm_unpackhi_epi8(a, b);
  *low = widen_s8_s16(first);
  *high = widen_s8_s16(second);
}

// The four quarters of a vector, kDwords bytes each, to four places.
EDGECV_INLINE void store_quarters(int8_t* p0, int8_t* p1, int8_t* p2, int8_t* p3, Vec bytes) {
  store64(p0, low_half(bytes));
  store_high64(p1, low_half(bytes));
  store64(p2, high_half(bytes));
  store_high64(p3, high_half(bytes));
}

// The sum of the s32 lanes, modulo 2^32 each, as s64.
inline int64_t total_s32(Vec sums) {
  alignas(kVecBytes) int32_t parts[kDwords];
  store(parts, sums);
  int64_t result = 0;
  for (const int32_t part : parts) result += part;
  return result;
}

// s8 to s16, any count. Overlapping vectors at the end instead of a scalar tail.
EDGECV_INLINE void widen_run(int16_t* out, const int8_t* in, int64_t count) {
  if (count >= 16) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) store(out + i, load_s8_s16(in + i));
    if (i < count) store(out + count - 16, load_s8_s16(in + count - 16));
  } else if (count >= 8) {
    store128(out, _mm_cvtepi8_epi16(load64(in)));
    store128(out + count - 8, _mm_cvtepi8_epi16(load64(in + count - 8)));
  } else if (count >= 4) {
    store64(out, _mm_cvtepi8_epi16(load32(in)));
    store64(out + count - 4, _mm_cvtepi8_epi16(load32(in + count - 4)));
  } else if (count > 0) {
    out[0] = in[0];
    if (count > 1) out[1] = in[1];
    if (count > 2) out[2] = in[2];
  }
}

// The names vec128.h lacks, for code of 256-bit vectors alone.
EDGECV_INLINE __m256i load256(const void* p) { return load(p); }
EDGECV_INLINE void store256(void* p, __m256i v) { store(p, v); }

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_VEC256_H_

// The vocabulary of x86/vec128.h (names and their meaning are described there) on NEON, for aarch64
// and ARMv7. Vec and V128 are one type, of bytes; lanes of other sizes are views of it.
//
// ARMv7's NEON flushes subnormal floats to zero. Multipliers and what they scale are normal, so no
// value depends on it. It has no division, no square root and no rounding to nearest even: the
// first two run lane by lane on the VFP, the third adds and takes off 1.5 * 2^23.
#ifndef EDGECV_KERNELS_NEON_VEC_NEON_H_
#define EDGECV_KERNELS_NEON_VEC_NEON_H_

#include <arm_neon.h>

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

using Vec = int8x16_t;
using V128 = int8x16_t;
using VecF = float32x4_t;
constexpr int kVecBytes = 16;
constexpr int kWords = kVecBytes / 2;
constexpr int kDwords = kVecBytes / 4;

// Views of a vector's lanes, and back.
EDGECV_INLINE uint8x16_t as_u8(Vec v) { return vreinterpretq_u8_s8(v); }
EDGECV_INLINE int16x8_t as_s16(Vec v) { return vreinterpretq_s16_s8(v); }
EDGECV_INLINE uint16x8_t as_u16(Vec v) { return vreinterpretq_u16_s8(v); }
EDGECV_INLINE int32x4_t as_s32(Vec v) { return vreinterpretq_s32_s8(v); }
EDGECV_INLINE uint32x4_t as_u32(Vec v) { return vreinterpretq_u32_s8(v); }
EDGECV_INLINE int64x2_t as_s64(Vec v) { return vreinterpretq_s64_s8(v); }
EDGECV_INLINE Vec bytes_of(uint8x16_t v) { return vreinterpretq_s8_u8(v); }
EDGECV_INLINE Vec bytes_of(int16x8_t v) { return vreinterpretq_s8_s16(v); }
EDGECV_INLINE Vec bytes_of(uint16x8_t v) { return vreinterpretq_s8_u16(v); }
EDGECV_INLINE Vec bytes_of(int32x4_t v) { return vreinterpretq_s8_s32(v); }
EDGECV_INLINE Vec bytes_of(uint32x4_t v) { return vreinterpretq_s8_u32(v); }
EDGECV_INLINE Vec bytes_of(int64x2_t v) { return vreinterpretq_s8_s64(v); }
EDGECV_INLINE Vec bytes_of(uint64x2_t v) { return vreinterpretq_s8_u64(v); }

EDGECV_INLINE V128 low_half(Vec v) { return v; }

EDGECV_INLINE Vec load(const void* p) { return vld1q_s8(static_cast<const int8_t*>(p)); }
EDGECV_INLINE Vec load_aligned(const void* p) { return load(p); }
EDGECV_INLINE void store(void* p, Vec v) { vst1q_s8(static_cast<int8_t*>(p), v); }
#if defined(__aarch64__)
// 32 bytes. An instruction that stays where it is written: the compiler would load many weights at
// once, for which there are no registers.
template <int kOffset>
EDGECV_INLINE void load_pair(const int8_t* p, int8x16_t* a, int8x16_t* b) {
  __asm__ volatile("ldp %q0, %q1, [%2, %3]"
                   : "=w"(*a), "=w"(*b)
                   : "r"(p), "n"(kOffset),
                     "Q"(*reinterpret_cast<const int8_t(*)[kOffset + 32]>(p)));
}
#endif
EDGECV_INLINE VecF load_f32(const float* p) { return vld1q_f32(p); }
EDGECV_INLINE void store_f32(float* p, VecF v) { vst1q_f32(p, v); }
EDGECV_INLINE Vec zero() { return vdupq_n_s8(0); }
EDGECV_INLINE Vec set1_s8(int32_t v) { return vdupq_n_s8(static_cast<int8_t>(v)); }
EDGECV_INLINE Vec set1_s16(int32_t v) { return bytes_of(vdupq_n_s16(static_cast<int16_t>(v))); }
EDGECV_INLINE Vec set1_s32(int32_t v) { return bytes_of(vdupq_n_s32(v)); }
EDGECV_INLINE VecF set1_f32(float v) { return vdupq_n_f32(v); }
EDGECV_INLINE Vec from_f32_bits(VecF v) { return vreinterpretq_s8_f32(v); }
EDGECV_INLINE VecF to_f32_bits(Vec v) { return vreinterpretq_f32_s8(v); }

EDGECV_INLINE Vec add_s8(Vec a, Vec b) { return vaddq_s8(a, b); }
EDGECV_INLINE Vec add_s16(Vec a, Vec b) { return bytes_of(vaddq_s16(as_s16(a), as_s16(b))); }
EDGECV_INLINE Vec add_s32(Vec a, Vec b) { return bytes_of(vaddq_s32(as_s32(a), as_s32(b))); }
EDGECV_INLINE Vec add_s64(Vec a, Vec b) { return bytes_of(vaddq_s64(as_s64(a), as_s64(b))); }
EDGECV_INLINE Vec sat_add_s8(Vec a, Vec b) { return vqaddq_s8(a, b); }
EDGECV_INLINE Vec sat_add_s16(Vec a, Vec b) { return bytes_of(vqaddq_s16(as_s16(a), as_s16(b))); }
EDGECV_INLINE Vec sub_s8(Vec a, Vec b) { return vsubq_s8(a, b); }
EDGECV_INLINE Vec sub_s16(Vec a, Vec b) { return bytes_of(vsubq_s16(as_s16(a), as_s16(b))); }
EDGECV_INLINE Vec sub_s32(Vec a, Vec b) { return bytes_of(vsubq_s32(as_s32(a), as_s32(b))); }
EDGECV_INLINE Vec mul_low_s32(Vec a, Vec b) { return bytes_of(vmulq_s32(as_s32(a), as_s32(b))); }

EDGECV_INLINE Vec madd_s16(Vec a, Vec b) {
  const int32x4_t low = vmull_s16(vget_low_s16(as_s16(a)), vget_low_s16(as_s16(b)));
#if defined(__aarch64__)
  return bytes_of(vpaddq_s32(low, vmull_high_s16(as_s16(a), as_s16(b))));
#else
  const int32x4_t high = vmull_s16(vget_high_s16(as_s16(a)), vget_high_s16(as_s16(b)));
  return bytes_of(vcombine_s32(vpadd_s32(vget_low_s32(low), vget_high_s32(low)),
                               vpadd_s32(vget_low_s32(high), vget_high_s32(high))));
#endif
}
EDGECV_INLINE Vec sad_u8(Vec a, Vec b) {
  return bytes_of(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vabdq_u8(as_u8(a), as_u8(b))))));
}

EDGECV_INLINE Vec min_s8(Vec a, Vec b) { return vminq_s8(a, b); }
EDGECV_INLINE Vec max_s8(Vec a, Vec b) { return vmaxq_s8(a, b); }

EDGECV_INLINE Vec bit_and(Vec a, Vec b) { return vandq_s8(a, b); }
EDGECV_INLINE Vec bit_or(Vec a, Vec b) { return vorrq_s8(a, b); }
EDGECV_INLINE Vec bit_xor(Vec a, Vec b) { return veorq_s8(a, b); }

template <int kBits>
EDGECV_INLINE Vec shift_left_s16(Vec v) {
  return bytes_of(vshlq_n_s16(as_s16(v), kBits));
}
template <int kBits>
EDGECV_INLINE Vec shift_right_s32(Vec v) {
  return bytes_of(vshrq_n_s32(as_s32(v), kBits));
}

// Element i of a next to element i of b, of the lower (upper) 8 bytes.
EDGECV_INLINE V128 zip_low_8(V128 a, V128 b) {
  const int8x8x2_t v = vzip_s8(vget_low_s8(a), vget_low_s8(b));
  return vcombine_s8(v.val[0], v.val[1]);
}
EDGECV_INLINE V128 zip_high_8(V128 a, V128 b) {
  const int8x8x2_t v = vzip_s8(vget_high_s8(a), vget_high_s8(b));
  return vcombine_s8(v.val[0], v.val[1]);
}
EDGECV_INLINE V128 zip_low_16(V128 a, V128 b) {
  const int16x4x2_t v = vzip_s16(vget_low_s16(as_s16(a)), vget_low_s16(as_s16(b)));
  return bytes_of(vcombine_s16(v.val[0], v.val[1]));
}
EDGECV_INLINE V128 zip_high_16(V128 a, V128 b) {
  const int16x4x2_t v = vzip_s16(vget_high_s16(as_s16(a)), vget_high_s16(as_s16(b)));
  return bytes_of(vcombine_s16(v.val[0], v.val[1]));
}
EDGECV_INLINE V128 zip_low_32(V128 a, V128 b) {
  const int32x2x2_t v = vzip_s32(vget_low_s32(as_s32(a)), vget_low_s32(as_s32(b)));
  return bytes_of(vcombine_s32(v.val[0], v.val[1]));
}
EDGECV_INLINE V128 zip_high_32(V128 a, V128 b) {
  const int32x2x2_t v = vzip_s32(vget_high_s32(as_s32(a)), vget_high_s32(as_s32(b)));
  return bytes_of(vcombine_s32(v.val[0], v.val[1]));
}
EDGECV_INLINE V128 zip_low_64(V128 a, V128 b) {
#if defined(__aarch64__)
  return bytes_of(vzip1q_s64(as_s64(a), as_s64(b)));
#else
  return vcombine_s8(vget_low_s8(a), vget_low_s8(b));
#endif
}
EDGECV_INLINE V128 zip_high_64(V128 a, V128 b) {
#if defined(__aarch64__)
  return bytes_of(vzip2q_s64(as_s64(a), as_s64(b)));
#else
  return vcombine_s8(vget_high_s8(a), vget_high_s8(b));
#endif
}
EDGECV_INLINE Vec unpack_low_s16(Vec a, Vec b) { return zip_low_16(a, b); }
EDGECV_INLINE Vec unpack_high_s16(Vec a, Vec b) { return zip_high_16(a, b); }

EDGECV_INLINE Vec pack_s32_s16(Vec a, Vec b) {
#if defined(__aarch64__)
  return bytes_of(vqmovn_high_s32(vqmovn_s32(as_s32(a)), as_s32(b)));
#else
  return bytes_of(vcombine_s16(vqmovn_s32(as_s32(a)), vqmovn_s32(as_s32(b))));
#endif
}
EDGECV_INLINE Vec pack_s16_s8(Vec a, Vec b) {
#if defined(__aarch64__)
  return vqmovn_high_s16(vqmovn_s16(as_s16(a)), as_s16(b));
#else
  return vcombine_s8(vqmovn_s16(as_s16(a)), vqmovn_s16(as_s16(b)));
#endif
}

// tbl gives 0 for every index beyond 15, pshufb only for negative ones: bits 4 to 6 are dropped.
EDGECV_INLINE Vec shuffle_bytes(Vec v, Vec index) {
  const uint8x16_t at = vandq_u8(as_u8(index), vdupq_n_u8(0x8F));
#if defined(__aarch64__)
  return vqtbl1q_s8(v, at);
#else
  const int8x8x2_t table = {{vget_low_s8(v), vget_high_s8(v)}};
  const int8x16_t signed_at = vreinterpretq_s8_u8(at);
  return vcombine_s8(vtbl2_s8(table, vget_low_s8(signed_at)),
                     vtbl2_s8(table, vget_high_s8(signed_at)));
#endif
}
EDGECV_INLINE V128 shuffle128(V128 v, V128 index) { return shuffle_bytes(v, index); }

EDGECV_INLINE VecF to_f32(Vec s32) { return vcvtq_f32_s32(as_s32(s32)); }
// Round half to even. On ARMv7 what lies beyond 2^22 gives 2^22: packs to s16 saturate both.
EDGECV_INLINE Vec round_s32(VecF v) {
#if defined(__aarch64__)
  return bytes_of(vcvtnq_s32_f32(v));
#else
  const float32x4_t limit = vdupq_n_f32(4194304.0f), rounder = vdupq_n_f32(12582912.0f);
  v = vaddq_f32(vminq_f32(vmaxq_f32(v, vnegq_f32(limit)), limit), rounder);
  return bytes_of(vsubq_s32(vreinterpretq_s32_f32(v), vreinterpretq_s32_f32(rounder)));
#endif
}
EDGECV_INLINE VecF add_f32(VecF a, VecF b) { return vaddq_f32(a, b); }
EDGECV_INLINE VecF sub_f32(VecF a, VecF b) { return vsubq_f32(a, b); }
EDGECV_INLINE VecF mul_f32(VecF a, VecF b) { return vmulq_f32(a, b); }
EDGECV_INLINE VecF min_f32(VecF a, VecF b) { return vminq_f32(a, b); }
EDGECV_INLINE VecF max_f32(VecF a, VecF b) { return vmaxq_f32(a, b); }
EDGECV_INLINE VecF div_f32(VecF a, VecF b) {
#if defined(__aarch64__)
  return vdivq_f32(a, b);
#else
  return a / b;
#endif
}
EDGECV_INLINE float sqrt_f32(float v) { return __builtin_sqrtf(v); }
EDGECV_INLINE VecF or_f32(VecF a, VecF b) {
  return vreinterpretq_f32_s8(vorrq_s8(vreinterpretq_s8_f32(a), vreinterpretq_s8_f32(b)));
}
EDGECV_INLINE VecF unordered_f32(VecF a, VecF b) {
  return vreinterpretq_f32_u32(vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b))));
}
EDGECV_INLINE bool any_sign_f32(VecF v) {
  const uint32x4_t u = vreinterpretq_u32_f32(v);
  const uint32x2_t either = vorr_u32(vget_low_u32(u), vget_high_u32(u));
  return ((vget_lane_u32(either, 0) | vget_lane_u32(either, 1)) >> 31) != 0;
}
EDGECV_INLINE VecF blend_f32(VecF a, VecF b, VecF choose_b) {
  const int32x4_t sign = vshrq_n_s32(vreinterpretq_s32_f32(choose_b), 31);
  return vbslq_f32(vreinterpretq_u32_s32(sign), b, a);
}
EDGECV_INLINE Vec blend_bytes(Vec a, Vec b, Vec choose_b) {
  return vbslq_s8(as_u8(vshrq_n_s8(choose_b, 7)), b, a);
}

// Fewer bytes than a register; the others are 0.
EDGECV_INLINE V128 load128(const void* p) { return load(p); }
EDGECV_INLINE void store128(void* p, V128 v) { store(p, v); }
EDGECV_INLINE V128 load64(const void* p) {
  return vcombine_s8(vld1_s8(static_cast<const int8_t*>(p)), vdup_n_s8(0));
}
EDGECV_INLINE void store64(void* p, V128 v) { vst1_s8(static_cast<int8_t*>(p), vget_low_s8(v)); }
EDGECV_INLINE void store_high64(void* p, V128 v) {
  vst1_s8(static_cast<int8_t*>(p), vget_high_s8(v));
}
EDGECV_INLINE V128 load32(const void* p) {
  return bytes_of(vsetq_lane_s32(load_s32(p), vdupq_n_s32(0), 0));
}
template <int kDword>
EDGECV_INLINE int32_t dword128(V128 v) {
  return vgetq_lane_s32(as_s32(v), kDword);
}
EDGECV_INLINE void store32(void* p, V128 v) {
  const int32_t low = dword128<0>(v);
  memcpy(p, &low, sizeof low);
}
inline V128 load_tail(const void* p, int64_t count) {
  alignas(16) uint8_t bytes[16] = {0};
  memcpy(bytes, p, static_cast<size_t>(count));
  return load128(bytes);
}
inline void store_tail(void* p, V128 v, int64_t count) {
  alignas(16) uint8_t bytes[16];
  store128(bytes, v);
  memcpy(p, bytes, static_cast<size_t>(count));
}

EDGECV_INLINE V128 set128_s8(int32_t v) { return set1_s8(v); }
EDGECV_INLINE V128 xor128(V128 a, V128 b) { return bit_xor(a, b); }
EDGECV_INLINE V128 min128_s8(V128 a, V128 b) { return min_s8(a, b); }
EDGECV_INLINE V128 max128_s8(V128 a, V128 b) { return max_s8(a, b); }
EDGECV_INLINE V128 spread_largest(V128 v) {
  int8x8_t m = vpmax_s8(vget_low_s8(v), vget_high_s8(v));
  m = vpmax_s8(m, m);
  m = vpmax_s8(m, m);
  m = vpmax_s8(m, m);
  return vcombine_s8(m, m);
}
EDGECV_INLINE int32_t find_byte(V128 v, V128 value) {
  // Four bits a byte.
  const uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(vceqq_s8(v, value)), 4);
  const uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(nibbles), 0);
  return mask == 0 ? -1 : __builtin_ctzll(mask) / 4;
}

EDGECV_INLINE Vec load_repeated128(const void* p) { return load(p); }
EDGECV_INLINE Vec widen_low_s8(Vec v) { return bytes_of(vmovl_s8(vget_low_s8(v))); }
EDGECV_INLINE Vec widen_high_s8(Vec v) { return bytes_of(vmovl_s8(vget_high_s8(v))); }
EDGECV_INLINE Vec widen_low_s16(Vec v) { return bytes_of(vmovl_s16(vget_low_s16(as_s16(v)))); }
EDGECV_INLINE Vec widen_high_s16(Vec v) { return bytes_of(vmovl_s16(vget_high_s16(as_s16(v)))); }
EDGECV_INLINE Vec widen_s8_s16(V128 bytes) { return widen_low_s8(bytes); }
EDGECV_INLINE Vec widen_s8_s32(V128 bytes) { return widen_low_s16(widen_low_s8(bytes)); }
EDGECV_INLINE Vec load_s8_s16(const void* p) {
  return bytes_of(vmovl_s8(vld1_s8(static_cast<const int8_t*>(p))));
}
EDGECV_INLINE Vec load_s8_s32(const void* p) { return widen_s8_s32(load32(p)); }
EDGECV_INLINE Vec gather_s32(const int32_t* table, Vec index) {
  const int32x4_t at = as_s32(index);
  int32x4_t v = vdupq_n_s32(table[vgetq_lane_s32(at, 0)]);
  v = vsetq_lane_s32(table[vgetq_lane_s32(at, 1)], v, 1);
  v = vsetq_lane_s32(table[vgetq_lane_s32(at, 2)], v, 2);
  return bytes_of(vsetq_lane_s32(table[vgetq_lane_s32(at, 3)], v, 3));
}

EDGECV_INLINE Vec load_some(const void* p, int64_t count) { return load_tail(p, count); }
EDGECV_INLINE void store_some(void* p, Vec v, int64_t count) { store_tail(p, v, count); }
EDGECV_INLINE VecF load_part_f32(const float* p, int64_t count) {
  return to_f32_bits(load_tail(p, 4 * count));
}

EDGECV_INLINE void add_to(Vec& sum, Vec product) { sum = add_s32(sum, product); }

struct Clamp {
  Vec zero_point;  // s16
  Vec lo, hi;      // s8
  bool narrow;     // than all of s8, to which packs saturate
};

inline Clamp make_clamp(int32_t zero_point, int32_t lo, int32_t hi) {
  return {set1_s16(zero_point), set1_s8(lo), set1_s8(hi), lo > -128 || hi < 127};
}

EDGECV_INLINE Vec scale_round(Vec acc, VecF multiplier) {
  return round_s32(mul_f32(to_f32(acc), multiplier));
}
EDGECV_INLINE Vec pack_words(Vec a, Vec b, const Clamp& c) {
  return sat_add_s16(pack_s32_s16(a, b), c.zero_point);
}
EDGECV_INLINE Vec clamp_bytes(Vec words01, Vec words23, const Clamp& c) {
  return min_s8(max_s8(pack_s16_s8(words01, words23), c.lo), c.hi);
}
EDGECV_INLINE Vec narrow_s32(Vec a, Vec b) { return pack_s32_s16(a, b); }
EDGECV_INLINE Vec narrow_s16(Vec a, Vec b) { return pack_s16_s8(a, b); }
EDGECV_INLINE V128 quantized_bytes(Vec rounded, const Clamp& c) {
  const Vec words = pack_words(rounded, rounded, c);
  return clamp_bytes(words, words, c);
}

EDGECV_INLINE V128 load_quarter(const void* p) { return load32(p); }
EDGECV_INLINE void store_quarter(void* p, V128 v) { store32(p, v); }
EDGECV_INLINE V128 load_quarter(const void* p, int64_t count) {
  return count == kDwords ? load32(p) : load_tail(p, count);
}
EDGECV_INLINE void store_quarter(void* p, V128 v, int64_t count) {
  if (count == kDwords) {
    store32(p, v);
  } else {
    store_tail(p, v, count);
  }
}
EDGECV_INLINE V128 load_half(const void* p) { return load64(p); }
EDGECV_INLINE void store_half(void* p, V128 v) { store64(p, v); }
EDGECV_INLINE V128 load_half(const void* p, int64_t count) {
  return count == kWords ? load64(p) : load_tail(p, count);
}
EDGECV_INLINE void store_half(void* p, V128 v, int64_t count) {
  if (count == kWords) {
    store64(p, v);
  } else {
    store_tail(p, v, count);
  }
}
EDGECV_INLINE V128 upper_bytes(Vec bytes) { return vextq_s8(bytes, bytes, 8); }
EDGECV_INLINE Vec from_low128(V128 v) { return v; }
EDGECV_INLINE void interleave_s8_s16(V128 a, V128 b, Vec* low, Vec* high) {
  const V128 pairs = zip_low_8(a, b);
  *low = widen_low_s8(pairs);
  *high = widen_high_s8(pairs);
}

inline int64_t total_s32(Vec sums) {
  const int32x4_t v = as_s32(sums);
  return int64_t{vgetq_lane_s32(v, 0)} + vgetq_lane_s32(v, 1) + vgetq_lane_s32(v, 2) +
         vgetq_lane_s32(v, 3);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_VEC_NEON_H_

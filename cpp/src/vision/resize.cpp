#include <string.h>

#include "vision/rows.h"

#if defined(__SSE2__)  // part of every x86-64
#include <emmintrin.h>
#elif defined(__ARM_NEON)  // part of every AArch64
#include <arm_neon.h>
#endif

namespace edgecv::vision {
namespace {

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

int32_t weight_of(const WeightPair* pairs, int32_t k) {
  const WeightPair& pair = pairs[k / 2];
  return pair.high[k % 2] * (1 << kLowBits) + pair.low[k % 2];
}

uint8_t to_u8(int32_t acc) {
  const int32_t v = acc >> kWeightBits;
  return static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

const WeightPair* pairs_of(const AxisWeights& axis, int32_t i) {
  return axis.pairs + static_cast<size_t>(i) * static_cast<size_t>(axis.max_pairs);
}

void resize_pixel(const uint8_t* in, const WeightPair* pairs, int32_t taps, uint8_t* out) {
  int32_t r = kHalf, g = kHalf, b = kHalf;
  for (int32_t k = 0; k < taps; ++k, in += 3) {
    const int32_t w = weight_of(pairs, k);
    r += w * in[0];
    g += w * in[1];
    b += w * in[2];
  }
  out[0] = to_u8(r);
  out[1] = to_u8(g);
  out[2] = to_u8(b);
}

void blend_columns(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps, size_t begin,
                   size_t end, uint8_t* out) {
  constexpr size_t kBlock = 64;
  for (size_t x = begin; x < end; x += kBlock) {
    const size_t n = end - x < kBlock ? end - x : kBlock;
    int32_t acc[kBlock];
    for (size_t i = 0; i < n; ++i) acc[i] = kHalf;
    for (int32_t k = 0; k < taps; ++k) {
      const uint8_t* in = rows[k] + x;
      const int32_t w = weight_of(pairs, k);
      for (size_t i = 0; i < n; ++i) acc[i] += w * in[i];
    }
    for (size_t i = 0; i < n; ++i) out[x + i] = to_u8(acc[i]);
  }
}

}  // namespace

void resize_row_portable(const uint8_t* row, const AxisWeights& axis, int32_t count, uint8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    resize_pixel(row + 3 * static_cast<size_t>(axis.start[i]), pairs_of(axis, i), axis.taps[i],
                 out + 3 * i);
  }
}

void blend_rows_portable(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out) {
  blend_columns(rows, pairs, taps, 0, bytes, out);
}

#if defined(__SSE2__)

namespace {

// Two sums of products of 16-bit halves; each may wrap, their combination is the exact s32.
struct Sums {
  __m128i high;
  __m128i low;
};

__m128i broadcast_pair(const int16_t* pair) {
  int32_t bits;
  memcpy(&bits, pair, sizeof(bits));
  return _mm_set1_epi32(bits);
}

Sums add_products(Sums sums, __m128i samples, __m128i high, __m128i low) {
  sums.high = _mm_add_epi32(sums.high, _mm_madd_epi16(samples, high));
  sums.low = _mm_add_epi32(sums.low, _mm_madd_epi16(samples, low));
  return sums;
}

// Four results as s32 in [-512, 511]: packing them with saturation is the clamp.
__m128i finish(Sums sums) {
  const __m128i acc = _mm_add_epi32(_mm_slli_epi32(sums.high, kLowBits), sums.low);
  return _mm_srai_epi32(_mm_add_epi32(acc, _mm_set1_epi32(kHalf)), kWeightBits);
}

}  // namespace

void resize_row_baseline(const uint8_t* row, size_t row_bytes, const AxisWeights& axis,
                         int32_t count, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  for (int32_t i = 0; i < count; ++i) {
    const size_t offset = 3 * static_cast<size_t>(axis.start[i]);
    const int32_t taps = axis.taps[i];
    const int32_t pair_count = (taps + 1) / 2;
    const WeightPair* pairs = pairs_of(axis, i);
    // Each step loads 8 bytes: two pixels and two bytes more. The last output stores 3 bytes,
    // not 4.
    const size_t touched = offset + 6 * static_cast<size_t>(pair_count - 1) + 8;
    if (touched > row_bytes || i + 1 == count) {
      resize_pixel(row + offset, pairs, taps, out + 3 * i);
      continue;
    }
    const uint8_t* in = row + offset;
    Sums sums = {zero, zero};
    for (int32_t k = 0; k < pair_count; ++k, in += 6) {
      const __m128i first = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in));
      const __m128i second = _mm_srli_epi64(first, 24);
      const __m128i mixed =
          _mm_unpacklo_epi8(first, second);  // R0 R1 G0 G1 B0 B1 and two strangers
      sums = add_products(sums, _mm_unpacklo_epi8(mixed, zero), broadcast_pair(pairs[k].high),
                          broadcast_pair(pairs[k].low));
    }
    const __m128i words = _mm_packs_epi32(finish(sums), zero);
    const int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(words, zero));
    memcpy(out + 3 * i, &pixel, 4);  // the fourth byte is overwritten by the next output
  }
}

void blend_rows_baseline(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const size_t whole = bytes / 16 * 16;
  for (size_t x = 0; x < whole; x += 16) {
    Sums sums[4] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};
    for (int32_t k = 0; k < taps; k += 2) {
      const __m128i high = broadcast_pair(pairs[k / 2].high);
      const __m128i low = broadcast_pair(pairs[k / 2].low);
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k] + x));
      const __m128i b =  // past the last tap the weight is zero
          k + 1 < taps ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k + 1] + x)) : zero;
      const __m128i begin = _mm_unpacklo_epi8(a, b);
      const __m128i end = _mm_unpackhi_epi8(a, b);
      sums[0] = add_products(sums[0], _mm_unpacklo_epi8(begin, zero), high, low);
      sums[1] = add_products(sums[1], _mm_unpackhi_epi8(begin, zero), high, low);
      sums[2] = add_products(sums[2], _mm_unpacklo_epi8(end, zero), high, low);
      sums[3] = add_products(sums[3], _mm_unpackhi_epi8(end, zero), high, low);
    }
    const __m128i words0 = _mm_packs_epi32(finish(sums[0]), finish(sums[1]));
    const __m128i words1 = _mm_packs_epi32(finish(sums[2]), finish(sums[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + x), _mm_packus_epi16(words0, words1));
  }
  blend_columns(rows, pairs, taps, whole, bytes, out);
}

#elif defined(__ARM_NEON)

namespace {

int32x4_t widen(uint16x4_t v) { return vreinterpretq_s32_u32(vmovl_u16(v)); }

// Eight results: narrowing with saturation is the clamp.
uint8x8_t finish(int32x4_t low, int32x4_t high) {
  return vqmovun_s16(vcombine_s16(vqmovn_s32(vshrq_n_s32(low, kWeightBits)),
                                  vqmovn_s32(vshrq_n_s32(high, kWeightBits))));
}

}  // namespace

void resize_row_baseline(const uint8_t* row, size_t row_bytes, const AxisWeights& axis,
                         int32_t count, uint8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    const size_t offset = 3 * static_cast<size_t>(axis.start[i]);
    const int32_t taps = axis.taps[i];
    const int32_t pair_count = (taps + 1) / 2;
    const WeightPair* pairs = pairs_of(axis, i);
    // Each step loads 8 bytes: two pixels and two bytes more. The last output stores 3 bytes,
    // not 4.
    const size_t touched = offset + 6 * static_cast<size_t>(pair_count - 1) + 8;
    if (touched > row_bytes || i + 1 == count) {
      resize_pixel(row + offset, pairs, taps, out + 3 * i);
      continue;
    }
    const uint8_t* in = row + offset;
    int32x4_t acc = vdupq_n_s32(kHalf);  // R G B and a stranger
    for (int32_t k = 0; k < pair_count; ++k, in += 6) {
      const uint16x8_t samples = vmovl_u8(vld1_u8(in));
      const uint16x4_t low = vget_low_u16(samples);
      const uint16x4_t next = vext_u16(low, vget_high_u16(samples), 3);
      acc = vmlaq_n_s32(acc, widen(low), weight_of(pairs, 2 * k));
      acc = vmlaq_n_s32(acc, widen(next), weight_of(pairs, 2 * k + 1));  // 0 past the last tap
    }
    const uint32_t pixel = vget_lane_u32(vreinterpret_u32_u8(finish(acc, acc)), 0);
    memcpy(out + 3 * i, &pixel, 4);  // the fourth byte is overwritten by the next output
  }
}

void blend_rows_baseline(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out) {
  const size_t whole = bytes / 16 * 16;
  for (size_t x = 0; x < whole; x += 16) {
    int32x4_t acc[4];
    for (int32x4_t& one : acc) one = vdupq_n_s32(kHalf);
    for (int32_t k = 0; k < taps; ++k) {
      const uint8x16_t in = vld1q_u8(rows[k] + x);
      const uint16x8_t begin = vmovl_u8(vget_low_u8(in));
      const uint16x8_t end = vmovl_u8(vget_high_u8(in));
      const int32_t weight = weight_of(pairs, k);
      acc[0] = vmlaq_n_s32(acc[0], widen(vget_low_u16(begin)), weight);
      acc[1] = vmlaq_n_s32(acc[1], widen(vget_high_u16(begin)), weight);
      acc[2] = vmlaq_n_s32(acc[2], widen(vget_low_u16(end)), weight);
      acc[3] = vmlaq_n_s32(acc[3], widen(vget_high_u16(end)), weight);
    }
    vst1q_u8(out + x, vcombine_u8(finish(acc[0], acc[1]), finish(acc[2], acc[3])));
  }
  blend_columns(rows, pairs, taps, whole, bytes, out);
}

#else

void resize_row_baseline(const uint8_t* row, size_t row_bytes, const AxisWeights& axis,
                         int32_t count, uint8_t* out) {
  (void)row_bytes;
  resize_row_portable(row, axis, count, out);
}

void blend_rows_baseline(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out) {
  blend_rows_portable(rows, pairs, taps, bytes, out);
}

#endif

}  // namespace edgecv::vision

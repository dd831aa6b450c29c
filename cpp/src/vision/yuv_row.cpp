// YUV -> RGB of a row: the plain loop and its vector twins. 8 (SSE2) or 16 (NEON) pixels at a time
// begin at an even pixel, so that whole chroma pairs belong to them; the rest is the plain loop's.
#include <string.h>

#include "vision/rows.h"

#if defined(__SSE2__)  // part of every x86-64
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace edgecv::vision {
namespace {

constexpr int kShift = kYuvShift;
constexpr int32_t kHalf = 1 << (kShift - 1);

uint8_t to_u8(int32_t sum) {
  const int32_t v = (sum + kHalf) >> kShift;
  return static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

}  // namespace

void yuv_row_portable(const YuvRow& row, const YuvMatrix& m, int32_t first, int32_t count,
                      uint8_t* out) {
  for (int32_t x = first; x < first + count; ++x, out += 3) {
    const uint8_t* pair = row.chroma + static_cast<size_t>(x / 2) * row.chroma_step;
    const int32_t c = row.luma[static_cast<size_t>(x) * row.luma_step] - m.offset;
    const int32_t d = pair[row.u] - 128;
    const int32_t e = pair[row.v] - 128;
    out[0] = to_u8(m.ky * c + m.vr * e);
    out[1] = to_u8(m.ky * c - m.ug * d - m.vg * e);
    out[2] = to_u8(m.ky * c + m.ub * d);
  }
}

#if defined(__SSE2__)

namespace {

constexpr int32_t kBlock = 8;

// Two s16 constants for pmaddwd, in the order of the samples.
__m128i pair_of(int32_t low, int32_t high) {
  return _mm_set1_epi32(static_cast<int32_t>((static_cast<uint32_t>(high) << 16) |
                                             (static_cast<uint32_t>(low) & 0xFFFFu)));
}

struct Constants {
  __m128i offset;
  __m128i red;    // c, e
  __m128i green;  // c, d
  __m128i rest;   // e, 1: the rest of green and its rounding
  __m128i blue;   // c, d
};

// s32 sums of two products, rounded and shifted -> eight u8 in the low half.
__m128i finish(__m128i low, __m128i high) {
  const __m128i words = _mm_packs_epi32(_mm_srai_epi32(low, kShift), _mm_srai_epi32(high, kShift));
  return _mm_packus_epi16(words, words);
}

// y, d, e: eight s16 each, d and e doubled to the pixels -> 24 bytes.
void convert(const Constants& k, __m128i y, __m128i d, __m128i e, uint8_t* out) {
  const __m128i half = _mm_set1_epi32(kHalf);
  const __m128i one = _mm_set1_epi16(1);
  const __m128i c = _mm_sub_epi16(y, k.offset);
  const __m128i ce_low = _mm_unpacklo_epi16(c, e), ce_high = _mm_unpackhi_epi16(c, e);
  const __m128i cd_low = _mm_unpacklo_epi16(c, d), cd_high = _mm_unpackhi_epi16(c, d);
  const __m128i e1_low = _mm_unpacklo_epi16(e, one), e1_high = _mm_unpackhi_epi16(e, one);
  const __m128i r = finish(_mm_add_epi32(_mm_madd_epi16(ce_low, k.red), half),
                           _mm_add_epi32(_mm_madd_epi16(ce_high, k.red), half));
  const __m128i g =
      finish(_mm_add_epi32(_mm_madd_epi16(cd_low, k.green), _mm_madd_epi16(e1_low, k.rest)),
             _mm_add_epi32(_mm_madd_epi16(cd_high, k.green), _mm_madd_epi16(e1_high, k.rest)));
  const __m128i b = finish(_mm_add_epi32(_mm_madd_epi16(cd_low, k.blue), half),
                           _mm_add_epi32(_mm_madd_epi16(cd_high, k.blue), half));
  // R G B 0 of four pixels a register, then without the zeros: 12 bytes a register.
  const __m128i rg = _mm_unpacklo_epi8(r, g);
  const __m128i b0 = _mm_unpacklo_epi8(b, _mm_setzero_si128());
  const __m128i first = _mm_set_epi32(0, 0x00FFFFFF, 0, 0x00FFFFFF);
  const __m128i second = _mm_set_epi32(0x0000FFFF, static_cast<int>(0xFF000000u), 0x0000FFFF,
                                       static_cast<int>(0xFF000000u));
  const auto tight = [&](__m128i v) {
    const __m128i sixes =
        _mm_or_si128(_mm_and_si128(v, first), _mm_and_si128(_mm_srli_epi64(v, 8), second));
    return _mm_or_si128(_mm_move_epi64(sixes), _mm_slli_si128(_mm_srli_si128(sixes, 8), 6));
  };
  const __m128i low = tight(_mm_unpacklo_epi16(rg, b0));
  const __m128i high = tight(_mm_unpackhi_epi16(rg, b0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_or_si128(low, _mm_slli_si128(high, 12)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), _mm_srli_si128(high, 4));
}

// Whole blocks from an even `first`.
void convert_blocks(const YuvRow& row, const YuvMatrix& m, int32_t first, int32_t blocks,
                    uint8_t* out) {
  const Constants k = {_mm_set1_epi16(m.offset), pair_of(m.ky, m.vr), pair_of(m.ky, -m.ug),
                       pair_of(-m.vg, kHalf), pair_of(m.ky, m.ub)};
  const __m128i low_bytes = _mm_set1_epi16(0xFF);
  const __m128i middle = _mm_set1_epi16(128);
  const bool packed = row.luma_step == 2;
  const bool v_first = row.v < row.u;
  const uint8_t* luma = row.luma + static_cast<size_t>(first) * row.luma_step;
  const uint8_t* chroma = row.chroma + static_cast<size_t>(first / 2) * row.chroma_step;
  for (int32_t i = 0; i < blocks; ++i, luma += kBlock * row.luma_step,
               chroma += kBlock / 2 * row.chroma_step, out += 3 * kBlock) {
    __m128i y, uv;  // eight s16 each; uv: four pairs
    if (packed) {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(luma));
      y = _mm_and_si128(v, low_bytes);
      uv = _mm_srli_epi16(v, 8);
    } else {
      const __m128i zero = _mm_setzero_si128();
      y = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(luma)), zero);
      uv = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(chroma)), zero);
    }
    uv = _mm_sub_epi16(uv, middle);
    const __m128i even = _mm_shufflehi_epi16(_mm_shufflelo_epi16(uv, 0xA0), 0xA0);
    const __m128i odd = _mm_shufflehi_epi16(_mm_shufflelo_epi16(uv, 0xF5), 0xF5);
    convert(k, y, v_first ? odd : even, v_first ? even : odd, out);
  }
}

}  // namespace

#elif defined(__ARM_NEON)

namespace {

constexpr int32_t kBlock = 16;

// (a * ka + b * kb + kHalf) >> kShift, clamped: the rounding shift adds kHalf in wider arithmetic.
uint8x8_t sum_of(int16x8_t a, int16_t ka, int16x8_t b, int16_t kb, int16x8_t c, int16_t kc) {
  int32x4_t low = vmull_n_s16(vget_low_s16(a), ka);
  int32x4_t high = vmull_n_s16(vget_high_s16(a), ka);
  low = vmlal_n_s16(low, vget_low_s16(b), kb);
  high = vmlal_n_s16(high, vget_high_s16(b), kb);
  low = vmlal_n_s16(low, vget_low_s16(c), kc);
  high = vmlal_n_s16(high, vget_high_s16(c), kc);
  return vqmovun_s16(vcombine_s16(vrshrn_n_s32(low, kShift), vrshrn_n_s32(high, kShift)));
}

int16x8_t minus(uint8x8_t v, int16_t offset) {
  return vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(v)), vdupq_n_s16(offset));
}

// Whole blocks from an even `first`.
void convert_blocks(const YuvRow& row, const YuvMatrix& m, int32_t first, int32_t blocks,
                    uint8_t* out) {
  const bool packed = row.luma_step == 2;
  const bool v_first = row.v < row.u;
  const uint8_t* luma = row.luma + static_cast<size_t>(first) * row.luma_step;
  const uint8_t* chroma = row.chroma + static_cast<size_t>(first / 2) * row.chroma_step;
  for (int32_t i = 0; i < blocks; ++i, luma += kBlock * row.luma_step,
               chroma += kBlock / 2 * row.chroma_step, out += 3 * kBlock) {
    uint8x8_t y[2], u, v;
    if (packed) {
      const uint8x8x4_t quads = vld4_u8(luma);  // Y0 U Y1 V of eight pairs
      const uint8x8x2_t pixels = vzip_u8(quads.val[0], quads.val[2]);
      y[0] = pixels.val[0];
      y[1] = pixels.val[1];
      u = quads.val[1];
      v = quads.val[3];
    } else {
      const uint8x8x2_t pairs = vld2_u8(chroma);
      y[0] = vld1_u8(luma);
      y[1] = vld1_u8(luma + 8);
      u = pairs.val[v_first ? 1 : 0];
      v = pairs.val[v_first ? 0 : 1];
    }
    const uint8x8x2_t us = vzip_u8(u, u);
    const uint8x8x2_t vs = vzip_u8(v, v);
    for (int half = 0; half < 2; ++half) {
      const int16x8_t c = minus(y[half], m.offset);
      const int16x8_t d = minus(us.val[half], 128);
      const int16x8_t e = minus(vs.val[half], 128);
      uint8x8x3_t rgb;
      rgb.val[0] = sum_of(c, m.ky, d, 0, e, m.vr);
      rgb.val[1] = sum_of(c, m.ky, d, static_cast<int16_t>(-m.ug), e, static_cast<int16_t>(-m.vg));
      rgb.val[2] = sum_of(c, m.ky, d, m.ub, e, 0);
      vst3_u8(out + 24 * half, rgb);
    }
  }
}

}  // namespace

#endif

void yuv_row_baseline(const YuvRow& row, const YuvMatrix& m, int32_t first, int32_t count,
                      uint8_t* out) {
#if defined(__SSE2__) || defined(__ARM_NEON)
  if (first % 2 != 0 && count > 0) {
    yuv_row_portable(row, m, first, 1, out);
    ++first;
    --count;
    out += 3;
  }
  const int32_t blocks = count / kBlock;
  convert_blocks(row, m, first, blocks, out);
  const int32_t done = blocks * kBlock;
  yuv_row_portable(row, m, first + done, count - done, out + 3 * static_cast<size_t>(done));
#else
  yuv_row_portable(row, m, first, count, out);
#endif
}

}  // namespace edgecv::vision

// The passes over rows with 256-bit vectors. What is left at the end of a row is the baseline's.
#include "vision/rows.h"

#include <immintrin.h>
#include <string.h>

namespace edgecv::vision {
namespace {

// ---- resize: sums as in vision/resize.cpp ----

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

struct Sums {
  __m256i high;
  __m256i low;
};

Sums add_products(Sums sums, __m256i samples, __m256i high, __m256i low) {
  sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(samples, high));
  sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(samples, low));
  return sums;
}

__m256i combine(Sums sums) {
  return _mm256_add_epi32(_mm256_slli_epi32(sums.high, kLowBits), sums.low);
}

__m256i two_lanes(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

__m128i load_low(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

// Two outputs at a time, one a lane, two taps a step; as many steps for all: weights past an
// output's taps are zero.
void resize_row_avx2(const uint8_t* row, size_t row_bytes, const AxisWeights& axis, int32_t count,
                     uint8_t* out) {
  const __m256i spread =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  // R0 R1 G0 G1 ..
                       0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  const __m256i half = _mm256_set1_epi32(kHalf);
  const int32_t steps = axis.max_pairs;
  const size_t stride = static_cast<size_t>(steps);
  // A step loads 8 bytes: two pixels and two bytes more. The starts never fall. The last output
  // stores 3 bytes, not 4.
  const size_t reach = 6 * (stride - 1) + 8;
  int32_t safe = count - 1;
  while (safe > 0 && 3 * static_cast<size_t>(axis.start[safe - 1]) + reach > row_bytes) --safe;
  int32_t i = 0;
  for (; i + 2 <= safe; i += 2) {
    const uint8_t* in0 = row + 3 * static_cast<size_t>(axis.start[i]);
    const uint8_t* in1 = row + 3 * static_cast<size_t>(axis.start[i + 1]);
    const WeightPair* pairs0 = axis.pairs + static_cast<size_t>(i) * stride;
    const WeightPair* pairs1 = pairs0 + stride;
    Sums sums = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int32_t k = 0; k < steps; ++k, in0 += 6, in1 += 6) {
      const __m256i pixels = two_lanes(load_low(in0), load_low(in1));
      const __m256i weights = two_lanes(load_low(pairs0 + k), load_low(pairs1 + k));
      sums = add_products(sums, _mm256_shuffle_epi8(pixels, spread),
                          _mm256_shuffle_epi32(weights, 0x00), _mm256_shuffle_epi32(weights, 0x55));
    }
    const __m256i rounded = _mm256_srai_epi32(_mm256_add_epi32(combine(sums), half), kWeightBits);
    const __m256i words = _mm256_packs_epi32(rounded, rounded);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const int32_t pixel0 = _mm_cvtsi128_si32(_mm256_castsi256_si128(bytes));
    const int32_t pixel1 = _mm_cvtsi128_si32(_mm256_extracti128_si256(bytes, 1));
    memcpy(out + 3 * i, &pixel0, 4);  // the fourth byte is overwritten by the next output
    memcpy(out + 3 * i + 3, &pixel1, 4);
  }
  const AxisWeights rest = {axis.start + i, axis.taps + i,
                            axis.pairs + static_cast<size_t>(i) * stride, axis.max_taps,
                            axis.max_pairs};
  kBaselineRows.resize_row(row, row_bytes, rest, count - i, out + 3 * i);
}

__m256i broadcast_pair(const int16_t* pair) {
  int32_t bits;
  memcpy(&bits, pair, sizeof(bits));
  return _mm256_set1_epi32(bits);
}

__m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

__m256i finish(Sums sums) {
  return _mm256_srai_epi32(_mm256_add_epi32(combine(sums), _mm256_set1_epi32(kHalf)), kWeightBits);
}

void blend_rows_avx2(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                     size_t bytes, uint8_t* out) {
  constexpr size_t kBlock = 32;
  if (bytes < kBlock) return kBaselineRows.blend_rows(rows, pairs, taps, bytes, out);
  const __m256i zero = _mm256_setzero_si256();
  for (size_t done = 0; done < bytes; done += kBlock) {
    const size_t x = done + kBlock <= bytes ? done : bytes - kBlock;  // the last may overlap
    Sums sums[4] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};
    for (int32_t k = 0; k < taps; k += 2) {
      const __m256i high = broadcast_pair(pairs[k / 2].high);
      const __m256i low = broadcast_pair(pairs[k / 2].low);
      const __m256i a = load(rows[k] + x);
      const __m256i b = k + 1 < taps ? load(rows[k + 1] + x) : zero;  // its weight is zero
      const __m256i begin = _mm256_unpacklo_epi8(a, b);
      const __m256i end = _mm256_unpackhi_epi8(a, b);
      sums[0] = add_products(sums[0], _mm256_unpacklo_epi8(begin, zero), high, low);
      sums[1] = add_products(sums[1], _mm256_unpackhi_epi8(begin, zero), high, low);
      sums[2] = add_products(sums[2], _mm256_unpacklo_epi8(end, zero), high, low);
      sums[3] = add_products(sums[3], _mm256_unpackhi_epi8(end, zero), high, low);
    }
    // Unpacking and packing keep to the lanes alike.
    const __m256i words0 = _mm256_packs_epi32(finish(sums[0]), finish(sums[1]));
    const __m256i words1 = _mm256_packs_epi32(finish(sums[2]), finish(sums[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), _mm256_packus_epi16(words0, words1));
  }
}

// ---- YUV ----

constexpr int32_t kPixels = 16;
constexpr int32_t kYuvHalf = 1 << (kYuvShift - 1);

// Two s16 constants for vpmaddwd, in the order of the samples.
__m256i pair_of(int32_t low, int32_t high) {
  return _mm256_set1_epi32(static_cast<int32_t>((static_cast<uint32_t>(high) << 16) |
                                                (static_cast<uint32_t>(low) & 0xFFFFu)));
}

struct Constants {
  __m256i offset;
  __m256i red;    // c, e
  __m256i green;  // c, d
  __m256i rest;   // e, 1: the rest of green and its rounding
  __m256i blue;   // c, d
};

// s32 sums of two products, rounded and shifted -> eight u8 in the low half of each lane.
__m256i finish_yuv(__m256i low, __m256i high) {
  const __m256i words =
      _mm256_packs_epi32(_mm256_srai_epi32(low, kYuvShift), _mm256_srai_epi32(high, kYuvShift));
  return _mm256_packus_epi16(words, words);
}

// y, d, e: sixteen s16 each, d and e doubled to the pixels -> 48 bytes.
void convert(const Constants& k, __m256i y, __m256i d, __m256i e, uint8_t* out) {
  const __m256i half = _mm256_set1_epi32(kYuvHalf);
  const __m256i one = _mm256_set1_epi16(1);
  const __m256i c = _mm256_sub_epi16(y, k.offset);
  const __m256i ce_low = _mm256_unpacklo_epi16(c, e), ce_high = _mm256_unpackhi_epi16(c, e);
  const __m256i cd_low = _mm256_unpacklo_epi16(c, d), cd_high = _mm256_unpackhi_epi16(c, d);
  const __m256i e1_low = _mm256_unpacklo_epi16(e, one), e1_high = _mm256_unpackhi_epi16(e, one);
  const __m256i r = finish_yuv(_mm256_add_epi32(_mm256_madd_epi16(ce_low, k.red), half),
                               _mm256_add_epi32(_mm256_madd_epi16(ce_high, k.red), half));
  const __m256i g = finish_yuv(
      _mm256_add_epi32(_mm256_madd_epi16(cd_low, k.green), _mm256_madd_epi16(e1_low, k.rest)),
      _mm256_add_epi32(_mm256_madd_epi16(cd_high, k.green), _mm256_madd_epi16(e1_high, k.rest)));
  const __m256i b = finish_yuv(_mm256_add_epi32(_mm256_madd_epi16(cd_low, k.blue), half),
                               _mm256_add_epi32(_mm256_madd_epi16(cd_high, k.blue), half));
  // R G B 0 of four pixels a lane, then without the zeros: 24 bytes a lane.
  const __m256i rg = _mm256_unpacklo_epi8(r, g);
  const __m256i b0 = _mm256_unpacklo_epi8(b, _mm256_setzero_si256());
  const __m256i low = _mm256_unpacklo_epi16(rg, b0);
  const __m256i high = _mm256_unpackhi_epi16(rg, b0);
  const __m256i tight = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                         0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m256i head = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2, 4,
                                        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2, 4);
  const __m256i tail =
      _mm256_setr_epi8(5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, -1, -1, -1, -1,  //
                       5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i first =
      _mm256_or_si256(_mm256_shuffle_epi8(low, tight), _mm256_shuffle_epi8(high, head));
  const __m256i last = _mm256_shuffle_epi8(high, tail);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(first));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), _mm256_castsi256_si128(last));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 24), _mm256_extracti128_si256(first, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 40), _mm256_extracti128_si256(last, 1));
}

__m256i widen(const uint8_t* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

void yuv_row_avx2(const YuvRow& row, const YuvMatrix& m, int32_t first, int32_t count,
                  uint8_t* out) {
  if (first % 2 != 0 && count > 0) {  // so that whole chroma pairs belong to a block
    yuv_row_portable(row, m, first, 1, out);
    ++first;
    --count;
    out += 3;
  }
  const Constants k = {_mm256_set1_epi16(m.offset), pair_of(m.ky, m.vr), pair_of(m.ky, -m.ug),
                       pair_of(-m.vg, kYuvHalf), pair_of(m.ky, m.ub)};
  const __m256i low_bytes = _mm256_set1_epi16(0xFF);
  const __m256i middle = _mm256_set1_epi16(128);
  const bool packed = row.luma_step == 2;
  const bool v_first = row.v < row.u;
  const uint8_t* luma = row.luma + static_cast<size_t>(first) * row.luma_step;
  const uint8_t* chroma = row.chroma + static_cast<size_t>(first / 2) * row.chroma_step;
  const int32_t blocks = count / kPixels;
  for (int32_t i = 0; i < blocks; ++i, luma += kPixels * row.luma_step,
               chroma += kPixels / 2 * row.chroma_step, out += 3 * kPixels) {
    __m256i y, uv;  // sixteen s16 each; uv: eight pairs
    if (packed) {
      const __m256i v = load(luma);
      y = _mm256_and_si256(v, low_bytes);
      uv = _mm256_srli_epi16(v, 8);
    } else {
      y = widen(luma);
      uv = widen(chroma);
    }
    uv = _mm256_sub_epi16(uv, middle);
    const __m256i even = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(uv, 0xA0), 0xA0);
    const __m256i odd = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(uv, 0xF5), 0xF5);
    convert(k, y, v_first ? odd : even, v_first ? even : odd, out);
  }
  const int32_t done = blocks * kPixels;
  kBaselineRows.yuv_row(row, m, first + done, count - done, out);
}

}  // namespace

const RowCode kAvx2Rows = {"avx2", resize_row_avx2, blend_rows_avx2, yuv_row_avx2};

}  // namespace edgecv::vision

// Resize s8, NHWC, 16 channels a step. A work item is an output row.
//
// With Q11 weights, vpmaddwd makes a horizontal step of 8 channels (pairs p0, p1 times pairs 2048 -
// wx, wx) and two vpmulld the vertical one; |values| stay below 2^30. A pixel whose weights are
// both 0 (nearest neighbour) is a copy.
#include "kernels/resize.h"

#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {

const ResizeProblem& as_resize(const void* problem) {
  return *static_cast<const ResizeProblem*>(problem);
}

int64_t resize_items(const void* problem) {
  const ResizeProblem& p = as_resize(problem);
  return int64_t{p.batch} * p.out_h;
}

struct Corners {
  const int8_t* at[4];  // top left, top right, bottom left, bottom right
  __m256i horizontal;   // s16 pairs (2048 - wx, wx)
  __m256i top, bottom;  // s32 2048 - wy, wy
};

// 8 channels from words of the four corners, already interleaved left with right.
EDGECV_INLINE __m256i blend(__m256i top, __m256i bottom, const Corners& k) {
  const __m256i upper = _mm256_mullo_epi32(_mm256_madd_epi16(top, k.horizontal), k.top);
  const __m256i lower = _mm256_mullo_epi32(_mm256_madd_epi16(bottom, k.horizontal), k.bottom);
  const __m256i rounding = _mm256_set1_epi32(1 << 21);
  return _mm256_srai_epi32(_mm256_add_epi32(_mm256_add_epi32(upper, lower), rounding), 22);
}

EDGECV_INLINE __m128i blend16(__m128i p00, __m128i p01, __m128i p10, __m128i p11,
                              const Corners& k) {
  const __m256i low = blend(_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(p00, p01)),
                            _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(p10, p11)), k);
  const __m256i high = blend(_mm256_cvtepi8_epi16(_mm_unpackhi_epi8(p00, p01)),
                             _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(p10, p11)), k);
  // packs works per half: words are low[0..3] high[0..3] | low[4..7] high[4..7], put in order on
  // the way.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
  return _mm_packs_epi16(low_half(words), high_half(words));
}

void resize_pixel(const Corners k, int64_t channels, int8_t* y) {
  int64_t c = 0;
  for (; c + 16 <= channels; c += 16) {
    store128(y + c, blend16(load128(k.at[0] + c), load128(k.at[1] + c), load128(k.at[2] + c),
                            load128(k.at[3] + c), k));
  }
  if (c < channels) {
    const int64_t left = channels - c;
    const __m128i out = blend16(load_tail(k.at[0] + c, left), load_tail(k.at[1] + c, left),
                                load_tail(k.at[2] + c, left), load_tail(k.at[3] + c, left), k);
    store_tail(y + c, out, left);
  }
}

int resize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ResizeProblem& p = as_resize(problem);
  const auto* y_weight = static_cast<const int32_t*>(p.y_weight);
  const auto* x_weight = static_cast<const int32_t*>(p.x_weight);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, oy = item % p.out_h;
    const auto* image =
        static_cast<const int8_t*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    const int8_t* first = image + int64_t{p.y_index[oy]} * p.in_w * p.in_stride;
    const int8_t* second = image + int64_t{p.y_index[p.out_h + oy]} * p.in_w * p.in_stride;
    auto* y = static_cast<int8_t*>(operands.out) + item * p.out_w * p.out_stride;
    const int32_t wy = y_weight[oy];
    Corners k;
    k.top = _mm256_set1_epi32(2048 - wy);
    k.bottom = _mm256_set1_epi32(wy);
    for (int64_t ox = 0; ox < p.out_w; ++ox, y += p.out_stride) {
      const int64_t x0 = p.x_index[ox] * p.in_stride, x1 = p.x_index[p.out_w + ox] * p.in_stride;
      const int32_t wx = x_weight[ox];
      if (wx == 0 && wy == 0) {
        memcpy(y, first + x0, static_cast<size_t>(p.channels));
        continue;
      }
      k.at[0] = first + x0;
      k.at[1] = first + x1;
      k.at[2] = second + x0;
      k.at[3] = second + x1;
      k.horizontal = _mm256_set1_epi32(
          static_cast<int32_t>(static_cast<uint32_t>(wx) << 16 | static_cast<uint32_t>(2048 - wx)));
      resize_pixel(k, p.channels, y);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel resize_s8_c16 = {
    "resize_s8_c16__avx2",
    "avx2",
    Family::kResizeS8,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    resize_items,
    resize_run,
};

}  // namespace edgecv::kernels::avx2

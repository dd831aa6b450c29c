// Max and average pooling, s8, NHWC: 32 channels of a pixel at a time. A work item is an output
// row.
#include "kernels/pool.h"

#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {

const PoolProblem& as_pool(const void* problem) {
  return *static_cast<const PoolProblem*>(problem);
}

int64_t pool_items(const void* problem) {
  const PoolProblem& p = as_pool(problem);
  return int64_t{p.batch} * p.out_h;
}

// Taps [first, last) of one axis land in [begin, end).
struct TapRange {
  int64_t first, last;
};

TapRange taps_in(int64_t origin, int64_t kernel, int64_t dilation, int64_t begin, int64_t end) {
  const int64_t first = origin >= begin ? 0 : min_of(kernel, div_up(begin - origin, dilation));
  const int64_t last = origin >= end ? 0 : min_of(kernel, div_up(end - origin, dilation));
  return {first, max_of(first, last)};
}

// The taps of one output pixel that lie in the image: `rows` x `columns` pixels from `x`.
struct Window {
  const int8_t* x;
  int64_t rows, columns;
  int64_t row_step, column_step;
};

template <bool kWhole>
EDGECV_INLINE __m256i load_channels(const int8_t* x, int64_t count) {
  if (kWhole) return load256(x);
  const __m128i low = load_tail(x, min_of(count, 16));
  return _mm256_set_m128i(count > 16 ? load_tail(x + 16, count - 16) : _mm_setzero_si128(), low);
}

template <bool kWhole>
EDGECV_INLINE void store_channels(int8_t* y, __m256i bytes, int64_t count) {
  if (kWhole) {
    store256(y, bytes);
  } else {
    store_tail(y, low_half(bytes), min_of(count, 16));
    if (count > 16) store_tail(y + 16, high_half(bytes), count - 16);
  }
}

template <bool kWhole>
void max_channels(const Window w, int8_t* y, int64_t count) {
  __m256i best = _mm256_set1_epi8(-128);
  for (int64_t r = 0; r < w.rows; ++r) {
    const int8_t* x = w.x + r * w.row_step;
    for (int64_t c = 0; c < w.columns; ++c, x += w.column_step) {
      best = _mm256_max_epi8(best, load_channels<kWhole>(x, count));
    }
  }
  store_channels<kWhole>(y, best, count);
}

// `offset` is (taps in the image) * zero_point. A kernel row's sums are kept in s16 for up to 255
// taps.
template <bool kWhole>
void average_channels(const Window w, int8_t* y, int64_t count, int32_t offset, float multiplier,
                      const Clamp clamp) {
  __m256i sums[4];
  unroll<4>([&](auto i) __attribute__((always_inline)) { sums[i] = _mm256_set1_epi32(-offset); });
  for (int64_t r = 0; r < w.rows; ++r) {
    const int8_t* x = w.x + r * w.row_step;
    for (int64_t c = 0; c < w.columns;) {
      const int64_t stop = min_of(w.columns, c + 255);
      __m256i low = _mm256_setzero_si256(), high = low;
      for (; c < stop; ++c, x += w.column_step) {
        const __m256i bytes = load_channels<kWhole>(x, count);
        low = _mm256_add_epi16(low, _mm256_cvtepi8_epi16(low_half(bytes)));
        high = _mm256_add_epi16(high, _mm256_cvtepi8_epi16(high_half(bytes)));
      }
      sums[0] = _mm256_add_epi32(sums[0], _mm256_cvtepi16_epi32(low_half(low)));
      sums[1] = _mm256_add_epi32(sums[1], _mm256_cvtepi16_epi32(high_half(low)));
      sums[2] = _mm256_add_epi32(sums[2], _mm256_cvtepi16_epi32(low_half(high)));
      sums[3] = _mm256_add_epi32(sums[3], _mm256_cvtepi16_epi32(high_half(high)));
    }
  }
  const __m256 m = _mm256_set1_ps(multiplier);
  unroll<4>([&](auto i) __attribute__((always_inline)) { sums[i] = scale_round(sums[i], m); });
  const __m256i bytes =
      clamp_bytes(pack_words(sums[0], sums[1], clamp), pack_words(sums[2], sums[3], clamp), clamp);
  store_channels<kWhole>(y, bytes, count);
}

int64_t tap_count(const TapRange& range) { return range.last - range.first; }

int pool_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const PoolProblem& p = as_pool(problem);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  Window w;
  w.row_step = int64_t{p.dilation_h} * p.in_w * p.in_stride;
  w.column_step = int64_t{p.dilation_w} * p.in_stride;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, top = item % p.out_h * p.stride_h - p.pad_top;
    const auto* image =
        static_cast<const int8_t*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    auto* y = static_cast<int8_t*>(operands.out) + item * p.out_w * p.out_stride;
    const TapRange rows = taps_in(top, p.kernel_h, p.dilation_h, 0, p.in_h);
    w.rows = tap_count(rows);
    const int64_t counted_rows = p.count_include_pad
                                     ? tap_count(taps_in(top, p.kernel_h, p.dilation_h, -p.pad_top,
                                                         int64_t{p.in_h} + p.count_pad_bottom))
                                     : w.rows;
    for (int64_t ow = 0; ow < p.out_w; ++ow, y += p.out_stride) {
      const int64_t left = ow * p.stride_w - p.pad_left;
      const TapRange columns = taps_in(left, p.kernel_w, p.dilation_w, 0, p.in_w);
      w.columns = tap_count(columns);
      const int64_t y0 = top + rows.first * p.dilation_h, x0 = left + columns.first * p.dilation_w;
      const int8_t* x = image + (y0 * p.in_w + x0) * p.in_stride;
      float multiplier = 0.0f;
      if (p.op == PoolOp::kAverage) {
        const int64_t counted_columns =
            p.count_include_pad ? tap_count(taps_in(left, p.kernel_w, p.dilation_w, -p.pad_left,
                                                    int64_t{p.in_w} + p.count_pad_right))
                                : w.columns;
        multiplier = p.multiplier[counted_rows * counted_columns - 1];
      }
      const auto offset = static_cast<int32_t>(w.rows * w.columns * p.in_zero_point);
      for (int64_t c = 0; c < p.channels; c += 32) {
        const int64_t count = min_of(32, p.channels - c);
        w.x = x + c;
        if (p.op == PoolOp::kMax) {
          (count == 32 ? max_channels<true> : max_channels<false>)(w, y + c, count);
        } else {
          (count == 32 ? average_channels<true> : average_channels<false>)(w, y + c, count, offset,
                                                                           multiplier, clamp);
        }
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel pool_s8_c32 = {
    "pool_s8_c32__avx2", "avx2",   Family::kPoolS8, kIsaAvx2, nullptr, nullptr, nullptr, nullptr,
    pool_items,          pool_run,
};

}  // namespace edgecv::kernels::avx2

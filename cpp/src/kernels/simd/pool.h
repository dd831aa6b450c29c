// Max and average pooling, s8, NHWC: kVecBytes channels of a pixel at a time. A work item is an
// output row.
#ifndef EDGECV_KERNELS_SIMD_POOL_H_
#define EDGECV_KERNELS_SIMD_POOL_H_

#include "kernels/pool.h"

namespace edgecv::kernels::EDGECV_ISA {
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

// How many channels of a pixel are loaded together: a vector, 16, 8, or fewer, byte by byte.
enum class Lanes { kVector, kSixteen, kEight, kFew };

template <Lanes kLanes>
EDGECV_INLINE Vec load_channels(const int8_t* x, int64_t count) {
  if constexpr (kLanes == Lanes::kVector) return load(x);
  if constexpr (kLanes == Lanes::kSixteen) return from_low128(load128(x));
  if constexpr (kLanes == Lanes::kEight) return from_low128(load64(x));
  return from_low128(load_tail(x, count));
}

template <Lanes kLanes>
EDGECV_INLINE void store_channels(int8_t* y, Vec bytes, int64_t count) {
  if constexpr (kLanes == Lanes::kVector) store(y, bytes);
  if constexpr (kLanes == Lanes::kSixteen) store128(y, low_half(bytes));
  if constexpr (kLanes == Lanes::kEight) store64(y, low_half(bytes));
  if constexpr (kLanes == Lanes::kFew) store_tail(y, low_half(bytes), count);
}

template <Lanes kLanes>
void max_channels(const Window w, int8_t* y, int64_t count) {
  Vec best = set1_s8(-128);
  for (int64_t r = 0; r < w.rows; ++r) {
    const int8_t* x = w.x + r * w.row_step;
    for (int64_t c = 0; c < w.columns; ++c, x += w.column_step) {
      best = max_s8(best, load_channels<kLanes>(x, count));
    }
  }
  store_channels<kLanes>(y, best, count);
}

// `offset` is of Average. A kernel row's sums are kept in s16 for up to 255
// taps.
template <Lanes kLanes>
void average_channels(const Window w, int8_t* y, int64_t count, int32_t offset, float multiplier,
                      const Clamp clamp) {
  Vec sums[4];
  unroll<4>([&](auto i) __attribute__((always_inline)) { sums[i] = set1_s32(-offset); });
  for (int64_t r = 0; r < w.rows; ++r) {
    const int8_t* x = w.x + r * w.row_step;
    for (int64_t c = 0; c < w.columns;) {
      const int64_t stop = min_of(w.columns, c + 255);
      Vec low = zero(), high = zero();
      for (; c < stop; ++c, x += w.column_step) {
        const Vec bytes = load_channels<kLanes>(x, count);
        low = add_s16(low, widen_low_s8(bytes));
        high = add_s16(high, widen_high_s8(bytes));
      }
      sums[0] = add_s32(sums[0], widen_low_s16(low));
      sums[1] = add_s32(sums[1], widen_high_s16(low));
      sums[2] = add_s32(sums[2], widen_low_s16(high));
      sums[3] = add_s32(sums[3], widen_high_s16(high));
    }
  }
  const VecF m = set1_f32(multiplier);
  unroll<4>([&](auto i) __attribute__((always_inline)) { sums[i] = scale_round(sums[i], m); });
  const Vec bytes =
      clamp_bytes(pack_words(sums[0], sums[1], clamp), pack_words(sums[2], sums[3], clamp), clamp);
  store_channels<kLanes>(y, bytes, count);
}

struct Average {
  int32_t offset;  // (taps in the image) * zero_point
  float multiplier;
};

// All channels, kStep at a time; the last ones overlap those before.
template <Lanes kLanes, int64_t kStep>
void pool_channels(const PoolProblem& p, Window w, int8_t* y, const Average& average,
                   const Clamp& clamp) {
  const int8_t* const x = w.x;
  for (int64_t next = 0; next < p.channels; next += kStep) {
    const int64_t c = kLanes == Lanes::kFew ? next : min_of(next, p.channels - kStep);
    const int64_t count = min_of(kStep, p.channels - c);
    w.x = x + c;
    if (p.op == PoolOp::kMax) {
      max_channels<kLanes>(w, y + c, count);
    } else {
      average_channels<kLanes>(w, y + c, count, average.offset, average.multiplier, clamp);
    }
  }
}

void pool_pixel(const PoolProblem& p, const Window& w, int8_t* y, const Average& average,
                const Clamp& clamp) {
  if (p.channels >= kVecBytes) {
    pool_channels<Lanes::kVector, kVecBytes>(p, w, y, average, clamp);
  } else if (p.channels >= 16) {
    pool_channels<Lanes::kSixteen, 16>(p, w, y, average, clamp);
  } else if (p.channels >= 8) {
    pool_channels<Lanes::kEight, 8>(p, w, y, average, clamp);
  } else {
    pool_channels<Lanes::kFew, 8>(p, w, y, average, clamp);
  }
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
      const Average average = {static_cast<int32_t>(w.rows * w.columns * p.in_zero_point),
                               multiplier};
      w.x = x;
      pool_pixel(p, w, y, average, clamp);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_POOL_H_

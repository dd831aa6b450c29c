// One work item is one output pixel.
#include "kernels/pool.h"

#include <math.h>

#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

int64_t items(const void* problem) {
  const auto& p = *static_cast<const PoolProblem*>(problem);
  return static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
}

// The window of one output pixel: kernel coordinates [kh_begin, kh_end) x [kw_begin, kw_end) lie
// inside the image.
struct Window {
  int64_t
      corner;  // index of the input pixel under kernel coordinate (0, 0); may lie outside the image
  int32_t kh_begin, kh_end, kw_begin, kw_end;
  int32_t count;  // what an average divides by
};

// Kernel coordinates k in [0, kernel) with origin + k * dilation in [begin, end).
void clip_range(int32_t origin, int32_t kernel, int32_t dilation, int32_t begin, int32_t end,
                int32_t* first, int32_t* last) {
  *first = kernel;
  *last = kernel;
  for (int32_t k = kernel - 1; k >= 0; --k) {
    const int32_t at = origin + k * dilation;
    if (at >= end) *last = k;
    if (at >= begin) *first = k;
  }
  if (*first > *last) *first = *last;
}

Window window_at(const PoolProblem& p, int64_t index) {
  const int64_t row = index / p.out_w;
  const int64_t n = row / p.out_h;
  const int32_t top = static_cast<int32_t>(row % p.out_h) * p.stride_h - p.pad_top;
  const int32_t left = static_cast<int32_t>(index % p.out_w) * p.stride_w - p.pad_left;
  Window window;
  window.corner = (n * p.in_h + top) * p.in_w + left;
  clip_range(top, p.kernel_h, p.dilation_h, 0, p.in_h, &window.kh_begin, &window.kh_end);
  clip_range(left, p.kernel_w, p.dilation_w, 0, p.in_w, &window.kw_begin, &window.kw_end);
  int32_t rows = window.kh_end - window.kh_begin;
  int32_t columns = window.kw_end - window.kw_begin;
  if (p.count_include_pad) {
    int32_t first, last;
    clip_range(top, p.kernel_h, p.dilation_h, -p.pad_top, p.in_h + p.count_pad_bottom, &first,
               &last);
    rows = last - first;
    clip_range(left, p.kernel_w, p.dilation_w, -p.pad_left, p.in_w + p.count_pad_right, &first,
               &last);
    columns = last - first;
  }
  window.count = rows * columns;
  return window;
}

template <typename T>
const T* pixel_of(const PoolProblem& p, const Operands& operands, const Window& window, int32_t kh,
                  int32_t kw) {
  const int64_t pixel = window.corner + static_cast<int64_t>(kh) * p.dilation_h * p.in_w +
                        static_cast<int64_t>(kw) * p.dilation_w;
  return static_cast<const T*>(operands.in[0]) + pixel * p.in_stride;
}

// Calls take(input pixel) for every position of the window inside the image.
template <typename T, typename Take>
void for_window(const PoolProblem& p, const Operands& operands, const Window& window, Take take) {
  for (int32_t kh = window.kh_begin; kh < window.kh_end; ++kh) {
    for (int32_t kw = window.kw_begin; kw < window.kw_end; ++kw) {
      take(pixel_of<T>(p, operands, window, kh, kw));
    }
  }
}

size_t scratch_s8(const void* problem) {
  return static_cast<size_t>(static_cast<const PoolProblem*>(problem)->channels) * sizeof(int32_t);
}

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end,
           void* scratch) {
  const auto& p = *static_cast<const PoolProblem*>(problem);
  auto* acc = static_cast<int32_t*>(scratch);
  for (int64_t index = begin; index < end; ++index) {
    const Window window = window_at(p, index);
    int8_t* __restrict y = static_cast<int8_t*>(operands.out) + index * p.out_stride;
    if (p.op == PoolOp::kMax) {
      for (int32_t c = 0; c < p.channels; ++c) y[c] = -128;
      for_window<int8_t>(p, operands, window, [&](const int8_t* x) {
        for (int32_t c = 0; c < p.channels; ++c) y[c] = x[c] > y[c] ? x[c] : y[c];
      });
      continue;
    }
    for (int32_t c = 0; c < p.channels; ++c) acc[c] = 0;
    for_window<int8_t>(p, operands, window, [&](const int8_t* x) {
      for (int32_t c = 0; c < p.channels; ++c) acc[c] += x[c] - p.in_zero_point;
    });
    const float multiplier = p.multiplier[window.count - 1];
    for (int32_t c = 0; c < p.channels; ++c) {
      y[c] = requantize(acc[c], multiplier, p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const PoolProblem*>(problem);
  for (int64_t index = begin; index < end; ++index) {
    const Window window = window_at(p, index);
    float* __restrict y = static_cast<float*>(operands.out) + index * p.out_stride;
    if (p.op == PoolOp::kMax) {
      for (int32_t c = 0; c < p.channels; ++c) y[c] = -INFINITY;
      for_window<float>(p, operands, window, [&](const float* x) {
        for (int32_t c = 0; c < p.channels; ++c) y[c] = x[c] > y[c] ? x[c] : y[c];
      });
      continue;
    }
    for (int32_t c = 0; c < p.channels; ++c) y[c] = 0.0f;
    for_window<float>(p, operands, window, [&](const float* x) {
      for (int32_t c = 0; c < p.channels; ++c) y[c] += x[c];
    });
    const float count = static_cast<float>(window.count);
    for (int32_t c = 0; c < p.channels; ++c) y[c] /= count;
  }
  return 0;
}

}  // namespace

extern const Kernel pool_s8 = {"pool_s8_any__reference",
                               "reference",
                               Family::kPoolS8,
                               kIsaBaseline,
                               nullptr,
                               nullptr,
                               nullptr,
                               scratch_s8,
                               items,
                               run_s8};

extern const Kernel pool_f32 = {"pool_f32_any__reference",
                                "reference",
                                Family::kPoolF32,
                                kIsaBaseline,
                                nullptr,
                                nullptr,
                                nullptr,
                                nullptr,
                                items,
                                run_f32};

}  // namespace edgecv::kernels::reference

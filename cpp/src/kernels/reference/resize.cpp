// One work item is one output row.
#include "kernels/resize.h"

namespace edgecv::kernels::reference {
namespace {

int64_t items(const void* problem) {
  const auto& p = *static_cast<const ResizeProblem*>(problem);
  return static_cast<int64_t>(p.batch) * p.out_h;
}

// The two input rows, and per column the two input pixels, of an output row.
template <typename T>
struct Row {
  const T* first;
  const T* second;
  T* out;
  int32_t oy;
};

template <typename T>
Row<T> row_at(const ResizeProblem& p, const Operands& operands, int64_t item) {
  const int64_t n = item / p.out_h;
  const int32_t oy = static_cast<int32_t>(item % p.out_h);
  const T* image = static_cast<const T*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
  return {image + static_cast<int64_t>(p.y_index[oy]) * p.in_w * p.in_stride,
          image + static_cast<int64_t>(p.y_index[p.out_h + oy]) * p.in_w * p.in_stride,
          static_cast<T*>(operands.out) + item * p.out_w * p.out_stride, oy};
}

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ResizeProblem*>(problem);
  for (int64_t item = begin; item < end; ++item) {
    const Row<int8_t> row = row_at<int8_t>(p, operands, item);
    const int32_t wy = static_cast<const int32_t*>(p.y_weight)[row.oy];
    for (int32_t ox = 0; ox < p.out_w; ++ox) {
      const int64_t x0 = p.x_index[ox] * p.in_stride;
      const int64_t x1 = p.x_index[p.out_w + ox] * p.in_stride;
      const int32_t wx = static_cast<const int32_t*>(p.x_weight)[ox];
      int8_t* y = row.out + ox * p.out_stride;
      for (int32_t c = 0; c < p.channels; ++c) {
        const int32_t top = row.first[x0 + c] * (2048 - wx) + row.first[x1 + c] * wx;
        const int32_t bottom = row.second[x0 + c] * (2048 - wx) + row.second[x1 + c] * wx;
        const int32_t value = top * (2048 - wy) + bottom * wy;
        y[c] = static_cast<int8_t>((value + (1 << 21)) >> 22);
      }
    }
  }
  return 0;
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ResizeProblem*>(problem);
  for (int64_t item = begin; item < end; ++item) {
    const Row<float> row = row_at<float>(p, operands, item);
    const float wy = static_cast<const float*>(p.y_weight)[row.oy];
    for (int32_t ox = 0; ox < p.out_w; ++ox) {
      const int64_t x0 = p.x_index[ox] * p.in_stride;
      const int64_t x1 = p.x_index[p.out_w + ox] * p.in_stride;
      const float wx = static_cast<const float*>(p.x_weight)[ox];
      float* y = row.out + ox * p.out_stride;
      for (int32_t c = 0; c < p.channels; ++c) {
        const float top = row.first[x0 + c] * (1.0f - wx) + row.first[x1 + c] * wx;
        const float bottom = row.second[x0 + c] * (1.0f - wx) + row.second[x1 + c] * wx;
        y[c] = top * (1.0f - wy) + bottom * wy;
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel resize_s8 = {"resize_s8_any__reference",
                                 "reference",
                                 Family::kResizeS8,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 items,
                                 run_s8};

extern const Kernel resize_f32 = {"resize_f32_any__reference",
                                  "reference",
                                  Family::kResizeF32,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  items,
                                  run_f32};

}  // namespace edgecv::kernels::reference

// Resize in f32: 8 channels a step; a pixel whose weights are 0 is a copy.
#include "kernels/resize.h"

#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

// Items: output rows.
int64_t work_items(const void* problem) {
  const auto& p = *static_cast<const ResizeProblem*>(problem);
  return int64_t{p.batch} * p.out_h;
}

struct Corners {
  const float *top_left, *top_right, *bottom_left, *bottom_right;
};

struct Weights {
  __m256 left, right, top, bottom;
};

EDGECV_INLINE __m256 blend(__m256 a, __m256 b, __m256 c, __m256 d, const Weights& w) {
  const __m256 top = _mm256_fmadd_ps(a, w.left, b * w.right);
  const __m256 bottom = _mm256_fmadd_ps(c, w.left, d * w.right);
  return _mm256_fmadd_ps(top, w.top, bottom * w.bottom);
}

EDGECV_INLINE void resize_pixel(const Corners& from, const Weights& w, int64_t channels,
                                float* out) {
  int64_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    store8(out + c, blend(load8(from.top_left + c), load8(from.top_right + c),
                          load8(from.bottom_left + c), load8(from.bottom_right + c), w));
  }
  if (c == channels) return;
  const int64_t rest = channels - c;
  store_tail(
      out + c,
      blend(load_tail(from.top_left + c, rest), load_tail(from.top_right + c, rest),
            load_tail(from.bottom_left + c, rest), load_tail(from.bottom_right + c, rest), w),
      rest);
}

int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ResizeProblem*>(problem);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, oy = item % p.out_h;
    const float* image =
        static_cast<const float*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    const float* first = image + int64_t{p.y_index[oy]} * p.in_w * p.in_stride;
    const float* second = image + int64_t{p.y_index[p.out_h + oy]} * p.in_w * p.in_stride;
    const float wy = static_cast<const float*>(p.y_weight)[oy];
    float* out = static_cast<float*>(operands.out) + item * p.out_w * p.out_stride;
    for (int64_t ox = 0; ox < p.out_w; ++ox, out += p.out_stride) {
      const int64_t x0 = p.x_index[ox] * p.in_stride, x1 = p.x_index[p.out_w + ox] * p.in_stride;
      const float wx = static_cast<const float*>(p.x_weight)[ox];
      if (wx == 0.0f && wy == 0.0f) {
        memcpy(out, first + x0, static_cast<size_t>(p.channels) * sizeof(float));
        continue;
      }
      const Weights w = {_mm256_set1_ps(1.0f - wx), _mm256_set1_ps(wx), _mm256_set1_ps(1.0f - wy),
                         _mm256_set1_ps(wy)};
      resize_pixel({first + x0, first + x1, second + x0, second + x1}, w, p.channels, out);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel resize_f32_c8 = {
    "resize_f32_c8__fma",
    "fma",
    Family::kResizeF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    work_items,
    run,
};

}  // namespace edgecv::kernels::fma

// The s8 convolution in either direction: one work item is one output pixel.
#ifndef EDGECV_KERNELS_REFERENCE_CONV_S8_H_
#define EDGECV_KERNELS_REFERENCE_CONV_S8_H_

#include "kernels/reference/conv_common.h"
#include "kernels/requant.h"

namespace edgecv::kernels::reference {

inline int64_t conv_s8_items(const void* problem) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  return static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
}

template <Direction kDirection>
int conv_s8_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const auto* weights = static_cast<const int8_t*>(p.weights);
  const auto* bias = static_cast<const int32_t*>(p.bias);
  const int32_t group_in = p.in_c / p.groups;
  const int32_t group_out = p.out_c / p.groups;
  const int64_t taps = static_cast<int64_t>(p.kernel_h) * p.kernel_w;
  for (int64_t index = begin; index < end; ++index) {
    const Pixel at = pixel_at(p, index);
    for (int32_t o = 0; o < p.out_c; ++o) {
      uint32_t acc = static_cast<uint32_t>(bias[o]);
      for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
        for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
          const int64_t pixel = input_pixel<kDirection>(p, at, kh, kw);
          if (pixel < 0) continue;
          const int8_t* from =
              x + pixel * p.in_stride + static_cast<int64_t>(o / group_out) * group_in;
          const int8_t* w = weights + (o * taps + kh * p.kernel_w + kw) * group_in;
          for (int32_t i = 0; i < group_in; ++i) {
            acc += static_cast<uint32_t>(w[i] * (from[i] - p.in_zero_point));
          }
        }
      }
      y[index * p.out_stride + o] =
          requantize(static_cast<int32_t>(acc), p.multiplier[o], p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

}  // namespace edgecv::kernels::reference

#endif  // EDGECV_KERNELS_REFERENCE_CONV_S8_H_

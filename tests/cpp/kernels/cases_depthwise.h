// Depthwise convolutions as networks have them: more channels and wider rows than conv_sweep and
// draw_conv_shape draw, so that rows meet every way to split channels and columns.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_DEPTHWISE_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_DEPTHWISE_H_

#include "cases_conv.h"

namespace edgecv_test {

inline ConvShape draw_depthwise_shape(Draw& draw) {
  ConvShape s;
  s.batch = draw.one_in(6) ? 2 : 1;
  s.in_h = draw.int32(1, 9);
  s.in_w = draw.pick({draw.int32(1, 40), 7, 14, 28, 56});
  const int32_t near = draw.pick({64, 96, 128, 144, 192, 232, 256, 384}) + draw.int32(-1, 1);
  s.in_c = draw.one_in(2) ? near : draw.int32(1, 160);
  s.out_c = s.groups = s.in_c;
  s.kernel_h = s.kernel_w = draw.pick({3, 3, 5, 7});
  s.stride_h = s.stride_w = draw.int32(1, 2);
  if (draw.one_in(4)) s.dilation_h = s.dilation_w = draw.int32(2, 4);
  if (draw.one_in(8)) s.stride_h = 3 - s.stride_w;
  const int32_t reach = (s.kernel_h - 1) * s.dilation_h;
  s.pad_top = draw.int32(0, reach);
  s.pad_left = draw.int32(0, reach);
  s.pad_bottom = draw.int32(0, reach);
  s.pad_right = draw.int32(0, reach);
  if (draw.one_in(4)) {
    s.in_gap = draw.int32(1, 40);
    s.out_gap = draw.int32(1, 40);
  }
  repair_conv_shape(false, &s);
  return s;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_DEPTHWISE_H_

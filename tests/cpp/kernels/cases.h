// Problems of every family: the one list that tests, fuzz targets and benchmarks draw from.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_H_

#include "cases_conv.h"
#include "cases_elementwise.h"
#include "cases_matrix.h"
#include "cases_window.h"

namespace edgecv_test {

inline Case draw_conv_case(edgecv::kernels::Family family, Draw& draw) {
  const ConvShape shape = draw_conv_shape(is_transpose(family), draw);
  return make_conv_case(family, shape, draw);
}

inline Case draw_case(edgecv::kernels::Family family, Draw& draw) {
  using edgecv::kernels::Family;
  using Generator = Case (*)(Family, Draw&);
  // In the order of Family.
  static const Generator kGenerators[] = {
      draw_conv_case,     draw_conv_case,     draw_conv_case,       draw_conv_case,
      draw_matmul_case,   draw_matmul_case,   draw_binary_case,     draw_binary_case,
      draw_lookup_case,   draw_unary_case,    draw_prelu_case,      draw_prelu_case,
      draw_quantize_case, draw_quantize_case, draw_pool_case,       draw_pool_case,
      draw_mean_case,     draw_mean_case,     draw_argmax_case,     draw_argmax_case,
      draw_softmax_case,  draw_softmax_case,  draw_layer_norm_case, draw_layer_norm_case,
      draw_resize_case,   draw_resize_case,   draw_move_case,
  };
  static_assert(sizeof(kGenerators) / sizeof(kGenerators[0]) == static_cast<size_t>(Family::kCount),
                "one generator a family");
  return kGenerators[static_cast<size_t>(family)](family, draw);
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_H_

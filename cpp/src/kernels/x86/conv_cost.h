// The cost() of a dense s8 convolution row, to rank it against Winograd.
#ifndef EDGECV_KERNELS_X86_CONV_COST_H_
#define EDGECV_KERNELS_X86_CONV_COST_H_

#include "kernels/x86/conv_gemm.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// Products a ns at 256 bits, long depths.
constexpr double products_per_ns(Form form) {
  switch (form) {
    case Form::kDot4:
      return 200;
    case Form::kSum4:
      return 137;
    case Form::kSum2:
      return 120;
    case Form::kSum1:
      return 99;
    case Form::kWiden:
      break;
  }
  return 77;
}

// Fitted to measurements of dense 3x3 layers of 16 to 512 channels, within 10 percent: products in
// the forms the weights allow, the end of a tile, and weights beyond a cache. 128-bit vectors
// need 2.4 times as long: they copy registers that the 256-bit forms need not.
double conv_cost(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  ConvPlan plan = {};
  plan_panels(p, &plan);
  const double pixels = static_cast<double>(p.batch) * p.out_h * p.out_w;
  PanelSource source;
  source.values = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  source.pair_segment_values = plan.pair_segment_values;
  source.quad_segment_values = plan.quad_segment_values;
  source.zero_point = p.in_zero_point;
  source.in_lo = p.in_lo;
  source.in_hi = p.in_hi;
  // Without a rival there is nothing to weigh, and no need to look at the weights.
  const bool rival = p.groups == 1 && p.kernel_h == 3 && p.kernel_w == 3;
  double columns = rival ? 0 : p.out_c / products_per_ns(Form::kSum1);
  for (int64_t first = 0; rival && first < plan.columns; first += 2 * kDwords) {
    int32_t totals[2 * kDwords];
    source.weights = static_cast<const int8_t*>(p.weights) + first * source.values;
    source.bias = static_cast<const int32_t*>(p.bias) + first;
    source.multiplier = p.multiplier + first;
    source.count = min_of(2 * kDwords, plan.columns - first);
    columns += static_cast<double>(source.count) /
               products_per_ns(choose_form(source, plan.shape, totals));
  }
  const double products = columns * pixels * static_cast<double>(source.values);
  const double ends = pixels * p.out_c / 10;
  const double weights = (static_cast<double>(p.out_c * source.values) - (1 << 20)) / 12;
  return (products + ends) * (kDwords == 8 ? 1 : 2.4) + (weights > 0 ? weights : 0);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_COST_H_

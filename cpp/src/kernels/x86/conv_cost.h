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
    case Form::kCross:
      return 84;
    case Form::kWiden:
      break;
  }
  return 77;
}

// Fitted to measurements of pointwise layers of 16 to 960 channels and dense 3x3 ones of 16 to 512,
// within 10 percent for most: products in the forms the weights allow, the end of a tile, the copy
// of the input, the weights from L3 and, beyond a cache, from memory. 128-bit vectors need 2.4
// times as long: they copy registers that the 256-bit forms need not.
double conv_cost(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  ConvPlan plan = {};
  plan_panels(p, &plan);
  const double pixels = static_cast<double>(p.batch) * p.out_h * p.out_w;
  PanelSource source;
  source.values = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  source.segment_values = plan.segment_values;
  source.zero_point = p.in_zero_point;
  source.in_lo = p.in_lo;
  source.in_hi = p.in_hi;
  // Where no rival waits for a close decision, the first panel stands for all.
  const bool rival = p.groups == 1 && p.kernel_h == 3 && p.kernel_w == 3;
  const int64_t width = 2 * kDwords;
  double group = 0;  // ns a pixel and group
  for (int64_t first = 0; first < plan.columns; first += width) {
    int32_t totals[2 * kDwords];
    source.weights = static_cast<const int8_t*>(p.weights) + first * source.values;
    source.bias = static_cast<const int32_t*>(p.bias) + first;
    source.multiplier = p.multiplier + first;
    source.count = min_of(width, plan.columns - first);
    const Form form = choose_form(source, plan.shape, totals);
    const int64_t depth =
        of_pairs(form) ? 2 * plan.shape.pairs.units() : 4 * quad_depth(plan.shape, form).units();
    const double column = static_cast<double>(depth) / products_per_ns(form);
    if (!rival) {
      group = column * static_cast<double>(round_up(plan.columns, kDwords));
      break;
    }
    group += column * static_cast<double>(round_up(source.count, kDwords));
  }
  const double ends = p.out_c * 0.08 + (plan.columns % 8 != 0 ? 6.0 * p.groups : 0.0);
  const double copy = p.in_c * 0.012 * p.stride_h * p.stride_w;
  const double weights = static_cast<double>(p.out_c * source.values);
  const double from_memory = weights > (1 << 20) ? (weights - (1 << 20)) / 12 : 0;
  return pixels * (group * p.groups + ends + copy) * (kDwords == 8 ? 1 : 2.4) + weights / 50 +
         from_memory;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_COST_H_

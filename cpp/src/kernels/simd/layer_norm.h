// LayerNorm s8 over rows of `reduce` <= 65536 values. A work item is a row. Sums fit s32: |S| <=
// 2^23, Q <= 2^30.
#ifndef EDGECV_KERNELS_SIMD_LAYER_NORM_H_
#define EDGECV_KERNELS_SIMD_LAYER_NORM_H_

#include "kernels/reduce.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

bool norm_supports(const void* problem) { return as_reduce(problem).reduce <= 65536; }

int64_t norm_items(const void* problem) { return as_reduce(problem).outer; }

struct RowSums {
  int64_t sum, squares;
};

RowSums sum_row(const int8_t* x, int64_t n) {
  const Vec ones = set1_s16(1);
  Vec sums = zero(), squares = zero();
  int64_t i = 0;
  const auto add = [&](Vec words) __attribute__((always_inline)) {
    sums = add_s32(sums, madd_s16(words, ones));
    squares = add_s32(squares, madd_s16(words, words));
  };
  for (; i + kWords <= n; i += kWords) add(load_s8_s16(x + i));
  if (i < n) add(widen_s8_s16(load_tail(x + i, n - i)));
  return {total_s32(sums), total_s32(squares)};
}

int norm_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t n = p.reduce;
  const float *gamma = p.gamma, *beta = p.beta;
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  // Clamped before the conversion, so that no value is too large for it.
  const VecF lo = set1_f32(static_cast<float>(p.lo - p.out_zero_point));
  const VecF hi = set1_f32(static_cast<float>(p.hi - p.out_zero_point));
  const Vec length = set1_s32(p.reduce);
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * n;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * n;
    const RowSums s = sum_row(x, n);
    const int64_t variance = n * s.squares - s.sum * s.sum;
    const float spread = static_cast<float>(variance) + p.epsilon;
    const float root = sqrt_f32(spread);
    const VecF r = set1_f32(1.0f / root);
    const Vec sum = set1_s32(static_cast<int32_t>(s.sum));
    for (int64_t i = 0; i < n; i += kDwords) {
      const int64_t count = min_of(kDwords, n - i);
      const bool whole = count == kDwords;
      const Vec q = widen_s8_s32(load_quarter(x + i, count));
      const VecF a = to_f32(sub_s32(mul_low_s32(q, length), sum));
      const VecF scale = whole ? load_f32(gamma + i) : load_part_f32(gamma + i, count);
      const VecF shift = whole ? load_f32(beta + i) : load_part_f32(beta + i, count);
      const VecF t = add_f32(mul_f32(mul_f32(a, r), scale), shift);
      const Vec rounded = round_s32(min_f32(max_f32(t, lo), hi));
      store_quarter(y + i, quantized_bytes(rounded, clamp), count);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_LAYER_NORM_H_

// Softmax s8 over rows of `reduce` values. A work item is a row. E[d] is gathered twice (sum, then
// scale): keeping the gathered values would need scratch and saves little.
#ifndef EDGECV_KERNELS_SIMD_SOFTMAX_H_
#define EDGECV_KERNELS_SIMD_SOFTMAX_H_

#include "kernels/reduce.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

int64_t softmax_items(const void* problem) { return as_reduce(problem).outer; }

int32_t largest(const int8_t* x, int64_t count) {
  Vec best = set1_s8(-128);
  int64_t i = 0;
  for (; i + kVecBytes <= count; i += kVecBytes) best = max_s8(best, load(x + i));
  alignas(kVecBytes) int8_t bytes[kVecBytes];
  store(bytes, best);
  int32_t result = -128;
  for (const int8_t value : bytes) result = value > result ? value : result;
  for (; i < count; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// E[top - x] of kDwords values.
EDGECV_INLINE Vec gather_exp(const int32_t* table, Vec top, V128 x) {
  return gather_s32(table, sub_s32(top, widen_s8_s32(x)));
}

int softmax_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int32_t* table = p.exp_table;
  const int64_t n = p.reduce;
  const Clamp clamp = make_clamp(-128, -128, 127);
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * n;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * n;
    const int32_t top = largest(x, n);
    const Vec tops = set1_s32(top);
    Vec sums = zero();
    int64_t i = 0;
    for (; i + kDwords <= n; i += kDwords)
      sums = add_s32(sums, gather_exp(table, tops, load_quarter(x + i)));
    auto sum = static_cast<int32_t>(total_s32(sums));
    for (; i < n; ++i) sum += table[top - x[i]];
    const VecF scale = set1_f32(256.0f / static_cast<float>(sum));
    for (i = 0; i < n; i += kDwords) {
      const int64_t count = min_of(kDwords, n - i);
      const V128 bytes = count == kDwords ? load_quarter(x + i)
                                          : min128_s8(load_tail(x + i, count), set128_s8(top));
      const Vec q = scale_round(gather_exp(table, tops, bytes), scale);
      store_quarter(y + i, quantized_bytes(q, clamp), count);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_SOFTMAX_H_

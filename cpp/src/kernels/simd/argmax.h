// ArgMax s8 over rows of `reduce` values: the largest value first, then where it is first.
// 128-bit vectors: rows are short (the classes of a pixel).
#ifndef EDGECV_KERNELS_SIMD_ARGMAX_H_
#define EDGECV_KERNELS_SIMD_ARGMAX_H_

#include "kernels/reduce.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kArgMaxItem = 8192;  // elements of a work item, about

int64_t argmax_rows(const ReduceProblem& p) { return max_of(1, kArgMaxItem / p.reduce); }

int64_t argmax_items(const void* problem) {
  const ReduceProblem& p = *static_cast<const ReduceProblem*>(problem);
  return div_up(p.outer, argmax_rows(p));
}

int32_t argmax_row(const int8_t* x, int64_t n) {
  if (n < 16) {
    alignas(16) int8_t padded[16];  // the lowest value behind the row wins against nothing
    memset(padded, -128, sizeof(padded));
    memcpy(padded, x, static_cast<size_t>(n));
    const V128 v = load128(padded);
    return find_byte(v, spread_largest(v));
  }
  V128 best = load128(x + n - 16);
  for (int64_t i = 0; i + 16 <= n; i += 16) best = max128_s8(best, load128(x + i));
  best = spread_largest(best);
  for (int64_t i = 0;; i = min_of(i + 16, n - 16)) {
    const int32_t at = find_byte(load128(x + i), best);
    if (at >= 0) return static_cast<int32_t>(i) + at;
  }
}

int argmax_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = *static_cast<const ReduceProblem*>(problem);
  const int64_t stop = min_of(end * argmax_rows(p), p.outer);
  for (int64_t row = begin * argmax_rows(p); row < stop; ++row) {
    static_cast<int32_t*>(operands.out)[row] =
        argmax_row(static_cast<const int8_t*>(operands.in[0]) + row * p.reduce, p.reduce);
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_ARGMAX_H_

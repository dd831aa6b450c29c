// One work item is one row.
#include <math.h>

#include "kernels/reduce.h"
#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

int64_t rows(const void* problem) { return static_cast<const ReduceProblem*>(problem)->outer; }

template <typename T>
T largest(const T* x, int32_t count) {
  T best = x[0];
  for (int32_t i = 1; i < count; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * p.reduce;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * p.reduce;
    const int32_t top = largest(x, p.reduce);
    int32_t sum = 0;
    for (int32_t i = 0; i < p.reduce; ++i) sum += p.exp_table[top - x[i]];
    const float r = 256.0f / static_cast<float>(sum);
    for (int32_t i = 0; i < p.reduce; ++i) {
      const float value = static_cast<float>(p.exp_table[top - x[i]]) * r;
      y[i] = quantize_rounded(value, -128, -128, 127);
    }
  }
  return 0;
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = static_cast<const float*>(operands.in[0]) + row * p.reduce;
    float* y = static_cast<float*>(operands.out) + row * p.reduce;
    const float top = largest(x, p.reduce);
    double sum = 0.0;
    for (int32_t i = 0; i < p.reduce; ++i) {
      y[i] = expf(x[i] - top);
      sum += y[i];
    }
    const float r = static_cast<float>(1.0 / sum);
    for (int32_t i = 0; i < p.reduce; ++i) y[i] *= r;
  }
  return 0;
}

}  // namespace

extern const Kernel softmax_s8 = {"softmax_s8_any__reference",
                                  "reference",
                                  Family::kSoftmaxS8,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  rows,
                                  run_s8};

extern const Kernel softmax_f32 = {"softmax_f32_any__reference",
                                   "reference",
                                   Family::kSoftmaxF32,
                                   kIsaBaseline,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   rows,
                                   run_f32};

}  // namespace edgecv::kernels::reference

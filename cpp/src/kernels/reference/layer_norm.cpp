// One work item is one row.
#include <math.h>

#include "kernels/reduce.h"
#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

int64_t rows(const void* problem) { return static_cast<const ReduceProblem*>(problem)->outer; }

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  const int64_t n = p.reduce;
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * n;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * n;
    int64_t sum = 0;
    int64_t squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += x[i];
      squares += x[i] * x[i];
    }
    const int64_t variance = n * squares - sum * sum;
    const float r = 1.0f / sqrtf(static_cast<float>(variance) + p.epsilon);
    for (int64_t i = 0; i < n; ++i) {
      const float normal = static_cast<float>(n * x[i] - sum) * r;
      const float scaled = normal * p.gamma[i];
      y[i] = quantize_rounded(scaled + p.beta[i], p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  const int64_t n = p.reduce;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = static_cast<const float*>(operands.in[0]) + row * n;
    float* y = static_cast<float*>(operands.out) + row * n;
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(n);
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double r = 1.0 / sqrt(squares / static_cast<double>(n) + p.epsilon);
    for (int64_t i = 0; i < n; ++i) {
      y[i] = static_cast<float>((x[i] - mean) * r) * p.gamma[i] + p.beta[i];
    }
  }
  return 0;
}

}  // namespace

extern const Kernel layer_norm_s8 = {"layer_norm_s8_any__reference",
                                     "reference",
                                     Family::kLayerNormS8,
                                     kIsaBaseline,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     rows,
                                     run_s8};

extern const Kernel layer_norm_f32 = {"layer_norm_f32_any__reference",
                                      "reference",
                                      Family::kLayerNormF32,
                                      kIsaBaseline,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      rows,
                                      run_f32};

}  // namespace edgecv::kernels::reference

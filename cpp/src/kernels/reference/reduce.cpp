// ReduceMean: one work item is up to kBlock inner positions of one outer index. ArgMax: one row.
#include "kernels/reduce.h"

#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

constexpr int32_t kBlock = 64;

int32_t blocks(const ReduceProblem& p) { return (p.inner + kBlock - 1) / kBlock; }

int64_t mean_items(const void* problem) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  return p.outer * blocks(p);
}

// Sums of the block of one item, and where it starts in the output.
template <typename T, typename Sum>
int32_t sum_block(const ReduceProblem& p, const Operands& operands, int64_t item, Sum zero_point,
                  Sum* acc, int64_t* out) {
  const int64_t outer = item / blocks(p);
  const int32_t first = static_cast<int32_t>(item % blocks(p)) * kBlock;
  const int32_t count = p.inner - first < kBlock ? p.inner - first : kBlock;
  const T* x = static_cast<const T*>(operands.in[0]) + outer * p.reduce * p.inner + first;
  for (int32_t i = 0; i < count; ++i) acc[i] = 0;
  for (int32_t r = 0; r < p.reduce; ++r) {
    for (int32_t i = 0; i < count; ++i) acc[i] += static_cast<Sum>(x[i]) - zero_point;
    x += p.inner;
  }
  *out = outer * p.inner + first;
  return count;
}

int run_mean_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  for (int64_t item = begin; item < end; ++item) {
    uint32_t acc[kBlock];
    int64_t out;
    const int32_t count =
        sum_block<int8_t>(p, operands, item, static_cast<uint32_t>(p.in_zero_point), acc, &out);
    int8_t* y = static_cast<int8_t*>(operands.out) + out;
    for (int32_t i = 0; i < count; ++i) {
      y[i] = requantize(static_cast<int32_t>(acc[i]), p.multiplier, p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

int run_mean_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  for (int64_t item = begin; item < end; ++item) {
    double acc[kBlock];
    int64_t out;
    const int32_t count = sum_block<float>(p, operands, item, 0.0, acc, &out);
    float* y = static_cast<float*>(operands.out) + out;
    for (int32_t i = 0; i < count; ++i) y[i] = static_cast<float>(acc[i] / p.reduce);
  }
  return 0;
}

int64_t rows(const void* problem) { return static_cast<const ReduceProblem*>(problem)->outer; }

template <typename T>
int run_argmax(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const ReduceProblem*>(problem);
  for (int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(operands.in[0]) + row * p.reduce;
    int32_t best = 0;
    for (int32_t i = 1; i < p.reduce; ++i) {
      if (x[i] > x[best]) best = i;
    }
    static_cast<int32_t*>(operands.out)[row] = best;
  }
  return 0;
}

}  // namespace

extern const Kernel reduce_mean_s8 = {"reduce_mean_s8_any__reference",
                                      "reference",
                                      Family::kReduceMeanS8,
                                      kIsaBaseline,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      mean_items,
                                      run_mean_s8};

extern const Kernel reduce_mean_f32 = {"reduce_mean_f32_any__reference",
                                       "reference",
                                       Family::kReduceMeanF32,
                                       kIsaBaseline,
                                       nullptr,
                                       nullptr,
                                       nullptr,
                                       nullptr,
                                       mean_items,
                                       run_mean_f32};

extern const Kernel argmax_s8 = {"argmax_s8_any__reference",
                                 "reference",
                                 Family::kArgMaxS8,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 rows,
                                 run_argmax<int8_t>};

extern const Kernel argmax_f32 = {"argmax_f32_any__reference",
                                  "reference",
                                  Family::kArgMaxF32,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  rows,
                                  run_argmax<float>};

}  // namespace edgecv::kernels::reference

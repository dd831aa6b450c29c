// One work item is one row of the output.
#include "kernels/matmul.h"

#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

int64_t items(const void* problem) {
  const auto& p = *static_cast<const MatMulProblem*>(problem);
  int64_t count = p.m;
  for (int32_t i = 0; i < p.batch_rank; ++i) count *= p.batch_dims[i];
  return count;
}

// Where the matrices of batch entry `entry` start in a and b, in elements.
void batch_offsets(const MatMulProblem& p, int64_t entry, int64_t* a, int64_t* b) {
  *a = 0;
  *b = 0;
  for (int32_t i = p.batch_rank - 1; i >= 0; --i) {
    const int64_t index = entry % p.batch_dims[i];
    entry /= p.batch_dims[i];
    *a += index * p.a_stride[i];
    *b += index * p.b_stride[i];
  }
}

size_t scratch_s8(const void* problem) {
  return static_cast<size_t>(static_cast<const MatMulProblem*>(problem)->n) * sizeof(uint32_t);
}

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end,
           void* scratch) {
  const auto& p = *static_cast<const MatMulProblem*>(problem);
  auto* acc = static_cast<uint32_t*>(scratch);
  for (int64_t row = begin; row < end; ++row) {
    int64_t a_offset, b_offset;
    batch_offsets(p, row / p.m, &a_offset, &b_offset);
    const int8_t* a = static_cast<const int8_t*>(operands.in[0]) + a_offset + row % p.m * p.k;
    const int8_t* b = static_cast<const int8_t*>(operands.in[1]) + b_offset;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * p.n;
    for (int32_t n = 0; n < p.n; ++n) acc[n] = 0;
    if (p.transpose_b) {
      for (int32_t n = 0; n < p.n; ++n) {
        const int8_t* from = b + static_cast<int64_t>(n) * p.k;
        for (int32_t k = 0; k < p.k; ++k) {
          acc[n] += static_cast<uint32_t>((a[k] - p.a_zero_point) * (from[k] - p.b_zero_point));
        }
      }
    } else {
      for (int32_t k = 0; k < p.k; ++k) {
        const int8_t* from = b + static_cast<int64_t>(k) * p.n;
        const int32_t value = a[k] - p.a_zero_point;
        for (int32_t n = 0; n < p.n; ++n) {
          acc[n] += static_cast<uint32_t>(value * (from[n] - p.b_zero_point));
        }
      }
    }
    for (int32_t n = 0; n < p.n; ++n) {
      y[n] = requantize(static_cast<int32_t>(acc[n]), p.multiplier, p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

// Eight partial sums, so that the compiler may use a vector; their order is fixed.
float dot_f32(const float* a, const float* b, int32_t count) {
  float part[8] = {};
  int32_t k = 0;
  for (; k + 8 <= count; k += 8) {
    for (int32_t j = 0; j < 8; ++j) part[j] += a[k + j] * b[k + j];
  }
  float sum = 0.0f;
  for (; k < count; ++k) sum += a[k] * b[k];
  for (int32_t j = 0; j < 8; ++j) sum += part[j];
  return sum;
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const MatMulProblem*>(problem);
  for (int64_t row = begin; row < end; ++row) {
    int64_t a_offset, b_offset;
    batch_offsets(p, row / p.m, &a_offset, &b_offset);
    const float* a = static_cast<const float*>(operands.in[0]) + a_offset + row % p.m * p.k;
    const float* b = static_cast<const float*>(operands.in[1]) + b_offset;
    float* __restrict y = static_cast<float*>(operands.out) + row * p.n;
    if (p.transpose_b) {
      for (int32_t n = 0; n < p.n; ++n) y[n] = dot_f32(a, b + static_cast<int64_t>(n) * p.k, p.k);
      continue;
    }
    for (int32_t n = 0; n < p.n; ++n) y[n] = 0.0f;
    for (int32_t k = 0; k < p.k; ++k) {
      const float* from = b + static_cast<int64_t>(k) * p.n;
      const float value = a[k];
      for (int32_t n = 0; n < p.n; ++n) y[n] += value * from[n];
    }
  }
  return 0;
}

}  // namespace

extern const Kernel matmul_s8 = {"matmul_s8_any__reference",
                                 "reference",
                                 Family::kMatMulS8,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 scratch_s8,
                                 items,
                                 run_s8};

extern const Kernel matmul_f32 = {"matmul_f32_any__reference",
                                  "reference",
                                  Family::kMatMulF32,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  items,
                                  run_f32};

}  // namespace edgecv::kernels::reference

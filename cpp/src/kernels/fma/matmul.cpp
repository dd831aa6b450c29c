// Products of two activations in f32: a panel of 16 columns of b is packed into scratch, and all
// rows of a pass over it.
#include "kernels/matmul.h"

#include "kernels/fma/gemm.h"

namespace edgecv::kernels::fma {
namespace {

constexpr int kVectors = 2;
constexpr int64_t kColumns = 8 * kVectors;
constexpr int64_t kRows = 96;  // of a pass: pointers in scratch

const MatMulProblem& as_matmul(const void* problem) {
  return *static_cast<const MatMulProblem*>(problem);
}

int64_t pointer_bytes() { return round_up(kRows * 8, 64); }

size_t scratch_bytes(const void* problem) {
  return static_cast<size_t>(pointer_bytes() + panel_floats(kVectors, as_matmul(problem).k) * 4);
}

// Items: for each batch entry, the panels.
int64_t work_items(const void* problem) {
  const MatMulProblem& p = as_matmul(problem);
  int64_t count = div_up(p.n, kColumns);
  for (int32_t i = 0; i < p.batch_rank; ++i) count *= p.batch_dims[i];
  return count;
}

int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void* scratch) {
  const MatMulProblem& p = as_matmul(problem);
  auto* rows = static_cast<const float**>(scratch);
  auto* panel = reinterpret_cast<float*>(static_cast<char*>(scratch) + pointer_bytes());
  const int64_t panels = div_up(p.n, kColumns);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t entry = item / panels, column = item % panels * kColumns;
    const auto* a = static_cast<const float*>(operands.in[0]);
    const auto* b = static_cast<const float*>(operands.in[1]);
    for (int64_t i = p.batch_rank - 1, rest = entry; i >= 0; --i) {
      a += rest % p.batch_dims[i] * p.a_stride[i];
      b += rest % p.batch_dims[i] * p.b_stride[i];
      rest /= p.batch_dims[i];
    }
    const int64_t column_step = p.transpose_b ? p.k : 1, depth_step = p.transpose_b ? 1 : p.n;
    const int64_t columns = min_of(kColumns, p.n - column);
    pack_panel(b + column * column_step, column_step, depth_step, p.k, nullptr, columns, kVectors,
               panel);
    Output o;
    o.stride = p.n;
    o.columns = columns;
    for (int64_t first = 0; first < p.m; first += kRows) {
      const int64_t count = min_of(kRows, p.m - first);
      for (int64_t i = 0; i < count; ++i) rows[i] = a + (first + i) * p.k;
      o.out = static_cast<float*>(operands.out) + (entry * p.m + first) * p.n + column;
      gemm_rows<kVectors, false>({rows, count, 1, p.k}, count, panel, o);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel matmul_f32_6x16 = {
    "matmul_f32_6x16__fma",
    "fma",
    Family::kMatMulF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    scratch_bytes,
    work_items,
    run,
};

}  // namespace edgecv::kernels::fma

// MatMul s8: both operands are activations, so b is packed on every run, a panel of columns at a
// time, into the widen form of gemm_tile.h. Both factors have their zero point taken off first (9
// bits, so pairs of products stay below 2^18) and no correction is left to do. A work item is one
// panel of one matrix of the batch.
#ifndef EDGECV_KERNELS_X86_MATMUL_H_
#define EDGECV_KERNELS_X86_MATMUL_H_

#include "kernels/matmul.h"
#include "kernels/x86/gemm_tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kChunkBytes = 96 << 10;

struct MatMulPlan {
  int64_t batches, padded_depth, a_stride, chunk_rows;
  Panels panels;
  int64_t a_bytes, panel_bytes;  // the widened rows of a chunk, one panel
};

MatMulPlan plan_matmul(const MatMulProblem& p) {
  MatMulPlan plan;
  plan.batches = 1;
  for (int32_t i = 0; i < p.batch_rank; ++i) plan.batches *= p.batch_dims[i];
  plan.padded_depth = round_up(p.k, 2);
  plan.a_stride = plan.padded_depth % 256 == 0 ? plan.padded_depth + 16 : plan.padded_depth;
  plan.chunk_rows = min_of(p.m, max_of(12, kChunkBytes / (plan.a_stride * 2) / 12 * 12));
  plan.panels = split_columns(p.n, 2);
  plan.a_bytes = round_up(plan.chunk_rows * plan.a_stride * 2, 64);
  plan.panel_bytes = 2 * kDwords * (8 + plan.padded_depth * 2);
  return plan;
}

const MatMulProblem& as_matmul(const void* problem) {
  return *static_cast<const MatMulProblem*>(problem);
}

int64_t matmul_items(const void* problem) {
  const MatMulPlan plan = plan_matmul(as_matmul(problem));
  return plan.batches * plan.panels.count;
}

size_t matmul_scratch_bytes(const void* problem) {
  const MatMulPlan plan = plan_matmul(as_matmul(problem));
  return static_cast<size_t>(plan.a_bytes + plan.panel_bytes);
}

// out[i] = in[i] - zero_point, as s16.
void widen_minus(int16_t* out, const int8_t* in, int64_t count, int32_t zero_point) {
  const Vec zero = set1_s16(zero_point);
  int64_t i = 0;
  for (; i + kWords <= count; i += kWords) store(out + i, sub_s16(load_s8_s16(in + i), zero));
  for (; i < count; ++i) out[i] = static_cast<int16_t>(in[i] - zero_point);
}

// Columns [first, first + count) of b as a panel of `width` columns.
void pack_b(const MatMulProblem& p, const MatMulPlan& plan, const int8_t* b, int64_t first,
            int64_t count, int64_t width, int8_t* panel) {
  for (int64_t c = 0; c < width; ++c) {
    const int32_t bias = 0;
    memcpy(panel + 4 * c, &bias, sizeof bias);
    memcpy(panel + 4 * width + 4 * c, &p.multiplier, sizeof p.multiplier);
  }
  auto* pairs = reinterpret_cast<int16_t*>(panel + 8 * width);
  memset(pairs, 0, static_cast<size_t>(plan.padded_depth * width * 2));
  const int64_t column_step = p.transpose_b ? p.k : 1, depth_step = p.transpose_b ? 1 : p.n;
  b += first * column_step;
  for (int64_t k = 0; k < p.k; ++k) {
    int16_t* out = pairs + k / 2 * width * 2 + k % 2;
    const int8_t* in = b + k * depth_step;
    for (int64_t c = 0; c < count; ++c)
      out[2 * c] = static_cast<int16_t>(in[c * column_step] - p.b_zero_point);
  }
}

int matmul_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
               void* scratch) {
  const MatMulProblem& p = as_matmul(problem);
  const MatMulPlan plan = plan_matmul(p);
  auto* a16 = static_cast<int16_t*>(scratch);
  auto* panel = static_cast<int8_t*>(scratch) + plan.a_bytes;
  Tile t = {};
  t.words = a16;
  t.flat = true;
  t.row_step = plan.a_stride;
  t.out_stride = p.n;
  t.clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  Work work = {};
  work.tile = &t;
  work.depth = {1, plan.padded_depth / 2};
  const int8_t* widened =
      nullptr;  // the matrix whose rows a16 holds, when one chunk holds all of them
  for (int64_t item = begin; item < end; ++item) {
    const int64_t i = item % plan.panels.count, entry = item / plan.panels.count;
    int64_t rest = entry;
    const auto* a = static_cast<const int8_t*>(operands.in[0]);
    const auto* b = static_cast<const int8_t*>(operands.in[1]);
    for (int32_t d = p.batch_rank - 1; d >= 0; --d) {
      const int64_t index = rest % p.batch_dims[d];
      rest /= p.batch_dims[d];
      a += index * p.a_stride[d];
      b += index * p.b_stride[d];
    }
    const int vectors = panel_vectors(plan.panels, i);
    const int64_t column = i * 2 * kDwords, width = kDwords * vectors;
    work.panel = {Form::kWiden, reinterpret_cast<const int32_t*>(panel),
                  reinterpret_cast<const float*>(panel + 4 * width), panel + 8 * width};
    t.columns = min_of(width, p.n - column);
    pack_b(p, plan, b, column, t.columns, width, panel);
    for (int64_t first = 0; first < p.m; first += plan.chunk_rows) {
      const int64_t count = min_of(plan.chunk_rows, p.m - first);
      if (widened != a || plan.chunk_rows < p.m) {
        for (int64_t r = 0; r < count; ++r) {
          widen_minus(a16 + r * plan.a_stride, a + (first + r) * p.k, p.k, p.a_zero_point);
        }
        widened = a;
      }
      t.out = static_cast<int8_t*>(operands.out) + (entry * p.m + first) * p.n + column;
      multiply_columns<Form::kWiden, true>(work, count, vectors);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_MATMUL_H_

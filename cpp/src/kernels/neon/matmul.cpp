// MatMul s8: both operands are activations. Their zero points are taken off first, which leaves 9
// bits: products of s16 are added in s32, exactly. A work item is eight columns of one matrix of
// the batch, which it packs.
#include "kernels/matmul.h"

#include "kernels/neon/simd.h"

namespace edgecv::kernels::neon {
namespace {

constexpr int64_t kPanelColumns = 8;
constexpr int kTileRows = 4;
constexpr int64_t kChunkBytes = 32 << 10;  // of widened rows

struct MatMulPlan {
  int64_t batches, panels, depth;  // filled up with zeros to whole vectors
  int64_t chunk_rows, chunk_bytes;
};

MatMulPlan plan_matmul(const MatMulProblem& p) {
  MatMulPlan plan;
  plan.batches = 1;
  for (int32_t i = 0; i < p.batch_rank; ++i) plan.batches *= p.batch_dims[i];
  plan.panels = div_up(p.n, kPanelColumns);
  plan.depth = round_up(p.k, kWords);
  const int64_t fit = kChunkBytes / (2 * plan.depth) / kTileRows * kTileRows;
  plan.chunk_rows = min_of(p.m, max_of(fit, kTileRows));
  plan.chunk_bytes = plan.chunk_rows * plan.depth * 2;
  return plan;
}

const MatMulProblem& as_matmul(const void* problem) {
  return *static_cast<const MatMulProblem*>(problem);
}

int64_t matmul_items(const void* problem) {
  const MatMulPlan plan = plan_matmul(as_matmul(problem));
  return plan.batches * plan.panels;
}

size_t matmul_scratch_bytes(const void* problem) {
  const MatMulPlan plan = plan_matmul(as_matmul(problem));
  return static_cast<size_t>(plan.chunk_bytes + plan.depth * kPanelColumns * 2);
}

// out[i] = in[i] - zero_point, and zeros to a whole vector.
void widen_minus(int16_t* out, const int8_t* in, int64_t count, int32_t zero_point) {
  const Vec zero = set1_s16(zero_point);
  int64_t i = 0;
  for (; i + kWords <= count; i += kWords) store(out + i, sub_s16(load_s8_s16(in + i), zero));
  if (i == count) return;
  for (; i < count; ++i) out[i] = static_cast<int16_t>(in[i] - zero_point);
  fill_words(out + i, 0, round_up(i, kWords) - i);
}

// Columns [first, first + count) of b: eight of each depth.
void pack_b(const MatMulProblem& p, const int8_t* b, int64_t first, int64_t count, int64_t depth,
            int16_t* out) {
  if (count < kPanelColumns) fill_words(out, 0, depth * kPanelColumns);
  fill_words(out + p.k * kPanelColumns, 0, (depth - p.k) * kPanelColumns);
  if (!p.transpose_b && count == kPanelColumns) {
    for (int64_t k = 0; k < p.k; ++k) {
      widen_minus(out + k * kPanelColumns, b + k * p.n + first, count, p.b_zero_point);
    }
    return;
  }
  const int64_t column_step = p.transpose_b ? p.k : 1, depth_step = p.transpose_b ? 1 : p.n;
  for (int64_t c = 0; c < count; ++c) {
    const int8_t* in = b + (first + c) * column_step;
    for (int64_t k = 0; k < p.k; ++k) {
      out[k * kPanelColumns + c] = static_cast<int16_t>(in[k * depth_step] - p.b_zero_point);
    }
  }
}

template <int kLane>
EDGECV_INLINE void add_depth(int32x4_t (&sum)[2], int16x8_t b, int16x8_t a) {
#if defined(__aarch64__)
  sum[0] = vmlal_laneq_s16(sum[0], vget_low_s16(b), a, kLane);
  sum[1] = vmlal_high_laneq_s16(sum[1], b, a, kLane);
#else
  const int16x4_t half = kLane < 4 ? vget_low_s16(a) : vget_high_s16(a);
  sum[0] = vmlal_lane_s16(sum[0], vget_low_s16(b), half, kLane % 4);
  sum[1] = vmlal_lane_s16(sum[1], vget_high_s16(b), half, kLane % 4);
#endif
}

// Rows of which kTileRows, or the last ones again, are at a, by a panel.
void multiply_tile(const MatMulProblem& p, const Clamp& clamp, const int16_t* const (&a)[kTileRows],
                   const int16_t* panel, int64_t depth, int8_t* out, int64_t rows,
                   int64_t columns) {
  int32x4_t sums[kTileRows][2];
  unroll<kTileRows>([&](auto r) __attribute__((always_inline)) {
    sums[r][0] = sums[r][1] = vdupq_n_s32(0);
  });
  for (int64_t k = 0; k < depth; k += kWords) {
    int16x8_t values[kTileRows];
    unroll<kTileRows>([&](auto r)
                          __attribute__((always_inline)) { values[r] = vld1q_s16(a[r] + k); });
    unroll<kWords>([&](auto lane) __attribute__((always_inline)) {
      const int16x8_t b = vld1q_s16(panel + (k + lane) * kPanelColumns);
      unroll<kTileRows>([&](auto r) __attribute__((always_inline)) {
        add_depth<lane>(sums[r], b, values[r]);
      });
    });
  }
  const VecF scale = set1_f32(p.multiplier);
  Vec bytes[kTileRows];
  unroll<kTileRows>([&](auto r) __attribute__((always_inline)) {
    const Vec words = pack_words(scale_round(bytes_of(sums[r][0]), scale),
                                 scale_round(bytes_of(sums[r][1]), scale), clamp);
    bytes[r] = clamp_bytes(words, words, clamp);
  });
  for (int64_t r = 0; r < rows; ++r) store_half(out + r * p.n, bytes[r], columns);
}

int matmul_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
               void* scratch) {
  const MatMulProblem& p = as_matmul(problem);
  const MatMulPlan plan = plan_matmul(p);
  auto* widened = static_cast<int16_t*>(scratch);
  auto* panel = widened + plan.chunk_bytes / 2;
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const int8_t* held = nullptr;  // the matrix whose rows are widened, where one chunk holds them
  for (int64_t item = begin; item < end; ++item) {
    const int64_t entry = item / plan.panels, column = item % plan.panels * kPanelColumns;
    const auto* a = static_cast<const int8_t*>(operands.in[0]);
    const auto* b = static_cast<const int8_t*>(operands.in[1]);
    int64_t rest = entry;
    for (int32_t d = p.batch_rank - 1; d >= 0; --d) {
      const int64_t index = rest % p.batch_dims[d];
      rest /= p.batch_dims[d];
      a += index * p.a_stride[d];
      b += index * p.b_stride[d];
    }
    const int64_t columns = min_of(kPanelColumns, p.n - column);
    pack_b(p, b, column, columns, plan.depth, panel);
    for (int64_t first = 0; first < p.m; first += plan.chunk_rows) {
      const int64_t count = min_of(plan.chunk_rows, p.m - first);
      if (held != a || plan.chunk_rows < p.m) {
        for (int64_t r = 0; r < count; ++r) {
          widen_minus(widened + r * plan.depth, a + (first + r) * p.k, p.k, p.a_zero_point);
        }
        held = a;
      }
      for (int64_t r = 0; r < count; r += kTileRows) {
        const int16_t* rows[kTileRows];
        for (int64_t i = 0; i < kTileRows; ++i) {
          rows[i] = widened + min_of(r + i, count - 1) * plan.depth;
        }
        int8_t* out = static_cast<int8_t*>(operands.out) + (entry * p.m + first + r) * p.n + column;
        multiply_tile(p, clamp, rows, panel, plan.depth, out, min_of(kTileRows, count - r),
                      columns);
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel matmul_s8_4x8 = {
    "matmul_s8_4x8__neon", EDGECV_ISA_NAME, Family::kMatMulS8, kIsaNeeds, nullptr, nullptr, nullptr,
    matmul_scratch_bytes,  matmul_items,    matmul_run,
};

}  // namespace edgecv::kernels::neon

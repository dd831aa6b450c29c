// Dense s8 convolution of any kernel, groups and fully connected layers, NHWC, for the tiles of
// tile_smull.h, tile_dot.h and tile_mmla.h, one of which comes before this header.
//
// A layer is a product of rows (output pixels) by columns (output channels). A row is the values
// that the kernel's window holds, `depth` of them, filled up to a multiple of 8; a 1x1 layer of
// such a depth reads its rows where they are, all others copy some rows to scratch that L1 holds.
// Tiles that take each value several times have the rows spread to scratch once for all columns.
// Bytes beyond the depth meet weights of zero. Weights are packed in panels of kColumns columns;
// the zero point of the input is folded into the bias.
//
// A work item is a block of rows, or, where there are few rows, some panels of one.
#ifndef EDGECV_KERNELS_NEON_DENSE_H_
#define EDGECV_KERNELS_NEON_DENSE_H_

#include "kernels/neon/dense_rows.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kBlockBytes = 16 << 10;    // copied rows of a work item
constexpr int64_t kMostRows = 64;            // of a work item
constexpr int64_t kFewBlocks = 8;            // below it panels are shared by threads, too,
constexpr int64_t kManyWeights = 128 << 10;  // when there are as many weights as that

struct DensePlan {
  int64_t channels, columns;  // of a group
  int64_t values, depth;      // of a row: that exist, and with the filling
  int64_t panels, panel_bytes;
  bool direct;  // rows are read, or spread, from where they are
  int64_t rows, block_rows, blocks;
  int64_t pieces, piece_panels;  // the panels of a block in work items
};

DensePlan plan_dense(const ConvProblem& p) {
  DensePlan plan;
  plan.channels = p.in_c / p.groups;
  plan.columns = p.out_c / p.groups;
  plan.values = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  plan.depth = round_up(plan.values, 8);
  plan.panels = div_up(plan.columns, kColumns);
  plan.panel_bytes = kHeadBytes + plan.depth * kColumns + panel_tail_bytes(plan.depth);
  plan.direct = p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 &&
                p.pad_top == 0 && p.pad_left == 0 && p.out_h == p.in_h && p.out_w == p.in_w &&
                plan.values == plan.depth;
  plan.rows = int64_t{p.batch} * p.out_h * p.out_w;
  const int64_t row_bytes = plan.depth * max_of(kSpread, 1);
  const int64_t fit = max_of(kBlockBytes / row_bytes / kRows * kRows, kRows);
  plan.block_rows = min_of(kMostRows / kRows * kRows, fit);
  plan.blocks = div_up(plan.rows, plan.block_rows);
  plan.pieces = 1;
  if (plan.blocks < kFewBlocks && plan.values * plan.columns >= kManyWeights)
    plan.pieces = min_of(div_up(kFewBlocks, plan.blocks), plan.panels);
  plan.piece_panels = div_up(plan.panels, plan.pieces);
  plan.pieces = div_up(plan.panels, plan.piece_panels);
  return plan;
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

size_t dense_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const DensePlan plan = plan_dense(p);
  return static_cast<size_t>(p.groups * plan.panels * plan.panel_bytes);
}

// The largest magnitude of a sum of a column times its multiplier.
double result_reach(const ConvProblem& p, const int8_t* w, int64_t values, int32_t bias,
                    float multiplier) {
  int64_t low = bias, high = bias;
  for (int64_t k = 0; k < values; ++k) {
    low += int64_t{w[k]} * (w[k] > 0 ? p.in_lo : p.in_hi);
    high += int64_t{w[k]} * (w[k] > 0 ? p.in_hi : p.in_lo);
  }
  return static_cast<double>(max_of(-low, high)) * static_cast<double>(multiplier);
}

// Panels: their form, whether their results are small, s32 bias[kColumns],
// f32 multiplier[kColumns], the weights where pack_column() of the tile puts them, what
// choose_form() writes behind them.
void dense_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const DensePlan plan = plan_dense(p);
  memset(packed, 0, dense_packed_bytes(problem));
  auto* panel = static_cast<int8_t*>(packed);
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t first = 0; first < plan.columns; first += kColumns, panel += plan.panel_bytes) {
      const int64_t count = min_of(kColumns, plan.columns - first);
      const int64_t channel = g * plan.columns + first;
      const int8_t* weights = static_cast<const int8_t*>(p.weights) + channel * plan.values;
      int32_t small = 1;
      for (int64_t c = 0; c < count; ++c) {
        const int8_t* w = weights + c * plan.values;
        int32_t sum = 0;
        for (int64_t k = 0; k < plan.values; ++k) sum += w[k];
        const int32_t bias = static_cast<int32_t>(
            static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[channel + c]) -
            static_cast<uint32_t>(sum) * static_cast<uint32_t>(p.in_zero_point));
        const float multiplier = p.multiplier[channel + c];
        memcpy(panel + kBiasAt + 4 * c, &bias, sizeof bias);
        memcpy(panel + kMultiplierAt + 4 * c, &multiplier, sizeof multiplier);
        if (result_reach(p, w, plan.values, bias, multiplier) > kSmall) small = 0;
        pack_column(w, plan.values, count, c, panel + kHeadBytes);
      }
      memcpy(panel + kSmallAt, &small, sizeof small);
      const int32_t form = choose_form(panel + kHeadBytes, plan.depth, count, p.in_lo, p.in_hi);
      memcpy(panel, &form, sizeof form);
    }
  }
}

// Copied rows and one more of a small window, then spread ones.
int64_t copy_bytes(const DensePlan& plan) {
  return plan.direct ? 0 : round_up(plan.block_rows * plan.depth, 16) + 64;
}

size_t dense_scratch_bytes(const void* problem) {
  const DensePlan plan = plan_dense(as_conv(problem));
  const int64_t spread_bytes = plan.block_rows * plan.depth * kSpread + kSpreadBeyond;
  return static_cast<size_t>(copy_bytes(plan) + spread_bytes);
}

int64_t dense_items(const void* problem) {
  const DensePlan plan = plan_dense(as_conv(problem));
  return plan.blocks * plan.pieces;
}

int dense_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
              void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const DensePlan plan = plan_dense(p);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  TileTask t;
  t.depth = plan.depth;
  t.out_stride = p.out_stride;
  set_rounder(&t, p.out_zero_point);
  const int64_t stride = plan.direct ? p.in_stride : plan.depth;
  t.a_stride = kSpread != 0 ? kSpread * plan.depth : stride;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item / plan.pieces * plan.block_rows;
    const int64_t count = min_of(plan.block_rows, plan.rows - first);
    const int64_t panel_begin = item % plan.pieces * plan.piece_panels;
    const int64_t panel_end = min_of(plan.panels, panel_begin + plan.piece_panels);
    for (int64_t g = 0; g < p.groups; ++g) {
      auto* copy = static_cast<int8_t*>(scratch);
      int8_t* spread = copy + copy_bytes(plan);
      const int8_t* a = kSpread != 0 ? spread : copy;
      if (kSpread == 0 && plan.direct) {
        a = x + first * p.in_stride + g * plan.channels;
      } else {
        gather_rows(p, plan.depth, x, g, first, count, plan.direct, copy, spread);
      }
      const int8_t* panel = static_cast<const int8_t*>(operands.packed) +
                            (g * plan.panels + panel_begin) * plan.panel_bytes;
      int8_t* out = static_cast<int8_t*>(operands.out) + first * p.out_stride + g * plan.columns;
      for (int64_t i = panel_begin; i < panel_end; ++i, panel += plan.panel_bytes) {
        t.panel = panel;
        t.columns = min_of(kColumns, plan.columns - i * kColumns);
        t.a = a;
        t.out = out + i * kColumns;
        t.rows = count;
        multiply_panel(t, clamp);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DENSE_H_

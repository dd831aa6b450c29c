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

#include "kernels/conv.h"

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

// Panels: their form, s32 bias[kColumns], f32 multiplier[kColumns], the weights where pack_column()
// of the tile puts them, what choose_form() writes behind them.
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
      for (int64_t c = 0; c < count; ++c) {
        int32_t sum = 0;
        for (int64_t k = 0; k < plan.values; ++k) sum += weights[c * plan.values + k];
        const uint32_t bias =
            static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[channel + c]) -
            static_cast<uint32_t>(sum) * static_cast<uint32_t>(p.in_zero_point);
        memcpy(panel + kBiasAt + 4 * c, &bias, sizeof bias);
        memcpy(panel + kMultiplierAt + 4 * c, &p.multiplier[channel + c], sizeof(float));
        pack_column(weights + c * plan.values, plan.values, count, c, panel + kHeadBytes);
      }
      const int32_t form = choose_form(panel + kHeadBytes, plan.depth, count, p.in_lo, p.in_hi);
      memcpy(panel, &form, sizeof form);
    }
  }
}

// Copied rows, then spread ones.
int64_t copy_bytes(const DensePlan& plan) {
  return plan.direct ? 0 : round_up(plan.block_rows * plan.depth, 16);
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

// memcpy without a call; what does not fill vectors overlaps.
EDGECV_INLINE void copy_values(int8_t* out, const int8_t* in, int64_t count) {
  if (count >= 16) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) store128(out + i, load128(in + i));
    if (i < count) store128(out + count - 16, load128(in + count - 16));
  } else if (count >= 8) {
    const int8x8_t low = vld1_s8(in), high = vld1_s8(in + count - 8);
    vst1_s8(out, low);
    vst1_s8(out + count - 8, high);
  } else if (count >= 4) {
    const int32_t low = load_s32(in), high = load_s32(in + count - 4);
    memcpy(out, &low, 4);
    memcpy(out + count - 4, &high, 4);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = in[i];
  }
}

// Rows [first, first + count) of group `group`, depth bytes each.
void copy_rows(const ConvProblem& p, const DensePlan& plan, const int8_t* x, int64_t group,
               int64_t first, int64_t count, int8_t* out) {
  const int64_t pixels = int64_t{p.out_h} * p.out_w;
  const int64_t row_step = int64_t{p.in_w} * p.in_stride, tap_step = p.dilation_w * p.in_stride;
  const int64_t channels = plan.channels;
  // The taps of a kernel row are one run of bytes.
  const bool run = p.dilation_w == 1 && p.in_stride == channels;
  int64_t n = first / pixels, oh = first % pixels / p.out_w, ow = first % p.out_w;
  for (int64_t r = 0; r < count; ++r, out += plan.depth) {
    const int64_t top = oh * p.stride_h - p.pad_top, left = ow * p.stride_w - p.pad_left;
    const int64_t right = left + (p.kernel_w - 1) * int64_t{p.dilation_w};
    const int8_t* image = x + n * p.in_h * row_step + group * channels;
    int8_t* to = out;
    for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
      const int64_t y = top + kh * p.dilation_h;
      if (y < 0 || y >= p.in_h) {
        memset(to, p.in_zero_point, static_cast<size_t>(p.kernel_w * channels));
        to += p.kernel_w * channels;
        continue;
      }
      const int8_t* row = image + y * row_step;
      if (run && left >= 0 && right < p.in_w) {
        copy_values(to, row + left * p.in_stride, p.kernel_w * channels);
        to += p.kernel_w * channels;
        continue;
      }
      for (int64_t kw = 0, column = left; kw < p.kernel_w; ++kw, column += p.dilation_w) {
        if (column < 0 || column >= p.in_w) {
          memset(to, p.in_zero_point, static_cast<size_t>(channels));
        } else {
          copy_values(to, row + left * p.in_stride + kw * tap_step, channels);
        }
        to += channels;
      }
    }
    for (int8_t* end = out + plan.depth; to < end;) *to++ = 0;
    if (++ow < p.out_w) continue;
    ow = 0;
    if (++oh < p.out_h) continue;
    oh = 0;
    ++n;
  }
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
  const int64_t stride = plan.direct ? p.in_stride : plan.depth;
  t.a_stride = kSpread != 0 ? kSpread * plan.depth : stride;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item / plan.pieces * plan.block_rows;
    const int64_t count = min_of(plan.block_rows, plan.rows - first);
    const int64_t panel_begin = item % plan.pieces * plan.piece_panels;
    const int64_t panel_end = min_of(plan.panels, panel_begin + plan.piece_panels);
    for (int64_t g = 0; g < p.groups; ++g) {
      const int8_t* a = x + first * p.in_stride + g * plan.channels;
      if (!plan.direct) {
        copy_rows(p, plan, x, g, first, count, static_cast<int8_t*>(scratch));
        a = static_cast<int8_t*>(scratch);
      }
      if constexpr (kSpread != 0) {
        int8_t* spread = static_cast<int8_t*>(scratch) + copy_bytes(plan);
        spread_rows(spread, a, stride, count, plan.depth);
        a = spread;
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

// How a dense s8 convolution of any kernel, stride, dilation, padding and group, or a fully
// connected layer, becomes one matrix product a group: rows are output pixels, depth is kernel_h *
// kernel_w * in_c / groups, columns are output channels.
//
// Work goes in chunks of output pixels. The input under a chunk is copied to scratch once, as u8
// (x - in_lo) or widened to s16 as the panels' forms need it, with zero_point where the image ends,
// and the product reads it in place: the taps of a kernel row are adjacent there (with dilation_w
// 1), so a row of the product is a few segments and nothing is copied per tap. Then every weight
// panel passes over the chunk: the pixels stay in L2, a panel in L1, and the packed weights are
// read once a chunk. The zero point of x is folded into the bias when packing.
#ifndef EDGECV_KERNELS_X86_CONV_PLAN_H_
#define EDGECV_KERNELS_X86_CONV_PLAN_H_

#include "kernels/conv.h"
#include "kernels/x86/gemm_panel.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// The values under a chunk: as u8 they take a tenth of a 512 KiB L2, as s16 a fifth. Weights that
// do not stay in L2 pass from L3 once a chunk: they had better meet more values.
constexpr int64_t kChunkValues = 48 << 10, kLargeChunkValues = 128 << 10;
constexpr int64_t kLargeWeights = 384 << 10;
constexpr int64_t kChunkRows = 96;
constexpr int64_t kRowStep = 12;  // chunks hold a multiple of every tile's height
// Pairs of a group up to this size are packed as s16: they stay in L1, and widening them for each
// of many chunks would be felt.
constexpr int64_t kWideBytes = 24 << 10;

// Panels of four vectors stay in L1 up to this depth, in quads; deeper ones have two, so that each
// load of weights serves four rows.
constexpr int64_t kWideDepth = 256;

// Cross pays for segments of so many pairs, and where the sums it needs of each row serve so many
// columns.
constexpr int64_t kCrossDepth = 64, kCrossColumns = 64;

struct ConvPlan {
  int64_t channels;  // of a group's input
  int64_t columns;   // of the product: output channels of a group
  Panels panels;
  PanelShape shape;
  int64_t segment_values;

  // A flat chunk is a run of pixels of a 1x1 stride 1 convolution, else it is chunk_h x chunk_w
  // output pixels of one image, chunk_w being the whole width when chunk_h > 1.
  bool flat;
  int64_t chunk_h, chunk_w, rows_of_chunks, columns_of_chunks, chunks;

  // The copied input, in values from pixel to pixel and from row to row, and how many of its rows
  // and pixels lie between neighbouring outputs.
  int64_t pixel_values, row_values;
  int64_t image_rows, image_columns;
  int64_t row_step, column_step;
  int64_t kernel_row_step;  // from kernel row to kernel row
};

inline int64_t chunk_values(const ConvPlan& plan) {
  const bool large = plan.panels.count * plan.shape.bytes > kLargeWeights;
  return large ? kLargeChunkValues : kChunkValues;
}

inline void plan_flat(const ConvProblem& p, ConvPlan* plan) {
  const int64_t pixels = int64_t{p.batch} * p.out_h * p.out_w;
  plan->pixel_values = 4 * plan->shape.quads.segment;
  // Rows a multiple of 256 values apart would compete for few cache sets.
  if (plan->pixel_values % 256 == 0) plan->pixel_values += 16;
  const int64_t fit = chunk_values(*plan) / plan->pixel_values;
  const int64_t target = max_of(kRowStep, min_of(kChunkRows, fit));
  plan->chunks = max_of(1, (pixels + target / 2) / target);
  plan->chunk_w = plan->chunks == 1 ? pixels : round_up(div_up(pixels, plan->chunks), kRowStep);
  plan->chunks = div_up(pixels, plan->chunk_w);
  plan->chunk_h = 1;
  plan->image_rows = 1;
  plan->row_values = plan->chunk_w * plan->pixel_values;
}

inline void plan_window(const ConvProblem& p, ConvPlan* plan) {
  plan->pixel_values = plan->channels;
  // A kernel of one row or column meets only every stride-th one: the others are not copied.
  plan->row_step = p.kernel_h == 1 ? 1 : p.stride_h;
  plan->column_step = p.kernel_w == 1 ? 1 : p.stride_w;
  const int64_t reach_h = (int64_t{p.kernel_h} - 1) * p.dilation_h;
  const int64_t reach_w = (int64_t{p.kernel_w} - 1) * p.dilation_w;
  const int64_t values = chunk_values(*plan);
  const int64_t fit = values / (plan->channels * p.kernel_h);  // columns
  plan->chunk_w = max_of(kRowStep, (fit - reach_w - 1) / plan->column_step + 1);
  plan->chunk_w = div_up(p.out_w, div_up(p.out_w, plan->chunk_w));
  plan->columns_of_chunks = div_up(p.out_w, plan->chunk_w);
  plan->image_columns = (plan->chunk_w - 1) * plan->column_step + reach_w + 1;
  plan->row_values = plan->image_columns * plan->channels;
  plan->chunk_h = 1;
  if (plan->columns_of_chunks == 1 && p.dilation_h == 1) {
    const int64_t fit_rows = (values / plan->row_values - reach_h - 1) / plan->row_step + 1;
    plan->chunk_h = max_of(1, min_of(fit_rows, kChunkRows / plan->chunk_w));
    plan->chunk_h = div_up(p.out_h, div_up(p.out_h, plan->chunk_h));
  }
  plan->rows_of_chunks = div_up(p.out_h, plan->chunk_h);
  plan->chunks = p.batch * plan->rows_of_chunks * plan->columns_of_chunks;
  // A single output row needs the rows under its taps alone, however far apart.
  plan->kernel_row_step = 1;
  plan->image_rows =
      plan->chunk_h == 1 ? p.kernel_h : (plan->chunk_h - 1) * plan->row_step + reach_h + 1;
}

// The part of the plan that packing needs, too: the same for every stripe of rows.
inline void plan_panels(const ConvProblem& p, ConvPlan* plan) {
  plan->channels = p.in_c / p.groups;
  plan->columns = p.out_c / p.groups;
  const int64_t taps = int64_t{p.kernel_h} * p.kernel_w;
  // The taps of a kernel row are one segment where they are adjacent, and lane sets of sum2 and
  // sum4 go on across them: with few channels, a segment a tap would be weights of zero for the
  // most.
  const bool rows = p.dilation_w == 1;
  plan->segment_values = rows ? p.kernel_w * plan->channels : plan->channels;
  const int64_t segments = rows ? p.kernel_h : taps;
  PanelShape& shape = plan->shape;
  shape.pairs = {segments, div_up(plan->segment_values, 2)};
  shape.cross = kHasCross && shape.pairs.segment >= kCrossDepth && plan->columns >= kCrossColumns;
  if (shape.cross) shape.pairs.segment = round_up(shape.pairs.segment, 2);
  shape.quads = {segments, div_up(plan->segment_values, 4)};
  shape.wide = shape.pairs.units() * 4 * round_up(plan->columns, kDwords) <= kWideBytes;
  plan->panels = split_columns(plan->columns, shape.quads.units() <= kWideDepth ? 4 : 2);
  measure_panel(&shape, plan->panels.vectors);
}

inline ConvPlan plan_conv(const ConvProblem& p) {
  ConvPlan plan = {};
  plan_panels(p, &plan);
  plan.flat = p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 &&
              p.pad_top == 0 && p.pad_left == 0 && p.out_h == p.in_h && p.out_w == p.in_w;
  if (plan.flat) {
    plan_flat(p, &plan);
  } else {
    plan_window(p, &plan);
  }
  return plan;
}

// Scratch, in bytes from its begin: both copies of the input (and the values after them that the
// last unit of a segment reads and multiplies by 0), what cross takes off each row of the product,
// where each row begins, the segments' offsets, one widened panel; and the size of it all.
struct ConvScratch {
  int64_t bytes, words, cross, rows, quad_offsets, pair_offsets, wide_weights, size;
};

inline ConvScratch plan_scratch(const ConvPlan& plan) {
  ConvScratch s;
  s.size = 0;
  const auto take = [&s](int64_t bytes) {
    const int64_t offset = s.size;
    s.size += round_up(bytes, 64);
    return offset;
  };
  const int64_t values = plan.image_rows * plan.row_values + 16;
  s.bytes = take(values);
  s.words = take(kHasDot4 ? 0 : values * 2);
  s.cross = take(!plan.shape.cross ? 0 : plan.chunk_h * plan.chunk_w * 4);
  s.rows = take(plan.flat ? 0 : plan.chunk_h * plan.chunk_w * 8);
  s.quad_offsets = take(plan.shape.quads.segments * 8);
  s.pair_offsets = take(plan.shape.pairs.segments * 8);
  const bool widens = !kHasDot4 && !plan.shape.wide;
  s.wide_weights = take(widens ? plan.panels.vectors * kDwords * 4 * plan.shape.pairs.units() : 0);
  return s;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_PLAN_H_

// The functions of a dense s8 convolution row (kernel.h): see conv_plan.h for the method.
#ifndef EDGECV_KERNELS_X86_CONV_GEMM_H_
#define EDGECV_KERNELS_X86_CONV_GEMM_H_

#include "kernels/x86/conv_copy.h"
#include "kernels/x86/gemm_tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

// Packed: which copies of the input the panels read, then for each group its panels.
constexpr int64_t kNeedsBytes = 64;
constexpr int32_t kNeedsWords = 1, kNeedsQuads = 2;

size_t conv_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  ConvPlan plan = {};
  plan_panels(p, &plan);
  return static_cast<size_t>(kNeedsBytes + plan.panels.count * plan.shape.bytes * p.groups);
}

void conv_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  ConvPlan plan = {};
  plan_panels(p, &plan);
  auto* out = static_cast<int8_t*>(packed) + kNeedsBytes;
  PanelSource source;
  source.values = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  source.segment_values = plan.segment_values;
  source.zero_point = p.in_zero_point;
  source.in_lo = p.in_lo;
  source.in_hi = p.in_hi;
  int32_t needs = 0;
  for (int64_t group = 0; group < p.groups; ++group) {
    for (int64_t i = 0; i < plan.panels.count; ++i, out += plan.shape.bytes) {
      const int64_t first = i * plan.panels.vectors * kDwords,
                    column = group * plan.columns + first;
      source.weights = static_cast<const int8_t*>(p.weights) + column * source.values;
      source.bias = static_cast<const int32_t*>(p.bias) + column;
      source.multiplier = p.multiplier + column;
      source.count = min_of(plan.panels.vectors * kDwords, plan.columns - first);
      const Form form = pack_panel(source, plan.shape, panel_vectors(plan.panels, i), out);
      needs |= of_pairs(form) ? kNeedsWords : kNeedsQuads;
    }
  }
  memset(packed, 0, kNeedsBytes);
  memcpy(packed, &needs, sizeof needs);
}

size_t conv_scratch_bytes(const void* problem) {
  return static_cast<size_t>(plan_scratch(plan_conv(as_conv(problem))).size);
}

// Items: for each group, for each chunk, for each panel.
int64_t conv_work_items(const void* problem) {
  const ConvPlan plan = plan_conv(as_conv(problem));
  return plan.chunks * plan.panels.count * as_conv(problem).groups;
}

inline void set_offsets(const ConvProblem& p, const ConvPlan& plan, const Depth& depth,
                        int64_t* offsets) {
  const bool rows = depth.segments == p.kernel_h;  // else a segment is a tap
  for (int64_t i = 0; i < depth.segments; ++i) {
    const int64_t kh = rows ? i : i / p.kernel_w, kw = rows ? 0 : i % p.kernel_w;
    offsets[i] =
        kh * plan.kernel_row_step * plan.row_values + kw * p.dilation_w * plan.pixel_values;
  }
}

// Copies the input under chunk `index` of a group, whose first channel of the first pixel is x.
struct ChunkImages {
  uint8_t* bytes;
  int16_t* words;
  int32_t* cross;
  int64_t* rows;
};

inline Chunk copy_chunk(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, int64_t index,
                        int32_t needs, const int64_t* pair_offsets, const ChunkImages& to) {
  ByteCopy bytes;
  bytes.lo = set1_s8(p.in_lo);
  bytes.zero_point = static_cast<uint8_t>(p.in_zero_point - p.in_lo);
  const WordCopy words = {static_cast<int16_t>(p.in_zero_point)};
  Chunk chunk;
  if (plan.flat) {
    chunk = flat_chunk(p, plan, index);
    if ((needs & kNeedsQuads) != 0) copy_flat(p, plan, x, chunk, bytes, to.bytes);
    if ((needs & kNeedsWords) != 0) copy_flat(p, plan, x, chunk, words, to.words);
  } else {
    const Window w = window_chunk(p, plan, index);
    chunk = {(w.n * p.out_h + w.oh) * p.out_w + w.ow, w.height * w.width};
    if ((needs & kNeedsQuads) != 0) copy_window(p, plan, x, w, bytes, to.bytes);
    if ((needs & kNeedsWords) != 0) copy_window(p, plan, x, w, words, to.words);
    set_rows(plan, w.height, w.width, to.rows);
  }
  if ((needs & kNeedsWords) != 0 && plan.shape.cross)
    cross_of_rows(plan, pair_offsets, to.rows, chunk.count, to.words, to.cross);
  return chunk;
}

int conv_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
             void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  const ConvScratch s = plan_scratch(plan);
  auto* const base = static_cast<int8_t*>(scratch);
  const ChunkImages images = {
      reinterpret_cast<uint8_t*>(base + s.bytes), reinterpret_cast<int16_t*>(base + s.words),
      reinterpret_cast<int32_t*>(base + s.cross), reinterpret_cast<int64_t*>(base + s.rows)};
  auto* const quad_offsets = reinterpret_cast<int64_t*>(base + s.quad_offsets);
  auto* const pair_offsets = reinterpret_cast<int64_t*>(base + s.pair_offsets);
  auto* const wide_weights = reinterpret_cast<int16_t*>(base + s.wide_weights);
  set_offsets(p, plan, plan.shape.quads, quad_offsets);
  set_offsets(p, plan, plan.shape.pairs, pair_offsets);
  const int32_t needs = load_s32(operands.packed);
  Tile t;
  t.clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  t.ones = set1_s16(1);
  t.flat = plan.flat;
  t.row_step = plan.pixel_values;
  t.bytes = images.bytes;
  t.words = images.words;
  t.cross = images.cross;
  t.rows = images.rows;
  t.quad_offsets = quad_offsets;
  t.pair_offsets = pair_offsets;
  t.out_stride = p.out_stride;
  Chunk chunk = {0, 0};
  int64_t copied = -1;  // which chunk of which group
  for (int64_t item = begin; item < end; ++item) {
    const int64_t i = item % plan.panels.count, index = item / plan.panels.count;
    const int64_t group = index / plan.chunks;
    if (index != copied) {
      const auto* x = static_cast<const int8_t*>(operands.in[0]) + group * plan.channels;
      chunk = copy_chunk(p, plan, x, index % plan.chunks, needs, pair_offsets, images);
      copied = index;
    }
    const int64_t column = i * plan.panels.vectors * kDwords;
    const int vectors = panel_vectors(plan.panels, i);
    t.out = static_cast<int8_t*>(operands.out) + chunk.first * p.out_stride + group * plan.columns +
            column;
    t.columns = min_of(kDwords * vectors, plan.columns - column);
    const auto* packed = static_cast<const int8_t*>(operands.packed) + kNeedsBytes +
                         (group * plan.panels.count + i) * plan.shape.bytes;
    multiply_panel<kHasDot4>(t, chunk.count, plan.shape, packed, vectors, wide_weights);
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_GEMM_H_

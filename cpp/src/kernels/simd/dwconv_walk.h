// How a row of depthwise outputs is walked: a block is kWide or kNarrow neighbouring outputs, and
// the units of channels under some blocks are summed, then stored (dwconv_block.h,
// dwconv_bytes_block.h).
#ifndef EDGECV_KERNELS_SIMD_DWCONV_WALK_H_
#define EDGECV_KERNELS_SIMD_DWCONV_WALK_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kGroupUnits = 8;  // of some blocks whose sums wait

// First channel of unit i: the last unit of any width but a multiple of them overlaps.
inline int64_t unit_channel(const ConvProblem& p, int64_t i) {
  return min_of(i * kUnitChannels, p.in_c - kUnitChannels);
}

// What neighbouring blocks read and write.
template <int kSize>
struct BlockTask {
  const ConvProblem* problem;
  const int8_t* packed;
  const int8_t* const* rows[kSize];  // from the block's first column on
  int64_t unit_begin, unit_end;
  int64_t blocks;
  int8_t* sums;     // [block][unit][output] pairs of vectors
  int64_t outputs;  // of a block to store
  int8_t* out;      // channel 0 of output 0
  int64_t out_step;
};

template <int kSize>
inline void advance(BlockTask<kSize>& t, int64_t outputs, int64_t stride) {
  for (auto& row : t.rows) row += outputs * stride;
  t.out += outputs * t.out_step;
}

template <int kSize, int kStride, int kOutputs>
void sum_blocks(const BlockTask<kSize>& t);
template <int kSize, int kOutputs>
void store_blocks(const BlockTask<kSize>& t, const Clamp& clamp);

// The next `blocks` blocks of a row, all the channels of a work item.
template <int kSize, int kStride, int kOutputs>
void run_blocks(BlockTask<kSize>& t, int64_t blocks, const Clamp& clamp) {
  const int64_t unit_begin = t.unit_begin, unit_end = t.unit_end, units = unit_end - unit_begin;
  const int64_t group = units > kGroupUnits / 2 ? 1 : kGroupUnits / units;
  for (; blocks > 0; blocks -= t.blocks) {
    t.blocks = min_of(group, blocks);
    for (int64_t u = unit_begin; u < unit_end; u += kGroupUnits) {
      t.unit_begin = u;
      t.unit_end = min_of(u + kGroupUnits, unit_end);
      sum_blocks<kSize, kStride, kOutputs>(t);
      store_blocks<kSize, kOutputs>(t, clamp);
    }
    advance(t, t.blocks * kOutputs, kStride);
  }
  t.unit_begin = unit_begin;
  t.unit_end = unit_end;
}

// How a row's outputs become wide and narrow blocks. What they do not fill is a last block that
// repeats outputs, or, in a row shorter than a block, stores some alone.
struct RowSplit {
  int64_t count, wide, narrow;
  int64_t left, back;  // outputs of the last block: new, and repeated
};

inline RowSplit split_row(int64_t count) {
  RowSplit s;
  s.count = count;
  s.wide = count / kWide;
  while (s.wide > 0 && (count - s.wide * kWide) % kNarrow != 0) --s.wide;
  if ((count - s.wide * kWide) % kNarrow != 0) s.wide = count / kWide;
  s.narrow = (count - s.wide * kWide) / kNarrow;
  s.left = count - s.wide * kWide - s.narrow * kNarrow;
  s.back = min_of(count, kNarrow) - s.left;
  return s;
}

template <int kSize, int kStride>
void run_outputs(BlockTask<kSize>& t, const RowSplit& s, const Clamp& clamp) {
  t.outputs = kWide;
  run_blocks<kSize, kStride, kWide>(t, s.wide, clamp);
  t.outputs = kNarrow;
  run_blocks<kSize, kStride, kNarrow>(t, s.narrow, clamp);
  if (s.left == 0) return;
  advance(t, -s.back, kStride);
  t.outputs = s.left + s.back;
  run_blocks<kSize, kStride, kNarrow>(t, 1, clamp);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_WALK_H_

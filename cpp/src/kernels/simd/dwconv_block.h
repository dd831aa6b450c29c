// The outputs of a depthwise s8 convolution, block by block (dwconv_row.h).
//
// A unit is kWords channels, so two vectors of s32 sums. A block is kWide or kNarrow neighbouring
// outputs of a row. Two loops go over the channels of a block:
//
// 1. Sums, by UnitSums of simd/dwconv_pairs.h or neon/dwconv_mla.h, one of which comes before this
//    header.
// 2. Requantization. A loop of its own because some 20 cycles of dependent conversions follow a
//    sum: in one loop, waiting instructions would fill the schedulers and the next block's products
//    could not start.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_BLOCK_H_
#define EDGECV_KERNELS_SIMD_DWCONV_BLOCK_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnitChannels = kWords;
constexpr int64_t kGroupUnits = 8;  // of some blocks whose sums wait
constexpr int64_t kScratchBytes = 2 * kGroupUnits * kWide * kVecBytes;

// First channel of unit i: the last unit of any width but a multiple of kWords overlaps.
inline int64_t unit_channel(const ConvProblem& p, int64_t i) {
  return min_of(i * kWords, p.in_c - kWords);
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
void sum_blocks(const BlockTask<kSize>& t) {
  using Shape = RowShape<kSize>;
  constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  UnitSums<kSize, kStride, kOutputs> unit;
  unit.out = t.sums;
  const int8_t* const* rows[kSize];
  unroll<kSize>([&](auto r) __attribute__((always_inline)) { rows[r] = t.rows[r]; });
  for (int64_t b = 0; b < t.blocks; ++b) {
    unit.packed = t.packed + t.unit_begin * Shape::kUnitBytes;
    for (int64_t u = t.unit_begin; u < t.unit_end; ++u) {
      const int64_t channel = unit_channel(*t.problem, u);
      unit.start();
      if constexpr (UnitSums<kSize, kStride, kOutputs>::kByRows) {
        unit.add_rows(rows, channel);
      } else {
        unroll<kColumns>([&](auto column) __attribute__((always_inline)) {
          Vec x[kSize];
          unroll<kSize>([&](auto r) __attribute__((always_inline)) {
            x[r] = load_s8_s16(rows[r][column] + channel);
          });
          unit.template add_column<column>(x);
        });
      }
      unit.packed += Shape::kUnitBytes;
      unit.out += 2 * kOutputs * kVecBytes;
    }
    unroll<kSize>([&](auto r) __attribute__((always_inline)) { rows[r] += kOutputs * kStride; });
  }
}

// Two vectors of sums to kWords words.
EDGECV_INLINE Vec finish(const int8_t* sums, const VecF (&multipliers)[2], const Clamp& clamp) {
  return pack_words(scale_round(load(sums), multipliers[0]),
                    scale_round(load(sums + kVecBytes), multipliers[1]), clamp);
}

// The sums of the units to bytes, two units of an output at a time.
template <int kSize, int kOutputs>
void store_blocks(const BlockTask<kSize>& t, const Clamp& clamp_in) {
  constexpr int64_t kUnitBytes = RowShape<kSize>::kUnitBytes;
  constexpr int64_t kSumBytes = 2 * kVecBytes, kUnitSumBytes = kOutputs * kSumBytes;
  const Clamp clamp = clamp_in;
  const auto bytes = [&](Vec a, Vec b) __attribute__((always_inline)) {
    return min_s8(max_s8(narrow_s16(a, b), clamp.lo), clamp.hi);
  };
  const int64_t block_bytes = (t.unit_end - t.unit_begin) * kUnitSumBytes;
  const int8_t* constants = t.packed + t.unit_begin * kUnitBytes + 2 * kVecBytes;
  const auto multiplier = [&](int64_t i) __attribute__((always_inline)) {
    return load_f32(
        reinterpret_cast<const float*>(constants + i / 2 * kUnitBytes + i % 2 * kVecBytes));
  };
  const int8_t* sums = t.sums;
  int64_t u = t.unit_begin;
  for (; u + 2 <= t.unit_end && (u + 2) * kWords <= t.problem->in_c; u += 2) {
    const VecF a[2] = {multiplier(0), multiplier(1)}, b[2] = {multiplier(2), multiplier(3)};
    int8_t* out = t.out + u * kWords;
    for (int64_t block = 0; block < t.blocks; ++block) {
      const int8_t* sum = sums + block * block_bytes;
      for (int64_t i = 0; i < t.outputs; ++i, sum += kSumBytes, out += t.out_step) {
        store(out, bytes(finish(sum, a, clamp), finish(sum + kUnitSumBytes, b, clamp)));
      }
    }
    sums += 2 * kUnitSumBytes;
    constants += 2 * kUnitBytes;
  }
  for (; u < t.unit_end; ++u, sums += kUnitSumBytes, constants += kUnitBytes) {
    const VecF a[2] = {multiplier(0), multiplier(1)};
    int8_t* out = t.out + unit_channel(*t.problem, u);
    for (int64_t block = 0; block < t.blocks; ++block) {
      const int8_t* sum = sums + block * block_bytes;
      for (int64_t i = 0; i < t.outputs; ++i, sum += kSumBytes, out += t.out_step) {
        const Vec words = finish(sum, a, clamp);
        store_half(out, low_half(bytes(words, words)));
      }
    }
  }
}

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

#endif  // EDGECV_KERNELS_SIMD_DWCONV_BLOCK_H_

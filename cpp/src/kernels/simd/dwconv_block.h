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

#include "kernels/simd/dwconv_walk.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kScratchBytes = 2 * kGroupUnits * kWide * kVecBytes;

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

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_BLOCK_H_

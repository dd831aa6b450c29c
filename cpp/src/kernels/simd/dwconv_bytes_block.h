// The outputs of a depthwise s8 convolution from the sums of dwconv_bytes.h; what dwconv_block.h is
// to those of dwconv_pairs.h.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_BYTES_BLOCK_H_
#define EDGECV_KERNELS_SIMD_DWCONV_BYTES_BLOCK_H_

#include "kernels/simd/dwconv_walk.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kScratchBytes = kGroupUnits * kWide * 2 * kVecBytes;

template <int kSize, int kStride, int kOutputs>
void sum_blocks(const BlockTask<kSize>& t) {
  using Shape = RowShape<kSize>;
  constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  const Vec low = set1_s8(t.problem->in_lo);
  UnitSums<kSize, kStride, kOutputs> unit;
  unit.out = t.sums;
  const int8_t* const* rows[kSize];
  unroll<kSize>([&](auto r) __attribute__((always_inline)) { rows[r] = t.rows[r]; });
  for (int64_t b = 0; b < t.blocks; ++b) {
    unit.packed = t.packed + t.unit_begin * Shape::kUnitBytes;
    for (int64_t u = t.unit_begin; u < t.unit_end; ++u) {
      const int64_t channel = unit_channel(*t.problem, u);
      unroll<Shape::kDistance>([&](auto i)
                                   __attribute__((always_inline)) { unit.before[i] = zero(); });
      unroll<kColumns>([&](auto column) __attribute__((always_inline)) {
        Vec x[kSize];
        unroll<kSize>([&](auto r) __attribute__((always_inline)) {
          x[r] = sub_s8(load(rows[r][column] + channel), low);
        });
        unit.template add_column<column>(x);
      });
      unit.packed += Shape::kUnitBytes;
      unit.out += 2 * kOutputs * kVecBytes;
    }
    unroll<kSize>([&](auto r) __attribute__((always_inline)) { rows[r] += kOutputs * kStride; });
  }
}

// The sums of the units to bytes.
template <int kSize, int kOutputs>
void store_blocks(const BlockTask<kSize>& t, const Clamp& clamp_in) {
  using Shape = RowShape<kSize>;
  constexpr int64_t kSumBytes = 2 * kVecBytes, kUnitSumBytes = kOutputs * kSumBytes;
  const Clamp clamp = clamp_in;
  const Vec exponent = set1_s16(kF32Exponent);
  const int64_t block_bytes = (t.unit_end - t.unit_begin) * kUnitSumBytes;
  const int8_t* unit = t.packed + t.unit_begin * Shape::kUnitBytes;
  const int8_t* sums = t.sums;
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u) {
    VecF shift[4], multiplier[4];
    unroll<4>([&](auto i) __attribute__((always_inline)) {
      shift[i] = load_f32(reinterpret_cast<const float*>(unit + kShifts + i * kVecBytes));
      multiplier[i] = load_f32(reinterpret_cast<const float*>(unit + kMultipliers + i * kVecBytes));
    });
    const auto rounded = [&](Vec dwords, int i) __attribute__((always_inline)) {
      return round_s32(mul_f32(sub_f32(to_f32_bits(dwords), shift[i]), multiplier[i]));
    };
    const auto words = [&](Vec sum, int i) __attribute__((always_inline)) {
      return pack_words(rounded(unpack_low_s16(sum, exponent), i),
                        rounded(unpack_high_s16(sum, exponent), i + 1), clamp);
    };
    int8_t* out = t.out + unit_channel(*t.problem, u);
    for (int64_t block = 0; block < t.blocks; ++block) {
      const int8_t* sum = sums + block * block_bytes;
      for (int64_t i = 0; i < t.outputs; ++i, sum += kSumBytes, out += t.out_step) {
        const Vec bytes = pack_s16_s8(words(load(sum), 0), words(load(sum + kVecBytes), 2));
        store(out, min_s8(max_s8(bytes, clamp.lo), clamp.hi));
      }
    }
    sums += kUnitSumBytes;
    unit += Shape::kUnitBytes;
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_BYTES_BLOCK_H_

// The outputs of a depthwise s8 row (dwconv_row.h), sixteen channels of some neighbouring outputs
// at a time, whose sums stay in registers until they are bytes. Before it come RowShape, where
// constants are, and the sums, struct Tile<kSize, kStride, kOutputs>:
//
//   load(pixels, channel)   reads what the outputs need
//   sum<kQuad>(unit, sums)  four channels, one vector an output: 0 2 4 6, then 8 10 12 14, 1 3 5 7,
//                           9 11 13 15
//   multiplier<kQuad>(unit)
#ifndef EDGECV_KERNELS_NEON_DWCONV_TILE_H_
#define EDGECV_KERNELS_NEON_DWCONV_TILE_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnitChannels = 16;
constexpr int64_t kScratchBytes = 0;

// First channel of unit i: the last unit of any width but a multiple of 16 overlaps.
inline int64_t unit_channel(const ConvProblem& p, int64_t i) {
  return min_of(i * kUnitChannels, p.in_c - kUnitChannels);
}

template <int kSize>
struct BlockTask {
  const ConvProblem* problem;
  const int8_t* packed;
  const int8_t* const* rows[kSize];  // from the block's first column on
  int64_t unit_begin, unit_end;
  int8_t* sums;
  int8_t* out;  // channel 0 of output 0
  int64_t out_step;
};

template <int kSize>
inline void advance(BlockTask<kSize>& t, int64_t outputs, int64_t stride) {
  for (auto& row : t.rows) row += outputs * stride;
  t.out += outputs * t.out_step;
}

// Bytes of even and of odd channels in turns. vzip1q_s8 of two combines would copy both.
EDGECV_INLINE Vec zip_halves(int8x8_t even, int8x8_t odd) {
  Vec v;
  __asm__("zip1 %0.16b, %1.16b, %2.16b" : "=w"(v) : "w"(even), "w"(odd));
  return v;
}

// The next `blocks` blocks of kOutputs outputs of a row. Out of line, as they need the registers,
// and with what a store could change for all the compiler knows in variables.
template <int kSize, int kStride, int kOutputs>
__attribute__((noinline)) void run_blocks(BlockTask<kSize>& t, int64_t blocks, const Clamp& clamp) {
  constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  const int64_t last_channel = t.problem->in_c - kUnitChannels, out_step = t.out_step;
  const int64_t channel_begin = t.unit_begin * kUnitChannels;
  const int64_t channel_end = t.unit_end * kUnitChannels;
  for (; blocks > 0; --blocks) {
    const int8_t* pixels[kSize][kColumns];
    unroll<kSize>([&](auto r) __attribute__((always_inline)) {
      unroll<kColumns>([&](auto c) __attribute__((always_inline)) { pixels[r][c] = t.rows[r][c]; });
    });
    const int8_t* unit = t.packed + t.unit_begin * RowShape<kSize>::kUnitBytes;
    for (int64_t first = channel_begin; first < channel_end; first += kUnitChannels) {
      const int64_t channel = min_of(first, last_channel);
      Tile<kSize, kStride, kOutputs> tile;
      tile.load(pixels, channel);
      int8x8_t halves[2][kOutputs];  // of even and of odd channels
      unroll<2>([&](auto half) __attribute__((always_inline)) {
        int32x4_t sums[kOutputs];
        int16x4_t words[kOutputs];
        tile.template sum<2 * half>(unit, sums);
        const VecF first = tile.template multiplier<2 * half>(unit);
        unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
          words[i] = vqmovn_s32(as_s32(scale_round(bytes_of(sums[i]), first)));
        });
        tile.template sum<2 * half + 1>(unit, sums);
        const VecF second = tile.template multiplier<2 * half + 1>(unit);
        unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
          const Vec rounded = scale_round(bytes_of(sums[i]), second);
          const int16x8_t both = vqmovn_high_s32(words[i], as_s32(rounded));
          halves[half][i] = vqmovn_s16(vqaddq_s16(both, as_s16(clamp.zero_point)));
        });
      });
      Vec bytes[kOutputs];
      unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
        bytes[i] = zip_halves(halves[0][i], halves[1][i]);
      });
      if (clamp.narrow) {
        unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
          bytes[i] = min_s8(max_s8(bytes[i], clamp.lo), clamp.hi);
        });
      }
      int8_t* out = t.out + channel;
      unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
        store(out, bytes[i]);
        out += out_step;
      });
      unit += RowShape<kSize>::kUnitBytes;
    }
    advance(t, kOutputs, kStride);
  }
}

// A row is made in blocks of as many outputs as registers hold. What they do not fill is a last one
// that repeats an output, or narrow ones.
struct RowSplit {
  int64_t count;
};

inline RowSplit split_row(int64_t count) { return {count}; }

template <int kSize, int kStride>
void run_outputs(BlockTask<kSize>& t, const RowSplit& s, const Clamp& clamp) {
  constexpr int kBlock = block_outputs(kStride);
  const int64_t left = s.count % kBlock;
  run_blocks<kSize, kStride, kBlock>(t, s.count / kBlock, clamp);
  if (left == 0) return;
  if (left == kBlock - 1 && s.count > kBlock && kBlock > 2) {
    advance(t, -1, kStride);
    return run_blocks<kSize, kStride, kBlock>(t, 1, clamp);
  }
  if constexpr (kBlock > 2) run_blocks<kSize, kStride, 2>(t, left / 2, clamp);
  if (left % 2 != 0) run_blocks<kSize, kStride, 1>(t, 1, clamp);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_TILE_H_

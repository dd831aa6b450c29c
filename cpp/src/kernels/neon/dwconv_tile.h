// The outputs of a depthwise s8 row (dwconv_row.h), sixteen channels of some neighbouring outputs
// at a time, whose sums stay in registers until they are bytes. Before it come RowShape, where
// constants are, fits() and the sums, struct Tile<kSize, kStride, kOutputs, kFast>. Its run() makes
// the outputs of a unit. kFast is for layers
//
// - whose results are small: no sum times its multiplier leaves [-kSmall, kSmall], and whose zero
//   point is even: adding it and 1.5 * 2^23 rounds to even and leaves the sum in the lower 16 bits;
// - all of whose weights fits() takes.
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

// The next `blocks` blocks of kOutputs outputs of a row. Out of line, as they need the registers,
// and with what a store could change for all the compiler knows in variables.
template <int kSize, int kStride, int kOutputs, bool kFast>
__attribute__((noinline)) void run_blocks(BlockTask<kSize>& t, int64_t blocks, const Finish& f) {
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
      Tile<kSize, kStride, kOutputs, kFast>::run(pixels, channel, unit, t.out + channel, out_step,
                                                 f);
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

template <int kSize, int kStride, bool kFast>
void run_split(BlockTask<kSize>& t, const RowSplit& s, const Finish& f) {
  constexpr int kBlock = block_outputs(kStride);
  const int64_t left = s.count % kBlock;
  run_blocks<kSize, kStride, kBlock, kFast>(t, s.count / kBlock, f);
  if (left == 0) return;
  if (left == kBlock - 1 && s.count > kBlock && kBlock > 2) {
    advance(t, -1, kStride);
    return run_blocks<kSize, kStride, kBlock, kFast>(t, 1, f);
  }
  if constexpr (kBlock > 2) run_blocks<kSize, kStride, 2, kFast>(t, left / 2, f);
  if (left % 2 != 0) run_blocks<kSize, kStride, 1, kFast>(t, 1, f);
}

// Whether a layer takes the fast form follows its units.
template <int kSize>
int64_t fast_at(const ConvProblem& p) {
  return div_up(p.in_c, kUnitChannels) * RowShape<kSize>::kUnitBytes;
}

template <int kSize, int kStride>
void run_outputs(BlockTask<kSize>& t, const RowSplit& s, const Clamp& clamp) {
  const int32_t zero_point = t.problem->out_zero_point;
  const Finish f = {set1_f32(static_cast<float>(12582912 + zero_point)), clamp};
  if (t.packed[fast_at<kSize>(*t.problem)] != 0) {
    run_split<kSize, kStride, true>(t, s, f);
  } else {
    run_split<kSize, kStride, false>(t, s, f);
  }
}

template <int kSize>
bool takes_fast(const ConvProblem& p) {
  if (p.out_zero_point % 2 != 0) return false;
  const auto* w = static_cast<const int8_t*>(p.weights);
  const auto* bias = static_cast<const int32_t*>(p.bias);
  for (int64_t c = 0; c < p.in_c; ++c, w += kSize * kSize) {
    if (!fits<kSize>(w)) return false;
    int64_t low = bias[c], high = bias[c];
    for (int64_t i = 0; i < kSize * kSize; ++i) {
      low += int64_t{w[i]} * ((w[i] > 0 ? p.in_lo : p.in_hi) - p.in_zero_point);
      high += int64_t{w[i]} * ((w[i] > 0 ? p.in_hi : p.in_lo) - p.in_zero_point);
    }
    const auto reach = static_cast<double>(max_of(-low, high));
    if (reach * static_cast<double>(p.multiplier[c]) > kSmall) return false;
  }
  return true;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/simd/dwconv_row.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

template <int kSize>
size_t tile_packed_bytes(const void* problem) {
  return row_packed_bytes<kSize>(problem) + 1;
}

template <int kSize>
void tile_pack(const void* problem, void* packed) {
  row_pack<kSize>(problem, packed);
  const ConvProblem& p = as_conv(problem);
  static_cast<int8_t*>(packed)[fast_at<kSize>(p)] = takes_fast<kSize>(p) ? 1 : 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_TILE_H_

// The sums of a depthwise s8 3x3 row (dwconv_tile.h) by smull and smlal: two taps are added in s16,
// which holds two products unless both are -128 * -128, then to s32.
#ifndef EDGECV_KERNELS_NEON_DWCONV_MUL_H_
#define EDGECV_KERNELS_NEON_DWCONV_MUL_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int kWide = 4;
constexpr bool kStridesShareRows = true;  // the code around blocks
constexpr int block_outputs(int stride) { return stride == 1 ? kWide : 2; }

// Weights of sixteen channels, a vector a tap, bias, multipliers.
template <int kSize>
struct RowShape {
  static constexpr int kTaps = kSize * kSize;
  static constexpr int64_t kUnitBytes = (kTaps + 8) * kVecBytes;
};

inline int64_t bias_at(int64_t i) { return RowShape<3>::kTaps * kVecBytes + 4 * i; }
inline int64_t multiplier_at(int64_t i) { return bias_at(i) + 4 * kVecBytes; }

template <int kSize>
inline void put_weight(int8_t* unit, int64_t kh, int64_t kw, int64_t i, int8_t weight) {
  static_assert(kSize == 3, "where bias and multipliers are");
  unit[(kh * kSize + kw) * kVecBytes + i] = weight;
}

template <int kSize>
inline bool fits(const int8_t* w) {
  for (int64_t i = 0; i < kSize * kSize; ++i) {
    if (w[i] == -128) return false;
  }
  return true;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/dwconv_finish.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// Taps that kFast adds in pairs: the upper two of a column, the lower one with its neighbour.
template <int kSize, int kStride, int kOutputs, bool kFast>
struct Tile {
  static constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  int8x16_t weights[kSize][kSize];
  int8x16_t columns[kColumns][kSize];
  int32x4_t sums[4];

  EDGECV_INLINE void widen(int16x8_t low, int16x8_t high) {
    sums[0] = vaddw_s16(sums[0], vget_low_s16(low));
    sums[1] = vaddw_high_s16(sums[1], low);
    sums[2] = vaddw_s16(sums[2], vget_low_s16(high));
    sums[3] = vaddw_high_s16(sums[3], high);
  }
  EDGECV_INLINE void add(int8x16_t x, int8x16_t w) {
    widen(vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w));
  }
  EDGECV_INLINE void add(int8x16_t x0, int8x16_t w0, int8x16_t x1, int8x16_t w1) {
    if constexpr (kFast) {
      const int16x8_t low = vmull_s8(vget_low_s8(x0), vget_low_s8(w0));
      const int16x8_t high = vmull_high_s8(x0, w0);
      widen(vmlal_s8(low, vget_low_s8(x1), vget_low_s8(w1)), vmlal_high_s8(high, x1, w1));
    } else {
      add(x0, w0);
      add(x1, w1);
    }
  }

  EDGECV_INLINE static void run(const int8_t* const (&pixels)[kSize][kColumns], int64_t channel,
                                const int8_t* unit, int8_t* out, int64_t out_step,
                                const Finish& f) {
    Tile t;
    unroll<kSize * kSize>([&](auto i) __attribute__((always_inline)) {
      t.weights[i / kSize][i % kSize] = vld1q_s8(unit + i * kVecBytes);
    });
    const int8_t* constants = unit + bias_at(0);
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
      // Columns that no output before has read.
      constexpr int kFirst = i * kStride, kRead = i == 0 ? 0 : kFirst - kStride + kSize;
      unroll<kSize>([&](auto tap) __attribute__((always_inline)) {
        if constexpr (kFirst + tap >= kRead) {
          unroll<kSize>([&](auto r) __attribute__((always_inline)) {
            t.columns[kFirst + tap][r] = vld1q_s8(pixels[r][kFirst + tap] + channel);
          });
        }
      });
      const auto& x = t.columns;
      const auto& w = t.weights;
      Vec bias[4], multiplier[4];
      load_pair<0>(constants, &bias[0], &bias[1]);
      load_pair<32>(constants, &bias[2], &bias[3]);
      unroll<4>([&](auto v) __attribute__((always_inline)) { t.sums[v] = as_s32(bias[v]); });
      unroll<kSize>([&](auto tap) __attribute__((always_inline)) {
        t.add(x[kFirst + tap][0], w[0][tap], x[kFirst + tap][1], w[1][tap]);
      });
      t.add(x[kFirst][2], w[2][0], x[kFirst + 1][2], w[2][1]);
      t.add(x[kFirst + 2][2], w[2][2]);
      load_pair<64>(constants, &multiplier[0], &multiplier[1]);
      load_pair<96>(constants, &multiplier[2], &multiplier[3]);
      int16x8_t words[2];
      unroll<2>([&](auto h) __attribute__((always_inline)) {
        const auto first = round_first<kFast>(t.sums[2 * h], to_f32_bits(multiplier[2 * h]), f);
        words[h] =
            round_second<kFast>(first, t.sums[2 * h + 1], to_f32_bits(multiplier[2 * h + 1]), f);
      });
      Vec bytes[1] = {pack_s16_s8(bytes_of(words[0]), bytes_of(words[1]))};
      store_bytes(bytes, out, out_step, f);
      out += out_step;
    });
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_MUL_H_

// The sums of a depthwise s8 row (dwconv_tile.h) by sdot, exact for every s8 x s8. A dword holds
// the taps of a column for a channel: from rows a, b and c of an even channel i the bytes a[i],
// b[i], c[i], c[i + 1], from those of an odd one a[i], b[i], c[i - 1], c[i]. The other channel's
// byte meets a weight of zero.
#ifndef EDGECV_KERNELS_NEON_DWCONV_DOT_H_
#define EDGECV_KERNELS_NEON_DWCONV_DOT_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int kWide = 4;
constexpr bool kStridesShareRows = true;  // the code around blocks
constexpr int block_outputs(int stride) { return stride == 1 ? kWide : 2; }

// For every four channels the weights of three columns, bias, multipliers.
constexpr int64_t kQuadBytes = 5 * kVecBytes;

template <int kSize>
struct RowShape {
  static_assert(kSize == 3, "three rows fill a register of sdot");
  static constexpr int64_t kUnitBytes = 4 * kQuadBytes;
};

inline int64_t dword_at(int64_t i) { return (i % 2 * 2 + i / 8) * kQuadBytes + i % 8 / 2 * 4; }
inline int64_t bias_at(int64_t i) { return dword_at(i) + 3 * kVecBytes; }
inline int64_t multiplier_at(int64_t i) { return dword_at(i) + 4 * kVecBytes; }

template <int kSize>
inline void put_weight(int8_t* unit, int64_t kh, int64_t kw, int64_t i, int8_t weight) {
  unit[dword_at(i) + kw * kVecBytes + kh + (kh == 2 ? i % 2 : 0)] = weight;
}

template <int kSize>
inline bool fits(const int8_t*) {
  return true;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/dwconv_finish.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// Bytes of even and of odd channels in turns. vzip1q_s8 of two combines would copy both.
EDGECV_INLINE Vec zip_halves(int8x8_t even, int8x8_t odd) {
  Vec v;
  __asm__("zip1 %0.16b, %1.16b, %2.16b" : "=w"(v) : "w"(even), "w"(odd));
  return v;
}

template <int kSize, int kStride, int kOutputs, bool kFast>
struct Tile {
  static constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  // Rows a and b of even and of odd channels, row c.
  int8x16_t columns[kColumns][3];

  EDGECV_INLINE void load(const int8_t* const (&pixels)[kSize][kColumns], int64_t channel) {
    unroll<kColumns>([&](auto c) __attribute__((always_inline)) {
      const int8x16_t a = vld1q_s8(pixels[0][c] + channel), b = vld1q_s8(pixels[1][c] + channel);
      columns[c][0] = vtrn1q_s8(a, b);
      columns[c][1] = vtrn2q_s8(a, b);
      columns[c][2] = vld1q_s8(pixels[2][c] + channel);
    });
  }

  // Channels 0 2 4 6, then 8 10 12 14, 1 3 5 7, 9 11 13 15, one vector an output.
  template <int kQuad>
  EDGECV_INLINE void sum(const int8_t* unit, int32x4_t (&sums)[kOutputs]) const {
    const int8_t* at = unit + kQuad * kQuadBytes;
    int8x16_t weights[4];  // and the bias
    load_pair<0>(at, &weights[0], &weights[1]);
    load_pair<2 * kVecBytes>(at, &weights[2], &weights[3]);
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) { sums[i] = as_s32(weights[3]); });
    unroll<kColumns>([&](auto c) __attribute__((always_inline)) {
      const int16x8_t ab = as_s16(columns[c][kQuad / 2]), row = as_s16(columns[c][2]);
      const int8x16_t taps = bytes_of(kQuad % 2 == 0 ? vzip1q_s16(ab, row) : vzip2q_s16(ab, row));
      unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
        constexpr int tap = c - i * kStride;
        if constexpr (tap >= 0 && tap < kSize) sums[i] = vdotq_s32(sums[i], taps, weights[tap]);
      });
    });
  }

  template <int kQuad>
  EDGECV_INLINE VecF multiplier(const int8_t* unit) const {
    return load_f32(reinterpret_cast<const float*>(unit + kQuad * kQuadBytes + 4 * kVecBytes));
  }

  EDGECV_INLINE static void run(const int8_t* const (&pixels)[kSize][kColumns], int64_t channel,
                                const int8_t* unit, int8_t* out, int64_t out_step,
                                const Finish& f) {
    Tile tile;
    tile.load(pixels, channel);
    int8x8_t halves[2][kOutputs];  // of even and of odd channels
    unroll<2>([&](auto half) __attribute__((always_inline)) {
      int32x4_t first[kOutputs], second[kOutputs];
      tile.template sum<2 * half>(unit, first);
      const VecF a = tile.template multiplier<2 * half>(unit);
      Rounded<kFast> rounded[kOutputs];
      unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
        rounded[i] = round_first<kFast>(first[i], a, f);
      });
      tile.template sum<2 * half + 1>(unit, second);
      const VecF b = tile.template multiplier<2 * half + 1>(unit);
      unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
        halves[half][i] = vqmovn_s16(round_second<kFast>(rounded[i], second[i], b, f));
      });
    });
    Vec bytes[kOutputs];
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
      bytes[i] = zip_halves(halves[0][i], halves[1][i]);
    });
    store_bytes(bytes, out, out_step, f);
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_DOT_H_

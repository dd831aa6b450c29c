// The sums of depthwise s8 rows (dwconv_block.h) by a widening multiply and add: a column of the
// input, widened to s16, is added at once to all the outputs that read it. Where registers hold the
// weights of a kernel row beside the sums, a loop goes over the rows.
#ifndef EDGECV_KERNELS_NEON_DWCONV_MLA_H_
#define EDGECV_KERNELS_NEON_DWCONV_MLA_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnitChannels = kWords;
// Outputs of a block: two registers of sums each.
#if defined(__aarch64__)
constexpr int kWide = 7, kNarrow = 4;
#else
constexpr int kWide = 4, kNarrow = 4;
#endif
constexpr bool kStridesShareRows = true;  // the code around blocks

template <int kSize>
struct RowShape {
  static constexpr int kTaps = kSize * kSize;
  static constexpr int64_t kUnitBytes = (4 + kTaps) * kVecBytes;
};

// Where the dwords of a unit's channel i are, two vectors each.
inline int64_t bias_at(int64_t i) { return 4 * i; }
inline int64_t multiplier_at(int64_t i) { return 2 * kVecBytes + 4 * i; }

// Weights are s16.
template <int kSize>
inline void put_weight(int8_t* unit, int64_t kh, int64_t kw, int64_t i, int16_t weight) {
  memcpy(unit + (4 + kh * kSize + kw) * kVecBytes + 2 * i, &weight, sizeof weight);
}

EDGECV_INLINE int32x4_t add_low(int32x4_t sum, int16x8_t a, int16x8_t b) {
  return vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b));
}
EDGECV_INLINE int32x4_t add_high(int32x4_t sum, int16x8_t a, int16x8_t b) {
#if defined(__aarch64__)
  return vmlal_high_s16(sum, a, b);
#else
  return vmlal_s16(sum, vget_high_s16(a), vget_high_s16(b));
#endif
}

// A unit's sums in flight.
template <int kSize, int kStride, int kOutputs>
struct UnitSums {
  static constexpr bool kByRows = kWide == 7;
  static constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  const int8_t* packed;
  int8_t* out;
  int32x4_t bias[2];
  int32x4_t sums[kOutputs][2];

  EDGECV_INLINE int16x8_t load_weights(int tap) const {
    return as_s16(load(packed + (4 + tap) * kVecBytes));
  }

  EDGECV_INLINE void start() {
    bias[0] = as_s32(load(packed));
    bias[1] = as_s32(load(packed + kVecBytes));
  }

  // The unit's sums from pixels that begin at `channel`.
  EDGECV_INLINE void add_rows(const int8_t* const* const (&rows)[kSize], int64_t channel) {
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
      sums[i][0] = bias[0];
      sums[i][1] = bias[1];
    });
#pragma GCC unroll 1
    for (int row = 0; row < kSize; ++row) {
      const int8_t* const* pixels = rows[row];
      int16x8_t w[kSize];
      unroll<kSize>([&](auto tap) __attribute__((always_inline)) {
        w[tap] = load_weights(row * kSize + tap);
      });
      unroll<kColumns>([&](auto column) __attribute__((always_inline)) {
        constexpr int kFirst = column < kSize ? 0 : (column - kSize + kStride) / kStride;
        constexpr int kLast = column / kStride < kOutputs ? column / kStride : kOutputs - 1;
        const int16x8_t x = as_s16(load_s8_s16(pixels[column] + channel));
        unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
          constexpr int output = kFirst + i, tap = column - output * kStride;
          sums[output][0] = add_low(sums[output][0], x, w[tap]);
          sums[output][1] = add_high(sums[output][1], x, w[tap]);
        });
      });
    }
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
      store(out + 2 * i * kVecBytes, bytes_of(sums[i][0]));
      store(out + (2 * i + 1) * kVecBytes, bytes_of(sums[i][1]));
    });
  }

  // Adds a column to the outputs that read it.
  template <int kColumn>
  EDGECV_INLINE void add_column(const Vec (&x)[kSize]) {
    constexpr int kFirst = kColumn < kSize ? 0 : (kColumn - kSize + kStride) / kStride;
    constexpr int kLast = kColumn / kStride < kOutputs ? kColumn / kStride : kOutputs - 1;
    unroll<kSize>([&](auto r) __attribute__((always_inline)) {
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride, row = r;
        const int16x8_t w = load_weights(row * kSize + tap);
        constexpr bool first = tap == 0 && row == 0;
        int32x4_t(&sum)[2] = sums[output];
        sum[0] = add_low(first ? bias[0] : sum[0], as_s16(x[row]), w);
        sum[1] = add_high(first ? bias[1] : sum[1], as_s16(x[row]), w);
        if constexpr (tap == kSize - 1 && row == kSize - 1) {
          store(out + 2 * output * kVecBytes, bytes_of(sum[0]));
          store(out + (2 * output + 1) * kVecBytes, bytes_of(sum[1]));
        }
      });
    });
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_MLA_H_

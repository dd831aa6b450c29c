// Depthwise s8 rows (dwconv_row.h) by maddubs, in 16 bits from the first tap to the last: twice the
// channels an instruction that madd_s16 takes (dwconv_pairs.h). Exact for weights that keep two
// bounds, R being the proven range of the input, in_hi - in_lo:
//
// - of the two taps that one maddubs adds, R * (sum of the weights of one sign) fits s16;
// - R * (sum of all magnitudes of a channel) fits u16. Sums are modulo 2^16 and begin at R *
//   (magnitudes of the negative weights), so that none leaves [0, 65535] in the end.
//
// bytes_supports checks them on the weights. A pair is two rows at the same distance from the
// middle one; taps of the middle row pair with one another but for the centre, which is alone, as
// it tends to have the largest weight.
//
// A unit is kVecBytes channels. Unpacking leaves its sums in two halves, and the dwords of each in
// two quarters, in an order that packing undoes.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_BYTES_H_
#define EDGECV_KERNELS_SIMD_DWCONV_BYTES_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnitChannels = kVecBytes;
constexpr int kWide = 7, kNarrow = 4;      // outputs of a block
constexpr bool kStridesShareRows = false;  // the code around blocks

// A u16 below this exponent is the f32 2^23 + u16.
constexpr int32_t kF32Exponent = 0x4B00;
constexpr int64_t kF32Base = 1 << 23;

// A unit: u16 starts, f32 shifts (kF32Base + start - bias), f32 multipliers, and of each pair the
// weights of its two taps side by side. Pairs of rows r and kSize - 1 - r come first.
constexpr int64_t kShifts = 2 * kVecBytes, kMultipliers = 6 * kVecBytes;
constexpr int64_t kWeights = 10 * kVecBytes;

template <int kSize>
struct RowShape {
  static_assert(kSize == 3 || kSize == 5, "pairs of the middle row are listed for these");
  static constexpr int kMiddle = kSize / 2;
  static constexpr int kRowPairs = kMiddle * kSize;
  static constexpr int kPairs = kRowPairs + kMiddle + 1;
  static constexpr int64_t kUnitBytes = kWeights + 2 * kPairs * kVecBytes;
  // The first tap of a pair of the middle row lies so many columns before the second:
  //   3: (-, 1), (0, 2)    5: (0, 1), (-, 2), (3, 4)
  static constexpr int kDistance = kSize == 3 ? 2 : 1;
  static constexpr bool is_second(int column) {
    return column == kMiddle || column == kSize - 1 || (kSize == 5 && column == 1);
  }
  // Of a column that is_second.
  static constexpr int middle_pair(int column) {
    return kRowPairs + (column == kSize - 1 ? kMiddle : column - 1);
  }
  // The pair of a tap, times two, plus 1 where it is the second.
  static constexpr int place(int kh, int kw) {
    if (kh < kMiddle) return 2 * (kh * kSize + kw);
    if (kh > kMiddle) return 2 * ((kSize - 1 - kh) * kSize + kw) + 1;
    return is_second(kw) ? 2 * middle_pair(kw) + 1 : 2 * middle_pair(kw + kDistance);
  }
};

// Where channel i of a unit stands, in bytes: among words, and among dwords.
inline int64_t word_at(int64_t i) { return i / 8 % 2 * kVecBytes + i / 16 * 16 + i % 8 * 2; }
inline int64_t dword_at(int64_t i) { return i / 4 % 4 * kVecBytes + i / 16 * 16 + i % 4 * 4; }
inline int64_t bias_at(int64_t i) { return kShifts + dword_at(i); }
inline int64_t multiplier_at(int64_t i) { return kMultipliers + dword_at(i); }

template <int kSize>
inline void put_weight(int8_t* unit, int64_t kh, int64_t kw, int64_t i, int16_t weight) {
  const int place = RowShape<kSize>::place(static_cast<int>(kh), static_cast<int>(kw));
  unit[kWeights + place / 2 * 2 * kVecBytes + word_at(i) + place % 2] = static_cast<int8_t>(weight);
}

// A unit's sums in flight, two vectors an output.
template <int kSize, int kStride, int kOutputs>
struct UnitSums {
  using Shape = RowShape<kSize>;
  const int8_t* packed;
  int8_t* out;
  Vec before[Shape::kDistance];  // the middle row of the columns before
  Vec sums[kOutputs][2];

  EDGECV_INLINE Vec weights(int pair, int half) const {
    return load(packed + kWeights + (2 * pair + half) * kVecBytes);
  }

  // Adds a column, u8, to the outputs that read it.
  template <int kColumn>
  EDGECV_INLINE void add_column(const Vec (&x)[kSize]) {
    constexpr int kFirst = kColumn < kSize ? 0 : (kColumn - kSize + kStride) / kStride;
    constexpr int kLast = kColumn / kStride < kOutputs ? kColumn / kStride : kOutputs - 1;
    unroll<Shape::kMiddle>([&](auto r) __attribute__((always_inline)) {
      const Vec records[2] = {unpack_low_s8(x[r], x[kSize - 1 - r]),
                              unpack_high_s8(x[r], x[kSize - 1 - r])};
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride;
        unroll<2>([&](auto h) __attribute__((always_inline)) {
          const Vec products = maddubs(records[h], weights(r * kSize + tap, h));
          if constexpr (tap == 0 && r == 0) {
            sums[output][h] = add_s16(load(packed + h * kVecBytes), products);
          } else {
            add_words_to(sums[output][h], products);
          }
        });
      });
    });
    const Vec middle = x[Shape::kMiddle];
    const Vec records[2] = {unpack_low_s8(before[Shape::kDistance - 1], middle),
                            unpack_high_s8(before[Shape::kDistance - 1], middle)};
    unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
      constexpr int output = kFirst + i, tap = kColumn - output * kStride;
      if constexpr (Shape::is_second(tap)) {
        unroll<2>([&](auto h) __attribute__((always_inline)) {
          add_words_to(sums[output][h], maddubs(records[h], weights(Shape::middle_pair(tap), h)));
          if constexpr (tap == kSize - 1) {
            store(out + (2 * output + h) * kVecBytes, sums[output][h]);
          }
        });
      }
    });
    if constexpr (Shape::kDistance == 2) before[1] = before[0];
    before[0] = middle;
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_BYTES_H_

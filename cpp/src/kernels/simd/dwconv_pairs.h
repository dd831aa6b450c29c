// The sums of depthwise s8 rows (dwconv_block.h) by madd_s16.
//
// A column of the input, widened to s16, becomes records of two interleaved taps, which one
// madd_s16 multiplies and adds: rows 2r and 2r + 1 of the column are a pair, and the last row pairs
// with the column before. 9 taps are 5 pairs, 25 are 13, the least there can be. A record is made
// once and added at once to all the outputs it belongs to, so few registers hold everything.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_PAIRS_H_
#define EDGECV_KERNELS_SIMD_DWCONV_PAIRS_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnitChannels = kWords;
constexpr int kWide = 7, kNarrow = 4;      // outputs of a block
constexpr bool kStridesShareRows = false;  // the code around blocks

template <int kSize>
struct RowShape {
  static constexpr int kColumnPairs = kSize / 2;
  static constexpr int kPairs = kColumnPairs * kSize + (kSize + 1) / 2;
  static constexpr int64_t kUnitBytes = 2 * (2 + kPairs) * kVecBytes;
};

// Where the dwords of a unit's channel i are, two vectors each, in the order that unpacking leaves.
inline int64_t bias_at(int64_t i) { return i / 4 % 2 * kVecBytes + (i / 8 * 4 + i % 4) * 4; }
inline int64_t multiplier_at(int64_t i) { return bias_at(i) + 2 * kVecBytes; }

// Weights are s16.
template <int kSize>
inline void put_weight(int8_t* unit, int64_t kh, int64_t kw, int64_t i, int16_t weight) {
  const bool last = kh == kSize - 1;
  const int64_t pair = kh / 2 * kSize + (last ? (kw + 1) / 2 : kw);
  const int64_t second = last ? (kw + 1) % 2 : kh % 2;
  memcpy(unit + bias_at(i) + (4 + 2 * pair) * kVecBytes + 2 * second, &weight, sizeof weight);
}

// A unit's sums in flight, two vectors an output: the channels that unpack_low_s16 and
// unpack_high_s16 take.
template <int kSize, int kStride, int kOutputs>
struct UnitSums {
  using Shape = RowShape<kSize>;
  static constexpr bool kByRows = false;
  const int8_t* packed;
  int8_t* out;
  Vec last;  // previous column of the last row
  Vec sums[kOutputs][2];

  EDGECV_INLINE void start() { last = zero(); }

  EDGECV_INLINE Vec constant(int i) const { return load(packed + i * kVecBytes); }

  // Adds a column to the outputs that read it.
  template <int kColumn>
  EDGECV_INLINE void add_column(const Vec (&x)[kSize]) {
    constexpr int kFirst = kColumn < kSize ? 0 : (kColumn - kSize + kStride) / kStride;
    constexpr int kLast = kColumn / kStride < kOutputs ? kColumn / kStride : kOutputs - 1;
    unroll<Shape::kColumnPairs>([&](auto r) __attribute__((always_inline)) {
      const Vec records[2] = {unpack_low_s16(x[2 * r], x[2 * r + 1]),
                              unpack_high_s16(x[2 * r], x[2 * r + 1])};
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride;
        unroll<2>([&](auto h) __attribute__((always_inline)) {
          const Vec product = madd_s16(records[h], constant(4 + 2 * (r * kSize + tap) + h));
          if constexpr (tap == 0 && r == 0) {
            sums[output][h] = add_s32(constant(h), product);
          } else {
            add_to(sums[output][h], product);
          }
        });
      });
    });
    // The last row: taps 0, (1, 2), (3, 4) ..., each pair at its second column.
    if constexpr (kStride == 1 || kColumn % 2 == 0) {
      const Vec records[2] = {unpack_low_s16(last, x[kSize - 1]),
                              unpack_high_s16(last, x[kSize - 1])};
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride;
        if constexpr (tap % 2 == 0) {
          constexpr int pair = Shape::kColumnPairs * kSize + tap / 2;
          unroll<2>([&](auto h) __attribute__((always_inline)) {
            add_to(sums[output][h], madd_s16(records[h], constant(4 + 2 * pair + h)));
            if constexpr (tap == kSize - 1) {
              store(out + (2 * output + h) * kVecBytes, sums[output][h]);
            }
          });
        }
      });
    }
    last = x[kSize - 1];
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_PAIRS_H_

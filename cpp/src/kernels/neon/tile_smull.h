// A tile of the dense s8 product on plain NEON: kRows rows by four columns, one register a sum,
// each lane of which holds a part of the depth that is added up at the end.
//
// smull and smlal add the products of depths k and k + 8 in s16 lanes, sadalp adds neighbouring
// lanes to s32. Two products fit s16 unless the input reaches -128 where two weights that meet are
// both -128; a panel's weights and the proven range of the input say so at packing, and a panel
// that fails widens every product.
#ifndef EDGECV_KERNELS_NEON_TILE_SMULL_H_
#define EDGECV_KERNELS_NEON_TILE_SMULL_H_

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kColumns = 4;
#if defined(__aarch64__)
constexpr int kRows = 4;
#else
constexpr int kRows = 2;  // of sixteen registers
#endif

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

enum Form : int32_t { kSingle, kPairs };

// For every 16 depths the 16 weights of each column; of the last 8 depths 8.
inline void pack_column(const int8_t* w, int64_t values, int64_t depth, int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values;) {
    const int64_t unit = k + 16 <= depth ? 16 : 8;
    memcpy(out + k * kColumns + c * unit, w + k, static_cast<size_t>(min_of(unit, values - k)));
    k += unit;
  }
}

inline int32_t choose_form(const int8_t* weights, int64_t depth, int32_t in_lo, int32_t in_hi) {
  const int64_t most = max_of(-in_lo, in_hi);
  for (int64_t i = 0; i + 16 <= depth; i += 16) {
    for (int64_t c = 0; c < kColumns; ++c) {
      const int8_t* w = weights + i * kColumns + c * 16;
      for (int64_t k = 0; k < 8; ++k) {
        const int64_t first = w[k] < 0 ? -w[k] : w[k], second = w[k + 8] < 0 ? -w[k + 8] : w[k + 8];
        if (most * (first + second) > 32767) return kSingle;
      }
    }
  }
  return kPairs;
}

EDGECV_INLINE int16x8_t multiply_high(int8x16_t a, int8x16_t b) {
#if defined(__aarch64__)
  return vmull_high_s8(a, b);
#else
  return vmull_s8(vget_high_s8(a), vget_high_s8(b));
#endif
}
EDGECV_INLINE int16x8_t multiply_low(int8x16_t a, int8x16_t b) {
  return vmull_s8(vget_low_s8(a), vget_low_s8(b));
}

// Sixteen depths of a column. On aarch64 in this order of instructions: left alone, the compiler
// multiplies all it can first and stores sums to make room.
template <int kColumn, bool kFirst>
EDGECV_INLINE void add_pairs(int32x4_t (&acc)[kRows][4], const int8x16_t (&values)[kRows],
                             int8x16_t weights) {
#if defined(__aarch64__)
  int16x8_t p0, p1, p2, p3;
  if constexpr (kFirst) {  // begins the sums
    __asm__ volatile(
        "smull %4.8h, %8.8b, %12.8b\n\t"
        "smull %5.8h, %9.8b, %12.8b\n\t"
        "smull %6.8h, %10.8b, %12.8b\n\t"
        "smull %7.8h, %11.8b, %12.8b\n\t"
        "smlal2 %4.8h, %8.16b, %12.16b\n\t"
        "smlal2 %5.8h, %9.16b, %12.16b\n\t"
        "smlal2 %6.8h, %10.16b, %12.16b\n\t"
        "smlal2 %7.8h, %11.16b, %12.16b\n\t"
        "saddlp %0.4s, %4.8h\n\t"
        "saddlp %1.4s, %5.8h\n\t"
        "saddlp %2.4s, %6.8h\n\t"
        "saddlp %3.4s, %7.8h"
        : "=&w"(acc[0][kColumn]), "=&w"(acc[1][kColumn]), "=&w"(acc[2][kColumn]),
          "=&w"(acc[3][kColumn]), "=&w"(p0), "=&w"(p1), "=&w"(p2), "=&w"(p3)
        : "w"(values[0]), "w"(values[1]), "w"(values[2]), "w"(values[3]), "w"(weights));
  } else {
    __asm__ volatile(
        "smull %4.8h, %8.8b, %12.8b\n\t"
        "smull %5.8h, %9.8b, %12.8b\n\t"
        "smull %6.8h, %10.8b, %12.8b\n\t"
        "smull %7.8h, %11.8b, %12.8b\n\t"
        "smlal2 %4.8h, %8.16b, %12.16b\n\t"
        "smlal2 %5.8h, %9.16b, %12.16b\n\t"
        "smlal2 %6.8h, %10.16b, %12.16b\n\t"
        "smlal2 %7.8h, %11.16b, %12.16b\n\t"
        "sadalp %0.4s, %4.8h\n\t"
        "sadalp %1.4s, %5.8h\n\t"
        "sadalp %2.4s, %6.8h\n\t"
        "sadalp %3.4s, %7.8h"
        : "+w"(acc[0][kColumn]), "+w"(acc[1][kColumn]), "+w"(acc[2][kColumn]),
          "+w"(acc[3][kColumn]), "=&w"(p0), "=&w"(p1), "=&w"(p2), "=&w"(p3)
        : "w"(values[0]), "w"(values[1]), "w"(values[2]), "w"(values[3]), "w"(weights));
  }
#else
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    const int16x8_t low = multiply_low(values[r], weights);
    acc[r][kColumn] =
        vpadalq_s16(acc[r][kColumn], vmlal_s8(low, vget_high_s8(values[r]), vget_high_s8(weights)));
  });
#endif
}

// The sums of the lanes of four registers.
EDGECV_INLINE Vec add_lanes(const int32x4_t (&v)[4]) {
#if defined(__aarch64__)
  return bytes_of(vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])));
#else
  int32x2_t half[4];
  unroll<4>([&](auto i) __attribute__((always_inline)) {
    half[i] = vadd_s32(vget_low_s32(v[i]), vget_high_s32(v[i]));
  });
  return bytes_of(vcombine_s32(vpadd_s32(half[0], half[1]), vpadd_s32(half[2], half[3])));
#endif
}

// Sixteen depths of all columns.
template <bool kInPairs, bool kFirst>
EDGECV_INLINE void add_depths(int32x4_t (&acc)[kRows][4], const int8_t* const (&a)[kRows],
                              int64_t k, const int8_t* w) {
  int8x16_t values[kRows];
  unroll<kRows>([&](auto r) __attribute__((always_inline)) { values[r] = load(a[r] + k); });
  unroll<4>([&](auto c) __attribute__((always_inline)) {
    const int8x16_t weights = load(w + 16 * c);
    if constexpr (kInPairs) {
      add_pairs<c, kFirst>(acc, values, weights);
    } else {
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        const int16x8_t low = multiply_low(values[r], weights);
        if constexpr (kFirst) {
          acc[r][c] = vpaddlq_s16(low);
        } else {
          acc[r][c] = vpadalq_s16(acc[r][c], low);
        }
        acc[r][c] = vpadalq_s16(acc[r][c], multiply_high(values[r], weights));
      });
    }
  });
}

// All rows of a panel. Out of line, and with the constants of requantize loaded once a tile: the
// sums need the registers.
template <bool kInPairs>
__attribute__((noinline)) void multiply_rows(TileTask t, const Clamp& clamp) {
  const int64_t rows_step = kRows * t.a_stride, out_step = kRows * t.out_stride;
  for (; t.rows > 0; t.rows -= kRows, t.a += rows_step, t.out += out_step) {
    int32x4_t acc[kRows][4];
    const int8_t* a[kRows];
    a[0] = t.a;
    unroll<kRows - 1>([&](auto r) __attribute__((always_inline)) {
      a[r + 1] = r + 1 < t.rows ? a[r] + t.a_stride : a[r];
    });
    const int8_t* w = t.panel + kHeadBytes;
    int64_t k = 0;
    if (kRows == 4 && t.depth >= 16) {
      add_depths<kInPairs, true>(acc, a, 0, w);
      k = 16;
      w += 64;
    } else {
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        unroll<4>([&](auto c) __attribute__((always_inline)) { acc[r][c] = vdupq_n_s32(0); });
      });
    }
    for (; k + 16 <= t.depth; k += 16, w += 64) add_depths<kInPairs, false>(acc, a, k, w);
    if (k < t.depth) {
      int8x8_t values[kRows];
      unroll<kRows>([&](auto r) __attribute__((always_inline)) { values[r] = vld1_s8(a[r] + k); });
      unroll<4>([&](auto c) __attribute__((always_inline)) {
        const int8x8_t weights = vld1_s8(w + 8 * c);
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
          acc[r][c] = vpadalq_s16(acc[r][c], vmull_s8(values[r], weights));
        });
      });
    }
    Vec sums[4][1];
    unroll<4>([&](auto r) __attribute__((always_inline)) {
      constexpr int row = r < kRows ? r : 0;
      sums[r][0] = add_lanes(acc[row]);
    });
    __asm__ volatile("" ::: "memory");
    store_tile<4, kRows>(t, clamp, sums);
  }
}

inline void multiply_panel(TileTask& t, const Clamp& clamp) {
  if (load_s32(t.panel) == kPairs) {
    multiply_rows<true>(t, clamp);
  } else {
    multiply_rows<false>(t, clamp);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_SMULL_H_

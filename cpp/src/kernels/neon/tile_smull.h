// A tile of the dense s8 product on plain NEON: kRows rows by four columns, one register a sum,
// each lane of which holds a part of the depth that is added up at the end.
//
// smull and smlal add products in s16 lanes, sadalp adds neighbouring lanes to s32. Two products
// fit s16 unless the input reaches -128 where two weights that meet are both -128. Four fit where
// the weights were quantized for it: of every eight depths, 0 1 4 5 and 2 3 6 7 are such fours, and
// on aarch64 every 32 depths are put in the order in which each lane gets one four. A panel's
// weights and the proven range of the input say at packing which form is exact; if none is, every
// product is widened.
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

enum Form : int32_t { kSingle, kPairs, kQuads };

constexpr bool kOrdersDepths = kRows == 4;
// Whether a panel of that form needs its layer's depths in order.
inline bool needs_order(int32_t form) { return form == kQuads; }

// Where depth k of 32 goes: 8 * (its place in its four) + the four.
constexpr int64_t ordered(int64_t k) {
  const int64_t four = k / 8 * 2 + k % 4 / 2, place = k / 4 % 2 * 2 + k % 2;
  return 8 * place + four;
}

// For every 16 depths the 16 weights of each column; of the last 8 depths 8.
inline void pack_column(const int8_t* w, int64_t values, int64_t depth, bool ordered_depths,
                        int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values; ++k) {
    const bool in_order = ordered_depths && k / 32 * 32 + 32 <= depth;
    const int64_t at = in_order ? k / 32 * 32 + ordered(k % 32) : k;
    const int64_t block = at / 16 * 16, unit = block + 16 <= depth ? 16 : 8;
    out[block * kColumns + c * unit + at - block] = w[k];
  }
}

#if defined(__aarch64__)
// A row's depths in that order.
inline void order_depths(int8_t* out, const int8_t* in, int64_t depth) {
  static const uint8_t kFirst[16] = {0, 2, 8, 10, 16, 18, 24, 26, 1, 3, 9, 11, 17, 19, 25, 27};
  const uint8x16_t first = vld1q_u8(kFirst), second = vaddq_u8(first, vdupq_n_u8(4));
  int64_t k = 0;
  for (; k + 32 <= depth; k += 32) {
    const int8x16x2_t v = {{load(in + k), load(in + k + 16)}};
    store(out + k, vqtbl2q_s8(v, first));
    store(out + k + 16, vqtbl2q_s8(v, second));
  }
  for (; k < depth; k += 8) vst1_s8(out + k, vld1_s8(in + k));
}
#else
inline void order_depths(int8_t*, const int8_t*, int64_t) {}
#endif

// Whether no lane that adds four products overflows, whatever the input.
inline bool quads_fit(const int8_t* weights, int64_t depth, int32_t in_lo, int32_t in_hi) {
  const int64_t low = max_of(-in_lo, 0), high = max_of(in_hi, 0);
  for (int64_t i = 0; i + 32 <= depth; i += 32) {
    for (int64_t lane = 0; lane < 8 * kColumns; ++lane) {
      const int8_t* w = weights + i * kColumns + lane / 8 * 16 + lane % 8;
      int64_t plus = 0, minus = 0;
      const int32_t four[4] = {w[0], w[8], w[64], w[72]};
      for (const int32_t weight : four) {
        if (weight > 0) plus += weight;
        if (weight < 0) minus -= weight;
      }
      if (high * plus + low * minus > 32767 || high * minus + low * plus > 32767) return false;
    }
  }
  return true;
}

inline int32_t choose_form(const int8_t* weights, int64_t depth, bool ordered_depths, int32_t in_lo,
                           int32_t in_hi) {
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
  return ordered_depths && quads_fit(weights, depth, in_lo, in_hi) ? kQuads : kPairs;
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

#if defined(__aarch64__)
// Thirty-two depths of a column.
template <int kColumn>
EDGECV_INLINE void add_quads(int32x4_t (&acc)[4][4], const int8x16_t (&x)[4],
                             const int8x16_t (&y)[4], int8x16_t wx, int8x16_t wy) {
  int16x8_t p0, p1, p2, p3;
  __asm__ volatile(
      "smull %4.8h, %8.8b, %16.8b\n\t"
      "smull %5.8h, %9.8b, %16.8b\n\t"
      "smull %6.8h, %10.8b, %16.8b\n\t"
      "smull %7.8h, %11.8b, %16.8b\n\t"
      "smlal2 %4.8h, %8.16b, %16.16b\n\t"
      "smlal2 %5.8h, %9.16b, %16.16b\n\t"
      "smlal2 %6.8h, %10.16b, %16.16b\n\t"
      "smlal2 %7.8h, %11.16b, %16.16b\n\t"
      "smlal %4.8h, %12.8b, %17.8b\n\t"
      "smlal %5.8h, %13.8b, %17.8b\n\t"
      "smlal %6.8h, %14.8b, %17.8b\n\t"
      "smlal %7.8h, %15.8b, %17.8b\n\t"
      "smlal2 %4.8h, %12.16b, %17.16b\n\t"
      "smlal2 %5.8h, %13.16b, %17.16b\n\t"
      "smlal2 %6.8h, %14.16b, %17.16b\n\t"
      "smlal2 %7.8h, %15.16b, %17.16b\n\t"
      "sadalp %0.4s, %4.8h\n\t"
      "sadalp %1.4s, %5.8h\n\t"
      "sadalp %2.4s, %6.8h\n\t"
      "sadalp %3.4s, %7.8h"
      : "+w"(acc[0][kColumn]), "+w"(acc[1][kColumn]), "+w"(acc[2][kColumn]), "+w"(acc[3][kColumn]),
        "=&w"(p0), "=&w"(p1), "=&w"(p2), "=&w"(p3)
      : "w"(x[0]), "w"(x[1]), "w"(x[2]), "w"(x[3]), "w"(y[0]), "w"(y[1]), "w"(y[2]), "w"(y[3]),
        "w"(wx), "w"(wy));
}

EDGECV_INLINE void add_ordered(int32x4_t (&acc)[4][4], const int8_t* const (&a)[4], int64_t k,
                               const int8_t* w) {
  int8x16_t x[4], y[4];
  unroll<4>([&](auto r) __attribute__((always_inline)) {
    x[r] = load(a[r] + k);
    y[r] = load(a[r] + k + 16);
  });
  unroll<4>([&](auto c) __attribute__((always_inline)) {
    add_quads<c>(acc, x, y, load(w + 16 * c), load(w + 64 + 16 * c));
  });
}
#endif

// All rows of a panel. Out of line, and with the constants of requantize loaded once a tile: the
// sums need the registers.
template <Form kForm>
__attribute__((noinline)) void multiply_rows(TileTask t, const Clamp& clamp) {
  constexpr bool kInPairs = kForm != kSingle;
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
    if (kForm == kPairs && kRows == 4 && t.depth >= 16) {
      add_depths<kInPairs, true>(acc, a, 0, w);
      k = 16;
      w += 64;
    } else {
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        unroll<4>([&](auto c) __attribute__((always_inline)) { acc[r][c] = vdupq_n_s32(0); });
      });
    }
#if defined(__aarch64__)
    if constexpr (kForm == kQuads) {
      for (; k + 32 <= t.depth; k += 32, w += 128) add_ordered(acc, a, k, w);
    }
#endif
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
  switch (load_s32(t.panel)) {
    case kQuads:
      return multiply_rows<kQuads>(t, clamp);
    case kPairs:
      return multiply_rows<kPairs>(t, clamp);
    default:
      return multiply_rows<kSingle>(t, clamp);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_SMULL_H_

// A tile of the dense s8 product by smmla: eight rows by eight columns. smmla multiplies eight
// depths of two rows by those of two columns and adds to four sums. Exact for every s8 x s8.
#ifndef EDGECV_KERNELS_NEON_TILE_MMLA_H_
#define EDGECV_KERNELS_NEON_TILE_MMLA_H_

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kColumns = 8;
constexpr int kRows = 8;

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// For every eight depths the eight weights of each column.
inline void pack_column(const int8_t* w, int64_t values, int64_t, bool, int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values; k += 8) {
    memcpy(out + k * kColumns + c * 8, w + k, static_cast<size_t>(min_of(8, values - k)));
  }
}

constexpr bool kOrdersDepths = false;
inline bool needs_order(int32_t) { return false; }
inline void order_depths(int8_t*, const int8_t*, int64_t) {}

inline int32_t choose_form(const int8_t*, int64_t, bool, int32_t, int32_t) { return 0; }

// Eight depths of kPairs pairs of rows.
template <int kPairs>
EDGECV_INLINE void add_depths(const int8_t* w, const int8x16_t (&values)[kPairs],
                              int32x4_t (&acc)[kPairs][4]) {
  unroll<4>([&](auto c) __attribute__((always_inline)) {
    const int8x16_t weights = load(w + 16 * c);
    unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
      acc[i][c] = vmmlaq_s32(acc[i][c], values[i], weights);
    });
  });
}

// Tiles of kTile rows while there are so many, at least one. Out of line, and with the constants of
// requantize loaded once a tile: the sums need the registers.
template <int kTile>
__attribute__((noinline)) void multiply_rows(TileTask& t, const Clamp& clamp) {
  constexpr int kPairs = kTile / 2;
  do {
    int32x4_t acc[kPairs][4];
    const int8_t* a[kTile];
    a[0] = t.a;
    unroll<kTile - 1>([&](auto r) __attribute__((always_inline)) {
      a[r + 1] = r + 1 < t.rows ? a[r] + t.a_stride : a[r];
    });
    unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
      unroll<4>([&](auto c) __attribute__((always_inline)) { acc[i][c] = vdupq_n_s32(0); });
    });
    const int8_t* w = t.panel + kHeadBytes;
    int64_t k = 0;
    for (; k + 16 <= t.depth; k += 16, w += 16 * kColumns) {
      int8x16_t first[kPairs], second[kPairs];
      unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
        const int8x16_t even = load(a[2 * i]), odd = load(a[2 * i + 1]);
        first[i] = zip_low_64(even, odd);
        second[i] = zip_high_64(even, odd);
        a[2 * i] += 16;
        a[2 * i + 1] += 16;
      });
      add_depths<kPairs>(w, first, acc);
      add_depths<kPairs>(w + 8 * kColumns, second, acc);
    }
    if (k < t.depth) {
      int8x16_t values[kPairs];
      unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
        values[i] = vcombine_s8(vld1_s8(a[2 * i]), vld1_s8(a[2 * i + 1]));
      });
      add_depths<kPairs>(w, values, acc);
    }
    Vec sums[kTile][2];
    unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
      unroll<2>([&](auto v) __attribute__((always_inline)) {
        const Vec left = bytes_of(acc[i][2 * v]), right = bytes_of(acc[i][2 * v + 1]);
        sums[2 * i][v] = zip_low_64(left, right);
        sums[2 * i + 1][v] = zip_high_64(left, right);
      });
    });
    __asm__ volatile("" ::: "memory");
    store_tile<kTile, kTile>(t, clamp, sums);
    t.rows -= kTile;
    t.a += kTile * t.a_stride;
    t.out += kTile * t.out_stride;
  } while (t.rows >= kTile);
}

inline void multiply_panel(TileTask& t, const Clamp& clamp) {
  while (t.rows > 0) {
    if (t.rows > 4) {
      multiply_rows<8>(t, clamp);
    } else if (t.rows > 2) {
      multiply_rows<4>(t, clamp);
    } else {
      multiply_rows<2>(t, clamp);
    }
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_MMLA_H_

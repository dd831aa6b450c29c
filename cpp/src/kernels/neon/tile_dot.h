// A tile of the dense s8 product by sdot: eight rows by eight columns. A register of weights holds
// four depths of four columns, one of the left factor sixteen depths of a row, which sdot takes
// four at a time. Exact for every s8 x s8.
#ifndef EDGECV_KERNELS_NEON_TILE_DOT_H_
#define EDGECV_KERNELS_NEON_TILE_DOT_H_

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

// For every four depths the four weights of each column.
inline void pack_column(const int8_t* w, int64_t values, int64_t, bool, int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values; k += 4) {
    memcpy(out + k * kColumns + c * 4, w + k, static_cast<size_t>(min_of(4, values - k)));
  }
}

constexpr bool kOrdersDepths = false;
inline bool needs_order(int32_t) { return false; }
inline void order_depths(int8_t*, const int8_t*, int64_t) {}

inline int32_t choose_form(const int8_t*, int64_t, bool, int32_t, int32_t) { return 0; }

// Depths k .. k + 4 * kSteps, one of the left factor's registers a row.
template <int kTile, int kSteps>
EDGECV_INLINE void add_depths(const int8_t* w, const int8x16_t (&values)[kTile],
                              int32x4_t (&acc)[kTile][2]) {
  unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
    constexpr int lane = step;
    const int8x16_t w0 = load(w + 32 * step), w1 = load(w + 32 * step + 16);
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      acc[r][0] = vdotq_laneq_s32(acc[r][0], w0, values[r], lane);
      acc[r][1] = vdotq_laneq_s32(acc[r][1], w1, values[r], lane);
    });
  });
}

// Tiles of kTile rows while there are so many, at least one. Out of line, and with the constants of
// requantize loaded once a tile: the sums need the registers.
template <int kTile>
__attribute__((noinline)) void multiply_rows(TileTask& t, const Clamp& clamp) {
  do {
    int32x4_t acc[kTile][2];
    const int8_t* a[kTile];
    a[0] = t.a;
    unroll<kTile - 1>([&](auto r) __attribute__((always_inline)) {
      a[r + 1] = r + 1 < t.rows ? a[r] + t.a_stride : a[r];
    });
    unroll<kTile>([&](auto r)
                      __attribute__((always_inline)) { acc[r][0] = acc[r][1] = vdupq_n_s32(0); });
    const int8_t* w = t.panel + kHeadBytes;
    int64_t k = 0;
    int8x16_t values[kTile];
    for (; k + 16 <= t.depth; k += 16, w += 16 * kColumns) {
      unroll<kTile>([&](auto r) __attribute__((always_inline)) {
        values[r] = load(a[r]);
        a[r] += 16;
      });
      add_depths<kTile, 4>(w, values, acc);
    }
    if (k < t.depth) {
      unroll<kTile>([&](auto r) __attribute__((always_inline)) { values[r] = load64(a[r]); });
      add_depths<kTile, 2>(w, values, acc);
    }
    Vec sums[kTile][2];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      sums[r][0] = bytes_of(acc[r][0]);
      sums[r][1] = bytes_of(acc[r][1]);
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

#endif  // EDGECV_KERNELS_NEON_TILE_DOT_H_

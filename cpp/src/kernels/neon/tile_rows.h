// Tiles of rows by a panel of 16 columns, for the products that are exact for every s8: sdot and
// smmla. Before it come kColumns, kRows and the product, struct Sums<kTile, kVectors>:
//
//   start(panel)   begins with the bias
//   add(w, a)      adds 16 depths, from pointers to rows, which it advances
//   add_half(w, a) adds the last eight
//   row<kRow, kVector>() four sums
//
// A tile is as high as there are rows: six at a time, then four, two, one. A panel of which eight
// columns or fewer exist is multiplied by half of it.
#ifndef EDGECV_KERNELS_NEON_TILE_ROWS_H_
#define EDGECV_KERNELS_NEON_TILE_ROWS_H_

#include "kernels/neon/tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kSpread = 0, kSpreadBeyond = 0;  // rows are read as they are
inline void spread_rows(int8_t*, const int8_t*, int64_t, int64_t, int64_t) {}
inline void spread_row(int8_t*, int64_t, const int8_t*, int64_t) {}

inline int64_t panel_tail_bytes(int64_t) { return 0; }
inline int32_t choose_form(const int8_t*, int64_t, int64_t, int32_t, int32_t) { return 0; }

// Tiles of kTile rows while there are so many, at least one. Out of line, and with the constants of
// requantize loaded once a tile: the sums need the registers.
template <int kTile, int kVectors>
__attribute__((noinline)) void multiply_rows(TileTask& t, const Clamp& clamp) {
  const bool small = t.columns == 4 * kVectors && load_s32(t.panel + kSmallAt) != 0;
  do {
    const int8_t* a[kTile];
    a[0] = t.a;
    unroll<kTile - 1>([&](auto r) __attribute__((always_inline)) { a[r + 1] = a[r] + t.a_stride; });
    Sums<kTile, kVectors> sums;
    sums.start(t.panel);
    const int8_t* w = t.panel + kHeadBytes;
    for (int64_t k = t.depth; k >= 16; k -= 16, w += 16 * kColumns) sums.add(w, a);
    if (t.depth % 16 != 0) sums.add_half(w, a);
    int32x4_t rows[kTile][kVectors];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        rows[r][v] = sums.template row<r, v>();
      });
    });
    store_sums(t, small, clamp, rows);
    t.rows -= kTile;
    t.a += kTile * t.a_stride;
    t.out += kTile * t.out_stride;
  } while (t.rows >= kTile);
}

template <int kVectors>
inline void multiply_columns(TileTask& t, const Clamp& clamp) {
  if (t.rows >= 6) multiply_rows<6, kVectors>(t, clamp);
  if (t.rows >= 4) multiply_rows<4, kVectors>(t, clamp);
  if (t.rows >= 2) multiply_rows<2, kVectors>(t, clamp);
  if (t.rows >= 1) multiply_rows<1, kVectors>(t, clamp);
}

inline void multiply_panel(TileTask& t, const Clamp& clamp) {
  if (t.columns > 8) {
    multiply_columns<4>(t, clamp);
  } else {
    multiply_columns<2>(t, clamp);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_ROWS_H_

// A tile of the dense s8 product by sdot: six rows by sixteen columns. A register of weights holds
// four depths of four columns, one of the left factor sixteen depths of a row, which sdot takes
// four at a time. Exact for every s8 x s8.
#ifndef EDGECV_KERNELS_NEON_TILE_DOT_H_
#define EDGECV_KERNELS_NEON_TILE_DOT_H_

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kColumns = 16;
constexpr int kRows = 6;

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// For every four depths the four weights of each column.
inline void pack_column(const int8_t* w, int64_t values, int64_t, int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values; k += 4) {
    memcpy(out + k * kColumns + c * 4, w + k, static_cast<size_t>(min_of(4, values - k)));
  }
}

template <int kTile, int kVectors>
struct Sums {
  int32x4_t acc[kTile][kVectors];

  EDGECV_INLINE void start(const int8_t* panel) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const int32x4_t bias = as_s32(load(panel + kBiasAt + 16 * v));
      unroll<kTile>([&](auto r) __attribute__((always_inline)) { acc[r][v] = bias; });
    });
  }

  template <int kSteps>
  EDGECV_INLINE void add_steps(const int8_t* w, const int8x16_t (&values)[kTile]) {
    unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
      constexpr int lane = step;
      unroll<kVectors / 2>([&](auto v) __attribute__((always_inline)) {
        int8x16_t left, right;
        load_pair<4 * kColumns * step + 32 * v>(w, &left, &right);
        unroll<kTile>([&](auto r) __attribute__((always_inline)) {
          acc[r][2 * v] = vdotq_laneq_s32(acc[r][2 * v], left, values[r], lane);
        });
        unroll<kTile>([&](auto r) __attribute__((always_inline)) {
          acc[r][2 * v + 1] = vdotq_laneq_s32(acc[r][2 * v + 1], right, values[r], lane);
        });
      });
    });
  }
  EDGECV_INLINE void add(const int8_t* w, const int8_t* (&a)[kTile]) {
    int8x16_t values[kTile];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      values[r] = load(a[r]);
      a[r] += 16;
    });
    add_steps<4>(w, values);
  }
  EDGECV_INLINE void add_half(const int8_t* w, const int8_t* (&a)[kTile]) {
    int8x16_t values[kTile];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) { values[r] = load64(a[r]); });
    add_steps<2>(w, values);
  }

  template <int kRow, int kVector>
  EDGECV_INLINE int32x4_t row() const {
    return acc[kRow][kVector];
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile_rows.h"

#endif  // EDGECV_KERNELS_NEON_TILE_DOT_H_

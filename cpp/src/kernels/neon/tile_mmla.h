// A tile of the dense s8 product by smmla: six rows by sixteen columns. smmla multiplies eight
// depths of two rows by those of two columns and adds to four sums. Exact for every s8 x s8.
#ifndef EDGECV_KERNELS_NEON_TILE_MMLA_H_
#define EDGECV_KERNELS_NEON_TILE_MMLA_H_

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

// For every eight depths the eight weights of each column.
inline void pack_column(const int8_t* w, int64_t values, int64_t, int64_t c, int8_t* out) {
  for (int64_t k = 0; k < values; k += 8) {
    memcpy(out + k * kColumns + c * 8, w + k, static_cast<size_t>(min_of(8, values - k)));
  }
}

// Eight depths of two rows, past which the pointers go. As load_pair() it stays where it is
// written.
EDGECV_INLINE int8x16_t load_rows(const int8_t*& even, const int8_t*& odd) {
  int8x16_t v;
  __asm__ volatile(
      "ldr %d0, [%1], #8\n\t"
      "ld1 {%0.d}[1], [%2], #8"
      : "=&w"(v), "+r"(even), "+r"(odd)
      : "m"(*reinterpret_cast<const int8_t(*)[8]>(even)),
        "m"(*reinterpret_cast<const int8_t(*)[8]>(odd)));
  return v;
}

// A register holds two columns of two rows; a tile of one row has them twice.
template <int kTile, int kVectors>
struct Sums {
  static constexpr int kPairs = (kTile + 1) / 2;
  int32x4_t acc[kPairs][2 * kVectors];

  EDGECV_INLINE void start(const int8_t* panel) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Vec bias = load(panel + kBiasAt + 16 * v);
      unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
        acc[i][2 * v] = as_s32(zip_low_64(bias, bias));
        acc[i][2 * v + 1] = as_s32(zip_high_64(bias, bias));
      });
    });
  }

  EDGECV_INLINE void add_half(const int8_t* w, const int8_t* (&a)[kTile]) {
    int8x16_t pairs[kPairs];
    unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
      if constexpr (kTile == 1) {
        pairs[i] = load64(a[i]);
        pairs[i] = zip_low_64(pairs[i], pairs[i]);
        a[i] += 8;
      } else {
        pairs[i] = load_rows(a[2 * i], a[2 * i + 1]);
      }
    });
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      int8x16_t left, right;
      load_pair<32 * v>(w, &left, &right);
      unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
        acc[i][2 * v] = vmmlaq_s32(acc[i][2 * v], pairs[i], left);
      });
      unroll<kPairs>([&](auto i) __attribute__((always_inline)) {
        acc[i][2 * v + 1] = vmmlaq_s32(acc[i][2 * v + 1], pairs[i], right);
      });
    });
  }
  EDGECV_INLINE void add(const int8_t* w, const int8_t* (&a)[kTile]) {
    add_half(w, a);
    add_half(w + 8 * kColumns, a);
  }

  template <int kRow, int kVector>
  EDGECV_INLINE int32x4_t row() const {
    const Vec left = bytes_of(acc[kRow / 2][2 * kVector]);
    const Vec right = bytes_of(acc[kRow / 2][2 * kVector + 1]);
    return as_s32(kRow % 2 == 0 ? zip_low_64(left, right) : zip_high_64(left, right));
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile_rows.h"

#endif  // EDGECV_KERNELS_NEON_TILE_MMLA_H_

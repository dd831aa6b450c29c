// What the tiles of dense s8 layers on ARM share: the panel's head, the task, requantize and store.
#ifndef EDGECV_KERNELS_NEON_TILE_H_
#define EDGECV_KERNELS_NEON_TILE_H_

#include <arm_neon.h>

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// The head of a panel: its form, whether depths are ordered, bias, multipliers.
constexpr int64_t kOrderedAt = 4;
constexpr int64_t kBiasAt = 16, kMultiplierAt = kBiasAt + 4 * kColumns;
constexpr int64_t kHeadBytes = kMultiplierAt + 4 * kColumns;

// `rows` rows at a, `depth` bytes each, times a panel of which `columns` columns exist.
struct TileTask {
  const int8_t* a;
  int64_t a_stride, depth;
  const int8_t* panel;
  int8_t* out;
  int64_t out_stride, rows, columns;
};

// The first `count` < 16 bytes of v.
EDGECV_INLINE void store_few(int8_t* p, V128 v, int64_t count) {
  if ((count & 8) != 0) {
    store64(p, v);
    v = vextq_s8(v, v, 8);
    p += 8;
  }
  if ((count & 4) != 0) {
    store32(p, v);
    v = vextq_s8(v, v, 4);
    p += 4;
  }
  if ((count & 2) != 0) {
    vst1_lane_s8(p, vget_low_s8(v), 0);
    vst1_lane_s8(p + 1, vget_low_s8(v), 1);
    v = vextq_s8(v, v, 2);
    p += 2;
  }
  if ((count & 1) != 0) vst1_lane_s8(p, vget_low_s8(v), 0);
}

// kHalf bytes of v, from the lower or the upper half of its first 2 * kHalf ones.
template <int kHalf, int kWhich>
EDGECV_INLINE void store_part(int8_t* p, V128 v) {
  if constexpr (kHalf == 8) {
    if constexpr (kWhich == 0) store64(p, v);
    if constexpr (kWhich == 1) store_high64(p, v);
  } else {
    vst1q_lane_s32(reinterpret_cast<int32_t*>(p), as_s32(v), kWhich);
  }
}

// Sums without their bias, kColumns of each of kRows rows, of which t.rows and t.columns exist. Out
// of line where some do not, to keep the branches away from the common case.
template <int kRows>
__attribute__((noinline)) void store_edge(const TileTask& t, const V128* bytes) {
  constexpr int64_t kPerVector = 16 / kColumns;
  for (int64_t r = 0; r < min_of(kRows, t.rows); ++r) {
    V128 v = bytes[r / kPerVector];
    alignas(16) int8_t row[32];
    store128(row, v);
    v = load128(row + r % kPerVector * kColumns);
    if (t.columns == 16) {
      store128(t.out + r * t.out_stride, v);
    } else {
      store_few(t.out + r * t.out_stride, v, t.columns);
    }
  }
}

// kRows fills whole vectors of bytes; the tile has the first kReal of them.
template <int kRows, int kReal>
EDGECV_INLINE void store_tile(const TileTask& t, const Clamp& clamp,
                              Vec (&sums)[kRows][kColumns / 4]) {
  constexpr int kVectors = kColumns / 4;
  constexpr int kPerVector = 16 / kColumns;  // rows
  static_assert(kRows % kPerVector == 0, "whole vectors of bytes");
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    const Vec bias = load(t.panel + kBiasAt + 16 * v);
    const VecF multiplier =
        load_f32(reinterpret_cast<const float*>(t.panel + kMultiplierAt) + 4 * v);
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      sums[r][v] = scale_round(add_s32(sums[r][v], bias), multiplier);
    });
  });
  const Vec* const flat = &sums[0][0];
  Vec bytes[kRows / kPerVector];
  unroll<kRows / kPerVector>([&](auto i) __attribute__((always_inline)) {
    bytes[i] = clamp_bytes(pack_words(flat[4 * i], flat[4 * i + 1], clamp),
                           pack_words(flat[4 * i + 2], flat[4 * i + 3], clamp), clamp);
  });
  if (t.rows < kReal || t.columns < kColumns) return store_edge<kReal>(t, bytes);
  int8_t* out = t.out;
  unroll<kReal>([&](auto r) __attribute__((always_inline)) {
    constexpr int row = r;
    if constexpr (kColumns == 8) {
      store_part<8, row % 2>(out, bytes[row / 2]);
    } else {
      store_part<4, row % 4>(out, bytes[row / 4]);
    }
    out += t.out_stride;
  });
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_H_

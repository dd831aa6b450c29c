// What the tiles of dense s8 layers on ARM share: the panel's head, the task, requantize and store.
#ifndef EDGECV_KERNELS_NEON_TILE_H_
#define EDGECV_KERNELS_NEON_TILE_H_

#include <arm_neon.h>

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// The head of a panel: its form, bias, multipliers.
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

// Requantizes kTile rows of 4 * kVectors columns, of which t.columns exist, and stores them.
template <int kTile, int kVectors>
EDGECV_INLINE void store_sums(const TileTask& t, const Clamp& clamp,
                              const int32x4_t (&sums)[kTile][kVectors]) {
  const auto* multiplier = reinterpret_cast<const float*>(t.panel + kMultiplierAt);
  VecF scale[kVectors];
  unroll<kVectors>([&](auto v)
                       __attribute__((always_inline)) { scale[v] = load_f32(multiplier + 4 * v); });
  Vec bytes[kTile];
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    Vec words[kVectors / 2];
    unroll<kVectors / 2>([&](auto i) __attribute__((always_inline)) {
      words[i] = pack_words(scale_round(bytes_of(sums[r][2 * i]), scale[2 * i]),
                            scale_round(bytes_of(sums[r][2 * i + 1]), scale[2 * i + 1]), clamp);
    });
    bytes[r] = pack_s16_s8(words[0], words[kVectors / 2 - 1]);
  });
  if (clamp.narrow) {
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      bytes[r] = min_s8(max_s8(bytes[r], clamp.lo), clamp.hi);
    });
  }
  int8_t* out = t.out;
  if (t.columns < 4 * kVectors) {
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      store_few(out, bytes[r], t.columns);
      out += t.out_stride;
    });
    return;
  }
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    if constexpr (kVectors == 4) {
      store(out, bytes[r]);
    } else {
      store64(out, bytes[r]);
    }
    out += t.out_stride;
  });
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_H_

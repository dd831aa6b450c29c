// What the tiles of dense s8 layers on ARM share: the panel's head, the task, requantize and store.
#ifndef EDGECV_KERNELS_NEON_TILE_H_
#define EDGECV_KERNELS_NEON_TILE_H_

#include <arm_neon.h>

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// The head of a panel: its form, whether its results are small, bias, multipliers.
constexpr int64_t kSmallAt = 4;
constexpr int64_t kBiasAt = 16, kMultiplierAt = kBiasAt + 4 * kColumns;
constexpr int64_t kHeadBytes = kMultiplierAt + 4 * kColumns;

// `rows` rows at a, `depth` bytes each, times a panel of which `columns` columns exist.
struct TileTask {
  const int8_t* a;
  int64_t a_stride, depth;
  const int8_t* panel;
  int8_t* out;
  int64_t out_stride, rows, columns;
  float rounder;  // 1.5 * 2^23 + the zero point without its lowest bit,
  bool odd;       // which this is
};

// Of a panel with small results no sum times its multiplier leaves [-kSmall, kSmall]. Then adding
// `rounder` rounds to even, and leaves the rounded value plus that much of the zero point in the
// lower 16 bits.
constexpr double kSmall = 32000.0;

inline void set_rounder(TileTask* t, int32_t zero_point) {
  t->odd = zero_point % 2 != 0;
  t->rounder = static_cast<float>(12582912 + zero_point - (t->odd ? 1 : 0));
}

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

template <int kTile>
EDGECV_INLINE void clamp_rows(Vec (&bytes)[kTile], const Clamp& clamp) {
  if (!clamp.narrow) return;
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    bytes[r] = min_s8(max_s8(bytes[r], clamp.lo), clamp.hi);
  });
}

// Requantizes kTile rows of 4 * kVectors columns, of which `columns` exist, and stores them.
template <int kTile, int kVectors>
__attribute__((noinline)) void store_any(const int8_t* panel, int8_t* out, int64_t out_stride,
                                         int64_t columns, const Clamp& clamp,
                                         const int32x4_t (&sums)[kTile][kVectors]) {
  const auto* multiplier = reinterpret_cast<const float*>(panel + kMultiplierAt);
  Vec bytes[kTile];
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    Vec words[kVectors / 2];
    unroll<kVectors / 2>([&](auto i) __attribute__((always_inline)) {
      words[i] = pack_words(
          scale_round(bytes_of(sums[r][2 * i]), load_f32(multiplier + 8 * i)),
          scale_round(bytes_of(sums[r][2 * i + 1]), load_f32(multiplier + 8 * i + 4)), clamp);
    });
    bytes[r] = pack_s16_s8(words[0], words[kVectors / 2 - 1]);
  });
  clamp_rows(bytes, clamp);
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    if (columns == 16) {
      store(out, bytes[r]);
    } else {
      store_few(out, bytes[r], columns);
    }
    out += out_stride;
  });
}

// The lower halves of the lanes of a and b.
EDGECV_INLINE int16x8_t low_words(VecF a, VecF b) {
  const int16x8_t x = vreinterpretq_s16_f32(a), y = vreinterpretq_s16_f32(b);
#if defined(__aarch64__)
  return vuzp1q_s16(x, y);
#else
  return vcombine_s16(vmovn_s32(vreinterpretq_s32_s16(x)), vmovn_s32(vreinterpretq_s32_s16(y)));
#endif
}

// The same where results are small and all columns exist.
template <int kTile, int kVectors>
EDGECV_INLINE void store_small(const int8_t* panel, int8_t* out, int64_t out_stride, float rounder,
                               bool odd, const Clamp& clamp,
                               const int32x4_t (&sums)[kTile][kVectors]) {
  const auto* multiplier = reinterpret_cast<const float*>(panel + kMultiplierAt);
  VecF scale[kVectors];
  unroll<kVectors>([&](auto v)
                       __attribute__((always_inline)) { scale[v] = load_f32(multiplier + 4 * v); });
  const VecF add = set1_f32(rounder);
  constexpr int kHalves = kVectors / 2;
  int16x8_t words[kTile][kHalves];
  unroll<kTile * kHalves>([&](auto i) __attribute__((always_inline)) {
    constexpr int r = i / kHalves, v = i % kHalves * 2;
    words[r][v / 2] = low_words(add_f32(mul_f32(vcvtq_f32_s32(sums[r][v]), scale[v]), add),
                                add_f32(mul_f32(vcvtq_f32_s32(sums[r][v + 1]), scale[v + 1]), add));
  });
  if (odd) {
    unroll<kTile * kHalves>([&](auto i) __attribute__((always_inline)) {
      int16x8_t& w = words[i / kHalves][i % kHalves];
      w = vaddq_s16(w, vdupq_n_s16(1));
    });
  }
  Vec bytes[kTile];
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    bytes[r] = pack_s16_s8(bytes_of(words[r][0]), bytes_of(words[r][kHalves - 1]));
  });
  clamp_rows(bytes, clamp);
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    if constexpr (kVectors == 4) {
      store(out, bytes[r]);
    } else {
      store64(out, bytes[r]);
    }
    out += out_stride;
  });
}

// Of a panel with 4 * kVectors columns that exist and small results, or of any.
template <int kTile, int kVectors>
EDGECV_INLINE void store_sums(const TileTask& t, bool small, const Clamp& clamp,
                              const int32x4_t (&sums)[kTile][kVectors]) {
  if (small) {
    store_small(t.panel, t.out, t.out_stride, t.rounder, t.odd, clamp, sums);
  } else {
    int32x4_t copy[kTile][kVectors];  // has an address, so that the sums stay in registers
    unroll<kTile * kVectors>([&](auto i) __attribute__((always_inline)) {
      copy[i / kVectors][i % kVectors] = sums[i / kVectors][i % kVectors];
    });
    store_any(t.panel, t.out, t.out_stride, t.columns, clamp, copy);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_H_

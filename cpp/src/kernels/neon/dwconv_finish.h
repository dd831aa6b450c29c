// Sums of depthwise s8 rows to bytes (dwconv_tile.h), eight channels in two steps.
#ifndef EDGECV_KERNELS_NEON_DWCONV_FINISH_H_
#define EDGECV_KERNELS_NEON_DWCONV_FINISH_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// What requantization needs beside multipliers. Where results are small, |sum * multiplier| <=
// kSmall, and the zero point is even, adding `rounder` = 1.5 * 2^23 + zero point rounds to even and
// leaves what is wanted in the lower 16 bits.
constexpr double kSmall = 32000.0;

struct Finish {
  VecF rounder;
  Clamp clamp;
};

// The first four channels as they wait for the others.
template <bool kFast>
struct RoundedOf {
  using Type = VecF;
};
template <>
struct RoundedOf<false> {
  using Type = int16x4_t;
};
template <bool kFast>
using Rounded = typename RoundedOf<kFast>::Type;

template <bool kFast>
EDGECV_INLINE Rounded<kFast> round_first(int32x4_t sum, VecF multiplier, const Finish& f) {
  if constexpr (kFast) {
    return add_f32(mul_f32(vcvtq_f32_s32(sum), multiplier), f.rounder);
  } else {
    return vqmovn_s32(as_s32(scale_round(bytes_of(sum), multiplier)));
  }
}

// Words of all eight.
template <bool kFast>
EDGECV_INLINE int16x8_t round_second(Rounded<kFast> first, int32x4_t sum, VecF multiplier,
                                     const Finish& f) {
  if constexpr (kFast) {
    const VecF second = round_first<true>(sum, multiplier, f);
    return vuzp1q_s16(vreinterpretq_s16_f32(first), vreinterpretq_s16_f32(second));
  } else {
    const Vec rounded = scale_round(bytes_of(sum), multiplier);
    return vqaddq_s16(vqmovn_high_s32(first, as_s32(rounded)), as_s16(f.clamp.zero_point));
  }
}

template <int kOutputs>
EDGECV_INLINE void store_bytes(Vec (&bytes)[kOutputs], int8_t* out, int64_t out_step,
                               const Finish& f) {
  if (f.clamp.narrow) {
    unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
      bytes[i] = min_s8(max_s8(bytes[i], f.clamp.lo), f.clamp.hi);
    });
  }
  unroll<kOutputs>([&](auto i) __attribute__((always_inline)) {
    store(out, bytes[i]);
    out += out_step;
  });
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DWCONV_FINISH_H_

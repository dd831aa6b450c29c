// The scalar form of docs/ops.md's requantize, for the reference kernels. ISA folders write their
// own in an anonymous namespace; this header is for the baseline build alone.
#ifndef EDGECV_KERNELS_REQUANT_H_
#define EDGECV_KERNELS_REQUANT_H_

#include <float.h>
#include <stdint.h>

#if FLT_EVAL_METHOD != 0
#error "edgecv needs float expressions evaluated in float (FLT_EVAL_METHOD == 0)"
#endif

namespace edgecv::kernels {

// clamp(rint(value) + zero_point, lo, hi). Clamps first, which is the same since the bounds are
// integers, and makes adding 1.5 * 2^23 round to nearest even as rint does, in instructions that
// every CPU has. A NaN gives lo.
inline int8_t quantize_rounded(float value, int32_t zero_point, int32_t lo, int32_t hi) {
  constexpr float kRounder = 12582912.0f;
  const float low = static_cast<float>(lo - zero_point);
  const float high = static_cast<float>(hi - zero_point);
  value = value > low ? value : low;
  value = value < high ? value : high;
  const float rounded = (value + kRounder) - kRounder;
  return static_cast<int8_t>(static_cast<int32_t>(rounded) + zero_point);
}

inline int8_t requantize(int32_t acc, float multiplier, int32_t zero_point, int32_t lo,
                         int32_t hi) {
  const float scaled = static_cast<float>(acc) * multiplier;
  return quantize_rounded(scaled, zero_point, lo, hi);
}

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_REQUANT_H_

// The oracle of the reference kernels: docs/ops.md once more, in loops of s64 and double that share
// nothing with cpp/src/kernels. Slow and only for small cases.
#ifndef EDGECV_TESTS_CPP_KERNELS_ORACLE_H_
#define EDGECV_TESTS_CPP_KERNELS_ORACLE_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "case.h"

namespace edgecv_test {

// What one output element must be: an integer for s8 and s32 outputs, a real number for f32.
struct Expected {
  int64_t element;  // index in the output buffer
  double value;
};

struct Oracle {
  std::vector<Expected> values;
  bool nan_found = false;
};

// Round half to even without the library's rounding modes.
inline double half_even(double x) {
  const double below = std::floor(x);
  const double rest = x - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return below + 1.0;
  return std::fmod(below, 2.0) == 0.0 ? below : below + 1.0;
}

// One f32 operation: exact (or twice as precise) in double, then rounded once.
inline double f32(double x) { return static_cast<double>(static_cast<float>(x)); }

inline double round_and_clamp(double value, int32_t zero_point, int32_t lo, int32_t hi) {
  const double y = half_even(value) + zero_point;
  return std::min<double>(std::max<double>(y, lo), hi);
}

inline double requantize_exactly(int64_t acc, double multiplier, int32_t zero_point, int32_t lo,
                                 int32_t hi) {
  return round_and_clamp(f32(f32(static_cast<double>(acc)) * multiplier), zero_point, lo, hi);
}

inline double clip_exactly(double x, double lo, double hi) { return std::min(std::max(x, lo), hi); }

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_ORACLE_H_

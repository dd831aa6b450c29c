// The weights of docs/preprocess.md. Only + - * / and truncation on double: no math library, and no
// contraction (the build passes -ffp-contract=off), so the bits do not depend on the platform.
#include <string.h>

#include "vision/resize.h"

namespace edgecv::vision {
namespace {

double triangle(double x) {
  if (x < 0.0) x = -x;
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic convolution with a = -0.5.
double cubic(double x) {
  constexpr double a = -0.5;
  if (x < 0.0) x = -x;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

struct Window {
  double scale;         // input samples per output
  double filter_scale;  // how far the kernel is stretched: 1 unless antialias shrinks
  double support;       // half width of the stretched kernel
};

Window axis_window(const Axis& axis) {
  Window w;
  w.scale = static_cast<double>(axis.in_size) / static_cast<double>(axis.out_size);
  w.filter_scale = axis.antialias && w.scale > 1.0 ? w.scale : 1.0;
  w.support = (axis.interpolation == Interpolation::kBicubic ? 2.0 : 1.0) * w.filter_scale;
  return w;
}

}  // namespace

int32_t axis_max_taps(const Axis& axis) {
  const double support = axis_window(axis).support;
  int32_t half = static_cast<int32_t>(support);  // support <= 2 * 32768
  if (static_cast<double>(half) < support) ++half;
  const int32_t taps = 2 * half + 1;
  return taps < axis.in_size ? taps : axis.in_size;
}

void fill_axis_weights(const Axis& axis, AxisWeights* out) {
  const Window window = axis_window(axis);
  const double inverse = 1.0 / window.filter_scale;
  const bool is_cubic = axis.interpolation == Interpolation::kBicubic;
  const auto kernel = [&](double x) { return is_cubic ? cubic(x) : triangle(x); };

  for (int32_t i = 0; i < axis.count; ++i) {
    const double center = (static_cast<double>(axis.first + i) + 0.5) * window.scale;
    const double low = center - window.support + 0.5;
    const int32_t start = low > 0.0 ? static_cast<int32_t>(low) : 0;
    int32_t end = static_cast<int32_t>(center + window.support + 0.5);
    if (end > axis.in_size) end = axis.in_size;
    const int32_t taps = end - start;

    // The kernel is evaluated twice rather than kept in doubles: no second buffer.
    const auto value = [&](int32_t k) {
      return kernel((static_cast<double>(k + start) - center + 0.5) * inverse);
    };
    double sum = 0.0;
    for (int32_t k = 0; k < taps; ++k) sum += value(k);
    WeightPair* pairs = out->pairs + static_cast<size_t>(i) * static_cast<size_t>(out->max_pairs);
    memset(pairs, 0, static_cast<size_t>(out->max_pairs) * sizeof(WeightPair));
    for (int32_t k = 0; k < taps; ++k) {
      const double scaled = value(k) / sum * static_cast<double>(1 << kWeightBits);
      const int32_t weight = static_cast<int32_t>(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
      pairs[k / 2].high[k % 2] = static_cast<int16_t>(weight >> kLowBits);
      pairs[k / 2].low[k % 2] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
    }
    out->start[i] = start;
    out->taps[i] = taps;
  }
}

}  // namespace edgecv::vision

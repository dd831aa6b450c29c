// Oracles of convolutions, pools and resizes.
#ifndef EDGECV_TESTS_CPP_KERNELS_ORACLE_CONV_H_
#define EDGECV_TESTS_CPP_KERNELS_ORACLE_CONV_H_

#include <limits>
#include <vector>

#include "kernels/conv.h"
#include "kernels/pool.h"
#include "kernels/resize.h"
#include "oracle.h"

namespace edgecv_test {

// Every product of the convolution: take(output element, output channel, weight index, input
// element). The transposed one scatters from the input, as docs/ops.md words it.
template <typename Take>
void for_products(const edgecv::kernels::ConvProblem& p, bool transpose, Take take) {
  const int32_t group_in = p.in_c / p.groups;
  const int32_t group_out = p.out_c / p.groups;
  const int32_t rows = transpose ? p.in_h : p.out_h;
  const int32_t columns = transpose ? p.in_w : p.out_w;
  for (int32_t n = 0; n < p.batch; ++n) {
    for (int32_t h = 0; h < rows; ++h) {
      for (int32_t w = 0; w < columns; ++w) {
        for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
          for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
            const int32_t far_h = h * p.stride_h + kh * p.dilation_h - p.pad_top;
            const int32_t far_w = w * p.stride_w + kw * p.dilation_w - p.pad_left;
            const int32_t limit_h = transpose ? p.out_h : p.in_h;
            const int32_t limit_w = transpose ? p.out_w : p.in_w;
            if (far_h < 0 || far_h >= limit_h || far_w < 0 || far_w >= limit_w) continue;
            const int64_t near = (int64_t{n} * rows + h) * columns + w;
            const int64_t far = (int64_t{n} * limit_h + far_h) * limit_w + far_w;
            const int64_t in_at = (transpose ? near : far) * p.in_stride;
            const int64_t out_at = (transpose ? far : near) * p.out_stride;
            for (int32_t o = 0; o < p.out_c; ++o) {
              const int32_t g = o / group_out;
              for (int32_t i = 0; i < group_in; ++i) {
                const int64_t weight =
                    ((int64_t{o} * p.kernel_h + kh) * p.kernel_w + kw) * group_in + i;
                take(out_at + o, o, weight, in_at + g * group_in + i);
              }
            }
          }
        }
      }
    }
  }
}

inline Oracle conv_s8_oracle(const Case& c, bool transpose) {
  const auto& p = c.as<edgecv::kernels::ConvProblem>();
  const auto* weights = static_cast<const int8_t*>(p.weights);
  const auto* bias = static_cast<const int32_t*>(p.bias);
  const int8_t* x = c.input<int8_t>(0);
  std::vector<int64_t> acc(c.out_bytes, 0);
  for_products(p, transpose, [&](int64_t out, int32_t, int64_t weight, int64_t in) {
    acc[static_cast<size_t>(out)] += int64_t{weights[weight]} * (int64_t{x[in]} - p.in_zero_point);
  });
  Oracle oracle;
  for (int64_t pixel = 0; pixel < int64_t{p.batch} * p.out_h * p.out_w; ++pixel) {
    for (int32_t o = 0; o < p.out_c; ++o) {
      const int64_t at = pixel * p.out_stride + o;
      oracle.values.push_back(
          {at, requantize_exactly(acc[static_cast<size_t>(at)] + bias[o], p.multiplier[o],
                                  p.out_zero_point, p.lo, p.hi)});
    }
  }
  return oracle;
}

inline Oracle conv_f32_oracle(const Case& c, bool transpose) {
  const auto& p = c.as<edgecv::kernels::ConvProblem>();
  const auto* weights = static_cast<const float*>(p.weights);
  const auto* bias = static_cast<const float*>(p.bias);
  const float* x = c.input<float>(0);
  std::vector<double> acc(c.out_bytes / sizeof(float), 0.0);
  for_products(p, transpose, [&](int64_t out, int32_t, int64_t weight, int64_t in) {
    acc[static_cast<size_t>(out)] += double{weights[weight]} * double{x[in]};
  });
  Oracle oracle;
  for (int64_t pixel = 0; pixel < int64_t{p.batch} * p.out_h * p.out_w; ++pixel) {
    for (int32_t o = 0; o < p.out_c; ++o) {
      const int64_t at = pixel * p.out_stride + o;
      const double sum = acc[static_cast<size_t>(at)] + (bias != nullptr ? bias[o] : 0.0f);
      oracle.values.push_back({at, clip_exactly(sum, p.lo_f, p.hi_f)});
    }
  }
  return oracle;
}

template <typename T>
Oracle pool_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::PoolProblem>();
  const bool integer = sizeof(T) == 1;
  const T* x = c.input<T>(0);
  Oracle oracle;
  for (int32_t n = 0; n < p.batch; ++n) {
    for (int32_t oh = 0; oh < p.out_h; ++oh) {
      for (int32_t ow = 0; ow < p.out_w; ++ow) {
        for (int32_t channel = 0; channel < p.channels; ++channel) {
          double sum = 0.0;
          double largest = -std::numeric_limits<double>::infinity();
          int32_t inside = 0;
          int32_t padded = 0;
          for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
            for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
              const int32_t h = oh * p.stride_h + kh * p.dilation_h - p.pad_top;
              const int32_t w = ow * p.stride_w + kw * p.dilation_w - p.pad_left;
              if (h < p.in_h + p.count_pad_bottom && w < p.in_w + p.count_pad_right) ++padded;
              if (h < 0 || h >= p.in_h || w < 0 || w >= p.in_w) continue;
              ++inside;
              const double value =
                  x[((int64_t{n} * p.in_h + h) * p.in_w + w) * p.in_stride + channel];
              sum += value - (integer ? p.in_zero_point : 0);
              largest = std::max(largest, value);
            }
          }
          const int64_t at = ((int64_t{n} * p.out_h + oh) * p.out_w + ow) * p.out_stride + channel;
          const int32_t count = p.count_include_pad ? padded : inside;
          double y = largest;
          if (p.op == edgecv::kernels::PoolOp::kAverage) {
            y = integer ? requantize_exactly(static_cast<int64_t>(sum), p.multiplier[count - 1],
                                             p.out_zero_point, p.lo, p.hi)
                        : sum / count;
          }
          oracle.values.push_back({at, y});
        }
      }
    }
  }
  return oracle;
}

template <typename T>
Oracle resize_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ResizeProblem>();
  const bool integer = sizeof(T) == 1;
  const T* x = c.input<T>(0);
  const auto weight_of = [&](const void* weights, int32_t i) {
    return integer ? double{static_cast<double>(static_cast<const int32_t*>(weights)[i])} / 2048.0
                   : double{static_cast<const float*>(weights)[i]};
  };
  Oracle oracle;
  for (int32_t n = 0; n < p.batch; ++n) {
    for (int32_t oy = 0; oy < p.out_h; ++oy) {
      for (int32_t ox = 0; ox < p.out_w; ++ox) {
        for (int32_t channel = 0; channel < p.channels; ++channel) {
          // Exact: the weights are multiples of 2^-11, or the tolerance covers their rounding.
          double value = 0.0;
          for (int32_t corner = 0; corner < 4; ++corner) {
            const double wy = weight_of(p.y_weight, oy);
            const double wx = weight_of(p.x_weight, ox);
            const int64_t h = p.y_index[(corner / 2) * p.out_h + oy];
            const int64_t w = p.x_index[(corner % 2) * p.out_w + ox];
            value += (corner / 2 == 1 ? wy : 1.0 - wy) * (corner % 2 == 1 ? wx : 1.0 - wx) *
                     x[((n * int64_t{p.in_h} + h) * p.in_w + w) * p.in_stride + channel];
          }
          if (integer) value = std::floor(value + 0.5);
          const int64_t at = ((int64_t{n} * p.out_h + oy) * p.out_w + ox) * p.out_stride + channel;
          oracle.values.push_back({at, value});
        }
      }
    }
  }
  return oracle;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_ORACLE_CONV_H_

// The f32 convolution in either direction. Weights are packed so that the innermost loop runs over
// output channels, which compilers turn into vector code; every output is summed in the order kh,
// kw, i whatever the tile it falls into, so the result does not depend on the split of the work.
#ifndef EDGECV_KERNELS_REFERENCE_CONV_F32_H_
#define EDGECV_KERNELS_REFERENCE_CONV_F32_H_

#include <string.h>

#include "kernels/reference/conv_common.h"

namespace edgecv::kernels::reference {

constexpr int32_t kTilePixels = 4;
constexpr int32_t kTileChannels = 8;

inline bool conv_f32_is_depthwise(const ConvProblem& p) {
  return p.groups == p.in_c && p.groups == p.out_c;
}

inline int64_t conv_f32_pixel_tiles(const ConvProblem& p) {
  return (static_cast<int64_t>(p.batch) * p.out_h * p.out_w + kTilePixels - 1) / kTilePixels;
}

// Channel tiles of one group.
inline int32_t conv_f32_group_tiles(const ConvProblem& p) {
  return (p.out_c / p.groups + kTileChannels - 1) / kTileChannels;
}

// Weights of one channel tile: [kh][kw][i][kTileChannels].
inline int64_t conv_f32_tile_floats(const ConvProblem& p) {
  return static_cast<int64_t>(p.kernel_h) * p.kernel_w * (p.in_c / p.groups) * kTileChannels;
}

// Depthwise: [kh][kw][channel], then bias[channel]. Otherwise the tiles of every group, then their
// biases.
inline size_t conv_f32_packed_bytes(const void* problem) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  if (conv_f32_is_depthwise(p)) {
    return (static_cast<size_t>(p.kernel_h) * p.kernel_w + 1) * p.out_c * sizeof(float);
  }
  const int64_t tiles = static_cast<int64_t>(p.groups) * conv_f32_group_tiles(p);
  return static_cast<size_t>(tiles * (conv_f32_tile_floats(p) + kTileChannels)) * sizeof(float);
}

inline void conv_f32_pack(const void* problem, void* packed) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  const auto* weights = static_cast<const float*>(p.weights);
  const auto* bias = static_cast<const float*>(p.bias);
  auto* to = static_cast<float*>(packed);
  const int64_t taps = static_cast<int64_t>(p.kernel_h) * p.kernel_w;
  if (conv_f32_is_depthwise(p)) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int32_t c = 0; c < p.out_c; ++c) *to++ = weights[c * taps + tap];
    }
    for (int32_t c = 0; c < p.out_c; ++c) *to++ = bias != nullptr ? bias[c] : 0.0f;
    return;
  }
  const int32_t group_out = p.out_c / p.groups;
  const int64_t depth = taps * (p.in_c / p.groups);
  const int32_t group_tiles = conv_f32_group_tiles(p);
  float* bias_to = to + p.groups * group_tiles * conv_f32_tile_floats(p);
  for (int32_t g = 0; g < p.groups; ++g) {
    for (int32_t tile = 0; tile < group_tiles; ++tile) {
      for (int64_t k = 0; k < depth; ++k) {
        for (int32_t j = 0; j < kTileChannels; ++j) {
          const int32_t o = tile * kTileChannels + j;
          *to++ =
              o < group_out ? weights[(static_cast<int64_t>(g) * group_out + o) * depth + k] : 0.0f;
        }
      }
      for (int32_t j = 0; j < kTileChannels; ++j) {
        const int32_t o = tile * kTileChannels + j;
        *bias_to++ = o < group_out && bias != nullptr ? bias[g * group_out + o] : 0.0f;
      }
    }
  }
}

// A row of zeros, which stands for the pixels outside the image.
inline size_t conv_f32_scratch_bytes(const void* problem) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  return conv_f32_is_depthwise(p) ? 0 : static_cast<size_t>(p.in_c / p.groups) * sizeof(float);
}

// Channel tiles are the slow index: a tile's weights stay in the cache while the pixels pass by.
inline int64_t conv_f32_items(const void* problem) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  if (conv_f32_is_depthwise(p)) return static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  return p.groups * conv_f32_group_tiles(p) * conv_f32_pixel_tiles(p);
}

inline float clamp_f32(float value, float lo, float hi) {
  value = value < lo ? lo : value;
  return value > hi ? hi : value;
}

template <Direction kDirection>
void conv_f32_depthwise(const ConvProblem& p, const Operands& operands, int64_t begin,
                        int64_t end) {
  const auto* x = static_cast<const float*>(operands.in[0]);
  const auto* packed = static_cast<const float*>(operands.packed);
  const float* bias = packed + static_cast<int64_t>(p.kernel_h) * p.kernel_w * p.out_c;
  for (int64_t index = begin; index < end; ++index) {
    const Pixel at = pixel_at(p, index);
    float* __restrict y = static_cast<float*>(operands.out) + index * p.out_stride;
    for (int32_t c = 0; c < p.out_c; ++c) y[c] = bias[c];
    for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
      for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
        const int64_t pixel = input_pixel<kDirection>(p, at, kh, kw);
        if (pixel < 0) continue;
        const float* from = x + pixel * p.in_stride;
        const float* w = packed + (static_cast<int64_t>(kh) * p.kernel_w + kw) * p.out_c;
        for (int32_t c = 0; c < p.out_c; ++c) y[c] += from[c] * w[c];
      }
    }
    for (int32_t c = 0; c < p.out_c; ++c) y[c] = clamp_f32(y[c], p.lo_f, p.hi_f);
  }
}

template <Direction kDirection>
int conv_f32_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                 void* scratch) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  if (conv_f32_is_depthwise(p)) {
    conv_f32_depthwise<kDirection>(p, operands, begin, end);
    return 0;
  }
  const auto* x = static_cast<const float*>(operands.in[0]);
  auto* y = static_cast<float*>(operands.out);
  const auto* packed = static_cast<const float*>(operands.packed);
  const int32_t group_in = p.in_c / p.groups;
  const int32_t group_out = p.out_c / p.groups;
  const int32_t group_tiles = conv_f32_group_tiles(p);
  const int64_t tile_floats = conv_f32_tile_floats(p);
  const float* biases = packed + p.groups * group_tiles * tile_floats;
  const int64_t pixels = static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  const int64_t pixel_tiles = conv_f32_pixel_tiles(p);
  const auto* zeros = static_cast<const float*>(scratch);
  memset(scratch, 0, conv_f32_scratch_bytes(problem));
  for (int64_t item = begin; item < end; ++item) {
    const int64_t tile = item / pixel_tiles;
    const int64_t first = item % pixel_tiles * kTilePixels;
    const int32_t group = static_cast<int32_t>(tile / group_tiles);
    const int32_t channel = static_cast<int32_t>(tile % group_tiles) * kTileChannels;
    // A tile that reaches beyond the last pixel computes that pixel several times and stores it
    // once.
    Pixel at[kTilePixels];
    float acc[kTilePixels][kTileChannels];
    for (int32_t t = 0; t < kTilePixels; ++t) {
      at[t] = pixel_at(p, first + t < pixels ? first + t : pixels - 1);
      for (int32_t j = 0; j < kTileChannels; ++j) acc[t][j] = biases[tile * kTileChannels + j];
    }
    const float* w = packed + tile * tile_floats;
    for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
      for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
        const float* from[kTilePixels];
        for (int32_t t = 0; t < kTilePixels; ++t) {
          const int64_t pixel = input_pixel<kDirection>(p, at[t], kh, kw);
          from[t] =
              pixel < 0 ? zeros : x + pixel * p.in_stride + static_cast<int64_t>(group) * group_in;
        }
        for (int32_t i = 0; i < group_in; ++i) {
          for (int32_t t = 0; t < kTilePixels; ++t) {
            const float value = from[t][i];
            for (int32_t j = 0; j < kTileChannels; ++j) acc[t][j] += value * w[j];
          }
          w += kTileChannels;
        }
      }
    }
    for (int32_t t = 0; t < kTilePixels && first + t < pixels; ++t) {
      float* to =
          y + (first + t) * p.out_stride + static_cast<int64_t>(group) * group_out + channel;
      for (int32_t j = 0; j < kTileChannels && channel + j < group_out; ++j) {
        to[j] = clamp_f32(acc[t][j], p.lo_f, p.hi_f);
      }
    }
  }
  return 0;
}

}  // namespace edgecv::kernels::reference

#endif  // EDGECV_KERNELS_REFERENCE_CONV_F32_H_

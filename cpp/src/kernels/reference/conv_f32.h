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

// GCC and Clang turn this into the vector registers of any target; plain arrays they keep in
// memory.
typedef float Float4 __attribute__((vector_size(16)));

// One tap: acc[t][j] += sum over i of from[t][i] * w[i][j].
template <int32_t kPixels>
inline void add_tap(const float* const* from, const float* w, int32_t depth,
                    Float4 (&acc)[kPixels][2]) {
  for (int32_t i = 0; i < depth; ++i) {
    Float4 low, high;
    memcpy(&low, w + i * kTileChannels, sizeof(low));
    memcpy(&high, w + i * kTileChannels + 4, sizeof(high));
    for (int32_t t = 0; t < kPixels; ++t) {
      const float value = from[t][i];
      acc[t][0] += value * low;
      acc[t][1] += value * high;
    }
  }
}

// The operands of one tile of channels, and of the group it belongs to.
struct ConvTileF32 {
  const float* x;      // first pixel, first channel of the group
  float* y;            // first pixel, first channel of the tile
  const float* w;      // packed weights
  const float* bias;   // kTileChannels
  const float* zeros;  // a row of the group's input channels
  int32_t channels;    // of the tile, at most kTileChannels
};

template <Direction kDirection, int32_t kPixels>
void conv_f32_tile(const ConvProblem& p, const ConvTileF32& tile, int64_t first) {
  const int32_t group_in = p.in_c / p.groups;
  Pixel at[kPixels];
  Float4 acc[kPixels][2];
  for (int32_t t = 0; t < kPixels; ++t) {
    at[t] = pixel_at(p, first + t);
    memcpy(acc[t], tile.bias, sizeof(acc[t]));
  }
  const float* w = tile.w;
  for (int32_t kh = 0; kh < p.kernel_h; ++kh) {
    for (int32_t kw = 0; kw < p.kernel_w; ++kw) {
      const float* from[kPixels];
      for (int32_t t = 0; t < kPixels; ++t) {
        const int64_t pixel = input_pixel<kDirection>(p, at[t], kh, kw);
        from[t] = pixel < 0 ? tile.zeros : tile.x + pixel * p.in_stride;
      }
      add_tap<kPixels>(from, w, group_in, acc);
      w += static_cast<int64_t>(group_in) * kTileChannels;
    }
  }
  for (int32_t t = 0; t < kPixels; ++t) {
    float values[kTileChannels];
    memcpy(values, acc[t], sizeof(values));
    float* to = tile.y + (first + t) * p.out_stride;
    for (int32_t j = 0; j < tile.channels; ++j) to[j] = clamp_f32(values[j], p.lo_f, p.hi_f);
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
  const auto* packed = static_cast<const float*>(operands.packed);
  const int32_t group_out = p.out_c / p.groups;
  const int32_t group_tiles = conv_f32_group_tiles(p);
  const int64_t tile_floats = conv_f32_tile_floats(p);
  const float* biases = packed + p.groups * group_tiles * tile_floats;
  const int64_t pixels = static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  const int64_t pixel_tiles = conv_f32_pixel_tiles(p);
  memset(scratch, 0, conv_f32_scratch_bytes(problem));
  for (int64_t item = begin; item < end; ++item) {
    const int64_t index = item / pixel_tiles;
    const int64_t group = index / group_tiles;
    const int32_t channel = static_cast<int32_t>(index % group_tiles) * kTileChannels;
    ConvTileF32 tile;
    tile.x = static_cast<const float*>(operands.in[0]) + group * (p.in_c / p.groups);
    tile.y = static_cast<float*>(operands.out) + group * group_out + channel;
    tile.w = packed + index * tile_floats;
    tile.bias = biases + index * kTileChannels;
    tile.zeros = static_cast<const float*>(scratch);
    tile.channels = group_out - channel < kTileChannels ? group_out - channel : kTileChannels;
    const int64_t first = item % pixel_tiles * kTilePixels;
    if (first + kTilePixels <= pixels) {
      conv_f32_tile<kDirection, kTilePixels>(p, tile, first);
    } else {
      for (int64_t i = first; i < pixels; ++i) conv_f32_tile<kDirection, 1>(p, tile, i);
    }
  }
  return 0;
}

}  // namespace edgecv::kernels::reference

#endif  // EDGECV_KERNELS_REFERENCE_CONV_F32_H_

// Which layers the sums of dwconv_bytes.h are exact for, and their packed weights.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_BYTES_PACK_H_
#define EDGECV_KERNELS_SIMD_DWCONV_BYTES_PACK_H_

#include "kernels/simd/dwconv_row.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// What a channel's sum begins at, and what the f32 of it is too large by.
struct ChannelStart {
  int64_t start, shift;
};

template <int kSize>
ChannelStart channel_start(const ConvProblem& p, int64_t c) {
  const int8_t* w = static_cast<const int8_t*>(p.weights) + c * kSize * kSize;
  int64_t negative = 0, total = 0;
  for (int i = 0; i < kSize * kSize; ++i) {
    total += w[i];
    if (w[i] < 0) negative -= w[i];
  }
  ChannelStart s;
  s.start = negative * (p.in_hi - p.in_lo);
  // Activations are x - in_lo here.
  const int64_t bias =
      static_cast<const int32_t*>(p.bias)[c] + total * (int64_t{p.in_lo} - p.in_zero_point);
  s.shift = kF32Base + s.start - bias;
  return s;
}

template <int kSize>
bool channel_is_exact(const ConvProblem& p, int64_t c) {
  using Shape = RowShape<kSize>;
  const int8_t* w = static_cast<const int8_t*>(p.weights) + c * kSize * kSize;
  const int32_t range = p.in_hi - p.in_lo;
  int32_t positive[Shape::kPairs] = {}, negative[Shape::kPairs] = {}, magnitudes = 0;
  for (int kh = 0; kh < kSize; ++kh) {
    for (int kw = 0; kw < kSize; ++kw, ++w) {
      const int pair = Shape::place(kh, kw) / 2;
      (*w > 0 ? positive : negative)[pair] += *w;
      magnitudes += *w > 0 ? *w : -*w;
    }
  }
  for (int i = 0; i < Shape::kPairs; ++i) {
    if (range * positive[i] > 32767 || range * negative[i] < -32768) return false;
  }
  // f32 holds every integer up to 2^24, so the shift is exact, and what it leaves is rounded once.
  const int64_t shift = channel_start<kSize>(p, c).shift;
  return range * magnitudes <= 65535 && shift >= -2 * kF32Base && shift <= 2 * kF32Base;
}

template <int kSize>
bool bytes_supports(const void* problem) {
  if (!row_supports<kSize>(problem)) return false;
  const ConvProblem& p = as_conv(problem);
  for (int64_t c = 0; c < p.in_c; ++c) {
    if (!channel_is_exact<kSize>(p, c)) return false;
  }
  return true;
}

template <int kSize>
void bytes_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  row_pack<kSize>(problem, packed);
  auto* unit = static_cast<int8_t*>(packed);
  for (int64_t u = 0; u < div_up(p.in_c, kUnitChannels); ++u, unit += RowShape<kSize>::kUnitBytes) {
    for (int64_t i = 0; i < kUnitChannels; ++i) {
      const ChannelStart s = channel_start<kSize>(p, unit_channel(p, u) + i);
      const auto start = static_cast<uint16_t>(s.start);
      const auto shift = static_cast<float>(s.shift);
      memcpy(unit + word_at(i), &start, sizeof start);
      memcpy(unit + bias_at(i), &shift, sizeof shift);
    }
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_BYTES_PACK_H_

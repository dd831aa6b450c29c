#include "vision/resize.h"

namespace edgecv::vision {
namespace {

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

uint8_t to_u8(int32_t acc) {
  const int32_t v = acc >> kWeightBits;
  return static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

}  // namespace

void resize_row_portable(const uint8_t* row, const AxisWeights& axis, int32_t count, uint8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    const uint8_t* in = row + 3 * static_cast<size_t>(axis.start[i]);
    const int32_t* weights =
        axis.weights + static_cast<size_t>(i) * static_cast<size_t>(axis.max_taps);
    int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int32_t k = 0; k < axis.taps[i]; ++k) {
      r += weights[k] * in[3 * k];
      g += weights[k] * in[3 * k + 1];
      b += weights[k] * in[3 * k + 2];
    }
    out[3 * i] = to_u8(r);
    out[3 * i + 1] = to_u8(g);
    out[3 * i + 2] = to_u8(b);
  }
}

void blend_rows_portable(const uint8_t* const* rows, const int32_t* weights, int32_t taps,
                         size_t bytes, uint8_t* out) {
  constexpr size_t kBlock = 64;
  for (size_t x = 0; x < bytes; x += kBlock) {
    const size_t n = bytes - x < kBlock ? bytes - x : kBlock;
    int32_t acc[kBlock];
    for (size_t i = 0; i < kBlock; ++i) acc[i] = kHalf;
    for (int32_t k = 0; k < taps; ++k) {
      const uint8_t* in = rows[k] + x;
      const int32_t w = weights[k];
      for (size_t i = 0; i < n; ++i) acc[i] += w * in[i];
    }
    for (size_t i = 0; i < n; ++i) out[x + i] = to_u8(acc[i]);
  }
}

void resize_row(const uint8_t* row, size_t row_bytes, const AxisWeights& axis, int32_t count,
                uint8_t* out) {
  (void)row_bytes;
  resize_row_portable(row, axis, count, out);
}

void blend_rows(const uint8_t* const* rows, const int32_t* weights, int32_t taps, size_t bytes,
                uint8_t* out) {
  blend_rows_portable(rows, weights, taps, bytes, out);
}

}  // namespace edgecv::vision

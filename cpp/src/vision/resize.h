// Fixed-point separable resize of 8-bit RGB rows. docs/preprocess.md ("Resize") is the contract,
// bit for bit.
//
// One axis maps `in_size` samples to `out_size`; output i is
//   clamp((2^21 + sum_k weight[i][k] * in[start[i] + k]) >> 22, 0, 255)
// with integer weights that come from IEEE double + - * / alone, so that every platform has the
// same ones.
#ifndef EDGECV_VISION_RESIZE_H_
#define EDGECV_VISION_RESIZE_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::vision {

constexpr int kWeightBits = 22;
constexpr int32_t kMaxShrink = 4096;  // in_size / out_size with antialias; keeps a flat image flat

enum class Interpolation : uint32_t { kBilinear = 0, kBicubic = 1 };

struct Axis {
  int32_t in_size;
  int32_t out_size;
  int32_t first;  // outputs first .. first + count - 1 are wanted
  int32_t count;
  Interpolation interpolation;
  bool antialias;
};

// Most taps any output of the axis has: room to keep for each.
int32_t axis_max_taps(const Axis& axis);

struct AxisWeights {
  int32_t* start;    // [count]: first input sample of output first + i
  int32_t* taps;     // [count]: how many samples, 1 .. max_taps
  int32_t* weights;  // [count][max_taps]: the entries past taps[i] are zero
  int32_t max_taps;
};

// Fills the arrays, which the caller placed; max_taps must be axis_max_taps(axis).
void fill_axis_weights(const Axis& axis, AxisWeights* out);

// One row: `pixels` RGB samples of the source -> out[3 * count]. `row_bytes` is 3 * in_size:
// nothing past it is read.
void resize_row(const uint8_t* row, size_t row_bytes, const AxisWeights& axis, int32_t count,
                uint8_t* out);

// One output row from `taps` rows of `bytes` bytes: rows[k] has weight weights[k].
void blend_rows(const uint8_t* const* rows, const int32_t* weights, int32_t taps, size_t bytes,
                uint8_t* out);

// The plain loops behind both; the two above give the same bits faster where they know how.
void resize_row_portable(const uint8_t* row, const AxisWeights& axis, int32_t count, uint8_t* out);
void blend_rows_portable(const uint8_t* const* rows, const int32_t* weights, int32_t taps,
                         size_t bytes, uint8_t* out);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_RESIZE_H_

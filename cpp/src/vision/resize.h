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
constexpr int kLowBits = 11;          // of a weight's low half, see WeightPair
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

// Most taps any output of the axis has.
int32_t axis_max_taps(const Axis& axis);

// A weight as 2048 * high + low with 0 <= low < 2048, two neighbours at a time: what 16-bit
// multipliers want.
struct WeightPair {
  int16_t high[2];
  int16_t low[2];
};

struct AxisWeights {
  int32_t* start;     // [count]: first input sample of output first + i
  int32_t* taps;      // [count]: how many samples, 1 .. max_taps
  WeightPair* pairs;  // [count][max_pairs]: zero past taps[i]
  int32_t max_taps;
  int32_t max_pairs;  // (max_taps + 1) / 2
};

// Fills the arrays, which the caller placed; max_taps must be axis_max_taps(axis).
void fill_axis_weights(const Axis& axis, AxisWeights* out);

// One row: in_size RGB samples in `row`, of which `row_bytes` (at most 3 * in_size, at least what
// the weights touch) may be read -> out[3 * count].
void resize_row(const uint8_t* row, size_t row_bytes, const AxisWeights& axis, int32_t count,
                uint8_t* out);

// One output row of `bytes` bytes from taps >= 1 rows: rows[k] has weight k of `pairs`.
void blend_rows(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps, size_t bytes,
                uint8_t* out);

// The plain loops: the two above give the same bits, faster (vision/rows.h).
void resize_row_portable(const uint8_t* row, const AxisWeights& axis, int32_t count, uint8_t* out);
void blend_rows_portable(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_RESIZE_H_

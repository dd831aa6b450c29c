// YUV -> RGB of a row; vision/frame.h states the arithmetic.
#ifndef EDGECV_VISION_YUV_H_
#define EDGECV_VISION_YUV_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::vision {

// The fixed-point matrix of YUV -> RGB.
struct YuvMatrix {
  int16_t offset;
  int16_t ky;
  int16_t vr;
  int16_t ug;
  int16_t vg;
  int16_t ub;
};

// A row of YUV samples with one U and V for two pixels.
struct YuvRow {
  const uint8_t* luma;
  const uint8_t* chroma;
  int luma_step;    // bytes from a pixel to the next: 1, or 2 (YUYV: `chroma` is `luma`)
  int chroma_step;  // bytes from a pair to the next: 2, or 4
  int u;            // where U and V lie in a pair
  int v;
};

constexpr int kYuvShift = 13;

// Pixels [first, first + count) of the row -> out[3 * count]: the plain loop, and the same bits
// faster (vision/rows.h).
void yuv_row_portable(const YuvRow& row, const YuvMatrix& matrix, int32_t first, int32_t count,
                      uint8_t* out);
void yuv_row(const YuvRow& row, const YuvMatrix& matrix, int32_t first, int32_t count,
             uint8_t* out);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_YUV_H_

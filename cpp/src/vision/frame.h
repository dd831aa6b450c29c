// Camera frames: pixels as cameras and decoders deliver them, read as RGB a row at a time.
// docs/preprocess.md ("Camera frames") is the contract, bit for bit:
//
// YUV -> RGB per pixel, all products exact in s32, >> arithmetic:
//   c = Y - offset, d = U - 128, e = V - 128
//   R = clamp((ky * c           + vr * e + 4096) >> 13, 0, 255)
//   G = clamp((ky * c - ug * d  - vg * e + 4096) >> 13, 0, 255)
//   B = clamp((ky * c + ub * d           + 4096) >> 13, 0, 255)
// Pixel (x, y) takes the chroma sample (x / 2, y / 2) of NV12 and NV21, (x / 2, y) of YUYV, counted
// in the whole frame, wherever the region begins. Grey gives R = G = B.
#ifndef EDGECV_VISION_FRAME_H_
#define EDGECV_VISION_FRAME_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "vision/yuv.h"

namespace edgecv::vision {

// Rows top to bottom, pixels left to right.
enum class PixelFormat : uint32_t {
  kRgb = 0,   // plane 0: R G B of each pixel
  kBgr = 1,   // plane 0: B G R of each pixel
  kGrey = 2,  // plane 0: one byte a pixel
  kNv12 = 3,  // plane 0: Y; plane 1, half as many rows and pairs, rounded up: U V
  kNv21 = 4,  // the same with V U
  kYuyv = 5,  // plane 0: Y0 U Y1 V of two pixels
};

enum class YuvColor : uint32_t {
  kBt601 = 0,      // Y 16..235
  kBt601Full = 1,  // Y 0..255: JPEG, many webcams
  kBt709 = 2,      // Y 16..235: HD video
  kBt709Full = 3,
};

// A region of a frame; the region is what becomes a picture.
struct Frame {
  PixelFormat format;
  YuvColor color;  // of YUV formats
  const uint8_t* planes[2];
  size_t strides[2];  // bytes from a row of the plane to the next
  int32_t width;      // of the frame
  int32_t height;
  int32_t left;  // of the region, in pixels of the frame
  int32_t top;
  int32_t region_width;
  int32_t region_height;
};

// The fewest bytes a row of the plane has; 0: the format has no such plane.
size_t frame_row_bytes(PixelFormat format, int plane, int32_t width);

Status check_frame(const Frame& frame, Error* error);

// RGB of the pixels [first, first + count) of row y of the region -> out[3 * count]. Reads the
// bytes of those pixels alone.
void frame_row(const Frame& frame, int32_t y, int32_t first, int32_t count, uint8_t* out);

const YuvMatrix& yuv_matrix(YuvColor color);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_FRAME_H_

#include "vision/frame.h"

#include <string.h>

#include "vision/preprocess.h"

namespace edgecv::vision {
namespace {

// Rounded from the definitions of the standards at 2^13.
constexpr YuvMatrix kMatrices[] = {
    {16, 9539, 13075, 3209, 6660, 16525},  // BT.601
    {0, 8192, 11485, 2819, 5850, 14516},   // BT.601, full range
    {16, 9539, 14686, 1747, 4366, 17305},  // BT.709
    {0, 8192, 12901, 1535, 3835, 15201},   // BT.709, full range
};

const char* format_name(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb:
      return "RGB";
    case PixelFormat::kBgr:
      return "BGR";
    case PixelFormat::kGrey:
      return "grey";
    case PixelFormat::kNv12:
      return "NV12";
    case PixelFormat::kNv21:
      return "NV21";
    case PixelFormat::kYuyv:
      return "YUYV";
  }
  return "unknown";
}

}  // namespace

const YuvMatrix& yuv_matrix(YuvColor color) { return kMatrices[static_cast<uint32_t>(color)]; }

size_t frame_row_bytes(PixelFormat format, int plane, int32_t width) {
  const size_t pixels = static_cast<size_t>(width);
  const size_t pairs = (pixels + 1) / 2;
  switch (format) {
    case PixelFormat::kRgb:
    case PixelFormat::kBgr:
      return plane == 0 ? 3 * pixels : 0;
    case PixelFormat::kGrey:
      return plane == 0 ? pixels : 0;
    case PixelFormat::kNv12:
    case PixelFormat::kNv21:
      return plane == 0 ? pixels : 2 * pairs;
    case PixelFormat::kYuyv:
      return plane == 0 ? 4 * pairs : 0;
  }
  return 0;
}

Status check_frame(const Frame& frame, Error* error) {
  if (frame.format > PixelFormat::kYuyv || frame.color > YuvColor::kBt709Full) {
    return fail(error, Status::kInvalidArgument, "unknown pixel format %u or YUV colour %u",
                static_cast<unsigned>(frame.format), static_cast<unsigned>(frame.color));
  }
  if (frame.width < 1 || frame.height < 1) {
    return fail(error, Status::kInvalidArgument, "a frame of %d x %d pixels", frame.width,
                frame.height);
  }
  if (frame.width > kMaxImageSide || frame.height > kMaxImageSide) {
    return fail(error, Status::kLimit, "a frame of %d x %d pixels: a side has at most %d",
                frame.width, frame.height, kMaxImageSide);
  }
  for (int plane = 0; plane < 2; ++plane) {
    const size_t bytes = frame_row_bytes(frame.format, plane, frame.width);
    if (bytes == 0) continue;
    if (frame.planes[plane] == nullptr) {
      return fail(error, Status::kInvalidArgument, "plane %d of the %s frame is NULL", plane,
                  format_name(frame.format));
    }
    if (frame.strides[plane] < bytes) {
      return fail(error, Status::kInvalidArgument,
                  "the row stride of plane %d is %zu, %d pixels of %s need %zu", plane,
                  frame.strides[plane], frame.width, format_name(frame.format), bytes);
    }
  }
  if (frame.left < 0 || frame.top < 0 || frame.region_width < 1 || frame.region_height < 1 ||
      frame.region_width > frame.width - frame.left ||
      frame.region_height > frame.height - frame.top) {
    return fail(error, Status::kInvalidArgument,
                "the region of %d x %d pixels at (%d, %d) does not lie in the frame of %d x %d",
                frame.region_width, frame.region_height, frame.left, frame.top, frame.width,
                frame.height);
  }
  return Status::kOk;
}

void frame_row(const Frame& frame, int32_t y, int32_t first, int32_t count, uint8_t* out) {
  const size_t row = static_cast<size_t>(frame.top + y);
  const int32_t begin = frame.left + first;
  const uint8_t* in = frame.planes[0] + row * frame.strides[0];
  YuvRow yuv = {in, in, 1, 2, 0, 1};
  switch (frame.format) {
    case PixelFormat::kRgb:
      memcpy(out, in + 3 * static_cast<size_t>(begin), 3 * static_cast<size_t>(count));
      return;
    case PixelFormat::kBgr:
      in += 3 * static_cast<size_t>(begin);
      for (int32_t x = 0; x < count; ++x, in += 3, out += 3) {
        out[0] = in[2];
        out[1] = in[1];
        out[2] = in[0];
      }
      return;
    case PixelFormat::kGrey:
      in += begin;
      for (int32_t x = 0; x < count; ++x, out += 3) out[0] = out[1] = out[2] = in[x];
      return;
    case PixelFormat::kNv12:
      yuv.chroma = frame.planes[1] + row / 2 * frame.strides[1];
      break;
    case PixelFormat::kNv21:
      yuv.chroma = frame.planes[1] + row / 2 * frame.strides[1];
      yuv.u = 1;
      yuv.v = 0;
      break;
    case PixelFormat::kYuyv:
      yuv = {in, in, 2, 4, 1, 3};
      break;
  }
  yuv_row(yuv, yuv_matrix(frame.color), begin, count, out);
}

}  // namespace edgecv::vision

// Where frames come from: a camera, a file or a stream, behind one interface.
#ifndef CAMERA_FRAME_SOURCE_H_
#define CAMERA_FRAME_SOURCE_H_

#include <edgecv/edgecv.hpp>
#include <string>

namespace camera {

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  enum class Next { kFrame, kEnd, kError };
  // The frame's memory stays valid until the next call. kError: error() says why.
  virtual Next next(edgecv_frame* frame) = 0;
  const std::string& error() const { return error_; }

 protected:
  Next fail(const std::string& what) {
    error_ = what;
    return Next::kError;
  }
  std::string error_;
};

// Bytes of a frame whose rows have no gaps; 0 for a format that is none.
inline size_t frame_bytes(edgecv_pixel_format format, int32_t width, int32_t height) {
  const size_t w = static_cast<size_t>(width), h = static_cast<size_t>(height);
  switch (format) {
    case EDGECV_FORMAT_RGB:
    case EDGECV_FORMAT_BGR:
      return 3 * w * h;
    case EDGECV_FORMAT_GREY:
      return w * h;
    case EDGECV_FORMAT_NV12:
    case EDGECV_FORMAT_NV21:
      return w * h + (w + 1) / 2 * 2 * ((h + 1) / 2);
    case EDGECV_FORMAT_YUYV:
      return (w + 1) / 2 * 4 * h;
    default:
      return 0;
  }
}

}  // namespace camera

#endif  // CAMERA_FRAME_SOURCE_H_

// Frames from a Video4Linux2 camera: memory-mapped streaming, single- and multi-planar, raw formats
// and, where the example was built with libjpeg, JPEG. The system calls go through VideoDevice, so
// that a test can stand in for a camera.
#ifndef CAMERA_V4L2_SOURCE_H_
#define CAMERA_V4L2_SOURCE_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "frame_source.h"
#include "jpeg_decoder.h"

namespace camera {

// The system calls on an open device; results and errno are theirs.
class VideoDevice {
 public:
  virtual ~VideoDevice() = default;
  virtual int control(unsigned long request, void* argument) = 0;  // ioctl
  virtual void* map(size_t bytes, off_t offset) = 0;               // mmap, MAP_FAILED on failure
  virtual void unmap(void* address, size_t bytes) = 0;
  virtual int wait(int milliseconds) = 0;  // poll: above 0 when a frame can be taken, 0: timeout
};

// A device file; null with errno set when it cannot be opened.
std::unique_ptr<VideoDevice> open_device(const std::string& path);

class V4l2Source : public FrameSource {
 public:
  // Negotiates and starts; on failure error() says why and next() gives kError. The camera may
  // choose another size than the one asked for. `prefer_jpeg`: many webcams reach their full rate
  // with it alone; otherwise it is the last choice.
  V4l2Source(std::unique_ptr<VideoDevice> device, int32_t width, int32_t height,
             bool prefer_jpeg = false);
  ~V4l2Source() override;
  Next next(edgecv_frame* frame) override;

  edgecv_pixel_format format() const { return format_; }  // of raw frames
  bool is_jpeg() const { return is_jpeg_; }
  int32_t width() const { return width_; }
  int32_t height() const { return height_; }

 private:
  struct Plane {
    void* address;
    size_t bytes;
  };
  struct Buffer {
    Plane planes[2];
  };
  struct Piece {  // of a frame: what a plane of a buffer holds of it
    const uint8_t* data;
    size_t bytes;
  };
  bool control(unsigned long request, void* argument, const char* what);
  bool open_capture();
  bool choose_format(bool prefer_jpeg, uint32_t* fourcc);
  bool negotiate(int32_t width, int32_t height, uint32_t fourcc);
  bool start();
  bool map(uint32_t index);
  bool give_back(uint32_t index);
  bool whole(const Piece* pieces) const;
  void describe(const Piece* pieces, edgecv_frame* frame) const;
  bool two_planes() const { return format_ == EDGECV_FORMAT_NV12 || format_ == EDGECV_FORMAT_NV21; }

  std::unique_ptr<VideoDevice> device_;
  std::vector<Buffer> buffers_;
  JpegDecoder decoder_;
  uint32_t type_ = 0;  // V4L2_BUF_TYPE_VIDEO_CAPTURE or its multi-planar twin
  bool multi_ = false;
  size_t planes_ = 1;  // pieces of memory that a frame lies in
  bool is_jpeg_ = false;
  edgecv_pixel_format format_ = EDGECV_FORMAT_RGB;
  edgecv_yuv_color color_ = EDGECV_YUV_BT601;
  int32_t width_ = 0;
  int32_t height_ = 0;
  size_t strides_[2] = {0, 0};
  int held_ = -1;  // the buffer that the caller looks at
  bool streaming_ = false;
};

}  // namespace camera

#endif  // CAMERA_V4L2_SOURCE_H_

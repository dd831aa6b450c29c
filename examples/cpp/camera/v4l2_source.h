// Frames from a Video4Linux2 camera: memory-mapped streaming, single-planar formats. The system
// calls go through VideoDevice, so that a test can stand in for a camera.
#ifndef CAMERA_V4L2_SOURCE_H_
#define CAMERA_V4L2_SOURCE_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "frame_source.h"

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
  // choose another size than the one asked for.
  V4l2Source(std::unique_ptr<VideoDevice> device, int32_t width, int32_t height);
  ~V4l2Source() override;
  Next next(edgecv_frame* frame) override;

  edgecv_pixel_format format() const { return format_; }
  int32_t width() const { return width_; }
  int32_t height() const { return height_; }

 private:
  struct Buffer {
    void* address;
    size_t bytes;
  };
  bool control(unsigned long request, void* argument, const char* what);
  bool negotiate(int32_t width, int32_t height);
  bool start();
  bool give_back(uint32_t index);
  size_t bytes_needed() const;

  std::unique_ptr<VideoDevice> device_;
  std::vector<Buffer> buffers_;
  edgecv_pixel_format format_ = EDGECV_FORMAT_RGB;
  edgecv_yuv_color color_ = EDGECV_YUV_BT601;
  int32_t width_ = 0;
  int32_t height_ = 0;
  size_t stride_ = 0;
  int held_ = -1;  // the buffer that the caller looks at
  bool streaming_ = false;
};

}  // namespace camera

#endif  // CAMERA_V4L2_SOURCE_H_

#include "v4l2_source.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace camera {
namespace {

constexpr uint32_t kBuffers = 4;
constexpr int kTimeoutMs = 5000;
constexpr int kMostDamaged = 100;  // frames in a row

struct Format {
  uint32_t fourcc;
  edgecv_pixel_format format;
};

// Best first: the fewest bytes a frame, then the least work.
constexpr Format kFormats[] = {
    {V4L2_PIX_FMT_NV12, EDGECV_FORMAT_NV12}, {V4L2_PIX_FMT_NV21, EDGECV_FORMAT_NV21},
    {V4L2_PIX_FMT_YUYV, EDGECV_FORMAT_YUYV}, {V4L2_PIX_FMT_RGB24, EDGECV_FORMAT_RGB},
    {V4L2_PIX_FMT_BGR24, EDGECV_FORMAT_BGR}, {V4L2_PIX_FMT_GREY, EDGECV_FORMAT_GREY},
};

class DeviceFile : public VideoDevice {
 public:
  explicit DeviceFile(int fd) : fd_(fd) {}
  ~DeviceFile() override { close(fd_); }
  int control(unsigned long request, void* argument) override {
    return ioctl(fd_, request, argument);
  }
  void* map(size_t bytes, off_t offset) override {
    return mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd_, offset);
  }
  void unmap(void* address, size_t bytes) override { munmap(address, bytes); }
  int wait(int milliseconds) override {
    pollfd one = {fd_, POLLIN, 0};
    return poll(&one, 1, milliseconds);
  }

 private:
  int fd_;
};

template <typename T>
T zeroed() {
  T value;
  std::memset(&value, 0, sizeof(value));
  return value;
}

v4l2_buffer buffer_of(uint32_t index) {
  v4l2_buffer buffer = zeroed<v4l2_buffer>();
  buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  buffer.memory = V4L2_MEMORY_MMAP;
  buffer.index = index;
  return buffer;
}

// Of plane 0; planes of NV12 and NV21 have the same stride, so whole chroma pairs count.
size_t row_bytes(edgecv_pixel_format format, size_t width) {
  switch (format) {
    case EDGECV_FORMAT_RGB:
    case EDGECV_FORMAT_BGR:
      return 3 * width;
    case EDGECV_FORMAT_YUYV:
      return (width + 1) / 2 * 4;
    case EDGECV_FORMAT_GREY:
      return width;
    default:
      return (width + 1) / 2 * 2;
  }
}

edgecv_yuv_color color_of(const v4l2_pix_format& pix) {
  const bool full =
      pix.quantization == V4L2_QUANTIZATION_FULL_RANGE ||
      (pix.quantization == V4L2_QUANTIZATION_DEFAULT && pix.colorspace == V4L2_COLORSPACE_JPEG);
  const bool hd = pix.ycbcr_enc == V4L2_YCBCR_ENC_709 || (pix.ycbcr_enc == V4L2_YCBCR_ENC_DEFAULT &&
                                                          pix.colorspace == V4L2_COLORSPACE_REC709);
  if (hd) return full ? EDGECV_YUV_BT709_FULL : EDGECV_YUV_BT709;
  return full ? EDGECV_YUV_BT601_FULL : EDGECV_YUV_BT601;
}

}  // namespace

std::unique_ptr<VideoDevice> open_device(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return fd < 0 ? nullptr : std::make_unique<DeviceFile>(fd);
}

V4l2Source::V4l2Source(std::unique_ptr<VideoDevice> device, int32_t width, int32_t height)
    : device_(std::move(device)) {
  streaming_ = negotiate(width, height) && start();
}

V4l2Source::~V4l2Source() {
  if (streaming_) {
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    control(VIDIOC_STREAMOFF, &type, "stop");
  }
  for (const Buffer& buffer : buffers_) device_->unmap(buffer.address, buffer.bytes);
  v4l2_requestbuffers none = zeroed<v4l2_requestbuffers>();
  none.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  none.memory = V4L2_MEMORY_MMAP;
  if (!buffers_.empty()) control(VIDIOC_REQBUFS, &none, "free the buffers");
}

bool V4l2Source::control(unsigned long request, void* argument, const char* what) {
  int result;
  do {
    result = device_->control(request, argument);
  } while (result < 0 && errno == EINTR);
  if (result >= 0) return true;
  fail(std::string("the camera does not ") + what + ": " + std::strerror(errno));
  return false;
}

bool V4l2Source::negotiate(int32_t width, int32_t height) {
  v4l2_capability capability = zeroed<v4l2_capability>();
  if (!control(VIDIOC_QUERYCAP, &capability, "answer: it is no video device")) return false;
  const uint32_t can = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0
                           ? capability.device_caps
                           : capability.capabilities;
  if ((can & V4L2_CAP_VIDEO_CAPTURE) == 0 || (can & V4L2_CAP_STREAMING) == 0) {
    fail("the device does not stream single-planar video");
    return false;
  }
  size_t best = sizeof(kFormats) / sizeof(kFormats[0]);
  for (uint32_t i = 0; best != 0; ++i) {
    v4l2_fmtdesc description = zeroed<v4l2_fmtdesc>();
    description.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    description.index = i;
    if (device_->control(VIDIOC_ENUM_FMT, &description) < 0) break;  // EINVAL: that was the last
    for (size_t k = 0; k < best; ++k) {
      if (kFormats[k].fourcc == description.pixelformat) best = k;
    }
  }
  if (best == sizeof(kFormats) / sizeof(kFormats[0])) {
    fail("the camera offers none of NV12, NV21, YUYV, RGB, BGR, grey");
    return false;
  }
  v4l2_format wanted = zeroed<v4l2_format>();
  wanted.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  v4l2_pix_format& pix = wanted.fmt.pix;
  pix.width = static_cast<uint32_t>(width);
  pix.height = static_cast<uint32_t>(height);
  pix.pixelformat = kFormats[best].fourcc;
  pix.field = V4L2_FIELD_NONE;
  if (!control(VIDIOC_S_FMT, &wanted, "take the format")) return false;
  // The driver may have changed any of it.
  bool known = false;
  for (const Format& one : kFormats) {
    if (one.fourcc == pix.pixelformat) {
      format_ = one.format;
      known = true;
    }
  }
  if (!known || pix.width < 1 || pix.height < 1 || pix.width > 32768 || pix.height > 32768) {
    fail("the camera chose a format of its own that is none of ours");
    return false;
  }
  width_ = static_cast<int32_t>(pix.width);
  height_ = static_cast<int32_t>(pix.height);
  color_ = color_of(pix);
  const size_t tight = row_bytes(format_, pix.width);
  stride_ = pix.bytesperline < tight ? tight : pix.bytesperline;  // 0 from some drivers
  return true;
}

bool V4l2Source::start() {
  v4l2_requestbuffers request = zeroed<v4l2_requestbuffers>();
  request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  request.memory = V4L2_MEMORY_MMAP;
  request.count = kBuffers;
  if (!control(VIDIOC_REQBUFS, &request, "give buffers")) return false;
  if (request.count < 2) {
    fail("the camera gives fewer than two buffers");
    return false;
  }
  for (uint32_t i = 0; i < request.count; ++i) {
    v4l2_buffer buffer = buffer_of(i);
    if (!control(VIDIOC_QUERYBUF, &buffer, "describe a buffer")) return false;
    void* address = device_->map(buffer.length, static_cast<off_t>(buffer.m.offset));
    if (address == MAP_FAILED) {
      fail(std::string("cannot map a buffer: ") + std::strerror(errno));
      return false;
    }
    buffers_.push_back({address, buffer.length});
    if (!give_back(i)) return false;
  }
  int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  return control(VIDIOC_STREAMON, &type, "start");
}

bool V4l2Source::give_back(uint32_t index) {
  v4l2_buffer buffer = buffer_of(index);
  return control(VIDIOC_QBUF, &buffer, "take a buffer back");
}

size_t V4l2Source::bytes_needed() const {
  const size_t rows = static_cast<size_t>(height_);
  const bool two = format_ == EDGECV_FORMAT_NV12 || format_ == EDGECV_FORMAT_NV21;
  return stride_ * (two ? rows + (rows + 1) / 2 : rows);
}

FrameSource::Next V4l2Source::next(edgecv_frame* frame) {
  if (!streaming_) return Next::kError;
  if (held_ >= 0) {
    const uint32_t index = static_cast<uint32_t>(held_);
    held_ = -1;
    if (!give_back(index)) return Next::kError;
  }
  for (int bad = 0; bad < kMostDamaged;) {
    const int ready = device_->wait(kTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail("the camera sends no frame");
    v4l2_buffer buffer = buffer_of(0);
    if (device_->control(VIDIOC_DQBUF, &buffer) < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      return fail(std::string("the camera stopped: ") + std::strerror(errno));
    }
    if (buffer.index >= buffers_.size()) return fail("the camera gave a buffer that is none");
    const Buffer& own = buffers_[buffer.index];
    const bool damaged = (buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
    const bool whole = buffer.bytesused >= bytes_needed() && own.bytes >= bytes_needed();
    if (damaged || !whole) {  // a lost packet: the next frame may be good
      if (!give_back(buffer.index)) return Next::kError;
      ++bad;
      continue;
    }
    held_ = static_cast<int>(buffer.index);
    const uint8_t* pixels = static_cast<const uint8_t*>(own.address);
    *frame = edgecv::frame(format_, pixels, nullptr, width_, height_);
    frame->color = color_;
    frame->strides[0] = stride_;
    if (format_ == EDGECV_FORMAT_NV12 || format_ == EDGECV_FORMAT_NV21) {
      frame->planes[1] = pixels + stride_ * static_cast<size_t>(height_);
      frame->strides[1] = stride_;
    }
    return Next::kFrame;
  }
  return fail("the camera sends damaged frames only");
}

}  // namespace camera

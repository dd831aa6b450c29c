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
  size_t planes;  // pieces of memory
  bool jpeg;
};

// Best first: the fewest bytes a frame, then the least work.
constexpr Format kFormats[] = {
    {V4L2_PIX_FMT_NV12, EDGECV_FORMAT_NV12, 1, false},
    {V4L2_PIX_FMT_NV12M, EDGECV_FORMAT_NV12, 2, false},
    {V4L2_PIX_FMT_NV21, EDGECV_FORMAT_NV21, 1, false},
    {V4L2_PIX_FMT_NV21M, EDGECV_FORMAT_NV21, 2, false},
    {V4L2_PIX_FMT_YUYV, EDGECV_FORMAT_YUYV, 1, false},
    {V4L2_PIX_FMT_RGB24, EDGECV_FORMAT_RGB, 1, false},
    {V4L2_PIX_FMT_BGR24, EDGECV_FORMAT_BGR, 1, false},
    {V4L2_PIX_FMT_GREY, EDGECV_FORMAT_GREY, 1, false},
    {V4L2_PIX_FMT_MJPEG, EDGECV_FORMAT_RGB, 1, true},
    {V4L2_PIX_FMT_JPEG, EDGECV_FORMAT_RGB, 1, true},
};

const Format* find_format(uint32_t fourcc) {
  for (const Format& one : kFormats) {
    if (one.fourcc == fourcc) return &one;
  }
  return nullptr;
}

// Lower is better.
int rank(const Format& format, bool prefer_jpeg) {
  const int place = static_cast<int>(&format - kFormats);
  return format.jpeg && prefer_jpeg ? place - 100 : place;
}

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

// A buffer and, multi-planar, the descriptions of its planes.
struct BufferCall {
  v4l2_buffer buffer = zeroed<v4l2_buffer>();
  v4l2_plane planes[2] = {zeroed<v4l2_plane>(), zeroed<v4l2_plane>()};
  BufferCall(uint32_t type, size_t plane_count, uint32_t index) {
    buffer.type = type;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.index = index;
    if (type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) {
      buffer.m.planes = planes;
      buffer.length = static_cast<uint32_t>(plane_count);
    }
  }
  BufferCall(const BufferCall&) = delete;
  BufferCall& operator=(const BufferCall&) = delete;
};

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

// Of a v4l2_pix_format or its multi-planar twin.
template <typename Pix>
edgecv_yuv_color color_of(const Pix& pix) {
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

V4l2Source::V4l2Source(std::unique_ptr<VideoDevice> device, int32_t width, int32_t height,
                       bool prefer_jpeg)
    : device_(std::move(device)) {
  uint32_t fourcc = 0;
  streaming_ = open_capture() && choose_format(prefer_jpeg, &fourcc) &&
               negotiate(width, height, fourcc) && start();
}

V4l2Source::~V4l2Source() {
  if (streaming_) {
    int type = static_cast<int>(type_);
    control(VIDIOC_STREAMOFF, &type, "stop");
  }
  for (const Buffer& buffer : buffers_) {
    for (const Plane& plane : buffer.planes) {
      if (plane.address != nullptr) device_->unmap(plane.address, plane.bytes);
    }
  }
  v4l2_requestbuffers none = zeroed<v4l2_requestbuffers>();
  none.type = type_;
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

bool V4l2Source::open_capture() {
  v4l2_capability capability = zeroed<v4l2_capability>();
  if (!control(VIDIOC_QUERYCAP, &capability, "answer: it is no video device")) return false;
  const uint32_t can = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0
                           ? capability.device_caps
                           : capability.capabilities;
  const bool single = (can & V4L2_CAP_VIDEO_CAPTURE) != 0;
  multi_ = !single && (can & V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0;
  type_ = multi_ ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
  if ((single || multi_) && (can & V4L2_CAP_STREAMING) != 0) return true;
  fail("the device does not stream video");
  return false;
}

bool V4l2Source::choose_format(bool prefer_jpeg, uint32_t* fourcc) {
  const Format* best = nullptr;
  bool sends_jpeg = false;
  for (uint32_t i = 0;; ++i) {
    v4l2_fmtdesc description = zeroed<v4l2_fmtdesc>();
    description.type = type_;
    description.index = i;
    if (device_->control(VIDIOC_ENUM_FMT, &description) < 0) break;  // EINVAL: that was the last
    const Format* one = find_format(description.pixelformat);
    if (one == nullptr || (one->planes > 1 && !multi_)) continue;
    sends_jpeg |= one->jpeg;
    if (one->jpeg && !JpegDecoder::available()) continue;
    if (best == nullptr || rank(*one, prefer_jpeg) < rank(*best, prefer_jpeg)) best = one;
  }
  if (best == nullptr) {
    fail(sends_jpeg ? "the camera sends JPEG alone, and this program was built without libjpeg"
                    : "the camera offers none of NV12, NV21, YUYV, RGB, BGR, grey, JPEG");
    return false;
  }
  *fourcc = best->fourcc;
  return true;
}

bool V4l2Source::negotiate(int32_t width, int32_t height, uint32_t fourcc) {
  v4l2_format wanted = zeroed<v4l2_format>();
  wanted.type = type_;
  v4l2_pix_format& pix = wanted.fmt.pix;
  v4l2_pix_format_mplane& mp = wanted.fmt.pix_mp;
  const uint32_t size[] = {static_cast<uint32_t>(width), static_cast<uint32_t>(height)};
  if (multi_) {
    mp.width = size[0], mp.height = size[1];
    mp.pixelformat = fourcc;
    mp.field = V4L2_FIELD_NONE;
    mp.num_planes = static_cast<uint8_t>(find_format(fourcc)->planes);
  } else {
    pix.width = size[0], pix.height = size[1];
    pix.pixelformat = fourcc;
    pix.field = V4L2_FIELD_NONE;
  }
  if (!control(VIDIOC_S_FMT, &wanted, "take the format")) return false;
  // The driver may have changed any of it.
  const Format* got = find_format(multi_ ? mp.pixelformat : pix.pixelformat);
  const uint32_t w = multi_ ? mp.width : pix.width, h = multi_ ? mp.height : pix.height;
  if (got == nullptr || w < 1 || h < 1 || w > 32768 || h > 32768 ||
      (multi_ ? mp.num_planes != got->planes : got->planes != 1) ||
      (got->jpeg && !JpegDecoder::available())) {
    fail("the camera chose a format of its own that is none of ours");
    return false;
  }
  format_ = got->format;
  is_jpeg_ = got->jpeg;
  planes_ = got->planes;
  width_ = static_cast<int32_t>(w);
  height_ = static_cast<int32_t>(h);
  color_ = multi_ ? color_of(mp) : color_of(pix);
  for (size_t i = 0; i < 2; ++i) {
    const size_t tight = row_bytes(format_, w);
    strides_[i] = !multi_ ? pix.bytesperline : mp.plane_fmt[i < planes_ ? i : 0].bytesperline;
    if (strides_[i] < tight) strides_[i] = tight;  // 0 from some drivers
  }
  return true;
}

bool V4l2Source::start() {
  v4l2_requestbuffers request = zeroed<v4l2_requestbuffers>();
  request.type = type_;
  request.memory = V4L2_MEMORY_MMAP;
  request.count = kBuffers;
  if (!control(VIDIOC_REQBUFS, &request, "give buffers")) return false;
  if (request.count < 2) {
    fail("the camera gives fewer than two buffers");
    return false;
  }
  for (uint32_t i = 0; i < request.count; ++i) {
    if (!map(i) || !give_back(i)) return false;
  }
  int type = static_cast<int>(type_);
  return control(VIDIOC_STREAMON, &type, "start");
}

bool V4l2Source::map(uint32_t index) {
  BufferCall call(type_, planes_, index);
  if (!control(VIDIOC_QUERYBUF, &call.buffer, "describe a buffer")) return false;
  buffers_.push_back({});
  for (size_t i = 0; i < planes_; ++i) {
    const size_t bytes = multi_ ? call.planes[i].length : call.buffer.length;
    const uint32_t offset = multi_ ? call.planes[i].m.mem_offset : call.buffer.m.offset;
    void* address = device_->map(bytes, static_cast<off_t>(offset));
    if (address == MAP_FAILED) {
      fail(std::string("cannot map a buffer: ") + std::strerror(errno));
      return false;
    }
    buffers_.back().planes[i] = {address, bytes};
  }
  return true;
}

bool V4l2Source::give_back(uint32_t index) {
  BufferCall call(type_, planes_, index);
  return control(VIDIOC_QBUF, &call.buffer, "take a buffer back");
}

bool V4l2Source::whole(const Piece* pieces) const {
  if (is_jpeg_) return pieces[0].bytes != 0;
  const size_t rows = static_cast<size_t>(height_);
  const size_t chroma = two_planes() ? (rows + 1) / 2 * strides_[1] : 0;
  if (planes_ == 2) return pieces[0].bytes >= rows * strides_[0] && pieces[1].bytes >= chroma;
  return pieces[0].bytes >= rows * strides_[0] + chroma;
}

void V4l2Source::describe(const Piece* pieces, edgecv_frame* frame) const {
  *frame = edgecv::frame(format_, pieces[0].data, nullptr, width_, height_);
  frame->color = color_;
  frame->strides[0] = strides_[0];
  if (!two_planes()) return;
  frame->planes[1] =
      planes_ == 2 ? pieces[1].data : pieces[0].data + strides_[0] * static_cast<size_t>(height_);
  frame->strides[1] = strides_[1];
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
    BufferCall call(type_, planes_, 0);
    if (device_->control(VIDIOC_DQBUF, &call.buffer) < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      return fail(std::string("the camera stopped: ") + std::strerror(errno));
    }
    const uint32_t index = call.buffer.index;
    if (index >= buffers_.size()) return fail("the camera gave a buffer that is none");
    Piece pieces[2] = {{nullptr, 0}, {nullptr, 0}};
    for (size_t i = 0; i < planes_; ++i) {
      const Plane& own = buffers_[index].planes[i];
      const size_t skip = multi_ ? call.planes[i].data_offset : 0;
      const size_t used = multi_ ? call.planes[i].bytesused : call.buffer.bytesused;
      if (used > own.bytes || skip > used) continue;
      pieces[i] = {static_cast<const uint8_t*>(own.address) + skip, used - skip};
    }
    // A lost packet: the next frame may be good.
    const bool good = (call.buffer.flags & V4L2_BUF_FLAG_ERROR) == 0 && whole(pieces) &&
                      (!is_jpeg_ || decoder_.decode(pieces[0].data, pieces[0].bytes, frame));
    if (good && !is_jpeg_) {
      describe(pieces, frame);
      held_ = static_cast<int>(index);
      return Next::kFrame;
    }
    if (!give_back(index)) return Next::kError;
    if (good) return Next::kFrame;  // the decoder's own pixels
    ++bad;
  }
  return fail("the camera sends damaged frames only");
}

}  // namespace camera

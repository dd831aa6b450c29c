// V4l2Source against a camera that is none: formats, sizes and strides the driver chooses, damaged
// frames, failures of every call. No real camera is met here.
#include <linux/videodev2.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <set>

#include "v4l2_source.h"

namespace {

using camera::FrameSource;
using camera::V4l2Source;

int failures = 0;

void check(bool good, const char* what, int line) {
  if (good) return;
  std::printf("line %d: failed: %s\n", line, what);
  ++failures;
}
#define CHECK(condition) check(condition, #condition, __LINE__)

// What the camera is and does; what was done to it.
struct State {
  std::vector<uint32_t> formats = {V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_YUYV};
  uint32_t capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
  uint32_t force_format = 0;
  uint32_t width = 0, height = 0;  // 0: what was asked for
  uint32_t line_gap = 0;
  uint32_t colorspace = V4L2_COLORSPACE_SRGB;
  uint32_t quantization = V4L2_QUANTIZATION_DEFAULT;
  uint32_t buffer_limit = 32;
  unsigned long fail_request = 0;
  int fail_errno = EIO;
  int interrupts = 0;  // calls that give EINTR first
  int would_block = 0;
  std::deque<int> damage;  // per frame: 1 error flag, 2 short; then good ones
  bool silent = false;

  v4l2_pix_format pix = {};
  std::vector<std::vector<uint8_t>> buffers;
  std::deque<uint32_t> queued;
  uint8_t stamp = 0;
  bool streaming = false;
  int mapped = 0;
  bool closed = false;
};

class FakeDevice : public camera::VideoDevice {
 public:
  explicit FakeDevice(State* state) : s_(*state) {}
  ~FakeDevice() override { s_.closed = true; }
  int wait(int) override { return s_.silent ? 0 : 1; }
  void* map(size_t bytes, off_t offset) override {
    const size_t index = static_cast<size_t>(offset) / 4096;
    if (index >= s_.buffers.size() || bytes != s_.buffers[index].size()) return MAP_FAILED;
    ++s_.mapped;
    return s_.buffers[index].data();
  }
  void unmap(void*, size_t) override { --s_.mapped; }

  int control(unsigned long request, void* argument) override {
    if (s_.interrupts > 0) {
      --s_.interrupts;
      return refuse(EINTR);
    }
    if (request == s_.fail_request) return refuse(s_.fail_errno);
    switch (request) {
      case VIDIOC_QUERYCAP:
        static_cast<v4l2_capability*>(argument)->capabilities = s_.capabilities;
        return 0;
      case VIDIOC_ENUM_FMT: {
        v4l2_fmtdesc* description = static_cast<v4l2_fmtdesc*>(argument);
        if (description->index >= s_.formats.size()) return refuse(EINVAL);
        description->pixelformat = s_.formats[description->index];
        return 0;
      }
      case VIDIOC_S_FMT:
        return set_format(&static_cast<v4l2_format*>(argument)->fmt.pix);
      case VIDIOC_REQBUFS: {
        v4l2_requestbuffers* r = static_cast<v4l2_requestbuffers*>(argument);
        r->count = r->count < s_.buffer_limit ? r->count : s_.buffer_limit;
        s_.buffers.assign(r->count, std::vector<uint8_t>(s_.pix.sizeimage));
        return 0;
      }
      case VIDIOC_QUERYBUF: {
        v4l2_buffer* buffer = static_cast<v4l2_buffer*>(argument);
        buffer->length = s_.pix.sizeimage;
        buffer->m.offset = buffer->index * 4096;
        return 0;
      }
      case VIDIOC_QBUF:
        s_.queued.push_back(static_cast<v4l2_buffer*>(argument)->index);
        return 0;
      case VIDIOC_STREAMON:
        s_.streaming = true;
        return 0;
      case VIDIOC_STREAMOFF:
        s_.streaming = false;
        s_.queued.clear();
        return 0;
      case VIDIOC_DQBUF:
        return give_frame(static_cast<v4l2_buffer*>(argument));
      default:
        return refuse(ENOTTY);
    }
  }

 private:
  static int refuse(int error) {
    errno = error;
    return -1;
  }
  int set_format(v4l2_pix_format* pix) {
    if (s_.force_format != 0) pix->pixelformat = s_.force_format;
    if (s_.width != 0) pix->width = s_.width;
    if (s_.height != 0) pix->height = s_.height;
    const bool yuyv = pix->pixelformat == V4L2_PIX_FMT_YUYV;
    const bool nv12 = pix->pixelformat == V4L2_PIX_FMT_NV12;
    pix->bytesperline = pix->width * (yuyv ? 2 : nv12 ? 1 : 3) + s_.line_gap;
    pix->sizeimage = pix->bytesperline * (nv12 ? pix->height + pix->height / 2 : pix->height);
    pix->colorspace = s_.colorspace;
    pix->quantization = s_.quantization;
    s_.pix = *pix;
    return 0;
  }
  int give_frame(v4l2_buffer* buffer) {
    if (s_.would_block > 0) {
      --s_.would_block;
      return refuse(EAGAIN);
    }
    if (!s_.streaming || s_.queued.empty()) return refuse(EINVAL);
    const int damage = s_.damage.empty() ? 0 : s_.damage.front();
    if (!s_.damage.empty()) s_.damage.pop_front();
    buffer->index = s_.queued.front();
    s_.queued.pop_front();
    std::memset(s_.buffers[buffer->index].data(), ++s_.stamp, s_.pix.sizeimage);
    buffer->flags = damage == 1 ? V4L2_BUF_FLAG_ERROR : 0;
    buffer->bytesused = damage == 2 ? s_.pix.sizeimage - 1 : s_.pix.sizeimage;
    return 0;
  }
  State& s_;
};

V4l2Source make(State* state, int32_t width = 640, int32_t height = 480) {
  return V4l2Source(std::make_unique<FakeDevice>(state), width, height);
}

void expect_refusal(State state, const char* says, int line) {
  {
    V4l2Source source = make(&state);
    edgecv_frame frame;
    check(source.next(&frame) == FrameSource::Next::kError, "an error", line);
    check(source.error().find(says) != std::string::npos, says, line);
    if (source.error().find(says) == std::string::npos) std::printf("%s\n", source.error().c_str());
  }
  check(state.mapped == 0 && state.closed && !state.streaming, "everything given back", line);
}
#define REFUSED(state, says) expect_refusal(state, says, __LINE__)

}  // namespace

int main() {
  {  // The plain case: frames come in order, a buffer is given back when the next is asked for.
    State state;
    state.interrupts = 2;
    state.would_block = 1;
    {
      V4l2Source source = make(&state);
      CHECK(source.error().empty());
      CHECK(source.format() == EDGECV_FORMAT_YUYV && source.width() == 640);
      for (uint8_t i = 1; i <= 9; ++i) {
        edgecv_frame frame;
        CHECK(source.next(&frame) == FrameSource::Next::kFrame);
        CHECK(frame.planes[0][0] == i && frame.planes[0][640 * 480 * 2 - 1] == i);
        CHECK(frame.strides[0] == 1280 && frame.color == EDGECV_YUV_BT601);
        CHECK(state.queued.size() == 3);
      }
    }
    CHECK(state.mapped == 0 && state.closed && !state.streaming && state.buffers.empty());
  }
  {  // The best format is taken, whatever the order; size and stride are the driver's.
    State state;
    state.formats = {V4L2_PIX_FMT_BGR24, V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12};
    state.width = 320;
    state.height = 240;
    state.line_gap = 64;
    state.colorspace = V4L2_COLORSPACE_REC709;
    V4l2Source source = make(&state);
    edgecv_frame frame;
    CHECK(source.next(&frame) == FrameSource::Next::kFrame);
    CHECK(frame.format == EDGECV_FORMAT_NV12 && frame.width == 320 && frame.height == 240);
    CHECK(frame.strides[0] == 384 && frame.strides[1] == 384);
    CHECK(frame.planes[1] == frame.planes[0] + 384 * 240);
    CHECK(frame.color == EDGECV_YUV_BT709);
    std::vector<uint8_t> rgb(320 * 240 * 3);
    CHECK(edgecv_frame_to_rgb(&frame, rgb.data(), rgb.size(), nullptr) == EDGECV_STATUS_OK);
  }
  {  // JPEG colours, a format the driver insists on.
    State state;
    state.colorspace = V4L2_COLORSPACE_JPEG;
    state.force_format = V4L2_PIX_FMT_RGB24;
    V4l2Source source = make(&state);
    edgecv_frame frame;
    CHECK(source.next(&frame) == FrameSource::Next::kFrame);
    CHECK(frame.format == EDGECV_FORMAT_RGB && frame.color == EDGECV_YUV_BT601_FULL);
  }
  {  // Damaged and short frames are passed over.
    State state;
    state.damage = {1, 2, 0, 2, 0};
    V4l2Source source = make(&state);
    edgecv_frame frame;
    CHECK(source.next(&frame) == FrameSource::Next::kFrame && frame.planes[0][0] == 3);
    CHECK(source.next(&frame) == FrameSource::Next::kFrame && frame.planes[0][0] == 5);
  }
  State state;
  state.capabilities = V4L2_CAP_VIDEO_CAPTURE;
  REFUSED(state, "does not stream");
  state.capabilities = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
  REFUSED(state, "does not stream");
  state = State();
  state.formats = {V4L2_PIX_FMT_MJPEG};
  REFUSED(state, "none of NV12");
  state = State();
  state.force_format = V4L2_PIX_FMT_MJPEG;
  REFUSED(state, "of its own");
  state = State();
  state.buffer_limit = 1;
  REFUSED(state, "fewer than two");
  state = State();
  state.silent = true;
  REFUSED(state, "no frame");
  state = State();
  state.damage.assign(1000, 2);
  REFUSED(state, "damaged frames only");
  for (const unsigned long request :
       {VIDIOC_QUERYCAP, VIDIOC_S_FMT, VIDIOC_REQBUFS, VIDIOC_QUERYBUF, VIDIOC_QBUF,
        VIDIOC_STREAMON, VIDIOC_DQBUF}) {
    state = State();
    state.fail_request = request;
    REFUSED(state, std::strerror(EIO));
  }
  state = State();
  state.fail_request = VIDIOC_DQBUF;
  state.fail_errno = ENODEV;  // unplugged
  REFUSED(state, std::strerror(ENODEV));
  std::printf(failures == 0 ? "good\n" : "%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}

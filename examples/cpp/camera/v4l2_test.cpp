// V4l2Source against a camera that is none: formats, sizes and strides the driver chooses, one and
// several planes of memory, JPEG, damaged frames, failures of every call. No real camera is met
// here.
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
  size_t planes = 1;             // of memory, multi-planar
  uint32_t data_offset = 0;      // of each plane, multi-planar
  std::vector<uint8_t> picture;  // sent instead of a stamp: what a JPEG camera sends
  unsigned long fail_request = 0;
  int fail_errno = EIO;
  int interrupts = 0;  // calls that give EINTR first
  int would_block = 0;
  std::deque<int> damage;  // per frame: 1 error flag, 2 short; then good ones
  bool silent = false;

  v4l2_pix_format pix = {};  // multi-planar, too: of plane 0
  size_t plane_bytes[2] = {0, 0};
  std::vector<std::vector<uint8_t>> buffers;  // plane after plane
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
    const size_t index = static_cast<size_t>(offset) / 4096, plane = offset % 4096;
    if (index >= s_.buffers.size() || bytes != s_.plane_bytes[plane]) return MAP_FAILED;
    ++s_.mapped;
    return s_.buffers[index].data() + (plane == 1 ? s_.plane_bytes[0] : 0);
  }
  void unmap(void*, size_t) override { --s_.mapped; }

  int control(unsigned long request, void* argument) override {
    if (s_.interrupts > 0) {
      --s_.interrupts;
      return refuse(EINTR);
    }
    if (request == s_.fail_request) return refuse(s_.fail_errno);
    if (!of_our_type(request, argument)) return refuse(EINVAL);
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
        return set_format(static_cast<v4l2_format*>(argument));
      case VIDIOC_REQBUFS: {
        v4l2_requestbuffers* r = static_cast<v4l2_requestbuffers*>(argument);
        r->count = r->count < s_.buffer_limit ? r->count : s_.buffer_limit;
        s_.buffers.assign(r->count, std::vector<uint8_t>(s_.plane_bytes[0] + s_.plane_bytes[1]));
        return 0;
      }
      case VIDIOC_QUERYBUF: {
        v4l2_buffer* buffer = static_cast<v4l2_buffer*>(argument);
        if (!multi()) {
          buffer->length = s_.pix.sizeimage;
          buffer->m.offset = buffer->index * 4096;
          return 0;
        }
        for (uint32_t i = 0; i < buffer->length; ++i) {
          buffer->m.planes[i].length = static_cast<uint32_t>(s_.plane_bytes[i]);
          buffer->m.planes[i].m.mem_offset = buffer->index * 4096 + i;
        }
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
  bool multi() const { return (s_.capabilities & V4L2_CAP_VIDEO_CAPTURE) == 0; }
  // The kernel refuses calls on another kind of buffer than the device has.
  bool of_our_type(unsigned long request, const void* argument) const {
    const uint32_t type =
        multi() ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    switch (request) {
      case VIDIOC_ENUM_FMT:
        return static_cast<const v4l2_fmtdesc*>(argument)->type == type;
      case VIDIOC_S_FMT:
        return static_cast<const v4l2_format*>(argument)->type == type;
      case VIDIOC_REQBUFS:
        return static_cast<const v4l2_requestbuffers*>(argument)->type == type;
      case VIDIOC_QUERYBUF:
      case VIDIOC_QBUF:
      case VIDIOC_DQBUF: {
        const v4l2_buffer* buffer = static_cast<const v4l2_buffer*>(argument);
        return buffer->type == type && (!multi() || buffer->length == s_.planes);
      }
      case VIDIOC_STREAMON:
      case VIDIOC_STREAMOFF:
        return *static_cast<const int*>(argument) == static_cast<int>(type);
      default:
        return true;
    }
  }
  int set_format(v4l2_format* format) {
    v4l2_pix_format_mplane& mp = format->fmt.pix_mp;
    v4l2_pix_format* pix = &format->fmt.pix;
    v4l2_pix_format copy = {};
    if (multi()) {
      copy.width = mp.width, copy.height = mp.height, copy.pixelformat = mp.pixelformat;
      pix = &copy;
    }
    if (s_.force_format != 0) pix->pixelformat = s_.force_format;
    if (s_.width != 0) pix->width = s_.width;
    if (s_.height != 0) pix->height = s_.height;
    const bool yuyv = pix->pixelformat == V4L2_PIX_FMT_YUYV;
    const bool two = pix->pixelformat == V4L2_PIX_FMT_NV12M;
    const bool nv12 = pix->pixelformat == V4L2_PIX_FMT_NV12 || two;
    pix->bytesperline = pix->width * (yuyv ? 2 : nv12 ? 1 : 3) + s_.line_gap;
    pix->sizeimage = pix->bytesperline * (nv12 ? pix->height + pix->height / 2 : pix->height);
    pix->colorspace = s_.colorspace;
    pix->quantization = s_.quantization;
    s_.plane_bytes[0] = (two ? pix->bytesperline * pix->height : pix->sizeimage) + s_.data_offset;
    s_.plane_bytes[1] = two ? pix->bytesperline * (pix->height / 2) + s_.data_offset : 0;
    s_.pix = *pix;
    if (multi()) {
      mp.width = pix->width, mp.height = pix->height, mp.pixelformat = pix->pixelformat;
      mp.num_planes = static_cast<uint8_t>(s_.planes);
      for (size_t i = 0; i < s_.planes; ++i) {
        mp.plane_fmt[i].bytesperline = pix->bytesperline;
        mp.plane_fmt[i].sizeimage = static_cast<uint32_t>(s_.plane_bytes[i]);
      }
      mp.colorspace = s_.colorspace;
      mp.quantization = static_cast<uint8_t>(s_.quantization);
    }
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
    std::vector<uint8_t>& memory = s_.buffers[buffer->index];
    std::memset(memory.data(), ++s_.stamp, memory.size());
    uint32_t used = s_.pix.sizeimage;
    if (!s_.picture.empty()) {
      std::memcpy(memory.data(), s_.picture.data(), s_.picture.size());
      used = static_cast<uint32_t>(s_.picture.size());
    }
    buffer->flags = damage == 1 ? V4L2_BUF_FLAG_ERROR : 0;
    if (damage == 2) --used;
    buffer->bytesused = used;
    for (size_t i = 0; multi() && i < s_.planes; ++i) {
      std::memset(memory.data() + (i == 1 ? s_.plane_bytes[0] : 0), 0xEE, s_.data_offset);
      buffer->m.planes[i].data_offset = s_.data_offset;
      buffer->m.planes[i].bytesused =
          static_cast<uint32_t>(s_.plane_bytes[i]) - (damage == 2 && i + 1 == s_.planes);
    }
    return 0;
  }
  State& s_;
};

V4l2Source make(State* state, bool prefer_jpeg = false) {
  return V4l2Source(std::make_unique<FakeDevice>(state), 640, 480, prefer_jpeg);
}

// 16 x 8 pixels, all about (198, 101, 50); without Huffman tables, which JPEG cameras leave out.
const uint8_t kJpeg[] = {
    0xFF, 0xD8, 0xFF, 0xDB, 0x00, 0x43, 0x00, 0x10, 0x0B, 0x0C, 0x0E, 0x0C, 0x0A, 0x10, 0x0E, 0x0D,
    0x0E, 0x12, 0x11, 0x10, 0x13, 0x18, 0x28, 0x1A, 0x18, 0x16, 0x16, 0x18, 0x31, 0x23, 0x25, 0x1D,
    0x28, 0x3A, 0x33, 0x3D, 0x3C, 0x39, 0x33, 0x38, 0x37, 0x40, 0x48, 0x5C, 0x4E, 0x40, 0x44, 0x57,
    0x45, 0x37, 0x38, 0x50, 0x6D, 0x51, 0x57, 0x5F, 0x62, 0x67, 0x68, 0x67, 0x3E, 0x4D, 0x71, 0x79,
    0x70, 0x64, 0x78, 0x5C, 0x65, 0x67, 0x63, 0xFF, 0xDB, 0x00, 0x43, 0x01, 0x11, 0x12, 0x12, 0x18,
    0x15, 0x18, 0x2F, 0x1A, 0x1A, 0x2F, 0x63, 0x42, 0x38, 0x42, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63,
    0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63,
    0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63,
    0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0x63, 0xFF, 0xC0, 0x00, 0x11,
    0x08, 0x00, 0x08, 0x00, 0x10, 0x03, 0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11, 0x01, 0xFF,
    0xDA, 0x00, 0x0C, 0x03, 0x01, 0x00, 0x02, 0x11, 0x03, 0x11, 0x00, 0x3F, 0x00, 0x6D, 0x14, 0x51,
    0x5E, 0x59, 0xEC, 0x9F, 0xFF, 0xD9};

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
  // Multi-planar devices: luma and chroma in one piece of memory or in two, data behind an offset.
  for (const size_t planes : {size_t{1}, size_t{2}}) {
    for (const uint32_t data_offset : {0u, 64u}) {
      State state;
      state.capabilities = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
      state.formats = {V4L2_PIX_FMT_YUYV, planes == 1 ? V4L2_PIX_FMT_NV12 : V4L2_PIX_FMT_NV12M};
      state.planes = planes;
      state.data_offset = data_offset;
      state.line_gap = 32;
      state.quantization = V4L2_QUANTIZATION_FULL_RANGE;
      state.damage = {0, 1, 2, 0};
      {
        V4l2Source source = make(&state);
        CHECK(source.error().empty());
        CHECK(state.mapped == static_cast<int>(4 * planes));
        for (const uint8_t stamp : {1, 4}) {
          edgecv_frame frame;
          CHECK(source.next(&frame) == FrameSource::Next::kFrame);
          CHECK(frame.format == EDGECV_FORMAT_NV12 && frame.color == EDGECV_YUV_BT601_FULL);
          CHECK(frame.strides[0] == 672 && frame.strides[1] == 672);
          CHECK(frame.planes[0][0] == stamp && frame.planes[0][672 * 480 - 1] == stamp);
          CHECK(frame.planes[1][0] == stamp && frame.planes[1][672 * 240 - 1] == stamp);
          CHECK(planes == 2 || frame.planes[1] == frame.planes[0] + 672 * 480);
        }
      }
      CHECK(state.mapped == 0 && state.closed && !state.streaming && state.buffers.empty());
    }
  }
  State state;
  if (camera::JpegDecoder::available()) {  // where asked for, or where there is nothing else
    for (const bool prefer : {false, true}) {
      state = State();
      if (!prefer) state.formats = {V4L2_PIX_FMT_JPEG};
      state.picture.assign(kJpeg, kJpeg + sizeof(kJpeg));
      state.damage = {1, 2, 0};  // one byte short is damage
      V4l2Source source = make(&state, prefer);
      CHECK(source.is_jpeg());
      edgecv_frame frame;
      CHECK(source.next(&frame) == FrameSource::Next::kFrame);
      CHECK(frame.format == EDGECV_FORMAT_RGB && frame.width == 16 && frame.height == 8);
      const uint8_t* last = frame.planes[0] + 3 * (16 * 8 - 1);
      CHECK(last[0] > 190 && last[0] < 206 && last[1] > 93 && last[1] < 109 && last[2] < 58);
      CHECK(state.stamp == 3 && state.queued.size() == 4);
    }
    state = State();  // no JPEG at all
    state.formats = {V4L2_PIX_FMT_MJPEG};
    state.picture.assign(100, 0x55);
    REFUSED(state, "damaged frames only");
  } else {
    state.formats = {V4L2_PIX_FMT_MJPEG};
    REFUSED(state, "without libjpeg");
    state = State();
    state.force_format = V4L2_PIX_FMT_MJPEG;
    REFUSED(state, "of its own");
  }
  state = State();
  state.capabilities = V4L2_CAP_VIDEO_CAPTURE;
  REFUSED(state, "does not stream");
  state.capabilities = V4L2_CAP_VIDEO_CAPTURE_MPLANE;
  REFUSED(state, "does not stream");
  state = State();
  state.formats = {V4L2_PIX_FMT_H264, V4L2_PIX_FMT_NV12M};  // two planes of memory: not here
  REFUSED(state, "none of NV12");
  state = State();
  state.force_format = V4L2_PIX_FMT_H264;
  REFUSED(state, "of its own");
  state = State();
  state.capabilities = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
  state.planes = 2;  // where the format has one
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

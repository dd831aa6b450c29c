// libFuzzer target of camera frames through the C API: any format, strides and region give a
// status, nothing outside the planes is read (they are heap blocks of exactly the bytes that the
// frame has), and the pass from frame to pixels equals converting to RGB first.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "edgecv/edgecv.h"
#include "vision/frame.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Bytes {
  const uint8_t* data;
  size_t size;
  uint8_t u8() { return size == 0 ? 0 : (--size, *data++); }
  uint32_t u32() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | u8();
    return value;
  }
  // Mostly small, now and then anything.
  int32_t number(int32_t least, int32_t count) {
    const uint8_t byte = u8();
    return byte == 255 ? static_cast<int32_t>(u32()) : least + byte % count;
  }
};

// One heap block of its own, so that ASan sees every byte outside.
struct Block {
  uint8_t* data;
  size_t size;
  explicit Block(size_t bytes) : data(static_cast<uint8_t*>(std::malloc(bytes))), size(bytes) {}
  ~Block() { std::free(data); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
};

constexpr size_t kMostBytes = size_t{1} << 20;

// The bytes from the first to the last sample of a plane; 0: the frame has none, or too many here.
size_t plane_bytes(const edgecv_frame& frame, int plane) {
  uint32_t format;  // may be none of the enum's values
  std::memcpy(&format, &frame.format, sizeof(format));
  if (format > EDGECV_FORMAT_YUYV || frame.width < 1 || frame.height < 1 || frame.width > 4096 ||
      frame.height > 4096)
    return 0;
  const size_t row = edgecv::vision::frame_row_bytes(
      static_cast<edgecv::vision::PixelFormat>(format), plane, frame.width);
  const size_t stride = frame.strides[plane] == 0 ? row : frame.strides[plane];
  const size_t rows = static_cast<size_t>(plane == 0 ? frame.height : (frame.height + 1) / 2);
  if (row == 0 || stride < row || stride > kMostBytes / rows) return 0;
  return (rows - 1) * stride + row;
}

void set_enum(void* field, int32_t value) { std::memcpy(field, &value, sizeof(value)); }

edgecv_preprocess draw_preprocess(Bytes* bytes) {
  edgecv_preprocess p;
  std::memset(&p, 0, sizeof(p));
  p.size = sizeof(p);
  p.resize_mode = static_cast<uint32_t>(bytes->number(0, 4));
  p.interpolation = static_cast<uint32_t>(bytes->number(0, 2));
  p.antialias = static_cast<uint32_t>(bytes->number(0, 2));
  if (p.resize_mode != 0) {
    p.resize_width = bytes->number(1, 40);
    p.resize_height = p.resize_mode == 1 ? p.resize_width : bytes->number(1, 40);
  }
  if (p.resize_mode != 3 && bytes->u8() % 2 == 0) {
    p.crop_width = bytes->number(1, 40);
    p.crop_height = bytes->number(1, 40);
  }
  p.color_order = static_cast<uint32_t>(bytes->number(0, 3));
  for (int i = 0; i < 4; ++i) p.std[i] = 1;
  for (int i = 0; i < 3; ++i) p.fill[i] = bytes->u8();
  return p;
}

struct Model {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  Model() {
    edgecv_load_options options;
    std::memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.threads = 1;
    require(edgecv_model_load(EDGECV_TEST_DATA "/golden/convnet.ecv", &options, &model, nullptr) ==
            EDGECV_STATUS_OK);
    require(edgecv_session_create(model, &session, nullptr) == EDGECV_STATUS_OK);
  }
};

std::vector<uint8_t> input_of(edgecv_session* session) {
  void* data = nullptr;
  size_t size = 0;
  require(edgecv_session_map_input(session, 0, &data, &size, nullptr) == EDGECV_STATUS_OK);
  const auto* begin = static_cast<const uint8_t*>(data);
  return std::vector<uint8_t>(begin, begin + size);
}

void compare(const edgecv_preprocess& pre, const edgecv_frame& frame, const edgecv_image& image) {
  int32_t width = 0, height = 0, channels = 0;
  if (edgecv_preprocess_size(&pre, image.width, image.height, &width, &height, &channels,
                             nullptr) != EDGECV_STATUS_OK ||
      int64_t{width} * height > 1 << 16)
    return;
  const Block one(static_cast<size_t>(width) * height * channels);
  const Block two(one.size);
  const edgecv_status status =
      edgecv_preprocess_frame(&pre, &frame, EDGECV_PIXELS_U8, 1, 0, one.data, one.size, nullptr);
  require(edgecv_preprocess_run(&pre, &image, EDGECV_PIXELS_U8, 1, 0, two.data, two.size,
                                nullptr) == status);
  require(status == EDGECV_STATUS_OK || status == EDGECV_STATUS_LIMIT);
  if (status == EDGECV_STATUS_OK) require(std::memcmp(one.data, two.data, one.size) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Model own;
  Bytes bytes = {data, size};
  edgecv_frame frame;
  std::memset(&frame, 0, sizeof(frame));
  frame.size = sizeof(frame);
  set_enum(&frame.format, bytes.number(0, 6));
  set_enum(&frame.color, bytes.number(0, 4));
  frame.width = bytes.number(1, 70);
  frame.height = bytes.number(1, 40);
  for (size_t& stride : frame.strides) {
    const uint8_t gap = bytes.u8();  // 0: no stride given; small: some gap; else: anything
    if (gap != 0) stride = gap < 200 ? 4 * static_cast<size_t>(gap) : bytes.u32();
  }
  if (bytes.u8() % 4 != 0) {
    frame.roi_left = bytes.number(0, 40);
    frame.roi_top = bytes.number(0, 30);
    frame.roi_width = bytes.number(1, 70);
    frame.roi_height = bytes.number(1, 40);
  }
  const edgecv_preprocess pre = draw_preprocess(&bytes);
  const Block luma(plane_bytes(frame, 0));
  const Block chroma(plane_bytes(frame, 1));
  const Block* const blocks[] = {&luma, &chroma};
  for (int plane = 0; plane < 2; ++plane) {
    const Block& block = *blocks[plane];
    if (block.size == 0) continue;
    frame.planes[plane] = block.data;
    uint8_t next = 1;  // past the input's end: something other than one colour
    for (size_t i = 0; i < block.size; ++i)
      block.data[i] = bytes.size != 0 ? bytes.u8() : static_cast<uint8_t>(next += 37);
  }

  const bool whole =
      frame.roi_left == 0 && frame.roi_top == 0 && frame.roi_width == 0 && frame.roi_height == 0;
  const int64_t columns = whole ? frame.width : frame.roi_width;
  const int64_t rows = whole ? frame.height : frame.roi_height;
  const bool fits = columns >= 1 && rows >= 1 && columns <= 4096 && rows <= 4096;
  const Block rgb(fits ? static_cast<size_t>(3 * columns * rows) : 1);
  const edgecv_status status = edgecv_frame_to_rgb(&frame, rgb.data, rgb.size, nullptr);
  const edgecv_status set = edgecv_session_set_frame(own.session, 0, 0, &frame, nullptr);
  if (status != EDGECV_STATUS_OK) {
    require(set != EDGECV_STATUS_OK);
    return 0;
  }
  const edgecv_image image = {sizeof(image), rgb.data, static_cast<int32_t>(columns),
                              static_cast<int32_t>(rows), static_cast<size_t>(3 * columns)};
  require(set == EDGECV_STATUS_OK || set == EDGECV_STATUS_LIMIT);
  if (set == EDGECV_STATUS_OK) {
    const std::vector<uint8_t> got = input_of(own.session);
    require(edgecv_session_set_image(own.session, 0, 0, &image, nullptr) == EDGECV_STATUS_OK);
    require(input_of(own.session) == got);
  }
  compare(pre, frame, image);
  return 0;
}

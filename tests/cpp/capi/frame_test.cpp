// Camera frames through the C API: defaults of the struct, regions, sessions.
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "edgecv/edgecv.h"

namespace {

edgecv_frame nv12(const std::vector<uint8_t>& bytes, int32_t width, int32_t height) {
  edgecv_frame frame;
  std::memset(&frame, 0, sizeof(frame));
  frame.size = sizeof(frame);
  frame.format = EDGECV_FORMAT_NV12;
  frame.width = width;
  frame.height = height;
  frame.planes[0] = bytes.data();
  frame.planes[1] = bytes.data() + width * height;
  return frame;
}

std::vector<uint8_t> pixels(size_t count) {
  edgecv_test::Random random(5);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.integer(0, 255));
  return bytes;
}

}  // namespace

TEST(zero_strides_and_region_mean_all_of_it) {
  const std::vector<uint8_t> bytes = pixels(12 * 8 * 3 / 2);
  edgecv_frame frame = nv12(bytes, 12, 8);
  std::vector<uint8_t> all(12 * 8 * 3), again(all.size()), part(5 * 3 * 3);
  REQUIRE_EQ(edgecv_frame_to_rgb(&frame, all.data(), all.size(), nullptr), EDGECV_STATUS_OK);
  frame.strides[0] = frame.strides[1] = 12;
  frame.roi_width = 12;
  frame.roi_height = 8;
  REQUIRE_EQ(edgecv_frame_to_rgb(&frame, again.data(), again.size(), nullptr), EDGECV_STATUS_OK);
  CHECK(all == again);
  frame.roi_left = 3;
  frame.roi_top = 5;
  frame.roi_width = 5;
  frame.roi_height = 3;
  REQUIRE_EQ(edgecv_frame_to_rgb(&frame, part.data(), part.size(), nullptr), EDGECV_STATUS_OK);
  for (size_t y = 0; y < 3; ++y)
    CHECK_EQ(std::memcmp(&part[y * 15], &all[((5 + y) * 12 + 3) * 3], 15), 0);
  const edgecv_status bad = EDGECV_STATUS_INVALID_ARGUMENT;
  edgecv_error error;
  CHECK_EQ(edgecv_frame_to_rgb(&frame, part.data(), part.size() - 1, &error), bad);
  CHECK(std::strstr(error.text, "5 x 3") != nullptr);
  CHECK_EQ(edgecv_frame_to_rgb(&frame, part.data(), part.size() + 1, nullptr), bad);
  frame.roi_width = 10;  // past the right edge
  CHECK_EQ(edgecv_frame_to_rgb(&frame, part.data(), part.size(), nullptr), bad);
  frame = nv12(bytes, 12, 8);
  frame.size = 8;
  CHECK_EQ(edgecv_frame_to_rgb(&frame, all.data(), all.size(), nullptr), bad);
  frame = nv12(bytes, 12, 8);
  frame.format = static_cast<edgecv_pixel_format>(99);
  CHECK_EQ(edgecv_frame_to_rgb(&frame, all.data(), all.size(), nullptr), bad);
  frame = nv12(bytes, 12, 8);
  frame.color = static_cast<edgecv_yuv_color>(-1);
  CHECK_EQ(edgecv_frame_to_rgb(&frame, all.data(), all.size(), nullptr), bad);
}

TEST(a_session_takes_a_frame_as_it_takes_its_picture) {
  const std::string path = std::string(EDGECV_TEST_DATA) + "/golden/convnet.ecv";
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  REQUIRE_EQ(edgecv_model_load(path.c_str(), nullptr, &model, nullptr), EDGECV_STATUS_OK);
  REQUIRE_EQ(edgecv_session_create(model, &session, nullptr), EDGECV_STATUS_OK);
  const std::vector<uint8_t> bytes = pixels(22 * 14 * 3 / 2);
  edgecv_frame frame = nv12(bytes, 22, 14);
  frame.roi_left = 1;
  frame.roi_top = 1;
  frame.roi_width = 20;
  frame.roi_height = 11;
  std::vector<uint8_t> rgb(20 * 11 * 3);
  REQUIRE_EQ(edgecv_frame_to_rgb(&frame, rgb.data(), rgb.size(), nullptr), EDGECV_STATUS_OK);
  const edgecv_image image = {sizeof(image), rgb.data(), 20, 11, 60};
  float scores[2][5];
  for (int i = 0; i < 2; ++i) {
    REQUIRE_EQ(i == 0 ? edgecv_session_set_image(session, 0, 0, &image, nullptr)
                      : edgecv_session_set_frame(session, 0, 0, &frame, nullptr),
               EDGECV_STATUS_OK);
    REQUIRE_EQ(edgecv_session_run(session, nullptr), EDGECV_STATUS_OK);
    REQUIRE_EQ(edgecv_session_get_output(session, 0, scores[i], 20, EDGECV_DTYPE_F32,
                                         EDGECV_LAYOUT_API, nullptr),
               EDGECV_STATUS_OK);
  }
  CHECK_EQ(std::memcmp(scores[0], scores[1], sizeof(scores[0])), 0);
  // The model's own pre-processing, called by itself.
  edgecv_preprocess pre;
  pre.size = sizeof(pre);
  REQUIRE_EQ(edgecv_model_preprocess(model, 0, &pre, nullptr), EDGECV_STATUS_OK);
  int8_t from_frame[6 * 6 * 3], from_image[6 * 6 * 3];
  REQUIRE_EQ(edgecv_preprocess_frame(&pre, &frame, EDGECV_PIXELS_S8, 0.02f, 0, from_frame,
                                     sizeof(from_frame), nullptr),
             EDGECV_STATUS_OK);
  REQUIRE_EQ(edgecv_preprocess_run(&pre, &image, EDGECV_PIXELS_S8, 0.02f, 0, from_image,
                                   sizeof(from_image), nullptr),
             EDGECV_STATUS_OK);
  CHECK_EQ(std::memcmp(from_frame, from_image, sizeof(from_frame)), 0);
  CHECK_EQ(edgecv_session_set_frame(session, 0, 1, &frame, nullptr),
           EDGECV_STATUS_INVALID_ARGUMENT);  // a batch of one
  edgecv_session_destroy(session);
  edgecv_model_destroy(model);
}

// The rules on threads of edgecv.h: one model from any number of threads, a session from one at a
// time. Run under ThreadSanitizer by `make tsan`.
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "edgecv/edgecv.h"

namespace {

std::string data(const char* name) { return std::string(EDGECV_TEST_DATA) + name; }

// Classifies a picture that depends on `seed`; false when a call failed.
bool classify(edgecv_session* session, int seed, std::vector<float>* scores) {
  uint8_t pixels[13 * 8 * 3];
  for (size_t i = 0; i < sizeof(pixels); ++i)
    pixels[i] = static_cast<uint8_t>(i * i * 5 + static_cast<size_t>(seed) * 71);
  const edgecv_image image = {sizeof(image), pixels, 13, 8, 39};
  scores->resize(5);
  return edgecv_session_set_image(session, 0, 0, &image, nullptr) == EDGECV_STATUS_OK &&
         edgecv_session_run(session, nullptr) == EDGECV_STATUS_OK &&
         edgecv_session_get_output(session, 0, scores->data(), 20, EDGECV_DTYPE_F32,
                                   EDGECV_LAYOUT_API, nullptr) == EDGECV_STATUS_OK;
}

}  // namespace

TEST(threads_share_a_model) {
  edgecv_load_options options;
  std::memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.threads = 2;  // of a run: they take the pool in turns
  edgecv_model* model = nullptr;
  REQUIRE_EQ(edgecv_model_load(data("/golden/convnet.ecv").c_str(), &options, &model, nullptr),
             EDGECV_STATUS_OK);
  constexpr int kSeeds = 4;
  std::vector<std::vector<float>> expected(kSeeds);
  {
    edgecv_session* session = nullptr;
    REQUIRE_EQ(edgecv_session_create(model, &session, nullptr), EDGECV_STATUS_OK);
    for (int seed = 0; seed < kSeeds; ++seed) CHECK(classify(session, seed, &expected[seed]));
    edgecv_session_destroy(session);
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < edgecv_test::scaled(20); ++round) {
        edgecv_session* session = nullptr;
        if (edgecv_session_create(model, &session, nullptr) != EDGECV_STATUS_OK) ++wrong;
        std::vector<float> scores;
        const int seed = (t + round) % kSeeds;
        if (!classify(session, seed, &scores) || scores != expected[seed]) ++wrong;
        edgecv_model_info info;
        info.size = sizeof(info);
        if (edgecv_model_get_info(model, &info, nullptr) != EDGECV_STATUS_OK) ++wrong;
        if (t == 3 && round % 8 == 0 &&
            edgecv_model_verify(model, nullptr, nullptr) != EDGECV_STATUS_OK)
          ++wrong;
        edgecv_session_destroy(session);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
  edgecv_model_destroy(model);
}

TEST(a_session_moves_between_threads) {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  REQUIRE_EQ(edgecv_model_load(data("/golden/convnet.ecv").c_str(), nullptr, &model, nullptr),
             EDGECV_STATUS_OK);
  REQUIRE_EQ(edgecv_session_create(model, &session, nullptr), EDGECV_STATUS_OK);
  std::vector<float> here;
  std::vector<float> there;
  CHECK(classify(session, 1, &here));
  bool good = false;
  std::thread([&] { good = classify(session, 1, &there); }).join();
  CHECK(good && here == there);
  // The last reference to the model falls with the session, on another thread.
  edgecv_model_destroy(model);
  std::thread([&] {
    good = classify(session, 1, &there);
    edgecv_session_destroy(session);
  }).join();
  CHECK(good && here == there);
}

TEST(loads_at_the_same_time) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < edgecv_test::scaled(10); ++round) {
        edgecv_model* model = nullptr;
        if (edgecv_model_load(data("/golden/convnet.ecv").c_str(), nullptr, &model, nullptr) !=
                EDGECV_STATUS_OK ||
            edgecv_model_verify(model, nullptr, nullptr) != EDGECV_STATUS_OK)
          ++wrong;
        edgecv_model_destroy(model);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
}

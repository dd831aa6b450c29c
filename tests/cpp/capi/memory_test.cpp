// The C API when memory runs out: the k-th allocation fails, for every k of every way to use a
// model. Each call gives a status, nothing is lost, and what worked before works again.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "edgecv/edgecv.h"

namespace {

struct Memory {
  int64_t calls = 0;
  int64_t fail_at = -1;  // this call and every later one; -1: none
  int64_t alive = 0;
  bool only_one = false;  // this call alone

  static void* allocate(void* context, size_t bytes, size_t alignment) {
    Memory* own = static_cast<Memory*>(context);
    const int64_t call = own->calls++;
    if (own->fail_at >= 0 && (own->only_one ? call == own->fail_at : call >= own->fail_at))
      return nullptr;
    void* pointer = nullptr;
    if (posix_memalign(&pointer, alignment, bytes == 0 ? 1 : bytes) != 0) return nullptr;
    std::memset(pointer, 0xA5, bytes);  // nobody may count on zeros
    ++own->alive;
    return pointer;
  }
  static void release(void* context, void* pointer) {
    if (pointer != nullptr) --static_cast<Memory*>(context)->alive;
    free(pointer);
  }
};

std::string data(const char* name) { return std::string(EDGECV_TEST_DATA) + name; }

std::vector<uint8_t> read_file(const std::string& path) {
  std::vector<uint8_t> bytes(1 << 20);
  const int fd = open(path.c_str(), O_RDONLY);
  const ssize_t got = fd < 0 ? -1 : read(fd, bytes.data(), bytes.size());
  if (fd >= 0) close(fd);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

enum class From { kPath, kReadFile, kDescriptor, kMemory };

// Everything that may allocate, one call after the other, until one fails.
edgecv_status use(From from, const std::string& path, const std::vector<uint8_t>& bytes,
                  Memory* memory, std::vector<float>* scores) {
  edgecv_load_options options;
  std::memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.threads = 2;
  options.chains = EDGECV_CHAINS_ALL;
  options.allocator = {memory, Memory::allocate, Memory::release};
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  edgecv_session* traced = nullptr;
  edgecv_error error;
  edgecv_status status = EDGECV_STATUS_OK;
  switch (from) {
    case From::kPath:
    case From::kReadFile:
      options.read_file = from == From::kReadFile;
      status = edgecv_model_load(path.c_str(), &options, &model, &error);
      break;
    case From::kDescriptor: {
      const int fd = open(path.c_str(), O_RDONLY);
      status = edgecv_model_load_fd(fd, &options, &model, &error);
      close(fd);
      break;
    }
    case From::kMemory:
      status = edgecv_model_load_memory(bytes.data(), bytes.size(), &options, &model, &error);
      break;
  }
  CHECK_EQ(model != nullptr, status == EDGECV_STATUS_OK);
  if (status == EDGECV_STATUS_OK) status = edgecv_session_create(model, &session, &error);
  CHECK_EQ(session != nullptr, status == EDGECV_STATUS_OK);
  if (status == EDGECV_STATUS_OK) status = edgecv_session_create_traced(model, &traced, &error);
  if (status == EDGECV_STATUS_OK) status = edgecv_session_set_timing(session, 1, &error);
  uint8_t pixels[11 * 9 * 3];
  for (size_t i = 0; i < sizeof(pixels); ++i) pixels[i] = static_cast<uint8_t>(i * 37);
  const edgecv_image image = {sizeof(image), pixels, 11, 9, 33};
  if (status == EDGECV_STATUS_OK) status = edgecv_session_set_image(session, 0, 0, &image, &error);
  const edgecv_frame frame = [&] {
    edgecv_frame whole;
    std::memset(&whole, 0, sizeof(whole));
    whole.size = sizeof(whole);
    whole.format = EDGECV_FORMAT_NV12;
    whole.planes[0] = whole.planes[1] = pixels;
    whole.width = 11;
    whole.height = 9;
    return whole;
  }();
  if (status == EDGECV_STATUS_OK) status = edgecv_session_set_frame(session, 0, 0, &frame, &error);
  if (status == EDGECV_STATUS_OK) {
    const int64_t before = memory->calls;
    status = edgecv_session_run(session, &error);
    CHECK_EQ(memory->calls, before);
  }
  if (status == EDGECV_STATUS_OK) {
    status = edgecv_session_get_output(session, 0, scores->data(), scores->size() * sizeof(float),
                                       EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, &error);
  }
  if (status == EDGECV_STATUS_OK) status = edgecv_model_verify(model, nullptr, &error);
  CHECK_EQ(error.status, status);
  CHECK_EQ(std::strlen(error.text) > 0, status != EDGECV_STATUS_OK);
  edgecv_model_destroy(model);
  edgecv_session_destroy(traced);
  edgecv_session_destroy(session);
  CHECK_EQ(memory->alive, 0);
  return status;
}

}  // namespace

TEST(every_failing_allocation_is_a_status_and_loses_nothing) {
  const std::string path = data("/golden/convnet.ecv");
  const std::vector<uint8_t> bytes = read_file(path);
  REQUIRE(!bytes.empty());
  for (const From from : {From::kPath, From::kReadFile, From::kDescriptor, From::kMemory}) {
    Memory good;
    std::vector<float> expected(5);
    REQUIRE_EQ(use(from, path, bytes, &good, &expected), EDGECV_STATUS_OK);
    REQUIRE(good.calls > 20);
    for (const bool only_one : {false, true}) {
      for (int64_t k = 0; k < good.calls; ++k) {
        WITH_CONTEXT("allocation " + std::to_string(k) + (only_one ? " alone" : " and later"));
        Memory memory;
        memory.fail_at = k;
        memory.only_one = only_one;
        std::vector<float> scores(5);
        CHECK_EQ(use(from, path, bytes, &memory, &scores), EDGECV_STATUS_OUT_OF_MEMORY);
      }
    }
    std::vector<float> again(5);
    Memory memory;
    CHECK_EQ(use(from, path, bytes, &memory, &again), EDGECV_STATUS_OK);
    CHECK(again == expected);
  }
}

TEST(mapped_ports_are_the_sessions_own_memory) {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  edgecv_error error;
  REQUIRE_EQ(edgecv_model_load(data("/golden/convnet.ecv").c_str(), nullptr, &model, &error),
             EDGECV_STATUS_OK);
  REQUIRE_EQ(edgecv_session_create(model, &session, &error), EDGECV_STATUS_OK);
  CHECK(edgecv_session_model(session) == model);
  CHECK(edgecv_session_model(nullptr) == nullptr);
  void* in = nullptr;
  const void* out = nullptr;
  size_t bytes = 0;
  REQUIRE_EQ(edgecv_session_map_input(session, 0, &in, &bytes, &error), EDGECV_STATUS_OK);
  CHECK_EQ(bytes, size_t{6 * 6 * 3 * 4});
  CHECK_EQ(reinterpret_cast<uintptr_t>(in) % 64, uintptr_t{0});
  CHECK_EQ(edgecv_session_map_output(session, 0, &out, &bytes, &error), EDGECV_STATUS_WRONG_STATE);
  for (int round = 0; round < 2; ++round) {  // the same places in every run
    void* again = nullptr;
    REQUIRE_EQ(edgecv_session_map_input(session, 0, &again, &bytes, &error), EDGECV_STATUS_OK);
    CHECK(again == in);
    std::memset(in, 0, bytes);
    REQUIRE_EQ(edgecv_session_run(session, &error), EDGECV_STATUS_OK);
    const void* place = nullptr;
    REQUIRE_EQ(edgecv_session_map_output(session, 0, &place, &bytes, &error), EDGECV_STATUS_OK);
    CHECK(round == 0 || place == out);
    out = place;
    float copy[5];
    REQUIRE_EQ(edgecv_session_get_output(session, 0, copy, sizeof(copy), EDGECV_DTYPE_F32,
                                         EDGECV_LAYOUT_RAW, &error),
               EDGECV_STATUS_OK);
    CHECK(bytes == sizeof(copy) && std::memcmp(copy, out, sizeof(copy)) == 0);
  }
  edgecv_session_destroy(session);
  edgecv_model_destroy(model);
}

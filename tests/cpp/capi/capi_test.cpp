// The C API: NULL, wrong state, sizes of structs, memory.
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "check.h"
#include "edgecv/edgecv.h"

namespace {

std::string path_of(const char* name) {
  return std::string(EDGECV_TEST_DATA) + "/runtime/" + name + ".ecv";
}

struct Loaded {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  explicit Loaded(const char* name = "small") {
    edgecv_error error;
    if (edgecv_model_load(path_of(name).c_str(), nullptr, &model, &error) != EDGECV_STATUS_OK) {
      std::printf("%s\n", error.text);
      return;
    }
    (void)edgecv_session_create(model, &session, &error);
  }
  ~Loaded() {
    edgecv_model_destroy(model);  // before its session: allowed
    edgecv_session_destroy(session);
  }
};

template <typename T>
T sized() {
  T value;
  std::memset(&value, 0x5A, sizeof(value));
  value.size = sizeof(value);
  return value;
}

}  // namespace

TEST(null_is_an_argument_error_everywhere) {
  edgecv_error error;
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  float f = 0;
  void* p = nullptr;
  const void* cp = nullptr;
  size_t n = 0;
  uint32_t id = 0;
  uint64_t t = 0;
  auto model_info = sized<edgecv_model_info>();
  auto port = sized<edgecv_port_info>();
  auto tensor = sized<edgecv_tensor_info>();
  auto op = sized<edgecv_op_info>();
  auto step = sized<edgecv_step_info>();
  auto pre = sized<edgecv_preprocess>();
  auto image = sized<edgecv_image>();
  const edgecv_status bad = EDGECV_STATUS_INVALID_ARGUMENT;
  CHECK_EQ(edgecv_model_load(nullptr, nullptr, &model, &error), bad);
  CHECK(std::strlen(error.text) > 0);
  CHECK_EQ(error.status, bad);
  CHECK_EQ(edgecv_model_load(path_of("small").c_str(), nullptr, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_model_load_fd(-1, nullptr, &model, nullptr), bad);
  CHECK_EQ(edgecv_model_load_memory(nullptr, 10, nullptr, &model, nullptr), bad);
  CHECK_EQ(edgecv_check_file(nullptr, 10, nullptr), bad);
  CHECK_EQ(edgecv_model_get_info(nullptr, &model_info, nullptr), bad);
  CHECK_EQ(edgecv_model_input(nullptr, 0, &port, nullptr), bad);
  CHECK_EQ(edgecv_model_output(nullptr, 0, &port, nullptr), bad);
  CHECK_EQ(edgecv_model_tensor(nullptr, 0, &tensor, nullptr), bad);
  CHECK_EQ(edgecv_model_op(nullptr, 0, &op, nullptr), bad);
  CHECK_EQ(edgecv_model_op_input(nullptr, 0, 0, &id, nullptr), bad);
  CHECK_EQ(edgecv_model_step(nullptr, 0, &step, nullptr), bad);
  CHECK_EQ(edgecv_model_meta_at(nullptr, 0, nullptr, nullptr, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_model_preprocess(nullptr, 0, &pre, nullptr), bad);
  CHECK_EQ(edgecv_model_verify(nullptr, nullptr, nullptr), bad);
  CHECK(edgecv_model_meta(nullptr, "name", nullptr) == nullptr);
  CHECK_EQ(edgecv_session_create(nullptr, &session, nullptr), bad);
  CHECK_EQ(
      edgecv_session_set_input(nullptr, 0, &f, 4, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(edgecv_session_map_input(nullptr, 0, &p, &n, nullptr), bad);
  CHECK_EQ(edgecv_session_set_image(nullptr, 0, 0, &image, nullptr), bad);
  CHECK_EQ(edgecv_session_run(nullptr, nullptr), bad);
  CHECK_EQ(
      edgecv_session_get_output(nullptr, 0, &f, 4, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(edgecv_session_map_output(nullptr, 0, &cp, &n, nullptr), bad);
  CHECK_EQ(edgecv_session_read_tensor(nullptr, 0, &f, 4, EDGECV_DTYPE_F32, nullptr), bad);
  CHECK_EQ(edgecv_session_set_timing(nullptr, 1, nullptr), bad);
  CHECK_EQ(edgecv_session_step_times(nullptr, &t, 1, nullptr), bad);
  CHECK_EQ(edgecv_session_set_op_callback(nullptr, nullptr, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_preprocess_check(nullptr, nullptr), bad);
  CHECK_EQ(edgecv_preprocess_run(nullptr, &image, EDGECV_PIXELS_U8, 1, 0, &f, 4, nullptr), bad);
  auto frame = sized<edgecv_frame>();
  uint8_t byte = 0;
  CHECK_EQ(edgecv_session_set_frame(nullptr, 0, 0, &frame, nullptr), bad);
  CHECK_EQ(edgecv_preprocess_frame(nullptr, &frame, EDGECV_PIXELS_U8, 1, 0, &byte, 1, nullptr),
           bad);
  CHECK_EQ(edgecv_frame_to_rgb(nullptr, &byte, 3, nullptr), bad);
  CHECK_EQ(edgecv_frame_to_rgb(&frame, nullptr, 3, nullptr), bad);
  CHECK_EQ(edgecv_kernel_at(0, nullptr, nullptr), bad);
  edgecv_model_destroy(nullptr);
  edgecv_session_destroy(nullptr);
  edgecv_cpu_name(nullptr, 10);

  const Loaded own;
  REQUIRE(own.session != nullptr);
  CHECK_EQ(edgecv_session_create(own.model, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_model_get_info(own.model, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_model_input(own.model, 0, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_model_op_input(own.model, 0, 0, nullptr, nullptr), bad);
  CHECK(edgecv_model_meta(own.model, nullptr, nullptr) == nullptr);
  CHECK_EQ(edgecv_session_set_input(own.session, 0, nullptr, 0, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API,
                                    nullptr),
           bad);
  CHECK_EQ(edgecv_session_map_input(own.session, 0, nullptr, &n, nullptr), bad);
  CHECK_EQ(edgecv_session_set_image(own.session, 0, 0, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_session_set_frame(own.session, 0, 0, nullptr, nullptr), bad);
  CHECK_EQ(edgecv_session_step_times(own.session, nullptr, 0, nullptr), bad);
}

TEST(indices_past_the_end) {
  const Loaded own;
  REQUIRE(own.session != nullptr);
  auto port = sized<edgecv_port_info>();
  auto tensor = sized<edgecv_tensor_info>();
  auto op = sized<edgecv_op_info>();
  auto step = sized<edgecv_step_info>();
  auto kernel = sized<edgecv_kernel_info>();
  uint32_t id = 0;
  const edgecv_status bad = EDGECV_STATUS_INVALID_ARGUMENT;
  for (const uint32_t index : {1000u, UINT32_MAX}) {
    CHECK_EQ(edgecv_model_input(own.model, index, &port, nullptr), bad);
    CHECK_EQ(edgecv_model_output(own.model, index, &port, nullptr), bad);
    CHECK_EQ(edgecv_model_tensor(own.model, index, &tensor, nullptr), bad);
    CHECK_EQ(edgecv_model_op(own.model, index, &op, nullptr), bad);
    CHECK_EQ(edgecv_model_op_input(own.model, index, 0, &id, nullptr), bad);
    CHECK_EQ(edgecv_model_op_input(own.model, 0, index, &id, nullptr), bad);
    CHECK_EQ(edgecv_model_step(own.model, index, &step, nullptr), bad);
    CHECK_EQ(edgecv_kernel_at(index, &kernel, nullptr), bad);
    float f = 0;
    CHECK_EQ(edgecv_session_set_input(own.session, index, &f, 4, EDGECV_DTYPE_F32,
                                      EDGECV_LAYOUT_API, nullptr),
             bad);
    CHECK_EQ(edgecv_session_get_output(own.session, index, &f, 4, EDGECV_DTYPE_F32,
                                       EDGECV_LAYOUT_API, nullptr),
             bad);
    CHECK_EQ(edgecv_session_read_tensor(own.session, index, &f, 4, EDGECV_DTYPE_F32, nullptr), bad);
  }
  CHECK(edgecv_isa_name(1000, nullptr) == nullptr);
}

TEST(order_of_calls) {
  const Loaded own;
  REQUIRE(own.session != nullptr);
  const edgecv_status wrong = EDGECV_STATUS_WRONG_STATE;
  std::vector<float> x(768, 0.1f);
  std::vector<float> y(10);
  const auto get = [&] {
    return edgecv_session_get_output(own.session, 1, y.data(), 40, EDGECV_DTYPE_F32,
                                     EDGECV_LAYOUT_API, nullptr);
  };
  const auto set = [&] {
    return edgecv_session_set_input(own.session, 0, x.data(), 768 * 4, EDGECV_DTYPE_F32,
                                    EDGECV_LAYOUT_API, nullptr);
  };
  edgecv_error error;
  CHECK_EQ(edgecv_session_run(own.session, &error), wrong);
  CHECK(std::string(error.text).find("'image'") != std::string::npos);
  CHECK_EQ(get(), wrong);
  CHECK_EQ(set(), EDGECV_STATUS_OK);
  CHECK_EQ(get(), wrong);
  CHECK_EQ(edgecv_session_run(own.session, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(get(), EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_session_run(own.session, nullptr), wrong);  // the input's memory was used up
  CHECK_EQ(get(), EDGECV_STATUS_OK);                          // a refused run changes nothing
  CHECK_EQ(set(), EDGECV_STATUS_OK);
  CHECK_EQ(get(), wrong);
  uint64_t times[64];
  auto info = sized<edgecv_model_info>();
  REQUIRE_EQ(edgecv_model_get_info(own.model, &info, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_session_step_times(own.session, times, info.step_count, nullptr), wrong);
  CHECK_EQ(edgecv_session_set_timing(own.session, 1, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_session_run(own.session, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_session_step_times(own.session, times, info.step_count, nullptr),
           EDGECV_STATUS_OK);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < info.step_count; ++i) sum += times[i];
  CHECK(sum > 0);
  CHECK_EQ(edgecv_session_step_times(own.session, times, info.step_count + 1, nullptr),
           EDGECV_STATUS_INVALID_ARGUMENT);
  auto image = sized<edgecv_image>();
  CHECK_EQ(edgecv_session_set_image(own.session, 0, 0, &image, nullptr),
           wrong);  // no pre-processing in this file
}

TEST(sizes_and_types_of_data) {
  const Loaded own;
  REQUIRE(own.session != nullptr);
  const edgecv_status bad = EDGECV_STATUS_INVALID_ARGUMENT;
  std::vector<float> x(769, 0.1f);
  edgecv_session* s = own.session;
  CHECK_EQ(edgecv_session_set_input(s, 0, x.data(), 767 * 4, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API,
                                    nullptr),
           bad);
  CHECK_EQ(
      edgecv_session_set_input(s, 0, x.data(), 768, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(edgecv_session_set_input(s, 0, x.data(), 768 * 4, EDGECV_DTYPE_S32, EDGECV_LAYOUT_API,
                                    nullptr),
           bad);
  CHECK_EQ(edgecv_session_set_input(s, 0, x.data(), 768 * 4, static_cast<edgecv_dtype>(0x101),
                                    EDGECV_LAYOUT_API, nullptr),
           bad);
  CHECK_EQ(edgecv_session_set_input(s, 0, x.data(), 768 * 4, EDGECV_DTYPE_F32,
                                    static_cast<edgecv_layout>(2), nullptr),
           bad);
  const char* odd = reinterpret_cast<const char*>(x.data()) + 1;
  CHECK_EQ(
      edgecv_session_set_input(s, 0, odd, 768 * 4, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(edgecv_session_set_input(s, 0, odd, 768, EDGECV_DTYPE_S8, EDGECV_LAYOUT_RAW, nullptr),
           EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_session_run(s, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(
      edgecv_session_get_output(s, 1, x.data(), 10, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(
      edgecv_session_get_output(s, 1, x.data(), 40, EDGECV_DTYPE_S32, EDGECV_LAYOUT_API, nullptr),
      bad);
  CHECK_EQ(
      edgecv_session_get_output(s, 1, x.data(), 10, EDGECV_DTYPE_S8, EDGECV_LAYOUT_API, nullptr),
      EDGECV_STATUS_OK);
}

TEST(structs_keep_to_their_size) {
  const Loaded own;
  REQUIRE(own.model != nullptr);
  auto info = sized<edgecv_model_info>();
  info.size = offsetof(edgecv_model_info, meta_count);  // an older, shorter struct
  CHECK_EQ(edgecv_model_get_info(own.model, &info, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(info.input_count, 1u);
  CHECK_EQ(info.output_count, 2u);
  CHECK_EQ(info.meta_count, 0x5A5A5A5Au);
  CHECK_EQ(info.size, offsetof(edgecv_model_info, meta_count));
  info.size = 0;
  CHECK_EQ(edgecv_model_get_info(own.model, &info, nullptr), EDGECV_STATUS_INVALID_ARGUMENT);
  edgecv_load_options options;
  std::memset(&options, 0, sizeof(options));
  edgecv_model* model = nullptr;
  CHECK_EQ(edgecv_model_load(path_of("small").c_str(), &options, &model, nullptr),
           EDGECV_STATUS_INVALID_ARGUMENT);
  options.size = offsetof(edgecv_load_options, keep_all);
  options.threads = 1;
  REQUIRE_EQ(edgecv_model_load(path_of("small").c_str(), &options, &model, nullptr),
             EDGECV_STATUS_OK);
  edgecv_model_destroy(model);
}

TEST(loads_from_memory_and_descriptor) {
  const std::string path = path_of("small");
  const int fd = open(path.c_str(), O_RDONLY);
  REQUIRE(fd >= 0);
  edgecv_model* model = nullptr;
  CHECK_EQ(edgecv_model_load_fd(fd, nullptr, &model, nullptr), EDGECV_STATUS_OK);
  edgecv_model_destroy(model);
  alignas(64) static unsigned char bytes[1 << 16];
  const ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
  close(fd);
  REQUIRE(size > 0 && size < static_cast<ssize_t>(sizeof(bytes)));
  const size_t n = static_cast<size_t>(size);
  edgecv_load_options options;
  std::memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  for (const int borrow : {0, 1}) {
    options.borrow = borrow;
    model = nullptr;
    REQUIRE_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_OK);
    CHECK_EQ(edgecv_model_verify(model, nullptr, nullptr), EDGECV_STATUS_OK);
    edgecv_model_destroy(model);
  }
  CHECK_EQ(edgecv_check_file(bytes, n, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(edgecv_check_file(bytes, n - 1, nullptr), EDGECV_STATUS_TRUNCATED);
  CHECK_EQ(edgecv_model_load_memory(bytes, 0, nullptr, &model, nullptr), EDGECV_STATUS_TRUNCATED);
  bytes[0] ^= 1;
  CHECK_EQ(edgecv_model_load_memory(bytes, n, nullptr, &model, nullptr), EDGECV_STATUS_NOT_ECV);
  CHECK_EQ(edgecv_model_load("/no/such/file.ecv", nullptr, &model, nullptr), EDGECV_STATUS_IO);
  bytes[0] ^= 1;
  options.borrow = 0;
  options.max_arena_bytes = 64;
  CHECK_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_LIMIT);
  options.max_arena_bytes = 0;
  options.threads = 2;
  REQUIRE_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_OK);
  edgecv_model_info info;
  std::memset(&info, 0, sizeof(info));
  info.size = sizeof(info);
  REQUIRE_EQ(edgecv_model_get_info(model, &info, nullptr), EDGECV_STATUS_OK);
  edgecv_model_destroy(model);
  if (info.scratch_bytes != 0) {  // scratch of all threads counts, too
    options.max_arena_bytes = info.arena_bytes + info.scratch_bytes - 1;
    CHECK_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_LIMIT);
    options.max_arena_bytes = 0;
  }
  options.threads = 0;
  options.max_file_bytes = 64;
  CHECK_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_LIMIT);
  options.max_file_bytes = 0;
  options.max_work = 10;
  CHECK_EQ(edgecv_model_load_memory(bytes, n, &options, &model, nullptr), EDGECV_STATUS_LIMIT);
}

TEST(chains_are_an_option_and_traced_sessions_see_inside) {
  edgecv_error error;
  const std::string path = path_of("chains");
  auto options = sized<edgecv_load_options>();
  std::memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  edgecv_model* model = nullptr;
  options.chains = 4;
  CHECK_EQ(edgecv_model_load(path.c_str(), &options, &model, &error),
           EDGECV_STATUS_INVALID_ARGUMENT);
  setenv("EDGECV_CHAINS", "some", 1);
  options.chains = 0;
  CHECK_EQ(edgecv_model_load(path.c_str(), &options, &model, &error),
           EDGECV_STATUS_INVALID_ARGUMENT);
  CHECK(std::strstr(error.text, "EDGECV_CHAINS") != nullptr);
  setenv("EDGECV_CHAINS", "off", 1);
  REQUIRE_EQ(edgecv_model_load(path.c_str(), &options, &model, &error), EDGECV_STATUS_OK);
  auto info = sized<edgecv_model_info>();
  CHECK_EQ(edgecv_model_get_info(model, &info, &error), EDGECV_STATUS_OK);
  CHECK_EQ(info.chain_count, 0u);
  edgecv_model_destroy(model);
  options.chains = EDGECV_CHAINS_ALL;  // stronger than the environment
  REQUIRE_EQ(edgecv_model_load(path.c_str(), &options, &model, &error), EDGECV_STATUS_OK);
  unsetenv("EDGECV_CHAINS");
  CHECK_EQ(edgecv_model_get_info(model, &info, &error), EDGECV_STATUS_OK);
  REQUIRE(info.chain_count > 0);
  auto chain = sized<edgecv_chain_info>();
  CHECK_EQ(edgecv_model_chain(nullptr, 0, &chain, &error), EDGECV_STATUS_INVALID_ARGUMENT);
  CHECK_EQ(edgecv_model_chain(model, info.chain_count, &chain, &error),
           EDGECV_STATUS_INVALID_ARGUMENT);
  CHECK_EQ(edgecv_model_chain(model, 0, &chain, &error), EDGECV_STATUS_OK);
  CHECK(chain.step_count >= 2 && chain.stripe_rows >= 1 && chain.stripes >= 1);
  CHECK(chain.buffer_bytes > 0 && chain.buffer_bytes <= info.scratch_bytes);
  auto step = sized<edgecv_step_info>();
  CHECK_EQ(edgecv_model_step(model, chain.first_step, &step, &error), EDGECV_STATUS_OK);
  CHECK_EQ(step.chain, 0);
  auto tensor = sized<edgecv_tensor_info>();
  CHECK_EQ(edgecv_model_tensor(model, step.output, &tensor, &error), EDGECV_STATUS_OK);
  CHECK_EQ(tensor.arena_offset, -1);
  edgecv_session* plain = nullptr;
  edgecv_session* traced = nullptr;
  CHECK_EQ(edgecv_session_create_traced(nullptr, &traced, &error), EDGECV_STATUS_INVALID_ARGUMENT);
  CHECK_EQ(edgecv_session_create_traced(model, nullptr, &error), EDGECV_STATUS_INVALID_ARGUMENT);
  REQUIRE_EQ(edgecv_session_create(model, &plain, &error), EDGECV_STATUS_OK);
  REQUIRE_EQ(edgecv_session_create_traced(model, &traced, &error), EDGECV_STATUS_OK);
  std::vector<int8_t> values(tensor.bytes);
  for (edgecv_session* session : {plain, traced}) {
    void* data = nullptr;
    size_t bytes = 0;
    CHECK_EQ(edgecv_session_map_input(session, 0, &data, &bytes, &error), EDGECV_STATUS_OK);
    std::memset(data, 3, bytes);
    CHECK_EQ(edgecv_session_run(session, &error), EDGECV_STATUS_OK);
    CHECK_EQ(edgecv_session_read_tensor(session, step.output, values.data(), values.size(),
                                        EDGECV_DTYPE_S8, &error),
             session == traced ? EDGECV_STATUS_OK : EDGECV_STATUS_WRONG_STATE);
  }
  edgecv_session_destroy(plain);
  edgecv_session_destroy(traced);
  edgecv_model_destroy(model);
}

TEST(log_and_allocator_callbacks) {
  struct Counts {
    int logs = 0, allocations = 0, alive = 0;
  } counts;
  edgecv_load_options options;
  std::memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.log_context = &counts;
  options.log = [](void* context, edgecv_log_level, const char* text) {
    if (text[0] != 0) ++static_cast<Counts*>(context)->logs;
  };
  options.allocator.context = &counts;
  options.allocator.allocate = [](void* context, size_t bytes, size_t alignment) -> void* {
    ++static_cast<Counts*>(context)->allocations;
    ++static_cast<Counts*>(context)->alive;
    void* pointer = nullptr;
    return posix_memalign(&pointer, alignment, bytes == 0 ? 1 : bytes) == 0 ? pointer : nullptr;
  };
  options.allocator.release = [](void* context, void* pointer) {
    if (pointer != nullptr) --static_cast<Counts*>(context)->alive;
    free(pointer);
  };
  edgecv_model* model = nullptr;
  REQUIRE_EQ(edgecv_model_load(path_of("small").c_str(), &options, &model, nullptr),
             EDGECV_STATUS_OK);
  CHECK_EQ(counts.logs, 1);
  CHECK(counts.allocations > 0);
  edgecv_model_destroy(model);
  CHECK_EQ(counts.alive, 0);
  options.allocator.release = nullptr;
  CHECK_EQ(edgecv_model_load(path_of("small").c_str(), &options, &model, nullptr),
           EDGECV_STATUS_INVALID_ARGUMENT);
}

TEST(describes_itself) {
  const Loaded own;
  REQUIRE(own.model != nullptr);
  CHECK(std::strlen(edgecv_version()) >= 5);
  CHECK_EQ(std::string(edgecv_status_name(EDGECV_STATUS_NAN_INPUT)), "nan_input");
  auto info = sized<edgecv_model_info>();
  REQUIRE_EQ(edgecv_model_get_info(own.model, &info, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(info.op_count, 11u);
  CHECK(info.macs > 0);
  size_t bytes = 0;
  const char* name = edgecv_model_meta(own.model, "name", &bytes);
  REQUIRE(name != nullptr);
  CHECK_EQ(std::string(name), "small");
  CHECK_EQ(bytes, size_t{5});
  CHECK(edgecv_model_meta(own.model, "no such key", nullptr) == nullptr);
  auto port = sized<edgecv_port_info>();
  REQUIRE_EQ(edgecv_model_input(own.model, 0, &port, nullptr), EDGECV_STATUS_OK);
  CHECK_EQ(std::string(port.name), "image");
  CHECK_EQ(port.rank, 4);
  CHECK_EQ(port.dims[1], 3);
  CHECK_EQ(port.stored_dims[3], 3);
  CHECK_EQ(port.perm[1], 3);
  CHECK_EQ(port.preprocess, -1);
  uint64_t macs = 0;
  uint32_t steps = 0;
  for (uint32_t i = 0; i < info.op_count; ++i) {
    auto op = sized<edgecv_op_info>();
    REQUIRE_EQ(edgecv_model_op(own.model, i, &op, nullptr), EDGECV_STATUS_OK);
    CHECK_EQ(op.first_step, steps);
    steps += op.step_count;
    macs += op.macs;
    if (std::string(op.code) == "Reshape") CHECK_EQ(op.step_count, 0u);
  }
  CHECK_EQ(steps, info.step_count);
  CHECK_EQ(macs, info.macs);
  CHECK_EQ(std::string(edgecv_isa_name(0, nullptr)), "reference");
  CHECK(edgecv_kernel_count() > 0);
}

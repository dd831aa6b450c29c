// Every function of edgecv.h by name: with NULL wherever it takes a pointer, and on a model and a
// session of which nothing was asked yet. A function of the header without a row here is a failure.
#include <cstdio>
#include <cstring>
#include <set>
#include <string>

#include "check.h"
#include "edgecv/edgecv.h"

namespace {

// What the rows call with: no handle at all, or good ones whose inputs were never filled.
struct Handles {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
};

struct Row {
  const char* name;
  edgecv_status on_null;   // of `call` without handles
  edgecv_status on_fresh;  // of `call` with good ones: its other pointers are NULL all the same
  edgecv_status (*call)(const Handles& own, edgecv_error* error);
};

constexpr edgecv_status kGood = EDGECV_STATUS_OK;
constexpr edgecv_status kBad = EDGECV_STATUS_INVALID_ARGUMENT;
constexpr edgecv_status kEarly = EDGECV_STATUS_WRONG_STATE;
constexpr uint32_t kPast = UINT32_MAX;

template <typename T>
T sized() {
  T value;
  std::memset(&value, 0, sizeof(value));
  value.size = sizeof(value);
  return value;
}

// What is no status becomes one: whether it holds.
edgecv_status said(bool holds) { return holds ? kGood : EDGECV_STATUS_INTERNAL; }

edgecv_status set_nothing_but_size(const Handles& own, edgecv_error* error) {
  const auto frame = sized<edgecv_frame>();
  return edgecv_session_set_frame(own.session, 0, 0, &frame, error);
}

// These have good places to write to: they are asked too early.
edgecv_status get_output(const Handles& own, edgecv_error* error) {
  float scores[10];
  return edgecv_session_get_output(own.session, 1, scores, sizeof(scores), EDGECV_DTYPE_F32,
                                   EDGECV_LAYOUT_API, error);
}

edgecv_status map_output(const Handles& own, edgecv_error* error) {
  const void* data = nullptr;
  size_t bytes = 0;
  return edgecv_session_map_output(own.session, 0, &data, &bytes, error);
}

edgecv_status set_good_image(const Handles& own, edgecv_error* error) {
  const uint8_t pixel[3] = {1, 2, 3};
  const edgecv_image image = {sizeof(image), pixel, 1, 1, 3};
  return edgecv_session_set_image(own.session, 0, 0, &image, error);  // no pre-processing stored
}

#define ROW(name, on_null, on_fresh, expression)                                       \
  {                                                                                    \
#name, on_null, on_fresh, [](const Handles& own, edgecv_error* e) -> edgecv_status { \
     (void)own;                                                                       \
     (void)e;                                                                         \
     return expression;                                                               \
   } \
  }

const Row kRows[] = {
    ROW(edgecv_api_version, kGood, kGood, said(edgecv_api_version() == EDGECV_API_VERSION)),
    ROW(edgecv_version, kGood, kGood, said(std::strlen(edgecv_version()) >= 5)),
    ROW(edgecv_status_name, kGood, kGood,
        said(std::strlen(edgecv_status_name(static_cast<edgecv_status>(12345))) > 0)),
    ROW(edgecv_model_load, kBad, kBad, edgecv_model_load(nullptr, nullptr, nullptr, e)),
    ROW(edgecv_model_load_fd, kBad, kBad, edgecv_model_load_fd(-1, nullptr, nullptr, e)),
    ROW(edgecv_model_load_memory, kBad, kBad,
        edgecv_model_load_memory(nullptr, 64, nullptr, nullptr, e)),
    ROW(edgecv_check_file, kBad, kBad, edgecv_check_file(nullptr, 64, e)),
    ROW(edgecv_model_destroy, kGood, kGood, (edgecv_model_destroy(nullptr), kGood)),
    ROW(edgecv_model_get_info, kBad, kBad, edgecv_model_get_info(own.model, nullptr, e)),
    ROW(edgecv_model_input, kBad, kBad, edgecv_model_input(own.model, 0, nullptr, e)),
    ROW(edgecv_model_output, kBad, kBad, edgecv_model_output(own.model, 0, nullptr, e)),
    ROW(edgecv_model_meta, kGood, kGood,
        said(edgecv_model_meta(own.model, nullptr, nullptr) == nullptr)),
    ROW(edgecv_model_meta_at, kBad, kBad,
        edgecv_model_meta_at(own.model, kPast, nullptr, nullptr, nullptr, e)),
    ROW(edgecv_model_tensor, kBad, kBad, edgecv_model_tensor(own.model, 0, nullptr, e)),
    ROW(edgecv_model_op, kBad, kBad, edgecv_model_op(own.model, 0, nullptr, e)),
    ROW(edgecv_model_op_input, kBad, kBad, edgecv_model_op_input(own.model, 0, 0, nullptr, e)),
    ROW(edgecv_model_step, kBad, kBad, edgecv_model_step(own.model, 0, nullptr, e)),
    ROW(edgecv_model_chain, kBad, kBad, edgecv_model_chain(own.model, kPast, nullptr, e)),
    ROW(edgecv_model_preprocess, kBad, kBad, edgecv_model_preprocess(own.model, kPast, nullptr, e)),
    ROW(edgecv_model_verify, kBad, kGood, edgecv_model_verify(own.model, nullptr, e)),
    ROW(edgecv_preprocess_check, kBad, kBad, edgecv_preprocess_check(nullptr, e)),
    ROW(edgecv_preprocess_size, kBad, kBad,
        edgecv_preprocess_size(nullptr, 1, 1, nullptr, nullptr, nullptr, e)),
    ROW(edgecv_preprocess_run, kBad, kBad,
        edgecv_preprocess_run(nullptr, nullptr, EDGECV_PIXELS_U8, 1, 0, nullptr, 0, e)),
    ROW(edgecv_preprocess_frame, kBad, kBad,
        edgecv_preprocess_frame(nullptr, nullptr, EDGECV_PIXELS_U8, 1, 0, nullptr, 0, e)),
    ROW(edgecv_frame_to_rgb, kBad, kBad, edgecv_frame_to_rgb(nullptr, nullptr, 0, e)),
    ROW(edgecv_session_create, kBad, kBad, edgecv_session_create(own.model, nullptr, e)),
    ROW(edgecv_session_create_traced, kBad, kBad,
        edgecv_session_create_traced(own.model, nullptr, e)),
    ROW(edgecv_session_destroy, kGood, kGood, (edgecv_session_destroy(nullptr), kGood)),
    ROW(edgecv_session_model, kGood, kGood, said(edgecv_session_model(own.session) == own.model)),
    ROW(edgecv_session_set_input, kBad, kBad,
        edgecv_session_set_input(own.session, 0, nullptr, 0, EDGECV_DTYPE_F32, EDGECV_LAYOUT_API,
                                 e)),
    ROW(edgecv_session_map_input, kBad, kBad,
        edgecv_session_map_input(own.session, 0, nullptr, nullptr, e)),
    ROW(edgecv_session_set_image, kBad, kEarly, set_good_image(own, e)),
    ROW(edgecv_session_set_frame, kBad, kBad, set_nothing_but_size(own, e)),
    ROW(edgecv_session_run, kBad, kEarly, edgecv_session_run(own.session, e)),
    ROW(edgecv_session_get_output, kBad, kEarly, get_output(own, e)),
    ROW(edgecv_session_map_output, kBad, kEarly, map_output(own, e)),
    ROW(edgecv_session_read_tensor, kBad, kBad,
        edgecv_session_read_tensor(own.session, kPast, nullptr, 0, EDGECV_DTYPE_F32, e)),
    ROW(edgecv_session_set_timing, kBad, kGood, edgecv_session_set_timing(own.session, 1, e)),
    ROW(edgecv_session_step_times, kBad, kBad,
        edgecv_session_step_times(own.session, nullptr, 0, e)),
    ROW(edgecv_session_set_op_callback, kBad, kGood,
        edgecv_session_set_op_callback(own.session, nullptr, nullptr, e)),
    ROW(edgecv_isa_name, kGood, kGood, said(edgecv_isa_name(kPast, nullptr) == nullptr)),
    ROW(edgecv_cpu_name, kGood, kGood, (edgecv_cpu_name(nullptr, 8), kGood)),
    ROW(edgecv_available_threads, kGood, kGood, said(edgecv_available_threads() >= 1)),
    ROW(edgecv_kernel_count, kGood, kGood, said(edgecv_kernel_count() > 0)),
    ROW(edgecv_kernel_at, kBad, kBad, edgecv_kernel_at(0, nullptr, e)),
};

// The functions that the header declares: EDGECV_API, a type, the name, an argument list.
std::set<std::string> declared() {
  const std::string path = std::string(EDGECV_TEST_DATA) + "/../../cpp/include/edgecv/edgecv.h";
  std::FILE* file = std::fopen(path.c_str(), "r");
  std::string text;
  char block[4096];
  for (size_t n; file != nullptr && (n = std::fread(block, 1, sizeof(block), file)) != 0;)
    text.append(block, n);
  if (file != nullptr) std::fclose(file);
  std::set<std::string> names;
  const std::string mark = "\nEDGECV_API ";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const size_t end = text.find('(', at);
    const size_t begin = text.find_last_of(" *\n", end);
    names.insert(text.substr(begin + 1, end - begin - 1));
  }
  return names;
}

}  // namespace

TEST(every_function_has_a_row) {
  std::set<std::string> rows;
  for (const Row& row : kRows) CHECK(rows.insert(row.name).second);
  const std::set<std::string> names = declared();
  REQUIRE(names.size() > 40);
  for (const std::string& name : names) {
    WITH_CONTEXT(name + " is in edgecv.h");
    CHECK(rows.count(name) == 1);
  }
  CHECK_EQ(rows.size(), names.size());
}

TEST(every_function_judges_its_arguments) {
  const std::string path = std::string(EDGECV_TEST_DATA) + "/runtime/small.ecv";
  for (const Row& row : kRows) {
    Handles own;
    for (const bool fresh : {false, true}) {
      WITH_CONTEXT(std::string(row.name) + (fresh ? ", good handles" : ", no handles"));
      if (fresh) {
        REQUIRE_EQ(edgecv_model_load(path.c_str(), nullptr, &own.model, nullptr), kGood);
        REQUIRE_EQ(edgecv_session_create(own.model, &own.session, nullptr), kGood);
      }
      const edgecv_status want = fresh ? row.on_fresh : row.on_null;
      edgecv_error error;
      std::memset(&error, 0, sizeof(error));
      CHECK_EQ(row.call(own, &error), want);
      CHECK_EQ(error.status, want);
      CHECK_EQ(std::strlen(error.text) > 0, want != kGood);
      CHECK_EQ(row.call(own, nullptr), want);  // nobody asks for the text
    }
    edgecv_session_destroy(own.session);
    edgecv_model_destroy(own.model);
  }
}

// What a struct says beyond what this library knows must be 0, what it gives beyond that is 0.
TEST(structs_of_a_newer_program) {
  const std::string path = std::string(EDGECV_TEST_DATA) + "/golden/convnet.ecv";
  struct Newer {
    union {
      edgecv_load_options options;
      edgecv_preprocess preprocess;
      edgecv_image image;
      edgecv_frame frame;
      edgecv_model_info info;
    };
    char more[16];
  } newer;
  const auto tail = [&](size_t known) { return reinterpret_cast<char*>(&newer) + known; };
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  uint8_t pixels[64] = {0};
  for (const char value : {0, 1}) {
    WITH_CONTEXT(value == 0 ? "zeros" : "something");
    const edgecv_status want = value == 0 ? kGood : kBad;
    std::memset(&newer, 0, sizeof(newer));
    newer.options.size = sizeof(edgecv_load_options) + 8;
    tail(sizeof(edgecv_load_options))[7] = value;
    CHECK_EQ(edgecv_model_load(path.c_str(), &newer.options, &model, nullptr), want);
    if (session == nullptr) REQUIRE_EQ(edgecv_session_create(model, &session, nullptr), kGood);

    std::memset(&newer, 0, sizeof(newer));
    newer.image.size = sizeof(edgecv_image) + 8;
    newer.image.pixels = pixels;
    newer.image.width = newer.image.height = 4;
    newer.image.stride = 12;
    tail(sizeof(edgecv_image))[0] = value;
    CHECK_EQ(edgecv_session_set_image(session, 0, 0, &newer.image, nullptr), want);

    std::memset(&newer, 0, sizeof(newer));
    newer.frame.size = sizeof(edgecv_frame) + 8;
    newer.frame.planes[0] = pixels;
    newer.frame.width = newer.frame.height = 4;
    tail(sizeof(edgecv_frame))[0] = value;
    CHECK_EQ(edgecv_session_set_frame(session, 0, 0, &newer.frame, nullptr), want);

    std::memset(&newer, 0, sizeof(newer));
    newer.preprocess.size = sizeof(edgecv_preprocess) + 8;
    REQUIRE_EQ(edgecv_model_preprocess(model, 0, &newer.preprocess, nullptr), kGood);
    tail(sizeof(edgecv_preprocess))[3] = value;
    CHECK_EQ(edgecv_preprocess_check(&newer.preprocess, nullptr), want);
  }
  std::memset(&newer, 0x5A, sizeof(newer));
  newer.info.size = sizeof(edgecv_model_info) + 8;
  CHECK_EQ(edgecv_model_get_info(model, &newer.info, nullptr), kGood);
  for (size_t i = 0; i < 8; ++i) CHECK_EQ(tail(sizeof(edgecv_model_info))[i], char{0});
  CHECK_EQ(tail(sizeof(edgecv_model_info))[8], char{0x5A});
  newer.info.size = ~size_t{0};  // never set
  CHECK_EQ(edgecv_model_get_info(model, &newer.info, nullptr), kBad);
  edgecv_session_destroy(session);
  edgecv_model_destroy(model);
}

TEST(switches_are_0_or_1) {
  const std::string path = std::string(EDGECV_TEST_DATA) + "/runtime/small.ecv";
  int32_t edgecv_load_options::*const fields[] = {
      &edgecv_load_options::keep_all, &edgecv_load_options::borrow, &edgecv_load_options::read_file,
      &edgecv_load_options::reserved};
  for (int32_t edgecv_load_options::*field : fields) {
    for (const int32_t value : {-1, 2, 0x100}) {
      auto options = sized<edgecv_load_options>();
      options.*field = value;
      edgecv_model* model = nullptr;
      CHECK_EQ(edgecv_model_load(path.c_str(), &options, &model, nullptr), kBad);
      CHECK(model == nullptr);
    }
  }
}

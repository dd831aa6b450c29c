// preprocess_run as a whole: geometry, refusals, memory it may touch, the rounding mode, and one
// digest for all machines. Agreement with Pillow and with the numpy twin is tested from Python.
#include "vision/preprocess.h"

#include <cfenv>
#include <cmath>
#include <string>
#include <vector>

#include "check.h"

namespace {

using namespace edgecv::vision;
using edgecv::Error;
using edgecv::Status;
using edgecv_test::Guard;
using edgecv_test::GuardedBuffer;
using edgecv_test::Random;

PreprocessSpec make_spec(ResizeMode mode, int32_t width, int32_t height, int32_t crop_width = 0,
                         int32_t crop_height = 0) {
  PreprocessSpec spec = {};
  spec.resize_mode = mode;
  spec.antialias = 1;
  spec.resize_width = width;
  spec.resize_height = height;
  spec.crop_width = crop_width;
  spec.crop_height = crop_height;
  for (float& value : spec.std) value = 1.0f;
  return spec;
}

std::vector<PreprocessSpec> specs() {
  std::vector<PreprocessSpec> list;
  list.push_back(make_spec(ResizeMode::kNone, 0, 0));
  list.push_back(make_spec(ResizeMode::kNone, 0, 0, 33, 20));
  list.push_back(make_spec(ResizeMode::kShorterSide, 40, 40, 32, 32));
  list.push_back(make_spec(ResizeMode::kShorterSide, 19, 19));
  list.push_back(make_spec(ResizeMode::kStretch, 57, 31));
  list.push_back(make_spec(ResizeMode::kStretch, 30, 31, 40, 25));
  list.push_back(make_spec(ResizeMode::kLetterbox, 48, 64));
  const size_t modes = list.size();
  for (size_t i = 0; i < modes; ++i) {
    PreprocessSpec spec = list[i];
    spec.interpolation = Interpolation::kBicubic;
    spec.color_order = ColorOrder::kBgr;
    spec.antialias = i % 2;
    const float mean[] = {103.53f, 116.28f, 123.675f}, deviation[] = {57.375f, 57.12f, 58.395f};
    for (int c = 0; c < 3; ++c) {
      spec.mean[c] = mean[c];
      spec.std[c] = deviation[c];
      spec.fill[c] = static_cast<uint8_t>(10 + 50 * c);
    }
    list.push_back(spec);
    spec.color_order = ColorOrder::kGrey;
    for (int c = 1; c < 3; ++c) {
      spec.mean[c] = 0.0f;
      spec.std[c] = 1.0f;
    }
    list.push_back(spec);
  }
  return list;
}

const int32_t kSizes[][2] = {{60, 41}, {23, 90}, {90, 23}, {1, 1}, {2, 300}, {33, 20}};

size_t output_bytes(const PreprocessSpec& spec, int32_t width, int32_t height, OutputKind kind) {
  PreprocessGeometry g;
  if (preprocess_geometry(spec, width, height, &g, nullptr) != Status::kOk) return 0;
  return static_cast<size_t>(g.width) * static_cast<size_t>(g.height) *
         static_cast<size_t>(preprocess_channels(spec)) * (kind == OutputKind::kF32 ? 4 : 1);
}

std::vector<uint8_t> noise(size_t bytes, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> data(bytes);
  for (uint8_t& v : data) v = static_cast<uint8_t>(random.next() >> 56);
  return data;
}

// Runs with the default allocator; empty on failure.
std::vector<uint8_t> run(const PreprocessSpec& spec, const ImageView& image, OutputKind kind) {
  std::vector<uint8_t> out(output_bytes(spec, image.width, image.height, kind));
  const PreprocessOutput output = {kind, out.data(), out.size(), 0.0186584f, -14};
  Error error;
  if (!CHECK_EQ(preprocess_image(spec, image, output, edgecv::default_allocator(), &error),
                Status::kOk)) {
    std::printf("  %s\n", error.text);
    out.clear();
  }
  return out;
}

ImageView view_of(const std::vector<uint8_t>& pixels, int32_t width, int32_t height) {
  return {pixels.data(), width, height, 3 * static_cast<size_t>(width)};
}

uint64_t fnv1a(uint64_t hash, const std::vector<uint8_t>& data) {
  for (uint8_t v : data) hash = (hash ^ v) * 0x100000001B3u;
  return hash;
}

uint64_t digest_of_everything() {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const PreprocessSpec& spec : specs()) {
    for (const auto& size : kSizes) {
      const auto pixels = noise(3 * static_cast<size_t>(size[0]) * static_cast<size_t>(size[1]), 7);
      for (OutputKind kind : {OutputKind::kPixelsU8, OutputKind::kF32, OutputKind::kS8}) {
        hash = fnv1a(hash, run(spec, view_of(pixels, size[0], size[1]), kind));
      }
    }
  }
  return hash;
}

struct FailingAllocator {
  static void* allocate(void* context, size_t, size_t) {
    ++*static_cast<int*>(context);
    return nullptr;
  }
  static void release(void*, void*) {}
};

}  // namespace

// The digest was taken on x86-64; every machine, compiler and code path must reach it.
TEST(one_digest_everywhere) { CHECK_EQ(digest_of_everything(), uint64_t{6593455003023413932u}); }

TEST(the_rounding_mode_of_the_caller_does_not_matter) {
  const uint64_t want = digest_of_everything();
  for (int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    if (std::fesetround(mode) != 0) SKIP("this CPU has one rounding mode");
    const uint64_t got = digest_of_everything();
    CHECK_EQ(std::fegetround(), mode);
    std::fesetround(FE_TONEAREST);
    CHECK_EQ(got, want);
  }
}

#if defined(__x86_64__)
// SSE's own control register, which fegetround of some C libraries does not look at: rounding up,
// flush to zero, denormals are zero.
TEST(the_sse_modes_of_the_caller_do_not_matter) {
  const uint64_t want = digest_of_everything();
  const unsigned saved = __builtin_ia32_stmxcsr();
  const unsigned changed = saved | 0x4000u | 0x8000u | 0x0040u;
  __builtin_ia32_ldmxcsr(changed);
  const uint64_t got = digest_of_everything();
  const unsigned after = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(saved);
  CHECK_EQ(after & 0xFFC0u, changed & 0xFFC0u);
  CHECK_EQ(got, want);
}
#endif

TEST(geometry) {
  struct Case {
    PreprocessSpec spec;
    int32_t width, height;
    PreprocessGeometry want;
  };
  const Case cases[] = {
      {make_spec(ResizeMode::kNone, 0, 0), 30, 20, {30, 20, 0, 0, 30, 20}},
      {make_spec(ResizeMode::kNone, 0, 0, 10, 10), 30, 21, {30, 21, -10, -6, 10, 10}},
      {make_spec(ResizeMode::kNone, 0, 0, 33, 33), 30, 32, {30, 32, 1, 0, 33, 33}},
      {make_spec(ResizeMode::kShorterSide, 256, 256, 224, 224),
       600,
       400,
       {384, 256, -80, -16, 224, 224}},
      {make_spec(ResizeMode::kShorterSide, 256, 256), 401, 600, {256, 383, 0, 0, 256, 383}},
      {make_spec(ResizeMode::kShorterSide, 256, 256), 7, 7, {256, 256, 0, 0, 256, 256}},
      {make_spec(ResizeMode::kStretch, 5, 6, 4, 3), 100, 7, {5, 6, 0, -2, 4, 3}},
      {make_spec(ResizeMode::kLetterbox, 640, 640), 1280, 719, {640, 360, 0, 140, 640, 640}},
      {make_spec(ResizeMode::kLetterbox, 640, 480), 333, 777, {206, 480, 217, 0, 640, 480}},
      {make_spec(ResizeMode::kLetterbox, 64, 64), 1000, 1, {64, 1, 0, 31, 64, 64}},
  };
  for (const Case& c : cases) {
    PreprocessGeometry g;
    REQUIRE_EQ(preprocess_geometry(c.spec, c.width, c.height, &g, nullptr), Status::kOk);
    CHECK_EQ(g.resized_width, c.want.resized_width);
    CHECK_EQ(g.resized_height, c.want.resized_height);
    CHECK_EQ(g.left, c.want.left);
    CHECK_EQ(g.top, c.want.top);
    CHECK_EQ(g.width, c.want.width);
    CHECK_EQ(g.height, c.want.height);
    int32_t width = 0, height = 0;
    if (preprocess_fixed_size(c.spec, &width, &height)) {
      CHECK_EQ(width, g.width);
      CHECK_EQ(height, g.height);
    } else {
      CHECK(c.spec.crop_width == 0 && c.spec.resize_mode <= ResizeMode::kShorterSide);
    }
  }
  // A crop start is Python's round(d / 2.0): to even.
  const int32_t rounded[] = {0, 0, 1, 2, 2, 2, 3, 4, 4};
  for (int32_t d = 0; d < 9; ++d) {
    PreprocessGeometry g;
    REQUIRE_EQ(preprocess_geometry(make_spec(ResizeMode::kNone, 0, 0, 5, 5), 5 + d, 5, &g, nullptr),
               Status::kOk);
    CHECK_EQ(-g.left, rounded[d]);
  }
}

// Guard pages behind (or in front of) picture, scratch and output; an odd scratch address; padding
// between rows.
TEST(touches_only_what_it_was_given) {
  for (const PreprocessSpec& spec : specs()) {
    for (const auto& size : kSizes) {
      const size_t row = 3 * static_cast<size_t>(size[0]);
      const size_t rows = static_cast<size_t>(size[1]);
      const auto pixels = noise(row * rows, 3);
      const auto want = run(spec, view_of(pixels, size[0], size[1]), OutputKind::kS8);
      size_t scratch_bytes = 0;
      REQUIRE_EQ(preprocess_scratch_bytes(spec, size[0], size[1], &scratch_bytes, nullptr),
                 Status::kOk);
      for (Guard guard : {Guard::kEnd, Guard::kBegin}) {
        for (size_t padding : {size_t{0}, size_t{5}}) {
          // The last row has no padding: its end is the end of the memory.
          GuardedBuffer<uint8_t> image((row + padding) * (rows - 1) + row, guard);
          for (size_t y = 0; y < rows; ++y) {
            std::memcpy(image.data() + y * (row + padding), pixels.data() + y * row, row);
          }
          GuardedBuffer<uint8_t> scratch(scratch_bytes, guard), out(want.size(), guard);
          for (uint8_t& v : scratch) v = 0xA5;
          const ImageView view = {image.data(), size[0], size[1], row + padding};
          const PreprocessOutput output = {OutputKind::kS8, out.data(), out.size(), 0.0186584f,
                                           -14};
          REQUIRE_EQ(preprocess_run(spec, view, output, scratch.data(), scratch_bytes, nullptr),
                     Status::kOk);
          CHECK_ARRAYS(out.data(), want.data(), want.size());
        }
      }
    }
  }
}

// Scratch of any alignment: nothing outside its bytes changes, and the bits are the same.
TEST(scratch_may_have_any_alignment) {
  const PreprocessSpec spec = make_spec(ResizeMode::kStretch, 57, 31);
  const auto pixels = noise(3 * 60 * 41, 5);
  const ImageView image = view_of(pixels, 60, 41);
  const auto want = run(spec, image, OutputKind::kF32);
  size_t needed = 0;
  REQUIRE_EQ(preprocess_scratch_bytes(spec, 60, 41, &needed, nullptr), Status::kOk);
  for (size_t offset = 0; offset < 64; ++offset) {
    std::vector<uint8_t> memory(needed + 128, 0xA5), out(want.size());
    const PreprocessOutput output = {OutputKind::kF32, out.data(), out.size(), 0.0f, 0};
    REQUIRE_EQ(preprocess_run(spec, image, output, memory.data() + offset, needed, nullptr),
               Status::kOk);
    CHECK_ARRAYS(out.data(), want.data(), want.size());
    size_t changed = 0;
    for (size_t i = 0; i < memory.size(); ++i) {
      changed += (i < offset || i >= offset + needed) && memory[i] != 0xA5;
    }
    CHECK_EQ(changed, size_t{0});
  }
}

TEST(refuses_bad_specs) {
  using Change = void (*)(PreprocessSpec*);
  struct Case {
    Change change;
    Status want;
  };
  const Case cases[] = {
      {[](PreprocessSpec* s) { s->resize_mode = static_cast<ResizeMode>(4); },
       Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->interpolation = static_cast<Interpolation>(2); },
       Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->antialias = 2; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->color_order = static_cast<ColorOrder>(3); },
       Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->resize_mode = ResizeMode::kNone; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->resize_width = 0; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->resize_height = -1; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->resize_height = 41; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->resize_width = s->resize_height = 8193; }, Status::kLimit},
      {[](PreprocessSpec* s) { s->crop_width = 0; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->crop_height = -32; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->crop_height = 8193; }, Status::kLimit},
      {[](PreprocessSpec* s) { s->resize_mode = ResizeMode::kLetterbox; },
       Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->mean[0] = NAN; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->mean[1] = INFINITY; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->mean[2] = 65537.0f; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->mean[3] = 1.0f; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->std[0] = 0.0f; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->std[1] = NAN; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->std[2] = -1.0f; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->std[3] = 2.0f; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) { s->fill[3] = 1; }, Status::kInvalidArgument},
      {[](PreprocessSpec* s) {
         s->color_order = ColorOrder::kGrey;
         s->std[1] = 2.0f;
       },
       Status::kInvalidArgument},
  };
  const PreprocessSpec good = make_spec(ResizeMode::kShorterSide, 40, 40, 32, 32);
  CHECK_EQ(check_preprocess(good, nullptr), Status::kOk);
  size_t number = 0;
  for (const Case& c : cases) {
    WITH_CONTEXT("case " + std::to_string(number++));
    PreprocessSpec spec = good;
    c.change(&spec);
    Error error;
    CHECK_EQ(check_preprocess(spec, &error), c.want);
    CHECK(error.text[0] != '\0');
    PreprocessGeometry g;
    CHECK_EQ(preprocess_geometry(spec, 50, 50, &g, nullptr), c.want);
  }
}

TEST(refuses_bad_calls) {
  const PreprocessSpec spec = make_spec(ResizeMode::kStretch, 8, 8);
  std::vector<uint8_t> pixels(3 * 10 * 10), out(3 * 8 * 8 * 4), scratch(1 << 20);
  const ImageView image = view_of(pixels, 10, 10);
  const PreprocessOutput good = {OutputKind::kS8, out.data(), 3 * 8 * 8, 1.0f, 0};
  const auto call = [&](const ImageView& view, const PreprocessOutput& output, void* memory,
                        size_t bytes) {
    return preprocess_run(spec, view, output, memory, bytes, nullptr);
  };
  const auto judge = [&](const ImageView& view, const PreprocessOutput& output) {
    return call(view, output, scratch.data(), scratch.size());
  };
  CHECK_EQ(judge(image, good), Status::kOk);
  CHECK_EQ(judge({nullptr, 10, 10, 30}, good), Status::kInvalidArgument);
  CHECK_EQ(judge({pixels.data(), 10, 10, 29}, good), Status::kInvalidArgument);
  CHECK_EQ(judge({pixels.data(), 0, 10, 30}, good), Status::kInvalidArgument);
  CHECK_EQ(judge({pixels.data(), 10, -1, 30}, good), Status::kInvalidArgument);
  CHECK_EQ(judge({pixels.data(), 32769, 1, 3 * 32769}, good), Status::kLimit);
  CHECK_EQ(judge(image, {OutputKind::kS8, nullptr, 3 * 8 * 8, 1.0f, 0}), Status::kInvalidArgument);
  CHECK_EQ(judge(image, {OutputKind::kS8, out.data(), 3 * 8 * 8 - 1, 1.0f, 0}),
           Status::kInvalidArgument);
  CHECK_EQ(judge(image, {OutputKind::kF32, out.data(), 3 * 8 * 8, 1.0f, 0}),
           Status::kInvalidArgument);
  CHECK_EQ(judge(image, {static_cast<OutputKind>(3), out.data(), 3 * 8 * 8, 1.0f, 0}),
           Status::kInvalidArgument);
  for (float scale : {0.0f, -1.0f, NAN, INFINITY, 1e-38f}) {
    CHECK_EQ(judge(image, {OutputKind::kS8, out.data(), 3 * 8 * 8, scale, 0}),
             Status::kInvalidArgument);
  }
  CHECK_EQ(judge(image, {OutputKind::kS8, out.data(), 3 * 8 * 8, 1.0f, 128}),
           Status::kInvalidArgument);
  CHECK_EQ(judge(image, {OutputKind::kS8, out.data(), 3 * 8 * 8, 1.0f, -129}),
           Status::kInvalidArgument);
  size_t needed = 0;
  REQUIRE_EQ(preprocess_scratch_bytes(spec, 10, 10, &needed, nullptr), Status::kOk);
  CHECK_EQ(call(image, good, scratch.data(), needed), Status::kOk);
  CHECK_EQ(call(image, good, scratch.data(), needed - 1), Status::kInvalidArgument);
  CHECK_EQ(call(image, good, nullptr, needed), Status::kInvalidArgument);
  int calls = 0;
  const edgecv::Allocator none = {&calls, FailingAllocator::allocate, FailingAllocator::release};
  CHECK_EQ(preprocess_image(spec, image, good, none, nullptr), Status::kOutOfMemory);
  CHECK_EQ(calls, 1);
}

// The numbers of a file and a picture together cannot ask for absurd memory.
TEST(limits) {
  size_t bytes = 0;
  PreprocessSpec spec = make_spec(ResizeMode::kStretch, 1, 1);
  CHECK_EQ(preprocess_scratch_bytes(spec, 4096, 4096, &bytes, nullptr), Status::kOk);
  CHECK_EQ(preprocess_scratch_bytes(spec, 4097, 1, &bytes, nullptr), Status::kLimit);
  CHECK_EQ(preprocess_scratch_bytes(spec, 1, 4097, &bytes, nullptr), Status::kLimit);
  spec.antialias = 0;
  CHECK_EQ(preprocess_scratch_bytes(spec, 32768, 32768, &bytes, nullptr), Status::kOk);
  spec = make_spec(ResizeMode::kStretch, 8192, 8);
  spec.interpolation = Interpolation::kBicubic;
  CHECK_EQ(preprocess_scratch_bytes(spec, 30000, 32768, &bytes, nullptr), Status::kLimit);
  spec = make_spec(ResizeMode::kShorterSide, 100, 100);
  CHECK_EQ(preprocess_scratch_bytes(spec, 1, 500, &bytes, nullptr), Status::kLimit);
  spec = make_spec(ResizeMode::kShorterSide, 224, 224, 224, 224);
  CHECK_EQ(preprocess_scratch_bytes(spec, 1, 32768, &bytes, nullptr), Status::kOk);
  REQUIRE_EQ(preprocess_scratch_bytes(spec, 6000, 4000, &bytes, nullptr), Status::kOk);
  CHECK(bytes < 200000);  // a 24-megapixel photograph: the rows of one output row, not the picture
}

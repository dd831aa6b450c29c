// Camera frames: fixed-point colour against int64 and against the standards' formulas in double,
// rows against the plain loop, whole frames against convert-then-preprocess, the memory they may
// touch, refusals, and one digest for all machines.
#include "vision/frame.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "vision/preprocess.h"
#include "vision/rows.h"

namespace {

using namespace edgecv::vision;
using edgecv::Error;
using edgecv::Status;
using edgecv_test::GuardedBuffer;
using edgecv_test::Random;

constexpr PixelFormat kFormats[] = {PixelFormat::kRgb,  PixelFormat::kBgr,  PixelFormat::kGrey,
                                    PixelFormat::kNv12, PixelFormat::kNv21, PixelFormat::kYuyv};

// A frame of noise whose planes end at an unmapped page.
struct Noise {
  Frame frame = {};
  std::vector<std::unique_ptr<GuardedBuffer<uint8_t>>> planes;

  Noise(PixelFormat format, int32_t width, int32_t height, size_t gap, Random* random) {
    frame.format = format;
    frame.color = static_cast<YuvColor>(random->integer(0, 3));
    frame.width = frame.region_width = width;
    frame.height = frame.region_height = height;
    for (int plane = 0; plane < 2; ++plane) {
      const size_t bytes = frame_row_bytes(format, plane, width);
      if (bytes == 0) continue;
      const size_t rows = static_cast<size_t>(plane == 0 ? height : (height + 1) / 2);
      frame.strides[plane] = bytes + gap;
      // The last row has no gap behind it.
      planes.emplace_back(new GuardedBuffer<uint8_t>((rows - 1) * (bytes + gap) + bytes));
      uint8_t* data = planes.back()->data();
      for (size_t i = 0; i < planes.back()->size(); ++i) {
        const int64_t kind = random->integer(0, 3);
        data[i] = static_cast<uint8_t>(kind == 0 ? 0 : kind == 1 ? 255 : random->integer(0, 255));
      }
      frame.planes[plane] = data;
    }
  }
};

int64_t clamp(int64_t v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

// Pixel (x, y) of the frame, from the contract alone.
void pixel(const Frame& f, int64_t x, int64_t y, uint8_t* rgb) {
  const uint8_t* row = f.planes[0] + y * static_cast<int64_t>(f.strides[0]);
  int64_t luma = 0, u = 0, v = 0;
  switch (f.format) {
    case PixelFormat::kRgb:
      std::memcpy(rgb, row + 3 * x, 3);
      return;
    case PixelFormat::kBgr:
      for (int c = 0; c < 3; ++c) rgb[c] = row[3 * x + 2 - c];
      return;
    case PixelFormat::kGrey:
      std::memset(rgb, row[x], 3);
      return;
    case PixelFormat::kNv12:
    case PixelFormat::kNv21: {
      const uint8_t* pair = f.planes[1] + y / 2 * static_cast<int64_t>(f.strides[1]) + x / 2 * 2;
      luma = row[x];
      u = pair[f.format == PixelFormat::kNv12 ? 0 : 1];
      v = pair[f.format == PixelFormat::kNv12 ? 1 : 0];
      break;
    }
    case PixelFormat::kYuyv:
      luma = row[2 * x];
      u = row[x / 2 * 4 + 1];
      v = row[x / 2 * 4 + 3];
      break;
  }
  const YuvMatrix& m = yuv_matrix(f.color);
  const int64_t c = luma - m.offset, d = u - 128, e = v - 128;
  rgb[0] = static_cast<uint8_t>(clamp((m.ky * c + m.vr * e + 4096) >> 13));
  rgb[1] = static_cast<uint8_t>(clamp((m.ky * c - m.ug * d - m.vg * e + 4096) >> 13));
  rgb[2] = static_cast<uint8_t>(clamp((m.ky * c + m.ub * d + 4096) >> 13));
}

std::vector<uint8_t> rgb_of(const Frame& frame) {
  std::vector<uint8_t> out;
  for (int32_t y = 0; y < frame.region_height; ++y) {
    for (int32_t x = 0; x < frame.region_width; ++x) {
      uint8_t rgb[3];
      pixel(frame, frame.left + x, frame.top + y, rgb);
      out.insert(out.end(), rgb, rgb + 3);
    }
  }
  return out;
}

void choose_region(Frame* frame, Random* random) {
  frame->left = static_cast<int32_t>(random->integer(0, frame->width - 1));
  frame->top = static_cast<int32_t>(random->integer(0, frame->height - 1));
  frame->region_width = static_cast<int32_t>(random->integer(1, frame->width - frame->left));
  frame->region_height = static_cast<int32_t>(random->integer(1, frame->height - frame->top));
}

PreprocessSpec make_spec(ResizeMode mode, int32_t width, int32_t height, int32_t crop) {
  PreprocessSpec spec = {};
  spec.resize_mode = mode;
  spec.antialias = 1;
  spec.resize_width = width;
  spec.resize_height = height;
  spec.crop_width = spec.crop_height = crop;
  for (int c = 0; c < 3; ++c) spec.mean[c] = 100.0f + static_cast<float>(c);
  for (float& value : spec.std) value = 57.5f;
  spec.std[3] = 1.0f;
  spec.fill[0] = 114;
  return spec;
}

}  // namespace

TEST(the_matrices_are_the_standards) {
  // Kr and Kb of BT.601 and BT.709; chroma 112/255 and luma 219/255 of full range, or all of it.
  const double kr[] = {0.299, 0.299, 0.2126, 0.2126};
  const double kb[] = {0.114, 0.114, 0.0722, 0.0722};
  for (int i = 0; i < 4; ++i) {
    const bool full = i % 2 == 1;
    const double luma = full ? 1.0 : 255.0 / 219.0;
    const double chroma = full ? 1.0 : 255.0 / 224.0;
    const double kg = 1 - kr[i] - kb[i];
    const YuvMatrix& m = yuv_matrix(static_cast<YuvColor>(i));
    CHECK_EQ(static_cast<int>(m.offset), full ? 0 : 16);
    CHECK_EQ(static_cast<long>(m.ky), std::lround(8192 * luma));
    CHECK_EQ(static_cast<long>(m.vr), std::lround(8192 * chroma * 2 * (1 - kr[i])));
    CHECK_EQ(static_cast<long>(m.ub), std::lround(8192 * chroma * 2 * (1 - kb[i])));
    CHECK_EQ(static_cast<long>(m.vg), std::lround(8192 * chroma * 2 * (1 - kr[i]) * kr[i] / kg));
    CHECK_EQ(static_cast<long>(m.ug), std::lround(8192 * chroma * 2 * (1 - kb[i]) * kb[i] / kg));
    // The rounded matrix is less than a tenth of a level off, so a level is off by at most one.
    double worst = 0;
    for (int y = 0; y < 256; ++y) {
      for (int v = 0; v < 256; v += 5) {
        const double exact = luma * (y - m.offset) + chroma * 2 * (1 - kr[i]) * (v - 128);
        const double fixed = (m.ky * (y - m.offset) + m.vr * (v - 128)) / 8192.0;
        worst = std::fabs(exact - fixed) > worst ? std::fabs(exact - fixed) : worst;
      }
    }
    CHECK(worst < 0.1);
  }
}

TEST(rows_match_the_contract) {
  Random random;
  for (int i = 0; i < edgecv_test::scaled(3000); ++i) {
    const PixelFormat format = kFormats[random.integer(0, 5)];
    Noise noise(format, static_cast<int32_t>(random.integer(1, 80)),
                static_cast<int32_t>(random.integer(1, 5)),
                static_cast<size_t>(random.integer(0, 3)), &random);
    choose_region(&noise.frame, &random);
    const Frame& f = noise.frame;
    Error error;
    REQUIRE_EQ(check_frame(f, &error), Status::kOk);
    const int32_t first = static_cast<int32_t>(random.integer(0, f.region_width - 1));
    const int32_t count = static_cast<int32_t>(random.integer(1, f.region_width - first));
    const std::vector<uint8_t> expected = rgb_of(f);
    for (int32_t y = 0; y < f.region_height; ++y) {
      GuardedBuffer<uint8_t> out(3 * static_cast<size_t>(count));
      frame_row(f, y, first, count, out.data());
      const size_t at = 3 * (static_cast<size_t>(y) * static_cast<size_t>(f.region_width) +
                             static_cast<size_t>(first));
      WITH_CONTEXT("format " + std::to_string(static_cast<int>(format)) + " left " +
                   std::to_string(f.left) + " first " + std::to_string(first) + " count " +
                   std::to_string(count));
      REQUIRE_EQ(std::memcmp(out.data(), expected.data() + at, out.size()), 0);
    }
  }
}

TEST(every_colour_of_the_vector_code_is_the_plain_loops) {
  for (int color = 0; color < 4; ++color) {
    const YuvMatrix& m = yuv_matrix(static_cast<YuvColor>(color));
    std::vector<uint8_t> luma(256), chroma(256), fast(768), plain(768);
    for (int u = 0; u < 256; u += 3) {
      for (int v = 0; v < 256; v += 3) {
        for (size_t i = 0; i < 256; ++i) {
          luma[i] = static_cast<uint8_t>(i);
          chroma[i] = static_cast<uint8_t>(i % 2 == 0 ? u : v);
        }
        const YuvRow row = {luma.data(), chroma.data(), 1, 2, 0, 1};
        yuv_row_portable(row, m, 0, 256, plain.data());
        for (size_t c = 0; row_code(c) != nullptr; ++c) {
          row_code(c)->yuv_row(row, m, 0, 256, fast.data());
          REQUIRE(fast == plain);
        }
      }
    }
  }
}

// Every length and both parities of the first pixel, to the last byte that may be touched.
TEST(rows_of_any_length_and_beginning) {
  Random random;
  const YuvMatrix& m = yuv_matrix(YuvColor::kBt709);
  for (int i = 0; i < edgecv_test::scaled(600); ++i) {
    const bool packed = random.integer(0, 1) != 0;
    const bool swapped = !packed && random.integer(0, 1) != 0;
    const int32_t first = static_cast<int32_t>(random.integer(0, 9));
    const int32_t count = static_cast<int32_t>(random.integer(1, 75));
    const size_t pixels = static_cast<size_t>(first + count);
    const size_t pairs = (pixels + 1) / 2;
    GuardedBuffer<uint8_t> luma(packed ? 4 * pairs : pixels), chroma(2 * pairs);
    for (size_t k = 0; k < luma.size(); ++k) luma[k] = static_cast<uint8_t>(random.integer(0, 255));
    for (size_t k = 0; k < chroma.size(); ++k)
      chroma[k] = static_cast<uint8_t>(random.integer(0, 255));
    const YuvRow row = packed ? YuvRow{luma.data(), luma.data(), 2, 4, 1, 3}
                              : YuvRow{luma.data(), chroma.data(), 1, 2, swapped, !swapped};
    std::vector<uint8_t> plain(3 * static_cast<size_t>(count));
    yuv_row_portable(row, m, first, count, plain.data());
    for (size_t c = 0; row_code(c) != nullptr; ++c) {
      WITH_CONTEXT(std::string(row_code(c)->name) + " " + std::to_string(first) + " " +
                   std::to_string(count));
      GuardedBuffer<uint8_t> got(plain.size());
      row_code(c)->yuv_row(row, m, first, count, got.data());
      REQUIRE_EQ(std::memcmp(got.data(), plain.data(), plain.size()), 0);
    }
  }
}

TEST(a_frame_is_its_rgb_picture_preprocessed) {
  Random random;
  const PreprocessSpec specs[] = {
      make_spec(ResizeMode::kNone, 0, 0, 0),        make_spec(ResizeMode::kNone, 0, 0, 9),
      make_spec(ResizeMode::kShorterSide, 8, 8, 7), make_spec(ResizeMode::kStretch, 13, 6, 0),
      make_spec(ResizeMode::kLetterbox, 16, 12, 0), make_spec(ResizeMode::kStretch, 40, 3, 0)};
  for (int i = 0; i < edgecv_test::scaled(600); ++i) {
    PreprocessSpec spec = specs[random.integer(0, 5)];
    spec.antialias = static_cast<uint32_t>(random.integer(0, 1));
    spec.interpolation = static_cast<Interpolation>(random.integer(0, 1));
    Noise noise(kFormats[random.integer(0, 5)], static_cast<int32_t>(random.integer(1, 50)),
                static_cast<int32_t>(random.integer(1, 60)),
                static_cast<size_t>(random.integer(0, 2)), &random);
    if (random.integer(0, 1) == 1) choose_region(&noise.frame, &random);
    const Frame& f = noise.frame;
    const std::vector<uint8_t> rgb = rgb_of(f);
    const ImageView image = {rgb.data(), f.region_width, f.region_height,
                             3 * static_cast<size_t>(f.region_width)};
    PreprocessGeometry g;
    REQUIRE_EQ(preprocess_geometry(spec, f.region_width, f.region_height, &g, nullptr),
               Status::kOk);
    for (const OutputKind kind : {OutputKind::kPixelsU8, OutputKind::kF32, OutputKind::kS8}) {
      const size_t bytes = static_cast<size_t>(g.width) * static_cast<size_t>(g.height) * 3 *
                           (kind == OutputKind::kF32 ? 4 : 1);
      std::vector<uint8_t> want(bytes), got(bytes, 0xEE);
      const PreprocessOutput to_want = {kind, want.data(), bytes, 0.02f, 3};
      const PreprocessOutput to_got = {kind, got.data(), bytes, 0.02f, 3};
      Error error;
      REQUIRE_EQ(preprocess_image(spec, image, to_want, edgecv::default_allocator(), &error),
                 Status::kOk);
      size_t scratch_bytes = 0;
      REQUIRE_EQ(preprocess_scratch_bytes(spec, f, &scratch_bytes, &error), Status::kOk);
      GuardedBuffer<uint8_t> scratch(scratch_bytes);
      REQUIRE_EQ(preprocess_run(spec, f, to_got, scratch.data(), scratch_bytes, &error),
                 Status::kOk);
      WITH_CONTEXT("format " + std::to_string(static_cast<int>(f.format)) + " region " +
                   std::to_string(f.region_width) + "x" + std::to_string(f.region_height));
      REQUIRE(want == got);
    }
  }
}

// Taken on x86-64; every machine, compiler and code path must reach it.
TEST(one_digest_everywhere) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const PixelFormat format : kFormats) {
    Random random(11);
    Noise noise(format, 67, 45, 1, &random);
    noise.frame.color = YuvColor::kBt709;
    noise.frame.left = 3;
    noise.frame.top = 5;
    noise.frame.region_width = 61;
    noise.frame.region_height = 37;
    std::vector<uint8_t> out(24 * 24 * 3);
    const PreprocessOutput output = {OutputKind::kS8, out.data(), out.size(), 0.0186584f, -14};
    REQUIRE_EQ(preprocess_frame(make_spec(ResizeMode::kShorterSide, 26, 26, 24), noise.frame,
                                output, edgecv::default_allocator(), nullptr),
               Status::kOk);
    for (const uint8_t v : out) hash = (hash ^ v) * 0x100000001B3u;
  }
  CHECK_EQ(hash, uint64_t{17748671178872625022u});
}

TEST(refuses_what_is_no_frame) {
  Random random;
  const Noise noise(PixelFormat::kNv12, 8, 6, 0, &random);
  const auto refused = [&](const char* says, auto change) {
    Frame f = noise.frame;
    change(&f);
    Error error;
    CHECK(check_frame(f, &error) != Status::kOk);
    CHECK(std::strstr(error.text, says) != nullptr);
    uint8_t out[9];
    const PreprocessOutput output = {OutputKind::kPixelsU8, out, sizeof(out), 1.0f, 0};
    CHECK(preprocess_frame(make_spec(ResizeMode::kStretch, 3, 1, 0), f, output,
                           edgecv::default_allocator(), nullptr) != Status::kOk);
  };
  refused("unknown pixel format", [](Frame* f) { f->format = static_cast<PixelFormat>(6); });
  refused("unknown pixel format", [](Frame* f) { f->color = static_cast<YuvColor>(4); });
  refused("0 x 6", [](Frame* f) { f->width = 0; });
  refused("at most", [](Frame* f) { f->height = 32769; });
  refused("plane 0", [](Frame* f) { f->planes[0] = nullptr; });
  refused("plane 1", [](Frame* f) { f->planes[1] = nullptr; });
  refused("stride of plane 1 is 7", [](Frame* f) { f->strides[1] = 7; });
  refused("region", [](Frame* f) { f->left = 1; });
  refused("region", [](Frame* f) { f->left = -1; });
  refused("region", [](Frame* f) { f->top = INT32_MAX; });
  refused("region", [](Frame* f) { f->region_height = 0; });
}

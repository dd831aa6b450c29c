#include "vision/preprocess.h"

#include <math.h>
#include <string.h>

#include "base/fp_env.h"
namespace edgecv::vision {
namespace {

constexpr size_t kTableBytes = 3 * 256 * sizeof(float);

// The part of a resized side that the canvas shows.
Axis visible_axis(const PreprocessSpec& spec, int32_t in_size, int32_t resized, int32_t offset,
                  int32_t canvas) {
  Axis axis = {in_size, resized, 0, 0, spec.interpolation, spec.antialias != 0};
  axis.first = offset < 0 ? -offset : 0;
  const int32_t end = canvas - offset < resized ? canvas - offset : resized;
  axis.count = end - axis.first;  // >= 1: a crop is centred, so it always meets the picture
  return axis;
}

// Hands out 64-byte aligned pieces; with a null base it only counts.
struct Carver {
  uint8_t* base;
  size_t used;
  template <typename T>
  T* take(size_t count) {
    uint8_t* p = base == nullptr ? nullptr : base + used;
    used += (count * sizeof(T) + 63) / 64 * 64;  // sizes are far below overflow: see the limits
    return reinterpret_cast<T*>(p);
  }
};

struct Work {
  PreprocessGeometry geometry;
  Axis columns;
  Axis rows;
  AxisWeights column_weights;
  AxisWeights row_weights;
  bool rows_first;  // blend source rows, then resize along the row; else the other way round
  uint8_t* ring;    // row_weights.max_taps resized rows; rows_first: one blended source row
  const uint8_t** blended;  // the rows that make one output row, in order
  uint8_t* canvas_row;      // RGB, geometry.width samples
  void* table;              // [channels][256] of the output's element
};

AxisWeights take_weights(const Axis& axis, Carver* carver) {
  AxisWeights w;
  w.max_taps = axis_max_taps(axis);
  w.max_pairs = (w.max_taps + 1) / 2;
  const size_t count = static_cast<size_t>(axis.count);
  w.start = carver->take<int32_t>(count);
  w.taps = carver->take<int32_t>(count);
  w.pairs = carver->take<WeightPair>(count * static_cast<size_t>(w.max_pairs));
  return w;
}

Status place(const PreprocessSpec& spec, int32_t width, int32_t height, uint8_t* base, Work* work,
             size_t* bytes, Error* error) {
  EDGECV_TRY(preprocess_geometry(spec, width, height, &work->geometry, error));
  const PreprocessGeometry& g = work->geometry;
  work->columns = visible_axis(spec, width, g.resized_width, g.left, g.width);
  work->rows = visible_axis(spec, height, g.resized_height, g.top, g.height);
  work->rows_first =
      height > g.resized_height && height - g.resized_height > 2 * (width - g.resized_width);
  Carver carver = {base, 0};
  work->column_weights = take_weights(work->columns, &carver);
  work->row_weights = take_weights(work->rows, &carver);
  const size_t taps = static_cast<size_t>(work->row_weights.max_taps);
  work->ring =
      carver.take<uint8_t>(work->rows_first ? 3 * static_cast<size_t>(width)
                                            : taps * 3 * static_cast<size_t>(work->columns.count));
  work->blended = carver.take<const uint8_t*>(taps);
  work->canvas_row = carver.take<uint8_t>(3 * static_cast<size_t>(g.width));
  work->table = carver.take<uint8_t>(kTableBytes);
  *bytes = carver.used + kAlignment;  // room to align what the caller gives
  if (*bytes > kMaxPreprocessScratch) {
    return fail(error, Status::kLimit,
                "resizing %dx%d to %dx%d would need %zu bytes of memory, the limit is %zu", width,
                height, g.resized_width, g.resized_height, *bytes, kMaxPreprocessScratch);
  }
  return Status::kOk;
}

// (p - mean) / std in f32, in this order; one entry a grey level.
float normalize(int32_t p, float mean, float std) { return (static_cast<float>(p) - mean) / std; }

int8_t quantize(float x, float scale, int32_t zero_point) {
  float v = x / scale;  // never NaN: x is finite, scale is positive and finite
  v = v < -512.0f ? -512.0f : v > 512.0f ? 512.0f : v;
  const int32_t q = static_cast<int32_t>(rintf(v)) + zero_point;
  return static_cast<int8_t>(q < -128 ? -128 : q > 127 ? 127 : q);
}

void fill_table(const PreprocessSpec& spec, const PreprocessOutput& output, void* table) {
  for (int32_t c = 0; c < preprocess_channels(spec); ++c) {
    for (int32_t p = 0; p < 256; ++p) {
      const float x = normalize(p, spec.mean[c], spec.std[c]);
      if (output.kind == OutputKind::kS8) {
        static_cast<int8_t*>(table)[256 * c + p] = quantize(x, output.scale, output.zero_point);
      } else {
        static_cast<float*>(table)[256 * c + p] = x;
      }
    }
  }
}

// Pillow's convert("L").
uint8_t grey(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

template <typename T>
void look_up_row(const uint8_t* rgb, int32_t width, ColorOrder order, const T* table, T* out) {
  switch (order) {
    case ColorOrder::kRgb:
      for (int32_t x = 0; x < width; ++x, rgb += 3, out += 3) {
        out[0] = table[rgb[0]];
        out[1] = table[256 + rgb[1]];
        out[2] = table[512 + rgb[2]];
      }
      return;
    case ColorOrder::kBgr:
      for (int32_t x = 0; x < width; ++x, rgb += 3, out += 3) {
        out[0] = table[rgb[2]];
        out[1] = table[256 + rgb[1]];
        out[2] = table[512 + rgb[0]];
      }
      return;
    case ColorOrder::kGrey:
      for (int32_t x = 0; x < width; ++x, rgb += 3) *out++ = table[grey(rgb)];
      return;
  }
}

void copy_row(const uint8_t* rgb, int32_t width, ColorOrder order, uint8_t* out) {
  switch (order) {
    case ColorOrder::kRgb:
      memcpy(out, rgb, 3 * static_cast<size_t>(width));
      return;
    case ColorOrder::kBgr:
      for (int32_t x = 0; x < width; ++x, rgb += 3, out += 3) {
        out[0] = rgb[2];
        out[1] = rgb[1];
        out[2] = rgb[0];
      }
      return;
    case ColorOrder::kGrey:
      for (int32_t x = 0; x < width; ++x, rgb += 3) *out++ = grey(rgb);
      return;
  }
}

size_t element_bytes(OutputKind kind) { return kind == OutputKind::kF32 ? sizeof(float) : 1; }

Status check_call(const PreprocessSpec& spec, const ImageView& image,
                  const PreprocessOutput& output, const PreprocessGeometry& g, Error* error) {
  if (image.pixels == nullptr || output.data == nullptr) {
    return fail(error, Status::kInvalidArgument, "pre-processing: no picture or no output");
  }
  if (image.stride < 3 * static_cast<size_t>(image.width)) {
    return fail(error, Status::kInvalidArgument, "the picture's row stride %zu is below 3 * %d",
                image.stride, image.width);
  }
  if (output.kind > OutputKind::kS8) {
    return fail(error, Status::kInvalidArgument, "pre-processing: unknown output kind");
  }
  const size_t want = static_cast<size_t>(g.width) * static_cast<size_t>(g.height) *
                      static_cast<size_t>(preprocess_channels(spec)) * element_bytes(output.kind);
  if (output.bytes != want) {
    return fail(error, Status::kInvalidArgument,
                "pre-processing gives %zu bytes, the output holds %zu", want, output.bytes);
  }
  if (output.kind == OutputKind::kS8 && (!(output.scale >= 0x1p-100f && output.scale <= 0x1p100f) ||
                                         output.zero_point < -128 || output.zero_point > 127)) {
    return fail(error, Status::kInvalidArgument, "pre-processing: bad scale or zero_point");
  }
  return Status::kOk;
}

// The visible part of a source row, resized along the row; of `row`, `row_bytes` may be read.
void resize_visible(const Work& work, const uint8_t* row, size_t row_bytes, uint8_t* out) {
  const Axis& axis = work.columns;
  if (axis.in_size == axis.out_size) {  // all weight on one sample
    memcpy(out, row + 3 * static_cast<size_t>(axis.first), 3 * static_cast<size_t>(axis.count));
    return;
  }
  resize_row(row, row_bytes, work.column_weights, axis.count, out);
}

// Fills out[3 * columns.count] with visible row `i`. `next` is the caller's state, 0 at first: the
// source rows below it are in the ring or no longer wanted.
void make_row(const Work& work, const ImageView& image, int32_t i, int32_t* next, uint8_t* out) {
  const AxisWeights& rows = work.row_weights;
  const int32_t start = rows.start[i];
  const int32_t taps = rows.taps[i];
  const WeightPair* weights =
      rows.pairs + static_cast<size_t>(i) * static_cast<size_t>(rows.max_pairs);

  if (work.rows_first) {
    const int32_t last = work.columns.count - 1;
    const size_t begin = 3 * static_cast<size_t>(work.column_weights.start[0]);
    const size_t end =
        3 * static_cast<size_t>(work.column_weights.start[last] + work.column_weights.taps[last]);
    for (int32_t k = 0; k < taps; ++k) {
      work.blended[k] = image.pixels + static_cast<size_t>(start + k) * image.stride + begin;
    }
    blend_rows(work.blended, weights, taps, end - begin, work.ring + begin);
    resize_visible(work, work.ring, end, out);
    return;
  }

  const size_t bytes = 3 * static_cast<size_t>(work.columns.count);
  const auto ring_row = [&](int32_t y) {
    return work.ring + static_cast<size_t>(y % rows.max_taps) * bytes;
  };
  if (*next < start) *next = start;
  for (; *next < start + taps; ++*next) {
    const uint8_t* row = image.pixels + static_cast<size_t>(*next) * image.stride;
    resize_visible(work, row, 3 * static_cast<size_t>(image.width), ring_row(*next));
  }
  for (int32_t k = 0; k < taps; ++k) work.blended[k] = ring_row(start + k);
  blend_rows(work.blended, weights, taps, bytes, out);
}

void run_rows(const PreprocessSpec& spec, const ImageView& image, const PreprocessOutput& output,
              const Work& work) {
  const PreprocessGeometry& g = work.geometry;
  const size_t left_bytes = 3 * static_cast<size_t>(g.left > 0 ? g.left : 0);
  const size_t out_row_bytes = static_cast<size_t>(g.width) *
                               static_cast<size_t>(preprocess_channels(spec)) *
                               element_bytes(output.kind);
  const int32_t first_row = g.top > 0 ? g.top : 0;
  int32_t next = 0;

  for (int32_t y = 0; y < g.height; ++y) {
    const int32_t i = y - first_row;
    const bool shown = i >= 0 && i < work.rows.count;
    if (y == 0 || !shown || i == 0) {
      for (int32_t x = 0; x < g.width; ++x) memcpy(work.canvas_row + 3 * x, spec.fill, 3);
    }
    if (shown) make_row(work, image, i, &next, work.canvas_row + left_bytes);
    uint8_t* out = static_cast<uint8_t*>(output.data) + static_cast<size_t>(y) * out_row_bytes;
    switch (output.kind) {
      case OutputKind::kPixelsU8:
        copy_row(work.canvas_row, g.width, spec.color_order, out);
        break;
      case OutputKind::kF32:
        look_up_row(work.canvas_row, g.width, spec.color_order,
                    static_cast<const float*>(work.table), reinterpret_cast<float*>(out));
        break;
      case OutputKind::kS8:
        look_up_row(work.canvas_row, g.width, spec.color_order,
                    static_cast<const int8_t*>(work.table), reinterpret_cast<int8_t*>(out));
        break;
    }
  }
}

}  // namespace

Status preprocess_scratch_bytes(const PreprocessSpec& spec, int32_t image_width,
                                int32_t image_height, size_t* bytes, Error* error) {
  Work work;
  return place(spec, image_width, image_height, nullptr, &work, bytes, error);
}

Status preprocess_run(const PreprocessSpec& spec, const ImageView& image,
                      const PreprocessOutput& output, void* scratch, size_t scratch_bytes,
                      Error* error) {
  Work work;
  size_t needed = 0;
  EDGECV_TRY(place(spec, image.width, image.height, nullptr, &work, &needed, error));
  EDGECV_TRY(check_call(spec, image, output, work.geometry, error));
  if (scratch == nullptr || scratch_bytes < needed) {
    return fail(error, Status::kInvalidArgument,
                "pre-processing needs %zu bytes of scratch, got %zu", needed, scratch_bytes);
  }
  const uintptr_t address = reinterpret_cast<uintptr_t>(scratch);
  uint8_t* base =
      static_cast<uint8_t*>(scratch) + ((kAlignment - address % kAlignment) % kAlignment);
  EDGECV_TRY(place(spec, image.width, image.height, base, &work, &needed, error));

  // The divisions below are specified to round to nearest, whatever mode the caller is in.
  const FpEnvScope fp_env;
  fill_axis_weights(work.columns, &work.column_weights);
  fill_axis_weights(work.rows, &work.row_weights);
  if (output.kind != OutputKind::kPixelsU8) fill_table(spec, output, work.table);

  run_rows(spec, image, output, work);
  return Status::kOk;
}

Status preprocess_image(const PreprocessSpec& spec, const ImageView& image,
                        const PreprocessOutput& output, const Allocator& allocator, Error* error) {
  size_t bytes = 0;
  EDGECV_TRY(preprocess_scratch_bytes(spec, image.width, image.height, &bytes, error));
  void* scratch = allocator.allocate(allocator.context, bytes, kAlignment);
  if (scratch == nullptr) {
    return fail(error, Status::kOutOfMemory, "no %zu bytes for pre-processing", bytes);
  }
  const Status status = preprocess_run(spec, image, output, scratch, bytes, error);
  allocator.release(allocator.context, scratch);
  return status;
}

}  // namespace edgecv::vision

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
  uint8_t* lines;   // RGB rows of a frame that is none: one; rows_first: max_taps of them
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

Status place(const PreprocessSpec& spec, const Frame& frame, uint8_t* base, Work* work,
             size_t* bytes, Error* error) {
  const int32_t width = frame.region_width;
  const int32_t height = frame.region_height;
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
  work->lines = nullptr;
  if (frame.format != PixelFormat::kRgb) {
    work->lines =
        carver.take<uint8_t>((work->rows_first ? taps : 1) * 3 * static_cast<size_t>(width));
  }
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

Status check_output(const PreprocessSpec& spec, const PreprocessOutput& output,
                    const PreprocessGeometry& g, Error* error) {
  if (output.data == nullptr) {
    return fail(error, Status::kInvalidArgument, "pre-processing: no output");
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

// The columns of a source row that the weights touch.
struct Columns {
  int32_t first;
  int32_t end;
};

Columns touched_columns(const Work& work) {
  const AxisWeights& w = work.column_weights;
  const int32_t last = work.columns.count - 1;
  return {w.start[0], w.start[last] + w.taps[last]};
}

// Row y of the region as RGB, of which the touched columns count: where it lies, or converted into
// `line`.
const uint8_t* rgb_row(const Frame& frame, Columns columns, int32_t y, uint8_t* line) {
  frame_row(frame, y, columns.first, columns.end - columns.first,
            line + 3 * static_cast<size_t>(columns.first));
  return line;
}
const uint8_t* rgb_row(const Frame& frame, int32_t y) {
  return frame.planes[0] + static_cast<size_t>(frame.top + y) * frame.strides[0] +
         3 * static_cast<size_t>(frame.left);
}

// Fills out[3 * columns.count] with visible row `i`. `next` is the caller's state, 0 at first: the
// source rows below it are in the ring or the lines, or no longer wanted.
void make_row(const Work& work, const Frame& frame, int32_t i, int32_t* next, uint8_t* out) {
  const AxisWeights& rows = work.row_weights;
  const int32_t start = rows.start[i];
  const int32_t taps = rows.taps[i];
  const WeightPair* weights =
      rows.pairs + static_cast<size_t>(i) * static_cast<size_t>(rows.max_pairs);
  const Columns columns = touched_columns(work);
  const bool is_rgb = frame.format == PixelFormat::kRgb;
  if (*next < start) *next = start;

  if (work.rows_first) {
    const size_t begin = 3 * static_cast<size_t>(columns.first);
    const size_t end = 3 * static_cast<size_t>(columns.end);
    const auto line = [&](int32_t y) {
      return work.lines +
             static_cast<size_t>(y % rows.max_taps) * 3 * static_cast<size_t>(frame.region_width);
    };
    for (; !is_rgb && *next < start + taps; ++*next) rgb_row(frame, columns, *next, line(*next));
    for (int32_t k = 0; k < taps; ++k) {
      const int32_t y = start + k;
      work.blended[k] = (is_rgb ? rgb_row(frame, y) : line(y)) + begin;
    }
    blend_rows(work.blended, weights, taps, end - begin, work.ring + begin);
    resize_visible(work, work.ring, end, out);
    return;
  }

  const size_t bytes = 3 * static_cast<size_t>(work.columns.count);
  const size_t readable =
      is_rgb ? 3 * static_cast<size_t>(frame.region_width) : 3 * static_cast<size_t>(columns.end);
  const auto ring_row = [&](int32_t y) {
    return work.ring + static_cast<size_t>(y % rows.max_taps) * bytes;
  };
  for (; *next < start + taps; ++*next) {
    const uint8_t* row =
        is_rgb ? rgb_row(frame, *next) : rgb_row(frame, columns, *next, work.lines);
    resize_visible(work, row, readable, ring_row(*next));
  }
  for (int32_t k = 0; k < taps; ++k) work.blended[k] = ring_row(start + k);
  blend_rows(work.blended, weights, taps, bytes, out);
}

void run_rows(const PreprocessSpec& spec, const Frame& frame, const PreprocessOutput& output,
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
    if (shown) make_row(work, frame, i, &next, work.canvas_row + left_bytes);
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

Frame frame_of(const ImageView& image) {
  Frame frame = {};
  frame.planes[0] = image.pixels;
  frame.strides[0] = image.stride;
  frame.width = frame.region_width = image.width;
  frame.height = frame.region_height = image.height;
  return frame;
}

Status preprocess_scratch_bytes(const PreprocessSpec& spec, const Frame& frame, size_t* bytes,
                                Error* error) {
  Work work;
  return place(spec, frame, nullptr, &work, bytes, error);
}

Status preprocess_run(const PreprocessSpec& spec, const Frame& frame,
                      const PreprocessOutput& output, void* scratch, size_t scratch_bytes,
                      Error* error) {
  Work work;
  size_t needed = 0;
  EDGECV_TRY(place(spec, frame, nullptr, &work, &needed, error));
  EDGECV_TRY(check_frame(frame, error));
  EDGECV_TRY(check_output(spec, output, work.geometry, error));
  if (scratch == nullptr || scratch_bytes < needed) {
    return fail(error, Status::kInvalidArgument,
                "pre-processing needs %zu bytes of scratch, got %zu", needed, scratch_bytes);
  }
  const uintptr_t address = reinterpret_cast<uintptr_t>(scratch);
  uint8_t* base =
      static_cast<uint8_t*>(scratch) + ((kAlignment - address % kAlignment) % kAlignment);
  EDGECV_TRY(place(spec, frame, base, &work, &needed, error));

  // The divisions below are specified to round to nearest, whatever mode the caller is in.
  const FpEnvScope fp_env;
  fill_axis_weights(work.columns, &work.column_weights);
  fill_axis_weights(work.rows, &work.row_weights);
  if (output.kind != OutputKind::kPixelsU8) fill_table(spec, output, work.table);

  run_rows(spec, frame, output, work);
  return Status::kOk;
}

Status preprocess_frame(const PreprocessSpec& spec, const Frame& frame,
                        const PreprocessOutput& output, const Allocator& allocator, Error* error) {
  size_t bytes = 0;
  EDGECV_TRY(preprocess_scratch_bytes(spec, frame, &bytes, error));
  void* scratch = allocator.allocate(allocator.context, bytes, kAlignment);
  if (scratch == nullptr) {
    return fail(error, Status::kOutOfMemory, "no %zu bytes for pre-processing", bytes);
  }
  const Status status = preprocess_run(spec, frame, output, scratch, bytes, error);
  allocator.release(allocator.context, scratch);
  return status;
}

Status preprocess_scratch_bytes(const PreprocessSpec& spec, int32_t image_width,
                                int32_t image_height, size_t* bytes, Error* error) {
  return preprocess_scratch_bytes(spec, frame_of({nullptr, image_width, image_height, 0}), bytes,
                                  error);
}

Status preprocess_run(const PreprocessSpec& spec, const ImageView& image,
                      const PreprocessOutput& output, void* scratch, size_t scratch_bytes,
                      Error* error) {
  return preprocess_run(spec, frame_of(image), output, scratch, scratch_bytes, error);
}

Status preprocess_image(const PreprocessSpec& spec, const ImageView& image,
                        const PreprocessOutput& output, const Allocator& allocator, Error* error) {
  return preprocess_frame(spec, frame_of(image), output, allocator, error);
}

}  // namespace edgecv::vision

// Dense s8 convolution of any kernel, stride, dilation, padding and group, and fully connected
// layers, as one matrix product a group: rows are output pixels, depth is kernel_h * kernel_w *
// in_c / groups, columns are output channels.
//
// Work goes in chunks of output pixels. The input under a chunk is widened to s16 in scratch once,
// with zero_point where the image ends, and the product reads it in place: the taps of a kernel row
// are adjacent there (with dilation_w 1), so a row of the product is kernel_h segments and nothing
// is copied per tap. Then every weight panel passes over the chunk: the s16 pixels stay in L2, a
// panel (48 bytes a depth) in L1, and the packed s8 weights are read once a chunk. The zero point
// of x is folded into the bias when packing: sum w * (x - zx) = sum w * x - zx * sum w.
#include "kernels/conv.h"

#include "kernels/avx2/gemm_s8.h"

namespace edgecv::kernels::avx2 {
namespace {

// The widened input of a chunk takes about this many bytes of scratch: a sixth of a 512 KiB L2.
constexpr int64_t kChunkBytes = 96 << 10;
constexpr int64_t kChunkRows = 96;
// Weights of a group up to this size are packed as s16: they stay in L1, and widening them for each
// of many chunks would be felt.
constexpr int64_t kWideBytes = 24 << 10;

struct ConvPlan {
  int64_t channels;  // of a group's input
  int64_t columns;   // of the product: output channels of a group
  Panels panels;
  bool wide;
  int64_t group_bytes;  // packed

  // The depth of the product: a kernel row is one segment, or, with dilation_w > 1, a tap is one.
  int64_t segments, segment_depth, pairs;

  // A flat chunk is a run of pixels of a 1x1 stride 1 convolution, else it is chunk_h x chunk_w
  // output pixels of one image, chunk_w being the whole width when chunk_h > 1.
  bool flat;
  int64_t chunk_h, chunk_w, rows_of_chunks, columns_of_chunks, chunks;

  // The widened input, in s16 elements from pixel to pixel and from row to row, and how many of its
  // rows and pixels lie between neighbouring outputs.
  int64_t pixel_values, row_values;
  int64_t image_rows, image_columns;
  int64_t row_step, column_step;
  int64_t kernel_row_step;  // from kernel row to kernel row
};

void plan_flat(const ConvProblem& p, ConvPlan* plan) {
  const int64_t pixels = int64_t{p.batch} * p.out_h * p.out_w;
  plan->pixel_values = 2 * plan->pairs;
  // Rows a multiple of 512 bytes apart would compete for few cache sets.
  if (plan->pixel_values % 256 == 0) plan->pixel_values += 16;
  const int64_t target = max_of(12, min_of(kChunkRows, kChunkBytes / (plan->pixel_values * 2)));
  plan->chunks = max_of(1, (pixels + target / 2) / target);
  plan->chunk_w = plan->chunks == 1 ? pixels : round_up(div_up(pixels, plan->chunks), 12);
  plan->chunks = div_up(pixels, plan->chunk_w);
  plan->chunk_h = 1;
  plan->image_rows = 1;
  plan->row_values = plan->chunk_w * plan->pixel_values;
}

void plan_window(const ConvProblem& p, ConvPlan* plan) {
  plan->pixel_values = plan->channels;
  // A kernel of one row or column meets only every stride-th one: the others are not widened.
  plan->row_step = p.kernel_h == 1 ? 1 : p.stride_h;
  plan->column_step = p.kernel_w == 1 ? 1 : p.stride_w;
  const int64_t reach_h = (int64_t{p.kernel_h} - 1) * p.dilation_h;
  const int64_t reach_w = (int64_t{p.kernel_w} - 1) * p.dilation_w;
  const int64_t fit = kChunkBytes / (2 * plan->channels * p.kernel_h);  // columns
  plan->chunk_w = max_of(12, (fit - reach_w - 1) / plan->column_step + 1);
  plan->chunk_w = div_up(p.out_w, div_up(p.out_w, plan->chunk_w));
  plan->columns_of_chunks = div_up(p.out_w, plan->chunk_w);
  plan->image_columns = (plan->chunk_w - 1) * plan->column_step + reach_w + 1;
  plan->row_values = plan->image_columns * plan->channels;
  plan->chunk_h = 1;
  if (plan->columns_of_chunks == 1 && p.dilation_h == 1) {
    const int64_t fit_rows =
        (kChunkBytes / (2 * plan->row_values) - reach_h - 1) / plan->row_step + 1;
    plan->chunk_h = max_of(1, min_of(fit_rows, kChunkRows / plan->chunk_w));
    plan->chunk_h = div_up(p.out_h, div_up(p.out_h, plan->chunk_h));
  }
  plan->rows_of_chunks = div_up(p.out_h, plan->chunk_h);
  plan->chunks = p.batch * plan->rows_of_chunks * plan->columns_of_chunks;
  // A single output row needs the rows under its taps alone, however far apart.
  plan->kernel_row_step = 1;
  plan->image_rows =
      plan->chunk_h == 1 ? p.kernel_h : (plan->chunk_h - 1) * plan->row_step + reach_h + 1;
}

ConvPlan plan_conv(const ConvProblem& p) {
  ConvPlan plan = {};
  plan.channels = p.in_c / p.groups;
  plan.columns = p.out_c / p.groups;
  plan.panels = split_columns(plan.columns);
  const bool adjacent = p.dilation_w == 1;
  plan.segments = adjacent ? p.kernel_h : int64_t{p.kernel_h} * p.kernel_w;
  plan.segment_depth = adjacent ? p.kernel_w * plan.channels : plan.channels;
  plan.pairs = div_up(plan.segment_depth, 2);
  const int64_t depth = 2 * plan.pairs * plan.segments;
  plan.wide = depth * round_up(plan.columns, 8) * 2 <= kWideBytes;
  plan.group_bytes = panel_offset(plan.panels, plan.panels.count, depth, plan.wide);
  plan.flat = p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 &&
              p.pad_top == 0 && p.pad_left == 0 && p.out_h == p.in_h && p.out_w == p.in_w;
  if (plan.flat) {
    plan_flat(p, &plan);
  } else {
    plan_window(p, &plan);
  }
  return plan;
}

// Scratch: the widened input (and the value after it that an odd depth reads and multiplies by 0),
// where each row of the product begins, the segments' offsets, one widened panel.
struct ScratchBytes {
  int64_t image, rows, offsets, wide_weights;
};

ScratchBytes measure_scratch(const ConvPlan& plan) {
  ScratchBytes b;
  b.image = round_up((plan.image_rows * plan.row_values + 1) * 2, 64);
  b.rows = round_up(plan.chunk_h * plan.chunk_w * 8, 64);
  b.offsets = round_up(plan.segments * 8, 64);
  b.wide_weights = plan.wide ? 0 : 8 * 3 * 2 * plan.pairs * plan.segments * 2;
  return b;
}

struct Scratch {
  int16_t* image;
  const int16_t** rows;
  int64_t* offsets;
  int16_t* wide_weights;
};

Scratch lay_out_scratch(const ConvPlan& plan, void* scratch) {
  const ScratchBytes b = measure_scratch(plan);
  auto* bytes = static_cast<int8_t*>(scratch);
  Scratch s;
  s.image = reinterpret_cast<int16_t*>(bytes);
  s.rows = reinterpret_cast<const int16_t**>(bytes + b.image);
  s.offsets = reinterpret_cast<int64_t*>(bytes + b.image + b.rows);
  s.wide_weights = reinterpret_cast<int16_t*>(bytes + b.image + b.rows + b.offsets);
  return s;
}

// One row of the input: `count` pixels, the first one at column `x` and `step` columns between
// them.
struct RowTask {
  const int8_t* row;  // the image's row, null when it lies outside
  int64_t x, step, count;
  int64_t channels, pixel;  // values of a pixel, from pixel to pixel
  int64_t width;            // of the image
  int16_t zero_point;
};

void widen_row(const RowTask& t, int16_t* out) {
  int64_t begin = 0, end = 0;  // pixels [begin, end) lie in the image
  if (t.row != nullptr) {
    begin = t.x < 0 ? min_of(t.count, div_up(-t.x, t.step)) : 0;
    end = t.x < t.width ? min_of(t.count, div_up(t.width - t.x, t.step)) : 0;
    end = max_of(begin, end);
  }
  fill_words(out, t.zero_point, begin * t.channels);
  if (begin < end) {
    const int8_t* in = t.row + (t.x + begin * t.step) * t.pixel;
    if (t.step == 1 && t.pixel == t.channels) {
      widen_run(out + begin * t.channels, in, (end - begin) * t.channels);
    } else {
      for (int64_t i = begin; i < end; ++i, in += t.step * t.pixel)
        widen_run(out + i * t.channels, in, t.channels);
    }
  }
  fill_words(out + end * t.channels, t.zero_point, (t.count - end) * t.channels);
}

// A chunk's output pixels: the first one's index in the output, and how many there are.
struct Chunk {
  int64_t first, count;
};

Chunk widen_flat(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, int64_t index,
                 const Scratch& s) {
  const int64_t first = index * plan.chunk_w;
  const int64_t count = min_of(plan.chunk_w, int64_t{p.batch} * p.out_h * p.out_w - first);
  x += first * p.in_stride;
  for (int64_t i = 0; i < count; ++i) {
    int16_t* row = s.image + i * plan.pixel_values;
    widen_run(row, x + i * p.in_stride, plan.channels);
    s.rows[i] = row;
  }
  return {first, count};
}

Chunk widen_window(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, int64_t index,
                   const Scratch& s) {
  const int64_t ow = index % plan.columns_of_chunks * plan.chunk_w;
  const int64_t oh = index / plan.columns_of_chunks % plan.rows_of_chunks * plan.chunk_h;
  const int64_t n = index / plan.columns_of_chunks / plan.rows_of_chunks;
  const int64_t height = min_of(plan.chunk_h, p.out_h - oh),
                width = min_of(plan.chunk_w, p.out_w - ow);
  RowTask task;
  task.x = ow * p.stride_w - p.pad_left;
  task.step = p.kernel_w == 1 ? p.stride_w : 1;
  task.count = (width - 1) * plan.column_step + (int64_t{p.kernel_w} - 1) * p.dilation_w + 1;
  task.channels = plan.channels;
  task.pixel = p.in_stride;
  task.width = p.in_w;
  task.zero_point = static_cast<int16_t>(p.in_zero_point);
  const int64_t image_rows = plan.chunk_h == 1 ? p.kernel_h
                                               : (height - 1) * plan.row_step +
                                                     (int64_t{p.kernel_h} - 1) * p.dilation_h + 1;
  int64_t y_step = p.dilation_h;  // between the kernel rows of a single output row
  if (plan.chunk_h > 1) y_step = p.kernel_h == 1 ? p.stride_h : 1;
  for (int64_t r = 0; r < image_rows; ++r) {
    const int64_t y = oh * p.stride_h - p.pad_top + r * y_step;
    task.row = y >= 0 && y < p.in_h ? x + (n * p.in_h + y) * p.in_w * p.in_stride : nullptr;
    widen_row(task, s.image + r * plan.row_values);
  }
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      s.rows[i * width + j] =
          s.image + i * plan.row_step * plan.row_values + j * plan.column_step * plan.pixel_values;
    }
  }
  return {(n * p.out_h + oh) * p.out_w + ow, height * width};
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

size_t conv_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(plan_conv(p).group_bytes * p.groups);
}

// Output channels first .. first + count - 1, count <= 8 * vectors; columns beyond them are all
// zero.
void pack_panel(const ConvProblem& p, const ConvPlan& plan, int64_t first, int64_t count,
                int vectors, int8_t* out) {
  const int64_t width = 8 * vectors, depth = plan.segments * plan.segment_depth;
  memset(out, 0,
         static_cast<size_t>(panel_bytes(vectors, 2 * plan.pairs * plan.segments, plan.wide)));
  int8_t* const pairs = out + 8 * width;
  for (int64_t c = 0; c < count; ++c) {
    auto folded = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[first + c]);
    const int8_t* w = static_cast<const int8_t*>(p.weights) + (first + c) * depth;
    for (int64_t i = 0; i < depth; ++i) {
      const int64_t k = i / plan.segment_depth * 2 * plan.pairs + i % plan.segment_depth;
      const int64_t index = (k / 2 * width + c) * 2 + k % 2;
      if (plan.wide) {
        const int16_t word = w[i];
        memcpy(pairs + 2 * index, &word, sizeof word);
      } else {
        pairs[index] = w[i];
      }
      folded -= static_cast<uint32_t>(w[i] * p.in_zero_point);
    }
    memcpy(out + 4 * c, &folded, sizeof folded);
    memcpy(out + 4 * width + 4 * c, &p.multiplier[first + c], sizeof(float));
  }
}

void conv_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  auto* out = static_cast<int8_t*>(packed);
  for (int64_t group = 0; group < p.groups; ++group) {
    for (int64_t i = 0; i < plan.panels.count; ++i) {
      const int vectors = panel_vectors(plan.panels, i);
      const int64_t column = panel_column(plan.panels, i);
      pack_panel(p, plan, group * plan.columns + column, min_of(8 * vectors, plan.columns - column),
                 vectors, out);
      out += panel_bytes(vectors, 2 * plan.pairs * plan.segments, plan.wide);
    }
  }
}

size_t conv_scratch_bytes(const void* problem) {
  const ScratchBytes b = measure_scratch(plan_conv(as_conv(problem)));
  return static_cast<size_t>(b.image + b.rows + b.offsets + b.wide_weights);
}

// Items: for each group, for each chunk, for each panel.
int64_t conv_work_items(const void* problem) {
  const ConvPlan plan = plan_conv(as_conv(problem));
  return plan.chunks * plan.panels.count * as_conv(problem).groups;
}

int conv_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
             void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  const Scratch s = lay_out_scratch(plan, scratch);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  for (int64_t i = 0; i < plan.segments; ++i) {
    const int64_t kh = p.dilation_w == 1 ? i : i / p.kernel_w,
                  kw = p.dilation_w == 1 ? 0 : i % p.kernel_w;
    s.offsets[i] =
        kh * plan.kernel_row_step * plan.row_values + kw * p.dilation_w * plan.pixel_values;
  }
  Tile t;
  t.depth.offset = s.offsets;
  t.depth.segments = plan.segments;
  t.depth.pairs = plan.pairs;
  t.out_stride = p.out_stride;
  Chunk chunk = {0, 0};
  int64_t widened = -1;  // which chunk of which group
  for (int64_t item = begin; item < end; ++item) {
    const int64_t i = item % plan.panels.count, index = item / plan.panels.count;
    const int64_t group = index / plan.chunks;
    if (index != widened) {
      const auto* x = static_cast<const int8_t*>(operands.in[0]) + group * plan.channels;
      chunk = (plan.flat ? widen_flat : widen_window)(p, plan, x, index % plan.chunks, s);
      widened = index;
    }
    const int vectors = panel_vectors(plan.panels, i);
    const int64_t column = panel_column(plan.panels, i);
    t.rows = s.rows;
    t.out = static_cast<int8_t*>(operands.out) + chunk.first * p.out_stride + group * plan.columns +
            column;
    t.columns = min_of(8 * vectors, plan.columns - column);
    const auto* packed = static_cast<const int8_t*>(operands.packed) + group * plan.group_bytes +
                         panel_offset(plan.panels, i, 2 * plan.pairs * plan.segments, plan.wide);
    gemm_panel(t, chunk.count, packed, vectors, plan.wide, s.wide_weights, clamp);
  }
  return 0;
}

}  // namespace

extern const Kernel conv_s8_4x24 = {
    "conv_s8_4x24__avx2", "avx2",    Family::kConvS8,    kIsaAvx2,        nullptr,
    conv_packed_bytes,    conv_pack, conv_scratch_bytes, conv_work_items, conv_run,
};

}  // namespace edgecv::kernels::avx2

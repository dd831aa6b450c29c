// Dense s8 convolution of any kernel, stride, dilation, padding and group, and fully connected
// layers, as one matrix product a group: rows are output pixels, depth is kernel_h * kernel_w *
// in_c / groups, columns are output channels.
//
// Work goes in chunks of output pixels. A chunk's rows are widened to s16 in scratch (1x1 stride 1
// straight from the pixels, anything else gathered tap by tap with zero_point where the image
// ends), then every weight panel passes over them: the s16 rows stay in L2, a panel (32 bytes a
// depth) in L1, and the packed s8 weights are read once a chunk. The zero point of x is folded into
// the bias when packing: sum w * (x - zx) = sum w * x - zx * sum w.
#include "kernels/conv.h"

#include "kernels/avx2/gemm_s8.h"

namespace edgecv::kernels::avx2 {
namespace {

// Rows of a chunk take about this many bytes of scratch: a sixth of a 512 KiB L2.
constexpr int64_t kChunkBytes = 96 << 10;
constexpr int64_t kMaxChunkRows = 96;
// Weights of a group up to this size are packed as s16: they stay in L1, and widening them for each
// of many chunks would be felt.
constexpr int64_t kWideBytes = 24 << 10;

struct ConvPlan {
  int64_t rows;  // output pixels
  int64_t chunk_rows, chunks;
  int64_t channels;  // input channels of a group
  int64_t columns;   // output channels of a group
  int64_t depth, padded_depth;
  int64_t a_stride;
  Panels panels;
  bool wide, pointwise;
  int64_t group_bytes;  // packed
};

ConvPlan plan_conv(const ConvProblem& p) {
  ConvPlan plan;
  plan.rows = int64_t{p.batch} * p.out_h * p.out_w;
  plan.channels = p.in_c / p.groups;
  plan.columns = p.out_c / p.groups;
  plan.depth = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  plan.padded_depth = round_up(plan.depth, kDepthStep);
  // Rows a multiple of 512 bytes apart would compete for few cache sets.
  plan.a_stride = plan.padded_depth % 256 == 0 ? plan.padded_depth + 16 : plan.padded_depth;
  const int64_t target = max_of(12, min_of(kMaxChunkRows, kChunkBytes / (plan.a_stride * 2)));
  plan.chunks = max_of(1, (plan.rows + target / 2) / target);
  plan.chunk_rows = plan.chunks == 1 ? plan.rows : round_up(div_up(plan.rows, plan.chunks), 12);
  plan.chunks = div_up(plan.rows, plan.chunk_rows);
  plan.panels = split_columns(plan.columns);
  plan.wide = plan.padded_depth * round_up(plan.columns, 8) * 2 <= kWideBytes;
  plan.pointwise = p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 &&
                   p.pad_top == 0 && p.pad_left == 0 && p.out_h == p.in_h && p.out_w == p.in_w;
  plan.group_bytes = (plan.panels.count - 1) * panel_bytes(2, plan.padded_depth, plan.wide) +
                     panel_bytes(plan.panels.last_vectors, plan.padded_depth, plan.wide);
  return plan;
}

// Output channels first .. first + count - 1, count <= 8 * vectors; columns beyond them are all
// zero.
void pack_panel(const ConvProblem& p, const ConvPlan& plan, int64_t first, int64_t count,
                int vectors, int8_t* out) {
  const auto* weights = static_cast<const int8_t*>(p.weights);
  const auto* bias = static_cast<const int32_t*>(p.bias);
  const int64_t width = 8 * vectors;
  for (int64_t c = 0; c < width; ++c) {
    const bool exists = c < count;
    uint32_t folded = exists ? static_cast<uint32_t>(bias[first + c]) : 0;
    const float multiplier = exists ? p.multiplier[first + c] : 0.0f;
    const int8_t* w = weights + (exists ? (first + c) * plan.depth : 0);
    int8_t* column = out + 8 * width;
    for (int64_t k = 0; k < plan.padded_depth; ++k) {
      const int8_t value = exists && k < plan.depth ? w[k] : int8_t{0};
      folded -= static_cast<uint32_t>(value * p.in_zero_point);
      const int64_t index = (k / 2 * width + c) * 2 + k % 2;
      if (plan.wide) {
        const int16_t word = value;
        memcpy(column + 2 * index, &word, sizeof word);
      } else {
        column[index] = value;
      }
    }
    memcpy(out + 4 * c, &folded, sizeof folded);
    memcpy(out + 4 * width + 4 * c, &multiplier, sizeof multiplier);
  }
}

// The taps of one output pixel, widened, those outside the image as zero_point. Taps that are
// adjacent in memory are one run: a whole kernel row when the input is dense and dilation_w is 1,
// else one tap.
struct Gather {
  const ConvProblem* problem;
  int64_t channels;    // of a tap
  int64_t row_values;  // of a kernel row
  int64_t row_step;    // s8 elements from kernel row to kernel row
  int64_t tap_step;    // from tap to tap
  bool adjacent;
};

Gather plan_gather(const ConvProblem& p, const ConvPlan& plan) {
  Gather g;
  g.problem = &p;
  g.channels = plan.channels;
  g.row_values = p.kernel_w * plan.channels;
  g.row_step = p.dilation_h * p.in_w * p.in_stride;
  g.tap_step = p.dilation_w * p.in_stride;
  g.adjacent = p.dilation_w == 1 && p.groups == 1 && p.in_stride == p.in_c;
  return g;
}

// Every tap lies in the image; `in` is the first one.
inline void gather_inside(const Gather& g, const int8_t* in, int16_t* out) {
  const int64_t rows = g.problem->kernel_h, taps = g.problem->kernel_w;
  for (int64_t kh = 0; kh < rows; ++kh, in += g.row_step, out += g.row_values) {
    if (g.adjacent) {
      widen_run(out, in, g.row_values);
    } else {
      for (int64_t kw = 0; kw < taps; ++kw)
        widen_run(out + kw * g.channels, in + kw * g.tap_step, g.channels);
    }
  }
}

// Some taps may lie outside; (top, left) is the input pixel of the first one.
void gather_border(const Gather& g, const int8_t* image, int64_t top, int64_t left, int16_t* out) {
  const ConvProblem& p = *g.problem;
  for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
    const int64_t y = top + kh * p.dilation_h;
    for (int64_t kw = 0; kw < p.kernel_w; ++kw, out += g.channels) {
      const int64_t x = left + kw * p.dilation_w;
      if (y >= 0 && y < p.in_h && x >= 0 && x < p.in_w) {
        widen_run(out, image + (y * p.in_w + x) * p.in_stride, g.channels);
      } else {
        fill_words(out, static_cast<int16_t>(p.in_zero_point), g.channels);
      }
    }
  }
}

void widen_rows(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, int64_t group,
                int64_t first, int64_t count, int16_t* a) {
  x += group * plan.channels;
  if (plan.pointwise) {
    x += first * p.in_stride;
    for (int64_t r = 0; r < count; ++r)
      widen_run(a + r * plan.a_stride, x + r * p.in_stride, plan.depth);
    return;
  }
  const Gather g = plan_gather(p, plan);
  const int64_t height = (int64_t{p.kernel_h} - 1) * p.dilation_h,
                width = (int64_t{p.kernel_w} - 1) * p.dilation_w;
  const int64_t image_rows = int64_t{p.out_h} * p.out_w;
  int64_t n = first / image_rows, oh = first % image_rows / p.out_w, ow = first % p.out_w;
  while (count > 0) {
    const int8_t* image = x + n * p.in_h * p.in_w * p.in_stride;
    const int64_t top = oh * p.stride_h - p.pad_top;
    const bool rows_inside = top >= 0 && top + height < p.in_h;
    const int64_t end = min_of(p.out_w, ow + count);
    count -= end - ow;
    for (; ow < end; ++ow, a += plan.a_stride) {
      const int64_t left = ow * p.stride_w - p.pad_left;
      if (rows_inside && left >= 0 && left + width < p.in_w) {
        gather_inside(g, image + (top * p.in_w + left) * p.in_stride, a);
      } else {
        gather_border(g, image, top, left, a);
      }
    }
    ow = 0;
    if (++oh == p.out_h) {
      oh = 0;
      ++n;
    }
  }
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

size_t conv_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(plan_conv(p).group_bytes * p.groups);
}

void conv_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  auto* out = static_cast<int8_t*>(packed);
  memset(out, 0, static_cast<size_t>(plan.group_bytes * p.groups));
  for (int64_t group = 0; group < p.groups; ++group) {
    for (int64_t i = 0; i < plan.panels.count; ++i) {
      const int vectors = i + 1 < plan.panels.count ? 2 : plan.panels.last_vectors;
      pack_panel(p, plan, group * plan.columns + 16 * i, min_of(8 * vectors, plan.columns - 16 * i),
                 vectors, out);
      out += panel_bytes(vectors, plan.padded_depth, plan.wide);
    }
  }
}

size_t conv_scratch_bytes(const void* problem) {
  const ConvPlan plan = plan_conv(as_conv(problem));
  const int64_t rows = round_up(plan.chunk_rows * plan.a_stride * 2, 64);
  const int64_t panel = plan.wide ? 0 : 8 * 3 * plan.padded_depth * 2;
  return static_cast<size_t>(rows + panel);
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
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const auto* packed = static_cast<const int8_t*>(operands.packed);
  auto* a = static_cast<int16_t*>(scratch);
  auto* wide_weights = a + round_up(plan.chunk_rows * plan.a_stride * 2, 64) / 2;
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const int64_t block = panel_bytes(2, plan.padded_depth, plan.wide);
  // The padding of the depth; widen_rows leaves it alone.
  for (int64_t r = 0; r < plan.chunk_rows; ++r) {
    fill_words(a + r * plan.a_stride + plan.depth, 0, plan.padded_depth - plan.depth);
  }
  int64_t rows = 0, widened = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t i = item % plan.panels.count;
    const int64_t chunk_of_group = item / plan.panels.count;
    const int64_t group = chunk_of_group / plan.chunks;
    const int64_t first = chunk_of_group % plan.chunks * plan.chunk_rows;
    if (chunk_of_group != widened) {
      rows = min_of(plan.chunk_rows, plan.rows - first);
      widen_rows(p, plan, x, group, first, rows, a);
      widened = chunk_of_group;
    }
    const int vectors = i + 1 < plan.panels.count ? 2 : plan.panels.last_vectors;
    Tile t;
    t.a = a;
    t.a_stride = plan.a_stride;
    t.pairs = plan.padded_depth / 2;
    t.out = y + first * p.out_stride + group * plan.columns + 16 * i;
    t.out_stride = p.out_stride;
    t.columns = min_of(8 * vectors, plan.columns - 16 * i);
    gemm_panel(t, rows, packed + group * plan.group_bytes + i * block, vectors, plan.wide,
               wide_weights, clamp);
  }
  return 0;
}

}  // namespace

extern const Kernel conv_s8_6x16 = {
    "conv_s8_6x16__avx2", "avx2",    Family::kConvS8,    kIsaAvx2,        nullptr,
    conv_packed_bytes,    conv_pack, conv_scratch_bytes, conv_work_items, conv_run,
};

}  // namespace edgecv::kernels::avx2

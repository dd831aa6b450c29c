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

// One output pixel's taps, widened, outside ones as zero_point. Taps of a row that are adjacent in
// memory are one run.
void gather_row(const ConvProblem& p, const ConvPlan& plan, const int8_t* image, int64_t oh,
                int64_t ow, int64_t group, int16_t* out) {
  const auto zero = static_cast<int16_t>(p.in_zero_point);
  const int64_t channels = plan.channels;
  const bool adjacent = p.dilation_w == 1 && p.groups == 1 && p.in_stride == p.in_c;
  const int64_t left = ow * p.stride_w - p.pad_left;
  // Taps [inside, outside) of a row lie in the image.
  int64_t inside = left < 0 ? div_up(-left, p.dilation_w) : 0;
  int64_t outside = left < p.in_w ? div_up(p.in_w - left, p.dilation_w) : 0;
  outside = min_of(outside, p.kernel_w);
  inside = min_of(inside, outside);
  for (int64_t kh = 0; kh < p.kernel_h; ++kh, out += p.kernel_w * channels) {
    const int64_t ih = oh * p.stride_h + kh * p.dilation_h - p.pad_top;
    if (ih < 0 || ih >= p.in_h) {
      fill_words(out, zero, p.kernel_w * channels);
      continue;
    }
    fill_words(out, zero, inside * channels);
    fill_words(out + outside * channels, zero, (p.kernel_w - outside) * channels);
    if (outside <= inside) continue;
    const int8_t* in =
        image + (ih * p.in_w + left + inside * p.dilation_w) * p.in_stride + group * channels;
    if (adjacent) {
      widen_run(out + inside * channels, in, (outside - inside) * channels);
      continue;
    }
    for (int64_t kw = inside; kw < outside; ++kw, in += p.dilation_w * p.in_stride) {
      widen_run(out + kw * channels, in, channels);
    }
  }
}

void widen_rows(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, int64_t group,
                int64_t first, int64_t count, int16_t* a) {
  const int64_t image_rows = int64_t{p.out_h} * p.out_w;
  int64_t n = first / image_rows, oh = first % image_rows / p.out_w, ow = first % p.out_w;
  for (int64_t r = 0; r < count; ++r, a += plan.a_stride) {
    if (plan.pointwise) {
      widen_run(a, x + (first + r) * p.in_stride + group * plan.channels, plan.depth);
    } else {
      gather_row(p, plan, x + n * p.in_h * p.in_w * p.in_stride, oh, ow, group, a);
      if (++ow == p.out_w) {
        ow = 0;
        if (++oh == p.out_h) {
          oh = 0;
          ++n;
        }
      }
    }
    fill_words(a + plan.depth, 0, plan.padded_depth - plan.depth);
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

// Dense f32 convolution of any kernel, stride, dilation, padding and group, and fully connected
// layers, as one matrix product a group: rows are output pixels, depth is kernel_h * kernel_w *
// in_c / groups, columns are output channels.
//
// Work goes in chunks of output pixels. The product reads the activations where they lie: a chunk
// needs only a table of pointers, one a kernel row (or a tap, where the taps of a kernel row are
// not adjacent) and pixel. Windows that reach beyond the image are copied, with zeros, into
// scratch. Then every weight panel passes over the chunk, whose pixels stay in the caches
// meanwhile.
#include "kernels/conv.h"

#include "kernels/fma/gemm.h"

namespace edgecv::kernels::fma {
namespace {

// Activations under a chunk, counted once a tap, take about this many bytes: half of a 512 KiB L2
// when nothing overlaps, and much less with 3x3 windows.
constexpr int64_t kChunkBytes = 192 << 10;
constexpr int64_t kChunkRows = 192;

struct ConvPlan {
  int64_t channels, columns;  // of a group
  int64_t depth;
  Panels panels;
  int64_t group_floats;  // packed
  int64_t pixels, chunk, chunks;
  bool adjacent;  // the taps of a kernel row lie side by side in memory
  int64_t segments, segment_depth;
};

ConvPlan plan_conv(const ConvProblem& p) {
  ConvPlan plan;
  plan.channels = p.in_c / p.groups;
  plan.columns = p.out_c / p.groups;
  plan.depth = int64_t{p.kernel_h} * p.kernel_w * plan.channels;
  plan.panels = split_columns(plan.columns);
  plan.group_floats = panel_offset(plan.panels, plan.panels.count, plan.depth);
  plan.pixels = int64_t{p.batch} * p.out_h * p.out_w;
  const int64_t rows = kChunkBytes / static_cast<int64_t>(sizeof(float)) / plan.depth;
  const int64_t target = max_of(24, min_of(kChunkRows, rows));
  plan.chunk = round_up(div_up(plan.pixels, div_up(plan.pixels, target)), 24);
  plan.chunks = div_up(plan.pixels, plan.chunk);
  plan.adjacent = p.dilation_w == 1 && (p.kernel_w == 1 || p.in_stride == plan.channels);
  plan.segments = plan.adjacent ? p.kernel_h : int64_t{p.kernel_h} * p.kernel_w;
  plan.segment_depth = plan.adjacent ? p.kernel_w * plan.channels : plan.channels;
  return plan;
}

// Whether some window reaches beyond the image: such a row of the product, or a row of zeros, takes
// scratch.
bool has_border(const ConvProblem& p) {
  return p.pad_top != 0 || p.pad_left != 0 ||
         (int64_t{p.out_h} - 1) * p.stride_h + (int64_t{p.kernel_h} - 1) * p.dilation_h >=
             p.in_h + int64_t{p.pad_top} ||
         (int64_t{p.out_w} - 1) * p.stride_w + (int64_t{p.kernel_w} - 1) * p.dilation_w >=
             p.in_w + int64_t{p.pad_left};
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

// Depthwise layers have rows of their own.
bool conv_supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return p.groups == 1 || p.groups != p.in_c || p.groups != p.out_c;
}

size_t conv_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(plan_conv(p).group_floats * p.groups) * sizeof(float);
}

void conv_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  for (int64_t g = 0; g < p.groups; ++g) {
    float* out = static_cast<float*>(packed) + g * plan.group_floats;
    for (int64_t i = 0; i < plan.panels.count; ++i) {
      const int64_t first = g * plan.columns + 16 * i;
      const auto* bias = static_cast<const float*>(p.bias);
      pack_panel(static_cast<const float*>(p.weights) + first * plan.depth, plan.depth, 1,
                 plan.depth, bias != nullptr ? bias + first : nullptr,
                 min_of(8 * panel_vectors(plan.panels, i), plan.columns - 16 * i),
                 panel_vectors(plan.panels, i), out + panel_offset(plan.panels, i, plan.depth));
    }
  }
}

// Scratch: the pointer table, a segment of zeros, the copied windows.
struct ScratchBytes {
  int64_t rows, zeros, windows;
};

ScratchBytes measure_scratch(const ConvProblem& p, const ConvPlan& plan) {
  ScratchBytes b = {};
  b.rows = round_up(plan.segments * plan.chunk * 8, 64);
  if (!has_border(p)) return b;
  b.zeros = round_up(plan.segment_depth * 4, 64);
  if (plan.adjacent && p.kernel_w > 1) b.windows = plan.chunk * plan.depth * 4;
  return b;
}

size_t conv_scratch_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const ScratchBytes b = measure_scratch(p, plan_conv(p));
  return static_cast<size_t>(b.rows + b.zeros + b.windows);
}

struct Scratch {
  const float** rows;
  float* zeros;
  float* windows;
};

// Taps [begin, end) of a kernel row that begins at input column x lie in the image.
struct TapRange {
  int64_t begin, end;
};

EDGECV_INLINE TapRange taps_inside(const ConvProblem& p, int64_t x) {
  return {x < 0 ? min_of(p.kernel_w, -x) : 0, max_of(0, min_of(p.kernel_w, p.in_w - x))};
}

// Fills the pointer table for output pixels [first, first + count).
void find_rows(const ConvProblem& p, const ConvPlan& plan, const float* x, int64_t first,
               int64_t count, const Scratch& s) {
  if (p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 && !has_border(p)) {
    x += first * p.in_stride;
    for (int64_t i = 0; i < count; ++i, x += p.in_stride) s.rows[i] = x;
    return;
  }
  int64_t ow = first % p.out_w;
  int64_t oh = first / p.out_w % p.out_h;
  int64_t n = first / p.out_w / p.out_h;
  float* window = s.windows;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t left = ow * p.stride_w - p.pad_left;
    const bool whole = left >= 0 && left + (int64_t{p.kernel_w} - 1) * p.dilation_w < p.in_w;
    for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
      const int64_t y = oh * p.stride_h + kh * p.dilation_h - p.pad_top;
      const bool inside = y >= 0 && y < p.in_h;
      const float* row = x + ((n * p.in_h + (inside ? y : 0)) * p.in_w + left) * p.in_stride;
      if (plan.adjacent) {
        const float** slot = s.rows + kh * plan.chunk + i;
        if (!inside) {
          *slot = s.zeros;
        } else if (whole) {
          *slot = row;
        } else {
          const TapRange taps = taps_inside(p, left);
          const int64_t c = plan.channels;
          if (taps.begin >= taps.end) {
            *slot = s.zeros;
          } else {
            memset(window, 0, static_cast<size_t>(plan.segment_depth) * sizeof(float));
            memcpy(window + taps.begin * c, row + taps.begin * p.in_stride,
                   static_cast<size_t>((taps.end - taps.begin) * c) * sizeof(float));
            *slot = window;
            window += plan.segment_depth;
          }
        }
        continue;
      }
      for (int64_t kw = 0; kw < p.kernel_w; ++kw) {
        const int64_t column = left + kw * p.dilation_w;
        s.rows[(kh * p.kernel_w + kw) * plan.chunk + i] =
            inside && column >= 0 && column < p.in_w ? row + kw * p.dilation_w * p.in_stride
                                                     : s.zeros;
      }
    }
    if (++ow == p.out_w) {
      ow = 0;
      if (++oh == p.out_h) {
        oh = 0;
        ++n;
      }
    }
  }
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
  const ScratchBytes bytes = measure_scratch(p, plan);
  auto* at = static_cast<char*>(scratch);
  Scratch s;
  s.rows = reinterpret_cast<const float**>(at);
  s.zeros = reinterpret_cast<float*>(at + bytes.rows);
  s.windows = reinterpret_cast<float*>(at + bytes.rows + bytes.zeros);
  if (bytes.zeros != 0) memset(s.zeros, 0, static_cast<size_t>(plan.segment_depth) * 4);
  const Rows rows = {s.rows, plan.chunk, plan.segments, plan.segment_depth};
  Output o;
  o.stride = p.out_stride;
  o.clamp = make_clamp(p.lo_f, p.hi_f);
  int64_t found = -1;  // which chunk of which group the table is for
  for (int64_t item = begin; item < end; ++item) {
    const int64_t i = item % plan.panels.count, index = item / plan.panels.count;
    const int64_t group = index / plan.chunks, first = index % plan.chunks * plan.chunk;
    const int64_t count = min_of(plan.chunk, plan.pixels - first);
    if (index != found) {
      find_rows(p, plan, static_cast<const float*>(operands.in[0]) + group * plan.channels, first,
                count, s);
      found = index;
    }
    const int vectors = panel_vectors(plan.panels, i);
    o.out =
        static_cast<float*>(operands.out) + first * p.out_stride + group * plan.columns + 16 * i;
    o.columns = min_of(8 * vectors, plan.columns - 16 * i);
    gemm_panel<true>(rows, count,
                     static_cast<const float*>(operands.packed) + group * plan.group_floats +
                         panel_offset(plan.panels, i, plan.depth),
                     vectors, o);
  }
  return 0;
}

// About 46 products a ns; weights that few pixels share come from memory, at 8 bytes a ns.
double conv_cost(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const ConvPlan plan = plan_conv(p);
  const double weights = static_cast<double>(plan.depth) * static_cast<double>(p.out_c);
  const double products = static_cast<double>(plan.pixels) * weights / 46;
  const double stream = weights * sizeof(float) / 8;
  return products > stream ? products : stream;
}

}  // namespace

extern const Kernel conv_f32_6x16 = {
    "conv_f32_6x16__fma",
    "fma",
    Family::kConvF32,
    kIsaAvx2 | kIsaFma,
    conv_supports,
    conv_packed_bytes,
    conv_pack,
    conv_scratch_bytes,
    conv_work_items,
    conv_run,
    conv_cost,
};

}  // namespace edgecv::kernels::fma

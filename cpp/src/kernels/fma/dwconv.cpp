// Depthwise f32 convolution: 8 channels a vector, several output pixels of a row a pass.
//
// A pass walks the channels. For each kernel row its weights stay in registers, every input vector
// is loaded once and meets all the taps that need it, and the sums of the pass's pixels stay in
// registers over all kernel rows. Kernel rows outside the image are skipped; columns outside read
// zeros from scratch, through a table of pointers that passes inside the image do without. The last
// pass of a row overlaps the one before and computes the same sums again.
//
// Channels go in chunks, rows innermost: the rows of a chunk that a kernel spans stay in L1.
#include "kernels/conv.h"
#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool is_depthwise(const ConvProblem& p) { return p.groups == p.in_c && p.groups == p.out_c; }

// Packed: [block of 8 channels]: bias, then a vector a tap; zeros past the last channel.
int64_t block_floats(const ConvProblem& p) { return 8 * (1 + int64_t{p.kernel_h} * p.kernel_w); }

size_t dwconv_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(div_up(p.out_c, 8) * block_floats(p)) * sizeof(float);
}

void dwconv_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const auto* weights = static_cast<const float*>(p.weights);
  const auto* bias = static_cast<const float*>(p.bias);
  const int64_t taps = int64_t{p.kernel_h} * p.kernel_w;
  auto* out = static_cast<float*>(packed);
  memset(packed, 0, dwconv_packed_bytes(problem));
  for (int64_t first = 0; first < p.out_c; first += 8, out += block_floats(p)) {
    const int64_t count = min_of(8, p.out_c - first);
    if (bias != nullptr) memcpy(out, bias + first, static_cast<size_t>(count) * sizeof(float));
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t tap = 0; tap < taps; ++tap)
        out[8 + 8 * tap + c] = weights[(first + c) * taps + tap];
    }
  }
}

// One pass: kPixels neighbouring outputs. Kernel rows [kh_begin, kh_end) lie in the image.
struct Pass {
  const float* in;         // kernel row kh_begin at the first output's first column
  const int64_t* columns;  // edge passes: offset of every input column from `in`, -1: outside
  const float* zeros;
  int64_t row_step, pixel;  // floats from kernel row to kernel row, from input column to column
  int64_t kh_begin, kh_end;
  const float* packed;
  int64_t block;  // floats
  float* out;
  int64_t out_stride;
  int64_t channels;
  Clamp clamp;
};

// Channels of a chunk: multiples of a cache line whose rows fit half of a 32 KiB L1.
constexpr int64_t kChunkBytes = 24 << 10;

int64_t chunk_channels(const ConvProblem& p) {
  const int64_t rows = p.kernel_h + int64_t{p.stride_h};
  const int64_t fit = kChunkBytes / (rows * p.in_w * static_cast<int64_t>(sizeof(float)));
  return max_of(64, fit / 16 * 16);
}

// 8 channels at c, or the last `tail` of them.
template <bool kTail>
EDGECV_INLINE __m256 load_channels(const float* p, int64_t tail) {
  if constexpr (kTail) {
    return load_tail(p, tail);
  } else {
    return load8(p);
  }
}

template <int kWidth, int kStride, int kPixels, bool kEdge, bool kTail>
EDGECV_INLINE void run_block(const Pass& t, int64_t c, const float* packed) {
  constexpr int kColumns = (kPixels - 1) * kStride + kWidth;
  const int64_t tail = t.channels - c;
  __m256 acc[kPixels];
  const __m256 bias = load8(packed);
  unroll<kPixels>([&](auto i) __attribute__((always_inline)) { acc[i] = bias; });
  const float* in = t.in + c;
  const float* w = packed + 8 + 8 * kWidth * t.kh_begin;
  for (int64_t kh = t.kh_begin; kh < t.kh_end; ++kh, in += t.row_step, w += 8 * kWidth) {
    __m256 weights[kWidth];
    unroll<kWidth>([&](auto k) __attribute__((always_inline)) { weights[k] = load8(w + 8 * k); });
    unroll<kColumns>([&](auto j) __attribute__((always_inline)) {
      const float* at = in + j * t.pixel;
      if constexpr (kEdge) at = t.columns[j] < 0 ? t.zeros : in + t.columns[j];
      const __m256 x = load_channels<kTail>(at, tail);
      unroll<kWidth>([&](auto k) __attribute__((always_inline)) {
        constexpr int kFrom = int(decltype(j)()) - int(decltype(k)());
        if constexpr (kFrom >= 0 && kFrom % kStride == 0 && kFrom / kStride < kPixels) {
          acc[kFrom / kStride] = _mm256_fmadd_ps(x, weights[k], acc[kFrom / kStride]);
        }
      });
    });
  }
  unroll<kPixels>([&](auto i) __attribute__((always_inline)) {
    const __m256 y = clamp8(acc[i], t.clamp);
    if constexpr (kTail) {
      store_tail(t.out + i * t.out_stride + c, y, tail);
    } else {
      store8(t.out + i * t.out_stride + c, y);
    }
  });
}

template <int kWidth, int kStride, int kPixels, bool kEdge>
void run_pass(const Pass& pass) {
  const Pass t = pass;  // a copy that the output cannot alias
  const float* packed = t.packed;
  int64_t c = 0;
  for (; c + 8 <= t.channels; c += 8, packed += t.block)
    run_block<kWidth, kStride, kPixels, kEdge, false>(t, c, packed);
  if (c < t.channels) run_block<kWidth, kStride, kPixels, kEdge, true>(t, c, packed);
}

constexpr int kWide = 7, kNarrow = 4;  // outputs of a pass

using RunPass = void (*)(const Pass&);
struct Passes {
  RunPass wide[2], narrow[2], single;  // inside the image, at its edge
};

template <int kWidth, int kStride>
constexpr Passes make_passes() {
  return {{run_pass<kWidth, kStride, kWide, false>, run_pass<kWidth, kStride, kWide, true>},
          {run_pass<kWidth, kStride, kNarrow, false>, run_pass<kWidth, kStride, kNarrow, true>},
          run_pass<kWidth, kStride, 1, true>};
}

const Passes kPasses[3][2] = {{make_passes<3, 1>(), make_passes<3, 2>()},
                              {make_passes<5, 1>(), make_passes<5, 2>()},
                              {make_passes<7, 1>(), make_passes<7, 2>()}};
constexpr int64_t kMostColumns = (kWide - 1) * 2 + 7;

bool dwconv_supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return is_depthwise(p) && (p.kernel_w == 3 || p.kernel_w == 5 || p.kernel_w == 7) &&
         p.stride_w <= 2 && p.dilation_w == 1;
}

size_t dwconv_scratch_bytes(const void*) { return 8 * sizeof(float); }

// Items: for each chunk of channels, the output rows.
int64_t dwconv_work_items(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return int64_t{p.batch} * p.out_h * div_up(p.out_c, chunk_channels(p));
}

// The kernel rows [begin, end) of an output row that lie in the image.
struct TapRows {
  int64_t begin, end;
};

EDGECV_INLINE TapRows tap_rows(const ConvProblem& p, int64_t top) {
  const int64_t d = p.dilation_h;
  const int64_t begin = top < 0 ? div_up(-top, d) : 0;
  const int64_t end = top < p.in_h ? min_of(p.kernel_h, div_up(p.in_h - top, d)) : 0;
  return {min_of(begin, end), end};
}

int dwconv_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
               void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const Passes& passes = kPasses[p.kernel_w / 2 - 1][p.stride_w - 1];
  memset(scratch, 0, 8 * sizeof(float));
  int64_t columns[kMostColumns];
  Pass t;
  t.columns = columns;
  t.zeros = static_cast<const float*>(scratch);
  t.row_step = int64_t{p.dilation_h} * p.in_w * p.in_stride;
  t.pixel = p.in_stride;
  t.block = block_floats(p);
  t.out_stride = p.out_stride;
  const int64_t rows = int64_t{p.batch} * p.out_h, chunk = chunk_channels(p);
  t.clamp = make_clamp(p.lo_f, p.hi_f);
  // The width of a pass that leaves least to compute twice.
  int64_t pixels = 1;
  if (p.out_w >= kNarrow) pixels = kNarrow;
  if (p.out_w >= kWide && round_up(p.out_w, kWide) <= round_up(p.out_w, kNarrow)) pixels = kWide;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t row = item % rows, first = item / rows * chunk;
    t.channels = min_of(chunk, p.out_c - first);
    t.packed = static_cast<const float*>(operands.packed) + first / 8 * t.block;
    const int64_t n = row / p.out_h, top = row % p.out_h * p.stride_h - p.pad_top;
    const TapRows taps = tap_rows(p, top);
    t.kh_begin = taps.begin;
    t.kh_end = taps.end;
    const float* in = static_cast<const float*>(operands.in[0]) +
                      (n * p.in_h + top + taps.begin * p.dilation_h) * p.in_w * p.in_stride + first;
    float* out = static_cast<float*>(operands.out) + row * p.out_w * p.out_stride + first;
    for (int64_t next = 0; next < p.out_w; next += pixels) {
      const int64_t ow = min_of(next, p.out_w - pixels), left = ow * p.stride_w - p.pad_left;
      const int64_t count = (pixels - 1) * p.stride_w + p.kernel_w;
      const bool edge = left < 0 || left + count > p.in_w;
      t.in = in + left * p.in_stride;
      t.out = out + ow * p.out_stride;
      if (edge || pixels == 1) {
        for (int64_t j = 0; j < count; ++j)
          columns[j] = left + j >= 0 && left + j < p.in_w ? j * p.in_stride : -1;
      }
      if (pixels == 1) {
        passes.single(t);
      } else {
        (pixels == kWide ? passes.wide : passes.narrow)[edge](t);
      }
    }
  }
  return 0;
}

// Any kernel width, stride and dilation: the taps of a pixel that lie in the image, then the
// channels, two vectors at a time.
bool dwconv_any_supports(const void* problem) { return is_depthwise(as_conv(problem)); }

int64_t dwconv_any_work_items(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return int64_t{p.batch} * p.out_h;
}

struct Tap {
  const float* in;
  int64_t weights;  // floats from the block's begin
};

size_t dwconv_any_scratch_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(p.kernel_h) * static_cast<size_t>(p.kernel_w) * sizeof(Tap);
}

template <int kVectors>
EDGECV_INLINE void any_block(const Tap* taps, int64_t count, const float* packed, int64_t block,
                             int64_t c, const Clamp& clamp, float* out) {
  __m256 acc[kVectors];
  unroll<kVectors>([&](auto v)
                       __attribute__((always_inline)) { acc[v] = load8(packed + v * block); });
  for (int64_t i = 0; i < count; ++i) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      acc[v] = _mm256_fmadd_ps(load8(taps[i].in + c + 8 * v),
                               load8(packed + v * block + taps[i].weights), acc[v]);
    });
  }
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    store8(out + 8 * v, clamp8(acc[v], clamp));
  });
}

int dwconv_any_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                   void* scratch) {
  const ConvProblem& p = as_conv(problem);
  auto* taps = static_cast<Tap*>(scratch);
  const auto* x = static_cast<const float*>(operands.in[0]);
  const int64_t block = block_floats(p);
  const Clamp clamp = make_clamp(p.lo_f, p.hi_f);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, top = item % p.out_h * p.stride_h - p.pad_top;
    const TapRows rows = tap_rows(p, top);
    for (int64_t ow = 0; ow < p.out_w; ++ow) {
      const int64_t left = ow * p.stride_w - p.pad_left;
      int64_t count = 0;
      for (int64_t kh = rows.begin; kh < rows.end; ++kh) {
        for (int64_t kw = 0; kw < p.kernel_w; ++kw) {
          const int64_t y = top + kh * p.dilation_h, column = left + kw * p.dilation_w;
          if (column < 0 || column >= p.in_w) continue;
          taps[count++] = {x + ((n * p.in_h + y) * p.in_w + column) * p.in_stride,
                           8 + 8 * (kh * p.kernel_w + kw)};
        }
      }
      const auto* packed = static_cast<const float*>(operands.packed);
      float* out = static_cast<float*>(operands.out) + (item * p.out_w + ow) * p.out_stride;
      int64_t c = 0;
      for (; c + 32 <= p.out_c; c += 32, packed += 4 * block)
        any_block<4>(taps, count, packed, block, c, clamp, out + c);
      for (; c + 8 <= p.out_c; c += 8, packed += block)
        any_block<1>(taps, count, packed, block, c, clamp, out + c);
      if (c == p.out_c) continue;
      __m256 acc = load8(packed);
      for (int64_t i = 0; i < count; ++i) {
        acc = _mm256_fmadd_ps(load_tail(taps[i].in + c, p.out_c - c),
                              load8(packed + taps[i].weights), acc);
      }
      store_tail(out + c, clamp8(acc, clamp), p.out_c - c);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel dwconv_f32_row_c8 = {
    "dwconv_f32_row_c8__fma",
    "fma",
    Family::kConvF32,
    kIsaAvx2 | kIsaFma,
    dwconv_supports,
    dwconv_packed_bytes,
    dwconv_pack,
    dwconv_scratch_bytes,
    dwconv_work_items,
    dwconv_run,
};

extern const Kernel dwconv_f32_any_c8 = {
    "dwconv_f32_any_c8__fma",
    "fma",
    Family::kConvF32,
    kIsaAvx2 | kIsaFma,
    dwconv_any_supports,
    dwconv_packed_bytes,
    dwconv_pack,
    dwconv_any_scratch_bytes,
    dwconv_any_work_items,
    dwconv_any_run,
};

}  // namespace edgecv::kernels::fma

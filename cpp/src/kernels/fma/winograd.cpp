// 3x3 convolutions of stride 1 by Winograd's minimal filtering, F(2x2, 3x3) and F(4x4, 3x3): a tile
// of outputs takes 16 products a pair of channels instead of 36, or 36 instead of 144.
//
// Tiles go in blocks. The inputs under a block are transformed into scratch, one matrix
// [tile][in_c] for each place of the transformed tile; each is multiplied by the transformed
// weights of a group of output channels, and the products are transformed back, with bias and
// clamp. What reaches beyond the image reads zeros and is not written.
//
// The transforms' constants grow rounding errors: about 4 times those of a plain sum for 2x2, 15
// times for 4x4, which docs/ops.md's tolerance leaves room for.
#include "kernels/conv.h"
#include "kernels/fma/gemm.h"

namespace edgecv::kernels::fma {
namespace {

constexpr int64_t kGroupPanels = 4;                   // panels of a group
constexpr int64_t kGroupColumns = 3 * 16 + 24;        // at most
constexpr int64_t kBlockBytes = 640 << 10;            // about: the transformed inputs of a block
constexpr int64_t kLeastTiles = 18, kMostTiles = 24;  // of a block

struct Plan {
  int64_t channels, columns, size;  // size: places of a transformed tile
  int64_t tile_rows, tile_columns, tiles;
  int64_t block, blocks;  // tiles of a block
  Panels panels;
  int64_t groups;                 // of panels
  int64_t in_matrix, out_matrix;  // floats from a place's matrix to the next place's
};

template <int kOut>
Plan make_plan(const ConvProblem& p) {
  Plan plan;
  plan.channels = p.in_c;
  plan.columns = p.out_c;
  plan.size = (kOut + 2) * (kOut + 2);
  plan.tile_rows = div_up(p.out_h, kOut);
  plan.tile_columns = div_up(p.out_w, kOut);
  plan.tiles = p.batch * plan.tile_rows * plan.tile_columns;
  const int64_t fit = kBlockBytes / (plan.size * 4 * plan.channels);
  const int64_t target = max_of(kLeastTiles, min_of(kMostTiles, fit / 6 * 6));
  plan.block = min_of(plan.tiles, round_up(div_up(plan.tiles, div_up(plan.tiles, target)), 6));
  plan.blocks = div_up(plan.tiles, plan.block);
  plan.panels = split_columns(plan.columns);
  plan.groups = div_up(plan.panels.count, kGroupPanels);
  // Odd multiples of a cache line, so that the matrices do not compete for few cache sets.
  plan.in_matrix = plan.block * plan.channels / 16 * 16 + 16;
  plan.in_matrix += plan.in_matrix % 32 == 0 ? 16 : 0;
  plan.out_matrix = plan.block * kGroupColumns / 16 * 16 + 16;
  plan.out_matrix += plan.out_matrix % 32 == 0 ? 16 : 0;
  return plan;
}

// The one-dimensional transforms, from x[0], x[step], ... into y[0], y[to], ... (vectors).
template <int kOut>
struct Transform;

template <>
struct Transform<2> {
  EDGECV_INLINE static void input(const __m256 (&x)[4], __m256 (&y)[4]) {
    y[0] = x[0] - x[2];
    y[1] = x[1] + x[2];
    y[2] = x[2] - x[1];
    y[3] = x[1] - x[3];
  }
  EDGECV_INLINE static void output(const __m256 (&x)[4], __m256 (&y)[2]) {
    y[0] = (x[0] + x[1]) + x[2];
    y[1] = (x[1] - x[2]) - x[3];
  }
  EDGECV_INLINE static void weights(const __m256 (&w)[3], __m256 (&u)[4]) {
    const __m256 outer = (w[0] + w[2]) * set(0.5f), inner = w[1] * set(0.5f);
    u[0] = w[0];
    u[1] = outer + inner;
    u[2] = outer - inner;
    u[3] = w[2];
  }
};

template <>
struct Transform<4> {
  EDGECV_INLINE static void input(const __m256 (&x)[6], __m256 (&y)[6]) {
    const __m256 four = set(4.0f), five = set(5.0f), two = set(2.0f);
    const __m256 even = _mm256_fnmadd_ps(four, x[2], x[4]),
                 odd = _mm256_fnmadd_ps(four, x[1], x[3]);
    const __m256 even2 = x[4] - x[2], odd2 = x[3] - x[1];
    y[0] = _mm256_fmadd_ps(four, x[0], _mm256_fnmadd_ps(five, x[2], x[4]));
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = _mm256_fmadd_ps(two, odd2, even2);
    y[4] = _mm256_fnmadd_ps(two, odd2, even2);
    y[5] = _mm256_fmadd_ps(four, x[1], _mm256_fnmadd_ps(five, x[3], x[5]));
  }
  EDGECV_INLINE static void output(const __m256 (&x)[6], __m256 (&y)[4]) {
    const __m256 sum1 = x[1] + x[2], difference1 = x[1] - x[2];
    const __m256 sum2 = x[3] + x[4], difference2 = x[3] - x[4];
    y[0] = (x[0] + sum1) + sum2;
    y[1] = _mm256_fmadd_ps(set(2.0f), difference2, difference1);
    y[2] = _mm256_fmadd_ps(set(4.0f), sum2, sum1);
    y[3] = _mm256_fmadd_ps(set(8.0f), difference2, difference1) + x[5];
  }
  EDGECV_INLINE static void weights(const __m256 (&w)[3], __m256 (&u)[6]) {
    const __m256 outer = (w[0] + w[2]) * set(-1.0f / 6.0f), inner = w[1] * set(1.0f / 6.0f);
    const __m256 outer2 = w[0] * set(1.0f / 24.0f) + w[2] * set(1.0f / 6.0f);
    const __m256 inner2 = w[1] * set(1.0f / 12.0f);
    u[0] = w[0] * set(0.25f);
    u[1] = outer - inner;
    u[2] = outer + inner;
    u[3] = outer2 + inner2;
    u[4] = outer2 - inner2;
    u[5] = w[2];
  }
};

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return p.groups == 1 && p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 1 &&
         p.stride_w == 1 && p.dilation_h == 1 && p.dilation_w == 1 && p.in_c % 8 == 0 &&
         p.out_c % 8 == 0;
}

// Packed: the bias, then for each group, for each place, the group's panels.
int64_t group_floats(const Plan& plan, int64_t group) {
  const int64_t last = min_of(plan.panels.count, (group + 1) * kGroupPanels);
  return panel_offset(plan.panels, last, plan.channels) -
         panel_offset(plan.panels, group * kGroupPanels, plan.channels);
}

int64_t group_offset(const Plan& plan, int64_t group) {
  return round_up(plan.columns, 16) +
         plan.size * panel_offset(plan.panels, group * kGroupPanels, plan.channels);
}

template <int kOut>
size_t packed_bytes(const void* problem) {
  const Plan plan = make_plan<kOut>(as_conv(problem));
  return static_cast<size_t>(group_offset(plan, plan.groups - 1) +
                             plan.size * group_floats(plan, plan.groups - 1)) *
         sizeof(float);
}

// The transformed weights of 8 input channels of one output channel, [place][8].
template <int kOut>
void transform_weights(const float* w, int64_t channels, float* out) {
  constexpr int kSize = kOut + 2;
  __m256 rows[3][kSize];
  unroll<3>([&](auto i) __attribute__((always_inline)) {
    const __m256 taps[3] = {load8(w + 3 * i * channels), load8(w + (3 * i + 1) * channels),
                            load8(w + (3 * i + 2) * channels)};
    Transform<kOut>::weights(taps, rows[i]);
  });
  unroll<kSize>([&](auto j) __attribute__((always_inline)) {
    const __m256 column[3] = {rows[0][j], rows[1][j], rows[2][j]};
    __m256 places[kSize];
    Transform<kOut>::weights(column, places);
    unroll<kSize>([&](auto i) __attribute__((always_inline)) {
      store8(out + 8 * (i * kSize + j), places[i]);
    });
  });
}

template <int kOut>
void pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const Plan plan = make_plan<kOut>(p);
  const auto* bias = static_cast<const float*>(p.bias);
  auto* out = static_cast<float*>(packed);
  memset(packed, 0, packed_bytes<kOut>(problem));
  if (bias != nullptr) memcpy(out, bias, static_cast<size_t>(plan.columns) * sizeof(float));
  alignas(32) float places[(kOut + 2) * (kOut + 2) * 8];
  for (int64_t column = 0; column < plan.columns; ++column) {
    const int64_t panel = min_of(column / 16, plan.panels.count - 1), group = panel / kGroupPanels;
    const int64_t width = 8 * panel_vectors(plan.panels, panel);
    float* to = out + group_offset(plan, group) + width + column - 16 * panel +
                panel_offset(plan.panels, panel, plan.channels) -
                panel_offset(plan.panels, group * kGroupPanels, plan.channels);
    const int64_t step = group_floats(plan, group);
    const float* w = static_cast<const float*>(p.weights) + column * 9 * plan.channels;
    for (int64_t c = 0; c < plan.channels; c += 8, to += 8 * width) {
      transform_weights<kOut>(w + c, plan.channels, places);
      for (int64_t place = 0; place < plan.size; ++place) {
        for (int64_t i = 0; i < 8; ++i) to[place * step + i * width] = places[8 * place + i];
      }
    }
  }
}

// The products at about 48 a ns, slower where they are short; the transforms of 8 channels of a
// tile; and weights that few tiles share come from memory, at 8 bytes a ns.
template <int kOut>
double cost(const void* problem) {
  const Plan plan = make_plan<kOut>(as_conv(problem));
  const auto tiles = static_cast<double>(plan.tiles), channels = static_cast<double>(plan.channels),
             columns = static_cast<double>(plan.columns);
  const double weights = static_cast<double>(plan.size) * channels * columns;
  const double products = tiles * weights / 48 * (1 + 6 / channels);
  const double stream = weights * sizeof(float) / 8;
  constexpr double kIn = kOut == 4 ? 45 : 18, kOutput = kOut == 4 ? 35 : 13;
  return (products > stream ? products : stream) + tiles * (channels * kIn + columns * kOutput) / 8;
}

// Scratch: zeros of a pixel, pointers to the rows of a matrix, the transformed inputs, the
// products.
struct ScratchBytes {
  int64_t zeros, rows, in, out;
};

ScratchBytes measure_scratch(const Plan& plan) {
  return {round_up(plan.channels * 4, 64), round_up(plan.block * 8, 64),
          plan.size * plan.in_matrix * 4, plan.size * plan.out_matrix * 4};
}

template <int kOut>
size_t scratch_bytes(const void* problem) {
  const ScratchBytes b = measure_scratch(make_plan<kOut>(as_conv(problem)));
  return static_cast<size_t>(b.zeros + b.rows + b.in + b.out);
}

struct Tile {
  int64_t n, y, x;  // first output row and column
};

template <int kOut>
EDGECV_INLINE Tile tile_at(const Plan& plan, int64_t index) {
  return {index / plan.tile_columns / plan.tile_rows,
          index / plan.tile_columns % plan.tile_rows * kOut, index % plan.tile_columns * kOut};
}

// Tile `index`, all channels, into column `out` of every place's matrix.
template <int kOut>
void transform_input(const ConvProblem& p, const Plan& plan, const float* x, const float* zeros,
                     int64_t index, float* out) {
  constexpr int kSize = kOut + 2;
  const Tile tile = tile_at<kOut>(plan, index);
  const float* from[kSize * kSize];
  for (int64_t i = 0; i < kSize; ++i) {
    const int64_t y = tile.y + i - p.pad_top;
    for (int64_t j = 0; j < kSize; ++j) {
      const int64_t column = tile.x + j - p.pad_left;
      const bool inside = y >= 0 && y < p.in_h && column >= 0 && column < p.in_w;
      from[i * kSize + j] =
          inside ? x + ((tile.n * p.in_h + y) * p.in_w + column) * p.in_stride : zeros;
    }
  }
  for (int64_t c = 0; c < plan.channels; c += 8) {
    alignas(32) float columns[kSize * kSize * 8];  // [column of the tile][place in it]
    for (int64_t j = 0; j < kSize; ++j) {
      __m256 taps[kSize], places[kSize];
      unroll<kSize>([&](auto i) __attribute__((always_inline)) {
        taps[i] = load8(from[i * kSize + j] + c);
      });
      Transform<kOut>::input(taps, places);
      unroll<kSize>([&](auto i) __attribute__((always_inline)) {
        _mm256_store_ps(columns + 8 * (j * kSize + i), places[i]);
      });
    }
    for (int64_t i = 0; i < kSize; ++i) {
      __m256 taps[kSize], places[kSize];
      unroll<kSize>([&](auto j) __attribute__((always_inline)) {
        taps[j] = _mm256_load_ps(columns + 8 * (j * kSize + i));
      });
      Transform<kOut>::input(taps, places);
      unroll<kSize>([&](auto j) __attribute__((always_inline)) {
        store8(out + (i * kSize + j) * plan.in_matrix + c, places[j]);
      });
    }
  }
}

// The products of a tile at `in`, of `columns` output channels, into the output at `y`.
template <int kOut>
void transform_output(const ConvProblem& p, const Plan& plan, const float* in, const float* bias,
                      int64_t columns, int64_t index, float* y) {
  constexpr int kSize = kOut + 2;
  const Tile tile = tile_at<kOut>(plan, index);
  const int64_t rows_inside = min_of(kOut, p.out_h - tile.y);
  const int64_t columns_inside = min_of(kOut, p.out_w - tile.x);
  const Clamp clamp = make_clamp(p.lo_f, p.hi_f);
  y += ((tile.n * p.out_h + tile.y) * p.out_w + tile.x) * p.out_stride;
  for (int64_t c = 0; c < columns; c += 8) {
    alignas(32) float columns_of[kSize * kOut * 8];  // [column of the products][output row]
    for (int64_t j = 0; j < kSize; ++j) {
      __m256 places[kSize], sums[kOut];
      unroll<kSize>([&](auto i) __attribute__((always_inline)) {
        places[i] = load8(in + (i * kSize + j) * plan.out_matrix + c);
      });
      Transform<kOut>::output(places, sums);
      unroll<kOut>([&](auto i) __attribute__((always_inline)) {
        _mm256_store_ps(columns_of + 8 * (j * kOut + i), sums[i]);
      });
    }
    const __m256 shift = load8(bias + c);
    for (int64_t i = 0; i < rows_inside; ++i) {
      __m256 places[kSize], sums[kOut];
      unroll<kSize>([&](auto j) __attribute__((always_inline)) {
        places[j] = _mm256_load_ps(columns_of + 8 * (j * kOut + i));
      });
      Transform<kOut>::output(places, sums);
      float* row = y + i * p.out_w * p.out_stride + c;
      unroll<kOut>([&](auto j) __attribute__((always_inline)) {
        if (j < columns_inside) store8(row + j * p.out_stride, clamp8(sums[j] + shift, clamp));
      });
    }
  }
}

// Items: for each block of tiles, for each group of output channels.
template <int kOut>
int64_t work_items(const void* problem) {
  const Plan plan = make_plan<kOut>(as_conv(problem));
  return plan.blocks * plan.groups;
}

template <int kOut>
int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const Plan plan = make_plan<kOut>(p);
  const ScratchBytes bytes = measure_scratch(plan);
  auto* at = static_cast<char*>(scratch);
  auto* zeros = reinterpret_cast<float*>(at);
  auto* rows = reinterpret_cast<const float**>(at + bytes.zeros);
  auto* in = reinterpret_cast<float*>(at + bytes.zeros + bytes.rows);
  auto* products = reinterpret_cast<float*>(at + bytes.zeros + bytes.rows + bytes.in);
  memset(zeros, 0, static_cast<size_t>(plan.channels) * sizeof(float));
  const auto* packed = static_cast<const float*>(operands.packed);
  int64_t transformed = -1;  // which block
  for (int64_t item = begin; item < end; ++item) {
    const int64_t group = item % plan.groups, block = item / plan.groups;
    const int64_t first = block * plan.block, count = min_of(plan.block, plan.tiles - first);
    if (block != transformed) {
      for (int64_t i = 0; i < count; ++i) {
        transform_input<kOut>(p, plan, static_cast<const float*>(operands.in[0]), zeros, first + i,
                              in + i * plan.channels);
      }
      transformed = block;
    }
    const int64_t first_panel = group * kGroupPanels;
    const int64_t end_panel = min_of(plan.panels.count, first_panel + kGroupPanels);
    const int64_t first_column = 16 * first_panel;
    const int64_t columns =
        end_panel == plan.panels.count ? plan.columns - first_column : 16 * kGroupPanels;
    const float* weights = packed + group_offset(plan, group);
    for (int64_t place = 0; place < plan.size; ++place) {
      for (int64_t i = 0; i < count; ++i) rows[i] = in + place * plan.in_matrix + i * plan.channels;
      const Rows a = {rows, count, 1, plan.channels};
      for (int64_t i = first_panel; i < end_panel; ++i) {
        const int vectors = panel_vectors(plan.panels, i);
        Output o;
        o.out = products + place * plan.out_matrix + 16 * (i - first_panel);
        o.stride = columns;
        o.columns = 8 * vectors;
        gemm_panel<false>(a, count, weights, vectors, o);
        weights += panel_floats(vectors, plan.channels);
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      transform_output<kOut>(p, plan, products + i * columns, packed + first_column, columns,
                             first + i, static_cast<float*>(operands.out) + first_column);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel winograd_f32_4x4 = {
    "winograd_f32_4x4_3x3__fma",
    "fma",
    Family::kConvF32,
    kIsaAvx2 | kIsaFma,
    supports,
    packed_bytes<4>,
    pack<4>,
    scratch_bytes<4>,
    work_items<4>,
    run<4>,
    cost<4>,
};

extern const Kernel winograd_f32_2x2 = {
    "winograd_f32_2x2_3x3__fma",
    "fma",
    Family::kConvF32,
    kIsaAvx2 | kIsaFma,
    supports,
    packed_bytes<2>,
    pack<2>,
    scratch_bytes<2>,
    work_items<2>,
    run<2>,
    cost<2>,
};

}  // namespace edgecv::kernels::fma

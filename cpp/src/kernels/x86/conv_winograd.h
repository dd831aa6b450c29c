// Dense 3x3 s8 convolution, stride 1, as integer Winograd F(2x2, 3x3): 16 products an output tile
// of 2x2 pixels instead of 36, and exact.
//
//   V = B^T x B     4x4 pixels of input, s8 grows to 10 bits
//   U = G g G^T     with G twice the usual one, so that it is integer and U four times the usual:
//   12
//                   bits, made when packing
//   M = sum over input channels of U * V, element by element: 16 matrix products of tiles x
//   channels y = (A^T M A) / 4 + bias, requantized
//
// Sums wrap modulo 2^32; A^T M A is four times the convolution, which is below 2^31 (supports), so
// the division is exact. The zero point is folded into the bias, and pixels outside the image are
// zero_point, as in the direct form.
//
// A work item is one panel of output channels for a block of tiles. A block's V is made once and
// stays in L2; the panel's U of one of the 16 elements stays in L1 while the block's tiles pass.
#ifndef EDGECV_KERNELS_X86_CONV_WINOGRAD_H_
#define EDGECV_KERNELS_X86_CONV_WINOGRAD_H_

#include "kernels/x86/conv_winograd_pack.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// One row or column of B^T d, or of its transpose.
EDGECV_INLINE Four transform_input(Vec a, Vec b, Vec c, Vec d) {
  return {{sub_s16(a, c), add_s16(b, c), sub_s16(c, b), sub_s16(b, d)}};
}

// A tile's 16 pixels, row by row, all of whose channels are transformed to kElements rows of V.
struct InputTile {
  const int8_t* pixels[16];
};

EDGECV_INLINE void transform_channels(const Vec (&x)[16], int16_t* out, int64_t element) {
  Four rows[4];  // B^T d: rows[c].v[r]
  unroll<4>([&](auto c) __attribute__((always_inline)) {
    rows[c] = transform_input(x[c], x[4 + c], x[8 + c], x[12 + c]);
  });
  unroll<4>([&](auto r) __attribute__((always_inline)) {
    const Four y = transform_input(rows[0].v[r], rows[1].v[r], rows[2].v[r], rows[3].v[r]);
    unroll<4>([&](auto c)
                  __attribute__((always_inline)) { store(out + (4 * r + c) * element, y.v[c]); });
  });
}

void transform_tile(const InputTile& tile, int64_t channels, int16_t* out, int64_t element) {
  int64_t c = 0;
  for (; c + kWords <= channels; c += kWords) {
    Vec x[16];
    unroll<16>([&](auto i)
                   __attribute__((always_inline)) { x[i] = load_s8_s16(tile.pixels[i] + c); });
    transform_channels(x, out + c, element);
  }
  if (c < channels) {
    Vec x[16];
    unroll<16>([&](auto i) __attribute__((always_inline)) {
      x[i] = widen_s8_s16(load_tail(tile.pixels[i] + c, channels - c));
    });
    transform_channels(x, out + c, element);
  }
}

// Where a tile lies: image, first output row and column.
struct TileAt {
  int64_t n, y, x;
};

TileAt locate_tile(const WinogradPlan& plan, int64_t index) {
  const int64_t column = index % plan.tiles_w, row = index / plan.tiles_w;
  return {row / plan.tiles_h, row % plan.tiles_h * 2, column * 2};
}

void next_tile(const ConvProblem& p, TileAt* at) {
  at->x += 2;
  if (at->x < p.out_w) return;
  at->x = 0;
  at->y += 2;
  if (at->y < p.out_h) return;
  at->y = 0;
  ++at->n;
}

// The 16 input pixels of a tile; `outside` is a pixel of zero points.
void find_pixels(const ConvProblem& p, const TileAt& at, const int8_t* x, const int8_t* outside,
                 InputTile* tile) {
  const int64_t top = at.y - p.pad_top, left = at.x - p.pad_left;
  const int64_t row_step = p.in_w * p.in_stride;
  const int8_t* image = x + at.n * p.in_h * row_step;
  if (top >= 0 && top + 4 <= p.in_h && left >= 0 && left + 4 <= p.in_w) {
    const int8_t* first = image + top * row_step + left * p.in_stride;
    unroll<16>([&](auto i) __attribute__((always_inline)) {
      tile->pixels[i] = first + i / 4 * row_step + i % 4 * p.in_stride;
    });
    return;
  }
  for (int64_t i = 0; i < 16; ++i) {
    const int64_t row = top + i / 4, column = left + i % 4;
    const bool inside = row >= 0 && row < p.in_h && column >= 0 && column < p.in_w;
    tile->pixels[i] = inside ? image + row * row_step + column * p.in_stride : outside;
  }
}

void transform_block(const ConvProblem& p, const WinogradPlan& plan, const int8_t* x, int64_t first,
                     int64_t count, const int8_t* outside, int16_t* v) {
  TileAt at = locate_tile(plan, first);
  for (int64_t i = 0; i < count; ++i, v += kElements * plan.v_element) {
    InputTile tile;
    find_pixels(p, at, x, outside, &tile);
    transform_tile(tile, p.in_c, v, plan.v_element);
    next_tile(p, &at);
  }
}

// One element's products of `groups` times kRows tiles with a panel.
struct Product {
  const int16_t* v;
  int64_t v_tile;  // s16 from tile to tile
  const int16_t* u;
  int64_t pairs;
  int32_t* m;
  const int8_t* ahead;  // fetched into L2 while a group is computed
  int64_t ahead_bytes;  // per group
};

constexpr int64_t kMTile = kElements * kPanelColumns;  // s32 of a tile's M

template <int kRows, int kVectors>
__attribute__((noinline)) void multiply(Product t, int64_t groups) {
  for (; groups > 0; --groups, t.v += kRows * t.v_tile, t.m += kRows * kMTile) {
    Vec acc[kRows][kVectors];
    const int16_t* a[kRows];
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      a[r] = t.v + r * t.v_tile;
      unroll<kVectors>([&](auto i) __attribute__((always_inline)) { acc[r][i] = zero(); });
    });
    for (int64_t i = 0; i < t.ahead_bytes; i += 64) _mm_prefetch(t.ahead + i, _MM_HINT_T1);
    t.ahead += t.ahead_bytes;
    const int16_t* u = t.u;
    for (int64_t k = 0; k < 2 * t.pairs; k += 2, u += 2 * kVectors * kDwords) {
      Vec weights[kVectors];
      unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
        weights[i] = load(u + 2 * kDwords * i);
      });
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        const Vec pair = set1_s32(load_s32(a[r] + k));
        unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
          add_to(acc[r][i], madd_s16(pair, weights[i]));
        });
      });
    }
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
        store(t.m + r * kMTile + kDwords * i, acc[r][i]);
      });
    });
  }
}

template <int kVectors>
void multiply_block(Product t, int64_t tiles) {
  multiply<4, kVectors>(t, tiles / 4);
  t.v += tiles / 4 * 4 * t.v_tile;
  t.m += tiles / 4 * 4 * kMTile;
  t.ahead_bytes = 0;
  unroll<3>([&](auto i) {
    if (tiles % 4 == i + 1) multiply<i + 1, kVectors>(t, 1);
  });
}

EDGECV_INLINE Vec sum3(Vec a, Vec b, Vec c) { return add_s32(add_s32(a, b), c); }
EDGECV_INLINE Vec difference3(Vec a, Vec b, Vec c) { return sub_s32(sub_s32(a, b), c); }

// The four pixels of kDwords channels, requantized: pixel i in bytes [i * kDwords, ...).
EDGECV_INLINE Vec finish_vector(const int32_t* m, Vec bias, VecF multiplier, const Clamp& clamp) {
  Vec top[4], bottom[4];  // A^T M
  unroll<4>([&](auto c) __attribute__((always_inline)) {
    const Vec m0 = load(m + c * kPanelColumns), m1 = load(m + (4 + c) * kPanelColumns);
    const Vec m2 = load(m + (8 + c) * kPanelColumns), m3 = load(m + (12 + c) * kPanelColumns);
    top[c] = sum3(m0, m1, m2);
    bottom[c] = difference3(m1, m2, m3);
  });
  Vec y[4] = {sum3(top[0], top[1], top[2]), difference3(top[1], top[2], top[3]),
              sum3(bottom[0], bottom[1], bottom[2]), difference3(bottom[1], bottom[2], bottom[3])};
  unroll<4>([&](auto i) __attribute__((always_inline)) {
    y[i] = scale_round(add_s32(shift_right_s32<2>(y[i]), bias), multiplier);
  });
  return clamp_bytes(pack_words(y[0], y[1], clamp), pack_words(y[2], y[3], clamp), clamp);
}

// Where a tile's four pixels go; those beyond the image go to a place nobody reads.
struct OutputTile {
  int8_t* at[4];
};

void store_some(const OutputTile& t, int64_t column, Vec bytes, int64_t count) {
  alignas(kVecBytes) int8_t all[kVecBytes];
  store(all, bytes);
  for (int i = 0; i < 4; ++i)
    memcpy(t.at[i] + column, all + i * kDwords, static_cast<size_t>(count));
}

struct Finish {
  const int32_t* m;
  const int32_t* bias;
  const float* multiplier;
  int64_t columns;  // that exist
};

void finish_tile(const Finish& f, const OutputTile& tile, const Clamp& clamp) {
  for (int64_t c = 0; c < f.columns; c += kDwords) {
    const Vec bytes = finish_vector(f.m + c, load(f.bias + c), load_f32(f.multiplier + c), clamp);
    if (f.columns - c >= kDwords) {
      store_quarters(tile.at[0] + c, tile.at[1] + c, tile.at[2] + c, tile.at[3] + c, bytes);
    } else {
      store_some(tile, c, bytes, f.columns - c);
    }
  }
}

// Scratch: V, M, a pixel of zero points.
int64_t v_bytes(const WinogradPlan& plan) {
  return round_up(plan.block * kElements * plan.v_element * 2, 64);
}

size_t winograd_scratch_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const WinogradPlan plan = plan_winograd(p);
  return static_cast<size_t>(v_bytes(plan) + plan.block * kMTile * 4 + p.in_c);
}

// Fitted to measurements at 256 bits: products, transforms, and weights beyond a cache. Half as
// wide vectors take twice as long.
double winograd_cost(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const WinogradPlan plan = plan_winograd(p);
  const double products = static_cast<double>(plan.tiles * kElements) * p.in_c * p.out_c / 81;
  const double transforms = 2.5 * static_cast<double>(plan.tiles) * (p.in_c + p.out_c);
  const double weights = static_cast<double>(p.out_c * plan.column_bytes - (1 << 20)) / 12;
  return (products + transforms) * 8 / kDwords + (weights > 0 ? weights : 0);
}

int64_t winograd_items(const void* problem) {
  const WinogradPlan plan = plan_winograd(as_conv(problem));
  return plan.blocks * plan.panels;
}

void run_panel(const ConvProblem& p, const WinogradPlan& plan, int64_t panel, int64_t first,
               int64_t count, const int16_t* v, int32_t* m, const int8_t* bytes, int8_t* y) {
  const int64_t vectors = panel_vectors(plan, panel), width = vectors * kDwords;
  const int64_t element_bytes = plan.depth * width * 2;
  Product product;
  product.v_tile = kElements * plan.v_element;
  product.pairs = plan.depth / 2;
  product.ahead_bytes = count >= 4 ? round_up(div_up(element_bytes, count / 4), 64) : 0;
  for (int64_t e = 0; e < kElements; ++e) {
    product.v = v + e * plan.v_element;
    product.u = reinterpret_cast<const int16_t*>(bytes + 8 * width + e * element_bytes);
    product.m = m + e * kPanelColumns;
    product.ahead = reinterpret_cast<const int8_t*>(product.u) + element_bytes;
    if (vectors == 3) {
      multiply_block<3>(product, count);
    } else if (vectors == 2) {
      multiply_block<2>(product, count);
    } else {
      multiply_block<1>(product, count);
    }
  }
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  int8_t nowhere[kPanelColumns];
  Finish finish;
  finish.bias = reinterpret_cast<const int32_t*>(bytes);
  finish.multiplier = reinterpret_cast<const float*>(bytes + 4 * width);
  finish.columns = min_of(width, p.out_c - panel_column(plan, panel));
  TileAt at = locate_tile(plan, first);
  for (int64_t i = 0; i < count; ++i) {
    const bool right = at.x + 1 < p.out_w, below = at.y + 1 < p.out_h;
    int8_t* pixel = y + ((at.n * p.out_h + at.y) * p.out_w + at.x) * p.out_stride;
    int8_t* under = pixel + p.out_w * p.out_stride;
    const OutputTile tile = {{pixel, right ? pixel + p.out_stride : nowhere,
                              below ? under : nowhere,
                              below && right ? under + p.out_stride : nowhere}};
    finish.m = m + i * kMTile;
    finish_tile(finish, tile, clamp);
    next_tile(p, &at);
  }
}

int winograd_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                 void* scratch) {
  const ConvProblem& p = as_conv(problem);
  const WinogradPlan plan = plan_winograd(p);
  auto* v = static_cast<int16_t*>(scratch);
  auto* m = reinterpret_cast<int32_t*>(static_cast<int8_t*>(scratch) + v_bytes(plan));
  auto* outside = reinterpret_cast<int8_t*>(m + plan.block * kMTile);
  memset(outside, p.in_zero_point, static_cast<size_t>(p.in_c));
  int64_t transformed = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t panel = item % plan.panels, block = item / plan.panels;
    const int64_t first = block * plan.block, count = min_of(plan.block, plan.tiles - first);
    if (block != transformed) {
      transform_block(p, plan, static_cast<const int8_t*>(operands.in[0]), first, count, outside,
                      v);
      transformed = block;
    }
    run_panel(p, plan, panel, first, count, v, m, panel_at(plan, operands.packed, panel),
              static_cast<int8_t*>(operands.out) + panel_column(plan, panel));
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_WINOGRAD_H_

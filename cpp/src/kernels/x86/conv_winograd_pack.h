// Plan and packed weights of conv_winograd.h, which describes the method.
#ifndef EDGECV_KERNELS_X86_CONV_WINOGRAD_PACK_H_
#define EDGECV_KERNELS_X86_CONV_WINOGRAD_PACK_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kElements = 16;           // of a transformed tile
constexpr int64_t kBlockBytes = 128 << 10;  // of V
constexpr int64_t kMaxVectors = 3;          // of a panel
constexpr int64_t kPanelColumns = kMaxVectors * kDwords;

struct WinogradPlan {
  int64_t depth;      // input channels, padded to whole vectors of s16
  int64_t v_element;  // s16 from element to element of V; a tile has kElements of them
  // Panels have `vectors` vectors of output channels each, those after the first `wide_panels` one
  // less.
  int64_t panels, vectors, wide_panels;
  int64_t column_bytes;  // packed, of an output channel
  int64_t tiles_w, tiles_h, tiles;
  int64_t block, blocks;  // tiles of a block
};

WinogradPlan plan_winograd(const ConvProblem& p) {
  WinogradPlan plan;
  plan.depth = round_up(p.in_c, 2);
  // 32 bytes beyond a power of two, or neighbouring rows would compete for few cache sets.
  plan.v_element = round_up(p.in_c, kWords) + 16;
  const int64_t vectors = div_up(p.out_c, kDwords);
  plan.panels = div_up(vectors, kMaxVectors);
  plan.vectors = div_up(vectors, plan.panels);
  plan.wide_panels = plan.panels - (plan.panels * plan.vectors - vectors);
  plan.column_bytes = 8 + kElements * plan.depth * 2;
  plan.tiles_w = div_up(p.out_w, 2);
  plan.tiles_h = div_up(p.out_h, 2);
  plan.tiles = p.batch * plan.tiles_h * plan.tiles_w;
  const int64_t fit =
      min_of(96, max_of(16, kBlockBytes / (kElements * plan.v_element * 2) / 4 * 4));
  plan.blocks = div_up(plan.tiles, fit);
  plan.block = min_of(fit, round_up(div_up(plan.tiles, plan.blocks), 4));
  plan.blocks = div_up(plan.tiles, plan.block);
  return plan;
}

// Vectors of panel i, and output channels before it.
int64_t panel_vectors(const WinogradPlan& plan, int64_t i) {
  return plan.vectors - (i < plan.wide_panels ? 0 : 1);
}
int64_t panel_column(const WinogradPlan& plan, int64_t i) {
  return (i * plan.vectors - max_of(0, i - plan.wide_panels)) * kDwords;
}
const int8_t* panel_at(const WinogradPlan& plan, const void* packed, int64_t i) {
  return static_cast<const int8_t*>(packed) + panel_column(plan, i) * plan.column_bytes;
}

// Four s16 vectors: a row or column of a transformed tile.
struct Four {
  Vec v[4];
};

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool winograd_supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  // 4 * 9 * 128 * 127 * in_c stays below 2^31.
  return p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 1 && p.stride_w == 1 &&
         p.dilation_h == 1 && p.dilation_w == 1 && p.groups == 1 && p.in_c >= 16 && p.out_c >= 16 &&
         p.in_c <= 3600;
}

size_t winograd_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(round_up(p.out_c, kDwords) * plan_winograd(p).column_bytes);
}

// One row or column of G g, or of its transpose.
EDGECV_INLINE Four transform_weights(Vec a, Vec b, Vec c) {
  const Vec ends = add_s16(a, c);
  return {{add_s16(a, a), add_s16(ends, b), sub_s16(ends, b), add_s16(c, c)}};
}

// Panel: s32 bias[columns], f32 multiplier[columns], then for each element, for each pair of input
// channels, for each column: s16 U[k], U[k + 1].
void pack_column(const ConvProblem& p, const WinogradPlan& plan, int64_t channel, int64_t column,
                 int64_t width, int8_t* panel) {
  const int8_t* w = static_cast<const int8_t*>(p.weights) + channel * 9 * p.in_c;
  int8_t* u = panel + 8 * width + 4 * column;
  const int64_t element = plan.depth * width * 2, pairs = plan.depth / 2;
  Vec total = zero();
  for (int64_t k = 0; k < p.in_c; k += kWords) {
    const int64_t count = min_of(kWords, p.in_c - k);
    Four rows[3];
    unroll<3>([&](auto kh) __attribute__((always_inline)) {
      Vec g[3];
      unroll<3>([&](auto kw) __attribute__((always_inline)) {
        g[kw] = widen_s8_s16(load_half(w + (3 * kh + kw) * p.in_c + k, count));
      });
      rows[kh] = transform_weights(g[0], g[1], g[2]);
    });
    const int64_t stop = min_of(kDwords, pairs - k / 2);
    unroll<4>([&](auto c) __attribute__((always_inline)) {
      const Four all = transform_weights(rows[0].v[c], rows[1].v[c], rows[2].v[c]);
      // The middle element is the sum of the nine weights.
      if (c == 1) total = add_s32(total, madd_s16(all.v[1], set1_s16(1)));
      unroll<4>([&](auto r) __attribute__((always_inline)) {
        alignas(kVecBytes) int32_t two[kDwords];
        store(two, all.v[r]);
        int8_t* out = u + (4 * r + c) * element + k * width * 2;
        for (int64_t i = 0; i < stop; ++i, out += 4 * width) memcpy(out, &two[i], 4);
      });
    });
  }
  const auto sum = static_cast<uint32_t>(total_s32(total));
  const uint32_t folded = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[channel]) -
                          sum * static_cast<uint32_t>(p.in_zero_point);
  memcpy(panel + 4 * column, &folded, sizeof folded);
  memcpy(panel + 4 * width + 4 * column, &p.multiplier[channel], sizeof(float));
}

void winograd_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const WinogradPlan plan = plan_winograd(p);
  memset(packed, 0, winograd_packed_bytes(problem));
  for (int64_t i = 0; i < plan.panels; ++i) {
    const int64_t width = panel_vectors(plan, i) * kDwords, first = panel_column(plan, i);
    int8_t* panel = static_cast<int8_t*>(packed) + first * plan.column_bytes;
    const int64_t stop = min_of(width, p.out_c - first);
    for (int64_t c = 0; c < stop; ++c) pack_column(p, plan, first + c, c, width, panel);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_WINOGRAD_PACK_H_

// The f32 matrix product of this folder: rows of activations, read where they lie, against packed
// panels of columns.
//
// A panel is 8, 16 or 24 columns wide: first their bias, then for each depth index the columns'
// weights, zeros past the last column. A row's depth comes in segments of adjacent floats, one
// pointer each. Every output is summed from its bias on in depth order by fused multiply-adds,
// whatever tile it falls into, so the result does not depend on how the rows are cut.
#ifndef EDGECV_KERNELS_FMA_GEMM_H_
#define EDGECV_KERNELS_FMA_GEMM_H_

#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

// How `columns` are cut into panels: two vectors each, and one of three at the end when the number
// of vectors is odd (one alone when that is all).
struct Panels {
  int64_t count;
  int last_vectors;
};

EDGECV_INLINE Panels split_columns(int64_t columns) {
  const int64_t vectors = div_up(columns, 8);
  if (vectors == 1) return {1, 1};
  return {vectors / 2, vectors % 2 == 0 ? 2 : 3};
}

EDGECV_INLINE int panel_vectors(const Panels& panels, int64_t i) {
  return i + 1 == panels.count ? panels.last_vectors : 2;
}

EDGECV_INLINE int64_t panel_floats(int vectors, int64_t depth) { return 8 * vectors * (depth + 1); }

// Floats of the panels before panel i; i == count gives all of them.
EDGECV_INLINE int64_t panel_offset(const Panels& panels, int64_t i, int64_t depth) {
  const int64_t vectors = i == panels.count ? 2 * (i - 1) + panels.last_vectors : 2 * i;
  return vectors * (depth + 1) * 8;
}

// The rows of a product: row r of segment s begins at rows[s * pitch + r].
struct Rows {
  const float* const* rows;
  int64_t pitch;
  int64_t segments, depth;  // floats of a segment
};

struct Output {
  float* out;
  int64_t stride, columns;
  Clamp clamp;
};

template <int kRows, int kVectors, bool kClamp>
inline void gemm_tile(const Rows& a, const float* panel, const Output& o) {
  __m256 acc[kRows][kVectors];
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    const __m256 bias = load8(panel + 8 * v);
    unroll<kRows>([&](auto r) __attribute__((always_inline)) { acc[r][v] = bias; });
  });
  const float* b = panel + 8 * kVectors;
  for (int64_t s = 0; s < a.segments; ++s) {
    const float* row[kRows];
    unroll<kRows>([&](auto r) __attribute__((always_inline)) { row[r] = a.rows[s * a.pitch + r]; });
    for (int64_t k = 0; k < a.depth; ++k) {
      __m256 weights[kVectors];
      unroll<kVectors>([&](auto v)
                           __attribute__((always_inline)) { weights[v] = load8(b + 8 * v); });
      b += 8 * kVectors;
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        const __m256 x = _mm256_broadcast_ss(row[r] + k);
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          acc[r][v] = _mm256_fmadd_ps(x, weights[v], acc[r][v]);
        });
      });
    }
  }
  if (o.columns == 8 * kVectors) {
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        store8(o.out + r * o.stride + 8 * v, kClamp ? clamp8(acc[r][v], o.clamp) : acc[r][v]);
      });
    });
    return;
  }
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    alignas(32) float values[8 * kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      _mm256_store_ps(values + 8 * v, kClamp ? clamp8(acc[r][v], o.clamp) : acc[r][v]);
    });
    memcpy(o.out + r * o.stride, values, static_cast<size_t>(o.columns) * sizeof(float));
  });
}

// Tiles of kTall rows; of what is left between one and two tiles, two halves, because a tile of few
// rows has too few sums to hide the latency of an addition.
template <int kVectors, bool kClamp>
inline void gemm_rows(Rows a, int64_t count, const float* panel, Output o) {
  constexpr int kTall = kVectors == 3 ? 4 : kVectors == 2 ? 6 : 8;
  while (count > 0) {
    const int64_t now = count >= 2 * kTall ? kTall : count > kTall ? (count + 1) / 2 : count;
    if (now == kTall) {
      gemm_tile<kTall, kVectors, kClamp>(a, panel, o);
    } else {
      unroll<kTall - 1>([&](auto i) {
        if (now == i + 1) gemm_tile<i + 1, kVectors, kClamp>(a, panel, o);
      });
    }
    a.rows += now;
    o.out += now * o.stride;
    count -= now;
  }
}

// All `count` rows against one panel.
template <bool kClamp>
EDGECV_INLINE void gemm_panel(const Rows& a, int64_t count, const float* panel, int vectors,
                              const Output& o) {
  if (vectors == 2) return gemm_rows<2, kClamp>(a, count, panel, o);
  if (vectors == 3) return gemm_rows<3, kClamp>(a, count, panel, o);
  return gemm_rows<1, kClamp>(a, count, panel, o);
}

// Writes one panel: column c < count takes weights[c * column_step + k * depth_step].
inline void pack_panel(const float* weights, int64_t column_step, int64_t depth_step, int64_t depth,
                       const float* bias, int64_t count, int vectors, float* out) {
  const int64_t width = 8 * vectors;
  memset(out, 0, static_cast<size_t>(width) * sizeof(float));
  if (bias != nullptr) memcpy(out, bias, static_cast<size_t>(count) * sizeof(float));
  out += width;
  for (int64_t k = 0; k < depth; ++k, out += width) {
    const float* from = weights + k * depth_step;
    for (int64_t c = 0; c < count; ++c) out[c] = from[c * column_step];
    for (int64_t c = count; c < width; ++c) out[c] = 0.0f;
  }
}

}  // namespace
}  // namespace edgecv::kernels::fma

#endif  // EDGECV_KERNELS_FMA_GEMM_H_

// The s8 matrix product: rows of pixels in scratch times the panels of gemm_panel.h.
//
// On Zen 3 maddubs and madd_s16 have two ports of four, additions any of them. A tile of 4 rows x 2
// vectors leaves registers for the weights and a broadcast; taller tiles save loads, which do not
// bind here, and spill.
#ifndef EDGECV_KERNELS_X86_GEMM_TILE_H_
#define EDGECV_KERNELS_X86_GEMM_TILE_H_

#include "kernels/x86/gemm_panel.h"
#include "kernels/x86/gemm_store.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

struct Tile {
  const uint8_t* bytes;         // the left factor as u8
  const int16_t* words;         // and as s16
  const int64_t* rows;          // where each row begins in both, in elements
  const int64_t* quad_offsets;  // where each segment begins, from there
  const int64_t* pair_offsets;
  int8_t* out;
  int64_t out_stride;
  int64_t columns;  // of the panel that exist
  // Bytes fetched ahead into L2 while the tiles are computed, so many a tile: the next panel.
  const int8_t* ahead;
  int64_t ahead_bytes;
};

// How far a product of few rows fetches ahead: it waits for nothing but weights, and the hardware's
// own stream keeps up with half of what the cache can give.
constexpr int64_t kStreamAhead = 2048;
// Fewer rows than this read s8 pairs directly: widening them first would cost as much as it saves.
constexpr int64_t kFewRows = 6;

EDGECV_INLINE Vec broadcast_quad(const uint8_t* p) { return set1_s32(load_s32(p)); }

template <bool kWide>
EDGECV_INLINE Vec load_pairs(const int8_t* w, int vector) {
  if constexpr (kWide) return load(w + kVecBytes * vector);
  return load_s8_s16(w + kVecBytes / 2 * vector);
}

// kSum quads of every row times kSum * kVectors vectors of weights.
template <int kSum, int kRows, int kVectors>
EDGECV_INLINE void multiply_quads(Vec (&acc)[kRows][kVectors], const uint8_t* const (&a)[kRows],
                                  int64_t k, const int8_t* w, Vec ones) {
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    Vec quads[kSum];
    unroll<kSum>([&](auto i) __attribute__((always_inline)) {
      quads[i] = broadcast_quad(a[r] + k + 4 * i);
    });
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      Vec sum = maddubs(quads[0], load(w + kVecBytes * v));
      unroll<kSum - 1>([&](auto i) __attribute__((always_inline)) {
        add_words_to(sum, maddubs(quads[i + 1], load(w + kVecBytes * ((i + 1) * kVectors + v))));
      });
      add_to(acc[r][v], madd_s16(sum, ones));
    });
  });
}

template <Form kForm, int kRows, int kVectors>
EDGECV_INLINE void multiply_bytes(Vec (&acc)[kRows][kVectors], const Tile& t, const Depth& depth,
                                  const int8_t* w) {
  constexpr int kSum = kForm == Form::kSum4 ? 4 : kForm == Form::kSum2 ? 2 : 1;
  constexpr int64_t kQuadBytes = kVecBytes * kVectors;
  const uint8_t* a[kRows];
  const Vec ones = set1_s16(1);
  for (int64_t segment = 0; segment < depth.segments; ++segment) {
    const int64_t begin = t.quad_offsets[segment];
    unroll<kRows>([&](auto r)
                      __attribute__((always_inline)) { a[r] = t.bytes + t.rows[r] + begin; });
    const int64_t end = 4 * depth.segment;
    int64_t k = 0;
    for (; k + 4 * kSum <= end; k += 4 * kSum, w += kSum * kQuadBytes) {
      if constexpr (kRows <= 2)
        _mm_prefetch(reinterpret_cast<const char*>(w) + kStreamAhead, _MM_HINT_T0);
      multiply_quads<kSum>(acc, a, k, w, ones);
    }
    if constexpr (kSum > 1) {
      for (; k < end; k += 4, w += kQuadBytes) multiply_quads<1>(acc, a, k, w, ones);
    }
  }
}

template <bool kWide, int kRows, int kVectors>
EDGECV_INLINE void multiply_words(Vec (&acc)[kRows][kVectors], const Tile& t, const Depth& depth,
                                  const int8_t* w) {
  constexpr int64_t kPairBytes = kVecBytes / (kWide ? 1 : 2) * kVectors;
  const int16_t* a[kRows];
  for (int64_t segment = 0; segment < depth.segments; ++segment) {
    const int64_t begin = t.pair_offsets[segment];
    unroll<kRows>([&](auto r)
                      __attribute__((always_inline)) { a[r] = t.words + t.rows[r] + begin; });
    for (int64_t k = 0; k < 2 * depth.segment; k += 2, w += kPairBytes) {
      if constexpr (!kWide)
        _mm_prefetch(reinterpret_cast<const char*>(w) + kStreamAhead, _MM_HINT_T0);
      Vec weights[kVectors];
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        weights[v] = load_pairs<kWide>(w, v);
      });
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        const Vec pair = set1_s32(load_s32(a[r] + k));
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          add_to(acc[r][v], madd_s16(pair, weights[v]));
        });
      });
    }
  }
}

// `tiles` tiles of kRows rows below each other. Out of line: inlined next to its siblings, the
// compiler leaves accumulators in memory.
template <Form kForm, bool kWide, int kRows, int kVectors>
__attribute__((noinline)) void multiply_tiles(Tile t, const Depth depth, int64_t tiles,
                                              const Panel panel, const Clamp clamp) {
  for (; tiles > 0; --tiles, t.rows += kRows, t.out += kRows * t.out_stride) {
    Vec acc[kRows][kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Vec bias = load(panel.bias + kDwords * v);
      unroll<kRows>([&](auto r) __attribute__((always_inline)) { acc[r][v] = bias; });
    });
    for (int64_t i = 0; i < t.ahead_bytes; i += 64)
      _mm_prefetch(reinterpret_cast<const char*>(t.ahead) + i, _MM_HINT_T1);
    t.ahead += t.ahead_bytes;
    if constexpr (kForm == Form::kWiden) {
      multiply_words<kWide>(acc, t, depth, panel.weights);
    } else {
      multiply_bytes<kForm>(acc, t, depth, panel.weights);
    }
    if (t.columns == kDwords * kVectors) {
      store_tile(t.out, t.out_stride, panel.multiplier, clamp, acc);
    } else {
      Vec sums[kRows * kVectors];
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          sums[r * kVectors + v] = acc[r][v];
        });
      });
      store_partial_tile(t.out, t.out_stride, t.columns, panel.multiplier, clamp, sums, kRows,
                         kVectors);
    }
  }
}

// Rows in tiles of kRows, and what they leave in lower ones.
template <Form kForm, bool kWide, int kRows, int kVectors>
inline void multiply_rows(Tile t, const Depth& depth, int64_t rows, const Panel& panel,
                          const Clamp& clamp) {
  if constexpr (kRows > 0) {
    const int64_t tiles = rows / kRows;
    if (tiles > 0) {
      multiply_tiles<kForm, kWide, kRows, kVectors>(t, depth, tiles, panel, clamp);
      t.rows += tiles * kRows;
      t.out += tiles * kRows * t.out_stride;
      rows -= tiles * kRows;
      t.ahead_bytes = 0;
    }
    constexpr int kLower = kRows > 4 ? 4 : kRows - 1;
    if (rows > 0) multiply_rows<kForm, kWide, kLower, kVectors>(t, depth, rows, panel, clamp);
  }
}

template <Form kForm, bool kWide>
inline void multiply_columns(const Tile& t, const Depth& depth, int64_t rows, const Panel& panel,
                             int vectors, const Clamp& clamp) {
  constexpr int kTall = kForm == Form::kWiden ? 6 : 4;
  if (vectors == 2) return multiply_rows<kForm, kWide, kTall, 2>(t, depth, rows, panel, clamp);
  return multiply_rows<kForm, kWide, 8, 1>(t, depth, rows, panel, clamp);
}

// All rows of a chunk against one panel. `wide_weights` is scratch for the panel's pairs as s16.
inline void multiply_panel(Tile t, int64_t rows, const PanelShape& shape, const void* packed,
                           int vectors, int16_t* wide_weights, const Clamp& clamp) {
  Panel panel = panel_at(packed, vectors);
  const int64_t tiles = max_of(1, rows / (vectors == 2 ? 4 : 8));
  t.ahead = static_cast<const int8_t*>(packed) + shape.bytes;
  t.ahead_bytes = rows > kFewRows ? round_up(shape.bytes / tiles, 64) : 0;
  switch (panel.form) {
    case Form::kDot4:
      return;
    case Form::kSum4:
      return multiply_columns<Form::kSum4, false>(t, shape.quads, rows, panel, vectors, clamp);
    case Form::kSum2:
      return multiply_columns<Form::kSum2, false>(t, shape.quads, rows, panel, vectors, clamp);
    case Form::kSum1:
      return multiply_columns<Form::kSum1, false>(t, shape.quads, rows, panel, vectors, clamp);
    case Form::kWiden:
      break;
  }
  if (!shape.wide && rows <= kFewRows) {
    return multiply_columns<Form::kWiden, false>(t, shape.pairs, rows, panel, vectors, clamp);
  }
  if (!shape.wide) {
    widen_run(wide_weights, panel.weights, 2 * kDwords * vectors * shape.pairs.units());
    panel.weights = reinterpret_cast<const int8_t*>(wide_weights);
  }
  multiply_columns<Form::kWiden, true>(t, shape.pairs, rows, panel, vectors, clamp);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_GEMM_TILE_H_

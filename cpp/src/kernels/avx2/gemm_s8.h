// The s8 x s8 matrix tile all dense layers share, in the 'widen' form: exact for every s8
// activation and weight.
//
//   out[r][c] = clamp(rint(float(bias[c] + sum over k of a[r][k] * w[k][c]) * multiplier[c]) +
//   zero_point, lo, hi)
//
// Both factors are s16; vpmaddwd multiplies pairs (k, k + 1) into s32, vpaddd accumulates modulo
// 2^32. (vpmaddubsw would need half the instructions but saturates on full-range data.) On Zen 3
// vpmaddwd has 2 ports of 4 and vpaddd any of the 4. A tile of 4 rows x 24 columns needs 12
// accumulators + 3 weights + 1 broadcast, the 16 registers there are, the last product taking the
// broadcast's place. Measured ceilings of the loop, in GMAC/s: 4x24 82, 3x32 82, 6x16 75, 5x16 74:
// a step costs the same 12 + 12 arithmetic instructions in all of them, and loads on top.
//
// A panel is 8 * NV columns of the weight matrix:
//   s32 bias[8 * NV], f32 multiplier[8 * NV], then for each pair of k, for each column: w[k][c],
//   w[k + 1][c]
// Weights are stored as s8 (narrow: half the cache traffic; widened to s16 once a chunk of rows) or
// s16 (wide).
#ifndef EDGECV_KERNELS_AVX2_GEMM_S8_H_
#define EDGECV_KERNELS_AVX2_GEMM_S8_H_

#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {

// How n columns split into panels: as many of 24 as leave no rest of 1 to 8 columns, then `count -
// triples` narrower ones (one or two of 16, or, for n <= 8, one of 8).
struct Panels {
  int64_t count, triples;
  int rest_vectors;
};

inline Panels split_columns(int64_t n) {
  if (n <= 8) return {1, 0, 1};
  const int64_t triples = n / 24, rest = n % 24;
  if (rest == 0) return {triples, triples, 2};
  if (rest > 16) return {triples + 1, triples + 1, 2};
  if (rest > 8 || triples == 0) return {triples + 1, triples, 2};
  return {triples + 1, triples - 1, 2};
}

inline int panel_vectors(const Panels& p, int64_t i) { return i < p.triples ? 3 : p.rest_vectors; }

// Columns of the matrix before panel i.
inline int64_t panel_column(const Panels& p, int64_t i) {
  return 24 * min_of(i, p.triples) + 16 * max_of(0, i - p.triples);
}

inline int64_t panel_bytes(int vectors, int64_t depth, bool wide) {
  return round_up(8 * vectors * (8 + depth * (wide ? 2 : 1)), 64);
}

// Bytes before panel i; with i = count, of the whole matrix.
inline int64_t panel_offset(const Panels& p, int64_t i, int64_t depth, bool wide) {
  return min_of(i, p.triples) * panel_bytes(3, depth, wide) +
         max_of(0, i - p.triples) * panel_bytes(p.rest_vectors, depth, wide);
}

struct Panel {
  const int32_t* bias;
  const float* multiplier;
  const int8_t* weights;
};

inline Panel panel_at(const void* packed, int vectors) {
  const auto* bytes = static_cast<const int8_t*>(packed);
  Panel p;
  p.bias = reinterpret_cast<const int32_t*>(bytes);
  p.multiplier = reinterpret_cast<const float*>(bytes + 32 * vectors);
  p.weights = bytes + 64 * vectors;
  return p;
}

// A row of the left factor is `segments` runs of 2 * pairs values, each at its own distance from
// where the row begins: a 1x1 convolution has one, a k x k one a segment for each kernel row, read
// in place from the widened image.
struct Depth {
  const int64_t* offset;  // s16 elements
  int64_t segments;
  int64_t pairs;  // of a segment
};

struct Tile {
  const int16_t* const* rows;  // where each row begins
  Depth depth;
  int8_t* out;
  int64_t out_stride;
  int64_t columns;  // of the panel that exist
  // Bytes fetched ahead into L2 while the tiles are computed, so many a tile: the next panel.
  const int8_t* ahead;
  int64_t ahead_bytes;
};

// How far a product that reads s8 weights directly fetches ahead: with few rows it waits for
// nothing but them, and the hardware's own stream keeps up with half of what the cache can give.
constexpr int64_t kStreamAhead = 2048;

template <bool kWide>
inline __m256i load_weights(const int8_t* w, int vector) {
  if (kWide) return load256(w + 32 * vector);
  return _mm256_cvtepi8_epi16(load128(w + 16 * vector));
}

// Requantizes and stores a tile all of whose columns exist. Values come by copy: the s8 stores
// could alias anything behind a pointer.
template <int kRows, int kVectors>
EDGECV_INLINE void store_tile(int8_t* out, int64_t stride, const float* multipliers,
                              const Clamp& clamp, __m256i (&acc)[kRows][kVectors]) {
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    const __m256 multiplier = _mm256_loadu_ps(multipliers + 8 * v);
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      acc[r][v] = scale_round(acc[r][v], multiplier);
    });
  });
  if constexpr (kVectors >= 2) {  // 16 columns of two rows at a time
    unroll<(kRows + 1) / 2>([&](auto pair) __attribute__((always_inline)) {
      constexpr int r = 2 * pair, s = r + 1 < kRows ? r + 1 : r;
      const __m256i bytes = clamp_bytes(pack_words(acc[r][0], acc[r][1], clamp),
                                        pack_words(acc[s][0], acc[s][1], clamp), clamp);
      store128(out + r * stride, low_half(bytes));
      if constexpr (s != r) store128(out + s * stride, high_half(bytes));
    });
  }
  if constexpr (kVectors != 2) {  // the 8 columns left over, of four rows at a time
    constexpr int v = kVectors - 1;
    int8_t* const rest = out + 8 * v;
    unroll<(kRows + 3) / 4>([&](auto quad) __attribute__((always_inline)) {
      constexpr int r = 4 * quad, left = kRows - r;
      constexpr int r1 = left > 1 ? r + 1 : r, r2 = left > 2 ? r + 2 : r, r3 = left > 3 ? r + 3 : r;
      const __m256i bytes = clamp_bytes(pack_words(acc[r][v], acc[r1][v], clamp),
                                        pack_words(acc[r2][v], acc[r3][v], clamp), clamp);
      const __m128i rows01 = low_half(bytes), rows23 = high_half(bytes);
      store64(rest + r * stride, rows01);
      if constexpr (left > 1) store_high64(rest + r1 * stride, rows01);
      if constexpr (left > 2) store64(rest + r2 * stride, rows23);
      if constexpr (left > 3) store_high64(rest + r3 * stride, rows23);
    });
  }
}

// The same for a panel with fewer columns, from sums in memory: rare, so plain, and out of line to
// keep its calls away from the tile loop's registers.
__attribute__((noinline)) void store_partial_tile(const Tile& t, const Panel& panel,
                                                  const Clamp& clamp, const __m256i* sums, int rows,
                                                  int vectors) {
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      const __m256i q =
          scale_round(sums[r * vectors + v], _mm256_loadu_ps(panel.multiplier + 8 * v));
      const __m256i words = pack_words(q, q, clamp);
      const __m128i bytes = low_half(clamp_bytes(words, words, clamp));
      const int64_t columns = min_of(8, t.columns - 8 * v);
      if (columns > 0) store_tail(t.out + r * t.out_stride + 8 * v, bytes, columns);
    }
  }
}

// `tiles` tiles of kRows rows below each other. Out of line: inlined next to its siblings, the
// compiler leaves accumulators in memory.
template <int kRows, int kVectors, bool kWide>
__attribute__((noinline)) void gemm_tiles(Tile t, int64_t tiles, const Panel panel,
                                          const Clamp clamp) {
  constexpr int kPairBytes = kVectors * (kWide ? 32 : 16);
  for (; tiles > 0; --tiles, t.rows += kRows, t.out += kRows * t.out_stride) {
    const int16_t* a[kRows];
    __m256i acc[kRows][kVectors];
    unroll<kRows>([&](auto r) __attribute__((always_inline)) { a[r] = t.rows[r]; });
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const __m256i bias = load256(panel.bias + 8 * v);
      unroll<kRows>([&](auto r) __attribute__((always_inline)) { acc[r][v] = bias; });
    });
    const int8_t* w = panel.weights;
    if constexpr (kWide) {
      for (int64_t i = 0; i < t.ahead_bytes; i += 64) _mm_prefetch(t.ahead + i, _MM_HINT_T1);
      t.ahead += t.ahead_bytes;
    }
    for (int64_t segment = 0; segment < t.depth.segments; ++segment) {
      const int64_t begin = t.depth.offset[segment], end = begin + 2 * t.depth.pairs;
      for (int64_t k = begin; k < end; k += 2, w += kPairBytes) {
        if constexpr (!kWide) _mm_prefetch(w + kStreamAhead, _MM_HINT_T0);
        __m256i weights[kVectors];
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          weights[v] = load_weights<kWide>(w, v);
        });
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
          const __m256i activations = _mm256_set1_epi32(load_s32(a[r] + k));
          unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
            add_to(acc[r][v], _mm256_madd_epi16(activations, weights[v]));
          });
        });
      }
    }
    if (t.columns == 8 * kVectors) {
      store_tile<kRows, kVectors>(t.out, t.out_stride, panel.multiplier, clamp, acc);
    } else {
      __m256i sums[kRows * kVectors];
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          sums[r * kVectors + v] = acc[r][v];
        });
      });
      store_partial_tile(t, panel, clamp, sums, kRows, kVectors);
    }
  }
}

// All rows of a chunk against one panel.
template <int kVectors, bool kWide>
inline void gemm_rows(Tile t, int64_t rows, const Panel& panel, const Clamp& clamp) {
  constexpr int kTall = kVectors == 3 ? 4 : 6;
  const int64_t tiles = rows / kTall;
  gemm_tiles<kTall, kVectors, kWide>(t, tiles, panel, clamp);
  t.rows += tiles * kTall;
  t.out += tiles * kTall * t.out_stride;
  unroll<kTall - 1>([&](auto i) {
    if (rows % kTall == i + 1) gemm_tiles<i + 1, kVectors, kWide>(t, 1, panel, clamp);
  });
}

// Fewer rows than this read the s8 weights directly: widening them first would cost as much as it
// saves.
constexpr int64_t kFewRows = 6;

// `wide_weights` is scratch for one panel (8 * vectors * depth s16), unused when the panel is
// stored wide.
inline void gemm_panel(Tile t, int64_t rows, const void* packed, int vectors, bool wide,
                       int16_t* wide_weights, const Clamp& clamp) {
  Panel panel = panel_at(packed, vectors);
  t.ahead = nullptr;
  t.ahead_bytes = 0;
  if (!wide && rows > kFewRows) {
    const int64_t bytes = 16 * vectors * t.depth.segments * t.depth.pairs;
    widen_run(wide_weights, panel.weights, bytes);
    t.ahead = panel.weights + bytes;
    t.ahead_bytes = round_up(bytes / (rows / (vectors == 3 ? 4 : 6)), 64);
    panel.weights = reinterpret_cast<const int8_t*>(wide_weights);
    wide = true;
  }
  if (wide) {
    if (vectors == 2) return gemm_rows<2, true>(t, rows, panel, clamp);
    if (vectors == 3) return gemm_rows<3, true>(t, rows, panel, clamp);
    return gemm_rows<1, true>(t, rows, panel, clamp);
  }
  if (vectors == 2) return gemm_rows<2, false>(t, rows, panel, clamp);
  if (vectors == 3) return gemm_rows<3, false>(t, rows, panel, clamp);
  return gemm_rows<1, false>(t, rows, panel, clamp);
}

}  // namespace
}  // namespace edgecv::kernels::avx2

#endif  // EDGECV_KERNELS_AVX2_GEMM_S8_H_

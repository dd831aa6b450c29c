// The s8 matrix product: rows of pixels in scratch times the panels of gemm_panel.h.
//
// On Zen 3 maddubs and madd_s16 have two ports of four, additions any of them. A tile of 2 rows x 4
// vectors has eight accumulators, which leaves registers for broadcasts and sums; the weights come
// from memory and bear it because they are aligned. It stores whole vectors of bytes: in tiles of
// fewer vectors, packing and storing cost a quarter more at a depth of 32.
#ifndef EDGECV_KERNELS_X86_GEMM_TILE_H_
#define EDGECV_KERNELS_X86_GEMM_TILE_H_

#include "kernels/x86/gemm_panel.h"
#include "kernels/x86/gemm_store.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// What all tiles of a chunk of rows have in common.
struct Tile {
  const uint8_t* bytes;  // the left factor as u8
  const int16_t* words;  // and as s16
  // With one segment, rows begin so many values apart; else, rows[] tells where each one begins and
  // the offsets where each of its segments does, from there.
  bool flat;
  int64_t row_step;
  const int64_t* rows;
  const int64_t* quad_offsets;
  const int64_t* pair_offsets;
  const int32_t* cross;  // of each row, what cross takes off its sums
  int8_t* out;
  int64_t out_stride;
  int64_t columns;  // of the panel that exist
  Clamp clamp;
  Vec ones;  // s16
};

// A panel and the rows of one call: `tiles` tiles below each other, from row `first` on.
struct Work {
  const Tile* tile;
  Panel panel;
  Depth depth;
  int64_t first, tiles;
  // Bytes fetched ahead into L2 while the tiles are computed: the next panel. So many a tile, or,
  // as many at once would keep the tile's own loads waiting, a segment.
  const int8_t* ahead;
  int64_t ahead_bytes, segment_ahead_bytes;
};

// How far a product of few rows fetches ahead: it waits for nothing but weights, and the hardware's
// own stream keeps up with half of what the cache can give.
constexpr int64_t kStreamAhead = 2048;
// Fewer rows than this read s8 pairs directly: widening them first would cost as much as it saves.
constexpr int64_t kFewRows = 6;

// Panels from this size on are fetched ahead.
constexpr int64_t kAheadBytes = 4096;
// And a part at each segment when they are so many a tile; panels that deep have two vectors.
constexpr int64_t kManyAhead = 1024;
constexpr int kDeepVectors = 2;

// Fetches as many bytes as a step of the depth consumes.
template <int64_t kBytes>
EDGECV_INLINE void stream_ahead(const int8_t* w) {
  unroll<(kBytes + 63) / 64>([&](auto line) __attribute__((always_inline)) {
    _mm_prefetch(reinterpret_cast<const char*>(w) + kStreamAhead + 64 * line, _MM_HINT_T0);
  });
}

template <bool kFirst, typename First, typename Second>
struct Conditional {
  using Type = First;
};
template <typename First, typename Second>
struct Conditional<false, First, Second> {
  using Type = Second;
};

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

// Two units of pairs of every row and column; the first of a row meets the second of a column.
template <bool kWide, int kRows, int kVectors>
EDGECV_INLINE void multiply_cross(Vec (&acc)[kRows][kVectors], const int16_t* const (&a)[kRows],
                                  int64_t k, const int8_t* w) {
  constexpr int64_t kPairBytes = kVecBytes / (kWide ? 1 : 2) * kVectors;
  Vec first[kVectors], second[kVectors];
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    first[v] = load_pairs<kWide>(w, v);
    second[v] = load_pairs<kWide>(w + kPairBytes, v);
  });
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    const Vec x = set1_s32(load_s32(a[r] + k)), y = set1_s32(load_s32(a[r] + k + 2));
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      add_to(acc[r][v], madd_s16(add_s16(x, second[v]), add_s16(y, first[v])));
    });
  });
}

// A run of units of the depth: `end` bytes of quads, or `end` words of pairs, from a[] on. Returns
// where its weights end.
template <Form kForm, bool kWide, int kRows, int kVectors, typename Value>
EDGECV_INLINE const int8_t* multiply_run(Vec (&acc)[kRows][kVectors],
                                         const Value* const (&a)[kRows], int64_t end,
                                         const int8_t* w, Vec ones) {
  if constexpr (kForm == Form::kWiden) {
    constexpr int64_t kPairBytes = kVecBytes / (kWide ? 1 : 2) * kVectors;
    for (int64_t k = 0; k < end; k += 2, w += kPairBytes) {
      if constexpr (!kWide) stream_ahead<kPairBytes>(w);
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
  } else if constexpr (kForm == Form::kCross) {
    constexpr int64_t kStepBytes = 2 * kVecBytes / (kWide ? 1 : 2) * kVectors;
    for (int64_t k = 0; k < end; k += 4, w += kStepBytes) {
      if constexpr (!kWide) stream_ahead<kStepBytes>(w);
      multiply_cross<kWide>(acc, a, k, w);
    }
  } else if constexpr (kForm == Form::kDot4) {
    for (int64_t k = 0; k < end; k += 4, w += kVecBytes * kVectors) {
      if constexpr (kRows == 1) stream_ahead<kVecBytes * kVectors>(w);
      Vec quads[kRows];
      unroll<kRows>([&](auto r)
                        __attribute__((always_inline)) { quads[r] = broadcast_quad(a[r] + k); });
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        const Vec weights = load(w + kVecBytes * v);
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
          dot4_to(acc[r][v], quads[r], weights);
        });
      });
    }
  } else {
    constexpr int kSum = quads_summed(kForm);
    for (int64_t k = 0; k < end; k += 4 * kSum, w += kSum * kVecBytes * kVectors) {
      if constexpr (kRows == 1) stream_ahead<kSum * kVecBytes * kVectors>(w);
      multiply_quads<kSum>(acc, a, k, w, ones);
    }
  }
  return w;
}

// Out of line: inlined next to its siblings, the compiler leaves accumulators in memory. kDeep:
// fetches ahead a segment at a time, which short segments would feel.
template <Form kForm, bool kWide, bool kFlat, int kRows, int kVectors, bool kDeep>
__attribute__((noinline)) void multiply_tiles(const Work& work) {
  const Tile& t = *work.tile;
  constexpr bool kCross = kForm == Form::kCross, kPairs = of_pairs(kForm);
  using Value = typename Conditional<kPairs, int16_t, uint8_t>::Type;
  const Value* image;
  if constexpr (kPairs) {
    image = t.words;
  } else {
    image = t.bytes;
  }
  int8_t* out = t.out + work.first * t.out_stride;
  const int8_t* ahead = work.ahead;
  const int64_t end = (kPairs ? 2 : 4) * work.depth.segment;
  for (int64_t row = work.first; row < work.first + work.tiles * kRows; row += kRows) {
    // What the loop below needs no register for comes from memory each time, instead of being kept
    // in a register that has to be saved.
    __asm__ volatile("" ::: "memory");
    for (int64_t i = 0; i < work.ahead_bytes; i += 64, ahead += 64)
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
    Vec acc[kRows][kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Vec bias = load(work.panel.bias + kDwords * v);
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        acc[r][v] = kCross ? sub_s32(bias, set1_s32(t.cross[row + r])) : bias;
      });
    });
    const Value* a[kRows];
    if constexpr (kFlat) {
      unroll<kRows>([&](auto r)
                        __attribute__((always_inline)) { a[r] = image + (row + r) * t.row_step; });
      multiply_run<kForm, kWide>(acc, a, end, work.panel.weights, t.ones);
    } else {
      const int8_t* w = work.panel.weights;
      const int64_t* const offsets = kPairs ? t.pair_offsets : t.quad_offsets;
      for (int64_t segment = 0; segment < work.depth.segments; ++segment) {
        if constexpr (kDeep) {
          const int64_t tile = (row - work.first) / kRows, bytes = work.segment_ahead_bytes;
          const int8_t* const p = work.ahead + (tile * work.depth.segments + segment) * bytes;
          for (int64_t i = 0; i < bytes; i += 64)
            _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T1);
        }
        const Value* const begin = image + offsets[segment];
        unroll<kRows>([&](auto r)
                          __attribute__((always_inline)) { a[r] = begin + t.rows[row + r]; });
        w = multiply_run<kForm, kWide>(acc, a, end, w, t.ones);
      }
    }
    store_tile<kRows, kVectors>(out, t.out_stride, work.panel.multiplier, t.clamp, t.columns, acc);
    out += kRows * t.out_stride;
  }
}

// The highest tile of a panel: eight accumulators, or twelve that hide the latency of dot4.
constexpr int tall_rows(int vectors) {
  if (kHasDot4) return vectors == 1 ? 8 : 12 / vectors;
  return vectors == 3 ? 2 : 8 / vectors;
}

// Rows in tiles of kRows, and what they leave in lower ones.
template <Form kForm, bool kWide, bool kFlat, int kRows, int kVectors>
inline void multiply_rows(Work work, int64_t rows) {
  work.tiles = (rows - work.first) / kRows;
  if (work.tiles > 0) {
    constexpr bool kMayBeDeep = !kFlat && kVectors == kDeepVectors && kRows == tall_rows(kVectors);
    if (kMayBeDeep && work.segment_ahead_bytes > 0) {
      multiply_tiles<kForm, kWide, kFlat, kRows, kVectors, kMayBeDeep>(work);
    } else {
      multiply_tiles<kForm, kWide, kFlat, kRows, kVectors, false>(work);
    }
    work.first += work.tiles * kRows;
    work.ahead_bytes = work.segment_ahead_bytes = 0;
  }
  if constexpr (kRows > 1) {
    if (work.first < rows) multiply_rows<kForm, kWide, kFlat, kRows / 2, kVectors>(work, rows);
  }
}

template <Form kForm, bool kWide, bool kFlat>
inline void multiply_vectors(const Work& work, int64_t rows, int vectors) {
  if constexpr (kForm != Form::kCross) {
    if (vectors == 4) return multiply_rows<kForm, kWide, kFlat, tall_rows(4), 4>(work, rows);
  }
  if constexpr (!of_pairs(kForm)) {
    if (vectors == 3) return multiply_rows<kForm, kWide, kFlat, tall_rows(3), 3>(work, rows);
  }
  if (vectors == 2) return multiply_rows<kForm, kWide, kFlat, tall_rows(2), 2>(work, rows);
  multiply_rows<kForm, kWide, kFlat, tall_rows(1), 1>(work, rows);
}

template <Form kForm, bool kWide>
inline void multiply_columns(const Work& work, int64_t rows, int vectors) {
  if (work.tile->flat) return multiply_vectors<kForm, kWide, true>(work, rows, vectors);
  multiply_vectors<kForm, kWide, false>(work, rows, vectors);
}

// A panel of pairs. `wide_weights` is scratch for them as s16.
template <Form kForm>
inline void multiply_pairs(int64_t rows, const PanelShape& shape, Work work, int vectors,
                           int16_t* wide_weights) {
  if (!shape.wide && rows <= kFewRows) return multiply_columns<kForm, false>(work, rows, vectors);
  if (!shape.wide) {
    widen_run(wide_weights, work.panel.weights, 2 * kDwords * vectors * shape.pairs.units());
    work.panel.weights = reinterpret_cast<const int8_t*>(wide_weights);
  }
  multiply_columns<kForm, true>(work, rows, vectors);
}
inline void multiply_pairs(int64_t rows, const PanelShape& shape, Work work, int vectors,
                           int16_t* wide_weights) {
  work.depth = shape.pairs;
  if constexpr (kHasCross) {
    if (shape.cross) return multiply_pairs<Form::kCross>(rows, shape, work, vectors, wide_weights);
  }
  multiply_pairs<Form::kWiden>(rows, shape, work, vectors, wide_weights);
}

// A panel in the form its weights allow.
inline void multiply_form(const Tile& t, int64_t rows, const PanelShape& shape, Work work,
                          const int8_t* packed, int vectors, int16_t* wide_weights) {
  switch (work.panel.form) {
    case Form::kSum4:
      return multiply_columns<Form::kSum4, false>(work, rows, vectors);
    case Form::kSum2:
      return multiply_columns<Form::kSum2, false>(work, rows, vectors);
    case Form::kSum1:
      return multiply_columns<Form::kSum1, false>(work, rows, vectors);
    default:
      break;
  }
  if (!pairs_in_two(shape, vectors))
    return multiply_pairs(rows, shape, work, vectors, wide_weights);
  Tile part = t;
  part.columns = min_of(t.columns, kPairVectors * kDwords);
  work.tile = &part;
  work.panel = panel_at(packed, kPairVectors);
  multiply_pairs(rows, shape, work, kPairVectors, wide_weights);
  part.columns = t.columns - part.columns;
  part.out += kPairVectors * kDwords;
  work.panel = panel_at(packed + pairs_bytes(shape, kPairVectors), vectors - kPairVectors);
  work.ahead_bytes = work.segment_ahead_bytes = 0;
  multiply_pairs(rows, shape, work, vectors - kPairVectors, wide_weights);
}

// All rows of a chunk against one panel.
template <bool kDot4>
void multiply_panel(const Tile& t, int64_t rows, const PanelShape& shape, const void* packed,
                    int vectors, int16_t* wide_weights) {
  const auto* const bytes = static_cast<const int8_t*>(packed);
  Work work = {};
  work.tile = &t;
  work.panel = panel_at(packed, vectors);
  work.first = 0;
  work.ahead = bytes + shape.bytes;
  work.ahead_bytes = 0;
  if (rows > kFewRows && shape.bytes >= kAheadBytes) {
    const int64_t tiles = max_of(1, rows / tall_rows(vectors));
    work.ahead_bytes = round_up(shape.bytes / tiles, 64);
    if (!t.flat && vectors == kDeepVectors && work.ahead_bytes >= kManyAhead) {
      work.segment_ahead_bytes = round_up(work.ahead_bytes / shape.quads.segments, 64);
      work.ahead_bytes = 0;
    }
  }
  work.depth = quad_depth(shape, work.panel.form);
  if constexpr (kDot4) {
    multiply_columns<Form::kDot4, false>(work, rows, vectors);
  } else {
    multiply_form(t, rows, shape, work, bytes, vectors, wide_weights);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_GEMM_TILE_H_

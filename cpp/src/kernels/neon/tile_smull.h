// A tile of the dense s8 product on plain NEON: kRows rows by a panel of kColumns columns. Each
// register of sums holds four columns of a row.
//
// smull and smlal multiply pairs of depths of a row, each pair repeated four times, by those of
// four columns, and add in s16; sadalp adds the two lanes of a column to its s32 sum. Rows are
// spread to such repeated pairs once for all panels. Of every eight depths, a lane gets 0 1 4 5 or
// 2 3 6 7: two products fit s16 unless the input reaches -128 where two weights that meet are both
// -128; four fit where the weights were quantized for it. A panel's weights and the proven range of
// the input say at packing for each eight depths which is exact; if neither is, every product of
// the panel is widened.
#ifndef EDGECV_KERNELS_NEON_TILE_SMULL_H_
#define EDGECV_KERNELS_NEON_TILE_SMULL_H_

#include "kernels/simd/common.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

#if defined(__aarch64__)
constexpr int64_t kColumns = 16;
constexpr int kRows = 4;
#else
constexpr int64_t kColumns = 8;  // of sixteen registers
constexpr int kRows = 2;
#endif

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#include "kernels/neon/tile.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// A panel of which eight columns or fewer exist is packed and multiplied as one of eight.
constexpr int64_t width_of(int64_t columns) { return columns > 8 ? kColumns : 8; }

enum Form : int32_t { kWidened, kRuns };

// Behind the weights: runs, s32 counts of blocks of eight depths, in turn of those whose four
// products are added in s16 and of those that are added in pairs. A count of zero pairs is the end.
// Tiles read up to 32 bytes beyond the weights.
inline int64_t panel_tail_bytes(int64_t depth) { return round_up(4 * (depth / 8 + 4), 16) + 16; }

// For every block the bytes of each four columns: depths 0 and 2 of each, 1 and 3, 4 and 6, 5 and
// 7.
inline void pack_column(const int8_t* w, int64_t values, int64_t columns, int64_t c, int8_t* out) {
  const int64_t width = width_of(columns);
  out += c / 4 * 32 + c % 4 * 2;
  for (int64_t k = 0; k < values; ++k) {
    out[k / 8 * 8 * width + k % 8 / 4 * 16 + k % 2 * 8 + k % 4 / 2] = w[k];
  }
}

// The kinds of input values that a lane's weights meet, as distances from zero.
struct Reach {
  int64_t low, high;

  // Whether the products of `count` weights that lie eight bytes apart fit s16.
  bool fits(const int8_t* w, int count) const {
    int64_t plus = 0, minus = 0;
    for (int i = 0; i < count; ++i) {
      const int32_t weight = w[8 * i];
      if (weight > 0) plus += weight;
      if (weight < 0) minus -= weight;
    }
    return high * plus + low * minus <= 32767 && high * minus + low * plus <= 32767;
  }
};

// Chooses a packed panel's form and writes its runs.
inline int32_t choose_form(int8_t* weights, int64_t depth, int64_t columns, int32_t in_lo,
                           int32_t in_hi) {
  const int64_t width = width_of(columns);
  const Reach reach = {max_of(-in_lo, 0), max_of(in_hi, 0)};
  int8_t* runs = weights + depth * kColumns;
  int32_t run[2] = {0, 0};
  const auto end_run = [&] {
    memcpy(runs, run, sizeof run);
    runs += sizeof run;
    run[0] = run[1] = 0;
  };
  for (int64_t k = 0; k < depth; k += 8) {
    bool fours = true;
    for (int64_t lane = 0; lane < 2 * width; ++lane) {
      const int8_t* w = weights + k * width + lane / 8 * 32 + lane % 8;
      if (!reach.fits(w, 2) || !reach.fits(w + 16, 2)) return kWidened;
      fours = fours && reach.fits(w, 4);
    }
    if (fours && run[1] != 0) end_run();
    ++run[fours ? 0 : 1];
  }
  if (run[1] != 0) end_run();
  end_run();
  return kRuns;
}

// Rows as tiles read them: of kRows rows, then of single ones, for each four depths of each row the
// pairs 0 2 and 1 3, four times.
constexpr int64_t kSpread = 4;          // bytes a value
constexpr int64_t kSpreadBeyond = 128;  // that tiles read

template <int kTile>
EDGECV_INLINE void spread_tile(int8_t* out, const int8_t* in, int64_t stride, int64_t depth) {
  const int8_t* a[kTile];
  a[0] = in;
  unroll<kTile - 1>([&](auto r) __attribute__((always_inline)) { a[r + 1] = a[r] + stride; });
#if defined(__aarch64__)
  static const uint8_t kPairs[16] = {0, 2, 0, 2, 0, 2, 0, 2, 1, 3, 1, 3, 1, 3, 1, 3};
  uint8x16_t pairs[4];
  pairs[0] = vld1q_u8(kPairs);
  unroll<3>([&](auto i) __attribute__((always_inline)) {
    pairs[i + 1] = vaddq_u8(pairs[i], vdupq_n_u8(4));
    __asm__("" : "+w"(pairs[i + 1]));  // or it is loaded again for every use
  });
  for (; depth >= 16; depth -= 16, out += 64 * kTile) {
    int8x16_t v[kTile];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      v[r] = load(a[r]);
      a[r] += 16;
    });
    unroll<4 * kTile>([&](auto i) __attribute__((always_inline)) {
      store(out + 16 * i, vqtbl1q_s8(v[i % kTile], pairs[i / kTile]));
    });
  }
  if (depth == 0) return;
  unroll<kTile>([&](auto r) __attribute__((always_inline)) {
    const int8x16_t v = load64(a[r]);
    store(out + 16 * r, vqtbl1q_s8(v, pairs[0]));
    store(out + 16 * (kTile + r), vqtbl1q_s8(v, pairs[1]));
  });
#else
  static const uint8_t kPairs[8] = {0, 2, 0, 2, 0, 2, 0, 2};
  int8x8_t pairs[4];
  pairs[0] = vld1_s8(reinterpret_cast<const int8_t*>(kPairs));
  constexpr int8_t kNext[4] = {0, 1, 4, 5};
  unroll<3>([&](auto i) __attribute__((always_inline)) {
    pairs[i + 1] = vadd_s8(pairs[0], vdup_n_s8(kNext[i + 1]));
    __asm__("" : "+w"(pairs[i + 1]));  // or it is computed again for every use
  });
  for (; depth > 0; depth -= 8, out += 32 * kTile) {
    int8x8_t v[kTile];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) {
      v[r] = vld1_s8(a[r]);
      a[r] += 8;
    });
    unroll<2 * kTile>([&](auto i) __attribute__((always_inline)) {
      constexpr int half = i / kTile, r = i % kTile;
      store(out + 16 * i,
            vcombine_s8(vtbl1_s8(v[r], pairs[2 * half]), vtbl1_s8(v[r], pairs[2 * half + 1])));
    });
  }
#endif
}

#if defined(__aarch64__)
// A row, its halves `half` bytes apart.
inline void spread_row(int8_t* out, int64_t half, const int8_t* in, int64_t depth) {
  for (; depth > 0; depth -= 8, in += 8, out += 2 * half) {
    int8_t eight[32];
    spread_tile<1>(eight, in, 0, 8);
    store(out, load(eight));
    store(out + half, load(eight + 16));
  }
}
#endif

__attribute__((noinline)) void spread_rows(int8_t* out, const int8_t* in, int64_t stride,
                                           int64_t rows, int64_t depth) {
  for (; rows >= kRows; rows -= kRows, in += kRows * stride, out += kRows * kSpread * depth) {
    spread_tile<kRows>(out, in, stride, depth);
  }
  for (; rows > 0; --rows, in += stride, out += kSpread * depth) {
    spread_tile<1>(out, in, stride, depth);
  }
}

enum Products { kSingle, kPairs, kFours };

EDGECV_INLINE int16x8_t add_low(int16x8_t sum, int8x16_t a, int8x16_t b) {
  return vmlal_s8(sum, vget_low_s8(a), vget_low_s8(b));
}
EDGECV_INLINE int16x8_t add_high(int16x8_t sum, int8x16_t a, int8x16_t b) {
#if defined(__aarch64__)
  return vmlal_high_s8(sum, a, b);
#else
  return vmlal_s8(sum, vget_high_s8(a), vget_high_s8(b));
#endif
}
EDGECV_INLINE int16x8_t multiply_low(int8x16_t a, int8x16_t b) {
  return vmull_s8(vget_low_s8(a), vget_low_s8(b));
}
EDGECV_INLINE int16x8_t multiply_high(int8x16_t a, int8x16_t b) {
#if defined(__aarch64__)
  return vmull_high_s8(a, b);
#else
  return vmull_s8(vget_high_s8(a), vget_high_s8(b));
#endif
}

EDGECV_INLINE int8x16_t load_next(const int8_t*& p) {
#if defined(__aarch64__)
  p += 16;
  return load(p - 16);
#else
  // Left alone, the compiler computes an address for each load.
  int8x16_t v;
  __asm__("vld1.8 {%e0-%f0}, [%1]!"
          : "=w"(v), "+r"(p)
          : "m"(*reinterpret_cast<const int8_t(*)[16]>(p)));
  return v;
#endif
}

// kTile rows by kVectors times four columns.
template <int kTile, int kVectors>
struct Sums {
  int32x4_t acc[kTile][kVectors];

  EDGECV_INLINE void start(const int8_t* panel) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const int32x4_t bias = as_s32(load(panel + kBiasAt + 16 * v));
      unroll<kTile>([&](auto r) __attribute__((always_inline)) { acc[r][v] = bias; });
    });
  }

  // Eight depths; `skip` bytes lie behind each four of them.
  template <Products kProducts>
  EDGECV_INLINE void add(const int8_t*& a, int64_t skip, const int8_t*& w) {
    int8x16_t x[kTile], y[kTile];
    unroll<kTile>([&](auto r) __attribute__((always_inline)) { x[r] = load_next(a); });
    a += skip;
    unroll<kTile>([&](auto r) __attribute__((always_inline)) { y[r] = load_next(a); });
    a += skip;
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      const int8x16_t wx = load_next(w), wy = load_next(w);
      unroll<kTile>([&](auto r) __attribute__((always_inline)) {
        int32x4_t sum = acc[r][v];
        int16x8_t products = multiply_low(x[r], wx);
        if constexpr (kProducts == kSingle) {
          sum = vpadalq_s16(sum, products);
          sum = vpadalq_s16(sum, multiply_high(x[r], wx));
          sum = vpadalq_s16(sum, multiply_low(y[r], wy));
          products = multiply_high(y[r], wy);
        } else {
          products = add_high(products, x[r], wx);
          if constexpr (kProducts == kPairs) {
            sum = vpadalq_s16(sum, products);
            products = multiply_low(y[r], wy);
          } else {
            products = add_low(products, y[r], wy);
          }
          products = add_high(products, y[r], wy);
        }
        acc[r][v] = vpadalq_s16(sum, products);
      });
    });
  }

  template <Products kProducts>
  EDGECV_INLINE void add_run(const int8_t*& a, int64_t skip, const int8_t*& w, int32_t blocks) {
    for (; blocks > 0; --blocks) add<kProducts>(a, skip, w);
  }

  EDGECV_INLINE void add_runs(const int8_t* a, const int8_t* w, const int8_t* runs) {
    for (int32_t pairs = 1; pairs != 0; runs += 8) {
      add_run<kFours>(a, 0, w, load_s32(runs));
      pairs = load_s32(runs + 4);
      add_run<kPairs>(a, 0, w, pairs);
    }
  }
};

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#if defined(__aarch64__)
#include "kernels/neon/smull_a64.h"
#endif

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// A row, of which `skip` bytes of others lie behind each four depths.
template <Form kForm, int kVectors>
__attribute__((noinline)) void multiply_row(const TileTask& t, const Clamp& clamp, int64_t skip) {
  const int8_t* a = t.a;
  const int8_t* w = t.panel + kHeadBytes;
  Sums<1, kVectors> sums;
  sums.start(t.panel);
  if constexpr (kForm == kRuns) {
    sums.add_runs(a, w, w + t.depth * kColumns);
  } else {
    sums.template add_run<kSingle>(a, skip, w, static_cast<int32_t>(t.depth / 8));
  }
  const bool small = t.columns == 4 * kVectors && load_s32(t.panel + kSmallAt) != 0;
  store_sums(t, small, clamp, sums.acc);
}

// Tiles of kRows rows while there are so many. Out of line, and with the constants of requantize
// loaded once a tile: the sums need the registers.
template <int kVectors>
__attribute__((noinline)) void multiply_tiles(TileTask& task, const Clamp& clamp) {
  TileTask t = task;
  const bool small = t.columns == 4 * kVectors && load_s32(t.panel + kSmallAt) != 0;
  const int8_t* w = t.panel + kHeadBytes;
  for (; t.rows >= kRows; t.rows -= kRows) {
    Sums<kRows, kVectors> sums;
#if defined(__aarch64__)
    multiply_by_panel(sums.acc, t.a, w, w + t.depth * kColumns, t.panel + kBiasAt);
#else
    sums.start(t.panel);
    sums.add_runs(t.a, w, w + t.depth * kColumns);
#endif
    store_sums(t, small, clamp, sums.acc);
    t.a += kRows * t.a_stride;
    t.out += kRows * t.out_stride;
  }
  task = t;
}

template <int kVectors>
inline void multiply_columns(TileTask& t, const Clamp& clamp) {
  if (load_s32(t.panel) == kWidened) {
    for (; t.rows >= kRows; t.rows -= kRows, t.a += kRows * t.a_stride) {
      TileTask row = t;
      for (int r = 0; r < kRows; ++r, row.a += 16, row.out += t.out_stride) {
        multiply_row<kWidened, kVectors>(row, clamp, 16 * (kRows - 1));
      }
      t.out = row.out;
    }
    for (; t.rows > 0; --t.rows, t.a += t.a_stride, t.out += t.out_stride) {
      multiply_row<kWidened, kVectors>(t, clamp, 0);
    }
    return;
  }
  if (t.rows >= kRows) multiply_tiles<kVectors>(t, clamp);
  for (; t.rows > 0; --t.rows, t.a += t.a_stride, t.out += t.out_stride) {
    multiply_row<kRuns, kVectors>(t, clamp, 0);
  }
}

inline void multiply_panel(TileTask& t, const Clamp& clamp) {
  if (width_of(t.columns) == 8) {
    multiply_columns<2>(t, clamp);
  } else {
    multiply_columns<kColumns / 4>(t, clamp);
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_TILE_SMULL_H_

// Pointwise s8 convolutions and fully connected layers of which most blocks of 1x4 weights (four
// inputs side by side of one output) are zero: those blocks take no time and no memory.
//
// A tile is up to eight vectors of pixels. Its input is copied to scratch once, x - in_lo as u8,
// with the four bytes of a quad of inputs of a vector's pixels side by side: the rows of a matrix
// [quad][pixel]. An output channel walks over its blocks: one broadcast of four weights, then a
// maddubs, its widening and an addition for each vector of pixels (sparse_pack.h). Channels leave
// rows of bytes, one beside the other; a panel of them is transposed to the pixels of the output.
//
// A single pixel meets eight blocks at once instead, the quads of which are collected.
#ifndef EDGECV_KERNELS_X86_CONV_SPARSE_H_
#define EDGECV_KERNELS_X86_CONV_SPARSE_H_

#include "kernels/x86/gemm_store.h"
#include "kernels/x86/sparse_pack.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kSparseRow = kSparseVectors * kDwords;  // bytes of a channel's row
constexpr int64_t kFewPixels = 4;
constexpr int64_t kDeepImage = 48 << 10;  // from here on in tiles of half the size, nearer to L1
constexpr int64_t kBlocksAhead = 512;     // fetched, where a single pixel waits for nothing else

// Tiles take all vectors of pixels in as equal parts as possible: the first `larger` of them have
// one vector more.
struct SparsePlan {
  int64_t pixels, tiles, vectors, larger, panels, quads;
};

inline SparsePlan plan_sparse(const ConvProblem& p) {
  SparsePlan plan;
  plan.pixels = int64_t{p.batch} * p.out_h * p.out_w;
  const int64_t all = div_up(plan.pixels, kDwords);
  plan.quads = round_up(div_up(p.in_c, 4), 4);
  const bool deep = plan.quads * kSparseVectors * kVecBytes > kDeepImage;
  plan.tiles = div_up(all, deep ? kSparseVectors / 2 : kSparseVectors);
  plan.vectors = all / plan.tiles;
  plan.larger = all % plan.tiles;
  plan.panels = div_up(p.out_c, kSparsePanel);
  return plan;
}

// Scratch, in bytes from its begin: the copied input and what a vector reads beyond it; rows of
// outputs; where each pixel lies; a pixel outside of the image.
struct SparseScratch {
  int64_t image, rows, pixels, outside, size;
};

inline SparseScratch sparse_scratch(const ConvProblem& p) {
  const SparsePlan plan = plan_sparse(p);
  const int64_t vectors = min_of(kSparseVectors, div_up(plan.pixels, kDwords));
  SparseScratch s;
  s.image = 0;
  s.rows = s.image + round_up(plan.quads * vectors * kVecBytes + kVecBytes, 64);
  s.pixels = s.rows + kSparsePanel * kSparseRow;
  s.outside = s.pixels + kSparseRow * static_cast<int64_t>(sizeof(void*));
  s.size = s.outside + round_up(p.in_c, 64);
  return s;
}

size_t sparse_scratch_bytes(const void* problem) {
  return static_cast<size_t>(sparse_scratch(as_sparse(problem)).size);
}

int64_t sparse_items(const void* problem) {
  const SparsePlan plan = plan_sparse(as_sparse(problem));
  return plan.tiles * plan.panels;
}

// Where the inputs of `count` output pixels from `first` on lie; the last one stands for those that
// a vector has beyond.
inline void find_pixels(const ConvProblem& p, int64_t first, int64_t count, const int8_t* x,
                        const int8_t* outside, const int8_t** pixels) {
  int64_t ow = first % p.out_w, oh = first / p.out_w % p.out_h, n = first / p.out_w / p.out_h;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t y = oh * p.stride_h - p.pad_top, column = ow * p.stride_w - p.pad_left;
    const bool inside = y >= 0 && y < p.in_h && column >= 0 && column < p.in_w;
    pixels[i] = inside ? x + ((n * p.in_h + y) * p.in_w + column) * p.in_stride : outside;
    if (++ow < p.out_w) continue;
    ow = 0;
    if (++oh < p.out_h) continue;
    oh = 0;
    ++n;
  }
  for (int64_t i = count; i < round_up(count, kDwords); ++i) pixels[i] = pixels[count - 1];
}

// Sixteen bytes of each of kDwords pixels to four vectors: a quad of all of them each.
EDGECV_INLINE void transpose_quads(const __m128i (&x)[kDwords], Vec lo, uint8_t* out,
                                   int64_t stride) {
#if defined(__AVX2__)
  Vec rows[4];
  unroll<4>([&](auto i) __attribute__((always_inline)) {
    rows[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(x[i]), x[i + 4], 1);
  });
#else
  const Vec(&rows)[4] = x;
#endif
  const Vec a = unpack_low_s32(rows[0], rows[1]), b = unpack_high_s32(rows[0], rows[1]);
  const Vec c = unpack_low_s32(rows[2], rows[3]), d = unpack_high_s32(rows[2], rows[3]);
  store(out, sub_s8(unpack_low_s64(a, c), lo));
  store(out + stride, sub_s8(unpack_high_s64(a, c), lo));
  store(out + 2 * stride, sub_s8(unpack_low_s64(b, d), lo));
  store(out + 3 * stride, sub_s8(unpack_high_s64(b, d), lo));
}

// kDwords pixels to a column of vectors.
void copy_quads(const int8_t* const* pixels, int64_t channels, Vec lo, uint8_t* out,
                int64_t stride) {
  __m128i x[kDwords];
  int64_t k = 0;
  for (; k + 16 <= channels; k += 16) {
    unroll<kDwords>([&](auto i) __attribute__((always_inline)) { x[i] = load128(pixels[i] + k); });
    transpose_quads(x, lo, out + k / 4 * stride, stride);
  }
  if (k == channels) return;
  if (channels >= 16 && channels % 4 == 0) {
    k = channels - 16;
    unroll<kDwords>([&](auto i) __attribute__((always_inline)) { x[i] = load128(pixels[i] + k); });
  } else {
    unroll<kDwords>([&](auto i) __attribute__((always_inline)) {
      x[i] = load_tail(pixels[i] + k, channels - k);
    });
  }
  transpose_quads(x, lo, out + k / 4 * stride, stride);
}

// A single pixel, quads as they lie.
inline void copy_bytes(const int8_t* x, int64_t channels, Vec lo, uint8_t* out) {
  int64_t k = 0;
  for (; k + kVecBytes <= channels; k += kVecBytes) store(out + k, sub_s8(load(x + k), lo));
  if (k < channels) store(out + k, sub_s8(load_part(x + k, channels - k), lo));
}

struct SparseTile {
  const uint8_t* image;
  const SparseChannel* channels;
  int64_t count;          // of channels
  const int8_t* weights;  // of all blocks
  const uint16_t* quads;
  int8_t* rows;
  Clamp clamp;
};

// Eight quads of a pixel, as dwords of one or two vectors.
EDGECV_INLINE Vec collect_quads(const uint8_t* image, const uint16_t* quads) {
  __m128i x[kDwords / 4];
  unroll<kDwords / 4>([&](auto i) __attribute__((always_inline)) {
    const uint16_t* const q = quads + 4 * i;
    x[i] = load32(image + int64_t{4} * q[0]);
    x[i] = _mm_insert_epi32(x[i], load_s32(image + int64_t{4} * q[1]), 1);
    x[i] = _mm_insert_epi32(x[i], load_s32(image + int64_t{4} * q[2]), 2);
    x[i] = _mm_insert_epi32(x[i], load_s32(image + int64_t{4} * q[3]), 3);
  });
#if defined(__AVX2__)
  return _mm256_inserti128_si256(_mm256_castsi128_si256(x[0]), x[1], 1);
#else
  return x[0];
#endif
}

// A panel's outputs of a single pixel.
void multiply_pixel(const SparseTile& t, int8_t* out) {
  alignas(64) int32_t sums[kSparsePanel + kDwords];
  alignas(64) float multipliers[kSparsePanel + kDwords];
  alignas(64) static const int32_t kFirst[2 * kDwords] = {
#if defined(__AVX2__)
    -1,
    -1,
    -1,
    -1,
#endif
    -1,
    -1,
    -1,
    -1,
  };
  const Vec ones = set1_s16(1);
  for (int64_t i = 0; i < t.count; ++i) {
    const SparseChannel& c = t.channels[i];
    const int8_t* w = t.weights + 4 * c.first;
    const uint16_t* quads = t.quads + c.first;
    int64_t left = 2 * int64_t{c.pairs} + c.singles;
    Vec acc = zero();
    for (; left >= kDwords; left -= kDwords, w += kVecBytes, quads += kDwords) {
      _mm_prefetch(reinterpret_cast<const char*>(w) + kBlocksAhead * 4, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(quads + kBlocksAhead), _MM_HINT_T0);
      add_to(acc, madd_s16(maddubs(collect_quads(t.image, quads), load(w)), ones));
    }
    if (left > 0) {
      const Vec some = bit_and(load(w), load(kFirst + kDwords - left));
      add_to(acc, madd_s16(maddubs(collect_quads(t.image, quads), some), ones));
    }
#if defined(__AVX2__)
    __m128i sum = fold_halves(acc);
#else
    __m128i sum = acc;
#endif
    sum = _mm_add_epi32(sum, _mm_srli_si128(sum, 8));
    sum = _mm_add_epi32(sum, _mm_srli_si128(sum, 4));
    sum = _mm_add_epi32(sum, _mm_cvtsi32_si128(c.bias));
    sums[c.place] = _mm_cvtsi128_si32(sum);
    multipliers[c.place] = c.multiplier;
  }
  for (int64_t i = 0; i < t.count; i += kDwords) {
    const Vec rounded = scale_round(load(sums + i), load_f32(multipliers + i));
    store_quarter(out + i, quantized_bytes(rounded, t.clamp), min_of(kDwords, t.count - i));
  }
}

// The rows of a panel; quads of the image begin kVectors vectors apart.
template <int kVectors>
__attribute__((noinline)) void multiply_blocks(const SparseTile& t) {
  constexpr int64_t kStride = kVectors * kVecBytes;
  const uint8_t* const image = t.image;
  const Vec ones = set1_s16(1);
  for (const SparseChannel *c = t.channels, *last = c + t.count; c < last; ++c) {
    const int8_t* w = t.weights + 4 * c->first;
    const uint16_t* quads = t.quads + c->first;
    Vec acc[kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) { acc[v] = set1_s32(c->bias); });
    for (int64_t i = 0; i < c->pairs; ++i, w += 8, quads += 2) {
      const uint8_t *const a = image + int64_t{quads[0]} * kStride, *const b =
                                                                        image +
                                                                        int64_t{quads[1]} * kStride;
      const Vec wa = set1_s32(load_s32(w)), wb = set1_s32(load_s32(w + 4));
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        Vec sum = maddubs(load(a + v * kVecBytes), wa);
        add_words_to(sum, maddubs(load(b + v * kVecBytes), wb));
        add_to(acc[v], madd_s16(sum, ones));
      });
    }
    for (int64_t i = 0; i < c->singles; ++i, w += 4, ++quads) {
      const uint8_t* const a = image + int64_t{*quads} * kStride;
      const Vec wa = set1_s32(load_s32(w));
      unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
        add_to(acc[v], madd_s16(maddubs(load(a + v * kVecBytes), wa), ones));
      });
    }
    const VecF multiplier = set1_f32(c->multiplier);
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      acc[v] = scale_round(acc[v], multiplier);
    });
    int8_t* const row = t.rows + c->place * kSparseRow;
    unroll<(kVectors + 3) / 4>([&](auto g) __attribute__((always_inline)) {
      constexpr int v = 4 * g, end = kVectors - 1;
      const Vec first = pack_words(acc[v], acc[v + 1 < end ? v + 1 : end], t.clamp);
      const Vec second =
          pack_words(acc[v + 2 < end ? v + 2 : end], acc[v + 3 < end ? v + 3 : end], t.clamp);
      store(row + g * kVecBytes, clamp_bytes(first, second, t.clamp));
    });
  }
}

template <int kVectors>
void multiply_vectors(const SparseTile& t, int64_t vectors) {
  if constexpr (kVectors > 0) {
    if (vectors == kVectors) return multiply_blocks<kVectors>(t);
    multiply_vectors<kVectors - 1>(t, vectors);
  }
}

// Up to kVecBytes pixels of up to sixteen channels, from rows to pixels.
inline void transpose_rows(const int8_t* rows, int64_t channels, int64_t pixels, int8_t* out,
                           int64_t out_stride) {
  Vec a[16], b[16];
  unroll<16>([&](auto i) __attribute__((always_inline)) { a[i] = load(rows + i * kSparseRow); });
  const auto interleave = [](const Vec(&from)[16], Vec(&to)[16]) __attribute__((always_inline)) {
    unroll<8>([&](auto i) __attribute__((always_inline)) {
      to[2 * i] = unpack_low_s8(from[i], from[i + 8]);
      to[2 * i + 1] = unpack_high_s8(from[i], from[i + 8]);
    });
  };
  interleave(a, b);
  interleave(b, a);
  interleave(a, b);
  interleave(b, a);
  if (channels == 16) {
    const int64_t low = min_of(16, pixels);
    unroll<16>([&](auto i) __attribute__((always_inline)) {
      if (i < low) store128(out + i * out_stride, low_half(a[i]));
    });
#if defined(__AVX2__)
    unroll<16>([&](auto i) __attribute__((always_inline)) {
      if (i + 16 < pixels) store128(out + (i + 16) * out_stride, high_half(a[i]));
    });
#endif
    return;
  }
  alignas(kVecBytes) int8_t columns[2][16][16];
  unroll<16>([&](auto i) __attribute__((always_inline)) {
    store128(columns[0][i], low_half(a[i]));
#if defined(__AVX2__)
    store128(columns[1][i], high_half(a[i]));
#endif
  });
  for (int64_t i = 0; i < pixels; ++i)
    store_few(out + i * out_stride, load128(columns[i / 16][i % 16]), channels);
}

// A panel's rows to the output.
void store_panel(const int8_t* rows, int64_t channels, int64_t pixels, int8_t* out,
                 int64_t out_stride) {
  if (pixels <= kFewPixels) {
    for (int64_t i = 0; i < pixels; ++i)
      for (int64_t c = 0; c < channels; ++c) out[i * out_stride + c] = rows[c * kSparseRow + i];
    return;
  }
  for (int64_t c = 0; c < channels; c += 16)
    for (int64_t i = 0; i < pixels; i += kVecBytes)
      transpose_rows(rows + c * kSparseRow + i, min_of(16, channels - c),
                     min_of(kVecBytes, pixels - i), out + i * out_stride + c, out_stride);
}

constexpr double kDoubt = 1.25;

// Fitted to measurements of pointwise layers of 24 to 1152 channels with 5 to 50 percent of their
// blocks, within 10 percent for most, and above them by kDoubt: what is not clearly faster stays
// dense.
double sparse_cost(const void* problem) {
  const ConvProblem& p = as_sparse(problem);
  const SparsePlan plan = plan_sparse(p);
  const auto blocks = static_cast<double>(count_blocks(p));
  if (plan.pixels == 1) {
    const double weights = static_cast<double>(p.out_c) * p.in_c;
    // What dense weights lose to memory counts for both: such layers may find theirs in a cache.
    const double from_memory = weights > (1 << 20) ? (weights - (1 << 20)) / 12 : 0;
    return (0.45 * blocks + 3.0 * p.out_c + 0.02 * p.in_c) * (kDwords == 8 ? 1 : 1.4) + from_memory;
  }
  const auto tiles = static_cast<double>(plan.tiles);
  const double vectors =
      tiles * static_cast<double>(plan.vectors) + static_cast<double>(plan.larger);
  // Beyond L1, vectors of the image come from L2.
  const bool near =
      plan.quads * (plan.vectors + (plan.larger > 0 ? 1 : 0)) * kVecBytes <= (32 << 10);
  const double block = blocks * (0.22 * tiles + (near ? 0.30 : 0.32) * vectors);
  const double ends = p.out_c * (4.0 * tiles + 0.65 * vectors) + p.in_c * 0.28 * vectors;
  return kDoubt * (block + ends) * (kDwords == 8 ? 1 : 1.1);
}

int sparse_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
               void* scratch) {
  const ConvProblem& p = as_sparse(problem);
  const SparsePlan plan = plan_sparse(p);
  const SparseScratch s = sparse_scratch(p);
  auto* const base = static_cast<int8_t*>(scratch);
  auto* const image = reinterpret_cast<uint8_t*>(base + s.image);
  auto* const pixels = reinterpret_cast<const int8_t**>(base + s.pixels);
  int8_t* const outside = base + s.outside;
  memset(outside, p.in_zero_point, static_cast<size_t>(p.in_c));
  const auto* const packed = static_cast<const int8_t*>(operands.packed);
  SparseLayout layout;
  memcpy(&layout, packed, sizeof layout);
  const auto* const channels = reinterpret_cast<const SparseChannel*>(packed + layout.channels);
  const Vec lo = set1_s8(p.in_lo);
  SparseTile t;
  t.image = image;
  t.rows = base + s.rows;
  t.clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  t.weights = packed + layout.weights;
  t.quads = reinterpret_cast<const uint16_t*>(packed + layout.quads);
  int64_t copied = -1, first = 0, vectors = 0, count = 0;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t tile = item / plan.panels, panel = item % plan.panels;
    if (tile != copied) {
      vectors = plan.vectors + (tile < plan.larger ? 1 : 0);
      first = kDwords * (tile * plan.vectors + min_of(tile, plan.larger));
      count = min_of(kDwords * vectors, plan.pixels - first);
      find_pixels(p, first, count, static_cast<const int8_t*>(operands.in[0]), outside, pixels);
      if (plan.pixels == 1) {
        copy_bytes(pixels[0], p.in_c, lo, image);
      } else {
        for (int64_t v = 0; v < vectors; ++v)
          copy_quads(pixels + v * kDwords, p.in_c, lo, image + v * kVecBytes, vectors * kVecBytes);
      }
      copied = tile;
    }
    const int64_t channel = panel * kSparsePanel;
    t.count = min_of(kSparsePanel, p.out_c - channel);
    t.channels = channels + channel;
    int8_t* const out = static_cast<int8_t*>(operands.out) + first * p.out_stride + channel;
    if (plan.pixels == 1) {
      multiply_pixel(t, out);
      continue;
    }
    multiply_vectors<kSparseVectors>(t, vectors);
    store_panel(t.rows, t.count, count, out, p.out_stride);
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_SPARSE_H_

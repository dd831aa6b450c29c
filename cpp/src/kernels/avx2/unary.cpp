// Elementwise families of one operand: lookup, quantize, dequantize, prelu.
#include "kernels/avx2/simd.h"
#include "kernels/elementwise.h"

namespace edgecv::kernels::avx2 {
namespace {

constexpr int64_t kItemElements = 8192;

const UnaryProblem& as_unary(const void* problem) {
  return *static_cast<const UnaryProblem*>(problem);
}

int64_t unary_items(const void* problem) {
  return max_of(1, div_up(as_unary(problem).count, kItemElements));
}

// A 256-entry table is 16 tables T0..T15 of 16 entries for vpshufb, which gives 0 where bit 7 of
// the index is set and else looks at 4 bits. With the index lowered by 16 before each table, an
// index of block b (its upper 4 bits) meets
//   b < 8: tables 0..b;  b >= 8: tables b - 7..b  (index 128 and up start negative, and turn
//   positive by wrapping)
// so results are joined by xor and the tables stored as differences: S[0] = T0, S[b] = T[b] ^ T[b -
// 1] for b < 8, and S[b] = T[b] ^ T[b - 1] ^ S[b - 8] above. After 8 wrapping subtractions they
// saturate, so that nothing wraps again.
struct LookupTables {
  __m256i part[16];
};

void make_tables(const int8_t* table, LookupTables* tables) {
  __m256i previous = _mm256_setzero_si256();
  for (int b = 0; b < 16; ++b) {
    const __m256i block = _mm256_broadcastsi128_si256(load128(table + 16 * b));
    tables->part[b] = _mm256_xor_si256(block, previous);
    if (b >= 8) tables->part[b] = _mm256_xor_si256(tables->part[b], tables->part[b - 8]);
    previous = block;
  }
}

// kVectors vectors at a time share the loads of the tables.
template <int kVectors>
EDGECV_INLINE void lookup(const LookupTables& tables, __m256i (&x)[kVectors]) {
  const __m256i sixteen = _mm256_set1_epi8(16);
  const __m256i flip = _mm256_set1_epi8(-128);  // entry 0 is for -128
  __m256i y[kVectors];
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    x[v] = _mm256_xor_si256(x[v], flip);
    y[v] = _mm256_shuffle_epi8(tables.part[0], x[v]);
  });
  unroll<15>([&](auto i) __attribute__((always_inline)) {
    const __m256i part = tables.part[i + 1];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      x[v] = i < 8 ? _mm256_sub_epi8(x[v], sixteen) : _mm256_subs_epi8(x[v], sixteen);
      y[v] = _mm256_xor_si256(y[v], _mm256_shuffle_epi8(part, x[v]));
    });
  });
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) { x[v] = y[v]; });
}

int lookup_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const UnaryProblem& p = as_unary(problem);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const int64_t stop = min_of(end * kItemElements, p.count);
  LookupTables tables;
  make_tables(p.table, &tables);
  int64_t i = begin * kItemElements;
  for (; i + 128 <= stop; i += 128) {
    __m256i v[4];
    unroll<4>([&](auto n) __attribute__((always_inline)) { v[n] = load256(x + i + 32 * n); });
    lookup(tables, v);
    unroll<4>([&](auto n) __attribute__((always_inline)) { store256(y + i + 32 * n, v[n]); });
  }
  for (; i + 32 <= stop; i += 32) {
    __m256i v[1] = {load256(x + i)};
    lookup(tables, v);
    store256(y + i, v[0]);
  }
  for (; i < stop; ++i) y[i] = p.table[x[i] + 128];
  return 0;
}

// Eight floats to s32 in [-128 - zero_point, 127 - zero_point]: clamped before the conversion,
// which gives the same as after it since the bounds are integers, and keeps huge values from
// overflowing.
struct QuantizeConstants {
  __m256 scale, lo, hi;
  Clamp clamp;
};

EDGECV_INLINE __m256i quantize8(__m256 x, const QuantizeConstants& k, __m256* unordered) {
  *unordered = _mm256_or_ps(*unordered, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256 t = _mm256_div_ps(x, k.scale);
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(t, k.lo), k.hi));
}

int quantize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const UnaryProblem& p = as_unary(problem);
  const auto* x = static_cast<const float*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const int64_t stop = min_of(end * kItemElements, p.count);
  QuantizeConstants k;
  k.scale = _mm256_set1_ps(p.scale);
  k.lo = _mm256_set1_ps(static_cast<float>(-128 - p.zero_point));
  k.hi = _mm256_set1_ps(static_cast<float>(127 - p.zero_point));
  k.clamp = make_clamp(p.zero_point, -128, 127);
  __m256 unordered = _mm256_setzero_ps();
  const auto quantize32 = [&](const float* from) __attribute__((always_inline)) {
    __m256i q[4];
    unroll<4>([&](auto n) __attribute__((always_inline)) {
      q[n] = quantize8(_mm256_loadu_ps(from + 8 * n), k, &unordered);
    });
    return clamp_bytes(pack_words(q[0], q[1], k.clamp), pack_words(q[2], q[3], k.clamp), k.clamp);
  };
  int64_t i = begin * kItemElements;
  for (; i + 32 <= stop; i += 32) store256(y + i, quantize32(x + i));
  if (i < stop) {
    alignas(32) float rest[32] = {0};
    alignas(32) int8_t bytes[32];
    const auto count = static_cast<size_t>(stop - i);
    memcpy(rest, x + i, count * sizeof(float));
    store256(bytes, quantize32(rest));
    memcpy(y + i, bytes, count);
  }
  return _mm256_movemask_ps(unordered) != 0 ? kNanFound : 0;
}

int dequantize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                   void*) {
  const UnaryProblem& p = as_unary(problem);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<float*>(operands.out);
  const int64_t stop = min_of(end * kItemElements, p.count);
  const __m256i zero_point = _mm256_set1_epi32(p.zero_point);
  const __m256 scale = _mm256_set1_ps(p.scale);
  int64_t i = begin * kItemElements;
  for (; i + 8 <= stop; i += 8) {
    const __m256i q = _mm256_sub_epi32(_mm256_cvtepi8_epi32(load64(x + i)), zero_point);
    _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_cvtepi32_ps(q), scale));
  }
  for (; i < stop; ++i) y[i] = static_cast<float>(x[i] - p.zero_point) * p.scale;
  return 0;
}

const PReluProblem& as_prelu(const void* problem) {
  return *static_cast<const PReluProblem*>(problem);
}

int64_t prelu_pixels(const PReluProblem& p) { return max_of(1, kItemElements / p.channels); }

int64_t prelu_items(const void* problem) {
  const PReluProblem& p = as_prelu(problem);
  return div_up(p.pixels, prelu_pixels(p));
}

int prelu_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const PReluProblem& p = as_prelu(problem);
  const int64_t channels = p.channels, zero_point = p.in_zero_point;
  const bool one_slope = p.slope_count == 1;
  const float* slope = p.slope;
  const __m256 positive = _mm256_set1_ps(p.m_positive);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const int64_t stop = min_of(end * prelu_pixels(p), p.pixels);
  for (int64_t pixel = begin * prelu_pixels(p); pixel < stop; ++pixel) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + pixel * channels;
    int8_t* y = static_cast<int8_t*>(operands.out) + pixel * channels;
    for (int64_t c = 0; c < channels; c += 8) {
      const int64_t count = min_of(8, channels - c);
      const __m128i bytes = count == 8 ? load64(x + c) : load_tail(x + c, count);
      const __m256i d = _mm256_sub_epi32(_mm256_cvtepi8_epi32(bytes),
                                         _mm256_set1_epi32(static_cast<int32_t>(zero_point)));
      __m256 negative;
      if (one_slope) {
        negative = _mm256_set1_ps(slope[0]);
      } else if (count == 8) {
        negative = _mm256_loadu_ps(slope + c);
      } else {
        alignas(32) float rest[8] = {0};
        memcpy(rest, slope + c, static_cast<size_t>(count) * sizeof(float));
        negative = _mm256_load_ps(rest);
      }
      // The sign bit of d picks the slope.
      const __m256i q =
          scale_round(d, _mm256_blendv_ps(positive, negative, _mm256_castsi256_ps(d)));
      const __m256i words = pack_words(q, q, clamp);
      const __m128i out = low_half(clamp_bytes(words, words, clamp));
      if (count == 8) {
        store64(y + c, out);
      } else {
        store_tail(y + c, out, count);
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel lookup_s8_x128 = {
    "lookup_s8_x128__avx2",
    "avx2",
    Family::kLookupS8,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    lookup_run,
};

extern const Kernel quantize_x32 = {
    "quantize_f32_s8_x32__avx2",
    "avx2",
    Family::kQuantize,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    quantize_run,
};

extern const Kernel dequantize_x8 = {
    "dequantize_s8_f32_x8__avx2",
    "avx2",
    Family::kDequantize,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    dequantize_run,
};

extern const Kernel prelu_s8_x8 = {
    "prelu_s8_x8__avx2", "avx2",    Family::kPReluS8, kIsaAvx2, nullptr, nullptr, nullptr, nullptr,
    prelu_items,         prelu_run,
};

}  // namespace edgecv::kernels::avx2

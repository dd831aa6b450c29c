// Elementwise families of one operand: lookup, quantize, dequantize, prelu.
#ifndef EDGECV_KERNELS_SIMD_UNARY_H_
#define EDGECV_KERNELS_SIMD_UNARY_H_

#include "kernels/elementwise.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// A work item is about this many elements: a piece of one long run, or several short runs.
constexpr int64_t kUnaryItem = 8192;

const UnaryProblem& as_unary(const void* problem) {
  return *static_cast<const UnaryProblem*>(problem);
}

struct UnaryPlan {
  int64_t piece, pieces;  // elements of a run in an item; pieces of a run
  int64_t item_runs;
};

UnaryPlan plan_unary(const UnaryProblem& p) {
  const int64_t piece = max_of(1, min_of(p.count, kUnaryItem));
  const int64_t pieces = max_of(1, div_up(p.count, piece));
  return {piece, pieces, pieces > 1 ? 1 : max_of(1, kUnaryItem / piece)};
}

int64_t unary_items(const void* problem) {
  const UnaryProblem& p = as_unary(problem);
  const UnaryPlan plan = plan_unary(p);
  return max_of(1, div_up(p.runs, plan.item_runs) * plan.pieces);
}

// Calls span(x, y, count) for runs or pieces of runs of items [begin, end).
template <typename In, typename Out, typename Span>
EDGECV_INLINE void for_spans(const UnaryProblem& p, const Operands& operands, int64_t begin,
                             int64_t end, const Span& span) {
  const UnaryPlan plan = plan_unary(p);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item / plan.pieces * plan.item_runs;
    const int64_t stop = min_of(p.runs, first + plan.item_runs);
    const int64_t start = item % plan.pieces * plan.piece;
    for (int64_t run = first; run < stop; ++run) {
      span(static_cast<const In*>(operands.in[0]) + run * p.in_stride + start,
           static_cast<Out*>(operands.out) + run * p.out_stride + start,
           min_of(plan.piece, p.count - start));
    }
  }
}

// A 256-entry table is 16 tables T0..T15 of 16 entries for shuffle_bytes, which gives 0 where bit 7
// of the index is set and else looks at 4 bits. The four tables of a quarter share one index: the
// lower 6 bits, lowered by 16 from table to table, so that an entry of table j meets tables 0..j
// (beyond, the index is negative); results are joined by xor and the tables stored as differences,
// T[j] ^ T[j - 1]. Bits 6 and 7 then blend the quarters.
struct LookupTables {
  V128 part[16];
};

void make_tables(const int8_t* table, LookupTables* tables) {
  for (int b = 0; b < 16; ++b) {
    tables->part[b] = load128(table + 16 * b);
    if (b % 4 != 0) tables->part[b] = xor128(tables->part[b], load128(table + 16 * (b - 1)));
  }
}

EDGECV_INLINE Vec lookup(const LookupTables& tables, Vec x) {
  const Vec sixteen = set1_s8(16);
  Vec index = bit_and(x, set1_s8(0x3F));
  Vec quarter[4];
  unroll<4>([&](auto j) __attribute__((always_inline)) {
    unroll<4>([&](auto q) __attribute__((always_inline)) {
      const Vec entry = shuffle_bytes(load_repeated128(&tables.part[4 * q + j]), index);
      quarter[q] = j == 0 ? entry : bit_xor(quarter[q], entry);
    });
    index = sub_s8(index, sixteen);
  });
  const Vec bit6 = shift_left_s16<1>(x);
  // Entry 0 is for -128: the first two quarters are of the negative values.
  return blend_bytes(blend_bytes(quarter[2], quarter[3], bit6),
                     blend_bytes(quarter[0], quarter[1], bit6), x);
}

int lookup_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const UnaryProblem& p = as_unary(problem);
  LookupTables tables;
  make_tables(p.table, &tables);
  for_spans<int8_t, int8_t>(
      p, operands, begin, end, [&](const int8_t* x, int8_t* y, int64_t count) {
        int64_t i = 0;
        for (; i + kVecBytes <= count; i += kVecBytes) store(y + i, lookup(tables, load(x + i)));
        if (i == count) return;
        if (count >= kVecBytes) {  // again some of those before: the same bytes
          i = count - kVecBytes;
          store(y + i, lookup(tables, load(x + i)));
        } else if (count > 4) {
          store_some(y, lookup(tables, load_some(x, count)), count);
        } else {
          for (; i < count; ++i) y[i] = p.table[x[i] + 128];
        }
      });
  return 0;
}

// kDwords floats to s32 in [-128 - zero_point, 127 - zero_point]: clamped before the conversion,
// which gives the same as after it since the bounds are integers, and keeps huge values from
// overflowing.
struct QuantizeConstants {
  VecF scale, lo, hi;
  Clamp clamp;
};

EDGECV_INLINE Vec quantize_quarter(VecF x, const QuantizeConstants& k, VecF* unordered) {
  *unordered = or_f32(*unordered, unordered_f32(x, x));
  return round_s32(min_f32(max_f32(div_f32(x, k.scale), k.lo), k.hi));
}

int quantize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const UnaryProblem& p = as_unary(problem);
  QuantizeConstants k;
  k.scale = set1_f32(p.scale);
  k.lo = set1_f32(static_cast<float>(-128 - p.zero_point));
  k.hi = set1_f32(static_cast<float>(127 - p.zero_point));
  k.clamp = make_clamp(p.zero_point, -128, 127);
  VecF unordered = to_f32_bits(zero());
  const auto quantize = [&](const float* from) __attribute__((always_inline)) {
    Vec q[4];
    unroll<4>([&](auto n) __attribute__((always_inline)) {
      q[n] = quantize_quarter(load_f32(from + kDwords * n), k, &unordered);
    });
    return clamp_bytes(pack_words(q[0], q[1], k.clamp), pack_words(q[2], q[3], k.clamp), k.clamp);
  };
  for_spans<float, int8_t>(p, operands, begin, end, [&](const float* x, int8_t* y, int64_t count) {
    int64_t i = 0;
    for (; i + kVecBytes <= count; i += kVecBytes) store(y + i, quantize(x + i));
    if (i == count) return;
    alignas(kVecBytes) float rest[kVecBytes] = {0};
    memcpy(rest, x + i, static_cast<size_t>(count - i) * sizeof(float));
    store_some(y + i, quantize(rest), count - i);
  });
  return any_sign_f32(unordered) ? kNanFound : 0;
}

int dequantize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                   void*) {
  const UnaryProblem& p = as_unary(problem);
  const Vec zero_point = set1_s32(p.zero_point);
  const VecF scale = set1_f32(p.scale);
  for_spans<int8_t, float>(p, operands, begin, end, [&](const int8_t* x, float* y, int64_t count) {
    int64_t i = 0;
    for (; i + kDwords <= count; i += kDwords)
      store_f32(y + i, mul_f32(to_f32(sub_s32(load_s8_s32(x + i), zero_point)), scale));
    for (; i < count; ++i) y[i] = static_cast<float>(x[i] - p.zero_point) * p.scale;
  });
  return 0;
}

const PReluProblem& as_prelu(const void* problem) {
  return *static_cast<const PReluProblem*>(problem);
}

int64_t prelu_pixels(const PReluProblem& p) { return max_of(1, kUnaryItem / p.channels); }

int64_t prelu_items(const void* problem) {
  const PReluProblem& p = as_prelu(problem);
  return div_up(p.pixels, prelu_pixels(p));
}

int prelu_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const PReluProblem& p = as_prelu(problem);
  const int64_t channels = p.channels;
  const bool one_slope = p.slope_count == 1;
  const float* slope = p.slope;
  const Vec zero_point = set1_s32(p.in_zero_point);
  const VecF positive = set1_f32(p.m_positive);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const int64_t stop = min_of(end * prelu_pixels(p), p.pixels);
  for (int64_t pixel = begin * prelu_pixels(p); pixel < stop; ++pixel) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + pixel * channels;
    int8_t* y = static_cast<int8_t*>(operands.out) + pixel * channels;
    for (int64_t c = 0; c < channels; c += kDwords) {
      const int64_t count = min_of(kDwords, channels - c);
      const Vec d = sub_s32(widen_s8_s32(load_quarter(x + c, count)), zero_point);
      VecF negative;
      if (one_slope) {
        negative = set1_f32(slope[0]);
      } else if (count == kDwords) {
        negative = load_f32(slope + c);
      } else {
        negative = load_part_f32(slope + c, count);
      }
      // The sign bit of d picks the slope.
      const Vec q = scale_round(d, blend_f32(positive, negative, to_f32_bits(d)));
      store_quarter(y + c, quantized_bytes(q, clamp), count);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_UNARY_H_

// ReduceMean s8 of [outer][reduce][inner]: global average pooling of an NHWC image has reduce = H *
// W, inner = C.
//
// Bytes are summed exactly: inner positions side by side (s16 sums of some rows, then s32), or, for
// inner == 1, biased to u8, by sad_u8 over the row. The bias and the zero point come off at the
// end, modulo 2^32 like the contract's sum.
#ifndef EDGECV_KERNELS_SIMD_REDUCE_H_
#define EDGECV_KERNELS_SIMD_REDUCE_H_

#include "kernels/reduce.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kBlock = 64;  // inner positions of a work item; the last one holds the rest too

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

int64_t mean_blocks(const ReduceProblem& p) { return max_of(p.inner / kBlock, 1); }

int64_t mean_items(const void* problem) {
  const ReduceProblem& p = as_reduce(problem);
  return p.outer * mean_blocks(p);
}

struct MeanTask {
  const int8_t* x;
  int64_t reduce, inner;
  int8_t* y;
  Vec offset;  // reduce * zero_point
  VecF multiplier;
};

// Sums of s16 hold 255 rows: 255 * 128 < 2^15.
constexpr int64_t kWordRows = 255;

// kVectors * kWords positions, or, with one vector, the first `count` of them.
template <int kVectors, bool kWhole>
void mean_columns(const MeanTask& task, int64_t first, int64_t count, const Clamp clamp) {
  const MeanTask t = task;  // a copy: y could alias the original
  Vec low[kVectors], high[kVectors];
  unroll<kVectors>([&](auto i) __attribute__((always_inline)) { low[i] = high[i] = zero(); });
  const int8_t* x = t.x + first;
  for (int64_t r = 0; r < t.reduce;) {
    const int64_t stop = min_of(t.reduce, r + kWordRows);
    Vec words[kVectors];
    unroll<kVectors>([&](auto i) __attribute__((always_inline)) { words[i] = zero(); });
    for (; r < stop; ++r, x += t.inner) {
      unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
        const int8_t* at = x + i * kWords;
        words[i] = add_s16(words[i], kWhole ? load_s8_s16(at) : widen_s8_s16(load_tail(at, count)));
      });
    }
    unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
      low[i] = add_s32(low[i], widen_low_s16(words[i]));
      high[i] = add_s32(high[i], widen_high_s16(words[i]));
    });
  }
  unroll<kVectors>([&](auto i) __attribute__((always_inline)) {
    const Vec q0 = scale_round(sub_s32(low[i], t.offset), t.multiplier);
    const Vec q1 = scale_round(sub_s32(high[i], t.offset), t.multiplier);
    const Vec words = pack_words(q0, q1, clamp);
    const V128 bytes = low_half(clamp_bytes(words, words, clamp));
    int8_t* const y = t.y + first + i * kWords;
    if (kWhole) {
      store_half(y, bytes);
    } else {
      store_tail(y, bytes, count);
    }
  });
}

// inner == 1: the sum of one dense row.
uint32_t sum_row(const int8_t* x, int64_t count) {
  const Vec flip = set1_s8(-128);
  Vec sums = zero();  // u64
  int64_t i = 0;
  for (; i + kVecBytes <= count; i += kVecBytes) {
    sums = add_s64(sums, sad_u8(bit_xor(load(x + i), flip), zero()));
  }
  alignas(kVecBytes) uint64_t parts[kVecBytes / 8];
  store(parts, sums);
  uint64_t total = 0;
  for (const uint64_t part : parts) total += part;
  auto sum = static_cast<uint32_t>(total - 128u * static_cast<uint64_t>(i));
  for (; i < count; ++i) sum += static_cast<uint32_t>(x[i]);
  return sum;
}

int mean_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t blocks = mean_blocks(p);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const uint32_t offset = static_cast<uint32_t>(p.reduce) * static_cast<uint32_t>(p.in_zero_point);
  MeanTask t;
  t.reduce = p.reduce;
  t.inner = p.inner;
  t.offset = set1_s32(static_cast<int32_t>(offset));
  t.multiplier = set1_f32(p.multiplier);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t outer = item / blocks, first = item % blocks * kBlock;
    const int64_t stop = item % blocks + 1 == blocks ? p.inner : first + kBlock;
    t.x = static_cast<const int8_t*>(operands.in[0]) + outer * p.reduce * p.inner;
    t.y = static_cast<int8_t*>(operands.out) + outer * p.inner;
    if (p.inner == 1) {
      const Vec acc = set1_s32(static_cast<int32_t>(sum_row(t.x, p.reduce) - offset));
      store_tail(t.y, quantized_bytes(scale_round(acc, t.multiplier), clamp), 1);
      continue;
    }
    int64_t c = first;
    for (; c + 4 * kWords <= stop; c += 4 * kWords) mean_columns<4, true>(t, c, 0, clamp);
    for (; c + kWords <= stop; c += kWords) mean_columns<1, true>(t, c, 0, clamp);
    if (c == stop) continue;
    if (stop - first >= kWords) {
      mean_columns<1, true>(t, stop - kWords, 0, clamp);  // repeats some positions
    } else {
      mean_columns<1, false>(t, c, stop - c, clamp);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_REDUCE_H_

// s8 add, sub and mul. An operand's innermost stride is 1 (dense) or 0 (one value for the row).
//
// add and sub: two multiplies and one add in f32, as the contract orders them, never fused. mul:
// the difference from the zero point has 9 bits, so products are taken as sums of two s16 products:
// (a - za) * b' = a * b' + (-za) * b'.
#ifndef EDGECV_KERNELS_SIMD_BINARY_H_
#define EDGECV_KERNELS_SIMD_BINARY_H_

#include "kernels/elementwise.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// A work item is about this many elements: a piece of one long row, or several short rows.
constexpr int64_t kBinaryItem = 8192;
// Short rows that follow each other without a gap, with one operand the same for all of them (the
// gate of a squeeze-and-excite), become one long row: that operand is repeated in a buffer.
constexpr int64_t kRepeated = 2048;

struct BinaryPlan {
  int64_t row;  // elements of a row (the innermost dim)
  int64_t rows;
  int64_t piece;   // elements of a row in an item
  int64_t pieces;  // of a row
  int64_t item_rows;
  int64_t block_rows;  // rows one stride apart in all tensors: the dim before the innermost
};

BinaryPlan plan_binary(const BinaryProblem& p) {
  BinaryPlan plan;
  plan.row = p.dims[p.rank - 1];
  plan.rows = 1;
  for (int32_t i = 0; i + 1 < p.rank; ++i) plan.rows *= p.dims[i];
  plan.piece = min_of(plan.row, kBinaryItem);
  plan.pieces = div_up(plan.row, plan.piece);
  plan.item_rows = plan.pieces > 1 ? 1 : max_of(1, kBinaryItem / plan.row);
  plan.block_rows = p.rank > 1 ? p.dims[p.rank - 2] : 1;
  return plan;
}

struct BinaryConstants {
  Vec a_zero_point, b_zero_point;  // s32; mul: s16, a's negated
  VecF ma, mb;
  Clamp clamp;
};

template <BinaryOp kOp>
EDGECV_INLINE Vec sum_quarter(Vec a, Vec b, const BinaryConstants& k) {
  const VecF fa = mul_f32(to_f32(sub_s32(a, k.a_zero_point)), k.ma);
  const VecF fb = mul_f32(to_f32(sub_s32(b, k.b_zero_point)), k.mb);
  return round_s32(kOp == BinaryOp::kAdd ? add_f32(fa, fb) : sub_f32(fa, fb));
}

// kWords elements as rounded words with the zero point. mul leaves them in memory order, packed
// from the halves that unpack takes apart.
EDGECV_INLINE Vec product_words(Vec a, Vec b, const BinaryConstants& k) {
  b = sub_s16(b, k.b_zero_point);
  const Vec low = madd_s16(unpack_low_s16(a, k.a_zero_point), unpack_low_s16(b, b));
  const Vec high = madd_s16(unpack_high_s16(a, k.a_zero_point), unpack_high_s16(b, b));
  return pack_words(scale_round(low, k.ma), scale_round(high, k.ma), k.clamp);
}

// kVecBytes elements at a and b; a stride of 0 reads one.
template <BinaryOp kOp, bool kDenseA, bool kDenseB>
EDGECV_INLINE Vec binary_vector(const int8_t* a, const int8_t* b, const BinaryConstants& k) {
  if constexpr (kOp == BinaryOp::kMul) {
    Vec words[2];
    unroll<2>([&](auto i) __attribute__((always_inline)) {
      const Vec va = kDenseA ? load_s8_s16(a + kWords * i) : set1_s16(*a);
      const Vec vb = kDenseB ? load_s8_s16(b + kWords * i) : set1_s16(*b);
      words[i] = product_words(va, vb, k);
    });
    const Vec bytes = narrow_s16(words[0], words[1]);
    return min_s8(max_s8(bytes, k.clamp.lo), k.clamp.hi);
  } else {
    Vec q[4];
    unroll<4>([&](auto i) __attribute__((always_inline)) {
      const Vec va = kDenseA ? load_s8_s32(a + kDwords * i) : set1_s32(*a);
      const Vec vb = kDenseB ? load_s8_s32(b + kDwords * i) : set1_s32(*b);
      q[i] = sum_quarter<kOp>(va, vb, k);
    });
    return clamp_bytes(pack_words(q[0], q[1], k.clamp), pack_words(q[2], q[3], k.clamp), k.clamp);
  }
}

template <BinaryOp kOp, bool kDenseA, bool kDenseB>
void binary_row(const BinaryConstants& constants, const int8_t* a, const int8_t* b, int8_t* y,
                int64_t count) {
  const BinaryConstants k = constants;  // a copy: y could alias the original
  const auto at = [](const int8_t* p, bool dense, int64_t i) { return dense ? p + i : p; };
  int64_t i = 0;
  for (; i + kVecBytes <= count; i += kVecBytes) {
    store(y + i, binary_vector<kOp, kDenseA, kDenseB>(at(a, kDenseA, i), at(b, kDenseB, i), k));
  }
  if (i == count) return;
  if (count >= kVecBytes) {  // again some of those before: the same bytes
    i = count - kVecBytes;
    store(y + i, binary_vector<kOp, kDenseA, kDenseB>(at(a, kDenseA, i), at(b, kDenseB, i), k));
    return;
  }
  alignas(kVecBytes) int8_t rest[3][kVecBytes];
  if (kDenseA) store(rest[0], load_some(a, count));
  if (kDenseB) store(rest[1], load_some(b, count));
  store_some(y,
             binary_vector<kOp, kDenseA, kDenseB>(kDenseA ? rest[0] : a, kDenseB ? rest[1] : b, k),
             count);
}

using BinaryRow = void (*)(const BinaryConstants&, const int8_t*, const int8_t*, int8_t*, int64_t);

template <BinaryOp kOp>
BinaryRow choose_row(bool dense_a, bool dense_b) {
  if (dense_a) return dense_b ? binary_row<kOp, true, true> : binary_row<kOp, true, false>;
  return dense_b ? binary_row<kOp, false, true> : binary_row<kOp, false, false>;
}

struct BinaryBlock {
  const int8_t *a, *b;
  int8_t* y;
  int64_t a_step, b_step, y_step;  // from row to row
};

// One operand is the same for `rows` dense rows of `count` elements.
void repeat_rows(const BinaryConstants& k, BinaryRow row, BinaryBlock block, int64_t rows,
                 int64_t count) {
  alignas(kVecBytes) int8_t buffer[kRepeated];
  const bool same_a = block.a_step == 0;
  const int8_t** same = same_a ? &block.a : &block.b;
  const int64_t group = min_of(rows, kRepeated / count);
  for (int64_t i = 0; i < group; ++i) memcpy(buffer + i * count, *same, static_cast<size_t>(count));
  *same = buffer;
  for (int64_t r = 0; r < rows; r += group) {
    const int64_t length = min_of(group, rows - r) * count;
    row(k, block.a, block.b, block.y, length);
    if (!same_a) block.a += length;
    if (same_a) block.b += length;
    block.y += length;
  }
}

const BinaryProblem& as_binary(const void* problem) {
  return *static_cast<const BinaryProblem*>(problem);
}

bool binary_supports(const void* problem) {
  const BinaryProblem& p = as_binary(problem);
  const int64_t a = p.a_stride[p.rank - 1], b = p.b_stride[p.rank - 1];
  return (a == 0 || a == 1) && (b == 0 || b == 1) && p.op != BinaryOp::kDiv;
}

int64_t binary_items(const void* problem) {
  const BinaryPlan plan = plan_binary(as_binary(problem));
  return div_up(plan.rows, plan.item_rows) * plan.pieces;
}

int binary_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const BinaryProblem& p = as_binary(problem);
  const BinaryPlan plan = plan_binary(p);
  int next = 0;
  const auto* a =
      static_cast<const int8_t*>(p.a_constant != nullptr ? p.a_constant : operands.in[next++]);
  const auto* b =
      static_cast<const int8_t*>(p.b_constant != nullptr ? p.b_constant : operands.in[next]);
  auto* y = static_cast<int8_t*>(operands.out);
  const bool mul = p.op == BinaryOp::kMul;
  const int32_t last = p.rank - 1;
  const int64_t a_step = p.a_stride[last], b_step = p.b_stride[last];
  BinaryConstants k;
  k.a_zero_point = mul ? set1_s16(-p.a_zero_point) : set1_s32(p.a_zero_point);
  k.b_zero_point = mul ? set1_s16(p.b_zero_point) : set1_s32(p.b_zero_point);
  k.ma = set1_f32(p.ma);
  k.mb = set1_f32(p.mb);
  k.clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  BinaryRow row = choose_row<BinaryOp::kAdd>(a_step != 0, b_step != 0);
  if (p.op == BinaryOp::kSub) row = choose_row<BinaryOp::kSub>(a_step != 0, b_step != 0);
  if (mul) row = choose_row<BinaryOp::kMul>(a_step != 0, b_step != 0);
  BinaryBlock block = {nullptr, nullptr, nullptr, 0, 0, 0};
  if (last > 0) {
    block.a_step = p.a_stride[last - 1];
    block.b_step = p.b_stride[last - 1];
    block.y_step = p.out_stride[last - 1];
  }
  const int64_t n = plan.row;
  const bool repeats =
      a_step == 1 && b_step == 1 && block.y_step == n && n <= kRepeated / 4 &&
      ((block.a_step == n && block.b_step == 0) || (block.a_step == 0 && block.b_step == n));
  for (int64_t item = begin; item < end; ++item) {
    const int64_t start = item % plan.pieces * plan.piece;
    const int64_t count = min_of(plan.piece, n - start);
    const int64_t first = item / plan.pieces * plan.item_rows;
    const int64_t stop = min_of(plan.rows, first + plan.item_rows);
    for (int64_t r = first; r < stop;) {
      int64_t a_at = start * a_step, b_at = start * b_step, y_at = start, rest = r;
      for (int32_t i = last - 1; i >= 0; --i) {
        const int64_t index = rest % p.dims[i];
        rest /= p.dims[i];
        a_at += index * p.a_stride[i];
        b_at += index * p.b_stride[i];
        y_at += index * p.out_stride[i];
      }
      const int64_t rows = min_of(stop - r, plan.block_rows - r % plan.block_rows);
      block.a = a + a_at;
      block.b = b + b_at;
      block.y = y + y_at;
      r += rows;
      if (repeats && rows > 1) {
        repeat_rows(k, row, block, rows, n);
        continue;
      }
      for (int64_t i = 0; i < rows; ++i) {
        row(k, block.a, block.b, block.y, count);
        block.a += block.a_step;
        block.b += block.b_step;
        block.y += block.y_step;
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_BINARY_H_

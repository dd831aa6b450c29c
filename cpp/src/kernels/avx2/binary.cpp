// s8 add, sub and mul. 32 elements a step; an operand's innermost stride is 1 (dense) or 0 (one
// value for the row).
//
// add and sub: two multiplies and one add in f32, as the contract orders them, never fused. mul:
// the difference from the zero point has 9 bits, so the product needs s32 (vpmulld).
#include "kernels/avx2/simd.h"
#include "kernels/elementwise.h"

namespace edgecv::kernels::avx2 {
namespace {

// A work item is about this many elements: a piece of one long row, or several short rows.
constexpr int64_t kItemElements = 8192;

struct BinaryPlan {
  int64_t row;  // elements of a row (the innermost dim)
  int64_t rows;
  int64_t piece;   // elements of a row in an item
  int64_t pieces;  // of a row
  int64_t item_rows;
};

BinaryPlan plan_binary(const BinaryProblem& p) {
  BinaryPlan plan;
  plan.row = p.dims[p.rank - 1];
  plan.rows = 1;
  for (int32_t i = 0; i + 1 < p.rank; ++i) plan.rows *= p.dims[i];
  plan.piece = min_of(plan.row, kItemElements);
  plan.pieces = div_up(plan.row, plan.piece);
  plan.item_rows = plan.pieces > 1 ? 1 : max_of(1, kItemElements / plan.row);
  return plan;
}

struct Words {
  __m256i low, high;  // s32, 8 each
};

// 16 elements minus the zero point.
EDGECV_INLINE Words widen(__m128i bytes, __m256i zero_point) {
  const __m256i words = _mm256_sub_epi16(_mm256_cvtepi8_epi16(bytes), zero_point);
  return {_mm256_cvtepi16_epi32(low_half(words)), _mm256_cvtepi16_epi32(high_half(words))};
}

struct Constants {
  __m256i a_zero_point, b_zero_point;  // s16
  __m256 ma, mb;
  Clamp clamp;
};

template <BinaryOp kOp>
EDGECV_INLINE __m256i combine(__m256i a, __m256i b, const Constants& k) {
  if constexpr (kOp == BinaryOp::kMul) return scale_round(_mm256_mullo_epi32(a, b), k.ma);
  const __m256 fa = _mm256_mul_ps(_mm256_cvtepi32_ps(a), k.ma);
  const __m256 fb = _mm256_mul_ps(_mm256_cvtepi32_ps(b), k.mb);
  return _mm256_cvtps_epi32(kOp == BinaryOp::kAdd ? _mm256_add_ps(fa, fb) : _mm256_sub_ps(fa, fb));
}

template <BinaryOp kOp>
EDGECV_INLINE __m256i combine16(__m128i a, __m128i b, const Constants& k) {
  const Words wa = widen(a, k.a_zero_point), wb = widen(b, k.b_zero_point);
  return pack_words(combine<kOp>(wa.low, wb.low, k), combine<kOp>(wa.high, wb.high, k), k.clamp);
}

// Elements [i, i + 16) of an operand.
template <bool kDense>
EDGECV_INLINE __m128i load_operand(const int8_t* p, int64_t i) {
  return kDense ? load128(p + i) : _mm_set1_epi8(*p);
}

template <BinaryOp kOp, bool kDenseA, bool kDenseB>
void binary_row(const Constants& constants, const int8_t* a, const int8_t* b, int8_t* y,
                int64_t count) {
  const Constants k = constants;  // a copy: y could alias the original
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i first =
        combine16<kOp>(load_operand<kDenseA>(a, i), load_operand<kDenseB>(b, i), k);
    const __m256i second =
        combine16<kOp>(load_operand<kDenseA>(a, i + 16), load_operand<kDenseB>(b, i + 16), k);
    store256(y + i, clamp_bytes(first, second, k.clamp));
  }
  for (; i < count; i += 16) {
    const int64_t left = min_of(16, count - i);
    const __m128i va = kDenseA ? load_tail(a + i, left) : _mm_set1_epi8(*a);
    const __m128i vb = kDenseB ? load_tail(b + i, left) : _mm_set1_epi8(*b);
    const __m256i words = combine16<kOp>(va, vb, k);
    store_tail(y + i, low_half(clamp_bytes(words, words, k.clamp)), left);
  }
}

using RowFunction = void (*)(const Constants&, const int8_t*, const int8_t*, int8_t*, int64_t);

template <BinaryOp kOp>
RowFunction choose_row(bool dense_a, bool dense_b) {
  if (dense_a) return dense_b ? binary_row<kOp, true, true> : binary_row<kOp, true, false>;
  return dense_b ? binary_row<kOp, false, true> : binary_row<kOp, false, false>;
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
  Constants k;
  k.a_zero_point = _mm256_set1_epi16(static_cast<int16_t>(p.a_zero_point));
  k.b_zero_point = _mm256_set1_epi16(static_cast<int16_t>(p.b_zero_point));
  k.ma = _mm256_set1_ps(p.ma);
  k.mb = _mm256_set1_ps(p.mb);
  k.clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const int32_t last = p.rank - 1;
  const int64_t a_step = p.a_stride[last], b_step = p.b_stride[last];
  RowFunction row = choose_row<BinaryOp::kAdd>(a_step != 0, b_step != 0);
  if (p.op == BinaryOp::kSub) row = choose_row<BinaryOp::kSub>(a_step != 0, b_step != 0);
  if (p.op == BinaryOp::kMul) row = choose_row<BinaryOp::kMul>(a_step != 0, b_step != 0);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t start = item % plan.pieces * plan.piece;
    const int64_t count = min_of(plan.piece, plan.row - start);
    const int64_t first = item / plan.pieces * plan.item_rows;
    const int64_t stop = min_of(plan.rows, first + plan.item_rows);
    for (int64_t r = first; r < stop; ++r) {
      int64_t a_at = start * a_step, b_at = start * b_step, rest = r;
      for (int32_t i = last - 1; i >= 0; --i) {
        const int64_t index = rest % p.dims[i];
        rest /= p.dims[i];
        a_at += index * p.a_stride[i];
        b_at += index * p.b_stride[i];
      }
      row(k, a + a_at, b + b_at, y + r * plan.row + start, count);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel binary_s8_x32 = {
    "binary_s8_x32__avx2", "avx2",     Family::kBinaryS8, kIsaAvx2,
    binary_supports,       nullptr,    nullptr,           nullptr,
    binary_items,          binary_run,
};

}  // namespace edgecv::kernels::avx2

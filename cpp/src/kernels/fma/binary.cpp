// Add, Sub, Mul, Div in f32, 8 elements a step. A row is the innermost dim at one index of the
// outer dims; one work item is about kChunk elements: a piece of a long row or several short rows.
#include "kernels/elementwise.h"
#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

constexpr int64_t kChunk = 4096;

struct Cut {
  int64_t rows;    // in all
  int64_t chunks;  // of a row
  int64_t step;    // rows of an item
};

Cut cut_rows(const BinaryProblem& p) {
  const int64_t length = p.dims[p.rank - 1];
  Cut cut = {1, 1, 1};
  for (int32_t i = 0; i + 1 < p.rank; ++i) cut.rows *= p.dims[i];
  if (length >= kChunk) {
    cut.chunks = div_up(length, kChunk);
  } else {
    cut.step = min_of(cut.rows, kChunk / length);
  }
  return cut;
}

int64_t items(const void* problem) {
  const Cut cut = cut_rows(*static_cast<const BinaryProblem*>(problem));
  return div_up(cut.rows, cut.step) * cut.chunks;
}

template <BinaryOp kOp>
EDGECV_INLINE __m256 combine(__m256 a, __m256 b) {
  if constexpr (kOp == BinaryOp::kAdd) return a + b;
  if constexpr (kOp == BinaryOp::kSub) return a - b;
  if constexpr (kOp == BinaryOp::kMul) return a * b;
  if constexpr (kOp == BinaryOp::kDiv) return a / b;
}

// 8 elements of an operand, or fewer at a row's end; kStep 0 repeats one, other steps gather.
template <int kStep>
EDGECV_INLINE __m256 load_operand(const float* p, int64_t step, int64_t i) {
  if constexpr (kStep == 0) return _mm256_broadcast_ss(p);
  if constexpr (kStep == 1) return load8(p + i);
  alignas(32) float values[8];
  for (int64_t j = 0; j < 8; ++j) values[j] = p[(i + j) * step];
  return _mm256_load_ps(values);
}

template <int kStep>
EDGECV_INLINE __m256 load_operand_tail(const float* p, int64_t step, int64_t i, int64_t count) {
  if constexpr (kStep == 0) return _mm256_broadcast_ss(p);
  alignas(32) float values[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  for (int64_t j = 0; j < count; ++j) values[j] = p[(i + j) * step];
  return _mm256_load_ps(values);
}

struct RowTask {
  const float* a;
  const float* b;
  float* out;
  int64_t a_step, b_step, count;
};

template <BinaryOp kOp, int kA, int kB>
void run_row(const RowTask& t, const Clamp& clamp) {
  int64_t i = 0;
  for (; i + 8 <= t.count; i += 8) {
    store8(t.out + i, clamp8(combine<kOp>(load_operand<kA>(t.a, t.a_step, i),
                                          load_operand<kB>(t.b, t.b_step, i)),
                             clamp));
  }
  if (i == t.count) return;
  const int64_t rest = t.count - i;
  store_tail(t.out + i,
             clamp8(combine<kOp>(load_operand_tail<kA>(t.a, t.a_step, i, rest),
                                 load_operand_tail<kB>(t.b, t.b_step, i, rest)),
                    clamp),
             rest);
}

using RunRow = void (*)(const RowTask&, const Clamp&);

template <BinaryOp kOp>
RunRow choose_row(int64_t a_step, int64_t b_step) {
  if (a_step == 1 && b_step == 1) return run_row<kOp, 1, 1>;
  if (a_step == 1 && b_step == 0) return run_row<kOp, 1, 0>;
  if (a_step == 0 && b_step == 1) return run_row<kOp, 0, 1>;
  return run_row<kOp, 2, 2>;
}

int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const BinaryProblem*>(problem);
  int32_t next = 0;
  const auto* a =
      static_cast<const float*>(p.a_constant != nullptr ? p.a_constant : operands.in[next++]);
  const auto* b =
      static_cast<const float*>(p.b_constant != nullptr ? p.b_constant : operands.in[next]);
  const Cut cut = cut_rows(p);
  const Clamp clamp = make_clamp(p.lo_f, p.hi_f);
  const int32_t last = p.rank - 1;
  RowTask t;
  t.a_step = p.a_stride[last];
  t.b_step = p.b_stride[last];
  RunRow row = choose_row<BinaryOp::kAdd>(t.a_step, t.b_step);
  if (p.op == BinaryOp::kSub) row = choose_row<BinaryOp::kSub>(t.a_step, t.b_step);
  if (p.op == BinaryOp::kMul) row = choose_row<BinaryOp::kMul>(t.a_step, t.b_step);
  if (p.op == BinaryOp::kDiv) row = choose_row<BinaryOp::kDiv>(t.a_step, t.b_step);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item / cut.chunks * cut.step, stop = min_of(cut.rows, first + cut.step);
    const int64_t from = item % cut.chunks * kChunk;
    t.count = cut.chunks == 1 ? p.dims[last] : min_of(kChunk, p.dims[last] - from);
    // The outer index and its offsets, counted on from row to row.
    int32_t index[8];
    int64_t a_at = from * t.a_step, b_at = from * t.b_step, out_at = from;
    for (int64_t i = last - 1, rest = first; i >= 0; --i) {
      index[i] = static_cast<int32_t>(rest % p.dims[i]);
      rest /= p.dims[i];
      a_at += index[i] * p.a_stride[i];
      b_at += index[i] * p.b_stride[i];
      out_at += index[i] * p.out_stride[i];
    }
    for (int64_t r = first; r < stop; ++r) {
      t.a = a + a_at;
      t.b = b + b_at;
      t.out = static_cast<float*>(operands.out) + out_at;
      row(t, clamp);
      for (int32_t i = last - 1; i >= 0; --i) {
        a_at += p.a_stride[i];
        b_at += p.b_stride[i];
        out_at += p.out_stride[i];
        if (++index[i] < p.dims[i]) break;
        a_at -= p.dims[i] * p.a_stride[i];
        b_at -= p.dims[i] * p.b_stride[i];
        out_at -= p.dims[i] * p.out_stride[i];
        index[i] = 0;
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel binary_f32_x8 = {
    "binary_f32_x8__fma",
    "fma",
    Family::kBinaryF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    items,
    run,
};

}  // namespace edgecv::kernels::fma

// One work item is up to kChunk elements of the innermost dim at one index of the outer dims.
#include "kernels/elementwise.h"
#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

constexpr int64_t kChunk = 4096;

int64_t chunks(const BinaryProblem& p) { return (p.dims[p.rank - 1] + kChunk - 1) / kChunk; }

int64_t items(const void* problem) {
  const auto& p = *static_cast<const BinaryProblem*>(problem);
  int64_t count = chunks(p);
  for (int32_t i = 0; i + 1 < p.rank; ++i) count *= p.dims[i];
  return count;
}

// Where a work item starts in a, b and the output (elements), and how many elements it has.
struct Span {
  int64_t a, b, out, count;
};

Span span_at(const BinaryProblem& p, int64_t item) {
  const int32_t last = p.rank - 1;
  const int64_t per_row = chunks(p);
  const int64_t begin = item % per_row * kChunk;
  int64_t outer = item / per_row;
  Span span = {begin * p.a_stride[last], begin * p.b_stride[last], begin,
               p.dims[last] - begin < kChunk ? p.dims[last] - begin : kChunk};
  for (int32_t i = last - 1; i >= 0; --i) {
    const int64_t index = outer % p.dims[i];
    outer /= p.dims[i];
    span.a += index * p.a_stride[i];
    span.b += index * p.b_stride[i];
    span.out += index * p.out_stride[i];
  }
  return span;
}

template <typename T>
void find_operands(const BinaryProblem& p, const Operands& operands, const T** a, const T** b) {
  int32_t next = 0;
  *a = static_cast<const T*>(p.a_constant != nullptr ? p.a_constant : operands.in[next++]);
  *b = static_cast<const T*>(p.b_constant != nullptr ? p.b_constant : operands.in[next]);
}

struct Add {
  static float of(float a, float b) { return a + b; }
};
struct Sub {
  static float of(float a, float b) { return a - b; }
};
struct Mul {
  static float of(float a, float b) { return a * b; }
};
struct Div {
  static float of(float a, float b) { return a / b; }
};

// A copy of the problem: the output could alias the original, whose fields would then be read again
// for every element.
template <typename Op>
void row_s8(const BinaryProblem p, const int8_t* a, int64_t a_step, const int8_t* b, int64_t b_step,
            int8_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float fa = static_cast<float>(a[i * a_step] - p.a_zero_point) * p.ma;
    const float fb = static_cast<float>(b[i * b_step] - p.b_zero_point) * p.mb;
    y[i] = quantize_rounded(Op::of(fa, fb), p.out_zero_point, p.lo, p.hi);
  }
}

template <>
void row_s8<Mul>(const BinaryProblem p, const int8_t* a, int64_t a_step, const int8_t* b,
                 int64_t b_step, int8_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t product = (a[i * a_step] - p.a_zero_point) * (b[i * b_step] - p.b_zero_point);
    y[i] = requantize(product, p.ma, p.out_zero_point, p.lo, p.hi);
  }
}

int run_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const BinaryProblem*>(problem);
  const int8_t *a_base, *b_base;
  find_operands(p, operands, &a_base, &b_base);
  const int64_t a_step = p.a_stride[p.rank - 1];
  const int64_t b_step = p.b_stride[p.rank - 1];
  auto* row = row_s8<Add>;
  if (p.op == BinaryOp::kSub) row = row_s8<Sub>;
  if (p.op == BinaryOp::kMul) row = row_s8<Mul>;
  for (int64_t item = begin; item < end; ++item) {
    const Span span = span_at(p, item);
    row(p, a_base + span.a, a_step, b_base + span.b, b_step,
        static_cast<int8_t*>(operands.out) + span.out, span.count);
  }
  return 0;
}

template <typename Op>
void row_f32(const float* a, int64_t a_step, const float* b, int64_t b_step, float* y,
             int64_t count, float lo, float hi) {
  for (int64_t i = 0; i < count; ++i) {
    float value = Op::of(a[i * a_step], b[i * b_step]);
    value = value < lo ? lo : value;
    y[i] = value > hi ? hi : value;
  }
}

int run_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const BinaryProblem*>(problem);
  const float *a_base, *b_base;
  find_operands(p, operands, &a_base, &b_base);
  auto* row = row_f32<Add>;
  if (p.op == BinaryOp::kSub) row = row_f32<Sub>;
  if (p.op == BinaryOp::kMul) row = row_f32<Mul>;
  if (p.op == BinaryOp::kDiv) row = row_f32<Div>;
  for (int64_t item = begin; item < end; ++item) {
    const Span span = span_at(p, item);
    row(a_base + span.a, p.a_stride[p.rank - 1], b_base + span.b, p.b_stride[p.rank - 1],
        static_cast<float*>(operands.out) + span.out, span.count, p.lo_f, p.hi_f);
  }
  return 0;
}

}  // namespace

extern const Kernel binary_s8 = {"binary_s8_any__reference",
                                 "reference",
                                 Family::kBinaryS8,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 items,
                                 run_s8};

extern const Kernel binary_f32 = {"binary_f32_any__reference",
                                  "reference",
                                  Family::kBinaryF32,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  items,
                                  run_f32};

}  // namespace edgecv::kernels::reference

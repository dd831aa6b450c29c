// Unary functions and PRelu in f32, 8 elements a step. One work item is about kChunk elements.
#include "kernels/elementwise.h"
#include "kernels/fma/math.h"

namespace edgecv::kernels::fma {
namespace {

constexpr int64_t kChunk = 4096;

// A run of at least kChunk elements is cut into chunks; shorter ones are taken several at once.
struct Cut {
  int64_t chunks;  // of a run
  int64_t runs;    // of an item
};

EDGECV_INLINE Cut cut_runs(int64_t runs, int64_t count) {
  if (count >= kChunk) return {div_up(count, kChunk), 1};
  return {1, min_of(max_of(runs, 1), kChunk / max_of(count, 1))};
}

int64_t unary_items(const void* problem) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  const Cut cut = cut_runs(p.runs, p.count);
  return max_of(1, div_up(p.runs, cut.runs) * cut.chunks);
}

// The functions by their code in docs/ops.md.
template <int32_t kFunction>
EDGECV_INLINE __m256 apply(__m256 x, __m256 alpha, __m256 beta) {
  (void)alpha;
  (void)beta;
  const __m256 zero = set(0.0f), half = set(0.5f), one = set(1.0f);
  if constexpr (kFunction == 1) return _mm256_max_ps(zero, x);
  if constexpr (kFunction == 2) return _mm256_min_ps(beta, _mm256_max_ps(alpha, x));
  if constexpr (kFunction == 3) return _mm256_blendv_ps(x, alpha * x, x);
  if constexpr (kFunction == 4) return sigmoid8(x);
  if constexpr (kFunction == 5)
    return _mm256_min_ps(one, _mm256_max_ps(zero, _mm256_fmadd_ps(alpha, x, beta)));
  if constexpr (kFunction == 6) {
    const __m256 gate = _mm256_fmadd_ps(x, set(1.0f / 6.0f), half);
    return x * _mm256_min_ps(one, _mm256_max_ps(zero, gate));
  }
  if constexpr (kFunction == 7) return x / (one + exp_clamped(_mm256_xor_ps(x, sign_mask())));
  if constexpr (kFunction == 8) return tanh8(x);
  if constexpr (kFunction == 9) return half * x * (one + erf8(x * set(0.70710678f)));
  if constexpr (kFunction == 10) {
    const __m256 cubic = _mm256_fmadd_ps(set(0.044715f) * x * x, x, x);
    return half * x * (one + tanh8(set(0.79788456f) * cubic));
  }
  if constexpr (kFunction == 11) return erf8(x);
  if constexpr (kFunction == 12) return exp8(x);
  if constexpr (kFunction == 13) return log8(x);
  if constexpr (kFunction == 14) return _mm256_sqrt_ps(x);
  if constexpr (kFunction == 15) return magnitude(x);
  if constexpr (kFunction == 16) return _mm256_xor_ps(x, sign_mask());
  if constexpr (kFunction == 17) return one / x;
  if constexpr (kFunction == 18) return _mm256_blendv_ps(x, alpha * expm1_8(x), x);
  if constexpr (kFunction == 19)
    return _mm256_max_ps(zero, x) + log1p_8(exp8(_mm256_or_ps(x, sign_mask())));
  if constexpr (kFunction == 20) return _mm256_floor_ps(x);
}

template <int32_t kFunction>
void apply_all(const float* x, float* y, int64_t count, float alpha, float beta) {
  const __m256 a = set(alpha), b = set(beta);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256 first = apply<kFunction>(load8(x + i), a, b);
    const __m256 second = apply<kFunction>(load8(x + i + 8), a, b);
    store8(y + i, first);
    store8(y + i + 8, second);
  }
  for (; i + 8 <= count; i += 8) store8(y + i, apply<kFunction>(load8(x + i), a, b));
  if (i < count) store_tail(y + i, apply<kFunction>(load_tail(x + i, count - i), a, b), count - i);
}

using ApplyAll = void (*)(const float* x, float* y, int64_t count, float alpha, float beta);
const ApplyAll kFunctions[] = {
    apply_all<1>,  apply_all<2>,  apply_all<3>,  apply_all<4>,  apply_all<5>,
    apply_all<6>,  apply_all<7>,  apply_all<8>,  apply_all<9>,  apply_all<10>,
    apply_all<11>, apply_all<12>, apply_all<13>, apply_all<14>, apply_all<15>,
    apply_all<16>, apply_all<17>, apply_all<18>, apply_all<19>, apply_all<20>,
};

int run_unary(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  const Cut cut = cut_runs(p.runs, p.count);
  const auto* x = static_cast<const float*>(operands.in[0]);
  auto* y = static_cast<float*>(operands.out);
  const ApplyAll function = kFunctions[p.function - 1];
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item / cut.chunks * cut.runs, stop = min_of(p.runs, first + cut.runs);
    const int64_t at = item % cut.chunks * kChunk;
    const int64_t count = cut.chunks == 1 ? p.count : min_of(kChunk, p.count - at);
    for (int64_t run = first; run < stop; ++run) {
      function(x + run * p.in_stride + at, y + run * p.out_stride + at, count, p.alpha, p.beta);
    }
  }
  return 0;
}

// PRelu: whole pixels of about kChunk elements.
int64_t prelu_pixels(const PReluProblem& p) { return max_of(1, kChunk / p.channels); }

int64_t prelu_items(const void* problem) {
  const auto& p = *static_cast<const PReluProblem*>(problem);
  return div_up(p.pixels, prelu_pixels(p));
}

int run_prelu(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const PReluProblem*>(problem);
  const int64_t step = prelu_pixels(p), stop = min_of(end * step, p.pixels);
  const auto* x = static_cast<const float*>(operands.in[0]);
  auto* y = static_cast<float*>(operands.out);
  if (p.slope_count == 1) {
    const int64_t first = begin * step * p.channels;
    apply_all<3>(x + first, y + first, stop * p.channels - first, p.slope[0], 0.0f);
    return 0;
  }
  for (int64_t pixel = begin * step; pixel < stop; ++pixel) {
    const float* from = x + pixel * p.channels;
    float* to = y + pixel * p.channels;
    int64_t c = 0;
    for (; c + 8 <= p.channels; c += 8) {
      const __m256 v = load8(from + c);
      store8(to + c, _mm256_blendv_ps(v, v * load8(p.slope + c), v));
    }
    if (c < p.channels) {
      const int64_t tail = p.channels - c;
      const __m256 v = load_tail(from + c, tail);
      store_tail(to + c, _mm256_blendv_ps(v, v * load_tail(p.slope + c, tail), v), tail);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel unary_f32_x16 = {
    "unary_f32_x16__fma",
    "fma",
    Family::kUnaryF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    run_unary,
};

extern const Kernel prelu_f32_x8 = {
    "prelu_f32_x8__fma",
    "fma",
    Family::kPReluF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    prelu_items,
    run_prelu,
};

}  // namespace edgecv::kernels::fma

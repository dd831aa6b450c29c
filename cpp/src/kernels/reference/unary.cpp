// Lookup, Unary, Quantize, Dequantize: one work item is up to kChunk elements of a run. PRelu:
// whole pixels of about as many.
#include <math.h>

#include "kernels/elementwise.h"
#include "kernels/requant.h"

namespace edgecv::kernels::reference {
namespace {

constexpr int64_t kChunk = 4096;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t chunks(const UnaryProblem& p) { return (p.count + kChunk - 1) / kChunk; }

int64_t items(const void* problem) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  return p.runs * chunks(p);
}

// Calls piece(x, y, count) for the elements of each item.
template <typename In, typename Out, typename Piece>
void for_items(const UnaryProblem& p, const Operands& operands, int64_t begin, int64_t end,
               const Piece& piece) {
  const int64_t per_run = chunks(p);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t run = item / per_run, first = item % per_run * kChunk;
    piece(static_cast<const In*>(operands.in[0]) + run * p.in_stride + first,
          static_cast<Out*>(operands.out) + run * p.out_stride + first,
          smaller(kChunk, p.count - first));
  }
}

int run_lookup(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  for_items<int8_t, int8_t>(p, operands, begin, end,
                            [&](const int8_t* x, int8_t* y, int64_t count) {
                              for (int64_t i = 0; i < count; ++i) y[i] = p.table[x[i] + 128];
                            });
  return 0;
}

float clip(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The functions by their code in docs/ops.md.
template <int32_t kFunction>
float apply(float x, float alpha, float beta) {
  (void)alpha;
  (void)beta;
  if constexpr (kFunction == 1) return x < 0.0f ? 0.0f : x;
  if constexpr (kFunction == 2) return clip(x, alpha, beta);
  if constexpr (kFunction == 3) return x < 0.0f ? alpha * x : x;
  if constexpr (kFunction == 4) return sigmoid(x);
  if constexpr (kFunction == 5) return clip(alpha * x + beta, 0.0f, 1.0f);
  if constexpr (kFunction == 6) return x * clip(x / 6.0f + 0.5f, 0.0f, 1.0f);
  if constexpr (kFunction == 7) return x * sigmoid(x);
  if constexpr (kFunction == 8) return tanhf(x);
  if constexpr (kFunction == 9) return 0.5f * x * (1.0f + erff(x * 0.70710678f));
  if constexpr (kFunction == 10) {
    return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
  }
  if constexpr (kFunction == 11) return erff(x);
  if constexpr (kFunction == 12) return expf(x);
  if constexpr (kFunction == 13) return logf(x);
  if constexpr (kFunction == 14) return sqrtf(x);
  if constexpr (kFunction == 15) return fabsf(x);
  if constexpr (kFunction == 16) return -x;
  if constexpr (kFunction == 17) return 1.0f / x;
  if constexpr (kFunction == 18) return x < 0.0f ? alpha * expm1f(x) : x;
  if constexpr (kFunction == 19) return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)));
  if constexpr (kFunction == 20) return floorf(x);
}

template <int32_t kFunction>
void apply_all(const float* x, float* y, int64_t count, float alpha, float beta) {
  for (int64_t i = 0; i < count; ++i) y[i] = apply<kFunction>(x[i], alpha, beta);
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
  for_items<float, float>(p, operands, begin, end, [&](const float* x, float* y, int64_t count) {
    kFunctions[p.function - 1](x, y, count, p.alpha, p.beta);
  });
  return 0;
}

int run_quantize(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  int result = 0;
  for_items<float, int8_t>(p, operands, begin, end, [&](const float* x, int8_t* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      result |= x[i] != x[i] ? kNanFound : 0;
      y[i] = quantize_rounded(x[i] / p.scale, p.zero_point, -128, 127);
    }
  });
  return result;
}

int run_dequantize(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                   void*) {
  const auto& p = *static_cast<const UnaryProblem*>(problem);
  for_items<int8_t, float>(p, operands, begin, end, [&](const int8_t* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      y[i] = static_cast<float>(x[i] - p.zero_point) * p.scale;
    }
  });
  return 0;
}

// Pixels of one PRelu item.
int64_t prelu_pixels(const PReluProblem& p) {
  return p.channels < kChunk ? kChunk / p.channels : 1;
}

int64_t prelu_items(const void* problem) {
  const auto& p = *static_cast<const PReluProblem*>(problem);
  return (p.pixels + prelu_pixels(p) - 1) / prelu_pixels(p);
}

int run_prelu_s8(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const PReluProblem*>(problem);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const int64_t stop = smaller(end * prelu_pixels(p), p.pixels);
  for (int64_t pixel = begin * prelu_pixels(p); pixel < stop; ++pixel) {
    for (int32_t c = 0; c < p.channels; ++c) {
      const int64_t i = pixel * p.channels + c;
      const int32_t d = x[i] - p.in_zero_point;
      const float slope = p.slope[p.slope_count == 1 ? 0 : c];
      const float value = static_cast<float>(d) * (d >= 0 ? p.m_positive : slope);
      y[i] = quantize_rounded(value, p.out_zero_point, p.lo, p.hi);
    }
  }
  return 0;
}

int run_prelu_f32(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                  void*) {
  const auto& p = *static_cast<const PReluProblem*>(problem);
  const auto* x = static_cast<const float*>(operands.in[0]);
  auto* y = static_cast<float*>(operands.out);
  const int64_t stop = smaller(end * prelu_pixels(p), p.pixels);
  for (int64_t pixel = begin * prelu_pixels(p); pixel < stop; ++pixel) {
    for (int32_t c = 0; c < p.channels; ++c) {
      const int64_t i = pixel * p.channels + c;
      y[i] = x[i] < 0.0f ? x[i] * p.slope[p.slope_count == 1 ? 0 : c] : x[i];
    }
  }
  return 0;
}

}  // namespace

extern const Kernel lookup_s8 = {"lookup_s8_any__reference",
                                 "reference",
                                 Family::kLookupS8,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 items,
                                 run_lookup};

extern const Kernel unary_f32 = {"unary_f32_any__reference",
                                 "reference",
                                 Family::kUnaryF32,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 items,
                                 run_unary};

extern const Kernel quantize = {"quantize_f32_s8_any__reference",
                                "reference",
                                Family::kQuantize,
                                kIsaBaseline,
                                nullptr,
                                nullptr,
                                nullptr,
                                nullptr,
                                items,
                                run_quantize};

extern const Kernel dequantize = {"dequantize_s8_f32_any__reference",
                                  "reference",
                                  Family::kDequantize,
                                  kIsaBaseline,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  nullptr,
                                  items,
                                  run_dequantize};

extern const Kernel prelu_s8 = {"prelu_s8_any__reference",
                                "reference",
                                Family::kPReluS8,
                                kIsaBaseline,
                                nullptr,
                                nullptr,
                                nullptr,
                                nullptr,
                                prelu_items,
                                run_prelu_s8};

extern const Kernel prelu_f32 = {"prelu_f32_any__reference",
                                 "reference",
                                 Family::kPReluF32,
                                 kIsaBaseline,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 prelu_items,
                                 run_prelu_f32};

}  // namespace edgecv::kernels::reference

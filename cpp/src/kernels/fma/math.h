// Elementary functions of 8 floats. Errors are stated in units in the last place (ulp) of the exact
// result, as tests/cpp/kernels/f32_accuracy_test.cpp measures them; a NaN gives a NaN.
#ifndef EDGECV_KERNELS_FMA_MATH_H_
#define EDGECV_KERNELS_FMA_MATH_H_

#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

EDGECV_INLINE __m256 sign_mask() { return set(-0.0f); }
EDGECV_INLINE __m256 magnitude(__m256 x) { return _mm256_andnot_ps(sign_mask(), x); }

// A polynomial in x, the highest coefficient first.
template <typename... Rest>
EDGECV_INLINE __m256 horner(__m256 x, __m256 sum, Rest... rest) {
  const float coefficients[] = {rest...};
  for (float c : coefficients) sum = _mm256_fmadd_ps(sum, x, set(c));
  return sum;
}

EDGECV_INLINE __m256 round8(__m256 x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// 2^n for n within [-126, 127].
EDGECV_INLINE __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// e^x = 2^n * e^r with |r| <= ln(2) / 2; returns e^r.
EDGECV_INLINE __m256 exp_reduced(__m256 x, __m256i* n) {
  const __m256 turns = round8(x * set(1.44269504f));
  __m256 r = _mm256_fnmadd_ps(turns, set(0.693359375f), x);
  r = _mm256_fnmadd_ps(turns, set(-2.12194440e-4f), r);
  *n = _mm256_cvtps_epi32(turns);
  const __m256 p = horner(r, set(1.9875691500e-4f), 1.3981999507e-3f, 8.3334519073e-3f,
                          4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
  return _mm256_fmadd_ps(p, r * r, r + set(1.0f));
}

// Within 2 ulp; infinite from 88.73 on, subnormal and then 0 below -87.34.
EDGECV_INLINE __m256 exp8(__m256 x) {
  x = _mm256_min_ps(set(89.0f), _mm256_max_ps(set(-104.0f), x));
  __m256i n;
  const __m256 e = exp_reduced(x, &n);
  const __m256i half = _mm256_srai_epi32(n, 1);
  return e * power_of_two(half) * power_of_two(_mm256_sub_epi32(n, half));
}

// As exp8 for x within [-87, 88], and the value at the nearer end beyond.
EDGECV_INLINE __m256 exp_clamped(__m256 x) {
  x = _mm256_min_ps(set(88.0f), _mm256_max_ps(set(-87.0f), x));
  __m256i n;
  const __m256 e = exp_reduced(x, &n);
  return e * power_of_two(n);
}

// 1 / (1 + e^-x) within 4 ulp for x >= -87.
EDGECV_INLINE __m256 sigmoid8(__m256 x) {
  return set(1.0f) / (set(1.0f) + exp_clamped(_mm256_xor_ps(x, sign_mask())));
}

// Within 5 ulp: a rational function of the clamped x (beyond, the result rounds to 1).
EDGECV_INLINE __m256 tanh8(__m256 x) {
  x = _mm256_min_ps(set(7.99881172f), _mm256_max_ps(set(-7.99881172f), x));
  const __m256 s = x * x;
  const __m256 p = horner(s, set(-2.76076847742355e-16f), 2.00018790482477e-13f,
                          -8.60467152213735e-11f, 5.12229709037114e-08f, 1.48572235717979e-05f,
                          6.37261928875436e-04f, 4.89352455891786e-03f);
  const __m256 q = horner(s, set(1.19825839466702e-06f), 1.18534705686654e-04f,
                          2.26843463243900e-03f, 4.89352518554385e-03f);
  return x * p / q;
}

// Within 6 ulp, likewise.
EDGECV_INLINE __m256 erf8(__m256 x) {
  x = _mm256_min_ps(set(4.0f), _mm256_max_ps(set(-4.0f), x));
  const __m256 s = x * x;
  const __m256 p = horner(s, set(-2.72614225801306e-10f), 2.77068142495902e-08f,
                          -2.10102402082508e-06f, -5.69250639462346e-05f, -7.34990630326855e-04f,
                          -2.95459980854025e-03f, -1.60960333262415e-02f);
  const __m256 q = horner(s, set(-1.45660718464996e-05f), -2.13374055278905e-04f,
                          -1.68282697438203e-03f, -7.37332916720468e-03f, -1.42647390514189e-02f);
  return x * p / q;
}

// The natural logarithm within 1 ulp, or 5e-8 where the result is smaller than 0.5: NaN below 0,
// -infinity at 0, infinity at infinity.
EDGECV_INLINE __m256 log8(__m256 x) {
  const __m256 smallest = set(1.17549435e-38f);
  const __m256 subnormal = _mm256_cmp_ps(x, smallest, _CMP_LT_OQ);
  const __m256 scaled = _mm256_blendv_ps(x, x * set(0x1p24f), subnormal);
  const __m256i bits = _mm256_castps_si256(scaled);
  __m256 exponent =
      _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(126)));
  exponent = exponent - _mm256_and_ps(subnormal, set(24.0f));
  __m256 m = _mm256_or_ps(_mm256_and_ps(scaled, _mm256_castsi256_ps(_mm256_set1_epi32(0x007FFFFF))),
                          set(0.5f));
  const __m256 low = _mm256_cmp_ps(m, set(0.707106781f), _CMP_LT_OQ);
  exponent = exponent - _mm256_and_ps(low, set(1.0f));
  m = m + _mm256_and_ps(low, m) - set(1.0f);
  const __m256 s = m * m;
  const __m256 p = horner(m, set(7.0376836292e-2f), -1.1514610310e-1f, 1.1676998740e-1f,
                          -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f, 2.0000714765e-1f,
                          -2.4999993993e-1f, 3.3333331174e-1f);
  __m256 y = p * m * s;
  y = _mm256_fmadd_ps(exponent, set(-2.12194440e-4f), y);
  y = _mm256_fnmadd_ps(set(0.5f), s, y) + m;
  y = _mm256_fmadd_ps(exponent, set(0.693359375f), y);
  const __m256 infinity = set(__builtin_inff());
  y = _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, infinity, _CMP_EQ_OQ));
  y = _mm256_blendv_ps(y, set(-__builtin_inff()), _mm256_cmp_ps(x, set(0.0f), _CMP_EQ_OQ));
  const __m256 bad = _mm256_cmp_ps(x, set(0.0f), _CMP_NGE_UQ);  // negative or NaN
  return _mm256_or_ps(y, bad);
}

// e^x - 1 within 3 ulp.
EDGECV_INLINE __m256 expm1_8(__m256 x) {
  const __m256 p = horner(x, set(1.0f / 5040), 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f);
  const __m256 near = _mm256_fmadd_ps(p, x * x, x);
  const __m256 small = _mm256_cmp_ps(magnitude(x), set(0.4f), _CMP_LT_OQ);
  return _mm256_blendv_ps(exp8(x) - set(1.0f), near, small);
}

// log(1 + x) within 3 ulp for x >= 0.
EDGECV_INLINE __m256 log1p_8(__m256 x) {
  const __m256 u = set(1.0f) + x, step = u - set(1.0f);
  const __m256 exact = _mm256_cmp_ps(step, set(0.0f), _CMP_EQ_OQ);
  return _mm256_blendv_ps(log8(u) * (x / step), x, exact);
}

}  // namespace
}  // namespace edgecv::kernels::fma

#endif  // EDGECV_KERNELS_FMA_MATH_H_

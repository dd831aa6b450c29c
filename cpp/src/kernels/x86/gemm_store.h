// The end of a tile of the s8 matrix product: requantize and store.
#ifndef EDGECV_KERNELS_X86_GEMM_STORE_H_
#define EDGECV_KERNELS_X86_GEMM_STORE_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// Halves and quarters of a vector of bytes to rows of the output.
EDGECV_INLINE void store_low_part(int8_t* p, Vec v) {
  if constexpr (kVecBytes == 32) {
    store128(p, low_half(v));
  } else {
    store64(p, low_half(v));
  }
}
EDGECV_INLINE void store_high_part(int8_t* p, Vec v) {
#if defined(__AVX2__)
  store128(p, high_half(v));
#else
  store_high64(p, v);
#endif
}
template <int kCount>
EDGECV_INLINE void store_quarters(int8_t* p, int64_t stride, Vec v) {
#if defined(__AVX2__)
  const __m128i rows01 = low_half(v), rows23 = high_half(v);
  store64(p, rows01);
  if constexpr (kCount > 1) store_high64(p + stride, rows01);
  if constexpr (kCount > 2) store64(p + 2 * stride, rows23);
  if constexpr (kCount > 3) store_high64(p + 3 * stride, rows23);
#else
  store32(p, v);
  if constexpr (kCount > 1) store32(p + stride, shuffle_dwords<1>(v));
  if constexpr (kCount > 2) store32(p + 2 * stride, shuffle_dwords<2>(v));
  if constexpr (kCount > 3) store32(p + 3 * stride, shuffle_dwords<3>(v));
#endif
}

// The first `count` <= 16 bytes of v.
EDGECV_INLINE void store_few(int8_t* p, __m128i v, int64_t count) {
  if (count == 16) return store128(p, v);
  if ((count & 8) != 0) {
    store64(p, v);
    v = _mm_srli_si128(v, 8);
    p += 8;
  }
  if ((count & 4) != 0) {
    store32(p, v);
    v = _mm_srli_si128(v, 4);
    p += 4;
  }
  int32_t rest = _mm_cvtsi128_si32(v);
  if ((count & 2) != 0) {
    const auto word = static_cast<int16_t>(rest);
    memcpy(p, &word, sizeof word);
    rest >>= 16;
    p += 2;
  }
  if ((count & 1) != 0) *p = static_cast<int8_t>(rest);
}

// A row of a panel of kVectors >= 3 vectors, requantized: packing left its columns in order within
// 128-bit lanes.
template <int kVectors>
EDGECV_INLINE void store_row(int8_t* p, Vec v) {
#if defined(__AVX2__)
  if constexpr (kVectors == 4) {
    store(p, v);
  } else {
    const __m128i high = high_half(v);
    store128(p, low_half(v));
    store64(p + 12, high);
    store32(p + 20, _mm_srli_si128(high, 8));
  }
#else
  if constexpr (kVectors == 4) {
    store(p, v);
  } else {
    store64(p, v);
    store32(p + 8, _mm_srli_si128(v, 8));
  }
#endif
}

// The same for the first `count` columns of it. Out of line to keep its branches away from the tile
// loop's registers.
template <int kVectors>
__attribute__((noinline)) void store_row_part(int8_t* p, Vec v, int64_t count) {
  const int64_t lane = 4 * (kVectors < 3 ? 4 : kVectors);
  store_few(p, low_half(v), min_of(count, lane));
#if defined(__AVX2__)
  if (count > lane) store_few(p + lane, high_half(v), count - lane);
#endif
}

// Requantizes and stores a tile of which `columns` columns exist.
template <int kRows, int kVectors>
EDGECV_INLINE void store_tile(int8_t* out, int64_t stride, const float* multipliers,
                              const Clamp& clamp, int64_t columns, Vec (&acc)[kRows][kVectors]) {
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    const VecF multiplier = load_f32(multipliers + kDwords * v);
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      acc[r][v] = scale_round(acc[r][v], multiplier);
    });
  });
  const bool whole = columns == kDwords * kVectors;
  if constexpr (kVectors >= 3) {
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      const Vec words = pack_words(acc[r][0], acc[r][1], clamp);
      Vec bytes = pack_s16_s8(words, pack_words(acc[r][2], acc[r][kVectors - 1], clamp));
      bytes = min_s8(max_s8(bytes, clamp.lo), clamp.hi);
      if (whole) {
        store_row<kVectors>(out + r * stride, bytes);
      } else {
        store_row_part<kVectors>(out + r * stride, bytes, columns);
      }
    });
  } else if (!whole) {
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      const Vec words = pack_words(acc[r][0], acc[r][kVectors - 1], clamp);
      store_row_part<kVectors>(out + r * stride, clamp_bytes(words, words, clamp), columns);
    });
  } else if constexpr (kVectors == 2) {  // two rows at a time
    unroll<(kRows + 1) / 2>([&](auto pair) __attribute__((always_inline)) {
      constexpr int r = 2 * pair, s = r + 1 < kRows ? r + 1 : r;
      const Vec bytes = clamp_bytes(pack_words(acc[r][0], acc[r][1], clamp),
                                    pack_words(acc[s][0], acc[s][1], clamp), clamp);
      store_low_part(out + r * stride, bytes);
      if constexpr (s != r) store_high_part(out + s * stride, bytes);
    });
  } else {  // four rows at a time
    unroll<(kRows + 3) / 4>([&](auto quad) __attribute__((always_inline)) {
      constexpr int r = 4 * quad, left = kRows - r;
      constexpr int r1 = left > 1 ? r + 1 : r, r2 = left > 2 ? r + 2 : r, r3 = left > 3 ? r + 3 : r;
      const Vec bytes = clamp_bytes(pack_words(acc[r][0], acc[r1][0], clamp),
                                    pack_words(acc[r2][0], acc[r3][0], clamp), clamp);
      store_quarters<(left < 4 ? left : 4)>(out + r * stride, stride, bytes);
    });
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_GEMM_STORE_H_

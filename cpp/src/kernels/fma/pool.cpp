// Max and average pools in f32: the taps of a window that lie in the image, then the channels.
#include "kernels/pool.h"

#include "kernels/fma/simd.h"

namespace edgecv::kernels::fma {
namespace {

const PoolProblem& as_pool(const void* problem) {
  return *static_cast<const PoolProblem*>(problem);
}

size_t scratch_bytes(const void* problem) {
  const PoolProblem& p = as_pool(problem);
  return static_cast<size_t>(p.kernel_h) * static_cast<size_t>(p.kernel_w) * sizeof(const float*);
}

// Items: output rows.
int64_t work_items(const void* problem) {
  const PoolProblem& p = as_pool(problem);
  return int64_t{p.batch} * p.out_h;
}

// Kernel coordinates [begin, end) with begin_at <= origin + k * dilation < end_at.
struct Range {
  int64_t begin, end;
};

EDGECV_INLINE Range clip_range(int64_t origin, int64_t kernel, int64_t dilation, int64_t begin_at,
                               int64_t end_at) {
  const int64_t begin = origin < begin_at ? div_up(begin_at - origin, dilation) : 0;
  const int64_t end = origin < end_at ? min_of(kernel, div_up(end_at - origin, dilation)) : 0;
  return {min_of(begin, end), end};
}

template <bool kMax>
EDGECV_INLINE __m256 join(__m256 sum, __m256 x) {
  // As the reference: a NaN of x is passed over.
  return kMax ? _mm256_max_ps(x, sum) : sum + x;
}

template <bool kMax, int kVectors>
EDGECV_INLINE void pool_channels(const float* const* taps, int64_t count, int64_t c, __m256 scale,
                                 float* out) {
  __m256 sum[kVectors];
  const __m256 start = _mm256_set1_ps(kMax ? -__builtin_inff() : 0.0f);
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) { sum[v] = start; });
  for (int64_t i = 0; i < count; ++i) {
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
      sum[v] = join<kMax>(sum[v], load8(taps[i] + c + 8 * v));
    });
  }
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
    store8(out + c + 8 * v, kMax ? sum[v] : sum[v] / scale);
  });
}

template <bool kMax>
void pool_pixel(const float* const* taps, int64_t count, int64_t channels, float divisor,
                float* out) {
  const __m256 scale = _mm256_set1_ps(divisor);
  int64_t c = 0;
  for (; c + 32 <= channels; c += 32) pool_channels<kMax, 4>(taps, count, c, scale, out);
  for (; c + 8 <= channels; c += 8) pool_channels<kMax, 1>(taps, count, c, scale, out);
  if (c == channels) return;
  __m256 sum = _mm256_set1_ps(kMax ? -__builtin_inff() : 0.0f);
  for (int64_t i = 0; i < count; ++i) sum = join<kMax>(sum, load_tail(taps[i] + c, channels - c));
  store_tail(out + c, kMax ? sum : sum / scale, channels - c);
}

int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void* scratch) {
  const PoolProblem& p = as_pool(problem);
  auto* taps = static_cast<const float**>(scratch);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, top = item % p.out_h * p.stride_h - p.pad_top;
    const Range rows = clip_range(top, p.kernel_h, p.dilation_h, 0, p.in_h);
    const Range counted_rows =
        clip_range(top, p.kernel_h, p.dilation_h, -p.pad_top, p.in_h + p.count_pad_bottom);
    const float* image =
        static_cast<const float*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    float* out = static_cast<float*>(operands.out) + item * p.out_w * p.out_stride;
    for (int64_t ow = 0; ow < p.out_w; ++ow, out += p.out_stride) {
      const int64_t left = ow * p.stride_w - p.pad_left;
      const Range columns = clip_range(left, p.kernel_w, p.dilation_w, 0, p.in_w);
      int64_t count = 0;
      for (int64_t kh = rows.begin; kh < rows.end; ++kh) {
        const float* row = image + ((top + kh * p.dilation_h) * p.in_w + left) * p.in_stride;
        for (int64_t kw = columns.begin; kw < columns.end; ++kw)
          taps[count++] = row + kw * p.dilation_w * p.in_stride;
      }
      if (p.op == PoolOp::kMax) {
        pool_pixel<true>(taps, count, p.channels, 1.0f, out);
        continue;
      }
      int64_t divisor = count;
      if (p.count_include_pad) {
        const Range counted_columns =
            clip_range(left, p.kernel_w, p.dilation_w, -p.pad_left, p.in_w + p.count_pad_right);
        divisor =
            (counted_rows.end - counted_rows.begin) * (counted_columns.end - counted_columns.begin);
      }
      pool_pixel<false>(taps, count, p.channels, static_cast<float>(divisor), out);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel pool_f32_c32 = {
    "pool_f32_c32__fma",
    "fma",
    Family::kPoolF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    scratch_bytes,
    work_items,
    run,
};

}  // namespace edgecv::kernels::fma

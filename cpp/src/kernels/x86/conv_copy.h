// The input under a chunk of output pixels, copied to scratch.
#ifndef EDGECV_KERNELS_X86_CONV_COPY_H_
#define EDGECV_KERNELS_X86_CONV_COPY_H_

#include "kernels/x86/conv_plan.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// out[i] = in[i] - lo, any count. Overlapping vectors at the end instead of a scalar tail.
EDGECV_INLINE void shift_run(uint8_t* out, const int8_t* in, int64_t count, Vec lo) {
  const __m128i lo128 = low_half(lo);
  if (count >= kVecBytes) {
    int64_t i = 0;
    for (; i + kVecBytes <= count; i += kVecBytes) store(out + i, sub_s8(load(in + i), lo));
    i = count - kVecBytes;
    store(out + i, sub_s8(load(in + i), lo));
  } else if (count >= 16) {
    store128(out, _mm_sub_epi8(load128(in), lo128));
    store128(out + count - 16, _mm_sub_epi8(load128(in + count - 16), lo128));
  } else if (count >= 8) {
    store64(out, _mm_sub_epi8(load64(in), lo128));
    store64(out + count - 8, _mm_sub_epi8(load64(in + count - 8), lo128));
  } else if (count >= 4) {
    store32(out, _mm_sub_epi8(load32(in), lo128));
    store32(out + count - 4, _mm_sub_epi8(load32(in + count - 4), lo128));
  } else {
    const int32_t low = _mm_cvtsi128_si32(lo128);
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(in[i] - low);
  }
}

// The two copies: x - in_lo as u8, x as s16.
struct ByteCopy {
  using Value = uint8_t;
  Vec lo;
  uint8_t zero_point;
  EDGECV_INLINE void run(uint8_t* out, const int8_t* in, int64_t count) const {
    shift_run(out, in, count, lo);
  }
  EDGECV_INLINE void fill(uint8_t* out, int64_t count) const {
    memset(out, zero_point, static_cast<size_t>(count));
  }
  EDGECV_INLINE void end(uint8_t*) const {}
};

struct WordCopy {
  using Value = int16_t;
  int16_t zero_point;
  EDGECV_INLINE void run(int16_t* out, const int8_t* in, int64_t count) const {
    widen_run(out, in, count);
  }
  EDGECV_INLINE void fill(int16_t* out, int64_t count) const { fill_words(out, zero_point, count); }
  // What the last units of a segment read after a run: small, so that no sum of cross wraps.
  EDGECV_INLINE void end(int16_t* out) const { memset(out, 0, 8); }
};

// One row of the input: `count` pixels, the first one at column `x` and `step` columns between
// them.
struct RowTask {
  const int8_t* row;  // the image's row, null when it lies outside
  int64_t x, step, count;
  int64_t channels, pixel;  // values of a pixel, from pixel to pixel
  int64_t width;            // of the image
};

template <typename Copy>
void copy_row(const RowTask& t, const Copy& copy, typename Copy::Value* out) {
  int64_t begin = 0, end = 0;  // pixels [begin, end) lie in the image
  if (t.row != nullptr) {
    begin = t.x < 0 ? min_of(t.count, div_up(-t.x, t.step)) : 0;
    end = t.x < t.width ? min_of(t.count, div_up(t.width - t.x, t.step)) : 0;
    end = max_of(begin, end);
  }
  copy.fill(out, begin * t.channels);
  if (begin < end) {
    const int8_t* in = t.row + (t.x + begin * t.step) * t.pixel;
    if (t.step == 1 && t.pixel == t.channels) {
      copy.run(out + begin * t.channels, in, (end - begin) * t.channels);
    } else {
      for (int64_t i = begin; i < end; ++i, in += t.step * t.pixel)
        copy.run(out + i * t.channels, in, t.channels);
    }
  }
  copy.fill(out + end * t.channels, (t.count - end) * t.channels);
  copy.end(out + t.count * t.channels);
}

// A chunk's output pixels: the first one's index in the output, and how many there are.
struct Chunk {
  int64_t first, count;
};

inline Chunk flat_chunk(const ConvProblem& p, const ConvPlan& plan, int64_t index) {
  const int64_t first = index * plan.chunk_w;
  return {first, min_of(plan.chunk_w, int64_t{p.batch} * p.out_h * p.out_w - first)};
}

template <typename Copy>
void copy_flat(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, const Chunk& chunk,
               const Copy& copy, typename Copy::Value* out) {
  x += chunk.first * p.in_stride;
  if (p.in_stride == plan.channels && plan.pixel_values == plan.channels) {
    copy.run(out, x, chunk.count * plan.channels);
    return;
  }
  for (int64_t i = 0; i < chunk.count; ++i) {
    copy.run(out + i * plan.pixel_values, x + i * p.in_stride, plan.channels);
    copy.end(out + i * plan.pixel_values + plan.channels);
  }
}

// The output pixels of a window chunk.
struct Window {
  int64_t n, oh, ow, height, width;
};

inline Window window_chunk(const ConvProblem& p, const ConvPlan& plan, int64_t index) {
  Window w;
  w.ow = index % plan.columns_of_chunks * plan.chunk_w;
  index /= plan.columns_of_chunks;
  w.oh = index % plan.rows_of_chunks * plan.chunk_h;
  w.n = index / plan.rows_of_chunks;
  w.height = min_of(plan.chunk_h, p.out_h - w.oh);
  w.width = min_of(plan.chunk_w, p.out_w - w.ow);
  return w;
}

template <typename Copy>
void copy_window(const ConvProblem& p, const ConvPlan& plan, const int8_t* x, const Window& w,
                 const Copy& copy, typename Copy::Value* out) {
  RowTask task;
  task.x = w.ow * p.stride_w - p.pad_left;
  task.step = p.kernel_w == 1 ? p.stride_w : 1;
  task.count = (w.width - 1) * plan.column_step + (int64_t{p.kernel_w} - 1) * p.dilation_w + 1;
  task.channels = plan.channels;
  task.pixel = p.in_stride;
  task.width = p.in_w;
  const int64_t image_rows = plan.chunk_h == 1 ? p.kernel_h
                                               : (w.height - 1) * plan.row_step +
                                                     (int64_t{p.kernel_h} - 1) * p.dilation_h + 1;
  int64_t y_step = p.dilation_h;  // between the kernel rows of a single output row
  if (plan.chunk_h > 1) y_step = p.kernel_h == 1 ? p.stride_h : 1;
  for (int64_t r = 0; r < image_rows; ++r) {
    const int64_t y = w.oh * p.stride_h - p.pad_top + r * y_step;
    task.row = y >= 0 && y < p.in_h ? x + (w.n * p.in_h + y) * p.in_w * p.in_stride : nullptr;
    copy_row(task, copy, out + r * plan.row_values);
  }
}

// Where the rows of the product begin, in values.
inline void set_rows(const ConvPlan& plan, int64_t height, int64_t width, int64_t* rows) {
  for (int64_t i = 0; i < height; ++i) {
    const int64_t begin = i * plan.row_step * plan.row_values;
    const int64_t step = plan.column_step * plan.pixel_values;
    for (int64_t j = 0; j < width; ++j) *rows++ = begin + j * step;
  }
}

// What cross adds to the sums of each row by products of its own values.
inline void cross_of_rows(const ConvPlan& plan, const int64_t* offsets, const int64_t* rows,
                          int64_t count, const int16_t* image, int32_t* cross) {
  const Depth& depth = plan.shape.pairs;
  const int64_t values = 2 * depth.segment;
  for (int64_t r = 0; r < count; ++r) {
    const int16_t* const row = image + (plan.flat ? r * plan.pixel_values : rows[r]);
    __m128i sums = _mm_setzero_si128();  // every dword twice
    for (int64_t segment = 0; segment < depth.segments; ++segment) {
      const int16_t* const a = row + offsets[segment];
      int64_t k = 0;
      if (values >= kWords) {
        Vec wide = set1_s32(0);
        for (; k + kWords <= values; k += kWords) {
          const Vec v = load(a + k);
          add_to(wide, madd_s16(v, shuffle_dwords<0xb1>(v)));
        }
        sums = _mm_add_epi32(sums, fold_halves(wide));
      }
      for (; k < values; k += 4) {
        const __m128i v = load64(a + k);
        sums = _mm_add_epi32(sums, _mm_madd_epi16(v, _mm_shuffle_epi32(v, 0xe1)));
      }
    }
    cross[r] = _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_srli_si128(sums, 8)));
  }
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_CONV_COPY_H_

// The rows of a dense s8 layer as its tile reads them: `depth` bytes of what a kernel's window
// holds and zeros, spread by the tile if kSpread says so.
#ifndef EDGECV_KERNELS_NEON_DENSE_ROWS_H_
#define EDGECV_KERNELS_NEON_DENSE_ROWS_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// memcpy without a call; what does not fill vectors overlaps.
EDGECV_INLINE void copy_values(int8_t* out, const int8_t* in, int64_t count) {
  if (count >= 16) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) store128(out + i, load128(in + i));
    if (i < count) store128(out + count - 16, load128(in + count - 16));
  } else if (count >= 8) {
    const int8x8_t low = vld1_s8(in), high = vld1_s8(in + count - 8);
    vst1_s8(out, low);
    vst1_s8(out + count - 8, high);
  } else if (count >= 4) {
    const int32_t low = load_s32(in), high = load_s32(in + count - 4);
    memcpy(out, &low, 4);
    memcpy(out + count - 4, &high, 4);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = in[i];
  }
}

// An output pixel; rows are counted in this order.
struct Pixel {
  int64_t n, oh, ow;

  static Pixel of(const ConvProblem& p, int64_t row) {
    const int64_t pixels = int64_t{p.out_h} * p.out_w;
    return {row / pixels, row % pixels / p.out_w, row % p.out_w};
  }
  // At most to the next image row.
  void advance(const ConvProblem& p, int64_t columns) {
    ow += columns;
    if (ow < p.out_w) return;
    ow = 0;
    if (++oh < p.out_h) return;
    oh = 0;
    ++n;
  }
};

// Rows [first, first + count) of group `group`, depth bytes each.
void copy_rows(const ConvProblem& p, int64_t depth, const int8_t* x, int64_t group, int64_t first,
               int64_t count, int8_t* out) {
  const int64_t row_step = int64_t{p.in_w} * p.in_stride, tap_step = p.dilation_w * p.in_stride;
  const int64_t channels = p.in_c / p.groups;
  // The taps of a kernel row are one run of bytes.
  const bool run = p.dilation_w == 1 && p.in_stride == channels;
  Pixel at = Pixel::of(p, first);
  for (int64_t r = 0; r < count; ++r, out += depth, at.advance(p, 1)) {
    const int64_t top = at.oh * p.stride_h - p.pad_top, left = at.ow * p.stride_w - p.pad_left;
    const int64_t right = left + (p.kernel_w - 1) * int64_t{p.dilation_w};
    const int8_t* image = x + at.n * p.in_h * row_step + group * channels;
    int8_t* to = out;
    for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
      const int64_t y = top + kh * p.dilation_h;
      if (y < 0 || y >= p.in_h) {
        memset(to, p.in_zero_point, static_cast<size_t>(p.kernel_w * channels));
        to += p.kernel_w * channels;
        continue;
      }
      const int8_t* row = image + y * row_step;
      if (run && left >= 0 && right < p.in_w) {
        copy_values(to, row + left * p.in_stride, p.kernel_w * channels);
        to += p.kernel_w * channels;
        continue;
      }
      for (int64_t kw = 0, column = left; kw < p.kernel_w; ++kw, column += p.dilation_w) {
        if (column < 0 || column >= p.in_w) {
          memset(to, p.in_zero_point, static_cast<size_t>(channels));
        } else {
          copy_values(to, row + left * p.in_stride + kw * tap_step, channels);
        }
        to += channels;
      }
    }
    for (int8_t* end = out + depth; to < end;) *to++ = 0;
  }
}

#if defined(__aarch64__)
// Windows of up to three rows of sixteen bytes, as of the first layer of most networks: table
// lookups take them from the image to their place.
inline bool is_small_window(const ConvProblem& p) {
  return p.kernel_h <= 3 && p.kernel_w * p.in_c <= 16 && p.dilation_w == 1 &&
         p.in_stride == p.in_c && p.groups == 1;
}

constexpr int64_t kMostVectors = 48 * (kSpread != 0 ? kSpread : 1) / 16;
constexpr int kTogether = kSpread != 0 ? kRows : 1;  // rows that lie between one another

// Bytes of three vectors in a row, by index. Compilers copy such a table for every use.
struct Table {
  const int8_t* rows[3];

#define EDGECV_TABLE "ldr q0, %[a]\n\tldr q1, %[b]\n\tldr q2, %[c]"
#define EDGECV_LOOK_UP(to, index) "\n\ttbl %" #to ".16b, {v0.16b, v1.16b, v2.16b}, %" #index ".16b"
#define EDGECV_ROW(i) "Q"(*reinterpret_cast<const int8_t(*)[16]>(rows[i]))
  EDGECV_INLINE void look_up(int8x16_t (&v)[1], const uint8x16_t (&at)[1]) const {
    __asm__(EDGECV_TABLE EDGECV_LOOK_UP(0, 1)
            : "=&w"(v[0])
            : "w"(at[0]), [a] EDGECV_ROW(0), [b] EDGECV_ROW(1), [c] EDGECV_ROW(2)
            : "v0", "v1", "v2");
  }
  EDGECV_INLINE void look_up(int8x16_t (&v)[2], const uint8x16_t (&at)[2]) const {
    __asm__(EDGECV_TABLE EDGECV_LOOK_UP(0, 2) EDGECV_LOOK_UP(1, 3)
            : "=&w"(v[0]), "=&w"(v[1])
            : "w"(at[0]), "w"(at[1]), [a] EDGECV_ROW(0), [b] EDGECV_ROW(1), [c] EDGECV_ROW(2)
            : "v0", "v1", "v2");
  }
  EDGECV_INLINE void look_up(int8x16_t (&v)[8], const uint8x16_t (&at)[8]) const {
    __asm__(EDGECV_TABLE EDGECV_LOOK_UP(0, 8) EDGECV_LOOK_UP(1, 9) EDGECV_LOOK_UP(2, 10)
                EDGECV_LOOK_UP(3, 11) EDGECV_LOOK_UP(4, 12) EDGECV_LOOK_UP(5, 13)
                    EDGECV_LOOK_UP(6, 14) EDGECV_LOOK_UP(7, 15)
            : "=&w"(v[0]), "=&w"(v[1]), "=&w"(v[2]), "=&w"(v[3]), "=&w"(v[4]), "=&w"(v[5]),
              "=&w"(v[6]), "=&w"(v[7])
            : "w"(at[0]), "w"(at[1]), "w"(at[2]), "w"(at[3]), "w"(at[4]), "w"(at[5]), "w"(at[6]),
              "w"(at[7]), [a] EDGECV_ROW(0), [b] EDGECV_ROW(1), [c] EDGECV_ROW(2)
            : "v0", "v1", "v2");
  }
#undef EDGECV_TABLE
#undef EDGECV_LOOK_UP
#undef EDGECV_ROW
};

// A multiple of kTogether rows. kVectors: of a row, 0 for any number. `copy`: scratch for a row.
template <int kVectors>
__attribute__((noinline)) void look_up_rows(const ConvProblem& p, int64_t depth, const int8_t* x,
                                            int64_t first, int64_t count, int8_t* out,
                                            int8_t* copy) {
  alignas(16) int8_t places[48], index[16 * kMostVectors], outside[16];
  const int64_t width = int64_t{p.kernel_w} * p.in_c, values = width * p.kernel_h;
  memset(places, -1, sizeof places);  // beyond the table: zero
  memset(outside, p.in_zero_point, sizeof outside);
  for (int64_t i = 0; i < values; ++i) {
    places[i] = static_cast<int8_t>(i / width * 16 + i % width);
  }
  const int64_t vectors = kVectors != 0 ? kVectors : div_up(depth * max_of(kSpread, 1), 16);
  if constexpr (kSpread != 0) {
    spread_row(index, 16, places, depth);
  } else {
    memcpy(index, places, sizeof index);
  }
  constexpr int kKept = kVectors != 0 ? kVectors : 1;
  uint8x16_t at[kKept];
  unroll<kKept>([&](auto v)
                    __attribute__((always_inline)) { at[v] = as_u8(load(index + 16 * v)); });

  const int64_t row_step = int64_t{p.in_w} * p.in_stride, step = int64_t{p.stride_w} * p.in_stride;
  const int8_t* last = x + p.batch * p.in_h * row_step - 16;  // that 16 bytes can be read from
  const int64_t row_bytes = depth * max_of(kSpread, 1);
  const int64_t to_tile = kTogether * row_bytes - 16 * (kTogether - 1);
  const int64_t begin = div_up(p.pad_left, p.stride_w);
  Pixel pixel = Pixel::of(p, first);
  for (int64_t r = 0; r < count;) {
    Table table = {{outside, outside, outside}};
    int64_t steps[3] = {0, 0, 0};
    int64_t most = p.in_w - p.kernel_w;  // the last column a window begins at
    for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
      const int64_t y = pixel.oh * p.stride_h - p.pad_top + kh * p.dilation_h;
      if (y < 0 || y >= p.in_h) continue;
      table.rows[kh] = x + (pixel.n * p.in_h + y) * row_step;
      steps[kh] = step;
      most = last < table.rows[kh] ? -1 : min_of(most, (last - table.rows[kh]) / p.in_stride);
    }
    const int64_t end = most < 0 ? 0 : (most + p.pad_left) / p.stride_w + 1;
    if (pixel.ow < begin || pixel.ow >= end) {
      copy_rows(p, depth, x, 0, first + r, 1, copy);
      if constexpr (kSpread != 0) {
        spread_row(out, 16 * kTogether, copy, depth);
      } else {
        memcpy(out, copy, static_cast<size_t>(depth));
      }
      pixel.advance(p, 1);
      ++r;
      out += r % kTogether != 0 ? 16 : to_tile;
      continue;
    }
    unroll<3>([&](auto i) __attribute__((always_inline)) {
      if (steps[i] != 0) table.rows[i] += (pixel.ow * p.stride_w - p.pad_left) * p.in_stride;
    });
    const int64_t run = min_of(min_of(end, p.out_w) - pixel.ow, count - r);
    pixel.advance(p, run);
    for (const int64_t stop = r + run; r < stop;) {
      int8x16_t found[kKept];
      if constexpr (kVectors != 0) {
        table.look_up(found, at);
        unroll<kVectors>([&](auto v) __attribute__((always_inline)) {
          store(out + 16 * kTogether * v, found[v]);
        });
      } else {
        for (int64_t v = 0; v < vectors; ++v) {
          at[0] = as_u8(load(index + 16 * v));
          table.look_up(found, at);
          store(out + 16 * kTogether * v, found[0]);
        }
      }
      unroll<3>([&](auto i) __attribute__((always_inline)) { table.rows[i] += steps[i]; });
      ++r;
      out += r % kTogether != 0 ? 16 : to_tile;
    }
  }
}
#endif

// The same, to where the tile reads them. A direct layer's rows lie at x.
void gather_rows(const ConvProblem& p, int64_t depth, const int8_t* x, int64_t group, int64_t first,
                 int64_t count, bool direct, int8_t* copy, int8_t* spread) {
  if (direct) {
    x += first * p.in_stride + group * (p.in_c / p.groups);
    return spread_rows(spread, x, p.in_stride, count, depth);
  }
  int64_t done = 0;
#if defined(__aarch64__)
  if (is_small_window(p)) {
    constexpr int kCommon = kSpread != 0 ? 8 : 2;  // vectors of the 32 bytes of 3 x 3 x 3
    done = count / kTogether * kTogether;
    int8_t* out = kSpread != 0 ? spread : copy;
    int8_t* single = copy + round_up(count * depth, 16);
    if (depth == 32) {
      look_up_rows<kCommon>(p, depth, x, first, done, out, single);
    } else {
      look_up_rows<0>(p, depth, x, first, done, out, single);
    }
  }
#endif
  copy += done * depth;
  copy_rows(p, depth, x, group, first + done, count - done, copy);
  spread_rows(spread + done * kSpread * depth, copy, depth, count - done, depth);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_NEON_DENSE_ROWS_H_

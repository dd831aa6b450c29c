// Moves of a strided box. The box is first brought to its simplest form: dims that are contiguous
// on both sides become one run of bytes, whatever their order. What is left is copied run by run,
// or, when single bytes (or dwords) change between two layouts (NCHW <-> NHWC), as transposed tiles
// that read and write whole vectors.
#ifndef EDGECV_KERNELS_SIMD_MOVE_H_
#define EDGECV_KERNELS_SIMD_MOVE_H_

#include "kernels/move.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kRunPiece = 64 << 10;  // a longer run is split so that threads can share it
constexpr int64_t kTile = 16;

struct MovePlan {
  int32_t rank;  // of the loops around a run
  int64_t dims[9], in[9], out[9];
  int64_t run, last_run;  // bytes; last_run: of the last piece of a split run
  // Transpose: dims[rank - 2] is contiguous in the input, dims[rank - 1] in the output. Interleave:
  // a transpose whose output is one run, that of few input runs (channel shuffle, planes to
  // pixels); dwords are interleaved only.
  bool transpose, interleave;
  int64_t items, item_rows;
};

constexpr int64_t kMostInterleaved = 4;

void drop_dim(MovePlan* plan, int32_t index) {
  --plan->rank;
  for (int32_t i = index; i < plan->rank; ++i) {
    plan->dims[i] = plan->dims[i + 1];
    plan->in[i] = plan->in[i + 1];
    plan->out[i] = plan->out[i + 1];
  }
}

void move_to_end(MovePlan* plan, int32_t index) {
  const int64_t dim = plan->dims[index], in = plan->in[index], out = plan->out[index];
  drop_dim(plan, index);
  plan->dims[plan->rank] = dim;
  plan->in[plan->rank] = in;
  plan->out[plan->rank] = out;
  ++plan->rank;
}

int64_t outer_count(const MovePlan& plan, int32_t inner_dims) {
  int64_t count = 1;
  for (int32_t i = 0; i < plan.rank - inner_dims; ++i) count *= plan.dims[i];
  return count;
}

MovePlan plan_move(const MoveProblem& p) {
  MovePlan plan;
  plan.rank = 0;
  plan.run = p.element_bytes;
  for (int32_t i = 0; i < p.rank; ++i) {
    if (p.dims[i] == 1) continue;
    plan.dims[plan.rank] = p.dims[i];
    plan.in[plan.rank] = p.in_stride[i];
    plan.out[plan.rank] = p.out_stride[i];
    ++plan.rank;
  }
  for (int32_t i = plan.rank - 1; i >= 0;) {
    if (plan.in[i] == plan.run && plan.out[i] == plan.run) {
      plan.run *= plan.dims[i];
      drop_dim(&plan, i);
      i = plan.rank - 1;
    } else {
      --i;
    }
  }
  plan.last_run = plan.run;
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.dims[0] = div_up(plan.run, kRunPiece);
    plan.in[0] = plan.out[0] = kRunPiece;
    plan.last_run = plan.run - (plan.dims[0] - 1) * kRunPiece;
    plan.run = plan.dims[0] == 1 ? plan.run : kRunPiece;
  }
  // The loop around a run steps through the output as closely as possible.
  int32_t in_dim = -1, out_dim = -1;
  for (int32_t i = 0; i < plan.rank; ++i) {
    if (plan.in[i] == plan.run && plan.dims[i] > 1) in_dim = i;
    if (out_dim < 0 || plan.out[i] < plan.out[out_dim]) out_dim = i;
  }
  plan.interleave = false;
  plan.transpose = (plan.run == 1 || plan.run == 4) && in_dim >= 0 && in_dim != out_dim &&
                   plan.out[out_dim] == plan.run;
  if (plan.run == 4 && plan.transpose) {
    plan.transpose =
        plan.dims[out_dim] <= kMostInterleaved && plan.out[in_dim] == plan.dims[out_dim] * plan.run;
  }
  if (plan.transpose) {
    move_to_end(&plan, in_dim);
    move_to_end(&plan, out_dim > in_dim ? out_dim - 1 : out_dim);
    const int64_t columns = plan.dims[plan.rank - 2], rows = plan.dims[plan.rank - 1];
    plan.interleave = rows <= kMostInterleaved && plan.out[plan.rank - 2] == rows * plan.run;
    const int64_t most = plan.run == 4 ? kRunPiece / 2 : kRunPiece / 8;
    if (plan.interleave && columns * rows * plan.run <= most) {  // an item: some of the outer loop
      if (plan.rank == 2) {  // there is none: one of a single iteration
        for (int32_t i = 2; i > 0; --i) {
          plan.dims[i] = plan.dims[i - 1];
          plan.in[i] = plan.in[i - 1];
          plan.out[i] = plan.out[i - 1];
        }
        plan.rank = 3;
        plan.dims[0] = 1;
        plan.in[0] = plan.out[0] = 0;
      }
      plan.item_rows = max_of(1, kRunPiece / 4 / (columns * rows * plan.run));
      plan.items = outer_count(plan, 3) * div_up(plan.dims[plan.rank - 3], plan.item_rows);
      return plan;
    }
    // An item: some of the columns.
    plan.item_rows = 4 * kTile;
    if (plan.interleave) plan.item_rows = kRunPiece / 4 / plan.run / 4;
    plan.interleave = false;
    plan.items = outer_count(plan, 2) * div_up(columns, plan.item_rows);
    return plan;
  }
  move_to_end(&plan, out_dim);
  plan.item_rows = max_of(1, min_of(plan.dims[plan.rank - 1], kRunPiece / 4 / plan.run));
  plan.items = outer_count(plan, 1) * div_up(plan.dims[plan.rank - 1], plan.item_rows);
  return plan;
}

// Where loop iteration `index` of the dims before the last `inner_dims` starts.
void locate(const MovePlan& plan, int32_t inner_dims, int64_t index, int64_t* in, int64_t* out) {
  for (int32_t i = plan.rank - inner_dims - 1; i >= 0; --i) {
    *in += index % plan.dims[i] * plan.in[i];
    *out += index % plan.dims[i] * plan.out[i];
    index /= plan.dims[i];
  }
}

template <int64_t kBytes>
void copy_fixed(uint8_t* out, int64_t out_step, const uint8_t* in, int64_t in_step, int64_t count) {
  for (int64_t i = 0; i < count; ++i) memcpy(out + i * out_step, in + i * in_step, kBytes);
}

void copy_runs(uint8_t* out, int64_t out_step, const uint8_t* in, int64_t in_step, int64_t count,
               int64_t bytes) {
  switch (bytes) {
    case 1:
      return copy_fixed<1>(out, out_step, in, in_step, count);
    case 2:
      return copy_fixed<2>(out, out_step, in, in_step, count);
    case 4:
      return copy_fixed<4>(out, out_step, in, in_step, count);
    case 8:
      return copy_fixed<8>(out, out_step, in, in_step, count);
    default:
      break;
  }
  for (int64_t i = 0; i < count; ++i, out += out_step, in += in_step) {
    if (bytes >= 16 && bytes <= 32) {  // two overlapping vectors instead of a call
      const V128 first = load128(in), last = load128(in + bytes - 16);
      store128(out, first);
      store128(out + bytes - 16, last);
    } else {
      memcpy(out, in, static_cast<size_t>(bytes));
    }
  }
}

// y[c][r] = x[r][c] for a tile of 16 x 16 bytes: four rounds of interleaving row i with row i + 8.
EDGECV_INLINE void transpose_tile(V128 (&x)[16]) {
  unroll<4>([&](auto) __attribute__((always_inline)) {
    V128 y[16];
    unroll<8>([&](auto i) __attribute__((always_inline)) {
      y[2 * i] = zip_low_8(x[i], x[i + 8]);
      y[2 * i + 1] = zip_high_8(x[i], x[i + 8]);
    });
    unroll<16>([&](auto i) __attribute__((always_inline)) { x[i] = y[i]; });
  });
}

// `columns` positions adjacent in the input by `rows` adjacent in the output.
void transpose_block(uint8_t* out, int64_t out_step, const uint8_t* in, int64_t in_step,
                     int64_t columns, int64_t rows) {
  V128 x[16];
  if (rows == kTile && columns == kTile) {
    unroll<16>([&](auto i) __attribute__((always_inline)) { x[i] = load128(in + i * in_step); });
    transpose_tile(x);
    unroll<16>([&](auto i) __attribute__((always_inline)) { store128(out + i * out_step, x[i]); });
    return;
  }
  for (int64_t i = 0; i < kTile; ++i)
    x[i] = i < rows ? load_tail(in + i * in_step, columns) : set128_s8(0);
  transpose_tile(x);
  for (int64_t i = 0; i < columns; ++i) store_tail(out + i * out_step, x[i], rows);
}

// Three planes to pixels of three bytes: 16 pixels a step. Returns how many were done.
int64_t interleave3(uint8_t* out, const uint8_t* in, int64_t in_step, int64_t count) {
  alignas(16) static const int8_t kDropFourth[16] = {0,  1,  2,  4,  5,  6,  8,  9,
                                                     10, 12, 13, 14, -1, -1, -1, -1};
  const V128 drop_fourth = load128(kDropFourth);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16, out += 48) {
    const V128 a = load128(in + i), b = load128(in + in_step + i),
               c = load128(in + 2 * in_step + i);
    const V128 ab0 = zip_low_8(a, b), ab1 = zip_high_8(a, b);
    const V128 cc0 = zip_low_8(c, c), cc1 = zip_high_8(c, c);
    // Twelve bytes each, stored in order: each store's last four bytes are overwritten by the next
    // one.
    const V128 q[4] = {shuffle128(zip_low_16(ab0, cc0), drop_fourth),
                       shuffle128(zip_high_16(ab0, cc0), drop_fourth),
                       shuffle128(zip_low_16(ab1, cc1), drop_fourth),
                       shuffle128(zip_high_16(ab1, cc1), drop_fourth)};
    store128(out, q[0]);
    store128(out + 12, q[1]);
    store128(out + 24, q[2]);
    store64(out + 36, q[3]);
    const int32_t last = dword128<2>(q[3]);
    memcpy(out + 44, &last, sizeof last);
  }
  return i;
}

// 16 columns of 2 or 4 input runs to one output run.
template <int64_t kRows>
EDGECV_INLINE void interleave16(uint8_t* out, const uint8_t* in, int64_t in_step) {
  const V128 a = load128(in), b = load128(in + in_step);
  if constexpr (kRows == 2) {
    store128(out, zip_low_8(a, b));
    store128(out + 16, zip_high_8(a, b));
  } else {
    const V128 c = load128(in + 2 * in_step), d = load128(in + 3 * in_step);
    const V128 ab0 = zip_low_8(a, b), ab1 = zip_high_8(a, b);
    const V128 cd0 = zip_low_8(c, d), cd1 = zip_high_8(c, d);
    store128(out, zip_low_16(ab0, cd0));
    store128(out + 16, zip_high_16(ab0, cd0));
    store128(out + 32, zip_low_16(ab1, cd1));
    store128(out + 48, zip_high_16(ab1, cd1));
  }
}

// `count` columns of kRows input runs in_step apart to one run: out[kRows * c + r] = in[r][c].
template <int64_t kRows>
void interleave(uint8_t* out, const uint8_t* in, int64_t in_step, int64_t count) {
  int64_t done = 0;
  if constexpr (kRows == 3) {
    done = interleave3(out, in, in_step, count);
  } else if (count >= 16) {
    for (; done + 16 <= count; done += 16)
      interleave16<kRows>(out + kRows * done, in + done, in_step);
    if (done < count)  // again some of those before: the same bytes
      interleave16<kRows>(out + kRows * (count - 16), in + count - 16, in_step);
    return;
  }
  for (; done < count; ++done) {
    for (int64_t r = 0; r < kRows; ++r) out[kRows * done + r] = in[r * in_step + done];
  }
}

// The same with dwords.
template <int64_t kRows>
void interleave_dwords(uint8_t* out, const uint8_t* in, int64_t in_step, int64_t count) {
  int64_t done = 0;
  for (; done + 4 <= count; done += 4, out += 16 * kRows) {
    const uint8_t* at = in + 4 * done;
    const V128 a = load128(at), b = load128(at + in_step);
    const V128 ab0 = zip_low_32(a, b), ab1 = zip_high_32(a, b);
    if constexpr (kRows == 2) {
      store128(out, ab0);
      store128(out + 16, ab1);
    } else if constexpr (kRows == 3) {
      // Each store's last dword is overwritten by the next one.
      const V128 c = load128(at + 2 * in_step);
      const V128 cc0 = zip_low_32(c, c), cc1 = zip_high_32(c, c);
      store128(out, zip_low_64(ab0, cc0));
      store128(out + 12, zip_high_64(ab0, cc0));
      store128(out + 24, zip_low_64(ab1, cc1));
      store64(out + 36, zip_high_64(ab1, ab1));
      memcpy(out + 44, at + 2 * in_step + 12, 4);
    } else {
      const V128 c = load128(at + 2 * in_step), d = load128(at + 3 * in_step);
      const V128 cd0 = zip_low_32(c, d), cd1 = zip_high_32(c, d);
      store128(out, zip_low_64(ab0, cd0));
      store128(out + 16, zip_high_64(ab0, cd0));
      store128(out + 32, zip_low_64(ab1, cd1));
      store128(out + 48, zip_high_64(ab1, cd1));
    }
  }
  for (; done < count; ++done) {
    for (int64_t r = 0; r < kRows; ++r, out += 4) memcpy(out, in + r * in_step + 4 * done, 4);
  }
}

using Interleave = void (*)(uint8_t* out, const uint8_t* in, int64_t in_step, int64_t count);

Interleave interleave_of(int64_t run, int64_t rows) {
  const bool dwords = run == 4;
  if (rows == 2) return dwords ? interleave_dwords<2> : interleave<2>;
  if (rows == 3) return dwords ? interleave_dwords<3> : interleave<3>;
  return dwords ? interleave_dwords<4> : interleave<4>;
}

// `count` iterations of the loop around the two innermost dims.
void interleave_runs(const MovePlan& plan, uint8_t* out, const uint8_t* in, int64_t count) {
  const int32_t outer = plan.rank - 3;
  const int64_t in_step = plan.in[outer + 2], columns = plan.dims[outer + 1];
  const Interleave run = interleave_of(plan.run, plan.dims[outer + 2]);
  for (int64_t i = 0; i < count; ++i)
    run(out + i * plan.out[outer], in + i * plan.in[outer], in_step, columns);
}

// `columns` of the two innermost dims.
void transpose(const MovePlan& plan, uint8_t* out, const uint8_t* in, int64_t columns) {
  const int64_t out_step = plan.out[plan.rank - 2], in_step = plan.in[plan.rank - 1];
  const int64_t rows = plan.dims[plan.rank - 1];
  if (rows <= kMostInterleaved && out_step == rows * plan.run)
    return interleave_of(plan.run, rows)(out, in, in_step, columns);
  for (int64_t c = 0; c < columns; c += kTile) {
    for (int64_t r = 0; r < rows; r += kTile) {
      transpose_block(out + c * out_step + r, out_step, in + r * in_step + c, in_step,
                      min_of(kTile, columns - c), min_of(kTile, rows - r));
    }
  }
}

const MoveProblem& as_move(const void* problem) {
  return *static_cast<const MoveProblem*>(problem);
}

int64_t move_items(const void* problem) {
  const MoveProblem& p = as_move(problem);
  return p.fill ? 1 : plan_move(p).items;
}

int move_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const MoveProblem& p = as_move(problem);
  const MovePlan plan = plan_move(p);
  const auto* x = static_cast<const uint8_t*>(operands.in[0]) + p.in_offset;
  auto* y = static_cast<uint8_t*>(operands.out);
  if (p.fill) {
    if (p.fill_bytes == 1) {
      memset(y, static_cast<int>(p.fill_bits & 0xFF), static_cast<size_t>(p.out_bytes));
    } else {
      for (int64_t i = 0; i < p.out_bytes; i += 4) memcpy(y + i, &p.fill_bits, 4);
    }
    begin = 0;
    end = plan.items;
  }
  y += p.out_offset;
  const int32_t inner_dims = plan.interleave ? 3 : plan.transpose ? 2 : 1;
  const int32_t split = plan.rank - inner_dims;  // the dim whose iterations items share
  const int64_t pieces = div_up(plan.dims[split], plan.item_rows);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item % pieces * plan.item_rows;
    const int64_t count = min_of(plan.item_rows, plan.dims[split] - first);
    int64_t in = first * plan.in[split], out = first * plan.out[split];
    locate(plan, inner_dims, item / pieces, &in, &out);
    if (plan.interleave) {
      interleave_runs(plan, y + out, x + in, count);
      continue;
    }
    if (plan.transpose) {
      transpose(plan, y + out, x + in, count);
      continue;
    }
    const bool last = plan.last_run != plan.run && first + count == plan.dims[split];
    copy_runs(y + out, plan.out[split], x + in, plan.in[split], last ? count - 1 : count, plan.run);
    if (last) {
      memcpy(y + out + (count - 1) * plan.out[split], x + in + (count - 1) * plan.in[split],
             static_cast<size_t>(plan.last_run));
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_MOVE_H_

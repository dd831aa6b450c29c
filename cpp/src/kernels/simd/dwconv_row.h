// Depthwise s8 convolution (groups == in_c == out_c) with a square kernel of odd size, NHWC, exact
// for every s8 activation and weight. A work item is an output row, or some channels of one.
//
// Pixels are read through arrays of pointers, one array an input row. A column or row outside the
// image points to a pixel of zero_point, so the loops know no borders. What makes the outputs of a
// row from them comes before this header: simd/dwconv_block.h or neon/dwconv_tile.h.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_ROW_H_
#define EDGECV_KERNELS_SIMD_DWCONV_ROW_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kImageBytes = 24 << 10;  // of the input rows under a work item
constexpr int64_t kMinItemChannels = 64;
constexpr int64_t kFewItems = 16;  // below it channels are split for the threads' sake

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool is_depthwise(const ConvProblem& p) { return p.groups == p.in_c && p.groups == p.out_c; }

// Columns dilation_w apart are images of their own, as long as outputs are one column apart.
template <int kSize>
bool row_supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return is_depthwise(p) && p.kernel_h == kSize && p.kernel_w == kSize && p.in_c >= kUnitChannels &&
         (p.stride_w == 1 || (p.stride_w == 2 && p.dilation_w == 1));
}

template <int kSize>
size_t row_packed_bytes(const void* problem) {
  return static_cast<size_t>(div_up(as_conv(problem).in_c, kUnitChannels) *
                             RowShape<kSize>::kUnitBytes);
}

// A unit's s32 bias, f32 multipliers and weights, where what makes the sums wants them.
template <int kSize>
void row_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const auto* weights = static_cast<const int8_t*>(p.weights);
  memset(packed, 0, row_packed_bytes<kSize>(problem));
  auto* unit = static_cast<int8_t*>(packed);
  for (int64_t u = 0; u < div_up(p.in_c, kUnitChannels); ++u, unit += RowShape<kSize>::kUnitBytes) {
    for (int64_t i = 0; i < kUnitChannels; ++i) {
      const int64_t c = unit_channel(p, u) + i;
      const int8_t* w = weights + c * kSize * kSize;
      auto folded = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[c]);
      for (int64_t kh = 0; kh < kSize; ++kh) {
        for (int64_t kw = 0; kw < kSize; ++kw, ++w) {
          put_weight<kSize>(unit, kh, kw, i, *w);
          folded -= static_cast<uint32_t>(*w * p.in_zero_point);
        }
      }
      memcpy(unit + bias_at(i), &folded, sizeof folded);
      memcpy(unit + multiplier_at(i), &p.multiplier[c], sizeof(float));
    }
  }
}

struct RowPlan {
  int64_t units;
  int64_t item_units, channel_items;
  int64_t phases, phase_columns;  // images of columns dilation_w apart; pointers of one's row
  int64_t array;                  // pointers of an input row
};

RowPlan plan_row(const ConvProblem& p) {
  RowPlan plan;
  plan.units = div_up(p.in_c, kUnitChannels);
  plan.phases = min_of(p.dilation_w, p.out_w);
  plan.phase_columns = (max_of(div_up(p.out_w, p.dilation_w), kWide) - 1) * p.stride_w + p.kernel_w;
  plan.array = plan.phases * plan.phase_columns;
  const int64_t rows = int64_t{p.batch} * p.out_h;
  int64_t pieces =
      max_of(div_up(int64_t{p.kernel_h} * p.in_w * p.in_c, kImageBytes), div_up(kFewItems, rows));
  pieces = max_of(min_of(pieces, p.in_c / kMinItemChannels), 1);
  // Pieces begin where a vector of bytes does; the last one holds the last whole unit, since the
  // unit after it overlaps it.
  plan.item_units = round_up(div_up(plan.units, pieces), 2);
  plan.channel_items = max_of(div_up(p.in_c / kUnitChannels, plan.item_units), 1);
  return plan;
}

// The arrays of kernel_h input rows and of a row outside, a pixel of zero_point, the sums.
size_t row_scratch_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(kScratchBytes + plan_row(p).array * (p.kernel_h + 1) * 8 + p.in_c);
}

// Items: for each image, each piece of the channels, each output row.
int64_t row_work_items(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return p.batch * plan_row(p).channel_items * p.out_h;
}

// The pointer arrays of the input rows under an output row. Consecutive output rows keep those they
// share.
template <int kSize>
struct RowPointers {
  const ConvProblem* problem;
  const int8_t* outside;
  const int8_t** slots[kSize];
  const int8_t** none;
  int64_t held[kSize];  // the input row a slot holds
  int64_t array, phase_columns;

  void fill(const int8_t** pointers, const int8_t* row, int64_t step) const {
    const ConvProblem& p = *problem;
    for (int64_t phase = 0; phase * phase_columns < array; ++phase, pointers += phase_columns) {
      // Pointers [begin, end) are of columns inside the image.
      const int64_t first = phase - p.pad_left, room = p.in_w - first;
      const int64_t begin = min_of(first < 0 ? div_up(-first, p.dilation_w) : 0, phase_columns);
      const int64_t end =
          max_of(min_of(room > 0 ? div_up(room, p.dilation_w) : 0, phase_columns), begin);
      for (int64_t i = 0; i < begin; ++i) pointers[i] = outside;
      const int8_t* pixel = row + (first + begin * p.dilation_w) * step;
      for (int64_t i = begin; i < end; ++i, pixel += p.dilation_w * step) pointers[i] = pixel;
      for (int64_t i = end; i < phase_columns; ++i) pointers[i] = outside;
    }
  }

  // Begins an image.
  void start() {
    for (int64_t& row : held) row = -1;
  }

  // Row y of the image.
  const int8_t* const* get(const int8_t* image, int64_t y) {
    const ConvProblem& p = *problem;
    if (y < 0 || y >= p.in_h) return none;
    const int64_t slot = (p.dilation_h == 1 ? y : y / p.dilation_h) % kSize;
    if (held[slot] != y) {
      held[slot] = y;
      fill(slots[slot], image + y * p.in_w * p.in_stride, p.in_stride);
    }
    return slots[slot];
  }
};

// kStride 0: looked up for each row.
template <int kSize, int kStride>
void run_row(const ConvProblem& p, const Operands& operands, int64_t begin, int64_t end,
             void* scratch) {
  const RowPlan plan = plan_row(p);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  BlockTask<kSize> t;
  t.problem = &p;
  t.packed = static_cast<const int8_t*>(operands.packed);
  t.sums = static_cast<int8_t*>(scratch);
  t.out_step = p.dilation_w * p.out_stride;
  RowPointers<kSize> pointers;
  pointers.problem = &p;
  pointers.array = plan.array;
  pointers.phase_columns = plan.phase_columns;
  auto* arrays = reinterpret_cast<const int8_t**>(t.sums + kScratchBytes);
  for (int64_t i = 0; i < kSize; ++i) pointers.slots[i] = arrays + i * plan.array;
  pointers.none = arrays + kSize * plan.array;
  auto* outside = reinterpret_cast<int8_t*>(pointers.none + plan.array);
  memset(outside, p.in_zero_point, static_cast<size_t>(p.in_c));
  pointers.outside = outside;
  pointers.fill(pointers.none, outside, 0);
  RowSplit split = split_row(div_up(p.out_w, p.dilation_w));
  int64_t oh = begin % p.out_h;
  int64_t channels = begin / p.out_h % plan.channel_items;
  int64_t n = begin / p.out_h / plan.channel_items;
  pointers.start();
  for (int64_t item = begin; item < end; ++item) {
    const int8_t* image =
        static_cast<const int8_t*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    const int8_t* const* rows[kSize];
    for (int64_t r = 0; r < kSize; ++r) {
      rows[r] = pointers.get(image, oh * p.stride_h - p.pad_top + r * p.dilation_h);
    }
    t.unit_begin = channels * plan.item_units;
    t.unit_end = channels + 1 == plan.channel_items ? plan.units : t.unit_begin + plan.item_units;
    int8_t* out = static_cast<int8_t*>(operands.out) + (n * p.out_h + oh) * p.out_w * p.out_stride;
    for (int64_t phase = 0; phase < plan.phases; ++phase) {
      const int64_t outputs = p.dilation_w == 1 ? p.out_w : div_up(p.out_w - phase, p.dilation_w);
      if (outputs != split.count) split = split_row(outputs);
      for (int64_t r = 0; r < kSize; ++r) t.rows[r] = rows[r] + phase * plan.phase_columns;
      t.out = out + phase * p.out_stride;
      if constexpr (kStride != 0) {
        run_outputs<kSize, kStride>(t, split, clamp);
      } else if (p.stride_w == 1) {
        run_outputs<kSize, 1>(t, split, clamp);
      } else {
        run_outputs<kSize, 2>(t, split, clamp);
      }
    }
    if (++oh < p.out_h) continue;
    oh = 0;
    if (++channels < plan.channel_items) continue;
    channels = 0;
    ++n;
    pointers.start();
  }
}

template <int kSize>
int row_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
            void* scratch) {
  const ConvProblem& p = as_conv(problem);
  if constexpr (kStridesShareRows) {
    run_row<kSize, 0>(p, operands, begin, end, scratch);
  } else if (p.stride_w == 1) {
    run_row<kSize, 1>(p, operands, begin, end, scratch);
  } else {
    run_row<kSize, 2>(p, operands, begin, end, scratch);
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_ROW_H_

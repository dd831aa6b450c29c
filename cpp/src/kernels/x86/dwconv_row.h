// Depthwise s8 convolution (groups == in_c == out_c) with a square kernel of odd size, NHWC, exact
// for every s8 activation and weight.
//
// A unit is kWords channels, so two vectors of s32 sums. A block is 4 or 7 neighbouring outputs of
// a row. Two loops go over the channels of a block:
//
// 1. Sums. A column of the input, widened to s16, becomes records of two interleaved taps, which
//    one madd_s16 multiplies and adds: rows 2r and 2r + 1 of the column are a pair, and the last
//    row pairs with the column before. 9 taps are 5 pairs, 25 are 13, the least there can be. A
//    record is made once and added at once to all the outputs it belongs to, so few registers hold
//    everything.
// 2. Requantization. A loop of its own because some 20 cycles of dependent conversions follow a
//    sum: in one loop, waiting instructions would fill the schedulers and the next block's products
//    could not start.
//
// Pixels are read through arrays of pointers, one array an input row. A column or row outside the
// image points to a pixel of zero_point, so the loops know no borders.
#ifndef EDGECV_KERNELS_X86_DWCONV_ROW_H_
#define EDGECV_KERNELS_X86_DWCONV_ROW_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int kWide = 7, kNarrow = 4;      // outputs of a block
constexpr int64_t kImageBytes = 24 << 10;  // of the input rows under a work item
constexpr int64_t kGroupUnits = 8;         // units whose sums wait for requantization
constexpr int64_t kMinItemChannels = 64;
constexpr int64_t kFewItems = 16;  // below it channels are split for the threads' sake

template <int kSize>
struct RowShape {
  static constexpr int kColumnPairs = kSize / 2;
  static constexpr int kPairs = kColumnPairs * kSize + (kSize + 1) / 2;
  static constexpr int64_t kUnitBytes = 2 * (2 + kPairs) * kVecBytes;
};

// First channel of unit i: the last unit of any width but a multiple of kWords overlaps.
inline int64_t unit_channel(const ConvProblem& p, int64_t i) {
  return min_of(i * kWords, p.in_c - kWords);
}

// What a block reads and writes.
template <int kSize>
struct BlockTask {
  const ConvProblem* problem;
  const int8_t* packed;
  const int8_t* const* rows[kSize];  // from the block's first column on
  int64_t unit_begin, unit_end;
  int8_t* sums;     // [unit][output] pairs of vectors
  int64_t outputs;  // to store
  int8_t* out;      // channel 0 of output 0
  int64_t out_step;
};

// A unit's sums in flight, two vectors an output: the channels that unpack_low_s16 and
// unpack_high_s16 take.
template <int kSize, int kStride, int kOutputs>
struct UnitSums {
  using Shape = RowShape<kSize>;
  const int8_t* packed;
  int8_t* out;
  Vec last;  // previous column of the last row
  Vec sums[kOutputs][2];

  EDGECV_INLINE Vec constant(int i) const { return load(packed + i * kVecBytes); }

  // Adds a column to the outputs that read it.
  template <int kColumn>
  EDGECV_INLINE void add_column(const Vec (&x)[kSize]) {
    constexpr int kFirst = kColumn < kSize ? 0 : (kColumn - kSize + kStride) / kStride;
    constexpr int kLast = kColumn / kStride < kOutputs ? kColumn / kStride : kOutputs - 1;
    unroll<Shape::kColumnPairs>([&](auto r) __attribute__((always_inline)) {
      const Vec records[2] = {unpack_low_s16(x[2 * r], x[2 * r + 1]),
                              unpack_high_s16(x[2 * r], x[2 * r + 1])};
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride;
        unroll<2>([&](auto h) __attribute__((always_inline)) {
          const Vec product = madd_s16(records[h], constant(4 + 2 * (r * kSize + tap) + h));
          if constexpr (tap == 0 && r == 0) {
            sums[output][h] = add_s32(constant(h), product);
          } else {
            add_to(sums[output][h], product);
          }
        });
      });
    });
    // The last row: taps 0, (1, 2), (3, 4) ..., each pair at its second column.
    if constexpr (kStride == 1 || kColumn % 2 == 0) {
      const Vec records[2] = {unpack_low_s16(last, x[kSize - 1]),
                              unpack_high_s16(last, x[kSize - 1])};
      unroll<kLast - kFirst + 1>([&](auto i) __attribute__((always_inline)) {
        constexpr int output = kFirst + i, tap = kColumn - output * kStride;
        if constexpr (tap % 2 == 0) {
          constexpr int pair = Shape::kColumnPairs * kSize + tap / 2;
          unroll<2>([&](auto h) __attribute__((always_inline)) {
            add_to(sums[output][h], madd_s16(records[h], constant(4 + 2 * pair + h)));
            if constexpr (tap == kSize - 1) {
              store(out + (2 * output + h) * kVecBytes, sums[output][h]);
            }
          });
        }
      });
    }
    last = x[kSize - 1];
  }
};

template <int kSize, int kStride, int kOutputs>
void sum_block(const BlockTask<kSize>& t) {
  using Shape = RowShape<kSize>;
  constexpr int kColumns = (kOutputs - 1) * kStride + kSize;
  UnitSums<kSize, kStride, kOutputs> unit;
  unit.packed = t.packed + t.unit_begin * Shape::kUnitBytes;
  unit.out = t.sums;
  const int8_t* const* rows[kSize];
  unroll<kSize>([&](auto r) __attribute__((always_inline)) { rows[r] = t.rows[r]; });
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u) {
    const int64_t channel = unit_channel(*t.problem, u);
    unit.last = zero();
    unroll<kColumns>([&](auto column) __attribute__((always_inline)) {
      Vec x[kSize];
      unroll<kSize>([&](auto r) __attribute__((always_inline)) {
        x[r] = load_s8_s16(rows[r][column] + channel);
      });
      unit.template add_column<column>(x);
    });
    unit.packed += Shape::kUnitBytes;
    unit.out += 2 * kOutputs * kVecBytes;
  }
}

// Two vectors of sums to kWords words.
EDGECV_INLINE Vec finish(const int8_t* sums, const VecF (&multipliers)[2], const Clamp& clamp) {
  return pack_words(scale_round(load(sums), multipliers[0]),
                    scale_round(load(sums + kVecBytes), multipliers[1]), clamp);
}

// The sums of the units to bytes, two units of an output at a time.
template <int kSize, int kOutputs>
void store_block(const BlockTask<kSize>& t, const Clamp& clamp_in) {
  constexpr int64_t kUnitBytes = RowShape<kSize>::kUnitBytes;
  constexpr int64_t kSumBytes = 2 * kVecBytes, kUnitSumBytes = kOutputs * kSumBytes;
  const Clamp clamp = clamp_in;
  const int8_t* sums = t.sums;
  const int8_t* constants = t.packed + t.unit_begin * kUnitBytes + 2 * kVecBytes;
  const auto multiplier = [&](int64_t i) __attribute__((always_inline)) {
    return load_f32(
        reinterpret_cast<const float*>(constants + i / 2 * kUnitBytes + i % 2 * kVecBytes));
  };
  const auto bytes = [&](Vec a, Vec b) __attribute__((always_inline)) {
    return min_s8(max_s8(narrow_s16(a, b), clamp.lo), clamp.hi);
  };
  int64_t u = t.unit_begin;
  for (; u + 2 <= t.unit_end && (u + 2) * kWords <= t.problem->in_c; u += 2) {
    const VecF a[2] = {multiplier(0), multiplier(1)}, b[2] = {multiplier(2), multiplier(3)};
    int8_t* out = t.out + u * kWords;
    const int8_t* sum = sums;
    for (int64_t i = 0; i < t.outputs; ++i, sum += kSumBytes, out += t.out_step) {
      store(out, bytes(finish(sum, a, clamp), finish(sum + kUnitSumBytes, b, clamp)));
    }
    sums += 2 * kUnitSumBytes;
    constants += 2 * kUnitBytes;
  }
  for (; u < t.unit_end; ++u, sums += kUnitSumBytes, constants += kUnitBytes) {
    const VecF a[2] = {multiplier(0), multiplier(1)};
    int8_t* out = t.out + unit_channel(*t.problem, u);
    for (int64_t i = 0; i < t.outputs; ++i) {
      const Vec words = finish(sums + i * kSumBytes, a, clamp);
      store_half(out + i * t.out_step, low_half(bytes(words, words)));
    }
  }
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool is_depthwise(const ConvProblem& p) { return p.groups == p.in_c && p.groups == p.out_c; }

// Columns dilation_w apart are images of their own, as long as outputs are one column apart.
template <int kSize>
bool row_supports(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return is_depthwise(p) && p.kernel_h == kSize && p.kernel_w == kSize && p.in_c >= kWords &&
         (p.stride_w == 1 || (p.stride_w == 2 && p.dilation_w == 1));
}

template <int kSize>
size_t row_packed_bytes(const void* problem) {
  return static_cast<size_t>(div_up(as_conv(problem).in_c, kWords) * RowShape<kSize>::kUnitBytes);
}

// Unit: s32 bias, f32 multipliers, then s16 weights[pair][2]; two vectors each, in the order of
// channels that unpacking leaves.
template <int kSize>
void row_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const auto* weights = static_cast<const int8_t*>(p.weights);
  memset(packed, 0, row_packed_bytes<kSize>(problem));
  auto* unit = static_cast<int8_t*>(packed);
  for (int64_t u = 0; u < div_up(p.in_c, kWords); ++u, unit += RowShape<kSize>::kUnitBytes) {
    for (int64_t i = 0; i < kWords; ++i) {
      const int64_t c = unit_channel(p, u) + i;
      int8_t* lane = unit + i / 4 % 2 * kVecBytes + (i / 8 * 4 + i % 4) * 4;
      const int8_t* w = weights + c * kSize * kSize;
      auto folded = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[c]);
      for (int64_t kh = 0; kh < kSize; ++kh) {
        for (int64_t kw = 0; kw < kSize; ++kw, ++w) {
          const bool last = kh == kSize - 1;
          const int64_t pair = kh / 2 * kSize + (last ? (kw + 1) / 2 : kw);
          const int64_t second = last ? (kw + 1) % 2 : kh % 2;
          const int16_t word = *w;
          memcpy(lane + (4 + 2 * pair) * kVecBytes + 2 * second, &word, sizeof word);
          folded -= static_cast<uint32_t>(*w * p.in_zero_point);
        }
      }
      memcpy(lane, &folded, sizeof folded);
      memcpy(lane + 2 * kVecBytes, &p.multiplier[c], sizeof(float));
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
  plan.units = div_up(p.in_c, kWords);
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
  plan.channel_items = max_of(div_up(p.in_c / kWords, plan.item_units), 1);
  return plan;
}

// The arrays of kernel_h input rows and of a row outside, a pixel of zero_point, the sums.
size_t row_scratch_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(2 * kGroupUnits * kWide * kVecBytes +
                             plan_row(p).array * (p.kernel_h + 1) * 8 + p.in_c);
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
    for (int64_t phase = 0; phase * phase_columns < array; ++phase) {
      int64_t column = phase - p.pad_left;
      for (int64_t i = 0; i < phase_columns; ++i, column += p.dilation_w) {
        pointers[i] = column >= 0 && column < p.in_w ? row + column * step : outside;
      }
      pointers += phase_columns;
    }
  }

  // Row y of the image.
  const int8_t* const* get(const int8_t* image, int64_t y) {
    const ConvProblem& p = *problem;
    if (y < 0 || y >= p.in_h) return none;
    const int64_t slot = y / p.dilation_h % kSize;
    if (held[slot] != y) {
      held[slot] = y;
      fill(slots[slot], image + y * p.in_w * p.in_stride, p.in_stride);
    }
    return slots[slot];
  }
};

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
  auto* arrays = reinterpret_cast<const int8_t**>(t.sums + 2 * kGroupUnits * kWide * kVecBytes);
  for (int64_t i = 0; i < kSize; ++i) pointers.slots[i] = arrays + i * plan.array;
  pointers.none = arrays + kSize * plan.array;
  auto* outside = reinterpret_cast<int8_t*>(pointers.none + plan.array);
  memset(outside, p.in_zero_point, static_cast<size_t>(p.in_c));
  pointers.outside = outside;
  pointers.fill(pointers.none, outside, 0);
  int64_t image_held = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t oh = item % p.out_h;
    const int64_t channels = item / p.out_h % plan.channel_items;
    const int64_t n = item / p.out_h / plan.channel_items;
    const int8_t* image =
        static_cast<const int8_t*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    if (n != image_held) {
      for (int64_t& row : pointers.held) row = -1;
      image_held = n;
    }
    const int8_t* const* rows[kSize];
    for (int64_t r = 0; r < kSize; ++r) {
      rows[r] = pointers.get(image, oh * p.stride_h - p.pad_top + r * p.dilation_h);
    }
    const int64_t unit_begin = channels * plan.item_units;
    const int64_t unit_end =
        channels + 1 == plan.channel_items ? plan.units : unit_begin + plan.item_units;
    int8_t* out = static_cast<int8_t*>(operands.out) + (n * p.out_h + oh) * p.out_w * p.out_stride;
    for (int64_t phase = 0; phase < plan.phases; ++phase) {
      const int64_t outputs = div_up(p.out_w - phase, p.dilation_w);
      for (int64_t done = 0; done < outputs;) {
        const int64_t left = outputs - done;
        // Blocks of 7 and 4 fill any width from 18 on; a last block may repeat outputs.
        const bool wide = left % kNarrow != 0 && left > kNarrow;
        const int64_t size = wide ? kWide : kNarrow;
        const int64_t first = left >= size ? done : max_of(outputs - size, 0);
        t.outputs = min_of(size, outputs - first);
        done = first + size;
        t.out = out + (phase + first * p.dilation_w) * p.out_stride;
        for (int64_t r = 0; r < kSize; ++r) {
          t.rows[r] = rows[r] + phase * plan.phase_columns + first * kStride;
        }
        for (int64_t u = unit_begin; u < unit_end; u += kGroupUnits) {
          t.unit_begin = u;
          t.unit_end = min_of(u + kGroupUnits, unit_end);
          if (wide) {
            sum_block<kSize, kStride, kWide>(t);
            store_block<kSize, kWide>(t, clamp);
          } else {
            sum_block<kSize, kStride, kNarrow>(t);
            store_block<kSize, kNarrow>(t, clamp);
          }
        }
      }
    }
  }
}

template <int kSize>
int row_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
            void* scratch) {
  const ConvProblem& p = as_conv(problem);
  if (p.stride_w == 1) {
    run_row<kSize, 1>(p, operands, begin, end, scratch);
  } else {
    run_row<kSize, 2>(p, operands, begin, end, scratch);
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_DWCONV_ROW_H_

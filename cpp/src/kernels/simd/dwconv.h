// Depthwise s8 convolution (groups == in_c == out_c) of any kernel shape, stride and dilation,
// NHWC, exact for every s8 activation and weight. Square kernels of odd size have rows of their
// own.
//
// madd_s16 multiplies and adds two s16 pairs, so taps are taken two at a time: rows 2i and 2i + 1
// of the same column, and, when the kernel has an odd number of rows, two neighbouring columns of
// the last row. 9 taps are 5 pairs, 25 are 13, the least there can be. An output row is made in
// three phases for each block of kWords channels:
//
// 1. Every input column becomes a record: its tap pairs, interleaved and widened to s16, kDwords
// channels
//    a vector. Columns and rows outside the image become zero_point here, so phase 2
//    knows no borders, and a column is interleaved once for all the outputs that read it.
// 2. Each output is a sum of madd_s16(record, weights), kept as s32, four outputs at a time.
// 3. The sums are requantized, kWords channels of two pixels at a time.
//
// Phases 2 and 3 are loops of their own because some 40 cycles of dependent conversions follow a
// sum: in one loop, waiting instructions would fill the physical registers (160 on Zen 3) and the
// next outputs' products could not start. Measured: a third faster.
//
// A work item is a piece of an output row, of so many columns and channels that the input rows
// under it fit L1 next to the records; items go down the image first, so that rows that consecutive
// output rows share are still there.
#ifndef EDGECV_KERNELS_SIMD_DWCONV_H_
#define EDGECV_KERNELS_SIMD_DWCONV_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kUnit = kDwords;         // channels of a vector of s32 sums
constexpr int64_t kBlock = kWords;         // channels interleaved together: 2 units
constexpr int64_t kImageBytes = 32 << 10;  // of the input rows under a work item
constexpr int64_t kRecordBytes = 6 << 10;  // of one unit's records
// Channels of a work item. More than a cache line: groups rarely begin on one, and a line that two
// groups share is read twice.
constexpr int64_t kMaxItemChannels = 128;

struct DwPlan {
  int64_t records;     // vectors of a column
  int64_t pairs;       // tap pairs
  int64_t columns;     // input columns under an item, so records
  int64_t unit_bytes;  // packed
  int64_t item_columns, item_channels;
  int64_t column_items, channel_items;  // per row
};

DwPlan plan_dw(const ConvProblem& p) {
  DwPlan plan;
  const int64_t odd = p.kernel_h % 2;
  plan.records = p.kernel_h / 2 + odd;
  plan.pairs = int64_t{p.kernel_h} / 2 * p.kernel_w + odd * div_up(p.kernel_w, 2);
  plan.unit_bytes = (2 + plan.pairs) * kVecBytes;
  plan.channel_items = div_up(p.in_c, kMaxItemChannels);
  plan.item_channels = round_up(div_up(p.in_c, plan.channel_items), kBlock);
  plan.channel_items = div_up(p.in_c, plan.item_channels);
  const int64_t reach = (int64_t{p.kernel_w} - 1) * p.dilation_w;
  const int64_t fit = min_of(kRecordBytes / (kVecBytes * plan.records),
                             kImageBytes / (p.kernel_h * plan.item_channels));
  plan.column_items = div_up(p.out_w, max_of((fit - reach - 1) / p.stride_w + 1, 8));
  plan.item_columns = div_up(p.out_w, plan.column_items);
  plan.column_items = div_up(p.out_w, plan.item_columns);
  plan.columns = (plan.item_columns - 1) * p.stride_w + reach + 1;
  return plan;
}

// Channels [first, first + count) of one output row's input, as records of two units.
struct RecordTask {
  const ConvProblem* problem;
  const int8_t* image;  // channel `first` of pixel (0,0)
  int64_t count;        // channels, 1..kBlock
  int64_t top, left;    // input row and column of the first tap of the first output
  int64_t columns, records;
  int16_t* out[2];  // per unit: [columns][records][kUnit][2]
};

template <bool kWhole>
inline V128 load_channels(const int8_t* p, int64_t count) {
  return kWhole ? load_half(p) : load_tail(p, count);
}

inline void store_pairs(const RecordTask& t, int64_t index, V128 a, V128 b) {
  Vec low, high;
  interleave_s8_s16(a, b, &low, &high);
  store(t.out[0] + kWords * index, low);
  store(t.out[1] + kWords * index, high);
}

template <bool kWhole>
void make_records(const RecordTask& t) {
  const ConvProblem& p = *t.problem;
  const V128 zero = set128_s8(p.in_zero_point);
  alignas(16) int8_t zero_row[16];
  store128(zero_row, zero);
  // Columns [begin, end) of the records lie in the image.
  const int64_t begin = min_of(max_of(-t.left, 0), t.columns);
  const int64_t end = max_of(min_of(p.in_w - t.left, t.columns), begin);
  const int64_t pixel = p.in_stride;
  // A row outside the image reads zero_row again and again.
  const auto row_at = [&](int64_t kh, int64_t* step) {
    const int64_t y = t.top + kh * p.dilation_h;
    const bool inside = y >= 0 && y < p.in_h;
    *step = inside ? pixel : 0;
    return inside ? t.image + (y * p.in_w + t.left + begin) * pixel : zero_row;
  };
  for (int64_t r = 0; r < p.kernel_h / 2; ++r) {
    int64_t step_a, step_b;
    const int8_t* a = row_at(2 * r, &step_a);
    const int8_t* b = row_at(2 * r + 1, &step_b);
    for (int64_t c = 0; c < begin; ++c) store_pairs(t, c * t.records + r, zero, zero);
    for (int64_t c = begin; c < end; ++c, a += step_a, b += step_b) {
      store_pairs(t, c * t.records + r, load_channels<kWhole>(a, t.count),
                  load_channels<kWhole>(b, t.count));
    }
    for (int64_t c = end; c < t.columns; ++c) store_pairs(t, c * t.records + r, zero, zero);
  }
  if (p.kernel_h % 2 == 0) return;
  // The last row pairs column c with column c + dilation_w; where the second one is beyond the
  // records its weight is 0. Only the first columns of pairs are needed: with an even stride no odd
  // column is one.
  const int64_t r = t.records - 1, next = p.dilation_w, every = p.stride_w % 2 == 0 ? 2 : 1;
  int64_t step;
  const int8_t* row = row_at(p.kernel_h - 1, &step) - begin * step;
  const auto column = [&](int64_t c) {
    return c >= begin && c < end ? load_channels<kWhole>(row + c * step, t.count) : zero;
  };
  const int64_t both = max_of(end - next, begin);
  int64_t c = 0;
  for (; c < begin; c += every) store_pairs(t, c * t.records + r, zero, column(c + next));
  for (const int8_t* a = row + c * step; c < both; c += every, a += every * step) {
    store_pairs(t, c * t.records + r, load_channels<kWhole>(a, t.count),
                load_channels<kWhole>(a + next * step, t.count));
  }
  for (; c < t.columns; c += every) store_pairs(t, c * t.records + r, column(c), column(c + next));
}

// One unit's sums of a row: s32 out[outputs][kUnit].
struct SumTask {
  const int16_t* records;
  const int8_t* packed;
  int64_t outputs;
  int32_t* out;
};

// Any kernel: weights come from memory, once for four outputs.
struct AnySum {
  static void run(const ConvProblem& p, const SumTask& t) {
    const Vec bias = load(t.packed);
    const int64_t records = p.kernel_h / 2 + p.kernel_h % 2;
    const int64_t column = kWords * records, output = column * p.stride_w;
    const int64_t tap = p.dilation_w * column;
    for (int64_t first = 0; first < t.outputs; first += 4) {
      // The last four may overlap the ones before, or, in a row of fewer than four, repeat the last
      // output.
      Vec sums[4];
      const int16_t* record[4];
      unroll<4>([&](auto i) __attribute__((always_inline)) {
        sums[i] = bias;
        record[i] = t.records + min_of(first + i, t.outputs - 1) * output;
      });
      const int8_t* w = t.packed + 2 * kVecBytes;
      const auto add_pair = [&](int64_t offset) __attribute__((always_inline)) {
        const Vec weights = load(w);
        unroll<4>([&](auto i) __attribute__((always_inline)) {
          add_to(sums[i], madd_s16(weights, load(record[i] + offset)));
        });
        w += kVecBytes;
      };
      for (int64_t r = 0; r < p.kernel_h / 2; ++r) {
        for (int64_t kw = 0; kw < p.kernel_w; ++kw) add_pair(kw * tap + kWords * r);
      }
      if (p.kernel_h % 2 != 0) {
        for (int64_t kw = 0; kw < p.kernel_w; kw += 2) add_pair(kw * tap + kWords * (records - 1));
      }
      unroll<4>([&](auto i) __attribute__((always_inline)) {
        store(t.out + min_of(first + i, t.outputs - 1) * kUnit, sums[i]);
      });
    }
  }
};

// Sums of a block to its bytes, two pixels at a time.
struct StoreTask {
  const int32_t* sums[2];  // per unit
  const int8_t* packed[2];
  int64_t outputs, count;  // pixels, channels
  int8_t* out;
  int64_t out_stride;
};

template <bool kWhole>
void store_block(const StoreTask t, const Clamp clamp) {
  const VecF m0 = load_f32(reinterpret_cast<const float*>(t.packed[0] + kVecBytes));
  const VecF m1 = load_f32(reinterpret_cast<const float*>(t.packed[1] + kVecBytes));
  for (int64_t i = 0; i < t.outputs; i += 2) {
    const int64_t next = min_of(i + 1, t.outputs - 1);
    const Vec a0 = scale_round(load(t.sums[0] + kUnit * i), m0);
    const Vec a1 = scale_round(load(t.sums[1] + kUnit * i), m1);
    const Vec b0 = scale_round(load(t.sums[0] + kUnit * next), m0);
    const Vec b1 = scale_round(load(t.sums[1] + kUnit * next), m1);
    const Vec bytes = clamp_bytes(pack_words(a0, a1, clamp), pack_words(b0, b1, clamp), clamp);
    const int64_t count = kWhole ? kBlock : t.count;
    store_half(t.out + i * t.out_stride, low_half(bytes), count);
    store_half(t.out + next * t.out_stride, upper_bytes(bytes), count);
  }
}

const ConvProblem& as_conv(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

bool is_depthwise(const ConvProblem& p) { return p.groups == p.in_c && p.groups == p.out_c; }

bool is_any(const void* problem) { return is_depthwise(as_conv(problem)); }

size_t dw_packed_bytes(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  return static_cast<size_t>(div_up(p.in_c, kUnit) * plan_dw(p).unit_bytes);
}

// Unit: s32 bias[kUnit], f32 multiplier[kUnit], then s16 w[pair][kUnit][2] in the order the sums
// read them.
void dw_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_conv(problem);
  const DwPlan plan = plan_dw(p);
  const auto* weights = static_cast<const int8_t*>(p.weights);
  memset(packed, 0, dw_packed_bytes(problem));
  for (int64_t c = 0; c < p.in_c; ++c) {
    int8_t* unit = static_cast<int8_t*>(packed) + c / kUnit * plan.unit_bytes;
    const int64_t lane = c % kUnit;
    const int8_t* w = weights + c * p.kernel_h * p.kernel_w;
    auto folded = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[c]);
    for (int64_t i = 0; i < int64_t{p.kernel_h} * p.kernel_w; ++i) {
      const int64_t kh = i / p.kernel_w, kw = i % p.kernel_w;
      const bool last = p.kernel_h % 2 != 0 && kh == p.kernel_h - 1;
      const int64_t pair = kh / 2 * p.kernel_w + (last ? kw / 2 : kw);
      const int64_t second = last ? kw % 2 : kh % 2;
      const int16_t word = w[i];
      memcpy(unit + (2 + pair) * kVecBytes + 4 * lane + 2 * second, &word, sizeof word);
      folded -= static_cast<uint32_t>(w[i] * p.in_zero_point);
    }
    memcpy(unit + 4 * lane, &folded, sizeof folded);
    memcpy(unit + kVecBytes + 4 * lane, &p.multiplier[c], sizeof(float));
  }
}

size_t dw_scratch_bytes(const void* problem) {
  const DwPlan plan = plan_dw(as_conv(problem));
  return static_cast<size_t>(2 * kVecBytes * (plan.columns * plan.records + plan.item_columns));
}

// Items: for each image, for each piece of the channels, for each piece of a row, for each output
// row.
int64_t dw_work_items(const void* problem) {
  const ConvProblem& p = as_conv(problem);
  const DwPlan plan = plan_dw(p);
  return p.batch * plan.channel_items * plan.column_items * p.out_h;
}

using SumFunction = void (*)(const ConvProblem&, const SumTask&);

void dw_run(const ConvProblem& p, const Operands& operands, int64_t begin, int64_t end,
            void* scratch, SumFunction sum_row) {
  const DwPlan plan = plan_dw(p);
  const auto* x = static_cast<const int8_t*>(operands.in[0]);
  auto* y = static_cast<int8_t*>(operands.out);
  const auto* packed = static_cast<const int8_t*>(operands.packed);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  RecordTask records;
  records.problem = &p;
  records.records = plan.records;
  records.out[0] = static_cast<int16_t*>(scratch);
  records.out[1] = records.out[0] + plan.columns * plan.records * kWords;
  auto* sums = reinterpret_cast<int32_t*>(records.out[1] + plan.columns * plan.records * kWords);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t oh = item % p.out_h;
    const int64_t ow = item / p.out_h % plan.column_items * plan.item_columns;
    const int64_t piece = item / p.out_h / plan.column_items;
    const int64_t n = piece / plan.channel_items;
    const int64_t channel_begin = piece % plan.channel_items * plan.item_channels;
    const int64_t channel_end = min_of(p.in_c, channel_begin + plan.item_channels);
    const int64_t outputs = min_of(plan.item_columns, p.out_w - ow);
    records.top = oh * p.stride_h - p.pad_top;
    records.left = ow * p.stride_w - p.pad_left;
    records.columns = (outputs - 1) * p.stride_w + (int64_t{p.kernel_w} - 1) * p.dilation_w + 1;
    int8_t* out = y + ((n * p.out_h + oh) * p.out_w + ow) * p.out_stride;
    for (int64_t c = channel_begin; c < channel_end; c += kBlock) {
      records.image = x + n * p.in_h * p.in_w * p.in_stride + c;
      records.count = min_of(kBlock, p.in_c - c);
      if (records.count == kBlock) {
        make_records<true>(records);
      } else {
        make_records<false>(records);
      }
      StoreTask store;
      for (int64_t unit = 0; unit < 2; ++unit) {
        // A last block of up to kUnit channels has one unit; the second one's bytes are not stored.
        const bool exists = unit * kUnit < records.count;
        SumTask task;
        task.records = records.out[unit];
        task.packed = packed + (c / kUnit + (exists ? unit : 0)) * plan.unit_bytes;
        task.outputs = outputs;
        task.out = sums + (exists ? unit * outputs * kUnit : 0);
        store.sums[unit] = task.out;
        store.packed[unit] = task.packed;
        if (exists) sum_row(p, task);
      }
      store.outputs = outputs;
      store.count = records.count;
      store.out = out + c;
      store.out_stride = p.out_stride;
      if (records.count == kBlock) {
        store_block<true>(store, clamp);
      } else {
        store_block<false>(store, clamp);
      }
    }
  }
}

int run_any(const void* problem, const Operands& operands, int64_t begin, int64_t end,
            void* scratch) {
  dw_run(as_conv(problem), operands, begin, end, scratch, AnySum::run);
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_DWCONV_H_

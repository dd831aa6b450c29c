// Ops over windows and axes: MaxPool2d, AveragePool2d, ReduceMean, ArgMax, Softmax, LayerNorm,
// Resize2d.
#include <string.h>

#include "format/op_judge.h"

namespace edgecv::format {
namespace {

// Positions in ints of the pools.
enum PoolInt {
  kKernelH,
  kKernelW,
  kStrideH,
  kStrideW,
  kDilationH,
  kDilationW,
  kPadTop,
  kPadLeft,
  kPadBottom,
  kPadRight,
  kCountIncludePad,
  kLo,
  kHi,
  kDeclaredPadBottom,
  kDeclaredPadRight
};

// Every window of one axis has a tap inside the image. Tap k of window o lies at o * stride - pad +
// k * dilation.
bool windows_touch(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                   int64_t pad) {
  if ((out - 1) * stride - pad >= in) return false;  // the last window begins behind the image
  for (int64_t o = 0; o < out && o * stride < pad; ++o) {  // windows that begin before it
    const int64_t before = pad - o * stride;
    const int64_t first = (before + dilation - 1) / dilation;
    if (first >= kernel || first * dilation - before >= in) return false;
  }
  return true;
}

Status judge_pool(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.rank_of(j.in(0), 4));
  EDGECV_TRY(j.int_range("kernel_h", kKernelH, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("kernel_w", kKernelW, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("stride_h", kStrideH, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("stride_w", kStrideW, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("dilation_h", kDilationH, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("dilation_w", kDilationW, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_top", kPadTop, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_left", kPadLeft, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_bottom", kPadBottom, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_right", kPadRight, 0, kLargestWindow));
  const TensorRecord& x = j.in(0);
  const int32_t* ints = j.op.ints;
  int64_t dims[4] = {x.dims[0], 0, 0, x.dims[3]};
  for (int d = 0; d < 2; ++d) {
    const int64_t kernel = ints[kKernelH + d];
    const int64_t stride = ints[kStrideH + d];
    const int64_t dilation = ints[kDilationH + d];
    const int64_t room = int64_t{x.dims[1 + d]} + ints[kPadTop + d] + ints[kPadBottom + d] -
                         (kernel - 1) * dilation - 1;
    if (room < 0) return j.bad("the kernel is larger than the padded image");
    dims[1 + d] = room / stride + 1;
    if (!windows_touch(x.dims[1 + d], dims[1 + d], kernel, stride, dilation, ints[kPadTop + d])) {
      return j.bad("a window lies wholly in the padding");
    }
  }
  EDGECV_TRY(j.output_dims(4, dims));
  *work = element_count(j.y) * (int64_t{ints[kKernelH]} * ints[kKernelW]);
  return Status::kOk;
}

}  // namespace

Status judge_MaxPool2d(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  EDGECV_TRY(judge_pool(j, work));
  EDGECV_TRY(j.moves(j.in(0)));
  return j.attributes(kPadRight + 1, 0);
}

Status judge_AveragePool2d(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(j.s8() ? 2 : 1));
  EDGECV_TRY(judge_pool(j, work));
  EDGECV_TRY(j.attributes(kDeclaredPadRight + 1, 0));
  EDGECV_TRY(j.int_range("dilation_h", kDilationH, 1, 1));
  EDGECV_TRY(j.int_range("dilation_w", kDilationW, 1, 1));
  EDGECV_TRY(j.int_range("count_include_pad", kCountIncludePad, 0, 1));
  EDGECV_TRY(j.int_range("declared_pad_bottom", kDeclaredPadBottom, 0, j.op.ints[kPadBottom]));
  EDGECV_TRY(j.int_range("declared_pad_right", kDeclaredPadRight, 0, j.op.ints[kPadRight]));
  if (!j.s8()) {
    EDGECV_TRY(j.int_range("lo", kLo, 0, 0));
    return j.int_range("hi", kHi, 0, 0);
  }
  EDGECV_TRY(j.clamp_s8(kLo));
  const int64_t positions = int64_t{j.op.ints[kKernelH]} * j.op.ints[kKernelW];
  EDGECV_TRY(j.constant(1, Dtype::kF32, positions));
  const int64_t x = reach(j.in(0));
  if (positions * x > kLargestAcc) return j.bad("the accumulator can go beyond 2^31 - 1");
  const float* m = j.model.constant<float>(j.op, 1);
  // With padding counted, a window of any count may hold fewer pixels: m[k - 1] meets at most k of
  // them.
  for (int64_t k = 1; k <= positions; ++k) EDGECV_TRY(j.multiplier("m", k - 1, m[k - 1], k * x));
  return Status::kOk;
}

Status judge_ReduceMean(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  EDGECV_TRY(j.s8_or_f32());
  const TensorRecord& x = j.in(0);
  EDGECV_TRY(j.int_range("first_axis", 0, 0, x.rank - 1));
  EDGECV_TRY(j.int_range("last_axis", 1, j.op.ints[0], x.rank - 1));
  int64_t dims[kMaxRank];
  int64_t count = 1;
  for (int d = 0; d < x.rank; ++d) {
    const bool reduced = d >= j.op.ints[0] && d <= j.op.ints[1];
    dims[d] = reduced ? 1 : x.dims[d];
    if (reduced) count *= x.dims[d];
  }
  EDGECV_TRY(j.output_dims(x.rank, dims));
  *work = element_count(x);
  if (!j.s8()) return j.attributes(2, 0);
  EDGECV_TRY(j.attributes(4, 1));
  EDGECV_TRY(j.clamp_s8(2));
  const int64_t bound = count * reach(x);
  if (bound > kLargestAcc) return j.bad("the accumulator can go beyond 2^31 - 1");
  return j.multiplier("m", 0, j.op.floats[0], bound);
}

Status judge_ArgMax(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  EDGECV_TRY(j.output_dtype(Dtype::kS32));
  const TensorRecord& x = j.in(0);
  if (x.dtype == static_cast<uint8_t>(Dtype::kS32)) return j.bad("the input is not s8 or f32");
  int64_t dims[kMaxRank];
  for (int d = 0; d < x.rank; ++d) dims[d] = x.dims[d];
  dims[x.rank - 1] = 1;
  EDGECV_TRY(j.output_dims(j.y.rank + 1 == x.rank ? x.rank - 1 : x.rank, dims));
  *work = element_count(x);
  return j.attributes(0, 0);
}

Status judge_Softmax(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(j.s8() ? 2 : 1));
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  EDGECV_TRY(j.attributes(0, 0));
  *work = element_count(j.y);
  if (!j.s8()) return Status::kOk;
  if (j.y.scale != 0x1p-8f || j.y.zero_point != -128) {
    return j.bad("the output has not scale 1/256 and zero point -128");
  }
  EDGECV_TRY(j.constant(1, Dtype::kS32, 256));
  const int32_t* table = j.model.constant<int32_t>(j.op, 1);
  const int64_t n = j.y.dims[j.y.rank - 1];
  if (table[0] < 1 || table[0] * n > int64_t{1} << 30) {
    return j.bad("exp_table[0] is %d: not positive, or a sum can go beyond 2^30", table[0]);
  }
  for (int d = 1; d < 256; ++d) {
    if (table[d] < 0 || table[d] > table[0]) return j.bad("exp_table[%d] is %d", d, table[d]);
  }
  return Status::kOk;
}

Status judge_LayerNorm(const OpJudge& j, int64_t* work) {
  constexpr int64_t kLargestRow = 65536;
  constexpr float kLargestParameter = 0x1p100f;
  EDGECV_TRY(j.inputs(3));
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  const int64_t n = j.y.dims[j.y.rank - 1];
  EDGECV_TRY(j.constant(1, Dtype::kF32, n));
  EDGECV_TRY(j.constant(2, Dtype::kF32, n));
  *work = element_count(j.y);
  if (!j.s8()) {
    EDGECV_TRY(j.attributes(0, 1));
    if (!in_range(j.op.floats[0], 0.0f, kLargestParameter))
      return j.bad("epsilon is negative or no number");
    return Status::kOk;
  }
  EDGECV_TRY(j.attributes(2, 1));
  EDGECV_TRY(j.clamp_s8(0));
  if (n > kLargestRow)
    return j.bad("rows of %lld values, at most 65536", static_cast<long long>(n));
  if (!in_range(j.op.floats[0], kSmallest, kLargestParameter))
    return j.bad("e is not within 2^-100 and 2^100");
  const float* gamma = j.model.constant<float>(j.op, 1);
  const float* beta = j.model.constant<float>(j.op, 2);
  for (int64_t c = 0; c < n; ++c) {
    if (!in_range(gamma[c], -kLargestParameter, kLargestParameter) ||
        !in_range(beta[c], -kLargestParameter, kLargestParameter)) {
      return j.bad("gamma or beta of channel %lld is not within -2^100 and 2^100",
                   static_cast<long long>(c));
    }
  }
  return Status::kOk;
}

namespace {

// Index and weight tables of one axis, at inputs `first` and `first` + 1.
Status judge_resize_axis(const OpJudge& j, uint32_t first, int64_t in, int64_t out) {
  const int64_t index_dims[2] = {2, out};
  EDGECV_TRY(j.constant(first, Dtype::kS32, 2, index_dims));
  EDGECV_TRY(j.constant(first + 1, j.s8() ? Dtype::kS32 : Dtype::kF32, out));
  const int32_t* index = j.model.constant<int32_t>(j.op, first);
  for (int64_t i = 0; i < 2 * out; ++i) {
    if (index[i] < 0 || index[i] >= in) {
      return j.bad("index %lld of input %u is %d, not within the image", static_cast<long long>(i),
                   first, index[i]);
    }
  }
  for (int64_t i = 0; i < out; ++i) {
    const bool good = j.s8() ? j.model.constant<int32_t>(j.op, first + 1)[i] >= 0 &&
                                   j.model.constant<int32_t>(j.op, first + 1)[i] <= 2048
                             : in_range(j.model.constant<float>(j.op, first + 1)[i], 0.0f, 1.0f);
    if (!good)
      return j.bad("weight %lld of input %u is out of range", static_cast<long long>(i), first + 1);
  }
  return Status::kOk;
}

}  // namespace

Status judge_Resize2d(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(5));
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.moves(j.in(0)));
  EDGECV_TRY(j.rank_of(j.in(0), 4));
  EDGECV_TRY(j.rank_of(j.y, 4));
  const TensorRecord& x = j.in(0);
  const int64_t dims[4] = {x.dims[0], j.y.dims[1], j.y.dims[2], x.dims[3]};
  EDGECV_TRY(j.output_dims(4, dims));
  EDGECV_TRY(judge_resize_axis(j, 1, x.dims[1], dims[1]));
  EDGECV_TRY(judge_resize_axis(j, 3, x.dims[2], dims[2]));
  *work = element_count(j.y) * 4;
  return j.attributes(0, 0);
}

}  // namespace edgecv::format

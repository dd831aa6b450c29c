// Ops with weights: Conv2d, ConvTranspose2d, FullyConnected, MatMul.
#include "format/op_judge.h"

namespace edgecv::format {
namespace {

// Positions in ints of Conv2d and ConvTranspose2d.
enum ConvInt {
  kStrideH,
  kStrideW,
  kDilationH,
  kDilationW,
  kPadTop,
  kPadLeft,
  kPadBottom,
  kPadRight,
  kGroups,
  kLo,
  kHi,
  kOutputPadH,
  kOutputPadW
};

// Bias, multipliers and accumulators of `rows` output channels with `k` weights each, at inputs 1,
// 2 and 3.
Status judge_accumulators(const OpJudge& j, int64_t rows, int64_t k) {
  const int8_t* weights = j.model.constant<int8_t>(j.op, 1);
  const int32_t* bias = j.model.constant<int32_t>(j.op, 2);
  const float* m = j.model.constant<float>(j.op, 3);
  const int64_t x = reach(j.in(0));
  for (int64_t o = 0; o < rows; ++o) {
    const int64_t offset = abs64(bias[o]);
    // Most layers are far from the bound: the largest |w| there is proves it without a look at the
    // weights.
    int64_t bound = k * 128 * x + offset;
    if (bound <= kLargestAcc && in_range(m[o], kSmallest, kLargestMultiplier) &&
        static_cast<double>(bound) * static_cast<double>(m[o]) < 2147483648.0) {
      continue;
    }
    bound = sum_abs(weights + o * k, k) * x + offset;
    if (bound > kLargestAcc) {
      return j.bad("the accumulator of channel %lld can reach %lld, beyond 2^31 - 1",
                   static_cast<long long>(o), static_cast<long long>(bound));
    }
    EDGECV_TRY(j.multiplier("m", o, m[o], bound));
  }
  return Status::kOk;
}

// Inputs, dtypes and the clamp of the ops with x, w, bias (and m); `ints` attributes before lo and
// hi are used.
Status judge_weighted(const OpJudge& j, int lo_position, int ints, int weight_rank,
                      const int64_t* weight_dims) {
  const Dtype dtype = j.s8() ? Dtype::kS8 : Dtype::kF32;
  EDGECV_TRY(j.constant(1, dtype, weight_rank, weight_dims));
  const int64_t rows = weight_dims[0];
  if (j.s8()) {
    EDGECV_TRY(j.constant(2, Dtype::kS32, rows));
    EDGECV_TRY(j.constant(3, Dtype::kF32, rows));
    EDGECV_TRY(j.attributes(ints, 0));
    EDGECV_TRY(j.clamp_s8(lo_position));
    int64_t k = 1;
    for (int d = 1; d < weight_rank; ++d) k *= weight_dims[d];
    return judge_accumulators(j, rows, k);
  }
  if (j.model.input(j.op, 2) != nullptr) EDGECV_TRY(j.constant(2, Dtype::kF32, rows));
  EDGECV_TRY(j.attributes(ints, 2));
  if (j.op.ints[lo_position] != 0 || j.op.ints[lo_position + 1] != 0) {
    return j.bad("lo and hi of an f32 op are floats, the ints are 0");
  }
  return j.clamp_f32();
}

Status judge_conv_inputs(const OpJudge& j) {
  if (j.s8()) {
    EDGECV_TRY(j.inputs(4));
  } else {
    EDGECV_TRY(j.inputs(3, 1u << 2));
  }
  return j.s8_or_f32();
}

Status judge_conv_windows(const OpJudge& j) {
  EDGECV_TRY(j.int_range("stride_h", kStrideH, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("stride_w", kStrideW, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("dilation_h", kDilationH, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("dilation_w", kDilationW, 1, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_top", kPadTop, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_left", kPadLeft, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_bottom", kPadBottom, 0, kLargestWindow));
  EDGECV_TRY(j.int_range("pad_right", kPadRight, 0, kLargestWindow));
  const int64_t groups = j.op.ints[kGroups];
  EDGECV_TRY(j.rank_of(j.in(0), 4));
  EDGECV_TRY(j.rank_of(j.y, 4));
  EDGECV_TRY(j.rank_of(j.in(1), 4));
  if (groups < 1 || j.in(0).dims[3] % groups != 0 || j.y.dims[3] % groups != 0) {
    return j.bad("%lld groups do not divide the channels", static_cast<long long>(groups));
  }
  return Status::kOk;
}

// Dims 1 and 2 of a convolution's output: floor((in + pads - (kernel - 1) * dilation - 1) / stride)
// + 1.
Status judge_conv(const OpJudge& j, bool transposed, int64_t* work) {
  EDGECV_TRY(judge_conv_inputs(j));
  EDGECV_TRY(judge_conv_windows(j));
  const TensorRecord& x = j.in(0);
  const TensorRecord& w = j.in(1);
  const int32_t* ints = j.op.ints;
  const int64_t weight_dims[4] = {j.y.dims[3], w.dims[1], w.dims[2], x.dims[3] / ints[kGroups]};
  int64_t dims[4] = {x.dims[0], 0, 0, j.y.dims[3]};
  for (int d = 0; d < 2; ++d) {
    const int64_t pads = int64_t{ints[kPadTop + d]} + ints[kPadBottom + d];
    const int64_t extent = (int64_t{w.dims[1 + d]} - 1) * ints[kDilationH + d];
    if (transposed) {
      EDGECV_TRY(j.int_range("output_pad", kOutputPadH + d, 0, kLargestWindow));
      dims[1 + d] = (int64_t{x.dims[1 + d]} - 1) * ints[kStrideH + d] - pads + extent + 1 +
                    ints[kOutputPadH + d];
    } else {
      const int64_t room = x.dims[1 + d] + pads - extent - 1;
      if (room < 0) return j.bad("the kernel is larger than the padded image");
      dims[1 + d] = room / ints[kStrideH + d] + 1;
    }
  }
  EDGECV_TRY(j.output_dims(4, dims));
  EDGECV_TRY(judge_weighted(j, kLo, transposed ? kOutputPadW + 1 : kHi + 1, 4, weight_dims));
  const int64_t taps = weight_dims[1] * weight_dims[2] * weight_dims[3];
  // Each input pixel of a transposed convolution meets the weights of its group's output channels.
  *work = transposed ? element_count(x) / x.dims[3] * (weight_dims[0] * taps)
                     : element_count(j.y) * taps;
  return Status::kOk;
}

}  // namespace

Status judge_Conv2d(const OpJudge& j, int64_t* work) { return judge_conv(j, false, work); }

Status judge_ConvTranspose2d(const OpJudge& j, int64_t* work) { return judge_conv(j, true, work); }

Status judge_FullyConnected(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_conv_inputs(j));
  EDGECV_TRY(j.rank_of(j.in(1), 2));
  const TensorRecord& x = j.in(0);
  const int64_t k = x.dims[x.rank - 1];
  const int64_t weight_dims[2] = {j.in(1).dims[0], k};
  int64_t dims[kMaxRank];
  for (int d = 0; d < x.rank; ++d) dims[d] = x.dims[d];
  dims[x.rank - 1] = weight_dims[0];
  EDGECV_TRY(j.output_dims(x.rank, dims));
  EDGECV_TRY(judge_weighted(j, 0, j.s8() ? 2 : 0, 2, weight_dims));
  *work = element_count(j.y) * k;
  return Status::kOk;
}

Status judge_MatMul(const OpJudge& j, int64_t* work) {
  if (j.op.input_count != 2) return j.bad("%u inputs, not 2", j.op.input_count);
  int constants = 0;
  for (uint32_t i = 0; i < 2; ++i) {
    if (j.model.input(j.op, i) == nullptr) return j.bad("input %u is absent", i);
    constants += j.model.is_constant(j.model.input_id(j.op, i)) ? 1 : 0;
  }
  if (constants == 2) return j.bad("both operands are constants");
  EDGECV_TRY(j.s8_or_f32());
  if (j.in(1).dtype != j.y.dtype) return j.bad("the operands differ in dtype");
  EDGECV_TRY(j.int_range("transpose_b", 0, 0, 1));
  const TensorRecord& a = j.in(0);
  const TensorRecord& b = j.in(1);
  if (a.rank < 2 || b.rank < 2) return j.bad("an operand has rank 1");
  const bool transpose = j.op.ints[0] != 0;
  const int64_t k = a.dims[a.rank - 1];
  if (b.dims[b.rank - (transpose ? 1 : 2)] != k) return j.bad("the inner dims differ");
  const int rank = a.rank > b.rank ? a.rank : b.rank;
  int64_t dims[kMaxRank];
  for (int d = 0; d < rank - 2; ++d) {
    const int da = d - (rank - a.rank);
    const int db = d - (rank - b.rank);
    const int64_t size_a = da < 0 ? 1 : a.dims[da];
    const int64_t size_b = db < 0 ? 1 : b.dims[db];
    if (size_a != size_b && size_a != 1 && size_b != 1)
      return j.bad("the leading dims do not broadcast");
    dims[d] = size_a == 1 ? size_b : size_a;
  }
  dims[rank - 2] = a.dims[a.rank - 2];
  dims[rank - 1] = b.dims[b.rank - (transpose ? 2 : 1)];
  EDGECV_TRY(j.output_dims(rank, dims));
  *work = element_count(j.y) * k;
  if (!j.s8()) return j.attributes(1, 0);
  EDGECV_TRY(j.attributes(3, 1));
  EDGECV_TRY(j.clamp_s8(1));
  const int64_t bound = k * reach(a) * reach(b);
  if (bound > kLargestAcc) return j.bad("the accumulator can go beyond 2^31 - 1");
  return j.multiplier("m", 0, j.op.floats[0], bound);
}

}  // namespace edgecv::format

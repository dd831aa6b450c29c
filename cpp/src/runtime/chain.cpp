#include "runtime/chain.h"

namespace edgecv::runtime {
namespace {

using format::TensorRecord;
using kernels::Family;
using ops::Call;

// Every window of the rows meets the image: a stripe's problem then has at least one input row.
bool windows_meet_rows(const ChainLink& link, int32_t in_rows) {
  return link.pad < link.reach && (link.rows - 1) * link.stride - link.pad < in_rows;
}

// Families whose problem has windows over rows and columns, as kernels/conv.h and kernels/pool.h
// have.
template <typename Windowed>
bool describe_window(const Windowed& p, int32_t in_bytes, int32_t out_bytes, ChainLink* link) {
  link->stride = p.stride_h;
  link->reach = (p.kernel_h - 1) * p.dilation_h + 1;
  link->pad = p.pad_top;
  link->pitch = p.out_w * p.out_stride * out_bytes;
  ChainInput& in = link->inputs[0];
  in.rows = p.in_h;
  in.pitch = p.in_w * p.in_stride * in_bytes;
  return windows_meet_rows(*link, p.in_h);
}

template <typename Windowed>
void take_rows(const ChainLink& link, RowRange out, Windowed* p) {
  const RowRange in = input_rows(link, 0, out);
  p->batch = 1;
  p->in_h = in.end - in.begin;
  p->out_h = out.end - out.begin;
  p->pad_top = in.begin - (out.begin * link.stride - link.pad);
}

// Dims must split at the rows: {all elements} or {pixels, channels}. An operand then has rows, or
// is the same for all of them.
bool describe_binary(const kernels::BinaryProblem& p, const Call& call, const TensorRecord& y,
                     int32_t bytes, ChainLink* link) {
  const int64_t pixels = int64_t{y.dims[0]} * y.dims[1] * y.dims[2];
  const bool flat = p.rank == 1 && p.dims[0] == pixels * y.dims[3];
  if (!flat && !(p.rank == 2 && p.dims[0] == pixels && p.dims[1] == y.dims[3])) return false;
  link->row_items = flat ? int64_t{y.dims[2]} * y.dims[3] : y.dims[2];
  link->pitch = p.out_stride[0] * link->row_items * bytes;
  int32_t next = 0;
  for (int side = 0; side < 2; ++side) {
    const int64_t stride = side == 0 ? p.a_stride[0] : p.b_stride[0];
    if ((side == 0 ? p.a_constant : p.b_constant) != nullptr) {
      if (stride != 0) return false;
      continue;
    }
    ChainInput& in = link->inputs[next++];
    in.pitch = stride * link->row_items * bytes;
    in.rows = y.dims[1];
  }
  return next == call.input_count;
}

// One run of all elements, or a run a pixel.
bool describe_unary(const kernels::UnaryProblem& p, const TensorRecord& y, int32_t in_bytes,
                    int32_t out_bytes, ChainLink* link) {
  const int64_t pixels = int64_t{y.dims[0]} * y.dims[1] * y.dims[2];
  const bool flat = p.runs == 1 && p.count == pixels * y.dims[3];
  if (!flat && !(p.runs == pixels && p.count == y.dims[3])) return false;
  link->row_items = flat ? int64_t{y.dims[2]} * y.dims[3] : y.dims[2];
  link->pitch = (flat ? 1 : p.out_stride) * link->row_items * out_bytes;
  link->inputs[0].rows = link->rows;
  link->inputs[0].pitch = (flat ? 1 : p.in_stride) * link->row_items * in_bytes;
  return true;
}

}  // namespace

bool describe_link(const format::ParsedModel& model, const Call& call, ChainLink* link,
                   int32_t* batch) {
  const TensorRecord& y = model.tensors[call.output];
  if (y.rank != 4 || call.input_count < 1) return false;
  const TensorRecord& x = model.tensors[call.inputs[0]];
  const int32_t in_bytes = static_cast<int32_t>(format::dtype_bytes(x.dtype));
  const int32_t out_bytes = static_cast<int32_t>(format::dtype_bytes(y.dtype));
  *batch = y.dims[0];
  *link = ChainLink();
  link->rows = y.dims[1];
  link->stride = link->reach = 1;
  link->input_count = call.input_count;
  bool taken = false;
  switch (call.family) {
    case Family::kConvS8:
    case Family::kConvF32:
      taken = describe_window(call.problem.conv, in_bytes, out_bytes, link);
      break;
    case Family::kPoolS8:
    case Family::kPoolF32:
      taken = describe_window(call.problem.pool, in_bytes, out_bytes, link);
      break;
    case Family::kBinaryS8:
    case Family::kBinaryF32:
      taken = describe_binary(call.problem.binary, call, y, out_bytes, link);
      break;
    case Family::kLookupS8:
    case Family::kUnaryF32:
    case Family::kQuantize:
    case Family::kDequantize:
      taken = describe_unary(call.problem.unary, y, in_bytes, out_bytes, link);
      break;
    case Family::kPReluS8:
    case Family::kPReluF32:
      link->row_items = y.dims[2];
      link->pitch = int64_t{y.dims[2]} * y.dims[3] * out_bytes;
      link->inputs[0].rows = link->rows;
      link->inputs[0].pitch = int64_t{y.dims[2]} * y.dims[3] * in_bytes;
      taken = call.problem.prelu.channels == y.dims[3];
      break;
    default:
      break;
  }
  link->image = link->pitch * link->rows;
  for (ChainInput& in : link->inputs) {
    in.producer = -1;
    in.image = in.pitch * in.rows;
  }
  return taken;
}

RowRange input_rows(const ChainLink& link, int32_t i, RowRange out) {
  const int32_t rows = link.inputs[i].rows;
  const int64_t begin = int64_t{out.begin} * link.stride - link.pad;
  const int64_t end = int64_t{out.end - 1} * link.stride - link.pad + link.reach;
  return {static_cast<int32_t>(begin < 0      ? 0
                               : begin < rows ? begin
                                              : rows),
          static_cast<int32_t>(end < rows ? end : rows)};
}

void begin_walk(const ChainLink* links, int32_t count, int32_t row, ChainWalk* walk) {
  const int32_t last = count - 1;
  int32_t* const done = walk->done;
  for (int32_t l = 0; l < last; ++l) done[l] = links[l].rows;
  done[last] = row;
  for (int32_t l = last; l > 0; --l) {
    for (int32_t i = 0; i < links[l].input_count; ++i) {
      const int32_t from = links[l].inputs[i].producer;
      if (from < 0) continue;
      const int32_t begin = input_rows(links[l], i, {done[l], done[l] + 1}).begin;
      if (begin < done[from]) done[from] = begin;
    }
  }
  for (int32_t l = 0; l < count; ++l) walk->first[l] = done[l];
}

void make_stripe_problem(const Call& call, const ChainLink& link, RowRange out,
                         ops::Problem* problem) {
  *problem = call.problem;
  const int64_t rows = out.end - out.begin;
  switch (call.family) {
    case Family::kConvS8:
    case Family::kConvF32:
      take_rows(link, out, &problem->conv);
      break;
    case Family::kPoolS8:
    case Family::kPoolF32:
      take_rows(link, out, &problem->pool);
      break;
    case Family::kBinaryS8:
    case Family::kBinaryF32:
      problem->binary.dims[0] = static_cast<int32_t>(rows * link.row_items);
      break;
    case Family::kPReluS8:
    case Family::kPReluF32:
      problem->prelu.pixels = rows * link.row_items;
      break;
    default:
      (problem->unary.runs == 1 ? problem->unary.count : problem->unary.runs) =
          rows * link.row_items;
      break;
  }
}

}  // namespace edgecv::runtime

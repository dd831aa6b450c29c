// From an op of the file to kernel calls. Every op of op_list.inc has one function that fills the
// Problem structs of the families under kernels/; format/reader.h has judged every number before,
// so nothing is checked again here.
#ifndef EDGECV_OPS_OP_H_
#define EDGECV_OPS_OP_H_

#include <stdint.h>

#include "base/array.h"
#include "base/status.h"
#include "format/reader.h"
#include "kernels/conv.h"
#include "kernels/elementwise.h"
#include "kernels/kernel.h"
#include "kernels/matmul.h"
#include "kernels/move.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/resize.h"

namespace edgecv::ops {

union Problem {
  kernels::ConvProblem conv;
  kernels::MatMulProblem matmul;
  kernels::BinaryProblem binary;
  kernels::UnaryProblem unary;
  kernels::PReluProblem prelu;
  kernels::PoolProblem pool;
  kernels::ReduceProblem reduce;
  kernels::ResizeProblem resize;
  kernels::MoveProblem move;
};

constexpr int kMaxCallInputs = 2;

// One kernel call of an op, before a kernel is chosen.
struct Call {
  kernels::Family family;
  int32_t input_count;
  uint32_t
      inputs[kMaxCallInputs];  // tensor ids, in the order of Operands::in; constants are allowed
  uint32_t output;             // tensor id
  Problem problem;
  int64_t macs;   // multiply-adds
  int64_t bytes;  // read and written, about: what bounds calls without multiply-adds
};

// What an op's function sees and gives.
struct Lowering {
  const format::ParsedModel& model;
  const format::OpRecord& op;
  Array<Call>* calls;
  // Set instead of a call when the output holds the same bytes in the same order as this tensor.
  uint32_t alias_of = format::kAbsent;

  const format::TensorRecord& in(uint32_t index) const { return *model.input(op, index); }
  const format::TensorRecord& out() const { return model.output(op); }
  bool is_s8() const { return in(0).dtype == static_cast<uint8_t>(format::Dtype::kS8); }

  // Appends a call of `family` that reads the op's first `inputs` operands and writes its output;
  // null without memory.
  Call* add(kernels::Family family, int32_t inputs);
};

// Appends the calls of op `index`, or sets *alias_of to a tensor id (kAbsent otherwise). The only
// failures are kOutOfMemory and kInternal.
Status lower_op(const format::ParsedModel& model, uint32_t index, Array<Call>* calls,
                uint32_t* alias_of, Error* error);

// A move of `rank` dims (strides and offsets in bytes) in its shortest form: dims of 1 dropped,
// dims that follow each other in both tensors merged, an innermost run of adjacent elements widened
// into one element.
kernels::MoveProblem make_move(int32_t element_bytes, int32_t rank, const int32_t* dims,
                               const int64_t* in_stride, const int64_t* out_stride,
                               int64_t in_offset, int64_t out_offset);

// Strides in elements of a dense tensor.
void dense_strides(const format::TensorRecord& tensor, int64_t* strides);

}  // namespace edgecv::ops

#endif  // EDGECV_OPS_OP_H_

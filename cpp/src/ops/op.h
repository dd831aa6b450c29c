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

enum class OpCode : uint16_t {
#define EDGECV_OP(name, code) k##name = code,
#include "ops/op_list.inc"
#undef EDGECV_OP
};

// Where the values of a tensor lie: in the memory of `root` (itself when it has its own), from the
// byte `offset` on, `stride` elements from pixel to pixel. A pixel is all dims but the last; a
// dense tensor's stride is its last dim.
struct View {
  uint32_t root;
  int64_t offset;
  int64_t stride;
};

// What an op's function sees and gives.
struct Lowering {
  const format::ParsedModel& model;
  const format::OpRecord& op;
  const View* views;  // by tensor id
  Array<Call>* calls;

  const format::TensorRecord& in(uint32_t index) const { return *model.input(op, index); }
  const format::TensorRecord& out() const { return model.output(op); }
  const View& in_view(uint32_t index) const { return views[model.input_id(op, index)]; }
  const View& out_view() const { return views[op.output]; }
  bool is_s8() const { return in(0).dtype == static_cast<uint8_t>(format::Dtype::kS8); }

  // Appends a call of `family` that reads the op's first `inputs` operands and writes its output;
  // null without memory.
  Call* add(kernels::Family family, int32_t inputs);
};

// Whether the output of op `index` holds the bytes of its input 0 in the same order, so that both
// are views of the same memory (runtime/views.h) and lower_op() appends no call.
bool is_alias(const format::ParsedModel& model, const format::OpRecord& op);

// Appends the calls of op `index`, none where its values are in place already: `views` by tensor
// id. The only failures are kOutOfMemory and kInternal.
Status lower_op(const format::ParsedModel& model, uint32_t index, const View* views,
                Array<Call>* calls, Error* error);

// A move of `rank` dims (strides and offsets in bytes) in its shortest form: dims of 1 dropped,
// dims that follow each other in both tensors merged, an innermost run of adjacent elements widened
// into one element.
kernels::MoveProblem make_move(int32_t element_bytes, int32_t rank, const int32_t* dims,
                               const int64_t* in_stride, const int64_t* out_stride,
                               int64_t in_offset, int64_t out_offset);

// Strides in elements of a tensor whose pixels are `pixel_stride` elements apart, and of a dense
// one.
void pixel_strides(const format::TensorRecord& tensor, int64_t pixel_stride, int64_t* strides);
void dense_strides(const format::TensorRecord& tensor, int64_t* strides);

inline int64_t last_dim(const format::TensorRecord& tensor) {
  return tensor.rank == 0 ? 1 : tensor.dims[tensor.rank - 1];
}

}  // namespace edgecv::ops

#endif  // EDGECV_OPS_OP_H_

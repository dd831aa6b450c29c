// What a kernel is: one row of the registry. A row exists by one line in kernel_list.inc; planner,
// tests, benches and `edgecv info` walk the table made from that list. This header is all that ISA
// objects share with the rest, so it defines no function (an inline function compiled in an -mavx2
// object could become everyone's copy).
#ifndef EDGECV_KERNELS_KERNEL_H_
#define EDGECV_KERNELS_KERNEL_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::kernels {

// CPU features a kernel may need; cpu_features.h detects them.
enum IsaBits : uint32_t {
  kIsaBaseline = 0,
  kIsaSse41 = 1u << 0,
  kIsaAvx2 = 1u << 1,
  kIsaAvxVnni = 1u << 2,
  kIsaAvx512Vnni = 1u << 3,
  kIsaFma = 1u << 4,
  kIsaNeon = 1u << 8,
  kIsaNeonDotprod = 1u << 9,
  kIsaNeonI8mm = 1u << 10,
};

// A family is one contract: a Problem struct, the meaning of Operands, and a reference row that
// takes every problem.
enum class Family : uint8_t {
  kConvS8,  // conv.h: ConvProblem, any groups; pointwise, dense, depthwise and fully connected
            // alike
  kConvF32,
  kConvTransposeS8,
  kConvTransposeF32,
  kMatMulS8,  // matmul.h: MatMulProblem
  kMatMulF32,
  kBinaryS8,  // elementwise.h: BinaryProblem
  kBinaryF32,
  kLookupS8,  // elementwise.h: UnaryProblem
  kUnaryF32,
  kPReluS8,  // elementwise.h: PReluProblem
  kPReluF32,
  kQuantize,  // elementwise.h: UnaryProblem
  kDequantize,
  kPoolS8,  // pool.h: PoolProblem
  kPoolF32,
  kReduceMeanS8,  // reduce.h: ReduceProblem
  kReduceMeanF32,
  kArgMaxS8,
  kArgMaxF32,
  kSoftmaxS8,
  kSoftmaxF32,
  kLayerNormS8,
  kLayerNormF32,
  kResizeS8,  // resize.h: ResizeProblem
  kResizeF32,
  kMove,  // move.h: MoveProblem: concat, slice, pad, transpose
  kCount,
};

// What changes from run to run. Pointers are aligned to 64 bytes unless a view offsets them.
struct Operands {
  const void* const* in;  // activation inputs in the op's order
  void* out;
  const void* packed;  // what pack() wrote; 64-byte aligned; null when packed_bytes() is 0
};

// Work is split into items; run() does items [begin, end) and may be called from several threads at
// once with disjoint ranges and one scratch each. Results must not depend on the split. Nothing
// outside the inputs' and output's elements is read or written. run() returns 0, or kNanFound
// (Quantize).
//
// A chain (runtime/chain.h) runs a stripe of output rows at a time: the same problem with other
// batch, in_h, out_h, pad_top, in_stride and out_stride, and with the packed weights of the whole
// one. So supports(), packed_bytes() and pack() must not look at those six, and run() must start
// cheaply.
constexpr int kNanFound = 1;

// The functions of a row are compiled for its folder: call none of them where `needs` is not met.
struct Kernel {
  const char* name;  // "<family>_<dtypes>_<tile>__<isa>", unique
  const char* isa;   // folder name: "reference", "avx2", ...
  Family family;
  uint32_t needs;                                   // IsaBits, all must be present
  bool (*supports)(const void* problem);            // null: takes every problem of the family
  size_t (*packed_bytes)(const void* problem);      // null: packs nothing
  void (*pack)(const void* problem, void* packed);  // reads the problem's constant pointers
  size_t (*scratch_bytes)(const void* problem);     // per thread; null: none
  int64_t (*work_items)(const void* problem);       // >= 1
  int (*run)(const void* problem, const Operands& operands, int64_t begin, int64_t end,
             void* scratch);
  // About how many ns the whole problem takes on one thread of a 3 GHz core of this ISA, to rank
  // rows against each other; null: the row ranks by its line in kernel_list.inc alone.
  double (*cost)(const void* problem) = nullptr;
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_KERNEL_H_

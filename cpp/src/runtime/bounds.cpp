#include "runtime/bounds.h"

namespace edgecv::runtime {
namespace {

using kernels::Family;

constexpr Bounds kFull = {-128, 127};
constexpr Bounds kEmpty = {127, -128};

Bounds unite(Bounds a, Bounds b) { return {a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi}; }

Bounds unite(Bounds a, int32_t value) { return unite(a, Bounds{value, value}); }

// What the table of a Lookup gives for inputs in `in`.
Bounds lookup_bounds(const kernels::UnaryProblem& p, Bounds in) {
  Bounds out = kEmpty;
  for (int32_t q = in.lo; q <= in.hi; ++q) out = unite(out, p.table[q + 128]);
  return out;
}

// Bounds of what one call writes; `in` holds its inputs.
Bounds output_bounds(const ops::Call& call, Bounds in) {
  const ops::Problem& p = call.problem;
  switch (call.family) {
    case Family::kConvS8:
    case Family::kConvTransposeS8:
      return {p.conv.lo, p.conv.hi};
    case Family::kMatMulS8:
      return {p.matmul.lo, p.matmul.hi};
    case Family::kBinaryS8:
      return {p.binary.lo, p.binary.hi};
    case Family::kPReluS8:
      return {p.prelu.lo, p.prelu.hi};
    case Family::kReduceMeanS8:
    case Family::kSoftmaxS8:
    case Family::kLayerNormS8:
      return {p.reduce.lo, p.reduce.hi};
    case Family::kPoolS8:
      // A window holds at least one pixel, so a maximum is one of the inputs.
      return p.pool.op == kernels::PoolOp::kMax ? in : Bounds{p.pool.lo, p.pool.hi};
    case Family::kLookupS8:
      return lookup_bounds(p.unary, in);
    case Family::kResizeS8:
      return in;  // rounded means, with weights of at least 0 that add up to 1
    case Family::kMove:
      return p.move.fill && p.move.fill_bytes == 1
                 ? unite(in, static_cast<int8_t>(static_cast<uint8_t>(p.move.fill_bits)))
                 : in;
    default:
      return kFull;
  }
}

}  // namespace

Status find_bounds(const format::ParsedModel& model, Span<const ops::Call> calls,
                   Span<const uint32_t> roots, Array<Bounds>* bounds, Error* error) {
  const size_t count = model.tensors.size();
  if (!bounds->resize(count)) return fail(error, Status::kOutOfMemory, "no memory for the bounds");
  for (size_t i = 0; i < count; ++i)
    (*bounds)[i] = model.is_constant(static_cast<uint32_t>(i)) ? kFull : kEmpty;
  for (uint32_t i = 0; i < model.input_ports; ++i) (*bounds)[roots[model.ports[i].tensor]] = kFull;
  for (size_t i = 0; i < calls.size; ++i) {
    const ops::Call& call = calls[i];
    Bounds in = kEmpty;
    for (int32_t k = 0; k < call.input_count; ++k) in = unite(in, (*bounds)[roots[call.inputs[k]]]);
    Bounds& out = (*bounds)[roots[call.output]];
    out = unite(out, output_bounds(call, in));  // a Concat is written by several calls
  }
  for (size_t i = 0; i < count; ++i) (*bounds)[i] = (*bounds)[roots[i]];
  return Status::kOk;
}

void set_input_bounds(const Array<Bounds>& bounds, ops::Call* call) {
  if (call->family != Family::kConvS8 && call->family != Family::kConvTransposeS8) return;
  kernels::ConvProblem& p = call->problem.conv;
  const Bounds in = unite(bounds[call->inputs[0]], p.in_zero_point);
  p.in_lo = in.lo;
  p.in_hi = in.hi;
}

}  // namespace edgecv::runtime

// Bounds through hand-made calls: what each family proves, how several writers unite, and the zero
// point that joins a convolution's input.
#include "runtime/bounds.h"

#include <cstring>

#include "check.h"
#include "runtime/fixtures.h"

namespace {

using edgecv::Array;
using edgecv::Status;
using edgecv::kernels::Family;
using edgecv::ops::Call;
using edgecv::runtime::Bounds;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

constexpr uint32_t kTensors = 6;  // 0 is the graph input, 5 a constant

struct Fixture {
  Fixture() : model(edgecv::default_allocator()), bounds(edgecv::default_allocator()) {
    (void)model.tensors.resize(kTensors);
    model.tensors[5].kind = static_cast<uint8_t>(format::TensorKind::kConstant);
    (void)model.ports.resize(1);
    model.input_ports = 1;
    for (uint32_t i = 0; i < kTensors; ++i) roots[i] = i;
  }
  Call call(Family family, uint32_t in, uint32_t out) {
    Call call;
    std::memset(static_cast<void*>(&call), 0, sizeof(call));
    call.family = family;
    call.input_count = 1;
    call.inputs[0] = in;
    call.output = out;
    return call;
  }
  Call relu_conv(uint32_t in, uint32_t out, int lo, int hi) {
    Call conv = call(Family::kConvS8, in, out);
    conv.problem.conv.lo = lo;
    conv.problem.conv.hi = hi;
    return conv;
  }
  void find(std::initializer_list<Call> calls) {
    CHECK(runtime::find_bounds(model, {calls.begin(), calls.size()}, {roots, kTensors}, &bounds,
                               nullptr) == Status::kOk);
  }
  void check(uint32_t tensor, int lo, int hi) {
    CHECK_EQ(bounds[tensor].lo, lo);
    CHECK_EQ(bounds[tensor].hi, hi);
  }
  format::ParsedModel model;
  uint32_t roots[kTensors];
  Array<Bounds> bounds;
};

TEST(inputs_and_constants_are_full_and_clamps_narrow) {
  Fixture f;
  f.find({f.relu_conv(0, 1, -128, -1)});
  f.check(0, -128, 127);
  f.check(5, -128, 127);
  f.check(1, -128, -1);
}

TEST(lookup_maps_the_bounds_of_its_input) {
  Fixture f;
  int8_t table[256];
  for (int i = 0; i < 256; ++i) table[i] = static_cast<int8_t>(127 - i);  // -1 - q
  Call lookup = f.call(Family::kLookupS8, 1, 2);
  lookup.problem.unary.table = table;
  f.find({f.relu_conv(0, 1, 10, 20), lookup});
  f.check(2, -21, -11);
}

TEST(pools_resizes_and_moves_keep_bounds_and_a_fill_joins_them) {
  Fixture f;
  Call max = f.call(Family::kPoolS8, 1, 2);
  max.problem.pool.op = edgecv::kernels::PoolOp::kMax;
  Call average = f.call(Family::kPoolS8, 1, 3);
  average.problem.pool.op = edgecv::kernels::PoolOp::kAverage;
  average.problem.pool.lo = -7;
  average.problem.pool.hi = 7;
  Call pad = f.call(Family::kMove, 1, 4);
  pad.problem.move.fill = true;
  pad.problem.move.fill_bytes = 1;
  pad.problem.move.fill_bits = static_cast<uint8_t>(-3);
  f.find({f.relu_conv(0, 1, 0, 100), max, average, pad});
  f.check(2, 0, 100);
  f.check(3, -7, 7);
  f.check(4, -3, 100);
}

TEST(parts_of_a_concat_unite) {
  Fixture f;
  f.find({f.relu_conv(0, 1, -100, -90), f.relu_conv(0, 2, 5, 6), f.call(Family::kMove, 1, 3),
          f.call(Family::kMove, 2, 3)});
  f.check(3, -100, 6);
}

TEST(views_have_the_bounds_of_their_memory) {
  Fixture f;
  f.roots[2] = 1;
  Call max = f.call(Family::kPoolS8, 2, 3);
  f.find({f.relu_conv(0, 1, -4, 4), max});
  f.check(2, -4, 4);
  f.check(3, -4, 4);
}

TEST(the_zero_point_joins_a_convolutions_input) {
  Fixture f;
  Call conv = f.relu_conv(1, 2, -128, 127);
  conv.problem.conv.in_zero_point = -64;
  f.find({f.relu_conv(0, 1, 0, 9), conv});
  runtime::set_input_bounds(f.bounds, &conv);
  CHECK_EQ(conv.problem.conv.in_lo, -64);
  CHECK_EQ(conv.problem.conv.in_hi, 9);
}

}  // namespace

#include "layers.h"

#include <cmath>

namespace edgecv_bench {

namespace {

using edgecv::kernels::Family;
using edgecv_test::Case;
using edgecv_test::ConvShape;
using edgecv_test::Draw;

// A square convolution: `size` is the input's height and width; kernel 0 means fully connected.
struct ConvRow {
  int32_t size, in_c, out_c, kernel, stride, count;
  bool depthwise;
};

constexpr bool kDense = false;
constexpr bool kDepthwise = true;

const ConvRow kMobileNetV2[] = {
    {224, 3, 32, 3, 2, 1, kDense},       {112, 32, 32, 3, 1, 1, kDepthwise},
    {112, 32, 16, 1, 1, 1, kDense},      {112, 16, 96, 1, 1, 1, kDense},
    {112, 96, 96, 3, 2, 1, kDepthwise},  {56, 96, 24, 1, 1, 1, kDense},
    {56, 24, 144, 1, 1, 2, kDense},      {56, 144, 144, 3, 1, 1, kDepthwise},
    {56, 144, 24, 1, 1, 1, kDense},      {56, 144, 144, 3, 2, 1, kDepthwise},
    {28, 144, 32, 1, 1, 1, kDense},      {28, 32, 192, 1, 1, 3, kDense},
    {28, 192, 192, 3, 1, 2, kDepthwise}, {28, 192, 32, 1, 1, 2, kDense},
    {28, 192, 192, 3, 2, 1, kDepthwise}, {14, 192, 64, 1, 1, 1, kDense},
    {14, 64, 384, 1, 1, 4, kDense},      {14, 384, 384, 3, 1, 4, kDepthwise},
    {14, 384, 64, 1, 1, 3, kDense},      {14, 384, 96, 1, 1, 1, kDense},
    {14, 96, 576, 1, 1, 3, kDense},      {14, 576, 576, 3, 1, 2, kDepthwise},
    {14, 576, 96, 1, 1, 2, kDense},      {14, 576, 576, 3, 2, 1, kDepthwise},
    {7, 576, 160, 1, 1, 1, kDense},      {7, 160, 960, 1, 1, 3, kDense},
    {7, 960, 960, 3, 1, 3, kDepthwise},  {7, 960, 160, 1, 1, 2, kDense},
    {7, 960, 320, 1, 1, 1, kDense},      {7, 320, 1280, 1, 1, 1, kDense},
    {1, 1280, 1000, 0, 1, 1, kDense},
};

const ConvRow kEfficientNetLite0[] = {
    {224, 3, 32, 3, 2, 1, kDense},       {112, 32, 32, 3, 1, 1, kDepthwise},
    {112, 32, 16, 1, 1, 1, kDense},      {112, 16, 96, 1, 1, 1, kDense},
    {112, 96, 96, 3, 2, 1, kDepthwise},  {56, 96, 24, 1, 1, 1, kDense},
    {56, 24, 144, 1, 1, 2, kDense},      {56, 144, 144, 3, 1, 1, kDepthwise},
    {56, 144, 24, 1, 1, 1, kDense},      {56, 144, 144, 5, 2, 1, kDepthwise},
    {28, 144, 40, 1, 1, 1, kDense},      {28, 40, 240, 1, 1, 2, kDense},
    {28, 240, 240, 5, 1, 1, kDepthwise}, {28, 240, 40, 1, 1, 1, kDense},
    {28, 240, 240, 3, 2, 1, kDepthwise}, {14, 240, 80, 1, 1, 1, kDense},
    {14, 80, 480, 1, 1, 3, kDense},      {14, 480, 480, 3, 1, 2, kDepthwise},
    {14, 480, 80, 1, 1, 2, kDense},      {14, 480, 480, 5, 1, 1, kDepthwise},
    {14, 480, 112, 1, 1, 1, kDense},     {14, 112, 672, 1, 1, 3, kDense},
    {14, 672, 672, 5, 1, 2, kDepthwise}, {14, 672, 112, 1, 1, 2, kDense},
    {14, 672, 672, 5, 2, 1, kDepthwise}, {7, 672, 192, 1, 1, 1, kDense},
    {7, 192, 1152, 1, 1, 4, kDense},     {7, 1152, 1152, 5, 1, 3, kDepthwise},
    {7, 1152, 192, 1, 1, 3, kDense},     {7, 1152, 1152, 3, 1, 1, kDepthwise},
    {7, 1152, 320, 1, 1, 1, kDense},     {7, 320, 1280, 1, 1, 1, kDense},
    {1, 1280, 1000, 0, 1, 1, kDense},
};

struct AddRow {
  int32_t size, channels, count;
};

const AddRow kMobileNetV2Adds[] = {{56, 24, 1}, {28, 32, 2}, {14, 64, 3}, {14, 96, 2}, {7, 160, 2}};
const AddRow kEfficientNetLite0Adds[] = {
    {56, 24, 1}, {28, 40, 1}, {14, 80, 2}, {14, 112, 2}, {7, 192, 3}};

std::string square(int32_t size) { return std::to_string(size) + "x" + std::to_string(size); }

// SAME padding as TensorFlow lays it: the odd row goes below. Equal to the 1 of MobileNetV2's files
// at stride 1.
ConvShape shape_of(const ConvRow& row) {
  ConvShape s;
  s.in_h = s.in_w = row.size;
  s.in_c = row.in_c;
  s.out_c = row.out_c;
  s.groups = row.depthwise ? row.in_c : 1;
  if (row.kernel == 0) return s;
  s.kernel_h = s.kernel_w = row.kernel;
  s.stride_h = s.stride_w = row.stride;
  const int32_t out = (row.size + row.stride - 1) / row.stride;
  const int32_t total = std::max(0, (out - 1) * row.stride + row.kernel - row.size);
  s.pad_top = s.pad_left = total / 2;
  s.pad_bottom = s.pad_right = total - total / 2;
  return s;
}

std::string name_of(const ConvRow& row) {
  if (row.kernel == 0) return "fc " + std::to_string(row.in_c) + "->" + std::to_string(row.out_c);
  const std::string kind = row.depthwise ? "dw" : row.kernel == 1 ? "pw" : "conv";
  std::string name = kind + " " + square(row.size) + " " + std::to_string(row.in_c);
  if (!row.depthwise) name += "->" + std::to_string(row.out_c);
  if (row.kernel != 1) name += " k" + std::to_string(row.kernel);
  if (row.stride != 1) name += " s" + std::to_string(row.stride);
  return name;
}

Layer conv_layer(const std::string& model, const ConvRow& row, bool f32,
                 edgecv_test::WeightPattern weights) {
  const Family family = f32 ? Family::kConvF32 : Family::kConvS8;
  const ConvShape shape = shape_of(row);
  return {model, name_of(row), row.count, family, [=](Draw& draw) {
            return make_conv_case(family, shape, draw, weights, edgecv_test::Pattern::kRandom);
          }};
}

Case make_add(Family family, int32_t count, Draw& draw) {
  Case c;
  c.family = family;
  c.operations = count;
  auto& p = c.make_problem<edgecv::kernels::BinaryProblem>();
  p.op = edgecv::kernels::BinaryOp::kAdd;
  p.rank = 1;
  p.dims[0] = count;
  p.a_stride[0] = p.b_stride[0] = 1;
  p.a_zero_point = 3;
  p.b_zero_point = -7;
  p.lo = -128;
  p.hi = 127;
  p.ma = 0.75f;
  p.mb = 0.6f;
  p.lo_f = -INFINITY;
  p.hi_f = INFINITY;
  for (int i = 0; i < 2; ++i) {
    if (family == Family::kBinaryS8) {
      c.add_input(make_s8(draw, count, edgecv_test::Pattern::kRandom, 0));
    } else {
      c.add_input(edgecv_test::make_f32(draw, count, -1.0f, 1.0f));
    }
  }
  if (family == Family::kBinaryS8) {
    c.set_dense_output<int8_t>(count);
  } else {
    c.set_dense_output<float>(count);
  }
  return c;
}

Case make_mean(Family family, int32_t channels, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ReduceProblem>();
  p.outer = 1;
  p.reduce = 49;
  p.inner = channels;
  p.lo = -128;
  p.hi = 127;
  p.multiplier = 1.0f / 49.0f;
  c.operations = int64_t{49} * channels;
  if (family == Family::kReduceMeanS8) {
    c.add_input(make_s8(draw, c.operations, edgecv_test::Pattern::kRandom, 0));
    c.set_dense_output<int8_t>(channels);
  } else {
    c.add_input(edgecv_test::make_f32(draw, c.operations, -1.0f, 1.0f));
    c.set_dense_output<float>(channels);
  }
  return c;
}

}  // namespace

std::vector<Layer> network_layers(bool f32, edgecv_test::WeightPattern weights) {
  std::vector<Layer> layers;
  const Family add = f32 ? Family::kBinaryF32 : Family::kBinaryS8;
  const Family mean = f32 ? Family::kReduceMeanF32 : Family::kReduceMeanS8;
  const auto add_model = [&](const std::string& model, const auto& convs, const auto& adds) {
    for (const ConvRow& row : convs) layers.push_back(conv_layer(model, row, f32, weights));
    for (const AddRow& row : adds) {
      layers.push_back(
          {model, "add " + square(row.size) + " " + std::to_string(row.channels), row.count, add,
           [=](Draw& draw) { return make_add(add, row.size * row.size * row.channels, draw); }});
    }
    layers.push_back(
        {model, "mean 7x7 1280", 1, mean, [=](Draw& draw) { return make_mean(mean, 1280, draw); }});
  };
  add_model("mobilenet_v2", kMobileNetV2, kMobileNetV2Adds);
  add_model("efficientnet_lite0", kEfficientNetLite0, kEfficientNetLite0Adds);
  return layers;
}

}  // namespace edgecv_bench

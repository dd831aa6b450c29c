#include "layers.h"

#include <cmath>

#include "kernels/reduce.h"

namespace edgecv_bench {

namespace {

using edgecv::kernels::Family;
using edgecv_test::Case;
using edgecv_test::ConvShape;
using edgecv_test::Draw;
using edgecv_test::Pattern;
using edgecv_test::WeightPattern;

// Builds the layers of one type; the macros of the lists call its functions.
class Builder {
 public:
  explicit Builder(bool f32) : f32_(f32) {}

  std::vector<Layer> take() { return std::move(layers_); }

  void conv(const ConvShape& s, const char* networks) {
    const Family family = f32_ ? Family::kConvF32 : Family::kConvS8;
    layers_.push_back({networks, name_of(s), family, !f32_, true, [=](Draw& draw, WeightPattern w) {
                         return make_conv_case(family, s, draw, w, Pattern::kRandom);
                       }});
  }

  void transpose_conv(int32_t size, int32_t in_c, int32_t out_c, int32_t kernel, int32_t stride,
                      int32_t pad) {
    ConvShape s;
    s.in_h = s.in_w = size;
    s.in_c = in_c;
    s.out_c = out_c;
    s.kernel_h = s.kernel_w = kernel;
    s.stride_h = s.stride_w = stride;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = pad;
    const Family family = f32_ ? Family::kConvTransposeF32 : Family::kConvTransposeS8;
    layers_.push_back(
        {"", "transposed " + name_of(s), family, false, true, [=](Draw& draw, WeightPattern w) {
           return make_conv_case(family, s, draw, w, Pattern::kRandom);
         }});
  }

  void binary(edgecv::kernels::BinaryOp op, int32_t pixels, int32_t channels, int32_t b_pixels,
              const char* networks) {
    const Family family = f32_ ? Family::kBinaryF32 : Family::kBinaryS8;
    const bool same = pixels == b_pixels;
    const std::string what = op == edgecv::kernels::BinaryOp::kMul ? "mul " : "add ";
    plain(family, what + size(pixels, channels) + (same ? "" : " by channel"), networks,
          [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::BinaryProblem>();
            p.op = op;
            p.rank = same ? 1 : 2;
            p.dims[0] = same ? pixels * channels : pixels;
            p.dims[1] = channels;
            const int64_t row = same ? 1 : channels;
            p.a_stride[0] = p.out_stride[0] = row;
            p.b_stride[0] = same ? 1 : 0;
            p.a_stride[1] = p.b_stride[1] = p.out_stride[1] = 1;
            p.a_zero_point = 3;
            p.b_zero_point = -7;
            set_range(&p);
            p.ma = op == edgecv::kernels::BinaryOp::kMul ? 0.01f : 0.75f;
            p.mb = 0.6f;
            add_input(draw, c, int64_t{pixels} * channels);
            add_input(draw, c, int64_t{b_pixels} * channels);
            set_output(c, int64_t{pixels} * channels);
          });
  }

  void lookup(int64_t count, const char* networks) {
    const Family family = f32_ ? Family::kUnaryF32 : Family::kLookupS8;
    plain(family, (f32_ ? "silu " : "lookup ") + std::to_string(count), networks,
          [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::UnaryProblem>();
            p.runs = 1;
            p.count = p.in_stride = p.out_stride = count;
            p.table = c->add_constant(make_s8(draw, 256, Pattern::kRandom, 0));
            p.function = 7;  // docs/ops.md: silu
            add_input(draw, c, count);
            set_output(c, count);
          });
  }

  void convert(Family family, const char* name, int64_t count) {
    if (f32_) return;
    plain(family, name + (" " + std::to_string(count)), "", [=](Draw& draw, Case* c) {
      auto& p = c->make_problem<edgecv::kernels::UnaryProblem>();
      p.runs = 1;
      p.count = p.in_stride = p.out_stride = count;
      p.scale = 0.02f;
      p.zero_point = 5;
      if (family == Family::kQuantize) {
        c->add_input(edgecv_test::make_f32(draw, count, -2.0f, 2.0f));
        c->set_dense_output<int8_t>(count);
      } else {
        c->add_input(make_s8(draw, count, Pattern::kRandom, 0));
        c->set_dense_output<float>(count);
      }
    });
  }

  // `s` holds the window and the sizes; channels are in_c.
  void pool(edgecv::kernels::PoolOp op, const ConvShape& s, const char* networks) {
    const std::string kind = op == edgecv::kernels::PoolOp::kMax ? "max pool " : "average pool ";
    plain(f32_ ? Family::kPoolF32 : Family::kPoolS8,
          kind + square(s.in_h, s.in_w) + " " + std::to_string(s.in_c) + window(s), networks,
          [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::PoolProblem>();
            p.op = op;
            p.batch = 1;
            p.in_h = s.in_h;
            p.in_w = s.in_w;
            p.channels = s.in_c;
            p.kernel_h = s.kernel_h;
            p.kernel_w = s.kernel_w;
            p.stride_h = s.stride_h;
            p.stride_w = s.stride_w;
            p.dilation_h = p.dilation_w = 1;
            p.pad_top = s.pad_top;
            p.pad_left = s.pad_left;
            p.out_h = (s.in_h + s.pad_top + s.pad_bottom - s.kernel_h) / s.stride_h + 1;
            p.out_w = (s.in_w + s.pad_left + s.pad_right - s.kernel_w) / s.stride_w + 1;
            p.in_stride = p.out_stride = s.in_c;
            std::vector<float> multiplier(static_cast<size_t>(s.kernel_h * s.kernel_w));
            for (size_t i = 0; i < multiplier.size(); ++i) {
              multiplier[i] = 1.0f / static_cast<float>(i + 1);
            }
            p.multiplier = c->add_constant(multiplier);
            p.lo = -128;
            p.hi = 127;
            add_input(draw, c, int64_t{s.in_h} * s.in_w * s.in_c);
            set_output(c, int64_t{p.out_h} * p.out_w * s.in_c);
          });
  }

  void resize(int32_t in_h, int32_t in_w, int32_t out_h, int32_t out_w, int32_t channels,
              const char* networks) {
    plain(f32_ ? Family::kResizeF32 : Family::kResizeS8,
          "resize " + square(in_h, in_w) + "->" + square(out_h, out_w) + " " +
              std::to_string(channels),
          networks, [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::ResizeProblem>();
            p.batch = 1;
            p.in_h = in_h;
            p.in_w = in_w;
            p.out_h = out_h;
            p.out_w = out_w;
            p.channels = channels;
            p.in_stride = p.out_stride = channels;
            const auto axis = [&](int32_t in, int32_t out, const int32_t** index,
                                  const void** weight) {
              std::vector<int32_t> indices;
              for (int32_t i = 0; i < 2 * out; ++i) indices.push_back(i % out * in / out);
              *index = c->add_constant(indices);
              *weight = c->add_constant(std::vector<int32_t>(static_cast<size_t>(out), 0));
            };
            axis(in_h, out_h, &p.y_index, &p.y_weight);
            axis(in_w, out_w, &p.x_index, &p.x_weight);
            add_input(draw, c, int64_t{in_h} * in_w * channels);
            set_output(c, int64_t{out_h} * out_w * channels);
          });
  }

  void shuffle(int32_t pixels, int32_t groups, int32_t channels, const char* networks) {
    const int32_t bytes = f32_ ? 4 : 1;
    plain(Family::kMove, "shuffle " + size(pixels, groups * channels), networks,
          [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::MoveProblem>();
            p.element_bytes = bytes;
            p.rank = 3;
            const int32_t dims[3] = {pixels, channels, groups};
            const int32_t in_stride[3] = {groups * channels, 1, channels};
            const int32_t out_stride[3] = {groups * channels, groups, 1};
            for (int i = 0; i < 3; ++i) {
              p.dims[i] = dims[i];
              p.in_stride[i] = int64_t{in_stride[i]} * bytes;
              p.out_stride[i] = int64_t{out_stride[i]} * bytes;
            }
            p.out_bytes = int64_t{pixels} * groups * channels * bytes;
            c->operations = p.out_bytes;
            c->add_input(make_s8(draw, p.out_bytes, Pattern::kRandom, 0));
            c->set_dense_output<int8_t>(p.out_bytes);
          });
  }

  void matmul(int32_t m, int32_t n, int32_t k, bool transpose_b) {
    layers_.push_back({"",
                       "matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" +
                           std::to_string(k) + (transpose_b ? " transposed" : ""),
                       f32_ ? Family::kMatMulF32 : Family::kMatMulS8, false, true,
                       [=](Draw& draw, WeightPattern) {
                         Case c;
                         c.family = f32_ ? Family::kMatMulF32 : Family::kMatMulS8;
                         auto& p = c.make_problem<edgecv::kernels::MatMulProblem>();
                         p.m = m;
                         p.n = n;
                         p.k = k;
                         p.transpose_b = transpose_b;
                         p.lo = -128;
                         p.hi = 127;
                         p.multiplier = 0.001f;
                         add_input(draw, &c, int64_t{m} * k);
                         add_input(draw, &c, int64_t{n} * k);
                         set_output(&c, int64_t{m} * n);
                         c.operations = int64_t{m} * n * k;
                         return c;
                       }});
  }

  void prelu(int64_t pixels, int32_t channels) {
    plain(f32_ ? Family::kPReluF32 : Family::kPReluS8, "prelu " + size(pixels, channels), "",
          [=](Draw& draw, Case* c) {
            auto& p = c->make_problem<edgecv::kernels::PReluProblem>();
            p.pixels = pixels;
            p.channels = p.slope_count = channels;
            p.slope = c->add_constant(edgecv_test::make_f32(draw, channels, 0.0f, 0.5f));
            p.m_positive = 0.9f;
            p.lo = -128;
            p.hi = 127;
            add_input(draw, c, pixels * channels);
            set_output(c, pixels * channels);
          });
  }

  // The families of reduce.h, over [outer][reduce][inner].
  void reduce(Family family, const std::string& name, int64_t outer, int32_t count, int32_t inner,
              const char* networks) {
    const bool indices = family == Family::kArgMaxS8 || family == Family::kArgMaxF32;
    const bool mean = family == Family::kReduceMeanS8 || family == Family::kReduceMeanF32;
    plain(family, name, networks, [=](Draw& draw, Case* c) {
      auto& p = c->make_problem<edgecv::kernels::ReduceProblem>();
      p.outer = outer;
      p.reduce = count;
      p.inner = inner;
      p.lo = -128;
      p.hi = 127;
      p.multiplier = 1.0f / static_cast<float>(count);
      std::vector<int32_t> table(256);
      for (int32_t i = 0; i < 256; ++i) table[static_cast<size_t>(i)] = 1 << (i / 16);
      p.exp_table = c->add_constant(table);
      p.gamma = c->add_constant(edgecv_test::make_f32(draw, count, 0.5f, 2.0f));
      p.beta = c->add_constant(edgecv_test::make_f32(draw, count, -1.0f, 1.0f));
      p.epsilon = 1e-5f;
      add_input(draw, c, outer * count * inner);
      if (indices) {
        c->set_dense_output<int32_t>(outer);
        c->operations = outer * count;
      } else {
        set_output(c, mean ? outer * inner : outer * count);
      }
    });
  }

  Family choose(Family s8, Family f32) const { return f32_ ? f32 : s8; }

  static std::string size(int64_t pixels, int32_t channels) {
    return std::to_string(pixels) + "x" + std::to_string(channels);
  }

 private:
  static std::string square(int32_t h, int32_t w) {
    return std::to_string(h) + "x" + std::to_string(w);
  }

  static std::string window(const ConvShape& s) {
    std::string text;
    if (s.kernel_h != 1 || s.kernel_w != 1) {
      text += " k" + (s.kernel_h == s.kernel_w ? std::to_string(s.kernel_h)
                                               : square(s.kernel_h, s.kernel_w));
    }
    if (s.stride_h != 1) text += " s" + std::to_string(s.stride_h);
    if (s.dilation_h != 1) text += " d" + std::to_string(s.dilation_h);
    return text;
  }

  static std::string name_of(const ConvShape& s) {
    const bool depthwise = s.groups != 1 && s.groups == s.in_c && s.out_c == s.in_c;
    const bool window_of_one = s.kernel_h == 1 && s.kernel_w == 1;
    std::string name = depthwise ? "dw " : window_of_one ? (s.in_h == 1 ? "fc " : "pw ") : "conv ";
    name += square(s.in_h, s.in_w) + " " + std::to_string(s.in_c);
    if (!depthwise) name += "->" + std::to_string(s.out_c);
    if (!depthwise && s.groups != 1) name += " g" + std::to_string(s.groups);
    return name + window(s);
  }

  template <typename Problem>
  static void set_range(Problem* p) {
    p->lo = -128;
    p->hi = 127;
    p->lo_f = -INFINITY;
    p->hi_f = INFINITY;
  }

  void add_input(Draw& draw, Case* c, int64_t count) const {
    if (f32_) {
      c->add_input(edgecv_test::make_f32(draw, count, -2.0f, 2.0f));
    } else {
      c->add_input(make_s8(draw, count, Pattern::kRandom, 0));
    }
  }

  void set_output(Case* c, int64_t count) const {
    c->operations = count;
    if (f32_) {
      c->set_dense_output<float>(count);
    } else {
      c->set_dense_output<int8_t>(count);
    }
  }

  template <typename Fill>
  void plain(Family family, const std::string& name, const char* networks, Fill fill) {
    layers_.push_back({networks, name, family, false, false, [=](Draw& draw, WeightPattern) {
                         Case c;
                         c.family = family;
                         fill(draw, &c);
                         return c;
                       }});
  }

  bool f32_;
  std::vector<Layer> layers_;
};

ConvShape shape(int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_c, int32_t kernel_h,
                int32_t kernel_w, int32_t stride_h, int32_t stride_w, int32_t dilation_h,
                int32_t dilation_w, int32_t pad_top, int32_t pad_left, int32_t pad_bottom,
                int32_t pad_right, int32_t groups) {
  ConvShape s;
  s.in_h = in_h;
  s.in_w = in_w;
  s.in_c = in_c;
  s.out_c = out_c;
  s.kernel_h = kernel_h;
  s.kernel_w = kernel_w;
  s.stride_h = stride_h;
  s.stride_w = stride_w;
  s.dilation_h = dilation_h;
  s.dilation_w = dilation_w;
  s.pad_top = pad_top;
  s.pad_left = pad_left;
  s.pad_bottom = pad_bottom;
  s.pad_right = pad_right;
  s.groups = groups;
  return s;
}

}  // namespace

std::vector<Layer> all_layers(bool f32) {
  static Builder builders[] = {Builder(false), Builder(true)};  // the layers' functions use them
  Builder& b = builders[f32 ? 1 : 0];
#define CONV_LAYER(h, w, c, o, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, g, networks) \
  b.conv(shape(h, w, c, o, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, g), networks);
#define BINARY_LAYER(op, pixels, channels, b_pixels, networks) \
  b.binary(edgecv::kernels::BinaryOp::op, pixels, channels, b_pixels, networks);
#define LOOKUP_LAYER(count, networks) b.lookup(count, networks);
#define POOL_LAYER(op, h, w, c, kh, kw, sh, sw, pt, pl, pb, pr, networks)                         \
  b.pool(edgecv::kernels::PoolOp::op, shape(h, w, c, c, kh, kw, sh, sw, 1, 1, pt, pl, pb, pr, 1), \
         networks);
#define MEAN_LAYER(count, inner, networks)                          \
  b.reduce(b.choose(Family::kReduceMeanS8, Family::kReduceMeanF32), \
           "mean " + Builder::size(count, inner), 1, count, inner, networks);
#define RESIZE_LAYER(h, w, oh, ow, c, networks) b.resize(h, w, oh, ow, c, networks);
#define SHUFFLE_LAYER(pixels, groups, channels, networks) \
  b.shuffle(pixels, groups, channels, networks);
#define TRANSPOSE_CONV_LAYER(size, c, o, k, s, pad) b.transpose_conv(size, c, o, k, s, pad);
#define MATMUL_LAYER(m, n, k, transpose_b) b.matmul(m, n, k, transpose_b);
#define PRELU_LAYER(pixels, channels) b.prelu(pixels, channels);
#define SOFTMAX_LAYER(outer, count)                           \
  b.reduce(b.choose(Family::kSoftmaxS8, Family::kSoftmaxF32), \
           "softmax " + Builder::size(outer, count), outer, count, 1, "");
#define ARGMAX_LAYER(outer, count)                          \
  b.reduce(b.choose(Family::kArgMaxS8, Family::kArgMaxF32), \
           "argmax " + Builder::size(outer, count), outer, count, 1, "");
#define LAYER_NORM_LAYER(outer, count)                            \
  b.reduce(b.choose(Family::kLayerNormS8, Family::kLayerNormF32), \
           "layer norm " + Builder::size(outer, count), outer, count, 1, "");
#define CONVERT_LAYER(family, name, count) b.convert(Family::family, name, count);
#include "layers.inc"
#include "others.inc"
  return b.take();
}

double moved_bytes(const Case& c) {
  double bytes = static_cast<double>(c.out_bytes);
  for (const auto& input : c.inputs) bytes += static_cast<double>(input.size());
  return bytes;
}

}  // namespace edgecv_bench

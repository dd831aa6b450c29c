// Pointwise layers of which most 1x4 blocks of weights are zero: every depth and number of pixels
// around the sizes of a tile, weights that saturate sums in 16 bits unless they are kept apart,
// channels without any weight; and that the sparse row is chosen for them, and not for others.
#include <cstring>

#include "cases.h"
#include "check.h"
#include "check_rows.h"
#include "kernels/cpu_features.h"

using edgecv::kernels::ConvProblem;
using edgecv::kernels::Family;
using edgecv_test::Case;
using edgecv_test::ConvShape;
using edgecv_test::Draw;
using edgecv_test::Pattern;
using edgecv_test::WeightPattern;

namespace {

constexpr WeightPattern kPatterns[] = {
    WeightPattern::kRandom,      WeightPattern::kPlus127, WeightPattern::kMinus127,
    WeightPattern::kAlternating, WeightPattern::kSafe64,  WeightPattern::kSafe32,
    WeightPattern::kPlus32,      WeightPattern::kMinus32, WeightPattern::kMinus128,
    WeightPattern::kOver2,       WeightPattern::kOver4,
};

// A convolution of which about `percent` of the blocks stay; now and then a channel keeps none, or
// all.
Case make_sparse_case(const ConvShape& shape, Draw& draw, int32_t percent, WeightPattern weights,
                      Pattern pattern, bool narrow) {
  Case c = make_conv_case(Family::kConvS8, shape, draw, weights, pattern, narrow);
  auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
  std::vector<int8_t> w(static_cast<size_t>(int64_t{p.out_c} * p.in_c));
  std::memcpy(w.data(), p.weights, w.size());
  for (int32_t o = 0; o < p.out_c; ++o) {
    const int32_t share = draw.one_in(8) ? (draw.one_in(2) ? 0 : 100) : percent;
    for (int32_t k = 0; k < p.in_c; k += 4) {
      if (draw.int32(1, 100) <= share) continue;
      for (int32_t i = k; i < std::min(k + 4, p.in_c); ++i)
        w[static_cast<size_t>(int64_t{o} * p.in_c + i)] = 0;
    }
  }
  p.weights = c.add_constant(w);
  c.text += " " + std::to_string(percent) + "% of blocks";
  return c;
}

Case draw_sparse_case(const ConvShape& shape, Draw& draw) {
  const WeightPattern weights = kPatterns[draw.int32(0, 10)];
  return make_sparse_case(shape, draw, draw.pick({0, 5, 25, 50, 90}), weights,
                          edgecv_test::draw_pattern(draw), draw.one_in(3));
}

ConvShape draw_shape(Draw& draw) {
  ConvShape s;
  s.batch = draw.one_in(4) ? 2 : 1;
  s.in_h = draw.int32(1, 12);
  s.in_w = draw.int32(1, 16);
  s.in_c = draw.one_in(2) ? draw.int32(4, 70) : draw.pick({16, 24, 40, 96, 144, 260});
  s.out_c = draw.one_in(2) ? draw.int32(1, 40) : draw.pick({16, 63, 64, 65, 80, 130});
  if (draw.one_in(5)) s.stride_h = s.stride_w = 2;
  if (draw.one_in(5)) s.pad_top = s.pad_left = s.pad_bottom = 1;
  if (draw.one_in(3)) {
    s.in_gap = draw.int32(1, 40);
    s.out_gap = draw.int32(0, 40);
  }
  edgecv_test::repair_conv_shape(false, &s);
  return s;
}

const char* chosen(const Case& c, uint32_t isa) {
  return edgecv::kernels::choose_kernel(Family::kConvS8, c.problem(), isa)->name;
}

}  // namespace

TEST(sparse_rows_equal_reference) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (int n = 0; n < edgecv_test::scaled_count(300); ++n)
    rows.check(draw_sparse_case(draw_shape(draw), draw), draw);
  rows.finish(false);
}

// Every number of pixels up to two tiles and some, and every depth up to three vectors.
TEST(sparse_rows_hold_every_tail) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed + 1);
  for (int32_t i = 1; i <= 140; ++i) {
    ConvShape s;
    s.in_w = i;
    s.in_c = 4 + i % 93;
    s.out_c = 1 + 7 * i % 37;
    rows.check(draw_sparse_case(s, draw), draw);
  }
  rows.finish(false);
}

TEST(sparse_rows_equal_reference_on_threads) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed + 2);
  for (int n = 0; n < edgecv_test::scaled_count(20); ++n)
    rows.check(draw_sparse_case(draw_shape(draw), draw), draw, true);
  rows.finish(false);
}

// The largest inputs with the largest weights of one sign: sums of two blocks, and of two weights,
// that 16 bits do not hold.
TEST(sparse_rows_hold_the_largest_sums) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed + 3);
  for (const WeightPattern weights : kPatterns) {
    for (const Pattern pattern : {Pattern::kLowest, Pattern::kHighest, Pattern::kAlternating}) {
      for (const int32_t pixels : {1, 9, 70}) {
        for (const bool narrow : {false, true}) {
          ConvShape s;
          s.in_w = pixels;
          s.in_c = 67;
          s.out_c = 19;
          for (const int32_t percent : {40, 100})
            rows.check(make_sparse_case(s, draw, percent, weights, pattern, narrow), draw);
        }
      }
    }
  }
  rows.finish(false);
}

// Chosen where a quarter of the blocks is left, in neither case for all of them; whatever the
// pattern of zeros within blocks.
TEST(sparse_rows_are_chosen_by_density) {
  const uint32_t isa = edgecv::kernels::detect_isa_bits();
  if ((isa & edgecv::kernels::kIsaAvx2) == 0) SKIP("this CPU lacks AVX2");
  const uint32_t mask = isa & ~(edgecv::kernels::kIsaAvxVnni | edgecv::kernels::kIsaAvx512Vnni);
  Draw draw(edgecv_test::state().seed + 4);
  ConvShape s;
  s.in_h = s.in_w = 14;
  s.in_c = 256;
  s.out_c = 128;
  const auto make = [&](int32_t percent) {
    return make_sparse_case(s, draw, percent, WeightPattern::kSafe32, Pattern::kRandom, false);
  };
  CHECK(std::strcmp(chosen(make(25), mask), "conv_s8_sparse_1x4__avx2") == 0);
  CHECK(std::strcmp(chosen(make(100), mask), "conv_s8_2x32__avx2") == 0);
  // Two of every four: no block is zero.
  Case c = make(100);
  auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
  std::vector<int8_t> w(static_cast<size_t>(int64_t{s.in_c} * s.out_c));
  for (size_t i = 0; i < w.size(); ++i) w[i] = i % 4 < 2 ? 0 : 9;
  p.weights = c.add_constant(w);
  CHECK(std::strcmp(chosen(c, mask), "conv_s8_2x32__avx2") == 0);
}

// The packed right factor of the s8 matrix product all dense layers share:
//
//   out[r][c] = clamp(rint(float(bias[c] + sum over k of a[r][k] * w[k][c]) * multiplier[c]) +
//   zero_point, lo, hi)
//
// A panel is one to four vectors of kDwords columns of it, in the fastest form that is exact for
// the panel's own weights and the proven range of the input:
//
//   widen  a and w as s16 pairs: madd_s16, add_s32. Exact for every s8 x s8.
//   cross  the same with half of the multiplications (Winograd's inner product): a0 w0 + a1 w1 =
//          (a0 + w1) (a1 + w0) - a0 a1 - w0 w1, the last two summed once a row and once a column.
//          Exact for all, too; for deep products of many columns, at 256 bits: at 128 its sums
//          need as many copies of registers as it saves multiplications.
//   sum1   a as u8 quads: maddubs, madd_s16 by ones, add_s32
//   sum2   two maddubs added in s16 before they are widened
//   sum4   four
//   dot4   one u8 x s8 instruction that adds four products to an s32. Exact for all.
//
// maddubs adds two products in a s16 lane and saturates; sum2 and sum4 add two and four such lanes.
// Nothing saturates or wraps when in every lane (range of a) * (sum of its positive weights) <=
// 32767 and (range of a) * |sum of its negative weights| <= 32768: a property of the weights,
// checked here, so exactness is never a matter of luck.
#ifndef EDGECV_KERNELS_X86_GEMM_PANEL_H_
#define EDGECV_KERNELS_X86_GEMM_PANEL_H_

namespace edgecv::kernels::EDGECV_ISA {
namespace {

enum class Form : int32_t { kWiden, kCross, kSum1, kSum2, kSum4, kDot4 };

constexpr bool kHasCross = kVecBytes == 32 && !kHasDot4;
constexpr bool of_pairs(Form form) { return form == Form::kWiden || form == Form::kCross; }

// All panels have `vectors` vectors of columns but the last, which may have fewer.
struct Panels {
  int64_t count;
  int vectors, last_vectors;
};

inline Panels split_columns(int64_t columns, int vectors) {
  const int64_t whole = vectors * kDwords, count = div_up(columns, whole);
  const int64_t rest = columns - (count - 1) * whole;
  return {count, vectors, static_cast<int>(div_up(rest, kDwords))};
}

inline int panel_vectors(const Panels& panels, int64_t i) {
  return i + 1 == panels.count ? panels.last_vectors : panels.vectors;
}

// Where column c of a panel lies in its vectors: with three or four of them so that packing their
// sums to bytes, which works in 128-bit lanes, leaves the columns in order.
inline int64_t column_place(int64_t c, int vectors) {
  if (vectors <= 2) return c;
  const int64_t lane = c / (4 * vectors), in_lane = c % (4 * vectors);
  return in_lane / 4 * kDwords + 4 * lane + in_lane % 4;
}

// The depth of the product falls into segments whose values are adjacent in the left factor. Pairs
// (widen, cross) and quads (all other forms) start anew at each segment; what a segment lacks to a
// whole one is weights of zero.
struct Depth {
  int64_t segments, segment;
  int64_t units() const { return segments * segment; }
};

// How many quads a form adds before it widens the sums.
constexpr int quads_summed(Form form) {
  return form == Form::kSum4 ? 4 : form == Form::kSum2 ? 2 : 1;
}

struct PanelShape {
  Depth pairs, quads;
  bool wide;      // pairs are stored as s16, not as s8
  bool cross;     // pairs are multiplied by cross, not by widen
  int64_t bytes;  // of a panel of the most vectors; a multiple of 64
};

// The head: the form, s32 bias[columns], f32 multiplier[columns]. The weights begin at a multiple
// of 64: for each unit, for each column, the unit's values.
constexpr int64_t kFormBytes = 64;
inline int64_t head_bytes(int vectors) { return round_up(kFormBytes + 8 * kDwords * vectors, 64); }

// The quads of a form: segments are padded to a multiple of what it sums.
inline Depth quad_depth(const PanelShape& shape, Form form) {
  return {shape.quads.segments, round_up(shape.quads.segment, quads_summed(form))};
}

// Pairs of three vectors, and of four where cross takes them, are packed as two panels below each
// other, the first of two vectors: four rows share each load of their weights.
constexpr int kPairVectors = 2;
inline bool pairs_in_two(const PanelShape& shape, int vectors) {
  return vectors == 3 || (vectors == 4 && shape.cross);
}
inline int64_t pairs_bytes(const PanelShape& shape, int vectors) {
  return head_bytes(vectors) +
         round_up(vectors * kDwords * shape.pairs.units() * 2 * (shape.wide ? 2 : 1), 64);
}

inline void measure_panel(PanelShape* shape, int vectors) {
  const int64_t quad_bytes = quad_depth(*shape, Form::kSum4).units() * 4 * vectors * kDwords;
  const int64_t pair_bytes =
      vectors > kPairVectors
          ? pairs_bytes(*shape, kPairVectors) + pairs_bytes(*shape, vectors - kPairVectors)
          : pairs_bytes(*shape, vectors);
  shape->bytes = round_up(max_of(pair_bytes, head_bytes(vectors) + quad_bytes), 64);
}

struct Panel {
  Form form;
  const int32_t* bias;
  const float* multiplier;
  const int8_t* weights;
};

inline Panel panel_at(const void* packed, int vectors) {
  const auto* bytes = static_cast<const int8_t*>(packed);
  Panel p;
  p.form = static_cast<Form>(load_s32(bytes));
  p.bias = reinterpret_cast<const int32_t*>(bytes + kFormBytes);
  p.multiplier = reinterpret_cast<const float*>(bytes + kFormBytes + 4 * kDwords * vectors);
  p.weights = bytes + head_bytes(vectors);
  return p;
}

// The largest same-sign sums of weights that meet in one s16 lane of sum1, sum2 and sum4, and the
// sum of all.
struct LaneSums {
  __m128i one, two, four, totals;
};

// Adds `count` adjacent weights, the quads of which begin at w. A lane set of sum2 lies in an
// aligned 8 of them, of sum4 in an aligned 16.
inline void add_lane_sums(const int8_t* w, int64_t count, LaneSums* s) {
  const __m128i ones8 = _mm_set1_epi8(1), ones16 = _mm_set1_epi16(1);
  for (int64_t i = 0; i < count; i += 16) {
    const __m128i v = count - i >= 16 ? load128(w + i) : load_tail(w + i, count - i);
    const __m128i positive = _mm_max_epi8(v, _mm_setzero_si128());
    const __m128i negative = _mm_sub_epi8(_mm_abs_epi8(v), positive);
    const __m128i plus = _mm_maddubs_epi16(positive, ones8);
    const __m128i minus = _mm_maddubs_epi16(negative, ones8);
    s->totals = _mm_add_epi32(s->totals, _mm_madd_epi16(_mm_sub_epi16(plus, minus), ones16));
    s->one = _mm_max_epi16(s->one, _mm_max_epi16(plus, minus));
    const __m128i plus2 = _mm_add_epi16(plus, _mm_srli_epi64(plus, 32));
    const __m128i minus2 = _mm_add_epi16(minus, _mm_srli_epi64(minus, 32));
    s->two = _mm_max_epi16(s->two, _mm_max_epi16(plus2, minus2));
    const __m128i plus4 = _mm_add_epi16(plus2, _mm_srli_si128(plus2, 8));
    const __m128i minus4 = _mm_add_epi16(minus2, _mm_srli_si128(minus2, 8));
    s->four = _mm_max_epi16(s->four, _mm_max_epi16(plus4, minus4));
  }
}

inline int32_t largest_word(__m128i v) {
  alignas(16) int16_t words[8];
  store128(words, v);
  int32_t largest = 0;
  for (const int16_t word : words) largest = word > largest ? word : largest;
  return largest;
}

// What a panel is packed from: `count` columns, each of `depth.segments * segment_values` adjacent
// weights.
struct PanelSource {
  const int8_t* weights;
  const int32_t* bias;
  const float* multiplier;
  int64_t count;
  int64_t values;  // of a column
  int64_t segment_values;
  int32_t zero_point, in_lo, in_hi;
};

// Sets totals[c] to the sum of column c's weights.
inline Form choose_form(const PanelSource& source, const PanelShape& shape, int32_t* totals) {
  LaneSums s = {};
  for (int64_t c = 0; c < source.count; ++c) {
    s.totals = _mm_setzero_si128();
    const int8_t* w = source.weights + c * source.values;
    for (int64_t i = 0; i < source.values; i += source.segment_values)
      add_lane_sums(w + i, source.segment_values, &s);
    alignas(16) int32_t parts[4];
    store128(parts, s.totals);
    totals[c] = parts[0] + parts[1] + parts[2] + parts[3];
  }
  if (kHasDot4) return Form::kDot4;
  // Of the exact forms the cheapest, in sixteenths of a cycle for a vector of columns and a row.
  // 32767 is the tighter of the two bounds.
  const int32_t range = source.in_hi - source.in_lo;
  Form best = shape.cross ? Form::kCross : Form::kWiden;
  int64_t best_cost = (shape.cross ? 9 : 10) * shape.pairs.units();
  const auto consider = [&](Form form, __m128i largest, int64_t unit_cost) {
    const int64_t cost = unit_cost * quad_depth(shape, form).units();
    if (cost >= best_cost || range * largest_word(largest) > 32767) return;
    best = form;
    best_cost = cost;
  };
  consider(Form::kSum1, s.one, 16);
  consider(Form::kSum2, s.two, 13);
  consider(Form::kSum4, s.four, 12);
  return best;
}

// A column's weights, kUnit of them side by side; `segment` units of the depth hold a segment.
template <int kUnit, typename Value>
void pack_column(const int8_t* w, const Depth& depth, int64_t segment_values, int64_t columns,
                 Value* out) {
  const int64_t whole = segment_values / kUnit, rest = segment_values % kUnit;
  for (int64_t segment = 0; segment < depth.segments; ++segment) {
    Value* unit = out + segment * depth.segment * kUnit * columns;
    for (int64_t i = 0; i < whole; ++i, w += kUnit, unit += kUnit * columns) {
      if constexpr (sizeof(Value) == 1) {
        memcpy(unit, w, kUnit);
      } else {
        for (int j = 0; j < kUnit; ++j) unit[j] = w[j];
      }
    }
    for (int64_t j = 0; j < rest; ++j) unit[j] = *w++;
  }
}

// What cross adds to a column's sums by products of its own weights: those of units that meet.
inline uint32_t cross_of_column(const int8_t* w, const Depth& depth, int64_t segment_values) {
  __m128i sums = _mm_setzero_si128();  // every dword twice
  for (int64_t segment = 0; segment < depth.segments; ++segment, w += segment_values) {
    for (int64_t k = 0; k < segment_values; k += 8) {
      const int64_t left = segment_values - k;
      const __m128i v = _mm_cvtepi8_epi16(left >= 8 ? load64(w + k) : load_tail(w + k, left));
      sums = _mm_add_epi32(sums, _mm_madd_epi16(v, _mm_shuffle_epi32(v, 0xb1)));
    }
  }
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_srli_si128(sums, 8))));
}

// Packs a panel of `vectors` vectors in a form that fits it; totals[c] is the sum of column c.
inline void pack_form(const PanelSource& source, const PanelShape& shape, Form form, int vectors,
                      const int32_t* totals, int8_t* out) {
  memcpy(out, &form, sizeof form);
  const int64_t columns = kDwords * vectors;
  int8_t* const weights = out + head_bytes(vectors);
  // The left factor holds x, or x - in_lo.
  const bool pairs = of_pairs(form);
  const int32_t zero_point = source.zero_point - (pairs ? 0 : source.in_lo);
  for (int64_t c = 0; c < source.count; ++c) {
    const int64_t place = column_place(c, vectors);
    const int8_t* w = source.weights + c * source.values;
    uint32_t bias = static_cast<uint32_t>(source.bias[c]) -
                    static_cast<uint32_t>(totals[c]) * static_cast<uint32_t>(zero_point);
    if (form == Form::kCross) bias -= cross_of_column(w, shape.pairs, source.segment_values);
    memcpy(out + kFormBytes + 4 * place, &bias, sizeof bias);
    memcpy(out + kFormBytes + 4 * (columns + place), &source.multiplier[c], sizeof(float));
    if (!pairs) {
      pack_column<4>(w, quad_depth(shape, form), source.segment_values, columns,
                     weights + 4 * place);
    } else if (shape.wide) {
      pack_column<2>(w, shape.pairs, source.segment_values, columns,
                     reinterpret_cast<int16_t*>(weights) + 2 * place);
    } else {
      pack_column<2>(w, shape.pairs, source.segment_values, columns, weights + 2 * place);
    }
  }
}

// Packs a panel in the fastest form that is exact for it, and returns that.
inline Form pack_panel(const PanelSource& source, const PanelShape& shape, int vectors, void* out) {
  auto* const bytes = static_cast<int8_t*>(out);
  memset(bytes, 0, static_cast<size_t>(shape.bytes));
  int32_t totals[4 * kDwords];
  const Form form = choose_form(source, shape, totals);
  if (!of_pairs(form) || !pairs_in_two(shape, vectors)) {
    pack_form(source, shape, form, vectors, totals, bytes);
    return form;
  }
  PanelSource part = source;
  part.count = min_of(source.count, kPairVectors * kDwords);
  pack_form(part, shape, form, kPairVectors, totals, bytes);
  part.weights += part.count * source.values;
  part.bias += part.count;
  part.multiplier += part.count;
  part.count = source.count - part.count;
  pack_form(part, shape, form, vectors - kPairVectors, totals + kPairVectors * kDwords,
            bytes + pairs_bytes(shape, kPairVectors));
  return form;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_GEMM_PANEL_H_

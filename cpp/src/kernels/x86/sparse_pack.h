// Plan and packed weights of conv_sparse.h, which describes the method.
//
// A block is the four weights of one output for four inputs side by side, the u8 x s8 products of
// which one maddubs makes: two sums of two in s16. Blocks of zeros are not stored. Of the others
// none saturates, whatever their weights:
//
//   (range of x) * (sum of a lane's positive weights) <= 32767, likewise its negative ones: kept
//   else   two blocks, (w0, 0, w2, 0) and (0, w1, 0, w3): a lane has one product, at most 255 * 128
//
// Two blocks of an output whose sums stay within that bound together are a pair: they are added in
// s16, and widened at once.
#ifndef EDGECV_KERNELS_X86_SPARSE_PACK_H_
#define EDGECV_KERNELS_X86_SPARSE_PACK_H_

#include "kernels/conv.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

constexpr int64_t kSparsePanel = 64;    // channels of a work item
constexpr int kSparseVectors = 8;       // of kDwords pixels, at most of a tile
constexpr int64_t kMaxQuads = 1 << 16;  // what an index holds
constexpr int64_t kAtOnce = 8;          // blocks that a single pixel meets in one step
constexpr int64_t kPartners = 16;       // blocks looked at to find one to pair

const ConvProblem& as_sparse(const void* problem) {
  return *static_cast<const ConvProblem*>(problem);
}

// One output channel: `pairs` times two blocks from `first` on, then `singles`.
struct SparseChannel {
  int32_t bias;
  float multiplier;
  int32_t pairs, singles;
  int32_t place;  // in its panel, where channels lie by their number of blocks
  int32_t unused;
  int64_t first;
};

// Packed, in bytes from its begin: this itself, the channels, the blocks' weights, the quad of
// inputs of each.
struct SparseLayout {
  int64_t channels, weights, quads, size;
};

inline SparseLayout sparse_layout(int64_t channels, int64_t blocks) {
  SparseLayout l;
  l.channels = 64;
  l.weights = l.channels + round_up(channels * static_cast<int64_t>(sizeof(SparseChannel)), 64);
  l.quads = l.weights + round_up(4 * blocks, 64);
  l.size = l.quads + round_up(2 * (blocks + kAtOnce), 64);
  return l;
}

// How many positive (or negative) weights, summed, a lane bears; 32767 is the tighter bound.
inline int32_t lane_limit(const ConvProblem& p) {
  const int32_t range = p.in_hi - p.in_lo;
  return range > 0 ? 32767 / range : 32767;
}

// The blocks that the rows [0, p.out_c) of weights become.
inline int64_t count_blocks(const ConvProblem& p) {
  const __m128i limit = _mm_set1_epi16(static_cast<int16_t>(lane_limit(p)));
  const __m128i ones = _mm_set1_epi8(1), zeros = _mm_setzero_si128();
  const auto* w = static_cast<const int8_t*>(p.weights);
  int64_t blocks = 0;
  for (int64_t o = 0; o < p.out_c; ++o, w += p.in_c) {
    __m128i counts = zeros;  // less than 2^17 a dword
    for (int64_t k = 0; k < p.in_c; k += 16) {
      const __m128i v = p.in_c - k >= 16 ? load128(w + k) : load_tail(w + k, p.in_c - k);
      const __m128i positive = _mm_max_epi8(v, zeros);
      const __m128i plus = _mm_maddubs_epi16(positive, ones);
      const __m128i minus = _mm_maddubs_epi16(_mm_sub_epi8(_mm_abs_epi8(v), positive), ones);
      const __m128i over = _mm_cmpgt_epi16(_mm_max_epi16(plus, minus), limit);
      // Masks are -1: 1 for a block, 2 for one that is split.
      counts = _mm_add_epi32(counts, _mm_set1_epi32(2));
      counts = _mm_add_epi32(counts, _mm_cmpeq_epi32(v, zeros));
      counts = _mm_add_epi32(counts, _mm_cmpeq_epi32(over, zeros));
    }
    alignas(16) int32_t parts[4];
    store128(parts, counts);
    blocks += int64_t{parts[0]} + parts[1] + parts[2] + parts[3];
  }
  return blocks;
}

// The larger of the sums of positive and of negative weights in the lanes of blocks a and b
// together.
inline int32_t lane_sum(const int8_t* a, const int8_t* b) {
  int32_t largest = 0;
  for (int lane = 0; lane < 4; lane += 2) {
    int32_t plus = 0, minus = 0;
    const int8_t weights[] = {a[lane], a[lane + 1], b[lane], b[lane + 1]};
    for (const int8_t w : weights) (w > 0 ? plus : minus) += w;
    largest = plus > largest ? plus : largest;
    largest = -minus > largest ? -minus : largest;
  }
  return largest;
}

// Swaps blocks i and j.
inline void swap_blocks(int8_t* w, uint16_t* quads, int64_t i, int64_t j) {
  const int32_t v = load_s32(w + 4 * i);
  memmove(w + 4 * i, w + 4 * j, 4);
  memcpy(w + 4 * j, &v, 4);
  const uint16_t quad = quads[i];
  quads[i] = quads[j];
  quads[j] = quad;
}

// A row's blocks, in the order of their inputs; returns how many.
inline int64_t collect_blocks(const int8_t* row, int64_t values, int32_t limit, int8_t* w,
                              uint16_t* quads) {
  static const int8_t kNone[4] = {0, 0, 0, 0};
  int64_t count = 0;
  for (int64_t k = 0; k < values; k += 4) {
    int8_t block[4] = {0, 0, 0, 0};
    memcpy(block, row + k, static_cast<size_t>(min_of(4, values - k)));
    if (load_s32(block) == 0) continue;
    const bool split = lane_sum(block, kNone) > limit;
    for (int part = 0; part < (split ? 2 : 1); ++part, ++count) {
      int8_t* const to = w + 4 * count;
      for (int i = 0; i < 4; ++i) to[i] = split && i % 2 != part ? int8_t{0} : block[i];
      quads[count] = static_cast<uint16_t>(k / 4);
    }
  }
  return count;
}

// Moves pairs to the front; returns how many. The blocks they are chosen from lie near each other,
// so that packing takes no time to speak of.
inline int64_t pair_blocks(int8_t* w, uint16_t* quads, int64_t count, int32_t limit) {
  int64_t front = 0, end = count;
  while (front < end) {
    const int64_t last = min_of(front + kPartners, end - 1);
    int64_t j = front + 1;
    while (j <= last && lane_sum(w + 4 * front, w + 4 * j) > limit) ++j;
    if (j <= last) {
      swap_blocks(w, quads, front + 1, j);
      front += 2;
    } else {
      swap_blocks(w, quads, front, --end);
    }
  }
  return front / 2;
}

bool sparse_supports(const void* problem) {
  const ConvProblem& p = as_sparse(problem);
  return p.kernel_h == 1 && p.kernel_w == 1 && p.groups == 1 && p.in_c >= 4 &&
         div_up(p.in_c, 4) <= kMaxQuads;
}

size_t sparse_packed_bytes(const void* problem) {
  const ConvProblem& p = as_sparse(problem);
  return static_cast<size_t>(sparse_layout(p.out_c, count_blocks(p)).size);
}

// The channels of a panel by how often their loops run, which is then predicted for the most.
inline void sort_channels(SparseChannel* c, int64_t count) {
  const auto steps = [](const SparseChannel& a) { return (int64_t{a.pairs} << 32) + a.singles; };
  for (int64_t i = 1; i < count; ++i) {
    const SparseChannel moved = c[i];
    int64_t j = i;
    for (; j > 0 && steps(c[j - 1]) > steps(moved); --j) c[j] = c[j - 1];
    c[j] = moved;
  }
}

void sparse_pack(const void* problem, void* packed) {
  const ConvProblem& p = as_sparse(problem);
  const SparseLayout layout = sparse_layout(p.out_c, count_blocks(p));
  memset(packed, 0, static_cast<size_t>(layout.size));
  memcpy(packed, &layout, sizeof layout);
  auto* const bytes = static_cast<int8_t*>(packed);
  auto* const channels = reinterpret_cast<SparseChannel*>(bytes + layout.channels);
  const int32_t limit = lane_limit(p);
  int64_t first = 0;
  for (int64_t o = 0; o < p.out_c; ++o) {
    const int8_t* const row = static_cast<const int8_t*>(p.weights) + o * p.in_c;
    int8_t* const w = bytes + layout.weights + 4 * first;
    uint16_t* const quads = reinterpret_cast<uint16_t*>(bytes + layout.quads) + first;
    const int64_t count = collect_blocks(row, p.in_c, limit, w, quads);
    int64_t total = 0;
    for (int64_t k = 0; k < p.in_c; ++k) total += row[k];
    SparseChannel& c = channels[o];
    c.pairs = static_cast<int32_t>(pair_blocks(w, quads, count, limit));
    c.singles = static_cast<int32_t>(count - 2 * c.pairs);
    c.place = static_cast<int32_t>(o % kSparsePanel);
    c.first = first;
    // The left factor holds x - in_lo.
    const auto zero_point = static_cast<uint32_t>(p.in_zero_point - p.in_lo);
    const uint32_t bias = static_cast<uint32_t>(static_cast<const int32_t*>(p.bias)[o]) -
                          static_cast<uint32_t>(total) * zero_point;
    memcpy(&c.bias, &bias, sizeof bias);
    c.multiplier = p.multiplier[o];
    first += count;
  }
  for (int64_t o = 0; o < p.out_c; o += kSparsePanel)
    sort_channels(channels + o, min_of(kSparsePanel, p.out_c - o));
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_SPARSE_PACK_H_

// Chains: consecutive steps that work row by row, run a stripe of output rows at a time, so that
// what lies between them is never whole in memory. Between two links of a chain there is a line
// buffer of one thread, which holds just the rows that the next stripe still reads; the links run
// the kernels and packed weights of their steps on the rows of the stripe (kernels/kernel.h says
// what may vary), so the results are those of the steps one by one, bit for bit.
//
// Several threads share the stripes of a chain. A thread that goes on where it left off computes
// the new rows of each link alone; where it begins anew, it computes all rows that its first stripe
// needs, which another thread may have computed, too.
#ifndef EDGECV_RUNTIME_CHAIN_H_
#define EDGECV_RUNTIME_CHAIN_H_

#include <stdint.h>

#include "format/reader.h"
#include "ops/op.h"

namespace edgecv::runtime {

constexpr int kMaxChainLinks = 16;

struct RowRange {
  int32_t begin, end;
};

// An input of a link. Memory outside the chain has all rows of all images; `image` is then the
// distance between two of them.
struct ChainInput {
  int32_t producer;  // the link that writes it, -1: memory outside the chain
  int32_t rows;      // of one image
  int64_t pitch;     // bytes from row to row; 0: every row reads the same
  int64_t image;
};

// Output row r reads rows [r * stride - pad, r * stride - pad + reach) of every input with rows.
struct ChainLink {
  uint32_t step;  // in Plan::steps
  int32_t rows;   // of one image of the output
  int32_t stride, reach, pad;
  int64_t pitch, image;  // of the output
  int64_t row_items;     // elementwise: what a row adds to the outermost count of the problem
  double cost;           // of the whole step on one thread (runtime/chain_cost.h)
  int64_t buffer;        // where its line buffer begins in a thread's
  int32_t capacity;      // rows of that buffer; the last link has none and writes the arena
  int32_t input_count;
  ChainInput inputs[ops::kMaxCallInputs];
};

struct Chain {
  uint32_t first_step, link_count;  // link i does step first_step + i
  uint32_t first_link;              // in Plan::links
  int32_t batch;
  int32_t stripe;   // output rows at a time
  int32_t stripes;  // of an image
  int32_t least;    // stripes that a thread must have left for another one to take some of them
  uint64_t buffer_bytes;
};

// Fills all of *link but its step, cost, buffer and capacity, with every input outside the chain;
// *batch is that of the output. False when the call cannot be a link: it does not go row by row, or
// its output has gaps.
bool describe_link(const format::ParsedModel& model, const ops::Call& call, ChainLink* link,
                   int32_t* batch);

// Rows of input `i` that output rows `out` read, inside the image.
RowRange input_rows(const ChainLink& link, int32_t i, RowRange out);

// The call's problem for output rows `out` of one image.
void make_stripe_problem(const ops::Call& call, const ChainLink& link, RowRange out,
                         ops::Problem* problem);

// How far a thread is: what lies in the line buffers of links 0 .. count - 2.
struct ChainWalk {
  int32_t first[kMaxChainLinks];  // the row at the start of each link's buffer
  int32_t done[kMaxChainLinks];   // each link's rows before this one are done; [count - 1]: output
};

// Begins anew at an output row: the buffers hold nothing.
void begin_walk(const ChainLink* links, int32_t count, int32_t row, ChainWalk* walk);

// Goes on to output row `end`. Calls
//   visitor->shift(link, drop, count)   the first `count` rows behind the first `drop` ones of the
//                                       link's buffer move to its start
//   visitor->run(link, rows, first)     do these output rows; first[l] is the row at the start of
//                                       link l's buffer
// until run() gives something but 0, which is returned.
template <typename Visitor>
int walk_to(const ChainLink* links, int32_t count, int32_t end, ChainWalk* walk, Visitor* visitor) {
  const int32_t last = count - 1;
  int32_t* const first = walk->first;
  int32_t* const done = walk->done;
  int32_t need[kMaxChainLinks];
  for (int32_t l = 0; l < last; ++l) need[l] = done[l];
  need[last] = end;
  for (int32_t l = last; l > 0; --l) {
    if (need[l] == done[l]) continue;
    for (int32_t i = 0; i < links[l].input_count; ++i) {
      const int32_t from = links[l].inputs[i].producer;
      if (from < 0) continue;
      const int32_t rows = input_rows(links[l], i, {done[l], need[l]}).end;
      if (rows > need[from]) need[from] = rows;
    }
  }
  for (int32_t l = 0; l < count; ++l) {
    if (need[l] == done[l]) continue;
    if (l != last && need[l] - first[l] > links[l].capacity) {
      int32_t keep = done[l];
      for (int32_t reader = l + 1; reader < count; ++reader) {
        for (int32_t i = 0; i < links[reader].input_count; ++i) {
          if (links[reader].inputs[i].producer != l) continue;
          const int32_t begin =
              input_rows(links[reader], i, {done[reader], done[reader] + 1}).begin;
          if (begin < keep) keep = begin;
        }
      }
      if (keep < first[l]) keep = first[l];
      if (keep > first[l]) visitor->shift(l, keep - first[l], done[l] - keep);
      first[l] = keep;
    }
    const int result = visitor->run(l, RowRange{done[l], need[l]}, first);
    if (result != 0) return result;
    done[l] = need[l];
  }
  return 0;
}

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_CHAIN_H_

// One work item is one row of the innermost dim; with a fill, everything is one item.
#include "kernels/move.h"

#include <string.h>

namespace edgecv::kernels::reference {
namespace {

int64_t row_count(const MoveProblem& p) {
  int64_t count = 1;
  for (int32_t i = 0; i + 1 < p.rank; ++i) count *= p.dims[i];
  return count;
}

int64_t items(const void* problem) {
  const auto& p = *static_cast<const MoveProblem*>(problem);
  return p.fill ? 1 : row_count(p);
}

// Copies dims[last] elements; a fixed kBytes lets the compiler copy without a call, 0 means any
// size.
template <size_t kBytes>
void copy_row(const MoveProblem& p, const uint8_t* from, uint8_t* to) {
  const int32_t last = p.rank - 1;
  const size_t bytes = kBytes != 0 ? kBytes : static_cast<size_t>(p.element_bytes);
  for (int32_t i = 0; i < p.dims[last]; ++i) {
    memcpy(to + i * p.out_stride[last], from + i * p.in_stride[last], bytes);
  }
}

int run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const auto& p = *static_cast<const MoveProblem*>(problem);
  const auto* in = static_cast<const uint8_t*>(operands.in[0]) + p.in_offset;
  auto* out = static_cast<uint8_t*>(operands.out);
  if (p.fill) {
    for (int64_t i = 0; i < p.out_bytes; i += p.fill_bytes) {
      memcpy(out + i, &p.fill_bits, static_cast<size_t>(p.fill_bytes));
    }
    begin = 0;
    end = row_count(p);
  }
  out += p.out_offset;
  for (int64_t row = begin; row < end; ++row) {
    int64_t rest = row;
    int64_t from = 0;
    int64_t to = 0;
    for (int32_t i = p.rank - 2; i >= 0; --i) {
      const int64_t index = rest % p.dims[i];
      rest /= p.dims[i];
      from += index * p.in_stride[i];
      to += index * p.out_stride[i];
    }
    if (p.element_bytes == 1) {
      copy_row<1>(p, in + from, out + to);
    } else if (p.element_bytes == 4) {
      copy_row<4>(p, in + from, out + to);
    } else {
      copy_row<0>(p, in + from, out + to);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel move = {"move_any__reference",
                            "reference",
                            Family::kMove,
                            kIsaBaseline,
                            nullptr,
                            nullptr,
                            nullptr,
                            nullptr,
                            items,
                            run};

}  // namespace edgecv::kernels::reference

#include "runtime/arena.h"

#include <algorithm>

#include "base/array.h"

namespace edgecv::runtime {

Status place_arena(Span<ArenaItem> items, bool share, const Allocator& allocator, uint64_t* total,
                   Error* error) {
  Array<uint32_t> order(allocator);   // items, largest first
  Array<uint32_t> placed(allocator);  // items that have an offset, by offset
  if (!order.resize(items.size) || !placed.reserve(items.size)) {
    return fail(error, Status::kOutOfMemory, "no memory to plan %zu tensors", items.size);
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < items.size; ++i) {
    order[i] = static_cast<uint32_t>(i);
    if (items[i].bytes > (uint64_t{1} << 62) ||
        (sum += items[i].bytes + kAlignment) > (uint64_t{1} << 62)) {
      return fail(error, Status::kLimit, "the activations are larger than the address space");
    }
    items[i].bytes = (items[i].bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return items[a].bytes != items[b].bytes ? items[a].bytes > items[b].bytes : a < b;
  });
  *total = 0;
  for (const uint32_t index : order) {
    ArenaItem& item = items[index];
    uint64_t offset = 0;  // end of the conflicting items seen so far
    for (const uint32_t other_index : placed) {
      const ArenaItem& other = items[other_index];
      if (share && (other.last < item.first || item.last < other.first)) continue;
      if (other.offset >= offset && other.offset - offset >= item.bytes) break;
      offset = std::max(offset, other.offset + other.bytes);
    }
    item.offset = offset;
    *total = std::max(*total, offset + item.bytes);
    const auto place =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [&](uint64_t value, uint32_t i) { return value < items[i].offset; });
    const size_t at = static_cast<size_t>(place - placed.begin());
    if (!placed.push_back(index))
      return fail(error, Status::kOutOfMemory, "no memory to plan the arena");
    for (size_t i = placed.size() - 1; i > at; --i) placed[i] = placed[i - 1];
    placed[at] = index;
  }
  return Status::kOk;
}

}  // namespace edgecv::runtime

// place_arena: nothing alive at once overlaps, and memory is shared where it can be.
#include "runtime/arena.h"

#include <vector>

#include "check.h"

using edgecv::Status;
using edgecv::runtime::ArenaItem;
using edgecv::runtime::place_arena;

namespace {

Status place(std::vector<ArenaItem>* items, bool share, uint64_t* total) {
  return place_arena({items->data(), items->size()}, share, edgecv::default_allocator(), total,
                     nullptr);
}

bool apart(const ArenaItem& a, const ArenaItem& b) {
  return a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
}

}  // namespace

TEST(random_lifetimes_never_overlap) {
  edgecv_test::Random random;
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaItem> items(static_cast<size_t>(random.integer(1, 40)));
    for (ArenaItem& item : items) {
      item.bytes = static_cast<uint64_t>(random.integer(1, 2000));
      item.first = static_cast<int32_t>(random.integer(-1, 20));
      item.last = item.first + static_cast<int32_t>(random.integer(0, 6));
    }
    uint64_t total = 0;
    REQUIRE_EQ(place(&items, true, &total), Status::kOk);
    uint64_t end = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      CHECK_EQ(items[i].offset % edgecv::kAlignment, uint64_t{0});
      end = std::max(end, items[i].offset + items[i].bytes);
      for (size_t k = 0; k < i; ++k) {
        const bool together = items[i].first <= items[k].last && items[k].first <= items[i].last;
        if (together) CHECK(apart(items[i], items[k]));
      }
    }
    CHECK_EQ(total, end);
  }
}

TEST(a_chain_needs_two_neighbours) {
  std::vector<ArenaItem> items;
  for (int i = 0; i < 10; ++i) items.push_back({640, i, i + 1, 0});
  uint64_t total = 0;
  REQUIRE_EQ(place(&items, true, &total), Status::kOk);
  CHECK_EQ(total, uint64_t{1280});
}

TEST(without_sharing_everything_is_apart) {
  std::vector<ArenaItem> items;
  for (int i = 0; i < 10; ++i) items.push_back({640, i, i, 0});
  uint64_t total = 0;
  REQUIRE_EQ(place(&items, false, &total), Status::kOk);
  CHECK_EQ(total, uint64_t{6400});
  for (size_t i = 0; i < items.size(); ++i) {
    for (size_t k = 0; k < i; ++k) CHECK(apart(items[i], items[k]));
  }
}

TEST(sizes_that_add_up_past_the_address_space_are_refused) {
  std::vector<ArenaItem> items(2, ArenaItem{uint64_t{1} << 62, 0, 0, 0});
  uint64_t total = 0;
  CHECK_EQ(place(&items, true, &total), Status::kLimit);
}

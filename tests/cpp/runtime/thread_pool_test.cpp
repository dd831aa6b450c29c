// The pool: every item once, leases, fork, floating-point environment.
#include "runtime/thread_pool.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <vector>

#include "base/fp_env.h"
#include "check.h"

#if defined(__SANITIZE_THREAD__)
#define EDGECV_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EDGECV_TSAN 1
#endif
#endif

using edgecv::runtime::kMaxThreads;
using edgecv::runtime::Split;
using edgecv::runtime::ThreadLease;

namespace {

struct Limit {  // more threads than the CPUs of a small machine
  explicit Limit(int n, bool together = true) {
    edgecv::runtime::set_thread_limit_for_tests(n, together);
  }
  ~Limit() { edgecv::runtime::set_thread_limit_for_tests(0); }
};

struct Count {
  std::vector<std::atomic<int>> seen;
  std::atomic<int> in_use[kMaxThreads];
  std::atomic<int> clashes{0};
  std::atomic<int> threads_seen{0};
  explicit Count(size_t items) : seen(items) {
    for (auto& value : seen) value = 0;
    for (auto& value : in_use) value = 0;
  }
};

void count_items(void* context, int thread, int64_t begin, int64_t end) {
  Count* count = static_cast<Count*>(context);
  if (count->in_use[thread]++ != 0) ++count->clashes;
  for (int64_t i = begin; i < end; ++i) ++count->seen[static_cast<size_t>(i)];
  --count->in_use[thread];
}

// By what float addition does: fegetround() of glibc looks at the x87 unit on x86.
bool rounds_to_nearest() {
  const volatile float one = 1.0f, quarter_step = 0x1p-25f;
  const volatile float up = one + quarter_step, down = -one - quarter_step;
  return up == 1.0f && down == -1.0f;
}

void check_every_item_once(int threads, size_t items, const Split* split = nullptr) {
  Count count(items);
  ThreadLease lease(threads);
  if (split == nullptr) {
    lease.parallel_for(static_cast<int64_t>(items), count_items, &count);
  } else {
    lease.parallel_for(*split, count_items, &count);
  }
  for (size_t i = 0; i < items; ++i) CHECK_EQ(count.seen[i].load(), 1);
  CHECK_EQ(count.clashes.load(), 0);
}

}  // namespace

TEST(every_item_once) {
  for (const bool together : {true, false}) {
    const Limit limit(4, together);
    for (const int threads : {1, 2, 3, 4}) {
      for (const size_t items : {1u, 2u, 3u, 7u, 16u, 17u, 1000u})
        check_every_item_once(threads, items);
    }
  }
}

TEST(every_item_once_in_any_grains) {
  edgecv_test::Random random;
  for (int i = 0; i < edgecv_test::scaled(400); ++i) {
    const Limit limit(4, random.integer(0, 1) != 0);
    const int64_t items = random.integer(1, 200), grain = random.integer(1, 40);
    const Split split = {items, grain, random.integer(0, 1) != 0,
                         static_cast<uint32_t>(random.integer(1, 5))};
    WITH_CONTEXT("items " + std::to_string(items) + ", grain " + std::to_string(grain) +
                 ", singly " + std::to_string(split.singly) + ", least " +
                 std::to_string(split.least));
    check_every_item_once(static_cast<int>(random.integer(1, 4)), static_cast<size_t>(items),
                          &split);
  }
}

// Ranges begin and end where grains do; a thread that takes them singly goes on where it was until
// its share is done.
TEST(grains_stay_whole_and_in_order) {
  struct Seen {
    int64_t items, grain;
    int64_t last[kMaxThreads];
    std::atomic<int> torn{0}, large{0}, jumps{0};
  };
  const Limit limit(3);
  ThreadLease lease(3);
  REQUIRE_EQ(lease.threads(), 3);
  for (int round = 0; round < 50; ++round) {
    Seen seen;
    seen.items = 100;
    seen.grain = 7;
    for (int64_t& last : seen.last) last = -1;
    lease.parallel_for(
        {seen.items, seen.grain, true, 3},
        [](void* context, int thread, int64_t begin, int64_t end) {
          Seen* s = static_cast<Seen*>(context);
          if (begin % s->grain != 0 || (end % s->grain != 0 && end != s->items)) ++s->torn;
          if (end - begin > s->grain) ++s->large;
          if (s->last[thread] >= 0 && s->last[thread] != begin) ++s->jumps;
          s->last[thread] = end;
        },
        &seen);
    CHECK_EQ(seen.torn.load(), 0);
    CHECK_EQ(seen.large.load(), 0);
    CHECK(seen.jumps.load() <= 3);  // 15 grains: what is left to take halves each time
  }
}

// While a thread is stuck, the others do the rest of its share.
TEST(nobody_waits_for_a_share) {
  struct Stuck {
    std::atomic<int> done{0};
    std::atomic<int> early{0};
  } stuck;
  const Limit limit(2);
  ThreadLease lease(2);
  REQUIRE_EQ(lease.threads(), 2);
  lease.parallel_for(
      {40, 1, true, 1},
      [](void* context, int thread, int64_t, int64_t) {
        Stuck* s = static_cast<Stuck*>(context);
        if (thread == 1) {
          for (int i = 0; i < 20000 && s->done.load() < 39; ++i) usleep(100);
          s->early = s->done.load();
        }
        ++s->done;
      },
      &stuck);
  CHECK_EQ(stuck.done.load(), 40);
  CHECK(stuck.early.load() >= 38);  // all but those of the worker
}

TEST(many_small_steps) {
  const Limit limit(4);
  ThreadLease lease(4);
  std::atomic<int64_t> sum{0};
  for (int i = 0; i < 5000; ++i) {
    lease.parallel_for(
        8,
        [](void* context, int, int64_t begin, int64_t end) {
          *static_cast<std::atomic<int64_t>*>(context) += end - begin;
        },
        &sum);
  }
  CHECK_EQ(sum.load(), int64_t{40000});
}

TEST(steps_after_the_workers_went_to_sleep) {
  const Limit limit(3);
  for (int i = 0; i < 20; ++i) {
    ThreadLease lease(3);
    check_every_item_once(1, 5);
    usleep(1000);  // longer than workers spin
    Count count(100);
    lease.parallel_for(100, count_items, &count);
    for (const auto& seen : count.seen) CHECK_EQ(seen.load(), 1);
  }
}

TEST(a_second_lease_works_alone) {
  const Limit limit(4);
  ThreadLease first(4);
  CHECK_EQ(first.threads(), 4);
  {
    ThreadLease second(4);
    CHECK_EQ(second.threads(), 1);
    Count count(10);
    second.parallel_for(10, count_items, &count);
    for (const auto& seen : count.seen) CHECK_EQ(seen.load(), 1);
  }
  Count count(10);
  first.parallel_for(10, count_items, &count);
  for (const auto& seen : count.seen) CHECK_EQ(seen.load(), 1);
}

// A step has no more threads than CPUs that other runs leave.
TEST(runs_leave_a_cpu_to_each_other) {
  struct Seen {
    std::atomic<int> workers{0};
  };
  const auto note = [](void* context, int thread, int64_t, int64_t) {
    if (thread != 0) ++static_cast<Seen*>(context)->workers;
  };
  const Limit limit(2);
  ThreadLease first(2);
  REQUIRE_EQ(first.threads(), 2);
  Seen alone, beside, again;
  first.parallel_for(20, note, &alone);
  {
    ThreadLease second(1);
    first.parallel_for(20, note, &beside);
  }
  first.parallel_for(20, note, &again);
  CHECK(alone.workers.load() > 0);
  CHECK_EQ(beside.workers.load(), 0);
  CHECK(again.workers.load() > 0);
}

TEST(never_more_threads_than_the_mask) {
  const int available = edgecv::runtime::available_threads();
  CHECK(available >= 1 && available <= kMaxThreads);
  ThreadLease lease(available + 5);
  CHECK_EQ(lease.threads(), available);
}

TEST(two_threads_use_the_pool_in_turns) {
  const Limit limit(2);
  const auto work = [](void*) -> void* {
    for (int i = 0; i < 300; ++i) {
      ThreadLease lease(2);
      Count count(9);
      lease.parallel_for(9, count_items, &count);
      for (const auto& seen : count.seen) CHECK_EQ(seen.load(), 1);
    }
    return nullptr;
  };
  pthread_t other;
  REQUIRE_EQ(pthread_create(&other, nullptr, work, nullptr), 0);
  work(nullptr);
  pthread_join(other, nullptr);
}

TEST(workers_round_to_nearest_whatever_their_starter_does) {
  const Limit limit(8);
  const int saved = std::fegetround();
  std::fesetround(FE_UPWARD);
  CHECK(!rounds_to_nearest());
  struct Modes {
    std::atomic<int> other{0}, fresh{0};
  } modes;
  for (int i = 0; i < 50 && modes.fresh.load() == 0; ++i) {
    ThreadLease lease(8);  // starts workers 4..7, which no other test does
    lease.parallel_for(
        64,
        [](void* context, int thread, int64_t, int64_t) {
          Modes* seen = static_cast<Modes*>(context);
          usleep(1000);  // leave some to threads that are slow to start
          if (thread == 0) return;
          if (thread >= 4) ++seen->fresh;
          if (!rounds_to_nearest()) ++seen->other;
        },
        &modes);
  }
  std::fesetround(saved);
  CHECK(modes.fresh.load() > 0);
  CHECK_EQ(modes.other.load(), 0);
}

TEST(the_callers_environment_comes_back) {
  const int saved = std::fegetround();
  std::fesetround(FE_DOWNWARD);
  CHECK(!rounds_to_nearest());
  {
    const edgecv::FpEnvScope scope;
    CHECK(rounds_to_nearest());
  }
  CHECK(!rounds_to_nearest());
  CHECK_EQ(std::fegetround(), FE_DOWNWARD);
  std::fesetround(saved);
}

TEST(a_forked_child_runs) {
#if defined(EDGECV_TSAN)
  SKIP("ThreadSanitizer refuses new threads after a fork");
#endif
  // An assertion of qemu itself (rcu_read_unlock, seen in 7.2), whatever the program.
  if (edgecv_test::emulated()) SKIP("qemu-user fails when a forked child starts threads");
  const Limit limit(2);
  check_every_item_once(2, 50);
  for (const bool inside : {false, true}) {  // fork while this thread holds the pool, too
    ThreadLease lease(inside ? 2 : 1);
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      Count count(50);
      lease.parallel_for(50, count_items, &count);
      ThreadLease own(2);
      own.parallel_for(50, count_items, &count);
      bool good = own.threads() == 2;
      for (const auto& seen : count.seen) good = good && seen.load() == 2;
      _exit(good ? 0 : 1);
    }
    REQUIRE(child > 0);
    int status = -1;
    REQUIRE_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
  }
  check_every_item_once(2, 50);
}

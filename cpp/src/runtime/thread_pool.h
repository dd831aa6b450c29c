// The one thread pool of the process. Workers start lazily; they spin for at most 50 us after a
// parallel step and sleep then. One run at a time holds the pool, and leaves a CPU to every other
// run under way; a run that finds the pool taken works on its own thread alone. Nothing here
// allocates; workers block all signals and run with the default floating-point environment.
//
// Work is shared out in grains of items. Every thread has a share of neighbouring grains, the same
// part of each step, so that what it reads is likely what it wrote; a thread that has done its
// share takes from the end of another one's. So a CPU that is slow, or busy with something else,
// holds nobody up, and a worker that gets no CPU at all is not waited for.
#ifndef EDGECV_RUNTIME_THREAD_POOL_H_
#define EDGECV_RUNTIME_THREAD_POOL_H_

#include <stdint.h>

namespace edgecv::runtime {

constexpr int kMaxThreads = 64;  // of one run, the calling thread included

// How many CPUs this process may use now: its affinity mask, and what its cgroup grants.
// 1..kMaxThreads.
int available_threads();

// Lets the pool grow past the affinity mask (tests of 4 threads on 2 CPUs); 0 restores the mask.
// `together`: a step begins when all its workers are there, so that they all take part.
void set_thread_limit_for_tests(int limit, bool together = true);

// Starts workers ahead of the first run; fewer when the system refuses more.
void prepare_threads(int threads);

// Items [0, items) in grains of `grain` neighbouring ones, the last one smaller.
struct Split {
  int64_t items;
  int64_t grain;
  // How many grains a thread takes at a time: one, or most of what is left of its share, for work
  // that costs something to start.
  bool singly = false;
  // Fewer grains than this are left to the thread whose share they are, if it has begun.
  uint32_t least = 1;
};

// What a run holds. `task(context, thread, begin, end)` is called with disjoint ranges that cover
// all items, at most one call at a time for each thread in [0, threads()).
class ThreadLease {
 public:
  using Task = void (*)(void* context, int thread, int64_t begin, int64_t end);

  // wanted <= 1 takes nothing.
  explicit ThreadLease(int wanted);
  ~ThreadLease();
  ThreadLease(const ThreadLease&) = delete;
  ThreadLease& operator=(const ThreadLease&) = delete;

  int threads() const { return threads_; }
  void parallel_for(const Split& split, Task task, void* context);
  // In grains of a size that suits most work.
  void parallel_for(int64_t items, Task task, void* context);

 private:
  int threads_now() const;

  int threads_ = 1;
  int limit_ = 1;
  uint32_t generation_ = 0;  // of the pool; a fork in between makes the workers vanish
};

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_THREAD_POOL_H_

// The one thread pool of the process. Workers start lazily, spin for at most 50 us between the
// parallel steps of one run and sleep otherwise. One run at a time holds the pool; a run that finds
// it taken works on its own thread alone. Nothing here allocates; workers block all signals and run
// with the default floating-point environment.
#ifndef EDGECV_RUNTIME_THREAD_POOL_H_
#define EDGECV_RUNTIME_THREAD_POOL_H_

#include <stdint.h>

namespace edgecv::runtime {

constexpr int kMaxThreads = 64;  // of one run, the calling thread included

// How many CPUs this process may use now: its affinity mask, and what its cgroup grants.
// 1..kMaxThreads.
int available_threads();

// Lets the pool grow past the affinity mask (tests of 4 threads on 2 CPUs); 0 restores the mask.
void set_thread_limit_for_tests(int limit);

// Starts workers ahead of the first run; fewer when the system refuses more.
void prepare_threads(int threads);

// What a run holds. `task(context, thread, begin, end)` is called with disjoint ranges that cover
// [0, items), at most one call at a time for each thread in [0, threads()).
class ThreadLease {
 public:
  using Task = void (*)(void* context, int thread, int64_t begin, int64_t end);

  // wanted <= 1 takes nothing.
  explicit ThreadLease(int wanted);
  ~ThreadLease();
  ThreadLease(const ThreadLease&) = delete;
  ThreadLease& operator=(const ThreadLease&) = delete;

  int threads() const { return threads_; }
  void parallel_for(int64_t items, Task task, void* context);

 private:
  int threads_ = 1;
  uint32_t generation_ = 0;  // of the pool; a fork in between makes the workers vanish
};

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_THREAD_POOL_H_

#include "runtime/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <atomic>

#include "base/fp_env.h"
#include "runtime/cpus.h"

namespace edgecv::runtime {
namespace {

constexpr int64_t kSpinNanoseconds = 50000;
constexpr int kPausesPerClock = 32;
constexpr int64_t kGrainsPerThread = 8;
constexpr size_t kWorkerStack = size_t{1} << 20;
constexpr int kPushes = 64;

// What a thread has left of its share of a job: grains [begin, end), of which it takes from the
// front and others from the back. Whoever takes some has a claim on the job, which then goes on
// until those are counted as done.
constexpr int kGrainBits = 24;
constexpr int64_t kMostGrains = (int64_t{1} << kGrainBits) - 1;

struct Range {
  uint32_t job;  // its number, 16 bits
  uint32_t begin, end;
};

constexpr uint64_t pack(const Range& r) {
  return uint64_t{r.job} << (2 * kGrainBits) | uint64_t{r.begin} << kGrainBits | r.end;
}

constexpr Range unpack(uint64_t bits) {
  return {static_cast<uint32_t>(bits >> (2 * kGrainBits)),
          static_cast<uint32_t>(bits >> kGrainBits & kMostGrains),
          static_cast<uint32_t>(bits & kMostGrains)};
}

// The parallel step under way. Only who has a claim reads what is not atomic.
struct alignas(64) Job {
  ThreadLease::Task task;
  void* context;
  int64_t items;
  int64_t grain;
  std::atomic<int64_t> grains;
  std::atomic<uint32_t> least;
  std::atomic<int> threads;
  std::atomic<bool> singly;
  alignas(64) std::atomic<int64_t> done;  // grains, by workers
};

struct alignas(64) Worker {
  std::atomic<uint64_t> range;  // a Range; a new number of the job wakes the worker
  std::atomic<int> parked;
  std::atomic<int> thread_id;  // for push_off
  std::atomic<int> cpu;        // it ran there last
  int pushes;                  // see separate(); touched by the holder of `busy` alone
  int index;
  uint32_t first_job;  // a starting worker waits for another one; set before its thread exists
  alignas(64) pthread_mutex_t mutex;
  pthread_cond_t wake;
};

// Plain static storage: no constructor runs, no destructor ends it under a worker.
Job job;
uint32_t job_number;          // touched by the holder of `busy` alone
Worker workers[kMaxThreads];  // [0] is the caller's place and has a range alone
std::atomic<int> busy;        // 1 while a lease holds the pool
std::atomic<int> leases;      // alive, of one thread included
std::atomic<uint32_t> fork_generation;
std::atomic<int> limit_for_tests;
std::atomic<bool> together_for_tests;
int worker_count;  // workers 1..worker_count exist; touched by the holder of `busy` alone
pthread_once_t fork_once = PTHREAD_ONCE_INIT;

int64_t now_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

// The first grain of a thread's share.
int64_t share_begin(int thread) {
  return job.grains.load(std::memory_order_relaxed) * thread /
         job.threads.load(std::memory_order_relaxed);
}

// Takes grains from the front of a thread's own share.
bool take(int thread, uint32_t number, Range* taken) {
  std::atomic<uint64_t>& range = workers[thread].range;
  uint64_t bits = range.load(std::memory_order_relaxed);
  Range rest;
  do {
    *taken = rest = unpack(bits);
    if (rest.job != number || rest.begin >= rest.end) return false;
    const uint32_t left = rest.end - rest.begin;
    rest.begin += job.singly.load(std::memory_order_relaxed) ? 1 : left - left / 4;
  } while (!range.compare_exchange_weak(bits, pack(rest), std::memory_order_acquire,
                                        std::memory_order_relaxed));
  taken->end = rest.begin;
  return true;
}

// Moves the back half of another thread's share into this thread's, which is empty. Needs a claim.
// Small rests are left to a thread that has begun; one that has not may never come.
bool steal(int thread, uint32_t number) {
  const int threads = job.threads.load(std::memory_order_relaxed);
  for (int i = 1; i < threads; ++i) {
    const int victim = thread + i < threads ? thread + i : thread + i - threads;
    std::atomic<uint64_t>& range = workers[victim].range;
    uint64_t bits = range.load(std::memory_order_relaxed);
    for (;;) {
      Range rest = unpack(bits);
      if (rest.job != number || rest.begin >= rest.end) break;
      const uint32_t left = rest.end - rest.begin;
      if (rest.begin != share_begin(victim)) {
        if (left < job.least.load(std::memory_order_relaxed)) break;
      } else if (together_for_tests.load(std::memory_order_relaxed)) {
        break;
      }
      const Range stolen = {number, rest.end - (left + 1) / 2, rest.end};
      rest.end = stolen.begin;
      if (!range.compare_exchange_weak(bits, pack(rest), std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        continue;
      }
      workers[thread].range.store(pack(stolen), std::memory_order_release);
      return true;
    }
  }
  return false;
}

// Works until nothing is left to take; returns how many grains it did.
int64_t work(int thread, uint32_t number) {
  int64_t done = 0;
  Range taken;
  do {
    while (take(thread, number, &taken)) {
      const int64_t end = taken.end * job.grain;
      job.task(job.context, thread, taken.begin * job.grain, end < job.items ? end : job.items);
      done += taken.end - taken.begin;
    }
  } while (done > 0 && steal(thread, number));
  return done;
}

// For tests: until every worker has begun.
void await_workers(int threads) {
  for (int i = 1; i < threads; ++i) {
    const uint32_t begin = static_cast<uint32_t>(share_begin(i));
    for (;;) {
      const Range rest = unpack(workers[i].range.load(std::memory_order_relaxed));
      if (rest.begin != begin || rest.begin == rest.end) break;
      sched_yield();
    }
  }
}

// Waits for the grains that workers have taken.
void await_done(int64_t grains) {
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (job.done.load(std::memory_order_acquire) == grains) return;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) sched_yield();  // more threads than CPUs
  }
}

void note_cpu(Worker* self) {
  const int cpu = current_cpu();
  if (self->cpu.load(std::memory_order_relaxed) != cpu)
    self->cpu.store(cpu, std::memory_order_relaxed);
}

uint32_t offered(const Worker& worker, std::memory_order order) {
  return unpack(worker.range.load(order)).job;
}

// Waits until the worker is offered another job than number `seen`; returns its number.
uint32_t wait_for_job(Worker* self, uint32_t seen) {
  note_cpu(self);
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      const uint32_t number = offered(*self, std::memory_order_relaxed);
      if (number != seen) return number;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) break;
  }
  pthread_mutex_lock(&self->mutex);
  // Sequentially consistent with offer_share: either it sees `parked`, or this sees the new job.
  // Exchanges: a store of aarch64 followed by a load may change places with it in an emulator.
  self->parked.exchange(1, std::memory_order_seq_cst);
  uint32_t number;
  while ((number = offered(*self, std::memory_order_seq_cst)) == seen) {
    pthread_cond_wait(&self->wake, &self->mutex);
  }
  self->parked.store(0, std::memory_order_relaxed);
  pthread_mutex_unlock(&self->mutex);
  note_cpu(self);
  return number;
}

void* worker_main(void* argument) {
  Worker* self = static_cast<Worker*>(argument);
  fp_env_set_default();
  self->thread_id.store(current_thread_id(), std::memory_order_relaxed);
  uint32_t number = self->first_job;
  for (;;) {
    number = wait_for_job(self, number);
    const int64_t done = work(self->index, number);
    if (done > 0) job.done.fetch_add(done, std::memory_order_release);
  }
  return nullptr;
}

// A system may wake a worker on the CPU of the thread that wakes it, where it then waits for that
// thread. A worker that was met on the caller's CPU is pushed off at once if it is awake, and
// whenever it is woken for some time.
void separate(Worker* worker, int here) {
  if (here < 0 || worker->cpu.load(std::memory_order_relaxed) != here) return;
  worker->pushes = kPushes;
  if (worker->parked.load(std::memory_order_relaxed) == 0)
    push_off(worker->thread_id.load(std::memory_order_relaxed), here);
}

void offer_share(Worker* worker, const Range& range) {
  worker->range.exchange(pack(range), std::memory_order_seq_cst);
  if (worker->parked.load(std::memory_order_seq_cst) == 0) return;
  // Once locked, the worker waits, or has seen the job.
  pthread_mutex_lock(&worker->mutex);
  pthread_mutex_unlock(&worker->mutex);
  pthread_cond_signal(&worker->wake);
  if (worker->pushes == 0) return;
  --worker->pushes;
  push_off(worker->thread_id.load(std::memory_order_relaxed), current_cpu());
}

// The child of a fork has none of the workers, and locks in whatever state they were.
void after_fork_in_child() {
  worker_count = 0;
  fork_generation.fetch_add(1, std::memory_order_relaxed);
  leases.store(0, std::memory_order_relaxed);
  busy.store(0, std::memory_order_release);
}

void register_fork_handler() { pthread_atfork(nullptr, nullptr, after_fork_in_child); }

// Grows the pool to `threads` with the caller; returns how many there are. The holder of `busy`
// calls it.
int grow(int threads) {
  pthread_once(&fork_once, register_fork_handler);
  while (worker_count < threads - 1) {
    Worker* worker = &workers[worker_count + 1];
    pthread_mutex_init(&worker->mutex, nullptr);
    pthread_cond_init(&worker->wake, nullptr);
    worker->parked.store(0, std::memory_order_relaxed);
    worker->thread_id.store(0, std::memory_order_relaxed);
    worker->cpu.store(-1, std::memory_order_relaxed);
    worker->pushes = 0;
    worker->index = worker_count + 1;
    worker->first_job = offered(*worker, std::memory_order_relaxed);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) break;
    pthread_attr_setstacksize(&attributes, kWorkerStack);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, saved;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    pthread_t thread;
    const int failed = pthread_create(&thread, &attributes, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &saved, nullptr);
    pthread_attr_destroy(&attributes);
    if (failed != 0) break;
    ++worker_count;
  }
  return worker_count + 1 < threads ? worker_count + 1 : threads;
}

int thread_limit() {
  const int test_limit = limit_for_tests.load(std::memory_order_relaxed);
  return test_limit > 0 ? test_limit : available_threads();
}

}  // namespace

int available_threads() {
  const int count = available_cpus();
  return count < kMaxThreads ? count : kMaxThreads;
}

void set_thread_limit_for_tests(int limit, bool together) {
  limit_for_tests.store(limit > kMaxThreads ? kMaxThreads : limit, std::memory_order_relaxed);
  together_for_tests.store(limit > 0 && together, std::memory_order_relaxed);
}

void prepare_threads(int threads) { ThreadLease lease(threads); }

ThreadLease::ThreadLease(int wanted) {
  generation_ = fork_generation.load(std::memory_order_relaxed);
  leases.fetch_add(1, std::memory_order_relaxed);
  if (wanted <= 1) return;
  limit_ = thread_limit();
  if (wanted > limit_) wanted = limit_;
  if (wanted <= 1 || busy.exchange(1, std::memory_order_acquire) != 0) return;
  threads_ = grow(wanted);
  if (threads_ == 1) busy.store(0, std::memory_order_release);
  const int here = current_cpu();
  for (int i = 1; i < threads_; ++i) separate(&workers[i], here);
}

ThreadLease::~ThreadLease() {
  if (generation_ != fork_generation.load(std::memory_order_relaxed)) return;
  leases.fetch_sub(1, std::memory_order_relaxed);
  if (threads_ > 1) busy.store(0, std::memory_order_release);
}

// Other runs have CPUs of their own: this one takes those that are left.
int ThreadLease::threads_now() const {
  const int left = limit_ - leases.load(std::memory_order_relaxed) + 1;
  return left < 1 ? 1 : left < threads_ ? left : threads_;
}

void ThreadLease::parallel_for(const Split& split, Task task, void* context) {
  if (split.items <= 0) return;
  if (threads_ > 1 && generation_ != fork_generation.load(std::memory_order_relaxed)) threads_ = 1;
  int64_t grain = split.grain, grains = (split.items + grain - 1) / grain;
  if (grains > kMostGrains) {
    grain = (split.items + kMostGrains - 1) / kMostGrains;
    grains = (split.items + grain - 1) / grain;
  }
  const int available = threads_ == 1 ? 1 : threads_now();
  const int threads = grains < available ? static_cast<int>(grains) : available;
  if (threads == 1) {
    task(context, 0, 0, split.items);
    return;
  }
  job.task = task;
  job.context = context;
  job.items = split.items;
  job.grain = grain;
  job.grains.store(grains, std::memory_order_relaxed);
  job.least.store(split.least, std::memory_order_relaxed);
  job.threads.store(threads, std::memory_order_relaxed);
  job.singly.store(split.singly, std::memory_order_relaxed);
  job.done.store(0, std::memory_order_relaxed);
  const uint32_t number = job_number = (job_number + 1) & 0xffff;
  for (int i = 0; i < threads; ++i) {
    const Range range = {number, static_cast<uint32_t>(share_begin(i)),
                         static_cast<uint32_t>(share_begin(i + 1))};
    if (i == 0) {
      workers[0].range.store(pack(range), std::memory_order_release);
    } else {
      offer_share(&workers[i], range);
    }
  }
  if (together_for_tests.load(std::memory_order_relaxed)) await_workers(threads);
  const int64_t done = work(0, number);
  await_done(grains - done);
}

void ThreadLease::parallel_for(int64_t items, Task task, void* context) {
  const int64_t grains = kGrainsPerThread * threads_;
  parallel_for({items, items > grains ? (items + grains - 1) / grains : 1}, task, context);
}

}  // namespace edgecv::runtime

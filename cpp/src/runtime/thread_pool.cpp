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
constexpr uint32_t kOpen = 1u << 31, kInside = 1, kEntered = 1u << 8;
constexpr int kPushes = 64;

// The parallel step under way. Workers go in through its gate while it is open, and read the rest
// inside; nobody waits for one that comes late.
struct alignas(64) Job {
  ThreadLease::Task task;
  void* context;
  int64_t items;
  int64_t grain;
  uint32_t least;
  bool singly;
  int threads;
  // kOpen, how many workers are inside (the low byte), and how often one has entered.
  alignas(64) std::atomic<uint32_t> gate;
};

// The grains that nobody has taken of a thread's share: from the low half of `range` up to the high
// half. The thread takes from the front, others from the back.
struct alignas(64) Share {
  std::atomic<uint64_t> range;
};

struct alignas(64) Worker {
  std::atomic<uint32_t> sequence;  // of jobs offered to this worker
  std::atomic<int> parked;
  std::atomic<int> thread_id;  // for push_off
  std::atomic<int> cpu;        // it ran there last
  int pushes;                  // see separate(); touched by the holder of `busy` alone
  uint32_t first_sequence;     // where a starting worker begins to wait; set before its thread is
  int index;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
};

// Plain static storage: no constructor runs, no destructor ends it under a worker.
Job job;
Share shares[kMaxThreads];
Worker workers[kMaxThreads];  // [0] is the caller's place and unused
std::atomic<int> busy;        // 1 while a lease holds the pool
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

constexpr uint64_t range_of(uint64_t begin, uint64_t end) { return begin | end << 32; }
uint32_t range_begin(uint64_t range) { return static_cast<uint32_t>(range); }
uint32_t range_end(uint64_t range) { return static_cast<uint32_t>(range >> 32); }

// Takes grains from the front of a thread's own share.
bool take(int thread, uint32_t* begin, uint32_t* end) {
  std::atomic<uint64_t>& range = shares[thread].range;
  uint64_t seen = range.load(std::memory_order_relaxed);
  do {
    const uint32_t left = range_end(seen) - range_begin(seen);
    if (left == 0) return false;
    *begin = range_begin(seen);
    *end = *begin + (job.singly ? 1 : (left + 1) / 2);
  } while (!range.compare_exchange_weak(seen, range_of(*end, range_end(seen)),
                                        std::memory_order_relaxed));
  return true;
}

// Moves the back half of another thread's share into this thread's, which is empty.
bool steal(int thread) {
  for (int i = 1; i < job.threads; ++i) {
    std::atomic<uint64_t>& range = shares[(thread + i) % job.threads].range;
    uint64_t seen = range.load(std::memory_order_relaxed);
    for (;;) {
      const uint32_t end = range_end(seen), left = end - range_begin(seen);
      if (left == 0 || left < job.least) break;
      const uint32_t middle = end - (left + 1) / 2;
      if (!range.compare_exchange_weak(seen, range_of(range_begin(seen), middle),
                                       std::memory_order_relaxed)) {
        continue;
      }
      shares[thread].range.store(range_of(middle, end), std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

void work(int thread) {
  do {
    uint32_t begin, end;
    while (take(thread, &begin, &end)) {
      const int64_t last = end * job.grain;
      job.task(job.context, thread, begin * job.grain, last < job.items ? last : job.items);
    }
  } while (steal(thread));
}

bool enter() {
  uint32_t seen = job.gate.load(std::memory_order_relaxed);
  while ((seen & kOpen) != 0) {
    if (job.gate.compare_exchange_weak(seen, seen + kInside + kEntered,
                                       std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

void leave() { job.gate.fetch_sub(kInside, std::memory_order_release); }

void await_workers(int count) {
  const uint32_t entered = kOpen + static_cast<uint32_t>(count) * kEntered;
  while (job.gate.load(std::memory_order_relaxed) < entered) sched_yield();
}

constexpr uint32_t inside(uint32_t gate) { return gate & (kEntered - 1); }

// Closes the gate and waits for the workers inside.
void finish() {
  if (inside(job.gate.fetch_and(~kOpen, std::memory_order_acquire)) == 0) return;
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (inside(job.gate.load(std::memory_order_acquire)) == 0) return;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) sched_yield();  // more threads than CPUs
  }
}

// Waits until the worker's sequence leaves `seen`; returns what it is then.
uint32_t wait_for_job(Worker* self, uint32_t seen) {
  self->cpu.store(current_cpu(), std::memory_order_relaxed);
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      const uint32_t now = self->sequence.load(std::memory_order_acquire);
      if (now != seen) return now;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) break;
  }
  pthread_mutex_lock(&self->mutex);
  // Sequentially consistent with offer_job: either it sees `parked`, or this sees its sequence.
  self->parked.store(1, std::memory_order_seq_cst);
  uint32_t now;
  while ((now = self->sequence.load(std::memory_order_seq_cst)) == seen) {
    pthread_cond_wait(&self->wake, &self->mutex);
  }
  self->parked.store(0, std::memory_order_relaxed);
  pthread_mutex_unlock(&self->mutex);
  self->cpu.store(current_cpu(), std::memory_order_relaxed);
  return now;
}

void* worker_main(void* argument) {
  Worker* self = static_cast<Worker*>(argument);
  fp_env_set_default();
  self->thread_id.store(current_thread_id(), std::memory_order_relaxed);
  uint32_t seen = self->first_sequence;
  for (;;) {
    seen = wait_for_job(self, seen);
    if (!enter()) continue;
    if (self->index < job.threads) work(self->index);  // else it is a later job, of fewer threads
    leave();
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

void offer_job(Worker* worker) {
  worker->sequence.fetch_add(1, std::memory_order_seq_cst);
  if (worker->parked.load(std::memory_order_seq_cst) == 0) return;
  // Once locked, the worker waits, or has seen its sequence.
  pthread_mutex_lock(&worker->mutex);
  worker->parked.store(0, std::memory_order_relaxed);
  pthread_mutex_unlock(&worker->mutex);
  pthread_cond_signal(&worker->wake);
  if (worker->pushes == 0) return;
  --worker->pushes;
  push_off(worker->thread_id.load(std::memory_order_relaxed), current_cpu());
}

// The child of a fork has none of the workers, and locks in whatever state they were.
void after_fork_in_child() {
  worker_count = 0;
  job.gate.store(0, std::memory_order_relaxed);
  fork_generation.fetch_add(1, std::memory_order_relaxed);
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
    worker->first_sequence = worker->sequence.load(std::memory_order_relaxed);
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
  if (wanted <= 1) return;
  const int limit = thread_limit();
  if (wanted > limit) wanted = limit;
  if (wanted <= 1 || busy.exchange(1, std::memory_order_acquire) != 0) return;
  threads_ = grow(wanted);
  generation_ = fork_generation.load(std::memory_order_relaxed);
  if (threads_ == 1) busy.store(0, std::memory_order_release);
  const int here = current_cpu();
  for (int i = 1; i < threads_; ++i) separate(&workers[i], here);
}

ThreadLease::~ThreadLease() {
  if (threads_ == 1 || generation_ != fork_generation.load(std::memory_order_relaxed)) return;
  busy.store(0, std::memory_order_release);
}

void ThreadLease::parallel_for(const Split& split, Task task, void* context) {
  if (split.items <= 0) return;
  if (threads_ > 1 && generation_ != fork_generation.load(std::memory_order_relaxed)) threads_ = 1;
  const int64_t grains = (split.items + split.grain - 1) / split.grain;
  if (threads_ == 1 || grains == 1) {
    task(context, 0, 0, split.items);
    return;
  }
  const int threads = grains < threads_ ? static_cast<int>(grains) : threads_;
  job.task = task;
  job.context = context;
  job.items = split.items;
  job.grain = split.grain;
  job.least = split.least;
  job.singly = split.singly;
  job.threads = threads;
  for (int i = 0; i < threads; ++i) {
    const uint64_t begin = static_cast<uint64_t>(grains * i / threads);
    const uint64_t end = static_cast<uint64_t>(grains * (i + 1) / threads);
    shares[i].range.store(range_of(begin, end), std::memory_order_relaxed);
  }
  job.gate.store(kOpen, std::memory_order_release);
  for (int i = 1; i < threads; ++i) offer_job(&workers[i]);
  if (together_for_tests.load(std::memory_order_relaxed)) await_workers(threads - 1);
  work(0);
  finish();
  if (job.least == 1) return;
  job.least = 1;  // now for the shares of workers that never came
  work(0);
}

void ThreadLease::parallel_for(int64_t items, Task task, void* context) {
  const int64_t grains = kGrainsPerThread * threads_;
  parallel_for({items, items > grains ? (items + grains - 1) / grains : 1}, task, context);
}

}  // namespace edgecv::runtime

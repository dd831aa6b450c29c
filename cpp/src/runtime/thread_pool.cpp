#include "runtime/thread_pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "base/fp_env.h"

namespace edgecv::runtime {
namespace {

constexpr int64_t kSpinNanoseconds = 50000;
constexpr int kPausesPerClock = 32;
constexpr int kChunksPerThread =
    4;  // ranges are taken one by one, so that a slow CPU holds nobody up
constexpr size_t kWorkerStack = size_t{1} << 20;

struct Job {
  ThreadLease::Task task;
  void* context;
  int64_t items;
  int64_t chunk;
  std::atomic<int64_t> next;
  std::atomic<int> pending;  // workers that have not finished
};

struct alignas(64) Worker {
  std::atomic<uint32_t> sequence;  // of jobs given to this worker
  std::atomic<int> parked;
  uint32_t done_sequence;  // where a starting worker begins to wait; set before its thread exists
  int index;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
};

// Plain static storage: no constructor runs, no destructor ends it under a worker.
Job job;
Worker workers[kMaxThreads];  // [0] is the caller's place and unused
std::atomic<int> busy;        // 1 while a lease holds the pool
std::atomic<uint32_t> fork_generation;
std::atomic<int> limit_for_tests;
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

void take_chunks(int thread) {
  for (;;) {
    const int64_t begin = job.next.fetch_add(job.chunk, std::memory_order_relaxed);
    if (begin >= job.items) return;
    const int64_t end = job.items - begin < job.chunk ? job.items : begin + job.chunk;
    job.task(job.context, thread, begin, end);
  }
}

// Waits until the worker's sequence leaves `seen`.
void wait_for_job(Worker* self, uint32_t seen) {
  int64_t deadline = 0;
  while (busy.load(std::memory_order_relaxed) != 0) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (self->sequence.load(std::memory_order_acquire) != seen) return;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) break;
  }
  pthread_mutex_lock(&self->mutex);
  // Sequentially consistent with give_job: either it sees `parked`, or this sees its sequence.
  self->parked.store(1, std::memory_order_seq_cst);
  while (self->sequence.load(std::memory_order_seq_cst) == seen) {
    pthread_cond_wait(&self->wake, &self->mutex);
  }
  self->parked.store(0, std::memory_order_relaxed);
  pthread_mutex_unlock(&self->mutex);
}

void* worker_main(void* argument) {
  Worker* self = static_cast<Worker*>(argument);
  fp_env_set_default();
  uint32_t seen = self->done_sequence;
  for (;;) {
    wait_for_job(self, seen);
    ++seen;
    take_chunks(self->index);
    job.pending.fetch_sub(1, std::memory_order_release);
  }
  return nullptr;
}

void give_job(Worker* worker) {
  worker->sequence.fetch_add(1, std::memory_order_seq_cst);
  if (worker->parked.load(std::memory_order_seq_cst) == 0) return;
  pthread_mutex_lock(&worker->mutex);
  pthread_cond_signal(&worker->wake);
  pthread_mutex_unlock(&worker->mutex);
}

// The child of a fork has none of the workers, and locks in whatever state they were.
void after_fork_in_child() {
  worker_count = 0;
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
    worker->index = worker_count + 1;
    worker->done_sequence = worker->sequence.load(std::memory_order_relaxed);
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

// Whole CPUs that the cgroup of a container grants, rounded up; 0: no limit, or unknown.
static int cpu_quota() {
#if defined(__linux__)
  const int fd = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[64];
  const ssize_t size = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  char* rest = nullptr;  // "QUOTA PERIOD" in us, or "max PERIOD"
  const long quota = strtol(text, &rest, 10);
  const long period = rest != text ? strtol(rest, nullptr, 10) : 0;
  if (quota > 0 && period > 0) return static_cast<int>((quota + period - 1) / period);
#endif
  return 0;
}

int available_threads() {
  int count = 0;
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) count = CPU_COUNT(&set);
#endif
  if (count <= 0) count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  const int quota = cpu_quota();
  if (quota > 0 && quota < count) count = quota;
  if (count <= 0) count = 1;
  return count < kMaxThreads ? count : kMaxThreads;
}

void set_thread_limit_for_tests(int limit) {
  limit_for_tests.store(limit > kMaxThreads ? kMaxThreads : limit, std::memory_order_relaxed);
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
}

ThreadLease::~ThreadLease() {
  if (threads_ == 1 || generation_ != fork_generation.load(std::memory_order_relaxed)) return;
  busy.store(0, std::memory_order_release);
}

void ThreadLease::parallel_for(int64_t items, Task task, void* context) {
  if (items <= 0) return;
  if (threads_ > 1 && generation_ != fork_generation.load(std::memory_order_relaxed)) threads_ = 1;
  if (threads_ == 1 || items == 1) {
    task(context, 0, 0, items);
    return;
  }
  const int threads = items < threads_ ? static_cast<int>(items) : threads_;
  const int64_t parts = static_cast<int64_t>(threads) * kChunksPerThread;
  job.task = task;
  job.context = context;
  job.items = items;
  job.chunk = (items + parts - 1) / parts;
  job.next.store(0, std::memory_order_relaxed);
  job.pending.store(threads - 1, std::memory_order_relaxed);
  for (int i = 1; i < threads; ++i) give_job(&workers[i]);
  take_chunks(0);
  int64_t deadline = 0;
  while (job.pending.load(std::memory_order_acquire) != 0) {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (job.pending.load(std::memory_order_acquire) == 0) return;
      pause_cpu();
    }
    const int64_t now = now_nanoseconds();
    if (deadline == 0) deadline = now + kSpinNanoseconds;
    if (now >= deadline) sched_yield();  // more threads than CPUs
  }
}

}  // namespace edgecv::runtime

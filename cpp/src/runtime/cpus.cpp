#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "runtime/cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <atomic>

namespace edgecv::runtime {
namespace {

// Whole CPUs that the cgroup of a container grants, rounded up; 0: no limit, or unknown.
int read_quota() {
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

// Read once: every run asks.
int cpu_quota() {
  static std::atomic<int> known{-1};
  int quota = known.load(std::memory_order_relaxed);
  if (quota < 0) {
    quota = read_quota();
    known.store(quota, std::memory_order_relaxed);
  }
  return quota;
}

}  // namespace

int available_cpus() {
  int count = 0;
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) count = CPU_COUNT(&set);
#endif
  if (count <= 0) count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  const int quota = cpu_quota();
  if (quota > 0 && quota < count) count = quota;
  return count < 1 ? 1 : count;
}

int current_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

int current_thread_id() {
#if defined(__linux__)
  return static_cast<int>(syscall(SYS_gettid));
#else
  return 0;
#endif
}

void push_off(int thread_id, int cpu) {
#if defined(__linux__)
  cpu_set_t set, others;
  CPU_ZERO(&set);
  if (thread_id <= 0 || cpu < 0 || cpu >= CPU_SETSIZE) return;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return;
  others = set;
  CPU_CLR(static_cast<size_t>(cpu), &others);
  if (CPU_COUNT(&others) == 0) return;
  if (sched_setaffinity(thread_id, sizeof(others), &others) != 0) return;
  sched_setaffinity(thread_id, sizeof(set), &set);
#else
  (void)thread_id;
  (void)cpu;
#endif
}

}  // namespace edgecv::runtime

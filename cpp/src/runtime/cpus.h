// The CPUs of this process, and where its threads run.
#ifndef EDGECV_RUNTIME_CPUS_H_
#define EDGECV_RUNTIME_CPUS_H_

namespace edgecv::runtime {

// How many CPUs the calling thread may use now: its affinity mask, and what its cgroup grants. At
// least 1.
int available_cpus();

// The CPU that the calling thread runs on; -1: unknown.
int current_cpu();

// What the system calls the calling thread, for push_off; 0: unknown.
int current_thread_id();

// Moves another thread of the process off `cpu`, if it is there and the calling thread may use
// others. It may return: its mask becomes that of the calling thread.
void push_off(int thread_id, int cpu);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_CPUS_H_

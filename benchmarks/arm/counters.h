// What the plugin (plugin.c) tells the emulated program: a system call that no kernel knows.
#ifndef EDGECV_BENCHMARKS_ARM_COUNTERS_H_
#define EDGECV_BENCHMARKS_ARM_COUNTERS_H_

#include <stdint.h>

// syscall(EDGECV_COUNTERS, EDGECV_READ, struct counters*) fills the struct and returns an error, as
// the emulator does for every number it does not know: clear the struct first to see that a plugin
// is there.
#define EDGECV_COUNTERS 4242
#define EDGECV_READ 1
#define EDGECV_BLOCKS_BEGIN 2  // from here on executions of blocks count for the plugin's file
#define EDGECV_BLOCKS_END 3

struct counters {
  uint64_t instructions;
  uint64_t accesses;  // to memory, with a cache model alone
  uint64_t l1_misses;
  uint64_t l2_misses;
};

#endif  // EDGECV_BENCHMARKS_ARM_COUNTERS_H_

// A plugin of qemu-user (TCG plugins, API versions 0 to 1: QEMU 5 to 8.1): counts the instructions
// of the emulated program exactly, models its data caches, and counts how often each block runs.
//
//   cc -O2 -shared -fPIC -o plugin.so plugin.c
//   qemu-aarch64 -plugin ./plugin.so,l1=32768:4,l2=524288:16,blocks=FILE PROGRAM
//
// The program reads the counters by a system call (counters.h). One thread of it may do work.
// Without l1= and l2= no cache is modelled, which is some ten times faster. The file gets a line
// "address instructions executions" for each block run between the calls that begin and end it.
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"

// The functions of the emulator used here. It loads plugins that declare a version it knows.
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef uint64_t plugin_id;
typedef uint32_t memory_info;
enum { kAddU64 = 0, kNoRegisters = 0, kReadsAndWrites = 3 };
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id,
                                                  void (*)(plugin_id, struct qemu_plugin_tb*));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int operation,
                                                     void* counter, uint64_t immediate);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn*,
                                             void (*)(unsigned, memory_info, uint64_t, void*),
                                             int flags, int which, void* data);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id,
                                                 void (*)(plugin_id, unsigned, int64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn*);
extern void* qemu_plugin_insn_haddr(const struct qemu_plugin_insn*);
extern unsigned qemu_plugin_mem_size_shift(memory_info);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

// ---- blocks: translated again, one counts on where it was

struct block {
  uint64_t address, count, at_begin, wanted;
  size_t instructions;
  struct block* next;
};

enum { kBuckets = 1 << 16 };
static struct block* buckets[kBuckets];
static const char* blocks_path;
static ptrdiff_t host_offset;  // of the program's memory in this process
static bool host_known;

static struct block* find_block(uint64_t address, size_t instructions) {
  struct block** list = &buckets[(address >> 2) % kBuckets];
  for (struct block* b = *list; b != NULL; b = b->next) {
    if (b->address == address && b->instructions == instructions) return b;
  }
  struct block* b = calloc(1, sizeof(*b));
  if (b == NULL) abort();
  b->address = address;
  b->instructions = instructions;
  b->next = *list;
  *list = b;
  return b;
}

#define FOR_EACH_BLOCK(b)                  \
  for (size_t i_ = 0; i_ < kBuckets; ++i_) \
    for (struct block* b = buckets[i_]; b != NULL; b = b->next)

static uint64_t instructions(void) {
  uint64_t sum = 0;
  FOR_EACH_BLOCK(b) sum += b->count * b->instructions;
  return sum;
}

static void begin_blocks(void) { FOR_EACH_BLOCK(b) b->at_begin = b->count; }

static void end_blocks(void) {
  FILE* file = blocks_path != NULL ? fopen(blocks_path, "w") : NULL;
  if (file == NULL) return;
  FOR_EACH_BLOCK(b) {
    const uint64_t runs = b->count - b->at_begin;
    if (runs != 0)
      fprintf(file, "%llx %zu %llu\n", (unsigned long long)b->address, b->instructions,
              (unsigned long long)runs);
  }
  fclose(file);
}

// ---- data caches: sets of ways in the order of their last use, 64 bytes a line, by the program's
// own (virtual) addresses; writes allocate; nothing is fetched ahead

enum { kLineShift = 6 };
struct cache {
  uint64_t sets, ways, misses;
  uint64_t* tags;  // [set][way], the last used first; 0: empty
};
static struct cache l1, l2;
static uint64_t accesses;

static bool parse_cache(struct cache* cache, const char* text) {
  char* end;
  const uint64_t bytes = strtoull(text, &end, 10);
  if (*end != ':') return false;
  cache->ways = strtoull(end + 1, &end, 10);
  if (*end != '\0' || cache->ways == 0) return false;
  cache->sets = bytes / cache->ways >> kLineShift;
  if (cache->sets == 0) return false;
  cache->tags = calloc(cache->sets * cache->ways, sizeof(uint64_t));
  return cache->tags != NULL;
}

static bool hit(struct cache* cache, uint64_t line) {
  uint64_t* way = cache->tags + line % cache->sets * cache->ways;
  const uint64_t tag = line + 1;
  uint64_t before = tag;
  for (uint64_t i = 0; i < cache->ways; ++i) {
    const uint64_t here = way[i];
    way[i] = before;
    if (here == tag) return true;
    before = here;
  }
  ++cache->misses;
  return false;
}

static void on_access(unsigned cpu, memory_info info, uint64_t address, void* data) {
  (void)cpu, (void)data;
  ++accesses;
  const uint64_t last = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) >> kLineShift;
  for (uint64_t line = address >> kLineShift; line <= last; ++line) {
    if (!hit(&l1, line)) hit(&l2, line);
  }
}

// ---- the emulator's calls

static void on_translation(plugin_id id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(tb);
  struct block* b = find_block(qemu_plugin_tb_vaddr(tb), count);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, kAddU64, &b->count, 1);
  if (!host_known) {
    const struct qemu_plugin_insn* first = qemu_plugin_tb_get_insn(tb, 0);
    host_offset =
        (ptrdiff_t)qemu_plugin_insn_haddr(first) - (ptrdiff_t)qemu_plugin_insn_vaddr(first);
    host_known = true;
  }
  if (l1.tags == NULL) return;
  for (size_t i = 0; i < count; ++i)
    qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access, kNoRegisters,
                                     kReadsAndWrites, NULL);
}

static void on_system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t command,
                           uint64_t address, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                           uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != EDGECV_COUNTERS) return;
  if (command == EDGECV_READ) {
    const struct counters now = {instructions(), accesses, l1.misses, l2.misses};
    memcpy((char*)(ptrdiff_t)address + host_offset, &now, sizeof(now));
  } else if (command == EDGECV_BLOCKS_BEGIN) {
    begin_blocks();
  } else if (command == EDGECV_BLOCKS_END) {
    end_blocks();
  }
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    const bool good = strncmp(argv[i], "l1=", 3) == 0   ? parse_cache(&l1, argv[i] + 3)
                      : strncmp(argv[i], "l2=", 3) == 0 ? parse_cache(&l2, argv[i] + 3)
                                                        : strncmp(argv[i], "blocks=", 7) == 0;
    if (!good) {
      fprintf(stderr, "plugin: cannot read '%s'\n", argv[i]);
      return 1;
    }
    if (argv[i][0] == 'b') blocks_path = strdup(argv[i] + 7);
  }
  if ((l1.tags == NULL) != (l2.tags == NULL)) {
    fprintf(stderr, "plugin: give both caches or none\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
  return 0;
}

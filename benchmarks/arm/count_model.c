// Runs a model under the plugin (plugin.c) and prints what one inference takes, as lines of words
// between tabs:
//   total INSTRUCTIONS ACCESSES L1_MISSES L2_MISSES MACS ISA
//   step INSTRUCTIONS MACS KERNEL OP NODE SHAPES
//
//   count_model MODEL
#include <edgecv/edgecv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"

static struct counters now(void) {
  struct counters c;
  memset(&c, 0, sizeof(c));
  syscall(EDGECV_COUNTERS, EDGECV_READ, &c);
  return c;
}

// The library's clock, when it times its steps: a nanosecond is an instruction.
int clock_gettime(clockid_t clock, struct timespec* t) {
  (void)clock;
  const uint64_t count = now().instructions;
  t->tv_sec = (time_t)(count / 1000000000u);
  t->tv_nsec = (long)(count % 1000000000u);
  return 0;
}

static void check(edgecv_status status, const edgecv_error* error) {
  if (status == EDGECV_STATUS_OK) return;
  fprintf(stderr, "count_model: %s\n", error->text);
  exit(2);
}

static void print_shape(const edgecv_model* model, uint32_t tensor) {
  edgecv_tensor_info info;
  info.size = sizeof(info);
  if (edgecv_model_tensor(model, tensor, &info, NULL) != EDGECV_STATUS_OK) return;
  for (int i = 0; i < info.rank; ++i) printf(i == 0 ? "%d" : "x%d", info.dims[i]);
  printf(" ");
}

static void print_step(const edgecv_model* model, uint32_t index, uint64_t count) {
  edgecv_error error;
  edgecv_step_info step;
  step.size = sizeof(step);
  check(edgecv_model_step(model, index, &step, &error), &error);
  edgecv_op_info op;
  op.size = sizeof(op);
  check(edgecv_model_op(model, step.op, &op, &error), &error);
  printf("step\t%llu\t%llu\t%s\t%s\t%s\t", (unsigned long long)count, (unsigned long long)step.macs,
         step.kernel, op.code, op.name[0] != '\0' ? op.name : "-");
  uint32_t input;
  for (uint32_t i = 0; i < 2 && i < op.input_count; ++i) {
    if (edgecv_model_op_input(model, step.op, i, &input, NULL) == EDGECV_STATUS_OK)
      print_shape(model, input);
  }
  printf("-> ");
  print_shape(model, op.output);
  printf("\n");
}

int main(int argc, char** argv) {
  if (argc != 2 || now().instructions == 0) {
    fprintf(stderr, "usage: count_model MODEL, under the plugin\n");
    return 2;
  }
  edgecv_load_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.threads = 1;
  edgecv_model* model;
  edgecv_session* session;
  edgecv_error error;
  check(edgecv_model_load(argv[1], &options, &model, &error), &error);
  check(edgecv_session_create(model, &session, &error), &error);
  edgecv_model_info info;
  info.size = sizeof(info);
  check(edgecv_model_get_info(model, &info, &error), &error);
  uint64_t* times = calloc(info.step_count, sizeof(uint64_t));

  // The first run meets cold caches; the second is counted; the third is divided among its steps.
  for (int run = 0; run < 3; ++run) {
    for (uint32_t i = 0; i < info.input_count; ++i) {
      void* data;
      size_t bytes;
      check(edgecv_session_map_input(session, i, &data, &bytes, &error), &error);
      for (size_t k = 0; k < bytes; ++k)
        ((unsigned char*)data)[k] = (unsigned char)(k * 2654435761u >> 13);
    }
    if (run == 2) check(edgecv_session_set_timing(session, 1, &error), &error);
    if (run == 1) syscall(EDGECV_COUNTERS, EDGECV_BLOCKS_BEGIN);
    const struct counters before = now();
    check(edgecv_session_run(session, &error), &error);
    const struct counters after = now();
    if (run != 1) continue;
    syscall(EDGECV_COUNTERS, EDGECV_BLOCKS_END);
    printf("total\t%llu\t%llu\t%llu\t%llu\t%llu\t%s\n",
           (unsigned long long)(after.instructions - before.instructions),
           (unsigned long long)(after.accesses - before.accesses),
           (unsigned long long)(after.l1_misses - before.l1_misses),
           (unsigned long long)(after.l2_misses - before.l2_misses), (unsigned long long)info.macs,
           info.isa);
  }
  check(edgecv_session_step_times(session, times, info.step_count, &error), &error);
  for (uint32_t i = 0; i < info.step_count; ++i) print_step(model, i, times[i]);
  free(times);
  edgecv_session_destroy(session);
  edgecv_model_destroy(model);
  return 0;
}

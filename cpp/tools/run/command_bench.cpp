// edgecv-run bench: latency of whole runs, and the least time of every kernel call.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "options.h"

namespace edgecv_run {
namespace {

double now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

int compare(const void* a, const void* b) {
  const double x = *static_cast<const double*>(a);
  const double y = *static_cast<const double*>(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

// Of sorted times; nearest rank.
double percentile(const double* sorted, int count, int percent) {
  int rank = (count * percent + 99) / 100;
  if (rank < 1) rank = 1;
  return sorted[rank - 1];
}

// Made-up values, the same in every run: a run reuses the memory of its inputs.
bool fill_inputs(const edgecv_model* model, edgecv_session* session, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    edgecv_port_info port;
    port.size = sizeof(port);
    void* data = nullptr;
    size_t bytes = 0;
    edgecv_error error;
    if (edgecv_model_input(model, i, &port, &error) != EDGECV_STATUS_OK ||
        edgecv_session_map_input(session, i, &data, &bytes, &error) != EDGECV_STATUS_OK) {
      complain("input", error);
      return false;
    }
    uint32_t state = 1;
    for (uint64_t k = 0; k < port.elements; ++k) {
      state = state * 1664525u + 1013904223u;
      const int value = static_cast<int>(state >> 24) - 128;
      if (port.dtype == EDGECV_DTYPE_S8) static_cast<int8_t*>(data)[k] = static_cast<int8_t>(value);
      if (port.dtype == EDGECV_DTYPE_S32) static_cast<int32_t*>(data)[k] = value & 1;
      if (port.dtype == EDGECV_DTYPE_F32)
        static_cast<float*>(data)[k] = static_cast<float>(value) / 64.0f;
    }
  }
  return true;
}

void print_layers(const edgecv_model* model, const uint64_t* least, uint32_t steps) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < steps; ++i) total += least[i];
  printf("%4s %-32s %-34s %9s %6s %8s\n", "step", "node", "kernel", "us", "%", "GMAC/s");
  for (uint32_t i = 0; i < steps; ++i) {
    edgecv_step_info step;
    step.size = sizeof(step);
    edgecv_op_info op;
    op.size = sizeof(op);
    if (edgecv_model_step(model, i, &step, nullptr) != EDGECV_STATUS_OK ||
        edgecv_model_op(model, step.op, &op, nullptr) != EDGECV_STATUS_OK)
      continue;
    const double ns = static_cast<double>(least[i]);
    printf("%4u %-32.32s %-34s %9.1f %6.1f ", i, op.name, step.kernel, ns * 1e-3,
           total == 0 ? 0.0 : 100.0 * ns / static_cast<double>(total));
    if (step.macs != 0 && least[i] != 0) printf("%8.1f", static_cast<double>(step.macs) / ns);
    printf("\n");
  }
}

struct Bench {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  double* times = nullptr;
  uint64_t* least = nullptr;
  uint64_t* last = nullptr;
  ~Bench() {
    free(times);
    free(least);
    free(last);
    edgecv_session_destroy(session);
    edgecv_model_destroy(model);
  }
};

// Runs once; the run alone is timed.
bool run_once(Bench* bench, const edgecv_model_info& info, double* ms) {
  if (!fill_inputs(bench->model, bench->session, info.input_count)) return false;
  edgecv_error error;
  const double start = now_ms();
  if (edgecv_session_run(bench->session, &error) != EDGECV_STATUS_OK) {
    complain("run", error);
    return false;
  }
  *ms = now_ms() - start;
  return true;
}

}  // namespace

int command_bench(const Options& options) {
  Bench bench;
  edgecv_error error;
  double start = now_ms();
  bench.model = load(options);
  if (bench.model == nullptr) return kExitError;
  edgecv_model_info info;
  info.size = sizeof(info);
  if (edgecv_model_get_info(bench.model, &info, &error) != EDGECV_STATUS_OK ||
      edgecv_session_create(bench.model, &bench.session, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  const double load_ms = now_ms() - start;
  const size_t steps = info.step_count;
  bench.times = static_cast<double*>(calloc(static_cast<size_t>(options.runs), sizeof(double)));
  bench.least = static_cast<uint64_t*>(calloc(steps + 1, sizeof(uint64_t)));
  bench.last = static_cast<uint64_t*>(calloc(steps + 1, sizeof(uint64_t)));
  if (bench.times == nullptr || bench.least == nullptr || bench.last == nullptr)
    return complain("no memory for %d times", options.runs);

  double ms = 0;
  for (int i = 0; i < options.warmup; ++i) {
    if (!run_once(&bench, info, &ms)) return kExitError;
  }
  for (int i = 0; i < options.runs; ++i) {
    if (options.think_ms > 0) {
      const timespec pause = {options.think_ms / 1000, options.think_ms % 1000 * 1000000L};
      nanosleep(&pause, nullptr);
    }
    if (!run_once(&bench, info, &bench.times[i])) return kExitError;
  }
  qsort(bench.times, static_cast<size_t>(options.runs), sizeof(double), compare);
  printf("load %.2f ms, %d thread(s), %s, %.1f MMAC, %d runs\n", load_ms, info.threads, info.isa,
         static_cast<double>(info.macs) * 1e-6, options.runs);
  printf("min %.3f  p50 %.3f  p95 %.3f  p99 %.3f ms\n", bench.times[0],
         percentile(bench.times, options.runs, 50), percentile(bench.times, options.runs, 95),
         percentile(bench.times, options.runs, 99));
  if (!options.layers || steps == 0) return kExitGood;

  // Timing every step costs a little: runs of their own.
  if (edgecv_session_set_timing(bench.session, 1, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  for (int i = 0; i < options.runs; ++i) {
    if (!run_once(&bench, info, &ms)) return kExitError;
    if (edgecv_session_step_times(bench.session, bench.last, steps, &error) != EDGECV_STATUS_OK)
      return complain(options.model, error);
    for (size_t k = 0; k < steps; ++k) {
      if (i == 0 || bench.last[k] < bench.least[k]) bench.least[k] = bench.last[k];
    }
  }
  print_layers(bench.model, bench.least, info.step_count);
  return kExitGood;
}

}  // namespace edgecv_run

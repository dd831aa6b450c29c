// edgecv-run info and verify.
#include <stdio.h>
#include <string.h>

#include "options.h"

namespace edgecv_run {
namespace {

const char* dtype_name(edgecv_dtype dtype) {
  return dtype == EDGECV_DTYPE_F32 ? "float32" : dtype == EDGECV_DTYPE_S8 ? "int8" : "int32";
}

void print_port(const char* role, const edgecv_port_info& port) {
  printf("%-14s %s  ", role, port.name);
  for (int i = 0; i < port.rank; ++i) printf(i == 0 ? "%d" : "x%d", port.dims[i]);
  printf("  %s", dtype_name(port.dtype));
  if (port.dtype == EDGECV_DTYPE_S8)
    printf("  scale %.9g  zero point %d", static_cast<double>(port.scale), port.zero_point);
  if (port.preprocess >= 0) printf("  takes pictures");
  printf("\n");
}

void print_machine() {
  char cpu[128];
  edgecv_cpu_name(cpu, sizeof(cpu));
  printf("edgecv         %s\ncpu            %s\nthreads        %d\nisa           ",
         edgecv_version(), cpu, edgecv_available_threads());
  for (uint32_t i = 0;; ++i) {
    int32_t usable = 0;
    const char* name = edgecv_isa_name(i, &usable);
    if (name == nullptr) break;
    if (usable != 0) printf(" %s", name);
  }
  uint32_t usable_kernels = 0;
  for (uint32_t i = 0; i < edgecv_kernel_count(); ++i) {
    edgecv_kernel_info kernel;
    kernel.size = sizeof(kernel);
    if (edgecv_kernel_at(i, &kernel, nullptr) == EDGECV_STATUS_OK && kernel.usable != 0)
      ++usable_kernels;
  }
  printf("\nkernels        %u, %u of them usable here\n", edgecv_kernel_count(), usable_kernels);
}

// How many steps take each kernel, in the order in which they come first.
void print_kernels(const edgecv_model* model, uint32_t steps) {
  for (uint32_t i = 0; i < steps; ++i) {
    edgecv_step_info step;
    step.size = sizeof(step);
    if (edgecv_model_step(model, i, &step, nullptr) != EDGECV_STATUS_OK) continue;
    uint32_t count = 0;
    bool first = true;
    for (uint32_t k = 0; k < steps && first; ++k) {
      edgecv_step_info other;
      other.size = sizeof(other);
      if (edgecv_model_step(model, k, &other, nullptr) != EDGECV_STATUS_OK) continue;
      if (strcmp(other.kernel, step.kernel) != 0) continue;
      if (k < i) first = false;
      ++count;
    }
    if (first) printf("%5u x        %s\n", count, step.kernel);
  }
}

int print_model(const Options& options, const edgecv_model* model) {
  edgecv_model_info info;
  info.size = sizeof(info);
  edgecv_error error;
  if (edgecv_model_get_info(model, &info, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  const char* name = edgecv_model_meta(model, "name", nullptr);
  if (name != nullptr) printf("name           %s\n", name);
  for (uint32_t i = 0; i < info.input_count + info.output_count; ++i) {
    edgecv_port_info port;
    port.size = sizeof(port);
    const bool input = i < info.input_count;
    const edgecv_status status =
        input ? edgecv_model_input(model, i, &port, &error)
              : edgecv_model_output(model, i - info.input_count, &port, &error);
    if (status != EDGECV_STATUS_OK) return complain(options.model, error);
    print_port(input ? "input" : "output", port);
  }
  printf("file           %llu bytes, format %u.%u, %u golden input(s)\n",
         static_cast<unsigned long long>(info.file_bytes), info.version_major, info.version_minor,
         info.golden_count);
  printf("memory         activations %llu, scratch %llu, packed weights %llu bytes\n",
         static_cast<unsigned long long>(info.arena_bytes),
         static_cast<unsigned long long>(info.scratch_bytes),
         static_cast<unsigned long long>(info.packed_bytes));
  printf("plan           %.1f MMAC in %u steps, %u chain(s), for %s and %d thread(s)\n",
         static_cast<double>(info.macs) * 1e-6, info.step_count, info.chain_count, info.isa,
         info.threads);
  print_kernels(model, info.step_count);
  return kExitGood;
}

}  // namespace

int command_info(const Options& options) {
  if (options.model == nullptr) {
    print_machine();
    return kExitGood;
  }
  edgecv_model* model = load(options);
  if (model == nullptr) return kExitError;
  const int code = print_model(options, model);
  edgecv_model_destroy(model);
  return code;
}

int command_verify(const Options& options) {
  edgecv_model* model = load(options);
  if (model == nullptr) return kExitError;
  edgecv_verify_report report;
  memset(&report, 0, sizeof(report));
  report.size = sizeof(report);
  edgecv_error error;
  const edgecv_status status = edgecv_model_verify(model, &report, &error);
  int code = kExitGood;
  if (status == EDGECV_STATUS_OK && report.goldens == 0) {
    printf("PASS: the file holds no golden inputs, so nothing was compared\n");
  } else if (status == EDGECV_STATUS_OK) {
    printf("PASS: %u golden input(s), %u digests\n", report.goldens, report.digests);
  } else if (status == EDGECV_STATUS_VERIFY_FAILED) {
    printf("FAIL: %s\n", report.text);
    code = kExitFailed;
  } else {
    code = complain(options.model, error);
  }
  edgecv_model_destroy(model);
  return code;
}

}  // namespace edgecv_run

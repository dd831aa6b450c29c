// edgecv-run run: fill the inputs from files, run once, print or save the outputs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "options.h"

namespace edgecv_run {
namespace {

double now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

// Everything a run holds; released in one place.
struct Run {
  edgecv_model* model = nullptr;
  edgecv_session* session = nullptr;
  FileData file;
  uint8_t* pixels = nullptr;
  void* values = nullptr;
  ~Run() {
    free(values);
    free(pixels);
    free_file(&file);
    edgecv_session_destroy(session);
    edgecv_model_destroy(model);
  }
};

bool set_picture(Run* run, const char* path, uint32_t index) {
  const FileData& file = run->file;
  const uint8_t* pixels = file.data;
  const size_t count = static_cast<size_t>(file.width) * static_cast<size_t>(file.height);
  if (file.channels == 1) {  // grey: the same in R, G and B
    free(run->pixels);
    run->pixels = static_cast<uint8_t*>(malloc(3 * count));
    if (run->pixels == nullptr) {
      complain("%s: no memory for it", path);
      return false;
    }
    for (size_t i = 0; i < count; ++i) memset(run->pixels + 3 * i, pixels[i], 3);
    pixels = run->pixels;
  }
  const edgecv_image image = {sizeof(image), pixels, file.width, file.height,
                              3 * static_cast<size_t>(file.width)};
  edgecv_error error;
  if (edgecv_session_set_image(run->session, index, 0, &image, &error) != EDGECV_STATUS_OK) {
    complain(path, error);
    return false;
  }
  return true;
}

bool shape_fits(const char* path, const FileData& file, const edgecv_port_info& port) {
  bool same = file.rank == port.rank;
  for (int i = 0; same && i < port.rank; ++i) same = file.dims[i] == port.dims[i];
  if (same) return true;
  char text[160] = "";
  size_t used = 0;
  for (int i = 0; i < port.rank; ++i)
    used += static_cast<size_t>(
        snprintf(text + used, sizeof(text) - used, i == 0 ? "%d" : "x%d", port.dims[i]));
  complain("%s: input '%s' has the shape %s, the array has another", path, port.name, text);
  return false;
}

bool set_input(Run* run, const char* path, uint32_t index) {
  edgecv_port_info port;
  port.size = sizeof(port);
  edgecv_error error;
  if (edgecv_model_input(run->model, index, &port, &error) != EDGECV_STATUS_OK) {
    complain(path, error);
    return false;
  }
  free_file(&run->file);
  if (!read_file(path, &run->file)) return false;
  const FileData& file = run->file;
  edgecv_dtype dtype = EDGECV_DTYPE_F32;
  switch (file.kind) {
    case Kind::kPicture:
      return set_picture(run, path, index);
    case Kind::kRaw:  // float32 where the size allows it, else what the file stores
      if (port.dtype != EDGECV_DTYPE_S8 || file.data_bytes == port.elements) dtype = port.dtype;
      break;
    case Kind::kF32:
      dtype = EDGECV_DTYPE_F32;
      break;
    case Kind::kS8:
      dtype = EDGECV_DTYPE_S8;
      break;
    case Kind::kS32:
      dtype = EDGECV_DTYPE_S32;
      break;
  }
  if (file.kind != Kind::kRaw && !shape_fits(path, file, port)) return false;
  void* aligned = malloc(file.data_bytes == 0 ? 1 : file.data_bytes);
  if (aligned == nullptr) {
    complain("%s: no memory for it", path);
    return false;
  }
  memcpy(aligned, file.data, file.data_bytes);
  const edgecv_status status = edgecv_session_set_input(
      run->session, index, aligned, file.data_bytes, dtype, EDGECV_LAYOUT_API, &error);
  free(aligned);
  if (status != EDGECV_STATUS_OK) complain(path, error);
  return status == EDGECV_STATUS_OK;
}

// The start of line n of `labels`, or null.
const char* label(const char* labels, uint64_t n) {
  for (; labels != nullptr && n > 0; --n) {
    labels = strchr(labels, '\n');
    if (labels != nullptr) ++labels;
  }
  return labels;
}

void print_top(const edgecv_model* model, float* scores, uint64_t count, int top) {
  const char* labels = edgecv_model_meta(model, "labels", nullptr);
  uint64_t previous = count;
  for (int place = 0; place < top && static_cast<uint64_t>(place) < count; ++place) {
    // The next in the order of falling score, then rising index.
    uint64_t best = count;
    for (uint64_t i = 0; i < count; ++i) {
      const bool after = previous == count || scores[i] < scores[previous] ||
                         (scores[i] == scores[previous] && i > previous);
      if (after && (best == count || scores[i] > scores[best])) best = i;
    }
    if (best == count) break;  // what is left is NaN
    const char* name = label(labels, best);
    if (name != nullptr) {
      printf("%9.4f  %.*s\n", static_cast<double>(scores[best]),
             static_cast<int>(strcspn(name, "\n")), name);
    } else {
      printf("%9.4f  class %llu\n", static_cast<double>(scores[best]),
             static_cast<unsigned long long>(best));
    }
    previous = best;
  }
}

void print_summary(const edgecv_port_info& port, const void* values) {
  double low = 0, high = 0, sum = 0;
  for (uint64_t i = 0; i < port.elements; ++i) {
    const double v = port.dtype == EDGECV_DTYPE_S32
                         ? static_cast<double>(static_cast<const int32_t*>(values)[i])
                         : static_cast<double>(static_cast<const float*>(values)[i]);
    low = i == 0 || v < low ? v : low;
    high = i == 0 || v > high ? v : high;
    sum += v;
  }
  printf("%s  ", port.name);
  for (int d = 0; d < port.rank; ++d) printf(d == 0 ? "%d" : "x%d", port.dims[d]);
  printf("  min %.6g  max %.6g  mean %.6g\n", low, high, sum / static_cast<double>(port.elements));
}

int give_output(Run* run, const Options& options, uint32_t index, bool only) {
  edgecv_port_info port;
  port.size = sizeof(port);
  edgecv_error error;
  if (edgecv_model_output(run->model, index, &port, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  const edgecv_dtype dtype = port.dtype == EDGECV_DTYPE_S32 ? EDGECV_DTYPE_S32 : EDGECV_DTYPE_F32;
  const size_t bytes = port.elements * 4;
  free(run->values);
  run->values = malloc(bytes);
  if (run->values == nullptr) return complain("no memory for output '%s'", port.name);
  if (edgecv_session_get_output(run->session, index, run->values, bytes, dtype, EDGECV_LAYOUT_API,
                                &error) != EDGECV_STATUS_OK)
    return complain(port.name, error);
  if (options.save != nullptr) {
    char path[4096];
    const int length = snprintf(path, sizeof(path), "%s%u.npy", options.save, index);
    if (length < 0 || static_cast<size_t>(length) >= sizeof(path))
      return complain("--save: the prefix is too long");
    if (!write_npy(path, dtype, port.dims, port.rank, run->values, bytes)) return kExitError;
  }
  const bool scores = only && dtype == EDGECV_DTYPE_F32 && port.rank > 0 &&
                      port.elements == static_cast<uint64_t>(port.dims[port.rank - 1]);
  if (scores) {
    print_top(run->model, static_cast<float*>(run->values), port.elements, options.top);
  } else {
    print_summary(port, run->values);
  }
  return kExitGood;
}

}  // namespace

int command_run(const Options& options) {
  Run run;
  run.model = load(options);
  if (run.model == nullptr) return kExitError;
  edgecv_model_info info;
  info.size = sizeof(info);
  edgecv_error error;
  if (edgecv_model_get_info(run.model, &info, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  if (static_cast<uint32_t>(options.input_count) != info.input_count) {
    return complain("%s takes %u input(s), %d given: see edgecv-run info", options.model,
                    info.input_count, options.input_count);
  }
  if (edgecv_session_create(run.model, &run.session, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  for (uint32_t i = 0; i < info.input_count; ++i) {
    if (!set_input(&run, options.inputs[i], i)) return kExitError;
  }
  const double start = now_ms();
  if (edgecv_session_run(run.session, &error) != EDGECV_STATUS_OK)
    return complain(options.model, error);
  fprintf(stderr, "%.2f ms, %d thread(s), %s\n", now_ms() - start, info.threads, info.isa);
  for (uint32_t i = 0; i < info.output_count; ++i) {
    const int code = give_output(&run, options, i, info.output_count == 1);
    if (code != kExitGood) return code;
  }
  return kExitGood;
}

}  // namespace edgecv_run

#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace edgecv_run {
namespace {

// A whole number in [low, high]; false after complaining.
bool parse_number(const char* name, const char* text, int low, int high, int* value) {
  char* end = nullptr;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (end == text || *end != 0 || errno != 0 || number < low || number > high) {
    complain("%s takes a number from %d to %d, not '%s'", name, low, high, text);
    return false;
  }
  *value = static_cast<int>(number);
  return true;
}

bool parse_chains(const char* text, int* value) {
  const char* const names[] = {"auto", "off", "all"};
  const int values[] = {EDGECV_CHAINS_AUTO, EDGECV_CHAINS_OFF, EDGECV_CHAINS_ALL};
  for (int i = 0; i < 3; ++i) {
    if (strcmp(text, names[i]) == 0) {
      *value = values[i];
      return true;
    }
  }
  complain("--chains takes auto, off or all, not '%s'", text);
  return false;
}

struct Flag {
  const char* name;
  unsigned needs;
  bool has_value;
};

constexpr Flag kFlags[] = {
    {"--threads", kTakesPlan, true}, {"--isa", kTakesPlan, true},   {"--chains", kTakesPlan, true},
    {"--save", kTakesInputs, true},  {"--top", kTakesTop, true},    {"--runs", kTakesRuns, true},
    {"--warmup", kTakesRuns, true},  {"--think", kTakesRuns, true}, {"--layers", kTakesRuns, false},
};

bool take_flag(const Flag& flag, const char* value, Options* options) {
  if (strcmp(flag.name, "--threads") == 0)
    return parse_number(flag.name, value, 1, 64, &options->threads);
  if (strcmp(flag.name, "--chains") == 0) return parse_chains(value, &options->chains);
  if (strcmp(flag.name, "--top") == 0)
    return parse_number(flag.name, value, 1, 1000000, &options->top);
  if (strcmp(flag.name, "--runs") == 0)
    return parse_number(flag.name, value, 1, 1000000, &options->runs);
  if (strcmp(flag.name, "--warmup") == 0)
    return parse_number(flag.name, value, 0, 1000000, &options->warmup);
  if (strcmp(flag.name, "--think") == 0)
    return parse_number(flag.name, value, 0, 60000, &options->think_ms);
  if (strcmp(flag.name, "--isa") == 0) options->isa = value;
  if (strcmp(flag.name, "--save") == 0) options->save = value;
  if (strcmp(flag.name, "--layers") == 0) options->layers = true;
  return true;
}

}  // namespace

int complain(const char* format, ...) {
  va_list args;
  va_start(args, format);
  fputs("edgecv-run: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  return kExitError;
}

int complain(const char* what, const edgecv_error& error) {
  return complain("%s: %s (%s)", what, error.text, edgecv_status_name(error.status));
}

bool parse(int count, char** arguments, unsigned takes, bool needs_model, Options* options) {
  for (int i = 0; i < count; ++i) {
    const char* text = arguments[i];
    if (text[0] != '-' || text[1] == 0) {
      if (options->model == nullptr) {
        options->model = text;
      } else if ((takes & kTakesInputs) != 0 && options->input_count < kMaxInputs) {
        options->inputs[options->input_count++] = text;
      } else {
        complain("unexpected argument '%s'", text);
        return false;
      }
      continue;
    }
    const Flag* found = nullptr;
    for (const Flag& flag : kFlags) {
      if (strcmp(flag.name, text) == 0 && (takes & flag.needs) != 0) found = &flag;
    }
    if (found == nullptr) {
      complain("this command has no option '%s': see edgecv-run --help", text);
      return false;
    }
    const char* value = nullptr;
    if (found->has_value) {
      if (i + 1 == count) {
        complain("%s needs a value", text);
        return false;
      }
      value = arguments[++i];
    }
    if (!take_flag(*found, value, options)) return false;
  }
  if (needs_model && options->model == nullptr) {
    complain("give a model: an .ecv file");
    return false;
  }
  return true;
}

edgecv_model* load(const Options& options) {
  edgecv_load_options load_options;
  memset(&load_options, 0, sizeof(load_options));
  load_options.size = sizeof(load_options);
  load_options.threads = options.threads;
  load_options.isa = options.isa;
  load_options.chains = options.chains;
  edgecv_model* model = nullptr;
  edgecv_error error;
  if (edgecv_model_load(options.model, &load_options, &model, &error) != EDGECV_STATUS_OK) {
    complain(options.model, error);
    return nullptr;
  }
  return model;
}

}  // namespace edgecv_run

// The command line of edgecv-run, parsed for all commands alike.
#ifndef EDGECV_TOOLS_RUN_OPTIONS_H_
#define EDGECV_TOOLS_RUN_OPTIONS_H_

#include <edgecv/edgecv.h>

namespace edgecv_run {

constexpr int kMaxInputs = 32;
constexpr int kExitGood = 0;
constexpr int kExitFailed = 1;  // verify: a digest differs
constexpr int kExitError = 2;   // bad usage, a file or a run that failed

struct Options {
  const char* model = nullptr;
  const char* inputs[kMaxInputs] = {};
  int input_count = 0;
  const char* save = nullptr;
  const char* isa = nullptr;
  int threads = 0;
  int chains = 0;  // an edgecv_chains
  int top = 5;
  int runs = 100;
  int warmup = 5;
  int think_ms = 0;
  bool layers = false;
};

// Options that a command takes, as bits.
enum : unsigned {
  kTakesInputs = 1,
  kTakesRuns = 2,
  kTakesTop = 4,
  kTakesPlan = 8,  // --threads, --isa, --chains
};

// False after telling what is wrong. `arguments` begin behind the command's name.
bool parse(int count, char** arguments, unsigned takes, bool needs_model, Options* options);

// Prints "edgecv-run: ..." to the standard error; returns kExitError.
int complain(const char* format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

// The same for what edgecv says of `what`, a file or a step.
int complain(const char* what, const edgecv_error& error);

// Loads options.model as the options say; null after complaining.
edgecv_model* load(const Options& options);

int command_run(const Options& options);
int command_bench(const Options& options);
int command_verify(const Options& options);
int command_info(const Options& options);

}  // namespace edgecv_run

#endif  // EDGECV_TOOLS_RUN_OPTIONS_H_

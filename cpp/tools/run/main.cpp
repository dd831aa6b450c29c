// edgecv-run: models on a device without Python. One file, nothing to install beside it.
#include <stdio.h>
#include <string.h>

#include "options.h"

namespace {

using namespace edgecv_run;  // NOLINT: this file is its command line

const char kHelp[] =
    "edgecv-run: runs .ecv models, without Python\n"
    "\n"
    "  edgecv-run run MODEL.ecv INPUT...   run once, print the best labels or what the outputs "
    "hold\n"
    "  edgecv-run bench MODEL.ecv          latency on this machine\n"
    "  edgecv-run verify MODEL.ecv         do the kernels of this machine compute what the file "
    "says?\n"
    "  edgecv-run info [MODEL.ecv]         this machine, or what is in a file\n"
    "  edgecv-run COMMAND --help           options and examples of a command\n"
    "  edgecv-run --version\n"
    "\n"
    "Exit code: 0 good, 1 verify found a difference, 2 an error.\n";

const char kPlanHelp[] =
    "  --threads N      threads of a run (default: all CPUs this process may use)\n"
    "  --isa NAME       kernels up to this instruction set: reference, avx2, ...; `info` lists "
    "them\n"
    "  --chains WHICH   run layers a stripe of rows at a time: auto, off, all\n";

const char kRunHelp[] =
    "edgecv-run run MODEL.ecv INPUT... [options]\n"
    "\n"
    "One INPUT for each input of the graph, in order (`info MODEL.ecv` lists them):\n"
    "  picture.ppm      binary PPM or PGM; goes through the pre-processing stored in the file\n"
    "  array.npy        NumPy file: float32, int8 or int32 of the input's shape, or a uint8 "
    "picture\n"
    "                   [height, width, 3]\n"
    "  anything else    the bytes alone, in the shape `info` prints: float32, or, when the size "
    "says\n"
    "                   so, the type the file stores (int8, int32); '-' is the standard input\n"
    "\n"
    "  --top N          how many labels (default 5)\n"
    "  --save PREFIX    write every output to PREFIX0.npy, PREFIX1.npy, ...\n";
const char kRunExamples[] =
    "\n"
    "  convert cat.jpg cat.ppm && edgecv-run run net.ecv cat.ppm --top 3\n"
    "  edgecv-run run net.ecv input.npy --save output --isa reference\n";

const char kBenchHelp[] =
    "edgecv-run bench MODEL.ecv [options]\n"
    "\n"
    "Inputs are made up. Prints load time, then minimum, p50, p95 and p99 of the runs.\n"
    "\n"
    "  --runs N         measured runs (default 100)\n"
    "  --warmup N       runs before measuring (default 5)\n"
    "  --think MS       sleep between runs, as an application waits for its next frame\n"
    "  --layers         the least time of every kernel call, too\n";
const char kBenchExamples[] =
    "\n"
    "  edgecv-run bench net.ecv --threads 1 --layers\n"
    "  edgecv-run bench net.ecv --think 33 --runs 300\n";

const char kVerifyHelp[] =
    "edgecv-run verify MODEL.ecv [options]\n"
    "\n"
    "Runs the golden inputs stored in the file and compares digests. PASS (exit code 0), or FAIL "
    "(1)\n"
    "with the first op and kernel that differ.\n"
    "\n";
const char kInfoHelp[] =
    "edgecv-run info [MODEL.ecv] [options]\n"
    "\n"
    "Without a model: version, CPU, instruction sets. With one: inputs, outputs, memory, kernels.\n"
    "\n";

struct Command {
  const char* name;
  int (*run)(const Options& options);
  unsigned takes;
  bool needs_model;
  const char* help;
  const char* examples;
};

const Command kCommands[] = {
    {"run", command_run, kTakesInputs | kTakesTop | kTakesPlan, true, kRunHelp, kRunExamples},
    {"bench", command_bench, kTakesRuns | kTakesPlan, true, kBenchHelp, kBenchExamples},
    {"verify", command_verify, kTakesPlan, true, kVerifyHelp, ""},
    {"info", command_info, kTakesPlan, false, kInfoHelp, ""},
};

bool asks_for_help(const char* text) {
  return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fputs(kHelp, stderr);
    return kExitError;
  }
  if (asks_for_help(argv[1]) || strcmp(argv[1], "help") == 0) {
    fputs(kHelp, stdout);
    return kExitGood;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("edgecv-run %s\n", edgecv_version());
    return kExitGood;
  }
  for (const Command& command : kCommands) {
    if (strcmp(command.name, argv[1]) != 0) continue;
    for (int i = 2; i < argc; ++i) {
      if (!asks_for_help(argv[i])) continue;
      printf("%s%s%s", command.help, kPlanHelp, command.examples);
      return kExitGood;
    }
    Options options;
    if (!parse(argc - 2, argv + 2, command.takes, command.needs_model, &options)) return kExitError;
    return command.run(options);
  }
  return complain("there is no command '%s': see edgecv-run --help", argv[1]);
}

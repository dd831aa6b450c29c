// Times every kernel that takes a layer, on one thread, for the layers of real networks, with
// weights of every class that the kernels tell apart.
//
// The rows of a layer run interleaved, so that a change of clock speed or a busy neighbour meets
// all of them; the best of N counts. A cell is GMAC/s (GB/s for what does not multiply) and percent
// of the measured peak of its class; `*` marks the dispatcher's pick, followed by its share of the
// fastest row in percent where that is another one. Ratios of one run can be compared, times of two
// runs on a shared machine cannot.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernels/cpu_features.h"
#include "kernels/registry.h"
#include "layers.h"
#include "peaks.h"

namespace {

using edgecv::kernels::Kernel;
using edgecv_bench::Layer;
using edgecv_bench::Peaks;
using edgecv_test::Case;
using edgecv_test::GuardedBytes;
using edgecv_test::WeightPattern;

const char kUsage[] =
    "usage: bench_kernels [--filter TEXT] [--network TEXT] [--class TEXT] [--int8] [--f32]\n"
    "                     [--rounds N] [--isa NAME] [--reference] [--quiet] [--peaks]\n"
    "  --filter TEXT   only layers whose name, or kernels whose name, contains TEXT\n"
    "  --network TEXT  only layers of networks whose name contains TEXT\n"
    "  --class TEXT    only weight classes whose name contains TEXT\n"
    "  --int8, --f32   only these layers (default: both)\n"
    "  --rounds N      best of N (default 15)\n"
    "  --isa NAME      as EDGECV_FORCE_ISA\n"
    "  --reference     time the reference row even where another row takes the layer\n"
    "  --quiet         print misses and the summary alone\n"
    "  --peaks         print the measured peaks as JSON and stop\n"
    "exit code: 0; 1: a pick is slower than 0.95 of the fastest row, or a kernel was not timed\n";

constexpr double kGoodPick = 0.95;
constexpr double kNoticedUs = 0.1;  // less is the cost of a call
constexpr double kMinUs = 20.0;
constexpr int kMaxPasses = 4;  // a pick that looks bad is measured again before it is called so

// Weights by how many u8 x s8 products may be summed in 16 bits, whatever the activations.
struct WeightClass {
  const char* name;
  WeightPattern pattern;
  double Peaks::*peak;
};

const WeightClass kClasses[] = {
    {"plain", WeightPattern::kRandom, &Peaks::wide},
    {"lane-safe 2", WeightPattern::kSafe64, &Peaks::sum2},
    {"lane-safe 4", WeightPattern::kSafe32, &Peaks::sum4},
    {"lane-safe 8", WeightPattern::kSafe16, &Peaks::sum8},
    {"narrow", WeightPattern::kNarrow, &Peaks::sum8},
    {"1x4 blocks 75% zero", WeightPattern::kBlocks, &Peaks::sum4},
};
constexpr size_t kClassCount = sizeof(kClasses) / sizeof(kClasses[0]);

struct Options {
  std::string filter, network, weight_class;
  bool int8 = true, f32 = true;
  bool reference = false, quiet = false, peaks = false;
  int rounds = 15;
  uint32_t isa = 0;
};

[[noreturn]] void stop(const char* text) {
  std::fprintf(stderr, "%s", text);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  const char* isa = std::getenv("EDGECV_FORCE_ISA");
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 >= argc) stop(kUsage);
      return argv[++i];
    };
    if (name == "--filter") {
      options.filter = value();
    } else if (name == "--network") {
      options.network = value();
    } else if (name == "--class") {
      options.weight_class = value();
    } else if (name == "--int8") {
      options.f32 = false;
    } else if (name == "--f32") {
      options.int8 = false;
    } else if (name == "--reference") {
      options.reference = true;
    } else if (name == "--quiet") {
      options.quiet = true;
    } else if (name == "--peaks") {
      options.peaks = true;
    } else if (name == "--rounds") {
      options.rounds = std::max(1, std::atoi(value()));
    } else if (name == "--isa") {
      isa = value();
    } else {
      stop(kUsage);
    }
  }
  options.isa = edgecv::kernels::detect_isa_bits();
  if (isa != nullptr) {
    edgecv::Error error;
    if (edgecv::kernels::isa_mask_for(isa, options.isa, &options.isa, &error) !=
        edgecv::Status::kOk) {
      std::fprintf(stderr, "bench_kernels: %s\n", error.text);
      std::exit(2);
    }
  }
  return options;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_reference(const Kernel& kernel) { return std::strcmp(kernel.isa, "reference") == 0; }

// One kernel prepared for one case.
class Runner {
 public:
  Runner(const Kernel& kernel, const Case& c) : kernel_(&kernel), case_(&c) {
    const void* problem = c.problem();
    const auto begin = GuardedBytes::Place::kBegin;  // page-aligned, as the arena's tensors are
    if (kernel.packed_bytes != nullptr) {
      packed_ = GuardedBytes(kernel.packed_bytes(problem), begin);
      kernel.pack(problem, packed_.data());
    }
    if (kernel.scratch_bytes != nullptr)
      scratch_ = GuardedBytes(kernel.scratch_bytes(problem), begin);
    for (const auto& input : c.inputs) {
      inputs_.emplace_back(input.size(), begin);
      std::copy(input.begin(), input.end(), inputs_.back().data());
      in_.push_back(inputs_.back().data());
    }
    out_ = GuardedBytes(c.out_bytes, begin);
  }

  void time_once() {
    const edgecv::kernels::Operands operands = {in_.data(), out_.data(), packed_.data()};
    const int64_t items = kernel_->work_items(case_->problem());
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats_; ++i) {
      kernel_->run(case_->problem(), operands, 0, items, scratch_.data());
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    const double us = took.count() / repeats_;
    if (best_us_ == 0.0 || us < best_us_) best_us_ = us;
    if (us * repeats_ < kMinUs) repeats_ = static_cast<int>(kMinUs / std::max(us, 0.01)) + 1;
  }

  double best_us() const { return best_us_; }
  const Kernel& kernel() const { return *kernel_; }

 private:
  const Kernel* kernel_;
  const Case* case_;
  GuardedBytes packed_, scratch_, out_;
  std::vector<GuardedBytes> inputs_;
  std::vector<const void*> in_;
  double best_us_ = 0.0;
  int repeats_ = 1;  // calls timed together, as many as take kMinUs
};

// The times of one layer: by kernel name in the registry's order, then by class; 0: not eligible.
struct Times {
  std::vector<const Kernel*> rows;
  std::map<const Kernel*, std::vector<double>> us;
  std::vector<const Kernel*> pick;  // by class, null: not timed
  double macs = 0, bytes = 0;
};

struct Summary {
  std::set<const Kernel*> timed;
  std::map<std::string, std::vector<double>> network_us;  // by class, with the picks
  std::map<std::string, std::vector<double>> best_us;     // with the fastest rows
  int picks = 0;
  std::vector<std::string> misses;
};

std::vector<Runner> eligible_rows(const Options& options, const Layer& layer, const Case& c) {
  std::vector<Runner> rows;
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const Kernel& kernel = edgecv::kernels::kernel_at(i);
    if (kernel.family != layer.family || (kernel.needs & ~options.isa) != 0) continue;
    if (kernel.supports != nullptr && !kernel.supports(c.problem())) continue;
    if (!contains(layer.name, options.filter) && !contains(kernel.name, options.filter)) continue;
    if (is_reference(kernel) && !options.reference && !rows.empty()) continue;
    rows.emplace_back(kernel, c);
  }
  return rows;
}

double fastest(const std::vector<Runner>& rows) {
  double best = rows.front().best_us();
  for (const Runner& row : rows) best = std::min(best, row.best_us());
  return best;
}

void time_class(const Options& options, const Layer& layer, size_t index, Times* times) {
  edgecv_test::Draw draw(1);
  const Case c = layer.make(draw, kClasses[index].pattern);
  times->macs = layer.in_macs ? static_cast<double>(c.operations) : 0;
  times->bytes = edgecv_bench::moved_bytes(c);
  std::vector<Runner> rows = eligible_rows(options, layer, c);
  if (rows.empty()) return;
  const Kernel* pick = edgecv::kernels::choose_kernel(layer.family, c.problem(), options.isa);
  times->pick[index] = pick;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    for (int round = 0; round < options.rounds; ++round) {
      for (Runner& row : rows) {
        if (!is_reference(row.kernel()) || (pass == 0 && round < 2)) row.time_once();
      }
    }
    bool good = true;
    for (const Runner& row : rows) {
      good = good && (&row.kernel() != pick || row.best_us() * 0.97 <= fastest(rows));
    }
    if (good) break;
  }
  for (const Runner& row : rows) {
    auto& us = times->us[&row.kernel()];
    if (us.empty()) {
      us.assign(kClassCount, 0.0);
      times->rows.push_back(&row.kernel());
    }
    us[index] = row.best_us();
  }
}

void print_times(const Layer& layer, bool f32, const Times& times, const Peaks& peaks) {
  std::printf("%s%s%s\n", layer.name.c_str(), layer.networks.empty() ? "" : "   ",
              layer.networks.c_str());
  for (const Kernel* kernel : times.rows) {
    std::printf("  %-34s", kernel->name);
    const std::vector<double>& us = times.us.at(kernel);
    for (size_t i = 0; i < kClassCount; ++i) {
      if (times.pick[i] == nullptr) continue;
      if (us[i] == 0.0) {
        std::printf("%20s", "-");
        continue;
      }
      const bool multiplies = times.macs > 0;
      const double rate = (multiplies ? times.macs : times.bytes) / us[i] * 1e-3;
      double peak = !multiplies ? peaks.copy : f32 ? peaks.f32 : peaks.*kClasses[i].peak;
      if (multiplies && !f32) peak = std::max(peak, peaks.dot4);
      char cell[48], percent[16] = "", share[16] = "";
      if (peak > 0) std::snprintf(percent, sizeof(percent), "%3.0f%%", 100 * rate / peak);
      double best = us[i];
      for (const auto& row : times.us) {
        if (row.second[i] > 0) best = std::min(best, row.second[i]);
      }
      const bool picked = times.pick[i] == kernel;
      if (picked && best < us[i]) {
        std::snprintf(share, sizeof(share), " %.0f", 100 * best / us[i]);
      }
      std::snprintf(cell, sizeof(cell), "%s%.1f %s%s", picked ? "*" : "", rate, percent, share);
      std::printf("%20s", cell);
    }
    std::printf("\n");
  }
}

void summarize(const Layer& layer, const Times& times, Summary* summary) {
  for (const Kernel* kernel : times.rows) summary->timed.insert(kernel);
  for (size_t i = 0; i < kClassCount; ++i) {
    const Kernel* pick = times.pick[i];
    if (pick == nullptr || times.us.count(pick) == 0) continue;
    const double us = times.us.at(pick)[i];
    double best = us;
    const Kernel* winner = pick;
    for (const auto& row : times.us) {
      if (row.second[i] > 0 && row.second[i] < best) {
        best = row.second[i];
        winner = row.first;
      }
    }
    ++summary->picks;
    if (best < kGoodPick * us && us - best > kNoticedUs) {
      char text[256];
      std::snprintf(text, sizeof(text), "%s, %s: %s takes %.1f us, %s %.1f us (%.2f)",
                    layer.name.c_str(), layer.has_weights ? kClasses[i].name : "-", pick->name, us,
                    winner->name, best, best / us);
      summary->misses.push_back(text);
    }
    // "NETWORK:COUNT NETWORK:COUNT"
    for (size_t at = 0; at < layer.networks.size();) {
      const size_t end = std::min(layer.networks.find(' ', at), layer.networks.size());
      const size_t colon = layer.networks.find(':', at);
      const std::string network = layer.networks.substr(at, colon - at);
      const int count = std::atoi(layer.networks.c_str() + colon + 1);
      for (size_t k = 0; k < kClassCount; ++k) {  // layers without weights count in every class
        if (k != i && layer.has_weights) continue;
        auto& sums = summary->network_us[network];
        auto& bests = summary->best_us[network];
        sums.resize(kClassCount);
        bests.resize(kClassCount);
        sums[k] += count * us;
        bests[k] += count * best;
      }
      at = end + 1;
    }
  }
}

void run_list(const Options& options, bool f32, const Peaks& peaks, std::set<const Kernel*>* timed,
              int* misses) {
  Summary summary;
  if (!options.quiet) {
    std::printf("\n%s%-28s", f32 ? "f32 " : "int8", "");
    for (const WeightClass& c : kClasses) std::printf("%20s", f32 ? "" : c.name);
    std::printf("\n");
  }
  for (const Layer& layer : edgecv_bench::all_layers(f32)) {
    if (!contains(layer.networks, options.network)) continue;
    Times times;
    times.pick.assign(kClassCount, nullptr);
    for (size_t i = 0; i < kClassCount; ++i) {
      if (!layer.has_weights && i != 0) break;
      if (!layer.has_weights || contains(kClasses[i].name, options.weight_class)) {
        time_class(options, layer, i, &times);
      }
    }
    if (times.rows.empty()) continue;
    if (!options.quiet) print_times(layer, f32, times, peaks);
    summarize(layer, times, &summary);
  }
  std::printf("\n%s: sum of the picks, ms (of the fastest rows)\n", f32 ? "f32" : "int8");
  for (const auto& [network, sums] : summary.network_us) {
    std::printf("  %-22s", network.c_str());
    for (size_t i = 0; i < (f32 ? 1 : kClassCount); ++i) {
      char cell[48];
      std::snprintf(cell, sizeof(cell), "%.2f (%.2f)", sums[i] * 1e-3,
                    summary.best_us[network][i] * 1e-3);
      std::printf("%20s", cell);
    }
    std::printf("\n");
  }
  std::printf("picks within %.0f%% of the fastest row: %d of %d\n", 100 * (1 - kGoodPick),
              summary.picks - static_cast<int>(summary.misses.size()), summary.picks);
  for (const std::string& text : summary.misses) std::printf("  MISSED: %s\n", text.c_str());
  timed->insert(summary.timed.begin(), summary.timed.end());
  *misses += static_cast<int>(summary.misses.size());
}

// Names the kernels of this CPU that no layer was eligible for.
int print_untimed(const Options& options, const std::set<const Kernel*>& timed) {
  int count = 0;
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const Kernel& kernel = edgecv::kernels::kernel_at(i);
    if ((kernel.needs & ~options.isa) != 0 || is_reference(kernel)) continue;
    if (timed.count(&kernel) != 0) continue;
    std::printf("  NOT TIMED: %s\n", kernel.name);
    ++count;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  char cpu[64];
  edgecv::kernels::describe_cpu(cpu, sizeof(cpu));
  const Peaks peaks = edgecv_bench::measure_peaks(options.isa);
  if (options.peaks) {
    std::printf(
        "{\"wide\": %.1f, \"sum2\": %.1f, \"sum4\": %.1f, \"sum8\": %.1f, \"dot4\": %.1f, "
        "\"f32\": %.1f, \"copy\": %.1f}\n",
        peaks.wide, peaks.sum2, peaks.sum4, peaks.sum8, peaks.dot4, peaks.f32, peaks.copy);
    return 0;
  }
  std::printf("%s, one thread, best of %d, interleaved\n", cpu, options.rounds);
  std::printf(
      "peaks, GMAC/s: plain %.1f, lane-safe 2 %.1f, lane-safe 4 %.1f, lane-safe 8 and narrow %.1f, "
      "dot4 %.1f, f32 %.1f; copy %.1f GB/s\n",
      peaks.wide, peaks.sum2, peaks.sum4, peaks.sum8, peaks.dot4, peaks.f32, peaks.copy);
  std::set<const Kernel*> timed;
  int misses = 0;
  if (options.int8) run_list(options, false, peaks, &timed, &misses);
  if (options.f32) run_list(options, true, peaks, &timed, &misses);
  if (timed.empty()) stop("bench_kernels: nothing was chosen\n");
  const bool whole = options.filter.empty() && options.network.empty() &&
                     options.weight_class.empty() && options.int8 && options.f32;
  const int untimed = whole ? print_untimed(options, timed) : 0;
  return misses != 0 || untimed != 0 ? 1 : 0;
}

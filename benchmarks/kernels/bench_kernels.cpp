// Times every kernel that takes a layer, on one thread, for the layers of real networks.
//
// The rows of a layer run interleaved, so that a change of clock speed or a busy neighbour meets
// all of them; the best of N is reported. `*` marks the row the dispatcher picks. Ratios of one run
// can be compared, times of two runs on a shared machine cannot.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/cpu_features.h"
#include "kernels/registry.h"
#include "layers.h"

namespace {

using edgecv::kernels::Kernel;
using edgecv_test::Case;
using edgecv_test::GuardedBytes;

const char kUsage[] =
    "usage: bench_kernels [--filter TEXT] [--model TEXT] [--f32] [--rounds N] [--weights "
    "random|safe32]\n"
    "                     [--isa NAME] [--no-reference]\n"
    "  --filter TEXT     only layers whose name, or kernels whose name, contains TEXT\n"
    "  --model TEXT      only networks whose name contains TEXT\n"
    "  --f32             the float layers (default: int8)\n"
    "  --rounds N        best of N (default 20; the reference row runs at most 3)\n"
    "  --weights NAME    convolution weights: safe32 (default; |w| <= 32, every row takes them) or "
    "random\n"
    "  --isa NAME        as EDGECV_FORCE_ISA\n"
    "  --no-reference    leave the reference row out where another row takes the layer\n";

struct Options {
  std::string filter, model;
  bool f32 = false;
  bool reference = true;
  int rounds = 20;
  edgecv_test::WeightPattern weights = edgecv_test::WeightPattern::kSafe32;
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
    } else if (name == "--model") {
      options.model = value();
    } else if (name == "--f32") {
      options.f32 = true;
    } else if (name == "--no-reference") {
      options.reference = false;
    } else if (name == "--rounds") {
      options.rounds = std::max(1, std::atoi(value()));
    } else if (name == "--isa") {
      isa = value();
    } else if (name == "--weights") {
      const std::string weights = value();
      if (weights != "random" && weights != "safe32") stop(kUsage);
      options.weights = weights == "random" ? edgecv_test::WeightPattern::kRandom
                                            : edgecv_test::WeightPattern::kSafe32;
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
    const auto start = std::chrono::steady_clock::now();
    kernel_->run(case_->problem(), operands, 0, kernel_->work_items(case_->problem()),
                 scratch_.data());
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    if (best_us_ == 0.0 || took.count() < best_us_) best_us_ = took.count();
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
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_reference(const Kernel& kernel) { return std::strcmp(kernel.isa, "reference") == 0; }

// The rows that take the case, in the registry's order.
std::vector<Runner> eligible_rows(const Options& options, const edgecv_bench::Layer& layer,
                                  const Case& c) {
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

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  char cpu[64];
  edgecv::kernels::describe_cpu(cpu, sizeof(cpu));
  std::printf("%s, one thread, best of %d, interleaved; * is the dispatcher's pick\n", cpu,
              options.rounds);
  std::printf("%-24s %3s  %-36s %10s %8s %9s\n", "layer", "n", "kernel", "us", "GMAC/s", "x ref");
  std::map<std::string, double> picked_us;  // a network's time with the dispatcher's picks
  std::map<std::string, double> operations;
  std::string model;
  for (const edgecv_bench::Layer& layer :
       edgecv_bench::network_layers(options.f32, options.weights)) {
    if (!contains(layer.model, options.model)) continue;
    edgecv_test::Draw draw(1);
    const Case c = layer.make(draw);
    std::vector<Runner> rows = eligible_rows(options, layer, c);
    if (rows.empty()) continue;
    if (model != layer.model) std::printf("%s\n", layer.model.c_str());
    model = layer.model;
    for (int round = 0; round < options.rounds; ++round) {
      for (Runner& row : rows) {
        if (round < 3 || !is_reference(row.kernel())) row.time_once();
      }
    }
    const Kernel* pick = edgecv::kernels::choose_kernel(layer.family, c.problem(), options.isa);
    const Runner& last = rows.back();
    for (const Runner& row : rows) {
      const bool picked = &row.kernel() == pick;
      char ratio[16] = "";
      if (is_reference(last.kernel())) {
        std::snprintf(ratio, sizeof(ratio), "%.2f", last.best_us() / row.best_us());
      }
      std::printf("%-24s %3d %c%-36s %10.1f %8.2f %9s\n", layer.name.c_str(), layer.count,
                  picked ? '*' : ' ', row.kernel().name, row.best_us(),
                  static_cast<double>(c.operations) / row.best_us() * 1e-3, ratio);
      if (picked) {
        picked_us[model] += layer.count * row.best_us();
        operations[model] += layer.count * static_cast<double>(c.operations);
      }
    }
  }
  for (const auto& [name, us] : picked_us) {
    std::printf("%s: sum of the picked kernels %.2f ms, %.2f GMAC/s\n", name.c_str(), us * 1e-3,
                operations[name] / us * 1e-3);
  }
  return picked_us.empty() ? 1 : 0;
}

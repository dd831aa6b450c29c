// The registry's promises: the expected rows and no others, unique names, a reference row last in
// every family.
#include "kernels/registry.h"

#include <set>
#include <string>
#include <vector>

#include "cases.h"
#include "check.h"
#include "kernels/cpu_features.h"

using edgecv::kernels::Family;
using edgecv::kernels::Kernel;

namespace {

#if defined(__x86_64__)
constexpr bool kIsX8664 = true;
#else
constexpr bool kIsX8664 = false;
#endif
#if defined(__aarch64__)
constexpr bool kIsAarch64 = true;
#else
constexpr bool kIsAarch64 = false;
#endif
#if defined(__arm__)
constexpr bool kIsArm = true;
#else
constexpr bool kIsArm = false;
#endif

std::set<std::string> expected_names() {
  const bool any = true;
  const bool x86_64 = kIsX8664;
  const bool aarch64 = kIsAarch64;
  const bool neon = kIsAarch64 || kIsArm;
  std::set<std::string> names;
#define EXPECTED_KERNEL(architecture, name) \
  if (architecture) names.insert(name);
#include "expected_kernels.inc"
#undef EXPECTED_KERNEL
  (void)any;
  (void)x86_64;
  (void)aarch64;
  (void)neon;
  return names;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

TEST(expected_kernels_are_built) {
  std::set<std::string> built;
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    CHECK(built.insert(edgecv::kernels::kernel_at(i).name).second);  // names are unique
  }
  const std::set<std::string> expected = expected_names();
  for (const std::string& name : expected) {
    WITH_CONTEXT(name + " is expected but not built");
    CHECK(built.count(name) == 1);
  }
  for (const std::string& name : built) {
    WITH_CONTEXT(name + " is built but not in expected_kernels.inc");
    CHECK(expected.count(name) == 1);
  }
}

TEST(rows_are_well_formed) {
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const Kernel& kernel = edgecv::kernels::kernel_at(i);
    WITH_CONTEXT(kernel.name);
    CHECK(ends_with(kernel.name, std::string("__") + kernel.isa));
    CHECK(kernel.family < Family::kCount);
    CHECK(kernel.work_items != nullptr);
    CHECK(kernel.run != nullptr);
    CHECK((kernel.packed_bytes == nullptr) == (kernel.pack == nullptr));
    bool known = std::string(kernel.isa) == "fma";  // a folder, but no level users choose
    for (size_t n = 0; edgecv::kernels::isa_name(n) != nullptr; ++n) {
      known = known || std::string(edgecv::kernels::isa_name(n)) == kernel.isa;
    }
    CHECK(known);
    // A row outside the reference folder that needs nothing would run on CPUs without its
    // instructions.
    CHECK_EQ(kernel.needs == 0, std::string(kernel.isa) == "reference");
  }
}

TEST(reference_rows_take_everything_and_come_last) {
  for (size_t f = 0; f < static_cast<size_t>(Family::kCount); ++f) {
    const Family family = static_cast<Family>(f);
    WITH_CONTEXT(edgecv::kernels::family_name(family));
    const Kernel* last = nullptr;
    for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
      const Kernel& kernel = edgecv::kernels::kernel_at(i);
      if (kernel.family != family) continue;
      CHECK(last == nullptr || std::string(last->isa) != "reference");
      last = &kernel;
    }
    REQUIRE(last != nullptr);
    CHECK_EQ(std::string(last->isa), std::string("reference"));
    CHECK_EQ(last->needs, 0u);
    CHECK(last->supports == nullptr);
  }
}

TEST(family_names_are_unique) {
  std::set<std::string> names;
  for (size_t f = 0; f < static_cast<size_t>(Family::kCount); ++f) {
    CHECK(names.insert(edgecv::kernels::family_name(static_cast<Family>(f))).second);
  }
  CHECK_EQ(std::string(edgecv::kernels::family_name(Family::kConvS8)), std::string("conv_s8"));
  CHECK_EQ(std::string(edgecv::kernels::family_name(Family::kMove)), std::string("move"));
}

// The choice respects the mask, and the first eligible row wins unless a later one states
// a lower cost.
TEST(choose_kernel_respects_the_mask) {
  edgecv_test::Draw draw(edgecv_test::state().seed);
  for (size_t f = 0; f < static_cast<size_t>(Family::kCount); ++f) {
    const Family family = static_cast<Family>(f);
    for (int n = 0; n < 20; ++n) {
      const edgecv_test::Case c = edgecv_test::draw_case(family, draw);
      WITH_CONTEXT(c.text);
      const Kernel* plain = edgecv::kernels::choose_kernel(family, c.problem(), 0);
      REQUIRE(plain != nullptr);
      CHECK_EQ(std::string(plain->isa), std::string("reference"));
      CHECK(plain->family == family);
      // Only bits this CPU has: a row's functions are compiled for what it needs, all of them.
      const uint32_t mask = static_cast<uint32_t>(draw.next()) & edgecv::kernels::detect_isa_bits();
      const Kernel* chosen = edgecv::kernels::choose_kernel(family, c.problem(), mask);
      REQUIRE(chosen != nullptr);
      std::vector<const Kernel*> eligible;
      for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
        const Kernel& kernel = edgecv::kernels::kernel_at(i);
        if (kernel.family == family && (kernel.needs & ~mask) == 0 &&
            (kernel.supports == nullptr || kernel.supports(c.problem()))) {
          eligible.push_back(&kernel);
        }
      }
      const Kernel* best = eligible[0];
      for (const Kernel* kernel : eligible) {
        if (best->cost != nullptr && kernel->cost != nullptr &&
            kernel->cost(c.problem()) < best->cost(c.problem())) {
          best = kernel;
        }
      }
      CHECK_EQ(std::string(chosen->name), std::string(best->name));
    }
  }
}

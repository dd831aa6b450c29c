// Chains give the bits of the steps one by one: every golden file, stripes of every height that
// matters, several threads; and what is inside a chain says so.
#include "runtime/chain.h"

#include <string>
#include <vector>

#include "check.h"
#include "runtime/fixtures.h"
#include "runtime/verify.h"

using edgecv::Status;
using edgecv_test::OpenSession;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

namespace {

const char* const kFiles[] = {"golden/convnet", "golden/f32ops",  "golden/mlp",
                              "golden/s8ops",   "runtime/small",  "runtime/wide",
                              "runtime/float",  "runtime/chains", "runtime/float_chains"};

struct Loaded {
  Loaded(const std::string& file, runtime::ChainMode chains, int stripe, int threads,
         const char* isa = nullptr) {
    const std::string path = std::string(EDGECV_TEST_DATA) + "/" + file + ".ecv";
    runtime::ModelSource source;
    source.path = path.c_str();
    runtime::PlanOptions options;
    options.chains = chains;
    options.stripe = stripe;
    options.threads = threads;
    options.isa = isa;
    status = runtime::Model::load(source, options, format::Limits(), edgecv::default_allocator(),
                                  runtime::LogSink(), &model, &error);
  }
  ~Loaded() {
    if (model != nullptr) model->release();
  }
  runtime::Model* model = nullptr;
  Status status;
  edgecv::Error error;
};

std::vector<uint8_t> outputs_of(runtime::Model* model, uint64_t seed) {
  OpenSession session(model);
  if (session.session == nullptr) return {};
  return edgecv_test::run_seed(session.session, seed);
}

class MoreThreads {
 public:
  MoreThreads() { runtime::set_thread_limit_for_tests(4); }
  ~MoreThreads() { runtime::set_thread_limit_for_tests(0); }
};

}  // namespace

TEST(chains_give_the_bits_of_single_steps) {
  const MoreThreads more;
  size_t chained = 0;
  for (const char* file : kFiles) {
    for (const char* isa : {static_cast<const char*>(nullptr), "reference"}) {
      const Loaded plain(file, runtime::ChainMode::kOff, 0, 1, isa);
      REQUIRE_EQ(plain.status, Status::kOk);
      CHECK(plain.model->plan().chains.empty());
      const std::vector<uint8_t> want = outputs_of(plain.model, 7);
      REQUIRE(!want.empty());
      for (const int stripe : {0, 1, 2, 3, 5, 7, 1000}) {
        for (const int threads : {1, 2, 4}) {
          WITH_CONTEXT(std::string(file) + ", stripe " + std::to_string(stripe) + ", " +
                       std::to_string(threads) + " threads");
          const Loaded all(file, runtime::ChainMode::kAll, stripe, threads, isa);
          REQUIRE_EQ(all.status, Status::kOk);
          chained += all.model->plan().chains.size();
          CHECK(outputs_of(all.model, 7) == want);
        }
      }
    }
  }
  CHECK(chained > 100);
}

TEST(the_cost_models_choice_gives_them_too) {
  for (const char* file : kFiles) {
    for (const int threads : {1, 2}) {
      WITH_CONTEXT(file);
      const Loaded plain(file, runtime::ChainMode::kOff, 0, threads);
      const Loaded chosen(file, runtime::ChainMode::kAuto, 0, threads);
      REQUIRE_EQ(chosen.status, Status::kOk);
      CHECK(outputs_of(chosen.model, 3) == outputs_of(plain.model, 3));
    }
  }
}

TEST(a_chain_covers_an_inverted_residual_and_saves_its_memory) {
  const Loaded plain("runtime/chains", runtime::ChainMode::kOff, 0, 1);
  const Loaded all("runtime/chains", runtime::ChainMode::kAll, 0, 1);
  REQUIRE_EQ(all.status, Status::kOk);
  const runtime::Plan& plan = all.model->plan();
  REQUIRE(!plan.chains.empty());
  CHECK(plan.layout.arena_bytes < plain.model->plan().layout.arena_bytes);
  for (size_t c = 0; c < plan.chains.size(); ++c) {
    const runtime::Chain& chain = plan.chains[c];
    CHECK(chain.link_count >= 2);
    CHECK(chain.buffer_bytes <= plan.scratch_bytes);
    for (uint32_t l = 0; l < chain.link_count; ++l) {
      CHECK_EQ(plan.steps[chain.first_step + l].chain, static_cast<int32_t>(c));
      const uint32_t output = plan.steps[chain.first_step + l].call.output;
      const bool inside = l + 1 < chain.link_count;
      CHECK_EQ(plan.layout.places[output].offset < 0, inside);
    }
  }
}

TEST(goldens_of_chained_plans_pass_and_a_broken_link_is_named) {
  for (const char* file : kFiles) {
    WITH_CONTEXT(file);
    const Loaded all(file, runtime::ChainMode::kAll, 3, 2);
    REQUIRE_EQ(all.status, Status::kOk);
    runtime::VerifyReport report;
    edgecv::Error error;
    CHECK_EQ(runtime::verify_model(all.model, &report, &error), Status::kOk);
    CHECK_EQ(report.failed, 0u);
    CHECK_EQ(report.digests, static_cast<uint32_t>(all.model->file().digests.size()));
  }
  const Loaded all("runtime/chains", runtime::ChainMode::kAll, 3, 2);
  runtime::Plan& plan = const_cast<runtime::Plan&>(all.model->plan());
  REQUIRE(!plan.chains.empty());
  const runtime::Step& step = plan.steps[plan.chains[0].first_step + 1];
  if (step.packed_bytes == 0) SKIP("the kernel of this CPU packs nothing");
  for (uint64_t i = 0; i < 64; ++i)
    plan.packed[step.packed_offset + step.packed_bytes / 2 + i] ^= 0x40;
  runtime::VerifyReport report;
  edgecv::Error error;
  CHECK_EQ(runtime::verify_model(all.model, &report, &error), Status::kVerifyFailed);
  CHECK_EQ(report.failed_op, step.op);
}

// A fault of the chain executor alone: the chain's output differs, no op by itself does.
TEST(a_fault_of_the_executor_is_found) {
  const Loaded all("runtime/chains", runtime::ChainMode::kAll, 3, 1);
  runtime::Plan& plan = const_cast<runtime::Plan&>(all.model->plan());
  REQUIRE(!plan.chains.empty());
  bool padded = false;
  for (runtime::ChainLink& link : plan.links) {
    if (link.pad == 0) continue;
    link.pad = 0;
    padded = true;
    break;
  }
  REQUIRE(padded);
  runtime::VerifyReport report;
  edgecv::Error error;
  CHECK_EQ(runtime::verify_model(all.model, &report, &error), Status::kVerifyFailed);
  CHECK(std::string(report.text).find("in a chain") != std::string::npos);
}

TEST(tensors_inside_a_chain_are_read_in_a_traced_session) {
  const Loaded all("runtime/chains", runtime::ChainMode::kAll, 0, 1);
  REQUIRE_EQ(all.status, Status::kOk);
  const runtime::Plan& plan = all.model->plan();
  REQUIRE(!plan.chains.empty());
  const runtime::Step& step = plan.steps[plan.chains[0].first_step];
  const uint32_t inside = step.call.output;
  const format::TensorRecord& tensor = all.model->file().tensors[inside];
  std::vector<int8_t> values(static_cast<size_t>(format::tensor_bytes(tensor)));
  OpenSession plain(all.model);
  CHECK(!edgecv_test::run_seed(plain.session, 1).empty());
  edgecv::Error error;
  CHECK_EQ(plain->read_tensor(inside, values.data(), values.size(), format::Dtype::kS8, &error),
           Status::kWrongState);
  CHECK(std::string(error.text).find("inside a chain") != std::string::npos);
  CHECK_EQ(plain->run_op(step.op, &error), Status::kWrongState);
  runtime::Session* traced = nullptr;
  REQUIRE_EQ(runtime::Session::create(all.model, &traced, &error, true), Status::kOk);
  CHECK(!edgecv_test::run_seed(traced, 1).empty());
  CHECK_EQ(traced->read_tensor(inside, values.data(), values.size(), format::Dtype::kS8, &error),
           Status::kOk);
  traced->destroy();
}

TEST(every_step_of_a_chain_has_a_time) {
  const MoreThreads more;
  for (const int threads : {1, 2}) {
    const Loaded all("runtime/chains", runtime::ChainMode::kAll, 2, threads);
    REQUIRE_EQ(all.status, Status::kOk);
    OpenSession session(all.model);
    CHECK_EQ(session->set_timing(true, nullptr), Status::kOk);
    CHECK(!edgecv_test::run_seed(session.session, 1).empty());
    for (const uint64_t nanoseconds : session->step_times()) CHECK(nanoseconds > 0);
  }
}

// Running models: the same bits whatever the threads, no allocation, states, digests.
#include "runtime/session.h"

#include <pthread.h>

#include <cfenv>
#include <cmath>
#include <limits>

#include "check.h"
#include "runtime/fixtures.h"
#include "runtime/verify.h"

using edgecv::Status;
using edgecv_test::CountingAllocator;
using edgecv_test::LoadedModel;
using edgecv_test::OpenSession;
using edgecv_test::run_seed;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

namespace {

struct Limit {
  explicit Limit(int n) { runtime::set_thread_limit_for_tests(n); }
  ~Limit() { runtime::set_thread_limit_for_tests(0); }
};

std::vector<uint8_t> reference_run(const char* name, uint64_t seed) {
  LoadedModel loaded(name, 1, "reference");
  if (loaded.model == nullptr) return {};
  OpenSession session(loaded.model);
  return run_seed(session.session, seed);
}

}  // namespace

TEST(threads_and_kernels_give_the_same_bits) {
  const Limit limit(4);
  for (const char* name : {"small", "wide"}) {
    WITH_CONTEXT(name);
    const std::vector<uint8_t> want = reference_run(name, 7);
    REQUIRE(!want.empty());
    for (const int threads : {1, 2, 4}) {
      for (const char* isa : {static_cast<const char*>(nullptr), "reference"}) {
        LoadedModel loaded(name, threads, isa);
        REQUIRE_EQ(loaded.status, Status::kOk);
        OpenSession session(loaded.model);
        for (int i = 0; i < 3; ++i) {
          const std::vector<uint8_t> got = run_seed(session.session, 7);
          REQUIRE_EQ(got.size(), want.size());
          CHECK_ARRAYS(got.data(), want.data(), want.size());
        }
      }
    }
  }
}

TEST(wide_has_steps_for_several_threads) {
  LoadedModel loaded("wide", 2);
  REQUIRE_EQ(loaded.status, Status::kOk);
  int parallel = 0;
  for (const runtime::Step& step : loaded.model->plan().steps) parallel += step.parallel;
  CHECK(parallel > 0);  // else the thread tests of this file prove nothing
}

TEST(two_sessions_in_two_threads) {
  const Limit limit(4);
  LoadedModel loaded("wide", 2);
  REQUIRE_EQ(loaded.status, Status::kOk);
  struct Job {
    runtime::Model* model;
    uint64_t seed;
    std::vector<uint8_t> want;
    int wrong;
  };
  const auto work = [](void* argument) -> void* {
    Job* job = static_cast<Job*>(argument);
    OpenSession session(job->model);
    for (int i = 0; i < 60; ++i) job->wrong += run_seed(session.session, job->seed) != job->want;
    return nullptr;
  };
  Job jobs[2] = {{loaded.model, 1, reference_run("wide", 1), 0},
                 {loaded.model, 2, reference_run("wide", 2), 0}};
  CHECK(jobs[0].want != jobs[1].want);
  pthread_t other;
  REQUIRE_EQ(pthread_create(&other, nullptr, work, &jobs[1]), 0);
  work(&jobs[0]);
  pthread_join(other, nullptr);
  CHECK_EQ(jobs[0].wrong, 0);
  CHECK_EQ(jobs[1].wrong, 0);
}

TEST(a_run_allocates_nothing) {
  const Limit limit(2);
  for (const char* name : {"small", "wide", "float"}) {
    WITH_CONTEXT(name);
    CountingAllocator counter;
    LoadedModel loaded(name, 2, nullptr, false, counter.get());
    REQUIRE_EQ(loaded.status, Status::kOk);
    OpenSession session(loaded.model);
    REQUIRE(session.session != nullptr);
    REQUIRE(counter.calls.load() > 0);
    const format::ParsedModel& file = loaded.model->file();
    const size_t count =
        static_cast<size_t>(format::element_count(file.tensors[file.ports[0].tensor]));
    const std::vector<float> x(count, 0.25f);
    const size_t outputs = file.ports.size() - file.input_ports;
    std::vector<std::vector<float>> y(outputs);
    for (size_t i = 0; i < outputs; ++i) {
      const format::PortRecord& port = file.ports[file.input_ports + i];
      y[i].resize(static_cast<size_t>(format::element_count(file.tensors[port.tensor])));
    }
    const int64_t before = counter.calls;
    for (int i = 0; i < 20; ++i) {
      CHECK_EQ(session->set_input(0, x.data(), count * 4, format::Dtype::kF32, true, nullptr),
               Status::kOk);
      CHECK_EQ(session->run(nullptr), Status::kOk);
      for (uint32_t k = 0; k < outputs; ++k) {
        CHECK_EQ(session->get_output(k, y[k].data(), y[k].size() * 4, format::Dtype::kF32, true,
                                     nullptr),
                 Status::kOk);
      }
    }
    CHECK_EQ(counter.calls.load(), before);
  }
}

TEST(every_failing_allocation_is_out_of_memory_and_leaks_nothing) {
  int64_t total = 0;
  for (int64_t k = -1; k < (total == 0 ? 1 : total); ++k) {
    CountingAllocator counter;
    counter.fail_at = k;
    {
      LoadedModel loaded("small", 1, nullptr, false, counter.get());
      Status status = loaded.status;
      if (status == Status::kOk) {
        runtime::Session* session = nullptr;
        edgecv::Error error;
        status = runtime::Session::create(loaded.model, &session, &error);
        if (status == Status::kOk) {
          status = session->set_timing(true, &error);
          session->destroy();
        } else {
          CHECK(session == nullptr);
          CHECK(error.text[0] != 0);
        }
      } else {
        CHECK(loaded.model == nullptr);
        CHECK(loaded.error.text[0] != 0);
      }
      CHECK_EQ(status, k < 0 ? Status::kOk : Status::kOutOfMemory);
    }
    CHECK_EQ(counter.alive.load(), int64_t{0});
    if (k < 0) total = counter.calls;
  }
  CHECK(total > 10);
}

TEST(a_session_outlives_the_callers_model) {
  CountingAllocator counter;
  runtime::Session* session = nullptr;
  {
    LoadedModel loaded("small", 1, nullptr, false, counter.get());
    REQUIRE_EQ(loaded.status, Status::kOk);
    REQUIRE_EQ(runtime::Session::create(loaded.model, &session, nullptr), Status::kOk);
  }
  CHECK(run_seed(session, 3) == reference_run("small", 3));
  session->destroy();
  CHECK_EQ(counter.alive.load(), int64_t{0});
}

TEST(float_and_raw_inputs_agree) {
  LoadedModel loaded("small");
  REQUIRE_EQ(loaded.status, Status::kOk);
  OpenSession session(loaded.model);
  const format::ParsedModel& file = loaded.model->file();
  const format::TensorRecord& t =
      file.tensors[file.ports[0].tensor];  // [1, 16, 16, 3], API [1, 3, 16, 16]
  std::vector<int8_t> raw(768);
  edgecv_test::Random random;
  for (int8_t& q : raw) q = static_cast<int8_t>(random.integer(-128, 127));
  std::vector<float> api(768);
  for (size_t p = 0; p < 256; ++p) {
    for (size_t c = 0; c < 3; ++c) {
      api[c * 256 + p] = static_cast<float>(raw[p * 3 + c] - t.zero_point) * t.scale;
    }
  }
  float want[10], got[10];
  CHECK_EQ(session->set_input(0, raw.data(), 768, format::Dtype::kS8, false, nullptr), Status::kOk);
  CHECK_EQ(session->run(nullptr), Status::kOk);
  CHECK_EQ(session->get_output(1, want, sizeof(want), format::Dtype::kF32, true, nullptr),
           Status::kOk);
  // The caller's rounding mode must not matter, and must survive.
  const int saved = std::fegetround();
  std::fesetround(FE_UPWARD);
  CHECK_EQ(session->set_input(0, api.data(), api.size() * 4, format::Dtype::kF32, true, nullptr),
           Status::kOk);
  CHECK_EQ(session->run(nullptr), Status::kOk);
  CHECK_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(saved);
  CHECK_EQ(session->get_output(1, got, sizeof(got), format::Dtype::kF32, true, nullptr),
           Status::kOk);
  CHECK_ARRAYS(got, want, 10);
  // Output 0 is [1, 8, 8, 16], API [1, 16, 8, 8]: both layouts hold the same values.
  std::vector<int8_t> stored(1024);
  std::vector<float> planes(1024);
  CHECK_EQ(session->get_output(0, stored.data(), 1024, format::Dtype::kS8, false, nullptr),
           Status::kOk);
  CHECK_EQ(session->get_output(0, planes.data(), 4096, format::Dtype::kF32, true, nullptr),
           Status::kOk);
  const format::TensorRecord& y = file.tensors[file.ports[1].tensor];
  for (size_t p = 0; p < 64; ++p) {
    for (size_t c = 0; c < 16; ++c) {
      CHECK_EQ(planes[c * 64 + p], static_cast<float>(stored[p * 16 + c] - y.zero_point) * y.scale);
    }
  }
}

TEST(a_nan_is_a_status) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* name : {"small", "float"}) {
    WITH_CONTEXT(name);
    LoadedModel loaded(name);
    REQUIRE_EQ(loaded.status, Status::kOk);
    OpenSession session(loaded.model);
    const format::ParsedModel& file = loaded.model->file();
    std::vector<float> x(
        static_cast<size_t>(format::element_count(file.tensors[file.ports[0].tensor])), 0.5f);
    x[x.size() - 1] = nan;
    for (const bool api : {true, false}) {
      CHECK_EQ(session->set_input(0, x.data(), x.size() * 4, format::Dtype::kF32, api, nullptr),
               Status::kNanInput);
      CHECK_EQ(session->run(nullptr), Status::kWrongState);
    }
    x[x.size() - 1] = std::numeric_limits<float>::infinity();  // clamps
    CHECK_EQ(session->set_input(0, x.data(), x.size() * 4, format::Dtype::kF32, true, nullptr),
             Status::kOk);
  }
  // Written past the check into the input's own memory, a NaN is met by the Quantize op inside.
  LoadedModel loaded("float");
  REQUIRE_EQ(loaded.status, Status::kOk);
  OpenSession session(loaded.model);
  void* data = nullptr;
  size_t bytes = 0;
  REQUIRE_EQ(session->map_input(0, &data, &bytes, nullptr), Status::kOk);
  for (size_t i = 0; i < bytes / 4; ++i) static_cast<float*>(data)[i] = nan;
  edgecv::Error error;
  CHECK_EQ(session->run(&error), Status::kNanInput);
  CHECK(std::string(error.text).find("'q'") ==
        std::string::npos);  // the op's name stands in brackets
  CHECK(std::string(error.text).find("(q)") != std::string::npos);
  const void* out = nullptr;
  CHECK_EQ(session->map_output(0, &out, &bytes, nullptr), Status::kWrongState);
}

TEST(goldens_pass_and_a_broken_constant_fails_by_name) {
  for (const char* name : {"small", "wide", "float"}) {
    WITH_CONTEXT(name);
    LoadedModel loaded(name, 2);
    REQUIRE_EQ(loaded.status, Status::kOk);
    runtime::VerifyReport report;
    CHECK_EQ(runtime::verify_model(loaded.model, &report, &loaded.error), Status::kOk);
    CHECK(report.digests > 0);
    CHECK_EQ(report.failed, 0u);
    CHECK_EQ(report.text[0], 0);
  }
  LoadedModel loaded("small");
  REQUIRE_EQ(loaded.status, Status::kOk);
  // Bits of the last packed weights of op 3, "point"; zeros may be padding that nothing reads.
  runtime::Plan& plan = const_cast<runtime::Plan&>(loaded.model->plan());
  const runtime::Step& step = plan.steps[plan.first_step[3]];
  if (step.packed_bytes == 0) SKIP("the kernel of this CPU packs nothing");
  int flipped = 0;
  for (uint64_t i = step.packed_bytes; i > 0 && flipped < 32; --i) {
    uint8_t& byte = plan.packed[step.packed_offset + i - 1];
    if (byte == 0) continue;
    byte ^= 0x40;
    ++flipped;
  }
  runtime::VerifyReport report;
  CHECK_EQ(runtime::verify_model(loaded.model, &report, &loaded.error), Status::kVerifyFailed);
  CHECK_EQ(report.failed_op, 3u);
  CHECK(std::string(report.text).find("'point'") != std::string::npos);
  CHECK(std::string(report.text).find(step.kernel->name) != std::string::npos);
}

TEST(keep_all_keeps_what_the_callback_sees) {
  LoadedModel kept("small", 1, nullptr, true);
  LoadedModel shared("small", 1, nullptr, false, edgecv::default_allocator(),
                     runtime::ChainMode::kOff);
  REQUIRE_EQ(kept.status, Status::kOk);
  REQUIRE_EQ(shared.status, Status::kOk);
  CHECK(kept.model->plan().layout.arena_bytes > shared.model->plan().layout.arena_bytes);
  struct Seen {
    runtime::Session* session;
    std::vector<std::vector<int8_t>> outputs;
    std::vector<uint32_t> ops;
  } seen;
  OpenSession a(kept.model), b(shared.model);
  seen.session = b.session;
  b->set_op_callback(
      [](void* context, uint32_t op) {
        Seen* self = static_cast<Seen*>(context);
        const format::ParsedModel& file = self->session->model().file();
        const uint32_t id = file.ops[op].output;
        std::vector<int8_t> values(static_cast<size_t>(format::tensor_bytes(file.tensors[id])));
        CHECK_EQ(self->session->read_tensor(id, values.data(), values.size(), format::Dtype::kS8,
                                            nullptr),
                 Status::kOk);
        self->outputs.push_back(values);
        self->ops.push_back(op);
      },
      &seen);
  const std::vector<uint8_t> in_shared_memory = run_seed(b.session, 5);
  CHECK(!in_shared_memory.empty());
  CHECK(run_seed(a.session, 5) == in_shared_memory);  // graph outputs survive to the end
  const format::ParsedModel& file = kept.model->file();
  REQUIRE_EQ(seen.ops.size(), file.ops.size());
  for (uint32_t op = 0; op < file.ops.size(); ++op) {
    CHECK_EQ(seen.ops[op], op);
    std::vector<int8_t> values(seen.outputs[op].size());
    CHECK_EQ(a->read_tensor(file.ops[op].output, values.data(), values.size(), format::Dtype::kS8,
                            nullptr),
             Status::kOk);
    CHECK(values == seen.outputs[op]);
    // Outside the callback the shared arena gives only constants away.
    CHECK_EQ(b->read_tensor(file.ops[op].output, values.data(), values.size(), format::Dtype::kS8,
                            nullptr),
             Status::kWrongState);
  }
}

TEST(forced_isa) {
  CHECK_EQ(LoadedModel("small", 1, "no-such-isa").status, Status::kInvalidArgument);
#if defined(__x86_64__)
  CHECK(LoadedModel("small", 1, "neon").status != Status::kOk);
#endif
  LoadedModel loaded("small", 1, "reference");
  REQUIRE_EQ(loaded.status, Status::kOk);
  for (const runtime::Step& step : loaded.model->plan().steps)
    CHECK_EQ(std::string(step.kernel->isa), "reference");
  setenv("EDGECV_FORCE_ISA", "reference", 1);
  LoadedModel by_environment("small");
  CHECK_EQ(by_environment.status, Status::kOk);
  if (by_environment.model != nullptr) {
    CHECK_EQ(std::string(by_environment.model->plan().isa.name), "reference");
  }
  setenv("EDGECV_FORCE_ISA", "no-such-isa", 1);
  CHECK_EQ(LoadedModel("small").status, Status::kInvalidArgument);
  unsetenv("EDGECV_FORCE_ISA");
}

// Concats and slices as views: the steps they save, the same bits with and without, and what each
// tensor holds.
#include "runtime/views.h"

#include <cstring>

#include "check.h"
#include "runtime/fixtures.h"

namespace {

using edgecv::Error;
using edgecv::Status;
using edgecv::kernels::Family;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

struct Loaded {
  explicit Loaded(const runtime::PlanOptions& options) {
    const std::string path = edgecv_test::model_path("views");
    runtime::ModelSource source;
    source.path = path.c_str();
    (void)runtime::Model::load(source, options, format::Limits(), edgecv::default_allocator(),
                               runtime::LogSink(), &model, &error);
  }
  ~Loaded() {
    if (model != nullptr) model->release();
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  runtime::Model* model = nullptr;
  Error error;
};

runtime::PlanOptions options_with(bool views, int threads = 1, const char* isa = nullptr) {
  runtime::PlanOptions options;
  options.views = views;
  options.threads = threads;
  options.isa = isa;
  return options;
}

bool begins_with(const char* text, const char* prefix) {
  return std::strncmp(text, prefix, std::strlen(prefix)) == 0;
}

}  // namespace

TEST(ops_in_place_take_no_step) {
  Loaded loaded(options_with(true)), without(options_with(false));
  REQUIRE(loaded.model != nullptr && without.model != nullptr);
  const format::ParsedModel& file = loaded.model->file();
  int in_place = 0, moved = 0;
  for (uint32_t op = 0; op < file.ops.size(); ++op) {
    const auto steps = [op](const Loaded& l) {
      const runtime::Plan& plan = l.model->plan();
      return plan.first_step[op + 1] - plan.first_step[op];
    };
    WITH_CONTEXT(std::string("op ") + file.op_name(op));
    if (begins_with(file.op_name(op), "in_place")) {
      CHECK_EQ(steps(loaded), 0u);
      CHECK(steps(without) > 0);
      ++in_place;
    } else if (begins_with(file.op_name(op), "moved")) {
      CHECK(steps(loaded) > 0);
      ++moved;
    }
  }
  CHECK_EQ(in_place, 12);
  CHECK_EQ(moved, 5);
}

// Only what is not in place is copied: one of the two parts of moved_twice and moved_seen.
TEST(parts_in_place_are_not_copied) {
  Loaded loaded(options_with(true)), without(options_with(false));
  REQUIRE(loaded.model != nullptr && without.model != nullptr);
  const auto moves = [](const Loaded& l) {
    int count = 0;
    for (const runtime::Step& step : l.model->plan().steps)
      count += step.call.family == Family::kMove ? 1 : 0;
    return count;
  };
  CHECK_EQ(moves(loaded), 7);
  CHECK_EQ(moves(without), 32);
}

TEST(views_do_not_change_a_bit) {
  Loaded plain(options_with(false, 1, "reference"));
  REQUIRE(plain.model != nullptr);
  edgecv_test::OpenSession session(plain.model);
  for (const char* isa : {"reference", static_cast<const char*>(nullptr)}) {
    for (int threads = 1; threads <= 3; ++threads) {
      for (int chains = 0; chains < 3; ++chains) {
        runtime::PlanOptions options = options_with(true, threads, isa);
        options.chains = static_cast<runtime::ChainMode>(chains);
        Loaded loaded(options);
        REQUIRE(loaded.model != nullptr);
        edgecv_test::OpenSession other(loaded.model);
        for (uint64_t seed = 1; seed <= 3; ++seed) {
          WITH_CONTEXT(std::string(isa != nullptr ? isa : "best") + " threads " +
                       std::to_string(threads) + " chains " + std::to_string(chains) + " seed " +
                       std::to_string(seed));
          const std::vector<uint8_t> want = edgecv_test::run_seed(session.session, seed);
          CHECK(!want.empty());
          CHECK(edgecv_test::run_seed(other.session, seed) == want);
        }
      }
    }
  }
}

// Every tensor read in the callback of its op, gaps or not, is that of a plan without views.
TEST(tensors_with_gaps_are_read_whole) {
  struct Trace {
    runtime::Session* session;
    std::vector<std::vector<uint8_t>> outputs;
    static void add(void* context, uint32_t op) {
      auto* self = static_cast<Trace*>(context);
      const format::ParsedModel& file = self->session->model().file();
      const uint32_t id = file.ops[op].output;
      std::vector<uint8_t> bytes(static_cast<size_t>(format::tensor_bytes(file.tensors[id])));
      CHECK(self->session->read_tensor(id, bytes.data(), bytes.size(), format::Dtype::kS8,
                                       nullptr) == Status::kOk);
      self->outputs.push_back(bytes);
    }
  };
  std::vector<std::vector<uint8_t>> want;
  int gaps = 0;
  for (const bool views : {false, true}) {
    runtime::PlanOptions options = options_with(views);
    options.chains = runtime::ChainMode::kOff;
    Loaded loaded(options);
    REQUIRE(loaded.model != nullptr);
    edgecv_test::OpenSession session(loaded.model);
    Trace trace{session.session, {}};
    session->set_op_callback(Trace::add, &trace);
    CHECK(!edgecv_test::run_seed(session.session, 5).empty());
    if (!views) {
      want = trace.outputs;
      continue;
    }
    REQUIRE_EQ(trace.outputs.size(), want.size());
    for (size_t op = 0; op < want.size(); ++op) {
      WITH_CONTEXT(std::string("op ") + loaded.model->file().op_name(static_cast<uint32_t>(op)));
      CHECK(trace.outputs[op] == want[op]);
    }
    for (uint32_t t = 0; t < loaded.model->file().tensors.size(); ++t) {
      const edgecv::ops::View& view = loaded.model->plan().views[t];
      if (view.stride != edgecv::ops::last_dim(loaded.model->file().tensors[t])) ++gaps;
    }
  }
  CHECK(gaps >= 12);
}

// What shares no byte by the rules of find_views() shares none: tensors that are alive together lie
// in one another or apart.
TEST(views_lie_inside_their_roots) {
  Loaded loaded(options_with(true));
  REQUIRE(loaded.model != nullptr);
  const format::ParsedModel& file = loaded.model->file();
  for (uint32_t t = 0; t < file.tensors.size(); ++t) {
    const edgecv::ops::View& view = loaded.model->plan().views[t];
    WITH_CONTEXT(std::string("tensor ") + file.tensor_name(t));
    const format::TensorRecord& tensor = file.tensors[t];
    const int64_t channels = edgecv::ops::last_dim(tensor);
    const int64_t pixels = format::element_count(tensor) / channels;
    const int64_t end =
        view.offset + ((pixels - 1) * view.stride + channels) * format::dtype_bytes(tensor.dtype);
    CHECK(view.offset >= 0 && view.stride >= channels);
    CHECK(end <= format::tensor_bytes(file.tensors[view.root]));
    CHECK_EQ(loaded.model->plan().views[view.root].root, view.root);
  }
}

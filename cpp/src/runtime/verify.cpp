#include "runtime/verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/generator.h"
#include "format/sha256.h"
#include "runtime/session.h"

namespace edgecv::runtime {
namespace {

using format::DigestRecord;
using format::Dtype;
using format::GoldenRecord;
using format::TensorRecord;

constexpr int kSamples = 16;

// What is known about a digest.
enum State : uint8_t { kUnknown = 0, kSame, kDifferent };

class Verifier {
 public:
  Verifier(Model* model, VerifyReport* report)
      : model_(model),
        report_(report),
        states_(model->allocator()),
        dense_(model->allocator()),
        constants_(model->allocator()),
        unbounded_(model->allocator()) {}
  ~Verifier() {
    if (traced_ != nullptr) traced_->destroy();
    if (full_ != nullptr) full_->destroy();
  }

  // Whole runs use the plan as it is, chains included. What lies inside a chain has no memory
  // there: the ops of such a plan run one by one besides, and again when a digest differs, so that
  // the op and not its chain is named.
  Status run(Error* error) {
    const format::ParsedModel& file = model_->file();
    const uint32_t count = static_cast<uint32_t>(file.goldens.size());
    if (!states_.resize(file.digests.size()))
      return fail(error, Status::kOutOfMemory, "no memory to verify %u goldens", count);
    size_t bytes = 0;  // of the largest tensor with gaps
    for (uint32_t id = 0; id < file.tensors.size(); ++id) {
      const size_t own = static_cast<size_t>(format::tensor_bytes(file.tensors[id]));
      if (has_gaps(id, model_->plan()) && bytes < own) bytes = own;
    }
    if (!dense_.resize(bytes))
      return fail(error, Status::kOutOfMemory, "no memory to verify %u goldens", count);
    report_->goldens = count;
    Session* session = nullptr;
    EDGECV_TRY(Session::create(model_, &session, error));
    Status status = run_whole(session, error);
    const bool chains = session->layout().chains;
    session->destroy();
    if (!(status == Status::kNanInput && report_->failed != 0)) EDGECV_TRY(status);
    bool alone = false;
    for (const GoldenRecord& record : file.goldens) alone = alone || record.kind != 0;
    if (!chains && !alone) return Status::kOk;
    EDGECV_TRY(Session::create(model_, &traced_, error, true));
    if (chains) EDGECV_TRY(run_whole(traced_, error));
    for (golden_ = 0; golden_ < count; ++golden_) {
      if (file.goldens[golden_].kind != 0) EDGECV_TRY(run_ops(file.goldens[golden_], error));
    }
    return Status::kOk;
  }

 private:
  Status run_whole(Session* session, Error* error) {
    const uint32_t count = static_cast<uint32_t>(model_->file().goldens.size());
    for (golden_ = 0; golden_ < count; ++golden_) {
      const GoldenRecord& record = model_->file().goldens[golden_];
      if (record.kind == 0) EDGECV_TRY(run_model(session, record, error));
    }
    return Status::kOk;
  }

  // The file lists digests in the order of their ops, and so do the callbacks.
  Status run_model(Session* session, const GoldenRecord& record, Error* error) {
    const format::ParsedModel& file = model_->file();
    for (uint32_t i = 0; i < file.input_ports; ++i) {
      const TensorRecord& tensor = file.tensors[file.ports[i].tensor];
      void* data;
      size_t bytes;
      EDGECV_TRY(session->map_input(i, &data, &bytes, error));
      format::generate(record.seed + i, static_cast<Dtype>(tensor.dtype),
                       format::element_count(tensor), data);
    }
    next_digest_ = 0;
    session_ = session;
    session->set_op_callback(compare_after_op, this);
    const Status status = session->run(error);
    session->set_op_callback(nullptr, nullptr);
    return status;
  }

  // Every op with a digest on its own, its inputs filled by the generator, with values that the
  // rest of the file may never give. Kernels that were chosen for proven bounds cannot take them:
  // for such an op the digest is that of a plan without bounds, which the kernels of the model's
  // plan then have to agree with on inputs within the bounds. Inputs that share memory cannot hold
  // what the generator gives either: such an op runs in that plan alone, which has no views.
  Status run_ops(const GoldenRecord& record, Error* error) {
    for (uint32_t d = record.first_digest; d < record.first_digest + record.digest_count; ++d) {
      const uint32_t op = model_->file().digests[d].op;
      const kernels::ConvProblem* narrow = narrow_problem(op);
      const bool shared = inputs_share_memory(op);
      if (narrow != nullptr || shared) EDGECV_TRY(open_unbounded(error));
      session_ = narrow != nullptr || shared ? full_ : traced_;
      fill_inputs(op, record.seed, nullptr, session_);
      EDGECV_TRY(session_->run_op(op, error));
      compare(d);
      if (narrow == nullptr || shared) continue;
      fill_inputs(op, record.seed, narrow, full_);
      EDGECV_TRY(full_->run_op(op, error));
      fill_inputs(op, record.seed, narrow, traced_);
      EDGECV_TRY(traced_->run_op(op, error));
      session_ = traced_;
      const uint32_t id = model_->file().ops[op].output;
      const size_t bytes = static_cast<size_t>(format::tensor_bytes(model_->file().tensors[id]));
      if (memcmp(full_->activation(id), values_of(id, traced_), bytes) != 0)
        differs(d, "its output differs from that of a kernel for any input");
    }
    return Status::kOk;
  }

  void fill_inputs(uint32_t index, uint64_t seed, const kernels::ConvProblem* narrow,
                   Session* session) {
    const format::ParsedModel& file = model_->file();
    const format::OpRecord& op = file.ops[index];
    for (uint32_t i = 0; i < op.input_count; ++i) {
      const uint32_t id = file.input_id(op, i);
      if (id == format::kAbsent || file.is_constant(id)) continue;
      if (session->activation(id) == nullptr) continue;
      const bool gaps = has_gaps(id, session->plan());
      uint8_t* data = gaps ? dense_.data() : session->activation(id);
      const TensorRecord& tensor = file.tensors[id];
      const int64_t count = format::element_count(tensor);
      format::generate(seed + i, static_cast<Dtype>(tensor.dtype), count, data);
      int8_t* values = reinterpret_cast<int8_t*>(data);
      for (int64_t k = 0; narrow != nullptr && k < count; ++k) {
        if (values[k] < narrow->in_lo) values[k] = static_cast<int8_t>(narrow->in_lo);
        if (values[k] > narrow->in_hi) values[k] = static_cast<int8_t>(narrow->in_hi);
      }
      if (gaps) session->scatter(id, data);
    }
  }

  bool inputs_share_memory(uint32_t index) const {
    const format::ParsedModel& file = model_->file();
    const format::OpRecord& op = file.ops[index];
    const Array<ops::View>& views = model_->plan().views;
    uint32_t first = format::kAbsent;
    for (uint32_t i = 0; i < op.input_count; ++i) {
      const uint32_t id = file.input_id(op, i);
      if (id == format::kAbsent || file.is_constant(id)) continue;
      if (first != format::kAbsent && views[id].root == views[first].root) return true;
      if (first == format::kAbsent) first = id;
    }
    return false;
  }

  // The problem of an op whose kernel was chosen for less than all values of s8; null otherwise.
  const kernels::ConvProblem* narrow_problem(uint32_t op) const {
    const Plan& plan = model_->plan();
    if (plan.first_step[op] == plan.first_step[op + 1]) return nullptr;
    const ops::Call& call = plan.steps[plan.first_step[op]].call;
    const bool conv =
        call.family == kernels::Family::kConvS8 || call.family == kernels::Family::kConvTransposeS8;
    const kernels::ConvProblem& p = call.problem.conv;
    return conv && (p.in_lo > -128 || p.in_hi < 127) ? &p : nullptr;
  }

  Status open_unbounded(Error* error) {
    if (full_ != nullptr) return Status::kOk;
    PlanOptions options;
    options.threads = model_->plan().threads;
    options.isa = model_->plan().isa.name;
    options.keep_all = true;
    options.bounds = false;
    EDGECV_TRY(model_->read_again(&constants_, error));
    EDGECV_TRY(
        make_plan(constants_, options, model_->limits(), model_->allocator(), &unbounded_, error));
    return Session::create(model_, &full_, error, true, &unbounded_);
  }

  static void compare_after_op(void* context, uint32_t op) {
    Verifier* self = static_cast<Verifier*>(context);
    const format::ParsedModel& file = self->model_->file();
    const GoldenRecord& record = file.goldens[self->golden_];
    if (self->next_digest_ == record.digest_count) return;
    const uint32_t digest = record.first_digest + self->next_digest_;
    if (file.digests[digest].op != op) return;
    self->compare(digest);
    ++self->next_digest_;
  }

  bool has_gaps(uint32_t tensor, const Plan& plan) const {
    return plan.views[tensor].stride != ops::last_dim(model_->file().tensors[tensor]);
  }

  // The values of a tensor one after the other, until the next call.
  const uint8_t* values_of(uint32_t tensor, Session* session) {
    if (!has_gaps(tensor, session->plan())) return session->activation(tensor);
    session->gather(tensor, dense_.data());
    return dense_.data();
  }

  void compare(uint32_t index) {
    const format::ParsedModel& file = model_->file();
    const DigestRecord& digest = file.digests[index];
    const uint32_t id = file.ops[digest.op].output;
    const TensorRecord& tensor = file.tensors[id];
    const TensorPlace& place = session_->layout().places[id];
    if (place.constant == nullptr && session_->activation(id) == nullptr)
      return;  // inside a chain, or the output of a view nothing reads
    const uint8_t* data = place.constant != nullptr ? place.constant : values_of(id, session_);
    if (states_[index] == kUnknown) {
      states_[index] = kSame;
      ++report_->digests;
    }
    char what[128];
    if (digest.kind == 0) {
      uint8_t found[32];
      format::sha256(data, static_cast<size_t>(format::tensor_bytes(tensor)), found);
      if (memcmp(found, digest.digest, sizeof(found)) == 0) return;
      snprintf(what, sizeof(what), "the SHA-256 of its output differs");
    } else {
      const int64_t count = format::element_count(tensor);
      int worst = -1;
      float worst_difference = 0.0f;
      for (int i = 0; i < kSamples; ++i) {
        float value;
        memcpy(&value, data + i * count / kSamples * 4, sizeof(value));
        const float difference = fabsf(value - digest.samples[i]);
        if (difference <= digest.tolerance) continue;  // a NaN is not
        if (worst >= 0 && difference <= worst_difference) continue;
        worst = i;
        worst_difference = difference;
      }
      if (worst < 0) return;
      snprintf(what, sizeof(what), "sample %d of its output is off by %g, more than %g", worst,
               static_cast<double>(worst_difference), static_cast<double>(digest.tolerance));
    }
    differs(index, what);
  }

  void differs(uint32_t index, const char* what) {
    const DigestRecord& digest = model_->file().digests[index];
    // The first of all ops is the culprit: a golden that runs ops alone may find it after a whole
    // run has found what follows from it.
    if (report_->failed == 0 || digest.op < report_->failed_op) name_failure(digest.op, what);
    if (states_[index] == kSame) ++report_->failed;
    states_[index] = kDifferent;
  }

  void name_failure(uint32_t op, const char* what) {
    const Plan& plan = session_->plan();
    const uint32_t step = plan.first_step[op];
    const bool view = step == plan.first_step[op + 1];
    report_->failed_op = op;
    report_->failed_golden = golden_;
    const bool chain = !view && session_->layout().chains && plan.steps[step].chain >= 0;
    snprintf(report_->text, sizeof(report_->text),
             "op %u '%.200s' (%s, kernel %s%s), golden %u: %s", op, model_->file().op_name(op),
             format::op_code_name(model_->file().ops[op].code),
             view ? "none, a view" : plan.steps[step].kernel->name, chain ? ", in a chain" : "",
             golden_, what);
  }

  Model* model_;
  VerifyReport* report_;
  Array<uint8_t> states_;       // by digest
  Array<uint8_t> dense_;        // a tensor without its gaps
  Session* session_ = nullptr;  // that runs now
  Session* traced_ = nullptr;
  format::ParsedModel constants_;  // of unbounded_
  Plan unbounded_;
  Session* full_ = nullptr;  // of unbounded_
  uint32_t golden_ = 0;
  uint32_t next_digest_ = 0;
};

}  // namespace

Status verify_model(Model* model, VerifyReport* report, Error* error) {
  *report = VerifyReport();
  Verifier verifier(model, report);
  Status status = verifier.run(error);
  // A wrong op may have made the NaN that a later one refused.
  if (status == Status::kNanInput && report->failed != 0) status = Status::kOk;
  if (status != Status::kOk || report->failed == 0) return status;
  return fail(error, Status::kVerifyFailed, "%u of %u digests differ; the first: %s",
              report->failed, report->digests, report->text);
}

}  // namespace edgecv::runtime

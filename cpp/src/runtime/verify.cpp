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

class Verifier {
 public:
  Verifier(Model* model, Session* session, VerifyReport* report)
      : model_(model), session_(session), report_(report) {}

  Status run(uint32_t golden, Error* error) {
    const GoldenRecord& record = model_->file().goldens[golden];
    golden_ = golden;
    ++report_->goldens;
    return record.kind == 0 ? run_model(record, error) : run_ops(record, error);
  }

 private:
  // The file lists digests in the order of their ops, and so do the callbacks.
  Status run_model(const GoldenRecord& record, Error* error) {
    const format::ParsedModel& file = model_->file();
    for (uint32_t i = 0; i < file.input_ports; ++i) {
      const TensorRecord& tensor = file.tensors[file.ports[i].tensor];
      void* data;
      size_t bytes;
      EDGECV_TRY(session_->map_input(i, &data, &bytes, error));
      format::generate(record.seed + i, static_cast<Dtype>(tensor.dtype),
                       format::element_count(tensor), data);
    }
    next_digest_ = 0;
    session_->set_op_callback(compare_after_op, this);
    const Status status = session_->run(error);
    session_->set_op_callback(nullptr, nullptr);
    return status;
  }

  // Every op with a digest on its own, its inputs filled by the generator.
  Status run_ops(const GoldenRecord& record, Error* error) {
    const format::ParsedModel& file = model_->file();
    for (uint32_t d = 0; d < record.digest_count; ++d) {
      const DigestRecord& digest = file.digests[record.first_digest + d];
      const format::OpRecord& op = file.ops[digest.op];
      for (uint32_t i = 0; i < op.input_count; ++i) {
        const uint32_t id = file.input_id(op, i);
        if (id == format::kAbsent || file.is_constant(id)) continue;
        uint8_t* data = session_->activation(id);
        if (data == nullptr) continue;
        const TensorRecord& tensor = file.tensors[id];
        format::generate(record.seed + i, static_cast<Dtype>(tensor.dtype),
                         format::element_count(tensor), data);
      }
      EDGECV_TRY(session_->run_op(digest.op, error));
      compare(digest);
    }
    return Status::kOk;
  }

  static void compare_after_op(void* context, uint32_t op) {
    Verifier* self = static_cast<Verifier*>(context);
    const format::ParsedModel& file = self->model_->file();
    const GoldenRecord& record = file.goldens[self->golden_];
    if (self->next_digest_ == record.digest_count) return;
    const DigestRecord& digest = file.digests[record.first_digest + self->next_digest_];
    if (digest.op != op) return;
    self->compare(digest);
    ++self->next_digest_;
  }

  void compare(const DigestRecord& digest) {
    const format::ParsedModel& file = model_->file();
    const uint32_t id = file.ops[digest.op].output;
    const TensorRecord& tensor = file.tensors[id];
    const TensorPlace& place = session_->layout().places[id];
    const uint8_t* data = place.constant != nullptr ? place.constant : session_->activation(id);
    if (data == nullptr) return;  // the output of a view nothing reads
    ++report_->digests;
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
    // The first of all ops is the culprit: a golden that runs ops alone may find it after a whole
    // run has found what follows from it.
    if (report_->failed++ == 0 || digest.op < report_->failed_op) name_failure(digest.op, what);
  }

  void name_failure(uint32_t op, const char* what) {
    const Plan& plan = model_->plan();
    const uint32_t step = plan.first_step[op];
    const bool view = step == plan.first_step[op + 1];
    report_->failed_op = op;
    report_->failed_golden = golden_;
    snprintf(report_->text, sizeof(report_->text), "op %u '%.200s' (%s, kernel %s), golden %u: %s",
             op, model_->file().op_name(op), format::op_code_name(model_->file().ops[op].code),
             view ? "none, a view" : plan.steps[step].kernel->name, golden_, what);
  }

  Model* model_;
  Session* session_;
  VerifyReport* report_;
  uint32_t golden_ = 0;
  uint32_t next_digest_ = 0;
};

}  // namespace

Status verify_model(Model* model, VerifyReport* report, Error* error) {
  *report = VerifyReport();
  Session* session = nullptr;
  EDGECV_TRY(Session::create(model, &session, error));
  Verifier verifier(model, session, report);
  Status status = Status::kOk;
  for (uint32_t i = 0; i < model->file().goldens.size() && status == Status::kOk; ++i)
    status = verifier.run(i, error);
  session->destroy();
  // A wrong op may have made the NaN that a later one refused.
  if (status == Status::kNanInput && report->failed != 0) status = Status::kOk;
  if (status != Status::kOk || report->failed == 0) return status;
  return fail(error, Status::kVerifyFailed, "%u of %u digests differ; the first: %s",
              report->failed, report->digests, report->text);
}

}  // namespace edgecv::runtime

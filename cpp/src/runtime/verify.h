// Runs the golden inputs of a file on this machine and compares what comes out (docs/format.md,
// "Golden inputs").
#ifndef EDGECV_RUNTIME_VERIFY_H_
#define EDGECV_RUNTIME_VERIFY_H_

#include <stdint.h>

#include "base/status.h"
#include "runtime/model.h"

namespace edgecv::runtime {

struct VerifyReport {
  uint32_t goldens = 0;                  // run
  uint32_t digests = 0;                  // compared
  uint32_t failed = 0;                   // of them, different
  uint32_t failed_op = format::kAbsent;  // the first one
  uint32_t failed_golden = format::kAbsent;
  char text[512] = {0};  // what was wrong with it
};

// kVerifyFailed when a digest differs; *report is filled in that case too.
Status verify_model(Model* model, VerifyReport* report, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_VERIFY_H_

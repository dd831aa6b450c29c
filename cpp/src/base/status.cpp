#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

namespace edgecv {

const char* status_name(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kInvalidArgument:
      return "invalid_argument";
    case Status::kIo:
      return "io";
    case Status::kOutOfMemory:
      return "out_of_memory";
    case Status::kNotEcv:
      return "not_ecv";
    case Status::kVersion:
      return "version";
    case Status::kTruncated:
      return "truncated";
    case Status::kChecksum:
      return "checksum";
    case Status::kCorrupt:
      return "corrupt";
    case Status::kLimit:
      return "limit";
    case Status::kUnsupported:
      return "unsupported";
    case Status::kNanInput:
      return "nan_input";
    case Status::kVerifyFailed:
      return "verify_failed";
    case Status::kWrongState:
      return "wrong_state";
    case Status::kInternal:
      return "internal";
  }
  return "unknown";
}

Status fail(Error* error, Status status, const char* format, ...) {
  if (error != nullptr) {
    error->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
  }
  return status;
}

}  // namespace edgecv

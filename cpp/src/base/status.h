// Status codes and the one error record of the core: a code and a line of text, no allocation.
#ifndef EDGECV_BASE_STATUS_H_
#define EDGECV_BASE_STATUS_H_

#include <stdint.h>

namespace edgecv {

// Values are part of the C API (EDGECV_STATUS_*) and of the names of tests/data/bad files: never
// renumber.
enum class Status : int32_t {
  kOk = 0,
  kInvalidArgument = 1,  // the caller's argument is wrong (shape, size, null, name)
  kIo = 2,               // the operating system could not open, read or map
  kOutOfMemory = 3,      // the allocator returned null
  kNotEcv = 4,           // the magic is not that of an .ecv file
  kVersion = 5,          // a major version or critical section this build does not know
  kTruncated = 6,        // shorter than the header says
  kChecksum = 7,         // a CRC-32 does not match
  kCorrupt = 8,          // a record breaks a rule of docs/format.md
  kLimit = 9,            // well-formed, but above a limit of this build
  kUnsupported = 10,     // well-formed, but no kernel takes it
  kNanInput = 11,        // a float input holds a NaN
  kVerifyFailed = 12,    // a golden digest differs
  kWrongState = 13,      // calls in the wrong order
  kInternal = 14,        // a bug in edgecv
};

const char* status_name(Status status);  // "ok", "invalid_argument", ...

// The text of the first failure; `format` is printf-like.
struct Error {
  Status status = Status::kOk;
  char text[512] = {0};
};

// Fills *error (may be null) and returns `status`, so that a failure is one line: return fail(err,
// ...).
Status fail(Error* error, Status status, const char* format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

}  // namespace edgecv

// Returns from the calling function when `expr` is not kOk.
#define EDGECV_TRY(expr)                                                      \
  do {                                                                        \
    const ::edgecv::Status edgecv_try_status = (expr);                        \
    if (edgecv_try_status != ::edgecv::Status::kOk) return edgecv_try_status; \
  } while (0)

#endif  // EDGECV_BASE_STATUS_H_

// Which instruction set the kernels of a plan are chosen for.
#ifndef EDGECV_RUNTIME_ISA_H_
#define EDGECV_RUNTIME_ISA_H_

#include <stdint.h>

#include "base/status.h"

namespace edgecv::runtime {

struct IsaChoice {
  const char* name;  // of kernels::isa_name
  uint32_t mask;     // IsaBits kernels may need
};

// What kernels may use: `forced` and what it includes; when null, the same of the environment
// variable EDGECV_FORCE_ISA; when that is not set or empty, all this CPU has. kInvalidArgument for
// a name this build or CPU lacks.
Status choose_isa(const char* forced, IsaChoice* choice, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_ISA_H_

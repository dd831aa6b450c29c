#include "runtime/isa.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cpu_features.h"

namespace edgecv::runtime {

Status choose_isa(const char* forced, IsaChoice* choice, Error* error) {
  const uint32_t available = kernels::detect_isa_bits();
  if (forced == nullptr) {
    forced = getenv("EDGECV_FORCE_ISA");
    if (forced != nullptr && forced[0] == 0) forced = nullptr;
  }
  *choice = {"reference", 0};
  if (forced == nullptr) choice->mask = available;
  for (size_t i = 0; kernels::isa_name(i) != nullptr; ++i) {
    const char* name = kernels::isa_name(i);
    uint32_t mask = 0;
    if (forced == nullptr) {  // the last one present gives its name
      if (kernels::isa_mask_for(name, available, &mask, nullptr) == Status::kOk)
        choice->name = name;
    } else if (strcmp(name, forced) == 0) {
      choice->name = name;
    }
  }
  return forced == nullptr ? Status::kOk
                           : kernels::isa_mask_for(forced, available, &choice->mask, error);
}

}  // namespace edgecv::runtime

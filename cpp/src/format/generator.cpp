#include "format/generator.h"

#include <string.h>

namespace edgecv::format {

uint64_t generator_word(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void generate(uint64_t seed, Dtype dtype, int64_t count, void* out) {
  const uint64_t n = static_cast<uint64_t>(count);
  switch (dtype) {
    case Dtype::kS8: {
      int8_t* q = static_cast<int8_t*>(out);
      for (uint64_t i = 0; i < n; i += 8) {
        const uint64_t word = generator_word(seed, i / 8);
        for (uint64_t j = 0; j < 8 && i + j < n; ++j) {
          const uint8_t byte = static_cast<uint8_t>(word >> (8 * j));
          memcpy(q + i + j, &byte, 1);
        }
      }
      return;
    }
    case Dtype::kS32: {
      uint32_t* q = static_cast<uint32_t*>(out);
      for (uint64_t i = 0; i < n; ++i) q[i] = static_cast<uint32_t>(generator_word(seed, i));
      return;
    }
    case Dtype::kF32: {
      float* x = static_cast<float*>(out);
      for (uint64_t i = 0; i < n; ++i) {
        // Exact: 24 bits scaled by a power of two, and the difference is a multiple of 2^-22
        // below 2.
        x[i] = static_cast<float>(generator_word(seed, i) >> 40) * 0x1p-22f - 2.0f;
      }
      return;
    }
  }
}

}  // namespace edgecv::format

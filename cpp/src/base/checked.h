// Arithmetic on numbers nobody vouches for: every function returns false on overflow.
#ifndef EDGECV_BASE_CHECKED_H_
#define EDGECV_BASE_CHECKED_H_

#include <stdint.h>

namespace edgecv {

inline bool checked_add(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
inline bool checked_mul(int64_t a, int64_t b, int64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}
inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
inline bool checked_mul(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}

}  // namespace edgecv

#endif  // EDGECV_BASE_CHECKED_H_

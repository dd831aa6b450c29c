// The floating-point environment kernels rely on: round to nearest even, no flush to zero, no trap.
#ifndef EDGECV_BASE_FP_ENV_H_
#define EDGECV_BASE_FP_ENV_H_

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__SSE__) && !defined(__aarch64__) && !defined(__arm__)
#include <fenv.h>
#endif

namespace edgecv {

#if defined(__x86_64__) || defined(__SSE__)
using FpEnv = uint32_t;  // MXCSR
inline FpEnv fp_env_save() { return __builtin_ia32_stmxcsr(); }
inline void fp_env_load(FpEnv env) { __builtin_ia32_ldmxcsr(env); }
inline void fp_env_set_default() { __builtin_ia32_ldmxcsr(0x1F80u); }
#elif defined(__aarch64__)
using FpEnv = uint64_t;  // FPCR
inline FpEnv fp_env_save() {
  uint64_t env;
  __asm__ volatile("mrs %0, fpcr" : "=r"(env));
  return env;
}
inline void fp_env_load(FpEnv env) { __asm__ volatile("msr fpcr, %0" : : "r"(env)); }
inline void fp_env_set_default() { fp_env_load(0); }
#elif defined(__arm__)
using FpEnv = uint32_t;  // FPSCR
inline FpEnv fp_env_save() {
  uint32_t env;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(env));
  return env;
}
inline void fp_env_load(FpEnv env) { __asm__ volatile("vmsr fpscr, %0" : : "r"(env)); }
inline void fp_env_set_default() { fp_env_load(0); }
#else
struct FpEnv {
  fenv_t env;
};
inline FpEnv fp_env_save() {
  FpEnv saved;
  fegetenv(&saved.env);
  return saved;
}
inline void fp_env_load(const FpEnv& saved) { fesetenv(&saved.env); }
inline void fp_env_set_default() { fesetenv(FE_DFL_ENV); }
#endif

// Default environment while it lives; the caller's one afterwards.
class FpEnvScope {
 public:
  FpEnvScope() : saved_(fp_env_save()) { fp_env_set_default(); }
  ~FpEnvScope() { fp_env_load(saved_); }
  FpEnvScope(const FpEnvScope&) = delete;
  FpEnvScope& operator=(const FpEnvScope&) = delete;

 private:
  FpEnv saved_;
};

}  // namespace edgecv

#endif  // EDGECV_BASE_FP_ENV_H_

// The loop of tile_smull.h over the blocks of a panel on aarch64, with its registers chosen by
// hand: left alone, compilers multiply all they can first and store sums to make room. Loads lie
// a few multiplications before what needs them: cores that execute in order wait for them.
//
//   v0 - v3    the first four depths of four rows, v4 - v7 the second four
//   v8, v9     the weights of four columns, v10, v11 those of the next four
//   v12 - v15  products of four rows
#ifndef EDGECV_KERNELS_NEON_SMULL_A64_H_
#define EDGECV_KERNELS_NEON_SMULL_A64_H_

#include "kernels/simd/common.h"

#define EDGECV_MULTIPLY(op, x0, x1, x2, x3, w)                                             \
  op " v12.8h, " x0 ", " w "\n\t" op " v13.8h, " x1 ", " w "\n\t" op " v14.8h, " x2 ", " w \
     "\n\t" op " v15.8h, " x3 ", " w "\n\t"
#define EDGECV_FIRST_LOW(op, w) EDGECV_MULTIPLY(op, "v0.8b", "v1.8b", "v2.8b", "v3.8b", w ".8b")
#define EDGECV_FIRST_HIGH(op, w) \
  EDGECV_MULTIPLY(op, "v0.16b", "v1.16b", "v2.16b", "v3.16b", w ".16b")
#define EDGECV_SECOND_LOW(op, w) EDGECV_MULTIPLY(op, "v4.8b", "v5.8b", "v6.8b", "v7.8b", w ".8b")
#define EDGECV_SECOND_HIGH(op, w) \
  EDGECV_MULTIPLY(op, "v4.16b", "v5.16b", "v6.16b", "v7.16b", w ".16b")
#define EDGECV_ADD_FIRST(s0, s1) "sadalp %" s0 ".4s, v12.8h\n\tsadalp %" s1 ".4s, v13.8h\n\t"
#define EDGECV_ADD_SECOND(s2, s3) "sadalp %" s2 ".4s, v14.8h\n\tsadalp %" s3 ".4s, v15.8h\n\t"
#define EDGECV_LOAD(v, next, from) "ldp q" v ", q" next ", [%[" from "]], #32\n\t"

// Four columns of a block, whose products are added in fours or in pairs; loads go in between.
#define EDGECV_FOURS(s0, s1, s2, s3, wx, wy, load_w, load0, load1, load2, load3) \
  EDGECV_FIRST_LOW("smull", wx) load_w EDGECV_FIRST_HIGH("smlal2", wx)           \
  load0 EDGECV_SECOND_LOW("smlal", wy)                                           \
  load1 EDGECV_SECOND_HIGH("smlal2", wy)                                         \
  load2 EDGECV_ADD_FIRST(s0, s1)                                                 \
  load3 EDGECV_ADD_SECOND(s2, s3)
#define EDGECV_PAIRS(s0, s1, s2, s3, wx, wy, load_w, load0, load1, load2, load3)          \
  EDGECV_FIRST_LOW("smull", wx) load_w EDGECV_FIRST_HIGH("smlal2", wx)                    \
  load0 EDGECV_ADD_FIRST(s0, s1) EDGECV_ADD_SECOND(s2, s3) EDGECV_SECOND_LOW("smull", wy) \
      load1 EDGECV_SECOND_HIGH("smlal2", wy)                                              \
  load2 EDGECV_ADD_FIRST(s0, s1)                                                          \
  load3 EDGECV_ADD_SECOND(s2, s3)

#define EDGECV_EVEN(add, s0, s1, s2, s3) \
  add(s0, s1, s2, s3, "v8", "v9", EDGECV_LOAD("10", "11", "w"), "", "", "", "")
#define EDGECV_ODD(add, s0, s1, s2, s3) \
  add(s0, s1, s2, s3, "v10", "v11", EDGECV_LOAD("8", "9", "w"), "", "", "", "")
#define EDGECV_LAST(add, s0, s1, s2, s3)                                                    \
  add(s0, s1, s2, s3, "v10", "v11", EDGECV_LOAD("8", "9", "w"), EDGECV_LOAD("0", "1", "a"), \
      EDGECV_LOAD("2", "3", "a"), EDGECV_LOAD("4", "5", "a"), EDGECV_LOAD("6", "7", "a"))

#define EDGECV_BLOCK_OF_16(add)         \
  EDGECV_EVEN(add, "0", "4", "8", "12") \
  EDGECV_ODD(add, "1", "5", "9", "13")  \
  EDGECV_EVEN(add, "2", "6", "10", "14") EDGECV_LAST(add, "3", "7", "11", "15")
#define EDGECV_BLOCK_OF_8(add) \
  EDGECV_EVEN(add, "0", "2", "4", "6") EDGECV_LAST(add, "1", "3", "5", "7")

#define EDGECV_RUNS(block) \
  EDGECV_LOAD("8", "9", "w") EDGECV_LOAD("0", "1", "a") EDGECV_LOAD("2", "3", "a")   \
  EDGECV_LOAD("4", "5", "a") EDGECV_LOAD("6", "7", "a")                              \
  "1:\n\t"                                                                           \
  "ldr %w[left], [%[runs]], #4\n\t"                                                  \
  "cbz %w[left], 3f\n\t"                                                             \
  "2:\n\t" block(EDGECV_FOURS)                                                       \
  "subs %w[left], %w[left], #1\n\t"                                                  \
  "b.ne 2b\n\t"                                                                      \
  "3:\n\t"                                                                           \
  "ldr %w[left], [%[runs]], #4\n\t"                                                  \
  "cbz %w[left], 5f\n\t"                                                             \
  "4:\n\t" block(EDGECV_PAIRS)                                                       \
  "subs %w[left], %w[left], #1\n\t"                                                  \
  "b.ne 4b\n\t"                                                                      \
  "b 1b\n\t"                                                                         \
  "5:\n\t"

#define EDGECV_CLOBBERS                                                                          \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
      "v15", "cc", "memory"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

EDGECV_INLINE void multiply_by_panel(int32x4_t (&acc)[4][4], const int8_t* a, const int8_t* w,
                                     const int8_t* runs, const int8_t* bias) {
  int32_t left;
  __asm__ volatile(
      "ldp %q0, %q1, [%[bias]]\n\t"
      "ldp %q2, %q3, [%[bias], #32]\n\t"
      "ldp %q4, %q5, [%[bias]]\n\t"
      "ldp %q6, %q7, [%[bias], #32]\n\t"
      "ldp %q8, %q9, [%[bias]]\n\t"
      "ldp %q10, %q11, [%[bias], #32]\n\t"
      "ldp %q12, %q13, [%[bias]]\n\t"
      "ldp %q14, %q15, [%[bias], #32]\n\t" EDGECV_RUNS(EDGECV_BLOCK_OF_16)
      : "=&w"(acc[0][0]), "=&w"(acc[0][1]), "=&w"(acc[0][2]), "=&w"(acc[0][3]), "=&w"(acc[1][0]),
        "=&w"(acc[1][1]), "=&w"(acc[1][2]), "=&w"(acc[1][3]), "=&w"(acc[2][0]), "=&w"(acc[2][1]),
        "=&w"(acc[2][2]), "=&w"(acc[2][3]), "=&w"(acc[3][0]), "=&w"(acc[3][1]), "=&w"(acc[3][2]),
        "=&w"(acc[3][3]), [left] "=&r"(left), [a] "+r"(a), [w] "+r"(w), [runs] "+r"(runs)
      : [bias] "r"(bias)
      : EDGECV_CLOBBERS);
}

EDGECV_INLINE void multiply_by_panel(int32x4_t (&acc)[4][2], const int8_t* a, const int8_t* w,
                                     const int8_t* runs, const int8_t* bias) {
  int32_t left;
  __asm__ volatile(
      "ldp %q0, %q1, [%[bias]]\n\t"
      "ldp %q2, %q3, [%[bias]]\n\t"
      "ldp %q4, %q5, [%[bias]]\n\t"
      "ldp %q6, %q7, [%[bias]]\n\t" EDGECV_RUNS(EDGECV_BLOCK_OF_8)
      : "=&w"(acc[0][0]), "=&w"(acc[0][1]), "=&w"(acc[1][0]), "=&w"(acc[1][1]), "=&w"(acc[2][0]),
        "=&w"(acc[2][1]), "=&w"(acc[3][0]),
        "=&w"(acc[3][1]), [left] "=&r"(left), [a] "+r"(a), [w] "+r"(w), [runs] "+r"(runs)
      : [bias] "r"(bias)
      : EDGECV_CLOBBERS);
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#undef EDGECV_MULTIPLY
#undef EDGECV_FIRST_LOW
#undef EDGECV_FIRST_HIGH
#undef EDGECV_SECOND_LOW
#undef EDGECV_SECOND_HIGH
#undef EDGECV_ADD_FIRST
#undef EDGECV_ADD_SECOND
#undef EDGECV_LOAD
#undef EDGECV_FOURS
#undef EDGECV_PAIRS
#undef EDGECV_EVEN
#undef EDGECV_ODD
#undef EDGECV_LAST
#undef EDGECV_BLOCK_OF_16
#undef EDGECV_BLOCK_OF_8
#undef EDGECV_RUNS
#undef EDGECV_CLOBBERS

#endif  // EDGECV_KERNELS_NEON_SMULL_A64_H_

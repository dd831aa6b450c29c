# 64-bit RISC-V Linux boards: the reference kernels.
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(EDGECV_TRIPLE riscv64-linux-gnu)
set(EDGECV_QEMU qemu-riscv64)
set(EDGECV_CPUS "rv64")
set(EDGECV_CPU_BITS "0")
include(${CMAKE_CURRENT_LIST_DIR}/gcc_cross.cmake)

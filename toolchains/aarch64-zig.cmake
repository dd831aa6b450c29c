# Any aarch64 Linux board, with glibc 2.17 (2012) or newer: aarch64 wheels are built with it.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(EDGECV_ZIG_TARGET aarch64-linux-gnu.2.17)
set(EDGECV_SYSROOT /usr/aarch64-linux-gnu)
set(EDGECV_QEMU qemu-aarch64)
set(EDGECV_CPUS "cortex-a53;cortex-a72;cortex-a76;max,sve=off")
set(EDGECV_CPU_BITS "100;100;300;700")
include(${CMAKE_CURRENT_LIST_DIR}/zig_cross.cmake)

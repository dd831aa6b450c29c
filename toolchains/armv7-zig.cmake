# Any ARMv7 Linux board with hard floats and NEON, with glibc 2.17 (2012) or newer: armv7l wheels are built with it.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(EDGECV_ZIG_TARGET arm-linux-gnueabihf.2.17)
set(EDGECV_SYSROOT /usr/arm-linux-gnueabihf)
set(EDGECV_QEMU qemu-arm)
set(EDGECV_CPUS "cortex-a7;cortex-a9")
set(EDGECV_CPU_BITS "100;100")
include(${CMAKE_CURRENT_LIST_DIR}/zig_cross.cmake)

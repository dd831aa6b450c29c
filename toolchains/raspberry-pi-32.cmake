# Raspberry Pi 2, 3 and 4 with a 32-bit system, and any other ARMv7 Linux board with hard floats.
# Neither VFPv4 nor its fused multiply-add is assumed: Cortex-A9 has none. Kernels need NEON; the rest of the code runs
# without. ARMv6 (the first Pi, Zero) is not supported.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(EDGECV_TRIPLE arm-linux-gnueabihf)
set(EDGECV_QEMU qemu-arm)
set(EDGECV_CPUS "cortex-a7;cortex-a9")
set(EDGECV_CPU_BITS "100;100")
set(CMAKE_C_FLAGS_INIT "-march=armv7-a+fp -mfloat-abi=hard")
set(CMAKE_CXX_FLAGS_INIT "-march=armv7-a+fp -mfloat-abi=hard")
include(${CMAKE_CURRENT_LIST_DIR}/gcc_cross.cmake)

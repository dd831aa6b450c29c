# Raspberry Pi 3, 4, 5 and Zero 2 with a 64-bit system, and any other aarch64 Linux board.
# Cortex-A53 (Pi 3), A72 (Pi 4): NEON. A76 (Pi 5): dotprod. "max" stands for newer cores: i8mm.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(EDGECV_TRIPLE aarch64-linux-gnu)
set(EDGECV_QEMU qemu-aarch64)
set(EDGECV_CPUS "cortex-a53;cortex-a72;cortex-a76;max,sve=off")
set(EDGECV_CPU_BITS "100;100;300;700")
include(${CMAKE_CURRENT_LIST_DIR}/gcc_cross.cmake)

# NVIDIA Jetson, its CPU alone: Nano (Cortex-A57: NEON), Orin (Cortex-A78AE: dotprod; neoverse-n1 has the same features).
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(EDGECV_TRIPLE aarch64-linux-gnu)
set(EDGECV_QEMU qemu-aarch64)
set(EDGECV_CPUS "cortex-a57;neoverse-n1")
set(EDGECV_CPU_BITS "100;300")
include(${CMAKE_CURRENT_LIST_DIR}/gcc_cross.cmake)

# Any x86-64 Linux, with glibc 2.17 (2012) or newer: x86_64 wheels are built with it.
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(EDGECV_ZIG_TARGET x86_64-linux-gnu.2.17)
set(EDGECV_SYSROOT /)
set(EDGECV_QEMU qemu-x86_64)
set(EDGECV_CPUS "Westmere;Haswell")
set(EDGECV_CPU_BITS "1;7")
include(${CMAKE_CURRENT_LIST_DIR}/zig_cross.cmake)

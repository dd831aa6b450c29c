# Android phones and boards, 64-bit ARM, API level 24 or newer; ANDROID_NDK_HOME names the NDK (r25 or newer).
# Written by the NDK's documentation and not run yet: no NDK was at hand. Its programs are static, so that they
# run in qemu-aarch64.
if(NOT DEFINED ENV{ANDROID_NDK_HOME})
  message(FATAL_ERROR "set ANDROID_NDK_HOME to the folder of the Android NDK")
endif()
set(ANDROID_ABI arm64-v8a)
set(ANDROID_PLATFORM 24)
set(ANDROID_STL c++_static)
include("$ENV{ANDROID_NDK_HOME}/build/cmake/android.toolchain.cmake")
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(EDGECV_QEMU qemu-aarch64)
set(EDGECV_CPUS "cortex-a53;cortex-a76")
set(EDGECV_CPU_BITS "100;300")
set(CMAKE_EXE_LINKER_FLAGS_INIT "${CMAKE_EXE_LINKER_FLAGS_INIT} -static")
set(CMAKE_CROSSCOMPILING_EMULATOR ${EDGECV_QEMU} -cpu cortex-a53)

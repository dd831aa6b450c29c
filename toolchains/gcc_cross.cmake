# What the toolchain files of GCC cross compilers share. Before including it a file sets
#   EDGECV_TRIPLE      Debian's name of the target: the compiler is <triple>-g++, its libraries are in /usr/<triple>
#   EDGECV_QEMU        the emulator's program
#   EDGECV_CPUS        models to emulate; ctest runs every test on the first one and those that reach a kernel on all
#   EDGECV_CPU_BITS    what cpu_features.h must find on each of them (IsaBits, hex)
set(CMAKE_SYSTEM_NAME Linux)
set(EDGECV_SYSROOT /usr/${EDGECV_TRIPLE})
set(CMAKE_C_COMPILER ${EDGECV_TRIPLE}-gcc)
set(CMAKE_CXX_COMPILER ${EDGECV_TRIPLE}-g++)
set(CMAKE_FIND_ROOT_PATH ${EDGECV_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# Packages of the build machine too: pybind11 is one that pip installs, for every target.
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
list(GET EDGECV_CPUS 0 cpu)
set(CMAKE_CROSSCOMPILING_EMULATOR ${EDGECV_QEMU} -L ${EDGECV_SYSROOT} -cpu ${cpu})

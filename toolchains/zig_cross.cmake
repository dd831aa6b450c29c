# What the toolchain files of zig share: Clang with the C library of any age, from one download without a system
# (`pip install ziglang`; ZIG names the program unless it is on the path). Before including it a file sets EDGECV_QEMU,
# EDGECV_CPUS and EDGECV_CPU_BITS as for gcc_cross.cmake, and
#   EDGECV_ZIG_TARGET     zig's name of the target: <arch>-linux-<abi>.<glibc>, or <arch>-linux-musl<abi>
#   EDGECV_SYSROOT        where the emulator finds the target's C library (Debian's cross compilers bring one)
# EDGECV_ZIG_LIBC=musl in the environment takes musl, for small static programs (not tried yet).
set(CMAKE_SYSTEM_NAME Linux)
if("$ENV{EDGECV_ZIG_LIBC}" STREQUAL "musl")
  string(REGEX REPLACE "-gnu([a-z]*).*" "-musl\\1" EDGECV_ZIG_TARGET "${EDGECV_ZIG_TARGET}")
endif()
if(DEFINED ENV{ZIG})
  set(zig "$ENV{ZIG}")
else()
  find_program(EDGECV_ZIG zig REQUIRED)
  set(zig "${EDGECV_ZIG}")
endif()
# CMake wants a program, not a program and a word: scripts, written once and with zig's version in them, as by their
# age or text a compiler cache tells compilers apart. Flags for instruction sets go past zig to Clang: zig knows some by
# other names, and would build its C++ library again for each.
set(folder "${CMAKE_BINARY_DIR}/zig/${EDGECV_ZIG_TARGET}")
string(REGEX REPLACE "/CMakeFiles/[^/]+(/[^/]+)?(/zig/)" "\\2" folder "${folder}") # a trial of the compiler
execute_process(COMMAND "${zig}" version OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE)
foreach(word IN ITEMS cc c++ ar ranlib)
  if(NOT EXISTS "${folder}/zig-${word}")
    set(script "exec '${zig}' ${word} \"$@\"\n")
    if(word MATCHES "^c")
      set(script "add() { features=\"$features -Xclang -target-feature -Xclang +$1\"; }
features=
for flag do
  shift
  case $flag in
    -march=armv8.2-a+dotprod) add dotprod ;;
    -march=armv8.2-a+dotprod+i8mm) add dotprod; add i8mm ;;
    -msse* | -mavx* | -mfma) add \"\${flag#-m}\" ;;
    *) set -- \"$@\" \"$flag\" ;;
  esac
done
exec '${zig}' ${word} -target ${EDGECV_ZIG_TARGET} -fno-sanitize=undefined \"$@\" $features\n")
    endif()
    file(WRITE "${folder}/zig-${word}.new" "#!/bin/sh\n# zig ${version}\n${script}")
    execute_process(COMMAND chmod 755 "${folder}/zig-${word}.new")
    file(RENAME "${folder}/zig-${word}.new" "${folder}/zig-${word}")
  endif()
endforeach()
# Trials compile only. What they would find by linking: zig's C++ library is static in any case, and its glibc is not.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(EDGECV_HAS_STATIC_LIBSTDCXX OFF CACHE INTERNAL "")
set(EDGECV_HAS_EXCLUDE_LIBS OFF CACHE INTERNAL "")
set(EDGECV_HAS_STATIC_LIBC OFF CACHE INTERNAL "")
if(EDGECV_ZIG_TARGET MATCHES "musl")
  set(EDGECV_HAS_STATIC_LIBC ON CACHE INTERNAL "")
endif()
set(CMAKE_C_COMPILER "${folder}/zig-cc")
set(CMAKE_CXX_COMPILER "${folder}/zig-c++")
set(CMAKE_AR "${folder}/zig-ar" CACHE FILEPATH "" FORCE)
set(CMAKE_RANLIB "${folder}/zig-ranlib" CACHE FILEPATH "" FORCE)
# This machine's programs for these know its own objects alone.
set(CMAKE_OBJCOPY "" CACHE FILEPATH "" FORCE)
set(CMAKE_STRIP /bin/true CACHE FILEPATH "" FORCE)
set(CMAKE_EXE_LINKER_FLAGS_RELEASE_INIT -s)
set(CMAKE_SHARED_LINKER_FLAGS_RELEASE_INIT -s)
set(CMAKE_MODULE_LINKER_FLAGS_RELEASE_INIT -s)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
list(GET EDGECV_CPUS 0 cpu)
set(CMAKE_CROSSCOMPILING_EMULATOR ${EDGECV_QEMU} -L ${EDGECV_SYSROOT} -cpu ${cpu})

# Compile options shared by every target, and the stricter set of the core.

include(CheckCXXCompilerFlag)
include(CheckLinkerFlag)

# edgecv_options: whatever is compiled here. Contraction is off everywhere, so that a test's own float
# oracle rounds like the core on CPUs whose compilers fuse by default.
add_library(edgecv_options INTERFACE)
target_compile_features(edgecv_options INTERFACE cxx_std_17)
target_compile_options(edgecv_options INTERFACE -ffp-contract=off -Wall -Wextra)
if(EDGECV_WERROR)
  target_compile_options(edgecv_options INTERFACE -Werror)
endif()
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  # Else opening or listing what has a 64-bit inode or size fails.
  target_compile_definitions(edgecv_options INTERFACE _FILE_OFFSET_BITS=64)
endif()

if(EDGECV_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "EDGECV_FUZZ needs clang: set CMAKE_CXX_COMPILER=clang++ (preset 'asan')")
  endif()
  target_compile_options(edgecv_options INTERFACE -fsanitize=fuzzer-no-link)
  if(NOT EDGECV_SANITIZE)
    set(EDGECV_SANITIZE "address,undefined")
  endif()
endif()
if(EDGECV_SANITIZE)
  set(flags "-fsanitize=${EDGECV_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(edgecv_options INTERFACE ${flags})
  target_link_options(edgecv_options INTERFACE ${flags})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's flow analysis reports the code that its sanitizers insert.
    target_compile_options(edgecv_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

# edgecv_core_options: the core and its kernels. -fno-math-errno changes no value: it only lets rint and
# sqrt become the exact instructions instead of calls.
add_library(edgecv_core_options INTERFACE)
target_link_libraries(edgecv_core_options INTERFACE edgecv_options)
target_compile_options(edgecv_core_options INTERFACE
  -fno-exceptions -fno-rtti -fno-math-errno -fvisibility=hidden -fvisibility-inlines-hidden)
target_include_directories(edgecv_core_options INTERFACE
  "${PROJECT_SOURCE_DIR}/cpp/include" "${PROJECT_SOURCE_DIR}/cpp/src")

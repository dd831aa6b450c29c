# What keeps a release build small. Debug and sanitizer builds are left alone.

# edgecv_optimize(<flag> <pattern under cpp/src>...): this level for these sources of a release build, not -O3.
function(edgecv_optimize flag)
  if(NOT EDGECV_SANITIZE AND NOT EDGECV_FUZZ)
    list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/cpp/src/")
    file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:${flag}>")
  endif()
endfunction()

# Rooms that read, judge and plan a model once; inferences spend no time in them.
edgecv_optimize(-Os format/*.cpp capi/*.cpp ops/*.cpp runtime/*.cpp kernels/*.cpp
  vision/preprocess_spec.cpp)
# Loops over bytes and hand-written vectors, to which -O3 adds versions that are not taken. Without vectors of their own
# the convolution and the product of floats live from what -O3 makes of their loops.
edgecv_optimize(-O2 format/crc32.cpp format/sha256.cpp runtime/session_run.cpp runtime/thread_pool.cpp vision/preprocess.cpp
  kernels/reference/*.cpp kernels/neon/*.cpp kernels/neon_dotprod/*.cpp kernels/neon_i8mm/*.cpp
  kernels/sse41/*.cpp kernels/avx2/*.cpp)
# Dense products on AVX2 lose a percent without it.
edgecv_optimize(-O3 kernels/avx2/conv.cpp kernels/avx2/conv_winograd.cpp kernels/avx2/matmul.cpp
  kernels/reference/conv.cpp kernels/reference/matmul.cpp)

# Nothing unwinds through the core, which throws nothing. On x86-64, where disks are larger, profilers may.
edgecv_target_architecture(architecture)
if(NOT architecture STREQUAL "x86_64")
  target_compile_options(edgecv_core_options INTERFACE
    "$<$<CONFIG:Release>:-fno-asynchronous-unwind-tables;-fno-unwind-tables>")
endif()

# edgecv_combine(<out> <object or generator expression>...): one object of all these, for a static library of two thirds the
# bytes. Its only global symbols are those of edgecv.h, so that nothing of the core clashes with a program's own names;
# the others, which relocations need, have names of few letters. <out> is the list itself in a build to be debugged, and
# where the tools are missing.
function(edgecv_combine out)
  set(${out} ${ARGN} PARENT_SCOPE)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR EDGECV_SANITIZE OR EDGECV_FUZZ OR
     NOT CMAKE_OBJCOPY OR NOT CMAKE_NM OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  set(object "${PROJECT_BINARY_DIR}/edgecv.o")
  set(script "${PROJECT_SOURCE_DIR}/cmake/combine.ld")
  set(rename "${PROJECT_SOURCE_DIR}/cmake/short_names.cmake")
  add_custom_command(OUTPUT "${object}"
    COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -Wl,--force-group-allocation "-Wl,-T,${script}" -o "${object}" ${ARGN}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden --strip-unneeded --remove-section=.comment "${object}"
    COMMAND ${CMAKE_COMMAND} -DOBJECT=${object} -DNM=${CMAKE_NM} -DOBJCOPY=${CMAKE_OBJCOPY} -P "${rename}"
    DEPENDS ${ARGN} "${script}" "${rename}"
    COMMAND_EXPAND_LISTS VERBATIM)
  set(${out} "${object}" PARENT_SCOPE)
endfunction()

# The one table of instruction sets: folder under cpp/src/kernels -> architectures -> compile flags.
#
# A row becomes an OBJECT library of its own when its folder holds sources and the target architecture is
# listed ("any" matches all); the core and everything linking it then see EDGECV_HAVE_<FOLDER>=1.
# Flags never reach another folder: only code behind the run-time CPU check is built with them. Flags are
# exactly what the folder is named after: no -mfma in avx2, so that no contraction can change a bit of int8;
# fma holds f32 families alone, and no NEON row names VFPv4.
#
#        folder         architectures    compile flags (spaces between them)
set(EDGECV_ISA_TABLE
        "reference    | any            | "
        "sse41        | x86_64         | -msse4.1"
        "avx2         | x86_64         | -mavx2"
        "fma          | x86_64         | -mavx2 -mfma"
        "avxvnni      | x86_64         | -mavx2 -mavxvnni"
        "avx512vnni   | x86_64         | -mavx2 -mavx512f -mavx512bw -mavx512vl -mavx512vnni"
        "neon         | aarch64        | "
        "neon         | arm            | -mfpu=neon"
        "neon_dotprod | aarch64        | -march=armv8.2-a+dotprod"
        "neon_i8mm    | aarch64        | -march=armv8.2-a+dotprod+i8mm"
)

# edgecv_target_architecture(<out>): one spelling an architecture, from CMAKE_SYSTEM_PROCESSOR.
function(edgecv_target_architecture out)
  string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
  if(processor MATCHES "^(x86_64|amd64)$")
    set(${out} x86_64 PARENT_SCOPE)
  elseif(processor MATCHES "^(aarch64|arm64)$")
    set(${out} aarch64 PARENT_SCOPE)
  elseif(processor MATCHES "^arm")
    set(${out} arm PARENT_SCOPE)
  else()
    set(${out} "${processor}" PARENT_SCOPE)
  endif()
endfunction()

include(CheckCXXSourceCompiles)

set(EDGECV_KERNELS "" CACHE STRING "Folders of kernels to build, 'reference' among them; empty: all of the architecture")
if(EDGECV_KERNELS AND NOT "reference" IN_LIST EDGECV_KERNELS)
  message(FATAL_ERROR "EDGECV_KERNELS=${EDGECV_KERNELS}: 'reference' must be among them")
endif()

# edgecv_check_less(<source>...): checks of every pointer's arithmetic take most of the time of compiling unrolled
# kernels with sanitizers. ASan and the guard pages of the kernel tests hold their reads and writes; the
# reference kernels and everything around kernels are checked whole. Code unrolled over whole blocks goes
# without checks.
function(edgecv_check_less)
  if(NOT EDGECV_SANITIZE MATCHES "undefined")
    return()
  endif()
  foreach(source IN LISTS ARGN)
    set(off pointer-overflow,null,alignment,object-size)
    if(source MATCHES "/dwconv_(row|bytes)\\.cpp$")
      set(off address,undefined)
    endif()
    set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "-fno-sanitize=${off}")
  endforeach()
endfunction()

# edgecv_add_isa_objects(<core>): adds the objects of every matching row to the static library <core>.
function(edgecv_add_isa_objects core)
  edgecv_target_architecture(architecture)
  set(built "")
  foreach(row IN LISTS EDGECV_ISA_TABLE)
    string(REGEX MATCH "^ *([a-z0-9_]+) *\\| *([a-z0-9_ ]+)\\| *(.*)$" _ "${row}")
    set(isa "${CMAKE_MATCH_1}")
    string(STRIP "${CMAKE_MATCH_2}" architectures)
    string(STRIP "${CMAKE_MATCH_3}" flags)
    separate_arguments(architectures UNIX_COMMAND "${architectures}")
    separate_arguments(flags UNIX_COMMAND "${flags}")
    if(NOT "any" IN_LIST architectures AND NOT architecture IN_LIST architectures)
      continue()
    endif()
    if(EDGECV_KERNELS AND NOT isa IN_LIST EDGECV_KERNELS)
      continue()
    endif()
    string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${flags}")
    check_cxx_source_compiles("int main() { return 0; }" EDGECV_COMPILES_${isa})
    if(NOT EDGECV_COMPILES_${isa})
      message(STATUS "edgecv: this compiler does not know ${flags}: built without the kernels of ${isa}")
      continue()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS
      "${PROJECT_SOURCE_DIR}/cpp/src/kernels/${isa}/*.cpp" "${PROJECT_SOURCE_DIR}/cpp/src/vision/${isa}/*.cpp")
    if(NOT sources)
      continue()
    endif()
    add_library(edgecv_kernels_${isa} OBJECT ${sources})
    if(NOT isa STREQUAL "reference")
      edgecv_check_less(${sources})
    endif()
    target_link_libraries(edgecv_kernels_${isa} PRIVATE edgecv_core_options)
    target_compile_options(edgecv_kernels_${isa} PRIVATE ${flags})
    target_sources(${core} PRIVATE $<TARGET_OBJECTS:edgecv_kernels_${isa}>)
    string(TOUPPER "${isa}" upper)
    target_compile_definitions(${core} PUBLIC EDGECV_HAVE_${upper}=1)
    list(APPEND built ${isa})
  endforeach()
  list(JOIN built ", " built)
  message(STATUS "edgecv: architecture ${architecture}; kernel folders: ${built}")
endfunction()

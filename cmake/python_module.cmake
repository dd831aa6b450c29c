# The private module edgecv._core: bindings/*.cpp over the core, by pybind11 (which needs exceptions and RTTI).

# A build for another machine names that Python's headers and module suffix (tools/wheels.sh).
set(EDGECV_PYTHON_INCLUDE "" CACHE PATH "Headers of the target's Python, if not this machine's")
set(EDGECV_MODULE_SUFFIX "" CACHE STRING "File name suffix of the target's modules, if not this machine's")
if(EDGECV_PYTHON_INCLUDE)
  set(Python_INCLUDE_DIR "${EDGECV_PYTHON_INCLUDE}" CACHE PATH "" FORCE)
endif()
find_package(Python 3.8 REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT pybind11_DIR)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
    OUTPUT_VARIABLE pybind11_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 3 CONFIG REQUIRED)

file(GLOB EDGECV_BINDING_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bindings/*.cpp")
if(NOT EDGECV_BINDING_SOURCES)
  message(WARNING "bindings/ holds no sources: the module edgecv._core is not built")
  return()
endif()
pybind11_add_module(_core MODULE NO_EXTRAS ${EDGECV_BINDING_SOURCES})
target_link_libraries(_core PRIVATE edgecv_options edgecv_core)
target_compile_definitions(_core PRIVATE EDGECV_VERSION="${EDGECV_VERSION}")
# A board may carry an older C++ run-time library than the build machine: bring our own where the linker can.
# Sanitizers need the shared one. Symbols of the static libraries stay inside the module.
if(NOT EDGECV_SANITIZE)
  check_linker_flag(CXX "-static-libstdc++" EDGECV_HAS_STATIC_LIBSTDCXX)
  if(EDGECV_HAS_STATIC_LIBSTDCXX)
    target_link_options(_core PRIVATE -static-libstdc++ -static-libgcc)
  endif()
endif()
check_linker_flag(CXX "-Wl,--exclude-libs,ALL" EDGECV_HAS_EXCLUDE_LIBS)
if(EDGECV_HAS_EXCLUDE_LIBS)
  target_link_options(_core PRIVATE -Wl,--exclude-libs,ALL)
endif()
if(EDGECV_MODULE_SUFFIX)
  set_target_properties(_core PROPERTIES SUFFIX "${EDGECV_MODULE_SUFFIX}")
endif()
install(TARGETS _core LIBRARY DESTINATION edgecv)

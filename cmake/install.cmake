# What `cmake --install` gives: libedgecv.a and libedgecv.so, the headers, a CMake package
# (find_package(edgecv): edgecv::edgecv is the static library, edgecv::shared the other) and a pkg-config
# file. Nothing of it goes into a wheel.
#
# Both libraries are the objects of edgecv_core. They need no C++ run-time library, so a C program links them
# with the C compiler.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_target_property(EDGECV_ISA_OBJECTS edgecv_core SOURCES)
list(FILTER EDGECV_ISA_OBJECTS INCLUDE REGEX "TARGET_OBJECTS")
set(EDGECV_OBJECTS $<TARGET_OBJECTS:edgecv_core> ${EDGECV_ISA_OBJECTS})

# edgecv_add_library(<target> <type> <export name> <object>...)
function(edgecv_add_library target type export_name)
  add_library(${target} ${type} ${ARGN})
  target_link_libraries(${target} PUBLIC Threads::Threads)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME edgecv EXPORT_NAME ${export_name} LINKER_LANGUAGE C)
  add_library(edgecv::${export_name} ALIAS ${target})
  install(TARGETS ${target} EXPORT edgecv
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

edgecv_combine(EDGECV_ONE_OBJECT ${EDGECV_OBJECTS})
edgecv_add_library(edgecv_static STATIC edgecv ${EDGECV_ONE_OBJECT})
target_link_libraries(edgecv_static PUBLIC m)
# Instrumented code needs the sanitizer's run time, which only executables bring: no shared library then.
if(NOT EDGECV_SANITIZE)
  edgecv_add_library(edgecv_shared SHARED shared ${EDGECV_OBJECTS})
  target_link_libraries(edgecv_shared PRIVATE m)
  # Before 1.0 a minor version may change the interface.
  set_target_properties(edgecv_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_link_options(edgecv_shared PRIVATE -Wl,--no-undefined)
  # dlclose leaves it mapped: threads of its pool may run in it.
  target_link_options(edgecv_shared PRIVATE -Wl,-z,nodelete)
endif()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/cpp/include/edgecv" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(EDGECV_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/edgecv)
install(EXPORT edgecv NAMESPACE edgecv:: DESTINATION ${EDGECV_PACKAGE_DIR} FILE edgecvTargets.cmake)
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/edgecvConfig.cmake.in" "${PROJECT_BINARY_DIR}/edgecvConfig.cmake"
  INSTALL_DESTINATION ${EDGECV_PACKAGE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/edgecvConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/edgecvConfig.cmake" "${PROJECT_BINARY_DIR}/edgecvConfigVersion.cmake"
  DESTINATION ${EDGECV_PACKAGE_DIR})

file(RELATIVE_PATH EDGECV_PC_UP "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file("${PROJECT_SOURCE_DIR}/cmake/edgecv.pc.in" "${PROJECT_BINARY_DIR}/edgecv.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/edgecv.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

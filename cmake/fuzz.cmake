# Every tests/fuzz/*_fuzz.cpp is one libFuzzer executable of the same name, linked with the instrumented core.

file(GLOB EDGECV_FUZZ_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.cpp")
add_custom_target(fuzzers)
foreach(source IN LISTS EDGECV_FUZZ_SOURCES)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${name} PRIVATE edgecv_options edgecv_core)
  target_compile_definitions(${name} PRIVATE EDGECV_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})
endforeach()

# The C example, built outside the tree from the installed prefix, classifies a picture.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
picture()
build(${SOURCE}/examples/c)
run(${EMULATOR} ${binary}/minimal ${MODEL} ${PICTURE})
string(REGEX MATCHALL "[0-4] 0\\.[0-9][0-9][0-9][0-9][0-9][0-9] [^ \n]+\n" lines "${output}")
list(LENGTH lines count)
string(JOIN "" joined ${lines})
if(NOT count EQUAL 5 OR NOT joined STREQUAL output)
  message(FATAL_ERROR "minimal printed:\n${output}")
endif()
set(ENV{ASAN_OPTIONS} detect_leaks=0) # on an error it leaves cleaning up to the system
execute_process(COMMAND ${EMULATOR} ${binary}/minimal ${PICTURE} ${PICTURE}
  RESULT_VARIABLE result ERROR_VARIABLE text OUTPUT_QUIET)
if(NOT result EQUAL 1 OR NOT text MATCHES "not_ecv")
  message(FATAL_ERROR "a picture as the model gave ${result}: ${text}")
endif()
unset(ENV{ASAN_OPTIONS})

# edgecv.hpp in a program without exceptions and RTTI, with either library.
build(${SOURCE}/tests/install/cpp)
foreach(kind edgecv shared)
  if(kind STREQUAL "shared" AND SANITIZE)
    continue()
  endif()
  run(${EMULATOR} ${binary}/hpp_${kind} ${MODEL})
  if(NOT output STREQUAL "good\n")
    message(FATAL_ERROR "hpp_${kind} printed:\n${output}")
  endif()
endforeach()

# The camera example: its own test (negotiation with a camera that is none), then frames from a file.
build(${SOURCE}/examples/cpp/camera)
run(${EMULATOR} ${binary}/v4l2_test)
string(REPEAT "every frame is 103 bytes; " 8 text) # 9 x 7 luma, 5 x 4 pairs of chroma
string(SUBSTRING "${text}" 0 206 text)
file(WRITE ${WORK}/frames.raw "${text}")
run(${EMULATOR} ${binary}/camera ${MODEL} --raw ${WORK}/frames.raw --format nv12 --size 9x7)
if(NOT output MATCHES "^frame 0: [0-4] 0\\.[0-9]+ [^\n]+\nframe 1: [^\n]+\n$")
  message(FATAL_ERROR "camera printed:\n${output}")
endif()

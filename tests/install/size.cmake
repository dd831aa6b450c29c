# cmake -DFILE=.. -DLIMIT=.. -P size.cmake: fails when the file has more bytes.
file(SIZE "${FILE}" size)
if(size GREATER LIMIT)
  message(FATAL_ERROR "${FILE} has ${size} bytes, the limit is ${LIMIT}")
endif()
message(STATUS "${FILE}: ${size} bytes of ${LIMIT}")

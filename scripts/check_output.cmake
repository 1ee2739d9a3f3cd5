# cmake -D PROGRAM=... -D EXPECTED=file -P check_output.cmake: the program succeeds and prints exactly the file.
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE result OUTPUT_VARIABLE output)
file(READ ${EXPECTED} expected)
if(NOT result EQUAL 0 OR NOT output STREQUAL expected)
    message(NOTICE "--- expected ---\n${expected}--- printed ---\n${output}")
    message(FATAL_ERROR "${PROGRAM} returned ${result} or printed something else")
endif()

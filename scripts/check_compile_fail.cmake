# cmake -D SOURCE=file.cpp -P check_compile_fail.cmake -- compiler flags...
#
# First line `// expect: SENTENCE`: passes iff the compiler refuses the file and the sentence stands, letter by letter,
# on a line of its output that reports an error. First line `// expect-ok`: passes iff the file compiles, which shows
# that its neighbours are refused for their fault and not for a broken include path.

set(command)
set(collecting FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(n RANGE ${last})
    if(collecting)
        list(APPEND command "${CMAKE_ARGV${n}}")
    elseif(CMAKE_ARGV${n} STREQUAL "--")
        set(collecting TRUE)
    endif()
endforeach()

file(READ "${SOURCE}" text)
string(FIND "${text}" "\n" at)
string(SUBSTRING "${text}" 0 ${at} first)
set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} -x c++ "${SOURCE}" RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)

# Says why in the compiler's own lines (FATAL_ERROR alone would rewrap them).
function(fail why)
    message(NOTICE "${SOURCE} ${why}\n--- the compiler said ---\n${out}")
    message(FATAL_ERROR "expectation of the first line not met")
endfunction()

if(first STREQUAL "// expect-ok")
    if(NOT result EQUAL 0)
        fail("must compile, but does not")
    endif()
    return()
endif()

string(FIND "${first}" "// expect: " at)
string(LENGTH "${first}" length)
if(NOT at EQUAL 0 OR length LESS 12)
    fail("must begin with `// expect: SENTENCE` or `// expect-ok`")
endif()
string(SUBSTRING "${first}" 11 -1 sentence)

if(result EQUAL 0)
    fail("compiles, but must be refused with:\n${sentence}")
endif()
set(rest "\n${out}")
string(LENGTH "${sentence}" length)
string(FIND "${rest}" "${sentence}" at)
while(NOT at EQUAL -1)
    string(SUBSTRING "${rest}" 0 ${at} before)
    string(FIND "${before}" "\n" line_start REVERSE)
    string(SUBSTRING "${before}" ${line_start} -1 line)
    if(line MATCHES "error: ")
        return()
    endif()
    math(EXPR next "${at} + ${length}")
    string(SUBSTRING "${rest}" ${next} -1 rest)
    string(PREPEND rest "\n")
    string(FIND "${rest}" "${sentence}" at)
endwhile()
fail("is refused, but no error says:\n${sentence}")

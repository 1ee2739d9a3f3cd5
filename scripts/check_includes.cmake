# cmake -D ROOT=repository -P check_includes.cmake
#
# Two rules: nothing in ck_tile_masks/ or csrc/ includes torch; ck_tile_masks/ includes nothing but itself.

set(faults)
file(GLOB_RECURSE sources RELATIVE "${ROOT}" "${ROOT}/ck_tile_masks/*.hpp" "${ROOT}/csrc/*.hpp" "${ROOT}/csrc/*.cpp"
    "${ROOT}/csrc/*.h")
foreach(source IN LISTS sources)
    file(STRINGS "${ROOT}/${source}" includes REGEX "^[ \t]*#[ \t]*include")
    foreach(include IN LISTS includes)
        if(include MATCHES "[<\"](torch|ATen|c10)/")
            list(APPEND faults "${source}: ${include}: the native core is built without torch: take a pointer, sizes and strides")
        elseif(source MATCHES "^ck_tile_masks/" AND NOT include MATCHES "^#include \"ck_tile_masks/[^\"]+\"")
            list(APPEND faults "${source}: ${include}: a mask header includes only \"ck_tile_masks/...\": run-time compilers have no standard library")
        endif()
    endforeach()
endforeach()

list(LENGTH sources count)
if(count EQUAL 0)
    message(FATAL_ERROR "no sources under ${ROOT}: the rules were checked on nothing")
endif()
if(faults)
    list(JOIN faults "\n" text)
    message(NOTICE "${text}")
    message(FATAL_ERROR "forbidden includes")
endif()
message(STATUS "${count} files keep the rules")

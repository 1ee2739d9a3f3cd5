# cmake -D ROOT=... -D WORK=... -D GENERATOR=... -D MAKE_PROGRAM=... -D COMPILER=... -P check_find_package.cmake
#
# ck_tile_masks alone: configure, install, and let a foreign project find it and compile against it.

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}/consumer")
file(GLOB_RECURSE headers RELATIVE "${ROOT}" "${ROOT}/ck_tile_masks/*.hpp")
list(TRANSFORM headers REPLACE "(.+)" "#include \"\\1\"\n")
list(JOIN headers "" includes)
file(WRITE "${WORK}/consumer/main.cpp" "${includes}int main() { return 0; }\n")
file(WRITE "${WORK}/consumer/CMakeLists.txt" "cmake_minimum_required(VERSION 3.24)
project(consumer CXX)
find_package(ck_tile_masks REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE ck_tile_masks::ck_tile_masks)
")

set(tools -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${COMPILER}")
foreach(step IN ITEMS
    "-S;${ROOT}/ck_tile_masks;-B;${WORK}/masks;${tools}"
    "--install;${WORK}/masks;--prefix;${WORK}/prefix"
    "-S;${WORK}/consumer;-B;${WORK}/build;-DCMAKE_PREFIX_PATH=${WORK}/prefix;${tools}"
    "--build;${WORK}/build")
    execute_process(COMMAND ${CMAKE_COMMAND} ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

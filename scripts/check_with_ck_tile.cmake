# cmake -D ROOT=... -D WORK=... -D GENERATOR=... -D MAKE_PROGRAM=... -D COMPILER=... -P check_with_ck_tile.cmake
#
# CK_FMHA_WITH_CK_TILE: a composable_kernel with CK Tile is found and its include folder is what the build records; without
# CK Tile, or without composable_kernel, the configuration stops and says what is missing.

file(REMOVE_RECURSE "${WORK}")
set(tools -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${COMPILER}")

# configure(<prefix of composable_kernel, or ""> <what CMake must say> <expected to work?>)
function(configure prefix words works)
    set(package -DCMAKE_DISABLE_FIND_PACKAGE_composable_kernel=ON)
    if(prefix)
        set(package -Dcomposable_kernel_DIR=${prefix}/lib/cmake/composable_kernel)
    endif()
    file(REMOVE_RECURSE "${WORK}/build")
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${ROOT} -B ${WORK}/build ${tools} -DCK_FMHA_WITH_CK_TILE=ON ${package}
        RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    string(REGEX REPLACE "[ \n]+" " " output "${output}")
    string(FIND "${output}" "${words}" found)
    if(found EQUAL -1 OR (works AND NOT result EQUAL 0) OR (NOT works AND result EQUAL 0))
        message(FATAL_ERROR "with \"${prefix}\": expected \"${words}\", got result ${result} and: ${output}")
    endif()
endfunction()

function(install_composable_kernel prefix)
    file(WRITE "${prefix}/lib/cmake/composable_kernel/composable_kernelConfig.cmake" "")
endfunction()

install_composable_kernel("${WORK}/rocm 6.3")
file(COPY "${ROOT}/tests/cpp/ck_tile_stand_in/ck_tile" DESTINATION "${WORK}/rocm 6.3/include")
configure("${WORK}/rocm 6.3" "ck_fmha: CK Tile in ${WORK}/rocm 6.3/include" TRUE)
install_composable_kernel("${WORK}/rocm 6.0")
configure("${WORK}/rocm 6.0" "comes without ck_tile/ops/fmha.hpp" FALSE)
configure("" "CK_FMHA_WITH_CK_TILE needs composable_kernel" FALSE)

# cmake -D NVCC=<nvcc or empty> -D ARCH=<sm_..> -D ROOT=<project> -D SOURCE=<.cu file> -D CUBIN=<file> -P check_nvcc_instance.cmake
# The source compiles for that architecture, without a warning, and its kernels keep everything in registers.

if(NOT NVCC)
    message("skipped: no nvcc on the PATH; -D CK_FMHA_NVCC=/path/to/nvcc names one")
    return()
endif()
execute_process(
    COMMAND ${NVCC} -std=c++17 -O3 -arch=${ARCH} -cubin -Xptxas -v -I${ROOT} -I${ROOT}/csrc ${SOURCE}
            -o ${CUBIN}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 0 OR output MATCHES "warning")
    message(FATAL_ERROR "${output}")
endif()
# That of the kernels' entries.
file(STRINGS ${SOURCE} entry REGEX "#include")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" entry "${entry}")
file(READ ${ROOT}/csrc/${entry} kernels)
string(REGEX MATCHALL "void ck_fmha_[a-z_]+" kernels "${kernels}")
if(NOT kernels)
    message(FATAL_ERROR "no kernels in ${entry}")
endif()
foreach(kernel IN LISTS kernels)
    string(REPLACE "void " "" kernel "${kernel}")
    if(NOT output MATCHES "Function properties for ${kernel}\n *0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")
        message(FATAL_ERROR "${kernel} is missing or spills:\n${output}")
    endif()
endforeach()

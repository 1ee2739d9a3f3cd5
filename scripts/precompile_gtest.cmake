# precompile_gtest(<target>): reads GoogleTest's header, most of what a short test takes to compile, once for all test
# executables of a folder, which are compiled alike.
function(precompile_gtest target)
    get_property(first DIRECTORY PROPERTY ck_fmha_precompiled_gtest)
    if(first)
        target_precompile_headers(${target} REUSE_FROM ${first})
    else()
        target_precompile_headers(${target} PRIVATE <gtest/gtest.h>)
        set_property(DIRECTORY PROPERTY ck_fmha_precompiled_gtest ${target})
    endif()
endfunction()

# cmake -D NM=nm -D LIBRARY=libck_fmha_core.a -P check_isa_symbols.cmake
#
# A weak function (an inline function or template that was not inlined) in isa/avx*.cpp may be the copy that
# the linker keeps for the whole program, and then a CPU without those instructions dies in code that never asked for
# them. So these objects may hold weak functions only under names of their own (a namespace isa_avx...).

execute_process(COMMAND "${NM}" -A --defined-only "${LIBRARY}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]*avx[0-9a-z_]+\\.cpp\\.o[^\n]* W [^\n]+" weak "${symbols}")
list(FILTER weak EXCLUDE REGEX " W .*isa_avx")
if(weak)
    list(JOIN weak "\n" text)
    message(NOTICE "${text}")
    message(FATAL_ERROR "weak functions compiled with instruction-set options: make them static or always_inline, or put "
                        "them into the namespace of the instruction set")
endif()

#!/usr/bin/env bash
# Builds the fuzz target and lets it search.
#
#   run.sh SECONDS
#
# Inputs that reached something new are kept in build/fuzz/corpus and tried first by the next run. Environment: CMAKE
# (cmake) and NINJA (ninja), the programs to build with.
set -euo pipefail
cd "$(dirname "$0")/../.."

BUILD=build/fuzz
SECONDS_TO_RUN=$1

if ! compiler=$(scripts/setup.sh fuzz-compiler); then
    echo ">> Fuzzing is skipped: no clang++ on this machine can link -fsanitize=fuzzer,address,undefined."
    echo "   On Debian: apt-get install clang-19 libclang-rt-19-dev"
    exit 0
fi

"${CMAKE:-cmake}" -G Ninja -S tests/fuzz -B "$BUILD" "-DCMAKE_CXX_COMPILER=$compiler" \
    "-DCMAKE_MAKE_PROGRAM=$(command -v "${NINJA:-ninja}")"
"${CMAKE:-cmake}" --build "$BUILD" --parallel "${JOBS:-2}"

mkdir -p "$BUILD/corpus" "$BUILD/artifacts"
echo ">> Fuzzing the mask protocol for $SECONDS_TO_RUN s ($compiler; its log: $BUILD/log)"
# One process, a fixed seed: what is found once is found again, as far as a limit in seconds allows. Without counters:
# how often a loop runs tells two masks apart, but is no reason to keep both.
if "$BUILD/fuzz_masks" -seed=1 "-max_total_time=$SECONDS_TO_RUN" -timeout=10 -rss_limit_mb=2560 -max_len=160 \
    -len_control=0 -use_counters=0 -verbosity=0 -print_funcs=0 -print_final_stats=1 \
    "-artifact_prefix=$BUILD/artifacts/" "$BUILD/corpus" >"$BUILD/log" 2>&1; then
    echo ">> No fault in $(sed -n 's/^stat::number_of_executed_units: *//p' "$BUILD/log") inputs"
    exit 0
fi

sed -n '/FAULT\|runtime error\|ERROR\|ALARM/,$p' "$BUILD/log"
input=$(sed -n 's/.*Test unit written to //p' "$BUILD/log")
echo ">> The fuzzer found a fault; FAULT or the sanitizer's report above says which. To see it again, with its mask:"
echo "       $BUILD/fuzz_masks $input"
exit 1

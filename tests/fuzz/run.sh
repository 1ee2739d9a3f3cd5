#!/usr/bin/env bash
# Builds the fuzz target and lets it search.
#
#   run.sh seconds N    goes on from where the last such search ended: inputs that reached something new are kept in
#                       build/fuzz/corpus and tried first
#   run.sh inputs N     starts anew from a fixed seed: the same build always tries the same inputs
#
# Environment: CMAKE (cmake) and NINJA (ninja), the programs to build with.
set -euo pipefail
cd "$(dirname "$0")/../.."

BUILD=build/fuzz
mkdir -p "$BUILD/corpus" "$BUILD/artifacts"
case "$1" in
    seconds) limit=("-max_total_time=$2" "$BUILD/corpus") ;;
    inputs) limit=(-seed=1 "-runs=$2") ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

if ! compiler=$(scripts/setup.sh fuzz-compiler); then
    echo ">> Fuzzing is skipped: no clang++ on this machine can link -fsanitize=fuzzer,address,undefined."
    echo "   On Debian: apt-get install clang-19 libclang-rt-19-dev"
    exit 0
fi

"${CMAKE:-cmake}" -G Ninja -S tests/fuzz -B "$BUILD" "-DCMAKE_CXX_COMPILER=$compiler" \
    "-DCMAKE_MAKE_PROGRAM=$(command -v "${NINJA:-ninja}")"
"${CMAKE:-cmake}" --build "$BUILD" --parallel "${JOBS:-2}"

echo ">> Fuzzing the mask protocol for $2 $1 ($compiler; its log: $BUILD/log)"
# Without counters: how often a loop runs tells two masks apart, but is no reason to keep both.
if "$BUILD/fuzz_masks" -timeout=10 -rss_limit_mb=2560 -max_len=160 -len_control=0 -use_counters=0 -verbosity=0 \
    -print_funcs=0 -print_final_stats=1 "-artifact_prefix=$BUILD/artifacts/" "${limit[@]}" >"$BUILD/log" 2>&1; then
    echo ">> No fault in $(sed -n 's/^stat::number_of_executed_units: *//p' "$BUILD/log") inputs"
    exit 0
fi

sed -n '/FAULT\|runtime error\|ERROR\|ALARM/,$p' "$BUILD/log"
input=$(sed -n 's/.*Test unit written to //p' "$BUILD/log")
echo ">> The fuzzer found a fault; FAULT or the sanitizer's report above says which. To see it again, with its mask:"
echo "       $BUILD/fuzz_masks $input"
exit 1

#!/usr/bin/env bash
# What `make setup` does, in steps; each is skipped where it has nothing to do, and says what it installs before it does.
#
#   setup.sh debian build|test    Debian packages to build the library / to run the C++ tests too
#   setup.sh venv                 $VENV with PyTorch and what the build needs
#   setup.sh extras NAME...       the packages of these extras of pyproject.toml, into $VENV
#   setup.sh fuzz-compiler        prints the clang++ that can build the fuzz target; fails if there is none
#
# Environment: VENV (.venv), PYTHON (python3), TORCH_VERSION (2.13.0), TORCH_PIP_ARGS (further arguments of pip install
# for PyTorch, for example the index of another build).
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}
TORCH_VERSION=${TORCH_VERSION:-2.13.0}
TORCH_PIP_ARGS=${TORCH_PIP_ARGS:-}

say() { printf '\033[1m>> %s\033[0m\n' "$*"; }

pip_install() { "$VENV/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@"; }

has_gtest() {
    printf '#include <gtest/gtest.h>\n' | "${CXX:-g++}" -x c++ -std=c++17 -fsyntax-only - 2>/dev/null
}

# clang 15 or newer, one a line: older ones cannot check device code as the tests do.
clangs() {
    local suffix
    for suffix in -22 -21 -20 -19 -18 -17 -16 -15; do
        if command -v "clang++$suffix" >/dev/null; then echo "clang++$suffix"; fi
    done
    if command -v clang++ >/dev/null && [ "$(clang++ -dumpversion | cut -d. -f1)" -ge 15 ]; then echo clang++; fi
}
has_clang() { [ -n "$(clangs)" ]; }

# The first of them that links a fuzzer, which takes the compiler's run-time library and a C++ library.
fuzz_compiler() {
    local compiler scratch
    scratch=$(mktemp -d)
    for compiler in $(clangs); do
        if printf '%s\n' '#include <vector>' 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, std::size_t)' \
            '{ return static_cast<int>(std::vector<int>().size()); }' |
            "$compiler" -x c++ -std=c++17 -fsanitize=fuzzer,address,undefined -o "$scratch/fuzzer" - 2>/dev/null; then
            rm -r "$scratch"
            echo "$compiler"
            return
        fi
    done
    rm -r "$scratch"
    return 1
}
# The package with the run-time library of the clang that there is, or of the one that missing_packages asks for.
fuzzer_package() {
    local compiler
    compiler=$(clangs | sed -n 1p)
    echo "libclang-rt-$(if [ -n "$compiler" ]; then "$compiler" -dumpversion | cut -d. -f1; else echo 19; fi)-dev"
}

# LLVM's headers and library, and a clang of the same version that links for AMD GPUs: what the emulator of tests/amd_emulator needs.
has_amd_toolchain() {
    local version
    for version in 19 20 21 22; do
        if [ -e "/usr/lib/llvm-$version/include/llvm-c/Disassembler.h" ] && command -v "clang++-$version" >/dev/null &&
            { command -v "ld.lld-$version" >/dev/null || [ -x "/usr/lib/llvm-$version/bin/ld.lld" ]; }; then
            return 0
        fi
    done
    return 1
}

has_python_headers() {
    "$PYTHON" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null
}

# Packages that are missing, one a line.
missing_packages() {
    command -v "$PYTHON" >/dev/null || echo python3
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    has_python_headers || echo python3-dev
    command -v "${CXX:-g++}" >/dev/null || echo g++
    if [ "$1" = test ]; then
        has_gtest || echo libgtest-dev
        has_clang || echo clang-19
    fi
}

# install_packages PACKAGE...: fails where there is no way to install Debian packages.
install_packages() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n)
    fi
    command -v apt-get >/dev/null || return
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return
    say "Installing Debian packages: $*"
    if [ -z "${updated:-}" ]; then
        "${as_root[@]}" apt-get update -qq || return
        updated=yes
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
}

debian() {
    local missing
    mapfile -t missing < <(missing_packages "$1")
    if [ "${#missing[@]}" != 0 ] && ! install_packages "${missing[@]}"; then
        say "Missing on this machine: ${missing[*]}"
        echo "These are the names of Debian's packages. Install them (or what your system calls them), for example:"
        echo "    apt-get install --no-install-recommends ${missing[*]}"
        echo "and run make again. A Python other than $PYTHON: make PYTHON=/path/to/python3"
        exit 1
    fi
    mapfile -t missing < <(missing_packages "$1")
    if [ "${#missing[@]}" != 0 ]; then
        say "Still missing after that: ${missing[*]}"
        echo "If $PYTHON is not Debian's own, either complete it or choose Debian's: make PYTHON=/usr/bin/python3"
        exit 1
    fi
    # The tests do without: `make fuzz` says that it is skipped.
    if [ "$1" = test ] && ! fuzz_compiler >/dev/null && ! install_packages "$(fuzzer_package)"; then
        say "Without $(fuzzer_package) the fuzz target cannot be built"
    fi
    # Nor do they need this; configuring says that the tests of AMD GPU code are left out.
    if [ "$1" = test ] && ! has_amd_toolchain && ! install_packages clang-19 lld-19 llvm-19-dev; then
        say "Without clang-19, lld-19 and llvm-19-dev the AMD GPU emulator and its tests cannot be built"
    fi
}

# requirements build|run|EXTRA...: the requirement strings of pyproject.toml, one a line; those to run without PyTorch's.
requirements() {
    "$VENV/bin/python" - "$@" <<'PYTHON'
import sys

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
for name in sys.argv[1:]:
    if name == "build":
        wanted = project["build-system"]["requires"]
    elif name == "run":
        wanted = [requirement for requirement in project["project"]["dependencies"] if not requirement.startswith("torch")]
    else:
        wanted = project["project"]["optional-dependencies"][name]
    print("\n".join(wanted))
PYTHON
}

venv() {
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        say "ck_fmha needs Python 3.10 or newer, and $PYTHON is $("$PYTHON" --version). Choose another: make PYTHON=/path/to/python3"
        exit 1
    fi
    if [ ! -x "$VENV/bin/python" ]; then
        say "Making a virtual environment in $VENV"
        "$PYTHON" -m venv "$VENV"
    fi
    if [ "$("$VENV/bin/python" -c 'import torch; print(torch.__version__.split("+")[0])' 2>/dev/null)" != "$TORCH_VERSION" ]; then
        say "Installing PyTorch $TORCH_VERSION into $VENV (the CPU build if pip finds one by that name)"
        # The CPU build is a tenth of the size of the others and all that is needed here.
        local refused
        # shellcheck disable=SC2086  # zero or more words
        if ! refused=$(pip_install $TORCH_PIP_ARGS "torch==$TORCH_VERSION+cpu" 2>&1); then
            tail -n 2 <<<"$refused"
            say "Not found by that name: taking torch==$TORCH_VERSION (on x86-64 that may be several GB; see TORCH_PIP_ARGS)"
            # shellcheck disable=SC2086
            pip_install $TORCH_PIP_ARGS "torch==$TORCH_VERSION"
        fi
    fi
    install_requirements build run
}

install_requirements() {
    local wanted
    mapfile -t wanted < <(requirements "$@")
    say "Installing into $VENV ($*): ${wanted[*]}"
    pip_install "${wanted[@]}"
}

case "${1:-}" in
    debian) debian "${2:-test}" ;;
    venv) venv ;;
    extras) install_requirements "${@:2}" ;;
    fuzz-compiler) fuzz_compiler ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

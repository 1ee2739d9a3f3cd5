"""Compilers that are libraries: NVRTC for NVIDIA GPUs and hiprtc for AMD GPUs, whose interfaces have one shape."""

from __future__ import annotations

import ctypes
import functools
import glob
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from ck_fmha import _clang
from ck_fmha._compiler_base import INCLUDE, Compiler, user_flags


class _Interface(NamedTuple):
    """What differs between the two."""

    prefix: str  # of its functions
    name: str
    library: str  # the start of its file's name
    helper: str  # the start of that of a library which it loads by name, or ""
    folders: tuple[str, ...]  # patterns of where it is installed, besides torch's
    code: str  # what its code objects are called
    flags: tuple[str, ...]
    arch_flag: str
    oldest: int  # major version


_INTERFACES = {
    "nvidia": _Interface(
        prefix="nvrtc",
        name="NVRTC",
        library="libnvrtc",
        helper="libnvrtc-builtins.so",
        folders=("{CUDA_HOME}/lib64", "{CUDA_PATH}/lib64", "/usr/local/cuda/lib64"),
        code="CUBIN",
        flags=("-std=c++17", "--device-as-default-execution-space"),
        arch_flag="--gpu-architecture=",
        oldest=12,
    ),
    "amd": _Interface(
        prefix="hiprtc",
        name="hiprtc",
        library="libhiprtc",
        helper="",
        folders=("{ROCM_PATH}/lib", "{ROCM_HOME}/lib", "/opt/rocm/lib"),
        code="Code",
        flags=_clang.CODE_FLAGS,
        arch_flag="--offload-arch=",
        oldest=6,
    ),
}


class RuntimeCompiler(Compiler):
    """One of these libraries; it compiles in this process."""

    def __init__(self, path: str, version: str, interface: _Interface, library: ctypes.CDLL) -> None:
        super().__init__(path, version)
        self._interface = interface
        self._library = library

    def flags(self, arch: str) -> list[str]:
        """As `Compiler.flags`."""
        api = self._interface
        return [*api.flags, *shlex.split(user_flags(arch)), f"{api.arch_flag}{arch}", f"-I{INCLUDE}"]

    def compile(self, source: str, arch: str, folder: Path, further_flags: Sequence[str] = ()) -> bytes:
        """As `Compiler.compile`."""
        arguments = [*self.flags(arch), *further_flags]
        program = ctypes.c_void_p()
        self._call("CreateProgram", ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        try:
            encoded = [argument.encode() for argument in arguments]
            options = (ctypes.c_char_p * len(encoded))(*encoded)
            error = self._function("CompileProgram")(program, len(encoded), options)
            if error:
                log = self._read("ProgramLog", program).rstrip(b"\0").decode(errors="replace")
                raise self._failed(arch, self._say(error), log, arguments, source)
            return self._read(self._interface.code, program)
        finally:
            self._call("DestroyProgram", ctypes.byref(program))

    def _function(self, name: str) -> Callable[..., int]:
        return getattr(self._library, self._interface.prefix + name)  # type: ignore[no-any-return]

    def _call(self, name: str, *arguments: object) -> None:
        error = self._function(name)(*arguments)
        if error:
            raise RuntimeError(f"ck_fmha: {self._interface.prefix}{name} of {self.path} failed: {self._say(error)}")

    def _say(self, error: int) -> str:
        say = getattr(self._library, self._interface.prefix + "GetErrorString")
        say.restype = ctypes.c_char_p
        text: bytes = say(error)
        return text.decode(errors="replace")

    def _read(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, buffer)
        return buffer.raw


def find(vendor: str, arch: str) -> Iterator[Compiler | str]:
    """Yield the run-time compilers of this machine for `arch`, or why one will not do."""
    api = _INTERFACES[vendor]
    nothing = True
    for path in _libraries(api):
        nothing = False
        yield open_library(vendor, path, arch)
    if nothing:
        yield f"{api.name}: not found"


def open_library(vendor: str, path: str, arch: str) -> Compiler | str:
    """Return the run-time compiler in the library `path`, or why it will not do for `arch`."""
    found = _open(vendor, path)
    if isinstance(found, RuntimeCompiler) and vendor == "nvidia" and not _knows(found, arch):
        return f"{path}: does not know {arch}"
    return found


def _libraries(api: _Interface) -> Iterator[str]:
    """Paths, those of a library that the process has loaded and of torch's first; and names for the loader."""
    is_library = re.compile(rf"{api.library}[-\w]*\.so[.\d]*").fullmatch
    seen = set()
    torch_folder = Path(torch.__file__).parent
    site = torch_folder.parent
    folders = [str(torch_folder / "lib"), *sorted(glob.glob(f"{site}/nvidia/*/lib"), reverse=True)]
    for entry in sys.path:
        folders += sorted(glob.glob(f"{entry}/nvidia/*/lib"), reverse=True) if entry else []
    usual = [folder.format_map(_Environment()) for folder in api.folders]
    in_folders = (path for folder in [*folders, *usual] for path in sorted(glob.glob(f"{folder}/{api.library}*")))
    for path in [*_loaded(api), *in_folders]:
        if is_library(os.path.basename(path)) and not _is_helper(path) and os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            yield path
    for name in (f"{api.library}.so.{version}" for version in range(api.oldest + 1, api.oldest - 1, -1)):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        yield name


class _Environment(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return os.environ.get(name) or "/nowhere"


def _is_helper(path: str) -> bool:
    return "builtins" in os.path.basename(path)


def _loaded(api: _Interface) -> list[str]:
    """Return the paths of such libraries in this process."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return sorted(set(re.findall(rf"(/\S*/{api.library}\S*\.so\S*)$", maps, re.MULTILINE)))


@functools.cache
def _open(vendor: str, path: str) -> RuntimeCompiler | str:
    api = _INTERFACES[vendor]
    try:
        if api.helper:
            # NVRTC asks the loader for it by its name, which only finds it in the usual folders, or if it is loaded.
            for helper in glob.glob(f"{os.path.dirname(path)}/{api.helper}*") if os.path.dirname(path) else []:
                ctypes.CDLL(helper)
        library = ctypes.CDLL(path)
        major, minor = ctypes.c_int(), ctypes.c_int()
        getattr(library, f"{api.prefix}Version")(ctypes.byref(major), ctypes.byref(minor))
    except (OSError, AttributeError) as error:
        return f"{path}: {error}"
    if major.value < api.oldest:
        return f"{path}: {api.name} {major.value}.{minor.value}, older than {api.oldest}"
    # Releases of one version differ in size at least.
    size = os.path.getsize(path) if os.path.exists(path) else 0
    return RuntimeCompiler(path, f"{api.name} {major.value}.{minor.value} of {size} bytes", api, library)


def _knows(compiler: RuntimeCompiler, arch: str) -> bool:
    count = ctypes.c_int()
    compiler._call("GetNumSupportedArchs", ctypes.byref(count))
    archs = (ctypes.c_int * count.value)()
    compiler._call("GetSupportedArchs", archs)
    return int(arch.removeprefix("sm_").rstrip("a")) in list(archs)

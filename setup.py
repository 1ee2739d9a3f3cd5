"""Thin caller of CMake + Ninja: builds `ck_fmha._native`. Metadata is in pyproject.toml.

Environment:
    CK_FMHA_BUILD_DIR     keep CMake's build tree there, so that the next build is incremental
    CK_FMHA_GPU_ARCHS     compile a default set of kernels for these GPUs into the package: "gfx942;sm_90a"; unset: none
    CK_FMHA_CMAKE_ARGS    further arguments for CMake's configuration, split like a shell line
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def tool(name: str, folder_attribute: str) -> str:
    """Path of `name` from its Python package (as the isolated build has it), else from PATH."""
    try:
        folder = getattr(importlib.import_module(name), folder_attribute)
        found = shutil.which(name, path=folder)
    except (ImportError, AttributeError):
        found = None
    found = found or shutil.which(name)
    if found is None:
        raise SystemExit(f"ck_fmha: {name} not found. Install it: pip install {name}")
    return found


def cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CMakeBuild(build_ext):
    def build_extension(self, ext: Extension) -> None:
        import pybind11

        cmake = tool("cmake", "CMAKE_BIN_DIR")
        destination = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        kept = os.environ.get("CK_FMHA_BUILD_DIR")
        build = Path(kept or self.build_temp).resolve()
        configure = [
            *([] if kept else ["--fresh"]),  # an earlier isolated build's cache names tools that are gone
            "-G", "Ninja",
            "-S", str(ROOT),
            "-B", str(build),
            f"-DCMAKE_MAKE_PROGRAM={tool('ninja', 'BIN_DIR')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            "-DCK_FMHA_BUILD_PYTHON=ON",
            f"-DCK_FMHA_GPU_ARCHS={os.environ.get('CK_FMHA_GPU_ARCHS', '')}",
            *shlex.split(os.environ.get("CK_FMHA_CMAKE_ARGS", "")),
        ]  # fmt: skip
        jobs = str(self.parallel or os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or cpu_count())
        for command in (
            configure,
            ["--build", str(build), "--target", "_native", "--parallel", jobs],
            ["--install", str(build), "--component", "python", "--prefix", str(destination)],
        ):
            subprocess.run([cmake, *command], check=True)


setup(ext_modules=[Extension("ck_fmha._native", sources=[])], cmdclass={"build_ext": CMakeBuild})

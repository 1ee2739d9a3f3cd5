"""Code objects that were compiled when the package was installed, for the architectures of CK_FMHA_GPU_ARCHS."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ck_fmha import _clang, _nvcc
from ck_fmha._compiler_base import INCLUDE, VENDORS, user_flags, vendor_of
from ck_fmha._instance import Instance, headers_digest

FOLDER = Path(__file__).parent / "instances"  # what the installation writes: an index, and a file for each code object
INDEX = "index.json"

_KEY_VERSION = "1"
_FLAGS = {"amd": _clang.FLAGS, "nvidia": _nvcc.FLAGS}


def key(instance: Instance, headers: str) -> str:
    """Return the name of an instance's code: all that it depends on but the compiler, which may be gone."""
    parts = (_KEY_VERSION, instance.source, instance.arch, *_FLAGS[vendor_of(instance.arch)], headers)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def digest(code: bytes) -> str:
    """Return what the index says of a file's content."""
    return hashlib.blake2b(code, digest_size=32).hexdigest()


class Packaged:
    """The code objects of a folder whose index says what they are and were made by.

    The folder is trusted as the package's own files are, so its owner is not asked. A file is loaded if its content has
    the digest of the index, and only code that this package would compile is found at all: its key names the headers.
    """

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.folder = folder
        self.entries: dict[str, dict[str, Any]] = index["instances"]  # by key: the fields of the instance, digest, size
        self._compilers: dict[str, dict[str, str]] = index["compilers"]  # by architecture: path, version

    @classmethod
    def of(cls, folder: Path) -> Packaged:
        """Return those of this folder; none if it is not there."""
        try:
            index = json.loads((folder / INDEX).read_text())
            return cls(folder, index)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            _warn(f"{folder / INDEX} cannot be read: {error!r}")
        return cls(folder, {"instances": {}, "compilers": {}})

    def made_by(self, arch: str) -> dict[str, str] | None:
        """Return path and version of the compiler of an architecture's code, or None where there is no such code."""
        return self._compilers.get(arch)

    def holds(self, instance: Instance) -> bool:
        """Is code for this instance here, made of this package's headers, and not asked to be made otherwise?"""
        return self._found(instance) is not None

    def load(self, instance: Instance) -> bytes | None:
        """Return the code of an instance, or None."""
        name = self._found(instance)
        if name is None:
            return None
        file = self.folder / f"{name}.code"
        try:
            code = file.read_bytes()
        except OSError as error:
            _warn(f"{file} cannot be read: {error}")
            return None
        if digest(code) != self.entries[name]["digest"]:
            _warn(f"{file} is not what was installed: its digest does not fit")
            return None
        return code

    def _found(self, instance: Instance) -> str | None:
        if not self.entries or user_flags(instance.arch).strip():
            return None
        made_by = self.made_by(instance.arch)
        asked = os.environ.get(VENDORS[vendor_of(instance.arch)].compiler_variable)
        if made_by is None or (asked and shutil.which(asked) != made_by["path"]):
            return None
        name = key(instance, headers_digest(INCLUDE))
        return name if name in self.entries else None


def packaged() -> Packaged:
    """Return the code objects of this package."""
    return _of(FOLDER)


_of = functools.cache(Packaged.of)


def _warn(what: str) -> None:
    warnings.warn(
        f"ck_fmha: {what}. Its kernels are taken from the user's cache or compiled; install the package again.",
        RuntimeWarning,
        stacklevel=3,
    )

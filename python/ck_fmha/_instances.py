"""Kernels for one structure of mask, dtype, head_dim and architecture: found or compiled, and loaded."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ck_fmha import _native
from ck_fmha._ck_tile_headers import CkTileHeaders, find_headers
from ck_fmha._code_cache import CodeCache
from ck_fmha._compiler import INCLUDE, Compiler, find_compiler
from ck_fmha._compiler_base import user_flags, user_headers
from ck_fmha._instance import Instance, headers_digest
from ck_fmha._packaged import packaged

_KEY_VERSION = "1"

# How the kernels of a code object are loaded.
_MODULES = {
    "fwd": _native.FwdModule,
    "bwd": _native.BwdModule,
    "bwd_deterministic": _native.BwdModule,
    "bwd_dq": _native.BwdDqModule,
    "ck_tile_fwd": _native.CkTileFwdModule,
    "ck_tile_fwd_padded": _native.CkTileFwdModule,
    "ck_tile_bwd": _native.CkTileBwdModule,
    "ck_tile_bwd_padded": _native.CkTileBwdModule,
}


def _ck_tile(instance: Instance) -> CkTileHeaders | None:
    """Return CK Tile's headers, if the kernels are compiled from them."""
    return find_headers("bwd" in instance.kernels) if instance.from_ck_tile else None


def _compiler(instance: Instance) -> Compiler:
    """Return what compiles it on this machine."""
    headers = _ck_tile(instance)
    return find_compiler(instance.arch, None if headers is None else headers.flags)


def code_object(instance: Instance) -> bytes:
    """Return the code of an instance: as it was packaged, from the user's cache, or compiled now.

    Raises:
        RuntimeError: It has to be compiled, and no compiler was found, or it failed.
    """
    return find_code(instance)[0]


def find_code(instance: Instance) -> tuple[bytes, str]:
    """Return the code of an instance as `code_object` does, and where it was found."""
    installed = packaged().load(instance)
    if installed is not None:
        return installed, f"packaged in {packaged().folder}"
    compiler, cache = _compiler(instance), _user_cache()
    key = _key(instance, compiler)
    code = cache.load(key)
    if code is None:
        with cache.locked(key):
            code = cache.load(key)  # another process may have compiled it while this one waited
            if code is None:
                with cache.temporary() as scratch:
                    code = compiler.compile(instance.source, instance.arch, scratch)
                cache.store(key, {**instance._asdict(), "compiler": compiler.version}, code)
                return code, f"compiled by {compiler.path}"
    return code, f"in the cache {cache.folder}"


def where_found(instance: Instance, device: int) -> str:
    """Say where the code of an instance comes from, without compiling it."""
    loaded = _modules.origin(instance, device)
    if loaded is not None:
        return f"loaded, {loaded}"
    if packaged().holds(instance):
        return f"packaged in {packaged().folder}"
    compiler = _compiler(instance)
    if _user_cache().load(_key(instance, compiler)) is not None:
        return f"in the cache {_user_cache().folder}"
    return f"to be compiled by {compiler.path}"


class _Modules:
    """The modules used last, loaded on their devices, and where their code was found."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._loaded: OrderedDict[tuple[Instance, str, int], tuple[Any, str]] = OrderedDict()
        self._lock = threading.Lock()

    def origin(self, instance: Instance, device: int) -> str | None:
        with self._lock:
            found = self._loaded.get((instance, user_flags(instance.arch), device))
        return None if found is None else found[1]

    def find(self, instance: Instance, driver: _native.GpuDriver, device: int) -> Any:
        key = (instance, user_flags(instance.arch), device)
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
                return self._loaded[key][0]
        code, origin = find_code(instance)
        loaded = _MODULES[instance.kernels](driver, device, code, str(instance)), origin
        with self._lock:
            loaded = self._loaded.setdefault(key, loaded)  # another thread may have been faster
            dropped = [self._loaded.popitem(last=False) for _ in range(len(self._loaded) - self._most)]
        del dropped  # outside the lock: to unload waits for the device
        return loaded[0]


_modules = _Modules(most=256)


def modules(
    driver: _native.GpuDriver,
    device: int,
    groups: Sequence[tuple[str, int]],
    dtype: str,
    head_dim: int,
    kernels: str = "fwd",
    extras: str = "",
) -> list[Any]:
    """Return the loaded modules for the groups (structure, num_waves) of a plan."""
    arch, _ = driver.device(device)
    return [
        _modules.find(Instance(structure, dtype, head_dim, num_waves, arch, kernels, extras), driver, device)
        for structure, num_waves in groups
    ]


def _key(instance: Instance, compiler: Compiler) -> str:
    made_by = (*compiler.flags(instance.arch), compiler.path, compiler.version)
    headers = (headers_digest(INCLUDE), user_headers(instance.arch))
    ck_tile = _ck_tile(instance)
    made_of = headers if ck_tile is None else (*headers, ck_tile.digest())
    parts = (_KEY_VERSION, instance.source, *made_by, *made_of)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


_cache: CodeCache | None = None


def _user_cache() -> CodeCache:
    """The cache of the folder that the environment names now; one object for a folder, so that it warns once."""
    global _cache
    found = CodeCache.of_user()
    if _cache is None or _cache.folder != found.folder:
        _cache = found
    return _cache

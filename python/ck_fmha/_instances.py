"""Kernels for one structure of mask, dtype, head_dim and architecture: found, compiled and loaded."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from ck_fmha import _native
from ck_fmha._ck_tile_headers import CkTileHeaders, find_headers
from ck_fmha._code_cache import CodeCache
from ck_fmha._compiler import INCLUDE, Compiler, find_compiler, user_flags, vendor_of

_KEY_VERSION = "1"


class _Kernels(NamedTuple):
    """The kernels of a code object: the file that they are compiled from, and how they are loaded."""

    entry: str
    defines: str
    module: Any


_KERNELS = {
    "fwd": _Kernels("kernel/fwd_entry.hpp", "", _native.FwdModule),
    "bwd": _Kernels("kernel/bwd_entry.hpp", "#define CK_FMHA_ADDS_DQ 1\n", _native.BwdModule),
    "bwd_deterministic": _Kernels("kernel/bwd_entry.hpp", "#define CK_FMHA_ADDS_DQ 0\n", _native.BwdModule),
    "bwd_dq": _Kernels("kernel/bwd_dq_entry.hpp", "", _native.BwdDqModule),
    "ck_tile_fwd": _Kernels("ck_tile/fwd_entry.hpp", "#define CK_FMHA_PADS 0\n", _native.CkTileFwdModule),
    "ck_tile_fwd_padded": _Kernels("ck_tile/fwd_entry.hpp", "#define CK_FMHA_PADS 1\n", _native.CkTileFwdModule),
    "ck_tile_bwd": _Kernels("ck_tile/bwd_entry.hpp", "#define CK_FMHA_PADS 0\n", _native.CkTileBwdModule),
    "ck_tile_bwd_padded": _Kernels("ck_tile/bwd_entry.hpp", "#define CK_FMHA_PADS 1\n", _native.CkTileBwdModule),
}


_DTYPES = {"amd": {"fp16": "_Float16", "bf16": "__bf16"}, "nvidia": {"fp16": "f16", "bf16": "bf16"}}
# What an instance computes besides products and mask, and its name in the kernels.
EXTRAS = {
    "softcap": "kSoftcap",
    "bias": "kBias",
    "bias_fp32": "kBias | kBiasFloat32",
    "alibi": "kAlibi",
    "attended": "kAttended",
    "dropout": "kDropout",
    "dbias": "kBiasGradient",
    "dbias_sum": "kBiasGradientSum",
    "dbias_keys": "kBiasGradientOfKeys",
}


class Instance(NamedTuple):
    """What a code object is compiled for."""

    structure: str  # of the mask, as a C++ type of namespace ck_fmha::gpu::structure
    dtype: str  # "fp16" or "bf16"
    head_dim: int  # 32, 64, 128 or 256
    num_waves: int  # of a work-group
    asks: bool  # the mask for tiles, in rows that are longer than what is stored of them
    arch: str
    kernels: str = "fwd"  # a key of _KERNELS
    extras: str = ""  # words of EXTRAS

    @property
    def source(self) -> str:
        """The file that is compiled."""
        dtype = _DTYPES[vendor_of(self.arch)][self.dtype]
        return (
            f"#define CK_FMHA_MASK {self.structure}\n"
            f"#define CK_FMHA_DTYPE {dtype}\n"
            f"#define CK_FMHA_HEAD_DIM {self.head_dim}\n"
            f"#define CK_FMHA_WAVES {self.num_waves}\n"
            f"#define CK_FMHA_ASKS {int(self.asks)}\n"
            f"#define CK_FMHA_EXTRAS {' | '.join(EXTRAS[word] for word in self.extras.split()) or 0}\n"
            f"{_KERNELS[self.kernels].defines}"
            f'#include "gpu/{_KERNELS[self.kernels].entry}"\n'
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """What its compilation needs besides the usual.

        On AMD GPUs the forward of head_dim 256 needs more than 256 registers. To make room, clang 19's default
        allocator moves values to others at the head of blocks where lanes that a branch had switched off are not back
        yet, and these lanes lose them (seen in the emulator: neighborhood, fp16, gfx90a). Its basic allocator moves
        values where they are defined.
        The backward's kernels have registers left with the default one, and would spill with the basic one.
        """
        if self.ck_tile is not None:
            return ("-isystem", str(self.ck_tile.include), "-DCK_TILE_FMHA_FWD_FAST_EXP2=1")
        amd_forward = self.kernels == "fwd" and vendor_of(self.arch) == "amd"
        return ("-mllvm", "-vgpr-regalloc=basic") if amd_forward and self.head_dim > 128 else ()

    @property
    def ck_tile(self) -> CkTileHeaders | None:
        """The headers of CK Tile, if the kernels are compiled from them."""
        return find_headers("bwd" in self.kernels) if self.kernels.startswith("ck_tile") else None

    def compiler(self) -> Compiler:
        """Return what compiles it on this machine."""
        return find_compiler(self.arch, with_rocm=self.ck_tile is not None)

    def __str__(self) -> str:
        more = (" asking" if self.asks else "") + (f" {self.extras}" if self.extras else "")
        what = f"{self.structure} {self.dtype} head_dim {self.head_dim} {self.num_waves} waves{more} {self.arch}"
        return f"{self.kernels or 'fwd'} {what}"  # caches hold entries that are older than the backward and extras


def code_object(instance: Instance) -> bytes:
    """Return the code of an instance from the user's cache, or compile it now.

    Raises:
        RuntimeError: No compiler was found, or it failed.
    """
    compiler, cache = instance.compiler(), _user_cache()
    key = _key(instance, compiler)
    code = cache.load(key)
    if code is None:
        with cache.locked(key):
            code = cache.load(key)  # another process may have compiled it while this one waited
            if code is None:
                with cache.temporary() as scratch:
                    code = compiler.compile(instance.source, instance.arch, scratch, instance.flags)
                cache.store(key, {**instance._asdict(), "compiler": compiler.version}, code)
    return code


def where_found(instance: Instance, device: int) -> str:
    """Say where the code of an instance comes from, without compiling it."""
    if _modules.holds(instance, device):
        return "loaded"
    compiler = instance.compiler()
    if _user_cache().load(_key(instance, compiler)) is not None:
        return f"in the cache {_user_cache().folder}"
    return f"to be compiled by {compiler.path}"


class _Modules:
    """The modules used last, loaded on their devices."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._loaded: OrderedDict[tuple[Instance, str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, instance: Instance, device: int) -> bool:
        with self._lock:
            return (instance, user_flags(instance.arch), device) in self._loaded

    def find(self, instance: Instance, driver: _native.GpuDriver, device: int) -> Any:
        key = (instance, user_flags(instance.arch), device)
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
                return self._loaded[key]
        module = _KERNELS[instance.kernels].module(driver, device, code_object(instance), str(instance))
        with self._lock:
            module = self._loaded.setdefault(key, module)  # another thread may have been faster
            dropped = [self._loaded.popitem(last=False) for _ in range(len(self._loaded) - self._most)]
        del dropped  # outside the lock: to unload waits for the device
        return module


_modules = _Modules(most=256)


def modules(
    driver: _native.GpuDriver,
    device: int,
    groups: Sequence[tuple[str, int, bool]],
    dtype: str,
    head_dim: int,
    kernels: str = "fwd",
    extras: str = "",
) -> list[Any]:
    """Return the loaded modules for the groups (structure, num_waves, asks) of a plan."""
    arch, _ = driver.device(device)
    return [
        _modules.find(Instance(structure, dtype, head_dim, num_waves, asks, arch, kernels, extras), driver, device)
        for structure, num_waves, asks in groups
    ]


def _key(instance: Instance, compiler: Compiler) -> str:
    made_by = (*compiler.flags(instance.arch), *instance.flags, compiler.path, compiler.version)
    made_of = () if instance.ck_tile is None else (instance.ck_tile.digest(),)
    parts = (_KEY_VERSION, instance.source, *made_by, *made_of, _headers_digest())
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@functools.cache
def _headers_digest() -> str:
    """Of all headers that kernels may be made of."""
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(INCLUDE.rglob("*.hpp"))
    if not files:
        raise RuntimeError(f"ck_fmha: the kernels' headers are missing from {INCLUDE}: install the package again")
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(INCLUDE)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


_cache: CodeCache | None = None


def _user_cache() -> CodeCache:
    """The cache of the folder that the environment names now; one object for a folder, so that it warns once."""
    global _cache
    found = CodeCache.of_user()
    if _cache is None or _cache.folder != found.folder:
        _cache = found
    return _cache

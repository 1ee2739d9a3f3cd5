"""The code objects compiled by this user, kept on disk between processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import filelock

FOLDER_VARIABLE = "CK_FMHA_CACHE_DIR"
_SUFFIX = ".code"
_TEMPORARY = "compiling-"
_ABANDONED_AFTER = 24 * 3600  # seconds
_ROOM = 2**24  # bytes that a compilation may take


class Entry(NamedTuple):
    """One code object: what it was made for, and the size of its file in bytes."""

    key: str
    info: dict[str, Any]
    size: int


class CodeCache:
    """A folder of code objects, found by a key that names everything they depend on.

    A file is a line of JSON (what it is, a digest) and the code. It appears by an atomic rename, and is loaded only if
    the folder and the file belong to this user, nobody else can write to them, and the digest fits key and content.
    Locks are the operating system's: a process that is killed leaves none behind. Where the folder cannot be used, the
    cache is off: a warning says why, once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: set[str] = set()

    @staticmethod
    def of_user() -> CodeCache:
        """Return the cache in the folder that the environment names, or in the usual place for a user's caches."""
        asked = os.environ.get(FOLDER_VARIABLE)
        if asked:
            return CodeCache(Path(asked).absolute())
        import platformdirs

        return CodeCache(platformdirs.user_cache_path("ck_fmha") / "code_objects")

    def load(self, key: str) -> bytes | None:
        """Return the code of this key, or None. What is not as it was written is as good as not there."""
        found = self._read(key) if self.is_usable() else None
        return None if found is None else found[1]

    def store(self, key: str, info: dict[str, Any], code: bytes) -> None:
        """Keep the code, if that is possible."""
        if not self.is_usable():
            return
        header = json.dumps({**info, "digest": _digest(key, info, code)}).encode()
        try:
            with self.temporary() as scratch:
                file = scratch / "entry"
                with file.open("wb") as out:
                    out.write(header + b"\n" + code)
                    out.flush()
                    os.fsync(out.fileno())
                file.chmod(0o600)
                file.replace(self._file(key))
        except OSError as error:
            self._warn(f"could not be written to: {error}")

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the lock of this key: only one process compiles it, the others wait and load it."""
        if not self.is_usable():
            yield
            return
        # A few files for all keys, since a lock's file can never be removed safely.
        try:
            lock = filelock.FileLock(self.folder / f"{key[0]}.lock", mode=0o600)
            lock.acquire()
        except OSError as error:
            self._warn(f"could not be locked: {error}")
            yield
            return
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Give a folder for temporary files, on the file system of the cache if that can be used and has room."""
        made = self._make_temporary() if self.is_usable() else None
        with made or tempfile.TemporaryDirectory(prefix="ck_fmha-") as scratch:
            yield Path(scratch)

    def entries(self) -> list[Entry]:
        """Return what the cache holds, the newest first; files that would not be loaded are left out."""
        if not self.folder.is_dir() or not self.is_usable():
            return []
        found: list[tuple[float, Entry]] = []
        for file in self.folder.glob(f"*{_SUFFIX}"):
            key = file.name.removesuffix(_SUFFIX)
            try:
                at = file.stat()
            except OSError:  # another process has just removed it
                continue
            content = self._read(key)
            if content is not None:
                found.append((at.st_mtime, Entry(key, content[0], at.st_size)))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def clear(self) -> int:
        """Remove all code objects; return how many there were."""
        if not self.folder.is_dir() or not self.is_usable():
            return 0
        files = list(self.folder.glob(f"*{_SUFFIX}"))
        for file in files:
            file.unlink(missing_ok=True)
        self._remove_temporary(0)
        return len(files)

    def is_usable(self) -> bool:
        """Can the folder be trusted and written to? It is made if it is not there."""
        if not self.folder.is_absolute():
            self._warn("cannot be used: there is no home folder to have it in")
            return False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.lstat()
        except OSError as error:
            self._warn(f"cannot be used: {error}")
            return False
        wrong = _distrusted(found) if stat.S_ISDIR(found.st_mode) else "is not a folder"
        if wrong:
            self._warn(f"is not used: it {wrong}")
            return False
        effective = os.access in os.supports_effective_ids
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=effective):
            self._warn("is not used: it cannot be written to")
            return False
        return True

    def _file(self, key: str) -> Path:
        return self.folder / (key + _SUFFIX)

    def _read(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        try:
            with self._file(key).open("rb") as file:
                wrong = _distrusted(os.fstat(file.fileno()))
                header, _, code = file.read().partition(b"\n")
            info = json.loads(header)
            digest = info.pop("digest")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            wrong = f"cannot be read: {error}"
        else:
            if not wrong and digest != _digest(key, info, code):
                wrong = "is not what was written: its digest does not fit"
        if wrong:
            self._warn(f"has a file {key}{_SUFFIX} that is not loaded, because it {wrong}")
            return None
        return info, code

    def _make_temporary(self) -> tempfile.TemporaryDirectory[str] | None:
        self._remove_temporary(_ABANDONED_AFTER)
        try:
            free = shutil.disk_usage(self.folder).free
            if free >= _ROOM:
                return tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=self.folder)
            self._warn(f"is on a disk with no more than {free} bytes left")
        except OSError as error:
            self._warn(f"could not be written to: {error}")
        return None

    def _remove_temporary(self, older_than: float) -> None:
        for folder in self.folder.glob(f"{_TEMPORARY}*"):
            try:
                if time.time() - folder.stat().st_mtime >= older_than:
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue

    def _warn(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warnings.warn(
                f"ck_fmha: the cache of code objects {self.folder} {what}. Kernels are compiled in every process that "
                f"needs them. Another folder can be chosen by {FOLDER_VARIABLE}.",
                RuntimeWarning,
                stacklevel=2,
            )


def _distrusted(found: os.stat_result) -> str:
    """Why what has this status is not to be trusted, or ""."""
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written to by others (mode {stat.S_IMODE(found.st_mode):04o}): chmod go-w"
    return ""


def _digest(key: str, info: dict[str, Any], code: bytes) -> str:
    about = json.dumps([key, info], sort_keys=True).encode()
    return hashlib.blake2b(about + b"\n" + code, digest_size=32).hexdigest()

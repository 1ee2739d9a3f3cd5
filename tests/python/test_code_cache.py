"""The cache of code objects: what it loads, what it refuses, and processes that meet or die in it."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ck_fmha import _instances
from ck_fmha import cache as command
from ck_fmha._code_cache import CodeCache
from ck_fmha._instance import Instance
from ck_fmha._instances import code_object

KEY = "0123456789abcdef0123456789abcdef"
INFO = {"structure": "diagonal", "arch": "gfx942"}


@pytest.fixture
def cache(tmp_path) -> CodeCache:
    return CodeCache(tmp_path / "of a user" / "code_objects")


def test_what_is_stored_is_loaded(cache):
    assert cache.load(KEY) is None
    cache.store(KEY, INFO, b"\0code\nof two lines")
    assert cache.load(KEY) == b"\0code\nof two lines"
    assert CodeCache(cache.folder).load(KEY) == b"\0code\nof two lines"
    (entry,) = cache.entries()
    assert (entry.key, entry.info) == (KEY, INFO)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert cache.clear() == 1 and cache.load(KEY) is None and cache.entries() == []


def only_file(cache: CodeCache) -> Path:
    (file,) = cache.folder.glob("*.code")
    return file


def tampered(content: bytes) -> list[bytes]:
    return [
        content[:-1] + b"?",
        content[:-1],
        content + b"!",
        b"",
        b"{}\n",
        b"[1]\nx",
        content.replace(b"diag", b"d1ag"),
    ]


@pytest.mark.parametrize("how", range(7))
def test_a_tampered_file_is_not_loaded(cache, how):
    cache.store(KEY, INFO, b"code")
    file = only_file(cache)
    file.write_bytes(tampered(file.read_bytes())[how])
    with pytest.warns(RuntimeWarning, match="not loaded"):
        assert cache.load(KEY) is None
    assert cache.entries() == []
    cache.store(KEY, INFO, b"code")  # and compiled and stored again
    assert cache.load(KEY) == b"code"


def test_a_file_under_another_name_is_not_loaded(cache):
    cache.store(KEY, INFO, b"code")
    other = KEY[::-1]
    shutil.copy(only_file(cache), cache.folder / f"{other}.code")
    with pytest.warns(RuntimeWarning, match="digest"):
        assert cache.load(other) is None


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_write_to_is_refused(cache, mode):
    cache.store(KEY, INFO, b"code")
    cache.folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match=r"can be written to by others.*CK_FMHA_CACHE_DIR"):
        assert cache.load(KEY) is None
    cache.store("f" + KEY[1:], INFO, b"code")
    assert len(list(cache.folder.glob("*.code"))) == 1


def test_a_file_that_others_write_to_is_refused(cache):
    cache.store(KEY, INFO, b"code")
    only_file(cache).chmod(0o620)
    with pytest.warns(RuntimeWarning, match="can be written to by others"):
        assert cache.load(KEY) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_belongs_to_another_user_is_refused(cache, what):
    cache.store(KEY, INFO, b"code")
    os.chown(cache.folder if what == "folder" else only_file(cache), 12345, 12345)
    with pytest.warns(RuntimeWarning, match="belongs to user 12345"):
        assert cache.load(KEY) is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    cache = CodeCache(tmp_path / "file" / "code_objects")
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert cache.load(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once is enough
        cache.store(KEY, INFO, b"code")
        with cache.locked(KEY), cache.temporary() as scratch:
            assert scratch.is_dir() and cache.load(KEY) is None


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """Root writes everywhere: while open, this process is nobody's, if it was root's."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_home_is_no_error():
    with as_another_user(), tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o500)
        cache = CodeCache(Path(home) / "code_objects")
        with pytest.warns(RuntimeWarning, match="cannot be used.*Permission denied"):
            assert cache.load(KEY) is None
        cache.store(KEY, INFO, b"code")
        with cache.locked(KEY), cache.temporary() as scratch:
            assert scratch.is_dir() and scratch.parent != cache.folder


def test_a_folder_that_has_become_read_only_is_no_error():
    with as_another_user(), tempfile.TemporaryDirectory() as home:
        cache = CodeCache(Path(home) / "code_objects")
        cache.store(KEY, INFO, b"code")
        cache.folder.chmod(0o500)
        with pytest.warns(RuntimeWarning, match="cannot be written to"):
            assert cache.load(KEY) is None
        cache.folder.chmod(0o700)


def test_a_full_disk_is_no_error(cache, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.store(KEY, INFO, b"code")
    monkeypatch.undo()
    assert cache.load(KEY) is None and not list(cache.folder.glob("compiling-*"))


def test_without_room_on_the_disk_of_the_cache_another_one_has_the_temporary_files(cache, monkeypatch):
    usage = shutil.disk_usage(cache.folder.parents[1])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.warns(RuntimeWarning, match="no more than 100 bytes left"), cache.temporary() as scratch:
        assert scratch.is_dir() and scratch.parent != cache.folder
    monkeypatch.undo()
    with cache.temporary() as scratch:
        assert scratch.parent == cache.folder


def test_a_link_in_place_of_the_folder_is_refused(cache, tmp_path):
    cache.folder.parent.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="not a folder"):
        assert cache.load(KEY) is None


def test_abandoned_temporary_folders_are_removed(cache):
    cache.store(KEY, INFO, b"code")
    old, new = cache.folder / "compiling-old", cache.folder / "compiling-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    with cache.temporary():
        assert not old.exists() and new.exists()


# --- Processes --------------------------------------------------------------------------------------------------------

# Compiles one instance by whatever CK_FMHA_HIP_COMPILER names.
COMPILE = """
import sys
from ck_fmha._instance import Instance
from ck_fmha._instances import code_object
print(code_object(Instance("diagonal", "fp16", 64, 2, "gfx942", sys.argv[1])).decode())
"""

# Stands for clang: says that it is one, and writes what it is told to, slowly.
COMPILER = """#!{python}
import pathlib, sys, time
if "--version" in sys.argv:
    print("clang version 19.0.0")
elif "-fsyntax-only" not in sys.argv:
    with open({log!r}, "a") as log:
        print("compiled", file=log)
    time.sleep({seconds})
    pathlib.Path("kernel.co").write_text("the code")
"""


def compile_in_process(tmp_path: Path, seconds: float, kernels: str) -> subprocess.Popen:
    compiler = tmp_path / f"clang-{seconds}"
    compiler.write_text(COMPILER.format(python=sys.executable, log=str(tmp_path / "log"), seconds=seconds))
    compiler.chmod(0o755)
    # The compiler's file is part of the key: it has to be the same one.
    link = tmp_path / "clang"
    link.unlink(missing_ok=True)
    shutil.copy(compiler, link)
    env = {
        **os.environ,
        "CK_FMHA_HIP_COMPILER": str(link),
        "CK_FMHA_CACHE_DIR": str(tmp_path / "cache"),
        "CK_FMHA_HIP_FLAGS": "",
    }
    return subprocess.Popen(
        [sys.executable, "-c", COMPILE, kernels], env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def num_compiled(tmp_path: Path) -> int:
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_a_process_killed_while_it_compiles_leaves_nothing_behind(tmp_path):
    killed = compile_in_process(tmp_path, 600, "bwd")
    deadline = time.monotonic() + 300
    while num_compiled(tmp_path) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert num_compiled(tmp_path) == 1
    killed.kill()  # the process alone: its compiler lives on, and must not hold the lock
    killed.wait()
    second = compile_in_process(tmp_path, 0, "bwd")
    out, _ = second.communicate(timeout=300)
    os.killpg(killed.pid, signal.SIGKILL)
    assert (second.returncode, out.strip()) == (0, "the code")
    assert num_compiled(tmp_path) == 2
    assert len(list((tmp_path / "cache").glob("*.code"))) == 1


def test_two_processes_compile_once(tmp_path):
    both = [compile_in_process(tmp_path, 2, "fwd") for _ in range(2)]
    results = [process.communicate(timeout=300)[0].strip() for process in both]
    assert results == ["the code", "the code"]
    assert num_compiled(tmp_path) == 1


# --- What a key depends on ----------------------------------------------------------------------------------------

# As COMPILER, at once.
QUICK_COMPILER = """#!/bin/sh
case "$*" in
*--version*) echo "clang version 19.0.0" ;;
*-fsyntax-only*) ;;
*) cat kernel.hip > kernel.co; echo compiled >> {log} ;;
esac
"""


@pytest.fixture
def quick_compiler(tmp_path, monkeypatch) -> Path:
    compiler = tmp_path / "clang"
    compiler.write_text(QUICK_COMPILER.format(log=tmp_path / "log"))
    compiler.chmod(0o755)
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", str(compiler))
    monkeypatch.setenv("CK_FMHA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CK_FMHA_HIP_FLAGS", raising=False)
    return compiler


@pytest.mark.parametrize("flags", ["-I{}", "-I {}", "-DX -isystem {}", "-iquote {} -O1", "-include {}/own.hpp"])
def test_headers_that_the_user_s_flags_add_are_part_of_the_key(flags, quick_compiler, tmp_path, monkeypatch):
    headers = tmp_path / "headers"
    (headers / "below").mkdir(parents=True)
    own = headers / "own.hpp"
    own.write_text("1")
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", flags.format(headers))
    instance = Instance("diagonal", "fp16", 64, 4, "gfx942", "bwd_dq")
    for content, compiled in (("1", 1), ("2", 2), ("2", 2), ("1", 2)):
        own.write_text(content)
        assert code_object(instance).decode() == instance.source
        assert num_compiled(tmp_path) == compiled
    if "include" not in flags:
        (headers / "below" / "other.h").touch()
        code_object(instance)
        assert num_compiled(tmp_path) == 3


def test_the_compiler_and_the_flags_are_part_of_the_key(quick_compiler, tmp_path, monkeypatch):
    instance = Instance("diagonal", "fp16", 64, 4, "gfx942")
    code_object(instance)
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", "-O1")
    code_object(instance)
    quick_compiler.write_text(quick_compiler.read_text().replace("19.0.0", "19.0.1"))
    code_object(instance)
    code_object(instance)
    assert num_compiled(tmp_path) == 3


def test_the_architecture_and_the_package_s_headers_are_part_of_the_key(quick_compiler, tmp_path, monkeypatch):
    instance = Instance("diagonal", "fp16", 64, 4, "gfx942")
    code_object(instance)
    code_object(instance._replace(arch="gfx90a"))
    assert num_compiled(tmp_path) == 2
    for content in ("1", "2"):
        headers = tmp_path / content
        headers.mkdir()
        (headers / "kernel.hpp").write_text(content)
        monkeypatch.setattr(_instances, "INCLUDE", headers)
        code_object(instance)
        code_object(instance)
    assert num_compiled(tmp_path) == 4


# --- Where nothing can be kept ------------------------------------------------------------------------------------


def no_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".cache").write_text("no folder, and nobody can make one in its place")


def no_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("nothing_is_kept", [no_folder, no_room])
def test_a_home_that_keeps_nothing_costs_the_caching_alone(nothing_is_kept, quick_compiler, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CK_FMHA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    nothing_is_kept(home, monkeypatch)
    instance = Instance("diagonal", "fp16", 64, 4, "gfx942")
    with pytest.warns(RuntimeWarning, match=rf"{home}/\.cache/ck_fmha/code_objects c.*CK_FMHA_CACHE_DIR"):
        assert code_object(instance).decode() == instance.source
    assert code_object(instance).decode() == instance.source
    assert num_compiled(tmp_path) == 2


def test_without_a_home_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"~/\.cache c.*no home.*CK_FMHA_CACHE_DIR"):
        CodeCache(Path("~/.cache")).store(KEY, {}, b"code")  # as platformdirs names the folder then
    assert not list(tmp_path.iterdir())


# --- The command ------------------------------------------------------------------------------------------------------


def test_command_lists_and_clears(cache, monkeypatch, capsys):
    monkeypatch.setenv("CK_FMHA_CACHE_DIR", str(cache.folder))
    info = {"structure": "diagonal", "dtype": "fp16", "head_dim": 64, "num_waves": 2, "arch": "gfx942"}
    cache.store(KEY, info, b"code")
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "1 code objects" in listed and KEY in listed and "diagonal fp16 head_dim 64 2 waves gfx942" in listed
    assert command.main(["clear"]) == 0
    assert "1 code objects removed" in capsys.readouterr().out
    assert command.main(["list"]) == 0
    assert "0 code objects" in capsys.readouterr().out


def test_command_warms_the_backward_too(quick_compiler, tmp_path, capsys):
    def warm(*arguments: str) -> list[str]:
        call = ["warm", "Longformer(64, 4) & Causal()", "--arch", "gfx90a:sramecc+:xnack-", "--seqlen", "1000"]
        assert command.main([*call, *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    forward = warm("--head-dim", "40")
    assert [line.split()[0] for line in forward] == ["fwd", "fwd"]
    assert all("and_<longformer, diagonal>" in line and "head_dim 64 4 waves gfx90a: " in line for line in forward)
    both = warm("--head-dim", "40", "--dtype", "bf16", "--backward", "--deterministic")
    assert [line.split()[0] for line in both] == ["fwd", "bwd", "bwd_deterministic", "bwd_dq"]
    assert "in the cache" in both[0] and all("compiled by" in line for line in both[1:])
    assert num_compiled(tmp_path) == 5
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "5 code objects" in listed and "bwd_dq and_<longformer, diagonal> bf16" in listed


def test_command_lists_what_is_left_while_another_process_clears(cache, monkeypatch, capsys):
    monkeypatch.setenv("CK_FMHA_CACHE_DIR", str(cache.folder))
    info = {"structure": "diagonal", "dtype": "fp16", "head_dim": 64, "num_waves": 2, "arch": "gfx942"}
    others = KEY[::-1]
    for key in (KEY, others):
        cache.store(key, info, b"code")
    found = Path.glob

    def found_then_removed(folder: Path, pattern: str) -> list[Path]:
        files = list(found(folder, pattern))
        (cache.folder / f"{others}.code").unlink()
        return files

    monkeypatch.setattr(Path, "glob", found_then_removed)
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "1 code objects" in listed and KEY in listed and others not in listed


def test_command_warms_what_calls_with_extras_take(quick_compiler, tmp_path, capsys):
    call = ["warm", "Causal()", "--arch", "gfx942", "--seqlen", "100", "--dtype", "bf16", "--deterministic", "--extras"]
    assert command.main([*call, "dropout", "dbias_sum", "bias", "softcap"]) == 0
    lines = [line.split(" gfx942: ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line.split(" waves ")[1] for line in lines] == [
        "softcap bias dropout",  # forward
        "softcap bias dropout dbias_sum",  # dK, dV and the bias's gradient
        "softcap bias dropout",  # dQ by rows
    ]
    for wrong in (["bias", "bias_fp32"], ["dbias"], ["bias", "dbias", "dbias_sum"]):
        assert command.main([*call, *wrong]) == 1
        said = capsys.readouterr().err
        assert all(part in said for part in ("--extras", *wrong))


def test_command_says_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", str(tmp_path / "no clang"))
    assert command.main(["warm", "Causal()", "--arch", "gfx942", "--seqlen", "100"]) == 1
    said = capsys.readouterr().err
    for part in ("no clang", "not found", "gfx942", "CK_FMHA_HIP_COMPILER", "apt-get install"):
        assert part in said
    assert command.main(["warm", "Causal()", "--arch", "gfx942", "--seqlen", "0"]) == 1
    assert "--seqlen" in capsys.readouterr().err

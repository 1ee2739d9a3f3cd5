"""Run Python in a process of its own, with the import path of this one."""

import os
import subprocess
import sys


def run_python(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


def run_script(script: str, timeout: float = 120) -> str:
    """The script's standard output; it must exit with 0."""
    done = run_python("-c", script, timeout=timeout)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout

"""Failing or killing a process at each of its system calls, one run after another.

`strace` does the harm: it lets the k-th call of a kind fail with an I/O error, or kills the process
as it enters the call.
"""

from __future__ import annotations

import collections
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ancestral

CALLS = (
    "openat", "write", "fsync", "chmod", "fchmod", "fchmodat", "rename", "renameat", "renameat2",
    "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
    "flock", "ftruncate", "close", "getdents64", "newfstatat", "statx", "read",
)  # fmt: skip
SOURCE = str(Path(ancestral.__file__).parents[1])
BEGUN, ENDED = "faults-begin-here", "faults-end-here"
PROLOGUE = f"""
import os, sys, pathlib
def begin(): os.access({BEGUN!r}, os.F_OK)
def end(): os.access({ENDED!r}, os.F_OK)
"""


def need_strace() -> None:
    """Skip where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("processes may not be traced here")


def traced(code: str, folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Run a piece of Python between `begin()` and `end()` under strace; its trace is in stdout."""
    return subprocess.run(
        ["strace", "-f", "-qq", "--seccomp-bpf", *options, sys.executable, "-c", PROLOGUE + code],
        cwd=folder,
        env={
            "PYTHONPATH": str(Path(ancestral.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def points(code: str, folder: Path) -> list[tuple[str, int]]:
    """Return every call between the marks, as its kind and its number among those of the kind."""
    trace = folder / "trace"
    done = traced(code, folder, "-e", f"trace=access,faccessat,faccessat2,{','.join(CALLS)}",
                  "-o", str(trace))  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts: collections.Counter[str] = collections.Counter()
    found, inside = [], False
    for line in trace.read_text("utf-8", "replace").splitlines():
        call = re.match(r"(?:\d+\s+)?(\w+)\(", line)
        if call is None:
            continue
        if "access" in call[1]:
            inside = (inside or BEGUN in line) and ENDED not in line
            continue
        counts[call[1]] += 1
        if inside:
            found.append((call[1], counts[call[1]]))
    trace.unlink()
    return found


def each_fault(
    code: str, reset: Callable[[], Path], *, every: int = 1
) -> Iterator[tuple[str, Path, subprocess.CompletedProcess]]:
    """Run a piece of Python once for each point and harm; give the harm, the folder and its end."""
    for k, (call, number) in enumerate(points(code, reset())):
        for harm in ("error=EIO", "signal=KILL"):
            if (k + (harm == "signal=KILL")) % every:
                continue
            folder = reset()
            inject = f"inject={call}:{harm}:when={number}"
            done = traced(code, folder, "-e", f"trace={call}", "-e", inject, "-o", "/dev/null")
            yield f"{call} {number} {harm}", folder, done

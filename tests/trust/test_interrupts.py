"""Ctrl+C at any moment ends a command with 130 and one line, or finds it done; nothing is torn.

Each command is run once undisturbed: what it writes and prints is what an interrupted one may leave
whole, and how long it takes says how far the moments spread, from its start to beyond its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.cli.commands import COMMANDS as NAMES
from tests.conftest import PATIENCE

# A byte is written once the handler stands; what comes before is the interpreter's own start.
START = (
    "import os; from ancestral.cli.__main__ import main, take_over as t; t(); os.write(1, b'.')\n"
)
BEYOND = 1.2  # of the command's own time
LONGEST = 3.0  # seconds; the moments in longer commands are those of their beginning


class Command(NamedTuple):
    """A command, and the extra that it needs."""

    arguments: list[str]
    extra: str = ""
    ends: bool = True  # by itself, soon
    serves: bool = False  # until Ctrl+C, which then is its good end: 0, and no line


COMMANDS = {
    "help": Command(["--help"]),
    "inspect": Command(["inspect", "m.model"]),
    "fit": Command(["fit", "tabular", "@icons", "-o", "a.model"]),
    "sample": Command(["sample", "m.model", "-n", "9", "--random-state", "0", "-o", "a.npy"]),
    "fit, a tree": Command(["fit", "tree", "rows.npy", "-o", "b.model"], ends=False),
    "score, odd cells": Command(["score", "tree.model", "rows.npy", "--surprise"]),
    "score": Command(["score", "m.model", "rows.npy", "-o", "a.csv"]),
    "impute": Command(["impute", "m.model", "rows.npy", "-o", "a.npy"]),
    "predict": Command(["predict", "line.model", "x.npy", "-o", "a.csv"]),
    "compare": Command(["compare", "m.model", "other.model", "rows.npy"]),
    "bench": Command(["bench", "debd", "tiny.npz", "--json"], "lightgbm", ends=False),
    "bench, mixed": Command(["bench", "mixed", "tiny.csv", "--json"], ends=False),
    "studio": Command(["studio", "m.model", "--export", "a.html"], "starlette"),
    "studio, serving": Command(
        ["studio", "m.model", "--no-browser", "--port", "0"], "starlette", ends=False, serves=True
    ),
    "report": Command(["report", "-o", "a folder"], "typst", ends=False),
}


class End(NamedTuple):
    """How a command ended, what it printed, and what it left."""

    code: int
    out: bytes
    err: list[str]
    left: dict[str, bytes]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()  # of what is left there, too, we want to know
    rng = np.random.default_rng(0)
    rows = datasets.icons()[0]
    ancestral.TabularAutoregressive().fit(rows).save(tmp_path / "m.model")
    ancestral.TabularAutoregressive(smoothing=1.0).fit(rows).save(tmp_path / "other.model")
    np.save(tmp_path / "rows.npy", rows)
    tree = ancestral.LatentTree(2, 1, n_sweeps=2, random_state=0).fit(rows)
    tree.save(tmp_path / "tree.model")
    lines = [f"{k % 7},{'ab'[k % 2]}" for k in range(60)]
    (tmp_path / "tiny.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    x = np.arange(9.0)[:, None]
    ancestral.LinearGaussian().fit(x, x[:, 0] ** 2).save(tmp_path / "line.model")
    np.save(tmp_path / "x.npy", x)
    sets = {
        name: rng.integers(0, 2, (n, 3)) for name, n in (("train", 40), ("valid", 9), ("test", 9))
    }
    np.savez(tmp_path / "tiny.npz", **sets)
    return tmp_path


def run(place: Path, arguments: list[str], after: float | None) -> End:
    """Run a command and interrupt it after so many seconds; None lets it end by itself."""
    for entry in (place / "a.model", place / "a.npy", place / "a.csv", place / "a.html"):
        entry.unlink(missing_ok=True)
    code = START + f"import sys; sys.argv = ['ancestral', *{arguments!r}]; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=place,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(ancestral.__file__).parents[1]),
            "TMPDIR": str(place / "tmp"),
            "TORCHINDUCTOR_CACHE_DIR": str(place.parent / "torch"),  # torch's own, which it keeps
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # the shells of background jobs ignore the signal, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.read(1) == b"."
        if after is not None:
            time.sleep(after)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    left = {str(path.relative_to(place)): _content(path) for path in sorted(place.rglob("*"))}
    return End(process.returncode, out, err.decode().split("\n"), left)


def _content(path: Path) -> bytes:
    """Return what is in a file; of a model, whose parts stand in any order, what it learnt."""
    if path.suffix == ".model":
        return repr(ancestral.load(path)._fitted_state()).encode()
    return path.read_bytes() if path.is_file() else b""


def test_every_command_is_interrupted() -> None:
    assert {name.partition(",")[0] for name in COMMANDS} - {"help"} == set(NAMES)


@pytest.mark.parametrize("name", COMMANDS)
def test_t13_an_interrupt_at_any_point(
    place: Path, name: str, long: bool, note: Callable[[str, str], None]
) -> None:
    command = COMMANDS[name]
    if command.extra:
        pytest.importorskip(command.extra, reason=f"{command.extra} is an extra")
    before = run(place, ["--version"], None)
    whole: End | None = None
    span = LONGEST
    if command.ends:
        started = time.monotonic()
        whole = run(place, command.arguments, None)
        span = min(LONGEST, BEYOND * (time.monotonic() - started))
        assert whole.code == 0, whole
    points, wrong, ended = (300 if long else 4), [], 0
    for k in range(points):
        # most of them early, where modules are being imported
        end = run(place, command.arguments, span * (k / (points - 1)) ** 1.5)
        ended += end.code == 130
        if command.serves and (end.code, end.err) == (0, [""]):
            continue
        if problem := what_is_wrong(end, before, whole):
            wrong.append((k, problem, end.code, end.err[-4:]))
    figure = f"{len(wrong)} wrong of {points}, {ended} ended by it"
    note(f"Ctrl+C in `ancestral {name}`", figure)
    assert not wrong, wrong
    assert ended


def what_is_wrong(end: End, before: End, whole: End | None) -> str:
    """Return what an interrupted command did that it must not; "" where all is well."""
    said = end.err[:-1] if end.err[-1] == "" else [*end.err, "(no end of line)"]
    if end.code == 130:
        if not said or not said[-1].startswith("interrupted"):
            return "no last line that says so"
        known = set(whole.err) if whole else None
        others = [line for line in said[:-1] if known is None or line not in known]
        if known is not None and others:
            return "more than one line"
        if any("Traceback" in line or not line.strip() for line in others):
            return "a traceback or an empty line"
    elif whole is None and end.code == 0:
        return ""  # it was done: what it prints differs from run to run
    elif whole is None or (end.code, end.out, end.err) != (whole.code, whole.out, whole.err):
        return "neither interrupted nor as if left alone"
    for path, content in end.left.items():
        known_contents = [part.left.get(path) for part in (before, whole) if part]
        if content not in known_contents:
            return f"left {path}"
    if end.code != 130 and whole and end.left != whole.left:
        return "not all that it writes"
    return ""

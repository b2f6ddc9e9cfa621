"""Thousands of broken files of every format: refused by name, or read rightly, soon and small.

The reading is done in a process of its own, under an alarm and a limit of memory: see `fuzz.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = 20_000  # of each format: all together take two minutes
FORMATS = ("npy", "npz", "pkl", "pkl.gz", "csv", "model", "graphml", "png", "parquet")
NETWORKS, FEWER = ("links", "gml", "mtx"), 4_000  # each takes some milliseconds
# Of every model, with other parameters, values, arrays or header, under a right digest.
RESIGNED, MODELS = "re-signed model", 1_080


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    """What became of the files of each format; all in one process."""
    return fuzzed(FILES)


def fuzzed(n: int, *formats: str) -> dict[str, dict[str, Any]]:
    """What became of n files of each of these formats, or of all."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.trust.fuzz", str(n), *formats],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    done = {line["format"]: line for line in lines}
    assert child.returncode == 0, f"died after {list(done)}: {child.stderr[-2000:]}"
    return done


@pytest.mark.parametrize("name", FORMATS)
def test_broken_files_are_refused_or_read_rightly(
    name: str, outcomes: dict[str, dict[str, Any]], note: Callable[[str, str], None]
) -> None:
    if name not in outcomes:
        pytest.skip(f"{name} needs an extra")
    judge(name, outcomes[name], FILES, note)


@pytest.mark.parametrize("name", NETWORKS)
def test_broken_networks_are_refused_or_read_rightly(
    name: str, note: Callable[[str, str], None]
) -> None:
    judge(name, fuzzed(FEWER, name)[name], FEWER, note)


def test_t11_models_that_others_have_altered_and_signed_anew(
    note: Callable[[str, str], None],
) -> None:
    judge(RESIGNED, fuzzed(MODELS, RESIGNED)[RESIGNED], MODELS, note)


def judge(name: str, outcome: dict[str, Any], n: int, note: Callable[[str, str], None]) -> None:
    """Hold the files of a format to what is promised of them all."""
    note(
        f"fuzz {name}: foreign errors, wrong, slow or large",
        f"{len(outcome['bad'])} of {outcome['n']:,} files, in {outcome['seconds']:.0f} s",
    )
    assert outcome["n"] == n
    assert not outcome["bad"], outcome["bad"][:10]
    # Neither a reader that refuses all nor one that takes all would be tested by this.
    assert outcome["refused"] > outcome["read"] > 0

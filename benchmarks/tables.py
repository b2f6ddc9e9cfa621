"""Tables: reading dense ones of probabilities, drawing from them, and numbers with gaps."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ancestral import TabularAutoregressive, datasets, read_tables
from ancestral.io import read_columns
from benchmarks.timing import Row, Timer

PIXELS = 22  # the first so many of each icon: dense tables of 67 MB
DRAWS = 10_000
COURSE = "course/image_cpts.pkl.gz"  # in the folder of real data: 537 MB dense
# Each reader in a process of its own, imports beforehand: CPU seconds of the call, and the most
# memory the whole process ever held, NumPy included.
ALONE = """
import json, pathlib, resource, sys, time
import numpy
{imports}
began = time.process_time()
{call}
seconds = time.process_time() - began
status = pathlib.Path("/proc/self/status")  # elsewhere the peak may be inherited
kib = [line.split()[1] for line in status.open() if "VmHWM" in line] if status.exists() else []
peak = int(kib[0]) * 1024 if kib else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([seconds, peak]))
"""
OURS = ALONE.format(
    imports="from ancestral import read_tables", call="kept = read_tables(sys.argv[1])"
)
PICKLE = ALONE.format(
    imports="import gzip, pickle",
    call="with gzip.open(sys.argv[1]) as file: kept = pickle.load(file)",
)


def rows(timer: Timer) -> Iterator[Row]:
    """The peers do what one would write first: load it all, and loop over images and pixels."""
    pixels, draws = (8, 20) if timer.tiny else (PIXELS, DRAWS)
    icons, _ = datasets.icons()
    model = TabularAutoregressive().fit(icons[:, :pixels])
    dense = model.to_tables()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cpts.pkl.gz"
        with gzip.open(path, "wb", compresslevel=6) as file:
            pickle.dump(dense, file)
        megabytes = sum(table.nbytes for table in dense) / 1e6
        yield timer.race(
            f"read_tables, {pixels} variables, {megabytes:.3g} MB dense",
            lambda: read_tables(path),
            "pickle.load over gzip.open",
            lambda: load(path),
            note="ours runs nothing from the file, and keeps only the rows that can be reached",
        )
        course = Path(os.environ.get("ANCESTRAL_DATA", "../shared/data")) / COURSE
        if course.is_file() and not timer.tiny:
            yield from alone(course, "the course's file, 537 MB dense", repeats=3)
        else:
            yield from alone(path, f"{megabytes:.3g} MB dense", repeats=1 if timer.tiny else 3)
    yield from gaps(timer)
    rng = np.random.default_rng(0)
    yield timer.race(
        f"sample {draws:,} rows of {pixels} variables",
        lambda: model.sample(draws, random_state=rng),
        "a loop over images and pixels",
        lambda: one_by_one(dense, draws, rng),
    )


def gaps(timer: Timer) -> Iterator[Row]:
    """One empty cell must not cost a file its quick way."""
    height = 50 if timer.tiny else 200_000
    values = np.random.default_rng(0).normal(size=(height, 10))
    lines = [",".join(map(repr, row)) for row in values.tolist()]
    head = ",".join(f"c{j}" for j in range(10))
    with tempfile.TemporaryDirectory() as folder:
        clean, hole = Path(folder) / "clean.csv", Path(folder) / "hole.csv"
        clean.write_text("\n".join([head, *lines]) + "\n")
        lines[-1] = "," + lines[-1].split(",", 1)[1]
        hole.write_text("\n".join([head, *lines]) + "\n")
        yield timer.race(
            f"read_columns, {height:,} lines of 10, one cell empty",
            lambda: read_columns(hole, missing=True),
            "the same without the gap",
            lambda: read_columns(clean),
        )


def alone(path: Path, what: str, repeats: int) -> Iterator[Row]:
    """Yield processor time and peak memory of both readers, each in processes of its own."""
    runs = [[measured(script, path) for script in (OURS, PICKLE)] for _ in range(repeats)]
    for k, (quantity, unit) in enumerate((("CPU time", "s"), ("peak memory", "B"))):
        ours, theirs = (statistics.median(run[side][k] for run in runs) for side in (0, 1))
        yield Row(
            f"read_tables, {quantity}, {what}",
            ours,
            "pickle.load over gzip.open",
            theirs,
            note="each in a process of its own" + (", NumPy included" if k else ""),
            unit=unit,
        )


def measured(script: str, path: Path) -> tuple[float, float]:
    """Return CPU seconds and peak memory in bytes of a script run on a file."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def load(path: Path) -> list[np.ndarray]:
    """Unpickle dense tables: only ever of one's own files."""
    with gzip.open(path) as file:
        return pickle.load(file)


def one_by_one(tables: list[np.ndarray], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw images one after another, pixel by pixel."""
    images = np.empty((draws, len(tables)), np.int64)
    for image in images:
        for i, table in enumerate(tables):
            image[i] = rng.random() < table[tuple(image[:i])][1]
    return images

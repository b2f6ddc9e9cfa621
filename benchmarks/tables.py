"""Conditional probability tables: reading a dense pickle, and drawing ten thousand images."""

from __future__ import annotations

import gzip
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ancestral import TabularAutoregressive, datasets, read_tables
from benchmarks.timing import Row, Timer

PIXELS = 22  # the first so many of each icon: dense tables of 67 MB
DRAWS = 10_000


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
    rng = np.random.default_rng(0)
    yield timer.race(
        f"sample {draws:,} rows of {pixels} variables",
        lambda: model.sample(draws, random_state=rng),
        "a loop over images and pixels",
        lambda: one_by_one(dense, draws, rng),
    )


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

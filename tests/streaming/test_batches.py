"""Networks from files and chunks: the same however they come."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ancestral import LSTMAutoregressive, NeuralGaussian
from ancestral.autoregressive import lstm
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.gaussian import neural
from ancestral.streaming import fit_chunks

pytest.importorskip("torch", reason='needs PyTorch: pip install "ancestral[neural]"')

X = np.random.default_rng(0).normal(size=(500, 3))
Y = np.sin(X[:, 0]) + np.random.default_rng(1).normal(size=500)


def network() -> NeuralGaussian:
    return NeuralGaussian(4, max_steps=20, batch_size=20, random_state=0)


def fitted(model: Any, source: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return fit_chunks(model, source, **options)


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.weights_.values(), other.weights_.values(), strict=True)
    return one.history_ == other.history_ and all(np.array_equal(a, b) for a, b in pairs)


def test_files_lists_and_callables_give_the_same_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neural, "GATHERED", 0)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    files = tmp_path / "X.npy", tmp_path / "y.npy"
    chunks = [(X[i : i + 70], Y[i : i + 70]) for i in range(0, 500, 70)]
    empty = (X[:0], Y[:0])
    one = fitted(network(), files, rows=70)
    assert same(fitted(network(), chunks), one)
    held = np.empty((70, 3)), np.empty(70)

    def anew() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield empty
        for rows, targets in chunks:  # each over the one before
            n = len(rows)
            held[0][:n], held[1][:n] = rows, targets
            yield held[0][:n], held[1][:n]

    in_their_order = fitted(network(), anew)
    again = fitted(network(), anew, checkpoint=tmp_path / "run", checkpoint_every=6)
    assert {path.name for path in (tmp_path / "run").glob("step*")} == {
        "step-000000012",
        "step-000000018",
    }
    with pytest.raises(ModelError, match="checkpoint_every must be"):
        fitted(network(), anew, checkpoint=tmp_path / "run", checkpoint_every=0)
    assert same(again, in_their_order)
    with pytest.raises(DataError, match="looks at its data several times"):
        fitted(network(), iter(chunks))


@pytest.mark.parametrize("most", [0, 64 << 20])
def test_a_column_of_frames_says_how_often_rows_count(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lstm, "GATHERED", most)
    rows = np.random.default_rng(2).integers(0, 3, (300, 4))
    table = pd.DataFrame(rows, columns=list("abcd")).astype(str)
    times = table.assign(n=np.arange(300) % 3)

    def made() -> LSTMAutoregressive:
        return LSTMAutoregressive(4, 1, max_steps=8, batch_size=20, random_state=0)

    model = fitted(made(), [times[:120], times[120:]], weight="n")
    tuples = [(table[:120], None, times["n"][:120]), (table[120:], None, times["n"][120:])]
    assert same(fitted(made(), tuples), model)
    assert list(model.sample(2, random_state=0).columns) == list("abcd")
    if most:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AncestralWarning)
            assert same(made().fit(table, frequencies=times["n"]), model)

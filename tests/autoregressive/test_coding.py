"""Compressed rows come back exactly, from as many bits as the density says."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ancestral import TabularAutoregressive, datasets
from ancestral.autoregressive import coding
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import DataError, FormatError, MissingExtraError
from tests.zoo import LEVELS, ZOO, Entry

pytest.importorskip("constriction", reason="constriction is an extra")
STEPPED = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), Sequential)], ids=lambda e: e.name
)


@STEPPED
def test_rows_come_back_from_the_bits_reported(entry: Entry) -> None:
    model = entry.fit()
    X = model.sample(3000, random_state=0)
    data = model.compress(X)
    bits = -model.log_density(X).sum() / np.log(2)
    assert abs(len(data) - bits / 8) < 0.01 * bits / 8 + 64
    back = model.decompress(data)
    np.testing.assert_array_equal(back, X)
    assert back.dtype == X.dtype


def test_blocks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TabularAutoregressive(smoothing=0.5).fit(LEVELS)
    whole = model.compress(LEVELS)
    monkeypatch.setattr(coding, "BLOCK", 7)
    np.testing.assert_array_equal(model.decompress(model.compress(LEVELS)), LEVELS)
    assert abs(len(model.compress(LEVELS)) - len(whole)) <= 4


def test_what_is_certain_costs_nothing() -> None:
    model = TabularAutoregressive().fit(np.tile([[0, 1, 1]], (5, 1)))
    X = np.tile([[0, 1, 1]], (100_000, 1))
    data = model.compress(X)
    assert len(data) < 64
    np.testing.assert_array_equal(model.decompress(data), X)


def test_icons_take_the_bits_of_their_entropy() -> None:
    icons = datasets.icons()[0].reshape(-1, 25)
    model = TabularAutoregressive().fit(icons)
    X = icons[np.random.default_rng(0).integers(len(icons), size=8000)]
    bits = 8000 * np.log2(len(icons))
    assert bits / 8 - 8 < len(model.compress(X)) < 1.01 * bits / 8 + 64


def test_an_impossible_row_is_named() -> None:
    model = TabularAutoregressive().fit([[0, 0], [1, 1]])
    with pytest.raises(DataError, match="row 1 has probability 0"):
        model.compress([[0, 0], [0, 1]])
    with pytest.raises(DataError, match=r"NaN|level not seen"):
        model.compress([[0, np.nan]])


def test_damage_and_other_models_are_told_apart() -> None:
    model = TabularAutoregressive(smoothing=0.5).fit(LEVELS)
    data = model.compress(LEVELS)
    for other, message in [
        (b"", "not made by compress"),
        (b"PK" + data[2:], "not made by compress"),
        (data[:-4], "damaged"),
        (data[:-1], "damaged"),
        (data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (data[:8] + bytes([data[8] ^ 1]) + data[9:], "decode|are no code"),
    ]:
        with pytest.raises(FormatError, match=message):
            model.decompress(other)
    with pytest.raises(FormatError, match="another model"):
        TabularAutoregressive(smoothing=5.0).fit(LEVELS).decompress(data)
    with pytest.raises(FormatError, match="have 3 variables, this model has 2"):
        TabularAutoregressive().fit(LEVELS[:, :2]).decompress(data)


def test_without_constriction_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(MissingExtraError, match=r'"ancestral\[coding\]"'):
        TabularAutoregressive().fit(LEVELS).compress(LEVELS)

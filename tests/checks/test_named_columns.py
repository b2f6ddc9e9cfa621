"""Messages about the values of a table with names say the column by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, LinearGaussian, PPCAMixture
from ancestral.errors import DataError, UndeterminedError
from ancestral.streaming import fit_chunks

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["age", "size", "weight"])
Y = ROWS["age"].to_numpy() + RNG.normal(size=60)
MODELS = [PPCA(1), PPCA("cv"), PPCA(1, standardize=True), PPCAMixture(2, 1), LinearGaussian()]


def fitted(model: Any, rows: Any, door: str) -> None:
    y = [Y[:30], Y[30:]]
    if door == "fit":
        model.fit(rows, *([Y] if isinstance(model, LinearGaussian) else []))
    elif isinstance(model, LinearGaussian):
        fit_chunks(model, list(zip([rows[:30], rows[30:]], y)))
    else:
        fit_chunks(model, [rows[:30], rows[30:]])


@pytest.mark.parametrize("door", ["fit", "chunks"])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_infinity_and_columns_of_gaps_are_named(model: Any, door: str) -> None:
    odd = ROWS.copy()
    odd.loc[40, "size"] = np.inf
    with pytest.raises(DataError, match=r"X holds inf at row \d+.*, column 'size'"):
        fitted(model, odd, door)
    odd["size"] = np.nan
    with pytest.raises(DataError, match=r"column 'size'(;| holds no known value)"):
        fitted(model, odd, door)


@pytest.mark.parametrize("model", [PPCA(1), PPCAMixture(2, 1)], ids=str)
def test_a_fitted_model_names_columns(model: Any) -> None:
    model.fit(ROWS)
    odd = ROWS.copy()
    odd.loc[7, "size"] = -np.inf
    for ask in ("log_density", "impute", "transform", "responsibilities"):
        if not hasattr(model, ask):
            continue
        with pytest.raises(DataError, match="X holds -inf at row 7, column 'size'"):
            getattr(model, ask)(odd)


def test_constant_columns_are_named() -> None:
    with pytest.raises(UndeterminedError, match=r"column 'weight' is 3"):
        PPCA(1).fit(ROWS * 0 + [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=r"column 1 holds no known value"):
        PPCA(1).fit(np.where([False, True, False], np.nan, ROWS.to_numpy()))

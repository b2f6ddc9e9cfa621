"""Columns, rows and targets at the ends of what float64 holds.

Right numbers or one error: no NaN where a number is asked for, and no word of numpy's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import AncestralError, HeteroscedasticGaussian, LinearGaussian
from ancestral.base import ConditionalDensity, Density
from tests.trust.test_numeric_grid import asks_of, gapped, parts
from tests.zoo import ZOO, Entry

CONTINUOUS = [e for e in ZOO if isinstance(e.make(), Density) and e.space is None]
LINES = [e for e in ZOO if isinstance(e.make(), ConditionalDensity)]
EVERY = pytest.mark.parametrize("entry", CONTINUOUS + LINES, ids=lambda e: e.name)
SIZES = [1e-323, 1e-310, 1e-307, 1e-300, 1e-160, 1e160, 1e300, 1e306]
# Not a number where nothing is identified, and infinite where that is the rounded answer.
MAY_BE_NAN = {
    "fit",
    "partial_fit",
    "confidence_interval",
    "prediction_interval",
    "coefficient_intervals",
    "variance_intervals",
    "robust_standard_errors",
}
MAY_BE_INFINITE = {
    *MAY_BE_NAN,
    "predict",
    "log_density",
    "score",
    "score_samples",
    "mahalanobis",
    "surprise",
    "aic",
    "bic",
    "every_d",
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::ancestral.errors.AncestralWarning"),
    pytest.mark.filterwarnings("error::RuntimeWarning"),
]


def check(entry: Entry, fitted_to: tuple[Any, ...], asked: tuple[Any, ...]) -> None:
    """Ask everything of a model; each answer is a number or one error of this package."""
    try:
        model = entry.make().fit(*fitted_to)
    except AncestralError:
        return
    for name, ask in asks_of(model).items():
        try:
            found = list(parts(ask(model, lambda values: values, *asked)))
        except AncestralError:
            continue
        if name == "surprise":  # of each known cell
            (odd,), unknown = found, np.isnan(gapped(asked[0]))
            assert np.isnan(odd[unknown]).all()
            found = [odd[~unknown]]
        for values in found:
            if np.asarray(values).dtype.kind == "f":
                assert name in MAY_BE_NAN or not np.isnan(values).any(), name
                assert name in MAY_BE_INFINITE or np.isfinite(values).all(), name


def scaled(entry: Entry, size: float, columns: int | None = None) -> tuple[Any, ...]:
    X = entry.data[0].copy()
    with np.errstate(over="ignore"):  # no value is 100 times its unit
        X[:, :columns] *= size
    return X, *entry.data[1:]


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_columns_at_the_ends_of_float64(entry: Entry, size: float) -> None:
    for columns in (None, 1):
        data = scaled(entry, size, columns)
        check(entry, data, data)


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_rows_far_from_those_of_the_fit(entry: Entry, size: float) -> None:
    check(entry, entry.data, scaled(entry, size))


@pytest.mark.parametrize("entry", LINES, ids=lambda e: e.name)
@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_targets_at_the_ends_of_float64(entry: Entry, size: float) -> None:
    X, y = entry.data
    check(entry, (X, y * size), (X, y * size))
    check(entry, (X / size, y), (X, y))
    weights = 1.0 + np.arange(len(y)) % 3
    check(entry, (X * size, y, weights), (X * size, y))


@pytest.mark.parametrize("make", [LinearGaussian, HeteroscedasticGaussian])
def test_rows_in_other_units_than_the_fit_have_a_density_of_zero(make: Any) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=100)
    model = make().fit(X * 1e-300, y)
    np.testing.assert_allclose(
        model.log_density(X * 1e-300, y), make().fit(X, y).log_density(X, y), rtol=1e-9
    )
    assert (model.log_density(X, y) < -1e200).all()
    assert model.score(X, y) == -np.inf
    with pytest.raises(AncestralError, match=r"row 0 lies so far from .* hold its mean"):
        model.log_density(X * 1e160, y)
    weights = rng.uniform(0.2, 4.0, size=100)
    found = make().fit(X * 1e300, y, weights).log_density(X * 1e300, y, weights)
    wanted = make().fit(X, y, weights).log_density(X, y, weights)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_a_column_that_has_no_coefficient_in_float64_is_named() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(2, 30, 2))
    with pytest.raises(AncestralError, match=r"column 0 .* its coefficient overflows float64"):
        LinearGaussian().fit(X * [1e-310, 1.0], y[:, 0])
    with pytest.raises(AncestralError, match=r"column 1 .* its length overflows float64"):
        LinearGaussian().fit((X + 5) * [1.0, 1e307], y[:, 0])

"""Rows B21 to B29 of the catalogue of bad input: inputs and targets of the regressions."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ancestral
from ancestral import HeteroscedasticGaussian, LinearGaussian, NeuralGaussian
from ancestral.errors import AncestralWarning, DataError, DataTypeError, ModelError
from tests.gaussian import exact
from tests.trust.guard import accepted, refused, warned
from tests.zoo import ZOO

Note = Callable[[str, str], None]
EVERY = pytest.mark.parametrize(
    "entry", [entry for entry in ZOO if len(entry.data) == 2], ids=lambda e: e.name
)


def pairs(n: int = 60, p: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Columns of differing size and mean, and a noisy target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-1, 2, size=p) + rng.normal(size=p)
    return X, X @ rng.normal(size=p) + 3 + 0.8 * rng.normal(size=n)


# ---- targets that are none -----------------------------------------------------------------------

TEXTS = [
    (["24.0"] * 60, r"y holds text \('24.0' at row 0\)"),
    (["1"] * 59 + ["high"], r"y holds 'high' at row 59"),
    (np.array([1.0] * 5 + ["24.0"] + [2.0] * 54, dtype=object), r"y holds text \('24.0' at row 5"),
    (np.array([1, 2, None, "x"] * 15, dtype=object), r"y holds text \('x' at row 3"),
    ([1j] * 60, "y holds complex128 values"),
]


@EVERY
@pytest.mark.parametrize(("y", "says"), TEXTS)
def test_b21_text_targets(entry: Any, y: Any, says: str) -> None:
    X, good = entry.data[0][:60], entry.data[1][:60]
    mend = "real numbers are wanted: convert or encode it"
    refused(lambda: entry.make().fit(X, y), says, mend, kind=DataTypeError)
    model = entry.make().fit(X, good)
    refused(lambda: model.log_density(X, y), says, mend, kind=DataTypeError)


def test_b21_text_in_dataframes() -> None:
    pd = pytest.importorskip("pandas")
    X, y = pairs()
    text = pd.Series([f"{v:.3f}" for v in y])
    for series in (text, text.astype("category"), text.astype(object)):
        refused(lambda s=series: LinearGaussian().fit(X, s), r"y holds text \('\S+' at row 0\)")
    frame = pd.DataFrame(X, columns=list("abc"))
    frame["b"] = [f"{v:.3f}" for v in frame["b"]]
    says = r"column 'b' holds .*'\S+'.* at row 0", "encode"
    for column in (frame["b"], frame["b"].astype(object)):
        refused(lambda c=column: LinearGaussian().fit(frame.assign(b=c), y), *says)
    mixed = frame["a"].astype(object)
    mixed[7] = "1.5"
    says = r"column 'a' holds text \('1.5' at row 7\)"
    refused(lambda: LinearGaussian().fit(frame[["a"]].assign(a=mixed), y), says)
    objects = X.astype(object)
    objects[4, 1] = "1.5"
    refused(lambda: LinearGaussian().fit(objects, y), r"X holds text \('1.5' at row 4, column 1\)")


# ---- exact and underdetermined fits --------------------------------------------------------------


@pytest.mark.parametrize(("fit_intercept", "n"), [(True, 20), (False, 20), (True, 4), (False, 3)])
def test_b22_a_perfect_fit(fit_intercept: bool, n: int, tmp_path: Path) -> None:
    """With rows to spare, or with as many coefficients as rows."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    y = X @ [1.0, -2.0, 0.5] + (3.0 if fit_intercept else 0.0)
    model = warned(lambda: LinearGaussian(fit_intercept).fit(X, y), r"exact \(zero residual\)")
    np.testing.assert_allclose(model.coef_, [1.0, -2.0, 0.5], rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-9)
    spare = n > 3 + fit_intercept  # without rows to spare there are no standard errors
    wanted = np.full(3 + fit_intercept, 0.0 if spare else np.nan)
    np.testing.assert_array_equal(model.standard_errors_, wanted)
    np.testing.assert_array_equal(model.residual_std_, 0.0 if spare else np.nan)
    assert model.noise_variance_ == 0.0
    assert model.log_likelihood_ == np.inf
    assert model.score(X, y) == pytest.approx(1.0)
    again = ancestral.load(model.save(tmp_path / "line"))
    for line in (model, again):
        for ask in (line.log_density, line.aic, line.bic, lambda X, _, line=line: line.sample(X)):
            says = r"sigma\^2 = 0 .*unbounded. Use predict"
            refused(lambda ask=ask: ask(X, y), says, kind=ModelError)


def test_b22_a_perfect_fit_of_a_variance_that_depends_on_x(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(30, 2))
    y = X @ [1.5, -0.5] + 2
    model = warned(lambda: HeteroscedasticGaussian().fit(X, y), r"exact \(zero residual\)")
    np.testing.assert_allclose(model.coef_, [1.5, -0.5], rtol=1e-12)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-12)
    assert model.standard_errors_.tolist() == [0, 0, 0]
    for line in (model, ancestral.load(model.save(tmp_path / "line"))):
        for ask in (line.log_density, line.aic, line.bic, lambda X, _, line=line: line.sample(X)):
            refused(lambda ask=ask: ask(X, y), "unbounded", kind=ModelError)


@pytest.mark.parametrize(("n", "p"), [(3, 5), (4, 4), (2, 2), (10, 25)])
def test_b23_fewer_rows_than_coefficients(n: int, p: int) -> None:
    """One warning and the solution of least norm; its likelihood is refused."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    words = rf"{n} rows cannot determine {p + 1} coefficients", "least norm", "Drop columns or add"
    model = warned(lambda: LinearGaussian().fit(X, y), *words, "The fit is exact")
    wanted = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
    np.testing.assert_allclose(model.coef_, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-12)
    assert np.isnan(model.standard_errors_).all() and model.rank_ == n - 1
    for ask in (model.log_density, model.aic, model.bic):
        refused(lambda ask=ask: ask(X, y), "unbounded. Use predict", kind=ModelError)
    says = rf"n_samples = {n} is too few: at least {p + 1} rows.*Drop columns or add rows"
    refused(lambda: HeteroscedasticGaussian().fit(X, y), says, kind=ModelError)


def test_b23_a_single_row() -> None:
    for make in (LinearGaussian, HeteroscedasticGaussian, NeuralGaussian):
        says = "n_samples = 1 is too few"
        refused(lambda make=make: make().fit([[1.0]], [2.0]), says, kind=ModelError)


# ---- collinear columns ---------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_b24_columns_that_repeat_others(fit_intercept: bool) -> None:
    X, y = pairs()
    plain = LinearGaussian(fit_intercept).fit(X, y)
    twice = np.column_stack([X, -2 * X[:, 1], X[:, 0] + X[:, 2]])
    model = warned(lambda: LinearGaussian(fit_intercept).fit(twice, y), "column 3, column 4")
    A = np.column_stack([np.ones((60, int(fit_intercept))), twice])
    wanted = A @ np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(twice), wanted, rtol=1e-9)
    density = stats.norm(wanted, np.sqrt(np.mean((y - wanted) ** 2))).logpdf(y)
    np.testing.assert_allclose(model.log_density(twice, y), density, rtol=1e-7, atol=1e-9)
    assert model.log_likelihood_ == pytest.approx(density.sum(), rel=1e-10)
    assert (model.rank_, model.n_parameters_) == (3, plain.n_parameters_)
    assert model.residual_std_ == pytest.approx(plain.residual_std_, rel=1e-10)
    np.testing.assert_array_equal(model.coef_[3:], [0, 0])
    np.testing.assert_array_equal(np.isnan(model.standard_errors_[-2:]), [True, True])
    np.testing.assert_allclose(model.standard_errors_[:-2], plain.standard_errors_, rtol=1e-8)


def test_b24_as_in_the_energy_data() -> None:
    """A building's surface is its wall and twice its roof: rank 8 with the constant, of 9."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    wall, roof = rng.integers(5, 9, size=(2, 200)) * 49.0
    frame = pd.DataFrame(rng.normal(size=(200, 5)), columns=[f"x{j}" for j in range(5)])
    frame = frame.assign(wall=wall, roof=roof, surface=wall + 2 * roof)
    y = frame.sum(axis=1).to_numpy() + rng.normal(size=200)
    model = warned(lambda: LinearGaussian().fit(frame, y), r"collinear .*: 'surface'\.")
    wanted = LinearGaussian().fit(frame.drop(columns="surface"), y)
    np.testing.assert_allclose(model.predict(frame), wanted.predict(frame.iloc[:, :7]), rtol=1e-9)
    assert model.rank_ == 7 and model.log_likelihood_ == pytest.approx(wanted.log_likelihood_)


def test_b24_where_the_variance_depends_on_x() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = X @ [1.0, 2.0] + np.exp(0.3 * X[:, 0]) * rng.normal(size=200)
    plain = HeteroscedasticGaussian().fit(X, y)
    twice = np.column_stack([X, X[:, 0] - 3 * X[:, 1]])
    model = warned(lambda: HeteroscedasticGaussian().fit(twice, y), "collinear .*: column 2")
    np.testing.assert_allclose(model.log_density(twice, y), plain.log_density(X, y), atol=1e-7)
    assert model.n_parameters_ == plain.n_parameters_ == 6
    assert np.isnan(model.standard_errors_[3]) and np.isnan(model.variance_standard_errors_[3])


# ---- digits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1e4, 1e8, 1e12])
def test_b25_offsets_cost_no_digits(offset: float, note: Note) -> None:
    """Against rational arithmetic on the very values that float64 holds."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) + offset
    y = (X - offset) @ [1.0, -2.0, 0.5] + rng.normal(size=40)
    model = accepted(lambda: LinearGaussian().fit(X, y))
    coefficients, residual, _ = exact.least_squares(exact.design(X), y)
    digits = exact.digits(np.r_[model.intercept_, model.coef_], coefficients)
    assert digits >= 14.5
    assert exact.digits(model.noise_variance_, residual / 40) >= 13.5
    note(f"linear coefficients at an offset of {offset:g}: right digits", f"{digits:.1f}")


SETS = [
    *("Filip", "Longley", "NoInt1", "NoInt2", "Norris", "Pontius"),
    *(f"Wampler{i}" for i in range(1, 6)),
]


def log_relative_error(values: np.ndarray | float, certified: list[str]) -> float:
    """Return the fewest right digits of values against the certified decimals."""
    return exact.digits(values, [Fraction(text) for text in certified])


@pytest.mark.parametrize("name", SETS)
def test_b26_nists_certified_values(name: str, data: Path, note: Note) -> None:
    """Thirteen digits of every coefficient and of the residual's, seven of every error."""
    certified = json.loads((data / "strd" / f"{name}.json").read_text("utf-8"))
    y = np.array(certified["y"], dtype=float)
    X = np.array(certified["X"], dtype=float).reshape(len(y), -1)
    model = LinearGaussian(certified["intercept"], certified["degree"] or 1)
    is_exact = certified["residual_sd"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if is_exact else "error", AncestralWarning)
        model.fit(X, y)
    first = [model.intercept_] if certified["intercept"] else []
    digits = log_relative_error(np.r_[first, model.coef_], certified["coef"])
    assert digits >= 13
    note(f"NIST {name}: right digits of the coefficients", f"{digits:.1f}")
    if is_exact:
        scale = np.abs(np.array(certified["coef"], dtype=float))
        assert (model.standard_errors_ <= 1e-9 * scale).all()
        assert model.residual_std_ <= 1e-9 * np.abs(y).max()
        refused(lambda: model.log_density(X, y), r"sigma\^2 = 0", kind=ModelError)
        return
    assert log_relative_error(model.residual_std_, [str(certified["residual_sd"])]) >= 13
    assert log_relative_error(model.standard_errors_, certified["std_err"]) >= 7
    if certified["intercept"]:  # R^2 is about zero without one, as NIST's
        assert model.r_squared_ == pytest.approx(certified["r_squared"], rel=1e-12)
    assert model.noise_variance_ == pytest.approx(
        model.residual_std_**2 * model.degrees_of_freedom_ / len(y), rel=1e-12
    )


# ---- shapes, constant targets, weights -----------------------------------------------------------


@EVERY
def test_b27_shapes_that_do_not_fit(entry: Any) -> None:
    X, y = entry.data
    n = len(X)
    model = entry.fit()
    cases = [
        (X, y[: n - 1], f"X has {n} rows, y has {n - 1}: give one target per row"),
        (X[: n - 1], y, f"X has {n - 1} rows, y has {n}"),
        (X, y[:, None, None], rf"y must be .*\({n},\).*; got shape \({n}, 1, 1\)"),
        (X, 3.0, rf"y must be .*\({n},\).*; got shape \(\)"),
        (X, None, "y"),
        (X[:, 0], y, rf"1D array instead: shape \({n},\).*X.reshape\(-1, 1\)"),
        (X[:, :, None], y, rf"shape \({n}, {X.shape[1]}, 1\).*X.reshape\({n}, {X.shape[1]}\)"),
    ]
    for inputs, targets, says in cases:
        refused(lambda a=inputs, b=targets: entry.make().fit(a, b), says, kind=DataError)
        if targets is not None:
            refused(lambda a=inputs, b=targets: model.log_density(a, b), says, kind=DataError)


@EVERY
def test_b27_targets_of_two_columns(entry: Any) -> None:
    """Fitted where the model has several targets, each as if alone; refused elsewhere."""
    X, y = entry.data
    two = np.column_stack([y, y**2])
    if isinstance(entry.make(), LinearGaussian):
        model = accepted(lambda: entry.make().fit(X, two))
        for k in range(2):
            alone = entry.make().fit(X, two[:, k])
            np.testing.assert_allclose(model.coef_[k], alone.coef_, rtol=1e-9)
            assert model.noise_variance_[k] == pytest.approx(alone.noise_variance_, rel=1e-10)
        return
    says = rf"y must be one column of shape \({len(X)},\).*got shape \({len(X)}, 2\)"
    refused(lambda: entry.make().fit(X, two), says, kind=DataError)


@EVERY
@pytest.mark.parametrize("value", [0.0, 24.0, 0.1, -1e8 - 0.3])
def test_b28_a_constant_target(entry: Any, value: float) -> None:
    """Without an intercept only zero is no scatter: a line through the origin misses the rest."""
    (X, y), y_constant = entry.data, np.full(len(entry.data[0]), value)
    if value and not getattr(entry.make(), "fit_intercept", True):
        assert accepted(lambda: entry.make().fit(X, y_constant)).noise_variance_ > 0
        return
    shown = re.escape(f"({value:g})")
    says = f"y is constant {shown}", "0.* unbounded", "Give targets that vary"
    refused(lambda: entry.make().fit(X, y_constant), *says, kind=ModelError)
    if isinstance(entry.make(), LinearGaussian):
        both = np.column_stack([y, y_constant])
        refused(lambda: entry.make().fit(X, both), f"column 1 of {says[0]}", *says[1:])


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("span", [3, 6, 12])
def test_b29_weights_of_any_span(span: int, fit_intercept: bool, note: Note) -> None:
    """Weights from 10^-span to 10^span, in any order, against rational arithmetic."""
    rng = np.random.default_rng(span)
    X = rng.normal(size=(24, 3)) + 5
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=24)
    weights = 10.0 ** rng.uniform(-span, span, size=24)
    model = accepted(lambda: LinearGaussian(fit_intercept).fit(X, y, sample_weight=weights))
    A = exact.design(X, intercept=fit_intercept)
    coefficients, residual, variances = exact.least_squares(A, y, weights)
    found = np.r_[model.intercept_, model.coef_] if fit_intercept else model.coef_
    digits = exact.digits(found, coefficients)
    assert digits >= 14
    assert exact.digits(model.noise_variance_, residual / 24) >= 13  # of a row of weight 1
    squared = [v * residual / (24 - len(coefficients)) for v in variances]
    assert exact.digits(model.standard_errors_**2, squared) >= 6
    note(f"linear fit, weights 1e-{span} to 1e{span}: right digits", f"{digits:.1f}")


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_b29_columns_of_any_scale(size: float) -> None:
    """Columns from 1e-12 to 1e12 in size cost no digits either."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) * [size, 1.0, 1 / size]
    y = X @ [1 / size, 2.0, size] + rng.normal(size=30)
    model = accepted(lambda: LinearGaussian().fit(X, y))
    coefficients, _, _ = exact.least_squares(exact.design(X), y)
    assert exact.digits(np.r_[model.intercept_, model.coef_], coefficients) >= 14

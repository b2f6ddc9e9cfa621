"""Regression with a variance that depends on x, from parts: the fit of all rows at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import HeteroscedasticGaussian, LinearGaussian
from ancestral.errors import AncestralWarning, ModelError, UndeterminedError
from ancestral.gaussian.slopes import Rows, Weights, exact_root
from ancestral.streaming import fit_chunks
from ancestral.training.parts import Held, Part, Parts, added

FITTED = (
    "intercept_", "coef_", "variance_intercept_", "variance_coef_", "standard_errors_",
    "variance_standard_errors_", "log_likelihood_", "history_", "n_samples_", "n_parameters_",
    "rank_", "column_means_", "feature_means_",
)  # fmt: skip


class Anew(Parts[Any]):
    """Parts that are made anew at each look, which travels as bytes."""

    def __init__(self, parts: list[Part], makes: tuple[Callable[[Any], Any], ...] = ()) -> None:
        self.parts, self.makes = parts, makes

    def total(self, look: Callable[[Any], Any]) -> Any:
        sent = pickle.dumps((look, self.makes))
        assert len(sent) < 50_000  # no rows among it
        look, self.makes = pickle.loads(sent)
        return added(map(look, self))

    def __iter__(self) -> Iterator[Any]:
        return self.in_order(range(len(self.parts)))

    def in_order(self, numbers: Sequence[int]) -> Iterator[Any]:
        for number in numbers:
            yield reduce(lambda part, make: make(part), self.makes, self.parts[number])

    def prepared(self, make: Callable[[Any], Any]) -> Anew:
        return Anew(self.parts, (*self.makes, make))

    @property
    def identity(self) -> str:
        return ""


def cut(n: int, n_parts: int) -> list[slice]:
    """Return uneven slices of n rows: the first is the shortest."""
    edges = [0, *(n * np.arange(1, n_parts + 1) ** 2 // n_parts**2).tolist()]
    return [slice(a, b) for a, b in pairwise(edges)]


def from_parts(
    model: Any, data: tuple[np.ndarray, ...], slices: list[slice], kind: Any = Held
) -> Any:
    """Fit to slices of the rows, each checked by itself."""

    def parts_of(new: Any) -> Parts[Part]:
        return kind(
            [
                Part(new._check_part(*(part[s] for part in data), reset=not i), new, i, s.start)
                for i, s in enumerate(slices)
            ]
        )

    return model._fit_from(parts_of)


def data(n: int, d: int = 3, *, weighted: bool = False, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(1.0, 1e3, d) + 5.0
    Z = (X - 5.0) / np.geomspace(1.0, 1e3, d)
    y = X @ np.ones(d) + 2.0 + np.exp(0.4 * Z[:, 0] - 0.3 * Z[:, -1]) * rng.normal(size=n)
    return (X, y, np.exp(3 * rng.normal(size=n))) if weighted else (X, y)


def assert_alike(found: Any, wanted: Any, rtol: float = 1e-8) -> None:
    for name in FITTED:
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name), rtol=rtol, err_msg=name
        )
    covariances = [model.inverse_root_ @ model.inverse_root_.T for model in (found, wanted)]
    scale = np.sqrt(np.diag(covariances[1]))
    scale[scale == 0] = 1.0
    np.testing.assert_allclose(*(C / np.outer(scale, scale) for C in covariances), atol=rtol)


@pytest.mark.parametrize("n", [60, 300, 20_000])  # of Newton's steps, and of those of BFGS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_parts_give_the_fit_of_all_rows(n: int, weighted: bool, fit_intercept: bool) -> None:
    given = data(n, weighted=weighted)
    whole = HeteroscedasticGaussian(fit_intercept).fit(*given)
    for n_parts in (1, 2, 7):
        for kind in (Held, Anew):
            found = from_parts(HeteroscedasticGaussian(fit_intercept), given, cut(n, n_parts), kind)
            assert_alike(found, whole)
            assert found.n_iter_ == whole.n_iter_


def test_parts_may_have_fewer_rows_than_there_are_columns() -> None:
    given = data(150, 6)
    whole = HeteroscedasticGaussian().fit(*given)
    slices = [slice(i, i + 3) for i in range(0, 150, 3)]
    assert_alike(from_parts(HeteroscedasticGaussian(), given, slices, Anew), whole)


def test_precisions_that_are_far_apart_keep_their_digits_over_parts() -> None:
    """Rows in order of their variance, which spans e^40: parts are unlike each other."""
    rng = np.random.default_rng(0)
    n = 2000
    Q = np.linalg.qr(rng.normal(size=(n, 5)))[0]
    S = np.column_stack([np.ones(n), np.sort(rng.uniform(-0.5, 0.5, n))])
    y = rng.normal(size=n)
    for apart in (4.0, 20.0, 40.0):
        at = Weights(np.zeros(5), np.array([1.0, apart]))
        parts = Held([Rows(Q[s], S[s], y[s]) for s in cut(n, 7)])
        found = exact_root(parts, at, added(rows.slopes(at) for rows in parts))
        wanted = np.linalg.qr(Q * np.exp(-0.5 * (S @ at.gamma))[:, None], mode="r")
        wanted *= np.sign(np.diag(wanted))[:, None]
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


def test_dependent_columns_are_told_once_and_left_out() -> None:
    X, y = data(500)
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
    with pytest.warns(AncestralWarning, match="collinear"):
        whole = HeteroscedasticGaussian().fit(X, y)
    with pytest.warns(AncestralWarning, match="collinear") as said:
        found = from_parts(HeteroscedasticGaussian(), (X, y), cut(500, 7), Anew)
    assert len(said) == 1
    assert_alike(found, whole)


# ---- no density, and no fit ----------------------------------------------------------------------


def test_a_row_that_is_fitted_exactly_is_named_among_all_rows() -> None:
    X, y = data(40)
    X = np.column_stack([X, np.arange(40) == 31])
    with pytest.warns(AncestralWarning, match="the variance at row 31 goes to 0"):
        found = from_parts(HeteroscedasticGaussian(), (X, y), cut(40, 3), Anew)
    assert found.log_likelihood_ == np.inf
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X, y).coef_, rtol=1e-9)


def test_a_row_is_named_in_its_part_where_no_more_is_known() -> None:
    X, y = data(40)
    X = np.column_stack([X, np.arange(40) == 31])
    model = HeteroscedasticGaussian()
    parts = [Part((X[:20], y[:20]), model, 0), Part((X[20:], y[20:]), model, 1, None)]
    with pytest.warns(AncestralWarning, match="the variance at row 11 of part 1 goes to 0"):
        model._fit_from(lambda new: Held(parts))


def test_parts_are_refused_as_all_rows_are() -> None:
    X, y = data(40)
    with pytest.raises(UndeterminedError, match="y is constant"):
        from_parts(HeteroscedasticGaussian(), (X, 0 * y + 3), cut(40, 3))
    with pytest.raises(ModelError, match="n_samples = 3 is too few"):
        from_parts(HeteroscedasticGaussian(), (X[:3], y[:3]), [slice(0, 1), slice(1, 3)])
    with pytest.warns(AncestralWarning, match="the fit is exact"):
        from_parts(HeteroscedasticGaussian(), (X, X.sum(axis=1)), cut(40, 3), Anew)


# ---- from files ----------------------------------------------------------------------------------


def test_files_give_the_fit_of_all_rows(tmp_path: Path) -> None:
    given = data(20_000, weighted=True)
    paths = tuple(str(tmp_path / f"{name}.npy") for name in ("X", "y", "w"))
    for path, values in zip(paths, given):
        np.save(path, values)
    whole = HeteroscedasticGaussian().fit(*given)
    assert_alike(fit_chunks(HeteroscedasticGaussian(), paths, rows=3000), whole)


class Killed(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("n", [300, 20_000])
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(n: int, tmp_path: Path) -> None:
    given, looks = data(n), [0]

    def chunks(most: int) -> Iterator[tuple[np.ndarray, ...]]:
        looks[0] += 1
        if looks[0] > most:
            raise Killed
        yield from ((given[0][s], given[1][s]) for s in cut(n, 4))

    whole = fit_chunks(HeteroscedasticGaussian(), lambda: chunks(10**6))
    for most in (4, 5, 6, 10**6):
        looks[0] = 0
        model = HeteroscedasticGaussian()
        try:
            fit_chunks(model, lambda most=most: chunks(most), checkpoint=tmp_path / "kept")
        except Killed:
            assert most < 10**6
    for name in FITTED:
        np.testing.assert_array_equal(getattr(model, name), getattr(whole, name))


# ---- lines with one variance ---------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("degree", "n_targets"), [(1, 0), (3, 0), (1, 3), (2, 2)])
def test_lines_are_those_of_all_rows(weighted: bool, degree: int, n_targets: int) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(5000, 4)) + 1
    Y = 2 + X @ rng.normal(size=(4, n_targets or 1)) + rng.normal(size=(5000, n_targets or 1))
    given = (X, Y if n_targets else Y[:, 0], *[np.exp(rng.normal(size=5000))] * weighted)
    whole = LinearGaussian(degree=degree).fit(*given)
    found = from_parts(LinearGaussian(degree=degree), given, cut(5000, 7), Anew)
    for name in ("coef_", "intercept_", "noise_variance_", "standard_errors_", "log_likelihood_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(whole, name), rtol=1e-12, err_msg=name
        )

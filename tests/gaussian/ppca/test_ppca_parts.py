"""PPCA of rows in parts: that of all rows at once, however they are cut, with gaps and without."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, Moments
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.gaussian.ppca import missing_em, selection
from ancestral.gaussian.ppca.folds import FOLDS, folds_of_entries
from ancestral.gaussian.ppca.missing_columns import Columns, Rows
from ancestral.gaussian.ppca.missing_patterns import (
    MOST_SWEPT,
    Apart,
    Factors,
    Patterns,
    expected,
    number_of_masks,
    posterior,
)
from ancestral.training.parts import Held, Part

UNEVEN = {"one": [], "two": [1], "seven": [3, 40, 41, 90, 130, 149], "many": range(4, 160, 8)}
CUTS = pytest.mark.parametrize("cuts", UNEVEN)


class Sent(Held[Any]):
    """Parts whose looks travel as bytes, and that are prepared anew each time."""

    def total(self, look: Callable[[Any], Any]) -> Any:
        return super().total(pickle.loads(pickle.dumps(look)))

    def prepared(self, make: Callable[[Any], Any]) -> Any:
        return Sent([pickle.loads(pickle.dumps(make))(part) for part in self.parts])


class Once(Sent):
    """Parts that can be read once."""

    again = False


def rows(n: int = 160, d: int = 6, q: int = 2, seed: int = 0, share: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + 0.5 * rng.normal(size=(n, d)) + 3.0
    return np.where(rng.random(X.shape) < share, np.nan, X)


def in_parts(
    model: PPCA,
    X: np.ndarray,
    cuts: Any,
    weights: np.ndarray | None = None,
    kind: type[Held[Any]] = Sent,
    **kept: Any,
) -> PPCA:
    """Fit the model to rows cut before some of them."""
    edges = [0, *cuts, len(X)]

    def parts_of(new: PPCA) -> Held[Any]:
        made = []
        for number, (a, b) in enumerate(pairwise(edges)):
            w = None if weights is None else weights[a:b]
            made.append(Part(new._check_part(X[a:b], None, w, reset=a == 0), new, number, a))
        return kind(made)

    return model._fit_from(parts_of, **kept)


def assert_alike(one: PPCA, other: PPCA, rtol: float = 1e-8) -> None:
    """Compare all that a fit learnt."""
    assert one.n_components_ == other.n_components_
    assert one.n_iter_ == other.n_iter_
    assert one.n_missing_ == other.n_missing_
    assert one.n_samples_ == pytest.approx(other.n_samples_, rel=1e-12)
    names = ["mean_", "loadings_", "components_", "eigenvalues_", "noise_variance_"]
    names += [name for name in ("scale_", "cv_scores_", "cv_components_") if hasattr(one, name)]
    for name in [*names, "log_likelihood_"]:
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(), err_msg=name)


@CUTS
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_parts_give_the_fit_of_all_rows(cuts: str, standardize: bool, share: float) -> None:
    X, make = rows(share=share), lambda: PPCA(2, standardize=standardize)
    rtol = 1e-12 if share == 0 else 1e-8
    assert_alike(in_parts(make(), X, UNEVEN[cuts]), make().fit(X), rtol)


@pytest.mark.parametrize("n_components", ["cv", "bic", "mle", 0.8])
@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.filterwarnings("ignore:.*needs complete rows")
def test_parts_choose_as_all_rows_do(n_components: Any, share: float) -> None:
    X, make = rows(share=share), lambda: PPCA(n_components, random_state=3)
    assert_alike(in_parts(make(), X, UNEVEN["seven"]), make().fit(X))


@pytest.mark.parametrize("n_components", [2, "cv"])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_weights_in_parts_are_rows_repeated(n_components: Any, share: float) -> None:
    X = rows(n=120, share=share)
    weights = np.random.default_rng(1).integers(0, 4, size=len(X))
    weights[5:9] = 0  # a part of which no row counts
    often = np.repeat(X, weights, axis=0)
    model = PPCA(n_components, random_state=0).fit(
        often[np.random.default_rng(2).permutation(len(often))]
    )
    found = in_parts(PPCA(n_components, random_state=0), X, [5, 9, 50], weights.astype(float))
    assert found.n_missing_ == np.isnan(X[weights > 0]).sum()
    found.n_missing_ = model.n_missing_  # of rows, not of their repetitions
    assert_alike(found, model, 1e-7)


def test_columns_may_be_known_in_a_late_part_alone() -> None:
    X = rows()
    X[:140, 3] = np.nan
    X[:30, :] = np.nan  # nothing is known of the first part
    X[60:70, :] = np.nan
    found = in_parts(PPCA(2), X, [30, 60, 70, 141])
    assert_alike(found, PPCA(2).fit(X))
    assert found.n_samples_ == 120


@pytest.mark.parametrize("n_components", [2, "cv"])
def test_parts_may_be_complete_but_for_one(n_components: Any) -> None:
    X = rows(share=0.0)
    X[90:100, 1] = np.nan  # beyond the rows of a part that are looked at first
    model = PPCA(n_components, random_state=0).fit(X)
    assert_alike(in_parts(PPCA(n_components, random_state=0), X, [3, 80, 120]), model)
    assert_alike(in_parts(PPCA(n_components, random_state=0), X, [5]), model)


def test_rows_of_which_nothing_is_known_leave_the_others_complete() -> None:
    X = rows(share=0.0)
    X[40:50] = np.nan
    X[[3, 99]] = np.nan
    found = in_parts(PPCA(2), X, [40, 50], kind=Once)
    assert_alike(found, PPCA(2).fit(X[~np.isnan(X[:, 0])]), 1e-12)
    assert found.n_iter_ == 1


def test_wide_rows_in_parts_never_make_a_square_matrix_to_start_from() -> None:
    X = rows(n=30, d=50, q=2, share=0.1)
    assert_alike(in_parts(PPCA(2), X, [7, 8, 20]), PPCA(2).fit(X), 1e-7)


def test_single_precision_and_offsets_are_those_of_all_rows() -> None:
    X = (rows() + 1e4).astype(np.float32)
    assert_alike(in_parts(PPCA(2), X, UNEVEN["seven"]), PPCA(2).fit(X), 1e-7)


def test_constant_columns_are_constant_in_every_part() -> None:
    X = rows()
    X[:, 4] = np.where(np.isnan(X[:, 4]), np.nan, 0.1)
    with pytest.warns(AncestralWarning, match="1 of 6 columns are constant"):
        found = in_parts(PPCA(2), X, UNEVEN["seven"])
    assert found.mean_[4] == pytest.approx(0.1, rel=1e-12)


# ---- what is refused ----------------------------------------------------------------------------


def test_gaps_need_data_that_can_be_read_again() -> None:
    assert in_parts(PPCA(1), rows(share=0.0), [50], kind=Once).n_iter_ == 1
    with pytest.raises(DataError, match=r"several passes.*callable that yields chunks anew"):
        in_parts(PPCA(1), rows(), [50], kind=Once)


@pytest.mark.parametrize(
    ("X", "weights", "error", "message"),
    [
        (np.full((9, 3), np.nan), None, DataError, "column 0 holds no known value"),
        (np.where(np.arange(3) == 1, np.nan, rows(9, 3)), None, DataError, "column 1 holds no"),
        (np.ones((9, 3)), np.zeros(9), DataError, "every sample_weight is zero"),
        (np.where(np.eye(9, 3) > 0, np.nan, 1.0), None, ModelError, "every column is constant"),
        (rows(9, 3) * 1e152, None, DataError, "overflow when squared"),
        (np.where(np.eye(9, 3) > 0, np.inf, rows(9, 3)), None, DataError, "infinity"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(
    X: np.ndarray, weights: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        in_parts(PPCA(1), X, [2, 5], weights)


# ---- sums ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_known_of_columns_is_numpys_and_merges(weighted: bool) -> None:
    X = rows(n=500, d=5)
    w = np.random.default_rng(0).uniform(0.5, 2, 500) if weighted else None
    whole = Columns.of(Rows(X, w))
    a, b = (
        Columns.of(Rows(X[s], None if w is None else w[s])) for s in (slice(99), slice(99, 500))
    )
    none = Columns.of(Rows(X[:0], None if w is None else w[:0]))
    complete = ~np.isnan(X).any(axis=1)
    some = None if w is None else w[complete]
    one = Columns.of_complete_rows(Moments.of(X[complete], weights=some))
    rest = Columns.of(Rows(X[~complete], None if w is None else w[~complete]))
    each = np.ones(500) if w is None else w
    for found in (whole, a + b, none + a + b + none, one + rest):
        known = ~np.isnan(X)
        np.testing.assert_allclose(found.count, each @ known, rtol=1e-12)
        for j in range(5):
            some, of = X[known[:, j], j], each[known[:, j]]
            mean = np.average(some, weights=of)
            assert found.mean[j] == pytest.approx(mean, rel=1e-12)
            spread = np.sqrt(np.average((some - mean) ** 2, weights=of))
            assert found.spread[j] == pytest.approx(spread, rel=1e-12)
        assert found.n_missing == np.isnan(X).sum()
        np.testing.assert_array_equal(found.sizes, np.bincount(known.sum(axis=1), minlength=6))


def test_no_rows_add_nothing_to_a_look() -> None:
    X = rows(n=40, d=4, q=1)
    em = missing_em.WithGaps(np.ones(4), floor=0.0)
    at = em._begin(Factors(np.zeros(4), np.ones((4, 1)), 0.5))
    all_of, none = (em._statistics(Patterns.of(part, np.zeros(4)), at) for part in (X, X[:0]))
    assert (none + all_of).log_likelihood == all_of.log_likelihood
    assert none.n_observations == 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("q", [0, 1, 3])
@pytest.mark.parametrize("noise", [0.5, 1e-9])
def test_rows_apart_have_the_sums_of_rows_by_mask(q: int, noise: float, weighted: bool) -> None:
    X = rows(n=300, d=6)
    w = np.random.default_rng(0).uniform(0.5, 2, 300) if weighted else None
    shift, scale = np.full(6, 3.0), np.linspace(0.5, 2, 6)
    em = missing_em.WithGaps(np.ones(6), floor=0.0)
    at = em._begin(Factors(np.zeros(6), np.random.default_rng(1).normal(size=(6, q)), noise))
    grouped = Patterns.of(X, shift, scale, w)
    assert len(grouped) == number_of_masks(X) < 300
    one, other = (em._statistics(p, at) for p in (grouped, Apart(X, w, shift, scale)))
    for name in ("log_likelihood", "n_observations", "left", "spread", "slope", "squares"):
        a, b = (np.asarray(getattr(sums, name)) for sums in (one, other))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(a).max(initial=1e-300))


@pytest.mark.parametrize("q", [1, 4, MOST_SWEPT])
def test_what_em_sums_is_the_posterior(q: int) -> None:
    d = q + 3
    X = rows(n=50, d=d, q=1)
    factors = Factors(np.full(d, 3.0), np.random.default_rng(0).normal(size=(d, q)), 0.3)
    batch = Apart(X, None, np.zeros(d), None).batch(slice(0, 50))
    found, wanted = expected(batch, factors), posterior(batch, factors)
    i, j = np.tril_indices(q)
    np.testing.assert_allclose(found.inverse.T, wanted.inverse[:, i, j], rtol=1e-9, atol=1e-11)
    for name in ("mean", "log_determinant", "misfit", "squares"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name), rtol=1e-9, atol=1e-10
        )


def test_entries_fall_into_folds_by_their_rows_values_alone() -> None:
    X = rows(n=6000, d=5, share=0.1)
    folds = folds_of_entries(X, 7)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(folds_of_entries(X[order], 7), folds[order])
    assert (folds != folds_of_entries(X, 8)).mean() == pytest.approx(1 - 1 / FOLDS, abs=0.02)
    for j in range(5):  # each column is dealt evenly, and as if apart from the others
        assert np.bincount(folds[:, j], minlength=FOLDS) / 6000 == pytest.approx(0.2, abs=0.02)
        beside = np.bincount(FOLDS * folds[:, j].astype(int) + folds[:, j - 1], minlength=FOLDS**2)
        assert beside / 6000 == pytest.approx(1 / FOLDS**2, abs=0.012)


def test_each_known_entry_is_held_out_once() -> None:
    X = rows()
    held = Held([Rows.known(X[:50]), Rows.known(X[50:])])
    folds = selection._entries_held_out(held, 0)
    taken = sum((np.isnan(fold.without(X)) & ~np.isnan(X)).astype(int) for fold, _ in folds)
    np.testing.assert_array_equal(taken, ~np.isnan(X))


def test_a_fit_of_parts_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Any) -> None:
    X = rows(share=0.3)

    def fit(model: PPCA, **kept: Any) -> PPCA:
        return in_parts(model, X, UNEVEN["seven"], kind=Held, **kept)

    whole = fit(PPCA("cv", random_state=0), checkpoint=tmp_path / "a", every=7)
    again = fit(PPCA("cv", random_state=0), checkpoint=tmp_path / "a", every=7)
    assert again.log_likelihood_ == whole.log_likelihood_
    np.testing.assert_array_equal(again.loadings_, whole.loadings_)


def test_the_order_in_memory_changes_no_bit() -> None:
    """A dataframe holds its columns one after the other."""
    rng = np.random.default_rng(0)
    for d in (3, 12):  # masks that repeat, and masks that differ
        X = rng.normal(size=(300, d)) + rng.normal(size=(300, 1))
        X[rng.random(X.shape) < 0.2] = np.nan
        one, other = PPCA(1).fit(X), PPCA(1).fit(np.asfortranarray(X))
        np.testing.assert_array_equal(one.loadings_, other.loadings_)

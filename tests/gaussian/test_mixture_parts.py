"""Mixtures of PPCA from parts: the fit of all rows, however they are cut, and from a sample."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ancestral import PPCAMixture
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.ppca import mixture, responsibilities
from ancestral.gaussian.ppca.sampled import Known, Sample, Sampling, columns_of
from ancestral.statistics import Moments
from ancestral.training.parts import Held, Look, Part

FITTED = ("weights_", "means_", "loadings_", "noise_variances_", "log_likelihood_", "n_iter_")
FEW = {"n_starts": 2, "random_state": 0}


def clouds(n: int, d: int = 5, k: int = 2, seed: int = 0, apart: float = 2.0) -> np.ndarray:
    """Return rows of k clouds of two latents, in no order."""
    rng = np.random.default_rng(seed)
    means, W = apart * rng.normal(size=(k, d)), rng.normal(size=(k, d, 2))
    rng = np.random.default_rng(seed + 1_000 + n)
    c = rng.integers(k, size=n)
    rows = means[c] + np.einsum("ndq,nq->nd", W[c], rng.normal(size=(n, 2)))
    return rows + 0.5 * rng.normal(size=(n, d))


def with_gaps(X: np.ndarray, share: float = 0.2) -> np.ndarray:
    return np.where(np.random.default_rng(5).random(X.shape) < share, np.nan, X)


def in_parts(model: Any, edges: list[int], X: np.ndarray, weights: np.ndarray | None = None) -> Any:
    """Fit to rows that are cut there."""

    def parts(new: Any) -> Held[Part]:
        found, first = [], 0
        for i, rows in enumerate(np.split(np.arange(len(X)), edges)):
            w = () if weights is None else (None, weights[rows])
            found.append(Part(new._check_part(X[rows], *w, reset=i == 0), new, i, first))
            first += len(rows)
        return Held(found)

    return model._fit_from(parts)


def assert_alike(one: Any, other: Any, rtol: float = 1e-8) -> None:
    for name in (*FITTED, *["scale_"] * one.standardize):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol, err_msg=name
        )


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("kind", ["complete", "gaps", "weights", "gaps and weights"])
@pytest.mark.parametrize("edges", [[], [1, 7, 60, 61, 200, 390]])
def test_rows_in_parts_are_the_rows(standardize: Any, kind: str, edges: list[int]) -> None:
    X = clouds(400) * [1, 1, 5, 1, 1]
    if "gaps" in kind:
        X = with_gaps(X)
        X[60] = np.nan  # a part of which nothing is known
        X[:3, 0] = np.nan  # a column that is known only in later parts
    weights = np.random.default_rng(1).integers(0, 3, 400) if "weights" in kind else None
    make = PPCAMixture(2, 2, standardize=standardize, **FEW)
    whole = PPCAMixture(2, 2, standardize=standardize, **FEW).fit(X, sample_weight=weights)
    assert_alike(in_parts(make, edges, X, weights), whole)


@pytest.mark.parametrize("gaps", [False, True])
def test_weights_are_repeated_rows_in_parts(gaps: Any) -> None:
    X = with_gaps(clouds(300)) if gaps else clouds(300)
    weights = np.random.default_rng(1).integers(0, 4, 300)
    weighed = in_parts(PPCAMixture(2, 1, tol=1e-11, **FEW), [40, 250], X, weights)
    repeated = PPCAMixture(2, 1, tol=1e-11, **FEW).fit(np.repeat(X, weights, axis=0))
    assert weighed.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-9)
    np.testing.assert_allclose(weighed.means_, repeated.means_, atol=1e-3)


# ---- from a sample -------------------------------------------------------------------------------


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "LEAST_ROWS", 300)
    monkeypatch.setattr(mixture, "ROWS_EACH", 20)


@pytest.mark.parametrize("kind", ["complete", "gaps", "weights"])
@pytest.mark.usefixtures("small_samples")
def test_starts_from_a_sample_end_where_all_rows_lead(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are climbed from there: the cut changes nothing, and a held-out score little."""
    X, held_out = clouds(1_500, k=3), clouds(2_000, k=3, seed=0)
    X = with_gaps(X) if kind == "gaps" else X
    weights = np.random.default_rng(1).integers(0, 3, 1_500) if kind == "weights" else None
    model = PPCAMixture(3, 2, random_state=0, n_starts=3)
    one = in_parts(model, [], X, weights)
    other = in_parts(PPCAMixture(3, 2, random_state=0, n_starts=3), [10, 400, 1_200], X, weights)
    assert_alike(one, other)
    total = one.log_density(X) @ (np.ones(1_500) if weights is None else weights)
    assert one.log_likelihood_ == pytest.approx(total, rel=1e-11)
    assert min(step["increase"] for step in one.history_[1:]) > 0
    monkeypatch.setattr(mixture, "LEAST_ROWS", 1_500)
    whole = PPCAMixture(3, 2, random_state=0, n_starts=3).fit(X, sample_weight=weights)
    assert abs(one.score(held_out) - whole.score(held_out)) < 0.02


def test_a_sample_is_the_same_however_the_rows_are_cut() -> None:
    X, rng = clouds(1_000), np.random.default_rng(0)
    known = Known.of(Part((X,), None))
    whole = Sample.of(known, 100)
    for _ in range(3):
        edges = [0, *np.sort(rng.choice(np.arange(1, 1_000), 4, replace=False)), 1_000]
        parts = [Part((X[a:b],), None, i, a) for i, (a, b) in enumerate(pairwise(edges))]
        samples = [Sample.of(Known.of(part), 100) for part in parts]
        rng.shuffle(samples)
        found = samples[0] + samples[1] + (samples[2] + (samples[3] + samples[4]))
        np.testing.assert_array_equal(np.sort(found.X, axis=0), np.sort(whole.X, axis=0))
    np.testing.assert_array_equal(Sample.of(known, 5_000).X, X)  # all, in their order
    place = whole.place[:, 1]
    assert abs(place.mean() - 499.5) < 5 * 288.7 / 10  # evenly spread: five standard errors


def test_looks_can_be_sent() -> None:
    X = with_gaps(clouds(200))
    model = PPCAMixture(2, 1, **FEW).fit(X)
    known = Known.of(Part((X,), model))
    make = mixture.Making(np.zeros(5), None)
    share = np.full((200, 2), 0.5)
    for rows in (make(known), mixture.Rows(clouds(200), np.ones(200))):
        parameters = model._begin(mixture.Shares.of(rows, share * [1.2, 0.8], -np.inf))
        look = Look(model, parameters)
        before = look(rows).log_likelihood
        assert pickle.loads(pickle.dumps(look))(rows).log_likelihood == before
    for look in (make, Sampling(5), columns_of, Known.of):
        pickle.loads(pickle.dumps(look))
    assert len(pickle.dumps(Look(model, parameters))) < 20_000


# ---- what is refused, and what is said -----------------------------------------------------------


def test_what_is_wrong_is_named_in_parts_as_well() -> None:
    X = clouds(50)
    with pytest.raises(ModelError, match="at least 60 rows; got 50"):
        in_parts(PPCAMixture(20, 1), [20], X)
    with pytest.raises(ModelError, match="X has no variance"):
        in_parts(PPCAMixture(2, 1), [20], np.ones((50, 5)))
    X[:, 2] = np.nan
    with pytest.raises(DataError, match="column 2 holds no known value"):
        in_parts(PPCAMixture(2, 1), [20], X)


@pytest.mark.usefixtures("small_samples")
def test_rows_that_hardly_differ_are_one_model_also_beyond_a_sample() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    X = points[np.random.default_rng(1).integers(5, size=2_000)]
    with pytest.warns(UserWarning, match="too few different rows"):
        model = in_parts(PPCAMixture(3, 1, **FEW), [300], X)
    np.testing.assert_allclose(model.means_, np.tile(X.mean(axis=0), (3, 1)), atol=1e-12)


# ---- sums of all models at once ------------------------------------------------------------------


@pytest.mark.parametrize("far", [0.0, 3.0, 1e3, 1e7])
@pytest.mark.parametrize("q", [0, 1, 4])
def test_sums_of_all_models_at_once_are_those_of_each(far: float, q: int) -> None:
    """Log densities and moments against one model at a time, near zero and far, in any units."""
    X = clouds(3_000, k=3, apart=1 + far) * [1, 1, 1e-2, 1, 10] + far
    weights = np.random.default_rng(2).exponential(size=3_000)
    model = PPCAMixture(3, q, n_starts=1, random_state=0, max_iter=30)
    rows = mixture.Rows(X, weights)
    labels = np.eye(3)[np.argmin(((X[:, None] - X[:3]) ** 2).sum(axis=2), axis=1)] * 0.7 + 0.1
    parts = model._begin(mixture.Shares.of(rows, labels, -np.inf))
    for _ in range(3):
        joint = np.stack([np.log(p.weight) + rows.log_density(p.frame) for p in parts], axis=1)
        top = joint.max(axis=1)
        log_p = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
        share = np.exp(joint - log_p[:, None])
        found = model._statistics(rows, parts)
        assert found.log_likelihood == pytest.approx(float(weights @ log_p), rel=1e-11)
        for c, moments in enumerate(found.moments):
            wanted = Moments.of(X, weights=weights * share[:, c])
            assert moments.total_weight == pytest.approx(wanted.total_weight, rel=1e-8)
            sizes = np.sqrt(wanted.spreads / wanted.total_weight)
            np.testing.assert_allclose(
                (moments.mean - wanted.mean) / sizes, 0, atol=1e-8, err_msg=str(c)
            )
            apart = moments.as_scatter() - wanted.as_scatter()
            np.testing.assert_allclose(
                apart / np.outer(sizes, sizes) / wanted.total_weight, 0, atol=1e-8
            )
        parts = model._update(parts, found)


def test_shares_of_short_blocks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    X = clouds(2_000, k=3)
    model = PPCAMixture(3, 1, **FEW).fit(X)
    monkeypatch.setattr(responsibilities, "BLOCK_BYTES", 1)
    other = PPCAMixture(3, 1, **FEW).fit(X)
    assert_alike(model, other)

"""Every d from one decomposition, and d chosen by it, by rows or by entries held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.decomposition._pca import _assess_dimension
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ancestral import PPCA, Moments, streaming
from ancestral.errors import AncestralWarning, DataError, ModelError
from ancestral.gaussian.ppca import selection
from ancestral.gaussian.ppca.folds import FOLDS, Folds
from ancestral.gaussian.ppca.missing_columns import Rows
from ancestral.training.parts import Held

HOW = pytest.mark.parametrize("how", ["bic", "minka", "cv"])


def rows(n: int, d: int, q: int, *, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    """Draw rows with q strong directions and unit noise."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(d, q)) * np.linspace(3.0, 1.5, q)
    return rng.normal(size=(n, q)) @ W.T + rng.normal(size=(n, d)) + offset


SHAPES = pytest.mark.parametrize(("n", "d"), [(200, 6), (40, 7), (9, 30), (150, 200)])


# ---- the curves ----------------------------------------------------------------------------------


@SHAPES
def test_every_d_is_what_a_fit_of_its_own_gives(n: int, d: int) -> None:
    X = rows(n, d, 2)
    curve = PPCA(1).fit(X).every_d()
    top = min(n - 1, d) - 1
    np.testing.assert_array_equal(curve.n_components, np.arange(top + 1))
    assert curve.heldout is None
    for q in sorted({0, 1, 2, top // 2, top}):
        model = PPCA(q).fit(X)
        assert curve.log_likelihood[q] == pytest.approx(model.log_density(X).sum(), rel=1e-9)
        assert model.log_likelihood_ == pytest.approx(curve.log_likelihood[q], rel=1e-12)
        assert curve.bic[q] == pytest.approx(model.bic(X), rel=1e-9)


@SHAPES
def test_held_out_density_of_every_d_is_that_of_its_own_fit(n: int, d: int) -> None:
    X, new = rows(n, d, 2, offset=4.0), rows(50, d, 2, seed=1, offset=4.0)
    q = min(n - 1, d) - 2
    curve = PPCA(q).fit(X).every_d(new)
    assert len(curve.n_components) == len(curve.heldout) == len(curve.heldout_errors) == q + 1
    for k in sorted({0, 1, 2, q // 2, q}):
        scores = PPCA(k).fit(X).log_density(new)
        assert curve.heldout[k] == pytest.approx(scores.mean(), rel=1e-8)
        assert curve.heldout_errors[k] == pytest.approx(scores.std(ddof=1) / np.sqrt(50), rel=1e-7)


@pytest.mark.parametrize(("n", "d"), [(200, 6), (40, 7), (1000, 12)])
def test_the_evidence_is_scikit_learns_up_to_what_no_d_changes(n: int, d: int) -> None:
    """scikit-learn's own code of Minka's equation 30, which leaves out constants."""
    model = PPCA(1).fit(rows(n, d, 2))
    ours = model.every_d().evidence
    theirs = [_assess_dimension(model.eigenvalues_, q, n) for q in range(1, d)]
    apart = ours[1:] - np.array(theirs)
    np.testing.assert_allclose(apart, apart[0], rtol=1e-12)
    # Those constants: the likelihood's own, -n d / 2 (1 + log 2 pi).
    assert apart[0] == pytest.approx(-0.5 * n * d * (1 + np.log(2 * np.pi)), rel=1e-12)


def test_equal_eigenvalues_give_finite_curves() -> None:
    curve = selection.every_d(np.array([3.0, 1.0, 1.0, 1.0]), 100, 3)
    for values in (curve.log_likelihood, curve.bic, curve.evidence):
        assert np.isfinite(values).all()
    assert curve.best("bic") == 1


# ---- the choice ----------------------------------------------------------------------------------


@HOW
@pytest.mark.parametrize("q", [0, 1, 3, 5])
def test_the_dimension_of_simulated_rows_is_found(how: str, q: int) -> None:
    X = rows(800, 8, q, offset=100.0)
    model = PPCA(how, random_state=0).fit(X)
    if how == "cv":  # noise directions cost little: never too few, rarely one or two too many
        assert q <= model.n_components_ <= q + 2
    else:
        assert model.n_components_ == q
    same = PPCA(model.n_components_).fit(X)
    np.testing.assert_allclose(model.loadings_, same.loadings_, rtol=1e-8, atol=1e-10)
    assert model.noise_variance_ == pytest.approx(same.noise_variance_, rel=1e-10)


@HOW
def test_a_bound_holds(how: str) -> None:
    X = rows(300, 8, 4)
    assert PPCA(how, max_components=2, random_state=0).fit(X).n_components_ == 2
    assert PPCA(how, max_components=99, random_state=0).fit(X).n_components_ >= 4


def test_cross_validation_is_that_of_fits_and_scores_on_rows() -> None:
    X = rows(120, 6, 2, offset=7.0)
    model = PPCA("cv", random_state=3).fit(X)
    folds = Folds.of(X, 3)
    # The moments of a fold tell which rows it holds: find each row's fold by dealing it alone.
    fold = np.array([np.argmax([p.count for p in Folds.of(x[None], 3).parts]) for x in X])
    assert [part.count for part in folds.parts] == np.bincount(fold, minlength=FOLDS).tolist()
    for q in (0, 2, 4):
        scores = [PPCA(q).fit(X[fold != k]).log_density(X[fold == k]).sum() for k in range(FOLDS)]
        assert model.cv_scores_[q] == pytest.approx(sum(scores) / 120, rel=1e-9)
    np.testing.assert_array_equal(model.cv_components_, np.arange(len(model.cv_scores_)))
    assert model.n_components_ == np.argmax(model.cv_scores_)


def test_wide_rows_are_cross_validated_without_a_square_matrix() -> None:
    X = rows(40, 3_000, 3)
    model = PPCA("cv", random_state=0, max_components=8).fit(X)
    assert model.n_components_ == 3
    assert all(part.root is not None for part in Folds.of(X, 0).parts)


def test_folds_are_even_and_do_not_depend_on_order_or_sign_of_zero() -> None:
    X = np.random.default_rng(0).integers(0, 3, size=(5_000, 12)).astype(np.float64)
    counts = np.array([part.count for part in Folds.of(X, 0).parts])
    # Multinomial: each within five standard deviations of a fifth.
    assert np.abs(counts - 1_000).max() < 5 * np.sqrt(5_000 * 0.2 * 0.8)
    turned = Folds.of(np.where(X == 0, -0.0, X)[::-1], 0)
    assert [part.count for part in turned.parts] == counts.tolist()
    assert [p.count for p in Folds.of(X, 1).parts] != counts.tolist()
    single = Folds.of(X.astype(np.float32), 0)
    assert [part.count for part in single.parts] == counts.tolist()


@HOW
def test_a_stream_chooses_as_fit_does(how: str) -> None:
    X = rows(400, 7, 2, offset=30.0)
    whole = PPCA(how, random_state=0).fit(X)
    parts = streaming.fit_chunks(PPCA(how, random_state=0), [X[:37], X[37:250], X[250:]])
    step = PPCA(how, random_state=0)
    for i in range(0, 400, 80):
        step.partial_fit(X[i : i + 80])
    for model in (parts, step):
        assert model.n_components_ == whole.n_components_
        assert model.score(X) == pytest.approx(whole.score(X), rel=1e-12)
    if how == "cv":
        np.testing.assert_allclose(parts.cv_scores_, whole.cv_scores_, rtol=1e-11)


@pytest.mark.parametrize("kind", [lambda: None, np.random.default_rng, np.random.RandomState])
def test_equal_rows_in_different_parts_fall_into_one_fold(kind: Callable[[], Any]) -> None:
    X = rows(30, 25, 0)  # noise: a repeated row on both sides would make all 24 directions pay
    chunks = [X] * 10
    step = PPCA("cv", random_state=kind())
    for chunk in chunks:
        step.partial_fit(chunk)
    assert step.n_components_ == 0
    assert streaming.fit_chunks(PPCA("cv", random_state=kind()), chunks).n_components_ == 0
    dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    parts = [dask.delayed(chunk) for chunk in chunks]
    with dask.config.set(scheduler="synchronous"):
        assert streaming.fit_dask(PPCA("cv", random_state=kind()), parts).n_components_ == 0


@pytest.mark.filterwarnings("ignore:partial_fit starts anew")
def test_a_later_fit_forgets_an_earlier_choice() -> None:
    X = rows(100, 5, 2)
    gaps = X.copy()
    gaps[::7, 0] = np.nan
    for later in (
        lambda model: model.fit(X),
        lambda model: model.fit(gaps),
        lambda model: model.partial_fit(X),
        lambda model: streaming.fit_chunks(model, [X]),
    ):
        model = PPCA("cv", random_state=0).fit(X)
        assert hasattr(model, "cv_scores_")
        assert not hasattr(later(model.set_params(n_components=1)), "cv_scores_")


@pytest.mark.parametrize("kind", [int, np.int64])
def test_a_stream_waits_for_rows_enough(kind: type) -> None:
    X = rows(40, 6, 2)
    model = PPCA(kind(4)).partial_fit(X[:3])
    assert not hasattr(model, "loadings_")
    assert model.partial_fit(X[3:]).score(X) == pytest.approx(PPCA(4).fit(X).score(X), rel=1e-12)


def test_two_moments_of_one_fold_and_another_merge() -> None:
    X = rows(60, 4, 1)
    a, b, both = Folds.of(X[:20], 0), Folds.of(X[20:], 0), Folds.of(X, 0)
    for one, other in zip((a + b).parts, both.parts, strict=True):
        assert one.count == other.count
        np.testing.assert_allclose(one.as_scatter(), other.as_scatter(), rtol=1e-10)
    assert isinstance(both.total, Moments)
    assert both.total.count == 60


# ---- with missing values -------------------------------------------------------------------------


def with_gaps(X: np.ndarray, share: float = 0.2) -> np.ndarray:
    X = X.copy()
    X[np.random.default_rng(9).random(X.shape) < share] = np.nan
    return X


@pytest.mark.parametrize("q", [0, 1, 3])
def test_held_out_entries_find_the_dimension(q: int) -> None:
    X = with_gaps(rows(250, 9, q))
    model = PPCA("cv", random_state=0).fit(X)
    assert q <= model.n_components_ <= q + 1
    best = np.argmax(model.cv_scores_)
    assert model.cv_components_[best] == model.n_components_
    assert (np.diff(model.cv_components_) > 0).all()
    assert PPCA("cv", random_state=0).fit(X).n_components_ == model.n_components_


def test_the_score_of_entries_is_their_density_given_the_rest_of_the_row() -> None:
    X = with_gaps(rows(60, 5, 1))
    held = Held([Rows.known(X)])
    tried, scores = selection.by_entries(held, 2, max_iter=500, seed=0)
    folds = [fold.without(X) for fold, _ in selection._entries_held_out(held, 0)]
    assert tried.tolist() == [0, 1, 2]
    assert sum(np.isnan(train) & ~np.isnan(X) for train in folds).sum() == np.isfinite(X).sum()
    total = 0.0
    for train in folds:
        model = PPCA(1, tol=selection.LOOSE).fit(train)
        C = model.get_covariance()
        for i in np.flatnonzero((np.isnan(train) & ~np.isnan(X)).any(axis=1)):
            h = np.isnan(train[i]) & ~np.isnan(X[i])
            k = ~np.isnan(train[i])
            gain = np.linalg.solve(C[np.ix_(k, k)], C[np.ix_(k, h)]).T
            mean = model.mean_[h] + gain @ (X[i, k] - model.mean_[k])
            S = C[np.ix_(h, h)] - gain @ C[np.ix_(k, h)]
            e = X[i, h] - mean
            total += -0.5 * (
                len(e) * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + e @ np.linalg.solve(S, e)
            )
    assert scores[1] == pytest.approx(total / np.isfinite(X).sum(), rel=1e-9)


@pytest.mark.parametrize("how", ["bic", "minka"])
def test_other_ways_to_choose_give_way_to_held_out_entries(how: str) -> None:
    X = with_gaps(rows(200, 8, 2))
    with pytest.warns(AncestralWarning, match="needs complete rows") as caught:
        model = PPCA(how, random_state=0).fit(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert model.n_components_ == PPCA("cv", random_state=0).fit(X).n_components_


def test_a_column_known_once_is_never_held_out_whole() -> None:
    X = with_gaps(rows(60, 5, 1))
    X[:, 2] = np.nan
    X[7, 2] = 1.0
    for fold, columns in selection._entries_held_out(Held([Rows.known(X)]), 0):
        train = fold.without(X)
        assert not np.isnan(train).all(axis=0).any()
        np.testing.assert_array_equal(columns.count, (~np.isnan(train)).sum(axis=0))


def test_every_d_of_gaps_is_refused_with_the_mend() -> None:
    X = with_gaps(rows(60, 5, 1))
    with pytest.raises(ModelError, match=r'needs its own fit\. Choose d by n_components="cv"'):
        PPCA(1).fit(X).every_d()
    with pytest.raises(DataError, match="X holds NaN at row"):
        PPCA(1).fit(rows(60, 5, 1)).every_d(X)


def test_too_few_rows_to_hold_some_out_are_refused() -> None:
    twice = np.repeat([[1.0, 2.0, 3.0], [0.0, 2.0, 5.0]], 15, axis=0)
    with pytest.raises(ModelError, match="the rows left to fit do not vary"):
        PPCA("cv", random_state=0).fit(twice)
    with pytest.raises(ModelError, match="n_samples = 3 is too few"):
        PPCA("cv").fit(rows(3, 4, 1))


# ---- as a user of PCA types it -------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, np.float32(0.8)])
@pytest.mark.parametrize(("n", "d"), [(200, 6), (40, 7), (9, 30)])
def test_a_share_of_the_variance_takes_as_many_components_as_pca(
    share: float, n: int, d: int
) -> None:
    X = rows(n, d, 2)
    model = PPCA(share).fit(X)
    assert model.n_components_ == PCA(float(share), svd_solver="full").fit(X).n_components_
    given = PPCA(model.n_components_).fit(X)
    np.testing.assert_allclose(model.loadings_, given.loadings_, atol=1e-12)
    held = model.explained_variance_ratio_
    assert held.sum() > share >= held[:-1].sum()
    parts = streaming.fit_chunks(PPCA(share), np.array_split(X, 3))
    assert parts.n_components_ == model.n_components_


def test_other_spellings_are_the_same_choice() -> None:
    X = rows(200, 8, 3)
    gappy = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    for one, other, data in (("mle", "minka", X), (None, "cv", X), (None, "cv", gappy)):
        a, b = PPCA(one).fit(data), PPCA(other).fit(data)
        assert a.n_components_ == b.n_components_ == 3
        np.testing.assert_array_equal(a.loadings_, b.loadings_)
    assert PPCA().fit(X).n_components_ == 1
    assert PPCA(None, max_components=2).fit(X).n_components_ == 2
    with pytest.warns(AncestralWarning, match="no variance is known before the fit"):
        assert PPCA(0.9).fit(gappy).n_components_ == 3


def test_what_was_chosen_is_in_the_repr_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    X = rows(200, 8, 3)
    assert repr(PPCA("bic")) == "PPCA(n_components='bic')"
    chosen = PPCA("bic", verbose=True).fit(X)
    assert repr(chosen) == "PPCA(n_components='bic', verbose=True)  # 3 of 8 components"
    assert "n_components='bic': 3 of 8, which hold " in capsys.readouterr().err
    assert repr(PPCA(2).fit(X)) == "PPCA(n_components=2)"
    inside = make_pipeline(StandardScaler(), PPCA(None)).fit(X)
    names = {"Pipeline": Pipeline, "PPCA": PPCA, "StandardScaler": StandardScaler}
    for whole in (chosen, inside):
        again = eval(repr(whole), names)
        assert repr(again).split("  #")[0] == repr(whole).split("  #")[0]


def test_a_share_that_leaves_no_noise_is_said() -> None:
    X = rows(200, 4, 0)
    with pytest.warns(AncestralWarning, match="needs all components.* n_components_=3"):
        assert PPCA(0.9).fit(X).n_components_ == 3
    with pytest.raises(ModelError, match="max_components=2 has no effect"):
        PPCA(0.9, max_components=2).fit(X)
    for bad in (1.5, -0.5, np.nan, "pca"):
        with pytest.raises(ModelError, match=r'share of the variance.*"mle" is "minka"'):
            PPCA(bad).fit(X)

"""Probabilistic PCA against the normal distribution it is: slow, obvious formulas throughout."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from ancestral import PPCA, read_array
from ancestral.errors import AncestralError, AncestralWarning, DataError, ModelError

# A right sampler fails one of these tests by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Rows with a few strong directions, noise in all, and a mean."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=(n, 3)) @ (rng.normal(size=(3, d)) * [[3.0], [2.0], [1.0]])
    return strong + 0.5 * rng.normal(size=(n, d)) + 10 * rng.normal(size=d)


SHAPES = [
    (200, 6, 2),
    (200, 6, 0),
    (200, 6, 5),
    (30, 5, 1),
    (12, 40, 3),
    (12, 40, 0),
    (140, 200, 9),
]
SHAPED = pytest.mark.parametrize(("n", "d", "q"), SHAPES)


def textbook(X: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return mean, covariance and sigma^2 of the maximum, by the covariance's eigenpairs."""
    X = X.astype(np.float64)
    mean = X.mean(axis=0)
    eigenvalues, U = np.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
    noise = eigenvalues[q:].mean()
    C = (U[:, :q] * (eigenvalues[:q] - noise)) @ U[:, :q].T + noise * np.eye(len(mean))
    return mean, C, noise


# ---- the maximum ---------------------------------------------------------------------------------


@SHAPED
def test_the_fit_is_the_closed_form(n: int, d: int, q: int) -> None:
    X = cloud(n, d)
    model = PPCA(q).fit(X)
    mean, C, noise = textbook(X, q)
    np.testing.assert_allclose(model.mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(model.get_covariance(), C, rtol=0, atol=1e-11 * np.trace(C))
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-10)
    W = model.loadings_
    np.testing.assert_allclose(W.T @ W, np.diag(np.diag(W.T @ W)), atol=1e-11 * np.trace(C))
    np.testing.assert_allclose(
        np.diag(W.T @ W), model.eigenvalues_[:q] - noise, rtol=1e-9, atol=1e-12
    )


@SHAPED
def test_the_log_density_is_that_of_scipys_normal(n: int, d: int, q: int) -> None:
    X = cloud(n, d)
    model = PPCA(q).fit(X)
    mean, C, _ = textbook(X, q)
    new = cloud(20, d, seed=1)
    for rows in (X, new, X + 100):
        wanted = stats.multivariate_normal(mean, C).logpdf(rows)
        np.testing.assert_allclose(model.log_density(rows), wanted, rtol=1e-9)
        np.testing.assert_array_equal(model.score_samples(rows), model.log_density(rows))


@SHAPED
def test_the_maximum_has_its_known_value(n: int, d: int, q: int) -> None:
    """At the maximum the quadratic forms average to d (Tipping & Bishop, eq. 9)."""
    model = PPCA(q).fit(X := cloud(n, d))
    lam, noise = model.eigenvalues_, model.noise_variance_
    best = -0.5 * (d * np.log(2 * np.pi) + np.log(lam[:q]).sum() + (d - q) * np.log(noise) + d)
    assert model.score(X) == pytest.approx(best, rel=1e-11)
    k = d + d * q - q * (q - 1) // 2 + 1
    assert model.n_parameters_ == k
    assert model.aic(X) == pytest.approx(2 * k - 2 * n * best, rel=1e-11)
    assert model.bic(X) == pytest.approx(k * np.log(n) - 2 * n * best, rel=1e-11)


@SHAPED
def test_the_divisors_are_n_and_d_minus_q(n: int, d: int, q: int) -> None:
    """Eigenvalues past the rank are zeros, and count in the mean.

    scikit-learn's PCA divides by n - 1 and by min(n, d) - q: related, and not the maximum.
    """
    X = cloud(n, d)
    model = PPCA(q).fit(X)
    assert model.eigenvalues_.shape == (d,)
    assert (np.diff(model.eigenvalues_) <= 0).all() and (model.eigenvalues_ >= 0).all()
    np.testing.assert_allclose(model.eigenvalues_[n - 1 :], 0, atol=1e-12 * model.eigenvalues_[0])
    assert model.noise_variance_ == pytest.approx(model.eigenvalues_[q:].sum() / (d - q), rel=1e-12)
    total = X.var(axis=0).sum()  # divisor n
    assert model.eigenvalues_.sum() == pytest.approx(total, rel=1e-11)
    np.testing.assert_allclose(model.explained_variance_, model.eigenvalues_[:q])
    np.testing.assert_allclose(model.explained_variance_ratio_, model.eigenvalues_[:q] / total)
    if q:
        theirs = PCA(q, svd_solver="full").fit(X)
        factor = (n - 1) / n * (min(n, d) - q) / (d - q)
        assert model.noise_variance_ == pytest.approx(theirs.noise_variance_ * factor, rel=1e-9)
        np.testing.assert_allclose(
            np.abs(model.components_ @ theirs.components_.T), np.eye(q), atol=1e-7
        )
        assert model.score(X) > theirs.score(X)


def test_each_direction_has_its_largest_entry_positive() -> None:
    X = cloud(100, 7)
    for rows in (X, -X, X[::-1]):
        model = PPCA(4).fit(rows)
        largest = np.abs(model.components_).argmax(axis=1)
        assert (model.components_[np.arange(4), largest] > 0).all()
        np.testing.assert_allclose(model.components_, PPCA(4).fit(X).components_, atol=1e-10)
        np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(4), atol=1e-12)
        scale = np.sqrt(model.explained_variance_ - model.noise_variance_)
        np.testing.assert_allclose(model.loadings_, model.components_.T * scale, rtol=1e-12)


@pytest.mark.parametrize("q", [0, 2])
def test_turning_moving_and_stretching_the_data_does_the_same_to_the_model(q: int) -> None:
    X = cloud(80, 5)
    Q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))
    plain = PPCA(q).fit(X).log_density(X)
    moved = 7.0 * X @ Q + np.arange(5)
    model = PPCA(q).fit(moved)
    np.testing.assert_allclose(model.log_density(moved), plain - 5 * np.log(7), rtol=1e-10)
    assert model.noise_variance_ == pytest.approx(49 * PPCA(q).fit(X).noise_variance_, rel=1e-10)


def test_any_rotation_of_the_latents_gives_the_same_covariance() -> None:
    model = PPCA(3).fit(cloud(80, 6))
    R, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = model.loadings_ @ R
    noise = model.noise_variance_ * np.eye(6)
    np.testing.assert_allclose(turned @ turned.T + noise, model.get_covariance(), atol=1e-12)


# ---- latent variables ----------------------------------------------------------------------------


@SHAPED
def test_the_posterior_is_that_of_the_joint_normal(n: int, d: int, q: int) -> None:
    """Condition [z, x] ~ N(0, [[I, W^T], [W, C]]) on x directly."""
    X = cloud(n, d)
    model = PPCA(q).fit(X)
    W, C = model.loadings_, model.get_covariance()
    gain = np.linalg.solve(C, W).T  # W^T C^-1
    new = cloud(9, d, seed=2)
    np.testing.assert_allclose(
        model.posterior_mean(new), (new - model.mean_) @ gain.T, rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(model.posterior_covariance(), np.eye(q) - gain @ W, atol=1e-10)
    np.testing.assert_array_equal(model.transform(new), model.posterior_mean(new))
    assert model.transform(new).shape == (9, q)


@SHAPED
def test_posterior_means_and_covariance_share_the_prior(n: int, d: int, q: int) -> None:
    """Over the training rows, Cov(E[z|x]) = I - sigma^2 Lambda^-1; with Cov[z|x] that makes I."""
    X = cloud(n, d)
    model = PPCA(q).fit(X)
    Z = model.posterior_mean(X)
    np.testing.assert_allclose(Z.mean(axis=0), np.zeros(q), atol=1e-10)
    wanted = np.diag(1 - model.noise_variance_ / model.explained_variance_)
    np.testing.assert_allclose(Z.T @ Z / n, wanted, atol=1e-9)
    np.testing.assert_allclose(Z.T @ Z / n + model.posterior_covariance(), np.eye(q), atol=1e-9)


def test_decoding_and_reconstruction_are_affine_in_the_latents() -> None:
    X = cloud(100, 6)
    model = PPCA(2).fit(X)
    Z = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_allclose(model.decode(Z), Z @ model.loadings_.T + model.mean_, rtol=1e-12)
    np.testing.assert_array_equal(model.inverse_transform(Z), model.decode(Z))
    np.testing.assert_allclose(model.decode(np.zeros((1, 2)))[0], model.mean_, rtol=1e-12)
    wanted = model.posterior_mean(X) @ model.loadings_.T + model.mean_
    np.testing.assert_allclose(model.reconstruct(X), wanted, rtol=1e-12)
    # The posterior mean shrinks: it is nearer to the mean than the orthogonal projection is.
    projected = (X - model.mean_) @ model.components_.T @ model.components_ + model.mean_
    shrunk = np.linalg.norm(model.reconstruct(X) - model.mean_, axis=1)
    assert (shrunk < np.linalg.norm(projected - model.mean_, axis=1)).all()


def test_a_traversal_moves_one_latent_from_its_posterior_mean() -> None:
    X = cloud(100, 6)
    model = PPCA(3).fit(X)
    offsets = np.array([-2.0, 0.0, 0.5, 3.0])
    rows = model.traverse(X[4], 1, offsets)
    Z = np.tile(model.posterior_mean(X[4:5]), (4, 1))
    Z[:, 1] += offsets
    np.testing.assert_allclose(rows, model.decode(Z), rtol=1e-12)
    np.testing.assert_allclose(rows[1], model.reconstruct(X[4:5])[0], rtol=1e-12)


def test_no_latents_is_an_isotropic_normal() -> None:
    X = cloud(50, 4)
    model = PPCA(0).fit(X)
    assert model.noise_variance_ == pytest.approx(X.var(axis=0).mean(), rel=1e-12)
    np.testing.assert_array_equal(model.reconstruct(X), np.tile(model.mean_, (50, 1)))
    assert model.posterior_mean(X).shape == (50, 0)
    assert model.loadings_.shape == (4, 0) and model.components_.shape == (0, 4)
    with pytest.raises(ModelError, match="no latent to traverse"):
        model.traverse(X[0], 0, [1.0])


def test_latent_arguments_are_checked() -> None:
    model = PPCA(2).fit(X := cloud(50, 4))
    for component in (2, -1, 1.0, True):
        with pytest.raises(ModelError, match="component must be an integer, 0 to 1"):
            model.traverse(X[0], component, [1.0])
    with pytest.raises(DataError, match="offsets holds NaN at row 0"):
        model.traverse(X[0], 0, [np.nan])
    with pytest.raises(AncestralError, match="expecting 4 features"):
        model.traverse(X[0, :3], 0, [1.0])
    with pytest.raises(DataError, match="Z has 3 columns; the model has 2 latents"):
        model.decode(np.zeros((1, 3)))
    with pytest.raises(DataError, match="Z holds inf at row 0, column 1"):
        model.decode([[0.0, np.inf]])


# ---- draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "q"), [(200, 6, 2), (200, 6, 0), (12, 40, 3)])
def test_draws_are_normal_along_every_direction(n: int, d: int, q: int) -> None:
    model = PPCA(q).fit(cloud(n, d))
    drawn = model.sample(4_000, random_state=0) - model.mean_
    C, rng = model.get_covariance(), np.random.default_rng(1)
    directions = np.vstack([model.components_, np.eye(d)[:2], rng.normal(size=(4, d))])
    for a in directions:
        test = stats.kstest(drawn @ a, stats.norm(scale=np.sqrt(a @ C @ a)).cdf)
        assert test.pvalue > FALSE_ALARM / len(directions)


def test_draws_given_everything_repeat_it_and_given_nothing_are_plain() -> None:
    model = PPCA(2).fit(cloud(200, 5))
    row = model.mean_ + np.arange(5)
    np.testing.assert_array_equal(model.sample(3, given=row), np.tile(row, (3, 1)))
    drawn = model.sample(4_000, given=np.full(5, np.nan), random_state=0)
    distance = -2 * (model.log_density(drawn) - model.log_density(model.mean_[None]))
    assert stats.kstest(distance, stats.chi2(5).cdf).pvalue > FALSE_ALARM
    with pytest.raises(DataError, match="given holds inf at row 2"):
        model.sample(1, given=[0, 0, np.inf, 0, 0])


# ---- real faces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [2, 50])
def test_faces_are_scored_as_scipys_normal_scores_them(q: int, course: Path) -> None:
    """400 float32 faces of 576 pixels: fewer rows than columns."""
    X = read_array(course / "eigenfaces.npy")
    assert X.shape == (400, 576)
    model = PPCA(q).fit(X)
    mean, C, noise = textbook(X, q)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-9)
    wanted = stats.multivariate_normal(mean, C).logpdf(X.astype(np.float64))
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=1e-9)
    assert (np.diff(model.eigenvalues_) <= 0).all()


# ---- ordinary but awkward data -------------------------------------------------------------------


def check_against_textbook(X: np.ndarray, q: int, *, rel: float = 1e-9) -> PPCA:
    """Fit without a warning and compare with the slow formulas on centred data."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PPCA(q).fit(X)
        scores = model.log_density(X)
    mean, C, noise = textbook(X, q)
    assert model.noise_variance_ == pytest.approx(noise, rel=rel)
    np.testing.assert_allclose(
        scores, stats.multivariate_normal(mean, C).logpdf(X.astype(np.float64)), rtol=rel
    )
    return model


def test_a_constant_column_is_warned_of_once_and_fitted() -> None:
    X = cloud(60, 5)
    X[:, 3] = 0.1
    with pytest.warns(AncestralWarning, match=r"1 of 5 columns are constant \(3\)") as caught:
        model = PPCA(2).fit(X)
    assert len(caught) == 1
    mean, C, noise = textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-10) and noise > 0
    np.testing.assert_allclose(
        model.log_density(X), stats.multivariate_normal(mean, C).logpdf(X), rtol=1e-9
    )


def test_repeated_rows_and_columns_are_fitted() -> None:
    X = cloud(40, 5)
    check_against_textbook(np.vstack([X, X]), 2)
    check_against_textbook(np.hstack([X, X[:, :2]]), 2)
    np.testing.assert_allclose(
        PPCA(2).fit(np.vstack([X, X])).loadings_, PPCA(2).fit(X).loadings_, rtol=1e-9
    )


def test_equal_eigenvalues_at_the_cut_leave_the_likelihood_unique() -> None:
    """Rows at the corners of a cross: all directions alike."""
    X = np.vstack([np.eye(4), -np.eye(4)]) * 3.0
    model = check_against_textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(9 * 2 / 8, rel=1e-12)
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    turned = PPCA(2).fit(X @ Q)
    assert turned.score(X @ Q) == pytest.approx(model.score(X), rel=1e-12)


@pytest.mark.parametrize("offset", [1e4, -1e8])
def test_a_large_mean_costs_nothing(offset: float) -> None:
    """sigma^2 against exact fractions of the very values that float64 holds."""
    X = cloud(60, 4) + offset
    model = PPCA(0).fit(X)
    exact = Fraction(0)
    for column in X.T:
        values = [Fraction(v) for v in column.tolist()]
        mean = sum(values) / len(values)
        exact += sum((v - mean) ** 2 for v in values)
    assert model.noise_variance_ == pytest.approx(float(exact / X.size), rel=1e-9)
    near = X - X[0]  # exact: neighbouring floats
    centred = PPCA(2).fit(near)
    far = PPCA(2).fit(X)
    assert far.noise_variance_ == pytest.approx(centred.noise_variance_, rel=1e-6)
    np.testing.assert_allclose(far.log_density(X), centred.log_density(near), rtol=1e-6)


def test_float32_at_a_mean_of_1e4_is_summed_in_float64() -> None:
    X = (np.random.default_rng(0).normal(size=(3000, 6)) * 0.3 + 1e4).astype(np.float32)
    model = PPCA(2).fit(X)
    _, _, noise = textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-5)
    wanted = stats.multivariate_normal(*textbook(X, 2)[:2]).logpdf(X.astype(np.float64))
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_float32_too_coarse_for_its_noise_is_said_to_be(noise: float) -> None:
    """At 1e8 the values of float32 stand 8 apart: finer noise is gone before we see it."""
    rng = np.random.default_rng(0)
    X = (noise * rng.normal(size=(200, 3)) + 1e8).astype(np.float32)
    if noise < 2:  # all rounded to one value
        with pytest.raises(ModelError, match=r"float32 values near 1e\+08 stand 8 apart"):
            PPCA(1).fit(X)
        return
    with pytest.warns(
        AncestralWarning, match=r"float32 values near 1e\+08 stand 8 apart"
    ) as caught:
        model = PPCA(1).fit(X)
    assert len(caught) == 1
    assert model.noise_variance_ == pytest.approx(textbook(X, 1)[2], rel=1e-4)
    check_against_textbook(X - np.float32(1e8), 1, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-140, 1e-15, 1e15, 1e140])
@pytest.mark.parametrize("n", [60, 3])
def test_the_unit_of_the_data_does_not_matter(scale: float, n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    plain, model = PPCA(1).fit(X), PPCA(1).fit(X * scale)
    assert model.noise_variance_ / scale**2 == pytest.approx(plain.noise_variance_, rel=1e-10)
    moved = model.log_density(X * scale) + 4 * np.log(scale)
    np.testing.assert_allclose(moved, plain.log_density(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_float32_values_are_squared_in_float64(scale: float) -> None:
    check_against_textbook((cloud(60, 4) * scale).astype(np.float32), 1, rel=1e-5)


@pytest.mark.parametrize("n", [60, 3])
def test_a_unit_whose_squares_float64_cannot_hold_is_refused(n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="vanish when squared: rescale"):
            PPCA(1).fit(X * 1e-200)
        with pytest.raises(DataError, match=r"overflow when squared.* Rescale"):
            PPCA(1).fit(X * 1e200)


def test_pixels_of_0_to_255_are_as_good_as_of_0_to_1() -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(50, 9)).astype(np.uint8)
    eight, one = PPCA(2).fit(X), PPCA(2).fit(X / 255)
    np.testing.assert_allclose(eight.mean_ / 255, one.mean_, rtol=1e-12)
    assert eight.score(X) == pytest.approx(one.score(X / 255) - 9 * np.log(255), rel=1e-10)


DTYPES = [">f8", ">f4", np.float16, np.longdouble, np.int8, np.uint8, np.int64, bool]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: np.dtype(t).str)
def test_any_real_dtype_is_taken_by_value(dtype: Any) -> None:
    X = np.random.default_rng(0).integers(0, 2, size=(40, 5)).astype(dtype)
    wanted = PPCA(2).fit(X.astype(np.float64))
    model = PPCA(2).fit(X)
    tolerance = 1e-4 if np.dtype(dtype).str[1:] == "f4" else 1e-12
    np.testing.assert_allclose(model.loadings_, wanted.loadings_, rtol=tolerance)
    np.testing.assert_allclose(model.log_density(X), wanted.log_density(X), rtol=tolerance)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (12, 40)])
def test_memory_order_and_views_do_not_change_a_bit(n: int, d: int) -> None:
    X = cloud(n, d)
    padded = np.zeros((2 * n, d + 3))
    padded[::2, 1 : d + 1] = X
    readonly = X.copy()
    readonly.flags.writeable = False
    plain = PPCA(2).fit(X)
    for other in (np.asfortranarray(X), padded[::2, 1 : d + 1], readonly, X.tolist()):
        model = PPCA(2).fit(other)
        np.testing.assert_array_equal(model.loadings_, plain.loadings_)
        assert model.noise_variance_ == plain.noise_variance_
        np.testing.assert_allclose(model.log_density(other), plain.log_density(X), rtol=1e-13)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 + 0.1, -1e-200, 3e38])
def test_constant_data_have_no_maximum(value: float) -> None:
    for shape in ((20, 3), (3, 20)):
        for dtype in (np.float64, np.float32):
            with pytest.raises(ModelError, match=r"X has no variance.* unbounded"):
                PPCA(1).fit(np.full(shape, value, dtype))


@pytest.mark.parametrize(("n", "q"), [(1, 0), (1, 1), (2, 1), (11, 10), (2, 10)])
def test_too_few_rows_are_refused_with_the_number_needed(n: int, q: int) -> None:
    X = cloud(30, 20)[:n]
    with pytest.raises(ModelError, match=rf"n_samples = {n} is too few: at least {q + 2} rows"):
        PPCA(q).fit(X)


@pytest.mark.parametrize("q", [9, 10, 11])
def test_as_many_components_as_rows_leave_no_noise(q: int) -> None:
    X = cloud(10, 20)
    with pytest.raises(ModelError, match=r"too few|sigma\^2 = 0"):
        PPCA(q).fit(X)
    assert PPCA(8).fit(X).noise_variance_ > 0


def test_data_of_low_rank_are_refused_with_what_is_possible() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 8)) + 5
    with pytest.raises(ModelError, match=r"sigma\^2 = 0.*rank 3. Pass n_components=2 or fewer"):
        PPCA(3).fit(flat)
    check_against_textbook(flat, 2, rel=1e-7)
    X = cloud(12, 3)[[0, 1, 2, 3] * 6]  # four distinct rows: rank 3 of 3
    check_against_textbook(X, 2)
    with pytest.raises(ModelError, match=r"rank 2. Pass n_components=1"):
        PPCA(2).fit(X[X[:, 0] != X[3, 0]])
    twice = np.hstack([cloud(50, 3)] * 2)
    with pytest.raises(ModelError, match=r"rank 3. Pass n_components=2"):
        PPCA(4).fit(twice)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (5, r"below the number of features; got 5 with 5 feature\(s\). Pass n_components=4"),
        (6, "got 6 with 5"),
        (-1, "must be an integer, 0 or more; got -1"),
        (2.5, "got 2.5"),
        (2.0, "got 2.0"),
        (True, "got True"),
        ("3", "got '3'"),
        (None, "got None"),
    ],
)
def test_n_components_must_be_a_count_below_d(q: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"n_components.*{message}"):
        PPCA(q).fit(cloud(30, 5))


def test_one_column_can_only_be_isotropic() -> None:
    X = cloud(30, 1)
    assert PPCA(0).fit(X).noise_variance_ == pytest.approx(X.var(), rel=1e-12)
    with pytest.raises(ModelError, match="Give two columns or more"):
        PPCA(1).fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((24, 24, 3)), "looks like one RGB image: convert it to grey"),
        (np.zeros((9, 24, 24)), r"flatten each image: X.reshape\(9, 576\)"),
        (np.zeros((9, 24, 24, 3)), "colour images are not modelled"),
        (np.zeros(5), "1D array"),
        (3.0, "0"),
        (np.zeros((0, 3)), r"0 sample\(s\)"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        ([[1.0, 2.0], [3.0]], "ragged"),
        (np.array([["1.5", "2"], ["3", "4"]]), "text"),
        (np.zeros((3, 2), complex), "[Cc]omplex"),
        (np.zeros((3, 2), "datetime64[s]"), "datetime64"),
        (np.array([[1.0, np.inf], [0.0, 1.0], [2.0, 1.0]]), "inf at row 0, column 1"),
        (np.array([[1.0, 2.0], [-np.inf, 1.0], [2.0, 1.0]]), "-inf at row 1, column 0"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PPCA(1).fit(X)


def test_faces_of_another_size_are_refused() -> None:
    model = PPCA(1).fit(cloud(20, 16))
    with pytest.raises(DataError, match="25 features, but PPCA is expecting 16 features as input"):
        model.log_density(np.zeros((1, 25)))


def test_permuted_columns_of_a_dataframe_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(cloud(30, 3), columns=["a", "b", "c"])
    model = PPCA(1).fit(frame)
    with pytest.raises(DataError, match="same order"):
        model.log_density(frame[["b", "a", "c"]])
    assert list(model.get_feature_names_out()) == ["ppca0"]

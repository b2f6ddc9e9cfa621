"""Probabilistic PCA against the normal distribution it is: slow, obvious formulas throughout."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from ancestral import PPCA
from ancestral.errors import AncestralError, DataError, ModelError

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

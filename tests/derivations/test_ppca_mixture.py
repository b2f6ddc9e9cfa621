"""The steps of docs/models/ppca_mixture.md, a test each, by the number that the page gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from ancestral import PPCA, PPCAMixture

Float = NDArray[np.float64]
Piece = tuple[float, Float, Float]  # share, mean, covariance


def closed_form(mean: Float, S: Float, d: int) -> Float:
    """Return the C of PPCA's maximum for a covariance S."""
    eigenvalues, U = np.linalg.eigh(S)
    eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
    noise = eigenvalues[d:].mean()
    W = U[:, :d] * np.sqrt(eigenvalues[:d] - noise)
    return np.asarray(W @ W.T + noise * np.eye(len(mean)))


def joint(X: Float, pieces: list[Piece]) -> Float:
    """Return log pi_c + log p(known entries of x | c), shape (n, k)."""
    found, known = np.empty((len(X), len(pieces))), ~np.isnan(X)
    for o in np.unique(known, axis=0):
        rows = (known == o).all(axis=1)
        for c, (share, mean, C) in enumerate(pieces):
            normal = multivariate_normal(mean[o], C[np.ix_(o, o)])
            found[rows, c] = np.log(share) + normal.logpdf(X[np.ix_(rows, o)])
    return found


def log_likelihood(X: Float, pieces: list[Piece]) -> float:
    return float(logsumexp(joint(X, pieces), axis=1).sum())


def responsibilities(X: Float, pieces: list[Piece]) -> Float:
    found = joint(X, pieces)
    return np.asarray(np.exp(found - logsumexp(found, axis=1, keepdims=True)))


def test_the_density_of_divided_columns() -> None:
    """With `standardize=True`: the formula at the first fit."""
    X = np.random.default_rng(0).normal(size=(80, 4)) ** 3 * [1.0, 20.0, 0.1, 5.0]
    model = PPCAMixture(2, n_components=1, standardize=True, random_state=0).fit(X)
    s, pieces = model.scale_, []
    for c, noise in enumerate(model.noise_variances_):
        W = model.loadings_[c] / s[:, None]
        C = np.diag(s) @ (W @ W.T + noise * np.eye(4)) @ np.diag(s)
        pieces.append((model.weights_[c], model.means_[c], C))
    np.testing.assert_allclose(model.log_density(X), logsumexp(joint(X, pieces), axis=1))


def completed(x: Float, mean: Float, C: Float) -> tuple[Float, Float]:
    """Return the mean and covariance of a row given its known entries (0 where known)."""
    o, u = ~np.isnan(x), np.isnan(x)
    filled, spread = x.copy(), np.zeros(C.shape)
    gain = C[np.ix_(u, o)] @ np.linalg.inv(C[np.ix_(o, o)])
    filled[u] = mean[u] + gain @ (x[o] - mean[o])
    spread[np.ix_(u, u)] = C[np.ix_(u, u)] - gain @ C[np.ix_(o, u)]
    return filled, spread


def em_step(X: Float, pieces: list[Piece], d: int) -> list[Piece]:
    """Steps 4 and 5; of rows with gaps, step 7."""
    r, found = responsibilities(X, pieces), []
    for c, (_, mean, C) in enumerate(pieces):
        each = [completed(x, mean, C) for x in X]
        rows = np.array([row for row, _ in each])
        new = r[:, c] @ rows / r[:, c].sum()
        S = np.einsum("n,ni,nj->ij", r[:, c], rows - new, rows - new)
        S += np.einsum("n,nij->ij", r[:, c], np.array([spread for _, spread in each]))
        found.append((r[:, c].mean(), new, closed_form(new, S / r[:, c].sum(), d)))
    return found


@pytest.fixture(scope="module")
def X() -> Float:
    rng = np.random.default_rng(0)
    lines = [[3.0, 1.0, 0.0], [1.0, -3.0, 1.0]]
    parts = [rng.normal(size=(40, 1)) @ np.array([line]) + 4.0 * c for c, line in enumerate(lines)]
    return np.asarray(np.concatenate(parts) + 0.5 * rng.normal(size=(80, 3)))


@pytest.fixture(scope="module")
def gappy(X: Float) -> Float:
    return np.where(np.random.default_rng(1).random(X.shape) < 0.15, np.nan, X)


@pytest.fixture(scope="module")
def start(X: Float) -> list[Piece]:
    means = X.mean(axis=0) + np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
    return [(0.4, means[0], np.eye(3) * 4), (0.6, means[1], np.eye(3) * 3)]


def pieces_of(model: PPCAMixture) -> list[Piece]:
    return [
        (float(share), mean, W @ W.T + noise * np.eye(len(mean)))
        for share, mean, W, noise in zip(
            model.weights_, model.means_, model.loadings_, model.noise_variances_
        )
    ]


# ---- the steps -----------------------------------------------------------------------------------


def test_step_1_the_density(X: Float) -> None:
    model = PPCAMixture(2, 1, random_state=0).fit(X)
    expected = logsumexp(joint(X, pieces_of(model)), axis=1)
    np.testing.assert_allclose(model.log_density(X), expected, rtol=1e-10)


def test_step_2_the_bound(X: Float, start: list[Piece]) -> None:
    """log L less the bound is a sum of Kullback-Leibler divergences."""
    r, found = responsibilities(X, start), joint(X, start)
    shares = np.random.default_rng(2).dirichlet([1.0, 1.0], size=len(X))
    bound = float((shares * (found - np.log(shares))).sum())
    divergence = float((shares * np.log(shares / r)).sum())
    assert divergence > 0
    assert np.isclose(log_likelihood(X, start) - bound, divergence, rtol=1e-10)


def test_step_3_the_bound_touches(X: Float, start: list[Piece]) -> None:
    r, found = responsibilities(X, start), joint(X, start)
    bound = float((r * (found - np.log(r))).sum())
    assert np.isclose(log_likelihood(X, start), bound, rtol=1e-12)


def test_step_4_the_shares() -> None:
    """The sum of R_c log pi_c under sum pi_c = 1 has its only stationary point at R_c / n."""
    sums, shares = sp.symbols("R:3", positive=True), sp.symbols("p:3", positive=True)
    factor = sp.Symbol("factor", positive=True)
    lagrange = sum(R * sp.log(p) for R, p in zip(sums, shares)) - factor * (sum(shares) - 1)
    equations = [sp.diff(lagrange, x) for x in (*shares, factor)]
    (found,) = sp.solve(equations, [*shares, factor], dict=True)
    assert all(sp.simplify(found[p] - R / sum(sums)) == 0 for R, p in zip(sums, shares))


def test_step_5_each_piece_in_closed_form(X: Float, start: list[Piece]) -> None:
    """No nudge raises the weighted log-likelihood; PPCA with sample_weight gives the same piece."""
    r, rng = responsibilities(X, start)[:, 0], np.random.default_rng(3)
    mean = r @ X / r.sum()
    S = (X - mean).T @ ((X - mean) * r[:, None]) / r.sum()
    C = closed_form(mean, S, 1)
    best = float(r @ multivariate_normal(mean, C).logpdf(X))
    eigenvalues, U = np.linalg.eigh(C)
    w, noise = U[:, -1] * np.sqrt(eigenvalues[-1] - eigenvalues[0]), eigenvalues[0]
    for size in (1e-3, 1e-1):
        for _ in range(20):
            near = w + size * rng.normal(size=3)
            other = np.outer(near, near) + noise * np.exp(size * rng.normal()) * np.eye(3)
            at = multivariate_normal(mean + size * rng.normal(size=3), other)
            assert r @ at.logpdf(X) < best
    model = PPCA(1).fit(X, sample_weight=r)
    np.testing.assert_allclose(model.get_covariance(), C, rtol=1e-9)
    np.testing.assert_allclose(model.mean_, mean, rtol=1e-12)


def test_step_6_the_likelihood_never_falls(X: Float, start: list[Piece]) -> None:
    pieces, values = start, [log_likelihood(X, start)]
    for _ in range(100):
        pieces = em_step(X, pieces, 1)
        values.append(log_likelihood(X, pieces))
    assert (np.diff(values) > -1e-10 * abs(values[-1])).all()
    model = PPCAMixture(2, 1, random_state=0, tol=1e-12).fit(X)
    assert values[-1] <= model.log_likelihood_ + 1e-6
    # The fit stays where the steps would lead it.
    assert log_likelihood(X, em_step(X, pieces_of(model), 1)) <= model.log_likelihood_ + 1e-6


def test_step_7_gaps(gappy: Float, start: list[Piece]) -> None:
    pieces, values = start, [log_likelihood(gappy, start)]
    for _ in range(60):
        pieces = em_step(gappy, pieces, 1)
        values.append(log_likelihood(gappy, pieces))
    assert (np.diff(values) > -1e-10 * abs(values[-1])).all()
    model = PPCAMixture(2, 1, random_state=0, tol=1e-12).fit(gappy)
    assert values[-1] <= model.log_likelihood_ + 1e-6
    again = em_step(gappy, pieces_of(model), 1)
    assert abs(log_likelihood(gappy, again) - model.log_likelihood_) < 1e-6
    one, plain = PPCAMixture(1, 1, tol=1e-12).fit(gappy), PPCA(1, tol=1e-12).fit(gappy)
    assert np.isclose(one.log_likelihood_, plain.log_likelihood_, rtol=1e-8)


def test_step_8_a_conditional_is_a_mixture(X: Float) -> None:
    """Shares p(c | x_o), and the mean and variance of the mixture of each piece's conditional."""
    model = PPCAMixture(2, 1, random_state=0).fit(X)
    x = np.array([1.0, np.nan, np.nan])
    pieces = pieces_of(model)
    share = responsibilities(x[None], pieces)[0]
    np.testing.assert_allclose(model.responsibilities(x[None])[0], share, rtol=1e-9)
    each: list[Any] = [completed(x, mean, C) for _, mean, C in pieces]
    mean = sum(s * filled for s, (filled, _) in zip(share, each))
    variance = sum(
        s * (spread.diagonal() + (filled - mean) ** 2) for s, (filled, spread) in zip(share, each)
    )
    filled, std = model.impute(x[None], return_std=True)
    np.testing.assert_allclose(filled[0], mean, rtol=1e-9)
    np.testing.assert_allclose(std[0], np.sqrt(variance), rtol=1e-8, atol=1e-12)
    # p(x_u | x_o) by this mixture is p(x) / p(x_o).
    row = np.array([1.0, 0.5, -1.0])
    u = [1, 2]
    inside = sum(
        s * multivariate_normal(f[u], V[np.ix_(u, u)]).pdf(row[u]) for s, (f, V) in zip(share, each)
    )
    ratio = model.log_density(row[None])[0] - model.log_density(x[None])[0]
    assert np.isclose(np.log(inside), ratio, rtol=1e-8)


def test_step_9_no_bound_where_a_piece_closes_in() -> None:
    """A piece through d + 1 rows: each adds (m - d) / 2 log(1 / v) as its noise v falls."""
    v, share, density = sp.symbols("v share density", positive=True)
    m, d = 3, 1
    # of each row on the piece: a normal along it, of any variance, and noise v beside it
    beside = share * density * (2 * sp.pi * v) ** sp.Rational(-(m - d), 2)
    assert sp.limit(sp.log(beside), v, 0) == sp.oo
    rng = np.random.default_rng(4)
    X = rng.normal(size=(20, 3))
    mean, along = X[:2].mean(axis=0), np.outer(X[1] - X[0], X[1] - X[0]) / 4
    values = [
        log_likelihood(X, [(0.1, mean, along + v * np.eye(3)), (0.9, np.zeros(3), np.eye(3))])
        for v in (1e-3, 1e-5, 1e-7)
    ]
    assert values[0] < values[1] < values[2]
    gain = (m - d) / 2 * np.log(1e2) * 2  # two rows
    assert np.isclose(values[2] - values[1], gain, rtol=1e-2)

"""Curves of the Gaussian models: fits against rows and columns, then scoring, drawing, filling."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture

from ancestral import (
    PPCA,
    HeteroscedasticGaussian,
    LinearGaussian,
    NeuralGaussian,
    PPCAMixture,
)
from benchmarks import heteroscedastic
from benchmarks.curves.curve import Aim, Curve, Tasks
from benchmarks.timing import Task

Array = NDArray[np.float64]
ITERATED = "least squares iterated in numpy"
LOG_2PI = float(np.log(2 * np.pi))
HIDDEN, STEPS = 32, 20  # of the network
MODELS, STARTS = 2, 5  # of the mixture
FEW = 1_000  # rows, up to which torch is quicker on one thread
TRAINED_ON = 500  # rows, of the models that score and draw
ROWS = (20, 50, 200, 1_000, 5_000, 20_000, 100_000, 300_000, 1_000_000)
SCORED = (1, 10, 100, 1_000, 10_000, 100_000)
ONE_ROW = Aim("", seconds=1e-4, until=1, together="one row, any model")

# ---- data ------------------------------------------------------------------------------------


def table(n: int, d: int) -> Array:
    """Return rows whose columns go together, with an offset."""
    rng = np.random.default_rng([n, d])
    q = latent(d)
    W = rng.normal(size=(q, d)) * np.linspace(3, 1, q)[:, None]
    return rng.normal(size=(n, q)) @ W + rng.normal(size=(n, d)) + 5.0


def line(n: int, d: int) -> tuple[Array, Array]:
    """Return inputs and targets whose noise depends on the first input."""
    rng = np.random.default_rng([n, d])
    X = rng.normal(size=(n, d)) + 1.0
    spread = np.exp(0.2 * X[:, 0])
    return X, X @ rng.normal(size=d) + spread * rng.normal(size=n)


def latent(d: int) -> int:
    """Return the latent dimension that goes with d columns: 1 to 64."""
    return min(64, max(1, d // 8))


# ---- linear regression -----------------------------------------------------------------------


def fit_with_errors(n: int, d: int) -> Tasks:
    """Coefficients, standard errors and noise variance."""
    X, y = line(n, d)

    def ours() -> Any:
        model = LinearGaussian().fit(X, y)
        return np.r_[model.intercept_, model.coef_, model.standard_errors_]

    peers: dict[str, Task] = {}
    if importlib.util.find_spec("statsmodels") is not None:
        import statsmodels.api as sm

        A = np.column_stack([np.ones(n), X])  # the peer is given its column of ones

        def ols() -> Any:
            result = sm.OLS(y, A).fit()
            return np.r_[result.params, result.bse]

        peers["statsmodels OLS with bse"] = ols
    return Tasks(ours, peers, lambda: X.T @ X)


def fit_coefficients(n: int, d: int) -> Tasks:
    X, y = line(n, d)
    return Tasks(
        lambda: LinearGaussian().fit(X, y).coef_,
        {"LinearRegression": lambda: LinearRegression().fit(X, y).coef_},
        lambda: X.T @ X,
    )


@cache
def fitted_line(d: int) -> tuple[LinearGaussian, LinearRegression]:
    X, y = line(TRAINED_ON, d)
    return LinearGaussian().fit(X, y), LinearRegression().fit(X, y)


def line_predict(n: int, d: int) -> Tasks:
    (model, peer), (X, _) = fitted_line(d), line(n, d)
    return Tasks(
        lambda: model.predict(X),
        {"LinearRegression": lambda: peer.predict(X)},
        lambda: X @ peer.coef_,
    )


def line_log_density(n: int, d: int) -> Tasks:
    (model, peer), (X, y) = fitted_line(d), line(n, d)
    variance = float(model.noise_variance_)

    def theirs() -> Array:
        return -0.5 * (LOG_2PI + np.log(variance) + (y - peer.predict(X)) ** 2 / variance)

    peers: dict[str, Task] = {"LinearRegression, then numpy": theirs}
    return Tasks(lambda: model.log_density(X, y), peers, lambda: X @ peer.coef_)


def line_sample(n: int, d: int) -> Tasks:
    (model, peer), (X, _) = fitted_line(d), line(n, d)
    rng, deviation = np.random.default_rng(0), float(model.noise_variance_) ** 0.5
    return Tasks(
        lambda: model.sample(X, random_state=rng),
        {
            "LinearRegression, then numpy": lambda: (
                peer.predict(X) + deviation * rng.standard_normal(n)
            )
        },
        lambda: rng.standard_normal(n),
    )


# ---- a variance that depends on x ------------------------------------------------------------


def heteroscedastic_fit(n: int, d: int) -> Tasks:
    X, y = heteroscedastic.data(n, d)

    def ours() -> Array:
        model = HeteroscedasticGaussian().fit(X, y)
        return np.r_[model.intercept_, model.coef_]

    peers: dict[str, Task] = {ITERATED: lambda: heteroscedastic.iterated(X, y)[0]}
    return Tasks(ours, peers, lambda: X.T @ X)


@cache
def fitted_spread(d: int) -> HeteroscedasticGaussian:
    return HeteroscedasticGaussian().fit(*line(TRAINED_ON, d))


def spread_log_density(n: int, d: int) -> Tasks:
    model, (X, y) = fitted_spread(d), line(n, d)
    w, b = model.coef_, model.intercept_
    v, c = model.variance_coef_, model.variance_intercept_

    def theirs() -> Array:
        h = X @ v + c
        return -0.5 * (LOG_2PI + h + (y - X @ w - b) ** 2 * np.exp(-h))

    return Tasks(lambda: model.log_density(X, y), {"numpy by hand": theirs}, lambda: X @ w)


def spread_predict(n: int, d: int) -> Tasks:
    (_, peer), model, (X, _) = fitted_line(d), fitted_spread(d), line(n, d)
    return Tasks(
        lambda: model.predict(X),
        {"LinearRegression": lambda: peer.predict(X)},
        lambda: X @ peer.coef_,
    )


def spread_sample(n: int, d: int) -> Tasks:
    model, (X, _), rng = fitted_spread(d), line(n, d), np.random.default_rng(0)
    w, b = model.coef_, model.intercept_
    v, c = model.variance_coef_, model.variance_intercept_
    return Tasks(
        lambda: model.sample(X, random_state=rng),
        {"numpy by hand": lambda: X @ w + b + np.exp((X @ v + c) / 2) * rng.standard_normal(n)},
        lambda: rng.standard_normal(n),
    )


# ---- the network -----------------------------------------------------------------------------


def network(**more: Any) -> NeuralGaussian:
    settings = {"hidden_size": HIDDEN, "max_steps": STEPS, "patience": STEPS, "random_state": 0}
    return NeuralGaussian(**{**settings, **more})


def network_fit(n: int, d: int) -> Tasks:
    """The same network, the same steps of Adam on all rows, by a plain loop in PyTorch."""
    X, y = line(n, d)
    A = np.zeros((d, HIDDEN))
    peers: dict[str, Task] = {"torch, a plain loop of as many steps": lambda: train(X, y)}
    return Tasks(lambda: network().fit(X, y), peers, lambda: [X @ A for _ in range(3 * STEPS)])


@cache
def _all_threads() -> int:
    import torch

    return torch.get_num_threads()


def in_torch(n: int) -> Any:
    """Return torch, on one thread where more only cost: peers get what is best for them."""
    import torch

    most = _all_threads()
    torch.set_num_threads(1 if n <= FEW else most)
    return torch


def train(X: Array, y: Array) -> float:
    torch = in_torch(len(X))
    torch.manual_seed(0)
    U = torch.as_tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
    t = torch.as_tensor((y - y.mean()) / y.std(), dtype=torch.float32)
    hidden, head = torch.nn.Linear(X.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 2)
    direct = torch.nn.Linear(X.shape[1], 2, bias=False)
    weights = [*hidden.parameters(), *head.parameters(), *direct.parameters()]
    optimiser = torch.optim.Adam(weights, lr=0.05)
    for _ in range(STEPS):
        optimiser.zero_grad()
        mean, h = (head(torch.tanh(hidden(U))) + direct(U)).unbind(1)
        loss = (h + (t - mean) ** 2 * torch.exp(-h)).mean()
        loss.backward()
        optimiser.step()
    return loss.item()


@cache
def fitted_network(d: int) -> tuple[NeuralGaussian, Any]:
    from sklearn.neural_network import MLPRegressor

    X, y = line(TRAINED_ON, d)
    peer = MLPRegressor(hidden_layer_sizes=(HIDDEN,), activation="tanh", max_iter=5, random_state=0)
    return network(max_steps=20, patience=20).fit(X, y), peer.fit(X, y)


def network_predict(n: int, d: int) -> Tasks:
    (model, peer), (X, _) = fitted_network(d), line(n, d)
    A = peer.coefs_[0]
    return Tasks(lambda: model.predict(X), {"MLPRegressor": lambda: peer.predict(X)}, lambda: X @ A)


def network_log_density(n: int, d: int) -> Tasks:
    (model, peer), (X, y) = fitted_network(d), line(n, d)
    A = peer.coefs_[0]
    return Tasks(
        lambda: model.log_density(X, y),
        {"MLPRegressor, then numpy": lambda: -0.5 * (LOG_2PI + (y - peer.predict(X)) ** 2)},
        lambda: X @ A,
    )


def network_sample(n: int, d: int) -> Tasks:
    (model, peer), (X, _), rng = fitted_network(d), line(n, d), np.random.default_rng(0)
    return Tasks(
        lambda: model.sample(X, random_state=rng),
        {"MLPRegressor, then numpy": lambda: peer.predict(X) + rng.standard_normal(n)},
        lambda: rng.standard_normal(n),
    )


# ---- PPCA ------------------------------------------------------------------------------------


def ppca_fit(n: int, d: int) -> Tasks:
    X, q = table(n, d), min(latent(d), n - 2)
    return Tasks(
        lambda: PPCA(q).fit(X).explained_variance_,
        {"PCA": lambda: PCA(q, random_state=0).fit(X).explained_variance_},
        lambda: X.T @ X if n > d else X @ X.T,
    )


@cache
def fitted_ppca(d: int) -> tuple[PPCA, PCA]:
    X = table(2 * TRAINED_ON, d)
    return PPCA(latent(d)).fit(X), PCA(latent(d)).fit(X)


def ppca_log_density(n: int, d: int) -> Tasks:
    (model, peer), X = fitted_ppca(d), table(n, d)
    root = np.linalg.cholesky(model.get_precision())
    constant = np.log(np.diag(root)).sum() - 0.5 * d * LOG_2PI

    def by_hand() -> Array:
        c = (X - model.mean_) @ root
        return constant - 0.5 * np.einsum("ij,ij->i", c, c)

    peers: dict[str, Task] = {
        "PCA.score_samples": lambda: peer.score_samples(X),
        "numpy by hand": by_hand,
    }
    return Tasks(lambda: model.log_density(X), peers, lambda: X @ model.loadings_)


def ppca_transform(n: int, d: int) -> Tasks:
    (model, peer), X = fitted_ppca(d), table(n, d)
    return Tasks(
        lambda: model.transform(X),
        {"PCA": lambda: peer.transform(X)},
        lambda: X @ model.loadings_,
    )


def ppca_sample(n: int, d: int) -> Tasks:
    (model, _), rng, q = fitted_ppca(d), np.random.default_rng(0), latent(d)
    W, sigma, mean = model.loadings_.T, model.noise_variance_**0.5, model.mean_
    mixture = as_mixture(np.ones(1), mean[None], model.get_covariance()[None])

    def by_hand() -> Array:
        return rng.standard_normal((n, q)) @ W + sigma * rng.standard_normal((n, d)) + mean

    peers: dict[str, Task] = {
        "GaussianMixture(1)": lambda: mixture.sample(n)[0],
        "numpy by hand": by_hand,
    }
    floor = lambda: rng.standard_normal((n, d))  # noqa: E731 - timed as it stands
    return Tasks(lambda: model.sample(n, random_state=rng), peers, floor)


def ppca_given(n: int, d: int) -> Tasks:
    """Half of the columns known."""
    (model, _), rng = fitted_ppca(d), np.random.default_rng(0)
    given = table(1, d)[0]
    given[: d // 2] = np.nan
    one = [(model.mean_, model.get_covariance())]
    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {"numpy by hand": lambda: draw_given(n, given, np.ones(1), one, rng)},
        lambda: rng.standard_normal((n, d - d // 2)),
    )


def draw_given(
    n: int, given: Array, weights: Array, parts: list[tuple[Array, Array]], rng: Any
) -> Array:
    """Draw from a mixture of normals given some columns, in numpy by hand."""
    out = np.isnan(given)
    log_share, means, roots = np.log(weights), [], []
    for k, (mean, C) in enumerate(parts):
        L = np.linalg.cholesky(C[np.ix_(~out, ~out)])
        z = np.linalg.solve(L, given[~out] - mean[~out])
        B = np.linalg.solve(L, C[np.ix_(~out, out)])
        log_share[k] -= np.log(np.diag(L)).sum() + 0.5 * z @ z
        means.append(mean[out] + B.T @ z)
        roots.append(np.linalg.cholesky(C[np.ix_(out, out)] - B.T @ B))
    counts = rng.multinomial(n, np.exp(log_share - logsumexp(log_share)))
    rows = np.tile(given, (n, 1))
    rows[:, out] = np.concatenate(
        [
            m + rng.standard_normal((k, len(m))) @ R.T
            for k, m, R in zip(counts, means, roots, strict=True)
        ]
    )
    return rows


def ppca_impute(n: int, d: int) -> Tasks:
    """One cell in five unknown, wherever it falls."""
    (model, _), X = fitted_ppca(d), table(n, d)
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    W, mean, variance = model.loadings_, model.mean_, model.noise_variance_

    def by_hand() -> Array:
        known = ~np.isnan(X)
        C = np.where(known, X - mean, 0.0)
        M = np.einsum("nd,dq,dr->nqr", known, W, W, optimize=True) + variance * np.eye(W.shape[1])
        z = np.linalg.solve(M, (C @ W)[:, :, None])[:, :, 0]
        return np.where(known, X, z @ W.T + mean)

    peers: dict[str, Task] = {"numpy by hand": by_hand}
    return Tasks(lambda: model.impute(X), peers, lambda: np.where(np.isnan(X), 0.0, X) @ W)


# ---- mixtures --------------------------------------------------------------------------------


def two_clouds(n: int, d: int) -> Array:
    X = table(n, d)
    X[: n // 2] += 6.0
    return X


def mixture_fit(n: int, d: int) -> Tasks:
    X, q = two_clouds(n, d), latent(d)
    peer = GaussianMixture(MODELS, n_init=STARTS, tol=1e-7, max_iter=2000, random_state=0)
    return Tasks(
        lambda: PPCAMixture(MODELS, q, n_starts=STARTS, random_state=0).fit(X),
        {f"GaussianMixture, n_init={STARTS}": lambda: peer.fit(X)},
        lambda: X.T @ X,
    )


def as_mixture(weights: Array, means: Array, covariances: Array) -> GaussianMixture:
    """Return scikit-learn's mixture with given parameters."""
    peer = GaussianMixture(len(weights), random_state=np.random.RandomState(0))
    peer.weights_, peer.means_, peer.covariances_ = weights, means, covariances
    inverse = np.linalg.inv(np.linalg.cholesky(covariances))
    peer.precisions_cholesky_ = inverse.transpose(0, 2, 1)
    return peer


@cache
def fitted_mixture(d: int) -> tuple[PPCAMixture, GaussianMixture, list[tuple[Array, Array]]]:
    X = two_clouds(TRAINED_ON, d)
    model = PPCAMixture(MODELS, latent(d), n_starts=1, random_state=0).fit(X)
    covariances = model.loadings_ @ model.loadings_.transpose(0, 2, 1)
    covariances += model.noise_variances_[:, None, None] * np.eye(d)
    peer = as_mixture(model.weights_, model.means_, covariances)
    return model, peer, list(zip(model.means_, covariances, strict=True))


def mixture_log_density(n: int, d: int) -> Tasks:
    (model, peer, _), X = fitted_mixture(d), two_clouds(n, d)
    return Tasks(
        lambda: model.log_density(X),
        {"GaussianMixture": lambda: peer.score_samples(X)},
        lambda: X @ model.loadings_[0],
    )


def mixture_sample(n: int, d: int) -> Tasks:
    (model, peer, _), rng = fitted_mixture(d), np.random.default_rng(0)
    return Tasks(
        lambda: model.sample(n, random_state=rng),
        {"GaussianMixture": lambda: peer.sample(n)},
        lambda: rng.standard_normal((n, d)),
    )


def mixture_given(n: int, d: int) -> Tasks:
    (model, _, parts), rng = fitted_mixture(d), np.random.default_rng(0)
    given = two_clouds(2, d)[0]
    given[: d // 2] = np.nan
    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {"numpy by hand": lambda: draw_given(n, given, model.weights_, parts, rng)},
        lambda: rng.standard_normal((n, d - d // 2)),
    )


# ---- the curves ------------------------------------------------------------------------------

OLS, XTX, PRODUCT, NORMALS = "statsmodels OLS with bse", "XᵀX", "one product", "the normals drawn"


def scored(model: str, work: str, make: Any, **more: Any) -> Curve:
    """Return a curve over rows that are scored or drawn, from one on, of a model of 10 columns."""
    floor = NORMALS if "sample" in work else PRODUCT
    more.setdefault("same", "sample" not in work)
    more.setdefault("widths", (10,))
    return Curve(model, work, make, SCORED, floor, **more)


def one_row(peer: str) -> tuple[Aim, ...]:
    return (Aim(peer, 1.0, until=1, together=ONE_ROW.together), ONE_ROW)


FITS = [
    Curve(
        "LinearGaussian",
        "fit with standard errors",
        fit_with_errors,
        ROWS,
        XTX,
        (1, 10, 100, 500),
        aims=(Aim(OLS, 1.0), Aim(OLS, 2.0, since=1e5, by_numbers=True)),
        from_width=1,
    ),
    Curve(
        "LinearGaussian",
        "fit",
        fit_coefficients,
        ROWS,
        XTX,
        (1, 10, 100, 500),
        aims=(Aim("LinearRegression", 0.5),),
        from_width=1,
    ),
    Curve(
        "PPCA",
        "fit",
        ppca_fit,
        (50, *ROWS[2:]),
        "XᵀX or XXᵀ",
        (3, 50, 500, 2_000),
        aims=(Aim("PCA", 0.9),),
        same=False,
        power=2.0,
        note="PCA divides by n - 1, and where its own choice is a randomised solver it is inexact",
    ),
    Curve(
        "HeteroscedasticGaussian",
        "fit",
        heteroscedastic_fit,
        (100, *ROWS[3:]),
        XTX,
        (1, 10, 50),
        aims=(Aim(ITERATED, 1.0),),
        same=False,
        from_width=heteroscedastic.ROWS_A_COLUMN,
    ),
]
CALLS = [
    scored("LinearGaussian", "predict", line_predict, aims=one_row("LinearRegression")),
    scored("LinearGaussian", "log_density", line_log_density, aims=(ONE_ROW,)),
    scored("LinearGaussian", "sample", line_sample, aims=(ONE_ROW,)),
    scored(
        "HeteroscedasticGaussian",
        "predict",
        spread_predict,
        aims=one_row("LinearRegression"),
        same=False,
    ),
    scored("HeteroscedasticGaussian", "log_density", spread_log_density, aims=(ONE_ROW,)),
    scored("HeteroscedasticGaussian", "sample", spread_sample, aims=(ONE_ROW,)),
    Curve(
        "NeuralGaussian",
        f"fit, {STEPS} steps",
        network_fit,
        (20, 100, 1_000, 10_000),
        "the products",
        (10,),
        same=False,
    ),
    scored("NeuralGaussian", "predict", network_predict, aims=one_row("MLPRegressor"), same=False),
    scored("NeuralGaussian", "log_density", network_log_density, aims=(ONE_ROW,), same=False),
    scored("NeuralGaussian", "sample", network_sample, aims=(ONE_ROW,)),
    scored(
        "PPCA",
        "log_density",
        ppca_log_density,
        aims=one_row("PCA.score_samples"),
        same=False,
        widths=(10, 200),
    ),
    scored("PPCA", "transform", ppca_transform, aims=one_row("PCA"), same=False),
    scored("PPCA", "sample", ppca_sample, aims=one_row("GaussianMixture(1)")),
    scored("PPCA", "sample(given=)", ppca_given),
    scored("PPCA", "impute", ppca_impute),
    Curve(
        "PPCAMixture",
        "fit",
        mixture_fit,
        (50, 200, 1_000, 5_000, 20_000),
        XTX,
        (10,),
        same=False,
        note="GaussianMixture's covariances are free, and it stops by another rule",
    ),
    scored("PPCAMixture", "log_density", mixture_log_density, aims=one_row("GaussianMixture")),
    scored("PPCAMixture", "sample", mixture_sample, aims=one_row("GaussianMixture")),
    scored("PPCAMixture", "sample(given=)", mixture_given),
]

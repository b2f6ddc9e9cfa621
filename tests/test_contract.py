"""The laws every model obeys, whatever it is."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

import ancestral
from ancestral import Graph, LatentTree
from ancestral._catalogue import entry_of
from ancestral.autoregressive.sequential import Sequential
from ancestral.base import (
    ConditionalDensity,
    Density,
    FromStatistics,
    GraphDensity,
    MaximumLikelihood,
    Model,
)
from ancestral.conditions import Conditions
from ancestral.streaming import fit_chunks
from tests.gaussian.exact import normal_log_density
from tests.toy import DiagonalGaussian
from tests.zoo import ZOO, Entry

EVERY = pytest.mark.parametrize("entry", ZOO, ids=lambda e: e.name)
# A right sampler fails one of these tests by chance once in 10,000 runs; the seeds are fixed.
FALSE_ALARM = 1e-4


def of_kind(*kinds: type, where: Callable[[Entry], bool] = lambda entry: True) -> Any:
    """Choose the models of some face; `where` leaves out those that a law is not about."""
    chosen = [entry for entry in ZOO if isinstance(entry.make(), kinds) and where(entry)]
    return pytest.mark.parametrize("entry", chosen, ids=lambda e: e.name)


def log_density(model: Any, entry: Entry) -> np.ndarray:
    return model.log_density(*entry.data)


@pytest.mark.parametrize(
    "entry", [e for e in ZOO if e.n_parameters is not None], ids=lambda e: e.name
)
def test_parameters_match_a_hand_count(entry: Entry) -> None:
    assert entry.fit().n_parameters_ == entry.n_parameters


@pytest.mark.parametrize("entry", [e for e in ZOO if e.nudges], ids=lambda e: e.name)
def test_no_nudge_raises_the_likelihood(entry: Entry) -> None:
    model = entry.fit()
    assert isinstance(model, MaximumLikelihood)
    best = log_density(model, entry).sum()
    nudged = [log_density(m, entry).sum() for m in entry.nudges(model, np.random.default_rng(1))]
    assert max(nudged) <= best + 1e-9 * abs(best)
    assert min(nudged) < best - 1e-9 * abs(best)  # the nudges do move the likelihood


@EVERY
def test_scores_are_rowwise(entry: Entry) -> None:
    model = entry.fit()
    together = log_density(model, entry)
    alone = [model.log_density(*[part[i : i + 1] for part in entry.data])[0] for i in range(5)]
    np.testing.assert_allclose(together[:5], alone, rtol=1e-12)


@EVERY
def test_score_is_the_mean_log_density_or_r_squared(entry: Entry) -> None:
    model = entry.fit()
    if isinstance(model, ConditionalDensity):
        X, y = entry.data
        wanted = 1 - ((y - model.predict(X)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    else:
        wanted = log_density(model, entry).mean()
    assert model.score(*entry.data) == pytest.approx(wanted, rel=1e-12)


@EVERY
def test_saving_and_loading_give_equal_scores(entry: Entry, tmp_path: Any) -> None:
    model = entry.fit()
    again = ancestral.load(model.save(tmp_path / "model"))
    assert type(again) is type(model)
    np.testing.assert_array_equal(log_density(again, entry), log_density(model, entry))
    for name, value in model.get_params().items():
        kept = again.get_params()[name]
        # a model inside a model has parameters of its own, named "model__..." here
        assert type(kept) is type(value) if hasattr(value, "get_params") else kept == value


@EVERY
def test_a_clone_is_equal_and_unfitted(entry: Entry) -> None:
    model = clone(entry.fit())
    with pytest.raises(NotFittedError):
        model.log_density(*entry.data)
    np.testing.assert_array_equal(
        log_density(model.fit(*entry.data), entry), log_density(entry.fit(), entry)
    )


# ---- a fit that fails ------------------------------------------------------------------------


@contextmanager
def interrupted(after: int = -1) -> Iterator[list[str]]:
    """Press Ctrl-C once so many values have been learnt; give their names."""
    learnt: list[str] = []

    def note(model: Any, name: str, value: Any) -> None:
        object.__setattr__(model, name, value)
        if name == "_seen" or (name.endswith("_") and not name.startswith("_")):
            learnt.append(name)
            if len(learnt) == after:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "__setattr__", note, raising=False)
        yield learnt


def moments_of_interruption(work: Callable[[], Any]) -> list[int]:
    """Return when to interrupt: after the first value learnt, midway, after the last."""
    with interrupted() as learnt:
        work()
    return sorted({1, (len(learnt) + 1) // 2, len(learnt)})


def part_of(entry: Entry, rows: slice) -> tuple[Any, ...]:
    return tuple(part[rows] for part in entry.data)


def ways_to_fit(entry: Entry) -> list[Callable[[Any, tuple[Any, ...]], Any]]:
    """Return `fit` and, for a model with statistics, the other doors to its solver."""
    ways: list[Callable[[Any, tuple[Any, ...]], Any]] = [lambda model, data: model.fit(*data)]
    if isinstance(entry.make(), FromStatistics) and entry.streamed:
        ways.append(lambda model, data: model.partial_fit(*data))
        ways.append(lambda m, data: fit_chunks(m, [data if len(data) > 1 else data[0]]))
    return ways


@pytest.mark.filterwarnings("ignore:partial_fit starts anew")
@EVERY
def test_an_interrupted_fit_leaves_the_model_as_it_was(entry: Entry, tmp_path: Any) -> None:
    fitted, other = entry.fit(), part_of(entry, slice(1, None))
    before, state = log_density(fitted, entry), dict(vars(fitted))
    for fit in ways_to_fit(entry):
        for moment in moments_of_interruption(lambda: fit(entry.make(), other)):  # noqa: B023
            fresh = entry.make()
            for model in (fresh, fitted):
                with interrupted(after=moment), pytest.raises(KeyboardInterrupt):
                    fit(model, other)
            with pytest.raises(NotFittedError):
                log_density(fresh, entry)
            with pytest.raises(NotFittedError):
                fresh.save(tmp_path / "model")
            assert vars(fitted) == state
            np.testing.assert_array_equal(log_density(fitted, entry), before)


@of_kind(FromStatistics, where=lambda entry: entry.streamed)
def test_an_interrupted_chunk_counts_for_nothing(entry: Entry) -> None:
    first, second = part_of(entry, slice(0, None, 2)), part_of(entry, slice(1, None, 2))
    wanted = log_density(entry.make().partial_fit(*first).partial_fit(*second), entry)
    for moment in (1, 2):  # the sum of statistics, and in the midst of the solve
        model = entry.make().partial_fit(*first)
        with interrupted(after=moment), pytest.raises(KeyboardInterrupt):
            model.partial_fit(*second)
        np.testing.assert_array_equal(log_density(model.partial_fit(*second), entry), wanted)


@pytest.mark.filterwarnings("ignore:partial_fit starts anew")
@pytest.mark.parametrize("fitted_before", [False, True])
def test_too_few_rows_in_chunks_leave_a_model_unfitted(fitted_before: bool) -> None:
    """Also one that an earlier `fit` had fitted, to other columns."""
    X = np.random.default_rng(0).normal(size=(20, 5))
    model = ancestral.PPCA(2).fit(X) if fitted_before else ancestral.PPCA(2)
    model.partial_fit(X[:1, :3])
    with pytest.raises(NotFittedError):
        model.score(X[:, :3])
    model.partial_fit(X[1:, :3])
    assert model.score(X[:, :3]) == pytest.approx(ancestral.PPCA(2).fit(X[:, :3]).score(X[:, :3]))


# ---- densities sum or integrate to one -------------------------------------------------------


DISCRETE = pytest.mark.parametrize(
    "entry", [e for e in ZOO if e.space is not None], ids=lambda e: e.name
)


STEPPED = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), Sequential)], ids=lambda e: e.name
)


@DISCRETE
def test_discrete_densities_sum_to_one(entry: Entry) -> None:
    assert np.exp(entry.fit().log_density(entry.space)).sum() == pytest.approx(1.0, abs=1e-12)


@STEPPED
def test_no_conditional_depends_on_a_later_variable(entry: Entry) -> None:
    """p(x_1..x_i) by stepping equals the sum over all later values, for every i."""
    model = entry.fit()
    space = np.asarray(entry.space, dtype=object)
    p = np.exp(model.log_density(entry.space))
    levels = model._encode(np.asarray(entry.space))
    state, previous, prefix = model.start(len(space)), None, np.ones(len(space))
    for i in range(space.shape[1]):
        state, log_p = model.step(state, previous)
        np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1.0, atol=1e-12)
        previous = levels[:, i]
        prefix = prefix * np.exp(log_p[np.arange(len(space)), previous])
        same = (levels[:, None, : i + 1] == levels[None, :, : i + 1]).all(axis=2)
        np.testing.assert_allclose(prefix, same @ p, atol=1e-12)


@STEPPED
def test_steps_can_be_taken_for_any_rows(entry: Entry) -> None:
    model = entry.fit()
    state, _ = model.step(model.start(2), None)
    levels = np.array([0, 1])
    index = np.array([1, 0, 1, 1])
    _, both = model.step(state, levels)
    _, taken = model.step(model.take(state, index), levels[index])
    np.testing.assert_allclose(taken, both[index], rtol=1e-12)


@of_kind(Density, where=lambda entry: entry.space is None and entry.data[0].shape[1] == 2)
def test_planar_densities_integrate_to_one(entry: Entry) -> None:
    X = entry.data[0]
    model = entry.fit()
    axes = [np.linspace(c.mean() - 12 * c.std(), c.mean() + 12 * c.std(), 500) for c in X.T]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    p = np.exp(model.log_density(grid.reshape(-1, 2))).reshape(500, 500)
    total = integrate.simpson(integrate.simpson(p, x=axes[1]), x=axes[0])
    assert total == pytest.approx(1.0, abs=1e-9)


@of_kind(ConditionalDensity)
def test_conditional_densities_integrate_to_one(entry: Entry) -> None:
    X, y = entry.data
    model = entry.fit()
    grid = np.linspace(y.mean() - 15 * y.std(), y.mean() + 15 * y.std(), 4001)
    for row in X[:3]:
        p = np.exp(model.log_density(np.tile(row, (len(grid), 1)), grid))
        assert integrate.simpson(p, x=grid) == pytest.approx(1.0, abs=1e-9)


def every_graph(X: np.ndarray) -> list[Graph]:
    pairs = list(itertools.combinations(range(len(X)), 2))
    graphs = []
    for bits in itertools.product((0, 1), repeat=len(pairs)):
        E = np.zeros((len(X), len(X)), int)
        for (i, j), bit in zip(pairs, bits, strict=True):
            E[i, j] = E[j, i] = bit
        graphs.append(Graph(X, E))
    return graphs


@of_kind(GraphDensity)
def test_graph_probabilities_sum_to_one(entry: Entry) -> None:
    graphs = every_graph(entry.data[0][0].features[:4])
    assert np.exp(entry.fit().log_density(graphs)).sum() == pytest.approx(1.0, abs=1e-12)


# ---- samples fit the density -----------------------------------------------------------------


def fits(counts: np.ndarray, p: np.ndarray) -> bool:
    """Chi-square of counts against probabilities, cells below 5 expected pooled."""
    expected = p * counts.sum()
    assert counts[p == 0].sum() == 0
    small = expected < 5
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
    if len(expected) < 2 or expected[-1] == 0:
        counts, expected = counts[expected > 0], expected[expected > 0]
    return bool(stats.chisquare(counts, expected).pvalue > FALSE_ALARM)


@DISCRETE
def test_discrete_samples_fit_the_density(entry: Entry) -> None:
    model = entry.fit()
    drawn = model.sample(20_000, random_state=0)
    assert drawn.dtype == np.asarray(entry.data[0]).dtype
    place = {tuple(row): i for i, row in enumerate(np.asarray(entry.space).tolist())}
    counts = np.bincount([place[tuple(r)] for r in drawn.tolist()], minlength=len(place))
    assert fits(counts, np.exp(model.log_density(entry.space)))


@STEPPED
def test_conditional_samples_fit_the_density(entry: Entry) -> None:
    """Draws given the last variable follow the exact conditional: earlier ones adapt to it."""
    model = entry.fit()
    space = np.asarray(entry.space)
    given = np.full(space.shape[1], np.nan, dtype=object)
    given[-1] = entry.data[0][0, -1]
    drawn = model.sample(5_000, given=given, random_state=1)
    assert (drawn[:, -1] == given[-1]).all()
    keep = space[:, -1] == given[-1]
    p = np.exp(model.log_density(space[keep]))
    place = {tuple(row): i for i, row in enumerate(space[keep].tolist())}
    counts = np.bincount([place[tuple(r)] for r in drawn.tolist()], minlength=len(place))
    assert fits(counts, p / p.sum())
    assert model.log_density(given[None])[0] == pytest.approx(np.log(p.sum()), abs=1e-12)


@of_kind(ancestral.PPCA)
def test_ppca_samples_fit_the_density(entry: Entry) -> None:
    model = entry.fit()
    drawn = model.sample(5_000, random_state=0)
    d = drawn.shape[1]
    top = model.log_density(model.mean_[None])[0]
    distance = -2 * (model.log_density(drawn) - top)  # Mahalanobis, chi-square with d degrees
    assert stats.kstest(distance, stats.chi2(d).cdf).pvalue > FALSE_ALARM


# Without latents the columns are independent: there is nothing to condition on.
@of_kind(ancestral.PPCA, where=lambda entry: entry.make().n_components != 0)
def test_ppca_conditional_samples_fit_the_gaussian_formula(entry: Entry) -> None:
    model = entry.fit()
    C, mean = model.get_covariance(), model.mean_
    given = np.full(len(mean), np.nan)
    given[0] = mean[0] + 1.0
    wanted = mean[1:] + C[1:, 0] / C[0, 0]
    spread = C[1:, 1:] - np.outer(C[1:, 0], C[1:, 0]) / C[0, 0]
    drawn = model.sample(20_000, given=given, random_state=0)
    np.testing.assert_array_equal(drawn[:, 0], given[0])
    error = (drawn[:, 1:].mean(axis=0) - wanted) / np.sqrt(np.diag(spread) / len(drawn))
    assert np.abs(error).max() < stats.norm.isf(FALSE_ALARM / (2 * len(error)))
    centred = drawn[:, 1:] - wanted
    distance = np.einsum("ij,ij->i", centred, np.linalg.solve(spread, centred.T).T)
    assert stats.kstest(distance, stats.chi2(len(wanted)).cdf).pvalue > FALSE_ALARM


@of_kind(ConditionalDensity)
def test_conditional_draws_fit_the_density(entry: Entry) -> None:
    X, _ = entry.data
    model = entry.fit()
    many = np.repeat(X, 40, axis=0)
    y = model.sample(many, random_state=0)
    mean, std = model.predict(many, return_std=True)
    assert stats.kstest((y - mean) / std, stats.norm.cdf).pvalue > FALSE_ALARM


def fits_every_graph(model: Any, X: np.ndarray, drawn: list[Graph]) -> bool:
    """Chi-square of draws against the probability of every graph on the nodes of X."""
    graphs = every_graph(X)
    key = {g.adjacency.tobytes(): i for i, g in enumerate(graphs)}
    counts = np.bincount([key[g.adjacency.tobytes()] for g in drawn], minlength=len(graphs))
    return fits(counts, np.exp(model.log_density(graphs)))


@of_kind(ancestral.InnerProductGraph)
def test_graph_samples_fit_the_density(entry: Entry) -> None:
    model = entry.fit()
    X = entry.data[0][0].features[:4]
    assert fits_every_graph(model, X, model.sample(4_000, features=X, random_state=0))


@of_kind(ancestral.LatentPositionGraph)
def test_graphs_on_the_fitted_nodes_fit_the_density(entry: Entry) -> None:
    model = entry.fit()
    drawn = model.sample(4_000, random_state=0)
    assert fits_every_graph(model, model.positions_, drawn)


# ---- units -----------------------------------------------------------------------------------

# Factors for the columns, and how many spreads from zero the columns then stand.
SCALES = {
    "one large": (lambda d: np.where(np.arange(d) == 0, 1e8, 1.0), 0.0),
    "one small": (lambda d: np.where(np.arange(d) == 0, 1e-8, 1.0), 0.0),
    "spread out": (lambda d: np.logspace(-8, 8, d), 0.0),
    "spread out, reversed": (lambda d: np.logspace(8, -8, d), 3.0),
    "far from zero": (lambda d: np.logspace(-4, 4, d), 1e8),
}


def in_other_units(X: np.ndarray, scales: str) -> np.ndarray:
    factors, shift = SCALES[scales]
    return (X + shift * np.nanstd(X, axis=0)) * factors(X.shape[1])


# Trees of mixed columns have a law of units of their own, in tests/circuit.
OF_NORMALS = of_kind(Density, where=lambda entry: entry_of(entry.make()).face == "continuous")


def parts_of_density(model: Any) -> list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    """Return log weight, mean, loadings and noise variances by column of each normal in a model."""
    d = model.n_features_in_
    scale = getattr(model, "scale_", np.ones(d))
    if isinstance(model, ancestral.PPCA):
        noise = model.noise_variance_ * scale**2
        return [(0.0, model.mean_, model.loadings_, noise)]
    if isinstance(model, DiagonalGaussian):
        return [(0.0, model.mean_, np.zeros((d, 0)), model.variances_)]
    parts = zip(model.weights_, model.means_, model.loadings_, model.noise_variances_)
    return [(np.log(p), mean, W, noise * scale**2) for p, mean, W, noise in parts]


@pytest.mark.filterwarnings("ignore:column .* spreads", "ignore:eigenvalues .* are equal")
@pytest.mark.parametrize("scales", SCALES)
@OF_NORMALS
def test_log_densities_are_right_in_any_units(entry: Entry, scales: str) -> None:
    X = in_other_units(entry.data[0], scales)
    model = entry.make().fit(X)
    if not isinstance(model, ancestral.PPCA | ancestral.PPCAMixture | DiagonalGaussian):
        pytest.fail("a continuous density needs its exact parts here: see parts_of_density")
    rows = X[:8]
    found = [normal_log_density(rows, *part) for _, *part in parts_of_density(model)]
    joint = np.stack([values for values, _ in found]) + [[p] for p, *_ in parts_of_density(model)]
    wanted = np.logaddexp.reduce(joint, axis=0)
    ulp = np.max([change for _, change in found], axis=0)
    error = np.abs(model.log_density(rows) - wanted)
    assert (error <= np.maximum(1e-9 * np.maximum(1, np.abs(wanted)), ulp)).all()


@pytest.mark.filterwarnings("ignore:column .* spreads", "ignore:eigenvalues .* are equal")
@pytest.mark.parametrize("scales", SCALES)
@OF_NORMALS
def test_criteria_agree_with_the_fit_in_any_units(entry: Entry, scales: str) -> None:
    X = in_other_units(entry.data[0], scales)
    model = entry.make().fit(X)
    best, n, k = model.log_likelihood_, len(X), model.n_parameters_
    # A stop at a gain below the tolerance; and at a shift of 1e8, 8 digits of each value are left.
    near = {"rel": 1e-7, "abs": 1e-6 * n}
    assert model.score(X) * n == pytest.approx(best, **near)
    assert model.aic(X) == pytest.approx(2 * k - 2 * best, **near)
    assert model.bic(X) == pytest.approx(k * np.log(n) - 2 * best, **near)


# ---- weights of regressions: precisions ------------------------------------------------------


CONDITIONAL = of_kind(ConditionalDensity)
WEIGHTS = np.random.default_rng(8).uniform(0.2, 4.0, size=120)


def weighted(entry: Entry, weights: Any = WEIGHTS) -> Any:
    return entry.make().fit(*entry.data, sample_weight=weights)


@CONDITIONAL
def test_weights_divide_the_variance_of_a_row_of_weight_one(entry: Entry) -> None:
    """In the density, the standard deviation and the criteria alike."""
    X, y = entry.data
    model = weighted(entry)
    mean, std = model.predict(X, return_std=True)
    found = model.log_density(X, y, sample_weight=WEIGHTS)
    wanted = stats.norm(mean, std / np.sqrt(WEIGHTS)).logpdf(y)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        model.predict(X, return_std=True, sample_weight=WEIGHTS)[1], std / np.sqrt(WEIGHTS)
    )
    np.testing.assert_array_equal(model.log_density(X, y), model.log_density(X, y, np.ones(120)))
    if isinstance(model, MaximumLikelihood):
        assert found.sum() == pytest.approx(model.log_likelihood_, rel=1e-10)
        k = model.n_parameters_
        assert model.aic(X, y, sample_weight=WEIGHTS) == pytest.approx(
            2 * k - 2 * model.log_likelihood_, rel=1e-10
        )
        assert model.bic(X, y, sample_weight=WEIGHTS) == pytest.approx(
            k * np.log(120) - 2 * model.log_likelihood_, rel=1e-10
        )
        assert f"AIC {model.aic(X, y, WEIGHTS):.6g}," in model.summary()


@CONDITIONAL
def test_weighted_fits_are_maxima(entry: Entry) -> None:
    if entry.nudges is None:
        pytest.skip("not fitted by maximum likelihood")
    model = weighted(entry)
    best = model.log_density(*entry.data, WEIGHTS).sum()
    for other in entry.nudges(model, np.random.default_rng(1)):
        assert other.log_density(*entry.data, WEIGHTS).sum() <= best + 1e-9 * abs(best)


@CONDITIONAL
@pytest.mark.parametrize("scale", [0.25, 2.0**40, 1e307])
def test_weights_on_another_scale_leave_everything_but_the_unit(entry: Entry, scale: float) -> None:
    X, y = entry.data
    plain, scaled = weighted(entry), weighted(entry, WEIGHTS * scale)
    tolerance = 1e-9 if isinstance(plain, MaximumLikelihood) else 1e-6  # a training amplifies bits
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        scaled.log_density(X, y, WEIGHTS * scale),
        plain.log_density(X, y, WEIGHTS),
        rtol=tolerance,
        atol=tolerance,
    )
    _, std = scaled.predict(X, return_std=True)
    np.testing.assert_allclose(
        std, np.sqrt(scale) * plain.predict(X, return_std=True)[1], rtol=tolerance
    )
    assert scaled.score(X, y, WEIGHTS * scale) == pytest.approx(
        plain.score(X, y, WEIGHTS), abs=tolerance
    )


@CONDITIONAL
def test_rows_of_weight_zero_are_as_good_as_absent(entry: Entry) -> None:
    X, y = entry.data
    some = np.where(np.arange(120) % 3, WEIGHTS, 0.0)
    kept = some > 0
    with_zeros = weighted(entry, some)
    without = entry.make().fit(X[kept], y[kept], sample_weight=some[kept])
    np.testing.assert_array_equal(with_zeros.predict(X), without.predict(X))
    found = with_zeros.log_density(X, y, sample_weight=some)
    assert not found[~kept].any()
    np.testing.assert_array_equal(found[kept], without.log_density(X[kept], y[kept], some[kept]))
    if isinstance(without, MaximumLikelihood):
        assert with_zeros.n_samples_ == kept.sum()
        assert with_zeros.bic(X, y, some) == without.bic(X[kept], y[kept], some[kept])
    with pytest.raises(ancestral.AncestralError, match="holds 0 at row 0: its variance is"):
        with_zeros.sample(X, sample_weight=some)


@CONDITIONAL
def test_weighted_draws_fit_the_weighted_density(entry: Entry) -> None:
    X, _ = entry.data
    model = weighted(entry)
    drawn = model.sample(X, 40, random_state=0, sample_weight=WEIGHTS)
    assert drawn.shape == (40, 120) and model.sample(X, 1, random_state=0).shape == (120,)
    mean, std = model.predict(X, return_std=True, sample_weight=WEIGHTS)
    assert stats.kstest(((drawn - mean) / std).ravel(), stats.norm.cdf).pvalue > FALSE_ALARM
    with pytest.raises(ancestral.AncestralError, match="n_samples"):
        model.sample(X, -1)


# ---- units of regressions --------------------------------------------------------------------


TWO_PI = Decimal("6.28318530717958647692528676655900576839433879875021164194988918461563")
MIXED = [
    (1.0, 0.0, 0.0, 1.0),
    (1e8, 0.0, 0.0, 1.0),
    (1e8, 1e8, 0.0, 1.0),
    (1e8, 1e8, 1e8, 1e-3),
    (1.0, 1e9, 0.0, 1e-5),
    (1.0, 0.0, 1e9, 1e-5),
]


def in_mixed_units(
    apart: float, offset: float, target_offset: float, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns whose scales are `apart` and `1 / apart`, offsets in spreads; also their scales."""
    rng = np.random.default_rng(4)
    scale = np.array([1 / apart, 1.0, apart])
    X = (rng.normal(size=(80, 3)) + offset) * scale
    U = X / scale - offset
    y = U @ [1.0, -2.0, 0.5] + noise * np.exp(0.4 * U[:, 0]) * rng.normal(size=80)
    return X, y + target_offset, scale


def in_fifty_digits(X: np.ndarray, coef: np.ndarray, intercept: float) -> list[Decimal]:
    """Return x . coef + intercept of the very numbers that float64 holds."""
    return [
        sum((Decimal(a) * Decimal(b) for a, b in zip(row, coef.tolist())), Decimal(intercept))
        for row in X.tolist()
    ]


@pytest.mark.parametrize("weights", [None, WEIGHTS[:80]], ids=["plain", "weighted"])
@pytest.mark.parametrize("units", MIXED, ids=str)
@pytest.mark.parametrize("make", [ancestral.LinearGaussian, ancestral.HeteroscedasticGaussian])
def test_lines_are_right_in_any_unit(make: Any, units: Any, weights: Any) -> None:
    """The density of the model's own parameters in fifty digits, and what is summed from it."""
    X, y, _ = in_mixed_units(*units)
    model = make().fit(X, y, sample_weight=weights)
    with localcontext() as context:
        context.prec = 50
        mean = in_fifty_digits(X, model.coef_, model.intercept_)
        if make is ancestral.LinearGaussian:
            log_variance = [Decimal(model.noise_variance_).ln()] * 80
        else:
            log_variance = in_fifty_digits(X, model.variance_coef_, model.variance_intercept_)
        log_weights = [Decimal(w).ln() for w in (np.ones(80) if weights is None else weights)]
        wanted = [
            -(TWO_PI.ln() + h - w + (Decimal(t) - m) ** 2 * (w - h).exp()) / 2
            for t, m, h, w in zip(y.tolist(), mean, log_variance, log_weights, strict=True)
        ]
    found = model.log_density(X, y, sample_weight=weights)
    np.testing.assert_allclose(found, np.array(wanted, dtype=float), rtol=1e-12, atol=1e-12)
    assert found.sum() == pytest.approx(model.log_likelihood_, rel=1e-11)
    criterion = 2 * model.n_parameters_ - 2 * model.log_likelihood_
    assert model.aic(X, y, sample_weight=weights) == pytest.approx(criterion, rel=1e-11)


@pytest.mark.parametrize("weights", [None, WEIGHTS[:80]], ids=["plain", "weighted"])
@pytest.mark.parametrize("units", MIXED, ids=str)
@pytest.mark.parametrize("make", [ancestral.LinearGaussian, ancestral.HeteroscedasticGaussian])
def test_lines_are_the_same_in_any_unit(make: Any, units: Any, weights: Any) -> None:
    """As of columns brought to one scale and to zero, which loses no digit of these numbers."""
    X, y, scale = in_mixed_units(*units)
    _, offset, target_offset, _ = units
    model = make().fit(X, y, sample_weight=weights)
    plain = make().fit(X / scale - offset, y - target_offset, sample_weight=weights)
    # The numbers themselves are rounded by so many spreads, and by so many deviations of the noise.
    rounding = 1e-11 + 4e-16 * (offset + target_offset)
    moved = rounding / units[3]
    np.testing.assert_allclose(model.coef_ * scale, plain.coef_, rtol=1e-9 + rounding)
    np.testing.assert_allclose(
        model.standard_errors_[1:] * scale, plain.standard_errors_[1:], rtol=1e-9 + moved
    )
    assert model.log_likelihood_ == pytest.approx(
        plain.log_likelihood_, rel=1e-9, abs=4 * np.sqrt(80) * moved + 80 * moved**2
    )
    if make is ancestral.HeteroscedasticGaussian:
        np.testing.assert_allclose(
            model.variance_coef_ * scale, plain.variance_coef_, rtol=1e-6, atol=100 * moved
        )


@of_kind(ancestral.NeuralGaussian)
@pytest.mark.parametrize("units", MIXED[:4], ids=str)
def test_networks_are_right_in_any_unit(entry: Entry, units: Any) -> None:
    """Tanh of fifty digits through the network's own weights."""
    X, y, _ = in_mixed_units(*units)
    model = entry.make().fit(X, y)
    w = model.weights_
    found = model.log_density(X, y)
    with localcontext() as context:
        context.prec = 50

        def affine(rows: list[list[Decimal]], A: np.ndarray, b: np.ndarray) -> list[list[Decimal]]:
            return [
                [
                    sum((Decimal(a) * v for a, v in zip(line, row)), Decimal(c))
                    for line, c in zip(A.tolist(), b.tolist())
                ]
                for row in rows
            ]

        def tanh(v: Decimal) -> Decimal:
            return 1 - 2 / ((2 * v).exp() + 1)

        centre, scale = model.input_mean_.tolist(), model.input_scale_.tolist()
        Z = [
            [(Decimal(v) - Decimal(c)) / Decimal(s) for v, c, s in zip(row, centre, scale)]
            for row in X.tolist()
        ]
        h = [[tanh(v) for v in r] for r in affine(Z, w["hidden.0.weight"], w["hidden.0.bias"])]
        out = affine(h, w["head.weight"], w["head.bias"])
        line = affine(Z, w["line.weight"], np.zeros(2))
        target_scale = Decimal(model.target_scale_)
        wanted = []
        for t, o, d in zip(y.tolist(), out, line, strict=True):
            r = (Decimal(t) - Decimal(model.target_mean_)) / target_scale - o[0] - d[0]
            variance = (o[1] + d[1]).exp() + Decimal("1e-3") ** 2
            wanted.append(-(TWO_PI.ln() + variance.ln() + r * r / variance) / 2 - target_scale.ln())
    np.testing.assert_allclose(found, np.array(wanted, dtype=float), rtol=1e-9, atol=1e-9)


@CONDITIONAL
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.filterwarnings("error", "ignore:max_steps=[0-9]+ ended the training")
def test_inputs_whose_squares_have_no_float_do_no_harm(entry: Entry, size: float) -> None:
    X, y = entry.data
    if getattr(entry.make(), "degree", 1) > 1:
        pytest.skip("powers overflow, and are refused")
    plain, scaled = entry.fit(), entry.make().fit(X * size, y)
    tolerance = 1e-9 if isinstance(plain, MaximumLikelihood) else 1e-5  # a training amplifies bits
    np.testing.assert_allclose(
        scaled.log_density(X * size, y), plain.log_density(X, y), rtol=tolerance, atol=tolerance
    )
    assert scaled.score(X * size, y) == pytest.approx(plain.score(X, y), abs=tolerance)


# ---- scikit-learn ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator", [m for entry in ZOO for m in entry.checks], ids=lambda m: repr(m)
)
def test_scikit_learn_checks_pass(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    wrong = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not wrong


# ---- bad input -------------------------------------------------------------------------------


@of_kind(Density, ConditionalDensity)
def test_another_number_of_columns_is_named(entry: Entry) -> None:
    X, *rest = entry.data
    model = entry.fit()
    with pytest.raises(ancestral.AncestralError, match=f"expecting {X.shape[1]} features"):
        model.log_density(np.hstack([X, X]), *rest)


# ---- forms ---------------------------------------------------------------------------------------


def _handed_over(X: np.ndarray, library: str) -> Any:
    """Return a table as nested lists or as a dataframe of a library, nulls where it has gaps."""
    if library == "lists":
        return X.tolist()
    package = pytest.importorskip(library)
    names = [f"c{j}" for j in range(X.shape[1])]
    columns = [[None if v != v else v for v in column.tolist()] for column in X.T]
    table = dict(zip(names, columns, strict=True))
    return package.table(table) if library == "pyarrow" else package.DataFrame(table)


@of_kind(Density, ConditionalDensity)
@pytest.mark.parametrize("library", ["lists", "pandas", "polars", "pyarrow"])
def test_the_same_rows_in_any_form_give_the_same_answers(entry: Entry, library: str) -> None:
    X, *rest = entry.data
    held = _handed_over(X, library)
    wanted = entry.fit().log_density(X, *rest)
    found = entry.make().fit(held, *rest).log_density(held, *rest)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


# ---- names in, names out -------------------------------------------------------------------------


FRAMES = ["pandas", "polars", "pyarrow"]
UNUSED = "a level that no row holds"


def as_frame(X: np.ndarray, library: str) -> Any:
    """Return a table as a frame with a type of its own for each column, levels declared in some."""
    package = pytest.importorskip(library)
    columns = {f"c {j}": column for j, column in enumerate(X.T)}
    made = {name: _column(package, j, column) for j, (name, column) in enumerate(columns.items())}
    return package.table(made) if library == "pyarrow" else package.DataFrame(made)


def _column(package: Any, j: int, column: np.ndarray) -> Any:
    library = package.__name__
    texts = column.dtype.kind == "U"
    if texts and j % 2 == 0:  # declared, in an order of its own, and one more
        levels = [*sorted(set(column.tolist()), reverse=True), UNUSED]
        if library == "pandas":
            return package.Categorical(column.tolist(), categories=levels, ordered=True)
        if library == "polars":
            return package.Series(column.tolist(), dtype=package.Enum(levels))
        codes = package.array([levels.index(v) for v in column.tolist()], package.int8())
        return package.DictionaryArray.from_arrays(codes, package.array(levels))
    types = {
        "pandas": ("int8", "Int64", "uint16", "float32", "float64", "string"),
        "polars": ("Int8", "Int64", "UInt16", "Float32", "Float64", "String"),
        "pyarrow": ("int8", "int64", "uint16", "float32", "float64", "large_string"),
    }[library]
    kind = types[5] if texts else types[3 + j % 2 if column.dtype.kind == "f" else j % 3]
    values = [None if v != v else v for v in column.tolist()]
    if library == "pandas":
        numbers = column.dtype.kind == "f"
        return package.Series(column if numbers else values).astype(kind)
    if library == "polars":
        return package.Series(values, dtype=getattr(package, kind))
    return package.array(values, getattr(package, kind)())


def names_and_types(frame: Any) -> list[tuple[str, Any]]:
    """Return what a frame says of its columns, the levels of categorical types included."""
    if hasattr(frame, "field"):  # Arrow's, whose levels are data
        fields = [frame.schema.field(j) for j in range(frame.num_columns)]
        return [(field.name, field.type) for field in fields]
    return list(zip(map(str, frame.columns), frame.dtypes, strict=True))


NAMES = pytest.mark.filterwarnings("error:X .*feature names")


@NAMES
@of_kind(Density)
@pytest.mark.parametrize("library", FRAMES)
def test_frames_that_go_in_come_out(entry: Entry, library: str, tmp_path: Any) -> None:
    """Of one library, with the same names and types; and a fit takes them again."""
    frame = as_frame(entry.data[0], library)
    model = entry.make().fit(frame)
    drawn = model.sample(200, random_state=0)
    assert type(drawn) is type(frame) and len(drawn) == 200
    assert names_and_types(drawn) == names_and_types(frame)
    assert np.isfinite(model.log_density(drawn)).all()
    again = entry.make().fit(drawn)
    assert names_and_types(again.sample(3)) == names_and_types(frame)
    assert names_and_types(model.sample(0)) == names_and_types(frame)
    loaded = ancestral.load(model.save(tmp_path / "model")).sample(200, random_state=0)
    assert names_and_types(loaded) == names_and_types(frame) and loaded.equals(drawn)
    if isinstance(model, Sequential):
        for rows in (model.most_probable(2)[0], model.sample_counts(9)[0]):
            assert names_and_types(rows) == names_and_types(frame)


@of_kind(Density)
def test_arrays_that_go_in_come_out(entry: Entry) -> None:
    """A model of an array gives the values that one of a frame gives, by the same seed."""
    X = entry.data[0]
    drawn = entry.fit().sample(20, random_state=0)
    assert isinstance(drawn, np.ndarray)
    pandas = pytest.importorskip("pandas")
    framed = entry.make().fit(pandas.DataFrame(X)).sample(20, random_state=0)
    assert framed.columns.tolist() == list(range(X.shape[1]))
    if entry.space is None:  # sums depend on the order of memory, in their last bits
        np.testing.assert_allclose(framed.to_numpy(), drawn, rtol=1e-6, atol=1e-9)
    else:
        np.testing.assert_array_equal(framed.to_numpy(), drawn)


def with_holes(X: np.ndarray, n: int = 6) -> np.ndarray:
    """Return rows with one unknown value each, none in the last, all in the one before."""
    rows = X[:n].astype(object if X.dtype.kind == "U" else float)
    rows[np.arange(n - 1), np.arange(n - 1) % X.shape[1]] = np.nan
    rows[-2] = np.nan
    return rows


@NAMES
@of_kind(Conditions)
@pytest.mark.parametrize("library", FRAMES)
def test_imputations_are_frames_of_the_fit(entry: Entry, library: str) -> None:
    X = entry.data[0]
    frame, holes = as_frame(X, library), with_holes(X)
    model = entry.make().fit(frame)
    given = _handed_over(holes, library)
    if library == "pandas":
        given.index = [f"row {i}" for i in range(len(given))]
        given.columns = frame.columns
    elif library == "polars":
        given.columns = frame.columns
    else:
        given = given.rename_columns(frame.schema.names)
    tables = [model.impute(given), *model.impute_draws(given, 2, random_state=0)]
    known = ~np.array([[v != v for v in row] for row in holes])
    for table in tables:
        assert type(table) is type(frame)
        found = table.to_pandas() if library != "pandas" else table
        np.testing.assert_array_equal(found.to_numpy(object)[known], holes.astype(object)[known])
        assert not found.isna().to_numpy().any()
        if library == "pandas":
            assert table.index.tolist() == given.index.tolist()
        if entry.space is not None:
            assert names_and_types(table) == names_and_types(frame)
    found = model.marginals(given)
    assert list(found) == [name for name, _ in names_and_types(frame)]


# ---- what is unknown, given what is known --------------------------------------------------------


def conditional_of(model: Any, entry: Entry, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every row that agrees with one partly known, and its probability given that."""
    agrees = np.array([[a != a or a == b for a, b in zip(row, s)] for s in entry.space]).all(axis=1)
    rows = entry.space[agrees]
    p = np.exp(model.log_density(rows))
    return rows, p / p.sum()


def levels_of(model: Any) -> list[Any]:
    """Return the levels of each column of a model of levels."""
    if isinstance(model, LatentTree):
        return [column["levels"] for column in model.columns_]
    found: list[Any] = model.categories_
    return found


ENUMERATED = of_kind(Conditions, where=lambda entry: entry.space is not None)


@ENUMERATED
def test_marginals_are_sums_over_all_rows(entry: Entry) -> None:
    model, holes = entry.fit(), with_holes(entry.data[0])
    found = model.marginals(holes)
    for i, row in enumerate(holes):
        rows, p = conditional_of(model, entry, row)
        for j, known in enumerate(levels_of(model)):
            wanted = [p[rows[:, j] == level].sum() for level in known]
            np.testing.assert_allclose(found[j][i], wanted, rtol=1e-9, atol=1e-12)
            if row[j] == row[j]:
                assert sorted(found[j][i].tolist()) == [0.0] * (len(known) - 1) + [1.0]


@ENUMERATED
def test_the_fill_is_the_most_probable_completion(entry: Entry) -> None:
    model, holes = entry.fit(), with_holes(entry.data[0])
    for row, filled in zip(holes, model.impute(holes), strict=True):
        rows, p = conditional_of(model, entry, row)
        if isinstance(model, LatentTree):  # each cell by itself
            for j, level in enumerate(filled):
                shares = [p[rows[:, j] == one].sum() for one in levels_of(model)[j]]
                assert p[rows[:, j] == level].sum() == pytest.approx(max(shares), rel=1e-9)
            continue
        assert p[(rows == filled).all(axis=1)] == pytest.approx(p.max(), rel=1e-9)


@ENUMERATED
def test_completions_follow_the_conditional(entry: Entry) -> None:
    """Chi-squared of whole rows: a right sampler fails once in 10,000 seeds, six rows together."""
    model, holes, n = entry.fit(), with_holes(entry.data[0]), 4000
    draws = model.impute_draws(holes, n, random_state=0)
    assert draws.shape == (n, *holes.shape)
    for row, drawn in zip(holes, draws.swapaxes(0, 1), strict=True):
        rows, p = conditional_of(model, entry, row)
        counts = np.array([(drawn == one).all(axis=1).sum() for one in rows])
        assert counts.sum() == n and not counts[p == 0].any()
        few = p * n < 5
        wanted = np.append(p[~few], p[few].sum()) * n
        seen = np.append(counts[~few], counts[few].sum())
        kept = wanted > 0
        if kept.sum() > 1:
            assert stats.chisquare(seen[kept], wanted[kept]).pvalue > FALSE_ALARM / len(holes)


def conditional_normal(
    part: tuple[float, np.ndarray, np.ndarray, np.ndarray], row: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log p(known), and mean and covariance of the unknown, by the textbook's algebra."""
    log_weight, mean, W, noise = part
    C = W @ W.T + np.diag(np.broadcast_to(noise, mean.shape))
    u, o = np.isnan(row), ~np.isnan(row)
    gain = C[np.ix_(u, o)] @ np.linalg.inv(C[np.ix_(o, o)])
    apart = row[o] - mean[o]
    log_p = stats.multivariate_normal(mean[o], C[np.ix_(o, o)]).logpdf(row[o]) if o.any() else 0.0
    return log_weight + log_p, mean[u] + gain @ apart, C[np.ix_(u, u)] - gain @ C[np.ix_(o, u)]


GAUSSIAN = of_kind(
    Conditions,
    where=lambda entry: entry.space is None and not isinstance(entry.make(), LatentTree),
)


@GAUSSIAN
def test_gaussian_marginals_are_those_of_the_conditional_normal(entry: Entry) -> None:
    model, holes = entry.fit(), with_holes(entry.data[0])
    found = np.stack(list(model.marginals(holes).values()), axis=1)  # (n, d, 2)
    for row, marginal in zip(holes, found, strict=True):
        parts = [conditional_normal(part, row) for part in parts_of_density(model)]
        log_p = np.array([part[0] for part in parts])
        share = np.exp(log_p - np.logaddexp.reduce(log_p))
        mean = sum(w * m for w, (_, m, _) in zip(share, parts))
        square = sum(w * (np.diag(C) + (m - mean) ** 2) for w, (_, m, C) in zip(share, parts))
        unknown = np.isnan(row)
        np.testing.assert_allclose(marginal[unknown, 0], mean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(marginal[unknown, 1], np.sqrt(square), rtol=1e-7)
        np.testing.assert_array_equal(marginal[~unknown, 0], row[~unknown])
        assert not marginal[~unknown, 1].any()
    np.testing.assert_array_equal(model.impute(holes), found[:, :, 0])


@GAUSSIAN
def test_gaussian_completions_follow_the_conditional(entry: Entry) -> None:
    """Kolmogorov-Smirnov of one unknown entry of each row against its mixture of normals."""
    model, holes = entry.fit(), with_holes(entry.data[0])
    draws = model.impute_draws(holes, 2000, random_state=0)
    for i, row in enumerate(holes[:-1]):
        j = int(np.flatnonzero(np.isnan(row))[0])
        parts = [conditional_normal(part, row) for part in parts_of_density(model)]
        log_p = np.array([part[0] for part in parts])
        share = np.exp(log_p - np.logaddexp.reduce(log_p))

        def cdf(x: Any, parts: Any = parts, share: Any = share) -> Any:
            normals = [stats.norm(m[0], np.sqrt(C[0, 0])) for _, m, C in parts]
            return sum(w * normal.cdf(x) for w, normal in zip(share, normals))

        pvalue = stats.kstest(draws[:, i, j], cdf).pvalue
        assert pvalue > FALSE_ALARM / len(holes)
        known = ~np.isnan(row)
        np.testing.assert_array_equal(draws[:, i, known], np.tile(row[known], (2000, 1)))


@of_kind(Conditions)
def test_a_condition_is_read_by_name_in_every_form(entry: Entry) -> None:
    pandas = pytest.importorskip("pandas")
    X = entry.data[0]
    frame = pandas.DataFrame({f"c{j}": column for j, column in enumerate(X.T.tolist())})
    model = entry.make().fit(frame)
    row = np.full(X.shape[1], np.nan, dtype=object)
    row[1] = next(v for v in X[:, 1].tolist() if v == v)
    forms = [
        row.tolist(),
        {"c1": row[1]},
        pandas.Series({"c1": row[1]}),
        pandas.DataFrame({"c1": [row[1]]}),
    ]
    if X.dtype.kind != "U":
        forms.append(row.astype(float))
    wanted = model.sample(5, given=forms[0], random_state=0)
    assert wanted["c1"].tolist() == [row[1]] * 5
    for form in forms[1:]:
        assert model.sample(5, given=form, random_state=0).equals(wanted)
    oddities = (
        ({"none": 0}, "'none'"),
        ({"c1": (0, 1)}, r"\(0, 1\)"),
        ({"c1": [[1], [2, 3]]}, "2, 3"),
    )
    for odd, seen in oddities:
        if isinstance(model, LatentTree) and type(odd.get("c1")) is tuple:
            continue  # which takes ranges
        with pytest.raises(ancestral.errors.DataError, match=f"{seen}.*c1|{seen}.*give one of"):
            model.sample(given=odd)

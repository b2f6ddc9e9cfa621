"""The leaves: densities that sum to one, and the same law in each answer they give."""

import numpy as np
import pytest
from scipy import stats

from ancestral.circuit.leaves import (
    Allowed,
    ContinuousLeaf,
    CountsLeaf,
    LevelsLeaf,
    Prior,
    Scale,
    choose,
    log_normal_between,
    mixed_moments,
    normal_between,
)

from .reference import circuit_of, density, leaf_integral, random_tree

KINDS = "lcxga"
INTERVALS = [
    Allowed(),
    Allowed(None, 0.5, 3.0),
    Allowed(None, 2.0),
    Allowed(None, -np.inf, 1.0),
    Allowed(None, 2.5, 2.5),
]


def leaf_pairs(seed=0):
    tree = random_tree(np.random.default_rng(seed), KINDS)
    return list(zip(KINDS, tree["leaves"], circuit_of(tree).leaves, strict=True))


@pytest.mark.parametrize(("kind", "plain", "leaf"), leaf_pairs())
def test_densities_are_those_written_out(kind, plain, leaf):
    x = {"l": [0, 1, 2], "c": [0, 1, 7, 40]}.get(kind, [0.01, 0.0, 2.5, 1.3, 30.0, -2.0])
    x = np.array([*x, np.nan], float)
    expected = np.array([[density(plain, z, one) for z in range(3)] for one in x])
    np.testing.assert_allclose(np.exp(leaf.log_density(x)), expected, rtol=1e-12)
    scaled, scale = leaf.likelihood(x)
    scale = np.zeros(len(x)) if scale is None else scale
    np.testing.assert_allclose(scaled * np.exp(scale)[:, None], expected, rtol=1e-12)


@pytest.mark.parametrize("allowed", INTERVALS)
@pytest.mark.parametrize(("kind", "plain", "leaf"), leaf_pairs())
def test_masses_and_moments_are_sums_and_integrals(kind, plain, leaf, allowed):
    ends = allowed.low, allowed.high
    mass = np.array([leaf_integral(plain, z, lambda x: 1.0, *ends) for z in range(3)])
    if not mass.any():
        assert np.isneginf(leaf.log_mass(allowed)).all()
        return
    np.testing.assert_allclose(np.exp(leaf.log_mass(allowed)), mass, rtol=1e-10)
    mean = [leaf_integral(plain, z, lambda x: x, *ends) / mass[z] for z in range(3)]
    square = [
        leaf_integral(plain, z, lambda x, z=z: (x - mean[z]) ** 2, *ends) / mass[z]
        for z in range(3)
    ]
    for given in [allowed, None] if allowed == Allowed() else [allowed]:
        found_mean, found_sd = leaf.moments(given)
        np.testing.assert_allclose(found_mean, mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found_sd, np.sqrt(square), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("kind", "plain", "leaf"), leaf_pairs())
def test_sets_have_the_mass_of_their_values(kind, plain, leaf):
    values = np.array([0.0, 2.0] if kind in "lc" else [0.0, 1.7])
    expected = np.array([[density(plain, z, x) for x in values] for z in range(3)])
    if kind not in "lc":
        expected[:, ~np.isin(values, plain["atoms"])] = 0  # a single real number has no mass
    with np.errstate(divide="ignore"):
        expected = np.log(expected.sum(axis=1))
    np.testing.assert_allclose(leaf.log_mass(Allowed(values)), expected, rtol=1e-12)


@pytest.mark.parametrize(("kind", "plain", "leaf"), leaf_pairs())
def test_cdf_is_the_mass_up_to_a_value(kind, plain, leaf):
    x = np.array([-1.0, 0.0, 0.7, 1.0, 2.5, 3.2, 40.0])
    expected = np.exp([leaf.log_mass(Allowed(None, -np.inf, one)) for one in x])
    np.testing.assert_allclose(leaf.cdf(x), expected, atol=1e-12)


@pytest.mark.parametrize("allowed", [*INTERVALS, Allowed(np.array([0.0, 2.0]))])
@pytest.mark.parametrize(("kind", "plain", "leaf"), leaf_pairs())
def test_draws_fit_the_leaf_under_a_condition(kind, plain, leaf, allowed):
    """A right sampler fails one of these in 10,000 seeds (Kolmogorov and Smirnov at 1e-6 each)."""
    if np.isneginf(leaf.log_mass(allowed)).any():
        return
    rng = np.random.default_rng(1)
    for z in range(3):
        draws = leaf.draw(np.full(4000, z), rng, allowed)
        if allowed.values is not None:
            assert np.isin(draws, allowed.values).all()
        else:
            assert (draws >= allowed.low).all()
            assert (draws <= allowed.high).all()
        x = np.unique(draws)
        total = float(np.exp(leaf.log_mass(allowed))[z])
        if allowed.values is not None:
            steps = [float(np.exp(leaf.log_mass(Allowed(x[: i + 1])))[z]) for i in range(len(x))]
        else:
            before = leaf.cdf(np.array([np.nextafter(allowed.low, -np.inf)]))[0, z]
            steps = leaf.cdf(x)[:, z] - before
        found = np.searchsorted(np.sort(draws), x, side="right") / len(draws)
        apart = np.abs(found - np.array(steps) / total).max()
        # Of discrete values the distance is smaller than of continuous ones: the test is safe.
        assert stats.kstwobign.sf(apart * np.sqrt(len(draws))) > 1e-6


def test_far_tails_keep_their_digits():
    """Against SciPy's logarithms of tails, and the leading term of a tail beyond them."""
    a = np.array([-40.0, 5.0, 30.0, -31.0, 0.1, 300.0])
    b = np.array([-39.0, np.inf, 31.0, -30.0, 0.1 + 1e-9, 301.0])
    found = log_normal_between(a, b)
    for one, two, log_p in zip(a, b, found, strict=True):
        if two == np.inf:
            expected = stats.norm.logsf(one)
        elif two - one < 1e-6:
            expected = stats.norm.logpdf(one) + np.log(two - one)
        else:
            lower, upper = sorted([abs(one), abs(two)])
            expected = stats.norm.logsf(lower) + np.log1p(
                -np.exp(stats.norm.logsf(upper) - stats.norm.logsf(lower))
            )
        assert log_p == pytest.approx(expected, rel=1e-9)
    far = log_normal_between(np.array([1e8]), np.array([np.inf]))[0]
    assert far == pytest.approx(-0.5e16 - np.log(1e8) - 0.5 * np.log(2 * np.pi), rel=1e-15)


@pytest.mark.parametrize(
    ("a", "b"),
    [(-1.0, 2.0), (6.0, np.inf), (-np.inf, -35.0), (40.0, 41.0), (2e4, np.inf), (1.0, 1 + 1e-9)],
)
def test_truncated_normals_have_their_quantiles(a, b):
    u = np.array([0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-9])
    y = normal_between(np.full(6, a), np.full(6, b), u)
    assert ((y >= a) & (y <= b)).all()
    assert (np.diff(y) >= 0).all()
    with np.errstate(divide="ignore"):
        below = log_normal_between(np.full(6, a), y) - log_normal_between(
            np.full(6, a), np.full(6, b)
        )
    np.testing.assert_allclose(np.exp(below[2:5]), u[2:5], rtol=1e-4)


@pytest.mark.parametrize("kind", ["identity", "log", "asinh"])
def test_scales_are_monotone_and_their_slope_is_their_derivative(kind):
    scale = Scale(kind, 0.3, 1.1, 0.7)
    y = np.linspace(-6, 6, 50)
    x = scale.inverse(y)
    np.testing.assert_allclose(scale.forward(x), y, atol=1e-12)
    assert (np.diff(x) > 0).all()
    h = 1e-5 * np.maximum(np.abs(x), 1e-3)
    slope = (scale.forward(x + h) - scale.forward(x - h)) / (2 * h)
    np.testing.assert_allclose(np.log(slope), scale.log_slope(x), atol=1e-6)


@pytest.mark.parametrize("kind", ["identity", "log", "asinh"])
@pytest.mark.parametrize("unit", [1e-300, 1e-9, 1.0, 1e12])
def test_no_number_has_a_density_that_is_none(kind, unit):
    leaf = ContinuousLeaf(
        Scale(kind, unit, 0.3, 0.7), np.array([0.0]), np.full((2, 2), 0.5), np.zeros(2), np.ones(2)
    )
    x = np.array([1e300, -1e300, 5e-324, -5e-324, 0.0, 1.7e308, -1.7e308, 1.0, unit, np.nan])
    for log_p in (leaf.log_density(x), np.log(leaf.likelihood(x)[0] + 1e-300)):
        assert not np.isnan(log_p).any()
        assert (log_p < np.inf).all()
    assert np.isfinite(leaf.log_density(np.array([0.0, unit]))).all()
    if kind == "log":
        assert np.isneginf(leaf.log_density(np.array([-unit]))).all()
    for allowed in (Allowed(None, 1e300), Allowed(None, -np.inf, -1e300), Allowed(None, 5e-324)):
        assert not np.isnan(leaf.log_mass(allowed)).any()
    assert not np.isnan(leaf.moments()).any()


def test_moments_of_mixtures_hold_where_squares_do_not():
    mean, sd = mixed_moments(
        np.full((3, 2), 0.5), np.array([[1e200, 3e200], [1e-200, 3e-200], [1, 3]]), np.zeros((3, 2))
    )
    np.testing.assert_allclose(mean, [2e200, 2e-200, 2], rtol=1e-15)
    np.testing.assert_allclose(sd, [1e200, 1e-200, 1], rtol=1e-15)


@pytest.mark.parametrize("size", [0.1, 3.0, 1e4, 1e6, 1e7])
@pytest.mark.parametrize("mean", [0.01, 30.0, 2000.0])
def test_counts_sum_to_one_at_any_size(mean, size):
    leaf = CountsLeaf(np.array([mean]), np.array([size]))
    x = np.arange(leaf.last() + 1)
    assert np.exp(leaf.log_density(x)).sum() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("allowed", [Allowed(None, 5.0), Allowed(None, 30_000.0, 1e9)])
def test_long_tails_of_counts_are_summed_without_being_listed(allowed):
    """Against sums over a list; draws by Kolmogorov and Smirnov at 1e-5."""
    leaf = CountsLeaf(np.array([900.0, 4000.0]), np.array([0.1, 0.5]))
    x = np.arange(allowed.low, 600_000)
    p = np.exp(leaf.log_density(x))
    total = p.sum(axis=0)
    np.testing.assert_allclose(np.exp(leaf.log_mass(allowed)), total, rtol=1e-9)
    mean = (p * x[:, None]).sum(axis=0) / total
    sd = np.sqrt((p * (x[:, None] - mean) ** 2).sum(axis=0) / total)
    np.testing.assert_allclose(leaf.moments(allowed)[0], mean, rtol=1e-9)
    np.testing.assert_allclose(leaf.moments(allowed)[1], sd, rtol=1e-7)
    for z in range(2):
        draws = np.sort(leaf.draw(np.full(3000, z), np.random.default_rng(0), allowed))
        below = np.cumsum(p[:, z])[(draws - allowed.low).astype(int)] / total[z]
        apart = np.abs(np.searchsorted(draws, draws, side="right") / 3000 - below).max()
        assert stats.kstwobign.sf(apart * np.sqrt(3000)) > 1e-5


def test_em_of_counts_rises_to_the_maximum():
    """Against SciPy's negative binomial, nudged: no neighbour is more probable."""
    x = np.random.default_rng(0).negative_binomial(2.5, 0.3, 3000).astype(float)
    leaf, prior = CountsLeaf(np.array([1.0]), np.array([1.0])), Prior(np.array([x.mean()]), 0.0)
    last = -np.inf
    for _ in range(300):
        total = leaf.log_density(x).sum()
        assert total >= last - 1e-8 * abs(total)
        leaf, last = leaf.updated(leaf.statistics(x, np.ones((len(x), 1))), prior), total
    m, r = leaf.mean[0], leaf.size[0]
    for dm, dr in ((1.02, 1), (0.98, 1), (1, 1.05), (1, 0.95)):
        other = stats.nbinom.logpmf(x, r * dr, r * dr / (m * dm + r * dr)).sum()
        assert other < stats.nbinom.logpmf(x, r, r / (m + r)).sum()


def test_choices_are_in_proportion_and_never_impossible():
    """Chi-square of four states: a right sampler fails once in 10,000 seeds."""
    rng = np.random.default_rng(3)
    for m in (3, 40):
        p = rng.dirichlet(np.full(m, 2.0), 4)
        p[:, m // 2] = 0
        states = np.repeat(np.arange(4), 5000)
        found = choose(p, states, rng)
        for z in range(4):
            counts = np.bincount(found[states == z], minlength=m)
            assert counts[m // 2] == 0
            expected = 5000 * p[z] / p[z].sum()
            kept = expected > 5
            if kept.sum() < 2:
                continue
            seen, share = counts[kept], expected[kept]
            pvalue = stats.chisquare(seen, share * seen.sum() / share.sum()).pvalue
            assert pvalue > 1e-5


def test_levels_keep_gaps_out():
    leaf = LevelsLeaf(np.array([[0.2, 0.8], [0.5, 0.5]]))
    found = leaf.log_density(np.array([1.0, np.nan]))
    np.testing.assert_allclose(found, [np.log([0.8, 0.5]), [0, 0]])

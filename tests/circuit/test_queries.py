"""Every query equals enumeration, and draws fit the density they are drawn from."""

import itertools

import numpy as np
import pytest
from scipy import stats

from ancestral.circuit import queries, search
from ancestral.circuit.leaves import Allowed, ContinuousLeaf, LevelsLeaf, Scale
from ancestral.circuit.messages import Circuit, Mixture
from ancestral.circuit.queries import Condition, Impossible

from .reference import (
    density,
    joint,
    leaf_integral,
    mixed,
    mixture_of,
    probability,
    random_tree,
    value,
)
from .test_messages import hub, rows_of

WEIGHTS = {1: [1.0], 2: [0.3, 0.7]}


def trees_of(kinds, n_trees, seed=0, k=3):
    """Return trees over the same columns: scales and atoms are the columns' own."""
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, kinds, k) for _ in range(n_trees)]
    for tree in trees[1:]:
        for leaf, first in zip(tree["leaves"], trees[0]["leaves"], strict=True):
            for name in ("unit", "centre", "width", "atoms"):
                if name in first:
                    leaf[name] = first[name]
    return trees, WEIGHTS[n_trees]


def expectation(trees, weights, row, f, i, j=None, g=None, ends=None):
    """Return the sum and integral of f(x_i) g(x_j) p(x) over the unknown, what is known given."""
    ends = ends or {}

    def of(tree):
        def leaf_values(c, z):
            leaf, (low, high) = tree["leaves"][c], ends.get(c, (-np.inf, np.inf))
            if not np.isnan(row[c]):
                own = density(leaf, z, row[c])
                own *= f(row[c]) if c == i else 1.0
                return own * (g(row[c]) if c == j else 1.0)
            if c == i and c == j:
                return leaf_integral(leaf, z, lambda x: f(x) * g(x), low, high)
            if c in (i, j):
                return leaf_integral(leaf, z, f if c == i else g, low, high)
            if c in ends:
                return leaf_integral(leaf, z, lambda x: 1.0, low, high)
            return 1.0

        return joint(tree, leaf_values)

    return sum(w * of(tree) for w, tree in zip(weights, trees, strict=True))


def one(x):
    return 1.0


@pytest.mark.parametrize("n_trees", [1, 2])
def test_densities_of_a_mixture_are_those_of_its_trees(n_trees):
    trees, weights = trees_of("blxc", n_trees)
    rows = rows_of(trees[0], "blxc", 20, np.random.default_rng(1))
    expected = np.log([mixed(trees, weights, row) for row in rows])
    found = queries.log_density(mixture_of(trees, weights), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("kinds", ["blcb", "lxa", "gcl"])
def test_marginals_are_those_of_enumeration_and_quadrature(kinds, n_trees):
    trees, weights = trees_of(kinds, n_trees, seed=2)
    rows = rows_of(trees[0], kinds, 5, np.random.default_rng(2))
    found = queries.marginals(mixture_of(trees, weights), rows)
    for i, kind in enumerate(kinds):
        for row, given in zip(rows, found[i], strict=True):
            total = mixed(trees, weights, row)
            if kind in "bl":
                levels = range(len(given))
                p = [expectation(trees, weights, row, lambda x, v=v: x == v, i) for v in levels]
                np.testing.assert_allclose(given, np.array(p) / total, rtol=1e-10, atol=1e-15)
                continue
            mean = expectation(trees, weights, row, lambda x: x, i) / total
            square = expectation(trees, weights, row, lambda x, m=mean: (x - m) ** 2, i) / total
            np.testing.assert_allclose(given, [mean, np.sqrt(square)], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n_trees", [1, 2])
def test_surprise_is_the_difference_of_two_log_densities(n_trees):
    kinds = "blxcag"
    trees, weights = trees_of(kinds, n_trees, seed=3)
    rows = rows_of(trees[0], kinds, 12, np.random.default_rng(3))
    mixture = mixture_of(trees, weights)
    found, whole = queries.surprise(mixture, rows), queries.log_density(mixture, rows)
    for i in range(len(kinds)):
        without = rows.copy()
        without[:, i] = np.nan
        expected = queries.log_density(mixture, without) - whole
        known = ~np.isnan(rows[:, i])
        np.testing.assert_allclose(found[known, i], expected[known], rtol=1e-9, atol=1e-11)
        assert np.isnan(found[~known, i]).all()


def test_an_impossible_cell_is_infinitely_odd_and_says_nothing_of_the_rest():
    trees, weights = trees_of("lgx", 2, seed=4)
    mixture = mixture_of(trees, weights)
    rows = np.array([[1.0, -3.0, 0.5], [1.0, np.nan, 0.5]])
    found = queries.surprise(mixture, rows)
    assert found[0, 1] == np.inf
    np.testing.assert_allclose(found[0, [0, 2]], found[1, [0, 2]], rtol=1e-12)


def test_surprise_where_members_or_pairs_are_impossible():
    """One tree of two forbids the row; and a row that all forbid is refused."""
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    same = Circuit(np.array([-1, 0]), np.full(2, 0.5), np.eye(2)[None].repeat(2, 0),
                   (LevelsLeaf(p),) * 2)  # fmt: skip
    free = Circuit(same.parent, same.root, np.full((2, 2, 2), 0.5), same.leaves)
    both = Mixture(np.array([0.6, 0.4]), (same, free))
    # p(1, 0) = 0.4 / 4, and p of either alone is 1/2
    found = queries.surprise(both, np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(found, np.log(0.5 / 0.1), rtol=1e-12)
    with np.errstate(all="raise"):
        found = queries.surprise(Mixture(np.ones(1), (same,)), np.array([[1.0, 0.0]]))
    assert (found == np.inf).all()


@pytest.mark.parametrize("n_trees", [1, 2])
def test_evidence_is_the_mass_of_what_is_allowed(n_trees):
    kinds = "lcxab"
    trees, weights = trees_of(kinds, n_trees, seed=5)
    row = np.array([np.nan, np.nan, value(trees[0]["leaves"][2], 0.2), np.nan, 1.0])
    condition = Condition(row, {1: Allowed(None, 1.0, 4.0), 3: Allowed(None, -np.inf, 2.5)})
    ends = {1: (1, 4), 3: (-np.inf, 2.5)}
    expected = np.log(expectation(trees, weights, row, one, 0, ends=ends))
    found = queries.log_evidence(mixture_of(trees, weights), condition)
    assert found == pytest.approx(expected, rel=1e-10)


def chi_square(rows, mixture, condition, unknown, n_levels):
    """Return the p-value of draws of levels against the probabilities of their combinations."""
    space = np.array(list(itertools.product(*(range(n) for n in n_levels))), float)
    whole = np.repeat(condition.row[None], len(space), axis=0)
    whole[:, unknown] = space
    allowed = np.ones(len(space), bool)
    for i, what in condition.allowed.items():
        allowed &= np.isin(whole[:, i], what.values)
    log_p = queries.log_density(mixture, whole) - queries.log_evidence(mixture, condition)
    p = np.where(allowed, np.exp(log_p), 0.0)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    codes = np.ravel_multi_index(rows[:, unknown].astype(int).T, n_levels)
    counts = np.bincount(codes, minlength=len(space))
    assert not counts[p == 0].any()
    expected = p * len(rows)
    rare = expected < 5
    seen = np.r_[counts[~rare], counts[rare].sum()]
    share = np.r_[expected[~rare], expected[rare].sum()]
    keep = share > 1e-9
    return stats.chisquare(seen[keep], share[keep] * len(rows) / share[keep].sum()).pvalue


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("how", ["free", "value", "set"])
def test_draws_of_levels_fit_their_probabilities(how, seed, n_trees):
    """Chi-square of 20,000 draws; a right sampler fails one of these in 10,000 seeds."""
    trees, weights = trees_of("lblb", n_trees, seed=seed)
    mixture = mixture_of(trees, weights)
    row, allowed, unknown, sizes = np.full(4, np.nan), {}, [0, 1, 2, 3], (3, 2, 3, 2)
    if how == "value":
        row[2], unknown, sizes = 1.0, [0, 1, 3], (3, 2, 2)
    if how == "set":
        allowed = {0: Allowed(np.array([0.0, 2.0])), 2: Allowed(np.array([1.0, 2.0]))}
    condition = Condition(row, allowed)
    rows = queries.drawn(mixture, condition, 20_000, np.random.default_rng(seed + 10))
    assert chi_square(rows, mixture, condition, unknown, sizes) > 1e-5


@pytest.mark.parametrize("n_trees", [1, 2])
def test_completions_of_rows_fit_their_probabilities(n_trees):
    """Chi-square of 8,000 draws for each of three rows; fails once in 10,000 seeds."""
    trees, weights = trees_of("lblb", n_trees, seed=6)
    mixture = mixture_of(trees, weights)
    gap = np.nan
    rows = np.array([[gap, 1, gap, gap], [2, gap, 0, gap], [gap] * 4, [1, 1, 1, 1]], float)
    draws = queries.completed(mixture, rows, 8000, np.random.default_rng(0))
    assert draws.shape == (8000, 4, 4)
    for r, row in enumerate(rows):
        known = ~np.isnan(row)
        assert (draws[:, r, known] == row[known]).all()
        unknown = np.flatnonzero(~known).tolist()
        if unknown:
            sizes = tuple((3, 2, 3, 2)[i] for i in unknown)
            assert chi_square(draws[:, r], mixture, Condition(row), unknown, sizes) > 1e-5


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("allowed", [None, Allowed(None, 0.5, 3.0), Allowed(None, 8.0)])
@pytest.mark.parametrize("kind", ["x", "g", "a"])
def test_draws_of_numbers_fit_their_conditional_distribution(kind, allowed, n_trees):
    """Kolmogorov and Smirnov on 5,000 draws; a right sampler fails one in 10,000 seeds."""
    trees, weights = trees_of(f"l{kind}b", n_trees, seed=7)
    mixture = mixture_of(trees, weights)
    row = np.array([1.0, np.nan, np.nan])
    condition = Condition(row, {} if allowed is None else {1: allowed})
    draws = queries.drawn(mixture, condition, 5000, np.random.default_rng(1))[:, 1]
    x = np.quantile(draws, np.linspace(0, 1, 60), method="lower")
    low = -np.inf if allowed is None else allowed.low
    assert (draws >= low).all()
    if allowed is not None:
        assert (draws <= allowed.high).all()
    total = queries.log_evidence(mixture, condition)
    below = [queries.log_evidence(mixture, Condition(row, {1: Allowed(None, low, t)})) for t in x]
    found = np.searchsorted(np.sort(draws), x, side="right") / len(draws)
    apart = np.abs(found - np.exp(np.array(below) - total)).max()
    assert stats.kstwobign.sf(apart * np.sqrt(len(draws))) > 1e-5


def test_draws_given_a_rare_event_fit_it():
    """An event of probability 1e-6 or less, and the distribution of another column given it."""
    trees, weights = trees_of("xlx", 2, seed=8)
    mixture = mixture_of(trees, weights)
    nothing = np.full(3, np.nan)
    ends = [value(trees[0]["leaves"][i], 9.0) for i in (0, 2)]
    condition = Condition(nothing, {0: Allowed(None, ends[0]), 2: Allowed(None, ends[1])})
    assert queries.log_evidence(mixture, condition) < np.log(1e-6)
    draws = queries.drawn(mixture, condition, 10_000, np.random.default_rng(2))
    assert (draws[:, 0] >= ends[0]).all()
    assert (draws[:, 2] >= ends[1]).all()
    log_p = []
    for level in range(3):
        row = nothing.copy()
        row[1] = level
        log_p.append(queries.log_evidence(mixture, Condition(row, condition.allowed)))
    p = np.exp(np.array(log_p) - queries.log_evidence(mixture, condition))
    assert p.sum() == pytest.approx(1, abs=1e-10)
    counts = np.bincount(draws[:, 1].astype(int), minlength=3)
    assert stats.chisquare(counts, p * 10_000 / p.sum()).pvalue > 1e-5


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("ends", [{}, {0: (0.5, 2.6)}, {3: (2, 5)}])
def test_mean_and_covariance_are_those_of_quadrature(ends, n_trees):
    kinds = "axlcx"
    trees, weights = trees_of(kinds, n_trees, seed=9)
    row = np.array([np.nan, np.nan, 1.0, np.nan, value(trees[0]["leaves"][4], 0.1)])
    condition = Condition(row, {i: Allowed(None, *pair) for i, pair in ends.items()})
    columns = [0, 1, 3, 4]
    mean, covariance = queries.mean_and_covariance(mixture_of(trees, weights), condition, columns)
    total = expectation(trees, weights, row, one, 2, ends=ends)
    for a, i in enumerate(columns):
        m = expectation(trees, weights, row, lambda x: x, i, ends=ends) / total
        assert mean[a] == pytest.approx(m, rel=1e-9)
        for b, j in enumerate(columns):
            expected = (
                expectation(
                    trees, weights, row, lambda x, a=a: x - mean[a], i,
                    j, lambda x, b=b: x - mean[b], ends=ends,
                )
                / total
            )  # fmt: skip
            assert covariance[a, b] == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_moments_agree_with_many_draws():
    """Means of 200,000 draws, within five standard errors: fails once in 100,000 seeds."""
    kinds = "axlcx"
    trees, weights = trees_of(kinds, 2, seed=10)
    mixture = mixture_of(trees, weights)
    row = np.array([np.nan, np.nan, 2.0, np.nan, np.nan])
    condition = Condition(row, {3: Allowed(None, 1.0, 6.0)})
    mean, covariance = queries.mean_and_covariance(mixture, condition, [0, 1, 3, 4])
    draws = queries.drawn(mixture, condition, 200_000, np.random.default_rng(3))[:, [0, 1, 3, 4]]
    error = np.sqrt(np.diag(covariance) / len(draws))
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * error).all()
    off = draws - mean
    products = off[:, :, None] * off[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(products.mean(axis=0) - covariance) < 5 * error).all()


@pytest.mark.parametrize("far", [1e-300, 1e-9, 1e12, 1e200])
def test_moments_hold_in_any_unit(far):
    """A column in another unit has moments in that unit, beside one that has not moved."""

    def made(unit):
        leaves = tuple(
            ContinuousLeaf(
                Scale("identity", u, 2.0, 0.5),
                np.empty(0),
                np.ones((2, 1)),
                np.array([-1.0, 1.0]),
                np.array([0.3, 0.6]),
            )
            for u in (unit, 1.0)
        )
        T = np.array([[0.8, 0.2], [0.3, 0.7]])[None].repeat(2, 0)
        return Mixture(np.ones(1), (Circuit(np.array([-1, 0]), np.full(2, 0.5), T, leaves),))

    nothing = Condition(np.full(2, np.nan))
    mean, covariance = queries.mean_and_covariance(made(1.0), nothing, [0, 1])
    found, other = queries.mean_and_covariance(made(far), nothing, [0, 1])
    np.testing.assert_allclose(found, mean * [far, 1], rtol=1e-12)
    np.testing.assert_allclose(other[1], covariance[1] * [far, 1], rtol=1e-12)
    sd = queries.marginals(made(far), np.full((1, 2), np.nan))
    np.testing.assert_allclose(sd[0][0, 1], far * np.sqrt(covariance[0, 0]), rtol=1e-12)


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("kinds", ["blxc", "al", "gc"])
def test_quantiles_cut_off_their_probability(kinds, n_trees):
    """p(X < q) <= probability <= p(X <= q): at atoms and counts too."""
    trees, weights = trees_of(kinds, n_trees, seed=11)
    mixture = mixture_of(trees, weights)
    rows = rows_of(trees[0], kinds, 6, np.random.default_rng(4), known=0.5)
    probabilities = np.array([0.001, 0.05, 0.5, 0.9, 0.999])
    found = queries.quantiles(mixture, rows, probabilities)
    assert set(found) == {i for i, kind in enumerate(kinds) if kind not in "bl"}
    for i, values in found.items():
        for row, ends in zip(rows, values, strict=True):
            if not np.isnan(row[i]):
                assert (ends == row[i]).all()
                continue
            total = queries.log_evidence(mixture, Condition(row))
            for q, x in zip(probabilities, ends, strict=True):
                below = [
                    np.exp(
                        queries.log_evidence(
                            mixture, Condition(row, {i: Allowed(None, -np.inf, t)})
                        )
                        - total
                    )
                    for t in (x - 1e-9 * max(abs(x), 1e-2), x + 1e-9 * max(abs(x), 1e-2))
                ]
                assert below[0] <= q + 1e-7
                assert below[1] >= q - 1e-7


@pytest.mark.parametrize("n_trees", [1, 2])
def test_information_of_levels_is_that_of_their_joint_probabilities(n_trees):
    trees, weights = trees_of("lblb", n_trees, seed=13)
    mixture = mixture_of(trees, weights)
    for i, j in ((0, 2), (1, 3)):
        sizes = (3, 2, 3, 2)
        p = np.empty((sizes[i], sizes[j]))
        for a, b in itertools.product(range(sizes[i]), range(sizes[j])):
            row = np.full(4, np.nan)
            row[[i, j]] = a, b
            p[a, b] = mixed(trees, weights, row)
        apart = p.sum(axis=1)[:, None] * p.sum(axis=0)
        expected = (p * np.log(p / apart)).sum()
        assert queries.mutual_information(mixture, i, j) == pytest.approx(expected, abs=1e-12)


def test_information_of_numbers_is_that_of_a_fine_grid():
    trees, weights = trees_of("xa", 1, seed=14, k=2)
    mixture = mixture_of(trees, weights)
    first, second = trees[0]["leaves"]
    y = np.linspace(-12, 12, 2401)
    atoms = second["atoms"]

    def by_state(leaf, smooth):
        x = np.array([value(leaf, t) for t in smooth])
        slope = np.gradient(x, smooth)
        return np.array(
            [[density(leaf, z, t) * s for t, s in zip(x, slope, strict=True)] for z in range(2)]
        ) * (smooth[1] - smooth[0])

    f = by_state(first, y)
    g = by_state(second, y[::3])
    g = np.c_[g, [[density(second, z, a) for a in atoms] for z in range(2)]]
    tree = trees[0]
    root = tree["parent"].index(-1)
    child = 1 - root
    states = tree["root"][:, None] * tree["T"][child]
    states = states if root == 0 else states.T
    p = f.T @ states @ g
    apart = p.sum(axis=1)[:, None] * p.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(p > 0, p * np.log(p / apart), 0).sum()
    assert queries.mutual_information(mixture, 0, 1) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_filling_takes_the_mean_of_numbers_and_the_likeliest_level():
    kinds = "lxc"
    trees, weights = trees_of(kinds, 2, seed=15)
    mixture = mixture_of(trees, weights)
    rows = np.array([[np.nan, 0.3, np.nan], [1.0, np.nan, 2.0], [2.0, 0.1, 1.0]])
    found, shares = queries.imputed(mixture, rows), queries.marginals(mixture, rows)
    assert found[0, 0] == shares[0][0].argmax()
    assert found[0, 2] == np.rint(shares[2][0, 0])
    assert found[1, 1] == shares[1][1, 0]
    known = ~np.isnan(rows)
    assert (found[known] == rows[known]).all()


def test_what_is_impossible_is_named_by_its_row():
    trees, weights = trees_of("lgx", 1, seed=16)
    mixture = mixture_of(trees, weights)
    rows = np.array([[1.0, 2.0, np.nan], [np.nan, -1.0, 0.0]])
    for query in (
        lambda: queries.marginals(mixture, rows),
        lambda: queries.imputed(mixture, rows),
        lambda: queries.completed(mixture, rows, 2, np.random.default_rng(0)),
    ):
        with pytest.raises(Impossible) as raised:
            query()
        assert raised.value.row == 1
    bad = Condition(rows[1])
    assert queries.log_evidence(mixture, bad) == -np.inf
    for query in (
        lambda: queries.drawn(mixture, bad, 3, np.random.default_rng(0)),
        lambda: search.most_probable(mixture, bad),
        lambda: queries.mean_and_covariance(mixture, bad, [2]),
    ):
        with pytest.raises(Impossible):
            query()


def test_queries_of_contradictory_rows_hold():
    """Evidence of a thousand columns against a thousand: states, draws and surprise are as said."""
    n = 400
    mixture = Mixture(np.ones(1), (hub(n),))
    row = (np.arange(n) % 2).astype(float)
    row[-2:] = np.nan
    found = queries.marginals(mixture, row[None])
    np.testing.assert_allclose(found[n - 1][0], 0.5, atol=1e-6)
    odd = queries.surprise(mixture, row[None])[0, :-2]
    # Without one of its columns, the other side wins at odds of a thousand million.
    np.testing.assert_allclose(odd, -np.log(2e-9), rtol=1e-6)
    draws = queries.completed(mixture, row[None], 2000, np.random.default_rng(0))[:, 0, -2:]
    assert (draws[:, 0] == draws[:, 1]).all()
    assert abs(draws.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_everything_known_or_nothing_known():
    trees, weights = trees_of("lxc", 2, seed=17)
    mixture = mixture_of(trees, weights)
    full = np.array([[1.0, 0.4, 2.0]])
    assert (queries.completed(mixture, full, 3, np.random.default_rng(0)) == full).all()
    best = search.most_probable(mixture, Condition(full[0]))
    assert best.log_probability == best.upper_bound == 0.0
    assert (best.row == full[0]).all()
    nothing = np.full((1, 3), np.nan)
    assert queries.log_density(mixture, nothing) == pytest.approx(0, abs=1e-12)
    assert queries.completed(mixture, nothing, 0, np.random.default_rng(0)).shape == (0, 1, 3)
    assert probability(trees[0], nothing[0]) == pytest.approx(1, abs=1e-12)

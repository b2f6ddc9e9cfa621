"""The steps of docs/models/tabular_autoregressive.md, a test each, by the number it has there.

Identities are checked in exact arithmetic: of symbols (sympy), or of fractions over every row of
three small variables. What the model computes is compared in float64.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray

from ancestral import TabularAutoregressive, datasets

Row = tuple[int, ...]
Law = dict[Row, Fraction]
SIZES = (2, 3, 2)
ROWS: list[Row] = list(itertools.product(*map(range, SIZES)))
# Every row is possible under LAW; of the twelve, SEEN holds seven, some of them several times.
LAW: Law = {row: Fraction((5 * i * i + 3) % 13 + 1) for i, row in enumerate(ROWS)}
LAW = {row: weight / sum(LAW.values()) for row, weight in LAW.items()}
SEEN: list[Row] = [ROWS[i] for i in (0, 0, 1, 3, 3, 3, 4, 7, 10, 10, 11)]
N = len(SEEN)


def beginning(law: Law, prefix: Row) -> Fraction:
    """Return the probability of all rows that begin so."""
    return sum((p for row, p in law.items() if row[: len(prefix)] == prefix), Fraction())


def conditional(law: Law, row: Row, i: int) -> Fraction:
    """Return p(x_i | x_1 .. x_{i-1}) of a row, i from 0."""
    return beginning(law, row[: i + 1]) / beginning(law, row[:i])


def count(prefix: Row) -> int:
    return sum(row[: len(prefix)] == prefix for row in SEEN)


def prefixes(length: int) -> list[Row]:
    """Return the contexts: prefixes of this length that some row has."""
    return sorted({row[:length] for row in SEEN})


def agree(row: Row, known: dict[int, int]) -> bool:
    return all(row[i] == level for i, level in known.items() if i < len(row))


def with_gaps(known: dict[int, int]) -> NDArray[np.float64]:
    return np.array([[known.get(i, np.nan) for i in range(len(SIZES))]])


def declared(smoothing: float = 0.0) -> TabularAutoregressive:
    """Return the model fitted to SEEN, with all levels declared."""
    levels = [list(range(k)) for k in SIZES]
    return TabularAutoregressive(smoothing, categories=levels).fit(SEEN)


def test_step_1_every_distribution_has_this_form() -> None:
    for row, p in LAW.items():
        assert math.prod(conditional(LAW, row, i) for i in range(3)) == p
    # Any tables whose rows sum to one: the last level of each is what the others leave.
    tables: dict[Row, list[sp.Expr]] = {}
    for i, k in enumerate(SIZES):
        for prefix in itertools.product(*map(range, SIZES[:i])):
            free = sp.symbols(f"t{i}_{''.join(map(str, prefix))}_0:{k - 1}")
            tables[prefix] = [*free, 1 - sum(free)]
    p = {row: math.prod(tables[row[:i]][row[i]] for i in range(3)) for row in ROWS}
    assert sp.expand(sum(p.values())) == 1
    after = sum(p[row] for row in ROWS if row[:2] == (1, 2))
    assert sp.expand(after - tables[()][1] * tables[(1,)][2]) == 0
    assert np.exp(declared(0.5).log_density(ROWS)).sum() == pytest.approx(1.0, abs=1e-12)


def test_step_2_how_many_numbers() -> None:
    K = sp.symbols("K1:6", positive=True)
    free = sum((K[i] - 1) * sp.prod(K[:i]) for i in range(5))
    assert sp.expand(free - (sp.prod(K) - 1)) == 0
    i, m = sp.symbols("i m", positive=True, integer=True)
    assert sp.simplify(sp.summation(2**i, (i, 1, m)) - (2 ** (m + 1) - 2)) == 0
    icons, _ = datasets.icons()
    model = TabularAutoregressive().fit(icons)
    assert (model.n_dense_cells_, model.n_dense_free_) == (2**26 - 2, 2**25 - 1)
    assert model.n_contexts_ <= icons.size
    small = declared()
    assert small.n_contexts_ == sum(len(prefixes(length)) for length in range(3))
    assert small.n_parameters_ == sum(len(prefixes(i)) * (k - 1) for i, k in enumerate(SIZES))


def test_step_3_a_sum_over_contexts() -> None:
    logs = {
        (prefix, k): sp.Symbol(f"l{''.join(map(str, prefix))}_{k}")
        for i, size in enumerate(SIZES)
        for prefix in itertools.product(*map(range, SIZES[:i]))
        for k in range(size)
    }
    by_row = sum(logs[row[:i], row[i]] for row in SEEN for i in range(3))
    by_context = sum(
        count((*prefix, k)) * logs[prefix, k]
        for i, size in enumerate(SIZES)
        for prefix in prefixes(i)
        for k in range(size)
    )
    assert sp.expand(by_row - by_context) == 0


def test_step_4_counting_is_the_maximum() -> None:
    u = sp.Symbol("u", positive=True)
    gap = u - 1 - sp.log(u)
    assert sp.solve(sp.diff(gap, u), u) == [1]
    assert gap.subs(u, 1) == 0
    assert sp.diff(gap, u, 2) == u**-2  # convex: 0 is its least value
    model = declared()
    for i, size in enumerate(SIZES):
        shares = [[count((*a, k)) / count(a) for k in range(size)] for a in prefixes(i)]
        np.testing.assert_allclose(model.probabilities_[i], shares, rtol=1e-14)
    rng = np.random.default_rng(0)
    counts = np.array([4.0, 0.0, 5.0])
    best = counts / counts.sum()
    for _ in range(50):
        t = rng.dirichlet([1.0, 1.0, 1.0])
        bound = counts.sum() * (t[counts > 0].sum() - 1)
        lost = counts[[0, 2]] @ np.log(t[[0, 2]] / best[[0, 2]])
        assert lost <= bound <= 0


def test_step_5_the_fitted_distribution_is_the_data() -> None:
    share = Counter(SEEN)
    for row in share:
        factors = (Fraction(count(row[: i + 1]), count(row[:i])) for i in range(3))
        assert math.prod(factors) == Fraction(share[row], N)
    entropy = -sum(c / N * math.log(c / N) for c in share.values())
    model = declared()
    assert -model.score(SEEN) == pytest.approx(entropy, rel=1e-13)
    expected = [share[row] / N for row in ROWS]
    np.testing.assert_allclose(np.exp(model.log_density(ROWS)), expected, rtol=1e-13)
    turned = TabularAutoregressive().fit([row[::-1] for row in SEEN])
    rows = list(share)
    np.testing.assert_allclose(
        turned.log_density([row[::-1] for row in rows]), model.log_density(rows), rtol=1e-13
    )
    assert -declared(0.3).score(SEEN) > entropy


def test_step_6_the_floor_is_a_sum_over_the_variables() -> None:
    terms = []
    for i, size in enumerate(SIZES):
        term = 0.0
        for a in prefixes(i):
            shares = [count((*a, k)) / count(a) for k in range(size)]
            term -= count(a) / N * sum(s * math.log(s) for s in shares if s)
        terms.append(term)
    model = declared()
    np.testing.assert_allclose(model.step_entropies_, terms, rtol=1e-12)
    assert model.entropy_ == pytest.approx(-model.score(SEEN), rel=1e-12)
    copied = TabularAutoregressive().fit([[0, 0], [1, 1], [1, 1]])
    assert copied.step_entropies_[1] == 0.0  # the first value determines the second


def test_step_7_smoothing() -> None:
    alpha, x, y = sp.symbols("alpha x y", positive=True)
    c = [3, 0, 1]
    height = (c[0] + alpha) * sp.log(x) + (c[1] + alpha) * sp.log(y)
    height += (c[2] + alpha) * sp.log(1 - x - y)
    fitted = {x: (c[0] + alpha) / (4 + 3 * alpha), y: (c[1] + alpha) / (4 + 3 * alpha)}
    for t in (x, y):
        assert sp.simplify(sp.diff(height, t).subs(fitted)) == 0
    # The posterior of a Dirichlet prior is Dirichlet; its mean is a quotient of beta functions.
    t = sp.Symbol("t", positive=True)
    for prior in (1, 2):
        density = t ** (3 + prior - 1) * (1 - t) ** (1 + prior - 1)
        mean = sp.integrate(t * density, (t, 0, 1)) / sp.integrate(density, (t, 0, 1))
        assert mean == sp.Rational(3 + prior, 4 + 2 * prior)
    a = 0.7
    model = declared(a)
    for i, size in enumerate(SIZES):
        fits = [
            [(count((*p, k)) + a) / (count(p) + a * size) for k in range(size)] for p in prefixes(i)
        ]
        np.testing.assert_allclose(model.probabilities_[i], fits, rtol=1e-13)
    unseen = next(row for row in ROWS if not count(row[:2]))
    ends = [(*unseen[:2], k) for k in range(2)]
    p = np.exp(model.log_density(ends))
    assert p[0] == pytest.approx(p[1], rel=1e-12)
    turned = TabularAutoregressive(a).fit([row[::-1] for row in SEEN])
    assert abs(turned.log_density([SEEN[0][::-1]])[0] - model.log_density([SEEN[0]])[0]) > 1e-3


def test_step_8_drawing() -> None:
    shares = [Fraction(1, 6), Fraction(0), Fraction(1, 2), Fraction(1, 3)]
    ends = list(itertools.accumulate(shares))
    # On a grid of u that the shares divide evenly, each level has its own share.
    grid = [Fraction(2 * j + 1, 24) for j in range(12)]
    levels = Counter(next(k for k, end in enumerate(ends) if end > u) for u in grid)
    assert [Fraction(levels[k], 12) for k in range(4)] == shares

    def multinomial(counts: list[int], p: list[Fraction]) -> Fraction:
        ways = math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))
        return ways * math.prod((q**c for q, c in zip(p, counts, strict=True)), start=Fraction(1))

    first = [beginning(LAW, (a,)) for a in range(2)]
    then = [[conditional(LAW, (a, k, 0), 1) for k in range(3)] for a in range(2)]
    joint = [first[a] * then[a][k] for a in range(2) for k in range(3)]
    for split in itertools.product(range(4), repeat=6):
        if sum(split) == 3:
            halves = [list(split[:3]), list(split[3:])]
            by_steps = multinomial([sum(half) for half in halves], first)
            by_steps *= multinomial(halves[0], then[0]) * multinomial(halves[1], then[1])
            assert by_steps == multinomial(list(split), joint)
    model = declared(0.5)
    rows, counts = model.sample_counts(10**6, random_state=0)
    p = np.exp(model.log_density(rows))
    assert len(rows) == len(ROWS)
    assert (np.abs(counts / 1e6 - p) < 5 * np.sqrt(p * (1 - p) / 1e6)).all()


@pytest.mark.parametrize("known", [{1: 2}, {2: 1}, {0: 1, 2: 0}, {0: 0}, {1: 0, 2: 1}])
def test_step_9_conditioning(known: dict[int, int]) -> None:
    total = sum(p for row, p in LAW.items() if agree(row, known))
    end = max(known) + 1
    forwards: dict[Row, Fraction] = {(): Fraction(1)}
    for i, size in enumerate(SIZES):
        if i == end:  # what comes after sums to one
            assert sum(forwards[a] for a in forwards if len(a) == end) == total
        for a in [a for a in forwards if len(a) == i]:
            for k in range(size):
                step = conditional(LAW, (*a, k), i) if agree((*a, k), known) else Fraction()
                forwards[*a, k] = forwards[a] * step
    backwards = {row: Fraction(1) for row in ROWS}
    for i in (2, 1, 0):
        for a in {row[:i] for row in ROWS}:
            backwards[a] = sum(
                conditional(LAW, (*a, k), i) * backwards[*a, k]
                for k in range(SIZES[i])
                if agree((*a, k), known)
            )
    for i, size in enumerate(SIZES):
        for k in range(size):
            exact = sum(p for row, p in LAW.items() if row[i] == k and agree(row, known)) / total
            found = sum(
                forwards[a] * conditional(LAW, (*a, k), i) * backwards[*a, k]
                for a in {row[:i] for row in ROWS}
                if agree((*a, k), known)
            )
            assert found / total == exact
    model = declared(0.5)
    p = np.exp(model.log_density(ROWS))
    kept = np.array([agree(row, known) for row in ROWS])
    gaps = with_gaps(known)
    assert model.log_density(gaps)[0] == pytest.approx(math.log(p[kept].sum()), rel=1e-12)
    marginals = model.marginals(gaps)
    for i, size in enumerate(SIZES):
        expected = [p[kept & (np.array(ROWS)[:, i] == k)].sum() for k in range(size)]
        np.testing.assert_allclose(marginals[i][0], expected / p[kept].sum(), rtol=1e-12)
    best = np.array(ROWS)[kept][p[kept].argmax()]
    assert model.log_density(model.impute(gaps)) == pytest.approx(model.log_density([best]))


def test_joins_what_was_never_seen() -> None:
    """Sixty unknown columns before a known one: the walk holds one prefix more than contexts."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (30, 61))
    model = TabularAutoregressive(0.1).fit(X)
    known = np.full((2, 61), np.nan)
    known[:, 60] = 0, 1
    assert np.exp(model.log_density(known)).sum() == pytest.approx(1.0, rel=1e-12)


def test_step_10_filling_in_order_is_not_conditioning() -> None:
    def filling(row: Row, unknown: list[int]) -> Fraction:
        return math.prod((conditional(LAW, row, i) for i in unknown), start=Fraction(1))

    for known, is_right in (({0: 1}, True), ({0: 1, 1: 2}, True), ({2: 1}, False), ({1: 0}, False)):
        unknown = [i for i in range(3) if i not in known]
        rows = [row for row in ROWS if agree(row, known)]
        total = sum(LAW[row] for row in rows)
        q = {row: filling(row, unknown) for row in rows}
        for row in rows:
            ratio = math.prod(conditional(LAW, row, i) for i in known) / total
            assert LAW[row] / total / q[row] == ratio
        assert (sum(abs(q[row] - LAW[row] / total) for row in rows) == 0) == is_right
    # Where a filling meets a known value that is impossible, it ends in no row: with q = 1/2 here.
    model = TabularAutoregressive().fit([[0, 0], [1, 1]])
    q = np.exp(model.log_density([[0, np.nan], [1, np.nan]]))
    possible = np.isfinite(model.log_density([[0, 1], [1, 1]]))
    assert q[~possible].sum() == pytest.approx(0.5)

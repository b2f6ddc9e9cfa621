"""What the browser computes of a table's tree is what Python computes, to 1e-8."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import LatentTree
from ancestral.circuit import queries
from ancestral.circuit.leaves import CountsLeaf, LevelsLeaf
from ancestral.studio.rooms import tree

EXACT = 1e-8

TREES = """
    const trees = new circuit.Trees(given.data);
    const rows = given.rows.map((row) => row.map((v) => v ?? NaN));
"""


@pytest.fixture(scope="module")
def table():
    """Levels, counts, and numbers on each scale, one with an atom and one of dates, with gaps."""
    pd = pytest.importorskip("pandas", reason="tables are an extra")
    rng = np.random.default_rng(2)
    n = 400
    kind = rng.integers(0, 3, n)
    rain = np.where(rng.random(n) < 0.4, 0.0, np.exp(rng.normal(kind, 1.5)))
    found = pd.DataFrame(
        {
            "kind": np.array(["low", "mid", "high"])[kind],
            "is warm": rng.random(n) < 0.2 + 0.3 * kind,
            "height": rng.normal(10 * kind, 2),
            "rain": rain,
            "price": np.exp(rng.normal(3 + kind, 0.8)),
            "gain": np.sinh(rng.normal(kind - 1, 1.5)),
            "seen": np.datetime64("2024-01-01") + rng.integers(0, 300, n) * np.timedelta64(1, "D"),
            "visits": rng.poisson(2 + 3 * kind),
        }
    )
    return found.mask(rng.random(found.shape) < 0.1)


@pytest.fixture(scope="module", params=[1, 3])
def model(table, request):
    made = LatentTree(5, request.param, column_types={"visits": "count"}, random_state=0)
    return made.fit(table)


@pytest.fixture(scope="module")
def rows(model):
    """Rows of which anything from nothing to all is known, and the ends of what may be fixed."""
    rng = np.random.default_rng(5)
    full = queries.drawn(model._mixture, queries.Condition(np.full(8, np.nan)), 12, rng)
    some = np.where(rng.random(full.shape) < np.linspace(0, 1, 12)[:, None], full, np.nan)
    ends = [[column[end] for column in tree._document(model)["columns"]] for end in ("low", "high")]
    ends = np.round(ends) * (rng.random((2, 8)) < 0.8)  # atoms and counts among them
    ends[:, 7] = np.abs(ends[:, 7])
    ends[:, 4] = 1e-3
    return np.vstack([some, ends])


def asked(model, rows):
    plain = [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]
    return {"data": tree._document(model), "rows": plain}


def test_log_densities(script, model, rows):
    got = script(TREES + "return rows.map((row) => trees.logDensity(row));", asked(model, rows))
    np.testing.assert_allclose(got, queries.log_density(model._mixture, rows), atol=EXACT)
    given = [{} for _ in rows]
    np.testing.assert_allclose(got[0], model.log_evidence(given[0]), atol=EXACT)


def test_marginals_given_any_columns(script, model, rows):
    got = script(
        TREES
        + """
        return rows.map((row) => {
          const answer = trees.given(row);
          return trees.columns.map((column, i) => {
            if (circuit.hasLevels(column)) return Array.from(trees.masses(i, answer));
            const { mean, sd } = trees.moments(i, answer);
            return [mean, sd];
          });
        });
        """,
        asked(model, rows),
    )
    for i, expected in enumerate(queries.marginals(model._mixture, rows)):
        unknown = np.isnan(rows[:, i])
        found = np.array([row[i] for row in got])
        np.testing.assert_allclose(found[unknown], expected[unknown], rtol=EXACT, atol=EXACT)


def test_curves_are_densities_given_any_columns(script, model, rows):
    """By the definition: a density given a row is one of both over that of the row."""
    got = script(
        TREES
        + """
        return rows.map((row) => {
          const answer = trees.given(row);
          return trees.columns.map((column, i) =>
            trees.grids[i] && [Array.from(trees.grids[i].x), Array.from(trees.curve(i, answer))]);
        });
        """,
        asked(model, rows),
    )
    leaves = model._mixture.circuits[0].leaves
    for row, found in zip(rows, got, strict=True):
        for i in np.flatnonzero(np.isnan(row)):
            if isinstance(leaves[i], LevelsLeaf):
                continue
            x, curve = map(np.array, found[i])
            several = np.repeat(row[None], len(x), axis=0)
            several[:, i] = x
            log_p = queries.log_density(model._mixture, several)
            log_p -= queries.log_density(model._mixture, row[None])
            if not isinstance(leaves[i], CountsLeaf):
                log_p -= leaves[i].scale.log_slope(x)
            apart = ~np.isin(x, getattr(leaves[i], "atoms", []))
            np.testing.assert_allclose(curve[apart], np.exp(log_p)[apart], rtol=1e-7, atol=EXACT)


def test_counts_keep_their_digits_at_any_size(script):
    from scipy.special import gammaln

    pairs = [(0.02, 3), (1.0, 40), (7.5, 1e4), (1e7, 5), (300.0, 2e5)]
    got = script("return given.map(([r, x]) => circuit.logRising(r, x));", pairs)
    exact = [
        np.log(r + np.arange(x)).sum() if x < 1e5 else gammaln(r + x) - gammaln(r) for r, x in pairs
    ]
    np.testing.assert_allclose(got, exact, rtol=1e-10)


def test_draws_are_those_of_python(script, model, rows):
    """Means of many draws in the browser are the means given the row, within chance."""
    row = rows[4]
    got = script(
        TREES
        + """
        const answer = trees.given(rows[4]);
        const random = new arrays.Random(7);
        return Array.from({ length: 4000 }, () => Array.from(trees.draw(answer, random)));
        """,
        asked(model, rows),
    )
    drawn = np.array(got)
    known = ~np.isnan(row)
    assert (drawn[:, known] == row[known]).all()
    python = queries.drawn(model._mixture, queries.Condition(row), 4000, np.random.default_rng(0))
    for i in np.flatnonzero(~known):
        pooled = np.sort(np.concatenate([drawn[:, i], python[:, i]]))
        apart = [np.searchsorted(np.sort(one[:, i]), pooled, "right") for one in (drawn, python)]
        assert np.abs(apart[0] - apart[1]).max() / 4000 < 0.04  # Kolmogorov and Smirnov, p < 0.003


def test_what_moved_is_a_divergence(script, model, rows):
    got = script(
        TREES
        + """
        const before = trees.given(rows[0].map(() => NaN));
        return rows.map((row) => {
          const answer = trees.given(row);
          return trees.columns.map((_, i) => trees.change(i, answer, before));
        });
        """,
        asked(model, rows),
    )
    changes = np.array(got)
    np.testing.assert_allclose(changes[np.isnan(rows).all(axis=1)], 0, atol=1e-12)
    i = next(k for k, c in enumerate(model.columns_) if c["name"] == "kind")
    marginals = queries.marginals(model._mixture, np.vstack([rows, np.full(8, np.nan)]))[i]
    p, q = marginals[:-1], marginals[-1]
    unknown = np.isnan(rows[:, i])
    expected = (p * np.log(np.where(p > 0, p / q, 1))).sum(axis=1)
    np.testing.assert_allclose(changes[unknown, i], expected[unknown], atol=EXACT)

"""What the browser computes of graphs is what Python computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ancestral import Graph, InnerProductGraph, datasets
from ancestral.graph.inner_product import gradient_ascent, keep
from tests.studio.conftest import told

EXACT = 1e-6
SUMS = "const sums = new graphs.PairSums(given.room.sums);"


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def classroom(studio):
    return told(studio.shelf, "classroom")


def test_the_likelihood_of_graphs_and_its_gradient(script, classroom, rng):
    statistics = keep(datasets.classrooms())
    points = np.vstack([rng.normal([5, -5], 3, size=(8, 2)), [[40.0, -30.0], [0.0, 0.0]]])
    got = script(
        SUMS + "const { points } = given;"
        "return points.map(([a, b]) => [sums.logLikelihood(a, b), ...sums.gradient(a, b)]);",
        {"room": classroom, "points": points.tolist()},
    )
    for (a, b), (value, da, db) in zip(points, got, strict=True):
        assert value == pytest.approx(statistics.log_likelihood(a, b), rel=EXACT)
        np.testing.assert_allclose([da, db], statistics.gradient(a, b), rtol=EXACT, atol=1e-4)


def test_the_climbs_take_the_steps_of_python(script, classroom):
    statistics = keep(datasets.classrooms())
    start = [1.0, 0.5]
    expected = gradient_ascent(statistics, np.array(start))
    searched, fixed = script(
        SUMS + "const size = 5 / given.room.n_pairs;"
        "const fixed = graphs.fixedSteps(sums, given.start, size, 30);"
        "return [graphs.lineSearch(sums, given.start), fixed];",
        {"room": classroom, "start": start},
    )
    for k in range(8):  # later, rounding of the two paths grows apart; their end agrees
        assert searched[k]["a"] == pytest.approx(expected[k]["a"], rel=EXACT)
        assert searched[k]["b"] == pytest.approx(expected[k]["b"], rel=EXACT)
    values = [step["value"] for step in searched]
    assert (np.diff(values) > 0).all()
    fitted = InnerProductGraph().fit(datasets.classrooms())
    assert searched[-1]["a"] == pytest.approx(fitted.slope_, rel=EXACT)
    assert searched[-1]["b"] == pytest.approx(fitted.intercept_, rel=EXACT)
    assert values[-1] == pytest.approx(fitted.log_likelihood_, rel=EXACT)
    theta = np.array(start)
    for step in fixed:
        np.testing.assert_allclose([step["a"], step["b"]], theta, rtol=EXACT)
        theta = theta + 5 * statistics.gradient(*theta) / statistics.n_pairs
    assert len(fixed) == 31


@pytest.mark.parametrize(("size", "falls"), [(1, False), (5, False), (60, True), (300, True)])
def test_a_step_that_is_too_large_jumps_over_the_ridge(script, classroom, size, falls):
    step = script(
        SUMS + "const { a, b } = given.room.start;"
        "const size = given.size / given.room.n_pairs;"
        "return graphs.overshoot(graphs.fixedSteps(sums, [a, b], size, 100));",
        {"room": classroom, "size": size},
    )
    assert (step > 0) == falls


def test_a_grid_is_refined_by_cubics(script):
    def f(size):
        x, y = np.meshgrid(np.linspace(0, 5, size), np.linspace(-1, 4, size))
        return (x**3 - 2 * x * y**2 + y**3 - 7).ravel()

    got = script("return Array.from(plot.refined(Float64Array.from(given), 6));", f(6).tolist())
    np.testing.assert_allclose(got, f(16), atol=1e-10)


PAIRS = """
    const { pupils, attributes, scale, a, b } = given;
    const at = (b, seed) =>
      graphs.linked(graphs.pairsOf(pupils, attributes, scale, { seed }), a, b);
"""


def test_links_have_their_probabilities_and_common_random_numbers(script, rng):
    """Each pair's share of links over seeds; raising b only adds links."""
    X = rng.uniform(-1, 1, size=(9, 3))
    model = InnerProductGraph().fit(datasets.classrooms(20))
    got = script(
        PAIRS
        + """
        const seeds = Array.from({ length: 2000 }, (_, k) => k);
        const first = at(b, 0);
        const marks = (links) => links.map(({ isLinked }) => (isLinked ? 1 : 0));
        const drawn = seeds.map((seed) => marks(at(b, seed)));
        const share = first.map((_, k) => drawn.reduce((n, row) => n + row[k], 0) / seeds.length);
        const logDensity = graphs.logDensity(first, a, b);
        const [low, high] = [marks(at(b, 4)), marks(at(b + 2, 4))];
        return { first, share, low, high, logDensity, linked: marks(first) };
        """,
        {
            "pupils": X.tolist(),
            "attributes": [{}, {}, {}],
            "scale": 1,
            "a": model.slope_,
            "b": model.intercept_,
        },
    )
    i, j = np.array([[link["i"], link["j"]] for link in got["first"]]).T
    p = model.probabilities(X)[i, j]
    np.testing.assert_allclose([link["p"] for link in got["first"]], p, atol=EXACT)
    z = (np.array(got["share"]) - p) / np.sqrt(p * (1 - p) / 2000)
    assert np.abs(z).max() < 4.8  # once in 10,000 for 36 pairs
    assert all(high or not low for low, high in zip(got["low"], got["high"], strict=True))
    adjacency = np.zeros((9, 9), int)
    adjacency[i, j] = adjacency[j, i] = got["linked"]
    assert got["logDensity"] == pytest.approx(model.log_density([(X, adjacency)])[0], abs=EXACT)


def people(rng, n=60):
    """Two houses whose people know one another the better, the nearer their ages are."""
    age, income = rng.integers(18, 70, n), rng.normal(30_000, 6_000, n).round(2)
    house = rng.choice(["Stark", "Tully"], n)
    same = house[:, None] == house[None, :]
    p = 0.05 + 0.3 * same + 0.2 * (np.abs(age[:, None] - age) < 10)
    E = np.triu(rng.random((n, n)) < p, 1)
    table = pd.DataFrame({"age": age, "income": income, "house": house})
    return Graph(table, (E | E.T).astype(int))


def test_probabilities_hold_in_the_features_own_units(script, rng):
    """Of ages, incomes and texts: inner products of 1e9, of which the page takes a power of ten."""
    from ancestral.studio.rooms import classroom as room
    from ancestral.studio.shelf import Item

    graph = people(rng)
    item = Item("0", "people.graphml", "graphs", "", [graph])
    sent = room._of_graphs(item, ())
    assert [one["name"] for one in sent["attributes"]] == ["age", "income", "house"]
    assert sent["attributes"][2]["levels"] == ["Stark", "Tully"]
    for one, values in zip(sent["attributes"], graph.numbers.T, strict=True):
        assert one["low"] <= values.min() and one["high"] >= values.max()
    model = InnerProductGraph().fit([graph])
    assert sent["fits"][0]["a"] * 10.0 ** sent["unit"] == pytest.approx(model.slope_)
    got = script(
        SUMS
        + PAIRS
        + """
        const values = arrays.unpackMatrix(given.room.graphs.values);
        const row = (_, i) => Array.from(arrays.row(values, i));
        const rows = Array.from({ length: values.rows }, row);
        const links = graphs.linked(graphs.pairsOf(rows, attributes, scale, { seed: 1 }), a, b);
        return { p: links.map(({ p }) => p), value: sums.logLikelihood(a, b) };
        """,
        {
            "room": sent,
            "attributes": sent["attributes"],
            "scale": 10.0 ** sent["unit"],
            "a": sent["fits"][0]["a"],
            "b": sent["fits"][0]["b"],
        },
    )
    expected = model.probabilities(graph)[np.triu_indices(graph.n_nodes, 1)]
    np.testing.assert_allclose(got["p"], expected, atol=EXACT)
    assert got["value"] == pytest.approx(model.log_likelihood_, rel=EXACT)

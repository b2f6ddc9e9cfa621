"""What the browser computes of graphs, lines and scores is what Python computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import minimize

from ancestral import (
    HeteroscedasticGaussian,
    InnerProductGraph,
    LinearGaussian,
    datasets,
)
from ancestral.graph.inner_product import gradient_ascent, keep
from ancestral.studio import rooms

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


# ---- classroom ----------------------------------------------------------------------------------

PAIRS = """
    const { edges, gaps } = given.room;
    const pairs = new graphs.Pairs(arrays.unpack(edges).data, arrays.unpack(gaps).data);
"""


@pytest.fixture(scope="module")
def classroom(studio):
    return rooms.part(studio.shelf, "classroom")


def test_the_likelihood_of_graphs_and_its_gradient(script, classroom, rng):
    statistics = keep(datasets.classrooms())
    points = np.vstack([rng.normal([5, -5], 3, size=(8, 2)), [[40.0, -30.0], [0.0, 0.0]]])
    got = script(
        PAIRS
        + "const { points } = given;"
        + "return points.map(([a, b]) => [pairs.logLikelihood(a, b), ...pairs.gradient(a, b)]);",
        {"room": classroom, "points": points.tolist()},
    )
    for (a, b), (value, da, db) in zip(points, got, strict=True):
        assert value == pytest.approx(statistics.log_likelihood(a, b), rel=EXACT)
        np.testing.assert_allclose([da, db], statistics.gradient(a, b), rtol=EXACT, atol=1e-4)


def test_the_contours_grid_is_close_to_the_likelihood(script, classroom, rng):
    points = rng.normal([5, -5], 3, size=(12, 2)).tolist()
    exact, binned = script(
        PAIRS
        + """
        const binned = pairs.binned();
        const values = (sums) => given.points.map(([a, b]) => sums.logLikelihood(a, b));
        return [values(pairs), values(binned)];
        """,
        {"room": classroom, "points": points},
    )
    np.testing.assert_allclose(binned, exact, atol=1e-3)


def test_a_grid_is_refined_by_cubics(script):
    def f(size):
        x, y = np.meshgrid(np.linspace(0, 5, size), np.linspace(-1, 4, size))
        return (x**3 - 2 * x * y**2 + y**3 - 7).ravel()

    got = script("return Array.from(plot.refined(Float64Array.from(given), 6));", f(6).tolist())
    np.testing.assert_allclose(got, f(16), atol=1e-10)


def test_the_ascent_takes_the_steps_of_python(script, classroom):
    statistics = keep(datasets.classrooms())
    start = [1.0, 0.5]
    expected = gradient_ascent(statistics, np.array(start))
    got = script(
        PAIRS + "return graphs.gradientAscent(pairs, given.start);",
        {"room": classroom, "start": start},
    )
    for k in range(8):  # later, rounding of the two paths grows apart; their end agrees
        assert got[k]["a"] == pytest.approx(expected[k]["a"], rel=EXACT)
        assert got[k]["b"] == pytest.approx(expected[k]["b"], rel=EXACT)
    values = [step["value"] for step in got]
    assert (np.diff(values) > 0).all()
    fitted = InnerProductGraph().fit(datasets.classrooms())
    assert got[-1]["a"] == pytest.approx(fitted.slope_, rel=EXACT)
    assert got[-1]["b"] == pytest.approx(fitted.intercept_, rel=EXACT)
    assert values[-1] == pytest.approx(fitted.log_likelihood_, rel=EXACT)


def test_links_have_their_probabilities_and_common_random_numbers(script, rng):
    """Each pair's share of links over seeds; raising b only adds links."""
    X = rng.uniform(-1, 1, size=(9, 3))
    model = InnerProductGraph().fit(datasets.classrooms(20))
    got = script(
        """
        const at = (b, seed) => graphs.drawLinks(given.X, given.a, b, seed);
        const seeds = Array.from({ length: 2000 }, (_, k) => k);
        const first = at(given.b, 0);
        const linked = (links) => links.map((link) => (link.linked ? 1 : 0));
        const drawn = seeds.map((seed) => linked(at(given.b, seed)));
        const share = first.map((_, k) => drawn.reduce((n, row) => n + row[k], 0) / seeds.length);
        const logDensity = graphs.logDensity(first, given.a, given.b);
        const [low, high] = [linked(at(given.b, 4)), linked(at(given.b + 2, 4))];
        const pairs = first.map((l) => [l.i, l.j]);
        const p = first.map((l) => l.p);
        return { p, pairs, share, low, high, logDensity, linked: linked(first) };
        """,
        {"X": X.tolist(), "a": model.slope_, "b": model.intercept_},
    )
    i, j = np.array(got["pairs"]).T
    p = model.probabilities(X)[i, j]
    np.testing.assert_allclose(got["p"], p, atol=EXACT)
    z = (np.array(got["share"]) - p) / np.sqrt(p * (1 - p) / 2000)
    assert np.abs(z).max() < 4.8  # once in 10,000 for 36 pairs
    assert all(high or not low for low, high in zip(got["low"], got["high"], strict=True))
    adjacency = np.zeros((9, 9), int)
    adjacency[i, j] = adjacency[j, i] = got["linked"]
    assert got["logDensity"] == pytest.approx(model.log_density([(X, adjacency)])[0], abs=EXACT)


# ---- line ---------------------------------------------------------------------------------------


def test_the_line_is_that_of_python(script, rng):
    for n in (3, 20, 300):
        x = rng.normal(50, 10, size=n)
        y = 3 * x - 7 + rng.normal(0, 4, size=n)
        model = LinearGaussian().fit(x[:, None], y)
        got = script(
            "const fit = regression.fitLine(given.x, given.y);"
            "const { xBar } = regression.moments(given.x, given.y);"
            "const sums = regression.information(given.x, xBar, fit.v);"
            "const errors = regression.standardErrors(sums);"
            "const inference = regression.inference(errors, given.x.length - 2);"
            "return { ...fit, inference, again: regression.logLikelihood(given.x, given.y, fit) };",
            {"x": x.tolist(), "y": y.tolist()},
        )
        assert got["w"] == pytest.approx(model.coef_[0], rel=EXACT)
        assert got["b"] == pytest.approx(model.intercept_, rel=EXACT)
        assert got["variance"] == pytest.approx(model.noise_variance_, rel=EXACT)
        expected = model.log_density(x[:, None], y).sum()
        assert got["logLikelihood"] == pytest.approx(expected, rel=EXACT)
        assert got["again"] == pytest.approx(expected, rel=EXACT)
        at, t = got["inference"], scipy.stats.t(n - 2)
        assert at["w"] == pytest.approx(model.standard_errors_[1], rel=EXACT)
        assert at["point"] == pytest.approx(t.ppf(0.975), rel=2e-3)
        of_intercept = np.hypot(at["c"], at["w"] * x.mean())
        assert of_intercept == pytest.approx(model.standard_errors_[0], rel=EXACT)


def test_a_variance_that_depends_on_x_is_at_its_maximum(script, rng):
    """No optimiser finds more, and no nudge gains."""
    x = rng.uniform(0, 5, size=150)
    y = 2 * x + 1 + np.exp(0.5 * (-1 + 0.8 * x)) * rng.normal(size=150)
    got = script(
        "return regression.fitHeteroscedastic(given.x, given.y);",
        {"x": x.tolist(), "y": y.tolist()},
    )

    def loss(theta):
        w, b, v0, v1 = theta
        log_variance = v0 + v1 * x
        square = (y - w * x - b) ** 2 * np.exp(-log_variance)
        return 0.5 * (np.log(2 * np.pi) + log_variance + square).sum()

    at = np.array([got["w"], got["b"], *got["v"]])
    assert got["logLikelihood"] == pytest.approx(-loss(at), rel=1e-12)
    for start in (at, np.array([1.0, 0.0, 0.0, 0.0])):
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-9})
        assert -found.fun <= got["logLikelihood"] + 1e-8
    model = HeteroscedasticGaussian().fit(x[:, None], y)
    expected = [model.coef_[0], model.intercept_, model.variance_intercept_, *model.variance_coef_]
    np.testing.assert_allclose(at, expected, rtol=EXACT)
    assert got["logLikelihood"] == pytest.approx(model.log_density(x[:, None], y).sum(), rel=EXACT)
    for _ in range(20):
        assert loss(at + 1e-4 * rng.normal(size=4)) >= loss(at) - 1e-10


def test_lines_without_a_maximum_are_refused(script):
    assert script("return regression.fitLine([1, 2], [3, 4]);") is None
    assert script("return regression.fitLine([2, 2, 2], [3, 4, 5]);") is None
    assert script("return regression.fitLine([1, 2, 3], [2, 4, 6]);") is None
    # two groups of x, one of them of one point: its variance shrinks to nothing
    assert script("return regression.fitHeteroscedastic([0, 0, 0, 0, 1], [1, 2, 3, 1, 5]);") is None


def test_saved_lines_of_both_kinds_are_shown(rng):
    from ancestral.studio.shelf import Shelf

    x = rng.normal(size=(60, 1))
    y = x[:, 0] + np.exp(0.3 * x[:, 0]) * rng.normal(size=60)
    one, two = LinearGaussian().fit(x, y), HeteroscedasticGaussian().fit(x, y)
    sent = rooms.part(Shelf(models={"one": one, "two": two}), "line")["models"]
    assert sent[0]["v"] == [np.log(one.noise_variance_), 0.0]
    for model, line in zip((one, two), sent, strict=True):
        log_variance = line["v"][0] + line["v"][1] * x[:, 0]
        residual = y - line["w"] * x[:, 0] - line["b"]
        value = -0.5 * (np.log(2 * np.pi) + log_variance + residual**2 / np.exp(log_variance))
        np.testing.assert_allclose(value, model.log_density(x, y), rtol=1e-12)

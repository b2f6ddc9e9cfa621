"""What the browser computes of graphs, lines and scores is what Python computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import minimize

from ancestral import (
    PPCA,
    HeteroscedasticGaussian,
    LinearGaussian,
    scores,
)
from ancestral.studio import rooms
from ancestral.studio.payload import packed

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


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


# ---- distribution -------------------------------------------------------------------------------


def test_comparisons_are_those_of_python(script, faces):
    train, out = faces[:80], faces[80:]
    models = {f"d{d}": PPCA(d).fit(train) for d in (2, 8, 20)}
    expected = scores.compare(models, out)
    values = {name: packed(model.log_density(out), "float64") for name, model in models.items()}
    got = script(
        """
        const [best, ...others] = given.names.map((name) => arrays.unpack(given.values[name]).data);
        const about = (v) => ({ ...compare.summary(v), behind: compare.behind(v, best) });
        return [best, ...others].map(about);
        """,
        {"names": expected.names, "values": values},
    )
    np.testing.assert_allclose([g["mean"] for g in got], expected.means, atol=EXACT)
    np.testing.assert_allclose([g["error"] for g in got], expected.standard_errors, atol=EXACT)
    np.testing.assert_allclose([g["behind"]["mean"] for g in got], expected.behind, atol=EXACT)
    np.testing.assert_allclose(
        [g["behind"]["error"] for g in got], expected.behind_errors, atol=EXACT
    )

"""The curves that the browser fits, and those it is sent, are what Python computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ancestral import HeteroscedasticGaussian, LinearGaussian, NeuralGaussian
from ancestral.studio.rooms.line import curve_of

EXACT = 1e-6
FIT = """
    const fit = new curves.Fits(given.x, given.y).at(given.degree, given.variance);
    if (!fit) return null;
    const along = (f) => given.x.map(f);
    const deviation = (v) => curves.deviation(fit, v);
    return { v: fit.v, mean: along(fit.mean), deviation: along(deviation), error: along(fit.error),
      reach: along(fit.reach),
      powers: fit.powers, centre: fit.centre, errors: curves.standardErrors(fit),
      logLikelihood: fit.logLikelihood, again: curves.logLikelihood(fit, given.x, given.y) };
"""


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def fitted(script):
    def fit(x, y, degree=1, variance="constant"):
        return script(FIT, {"x": list(x), "y": list(y), "degree": degree, "variance": variance})

    return fit


@pytest.mark.parametrize("degree", [1, 2, 4, 9])
def test_a_polynomial_is_that_of_python(fitted, rng, degree):
    for n in (degree + 2, 40, 300):
        x = rng.normal(5, 10, size=n)
        y = 3 * x - 7 + 8 * np.sin(x / 5) + rng.normal(0, 4, size=n)
        model = LinearGaussian(degree=degree).fit(x[:, None], y)
        got = fitted(x, y, degree)
        assert got["logLikelihood"] == pytest.approx(model.log_likelihood_, rel=EXACT)
        assert got["again"] == pytest.approx(model.log_density(x[:, None], y).sum(), rel=EXACT)
        mean, std = model.predict(x[:, None], return_std=True)
        np.testing.assert_allclose(got["mean"], mean, rtol=EXACT, atol=EXACT * y.std())
        np.testing.assert_allclose(got["deviation"], std, rtol=EXACT)
        low, high = model.confidence_interval(x[:, None])
        np.testing.assert_allclose(2 * np.array(got["error"]), high - low, rtol=2e-3)
        low, high = model.prediction_interval(x[:, None])
        np.testing.assert_allclose(2 * np.array(got["reach"]), high - low, rtol=2e-3)
        by_powers = np.polyval(got["powers"][::-1], x - got["centre"])
        np.testing.assert_allclose(by_powers, mean, rtol=EXACT, atol=EXACT * y.std())
        if degree == 1:
            slope_error = got["errors"]["w"] * np.sqrt(n / (n - 2))
            assert slope_error == pytest.approx(model.standard_errors_[1], rel=EXACT)


def test_a_degree_keeps_its_digits_far_from_zero(fitted, rng):
    """Moving x moves the curve with it: no power of a year cancels."""
    u = rng.uniform(-20, 20, size=60)
    y = u**2 / 40 + rng.normal(size=60)
    near, far = fitted(u, y, 6), fitted(np.round(u, 3) + 2000, y, 6)
    assert far["logLikelihood"] == pytest.approx(near["logLikelihood"], abs=0.02)
    exact = fitted(np.round(u, 3), y, 6)
    assert far["logLikelihood"] == pytest.approx(exact["logLikelihood"], rel=1e-8)


def test_a_spread_that_depends_on_x_is_at_its_maximum(fitted, rng):
    """No optimiser finds more, and no nudge gains."""
    x = rng.uniform(0, 5, size=150)
    y = 2 * x + 1 + np.exp(0.5 * (-1 + 0.8 * x)) * rng.normal(size=150)

    def loss(theta):
        *powers, v0, v1 = theta
        log_variance = v0 + v1 * x
        square = (y - np.polyval(powers[::-1], x - x.mean())) ** 2 * np.exp(-log_variance)
        return 0.5 * (np.log(2 * np.pi) + log_variance + square).sum()

    for degree in (1, 3):
        got = fitted(x, y, degree, "x")
        at = np.array([*got["powers"], *got["v"]])
        assert got["logLikelihood"] == pytest.approx(-loss(at), rel=1e-12)
        for start in (at, np.zeros(degree + 3)):
            found = minimize(loss, start, method="BFGS", options={"gtol": 1e-9})
            assert -found.fun <= got["logLikelihood"] + 1e-8
        for _ in range(20):
            assert loss(at + 1e-4 * rng.normal(size=degree + 3)) >= loss(at) - 1e-10
    got, model = fitted(x, y, 1, "x"), HeteroscedasticGaussian().fit(x[:, None], y)
    expected = [model.variance_intercept_, *model.variance_coef_]
    np.testing.assert_allclose(got["v"], expected, rtol=EXACT)
    np.testing.assert_allclose(got["mean"], model.predict(x[:, None]), rtol=EXACT)
    low, high = model.confidence_interval(x[:, None])
    np.testing.assert_allclose(2 * np.array(got["error"]), high - low, rtol=EXACT)
    assert got["logLikelihood"] == pytest.approx(model.log_likelihood_, rel=EXACT)


def test_points_without_a_maximum_are_refused(fitted):
    assert fitted([1, 2], [3, 4]) is None
    assert fitted([2, 2, 2], [3, 4, 5]) is None
    assert fitted([1, 2, 3], [2, 4, 6]) is None
    assert fitted([1, 1, 2, 2, 3, 3], [1, 2, 3, 5, 4, 4], 3) is None  # three places, four powers
    # two groups of x, one of them of one point: its variance shrinks to nothing
    assert fitted([0, 0, 0, 0, 1], [1, 2, 3, 1, 5], 1, "x") is None


def test_a_tilted_curve_has_the_slope_and_height_that_it_is_given(script, rng):
    x = rng.uniform(0, 5, size=30).tolist()
    y = rng.normal(size=30).tolist()
    at, powers, lost = script(
        """
        const fit = new curves.Fits(given.x, given.y).at(3);
        const moved = curves.tilted(fit, 2, 7);
        const lost = fit.logLikelihood - curves.logLikelihood(moved, given.x, given.y);
        const [dw, dc] = [2 - fit.powers[1], 7 - fit.powers[0]];
        const [p, q, r] = fit.information;
        return [moved.mean(fit.centre), moved.powers,
          [lost, 0.5 * (p * dc * dc + 2 * q * dc * dw + r * dw * dw)]];
        """,
        {"x": x, "y": y},
    )
    assert at == pytest.approx(7) and powers[:2] == [7, 2]
    assert lost[0] == pytest.approx(lost[1], rel=EXACT)  # the paraboloid that the contours show


SENT = """
    const curve = curves.savedCurve(given.curve);
    const deviation = (v) => curves.deviation(curve, v);
    const logDensity = (v, i) => curves.logDensity(curve, v, given.y[i]);
    return [given.x.map(curve.mean), given.x.map(deviation), given.x.map(logDensity)];
"""


@pytest.mark.parametrize(
    "make",
    [
        LinearGaussian,
        lambda: LinearGaussian(degree=5),
        lambda: LinearGaussian(fit_intercept=False),
        HeteroscedasticGaussian,
        lambda: NeuralGaussian(hidden_size=7, max_steps=60, random_state=0),
        lambda: NeuralGaussian(hidden_size=5, num_layers=3, max_steps=60, random_state=0),
        lambda: NeuralGaussian(num_layers=0, max_steps=60, random_state=0),
    ],
    ids=["line", "degree 5", "no intercept", "heteroscedastic", "neural", "deep", "shallow"],
)
def test_a_saved_curve_is_drawn_as_python_has_it(script, rng, make):
    x = rng.uniform(10, 14, size=80)
    y = 5 * np.sin(x) + np.exp(0.3 * (x - 12)) * rng.normal(size=80)
    try:
        model = make().fit(x[:, None], y)
    except ImportError as error:
        pytest.skip(str(error))
    given = {"curve": curve_of("saved", model), "x": x.tolist(), "y": y.tolist()}
    mean, std, log_density = script(SENT, given)
    expected = model.predict(x[:, None], return_std=True)
    np.testing.assert_allclose(mean, expected[0], rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(std, expected[1], rtol=EXACT)
    np.testing.assert_allclose(
        log_density, model.log_density(x[:, None], y), rtol=EXACT, atol=EXACT
    )

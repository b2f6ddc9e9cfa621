"""Linear-Gaussian regression against statsmodels, NumPy, exact arithmetic and NIST."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import ancestral
from ancestral import HeteroscedasticGaussian, LinearGaussian, datasets
from ancestral.errors import AncestralWarning, DataError, ModelError
from tests.gaussian import exact

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the oracle here")


def pairs(n: int = 80, p: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Columns of differing size and mean, and a noisy target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-2, 3, size=p) + rng.normal(size=p)
    return X, X @ rng.normal(size=p) + 3 + 0.8 * rng.normal(size=n)


def powers(X: np.ndarray, degree: int) -> np.ndarray:
    return np.hstack([X**k for k in range(1, degree + 1)])


def quiet_fit(model: LinearGaussian, X: Any, y: Any) -> LinearGaussian:
    """Fit where a warning is beside the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        return model.fit(X, y)


FITS = [(True, 1), (False, 1), (True, 3), (False, 2)]


# ---- against others ------------------------------------------------------------------------------


@pytest.mark.parametrize(("fit_intercept", "degree"), FITS)
@pytest.mark.parametrize(("n", "p"), [(80, 4), (12, 3), (300, 1)])
def test_statsmodels_agrees(fit_intercept: bool, degree: int, n: int, p: int) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, p)) + 0.5
    y = X.sum(axis=1) + 0.3 * X[:, 0] ** 2 + rng.normal(size=n)
    model = LinearGaussian(fit_intercept, degree).fit(X, y)
    design = powers(X, degree)
    theirs = sm.OLS(y, sm.add_constant(design) if fit_intercept else design).fit()
    ours = np.r_[model.intercept_, model.coef_] if fit_intercept else model.coef_
    np.testing.assert_allclose(ours, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, theirs.bse, rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(theirs.llf, rel=1e-10)
    assert model.log_density(X, y).sum() == pytest.approx(theirs.llf, rel=1e-10)
    assert model.residual_std_**2 == pytest.approx(theirs.scale, rel=1e-10)
    # statsmodels leaves sigma^2 out of its count of parameters.
    assert model.n_parameters_ == len(ours) + 1
    assert model.aic(X, y) == pytest.approx(theirs.aic + 2, rel=1e-10)
    assert model.bic(X, y) == pytest.approx(theirs.bic + np.log(n), rel=1e-10)
    assert model.predict(X) == pytest.approx(theirs.fittedvalues, rel=1e-8)
    if fit_intercept:
        assert model.score(X, y) == pytest.approx(theirs.rsquared, rel=1e-10)
    else:
        assert model.intercept_ == 0.0


def test_statsmodels_agrees_on_the_diabetes_data() -> None:
    X, y, _ = datasets.diabetes()
    model, theirs = LinearGaussian().fit(X, y), sm.OLS(y, sm.add_constant(X)).fit()
    np.testing.assert_allclose(np.r_[model.intercept_, model.coef_], theirs.params, rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, theirs.bse, rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(theirs.llf, rel=1e-12)


def test_numpys_least_squares_agrees() -> None:
    X, y = pairs()
    model = LinearGaussian().fit(X, y)
    wanted, (total,), _, _ = np.linalg.lstsq(np.column_stack([np.ones(len(y)), X]), y, rcond=None)
    np.testing.assert_allclose(np.r_[model.intercept_, model.coef_], wanted, rtol=1e-9)
    assert model.noise_variance_ == pytest.approx(total / len(y), rel=1e-10)
    assert model.residual_std_ == pytest.approx(np.sqrt(total / (len(y) - 5)), rel=1e-10)


# ---- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fit_intercept", "degree"), FITS)
def test_residuals_are_orthogonal_and_their_square_is_the_variance(
    fit_intercept: bool, degree: int
) -> None:
    X, y = pairs(60, 2)
    model = LinearGaussian(fit_intercept, degree).fit(X, y)
    residual = y - model.predict(X)
    design = powers(X, degree)
    if fit_intercept:
        design = np.column_stack([np.ones(len(y)), design])
    scale = np.linalg.norm(design, axis=0) * np.linalg.norm(residual)
    np.testing.assert_allclose(residual @ design / scale, 0, atol=1e-9)
    assert model.noise_variance_ == pytest.approx((residual**2).mean(), rel=1e-10)


def test_no_nudge_of_a_parameter_raises_the_likelihood() -> None:
    """Each parameter alone, up and down by a thousandth of its standard error and more."""
    X, y = pairs()
    model = LinearGaussian().fit(X, y)
    best = model.log_density(X, y).sum()
    steps = [("intercept_", ()), *(("coef_", j) for j in range(4)), ("noise_variance_", ())]
    errors = [*model.standard_errors_, np.nan]
    for (name, j), error in zip(steps, errors, strict=True):
        for size in (1e-3, 0.1, 3.0):
            for sign in (-1, 1):
                nudged = quiet_fit(LinearGaussian(), X, y)
                value = np.array(getattr(nudged, name), copy=True)
                if name == "noise_variance_":
                    value = value * np.exp(sign * size * np.sqrt(2 / len(y)))
                else:
                    value[j] += sign * size * error
                setattr(nudged, name, value)
                assert nudged.log_density(X, y).sum() < best + 1e-12 * abs(best)


def test_the_density_is_that_of_scipys_normal() -> None:
    X, y = pairs()
    model = LinearGaussian().fit(X, y)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(std, np.sqrt(model.noise_variance_))  # plug-in: divisor n
    np.testing.assert_allclose(mean, X @ model.coef_ + model.intercept_, rtol=1e-12)
    far = y + np.linspace(-40, 40, len(y))
    np.testing.assert_allclose(
        model.log_density(X, far), stats.norm(mean, std).logpdf(far), rtol=1e-10
    )


def test_standard_errors_stand_intercept_first_then_columns_in_order() -> None:
    X, y = pairs()
    plain = LinearGaussian().fit(X, y)
    for j in range(4):
        scaled = X.copy()
        scaled[:, j] *= 1000
        model = LinearGaussian().fit(scaled, y)
        wanted = plain.standard_errors_.copy()
        wanted[1 + j] /= 1000
        np.testing.assert_allclose(model.standard_errors_, wanted, rtol=1e-8)
    assert LinearGaussian(fit_intercept=False).fit(X, y).standard_errors_.shape == (4,)
    # Far from the data the height at zero is little known; the slopes are as before.
    moved = LinearGaussian().fit(X + 1e6, y)
    np.testing.assert_allclose(moved.standard_errors_[1:], plain.standard_errors_[1:], rtol=1e-6)
    assert moved.standard_errors_[0] > 1e3 * plain.standard_errors_[0]


def test_standard_errors_are_the_spread_of_estimates() -> None:
    """Over 400 simulated targets; each ratio is chi-square, 3.9 sigma is one in 10,000."""
    X, _ = pairs(50, 2)
    rng, estimates, reported = np.random.default_rng(5), [], []
    for _ in range(400):
        y = X @ [1.0, -2.0] + 0.5 + rng.normal(size=50)
        model = LinearGaussian().fit(X, y)
        estimates.append([model.intercept_, *model.coef_])
        reported.append(model.standard_errors_**2)
    ratio = np.var(estimates, axis=0, ddof=1) / np.mean(reported, axis=0)
    assert (np.abs(ratio - 1) < 3.9 * np.sqrt(2 / 399)).all()


def test_moving_and_scaling_the_target_does_the_same_to_the_line() -> None:
    X, y = pairs()
    plain, moved = LinearGaussian().fit(X, y), LinearGaussian().fit(X, 5 * y - 7)
    np.testing.assert_allclose(moved.coef_, 5 * plain.coef_, rtol=1e-10)
    assert moved.intercept_ == pytest.approx(5 * plain.intercept_ - 7, rel=1e-10)
    assert moved.noise_variance_ == pytest.approx(25 * plain.noise_variance_, rel=1e-10)
    assert moved.log_likelihood_ == pytest.approx(
        plain.log_likelihood_ - len(y) * np.log(5), rel=1e-10
    )


def test_degrees_are_columns_of_powers() -> None:
    X, y = pairs(60, 2)
    model = LinearGaussian(degree=3).fit(X / 10, y)
    wanted = LinearGaussian().fit(powers(X / 10, 3), y)
    np.testing.assert_allclose(model.coef_, wanted.coef_, rtol=1e-7)
    np.testing.assert_allclose(model.standard_errors_, wanted.standard_errors_, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, ">f8", bool])
def test_any_real_dtype_is_taken_by_value(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2, size=(40, 3)).astype(dtype), rng.integers(0, 9, size=40)
    model = LinearGaussian().fit(X, y.astype(dtype if dtype is not bool else int))
    wanted = LinearGaussian().fit(X.astype(float), y.astype(float))
    np.testing.assert_array_equal(model.coef_, wanted.coef_)
    assert model.noise_variance_ == wanted.noise_variance_


# ---- an exact fit --------------------------------------------------------------------------------


def test_a_small_residual_is_not_called_exact() -> None:
    X, _ = pairs(60, 2)
    rng = np.random.default_rng(0)
    y = X @ [1.0, 2.0] + 1e-9 * rng.normal(size=60)
    model = LinearGaussian().fit(X, y)
    assert model.residual_std_ == pytest.approx(1e-9, rel=0.3)


@pytest.mark.parametrize(
    ("offset", "target_offset"), [(1e9, 0.0), (0.0, 1e9), (1e9, 1e9), (-3e9, 1e6)]
)
@pytest.mark.parametrize("n", [60, 30_000])
def test_noise_far_below_an_offset_is_no_rounding(
    offset: float, target_offset: float, n: int
) -> None:
    """Some 80 units of the last place: sigma is known to a few percent, and nothing is said."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4)) + offset
    y = (X - offset) @ [1.0, -2.0, 0.5, 0.1] + target_offset + 1e-5 * rng.normal(size=n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearGaussian().fit(X, y)
    assert model.residual_std_ == pytest.approx(1e-5, rel=5 / np.sqrt(2 * n) + 0.01)
    assert model.log_density(X, y).sum() == pytest.approx(model.log_likelihood_, rel=1e-10)
    assert model.aic(X, y) == pytest.approx(12 - 2 * model.log_likelihood_, rel=1e-10)
    parts = LinearGaussian()
    for rows in np.array_split(np.arange(n), 5):
        parts.partial_fit(X[rows], y[rows])
    assert parts.residual_std_ == pytest.approx(model.residual_std_, rel=1e-6)
    assert parts.log_density(X, y).sum() == pytest.approx(parts.log_likelihood_, rel=1e-8)


@pytest.mark.parametrize("offset", [0.0, 1e9])
@pytest.mark.parametrize("n", [60, 30_000])
def test_rounding_alone_is_called_exact(offset: float, n: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) + offset
    y = X @ [1.0, 2.0, -0.5] + 3
    with pytest.warns(AncestralWarning, match=r"zero residual\): the residuals are as small"):
        model = LinearGaussian().fit(X, y)
    with pytest.raises(ModelError, match="unbounded"):
        model.log_density(X, y)


def test_the_density_of_a_polynomial_has_the_digits_of_its_powers() -> None:
    """Terms of 1e5 that add up to 1: in rational arithmetic on the model's own parameters."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-9, -3, size=80)
    y = np.sin(x) + 1e-3 * rng.normal(size=80)
    model = LinearGaussian(degree=9).fit(x[:, None], y)
    parameters = [Fraction(v) for v in [model.intercept_, *model.coef_.tolist()]]
    rows = zip(exact.design(x[:, None], degree=9), y.tolist())
    residual = [float(Fraction(t) - sum(a * c for a, c in zip(r, parameters))) for r, t in rows]
    wanted = stats.norm(0, np.sqrt(model.noise_variance_)).logpdf(residual)
    np.testing.assert_allclose(model.log_density(x[:, None], y), wanted, rtol=1e-11)
    assert wanted.sum() == pytest.approx(model.log_likelihood_, rel=1e-11)


# ---- columns that repeat others ------------------------------------------------------------------


def test_a_constant_column_is_the_intercept_over_again() -> None:
    X, y = pairs(60, 2)
    for value in (1.0, 0.1, -1e6, 0.0):
        constant = np.column_stack([np.full(60, value), X])
        with pytest.warns(AncestralWarning, match="and the intercept: column 0"):
            model = LinearGaussian().fit(constant, y)
        np.testing.assert_allclose(model.coef_[1:], LinearGaussian().fit(X, y).coef_, rtol=1e-8)
    model = LinearGaussian(fit_intercept=False).fit(np.column_stack([np.ones(60), X]), y)
    wanted = LinearGaussian().fit(X, y)
    np.testing.assert_allclose(model.coef_, np.r_[wanted.intercept_, wanted.coef_], rtol=1e-8)
    np.testing.assert_allclose(model.standard_errors_, wanted.standard_errors_, rtol=1e-8)


def test_collinear_columns_of_a_dataframe_are_called_by_name() -> None:
    pd = pytest.importorskip("pandas")
    X, y = pairs(60, 2)
    frame = pd.DataFrame({"rooms": X[:, 0], "age": X[:, 1], "both": X[:, 0] - X[:, 1]})
    with pytest.warns(AncestralWarning, match=r"collinear .*: 'both'\."):
        LinearGaussian().fit(frame, y)
    halves = pd.DataFrame({"bit": np.arange(60) % 2.0})
    with pytest.warns(AncestralWarning, match=r"'bit'\^2, 'bit'\^3"):
        LinearGaussian(degree=3).fit(halves, y)


@pytest.mark.parametrize("make", [LinearGaussian, HeteroscedasticGaussian])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_row_that_breaks_a_collinearity_is_said_and_has_no_interval(
    make: Any, offset: float
) -> None:
    pd = pytest.importorskip("pandas")
    X, y = pairs(60, 2)
    frame = pd.DataFrame({"wall": X[:, 0], "roof": X[:, 1] + offset})
    frame["surface"] = frame["wall"] + 2 * frame["roof"]
    with pytest.warns(AncestralWarning, match=r"collinear .*: 'surface'\."):
        model = make().fit(frame, y)
    far = 100 * frame[["wall", "roof"]].to_numpy()
    far = np.column_stack([far, far[:, 0] + 2 * far[:, 1]])
    broken = frame.iloc[:10].copy()
    broken.loc[[4, 6], "surface"] += 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.log_density(frame, y)
        model.prediction_interval(pd.DataFrame(far, columns=frame.columns))
    says = "row 4 breaks a collinearity .*'surface' .* at 2 of these 10 rows"
    for ask in (
        model.predict,
        lambda rows: model.predict(rows, return_std=True),
        lambda rows: model.log_density(rows, y[:10]),
        lambda rows: model.sample(rows, random_state=0),
        lambda rows: model.score(rows, y[:10]),
    ):
        with pytest.warns(AncestralWarning, match=says):
            ask(broken)
    for interval in (model.confidence_interval, model.prediction_interval):
        with pytest.warns(AncestralWarning, match=says):
            low, high = interval(broken)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(low)), [4, 6])
        np.testing.assert_array_equal(np.isnan(high), np.isnan(low))


def test_a_constant_that_moves_and_a_power_that_parts_are_broken_too(tmp_path: Path) -> None:
    X, y = pairs(60, 2)
    constant = np.column_stack([X, np.full(60, 7.0)])
    model = ancestral.load(quiet_fit(LinearGaussian(), constant, y).save(tmp_path / "line"))
    with pytest.warns(AncestralWarning, match="row 0 breaks .* column 2"):
        low, _ = model.confidence_interval([[1.0, 2.0, 8.0], [1.0, 2.0, 7.0]])
    np.testing.assert_array_equal(np.isnan(low), [True, False])
    dummies = np.column_stack([1e-6 * np.eye(3)[np.arange(60) % 3], 1e6 * X[:, 0]])
    model = quiet_fit(LinearGaussian(), dummies, y)
    with pytest.warns(AncestralWarning, match="row 1 breaks .* column 2 repeated"):
        low, _ = model.prediction_interval([dummies[5], [0.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(np.isnan(low), [False, True])
    bit = np.arange(60)[:, None] % 2.0
    model = quiet_fit(LinearGaussian(degree=2), bit, y)
    with pytest.warns(AncestralWarning, match=r"row 1 breaks .* column 0\^2"):
        model.predict([[1.0], [0.5]])


def test_nearly_collinear_columns_are_kept() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    X = np.column_stack([x, x + 1e-6 * rng.normal(size=200)])
    y = X.sum(axis=1) + 0.1 * rng.normal(size=200)
    model = LinearGaussian().fit(X, y)
    theirs = sm.OLS(y, sm.add_constant(X)).fit()
    assert model.rank_ == 2
    np.testing.assert_allclose(model.coef_, theirs.params[1:], rtol=1e-6)
    np.testing.assert_allclose(model.standard_errors_, theirs.bse, rtol=1e-6)


# ---- fewer rows than coefficients ----------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 7])
def test_without_rows_to_spare_there_are_no_standard_errors(n: int) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n, 6)), rng.normal(size=(n, 2))
    for y in (Y[:, 0], Y):
        with pytest.warns(AncestralWarning, match="exact"):
            model = LinearGaussian().fit(X, y)
        assert np.isnan(model.standard_errors_).all() and np.isnan(model.residual_std_).all()
        for ask in (model.aic, model.bic, model.log_density):
            with pytest.raises(ModelError, match="unbounded"):
                ask(X, y)
        for ask in (model.confidence_interval, model.prediction_interval):
            with pytest.raises(ModelError, match="no degrees of freedom"):
                ask(X)
        assert "nan" not in model.summary() and model.summary().count(" -") >= 7


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_few_weighted_rows_are_fitted_as_repeated_ones(fit_intercept: bool) -> None:
    """Two of them equal but for y, so that weights count; columns of any unit."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 9)), rng.normal(size=5)
    X[1] = X[0]
    weights = np.array([1, 2, 3, 1, 1])
    again = np.repeat(np.arange(5), weights)
    for scale in (np.ones(9), 10.0 ** rng.uniform(-8, 8, size=9)):
        weighted = LinearGaussian(fit_intercept)
        with pytest.warns(AncestralWarning, match="rows cannot determine"):
            weighted.fit(X * scale, y, sample_weight=weights)
        repeated = quiet_fit(LinearGaussian(fit_intercept), X[again] * scale, y[again])
        size = np.abs(repeated.coef_ * scale).max() / scale
        assert (np.abs(weighted.coef_ - repeated.coef_) <= 1e-9 * size).all()
        wanted = np.r_[[(y[0] + 2 * y[1]) / 3] * 2, y[2:]]
        np.testing.assert_allclose(weighted.predict(X * scale), wanted, rtol=1e-9)
        squares = weights @ (y - wanted) ** 2  # a row of weight 1, of five that count once
        assert weighted.noise_variance_ == pytest.approx(squares / 5, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, np.array([1e-8, 1e8, 1.0, 1e4, 1e-4, 1.0])], ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_few_rows_say_where_they_determine_nothing(
    scale: Any, offset: float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X, y = (rng.normal(size=(4, 6)) + offset) * scale, rng.normal(size=4)
    model = quiet_fit(LinearGaussian(), X, y)
    mixed = np.array([[0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25], [2, -1, 0, 0]]) @ X
    for line in (model, ancestral.load(model.save(tmp_path / "line"))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            line.predict(np.vstack([X, mixed]))
        moved = X.copy()
        moved[2] += rng.normal(size=6) * scale
        with pytest.warns(AncestralWarning, match="row 2, among 1 of these 4, is no combination"):
            line.predict(moved)
    many = quiet_fit(model, *pairs())
    assert not hasattr(many, "span_")


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, -1, 1.5, True, "2"])
def test_degree_must_be_a_count(degree: Any) -> None:
    with pytest.raises(ModelError, match="degree must be an integer, 1 or more"):
        LinearGaussian(degree=degree).fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])


def test_t12_inputs_that_are_too_small_for_their_coefficients_are_refused() -> None:
    X, y = pairs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny = LinearGaussian().fit(X * 1e-300, y)
        assert np.isfinite(tiny.log_density(X * 1e-300, y)).all()
        with pytest.raises(DataError, match=r"its coefficient overflows float64\. Rescale"):
            LinearGaussian().fit(X * 1e-312, y)

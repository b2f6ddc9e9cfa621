"""PPCA on awkward data, right where it can be and refused by name where it cannot."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ancestral import PPCA
from ancestral.errors import AncestralWarning, DataError, ModelError
from tests.gaussian.test_ppca import cloud, textbook

# ---- ordinary but awkward data -------------------------------------------------------------------


def check_against_textbook(X: np.ndarray, q: int, *, rel: float = 1e-9) -> PPCA:
    """Fit without a warning and compare with the slow formulas on centred data."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PPCA(q).fit(X)
        scores = model.log_density(X)
    mean, C, noise = textbook(X, q)
    assert model.noise_variance_ == pytest.approx(noise, rel=rel)
    np.testing.assert_allclose(
        scores, stats.multivariate_normal(mean, C).logpdf(X.astype(np.float64)), rtol=rel
    )
    return model


def test_a_constant_column_is_warned_of_once_and_fitted() -> None:
    X = cloud(60, 5)
    X[:, 3] = 0.1
    with pytest.warns(AncestralWarning, match=r"1 of 5 columns are constant \(3\)") as caught:
        model = PPCA(2).fit(X)
    assert len(caught) == 1
    mean, C, noise = textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-10) and noise > 0
    np.testing.assert_allclose(
        model.log_density(X), stats.multivariate_normal(mean, C).logpdf(X), rtol=1e-9
    )


def test_repeated_rows_and_columns_are_fitted() -> None:
    X = cloud(40, 5)
    check_against_textbook(np.vstack([X, X]), 2)
    check_against_textbook(np.hstack([X, X[:, :2]]), 2)
    np.testing.assert_allclose(
        PPCA(2).fit(np.vstack([X, X])).loadings_, PPCA(2).fit(X).loadings_, rtol=1e-9
    )


def test_equal_eigenvalues_at_the_cut_leave_the_likelihood_unique() -> None:
    """Rows at the corners of a cross: all directions alike."""
    X = np.vstack([np.eye(4), -np.eye(4)]) * 3.0
    model = check_against_textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(9 * 2 / 8, rel=1e-12)
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    turned = PPCA(2).fit(X @ Q)
    assert turned.score(X @ Q) == pytest.approx(model.score(X), rel=1e-12)


@pytest.mark.parametrize("offset", [1e4, -1e8])
def test_a_large_mean_costs_nothing(offset: float) -> None:
    """sigma^2 against exact fractions of the very values that float64 holds."""
    X = cloud(60, 4) + offset
    model = PPCA(0).fit(X)
    exact = Fraction(0)
    for column in X.T:
        values = [Fraction(v) for v in column.tolist()]
        mean = sum(values) / len(values)
        exact += sum((v - mean) ** 2 for v in values)
    assert model.noise_variance_ == pytest.approx(float(exact / X.size), rel=1e-9)
    near = X - X[0]  # exact: neighbouring floats
    centred = PPCA(2).fit(near)
    far = PPCA(2).fit(X)
    assert far.noise_variance_ == pytest.approx(centred.noise_variance_, rel=1e-6)
    np.testing.assert_allclose(far.log_density(X), centred.log_density(near), rtol=1e-6)


def test_float32_at_a_mean_of_1e4_is_summed_in_float64() -> None:
    X = (np.random.default_rng(0).normal(size=(3000, 6)) * 0.3 + 1e4).astype(np.float32)
    model = PPCA(2).fit(X)
    _, _, noise = textbook(X, 2)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-5)
    wanted = stats.multivariate_normal(*textbook(X, 2)[:2]).logpdf(X.astype(np.float64))
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_float32_too_coarse_for_its_noise_is_said_to_be(noise: float) -> None:
    """At 1e8 the values of float32 stand 8 apart: finer noise is gone before we see it."""
    rng = np.random.default_rng(0)
    X = (noise * rng.normal(size=(200, 3)) + 1e8).astype(np.float32)
    if noise < 2:  # all rounded to one value
        with pytest.raises(ModelError, match=r"float32 values near 1e\+08 stand 8 apart"):
            PPCA(1).fit(X)
        return
    with pytest.warns(
        AncestralWarning, match=r"float32 values near 1e\+08 stand 8 apart"
    ) as caught:
        model = PPCA(1).fit(X)
    assert len(caught) == 1
    assert model.noise_variance_ == pytest.approx(textbook(X, 1)[2], rel=1e-4)
    check_against_textbook(X - np.float32(1e8), 1, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-140, 1e-15, 1e15, 1e140])
@pytest.mark.parametrize("n", [60, 3])
def test_the_unit_of_the_data_does_not_matter(scale: float, n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    plain, model = PPCA(1).fit(X), PPCA(1).fit(X * scale)
    assert model.noise_variance_ / scale**2 == pytest.approx(plain.noise_variance_, rel=1e-10)
    moved = model.log_density(X * scale) + 4 * np.log(scale)
    np.testing.assert_allclose(moved, plain.log_density(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_float32_values_are_squared_in_float64(scale: float) -> None:
    check_against_textbook((cloud(60, 4) * scale).astype(np.float32), 1, rel=1e-5)


@pytest.mark.parametrize("n", [60, 3])
def test_a_unit_whose_squares_float64_cannot_hold_is_refused(n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="vanish when squared: rescale"):
            PPCA(1).fit(X * 1e-200)
        with pytest.raises(DataError, match=r"overflow when squared.* Rescale"):
            PPCA(1).fit(X * 1e200)


def test_pixels_of_0_to_255_are_as_good_as_of_0_to_1() -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(50, 9)).astype(np.uint8)
    eight, one = PPCA(2).fit(X), PPCA(2).fit(X / 255)
    np.testing.assert_allclose(eight.mean_ / 255, one.mean_, rtol=1e-12)
    assert eight.score(X) == pytest.approx(one.score(X / 255) - 9 * np.log(255), rel=1e-10)


DTYPES = [">f8", ">f4", np.float16, np.longdouble, np.int8, np.uint8, np.int64, bool]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: np.dtype(t).str)
def test_any_real_dtype_is_taken_by_value(dtype: Any) -> None:
    X = np.random.default_rng(0).integers(0, 2, size=(40, 5)).astype(dtype)
    wanted = PPCA(2).fit(X.astype(np.float64))
    model = PPCA(2).fit(X)
    tolerance = 1e-4 if np.dtype(dtype).str[1:] == "f4" else 1e-12
    np.testing.assert_allclose(model.loadings_, wanted.loadings_, rtol=tolerance)
    np.testing.assert_allclose(model.log_density(X), wanted.log_density(X), rtol=tolerance)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (12, 40)])
def test_memory_order_and_views_do_not_change_a_bit(n: int, d: int) -> None:
    X = cloud(n, d)
    padded = np.zeros((2 * n, d + 3))
    padded[::2, 1 : d + 1] = X
    readonly = X.copy()
    readonly.flags.writeable = False
    plain = PPCA(2).fit(X)
    for other in (np.asfortranarray(X), padded[::2, 1 : d + 1], readonly, X.tolist()):
        model = PPCA(2).fit(other)
        np.testing.assert_array_equal(model.loadings_, plain.loadings_)
        assert model.noise_variance_ == plain.noise_variance_
        np.testing.assert_allclose(model.log_density(other), plain.log_density(X), rtol=1e-13)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 + 0.1, -1e-200, 3e38])
def test_constant_data_have_no_maximum(value: float) -> None:
    for shape in ((20, 3), (3, 20)):
        for dtype in (np.float64, np.float32):
            with pytest.raises(ModelError, match=r"X has no variance.* unbounded"):
                PPCA(1).fit(np.full(shape, value, dtype))


@pytest.mark.parametrize(("n", "q"), [(1, 0), (1, 1), (2, 1), (11, 10), (2, 10)])
def test_too_few_rows_are_refused_with_the_number_needed(n: int, q: int) -> None:
    X = cloud(30, 20)[:n]
    with pytest.raises(ModelError, match=rf"n_samples = {n} is too few: at least {q + 2} rows"):
        PPCA(q).fit(X)


@pytest.mark.parametrize("q", [9, 10, 11])
def test_as_many_components_as_rows_leave_no_noise(q: int) -> None:
    X = cloud(10, 20)
    with pytest.raises(ModelError, match=r"too few|sigma\^2 = 0"):
        PPCA(q).fit(X)
    assert PPCA(8).fit(X).noise_variance_ > 0


def test_data_of_low_rank_are_refused_with_what_is_possible() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 8)) + 5
    with pytest.raises(ModelError, match=r"sigma\^2 = 0.*rank 3. Pass n_components=2 or fewer"):
        PPCA(3).fit(flat)
    check_against_textbook(flat, 2, rel=1e-7)
    X = cloud(12, 3)[[0, 1, 2, 3] * 6]  # four distinct rows: rank 3 of 3
    check_against_textbook(X, 2)
    with pytest.raises(ModelError, match=r"rank 2. Pass n_components=1"):
        PPCA(2).fit(X[X[:, 0] != X[3, 0]])
    twice = np.hstack([cloud(50, 3)] * 2)
    with pytest.raises(ModelError, match=r"rank 3. Pass n_components=2"):
        PPCA(4).fit(twice)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (5, r"below the number of features; got 5 with 5 feature\(s\). Pass n_components=4"),
        (6, "got 6 with 5"),
        (-1, "must be an integer, 0 or more; got -1"),
        (2.5, "got 2.5"),
        (2.0, "got 2.0"),
        (True, "got True"),
        ("3", "got '3'"),
        (None, "got None"),
    ],
)
def test_n_components_must_be_a_count_below_d(q: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"n_components.*{message}"):
        PPCA(q).fit(cloud(30, 5))


def test_one_column_can_only_be_isotropic() -> None:
    X = cloud(30, 1)
    assert PPCA(0).fit(X).noise_variance_ == pytest.approx(X.var(), rel=1e-12)
    with pytest.raises(ModelError, match="Give two columns or more"):
        PPCA(1).fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((24, 24, 3)), "looks like one RGB image: convert it to grey"),
        (np.zeros((9, 24, 24)), r"flatten each image: X.reshape\(9, 576\)"),
        (np.zeros((9, 24, 24, 3)), "colour images are not modelled"),
        (np.zeros(5), "1D array"),
        (3.0, "0"),
        (np.zeros((0, 3)), r"0 sample\(s\)"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        ([[1.0, 2.0], [3.0]], "ragged"),
        (np.array([["1.5", "2"], ["3", "4"]]), "text"),
        (np.zeros((3, 2), complex), "[Cc]omplex"),
        (np.zeros((3, 2), "datetime64[s]"), "datetime64"),
        (np.array([[1.0, np.inf], [0.0, 1.0], [2.0, 1.0]]), "inf at row 0, column 1"),
        (np.array([[1.0, 2.0], [-np.inf, 1.0], [2.0, 1.0]]), "-inf at row 1, column 0"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PPCA(1).fit(X)


def test_faces_of_another_size_are_refused() -> None:
    model = PPCA(1).fit(cloud(20, 16))
    with pytest.raises(DataError, match="25 features, but PPCA is expecting 16 features as input"):
        model.log_density(np.zeros((1, 25)))


def test_permuted_columns_of_a_dataframe_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(cloud(30, 3), columns=["a", "b", "c"])
    model = PPCA(1).fit(frame)
    with pytest.raises(DataError, match="same order"):
        model.log_density(frame[["b", "a", "c"]])
    assert list(model.get_feature_names_out()) == ["ppca0"]

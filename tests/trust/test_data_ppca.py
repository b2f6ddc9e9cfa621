"""Rows B3 to B20 of the catalogue of bad input: tables that PPCA is given."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from ancestral import PPCA, read_array, streaming
from ancestral.errors import DataError, ModelError
from tests.gaussian.ppca.test_model import cloud, textbook
from tests.trust.guard import accepted, refused, warned

Note = Callable[[str, str], None]


def check_against_textbook(model: PPCA, X: np.ndarray, q: int, *, rel: float = 1e-9) -> None:
    """Compare with the slow formulas on centred data, and with scipy's normal."""
    mean, C, noise = textbook(X, q)
    assert model.noise_variance_ == pytest.approx(noise, rel=rel)
    wanted = stats.multivariate_normal(mean, C).logpdf(X.astype(np.float64))
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=rel)


# ---- without variance, or with too few rows ------------------------------------------------------


def test_b3_one_constant_column() -> None:
    X = cloud(60, 5)
    X[:, 3] = 0.1
    for fit in (PPCA(2).fit, PPCA(2).partial_fit):
        model = warned(lambda fit=fit: fit(X), r"1 of 5 columns are constant \(3\)", "dropping")
        assert model.noise_variance_ > 0
        check_against_textbook(model, X, 2)


def with_gaps(X: np.ndarray) -> np.ndarray:
    """Return the rows with a tenth of the entries missing."""
    return np.where(np.random.default_rng(1).random(X.shape) < 0.1, X.dtype.type(np.nan), X)


def test_b3_one_constant_column_with_gaps() -> None:
    X = cloud(60, 5)
    X[:, 3] = 0.1
    warned(lambda: PPCA(2).fit(with_gaps(X)), r"1 of 5 columns are constant \(3\)", "dropping")


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 + 0.1, -1e-200, 3e38])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_b4_all_columns_constant(value: float, dtype: Any) -> None:
    for shape in ((20, 3), (3, 20)):
        X = np.full(shape, value, dtype)
        says = f"column 0 is {0.0 + float(X[0, 0]):g}"
        for fit in (PPCA(1).fit, PPCA("bic").fit, PPCA(1).partial_fit):
            refused(  # a stream may still vary: it is refused once it is asked something
                lambda fit=fit, X=X: fit(X).score(X),
                "X has no variance.* unbounded",
                says.replace("+", r"\+"),
                "Give rows that differ",
                kind=ModelError,
            )


@pytest.mark.parametrize("q", [0, 1, 10])
def test_b5_a_single_row(q: int) -> None:
    says = rf"n_samples = 1 is too few: at least {q + 2} rows"
    refused(lambda: PPCA(q).fit(cloud(30, 20)[:1]), says, kind=ModelError)


@pytest.mark.parametrize("n", [2, 3, 10, 11])
def test_b6_fewer_rows_than_components_and_two(n: int) -> None:
    X = cloud(30, 20)
    says = rf"n_samples = {n} is too few: at least 12 rows .*n_components=10"
    refused(lambda: PPCA(10).fit(X[:n]), says, kind=ModelError)
    assert accepted(lambda: PPCA(10).fit(X[:12])).noise_variance_ > 0


def test_b7_fewer_rows_than_columns(note: Note) -> None:
    """sigma^2 averages all d - q eigenvalues, the zeros past the rank included."""
    X = cloud(40, 60)
    for q in (0, 3, 38):
        check_against_textbook(accepted(lambda q=q: PPCA(q).fit(X)), X, q)


@pytest.mark.parametrize("q", [2, 10, 50])
def test_b7_faces_of_24_by_24(q: int, course: Path, note: Note) -> None:
    """400 float32 faces of 576 pixels, against the full normal density."""
    X = read_array(course / "eigenfaces.npy")
    assert X.shape == (400, 576)
    model = accepted(lambda: PPCA(q).fit(X))
    wide = X.astype(np.float64)
    mean, C, noise = textbook(X, q)
    wanted = stats.multivariate_normal(mean, C).logpdf(wide)
    off = abs(model.noise_variance_ / noise - 1)
    apart = np.abs(model.log_density(wide) / wanted - 1).max()
    assert off < 1e-9 and apart < 1e-9
    # float32 rows are projected in float32, as PCA projects them, where that costs this little
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=0, atol=0.01)
    assert (np.diff(model.eigenvalues_) <= 0).all()
    theirs = PCA(q, svd_solver="full").fit(wide)
    assert theirs.noise_variance_ > 1.4 * noise
    assert theirs.score(wide) < wanted.mean()
    note(
        f"faces, d={q}: sigma^2 off, and scikit-learn's",
        f"{off:.0e} of itself, {theirs.noise_variance_ / noise:.3f} times as large",
    )
    note(
        f"faces, d={q}: log density off, and scikit-learn's",
        f"{apart:.0e} of itself, {wanted.mean() - theirs.score(wide):.1f} nats per face below",
    )


@pytest.mark.parametrize(("q", "least"), [(9, 11), (10, 12), (11, 13)])
def test_b8_b9_as_many_components_as_centred_rows_span(q: int, least: int) -> None:
    X = cloud(10, 20)
    says = rf"n_samples = 10 is too few: at least {least} rows", r"sigma\^2 = 0 .*unbounded"
    refused(lambda: PPCA(q).fit(X), *says, "Pass n_components=8 or fewer", kind=ModelError)
    assert accepted(lambda: PPCA(8).fit(X)).noise_variance_ > 0


@pytest.mark.parametrize("n", [50, 9])
def test_b8_rank_that_leaves_no_noise(n: int) -> None:
    """Rank 3 in 8 columns: three components explain every row."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 5
    says = r"n_components=3 leaves sigma\^2 = 0 .*unbounded.*rank 3. Pass n_components=2 or fewer"
    refused(lambda: PPCA(3).fit(X), says, kind=ModelError)
    check_against_textbook(accepted(lambda: PPCA(2).fit(X)), X, 2, rel=1e-7)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (5, r"below the number of features; got 5 with 5 feature\(s\). Pass n_components=4"),
        (6, "got 6 with 5 .*Pass n_components=4"),
        (-1, "must be an integer, 0 or more; got -1"),
        (2.5, "got 2.5"),
        (2.0, "got 2.0"),
        (True, "must be an integer.*got True"),
        ("3", "must be an integer, a share .*got '3'"),
        ([1], "got \\[1\\]"),
    ],
)
def test_b10_components_that_are_no_count_below_d(q: Any, message: str) -> None:
    refused(lambda: PPCA(q).fit(cloud(30, 5)), f"n_components.*{message}", kind=ModelError)


def test_b10_the_number_advised_is_taken() -> None:
    """Few rows allow fewer components than columns do."""
    X = cloud(10, 20)
    for q in (20, 5000):
        refused(lambda q=q: PPCA(q).fit(X), "Pass n_components=8 or fewer", kind=ModelError)
    accepted(lambda: PPCA(8).fit(X))


def test_b10_no_components_are_an_isotropic_normal() -> None:
    X = cloud(50, 4)
    model = accepted(lambda: PPCA(0).fit(X))
    normal = stats.norm(X.mean(axis=0), np.sqrt(X.var(axis=0).mean()))
    np.testing.assert_allclose(model.log_density(X), normal.logpdf(X).sum(axis=1), rtol=1e-12)
    assert accepted(lambda: PPCA(np.int64(2)).fit(X)).n_components_ == 2


def test_b11_repeated_rows_and_columns() -> None:
    X = cloud(40, 5)
    for twice in (np.vstack([X, X]), np.hstack([X, X[:, :2]])):
        check_against_textbook(accepted(lambda Z=twice: PPCA(2).fit(Z)), twice, 2)
    again = PPCA(2).fit(np.vstack([X, X]))
    np.testing.assert_allclose(again.loadings_, PPCA(2).fit(X).loadings_, rtol=1e-9)
    distinct = cloud(4, 3)[[0, 1, 2, 3] * 6]  # rank 3 of 3
    check_against_textbook(accepted(lambda: PPCA(2).fit(distinct)), distinct, 2)
    for rows, q in ((distinct[(np.arange(24) % 4) < 3], 2), (np.hstack([cloud(50, 3)] * 2), 4)):
        rank = q if q == 2 else 3
        says = rf"sigma\^2 = 0.*rank {rank}. Pass n_components={rank - 1} or fewer"
        refused(lambda Z=rows, q=q: PPCA(q).fit(Z), says, kind=ModelError)


@pytest.mark.parametrize(("widths", "q", "mend"), [
    ([3.0, 3.0, 3.0, 3.0], 2, "Pass n_components=0 for"),
    ([5.0, 3.0, 3.0, 1.0], 2, "Pass n_components=1 or 3 for"),
])  # fmt: skip
def test_b12_equal_eigenvalues_at_the_cut(widths: list[float], q: int, mend: str) -> None:
    """Rows on the axes: the likelihood is unique, the axes are not, however the data are turned."""
    X = np.vstack([np.diag(widths), -np.diag(widths)])
    model = warned(lambda: PPCA(q).fit(X), rf"eigenvalues {q - 1} and {q} are equal", mend)
    check_against_textbook(model, X, q)
    best = np.sort(np.square(widths))[::-1] / 4
    assert model.noise_variance_ == pytest.approx(best[q:].mean(), rel=1e-12)
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    turned = warned(lambda: PPCA(q).fit(X @ Q), "are equal")
    assert turned.score(X @ Q) == pytest.approx(model.score(X), rel=1e-12)


def test_b12_equal_eigenvalues_elsewhere_are_not_mentioned() -> None:
    X = np.vstack([np.diag([5.0, 3.0, 3.0, 1.0]), -np.diag([5.0, 3.0, 3.0, 1.0])])
    for q in (0, 1, 3):
        accepted(lambda q=q: PPCA(q).fit(X))


# ---- far from zero, large and small --------------------------------------------------------------


def exact_noise(X: np.ndarray) -> float:
    """Return the mean variance of the columns (sigma^2 of q = 0) by fractions."""
    total = Fraction(0)
    for column in X.T:
        values = [Fraction(v) for v in column.tolist()]
        mean = sum(values) / len(values)
        total += sum((v - mean) ** 2 for v in values)
    return float(total / X.size)


@pytest.mark.parametrize("offset", [1e4, -1e8, 1e8])
def test_b13_an_offset_of_1e8(offset: float, note: Note) -> None:
    """Against exact fractions of the very values that float64 holds, and against X - X[0]."""
    X = 0.3 * np.random.default_rng(0).normal(size=(300, 6)) + offset
    plain = accepted(lambda: PPCA(0).fit(X))
    off = abs(plain.noise_variance_ / exact_noise(X) - 1)
    assert off < 1e-9
    near = X - X[0]  # exact: neighbouring floats
    centred, far = PPCA(2).fit(near), accepted(lambda: PPCA(2).fit(X))
    apart = abs(far.noise_variance_ / textbook(near, 2)[2] - 1)
    assert apart < 1e-6
    np.testing.assert_allclose(far.log_density(X), centred.log_density(near), atol=1e-6)
    theirs = PCA(2, svd_solver="covariance_eigh").fit(X).noise_variance_ * 299 / 300  # divisor n
    note(
        f"sigma^2 at an offset of {offset:g}: relative error, and scikit-learn's",
        f"{max(off, apart):.0e}, {abs(theirs / centred.noise_variance_ - 1):.0e}",
    )


@pytest.mark.parametrize("n", [3000, 100])
def test_b14_float32_at_an_offset_of_1e4(n: int, note: Note) -> None:
    X = (np.random.default_rng(0).normal(size=(n, 6)) * 0.3 + 1e4).astype(np.float32)
    model = accepted(lambda: PPCA(2).fit(X))
    mean, C, noise = textbook(X.astype(np.float64) - 1e4, 2)
    off = abs(model.noise_variance_ / noise - 1)
    assert off < 1e-6
    wanted = stats.multivariate_normal(mean + 1e4, C).logpdf(X.astype(np.float64))
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=1e-5, atol=1e-5)
    note(f"sigma^2 of {n} float32 rows at an offset of 1e4: relative error", f"{off:.0e}")


STREAMS: list[Callable[[np.ndarray], PPCA]] = [
    lambda X: PPCA(1).fit(X),
    lambda X: PPCA("cv", random_state=0, max_components=1).fit(X),
    lambda X: PPCA(1).partial_fit(X),
    lambda X: streaming.fit_chunks(PPCA(1), [X[:50], X[50:]]),
]


@pytest.mark.parametrize("fit", STREAMS)
def test_b15_float32_too_coarse_for_its_noise(fit: Callable[[np.ndarray], PPCA]) -> None:
    """At 1e8 the values of float32 stand 8 apart: finer noise is gone before we see it."""
    rng = np.random.default_rng(0)
    gone = (0.3 * rng.normal(size=(200, 3)) + 1e8).astype(np.float32)
    words = r"float32 values near 1e\+08 stand 8 apart"
    lost = ("X has no variance", words, "need float64")
    refused(lambda: fit(gone).score(gone), *lost, kind=ModelError)
    coarse = (3 * rng.normal(size=(200, 3)) + 1e8).astype(np.float32)
    model = warned(lambda: fit(coarse), words, "column 0 spreads", "Subtract the mean")
    near = coarse - np.float32(1e8)
    warned(lambda: PPCA(1).fit(with_gaps(coarse)), words, "column 0 spreads", "Subtract the mean")
    refused(lambda: PPCA(1).fit(with_gaps(gone)), "no variance", words, kind=ModelError)
    assert model.noise_variance_ == pytest.approx(textbook(near, model.n_components_)[2], rel=1e-4)


@pytest.mark.parametrize("scale", [1e-18, 1e18, 1e30])
def test_b16_float32_values_whose_squares_overflow(scale: float) -> None:
    X = (cloud(60, 4) * scale).astype(np.float32)
    model = accepted(lambda: PPCA(1).fit(X))
    unit = X.astype(np.float64) / scale
    mean, C, noise = textbook(unit, 1)
    assert model.noise_variance_ == pytest.approx(noise * scale**2, rel=1e-6)
    wanted = stats.multivariate_normal(mean, C).logpdf(unit) - 4 * np.log(scale)
    np.testing.assert_allclose(model.log_density(X), wanted, rtol=1e-5)
    assert np.isfinite(model.sample(3, random_state=0)).all()
    # a row far from all others: its products overflow float32, its density does not
    far = np.full((1, 4), 3e38, np.float32)
    ordinary = PPCA(1).fit(cloud(60, 4).astype(np.float32))
    wanted = accepted(lambda: ordinary.log_density(far.astype(np.float64)))
    np.testing.assert_allclose(accepted(lambda: ordinary.log_density(far)), wanted, rtol=1e-4)


@pytest.mark.parametrize("n", [60, 3])
def test_b17_a_unit_whose_squares_float64_cannot_hold(n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    for scale in (1e-155, 1e-161, 1e-162, 1e-200, 1e-310):
        words = "X has no variance.*column .* is .*e-", "vanish when squared: rescale"
        refused(lambda s=scale: PPCA(1).fit(X * s), *words, kind=ModelError)
        refused(lambda s=scale: PPCA(1).fit(with_gaps(X * s)), *words, kind=ModelError)
    for scale in (1e160, 1e200, 1e307):
        words = "overflow when squared.* Rescale"
        refused(lambda s=scale: PPCA(1).fit(X * s), words, kind=DataError)
        refused(lambda s=scale: PPCA(1).fit(with_gaps(X * s)), words, kind=DataError)
    plain, small = PPCA(1).fit(X), accepted(lambda: PPCA(1).fit(X * 1e-140))
    assert small.noise_variance_ / 1e-280 == pytest.approx(plain.noise_variance_, rel=1e-10)


# ---- pictures ------------------------------------------------------------------------------------


def test_b18_pixels_of_0_to_255() -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(50, 9)).astype(np.uint8)
    eight, one = accepted(lambda: PPCA(2).fit(X)), PPCA(2).fit(X / 255)
    check_against_textbook(eight, X, 2)
    np.testing.assert_allclose(eight.mean_ / 255, one.mean_, rtol=1e-12)
    assert eight.score(X) == pytest.approx(one.score(X / 255) - 9 * np.log(255), rel=1e-10)


def test_b19_faces_of_another_size() -> None:
    model = PPCA(1).fit(cloud(20, 576))
    new = np.zeros((2, 625))
    words = "X has 625 features, but PPCA is expecting 576", "25 x 25 .*24 x 24: resize"
    for call in (model.log_density, model.transform, model.reconstruct, model.impute):
        refused(lambda call=call: call(new), *words, kind=DataError)
    says = "X has 5 features.*expecting 576.*Give the columns that fit was given"
    refused(lambda: model.log_density(np.zeros((2, 5))), says)
    says = r"got 1D array instead: shape \(625,\).*X.reshape\(1, -1\)"
    refused(lambda: model.log_density(np.zeros(625)), says)
    refused(lambda: model.log_density(np.zeros((2, 24, 24))), r"X.reshape\(2, 576\)")


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((24, 24, 3), r"shape \(24, 24, 3\).*one RGB image: convert it to grey"),
        ((24, 24, 4), r"shape \(24, 24, 4\).*one RGBA image: convert it to grey"),
        ((9, 24, 24, 3), r"shape \(9, 24, 24, 3\).*convert them to grey"),
    ],
)
def test_b20_colour_images(shape: tuple[int, ...], says: str) -> None:
    model = PPCA(1).fit(cloud(20, 576))
    for call in (PPCA(1).fit, model.log_density, model.transform):
        refused(lambda call=call: call(np.zeros(shape)), says, kind=DataError)
    refused(lambda: PPCA(1).fit(np.zeros(shape).tolist()), says)

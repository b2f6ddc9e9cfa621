"""PPCA on awkward data, right where it can be and refused by name where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import PPCA
from ancestral.errors import DataError, ModelError
from tests.gaussian.ppca.test_model import cloud

# ---- ordinary but awkward data -------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-140, 1e-15, 1e15, 1e140])
@pytest.mark.parametrize("n", [60, 3])
def test_the_unit_of_the_data_does_not_matter(scale: float, n: int) -> None:
    X = cloud(n, 4) - cloud(n, 4).mean(axis=0)
    plain, model = PPCA(1).fit(X), PPCA(1).fit(X * scale)
    assert model.noise_variance_ / scale**2 == pytest.approx(plain.noise_variance_, rel=1e-10)
    moved = model.log_density(X * scale) + 4 * np.log(scale)
    np.testing.assert_allclose(moved, plain.log_density(X), rtol=1e-9, atol=1e-9)


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


def test_one_column_can_only_be_isotropic() -> None:
    X = cloud(30, 1)
    assert PPCA(0).fit(X).noise_variance_ == pytest.approx(X.var(), rel=1e-12)
    with pytest.raises(ModelError, match="Give two columns or more"):
        PPCA(1).fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((9, 24, 24)), r"flatten each image: X.reshape\(9, 576\)"),
        (np.zeros(5), "1D array"),
        (3.0, "0"),
        (np.zeros((0, 3)), r"0 sample\(s\)"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        ([[1.0, 2.0], [3.0]], "ragged"),
        (np.array([["1.5", "2"], ["3", "4"]]), "text"),
        (np.zeros((3, 2), complex), "[Cc]omplex"),
        (np.zeros((3, 2), "datetime64[s]"), "datetime64"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(X: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PPCA(1).fit(X)

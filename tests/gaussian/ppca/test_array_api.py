"""PPCA of arrays of other libraries: torch stays torch, with numpy's values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.decomposition import PCA

import ancestral
from ancestral import PPCA, _arrays
from ancestral.errors import DataError

torch = pytest.importorskip("torch", reason='needs torch: pip install "ancestral[neural]"')


@pytest.fixture(autouse=True)
def dispatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask scikit-learn to keep arrays in their library; it wants SciPy's consent as well."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with config_context(array_api_dispatch=True):
        yield


def rows(n: int = 300, d: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)) @ rng.normal(size=(3, d)) * 2 + rng.normal(size=(n, d)) + 4


DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def close(found: Any, wanted: np.ndarray, dtype: str = "float64") -> bool:
    """Compare a tensor's values with numpy's."""
    assert isinstance(found, torch.Tensor)
    tolerance = 1e-9 if dtype == "float64" else 1e-3
    return bool(np.allclose(found.numpy(), wanted, rtol=tolerance, atol=tolerance))


@DTYPES
@pytest.mark.parametrize("shape", [(300, 8), (10, 30)])
def test_all_that_fit_learns_and_says_is_torch(dtype: str, shape: tuple[int, int]) -> None:
    X = rows(*shape).astype(dtype)
    T = torch.asarray(X)
    model, plain = PPCA(2).fit(T), PPCA(2).fit(X.astype(np.float64))
    for name in ("mean_", "components_", "loadings_", "eigenvalues_", "explained_variance_"):
        assert close(getattr(model, name), getattr(plain, name), dtype)
    assert model.noise_variance_ == pytest.approx(plain.noise_variance_, rel=1e-5)
    assert isinstance(model.score(T), float)
    assert model.score(T) == pytest.approx(plain.score(X), rel=1e-6)
    assert close(model.log_density(T), plain.log_density(X), dtype)
    assert close(model.posterior_mean(T), plain.posterior_mean(X), dtype)
    assert close(model.posterior_covariance(), plain.posterior_covariance(), dtype)
    assert close(model.get_covariance(), plain.get_covariance(), dtype)
    assert close(model.get_precision(), plain.get_precision(), dtype)
    Z = model.transform(T)
    assert close(model.inverse_transform(Z), plain.inverse_transform(Z.numpy()), dtype)
    assert close(model.reconstruct(T), plain.reconstruct(X), dtype)
    assert close(model.traverse(T[0], 1, [0.0, 2.0]), plain.traverse(X[0], 1, [0.0, 2.0]), dtype)
    assert close(model.sample(3, random_state=0), plain.sample(3, random_state=0), dtype)
    assert model.bic(T) == pytest.approx(plain.bic(X), rel=1e-6)


@DTYPES
def test_dtypes_are_those_of_pca(dtype: str) -> None:
    T = torch.asarray(rows().astype(dtype))
    ours, theirs = PPCA(2).fit(T), PCA(2, svd_solver="full").fit(T)
    Z = ours.transform(T)
    assert Z.dtype == theirs.transform(T).dtype == T.dtype
    assert Z.device == T.device
    assert ours.inverse_transform(Z).dtype == theirs.inverse_transform(Z).dtype
    assert ours.log_density(T).dtype == torch.float64  # squares are summed in float64
    assert close(abs(ours.components_ @ theirs.components_.to(torch.float64).T), np.eye(2), dtype)


@DTYPES
def test_gaps_are_filled_where_they_lie(dtype: str) -> None:
    X = rows().astype(dtype)
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    T = torch.asarray(X)
    model, plain = PPCA(2).fit(T), PPCA(2).fit(X)
    assert close(model.loadings_, plain.loadings_, dtype)
    assert close(model.log_density(T), plain.log_density(X), dtype)
    assert close(model.transform(T), plain.transform(X), dtype)
    mean, std = model.impute(T, return_std=True)
    wanted = plain.impute(X, return_std=True)
    assert close(mean, wanted[0], dtype)
    assert close(std, wanted[1], dtype)
    row = int(np.flatnonzero(np.isnan(X).any(axis=1))[0])
    assert close(model.impute_covariance(T[row]), plain.impute_covariance(X[row]), dtype)
    drawn = model.impute_draws(T, 2, random_state=0)
    assert close(drawn, plain.impute_draws(X, 2, random_state=0), dtype)


@pytest.mark.parametrize("how", ["bic", "minka", "cv"])
def test_the_dimension_is_chosen_as_for_numpy(how: str) -> None:
    X = rows()
    assert PPCA(how, random_state=0).fit(torch.asarray(X)).n_components_ == 3


def test_streams_of_tensors() -> None:
    T = torch.asarray(rows())
    model = PPCA(2)
    for part in (T[:100], T[100:250], T[250:]):
        model.partial_fit(part)
    assert close(model.mean_, PPCA(2).fit(T).mean_.numpy())
    with pytest.raises(DataError, match="NaN at row 1, column 0: sums"):
        model.partial_fit(torch.asarray([[0.0] * 8, [np.nan] * 8]))


def test_infinity_is_refused_with_its_place() -> None:
    T = torch.asarray(rows())
    model = PPCA(2).fit(T)
    T[3, 1] = torch.inf
    for call in (PPCA(2).fit, model.log_density, model.transform, model.impute):
        with pytest.raises(DataError, match="inf at row 3, column 1"):
            call(T)


def test_another_library_than_fits_is_refused_as_pca_refuses_it() -> None:
    X = rows()
    T = torch.asarray(X)
    for model, other in ((PPCA(2).fit(T), X), (PPCA(2).fit(X), T)):
        for name in ("transform", "log_density"):
            with pytest.raises(DataError, match=rf"PPCA.{name}\(\) must use the same namespace"):
                getattr(model, name)(other)


def test_a_saved_model_comes_back_in_numpy(tmp_path: Any) -> None:
    T = torch.asarray(rows())
    model = PPCA(2).fit(T)
    again = ancestral.load(model.save(tmp_path / "model"))
    assert isinstance(again.mean_, np.ndarray)
    assert again.score(T.numpy()) == pytest.approx(model.score(T), rel=1e-12)


def test_without_dispatch_tensors_are_read_as_numbers() -> None:
    T = torch.asarray(rows())
    with config_context(array_api_dispatch=False):
        model = PPCA(2).fit(T)
        assert isinstance(model.mean_, np.ndarray)
        assert isinstance(model.log_density(T), np.ndarray)
    fitted = PPCA(2).fit(T)
    with config_context(array_api_dispatch=False):
        assert fitted.score(T.numpy()) == pytest.approx(model.score(T), rel=1e-12)


def test_sums_of_a_tensor_are_those_of_numpy() -> None:
    X = rows(20_000, 5) + 1e4
    ours, theirs = _arrays.moments_of(torch.asarray(X)), ancestral.Moments.of(X)
    assert ours.count == theirs.count
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-14)
    np.testing.assert_allclose(ours.as_scatter(), theirs.as_scatter(), rtol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_arrays_that_keep_to_the_standard_alone_are_kept(share: float) -> None:
    """No library's own spelling is used: what the array API does not say, these refuse."""
    xp = pytest.importorskip("array_api_strict", reason="the strict arrays are not installed")
    X = rows()
    X[np.random.default_rng(1).random(X.shape) < share] = np.nan
    T = xp.asarray(X)
    model, plain = PPCA(2, standardize=True).fit(T), PPCA(2, standardize=True).fit(X)
    for name in ("mean_", "components_", "loadings_", "eigenvalues_", "scale_"):
        assert isinstance(getattr(model, name), type(T))
        assert np.allclose(np.asarray(getattr(model, name)), getattr(plain, name), atol=1e-9)
    for name in ("log_density", "transform", "reconstruct", "impute", "posterior_covariance"):
        found = getattr(model, name)(T)
        assert isinstance(found, type(T))
        assert np.allclose(np.asarray(found), getattr(plain, name)(X), atol=1e-9)
    assert isinstance(model.sample(2, random_state=0), type(T))
    assert model.score(T) == pytest.approx(plain.score(X), rel=1e-12)

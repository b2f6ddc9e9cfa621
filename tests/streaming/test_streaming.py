"""Streaming equals batch, for any chunking."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from ancestral import PPCA, LinearGaussian, streaming
from ancestral.base import FromStatistics, NotFittedError
from ancestral.errors import AncestralError, AncestralWarning, DataError, FormatError, ModelError
from tests.zoo import ZOO, Entry

STREAMED = pytest.mark.parametrize(
    "entry",
    [e for e in ZOO if e.streamed and isinstance(e.make(), FromStatistics)],
    ids=lambda e: e.name,
)


def cut(entry: Entry, places: list[int]) -> list[Any]:
    """Cut an entry's data into chunks at the given places."""
    n = len(entry.data[0])
    edges = [0, *sorted({p % n for p in places} - {0}), n]
    parts = [tuple(part[a:b] for part in entry.data) for a, b in itertools.pairwise(edges)]
    return [part[0] if len(part) == 1 else part for part in parts]


@STREAMED
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=6))
def test_chunks_give_the_model_of_fit(entry: Entry, places: list[int]) -> None:
    whole = entry.fit()
    parts = streaming.fit_chunks(entry.make(), iter(cut(entry, places)))
    np.testing.assert_allclose(
        parts.log_density(*entry.data).sum(), whole.log_density(*entry.data).sum(), rtol=1e-12
    )


@STREAMED
def test_partial_fit_gives_the_model_of_fit(entry: Entry) -> None:
    whole, model = entry.fit(), entry.make()
    n = len(entry.data[0])
    for chunk in cut(entry, [n // 3, n // 2]):
        model.partial_fit(*(chunk if isinstance(chunk, tuple) else (chunk,)))
    np.testing.assert_allclose(
        model.log_density(*entry.data), whole.log_density(*entry.data), rtol=1e-9
    )
    model.fit(*entry.data)  # starts over
    np.testing.assert_array_equal(model.log_density(*entry.data), whole.log_density(*entry.data))


@STREAMED
def test_a_stream_after_a_fit_starts_anew_and_says_so(entry: Entry) -> None:
    model = entry.fit()
    with pytest.warns(AncestralWarning, match="partial_fit starts anew"):
        model.partial_fit(*entry.data)
    np.testing.assert_allclose(
        model.log_density(*entry.data), entry.fit().log_density(*entry.data), rtol=1e-9
    )


def test_a_stream_says_once_what_every_part_of_it_shows() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(60, 3)), np.full(60, 0.1)])
    y = rng.normal(size=60)

    def stream(model: Any) -> None:
        for start in range(0, 60, 10):
            model.partial_fit(X[start : start + 10], y[start : start + 10])

    for model, says in ((PPCA(1), "columns are constant"), (LinearGaussian(), "collinear")):
        with pytest.warns(AncestralWarning, match=says) as caught:
            stream(model)
        assert len(caught) == 1
        with pytest.warns(AncestralWarning, match=says):
            model.fit(X, y)


@settings(max_examples=30, deadline=None)
@given(
    offset=st.sampled_from([0.0, 1e4, 1e8]),
    rows=st.integers(1, 400),
    wide=st.booleans(),
)
def test_offsets_do_not_matter(offset: float, rows: int, wide: bool) -> None:
    """Nor do chunks of fewer rows than columns, nor one of them at a time."""
    rng = np.random.default_rng(1)
    n, d = (60, 90) if wide else (400, 5)
    X = rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) + offset
    whole = PPCA(2).fit(X)
    parts = streaming.fit_chunks(PPCA(2), (X[i : i + rows] for i in range(0, n, rows)))
    assert parts.noise_variance_ == pytest.approx(whole.noise_variance_, rel=1e-12)
    assert parts.score(X) == pytest.approx(whole.score(X), rel=1e-12)
    np.testing.assert_allclose(parts.eigenvalues_, whole.eigenvalues_, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:column 0 spreads")
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(1, 299), max_size=6), seed=st.integers(0, 9))
def test_chunks_in_any_order_with_drifting_means(places: list[int], seed: int) -> None:
    """Each chunk far from the others: what stands between the means outweighs what is within."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 4)) + np.repeat(np.arange(6.0), 50)[:, None] * [1e6, 0, 0, 1e3]
    edges = [0, *sorted(set(places)), 300]
    chunks = [X[a:b] for a, b in itertools.pairwise(edges)]
    parts = streaming.fit_chunks(PPCA(2), (chunks[i] for i in rng.permutation(len(chunks))))
    centred = X.astype(np.longdouble) - X.astype(np.longdouble).mean(axis=0)
    singular = np.linalg.svd(centred.astype(np.float64), compute_uv=False)
    assert parts.noise_variance_ == pytest.approx((singular[2:] ** 2).mean() / 300, rel=1e-9)


def reference(X: np.ndarray, q: int) -> tuple[np.ndarray, float]:
    """Return the leading directions and sigma^2 of these values, centred in extended precision."""
    centred = X.astype(np.longdouble)
    centred = (centred - centred.mean(axis=0)).astype(np.float64)
    _, singular, V = np.linalg.svd(centred, full_matrices=False)
    return V[:q], float((singular[q:] ** 2).sum() / len(X) / (X.shape[1] - q))


@pytest.mark.parametrize("how", ["fit", "chunks", "partial_fit", "dask"])
@pytest.mark.parametrize(
    ("dtype", "offset"),
    [(np.float32, 0.0), (np.float32, 1e4), (np.float64, 1e4), (np.float64, 1e8)],
)
@pytest.mark.parametrize("strength", [1.0, 4.0, 30.0])
def test_large_means_leave_subspace_and_noise_right(
    how: str, dtype: type, offset: float, strength: float
) -> None:
    """Float32 at a mean of 1e4 standard deviations and float64 at 1e8: right to 1e-6."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 12)) * strength * np.array([[1.5], [1.0], [0.7]])
    X = rng.normal(size=(3_000, 3)) @ W + rng.normal(size=(3_000, 12))
    X = (X + offset * X.std()).astype(dtype)
    chunks = [X[i : i + 700] for i in range(0, 3_000, 700)]
    if how == "fit":
        model = PPCA(3).fit(X)
    elif how == "chunks":
        model = streaming.fit_chunks(PPCA(3), chunks)
    elif how == "partial_fit":
        model = PPCA(3)
        for chunk in chunks:
            model.partial_fit(chunk)
    else:
        dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
        with dask.config.set(scheduler="synchronous"):
            model = streaming.fit_dask(PPCA(3), [dask.delayed(chunk) for chunk in chunks])
    directions, noise = reference(X, 3)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-6)
    out_of_it = model.components_ - model.components_ @ directions.T @ directions
    assert np.linalg.norm(out_of_it, 2) < 1e-6


def test_a_file_is_read_by_offset(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    chunks = list(streaming.read_chunks(tmp_path / "rows.npy", rows=300))
    assert [len(c) for c in chunks] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(chunks), X)
    model = streaming.fit_chunks(PPCA(3), tmp_path / "rows.npy")
    assert model.score(X) == pytest.approx(PPCA(3).fit(X).score(X), rel=1e-9)


@pytest.mark.parametrize("rows", [0, -5, 2.5, True])
def test_rows_of_a_part_are_one_or_more(tmp_path: Path, rows: Any) -> None:
    np.save(tmp_path / "rows.npy", np.eye(3))
    with pytest.raises(ModelError, match="rows must be an integer, 1 or more; got"):
        list(streaming.read_chunks(tmp_path / "rows.npy", rows))
    pytest.importorskip("dask", reason="dask is an extra")
    with pytest.raises(ModelError, match="rows must be an integer, 1 or more; got"):
        streaming.fit_dask(PPCA(1), tmp_path / "rows.npy", rows=rows)


@pytest.mark.parametrize("shape", [b"(3, 3 ", b"(3,-3)"])
def test_a_damaged_header_is_named(tmp_path: Path, shape: bytes) -> None:
    np.save(tmp_path / "rows.npy", np.eye(3))
    data = (tmp_path / "rows.npy").read_bytes()
    (tmp_path / "rows.npy").write_bytes(data.replace(b"(3, 3)", shape))
    with pytest.raises(FormatError, match=r"rows\.npy: .* header is damaged"):
        streaming.fit_chunks(PPCA(1), tmp_path / "rows.npy")


def test_dask_merges_files_arrays_and_pairs(tmp_path: Path) -> None:
    pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    import dask
    import dask.array as da

    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 6)) @ rng.normal(size=(6, 6)) + 10
    y = X @ np.arange(6.0) + rng.normal(size=900)
    wanted = PPCA(2).fit(X)
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.npy")
        np.save(paths[-1], X[300 * i : 300 * (i + 1)])
    with dask.config.set(scheduler="synchronous"):
        for source in (paths, da.from_array(X, chunks=(170, 4))):
            model = streaming.fit_dask(PPCA(2), source, rows=110)
            assert model.score(X) == pytest.approx(wanted.score(X), rel=1e-12)
            assert model.n_features_in_ == 6
        pairs = [dask.delayed((X[i : i + 200], y[i : i + 200])) for i in range(0, 900, 200)]
        line = streaming.fit_dask(LinearGaussian(), pairs)
    np.testing.assert_allclose(line.coef_, LinearGaussian().fit(X, y).coef_, rtol=1e-9)


@STREAMED
def test_empty_chunks_count_for_nothing(entry: Entry) -> None:
    whole = entry.fit()
    parts = cut(entry, [len(entry.data[0]) // 2])
    nothing = tuple(part[:0] for part in entry.data)
    empty = nothing[0] if len(nothing) == 1 else nothing
    found = streaming.fit_chunks(entry.make(), [empty, parts[0], empty, *parts[1:], empty])
    np.testing.assert_allclose(
        found.log_density(*entry.data).sum(), whole.log_density(*entry.data).sum(), rtol=1e-12
    )
    with pytest.raises(DataError, match="no chunks"):
        streaming.fit_chunks(entry.make(), [empty, empty])


def line_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 6)) + 10
    return X, X @ np.arange(6.0) + rng.normal(size=900)


def test_chunks_of_no_weight_count_for_nothing() -> None:
    X, y = line_data()
    chunks = [
        (X[a : a + 300], y[a : a + 300], np.full(300, w))
        for a, w in zip((0, 300, 600), (0.0, 2.0, 2.0))
    ]
    found = streaming.fit_chunks(LinearGaussian(), chunks)
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X[300:], y[300:]).coef_, rtol=1e-9)
    with pytest.raises(DataError, match="no chunks"):
        streaming.fit_chunks(LinearGaussian(), chunks[:1])


def test_targets_are_read_from_a_file_beside_that_of_the_rows(tmp_path: Path) -> None:
    X, y = line_data()
    paths = tmp_path / "X.npy", tmp_path / "y.npy"
    np.save(paths[0], X)
    np.save(paths[1], y)
    np.testing.assert_array_equal(np.concatenate(list(streaming.read_chunks(paths[1], 400))), y)
    wanted = LinearGaussian().fit(X, y).coef_
    np.testing.assert_allclose(
        streaming.fit_chunks(LinearGaussian(), paths).coef_, wanted, rtol=1e-9
    )
    for source in (paths[0], [X]):
        with pytest.raises(DataError, match=r"brings no targets. Give each chunk as \(X, y\)"):
            streaming.fit_chunks(LinearGaussian(), source)
    np.save(paths[1], y[:-1])
    with pytest.raises(DataError, match=r"X.npy has 900 rows, .*y.npy has 899"):
        streaming.fit_chunks(LinearGaussian(), paths)


def test_dask_takes_pairs_of_collections_and_of_files(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    import dask.array as da

    X, y = line_data()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    arrays = da.from_array(X, chunks=(170, 4)), da.from_array(y, chunks=200)
    files = tmp_path / "X.npy", tmp_path / "y.npy"
    wanted = LinearGaussian().fit(X, y).coef_
    with dask.config.set(scheduler="synchronous"):
        for source in (arrays, [arrays], files, [files]):
            found = streaming.fit_dask(LinearGaussian(), source, rows=110)
            assert found.n_samples_ == 900
            np.testing.assert_allclose(found.coef_, wanted, rtol=1e-9)
        with pytest.raises(DataError, match="brings no targets"):
            streaming.fit_dask(LinearGaussian(), arrays[0])


def test_dask_dataframes_are_taken_in_pairs_and_with_empty_partitions() -> None:
    pytest.importorskip("dask.dataframe", reason='needs dask: pip install "ancestral[dask]"')
    pd = pytest.importorskip("pandas")
    import dask
    import dask.dataframe as dd

    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcy"))
    frame["day"] = np.arange(60.0)
    kept = frame[frame["day"] >= 20]
    with dask.config.set(scheduler="synchronous"):
        parts = dd.from_pandas(frame, npartitions=4)
        parts = parts[parts["day"] >= 20]
        model = streaming.fit_dask(PPCA(1), parts)
        line = streaming.fit_dask(LinearGaussian(), (parts[["a", "b"]], parts["y"]))
        with pytest.raises(DataError, match="no chunks"):
            streaming.fit_dask(PPCA(1), parts[parts["day"] < 0])
    assert model.score(kept) == pytest.approx(PPCA(1).fit(kept).score(kept), rel=1e-12)
    assert list(line.feature_names_in_) == ["a", "b"]
    wanted = LinearGaussian().fit(kept[["a", "b"]], kept["y"]).coef_
    np.testing.assert_allclose(line.coef_, wanted, rtol=1e-9)


def test_dask_dataframes_keep_their_names() -> None:
    pytest.importorskip("dask.dataframe", reason='needs dask: pip install "ancestral[dask]"')
    pd = pytest.importorskip("pandas")
    import dask
    import dask.dataframe as dd

    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
    with dask.config.set(scheduler="synchronous"):
        model = streaming.fit_dask(PPCA(1), dd.from_pandas(frame, npartitions=4))
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.score(frame) == pytest.approx(PPCA(1).fit(frame).score(frame), rel=1e-12)


def test_what_cannot_be_streamed_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no sufficient statistics"):
        streaming.fit_chunks(object(), [np.zeros((2, 2), int)])
    with pytest.raises(DataError, match="no chunks"):
        streaming.fit_chunks(PPCA(1), [])
    with pytest.raises(DataError, match="iterable of arrays, or be a path; got 3"):
        streaming.fit_chunks(PPCA(1), 3)
    with pytest.raises(AncestralError, match="expecting 3 features"):
        streaming.fit_chunks(PPCA(1), [np.eye(5)[:, :3], np.eye(5)[:, :2]])
    X = np.random.default_rng(0).normal(size=(20, 3))
    X[4, 2] = np.nan
    with pytest.raises(DataError, match="NaN at row 4, column 2"):
        PPCA(1).partial_fit(X)
    np.save(tmp_path / "x.npy", np.asfortranarray(np.zeros((3, 2))))
    with pytest.raises(FormatError, match="Fortran order"):
        streaming.fit_chunks(PPCA(1), tmp_path / "x.npy")
    np.save(tmp_path / "y.npy", np.zeros((30, 20)))
    (tmp_path / "y.npy").write_bytes((tmp_path / "y.npy").read_bytes()[:-9])
    with pytest.raises(FormatError, match="promises"):
        streaming.fit_chunks(PPCA(1), tmp_path / "y.npy")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_buffer_may_be_written_over(threads: int) -> None:
    """What yields the chunks may reuse one array for all of them."""
    from threadpoolctl import threadpool_limits

    X = np.random.default_rng(0).normal(size=(6_000, 60)) + np.arange(6).repeat(1000)[:, None]

    def chunks() -> Iterator[np.ndarray]:
        buffer = np.empty((1_000, 60))
        for k in range(6):
            buffer[:] = X[1_000 * k : 1_000 * (k + 1)]
            yield buffer

    with threadpool_limits(threads):
        model = streaming.fit_chunks(PPCA(3), chunks())
    np.testing.assert_allclose(model.mean_, X.mean(axis=0), rtol=1e-12)
    assert model.score(X) == pytest.approx(PPCA(3).fit(X).score(X), rel=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_of_many_parts_is_fitted_as_a_whole(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threadpoolctl import threadpool_limits

    X = np.random.default_rng(0).normal(size=(5_000, 40)) * np.linspace(3, 1, 40) + 7
    np.save(tmp_path / "x.npy", X)
    monkeypatch.setattr(streaming.npy, "PART_BYTES", 40 * 8 * 300)
    with threadpool_limits(threads):
        model = streaming.fit_chunks(PPCA(3), tmp_path / "x.npy")
    assert model.score(X) == pytest.approx(PPCA(3).fit(X).score(X), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (PPCA(2), "every column is constant"),
        (PPCA(3), "rank 2"),
        (LinearGaussian(), "y is constant"),
    ],
)
def test_chunks_that_leave_the_likelihood_unbounded_are_waited_over(model: Any, why: str) -> None:
    """Rows sorted so that the first chunks say too little: the last model is that of fit."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(60, 6)), rng.normal(size=60)
    y[:20] = 0.0
    if why == "every column is constant":
        X[:20] = 1.0
    if why == "rank 2":
        X[:20] = X[:20, :2] @ rng.normal(size=(2, 6))
    data = (X, y) if isinstance(model, LinearGaussian) else (X,)
    whole = clone(model).fit(*data)
    model = clone(model).partial_fit(*(part[:20] for part in data))
    with pytest.raises(NotFittedError, match=f"needs more rows.*{why}"):
        model.score(*data)
    model.partial_fit(*(part[20:] for part in data))
    assert model.score(*data) == pytest.approx(whole.score(*data), rel=1e-12)

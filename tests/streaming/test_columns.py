"""Parts agree in names, order and types at every door, or the call says which part does not."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, InnerProductGraph, LinearGaussian, TabularAutoregressive, streaming
from ancestral.base import FromParts
from ancestral.errors import DataError, FormatError, ModelError
from ancestral.graph.graphs import Graph
from tests.trust.guard import refused

pd = pytest.importorskip("pandas", reason='needs pandas: pip install "ancestral[tables]"')

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X @ np.arange(5.0) + 0.1 * RNG.normal(size=60)
NAMES = list("abcde")


def _later(parts: list[Any]) -> list[Any]:
    import dask

    return [dask.delayed(part) for part in parts]


def _dask(model: Any, parts: list[Any], scheduler: str = "synchronous") -> Any:
    dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    with dask.config.set(scheduler=scheduler):
        return streaming.fit_dask(model, parts)


DOORS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "chunks": lambda model, parts: streaming.fit_chunks(model, iter(parts)),
    "dask": _dask,
    "dask, delayed": lambda model, parts: (
        pytest.importorskip("dask"),
        _dask(model, _later(parts), "threads"),
    )[1],
}
EVERY_DOOR = pytest.mark.parametrize("door", DOORS)
LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pytest.importorskip("polars").from_pandas(frame),
    "Arrow": lambda frame: pytest.importorskip("pyarrow").Table.from_pandas(frame),
    "Arrow, batches": lambda frame: (
        pytest.importorskip("pyarrow").Table.from_pandas(frame).to_batches()[0]
    ),
}


def frames(orders: list[list[Any]], names: list[Any] = NAMES) -> list[Any]:
    """Return X in parts of equal length, the columns of each in an order of its own."""
    whole = pd.DataFrame(X, columns=names)
    step = len(X) // len(orders)
    return [whole.iloc[i * step : (i + 1) * step][order] for i, order in enumerate(orders)]


def with_targets(parts: list[Any]) -> list[Any]:
    step = len(X) // len(parts)
    return [(part, Y[i * step : (i + 1) * step]) for i, part in enumerate(parts)]


# ---- the order of columns ------------------------------------------------------------------------


@EVERY_DOOR
@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_in_any_order_give_the_model_of_fit(door: str, library: str) -> None:
    """T3: never summed by place. The order is that of the first part."""
    orders = [NAMES, list("cabed"), list("edcba"), NAMES, list("badce")]
    parts = [LIBRARIES[library](part) for part in frames(orders)]
    line = DOORS[door](LinearGaussian(), with_targets(parts))
    np.testing.assert_allclose(line.coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9)
    assert list(line.feature_names_in_) == NAMES
    cloud = DOORS[door](PPCA(2), parts)
    assert cloud.score(pd.DataFrame(X, columns=NAMES)) == pytest.approx(
        PPCA(2).fit(X).score(X), rel=1e-12
    )


@EVERY_DOOR
def test_every_order_of_two_parts_is_one_model(door: str) -> None:
    wanted = PPCA(1).fit(X[:, :3]).loadings_
    whole = pd.DataFrame(X[:, :3], columns=list("abc"))
    for order in itertools.permutations("abc"):
        found = DOORS[door](PPCA(1), [whole.iloc[:20], whole.iloc[20:][list(order)]])
        np.testing.assert_allclose(found.loadings_, wanted, rtol=1e-9)


@EVERY_DOOR
def test_parts_without_rows_do_not_hide_the_order_of_the_others(door: str) -> None:
    parts = [np.empty((0, 5)), *frames([list("cabed"), NAMES])]
    found = DOORS[door](PPCA(2), parts)
    assert list(found.feature_names_in_) == list("cabed")
    frame = pd.DataFrame(X, columns=NAMES)[list("cabed")]
    assert found.score(frame) == pytest.approx(PPCA(2).fit(frame).score(frame), rel=1e-12)


@EVERY_DOOR
def test_labels_that_are_numbers_are_names_too(door: str) -> None:
    numbers = list(range(5))
    parts = with_targets(frames([numbers, numbers[::-1]], numbers))
    found = DOORS[door](LinearGaussian(), parts)
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9)
    bare = [(parts[0][0], Y[:30]), (X[30:], Y[30:])]  # 0 to 4 are what pandas gives by itself
    found = DOORS[door](LinearGaussian(), bare)
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9)


@EVERY_DOOR
def test_columns_may_have_any_name(door: str) -> None:
    """pandas gives columns as attributes: one must not be taken for a method of the frame."""
    names = ["column_names", "collect_schema", "schema", "name", "shape_"]
    found = DOORS[door](LinearGaussian(), with_targets(frames([names, names[::-1]], names)))
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9)
    assert list(found.feature_names_in_) == names
    table = pd.DataFrame(X[:, :2], columns=["column_names", "columns"])
    assert Graph(table, np.zeros((60, 60))).feature_names == ("column_names", "columns")


@EVERY_DOOR
def test_several_targets_are_matched_by_name(door: str) -> None:
    targets = pd.DataFrame({"u": Y, "v": X[:, 0] - 2 * X[:, 1] + 0.1 * RNG.normal(size=60)})
    parts = [(X[:30], targets.iloc[:30]), (X[30:], targets.iloc[30:][["v", "u"]])]
    found = DOORS[door](LinearGaussian(), parts)
    np.testing.assert_allclose(found.coef_, LinearGaussian().fit(X, targets).coef_, rtol=1e-9)
    parts[1] = X[30:], targets.iloc[30:].rename(columns={"v": "w"})
    refused(
        lambda: DOORS[door](LinearGaussian(), parts), "part 1", "targets", "- w", kind=DataError
    )
    series = [(X[:30], pd.Series(Y[:30], name="price")), (X[30:], pd.Series(Y[30:], name="cost"))]
    refused(lambda: DOORS[door](LinearGaussian(), series), "part 1", "- cost", kind=DataError)


def test_partial_fit_keeps_to_one_order_of_targets() -> None:
    targets = pd.DataFrame({"u": Y, "v": X[:, 0] + 0.1 * RNG.normal(size=60)})
    model = LinearGaussian().partial_fit(X[:30], targets.iloc[:30])
    before = model.coef_
    swapped = targets[["v", "u"]].iloc[30:]
    refused(lambda: model.partial_fit(X[30:], swapped), "'v', 'u'", "same order", kind=DataError)
    assert model.coef_ is before
    model.partial_fit(X[30:], targets.iloc[30:])
    np.testing.assert_allclose(model.coef_, LinearGaussian().fit(X, targets).coef_, rtol=1e-9)


@EVERY_DOOR
def test_features_of_graphs_are_matched_by_name(door: str) -> None:
    rng = np.random.default_rng(2)

    def graph(names: str | None) -> Graph:
        features, E = rng.normal(size=(14, 2)), np.triu(rng.random((14, 14)) < 0.4, 1)
        features[:, 0] *= 3
        return Graph(features, (E | E.T).astype(int), names and tuple(names))

    plain = [graph("ab") for _ in range(8)]
    mixed = [
        Graph(g.features[:, ::-1], g.adjacency, ("b", "a")) if k % 3 == 2 else g
        for k, g in enumerate(plain)
    ]
    found = DOORS[door](InnerProductGraph(), [mixed[:2], mixed[2:5], mixed[5:]])
    whole = InnerProductGraph().fit(plain)
    np.testing.assert_allclose(found.covariance_, whole.covariance_, rtol=1e-9)
    rows = {tuple(row) for row in np.round(found.feature_rows_, 9)}
    assert rows == {tuple(row) for row in np.round(whole.feature_rows_, 9)}
    assert list(found.feature_names_in_) == ["a", "b"]
    odd = [mixed[:2], [graph("ac")]]
    refused(lambda: DOORS[door](InnerProductGraph(), odd), "part 1", "c", kind=DataError)


# ---- what does not agree -------------------------------------------------------------------------


@EVERY_DOOR
@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("abcdz", ("- z", "- e")),
        ("abcd", ("now missing:\n- e",)),
        ("abcdez", ("unseen at fit time:\n- z",)),
        (None, ("part 1 has no names", "part 0 has")),
    ],
)
def test_other_columns_are_refused_with_part_and_name(
    door: str, names: str | None, says: tuple[str, ...]
) -> None:
    first, rows = pd.DataFrame(X[:30], columns=NAMES), np.column_stack([X, X])[30:]
    second = rows[:, :5] if names is None else pd.DataFrame(rows[:, : len(names)], columns=[*names])
    parts = [(first, Y[:30]), (second, Y[30:])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(lambda: DOORS[door](LinearGaussian(), parts), "part 1", *says, kind=DataError)


@EVERY_DOOR
def test_another_number_of_columns_is_refused_with_its_part(door: str) -> None:
    refused(lambda: DOORS[door](PPCA(1), [X[:20], X[20:40, :4], X[40:]]), "part 1", "4", "5")


@EVERY_DOOR
@pytest.mark.parametrize("swapped", [False, True])
def test_text_and_numbers_in_one_column_are_refused_with_its_name(door: str, swapped: bool) -> None:
    words = pd.DataFrame({"city": ["x", "y", "x"], "n": [0, 1, 1]})
    numbers = pd.DataFrame({"n": [0, 1, 1], "city": [4, 5, 4]})
    parts = [numbers, words] if swapped else [words, numbers]
    says = "part 1: column 'city' holds"
    refused(lambda: DOORS[door](TabularAutoregressive(), parts), says, "part 0", kind=DataError)
    arrays = [np.array([["x"], ["y"]]), np.array([[1], [2]])][:: -1 if swapped else 1]
    refused(lambda: DOORS[door](TabularAutoregressive(), arrays), "part 1: column 0 holds")
    model = TabularAutoregressive().partial_fit(words)
    refused(lambda: model.partial_fit(numbers[["city", "n"]]), "column 0: rows of text", "numbers")


@EVERY_DOOR
def test_levels_of_parts_are_joined_whatever_their_type(door: str) -> None:
    """Categories of pandas number their levels anew in every part: what counts is the level."""
    whole = pd.DataFrame({"k": list("abcabccb"), "n": [3, 1, 2, 1, 3, 1, 2, 2]})
    kinds = ["category", object, "string", "category"]
    parts = [
        whole.iloc[2 * i : 2 * i + 2].astype({"k": kind, "n": np.int8 if i % 2 else float})
        for i, kind in enumerate(kinds)
    ]
    found = DOORS[door](TabularAutoregressive(), parts)
    wanted = TabularAutoregressive().fit(whole)
    np.testing.assert_array_equal(found.log_density(whole), wanted.log_density(whole))
    assert [list(known) for known in found.categories_] == [["a", "b", "c"], [1, 2, 3]]


# ---- errors name part and row --------------------------------------------------------------------


def test_an_error_names_its_row_in_the_part_and_among_all(tmp_path: Path) -> None:
    bad = X.copy()
    bad[47, 2] = np.inf
    parts = [bad[i : i + 20] for i in range(0, 60, 20)]
    says = r"part 2: X holds inf at row 7 \(row 47 of all\), column 2"
    refused(lambda: streaming.fit_chunks(PPCA(1), parts), says)
    y = Y.copy()
    y[25] = np.nan
    pairs = [(X[i : i + 20], y[i : i + 20]) for i in range(0, 60, 20)]
    says_y = r"part 1: y holds NaN at row 5 \(row 25 of all\)"
    refused(lambda: streaming.fit_chunks(LinearGaussian(), pairs), says_y)
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", bad)
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    refused(lambda: streaming.fit_chunks(PPCA(1), paths), r"part 1: .* row 47 \(row 47 of .*b\.npy")
    dask = pytest.importorskip("dask", reason="dask is an extra")
    import dask.array as da

    with dask.config.set(scheduler="synchronous"):
        refused(lambda: streaming.fit_dask(PPCA(1), da.from_array(bad, chunks=(20, 5))), says)
        for_files = r"part 5: X holds inf at row 7 \(row 47 of .*b\.npy\), column 2"
        refused(lambda: streaming.fit_dask(PPCA(1), paths, rows=20), for_files)


def test_a_row_of_a_graph_is_no_row_of_all() -> None:
    good = (np.ones((3, 1)), np.zeros((3, 3)))
    bad = (np.array([[0.0], [np.nan], [1.0]]), np.zeros((3, 3)))
    error = refused(lambda: streaming.fit_chunks(InnerProductGraph(), [[good], [bad]]), "part 1")
    assert "of all" not in str(error)


def test_files_in_a_list_are_fitted_by_both_doors(tmp_path: Path) -> None:
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", X[20 * i : 20 * i + 20])
        np.save(tmp_path / f"y{i}.npy", Y[20 * i : 20 * i + 20])
    paths = [str(tmp_path / f"{i}.npy") for i in range(3)]
    pairs = [(tmp_path / f"{i}.npy", tmp_path / f"y{i}.npy") for i in range(3)]
    for fit in (DOORS["chunks"], DOORS["dask"]):
        assert fit(PPCA(2), paths).score(X) == pytest.approx(PPCA(2).fit(X).score(X), rel=1e-12)
        np.testing.assert_allclose(
            fit(LinearGaussian(), pairs).coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9
        )


# ---- files ---------------------------------------------------------------------------------------


def test_the_file_is_the_one_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T3: a relative path is that of the caller, and what lies there later must be that file."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    np.save(tmp_path / "here/x.npy", X)
    np.save(tmp_path / "there/x.npy", 5 * X)
    monkeypatch.chdir(tmp_path / "here")
    table = streaming.NpyTable.of("x.npy")
    monkeypatch.chdir(tmp_path / "there")
    np.testing.assert_array_equal(table.read(0, 60), X)
    (tmp_path / "here/x.npy").unlink()
    (tmp_path / "copy.npy").write_bytes((tmp_path / "there/x.npy").read_bytes())
    os.replace(tmp_path / "copy.npy", tmp_path / "here/x.npy")
    refused(lambda: table.read(0, 60), r"here/x\.npy", "is another file|was changed")
    np.save(tmp_path / "copy.npy", X)  # as a machine has it that keeps copies of its own
    os.replace(tmp_path / "copy.npy", tmp_path / "here/x.npy")
    assert table.seen is not None
    again = replace(table, seen=replace(table.seen, place=(0, 0)))
    np.testing.assert_array_equal(again.read(20, 40), X[20:40])


def test_a_file_that_is_written_to_between_its_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    parts = streaming.read_chunks(path, rows=20)
    np.testing.assert_array_equal(next(parts), X[:20])
    later = os.stat(path).st_mtime_ns + 10**9
    with open(path, "r+b") as file:
        file.seek(2000)
        file.write(b"\0" * 8)
    os.utime(path, ns=(later, later))
    refused(lambda: list(parts), r"part 1: .*x\.npy: was changed", "again", kind=FormatError)


@pytest.mark.parametrize("n", [1, 1000, 9_000])
def test_files_of_one_size_are_told_apart_by_what_they_hold(n: int, tmp_path: Path) -> None:
    """At either end, and by pieces between; a copy is the same file."""
    table = np.random.default_rng(0).normal(size=(n, 10))
    np.save(tmp_path / "a.npy", table)
    seen = streaming.NpyTable.of(tmp_path / "a.npy").seen
    assert seen is not None
    places = {0, n // 2, n - 1} if n < 5_000 else {0, n - 1}
    for row in places:
        other = table.copy()
        other[row] += 1
        np.save(tmp_path / "b.npy", other)
        with open(tmp_path / "b.npy", "rb") as file:
            assert "is another file" in (seen.unlike(file) or "")
    np.save(tmp_path / "b.npy", table)
    with open(tmp_path / "b.npy", "rb") as file:
        assert seen.unlike(file) is None
        assert file.tell() == 0


def test_a_lazy_frame_among_frames_is_told_what_to_do() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(pd.DataFrame(X, columns=NAMES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(lambda: streaming.fit_chunks(PPCA(1), [frame, frame.lazy()]), "part 1", "collect")


# ---- what is no part -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [None, 7, b"x.npy", {"a": X}, X, X[:, 0], pd.DataFrame(X), object(), [None], [3.0]],
    ids=lambda source: type(source).__name__,
)
@pytest.mark.parametrize("door", ["chunks", "dask"])
def test_what_holds_no_parts_is_refused(door: str, source: Any) -> None:
    fit = streaming.fit_chunks if door == "chunks" else _dask
    refused(lambda: fit(PPCA(1), source), "chunks|part 0", "[Gg]ive", kind=DataError)


def test_collections_of_dask_have_a_door_of_their_own() -> None:
    pytest.importorskip("dask", reason="dask is an extra")
    import dask
    import dask.array as da
    import dask.bag as bags

    blocks = da.from_array(X, chunks=(20, 5))
    refused(lambda: streaming.fit_chunks(PPCA(1), blocks), "Dask Array", "fit_dask")
    refused(lambda: _dask(PPCA(1), [bags.from_sequence([X])]), "Bag", "to_dataframe")
    refused(lambda: _dask(PPCA(1), blocks.sum()), "without dimensions", kind=DataError)
    refused(lambda: _dask(PPCA(1), dask.delayed(X)), r"give \[X\]", kind=DataError)
    assert _dask(PPCA(1), [blocks[:40], blocks[40:]]).score(X) == pytest.approx(
        PPCA(1).fit(X).score(X), rel=1e-12
    )
    pair = [(dask.delayed(X), dask.delayed(Y))]
    np.testing.assert_allclose(
        _dask(LinearGaussian(), pair).coef_, LinearGaussian().fit(X, Y).coef_, rtol=1e-9
    )


# ---- what helps where memory is short ------------------------------------------------------------


def test_t14_streaming_is_named_only_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model whose fit names `ancestral.streaming` is taken by it, and no other is."""
    from tests.zoo import ZOO

    def ask_for_too_much(*args: Any, **kwargs: Any) -> Iterator[Any]:
        raise MemoryError("Unable to allocate 8.00 TiB")

    for entry in ZOO:
        if entry.extra is not None:
            pytest.importorskip(entry.extra, reason=f"{entry.name} needs {entry.extra}")
        model = entry.make()
        with monkeypatch.context() as patched:
            for step in ("_check_rows", "_check_chunk", "_checked"):
                if hasattr(model, step):
                    patched.setattr(type(model), step, ask_for_too_much)
            if not any(hasattr(model, step) for step in ("_check_rows", "_check_chunk")):
                continue
            with pytest.raises(ModelError, match="not enough memory") as said:
                model.fit(*entry.data)
        text = str(said.value)
        assert ("batch_size=" in text) == ("batch_size" in model.get_params()), entry.name
        if "streaming" in text:
            with pytest.raises(DataError, match="no chunks"):
                streaming.fit_chunks(entry.make(), [])
        elif not isinstance(model, FromParts):
            with pytest.raises(ModelError, match="no sufficient statistics"):
                streaming.fit_chunks(entry.make(), [])


@EVERY_DOOR
def test_a_part_may_begin_with_a_missing_value(door: str) -> None:
    table = pd.DataFrame({"zone": ["a", "b", None, "a"], "paid": list("xyxy")})
    make = lambda: TabularAutoregressive(1.0, missing="level")  # noqa: E731
    found = DOORS[door](make(), [table.iloc[:2], table.iloc[2:]])
    np.testing.assert_array_equal(found.log_density(table), make().fit(table).log_density(table))

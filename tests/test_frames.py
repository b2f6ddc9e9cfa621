"""Frames of every kind come back as they went in: types, names, index, and what a file may say."""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import ancestral
from ancestral import PPCA, OrderMixture, TabularAutoregressive
from ancestral._checks.frames import check_form, form_of
from ancestral.errors import FormatError, MissingExtraError
from ancestral.streaming import fit_chunks

pd = pytest.importorskip("pandas")
rng = np.random.default_rng(0)
N = 60


def tables() -> TabularAutoregressive:
    return TabularAutoregressive(smoothing=0.5)


def ints() -> np.ndarray:
    return rng.integers(0, 3, N)


def texts() -> list[str]:
    return rng.choice(["p", "q"], N).tolist()


def flags() -> list[bool]:
    return (rng.random(N) < 0.5).tolist()


def typed_columns() -> dict[str, Any]:
    """Return a column of every type of pandas that holds levels."""
    columns = {
        **{kind: pd.Series(ints()).astype(kind) for kind in ("int8", "uint64", "Int64", "UInt8")},
        **{kind: pd.Series(ints()).astype(kind) for kind in ("float16", "float32", "Float64")},
        "bool": flags(),
        "boolean": pd.array(flags(), dtype="boolean"),
        "str": texts(),
        "string": pd.array(texts(), dtype="string"),
        "object": pd.Series(texts(), dtype=object),
        "flags as objects": pd.Series(flags(), dtype=object),
        "sparse": pd.arrays.SparseArray(ints()),
        "ordered": pd.Categorical(texts(), categories=["q", "z", "p"], ordered=True),
        "numbers": pd.Categorical(ints(), categories=[2, 1, 0, 5]),
        "answers": pd.Categorical(flags()),
    }
    pa = pytest.importorskip("pyarrow")
    for kind in ("int64[pyarrow]", "bool[pyarrow]", "string[pyarrow]", "double[pyarrow]"):
        values = flags() if kind[0] == "b" else texts() if kind[0] == "s" else ints()
        columns[kind] = pd.Series(values).astype(kind)
    dictionary = pa.array(texts()).dictionary_encode()
    columns["dictionary"] = pd.array(dictionary, dtype=pd.ArrowDtype(dictionary.type))
    return columns


@pytest.mark.parametrize("name", sorted(typed_columns()))
def test_every_type_of_pandas_comes_back(name: str, tmp_path: Any) -> None:
    frame = pd.DataFrame({name: typed_columns()[name], "beside": texts()})
    model = tables().fit(frame)
    loaded = ancestral.load(model.save(tmp_path / "model"))
    for drawn in (model.sample(40, random_state=0), loaded.sample(40, random_state=0)):
        assert drawn.dtypes.tolist() == frame.dtypes.tolist()
        assert set(drawn[name].tolist()) <= set(frame[name].tolist()) | {"z", 5}
    whole = pd.DataFrame(typed_columns())
    assert tables().fit(whole).sample(9).dtypes.tolist() == whole.dtypes.tolist()


def test_numbers_of_real_models_are_floats_of_their_own_width() -> None:
    X = rng.normal(size=(N, 4)) * 3
    frame = pd.DataFrame(
        {
            "half": X[:, 0].astype("float16"),
            "single": X[:, 1].astype("float32"),
            "whole": X[:, 2].round().astype(int),
            "nullable": pd.array(X[:, 3].round(), dtype="Int64"),
        }
    )
    drawn = PPCA(1).fit(frame).sample(20, random_state=0)
    assert [str(kind) for kind in drawn.dtypes] == ["float16", "float32", "float64", "Float64"]
    pl = pytest.importorskip("polars")
    polars = PPCA(1).fit(pl.DataFrame({"a": X[:, 0], "b": [int(v) for v in X[:, 1]]})).sample(3)
    assert polars.dtypes == [pl.Float64, pl.Float64]


def test_known_numbers_are_not_rounded_to_the_width_of_the_fit() -> None:
    X = rng.normal(size=(N, 3))
    model = PPCA(1).fit(pd.DataFrame(X.astype("float32"), columns=list("abc")))
    holes = pd.DataFrame(X[:5], columns=list("abc"))
    holes.loc[2, "b"] = np.nan
    filled = model.impute(holes)
    np.testing.assert_array_equal(filled["a"], X[:5, 0])
    assert str(model.impute(holes.astype("float32"))["a"].dtype) == "float32"


@pytest.mark.parametrize(
    "columns",
    [
        range(2),
        range(5, 7),
        pd.MultiIndex.from_tuples([("a", 0), ("a", 1)]),
        ["größe\n", ""],
        [dt.date(2020, 1, 1), dt.date(2020, 1, 2)],
    ],
    ids=str,
)
def test_names_that_are_no_texts(columns: Any, tmp_path: Any) -> None:
    frame = pd.DataFrame(np.column_stack([ints(), ints()]), columns=columns)
    model = tables().fit(frame)
    for drawn in (model.sample(4), ancestral.load(model.save(tmp_path / "model")).sample(4)):
        assert list(map(str, drawn.columns)) == list(map(str, frame.columns))
        assert drawn.columns.nlevels == frame.columns.nlevels


@pytest.mark.parametrize(
    "index", [list("edcba"), [0, 0, 0, 0, 0], pd.date_range("2020", periods=5)]
)
def test_imputations_keep_the_index(index: Any) -> None:
    frame = pd.DataFrame({"a": ints(), "b": ints()})
    holes = frame[:5].astype("float64").set_axis(index, axis=0)
    holes.iloc[1, 0] = np.nan
    model = tables().fit(frame)
    assert model.impute(holes).index.equals(holes.index)
    assert model.impute(holes).dtypes.tolist() == frame.dtypes.tolist()
    assert all(table.index.equals(holes.index) for table in model.impute_draws(holes, 2))
    assert list(model.marginals(holes)) == ["a", "b"]


def test_batches_of_arrow_and_fields_without_nulls() -> None:
    pa = pytest.importorskip("pyarrow")
    schema = pa.schema([pa.field("a", pa.int8(), nullable=False), pa.field("b", pa.string_view())])
    batch = pa.record_batch(
        [pa.array(ints(), pa.int8()), pa.array(texts(), pa.string_view())], schema
    )
    drawn = tables().fit(batch).sample(5)
    assert type(drawn) is pa.RecordBatch and drawn.schema == schema
    halves = pa.Table.from_batches([batch.slice(0, 9), batch.slice(9)])
    assert tables().fit(halves).sample(5).schema == schema


def test_what_the_fit_was_given_decides() -> None:
    """Not what is asked with: a model of arrays gives arrays, one of a frame gives frames."""
    X = rng.normal(size=(N, 2))
    frame = pd.DataFrame(X, columns=["a", "b"])
    of_array, of_frame = PPCA(1).fit(X), PPCA(1).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(of_array.impute(frame), np.ndarray)
        assert isinstance(of_frame.impute(X), pd.DataFrame)
    assert isinstance(of_frame.fit(X).sample(2), np.ndarray)
    assert isinstance(clone(PPCA(1).fit(frame)).fit(X).sample(2), np.ndarray)
    pl = pytest.importorskip("polars")
    assert isinstance(of_frame.fit(pl.DataFrame(frame.to_dict("list"))).sample(2), pl.DataFrame)


def test_parts_and_streams_remember_the_frame() -> None:
    frame = pd.DataFrame({"a": ints().astype("int8"), "s": texts()})
    parts = tables().partial_fit(frame[:20]).partial_fit(frame[20:])
    stream = fit_chunks(tables(), [frame[:20], frame[20:]])
    for model in (parts, stream):
        assert model.sample(4).dtypes.tolist() == frame.dtypes.tolist()
    assert isinstance(
        fit_chunks(PPCA(1), [np.eye(3), rng.normal(size=(9, 3))]).sample(2), np.ndarray
    )


def test_compressed_frames_come_back() -> None:
    pytest.importorskip("constriction")
    frame = pd.DataFrame({"a": ints().astype("int8"), "s": pd.Categorical(texts())})
    model = tables().fit(frame)
    assert model.decompress(model.compress(frame)).equals(frame)


def test_members_of_a_mixture_give_no_warning_of_names() -> None:
    frame = pd.DataFrame({"a": ints(), "s": texts()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = OrderMixture(tables(), n_orders=2, random_state=0).fit(frame)
        model.log_density(model.sample(20, random_state=0))
        model.impute(frame)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_the_mend(
    library: str, tmp_path: Any, monkeypatch: Any
) -> None:
    package = pytest.importorskip(library)
    model = tables().fit(package.DataFrame({"a": ints().tolist(), "s": texts()}))
    path = model.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, library, None)
    loaded = ancestral.load(path)
    np.testing.assert_array_equal(loaded.categories_[0], model.categories_[0])
    with pytest.raises(MissingExtraError, match=f"pip install {library}"):
        loaded.sample(3)


def test_forms_that_are_none_are_refused(tmp_path: Any) -> None:
    frame = pd.DataFrame({"a": ints(), "c": pd.Categorical(texts())})
    model = tables().fit(frame)
    form = form_of(frame)
    assert form is not None
    check_form(form, 2)
    odd: list[Any] = [
        None,
        {},
        {**form, "library": "os"},
        {**form, "kind": "Series"},
        {**form, "of": np.array([0, 7])},
        {**form, "of": np.array([0])},
        {**form, "of": np.array([0.0, 1.0])},
        {**form, "names": ["a"]},
        {**form, "dtypes": [{"is": "a1000000000"}, {"is": "int64"}]},
        {**form, "dtypes": [{"is": "category"}, {"is": "int64"}]},
        {**form, "dtypes": [{"is": "arrow", "type": {"is": "arrow"}}, {"is": "int64"}]},
        {**form, "dtypes": "ab"},
        {**form, "dtypes": [{"is": 3}, {"is": "int64"}]},
        {**form, "dtypes": [{"is": "int64", "levels": "abc"}, {"is": "int64"}]},
        {**form, "dtypes": [{"is": "string"}, {"is": "int64"}]},
        {**form, "dtypes": [{"is": "int64", "nullable": 3}, {"is": "int64"}]},
    ]
    for value in odd:
        model._frame_in = value
        path = model.save(tmp_path / "model")
        try:
            loaded = ancestral.load(path)
        except FormatError:
            continue
        drawn = loaded.sample(5)  # odd, and harmless
        assert list(drawn.columns) == ["a", "c"]

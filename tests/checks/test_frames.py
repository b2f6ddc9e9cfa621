"""Frames are read natively where that is plain: what comes out is what narwhals gives."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from ancestral import AncestralError
from ancestral._checks import frame_reading
from ancestral._checks.containers import Opened, as_floats, as_levels, opened
from ancestral._checks.frame_reading import EXACT

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
nw = pytest.importorskip("narwhals")

COLUMNS: dict[str, Any] = {
    "float64": [0.5, -1.0, 2.0],
    "float32": np.array([0.25, 0.5, 1.0], "f4"),
    "int64": [3, 1, 2],
    "int8": np.array([3, 1, 2], "i1"),
    "uint64": np.array([3, 1, 2], "u8"),
    "bool": [True, False, True],
    "at the edge": [1, EXACT, -EXACT],
    "beyond it": [1, EXACT + 1, 3],
    "gap": [1.0, np.nan, 2.0],
    "infinity": [1.0, np.inf, 2.0],
    "text": ["b", "a", "b"],
    "text with a gap": ["b", None, "a"],
    "category": pd.Categorical(["x", "y", "x"], categories=["y", "x", "z"]),
    "category with a gap": pd.Categorical(["x", None, "y"]),
    "category of integers": pd.Categorical([7, 3, 7]),
    "Int64 with a gap": pd.array([1, None, 3], dtype="Int64"),
    "Float64": pd.array([1.5, 2.5, 3.5], dtype="Float64"),
    "Float32 with a gap": pd.array([1.5, None, 3.5], dtype="Float32"),
    "boolean with a gap": pd.array([True, None, False], dtype="boolean"),
    "string with a gap": pd.array(["a", None, "b"], dtype="string"),
    "objects": np.array([1, "a", None], object),
    "dates": np.array(["2020-01-01"] * 3, "M8[ns]"),
}
SETS = [names for size in (1, 2) for names in combinations(COLUMNS, size)]
SETS += [("float64", "int64", "float32"), ("int64", "beyond it", "float64"), ("int8", "uint64")]


def other_library(kind: str, frame: Any) -> Any:
    """Return a frame of another library, None where it does not take these columns."""
    if kind == "polars":
        pl = pytest.importorskip("polars")
        try:
            return pl.from_pandas(frame)
        except (TypeError, ValueError, pa.ArrowException):
            return None
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException:
        return None


def by_narwhals(frame: Any) -> Opened:
    """Return a frame's columns as they were read without any short way."""
    if isinstance(frame, pd.DataFrame):
        columns = [
            frame_reading._column(nw.from_native(series, series_only=True))
            if not isinstance(series.dtype, np.dtype)
            else series.to_numpy()
            for _, series in frame.items()
        ]
        return Opened(columns, list(frame.columns), len(frame))
    native = nw.from_native(frame)
    return Opened(
        list(map(frame_reading._column, native.iter_columns())), native.columns, len(frame)
    )


def outcome(read: Any, found: Opened) -> Any:
    """Return values with their types, or the error."""
    try:
        values = read(found, "X")
    except AncestralError as error:
        return type(error), str(error)
    return values.dtype, values.shape, [(type(v), repr(v)) for v in values.ravel().tolist()]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_frame_is_read_as_narwhals_reads_it(kind: str) -> None:
    read = 0
    for names in SETS:
        made = pd.DataFrame({name: COLUMNS[name] for name in names})
        frame = made if kind == "pandas" else other_library(kind, made)
        if frame is None:
            continue
        read += 1
        ours, theirs = opened(frame, "X"), by_narwhals(frame)
        assert (ours.names, ours.n_rows) == (theirs.names, theirs.n_rows)
        for numbers in (as_floats, as_levels):
            if isinstance(ours.values, np.ndarray) and len(names) > 0:
                one, other = outcome(numbers, ours), outcome(numbers, theirs)
                # A table of one type says "X holds ... column 'a'", columns "column 'a' holds ...".
                assert one == other or (issubclass(one[0], AncestralError) and one[0] is other[0])
            else:
                assert outcome(numbers, ours) == outcome(numbers, theirs), names
    assert read > len(SETS) // 2


def test_columns_of_several_chunks_dictionaries_and_no_rows_are_read() -> None:
    several = pa.table(
        {
            "a": pa.chunked_array([[1.0, 2.0], [3.0]]),
            "b": pa.chunked_array([["x", "y"], ["x"]]),
            "c": pa.chunked_array(
                [pa.array(["u", "v"]).dictionary_encode(), pa.array(["w"]).dictionary_encode()]
            ),
            "d": pa.array([3, None, 4]).dictionary_encode(),
        }
    )
    levels = as_levels(opened(several, "X"), "X")
    assert levels[:, :3].tolist() == [[1.0, "x", "u"], [2.0, "y", "v"], [3.0, "x", "w"]]
    assert levels[[0, 2], 3].tolist() == [3, 4] and np.isnan(levels[1, 3])
    for empty in (pd.DataFrame({"a": pd.Series([], dtype="str")}), several.slice(0, 0)):
        assert as_levels(opened(empty, "X"), "X").shape == (0, empty.shape[1])


def test_levels_of_one_text_are_one_object() -> None:
    """So that what is looked up for each is hashed once."""
    text = pd.DataFrame({"a": ["red", "green"] * 50})
    for frame in (text, text.astype("category"), pa.Table.from_pandas(text)):
        (column,) = as_levels(opened(frame, "X"), "X").T
        assert len({id(value) for value in column}) == 2

"""Tables as people hand them over, by seed: each knows its values, and which of them are missing.

A column is drawn as plain Python values (None where missing), then written in one of the types
that its library has for them. What no model may take, a date or a list in a cell, is `ODD`.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

ODD = object()  # neither a number nor a level
WORDS = ("no", "yes", "grün", "", "NA", "nan", "1")
Rng = np.random.Generator


class Colour(enum.Enum):
    """What is no number, though it has one."""

    RED = 1


class Unshowable:
    """A cell that can't even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


@dataclass
class Frame:
    """A table, or a column, in some container, with what it holds."""

    held: Any
    columns: list[list[Any]]
    names: list[Any] | None
    form: str
    plain: bool  # of types that no model has a reason to refuse
    single: bool = False  # in single precision, and computed with so

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def is_odd(self) -> bool:
        return any(value is ODD for column in self.columns for value in column)

    def objects(self) -> np.ndarray:
        """Return the values as one array of plain Python objects, NaN where missing."""
        table = np.empty((len(self), len(self.columns)), dtype=object)
        for j, column in enumerate(self.columns):
            for i, value in enumerate(column):
                table[i, j] = np.nan if value is None else value
        return table

    def numbers(self) -> np.ndarray | None:
        """Return the values as float64, NaN where missing; None where they are no such numbers."""
        table = np.empty((len(self), len(self.columns)))
        for j, column in enumerate(self.columns):
            for i, value in enumerate(column):
                if value is ODD or isinstance(value, str):
                    return None
                if not isinstance(value, float | None) and abs(value) > 2**53:
                    return None
                table[i, j] = np.nan if value is None else float(value)
        return table


# ---- values --------------------------------------------------------------------------------------


def _values(rng: Rng, kind: str, n: int) -> list[Any]:
    """Return n values of a kind, without gaps."""
    if kind == "flags":
        return [bool(v) for v in rng.random(n) < 0.5]
    if kind == "levels":
        return rng.integers(0, 3, n).tolist()
    if kind == "counts":
        return rng.integers(0, 100, n).tolist()
    if kind == "huge":
        return [int(v) + 2**53 for v in rng.integers(-2, 4, n)]
    if kind == "reals":
        return (rng.integers(-99, 99, n) / 8).tolist()  # exact in every width
    if kind == "texts":
        return [WORDS[k] for k in rng.integers(0, rng.integers(1, len(WORDS) + 1), n)]
    return [ODD] * n


KINDS = ("flags", "levels", "counts", "reals", "reals", "reals", "texts", "huge", "odd")
NUMERIC = ("flags", "levels", "counts", "reals", "reals", "reals")
DISCRETE = ("flags", "levels", "levels", "texts", "huge")


def _column(rng: Rng, n: int, kinds: tuple[str, ...]) -> tuple[str, list[Any]]:
    kind = str(rng.choice(kinds))
    values = _values(rng, kind, n)
    if rng.random() < 0.25:
        values = [None if rng.random() < 0.3 else value for value in values]
    return kind, values


# ---- one column in a type of its library ---------------------------------------------------------

Written = tuple[Any, bool]  # the column, and whether no model has a reason to refuse it


def _choice(rng: Rng, options: list[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _oddity(rng: Rng) -> Any:
    """Return an object that is neither number nor level."""
    day = dt.datetime(2020, 1, 2, 3, 4, 5)
    return _choice(
        rng,
        [
            *(b"raw", 1 + 2j, np.complex128(1j), day, day.date(), day.time(), dt.timedelta(days=1)),
            *([1, 2], (1,), {"a": 1}, {1}, np.arange(2), np.datetime64("2020-01-01"), Colour.RED),
            *(np.timedelta64(1, "s"), Unshowable(), object(), int, len, range(3), slice(1)),
            *(np.bytes_(b"x"), np.array([(1, 2.0)], dtype="i4,f8")[0], [[1], [2, 3]], ...),
            *(bytearray(b"x"), memoryview(b"x"), float, NotImplemented, (i for i in ())),
        ],
    )


def _object(rng: Rng, value: Any, gaps: list[Any]) -> tuple[Any, bool]:
    """Return one value as some object, and whether no model has a reason to refuse it."""
    if value is None:
        return _choice(rng, gaps), True
    if value is ODD:
        return _oddity(rng), False
    if isinstance(value, bool):
        return _choice(rng, [value, np.bool_(value)]), True
    if isinstance(value, str):
        return _choice(rng, [value, np.str_(value)]), True
    if isinstance(value, int):
        return _choice(rng, [(value, True), (np.int64(value), True), (Decimal(value), False),
                             (Fraction(value), False), (np.uint64(max(value, 0)) if value >= 0
                              else value, False)])  # fmt: skip
    return _choice(rng, [(value, True), (np.float64(value), True), (Decimal(value), False),
                         (np.float32(value), True), (Fraction(value), False)])  # fmt: skip


def _objects(rng: Rng, values: list[Any]) -> tuple[np.ndarray, bool]:
    """Return values as an array of objects of mixed types."""
    gaps: list[Any] = [None, np.nan, float("nan"), np.float32("nan"), np.datetime64("NaT")]
    gaps += [Decimal("NaN"), Decimal("sNaN"), np.ma.masked]
    if find_spec("pandas"):
        import pandas as pd

        gaps += [pd.NA, pd.NaT]
    array = np.empty(len(values), dtype=object)
    plain = True
    for i, value in enumerate(values):
        array[i], good = _object(rng, value, gaps)
        plain &= good
    return array, plain


def _pandas_column(rng: Rng, kind: str, values: list[Any]) -> Written:
    """Return values as a pandas array of one of the types that hold them."""
    import pandas as pd

    n, gaps, arrow = len(values), None in values, find_spec("pyarrow") is not None
    if kind == "odd":
        days = pd.date_range("2020-01-01", periods=n)
        with_gaps = days.where([value is not None for value in values])
        odd: list[Any] = [
            *(
                with_gaps,
                with_gaps.tz_localize("Europe/Berlin"),
                with_gaps - pd.Timestamp("2020-01-01"),
            ),
            *(with_gaps.to_period("D"), pd.IntervalIndex.from_breaks(range(n + 1))),
            *(pd.Categorical(with_gaps), np.arange(n) * 1j, _objects(rng, values)[0]),
        ]
        if arrow:
            import pyarrow as pa

            made = [(pa.list_(pa.int64()), [1, 2]), (pa.binary(), b"x"), (pa.date32(), dt.date.max)]
            made += [(pa.struct({"a": pa.int64()}), {"a": 1}), (pa.duration("s"), dt.timedelta(1))]
            odd += [
                pd.array([None if v is None else one for v in values], dtype=pd.ArrowDtype(of))
                for of, one in made
            ]
        held = _choice(rng, odd)
        if isinstance(held, pd.IntervalIndex | np.ndarray):  # without gaps
            values[:] = [None if v is None and held.dtype == object else ODD for v in values]
        return held, False
    if rng.random() < 0.2:
        array, plain = _objects(rng, values)
        return pd.Series(array, dtype=object), plain
    options: list[Any] = ["category"]
    if kind == "texts":
        options += ["object", "str", "string"] + ["string[pyarrow]"] * arrow
        if arrow:
            import pyarrow as pa

            options += [pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.large_string())]
            options += [pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))]
    elif kind == "flags":
        options += ["boolean"] + ["bool"] * (not gaps) + ["bool[pyarrow]"] * arrow
        options += ["Sparse[bool]"] * (not gaps)
    elif kind == "reals":
        options += ["float64", "float32", "float16", "Float64", "Float32", "Sparse[float]"]
        options += ["double[pyarrow]", "float[pyarrow]"] * arrow
    else:
        options += ["Int64"] + ["Int8", "UInt8"] * (kind != "huge") + ["int64[pyarrow]"] * arrow
        options += ["uint64[pyarrow]"] * arrow
        if not gaps:
            options += ["int64", "uint64", "Sparse[int]"]
            options += ["int8", "uint16", "int32", "float32", "float16"] * (kind != "huge")
    if arrow and kind in ("reals", "levels", "counts"):
        import pyarrow as pa

        options += [pd.ArrowDtype(pa.decimal128(12, 4))]
    dtype = _choice(rng, options)
    held = pd.Series(values, dtype=object)
    if kind == "reals" and gaps and dtype in ("float64", "float32", "float16", "Sparse[float]"):
        held = held.astype("float64")
    if isinstance(dtype, pd.ArrowDtype) and "decimal" in str(dtype):
        import pyarrow as pa

        exact = [None if v is None else Decimal(v).quantize(Decimal("0.0001")) for v in values]
        return pd.Series(pd.array(pa.array(exact, pa.decimal128(12, 4)), dtype=dtype)), False
    if isinstance(dtype, pd.ArrowDtype) and "dictionary" in str(dtype):
        import pyarrow as pa

        return pd.Series(pd.array(pa.array(values, pa.string()).dictionary_encode(), dtype)), True
    return held.astype(dtype), True


def _polars_column(rng: Rng, kind: str, values: list[Any]) -> Written:
    """Return values as a polars series."""
    import polars as pl

    if kind == "odd":
        of, one = _choice(
            rng,
            [
                *((pl.List(pl.Int64), [1, 2]), (pl.Array(pl.Int64, 2), [1, 2]), (pl.Binary, b"x")),
                *((pl.Struct({"a": pl.Int64}), {"a": 1}), (pl.Date, dt.date(2020, 1, 1))),
                *((pl.Datetime("us"), dt.datetime(2020, 1, 1)), (pl.Duration, dt.timedelta(1))),
                *((pl.Datetime("us", "Europe/Berlin"), dt.datetime(2020, 1, 1)),),
                *((pl.Time, dt.time(1)), (pl.Object, Unshowable()), (pl.Object, object())),
            ],
        )
        return pl.Series([None if v is None else one for v in values], dtype=of), False
    if kind == "texts":
        known = sorted({v for v in values if v is not None})
        dtype = _choice(rng, [pl.String, pl.Categorical, pl.Enum(known)])
    elif kind == "flags":
        dtype = pl.Boolean
    elif kind == "reals":
        dtype = _choice(rng, [pl.Float64, pl.Float32, pl.Decimal(12, 4)])
    elif kind == "huge":
        dtype = _choice(rng, [pl.Int64, pl.UInt64, pl.Int128])
    else:
        dtype = _choice(rng, [pl.Int64, pl.UInt8, pl.Int8, pl.UInt64, pl.Float32, pl.Int128])
    if isinstance(dtype, pl.Decimal):
        values = [None if v is None else Decimal(v) for v in values]
    made = pl.Series(values, dtype=dtype, strict=False)
    if dtype in (pl.Float32, pl.Float64) and rng.random() < 0.5:
        made = made.fill_null(math.nan)
    return made, not isinstance(dtype, pl.Decimal)


def _arrow_column(rng: Rng, kind: str, values: list[Any]) -> Written:
    """Return values as an Arrow array, in one chunk or in several."""
    import pyarrow as pa

    plain = True
    if kind == "odd":
        dtype, one = _choice(
            rng,
            [
                *((pa.list_(pa.int64()), [1, 2]), (pa.struct({"a": pa.int64()}), {"a": 1})),
                *((pa.date32(), dt.date(2020, 1, 1)), (pa.timestamp("us", "UTC"), dt.datetime.min)),
                *((pa.binary(), b"x"), (pa.binary(1), b"x"), (pa.time64("us"), dt.time(1))),
                *((pa.duration("us"), dt.timedelta(1)), (pa.month_day_nano_interval(), (1, 2, 3))),
                *((pa.map_(pa.string(), pa.int64()), [("a", 1)]), (pa.list_(pa.int8(), 1), [1])),
            ],
        )
        values, plain = [None if v is None else one for v in values], False
    elif kind == "texts":
        text = [pa.string(), pa.large_string(), pa.string_view()]
        dtype = _choice(rng, [*text, pa.dictionary(pa.int8(), pa.string())])
    elif kind == "flags":
        dtype = pa.bool_()
    elif kind == "reals":
        dtype = _choice(rng, [pa.float64(), pa.float32(), pa.float16(), pa.decimal128(12, 4)])
    elif kind == "huge":
        dtype = _choice(rng, [pa.int64(), pa.uint64(), pa.decimal128(30, 0)])
    else:
        dtype = _choice(rng, [pa.int64(), pa.int8(), pa.uint8(), pa.uint64(), pa.float32()])
    if pa.types.is_decimal(dtype):
        values, plain = [None if v is None else Decimal(v) for v in values], False
    if pa.types.is_float16(dtype):
        values = [None if v is None else np.float16(v) for v in values]
    made = pa.array(values, dtype)
    if rng.random() < 0.3 and len(values) > 1:
        return pa.chunked_array([made[:1], made[1:1], made[1:]]), plain
    return made, plain


# ---- whole tables --------------------------------------------------------------------------------


def _names(rng: Rng, d: int, *, texts: bool) -> tuple[list[Any], bool]:
    """Return names of columns, and whether they are as a model wants them."""
    usual = [f"c{j}" for j in range(d)]
    options: list[Any] = [(usual, True)] * 6 + [([f"größe {j}\n\x1b[1m" for j in range(d)], True)]
    options += [(["", *usual[1:]], True), (["x"] * d, d == 1)]
    if not texts:
        options += [(list(range(d)), True)] * 2
        options += [(list(range(5, 5 + d)), True), ([None, *usual[1:]], False)]
        options += [([0, *usual[1:]], False), ([("a", j) for j in range(d)], False)]
        options += [([dt.date(2020, 1, 1 + j) for j in range(d)], False), ([1.5] * d, False)]
    return _choice(rng, options)


def _pandas(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    import pandas as pd

    n = len(columns[0]) if columns else 0
    written = [_pandas_column(rng, kind, values) for kind, values in zip(kinds, columns)]
    names, good = _names(rng, len(columns), texts=False)
    series = [pd.Series(held).reset_index(drop=True) for held, _ in written]
    held = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(n))
    if names and isinstance(names[0], tuple):
        held.columns = pd.MultiIndex.from_tuples(names)
    else:
        held.columns = names
    rows: list[Any] = [pd.RangeIndex(n), [f"r{i}" for i in range(n)], [0] * n, range(n, 0, -1)]
    rows += [pd.date_range("2020", periods=n), pd.MultiIndex.from_product([["a"], range(n)])]
    held.index = _choice(rng, rows)
    single = any("float" in str(s.dtype).lower() and "64" not in str(s.dtype) for s in series)
    form = f"pandas {[str(s.dtype) for s in series]} named {names!r}"
    return Frame(held, columns, names, form, good and all(g for _, g in written), single)


def _polars(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    import polars as pl

    written = [_polars_column(rng, kind, values) for kind, values in zip(kinds, columns)]
    names, good = _names(rng, len(columns), texts=True)
    if len(set(names)) < len(names):
        names = [f"x{j}" for j in range(len(names))]
        good = True
    held: Any = pl.DataFrame([s.alias(name) for name, (s, _) in zip(names, written)])
    names = held.columns  # an empty one is filled in
    form, single = f"polars {held.dtypes}", pl.Float32 in held.dtypes
    if rng.random() < 0.1:
        held, good, form = held.lazy(), False, f"lazy {form}"
    return Frame(held, columns, names, form, good and all(g for _, g in written), single)


def _arrow(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    import pyarrow as pa

    written = [_arrow_column(rng, kind, values) for kind, values in zip(kinds, columns)]
    names, good = _names(rng, len(columns), texts=True)
    held: Any = pa.Table.from_arrays([column for column, _ in written], names=names)
    form, batches = f"Arrow {[str(t) for t in held.schema.types]}", held.to_batches()
    if len(batches) == 1 and rng.random() < 0.3:
        held = batches[0]
    single = any(t in (pa.float32(), pa.float16()) for t in held.schema.types)
    return Frame(held, columns, names, form, good and all(g for _, g in written), single)


def _object_table(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    """Return one array of objects, or nested lists or tuples of them."""
    made = [_objects(rng, values) for values in columns]
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for j, (column, _) in enumerate(made):
        for i, value in enumerate(column):
            table[i, j] = value
    good = all(g for _, g in made)
    rows = [[table[i, j] for j in range(len(columns))] for i in range(len(table))]
    held, form = _choice(
        rng,
        [
            *((table, "objects"), (rows, "lists"), ([tuple(row) for row in rows], "tuples")),
            *((tuple(rows), "a tuple of lists"), (np.asfortranarray(table), "objects by column")),
            *((list(table), "a list of arrays of objects"),),
        ],
    )
    return Frame(held, columns, None, f"{form} of {kinds}", good)


def _ragged(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    """Return what is no table at all."""
    rows = [list(range(len(columns) + i % 2)) for i in range(len(columns[0]) + 2)]
    columns[:] = [[ODD] * len(column) for column in columns]
    held = _choice(
        rng,
        [
            *(rows, tuple(map(tuple, rows)), [np.array(row) for row in rows], [rows, rows]),
            *([[1, 2], 3, [4, 5]], [[1, 2], [3, [4, 5]]], [{"a": 1}, {"a": 2}], {"a": [1, 2]}),
            *(None, 3.5, "text", b"bytes", object(), iter(rows), {1, 2, 3}, Unshowable(), len, int),
            *(
                [None, None],
                [],
                [[]],
                [[], []],
                [[[]]],
                np.float64(2),
                np.array(None),
                np.array([]),
            ),
            *(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), np.array([b"a", b"b"])),
            *(np.array([["2020", "NaT"]], "M8[D]"), np.array([[1j, 2]]), np.array([[b"a", b"b"]])),
            *([1, 2], ["a", "b"], [Unshowable()], [[Unshowable()]], np.zeros((0, 3)), ((),), {}),
            *(np.zeros((3, 0)), np.zeros((2, 3, 4)), np.array([["a", "bc"]], "S2"), [b"a", b"b"]),
        ],
    )
    return Frame(held, columns, None, f"{type(held).__name__} that is no table", False)


def _for_torch(dtype: Any) -> bool:
    native = dtype.kind in "fi?" and dtype.isnative and dtype != np.longdouble
    return native and find_spec("torch") is not None


def _array(rng: Rng, kinds: list[str], columns: list[list[Any]]) -> Frame:
    """Return an array of one dtype: numpy's, masked, a view of a matrix, or torch's."""
    n, d = len(columns[0]), len(columns)
    kind = _choice(rng, ["reals", "reals", "levels", "flags", "texts", "huge"])
    gaps = rng.random() < 0.3
    columns[:] = [_values(rng, kind, n) for _ in range(d)]
    dtypes = {
        "reals": ["f2", "f4", "f8", "g", ">f8"],
        "levels": ["i1", "u1", "u8", ">i4", "f4"],
        "flags": ["?"],
        "texts": ["U", "T", "O"],
        "huge": ["i8", "u8", "O"],
    }
    dtype = _choice(rng, dtypes[kind])
    if dtype == "T":
        dtype = np.dtypes.StringDType(na_object=_choice(rng, [None, np.nan]))
    table: Any = np.array(columns, dtype=dtype).T
    form = f"an array of {table.dtype}"
    single = table.dtype in (np.float32, np.float16)
    if gaps:
        mask = rng.random((n, d)) < 0.2
        columns[:] = [[None if m else v for v, m in zip(*at)] for at in zip(columns, mask.T)]
        table, form = np.ma.array(table, mask=mask), f"{form}, masked"
    elif _for_torch(table.dtype) and rng.random() < 0.5:
        import torch

        table = torch.tensor(np.ascontiguousarray(table))
        if table.is_floating_point() and rng.random() < 0.5:
            table = table.requires_grad_()
        if rng.random() < 0.15:
            return Frame(table.to_sparse(), columns, None, "a sparse tensor", False, single)
        if rng.random() < 0.3:
            table = list(table)
        form = f"torch, from {form}, {type(table).__name__}"
    if isinstance(table, np.ma.MaskedArray) and rng.random() < 0.3:
        table, form = list(table), f"a list of rows of {form}"
    return Frame(table, columns, None, form, True, single)


FORMS: list[tuple[Callable[..., Frame], str | None]] = [
    *[(_pandas, "pandas")] * 4,
    *[(_polars, "polars")] * 2,
    *[(_arrow, "pyarrow")] * 2,
    *[(_object_table, None)] * 2,
    (_array, None),
]


def frame(seed: int) -> Frame:
    """Return the table of a seed."""
    rng = np.random.default_rng([13, seed])
    few = rng.random() < 0.06
    n, d = int(rng.integers(3)) if few else int(rng.integers(4, 16)), int(rng.integers(1, 5))
    if rng.random() < 0.03:
        return _ragged(rng, [], [[0.0] * n for _ in range(d)])
    # Most tables are of one nature, or a single column would refuse nearly all of them.
    kinds_of = _choice(rng, [KINDS, NUMERIC, NUMERIC, NUMERIC, DISCRETE, DISCRETE])
    drawn = [_column(rng, n, kinds_of) for _ in range(d)]
    make = _choice(rng, [make for make, package in FORMS if not package or find_spec(package)])
    made: Frame = make(rng, [kind for kind, _ in drawn], [values for _, values in drawn])
    return made


def column(seed: int, n: int) -> Frame:
    """Return a column of n numbers, a target or weights, in some container."""
    rng = np.random.default_rng([31, seed])
    kind, values = _column(rng, n, (*NUMERIC, *NUMERIC, *KINDS))
    makers: list[Any] = [(_pandas_column, "pandas"), (_polars_column, "polars")]
    makers += [(_arrow_column, "pyarrow"), (lambda rng, _, v: _objects(rng, v), None)]
    make = _choice(rng, [make for make, package in makers if not package or find_spec(package)])
    held, plain = make(rng, kind, values)
    form = f"{type(held).__name__} of {getattr(held, 'dtype', getattr(held, 'type', ''))}"
    if isinstance(held, np.ndarray) and held.dtype == object and rng.random() < 0.5:
        held = held.tolist()
    return Frame(held, [values], None, form, plain)

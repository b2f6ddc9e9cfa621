"""Frames in, frames out: what `fit` was given, remembered as plain values, and made again.

A form is a dict of plain values and arrays, which a model file keeps as it is:

    library, kind    "pandas", "polars" or "pyarrow", and its class
    names            of the columns, where they are not text (text is in `feature_names_in_`)
    dtypes, of       the distinct types, and which of them each column has
    written          the form of the files' own types, of a model that was fitted to files

A type is a dict too: its name under "is", and what else it takes to make it again. One that
declares its levels (pandas categories, polars' Enum, Arrow's dictionaries) holds them, in their
order, unused ones included. Types that hold no numbers or levels are not made again: a column of
them comes back in whatever type its values have.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.frame_reading import pandas_types
from ancestral.errors import MissingExtraError

Form = dict[str, Any]
Type = dict[str, Any]

_PLAIN = {  # types that their names make again
    "pandas": re.compile(
        r"datetime64\[\w+(, .+)?\]|timedelta64\[\w+\]|"
        r"bool|object|u?int(8|16|32|64)|float(16|32|64)|boolean|U?Int(8|16|32|64)|Float(32|64)|"
        r"Sparse\[(bool|u?int(8|16|32|64)|float(32|64)), (\w|\.)+\]"
    ),
    "polars": re.compile(
        r"Date|Datetime\(time_unit='\w+', time_zone=(None|'.+')\)|Duration\(time_unit='\w+'\)|"
        r"Boolean|String|U?Int(8|16|32|64|128)|Float(32|64)"
    ),
    "pyarrow": re.compile(
        r"date(32|64)\[\w+\]|timestamp\[\w+(, tz=.+)?\]|duration\[\w+\]|"
        r"bool|u?int(8|16|32|64)|halffloat|float|double|(large_)?string(_view)?|decimal\w+\(.*\)"
    ),
}
_KINDS = {"pandas": {"DataFrame"}, "polars": {"DataFrame"}, "pyarrow": {"Table", "RecordBatch"}}
_DATES = re.compile(r"date|timestamp|timedelta|duration", re.IGNORECASE)
_FLOATS = re.compile(r"float(16|32|64)|Float(32|64)|Sparse\[float.*|halffloat|float|double")
# What a library raises for a type, or for levels in it, that this version of it has not.
_CANNOT = (TypeError, ValueError, KeyError, AttributeError, ImportError, NotImplementedError)
WIDEST = {"pandas": "float64", "polars": "Float64", "pyarrow": "double"}


# ---- in ------------------------------------------------------------------------------------------


def form_of(X: Any, names: list[Any] | None = None) -> Form | None:
    """Return the form of a dataframe of pandas, polars or Arrow; None for all else.

    `names` are those of its columns, where they were read before.
    """
    if isinstance(X, np.ndarray | list | tuple):
        return None
    library = type(X).__module__.partition(".")[0]
    if (pd := sys.modules.get("pandas")) is not None and isinstance(X, pd.DataFrame):
        names = X.columns.tolist() if names is None else names
        return _form("pandas", "DataFrame", names, _types_of_pandas(X))
    if library == "polars" and hasattr(X, "dtypes"):
        return _form("polars", "DataFrame", X.columns, [*map(_polars_type, X.dtypes)])
    if library == "pyarrow" and type(X).__name__ in _KINDS["pyarrow"]:
        fields = zip(X.schema, X.columns, strict=True)
        types = [_arrow_type(field.type, column, field.nullable) for field, column in fields]
        return _form("pyarrow", type(X).__name__, list(X.schema.names), types)
    return None


def _form(library: str, kind: str, names: list[Any], types: list[Type]) -> Form:
    distinct: dict[int | str, int] = {}  # those with levels each stand for themselves
    kept: list[Type] = []
    of = np.empty(len(types), np.int64)
    for j, one in enumerate(types):
        key = j if "levels" in one else one["is"] if len(one) == 1 else repr(one)
        if key not in distinct:
            distinct[key] = len(kept)
            kept.append(one)
        of[j] = distinct[key]
    form: Form = {"library": library, "kind": kind, "dtypes": kept, "of": of}
    if not any(isinstance(name, str) for name in names) and list(names) != list(range(len(names))):
        form["names"] = [_name(name, j) for j, name in enumerate(names)]
    return form


def _name(name: Any, j: int) -> Any:
    """Return a name that a file can hold: a number, or a tuple of an index of several levels."""
    if isinstance(name, tuple):
        return tuple(_name(part, j) for part in name)
    if isinstance(name, str):
        return str(name)
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return int(name)
    return str(name)


def _types_of_pandas(X: Any) -> list[Type]:
    seen: dict[Any, Type] = {}
    types = []
    for j, dtype in enumerate(pandas_types(X)):
        if dtype not in seen:
            if getattr(dtype, "pyarrow_dtype", None) is not None:
                types.append(_pandas_arrow_type(dtype, X.iloc[:, j]))
                continue
            seen[dtype] = _pandas_type(dtype)
        types.append(seen[dtype])
    return types


def _pandas_type(dtype: Any) -> Type:
    name = type(dtype).__name__
    if name == "CategoricalDtype":
        levels = _levels(dtype.categories.tolist())
        if levels is None:
            return {"is": "other"}
        of = _pandas_type(dtype.categories.dtype)
        return {"is": "category", "levels": levels, "of": of, "ordered": bool(dtype.ordered)}
    if name == "StringDtype":
        na = getattr(dtype, "na_value", None)
        return {"is": "string", "storage": str(dtype.storage), "nan": isinstance(na, float)}
    return _named("pandas", str(dtype))


def _pandas_arrow_type(dtype: Any, series: Any) -> Type:
    values = series.array.__arrow_array__() if hasattr(series.array, "__arrow_array__") else None
    return {"is": "arrow", "type": _arrow_type(dtype.pyarrow_dtype, values, nullable=True)}


def _polars_type(dtype: Any) -> Type:
    name = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if name == "Enum":
        levels = _levels(dtype.categories.to_list())
        return {"is": "other"} if levels is None else {"is": "Enum", "levels": levels}
    if name == "Categorical":
        own = getattr(dtype, "categories", None)
        if own is None or not hasattr(own, "namespace") or not own.name():
            return {"is": "Categorical"}
        which = [str(part) for part in (own.name(), own.namespace(), own.physical())]
        return {"is": "Categorical", "categories": which}
    return _named("polars", str(dtype))


def _arrow_type(dtype: Any, column: Any, nullable: bool) -> Type:  # noqa: FBT001 - of the field
    import pyarrow as pa

    found = _named("pyarrow", str(dtype))
    if pa.types.is_dictionary(dtype):
        found = {"is": "other"}
        if (levels := _levels(_dictionary_of(column))) is not None:
            found = {
                "is": "dictionary",
                "levels": levels,
                "index": str(dtype.index_type),
                "of": _arrow_type(dtype.value_type, None, nullable=True),
                "ordered": bool(dtype.ordered),
            }
    return found if nullable else found | {"nullable": False}


def _dictionary_of(column: Any) -> list[Any]:
    """Return all that the dictionaries of a column hold, without what stands there twice."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    held = [chunk.dictionary.to_pylist() for chunk in chunks if chunk is not None]
    return list(dict.fromkeys(value for values in held for value in values if value is not None))


def _levels(values: list[Any]) -> NDArray | None:
    """Return declared levels, all of a kind, as an array; None for what a file can't hold."""
    kinds = set(map(type, values))
    if not kinds or kinds <= {str, np.str_}:
        return np.array([str(value) for value in values], dtype=object)
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if kinds <= {kind, dtype}:
            try:
                return np.array(values, dtype=dtype)
            except OverflowError:
                return None
    return None


def _named(library: str, name: str) -> Type:
    return {"is": name if _is_plain(library, name) else "other"}


@lru_cache(1024)
def _is_plain(library: str, name: str) -> bool:
    """Tell whether a type is made again by its name."""
    return _PLAIN[library].fullmatch(name) is not None


def declared_levels(form: Form | None, width: int) -> list[NDArray | None]:
    """Return the levels that each column's type declares, None where it declares none."""
    if form is None:
        return [None] * width
    types = [one["type"] if one["is"] == "arrow" else one for one in form["dtypes"]]
    levels = [one.get("levels") for one in types]
    return [levels[k] for k in form["of"]]


def check_names(names: Any, width: int | None) -> None:
    """Raise ValueError for what are no names of so many columns."""
    if not (isinstance(names, np.ndarray) and names.ndim == 1 and names.dtype.kind in "OU"):
        raise ValueError("names of columns are a list of texts")
    if width is not None and len(names) != width:
        raise ValueError(f"there are {len(names)} names for {width} columns")


def check_target_names(names: Any) -> None:
    """Raise ValueError for what is neither the name of a target nor a tuple of such."""
    several = names if isinstance(names, tuple) else (names,)
    if names is not None and not (several and all(isinstance(name, str) for name in several)):
        raise ValueError("the name of a target is a text, and of several a tuple of texts")


def check_form(form: Any, width: int) -> None:
    """Raise ValueError for what is no form of a frame with so many columns."""
    try:
        library = form["library"]
        good = form["kind"] in _KINDS[library] and form["of"].shape == (width,)
        good = (
            good and form["of"].dtype.kind == "i" and len(form.get("names") or [0] * width) == width
        )
        good = good and bool(np.isin(form["of"], np.arange(len(form["dtypes"]))).all())
        good = good and all(map(_is_name, form.get("names") or ()))
        for one in form["dtypes"]:
            good = good and _is_type(library, one)
        if (written := form.get("written")) is not None:
            good = good and "written" not in written
            check_form(written, width)
    except (TypeError, KeyError, AttributeError):
        good = False
    if not good:
        raise ValueError("what it says of the frame of the fit is no form of one")


def _is_name(name: Any) -> bool:
    return type(name) in (int, str) or (type(name) is tuple and all(map(_is_name, name)))


def _is_type(library: str, one: Type) -> bool:
    kind, levels = one["is"], one.get("levels")
    if one.get("nullable", False) is not False:
        return False
    if kind == "arrow":
        inner = one["type"]
        return library == "pandas" and inner["is"] != "arrow" and _is_type("pyarrow", inner)
    if kind in ("category", "Enum", "dictionary"):
        if not (isinstance(levels, np.ndarray) and levels.ndim == 1):
            return False
        if kind == "Enum":
            return True
        index = kind == "category" or re.fullmatch(r"u?int(8|16|32|64)", one["index"])
        return bool(index) and type(one["ordered"]) is bool and _is_type(library, one["of"])
    if kind == "string" and library == "pandas":
        return type(one["storage"]) is str and type(one["nan"]) is bool
    if kind == "Categorical":
        which = one.get("categories", ["", "", ""])
        return len(which) == 3 and all(type(part) is str for part in which)
    return levels is None and (kind == "other" or bool(_PLAIN[library].fullmatch(kind)))


# ---- out -----------------------------------------------------------------------------------------


def labels_of(form: Form | None, names: Any, width: int) -> list[Any]:
    """Return what the columns are called: their names, or else their numbers."""
    if names is not None:
        return [str(name) for name in names]
    if form is not None and form.get("names"):
        return list(form["names"])
    return list(range(width))


def framed(
    form: Form, names: Any, rows: NDArray, *, levels: Any = None, like: Any = None, kept: Any = None
) -> Any:
    """Return rows as a frame of the form that `fit` was given.

    Parameters
    ----------
    form : dict
        As `form_of` returned it.
    names : array of text, or None
    rows : ndarray of shape (n, d)
        None where missing, among objects.
    levels : list of ndarray, optional
        Those of each column of a discrete model, None for a column of real numbers: where it holds
        whole numbers, it becomes one of floats. Without, all columns are of real numbers.
    like : frame, optional
        Whose index the rows keep, where both are of pandas.
    kept : ndarray of shape (n, d), optional
        Numbers among the rows that no narrower float may round; NaN where there are none.

    Raises
    ------
    MissingExtraError
        Where the library of the frame is not installed.
    """
    library = form["library"]
    package = _import(library)
    labels = labels_of(form, names, rows.shape[1])
    types = [form["dtypes"][k] for k in form["of"]]
    if levels is None:
        types = [_as_float(library, one) for one in types]
    else:
        types = [
            _as_float(library, one) if known is None else _with_levels(one, known)
            for one, known in zip(types, levels, strict=True)
        ]
    if kept is not None:
        types = [_wide_enough(library, *pair) for pair in zip(types, kept.T, strict=True)]
    if library == "pandas":
        return _as_pandas(package, labels, rows, types, like)
    columns = [_COLUMNS[library](package, rows[:, j], one) for j, one in enumerate(types)]
    labels = [str(label) for label in labels]
    if library == "polars":
        series = [column.alias(label) for label, column in zip(labels, columns, strict=True)]
        return package.DataFrame(series)
    fields = [
        package.field(label, column.type, nullable=one.get("nullable", True))
        for label, column, one in zip(labels, columns, types, strict=True)
    ]
    schema = package.schema(fields)
    return getattr(package, form["kind"]).from_arrays(columns, schema=schema)


def _import(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError:
        raise MissingExtraError(
            f"this model was fitted on a dataframe of {library}, and gives its rows back as one; "
            f"{library} is not installed. Install it: pip install {library}."
        ) from None


def _as_float(library: str, one: Type) -> Type:
    """Return the type of floats that a column of this type becomes in a model of real numbers."""
    if one["is"] == "arrow":
        return {"is": "arrow", "type": _as_float("pyarrow", one["type"])}
    if _FLOATS.fullmatch(one["is"]) or _DATES.match(one["is"]):
        return one
    nullable = library == "pandas" and re.match("U?Int|boolean", one["is"])
    found = {"is": "Float64" if nullable else WIDEST[library]}
    return found | {"nullable": False} if one.get("nullable") is False else found


def _wide_enough(library: str, one: Type, kept: NDArray) -> Type:
    """Return a float's type, or the widest where it would round some of the numbers."""
    found = re.search(r"(16|32)|(halffloat|^float$)", str(one.get("type", one)["is"]))
    if found is None:
        return one
    narrow = np.float16 if found[0] in ("16", "halffloat") else np.float32
    with np.errstate(over="ignore"):
        same = np.isnan(kept) | (kept.astype(narrow) == kept)
    return one if same.all() else {"is": WIDEST[library]}


def _with_levels(one: Type, levels: NDArray) -> Type:
    """Return a type that declares all the levels of its column, which `categories=` may add to."""
    if one["is"] == "arrow":
        return {"is": "arrow", "type": _with_levels(one["type"], levels)}
    own = one.get("levels")
    known = [level for level in levels.tolist() if level is not None]
    if own is None or set(known) <= set(own.tolist()):
        return one
    return one | {"levels": np.array(known, dtype=object if isinstance(known[0], str) else None)}


# ---- pandas --------------------------------------------------------------------------------------


def _as_pandas(pd: Any, labels: list[Any], rows: NDArray, types: list[Type], like: Any) -> Any:
    same_length = isinstance(like, pd.DataFrame) and len(like) == len(rows)
    index = like.index if same_length else pd.RangeIndex(len(rows))
    columns: Any = labels
    if labels == list(range(len(labels))):
        columns = pd.RangeIndex(len(labels))
    elif all(isinstance(label, tuple) for label in labels):
        columns = pd.MultiIndex.from_tuples(labels)
    kind = types[0]["is"] if types else "object"
    numbers = rows.dtype.kind in "biuf" and re.fullmatch(r"bool|u?int\d+|float(32|64)", kind)
    if numbers and all(one is types[0] or one == types[0] for one in types):
        with np.errstate(over="ignore"):
            return pd.DataFrame(rows.astype(kind), index=index, columns=columns)
    made = {j: _pandas_column(pd, rows[:, j], one) for j, one in enumerate(types)}
    frame = pd.DataFrame(made, index=pd.RangeIndex(len(rows)))
    frame.index, frame.columns = index, columns
    return frame


def _pandas_column(pd: Any, values: NDArray, one: Type) -> Any:
    """Return a column in its type, or in that of its values where it can't be made again here."""
    values = _plain(values)
    natural = pd.Series(values).infer_objects()
    try:
        if one["is"] == "arrow":
            column = arrow_column(_import("pyarrow"), values, one["type"])
            return pd.Series(pd.array(column, dtype=pd.ArrowDtype(column.type)))
        if one["is"] == "object":
            return pd.Series(values.tolist(), dtype=object)
        if _DATES.match(one["is"]):
            return _pandas_dates(pd, values, one["is"])
        dtype = _pandas_dtype(pd, one)
        return natural if dtype is None else _cast(pd, values, dtype)
    except _CANNOT:
        return natural


def _pandas_dates(pd: Any, values: NDArray, kind: str) -> Any:
    """Return dates, in UTC, or durations in their type."""
    dtype = pd.api.types.pandas_dtype(kind)
    if kind.startswith("timedelta"):
        return pd.Series(pd.to_timedelta(values.tolist())).astype(dtype)
    utc = pd.Series(np.array(values, dtype="M8[us]"))
    if getattr(dtype, "tz", None) is not None:
        return utc.dt.tz_localize("UTC").dt.tz_convert(dtype.tz).astype(dtype)
    return utc.astype(dtype)


def _cast(pd: Any, values: NDArray, dtype: Any) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical(values.tolist(), dtype=dtype))
    if values.dtype == object and isinstance(dtype, np.dtype) and dtype.kind == "f":
        return pd.Series(values.astype(np.float64)).astype(dtype)
    if values.dtype == object and isinstance(dtype, np.dtype) and None in values.tolist():
        nullable = {"b": "boolean", "i": f"Int{8 * dtype.itemsize}"}.get(dtype.kind)
        dtype = dtype if nullable is None else pd.api.types.pandas_dtype(nullable)
    with np.errstate(over="ignore"):
        return pd.Series(values).astype(dtype)


def _pandas_dtype(pd: Any, one: Type) -> Any:
    if one["is"] == "category":
        of = _pandas_dtype(pd, one["of"])
        levels = one["levels"].tolist()
        return pd.CategoricalDtype(pd.Index(levels, dtype=of), ordered=one["ordered"] is True)
    if one["is"] == "string":
        na = {"na_value": np.nan} if one["nan"] is True else {}
        return pd.StringDtype(one["storage"], **na)
    return None if one["is"] == "other" else pd.api.types.pandas_dtype(one["is"])


# ---- polars and Arrow ----------------------------------------------------------------------------


def _polars_column(pl: Any, values: NDArray, one: Type) -> Any:
    values = _plain(values)
    natural = pl.Series(values.tolist() if values.dtype == object else values)
    try:
        if one["is"] == "Enum":
            dtype = pl.Enum(one["levels"].tolist())
        elif one["is"] == "Categorical":
            which = one.get("categories")
            dtype = pl.Categorical
            if which is not None:
                name, namespace, physical = which
                dtype = pl.Categorical(pl.Categories(name, namespace, getattr(pl, physical)))
        elif one["is"] == "other":
            return natural
        elif one["is"].startswith(("Datetime", "Duration")):
            return _polars_dates(pl, values, one["is"])
        else:
            dtype = getattr(pl, one["is"])
        return natural.cast(dtype)
    except (*_CANNOT, pl.exceptions.PolarsError):
        return natural


def _polars_dates(pl: Any, values: NDArray, kind: str) -> Any:
    """Return dates, in UTC, or durations in their type."""
    unit, zone = re.findall(r"'(.+?)'", kind)[0], re.search(r"time_zone='(.+)'", kind)
    own = pl.Duration("us") if kind.startswith("Duration") else pl.Datetime("us")
    found = pl.Series(values.tolist(), dtype=own).dt.cast_time_unit(unit)
    if zone is None:
        return found
    return found.dt.replace_time_zone("UTC").dt.convert_time_zone(zone[1])


def arrow_column(pa: Any, values: NDArray, one: Type) -> Any:
    """Return a column of Arrow's in its type, or in that of its values where it has no other."""
    values = _plain(values)
    natural = pa.array(values.tolist() if values.dtype == object else values)
    try:
        if one["is"] == "dictionary":
            levels = one["levels"].tolist()
            place: dict[Any, int | None] = {level: k for k, level in enumerate(levels)}
            codes = [place[value] if value is not None else None for value in values.tolist()]
            return pa.DictionaryArray.from_arrays(
                pa.array(codes, pa.type_for_alias(one["index"])),
                arrow_column(pa, one["levels"], one["of"]),
                ordered=one["ordered"] is True,
            )
        if one["is"] == "other":
            return natural
        if found := re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", one["is"]):
            dtype = getattr(pa, f"decimal{found[1]}")(int(found[2]), int(found[3]))
            return pa.array([None if v is None else Decimal(v) for v in values.tolist()], dtype)
        if found := re.fullmatch(r"(timestamp|duration)\[(\w+)(, tz=(.+))?\]", one["is"]):
            zone = {"tz": found[4]} if found[1] == "timestamp" else {}
            return pa.array(values.tolist(), getattr(pa, found[1])(found[2], **zone))
        if found := re.fullmatch(r"(date(32|64))\[\w+\]", one["is"]):
            dates = pa.array(values.tolist(), pa.timestamp("us"))
            return dates.cast(getattr(pa, found[1])(), safe=False)
        dtype = pa.type_for_alias(one["is"])
        if one["is"] == "halffloat":
            return pa.array(values.astype(np.float16))
        return natural.cast(dtype, safe=not pa.types.is_floating(dtype))
    except _CANNOT:
        return natural


_COLUMNS: dict[str, Callable[[Any, NDArray, Type], Any]] = {
    "polars": _polars_column,
    "pyarrow": arrow_column,
}


def _plain(values: NDArray) -> NDArray:
    """Return a column as numbers or booleans where it holds these alone, else as objects."""
    if values.dtype.kind != "O":
        return values.astype(object) if values.dtype.kind == "U" else values
    kinds = set(map(type, values.tolist()))
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if kinds and kinds <= {kind, dtype}:
            return values.astype(dtype)
    return values

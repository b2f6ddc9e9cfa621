"""The form of dataframes one below the other: what each column's type becomes, as libraries say.

Types that are equal stay. Numbers of two types become the type that holds both. Arrow's
dictionaries and polars' enumerations keep the levels of all parts, in the order in which these
come; pandas' categories only where all parts have the same ones, else their values are what they
are. A column of which one part knows nothing has the type of the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ancestral._checks.frames import Form, Type

_NUMBER = re.compile(r"([uU]?[iI]nt|[fF]loat)\d+|double|float|halffloat|bool")
_ARROW = {"double": "float64", "float": "float32", "halffloat": "float16"}
_MIXED = {"pandas": "object"}  # what a column of both is where no type holds the values of both


def joined_form(
    one: Form | None, two: Form | None, known: Sequence[tuple[bool, bool]]
) -> Form | None:
    """Return the form of the rows of two frames of the same columns.

    Parameters
    ----------
    one, two : dict, or None for what is no frame
    known : sequence of pairs of bool
        Of each column, whether either frame holds a value of it.
    """
    if one is None or two is None or one["library"] != two["library"]:
        return one if two is None else two if one is None else one
    library = one["library"]
    kept: list[Type] = []
    of = np.empty(len(known), np.int64)
    for j, here in enumerate(known):
        first, second = one["dtypes"][one["of"][j]], two["dtypes"][two["of"][j]]
        found = _joined(library, first, second, here)
        place = next((k for k, other in enumerate(kept) if _equal(found, other)), len(kept))
        kept += [found] * (place == len(kept))
        of[j] = place
    return one | {"dtypes": kept, "of": of}


def _equal(one: Any, two: Any) -> bool:
    """Tell whether two types say the same."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_equal(one[k], two[k]) for k in one)
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.dtype == two.dtype and bool(np.array_equal(one, two))
    return type(one) is type(two) and bool(one == two)


def _joined(library: str, one: Type, two: Type, known: tuple[bool, bool]) -> Type:
    """Return the type of a column of two frames, one below the other."""
    if _equal(one, two):
        return one
    if known in ((True, False), (False, True)):
        return one if known[0] else two
    if one.get("nullable") != two.get("nullable"):  # one of them may have gaps
        one, two = ({k: v for k, v in kind.items() if k != "nullable"} for kind in (one, two))
    if one["is"] == two["is"] == "arrow":
        return {"is": "arrow", "type": _joined("pyarrow", one["type"], two["type"], known)}
    if one["is"] == two["is"] and one["is"] in ("category", "Enum", "dictionary"):
        return _with_levels_of_both(library, one, two, known)
    pair = [_numpy_name(kind["is"]) for kind in (one, two)]
    if None not in pair:
        return one | {"is": _named(library, np.result_type(*map(str, pair)).name, one, two)}
    return one if _equal(one, two) else _mixed(library)


def _mixed(library: str) -> Type:
    return {"is": _MIXED.get(library, "other")}


def _with_levels_of_both(library: str, one: Type, two: Type, known: tuple[bool, bool]) -> Type:
    """Return a type of levels that holds those of two."""
    first, second = one["levels"].tolist(), two["levels"].tolist()
    if one["is"] == "category":
        alike = first == second if one["ordered"] else set(first) == set(second)
        if alike and one["ordered"] == two["ordered"]:
            return one
        return _joined(library, one["of"], two["of"], known)
    levels = list(dict.fromkeys([*first, *second]))
    found = one | {"levels": np.array(levels, dtype=object if isinstance(levels[0], str) else None)}
    if "index" in one and len(levels) > np.iinfo(one["index"]).max:
        found["index"] = "int32"
    return found


def _numpy_name(name: str) -> str | None:
    """Return the type of numpy's that holds the same numbers; None for what is no number."""
    if _NUMBER.fullmatch(name) is None:
        return None
    return _ARROW.get(name, name.lower())


def _named(library: str, name: str, one: Type, two: Type) -> str:
    """Return what a library calls a type of numbers."""
    if library == "pyarrow":
        return {kind: own for own, kind in _ARROW.items()}.get(name, name)
    if library == "polars" or any(kind["is"][0] in "UIF" for kind in (one, two)):
        return re.sub("^(u?)i", lambda found: found[1].upper() + "I", name).replace("f", "F", 1)
    return name

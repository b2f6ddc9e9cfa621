"""Levels that are declared before any row is seen: by `categories=`, or by a dataframe's types.

A declared level that no row of the fit holds is a level all the same, with the probability that
smoothing or a network gives it; the order stays that of the declaration. A missing answer, None,
may stand last among them, where missing answers count as a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import shown
from ancestral._checks.frames import Form, declared_levels, labels_of
from ancestral._checks.missing import is_missing
from ancestral.errors import DataError


class Declared(NamedTuple):
    """The levels of one column, and who declares them: a type speaks for its own part alone."""

    levels: NDArray
    by_type: bool

    def with_seen(self, column: NDArray) -> NDArray:
        """Return the levels, and those that other parts of the data hold beside them."""
        known = set(self.levels.tolist())
        more = set(column.tolist()) - known - {None} if self.by_type else set()
        if not more:
            return self.levels
        kind = object if self.levels.dtype == object else np.result_type(self.levels, column)
        return np.array([*self.levels.tolist(), *sorted(more)], dtype=kind)


def declared(
    categories: Any, form: Form | None, names: Any, width: int, *, missing: bool
) -> list[Declared | None]:
    """Return the levels that are declared of each column, None where they are to be learnt.

    Parameters
    ----------
    categories : None, a list with the levels of each column or None, or a mapping by name
    form : the form of the dataframe, whose types may declare levels: `categories` goes before them
    names : array of text, or None
    width : int
    missing : bool
        Whether None may be among the levels.
    """
    if categories is None and form is None:
        return [None] * width
    labels = labels_of(form, names, width)
    found = [
        # A type without levels, of a column of which no value is known, declares nothing.
        None
        if levels is None or not len(levels)
        else Declared(_by_type(levels, label), by_type=True)
        for levels, label in zip(declared_levels(form, width), labels, strict=True)
    ]
    for j, levels in _by_column(categories, labels).items():
        if levels is not None:
            own = _checked(levels, f"of column {labels[j]!r}", missing=missing)
            found[j] = Declared(own, by_type=False)
    return found


def plain(categories: Any) -> Any:
    """Return what `categories` says as plain lists and values, which a model file keeps."""
    if isinstance(categories, Mapping):
        return {name: _as_list(levels) for name, levels in categories.items()}
    if isinstance(categories, Iterable) and not isinstance(categories, str):
        return [_as_list(levels) for levels in categories]
    return categories


def _as_list(levels: Any) -> Any:
    """Return the levels of one column as a list; what is none as it is."""
    levels = getattr(levels, "categories", levels)  # of a pandas or polars type
    if isinstance(levels, str) or not isinstance(levels, Iterable):
        return levels
    values = levels.tolist() if hasattr(levels, "tolist") else list(levels)
    if isinstance(levels, set | frozenset):
        values = sorted(values, key=lambda value: (str(type(value)), str(value)))
    return values


def _by_column(categories: Any, labels: list[Any]) -> dict[int, Any]:
    """Return what `categories` says, by the places of columns."""
    if categories is None:
        return {}
    if isinstance(categories, Mapping):
        place = {label: j for j, label in enumerate(labels)}
        for name in categories:
            if name not in place:
                known = ", ".join(map(repr, labels[:8])) + (", ..." if len(labels) > 8 else "")
                raise DataError(
                    f"categories names {name!r}, which is no column of X: those are {known}."
                )
        return {place[name]: levels for name, levels in categories.items()}
    if isinstance(categories, str) or not isinstance(categories, Iterable):
        raise DataError(
            f"categories={shown(categories)} holds no levels: pass a mapping of columns to their "
            "levels, or a list with the levels of each column."
        )
    given = list(categories)
    if len(given) != len(labels):
        raise DataError(
            f"categories has {len(given)} entries, and X has {len(labels)} columns: give the "
            "levels of each column, None for those to be learnt, or a mapping by name."
        )
    return dict(enumerate(given))


def _by_type(levels: NDArray, label: Any) -> NDArray:
    return _checked(levels, f"of the type of column {label!r}", missing=False)


def _checked(levels: Any, of: str, *, missing: bool) -> NDArray:
    """Return declared levels as an array of text, booleans or integers, None last."""
    values = _as_list(levels)
    if not isinstance(values, list):
        raise DataError(f"the levels {of} are {shown(levels)}: give a list of them.")
    gaps = [value for value in values if is_missing(value)]
    values = [value for value in values if not is_missing(value)]
    if gaps and not missing:
        raise DataError(
            f"the levels {of} hold {shown(gaps[0])}, which is missing and no level. Leave it out, "
            'or count missing answers as a level: missing="level" of TabularAutoregressive.'
        )
    if not values:
        raise DataError(f"the levels {of} are none: declare one or more.")
    found = _of_one_kind(values, of)
    twice = [value for value, n in zip(*np.unique(found, return_counts=True)) if n > 1]
    if twice:
        raise DataError(f"the levels {of} hold {shown(twice[0])} more than once: name each once.")
    return with_missing(found) if gaps else found


def _of_one_kind(values: list[Any], of: str) -> NDArray:
    if all(isinstance(value, str) for value in values):
        return np.array([str(value) for value in values], dtype=object)
    if all(isinstance(value, bool | np.bool_) for value in values):
        return np.array(values, dtype=bool)
    for value in values:
        number = isinstance(value, int | float | np.integer | np.floating)
        whole = number and float(value).is_integer() and -(2**63) <= int(value) < 2**63
        if not whole or isinstance(value, bool | np.bool_):
            other = next((v for v in values if type(v) is not type(value)), value)
            beside = "" if other is value else f" beside {shown(other)}"
            raise DataError(
                f"the levels {of} hold {shown(value)}{beside}: levels are all text, all booleans "
                "or all integers of 64 bits. Recode them."
            )
    return np.array([int(value) for value in values], dtype=np.int64)


def with_missing(levels: NDArray) -> NDArray:
    """Return levels with a missing answer, None, as the last."""
    found = np.empty(len(levels) + 1, dtype=object)
    found[:-1] = levels.tolist()
    found[-1] = None
    return found

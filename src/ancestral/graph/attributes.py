"""What nodes carry: named attributes, of numbers or of levels, as a table holds them.

A graph's features are one matrix of numbers; the attributes behind them are its columns by name.
An attribute of text has levels, and stands in the features as an indicator of each, named
"house=Stark". Where a node's value is missing its number, or its indicators, are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Opened, as_floats, opened
from ancestral._checks.frames import declared_levels, form_of
from ancestral._checks.missing import missing_mask
from ancestral._checks.numbers import MAX_SAMPLE_BYTES
from ancestral.errors import DataError

Float = NDArray[np.float64]

MOST_LISTED = 8  # names in a message


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute of the nodes of a graph.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n_nodes,)
        Numbers as float64, NaN where missing; of levels their places in `levels` as int64, -1
        where missing.
    levels : tuple of str, optional
        None for numbers.
    """

    name: str
    values: NDArray[Any]
    levels: tuple[str, ...] | None = None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Tell for each node whether its value is missing, shape (n_nodes,)."""
        gaps: NDArray[np.bool_] = np.isnan(self.values) if self.levels is None else self.values < 0
        return gaps

    @property
    def width(self) -> int:
        """Columns that it takes among the features."""
        return 1 if self.levels is None else len(self.levels)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of these columns."""
        if self.levels is None:
            return (self.name,)
        return tuple(f"{self.name}={level}" for level in self.levels)

    def to_list(self) -> list[Any]:
        """Return the value of each node: a number or a text, None where missing."""
        if self.levels is None:
            return [None if value != value else value for value in self.values.tolist()]
        words = [*self.levels, None]
        return [words[code] for code in self.values.tolist()]

    def with_levels(self, levels: Sequence[str]) -> Attribute:
        """Return the same attribute with other levels, which hold all that occur.

        Of levels that stand twice the first place counts.
        """
        place = {level: k for k, level in reversed([*enumerate(levels)])}
        moved = np.array([*(place[level] for level in self.levels or ()), -1], np.int64)
        return Attribute(self.name, moved[self.values], tuple(levels))

    def spread(self) -> Float:
        """Return the attribute as columns of features, shape (n_nodes, width)."""
        if self.levels is None:
            return self.values[:, None]
        needed = 8 * len(self.values) * len(self.levels)
        if needed > MAX_SAMPLE_BYTES:
            raise DataError(
                f"attribute {self.name!r} has {len(self.levels):,} levels: as features of 0 and 1 "
                f"of {len(self.values):,} nodes they need {needed / 2**30:.0f} GiB. Leave it out, "
                "or give groups of its levels."
            )
        found = (self.values[:, None] == np.arange(len(self.levels))).astype(np.float64)
        found[self.values < 0] = np.nan
        return found


def attributes_of(table: Any) -> tuple[Attribute, ...] | None:
    """Return the attributes that a dataframe of text columns holds; None for numbers alone.

    Columns of a categorical type keep their declared levels, in their order; other texts have
    those that occur, sorted.
    """
    found = opened(table, "features")
    if found.names is None or isinstance(found.values, np.ndarray):
        return None
    declared = declared_levels(form_of(table, found.names), len(found.names))
    made = [
        _attribute(str(name), column, levels)
        for name, column, levels in zip(found.names, found.values, declared, strict=True)
    ]
    return tuple(made) if any(one.levels is not None for one in made) else None


def _attribute(name: str, column: NDArray, declared: Any = None) -> Attribute:
    """Return the attribute of one column."""
    gaps = missing_mask(column)
    known: list[Any] = column[~gaps].tolist() if column.dtype.kind in "OUT" else []
    are_words = all(isinstance(value, str | Real) for value in known)
    if declared is None and not (are_words and any(isinstance(value, str) for value in known)):
        table = as_floats(Opened([column], [name], len(column)), "features")
        return Attribute(name, table[:, 0].astype(np.float64))
    words = [word_of(value) for value in column[~gaps].tolist()]
    levels = sorted({*words}) if declared is None else [word_of(v) for v in declared.tolist()]
    return Attribute(name, *coded(words, levels, gaps))


def replace_name(one: Attribute, name: str) -> Attribute:
    """Return the same attribute by another name."""
    return one if one.name == name else replace(one, name=name)


def word_of(value: Any) -> str:
    """Return a level as text, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def coded(
    words: Sequence[str], levels: Sequence[str], gaps: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the places of words among levels, -1 where there is a gap, and the levels."""
    place = {level: k for k, level in enumerate(levels)}
    codes = np.full(len(gaps), -1, np.int64)
    codes[~gaps] = [place[word] for word in words]
    return codes, tuple(levels)


def indicated(name: str, names: Sequence[str], X: Float) -> Attribute | None:
    """Return the attribute whose indicators stand among named features as "name=level".

    None where no feature has such a name, or where they are no indicators: more than one for a
    node, or numbers other than 0 and 1.
    """
    columns = [k for k, one in enumerate(names) if one.startswith(f"{name}=")]
    if not columns:
        return None
    some = X[:, columns]
    gaps = np.isnan(some).any(axis=1)
    known = some[~gaps]
    if not ((known == 0) | (known == 1)).all() or (known.sum(axis=1) != 1).any():
        return None
    codes = np.where(gaps, -1, np.nan_to_num(some).argmax(axis=1))
    return Attribute(name, codes, tuple(names[k][len(name) + 1 :] for k in columns))


def refuse_absent(name: str, held: Sequence[str], place: str = "the graph") -> None:
    """Raise DataError for an attribute that is not there."""
    listed = ", ".join(map(repr, held[:MOST_LISTED]))
    more = f" and {len(held) - MOST_LISTED} more" if len(held) > MOST_LISTED else ""
    seen = f"has {listed}{more}" if held else "has none, or none with a name"
    raise DataError(f"{place} has no attribute {name!r}: it {seen}.")

"""What parts of data say of themselves: where their rows stand, and what their columns are.

Sums of statistics are taken by the places of columns. So parts that name their columns are matched
by name: the same names in another order are brought into that of the first part, and any other
difference is refused, with the part and the column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.columns import names_of, unlike_names
from ancestral._checks.containers import shown
from ancestral._checks.missing import is_missing
from ancestral.errors import AncestralError, DataError

ALIKE = "Name the columns alike in every part."
_ROW = re.compile(r"(?:\bat|ragged:) row (\d+)")  # as places are worded


# ---- where rows stand ----------------------------------------------------------------------------


class Place(NamedTuple):
    """Which part this is; where its rows begin, if that is known, and in what.

    A piece of several files, or of a file of lines, tells where each of its rows stands.
    """

    part: int
    start: int | None = None
    of: str = "all"
    piece: Any = None

    @classmethod
    def of_piece(cls, part: int, piece: Any) -> Place:
        """Return that of a part of a source."""
        tells = getattr(piece, "place_of", None)
        return cls(part, piece.start, piece.of, None if tells is None else piece)

    def within(self, message: str) -> str:
        """Return a message about this part; the first row it names is also told among all."""
        return f"part {self.part}: {_ROW.sub(self._told, message, count=1)}"

    def _told(self, found: re.Match[str]) -> str:
        row, where = int(found[1]), None
        if self.piece is not None:
            with suppress(AncestralError, OSError):  # a file that is gone meanwhile
                where = self.piece.place_of(row)
        if where is None and self.start is not None and (self.start or self.of != "all"):
            where = f"row {row + self.start} of {self.of}"
        return found[0] if where is None else f"{found[0]} ({where})"


@contextmanager
def in_part(place: Place) -> Iterator[None]:
    """Name the part in which an error was found, and its row among all."""
    try:
        yield
    except AncestralError as error:
        raise type(error)(place.within(str(error))) from None


# ---- columns -------------------------------------------------------------------------------------


class Columns(NamedTuple):
    """What a part that was checked says of its columns."""

    part: int
    names: list[Any] | None
    targets: list[Any] | None  # the names of the columns of y
    first_row: NDArray | None  # where it is a table
    width: dict[str, Any]  # what the model has learnt of them
    weighted: bool = False  # whether its rows have weights

    @classmethod
    def of(cls, model: Any, part: int, given: tuple[Any, ...], data: tuple[Any, ...]) -> Columns:
        """Return the columns of a part, from what was given and what the check made of it."""
        width = model._columns()
        names = names_of(given[0])
        if "n_features_" in width:  # graphs bring names of their own
            names = list(width["feature_names_in_"]) if "feature_names_in_" in width else None
        rows = data[0]
        first = rows[0].copy() if isinstance(rows, np.ndarray) and len(rows) else None
        return cls(part, names, names_of(given[1]), first, width, len(given) > 2)

    def takes(self, part: int, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what another part gives, its columns in this order; DataError for others."""
        X, y, *rest = given
        self._refuse_other_weights(part, weighted=bool(rest))
        if not self._are_of_graphs:  # whose check takes names in any order
            X = in_order(X, self._order_of(part, names_of(X)))
        return X, in_order(y, self._order_of_targets(part, names_of(y))), *rest

    def same_order(self, other: Columns) -> bool:
        """Tell whether another part has these columns in this order; DataError for others."""
        self._refuse_other_width(other)
        self._refuse_other_weights(other.part, weighted=other.weighted)
        orders = (
            self._order_of(other.part, other.names),
            self._order_of_targets(other.part, other.targets),
        )
        if orders != (None, None):
            return False
        self.refuse_other_kinds(other)
        return True

    @property
    def _are_of_graphs(self) -> bool:
        """Whether these are features of graphs: those without names are taken as they are."""
        return "n_features_" in self.width

    def _order_of(self, part: int, names: list[Any] | None) -> list[int] | None:
        """Return the places of these columns among another part's; None where they are the same."""
        if names == self.names or (self._are_of_graphs and None in (names, self.names)):
            return None
        if names is None or self.names is None:
            named, whose = (self.names, self.part) if names is None else (names, part)
            if _are_numbers(named):
                return None
            bare = part if names is None else self.part
            raise DataError(
                f"part {bare} has no names of columns and part {whose} has: name them in every "
                "part, or in none."
            )
        return _places(self.names, names, f"part {part}: The feature names", self.part)

    def _order_of_targets(self, part: int, names: list[Any] | None) -> list[int] | None:
        if names is None or self.targets is None or names == self.targets:
            return None
        return _places(self.targets, names, f"part {part}: The names of the targets", self.part)

    def _refuse_other_weights(self, part: int, *, weighted: bool) -> None:
        """Raise DataError where one part has weights and another has none."""
        if weighted != self.weighted:
            some, none = (part, self.part) if weighted else (self.part, part)
            raise DataError(
                f"part {some} brings weights, and part {none} has none: give them in every part, 1 "
                "where a row counts once, or in none."
            )

    def _refuse_other_width(self, other: Columns) -> None:
        """Raise DataError where another part has more or fewer columns, and they have no names."""
        one, two = (
            part.width.get("n_features_in_", part.width.get("n_features_"))
            for part in (self, other)
        )
        if one != two and (self.names is None or other.names is None):
            raise DataError(
                f"parts differ in their number of columns: part {self.part} has {one}, part "
                f"{other.part} has {two}. Give the same columns in every part."
            )

    def refuse_other_kinds(self, other: Columns) -> None:
        """Raise DataError where a column is text in one part and numbers in another."""
        one, two = self.first_row, other.first_row
        if one is None or two is None or not {one.dtype.kind, two.dtype.kind} & set("OU"):
            return
        for j, (here, there) in enumerate(zip(two, one)):
            if (
                isinstance(here, str) == isinstance(there, str)
                or is_missing(here)
                or is_missing(there)
            ):
                continue
            kinds = [
                f"{'text' if isinstance(value, str) else 'numbers'}, such as {shown(value)}"
                for value in (here, there)
            ]
            column = j if self.names is None else repr(self.names[j])
            raise DataError(
                f"part {other.part}: column {column} holds {kinds[0]}; in part {self.part} it "
                f"holds {kinds[1]}. Make it of one kind in every part."
            )


def _places(wanted: list[Any], own: list[Any], what: str, first: int) -> list[int] | None:
    """Return where the wanted names stand among a part's own."""
    if len(set(own)) < len(own):
        return None  # the check says which name is there twice
    if set(own) != set(wanted):
        raise DataError(
            f"{what} should match those of part {first}.\n{unlike_names(wanted, own)}\n{ALIKE}"
        )
    place = {name: j for j, name in enumerate(own)}
    return [place[name] for name in wanted]


def _are_numbers(names: list[Any] | None) -> bool:
    """Tell whether these are the numbers that pandas gives to columns without names."""
    return names == list(range(len(names or ())))


def in_order(table: Any, places: list[int] | None) -> Any:
    """Return a dataframe with its columns in the order of these places."""
    if places is None:
        return table
    if hasattr(table, "iloc"):
        return table.iloc[:, places]
    names = names_of(table) or []
    return table.select([names[j] for j in places])

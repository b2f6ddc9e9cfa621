"""Results as tables that a person reads: on screen, in a notebook, and as a dataframe.

A result writes `_table()`; `Printed` gives it `repr`, what a notebook shows, and `to_frame`.
Numbers are shown with few digits and kept with all; "-" stands where there is none.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Self

import numpy as np

from ancestral.errors import MissingExtraError, printable

MOST_ROWS = 60  # shown: of more, as many from either end as fit
DIGITS = ".5g"


@dataclass(frozen=True)
class Block:
    """One table: its columns by their heads, the first one words; and lines around it."""

    columns: Mapping[str, Any]
    title: str = ""
    below: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Blocks that have the same columns, with lines above and below.

    Parameters
    ----------
    blocks : sequence of Block
    above, below : sequence of str
    formats : mapping of head to format
        Of numbers, where five digits are not what is wanted.
    of : str
        What the blocks' titles name, for the column of a dataframe.
    digits : str
        The format of the other numbers.
    """

    blocks: Sequence[Block]
    above: Sequence[str] = ()
    below: Sequence[str] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    of: str = "table"
    digits: str = DIGITS

    def __str__(self) -> str:
        lines = [printable(line) for line in self.above]
        for block in self.blocks:
            lines += [""] * bool(lines)
            lines += [printable(block.title)] * bool(block.title)
            lines += aligned(self._cells(block))
            lines += [printable(line) for line in block.below]
        return "\n".join([*lines, *map(printable, self.below)])

    def _cells(self, block: Block) -> list[list[str]]:
        """Return heads and rows as text; of many rows the first and the last."""
        n = max(map(len, block.columns.values()), default=0)
        places: list[int] = list(range(n))
        if n > MOST_ROWS:
            places = [*range(MOST_ROWS // 2), *range(n - MOST_ROWS // 2, n)]
        columns = [
            [head, *(cell(values[i], self.formats.get(head, self.digits)) for i in places)]
            for head, values in block.columns.items()
        ]
        rows = [list(row) for row in zip(*columns)]
        if n > MOST_ROWS:
            rows.insert(1 + MOST_ROWS // 2, ["..."] * len(columns))
        return rows

    def html(self) -> str:
        """Return the same for a notebook."""

        def lines(text: Sequence[str]) -> str:
            kept = [escape(printable(line)) for line in text if line]
            return f"<p>{'<br>'.join(kept)}</p>" * bool(kept)

        parts = [lines(self.above)]
        for block in self.blocks:
            heads, *rows = self._cells(block)
            parts.append(lines([block.title] * bool(block.title)))
            head = "".join(f"<th>{escape(text)}</th>" for text in heads)
            body = "".join(
                f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
            )
            rows_of = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            # The class by which notebooks and pages know a table of data, on dark ground too.
            parts.append(f'<table class="dataframe">{rows_of}</table>')
            parts.append(lines(block.below))
        return "".join([*parts, lines(self.below)])

    def frame(self) -> Any:
        """Return the blocks, one below the other, as a dataframe of pandas."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError(
                "to_frame needs pandas, which is not installed: pip install pandas. The same "
                "numbers are attributes of the result."
            ) from None
        frames = []
        for block in self.blocks:
            found = pd.DataFrame(
                {head or "term": list(values) for head, values in block.columns.items()}
            )
            if len(self.blocks) > 1:
                found.insert(0, self.of, block.title)
            frames.append(found)
        return pd.concat(frames, ignore_index=True)


class Printed:
    """A result that is shown as a table; an author writes `_table()`."""

    @abstractmethod
    def _table(self) -> Table:
        """Return what is shown."""

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().html()

    def to_frame(self) -> Any:
        """Return the table as a pandas dataframe, with all digits.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.

        Returns
        -------
        pandas.DataFrame

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [1.1, 2.9, 5.1, 6.9])
        >>> len(model.summary().to_frame())
        2
        """
        return self._table().frame()


class Summary(Printed, str):
    """The text of a table, which also is one: shown without quotes, and `to_frame`."""

    _kept: Table

    def __new__(cls, table: Table) -> Self:
        text = super().__new__(cls, str(table))
        text._kept = table
        return text

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self._kept,)

    def _table(self) -> Table:
        return self._kept


def cell(value: Any, how: str) -> str:
    """Return one value as it is shown; "-" for what is none."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:{how}}"
    return printable(value)


def aligned(rows: list[list[str]]) -> list[str]:
    """Return lines in which the first column stands left, and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            text.ljust(width) if c == 0 else text.rjust(width)
            for c, (text, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def one_table(
    columns: Mapping[str, Any],
    above: str = "",
    below: str = "",
    **formats: str,
) -> Table:
    """Return a table of one block, with a line above and one below."""
    return Table([Block(columns)], [above] * bool(above), [below] * bool(below), formats)

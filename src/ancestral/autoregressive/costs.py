"""Which method does a piece of work at a size: what each costs, in one place.

Each function compares what the methods cost, in nanoseconds measured once on one core of a common
processor (they stand here as numbers, and are never measured at run time): where two cost about the
same, a size to either side costs about the same too.
"""

from __future__ import annotations

# ---- levels ---------------------------------------------------------------------------------

TABLE_CELLS = 1 << 16  # of a table of all numbers between the lowest and the highest level
MARK, SORT = 2.0, 60.0  # to mark a value in a table and read the table's cell; to sort a value


def levels_by_table(cells: int, values: int) -> bool:
    """Tell whether integers are looked up in a table over their whole range, not by search."""
    return cells <= TABLE_CELLS or MARK * (values + cells) < SORT * values


# ---- tables ---------------------------------------------------------------------------------

VALUE = 350.0  # to look one value up in Python
CALLS, CELL = 5_000.0, 6.0  # of a column of rows: the calls, and each value
TABLE_ROWS = 1 << 16  # looked up at once: as many as share what of a column's table is in the cache


def tables_by_value(n_rows: int) -> bool:
    """Tell whether rows are looked up value by value, not column by column."""
    return VALUE * n_rows < CALLS + CELL * n_rows


# ---- chains ---------------------------------------------------------------------------------

MIXED_LEVELS = 8  # of a variable beside a mixture: more are scored by themselves
PRODUCT_COLUMNS = 128  # scores that one product makes: of a triangle, what is not 0
CHAIN_VALUES = 1 << 18  # held at once, in the cache


def chain_rows(row_values: int) -> int:
    """Return how many rows of a chain are scored at once."""
    return min(max(CHAIN_VALUES // row_values, 64), 1 << 14)

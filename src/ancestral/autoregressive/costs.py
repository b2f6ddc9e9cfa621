"""Which method does a piece of work at a size: what each costs, in one place.

Each function compares what the methods cost, in nanoseconds measured once on one core of a common
processor (they stand here as numbers, and are never measured at run time): where two cost about the
same, a size to either side costs about the same too.
"""

from __future__ import annotations

from ancestral._numerics.products import BLOCK_ROWS

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


def lone_variables(n_rows: int) -> int:
    """Return for how many variables at once the tables of rows that go on alone are written."""
    return max(1, (1 << 14) // max(n_rows, 1))


# ---- chains ---------------------------------------------------------------------------------

MIXED_LEVELS = 8  # of a variable beside a mixture: more are scored by themselves
MIXED = 3  # times as long as without a mixture takes a value that is drawn beside it
PRODUCT_COLUMNS = 128  # scores that one product makes: of a triangle, what is not 0
CHAIN_VALUES = 40_000  # of one array held at once: larger ones leave the cache


def chain_rows(row_values: int) -> int:
    """Return how many rows of a chain are scored at once, in whole blocks of a product."""
    return max(CHAIN_VALUES // row_values // BLOCK_ROWS, 4) * BLOCK_ROWS


def chain_draws_by_value(n_rows: int, *, mixed: bool) -> bool:
    """Tell whether rows are drawn value by value, not variable by variable."""
    return DRAW * (MIXED if mixed else 1) * n_rows < DRAW_CALLS


# ---- draws ----------------------------------------------------------------------------------

CROWDED = 0.5  # distinct prefixes per row above which rows are stepped one by one
MAX_LISTED = 1 << 12  # possible rows that draws are split among at once
DRAW, DRAW_CALLS = 1_500.0, 25_000.0  # of a level: to draw one in Python; the calls for many
FEW = 16  # draws, up to which splitting their number pays for no variable
SEARCH, BINOMIAL = 60.0, 40.0  # to seek a draw among listed rows; to split a count once


def table_draws_by_value(n_rows: int) -> bool:
    """Tell whether rows of tables are drawn value by value, not column by column."""
    return DRAW * n_rows < DRAW_CALLS


def draws_alone(n_rows: int) -> bool:
    """Tell whether so few rows are drawn that their number is never split."""
    return 0 < n_rows <= FEW


def draws_by_search(n_rows: int, n_listed: int) -> bool:
    """Tell whether each draw is sought among listed rows, not their number split among them."""
    return SEARCH * n_rows < BINOMIAL * n_listed

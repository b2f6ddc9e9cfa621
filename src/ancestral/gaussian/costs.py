"""What ways of fitting the Gaussian family cost: methods and blocks are chosen here, by measure."""

from __future__ import annotations

# ---- HeteroscedasticGaussian ---------------------------------------------------------------------

OVERHEAD = 5e-5  # seconds: what second derivatives may add to a pass, for a third fewer of them
PRODUCTS = (1e-8, 1e-9, 4e-11)  # seconds they add for a row, a row and column, and two columns
BLOCK = 3 << 19  # bytes of a block of rows: what stays in cache from product to product
PARTS = 16  # what threads share out: a number of its own, so that no bit depends on theirs


def newton_pays(n_rows: int, n_columns: int) -> bool:
    """Tell whether second derivatives cost less than the passes that they save."""
    row, column, pair = PRODUCTS
    return n_rows * (row + n_columns * (column + n_columns * pair)) < OVERHEAD


def block_rows(n_columns: int) -> int:
    """Return how many rows stay in cache beside what a pass computes of them."""
    return BLOCK // (8 * (n_columns + 8))

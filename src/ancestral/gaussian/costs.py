"""What ways of fitting the Gaussian family cost: methods and blocks are chosen here, by measure."""

from __future__ import annotations

# ---- HeteroscedasticGaussian ---------------------------------------------------------------------

OVERHEAD = 1.5e-4  # seconds of a pass over few rows; a third of the passes are saved by Newton's
PRODUCT = 5e-11  # seconds for a row and a cell of the sum of products of its columns
BLOCK = 3 << 19  # bytes of a block of rows: what stays in cache from product to product
PARTS = 16  # what threads share out: a number of its own, so that no bit depends on theirs


def newton_pays(n_rows: int, n_columns: int) -> bool:
    """Tell whether products of all columns cost less than the passes that they save."""
    return n_rows * n_columns**2 * PRODUCT < OVERHEAD


def block_rows(n_columns: int) -> int:
    """Return how many rows stay in cache beside what a pass computes of them."""
    return BLOCK // (8 * (n_columns + 8))

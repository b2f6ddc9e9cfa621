"""What each way of a fit costs, in seconds: the models of this family choose by these alone.

Each section holds the constants of one engine, measured on one core (AMD EPYC, AVX2, OpenBLAS),
and plain functions of the sizes. Only the ratio of two ways matters, and so little of the machine.
Shape: n rows of m columns, targets counted.
Moments and their eigenpairs, which all families stand on, have theirs in `_numerics.costs`.
"""

from __future__ import annotations

# ---- least squares ------------------------------------------------------------------------------

REFLECTED, REFLECTED_AGAIN = 2.0e-9, 1.1e-10  # QR, per number, and per number and column
SUMMED, SUMMED_AGAIN = 1.4e-9, 2.6e-11  # products, the same
ROW = 5e-9  # of these, per row: blocks of few columns are short of work
LOOP = 1.0e-4  # of the blocks that these are summed in
STEP, STEPPED = 5e-5, 5e-10  # a step in float64, per call and per number
CHOLESKY = 2e-10  # per column cubed
LOOK = 2.5e-4  # a QR that takes longer is not tried as it is: what that spares no longer counts


def plain_pays(n: int, m: int) -> bool:
    """Tell whether a QR of columns as they are is worth trying first, the ones counted in m."""
    return of_rows(n, m) < LOOK


def of_rows(n: int, m: int) -> float:
    """Return the seconds of a QR of the rows."""
    return n * m * (REFLECTED + m * REFLECTED_AGAIN)


def of_products(n: int, m: int, *, mended: bool) -> float:
    """Return the seconds of the products of the rows; `mended`: and of a step over these."""
    step = STEP + n * m * STEPPED if mended else 0.0
    return LOOP + n * ROW + n * m * (SUMMED + m * SUMMED_AGAIN) + CHOLESKY * m**3 + step


# ---- HeteroscedasticGaussian ---------------------------------------------------------------------

OVERHEAD = 7e-5  # seconds: what second derivatives may add to a pass, for a third fewer of them
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

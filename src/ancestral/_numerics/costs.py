"""What each way to moments and their eigenpairs costs, in seconds: they are chosen by these alone.

Constants were measured on one core (AMD EPYC, AVX2, OpenBLAS) and are fixed: another machine takes
the same way, to the same bits. Only the ratio of two ways matters, and so little of the machine.
Symbols: n rows, d columns; m the side of a symmetric matrix, q of whose eigenvectors are wanted.
"""

from __future__ import annotations

from math import sqrt

# Multiply-adds of a product, below which the library takes one thread by itself, and from which a
# second thread works longer than it waits; the numbers of a matrix times a vector, below which it
# takes one; the side of a matrix to decompose, likewise.
ALONE, SHARED = 200_000, 1 << 26
ALONE_NUMBERS = 8_000
ALONE_SIDE, SHARED_SIDE = 48, 800

# ---- moments ------------------------------------------------------------------------------------

CENTRED = 5e-9, 6e-10  # a copy in cache that is centred twice: per row, per number
PILOT = 4.5e-5  # of looking at some rows first, to see whether that is needed

# ---- eigenpairs ---------------------------------------------------------------------------------

CACHE = 1 << 17  # numbers that stay near a core
FAR = 1.8e-11  # per number and column of a matrix beyond that, while it is made tridiagonal
WHOLE = 4e-6, 5e-8, 1.2e-10  # all vectors: per call, per m^2, per m^3
TRIDIAGONAL = 2.5e-5, 9e-9, 1.8e-11  # made tridiagonal, the same
VALUES = 1.1e-8  # all eigenvalues of that: per m^2
BISECTED = 2e-7  # one of them and its vector: per m
VECTOR = 5e-8, 1e-10  # one vector, where all values are known, and its turning: per m, per m^2
STEP, STEPPED, AGAIN = 9e-6, 1.1e-10, 2.5e-10  # of Lanczos: per call, per m^2, per m and step
PROOF = 6e-5, 7e-10, 3.4e-12  # that no vector was missed: per call, per m^2, per m^3
# Shares of the cost of the sure way that Lanczos may take, and that may be lost at the first look.
TRIED, LOOKED = 0.9, 0.3


def _of_side(m: int, costs: tuple[float, float, float]) -> float:
    call, square, cube = costs
    return call + square * m**2 + cube * m**3


def centring(n: int, d: int) -> float:
    """Return the seconds of a centred copy of all rows, beside the product."""
    per_row, per_number = CENTRED
    return n * (per_row + per_number * d)


def all_vectors(m: int) -> float:
    """Return the seconds of all eigenvalues and vectors at once."""
    return _of_side(m, WHOLE) + 3 * FAR * m * max(0, m**2 - CACHE)


def all_values(m: int) -> float:
    """Return the seconds of all eigenvalues of a tridiagonal matrix."""
    return VALUES * m**2


def bisected(m: int, k: int) -> float:
    """Return the seconds of k eigenvalues of a tridiagonal matrix and their vectors."""
    return BISECTED * k * m


def few_vectors(m: int, q: int) -> float:
    """Return the seconds of all eigenvalues and q vectors."""
    per_number, per_square = VECTOR
    tridiagonal = _of_side(m, TRIDIAGONAL) + FAR * m * max(0, m**2 - CACHE)
    return tridiagonal + all_values(m) + q * (per_number * m + per_square * m**2)


def first_look(q: int) -> int:
    """Return the steps of Lanczos after which q pairs may have converged."""
    return 2 * q + 8


def steps_tried(m: int, q: int) -> int:
    """Return how many steps of Lanczos may be tried for q vectors alone, 0 for none."""
    sure = min(few_vectors(m, q), all_vectors(m))
    most = _steps_within(TRIED * sure - _of_side(m, PROOF), m)
    return most if min(most, _steps_within(LOOKED * sure, m)) >= first_look(q) else 0


def _steps_within(seconds: float, m: int) -> int:
    """Return how many steps of Lanczos take so long, each made orthogonal to all before."""
    if seconds <= 0:
        return 0
    step, again = STEP + STEPPED * m**2, AGAIN * m
    return int(2 * seconds / (step + sqrt(step**2 + 4 * again * seconds)))

"""What each way to moments and their eigenpairs costs, in seconds: they are chosen by these alone.

Constants were measured on one core (AMD EPYC, AVX2, OpenBLAS) and are fixed: another machine takes
the same way, to the same bits. Only the ratio of two ways matters, and so little of the machine.
Symbols: n rows, d columns; m the side of a symmetric matrix, q of whose eigenvectors are wanted.
"""

from __future__ import annotations

from math import sqrt

# Multiply-adds of a product, below which the library takes one thread by itself, and from which a
# second thread works longer than it waits; the side of a matrix to decompose, likewise.
ALONE, SHARED = 200_000, 1 << 26
ALONE_SIDE, SHARED_SIDE = 48, 800

# ---- moments ------------------------------------------------------------------------------------

CENTRED = 6e-10  # per number that is copied and centred in cache
PILOT = 4e-5  # of looking at some rows first, to see whether that is needed

# ---- eigenpairs ---------------------------------------------------------------------------------

CACHE = 1 << 17  # numbers that stay near a core
FAR = 1.1e-10  # per number and column of a matrix beyond that, while it is made tridiagonal
WHOLE = 4e-6, 5e-8, 1.2e-10  # all vectors: per call, per m^2, per m^3
TRIDIAGONAL = 2.5e-5, 2.1e-8, 1.8e-11  # all eigenvalues by way of a tridiagonal matrix, the same
VECTOR = 5e-8, 1e-10  # each vector after that: per m, per m^2
STEP, STEPPED, AGAIN = 1.0e-5, 1.5e-10, 2.5e-10  # of Lanczos: per call, per m^2, per m and step
PROOF = 6e-5, 2.5e-9, 5e-12  # that no vector was missed: per call, per m^2, per m^3
TRIED = 0.4  # share of the cost of the sure way that may be lost


def _of_side(m: int, costs: tuple[float, float, float]) -> float:
    call, square, cube = costs
    return call + square * m**2 + cube * m**3


def centring(n: int, d: int) -> float:
    """Return the seconds of a centred copy of all rows, beside the product."""
    return CENTRED * n * d


def all_vectors(m: int) -> float:
    """Return the seconds of all eigenvalues and vectors at once."""
    return _of_side(m, WHOLE) + 3 * FAR * m * max(0, m**2 - CACHE)


def few_vectors(m: int, q: int) -> float:
    """Return the seconds of all eigenvalues and q vectors."""
    per_number, per_square = VECTOR
    far = FAR * m * max(0, m**2 - CACHE)
    return _of_side(m, TRIDIAGONAL) + far + q * (per_number * m + per_square * m**2)


def steps_tried(m: int, q: int) -> int:
    """Return how many steps of Lanczos may be tried for q vectors, and none of the other values."""
    left = TRIED * min(few_vectors(m, q), all_vectors(m)) - _of_side(m, PROOF)
    if left <= 0:
        return 0
    step, again = STEP + STEPPED * m**2, AGAIN * m
    return int(2 * left / (step + sqrt(step**2 + 4 * again * left)))

"""Least squares in rational arithmetic: the oracle for every digit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

Matrix = list[list[Fraction]]


def design(X: np.ndarray, *, intercept: bool = True, degree: int = 1) -> Matrix:
    """Return 1, x, x^2, ... of the very numbers that float64 holds."""
    rows = [[Fraction(v) for v in row] for row in np.atleast_2d(X).tolist()]
    return [
        [Fraction(1)] * intercept + [v**k for k in range(1, degree + 1) for v in row]
        for row in rows
    ]


def solve(A: Matrix, B: Matrix) -> Matrix:
    """Solve A Z = B by Gauss-Jordan elimination."""
    rows = [[*a, *b] for a, b in zip(A, B, strict=True)]
    for j in range(len(rows)):
        pivot = next(i for i in range(j, len(rows)) if rows[i][j])
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [v / rows[j][j] for v in rows[j]]
        for i in range(len(rows)):
            if i != j and rows[i][j]:
                factor = rows[i][j]
                rows[i] = [v - factor * w for v, w in zip(rows[i], rows[j])]
    return [row[len(A) :] for row in rows]


def least_squares(
    A: Matrix, y: np.ndarray, weights: np.ndarray | None = None
) -> tuple[list[Fraction], Fraction, list[Fraction]]:
    """Return coefficients, weighted sum of squares, and the diagonal of (A^T W A)^-1."""
    n, p = len(A), len(A[0])
    w = [Fraction(v) for v in (np.ones(n) if weights is None else weights).tolist()]
    target = [Fraction(v) for v in y.tolist()]
    gram = [[sum(w[t] * A[t][i] * A[t][j] for t in range(n)) for j in range(p)] for i in range(p)]
    right = [
        [sum(w[t] * A[t][i] * target[t] for t in range(n)), *(Fraction(i == j) for j in range(p))]
        for i in range(p)
    ]
    found = solve(gram, right)
    coefficients = [row[0] for row in found]
    residual = sum(
        w[t] * (target[t] - sum(a * c for a, c in zip(A[t], coefficients))) ** 2 for t in range(n)
    )
    return coefficients, Fraction(residual), [found[i][1 + i] for i in range(p)]


def digits(values: np.ndarray | float, wanted: list[Fraction] | Fraction) -> float:
    """Return the fewest right digits, 16 at most."""
    pairs = zip(np.atleast_1d(values).tolist(), np.atleast_1d(wanted).tolist(), strict=True)
    errors = [float(abs((Fraction(v) - w) / w)) for v, w in pairs]
    return 16.0 if max(errors) == 0 else float(min(16.0, -np.log10(max(errors))))


# ---- normal densities in 50 digits ---------------------------------------------------------------


def normal_log_density(
    X: np.ndarray, mean: np.ndarray, loadings: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return log N(x; mean, W W^T + diag(noise)) of each row, known entries only, by mpmath.

    Beside it, what moving each input by one unit in the last place can change.
    """
    import mpmath as mp

    values, changes = [], []
    with mp.workdps(50):
        for x in X:
            known = np.flatnonzero(~np.isnan(x))
            if not len(known):
                values.append(0.0)
                changes.append(0.0)
                continue
            W = [[mp.mpf(float(w)) for w in loadings[j]] for j in known]
            C = mp.matrix(len(known))
            for i, j in enumerate(known):
                for k in range(len(known)):
                    C[i, k] = mp.fsum(a * b for a, b in zip(W[i], W[k]))
                C[i, i] += mp.mpf(float(noise[j]))
            c = mp.matrix([mp.mpf(float(x[j])) - mp.mpf(float(mean[j])) for j in known])
            L = mp.cholesky(C)
            log_determinant = 2 * mp.fsum(mp.log(L[i, i]) for i in range(len(known)))
            slope = mp.lu_solve(C, c)
            square = mp.fsum(a * b for a, b in zip(c, slope))
            values.append(float(-(len(known) * mp.log(2 * mp.pi) + log_determinant + square) / 2))
            ulps = np.spacing(np.abs(x[known])) + np.spacing(np.abs(mean[known]))
            changes.append(float(mp.fsum(abs(s) * float(u) for s, u in zip(slope, ulps))))
    return np.array(values), np.array(changes)

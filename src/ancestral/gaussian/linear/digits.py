"""How many digits a solution has, and so whether the rows must refine it.

A solution in float64 is that of data whose last digits were moved. In the units of a standard
error s t_j (t_j the length of row j of T, s the residual standard deviation), with columns scaled
to length one, kappa as in `least_squares.inflation`, and |terms| the length of what is summed,

    QR of the rows             eps (|terms| / |r| + kappa)
    products of the rows       eps kappa^2, of all columns, the target's too
    ... and a step over them   eps (|terms| / |r| + kappa), but standard errors keep eps kappa^2

of a coefficient, sigma, or of a standard error, since rounding of n rows averages out as their
noise does. A coefficient larger than its standard error is held to its own size instead. What
exceeds `WANTED` takes the next of: a step in float64 (`refinement.polish`), steps in twice the
digits (`refinement.refine`). Powers of a column are held to less, since there the refined fit knows
more than the rounded columns say.

Measured against arithmetic of 50 digits (`tests/gaussian/linear/test_digits.py`), over tables of
conditions from 1 to 1e12, columns of mixed units, weights, offsets of 1e8 spreads and few degrees
of freedom: coefficients, intercepts, sigma^2 and standard errors were never off by more than
1e-12 of themselves, or of the standard error where a coefficient is smaller.
"""

from __future__ import annotations

import numpy as np

from ancestral.gaussian.linear.least_squares import EPS, Solution

WANTED = 1e-13  # of itself, by the rule above
POWERS = 32.0  # by so much more of powers, whose own rounding only twice the digits take out


def expected_error(found: Solution, n_rows: int) -> float:
    """Return what float64 may have taken from the least certain parameter, over its size.

    Of a solution by QR, or by products and a step over the rows.
    """
    if not found.is_regular:
        return np.inf
    kappa, eps = found.kappa, EPS * POWERS if found.rounded_features else EPS
    rough = eps * (1 / found.share + kappa)
    if rough <= WANTED:
        return rough
    sizes, slopes, targets = found.sizes, np.abs(found.coef), found.target_spread
    if found.rounded_features:
        targets = found.raw[len(slopes) :]
    rest = np.sqrt(found.residual.diagonal())  # (k,)
    # Terms of one length in all directions, and each parameter by its own size.
    terms = np.sqrt((sizes**2) @ (slopes**2)) + targets
    free = n_rows - found.rank - int(found.centred)
    lengths = found.unit_errors[:, None]  # (q, 1)
    values = np.vstack([found.intercept, found.coef]) if found.centred else found.coef
    own = np.maximum(np.abs(values), lengths * rest / np.sqrt(free))
    off = eps * lengths * (terms + kappa * rest) / np.sqrt(n_rows)
    of_noise = eps * terms / (rest * np.sqrt(n_rows))
    return float(max((off / own).max(), of_noise.max(), eps * kappa))

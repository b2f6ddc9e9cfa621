"""How many digits a solution has, and so which steps over the rows it needs.

A solution in float64 is that of data whose last digits were moved. With kappa at least 1 over the
least singular value of the features scaled to length one (`sums.inflation`), |terms| the
length of all that is summed and |r| that of the residuals, what is lost is, of a coefficient in
standard errors, of sigma and of a standard error,

    QR of the rows             eps (|terms| / |r| + kappa)
    products of the rows       eps kappa^2, kappa that of all columns, the target's too
    a step with right
    residuals (`polish`)       eps kappa; of standard errors what they had
    steps in twice the
    digits (`refine`)          nothing: each is rounded once

for the rounding of n rows averages out as their noise does. A coefficient larger than its standard
error is held to its own size. The first of these that leaves `WANTED` is taken. Powers of a column
were rounded before anything was summed, and only `refine` forms them anew: they are held to less.
So are fits in which a few heavy rows carry all, up to `FEW` numbers.

Measured against arithmetic of 50 digits (`tests/gaussian/linear/test_digits.py`), over random
tables of conditions from 1 to 1e12, columns of mixed units, weights, offsets of 1e8 spreads and few
degrees of freedom: what was lost was never above four times this, and no coefficient, intercept,
sigma^2 or standard error was off by more than 1e-12 of itself, or of the standard error where a
coefficient is smaller. Larger tables than `FEW` numbers keep that up to a condition of 1e3, and 10
digits up to 1e5; what is worse conditioned is refined at any size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.gaussian.linear.least_squares import EPS, Solution
from ancestral.gaussian.linear.sums import MENDED, LineStatistics

WANTED = 1e-13  # what may be lost, by the rules above
LEFT = 2.5e-13  # the same after `polish`, which leaves eps kappa alone
FEW, LEFT_OF_MANY = 100_000, 2.5e-11  # more numbers than this are refined at a high price
UNEVEN = 1e6  # the largest weight over the least: a few rows may carry all
POWERS = 32.0  # times this is what is expected of powers


def squared_too_much(found: Solution, statistics: LineStatistics) -> bool:
    """Tell whether products of the rows have lost what only a QR of the rows keeps."""
    return statistics.moments.root is None and not found.kappa <= MENDED


def few_carry_all(weights: NDArray[np.float64] | None, n_numbers: int) -> bool:
    """Tell whether the rounding of a few heavy rows is all there is, and so does not average out.

    Such fits take steps in twice the digits, up to `FEW` numbers.
    """
    return weights is not None and n_numbers <= FEW and weights.max() / UNEVEN > weights.min()


def has_digits(found: Solution, statistics: LineStatistics) -> bool:
    """Tell whether the solution can stay as it is."""
    if statistics.count == found.rank + found.centred:  # met exactly: nothing is summed up
        return EPS * found.kappa <= LEFT
    if not found.is_regular:
        return False
    if statistics.moments.root is None:
        return EPS * statistics.condition(len(statistics.moments.mean)) ** 2 <= WANTED
    return expected_error(found, statistics.count) <= WANTED


def one_step_is_enough(found: Solution, n_numbers: int) -> bool:
    """Tell whether `polish` gives the digits, so that `refine` is not needed."""
    many = n_numbers > FEW
    if found.rounded_features and not many:
        return False
    return EPS * found.kappa <= (LEFT_OF_MANY if many else LEFT)


def expected_error(found: Solution, n_rows: int) -> float:
    """Return what a solution by QR may have lost of the least certain parameter, over its size."""
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

"""NIST's certified linear regressions: right digits, ours beside three peers'.

Digits are -log10 of the relative error, 15 at most, the fewest over a set's parameters; where the
certified value is zero, of the error over the coefficients' or the target's size. The sets are
read from `strd` in the data folder (`ANCESTRAL_DATA`); Wampler1 and 2 are made by their formula.
Each note lists digits of coefficients, standard errors, residual standard deviation.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from sklearn.linear_model import LinearRegression

from ancestral import LinearGaussian
from ancestral.errors import AncestralWarning
from benchmarks.timing import Row, Timer

MOST = 15.0
CENTRED = True  # has an intercept


@dataclass(frozen=True)
class Certified:
    """One set: columns, target, and the certified values as they are printed."""

    name: str
    X: np.ndarray
    y: np.ndarray
    degree: int
    intercept: bool
    coefficients: Sequence[str]
    standard_errors: Sequence[str]
    residual_std: str

    def design(self) -> np.ndarray:
        """Return the columns that peers are given: powers in float64, the intercept first."""
        powers = [self.X**k for k in range(1, self.degree + 1)]
        return np.hstack([np.ones((len(self.y), int(self.intercept))), *powers])


@dataclass(frozen=True)
class Found:
    """What a library gives; None where it has no such thing."""

    coefficients: np.ndarray
    standard_errors: np.ndarray | None = None
    residual_std: float | None = None


# ---- the table -------------------------------------------------------------------------------


def rows(timer: Timer) -> Iterator[Row]:
    """Time a fit of each set against LinearRegression; the note holds the digits."""
    for certified in sets(tiny=timer.tiny):
        note = "".join(
            f"{library} {digits(solve(certified), certified):16s}"
            for library, solve in LIBRARIES.items()
        ).rstrip()
        yield timer.race(
            certified.name,
            lambda c=certified: ours(c),
            "LinearRegression",
            lambda c=certified: scikit_learn(c),
            note=note,
        )


def digits(found: Found, certified: Certified) -> str:
    """Return "14.0/13.1/14.7": coefficients, standard errors, residual standard deviation."""
    y = float(np.abs(certified.y).max())
    sizes = [abs(float(c)) for c in certified.coefficients]
    parts = (
        (found.coefficients, certified.coefficients, [1.0] * len(sizes)),
        (found.standard_errors, certified.standard_errors, sizes),
        (found.residual_std, [certified.residual_std], [y]),
    )
    return "/".join("-" if part[0] is None else f"{fewest(*part):.1f}" for part in parts)


def fewest(values: np.ndarray | float, certified: Sequence[str], scales: Sequence[float]) -> float:
    """Return the fewest right digits among values."""
    trios = zip(np.atleast_1d(values), certified, scales, strict=True)
    return min(right_digits(float(value), text, scale) for value, text, scale in trios)


def right_digits(value: float, certified: str, scale: float) -> float:
    """Return the log relative error of one value, over `scale` where the certified one is 0."""
    if not math.isfinite(value):
        return 0.0
    exact = Fraction(certified)
    error = abs(Fraction(value) - exact) / (abs(exact) or Fraction(scale))
    return MOST if error == 0 else min(MOST, max(0.0, -math.log10(error)))


# ---- the libraries ---------------------------------------------------------------------------


def ours(certified: Certified) -> Found:
    """Fit by LinearGaussian, which forms the powers itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)  # the exact fits of Wampler1 and 2
        model = LinearGaussian(certified.intercept, certified.degree).fit(certified.X, certified.y)
    first = [model.intercept_] if certified.intercept else []
    return Found(np.r_[first, model.coef_], model.standard_errors_, model.residual_std_)


def scikit_learn(certified: Certified) -> Found:
    """Fit by LinearRegression."""
    A = certified.design()[:, int(certified.intercept) :]
    model = LinearRegression(fit_intercept=certified.intercept).fit(A, certified.y)
    first = [model.intercept_] if certified.intercept else []
    return Found(np.r_[first, model.coef_])


def statsmodels(certified: Certified) -> Found:
    """Fit by OLS."""
    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns it takes for dependent
        result = sm.OLS(certified.y, certified.design()).fit()
    return Found(result.params, result.bse, float(np.sqrt(result.scale)))


def numpy(certified: Certified) -> Found:
    """Solve by numpy.linalg.lstsq, with its default cut of small singular values."""
    A = certified.design()
    coefficients = np.linalg.lstsq(A, certified.y, rcond=None)[0]
    free = len(A) - A.shape[1]
    misfit = np.linalg.norm(certified.y - A @ coefficients)
    return Found(coefficients, residual_std=float(misfit / np.sqrt(free)))


LIBRARIES = {"ours": ours, "scikit-learn": scikit_learn}
if importlib.util.find_spec("statsmodels") is not None:
    LIBRARIES["statsmodels"] = statsmodels
LIBRARIES["numpy"] = numpy


# ---- the sets --------------------------------------------------------------------------------


def sets(*, tiny: bool) -> list[Certified]:
    """Return all sets of the data folder, or the two that a formula gives."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("ANCESTRAL_DATA", root.parent / "shared" / "data")) / "strd"
    files = sorted(folder.glob("*.json"))
    if tiny or not files:
        return [wampler("Wampler1", Decimal(1)), wampler("Wampler2", Decimal("0.1"))]
    return [read(path) for path in files]


def read(path: Path) -> Certified:
    """Return the set of one file."""
    data = json.loads(path.read_text("utf-8"))
    y = np.array(data["y"], dtype=float)
    return Certified(
        data["name"],
        np.array(data["X"], dtype=float).reshape(len(y), -1),
        y,
        data["degree"] or 1,
        data["intercept"],
        data["coef"],
        data["std_err"],
        str(data["residual_sd"]),
    )


def wampler(name: str, ratio: Decimal) -> Certified:
    """Return y = 1 + r x + (r x)^2 + ... + (r x)^5 at x = 0, 1, ..., 20: fitted exactly."""
    steps = [Fraction(ratio) * x for x in range(21)]
    y = np.array([float(sum(step**k for k in range(6))) for step in steps])
    coefficients = [str(ratio**k) for k in range(6)]
    zeros = ["0"] * 6
    return Certified(name, np.arange(21.0)[:, None], y, 5, CENTRED, coefficients, zeros, "0")

"""The climb to the maximum of a line whose variance depends on x, in passes over its rows.

From least squares, by Harvey's regression of the log squared residuals where that is likelier, in
steps of `slopes`, each halved until the likelihood rises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.triangles import solved
from ancestral.gaussian import costs
from ancestral.gaussian.slopes import (
    EPS,
    LOG_2_PI,
    Kind,
    Regressed,
    Rows,
    Slopes,
    Way,
    Weights,
)
from ancestral.training.parts import Look, Parts
from ancestral.training.passes import FALL, Fit, FromPasses

Float = NDArray[np.float64]
HALVINGS = 25  # of a step that does not rise
LONGEST = 6.0  # most that a log variance may change in one step
SMALL = 1e-8  # of the variance of least squares: squared residuals below it are taken for it


class FromSlopes(FromPasses):
    """A model that is fitted by steps from slopes and information, until they are below `tol`."""

    tol: float  # standard errors

    def _first(self, rows: Parts[Rows], n: int, alpha: Float, log_variance: float) -> Fit:
        """Return the fit after its first step, from least squares to Harvey's log variance.

        The likelihood of least squares is known without a look; where Harvey's regression of log
        squared residuals brings less, the climb begins at them.
        """
        least = SMALL * exp(log_variance)
        harvey = rows.total(partial(Rows.regressed, alpha=alpha, least=least))
        value = 0.5 * (harvey.log_weights - n * (LOG_2_PI + log_variance + 1))
        begun = self._begin((n, alpha, log_variance, harvey))
        look: Kind = "newton" if begun.look == "newton" else "fisher"
        regressed = replace(begun, gamma=harvey.gamma, look=look)
        found = rows.total(Look(self, regressed))
        if found.log_likelihood > value and found.least[0] > 0:
            return Fit(regressed, [value, found.log_likelihood], statistics=found)
        return Fit(begun)

    def _begin(self, summary: tuple[int, Float, float, Regressed]) -> Weights:
        """Begin at least squares with one log variance."""
        n, alpha, log_variance, harvey = summary
        r, s = len(alpha), len(harvey.heights)
        look: Kind = "newton" if costs.newton_pays(n, r + s) else "gradient"
        nowhere, root = np.zeros(r + s), exp(-0.5 * log_variance) * np.eye(r)
        came = Way(nowhere, nowhere, root, np.inf, np.zeros((0, 2, r + s)))
        return Weights(alpha, log_variance * harvey.heights, look, came, harvey.longest)

    def _statistics(self, X: Rows, parameters: Weights) -> Slopes:
        return X.slopes(parameters)

    def _update(self, parameters: Weights, statistics: Slopes) -> Weights:
        alpha = solved(statistics.root, statistics.whitened)
        gamma = parameters.gamma + statistics.of_variance
        return replace(parameters, alpha=parameters.alpha + alpha, gamma=gamma)

    def _proposals(self, parameters: Weights, statistics: Slopes) -> Iterator[Weights]:
        """Yield the step, half of it, and so on: within `tol` of the maximum there is none."""
        statistics.refuse_vanishing()
        mean, log_likelihood = len(parameters.alpha), abs(statistics.log_likelihood)
        for number, way in enumerate(parameters.ways(statistics)):
            least = FALL * max(log_likelihood, statistics.n_observations)
            if not number:
                least = max(self.tol**2, statistics.unseen)
            if not way.size**2 > least:  # nothing to gain, or the way before has failed at rounding
                return
            of_variance = way.step[mean:]
            longest = sqrt(parameters.longest * float(of_variance @ of_variance))
            share = LONGEST / max(LONGEST, longest)
            seen = EPS * log_likelihood / way.size**2
            look = parameters.look
            if look != "newton":
                look = "fisher" if way.far else "gradient"
            for k in range(HALVINGS):
                if k and share / 2**k < seen:  # so short that float64 shows no gain
                    break
                step = share / 2**k * way.step
                came = Way(step, way.gradient, way.root, way.size, way.steps)
                alpha, gamma = parameters.alpha + step[:mean], parameters.gamma + step[mean:]
                yield Weights(alpha, gamma, look, came, parameters.longest)

    def _polished(self, found: Fit) -> tuple[Weights, Slopes]:
        """Return where a climb ends, and the slopes there: what is left to gain, float64 has shown.

        Where `tol` asks for more, one step is left to take: its gain is lost in the rounding of the
        likelihood (some lose more than most), but the gradient tells it.
        """
        at, end = found.parameters, found.statistics
        way = next(at.ways(end))
        if not (found.converged and self.tol**2 < way.size**2 <= 16 * end.unseen):
            return at, end
        mean = len(at.alpha)
        alpha, gamma = at.alpha + way.step[:mean], at.gamma + way.step[mean:]
        return replace(at, alpha=alpha, gamma=gamma), replace(end, is_exact=False)

    def _to_gain(self, parameters: Weights, history: list[float]) -> float:
        return np.inf  # the size of the next step tells

    def _short_of(self, fit: Fit) -> str:
        fit.statistics.refuse_vanishing()
        way = next(fit.parameters.ways(fit.statistics))
        return f", {way.size:.1g} standard errors from the maximum"

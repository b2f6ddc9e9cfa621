"""Regression as a density: not only where y is expected, but how widely it scatters.

Disease progression given ten measurements. Prints the coefficients with their standard errors, and
checks on patients that the fit has not seen whether the 80% intervals hold 80% of them.

    python examples/diabetes_line.py
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from ancestral import LinearGaussian, datasets


def main() -> None:
    X, y, names = datasets.diabetes()
    order = np.random.default_rng(0).permutation(len(y))
    train, new = order[:300], order[300:]
    model = LinearGaussian().fit(X[train], y[train])

    print("              coefficient   standard error   t")
    estimates = [model.intercept_, *model.coef_]
    for name, w, error in zip(["intercept", *names], estimates, model.standard_errors_):
        print(f"{name:12s} {w:12.3f} {error:16.3f} {w / error:6.1f}")

    mean, std = model.predict(X[new], return_std=True)
    half = stats.norm.ppf(0.9) * std
    inside = (np.abs(y[new] - mean) < half).mean()
    print(f"\nResidual standard deviation {model.residual_std_:.1f} (scores run from 25 to 346).")
    print(f"R^2 on {len(new)} new patients: {model.score(X[new], y[new]):.3f}")
    print(f"mean log density: {model.log_density(X[new], y[new]).mean():.3f} nats per patient")
    print(f"{inside:.0%} of them lie in the 80% intervals.")


if __name__ == "__main__":
    main()

"""Problem 4: the linear-Gaussian model by maximum likelihood.

Usage: python problem_4_linear.py [pairs.csv]
"""

import sys

import numpy as np

import ancestral
from ancestral.io import read_pairs


def main(path: str | None = None) -> None:
    if path:
        pairs = read_pairs(path)
        X, y, names, target = pairs.X, pairs.y, pairs.names, pairs.target
    else:
        X, y, names = ancestral.datasets.diabetes()
        target = "disease progression"
    model = ancestral.LinearGaussian().fit(X, y)
    print(f"4    {len(y)} pairs, target {target}")
    if model.noise_variance_ > 0:
        print(f"     log-likelihood {model.log_density(X, y).sum():.6f} nats")
    else:
        print("     the fit is exact: there is no log-likelihood")
    weights = [model.intercept_, *model.coef_]
    for name, weight, error in zip(["intercept", *names], weights, model.standard_errors_):
        print(f"     {name:12s} {weight:14.6f}   standard error {error:.6f}")
    print(f"     sigma^2 (divisor n) {model.noise_variance_:.6f}")
    print(f"     residual standard deviation (divisor n - p) {model.residual_std_:.6f}")

    ones = np.column_stack([np.ones(len(y)), X])
    least_squares, *_ = np.linalg.lstsq(ones, y, rcond=None)
    gap = abs(ones @ (least_squares - weights)).max()
    print(f"     gap from the least-squares predictions {gap:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:2])

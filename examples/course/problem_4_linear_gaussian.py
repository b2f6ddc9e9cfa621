"""Problem 4: the linear-Gaussian model, y = w . x + noise of variance sigma^2.

    p(y | x) = N(y; w . x, sigma^2)

The course gives no data here: they are drawn below. Run: python problem_4_linear_gaussian.py
"""

import json
from pathlib import Path

import numpy as np

SEED = 0
TRUE_W, TRUE_SIGMA = np.array([1.0, -2.0, 0.5]), 0.7

rng = np.random.default_rng(SEED)
n, m = 200, len(TRUE_W)
X = rng.standard_normal((n, m))
y = X @ TRUE_W + TRUE_SIGMA * rng.standard_normal(n)
print(f"4    seed {SEED}: {n} pairs with w = {TRUE_W}, sigma^2 = {TRUE_SIGMA**2:.2f}")

# ---- the closed form -----------------------------------------------------------------------------

# The log of the product of p(y_i | x_i) is the sum of the logs:
#     l(w, sigma^2) = -n/2 log(2 pi sigma^2) - sum of (y_i - w . x_i)^2 / (2 sigma^2)
# Only the sum of squares holds w, so the best w is the same for every sigma^2:
#     dl/dw = sum of (y_i - w . x_i) x_i / sigma^2 = 0
#     (sum of x_i x_i') w = sum of y_i x_i, a linear system: it needs no inverse
# With this w, the derivative with respect to sigma^2 is zero where sigma^2 is the mean squared
# residual:
#     dl/dsigma^2 = -n / (2 sigma^2) + sum of (y_i - w . x_i)^2 / (2 sigma^4) = 0
w = np.linalg.solve(X.T @ X, X.T @ y)
sigma2 = np.mean((y - X @ w) ** 2)
print("     closed form        w =", w.round(6), f" sigma^2 = {sigma2:.6f}")

# ---- the same by a numerical optimiser of the log-likelihood -------------------------------------


def log_likelihood(w, sigma2):
    """Return -n/2 log(2 pi sigma^2) - sum of (y - w . x)^2 / (2 sigma^2), in nats."""
    return -n / 2 * np.log(2 * np.pi * sigma2) - np.sum((y - X @ w) ** 2) / (2 * sigma2)


def optimise(w, log_sigma2):
    """Climb the log-likelihood in w and log sigma^2, by its gradient, step by step."""
    # The logarithm may take any value, and sigma^2 stays above 0. By the chain rule
    # dl/dlog sigma^2 = sigma^2 dl/dsigma^2. Both slopes below are divided by n.
    iterations, slopes = 0, np.ones(1)
    while np.abs(slopes).max() > 1e-12 and iterations < 10_000:
        residual = y - X @ w
        slope_w = X.T @ residual / np.exp(log_sigma2) / n
        slope_log = (np.mean(residual**2) / np.exp(log_sigma2) - 1) / 2
        # as large as the curvature allows: that of w is (sum x x') / (n sigma^2)
        w = w + 0.5 * min(1.0, np.exp(log_sigma2)) * slope_w
        log_sigma2 = log_sigma2 + slope_log
        slopes, iterations = np.append(slope_w, slope_log), iterations + 1
    return w, np.exp(log_sigma2), iterations


w_climbed, sigma2_climbed, iterations = optimise(np.zeros(m), 0.0)
print("     optimiser          w =", w_climbed.round(6), f" sigma^2 = {sigma2_climbed:.6f}")

# ---- the same by the least mean squared error ----------------------------------------------------

# l falls as the sum of squares grows, whatever sigma^2 is. So the w that minimises the mean
# squared error is the w that maximises the likelihood, and the least error is sigma^2.
w_squares = np.linalg.lstsq(X, y, rcond=None)[0]
mse = np.mean((y - X @ w_squares) ** 2)
print("     least squares      w =", w_squares.round(6), f" mean squared error = {mse:.6f}")

gap = max(np.abs(w - w_climbed).max(), np.abs(w - w_squares).max(), abs(sigma2 - sigma2_climbed))
print(f"     largest difference {gap:.1e} after {iterations} iterations of the optimiser")
best = log_likelihood(w, sigma2)
print(f"     log-likelihood {best:.6f} nats")

numbers = {"seed": SEED, "n": n, "true_w": TRUE_W.tolist(), "true_sigma2": TRUE_SIGMA**2}
numbers |= {"w": w.tolist(), "sigma2": sigma2, "mse": mse, "log_likelihood": best}
numbers |= {"gap": gap, "iterations": iterations}
Path("problem_4.json").write_text(json.dumps(numbers, indent=1))

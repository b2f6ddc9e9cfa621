"""
Noise that grows with x
=======================

Prices of large houses differ more than those of small ones. ``HeteroscedasticGaussian`` gives
the variance an equation of its own, log σ²(x) = v·x + v₀, and fits both by maximum likelihood.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import HeteroscedasticGaussian, LinearGaussian, viz

rng = np.random.default_rng(0)
x = rng.uniform(0, 4, (300, 1))
y = 1 + 2 * x[:, 0] + np.exp(0.5 * x[:, 0] - 1) * rng.normal(size=300)

# %%
# BIC compares the two: the lower is the better.

constant, growing = LinearGaussian().fit(x, y), HeteroscedasticGaussian().fit(x, y)
print(f"BIC: constant {constant.bic(x, y):.0f}, growing {growing.bic(x, y):.0f}")

# %%
# The shade is the density of y at each x.

figure = viz.density_shade(growing, x, y, x_label="x", y_label="y")
figure.suptitle("The density of y widens with x")
plt.show()

"""
The degree of a polynomial
==========================

Each degree more fits the given points better. Points that were held out say when to stop.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import LinearGaussian

rng = np.random.default_rng(1)
x = rng.uniform(-1, 1, (60, 1))
y = np.sin(3 * x[:, 0]) + 0.3 * rng.normal(size=60)
train, rest = slice(0, 30), slice(30, None)

degrees = range(1, 10)
fits = [LinearGaussian(degree=d).fit(x[train], y[train]) for d in degrees]
seen = [fit.log_density(x[train], y[train]).mean() for fit in fits]
unseen = [fit.log_density(x[rest], y[rest]).mean() for fit in fits]
best = degrees[int(np.argmax(unseen))]

# %%
# The likelihood of the fitted points never falls. That of the others does.

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(degrees, seen, marker="o", label="points that were fitted")
ax.plot(degrees, unseen, marker="s", label="points that were held out")
ax.axvline(best, color="gray", linestyle="--", linewidth=0.8)
ax.set_xlabel("degree")
ax.set_ylabel("mean log density (nats per point)")
ax.set_title(f"Held-out points choose degree {best}")
ax.legend()
plt.show()

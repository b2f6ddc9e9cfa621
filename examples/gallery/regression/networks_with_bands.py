"""
A network that says how sure it is
==================================

``NeuralGaussian`` is a small network with two outputs: the mean of y, and its standard
deviation. It is trained by the log density, so that it is punished for being too sure.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import NeuralGaussian

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-3, 3, 200))[:, None]
y = np.sin(2 * x[:, 0]) + (0.05 + 0.1 * np.abs(x[:, 0])) * rng.normal(size=200)

model = NeuralGaussian(hidden_size=16, max_steps=400, random_state=0).fit(x, y)

# %%
# The band holds 90% of new points.

low, high = model.prediction_interval(x, level=0.9)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.fill_between(x[:, 0], low, high, alpha=0.3, label="90% of new points")
ax.plot(x[:, 0], model.predict(x), label="mean")
ax.plot(x[:, 0], y, ".", color="black", markersize=3)
ax.set_xlabel("x")
ax.set_ylabel("y")
ax.set_title(f"{np.mean((y >= low) & (y <= high)):.0%} of the points lie in the band")
ax.legend()
plt.show()

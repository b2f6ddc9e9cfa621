"""
A model of your own
===================

Three short methods make a density. Checks, dataframes, scores and scikit-learn's conventions come
with it. One line, ``@register``, gives it files. :doc:`/internals/adding_a_model` has the rest.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ancestral
from ancestral.base import Density, MaximumLikelihood, register


@register
class Exponential(MaximumLikelihood, Density):
    """x_j ~ Exponential(rate_j), each column by itself."""

    _fields = ("rates_", "n_parameters_")

    def _fit(self, X):
        self.rates_ = 1 / X.mean(axis=0)
        self.n_parameters_ = X.shape[1]

    def _log_density(self, X):
        inside = np.log(self.rates_) - self.rates_ * X
        return np.where(X >= 0, inside, -np.inf).sum(axis=1)

    def _draw(self, n_samples, rng):
        return rng.exponential(1 / self.rates_, (n_samples, len(self.rates_)))


# %%
# It is fitted, scored, saved and drawn from like any other.

waits = np.random.default_rng(0).exponential([2.0, 5.0], (500, 2))
model = Exponential().fit(waits)
print(f"rates {model.rates_.round(3)}, BIC {model.bic(waits):.0f}")

path = model.save(Path(tempfile.mkdtemp()) / "waits.model")
model = ancestral.load(path)

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
bins = np.linspace(0, 20, 40)
for rows, label in ((waits, "data"), (model.sample(5000, random_state=0), "draws")):
    ax.hist(rows[:, 1], bins, density=True, histtype="step", label=label)
ax.set_xlabel("minutes of waiting")
ax.set_ylabel("density")
ax.set_title("Draws of the new model beside its data")
ax.legend()
plt.show()

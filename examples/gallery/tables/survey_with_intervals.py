"""
Fill a survey, with intervals
=============================

A gap is filled with a number, and the number needs an interval: how far can the answer be from
it? The survey here is made up, so that the intervals can be checked against the answers that
were hidden.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ancestral import LatentTree

rng = np.random.default_rng(0)
n = 400
school = rng.choice(["primary", "secondary", "degree"], n, p=[0.2, 0.5, 0.3])
years = pd.Series(school).map({"primary": 8, "secondary": 12, "degree": 16}).to_numpy()
age = rng.integers(20, 65, n)
income = 300 + 90 * years + 12 * (age - 20) + rng.normal(0, 150, n)
survey = pd.DataFrame({"school": school, "age": age, "income": income.round()})

# %%
# A quarter of the people do not say what they earn.

silent = rng.random(n) < 0.25
asked = survey.copy()
asked.loc[silent, "income"] = np.nan
model = LatentTree(n_states=8, n_trees=1, random_state=0).fit(asked)
filled, ends = model.impute(asked), model.intervals(asked, 0.9)["income"]

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
told, guess = survey.loc[silent, "income"], filled.loc[silent, "income"]
low, high = ends[silent].T
inside = np.mean((low <= told) & (told <= high))
bars = np.abs([guess - low, high - guess])
ax.errorbar(told, guess, yerr=bars, fmt="o", alpha=0.5, markersize=3)
ax.axline((1500, 1500), slope=1, color="gray", linewidth=0.8)
ax.set_xlabel("hidden income (euros a month)")
ax.set_ylabel("filled in, with 90% intervals")
ax.set_title(f"{inside:.0%} of the hidden answers lie in their intervals")
plt.show()

"""
Which model predicts new rows best?
===================================

Two models are scored on the same rows. The standard error of their *difference* is small,
because both find the same rows hard.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from ancestral import PPCA, PPCAMixture, scores

train, test = train_test_split(load_wine(as_frame=True).data, random_state=0)
models = {f"PPCA, d = {d}": PPCA(d, standardize=True).fit(train) for d in (1, 3, 5, 8)} | {
    "two pieces": PPCAMixture(2, 2, standardize=True, random_state=0).fit(train)
}
print(scores.compare(models, test))

# %%
# The bars are differences from the best model, row by row, with two standard errors.

values = {name: model.log_density(test) for name, model in models.items()}
best = max(values, key=lambda name: values[name].mean())
gaps = {name: v - values[best] for name, v in values.items() if name != best}
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
errors = [2 * gap.std(ddof=1) / np.sqrt(len(gap)) for gap in gaps.values()]
ax.barh(list(gaps), [gap.mean() for gap in gaps.values()], xerr=errors, capsize=3)
ax.set_xlabel("nats per row, beside the best")
ax.set_title(f"{len(test)} new wines: the best model is {best!r}")
plt.show()

"""
Fit a folder of Parquet files with Dask
=======================================

The rows of all files together would not fit into memory. Each worker sums its own part, and the
sums make the same model.
"""

import tempfile
from pathlib import Path

import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ancestral import PPCA, viz
from ancestral.streaming import fit_dask

rng = np.random.default_rng(0)
mix = rng.normal(size=(3, 12))
days = Path(tempfile.mkdtemp())
for day in range(6):
    rows = rng.normal(size=(2000, 3)) @ mix + 0.3 * rng.normal(size=(2000, 12))
    pd.DataFrame(rows).add_prefix("sensor ").to_parquet(days / f"{day}.parquet")

# %%
# ``fit_dask`` takes the collection where ``fit`` takes a table.

model = fit_dask(PPCA(n_components=5), dd.read_parquet(days))
whole = PPCA(n_components=5).fit(pd.read_parquet(days))
print(f"largest difference of the means: {np.abs(model.mean_ - whole.mean_).max():.0e}")

ax = viz.spectrum(model)
ax.set_title("Three directions carry what twelve sensors measure")
plt.show()

# Files that come day by day: fit over all of them without holding them at once.
import numpy as np
import polars as pl

from ancestral import PPCA
from ancestral.streaming import fit_chunks

rng = np.random.default_rng(0)
mix = rng.normal(size=(2, 5))
for day in range(4):
    rows = rng.normal(size=(100, 2)) @ mix + 0.1 * rng.normal(size=(100, 5))
    pl.DataFrame(rows, schema=list("abcde")).write_parquet(f"day{day}.parquet")
model = fit_chunks(PPCA(2), (pl.read_parquet(f"day{day}.parquet") for day in range(4)))
print(model, model.n_samples_, model.noise_variance_)
print(model.sample(2, random_state=0))

# Nulls in a polars frame: fit with them, fill them, and get polars back.
import numpy as np
import polars as pl

from ancestral import PPCA

rng = np.random.default_rng(0)
base = rng.normal(size=200)
frame = pl.DataFrame(
    {"a": base, "b": 2 * base + rng.normal(size=200) / 5, "c": 1 - base + rng.normal(size=200) / 5}
)
gappy = frame.with_columns(
    b=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("b"))
)
model = PPCA(1).fit(gappy)
filled = model.impute(gappy)
print(filled.head(3), filled.null_count())
print(model.marginals(gappy.head(2))["b"])
print(model.sample(2, given={"a": 1.5}, random_state=0))

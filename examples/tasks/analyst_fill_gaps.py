# Fill the gaps of a table of measurements, and say how sure each filled value is.
import numpy as np
from sklearn.datasets import load_iris

from ancestral import PPCA

iris = load_iris(as_frame=True).data
gappy = iris.mask(np.random.default_rng(0).random(iris.shape) < 0.1)
model = PPCA(2).fit(gappy)
filled, std = model.impute(gappy, return_std=True)
print(filled.head())
print(std[:5])
print("mean error of the filled:", (filled - iris).abs().where(gappy.isna()).mean())

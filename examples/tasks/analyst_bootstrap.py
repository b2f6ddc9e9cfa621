# Bootstrap intervals of a regression's coefficients, beside those of the textbook.
import numpy as np
import pandas as pd

from ancestral import LinearGaussian, datasets

X, y, names = datasets.diabetes()
frame = pd.DataFrame(X, columns=names)[["bmi", "bp"]]
model = LinearGaussian().fit(frame, y)
draws = model.bootstrap(frame, y, 2000, random_state=0)
table = pd.DataFrame(np.percentile(draws, [2.5, 97.5], axis=0).T, columns=["low", "high"])
table.index = ["intercept", *frame.columns]
print(table)
print(model.coefficient_intervals())

# A regression with its table, once with ordinary errors and once with robust ones.
import pandas as pd

from ancestral import LinearGaussian, datasets

X, y, names = datasets.diabetes()
X = pd.DataFrame(X, columns=names)[["age", "bmi", "bp"]]
model = LinearGaussian().fit(X, pd.Series(y, name="progression"))
print(model.summary())
print(model.summary(X, y, cov_type="HC3").to_frame())
low, high = model.coefficient_intervals(level=0.9)
print(pd.DataFrame({"low": low, "high": high}, index=["intercept", *X.columns]))

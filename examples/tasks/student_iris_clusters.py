# Does a mixture of three PPCAs find the three species of iris without being told of them?
import pandas as pd
from sklearn.datasets import load_iris

from ancestral import PPCAMixture

iris = load_iris(as_frame=True)
model = PPCAMixture(n_models=3, n_components=1, random_state=0).fit(iris.data)
print(pd.crosstab(iris.target, model.predict(iris.data)))
print(model.predict_proba(iris.data[:2]).round(3))
print(model.sample(3, random_state=0))

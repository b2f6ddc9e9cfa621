# Which rows of my table are odd, and which of them is the oddest?
from sklearn.datasets import load_wine

from ancestral import PPCA

wine = load_wine(as_frame=True).data
wine.loc[7, "ash"] = 9.0  # a slip of the keyboard
model = PPCA("bic", standardize=True).fit(wine)
wine["distance"] = model.mahalanobis(wine)
wine["odd"] = model.outliers(wine.drop(columns="distance"), level=0.01)
print(wine[wine["odd"]].sort_values("distance", ascending=False)[["ash", "distance"]])

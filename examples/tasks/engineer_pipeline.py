# PPCA as a step of a scikit-learn pipeline, its size chosen by cross-validation.
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ancestral import PPCA

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
pipe = make_pipeline(StandardScaler(), PPCA(), LogisticRegression()).set_output(transform="pandas")
search = GridSearchCV(pipe, {"ppca__n_components": [1, 3, 5]}, cv=3).fit(X, y)
print(search.best_params_, search.best_score_)
print(search.best_estimator_[:-1].transform(X).head(2))

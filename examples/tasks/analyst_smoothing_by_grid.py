# Choose the smoothing by cross-validation, where one answer is so rare that a fold may miss it.
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV

from ancestral import TabularAutoregressive

rng = np.random.default_rng(0)
answers = pd.DataFrame(
    {"team": rng.choice(["red", "blue"], 60), "vote": rng.choice(["yes", "no"], 60)}
)
answers.loc[59, "vote"] = "spoilt"
answers["vote"] = answers["vote"].astype(pd.CategoricalDtype(["yes", "no", "spoilt", "absent"]))
search = GridSearchCV(TabularAutoregressive(), {"smoothing": [0.1, 0.5, 1, 5]}).fit(answers)
print(search.best_params_, search.best_score_)
print(search.best_estimator_.marginals(pd.DataFrame({"team": ["red"], "vote": [None]})))

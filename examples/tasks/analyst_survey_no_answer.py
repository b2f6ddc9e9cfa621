# A survey in which "no answer" means something: count it as an answer of its own.
import pandas as pd

from ancestral import TabularAutoregressive

survey = pd.DataFrame(
    {
        "age": ["young", "old", "old", "young", "old", "young"] * 5,
        "income": ["low", None, "high", "low", None, None] * 5,
    }
)
model = TabularAutoregressive(smoothing=0.5, missing="level").fit(survey)
print(model.categories_)
for age in ["young", "old"]:
    drawn = model.sample(1000, given={"age": age}, random_state=0)
    print(age, "without an answer:", drawn["income"].isna().mean())

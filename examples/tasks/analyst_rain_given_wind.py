# A CSV of text columns: how probable is rain when the wind is strong?
import pandas as pd

from ancestral import TabularAutoregressive

with open("weather.csv", "w") as file:
    file.write(
        "sky,wind\n" + "rain,strong\n" * 6 + "sun,strong\n" * 2 + "sun,weak\n" * 9 + "rain,weak\n"
    )
weather = pd.read_csv("weather.csv")
model = TabularAutoregressive(smoothing=0.5).fit(weather)
question = pd.DataFrame({"sky": [None], "wind": ["strong"]})
print(model.categories_[0], model.marginals(question)["sky"])
print(model.sample(5, given={"wind": "strong"}, random_state=0))

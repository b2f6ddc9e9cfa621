# A table with a date: sales against the day, then the sales expected at two later dates.
import numpy as np
import pandas as pd

from ancestral import LinearGaussian
from ancestral.io import dates_as_numbers

rng = np.random.default_rng(0)
sales = pd.DataFrame(
    {"day": pd.date_range("2024-01-01", periods=60), "price": rng.uniform(1, 3, 60)}
)
sold = 100 + np.arange(60) - 10 * sales["price"] + rng.normal(size=60)
model = LinearGaussian().fit(dates_as_numbers(sales, unit="days", since="2024-01-01"), sold)
print(model.summary())
later = pd.DataFrame({"day": pd.to_datetime(["2024-04-01", "2024-05-01"]), "price": [2.0, 2.5]})
low, high = model.prediction_interval(dates_as_numbers(later, unit="days", since="2024-01-01"))
print(later.assign(low=low, high=high))

# Draw five rows that look like mine: text, a flag and a small count.
import pandas as pd

from ancestral import ChainAutoregressive

visits = pd.DataFrame(
    {
        "ward": ["A", "A", "B", "C", "B", "A", "C", "C"] * 10,
        "urgent": [True, False, False, True, False, True, True, False] * 10,
        "tests": [2, 0, 1, 3, 0, 2, 3, 1] * 10,
    }
)
model = ChainAutoregressive(random_state=0).fit(visits)
drawn = model.sample(5, random_state=0)
print(drawn)
print(drawn.dtypes)

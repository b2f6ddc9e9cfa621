# Which of three models says most about rows it has not seen?
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from ancestral import PPCA, PPCAMixture, scores

train, test = train_test_split(load_wine(as_frame=True).data, random_state=0)
result = scores.compare(
    {
        "one": PPCA(1, standardize=True).fit(train),
        "five": PPCA(5, standardize=True).fit(train),
        "mixture": PPCAMixture(2, 2, standardize=True, random_state=0).fit(train),
    },
    test,
)
print(result)
print(result.to_frame().round(2))

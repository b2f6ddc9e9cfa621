# Save a model, load it in another place, and answer many requests from threads.
from concurrent.futures import ThreadPoolExecutor

import polars as pl

import ancestral

X, y, names = ancestral.datasets.diabetes()
frame = pl.DataFrame(X, schema=names)
ancestral.LinearGaussian().fit(frame, y).save("line.model")

model = ancestral.load("line.model")
print(model, model.data_fingerprint_)
with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(model.predict, [frame[i : i + 10] for i in range(0, 440, 10)]))
print(len(answers), answers[0][:3])

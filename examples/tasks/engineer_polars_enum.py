# A polars frame with an Enum: levels that are not in the data are kept, and draws are frames.
import polars as pl

from ancestral import TabularAutoregressive

sky = pl.Enum(["sun", "rain", "snow"])
frame = pl.DataFrame(
    {"sky": ["sun", "rain", "sun", "sun"], "wind": [1, 2, 1, 1]}, schema_overrides={"sky": sky}
)
model = TabularAutoregressive(smoothing=1).fit(frame)
drawn = model.sample(100, random_state=0)
assert drawn.schema == frame.schema
print(drawn["sky"].value_counts())
print(model.sample(3, given={"sky": "snow"}, random_state=0))
print(model.log_density(pl.DataFrame({"sky": ["snow"], "wind": [2]})))

# Arrow in, Arrow out: fit a dictionary-encoded table from Parquet and write draws as Parquet.
import pyarrow as pa
import pyarrow.parquet as pq

from ancestral import TabularAutoregressive

table = pa.table(
    {
        "os": pa.array(["linux", "mac", "linux", "bsd"]).dictionary_encode(),
        "crash": [False, True, False, False],
    }
)
pq.write_table(table, "reports.parquet")
table = pq.read_table("reports.parquet")
model = TabularAutoregressive(smoothing=0.1).fit(table)
drawn = model.sample(1000, random_state=0)
print(drawn.schema)
pq.write_table(drawn, "drawn.parquet")

"""Files that hold more than memory does: Parquet, CSV, images and graphs, here or elsewhere."""

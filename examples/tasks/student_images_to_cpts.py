# Images to conditional probability tables (CPTs), and a model from the tables again.
import numpy as np

from ancestral import TabularAutoregressive, datasets

images = datasets.icons()[0][:, :10]  # the top two rows
model = TabularAutoregressive().fit(images)
cpts = model.to_tables()
print([table.shape for table in cpts][:3])
print("p(x1 = 1) =", cpts[0][1], " p(x2 = 1 | x1 = 1) =", cpts[1][1, 1])
again = TabularAutoregressive.from_tables(cpts)
print(np.allclose(again.log_density(images), model.log_density(images)))

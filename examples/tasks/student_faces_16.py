# Reconstruct faces from 16 latent dimensions, and look at them beside the originals.
import numpy as np

from ancestral import PPCA, datasets, viz

faces = datasets.faces()
model = PPCA(n_components=16).fit(faces[:80])
rest = faces[80:]
rebuilt = model.reconstruct(rest)
print("error per pixel:", np.sqrt(np.mean((rest - rebuilt) ** 2)))
figure = viz.collage(np.vstack([rest[:8], rebuilt[:8]]), n_rows=2, n_cols=8)
figure.savefig("faces.png")
viz.collage(model.sample(16, random_state=0)).savefig("drawn.png")

# Train an LSTM on a few icons, watch its loss against the floor, and draw from it.
from ancestral import LSTMAutoregressive, datasets, viz

images, names = datasets.icons()
model = LSTMAutoregressive(hidden_size=16, num_layers=1, tol=0.05, random_state=0)
model.fit(images[:4])
print("loss", model.loss_, "floor", model.floor_, "steps", len(model.history_))
ax = viz.training_curve(model)
ax.figure.savefig("training.png")
rows, counts = model.sample_counts(1000, random_state=0)
print(counts.max(), "draws of the most frequent image, of 1000")

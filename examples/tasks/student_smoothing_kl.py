# How far from the data does smoothing take the tables, in nats and in bits per pixel?
from ancestral import TabularAutoregressive, datasets, scores

images, _ = datasets.icons()
print("entropy floor", scores.entropy_floor(images))
for smoothing in [0, 0.01, 0.1, 1]:
    model = TabularAutoregressive(smoothing).fit(images)
    kl = scores.kl_from_data(model, images)
    bits = scores.bits_per_dimension(model, images)
    mass = scores.support_mass(model, images)
    print(f"{smoothing:5}  KL {kl:.3f} nats, {bits:.3f} bits per pixel, {mass:.3f} on the icons")

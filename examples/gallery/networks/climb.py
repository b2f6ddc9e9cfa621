"""
Climb a likelihood by its gradient
==================================

The graph model of the course has two numbers, a and b. Gradient ascent climbs their log-
likelihood, which rises at every step; Newton's method arrives in a few.
"""

import matplotlib.pyplot as plt

from ancestral import InnerProductGraph, datasets, viz

graphs = datasets.classrooms(20)
newton = InnerProductGraph().fit(graphs)
ascent = InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
print(f"Newton: {len(newton.history_)} steps; gradient ascent: {len(ascent.history_)} steps")
print(f"a = {newton.slope_:.3f} ± {newton.standard_errors_[0]:.3f}")

ax = viz.ascent_curve(ascent)
ax.set_title("The log-likelihood rises at every step")
plt.show()

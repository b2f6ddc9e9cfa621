"""
Climb a likelihood by its gradient
==================================

The graph model of the course has two numbers, a and b. Gradient ascent climbs their
log-likelihood, which rises at every step. Newton's method arrives in a few.
"""

import matplotlib.pyplot as plt

from ancestral import InnerProductGraph, datasets, viz

graphs = datasets.classrooms(20)
newton = InnerProductGraph().fit(graphs)
ascent = InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
steps = len(newton.history_), len(ascent.history_) - 1  # its first line is the start
print(f"Newton: {steps[0]} steps; gradient ascent: {steps[1]} steps")
print(f"a = {newton.slope_:.3f} ± {newton.standard_errors_[0]:.3f}")

# %%
# The curve shows how far each step of the ascent is below the maximum.

ax = viz.ascent_curve(ascent)
ax.set_title("The log-likelihood rises at every step")
plt.show()

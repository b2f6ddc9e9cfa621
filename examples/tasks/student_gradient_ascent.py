# Fit the classroom graphs by gradient ascent and by Newton, and see both arrive at one maximum.
from ancestral import InnerProductGraph, datasets, viz

graphs = datasets.classrooms(20)
newton = InnerProductGraph().fit(graphs)
ascent = InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
print("newton", newton.slope_, newton.intercept_, "in", len(newton.history_), "steps")
print("ascent", ascent.slope_, ascent.intercept_, "in", len(ascent.history_), "steps")
viz.ascent_curve(ascent).figure.savefig("ascent.png")
viz.likelihood_contour(newton, graphs).figure.savefig("contour.png")
viz.draw_graph(newton.sample(1, random_state=0)[0]).figure.savefig("class.png")

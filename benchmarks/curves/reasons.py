"""Why an aim is not met, where it is not: one sentence each, written by hand after a run.

A key is "MODEL: WORK", or "MODEL: WORK, against PEER" (PEER "a time" where the aim is one of
seconds). The sentence stands beside the verdict in the table of docs/speed.md, without full stop.
An aim that is met prints none.
"""

from __future__ import annotations

_SMALL_GRAPHS = (
    "of some 190 µs at 20 nodes Newton's five looks take 64, reading and checking the graph 70; the "
    "peer checks nothing and takes one look more"
)

REASONS: dict[str, str] = {
    "HeteroscedasticGaussian: fit": (
        "at one to ten columns of some thousand rows a look at the likelihood is a dozen NumPy calls "
        "on arrays of one length, as many as the peer's, and standard errors, collinearity and the "
        "rounding of the result come on top"
    ),
    "one row, any model: a time": "",
    "TabularAutoregressive: log_density, against numpy, rows looked up": (
        "that peer knows beforehand which rows are possible, and looks each up as one number; ours "
        "answers for any row, known in part or not at all"
    ),
    "InnerProductGraph: fit, sparse adjacency": _SMALL_GRAPHS,
    "InnerProductGraph: fit, dense adjacency": _SMALL_GRAPHS,
}

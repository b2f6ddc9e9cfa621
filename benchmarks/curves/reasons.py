"""Why an aim is not met, where it is not: one sentence each, written by hand after a run.

A key is "MODEL: WORK", "MODEL: WORK, against PEER" (PEER "a time" where the aim is one of
seconds), or the name of an aim that curves share. The sentence stands below the table
of verdicts in docs/models/speed.md, which adds the full stop. An aim that is met prints none.
"""

from __future__ import annotations

_SMALL_GRAPHS = (
    "in small graphs Newton's steps take a third of the time, and reading and checking the graph "
    "as much; the peer checks nothing"
)

REASONS: dict[str, str] = {
    "HeteroscedasticGaussian: fit": (
        "at one to ten columns of some thousand rows a look at the likelihood is a dozen NumPy "
        "calls on arrays of one length, as many as the peer's; standard errors, collinearity and "
        "the rounding of the result come on top"
    ),
    "one row, any model": (
        "25 columns are 25 steps of small products each, in float64 and, for bits that hang on no "
        "batch, in blocks of one size"
    ),
    "a dataframe in, any model": (
        "rows are copied once into C order, so that every container gives the same bits; of calls "
        "that only pass over the numbers once that copy is half"
    ),
    "InnerProductGraph: fit, dense adjacency, against the same, sparse": (
        "reading a byte for each of 1e8 pairs, twice, takes as long as the fit of what is linked"
    ),
    "TabularAutoregressive: log_density, against numpy, table by table": (
        "of a few rows the checks and the coding of levels, that the peer is given, are the most"
    ),
    "ChainAutoregressive: log_density": (
        "of one row some 20 µs, of which checks and coding of levels, that the peer is given, are "
        "half; the product is padded to 16 rows, so that a row has the same bits in any batch"
    ),
    "LinearGaussian: fit with standard errors": "small fits pay for their checks",
    "PPCA: fit": (
        "beside PCA's randomized solver, which does not look at its error; every answer here is "
        "exact, and the product of all rows alone is most of it"
    ),
    "TabularAutoregressive: log_density, against numpy, rows looked up": (
        "that peer knows beforehand which rows are possible, and looks each up as one number; ours "
        "answers for any row, known in part or not at all"
    ),
    "InnerProductGraph: fit, sparse adjacency": _SMALL_GRAPHS,
    "InnerProductGraph: fit, dense adjacency": _SMALL_GRAPHS,
}

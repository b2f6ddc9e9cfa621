"""Why an aim is not met: one or two sentences each, written by hand after a run.

A key is "MODEL: WORK", "MODEL: WORK, against PEER" (PEER "a time" where the aim is one of
seconds), or the name of an aim that curves share. They stand below the table of verdicts in
docs/models/speed.md, which adds the last full stop. An aim that is met prints none.
"""

from __future__ import annotations

_SMALL_GRAPHS = (
    "on small graphs a third of the time goes to Newton's steps, and another third to reading and "
    "checking the graph. The peer checks nothing"
)

REASONS: dict[str, str] = {
    "HeteroscedasticGaussian: fit": (
        "with some thousand rows of one to ten columns, each step is a dozen NumPy calls, as many "
        "as in the peer. Our fit also computes standard errors, looks for collinear columns, and "
        "bounds the rounding of its result"
    ),
    "one row, any model": (
        "25 columns need 25 small products, one after another, in float64. Where a row must get "
        "the same bits in any batch, the products have one fixed size, and one row is padded to it"
    ),
    "a dataframe in, any model": (
        "a dataframe is copied once into rows, so that every container gives the same bits. This "
        "copy is about half of a call that reads the numbers only once"
    ),
    "InnerProductGraph: fit, dense adjacency, against the same, sparse": (
        "a byte for each of 1e8 pairs is read twice, which takes as long as the fit itself"
    ),
    "TabularAutoregressive: log_density, against numpy, table by table": (
        "for a few rows, most of the time goes to checks and to the coding of levels. The peer is "
        "given the codes"
    ),
    "ChainAutoregressive: log_density": (
        "one row takes some 20 µs. Half of it goes to checks and to the coding of levels; the peer "
        "is given the codes. The product is padded to 16 rows, so that a row gets the same bits in "
        "any batch"
    ),
    "LinearGaussian: fit with standard errors": "small fits spend most of their time on checks",
    "PPCA: fit": (
        "at this size both take the eigenvectors of the product of all rows. Ours also checks by "
        "a Cholesky factor how far its result can be off, which took 70 of 94 ms in a profile, "
        "though 3 ms by itself: probably NumPy's threads still hold the cores"
    ),
    "TabularAutoregressive: log_density, against numpy, rows looked up": (
        "the peer knows beforehand which rows are possible, and looks each up as one number. Our "
        "call answers for any row, known in part or not at all"
    ),
    "InnerProductGraph: fit, sparse adjacency": _SMALL_GRAPHS,
    "InnerProductGraph: fit, dense adjacency": _SMALL_GRAPHS,
}

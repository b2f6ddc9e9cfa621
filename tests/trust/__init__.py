"""The catalogue of bad inputs, row by row: test_a1_..., test_b1_..., test_c1_..., test_t1_....

A rows are files, B rows data, C rows what happens to a run, T rows what the first year's trust
missed: their tests stand beside the others of their subject. Every row has a test. Where a test
asserts something other than the row's own words, the row stands here with the reason.
"""

from __future__ import annotations

OTHERWISE = {
    "b18": "0..255 is as good a unit as 0..1 to PPCA, and pictures are drawn over the range of "
    "their data: there is nothing to warn of",
    "b23": "fewer rows than coefficients is a warning, not an error: scikit-learn's own estimator "
    "checks ask for that fit. It gives the solution of least norm, and its density is refused",
    "b27": "a y of several columns is several targets to LinearGaussian, each fitted as if alone; "
    "it is refused by the models that have one target",
    "b31": "levels are learnt, so that pixels of 0 and 255 are two levels in Python; they are "
    "refused with the mend by a model of 0 and 1, and on the command line",
    "b44": "a network's likelihood of equal images tends to 1 and never is: its floor is 0, and "
    "training ends within `tol` of it",
    "c16": "the upload of 1 GiB is sent as far as the studio lets it be: it is refused by its "
    "declared length, or counted and refused at the cap, and never held",
    "c20": "no network disk can be mounted in a test. Nothing there is trusted with what such "
    "disks get wrong: the newest checkpoint is told by the number in its name, and writing relies "
    "on renaming and linking within one folder alone",
    "c21": "NumPy's wheels bring one BLAS, OpenBLAS. Its one and two threads differ as two "
    "libraries would, in the order of sums; the tests compare these to 1e-10",
}

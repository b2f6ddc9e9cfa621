"""Rows of the catalogue's data level that are met in other words than they were written."""

MOOT_B: dict[str, str] = {
    "b18": "0..255 is as good a unit as 0..1 to PPCA; how grey values are drawn is the studio's",
    "b23": "fewer rows than coefficients is a warning, not an error: scikit-learn's own estimator "
    "checks ask for that fit. It gives the solution of least norm, and its density is refused",
    "b27": "a y of several columns is several targets to LinearGaussian, each fitted as if alone; "
    "it is refused by the models that have one target",
    "b31": "levels are learnt, so that pixels of 0 and 255 are two levels in Python; they are "
    "refused with the mend by a model of 0 and 1, and on the command line",
    "b44": "a network's likelihood of equal images tends to 1 and never is: its floor is 0, and "
    "training ends within `tol` of it",
}

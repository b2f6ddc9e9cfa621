"""Rows with gaps as the fits of PPCA take them, for the tests of several files."""

from __future__ import annotations

import numpy as np

from ancestral.gaussian.ppca import missing_em
from ancestral.gaussian.ppca.missing_columns import Rows
from ancestral.training.parts import Held


def table_of(X: np.ndarray) -> missing_em.Table:
    """Return what EM takes of rows with gaps."""
    return missing_em.Table.of(Held([Rows.known(X)]))

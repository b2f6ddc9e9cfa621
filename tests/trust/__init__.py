"""The catalogue of bad inputs, row by row: test_a1_..., test_b1_..., test_c1_....

A rows are files, B rows data, C rows what happens to a run. Rows that the design leaves nothing to
ask of stand here with the reason.
"""

from __future__ import annotations

MOOT: dict[str, str] = {}

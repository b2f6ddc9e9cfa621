"""What the browser computes of scores is what Python computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import (
    PPCA,
    scores,
)
from ancestral.studio.payload import packed

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


# ---- distribution -------------------------------------------------------------------------------


def test_comparisons_are_those_of_python(script, faces):
    train, out = faces[:80], faces[80:]
    models = {f"d{d}": PPCA(d).fit(train) for d in (2, 8, 20)}
    expected = scores.compare(models, out)
    values = {name: packed(model.log_density(out), "float64") for name, model in models.items()}
    got = script(
        """
        const [best, ...others] = given.names.map((name) => arrays.unpack(given.values[name]).data);
        const about = (v) => ({ ...compare.summary(v), behind: compare.behind(v, best) });
        return [best, ...others].map(about);
        """,
        {"names": expected.names, "values": values},
    )
    np.testing.assert_allclose([g["mean"] for g in got], expected.means, atol=EXACT)
    np.testing.assert_allclose([g["error"] for g in got], expected.standard_errors, atol=EXACT)
    np.testing.assert_allclose([g["behind"]["mean"] for g in got], expected.behind, atol=EXACT)
    np.testing.assert_allclose(
        [g["behind"]["error"] for g in got], expected.behind_errors, atol=EXACT
    )

"""A running studio for the tests of trust, and the figures of all broken files together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

from tests.conftest import FIGURES
from tests.studio.conftest import chromium, faces, models, studio, visit
from tests.trust.files import Tally

__all__ = ["chromium", "faces", "models", "studio", "visit"]


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Thousands of small fits wait for a second thread longer than it works for them."""
    if request.path.stem not in ("test_calibration", "test_geweke"):
        yield
        return
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def _figures_of_files(pytestconfig: pytest.Config) -> Iterator[None]:
    """Note what became of the broken files that were read."""
    yield
    if Tally.seen:
        figures, n = pytestconfig.stash[FIGURES], len(Tally.seen)
        figures["A: broken or hostile files accepted in silence"] = f"{len(Tally.accepted)} of {n}"
        figures["A: broken or hostile files that ran code"] = f"{len(Tally.run)} of {n}"

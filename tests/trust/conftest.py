"""A running studio for the tests of trust, and the figures of all broken files together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from tests.conftest import OF_FILES
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


@pytest.fixture(autouse=True)
def _figures_of_files(record_property: Callable[[str, Any], None]) -> Iterator[None]:
    """Note what became of the broken files that a test read."""
    Tally.clear()
    yield
    for kind, contents in zip(OF_FILES, (Tally.seen, Tally.accepted, Tally.run), strict=True):
        if contents:
            record_property(kind, sorted(contents))

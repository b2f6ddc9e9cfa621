"""Every doctest, of a docstring or of README.md, is held to the digits that it shows."""

from __future__ import annotations

import pytest
from tests.digits import ShownDigits


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare numbers by their shown digits."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.runner._checker = ShownDigits()

"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, which is not part of the project; tests skip without it."""
    folder = Path(os.environ.get("ANCESTRAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set ANCESTRAL_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def course(data: Path) -> Path:
    """The course's own files."""
    return data / "course"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is asked of a model of the zoo whose optional package is not installed."""
    from tests.zoo import ZOO

    needed = {
        id(part): entry.extra for entry in ZOO if entry.extra for part in (entry, *entry.checks)
    }
    for item in items:
        for value in getattr(getattr(item, "callspec", None), "params", {}).values():
            package = needed.get(id(value))
            if package is not None and find_spec(package) is None:
                item.add_marker(pytest.mark.skip(reason=f"{package} is an extra"))

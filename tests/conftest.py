"""Fixtures shared by all tests."""

from __future__ import annotations

import os
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

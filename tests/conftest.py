"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIGURES = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make trust` and `make fuzz` turn on."""
    parser.addoption(
        "--long", action="store_true", help="the long versions of the tests that have one"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start an empty table of figures."""
    config.stash[FIGURES] = {}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures that tests have noted, as one table."""
    figures = config.stash[FIGURES]
    if not (config.getoption("--long") and figures):
        return
    terminalreporter.section("what was measured")
    width = max(map(len, figures))
    for name, value in sorted(figures.items()):
        terminalreporter.write_line(f"{name:{width}s}   {value}")


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether the long version of a test is wanted: more repeats of the same."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture
def note(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Note a measured figure under a name, for the table that `make trust` prints."""
    return pytestconfig.stash[FIGURES].__setitem__


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in memory where the system has such disks: syncing is quick, killing is the same."""
    memory = Path("/dev/shm")
    home = str(memory) if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="ancestral-test-", dir=home) as folder:
        yield Path(folder)


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

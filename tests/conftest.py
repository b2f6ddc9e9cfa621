"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIGURE = "figure"
# Seconds until a test gives up what must come: a guard against hanging, however busy the machine.
PATIENCE = 300
# What became of broken files: the kinds of properties that hold digests of their contents.
OF_FILES = (
    "broken or hostile files",
    "broken or hostile files accepted in silence",
    "broken or hostile files that ran code",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make trust` turns on."""
    parser.addoption(
        "--long", action="store_true", help="the long versions of the tests that have one"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start an empty table of figures."""
    config.pluginmanager.register(Figures(config.getoption("--long")))


class Figures:
    """The figures that tests have noted, from every process that runs them, as one table.

    Parameters
    ----------
    wanted : bool
        Whether the table is printed.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.noted: dict[str, str] = {}
        self.files: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test has noted; its report comes here from whatever process ran it."""
        if report.when != "teardown":
            return
        for kind, content in report.user_properties:
            if kind == FIGURE:
                self.noted.update([content])
            elif kind in OF_FILES:
                self.files.setdefault(kind, set()).update(content)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table."""
        if not self.wanted:
            return
        n = len(self.files.get(OF_FILES[0], ()))
        for kind in OF_FILES[1:] if n else ():
            self.noted[f"A: {kind}"] = f"{len(self.files.get(kind, ()))} of {n}"
        terminalreporter.section("what was measured")
        width = max(map(len, self.noted), default=0)
        for name, value in sorted(self.noted.items()):
            terminalreporter.write_line(f"{name:{width}s}   {value}")


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether the long version of a test is wanted: more repeats of the same."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture
def note(record_property: Callable[[str, Any], None]) -> Callable[[str, str], None]:
    """Note a measured figure under a name, for the table that `make trust` prints."""
    return lambda name, value: record_property(FIGURE, [name, value])


@pytest.fixture
def core_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every optional package, as where none is installed."""
    from ancestral._extras import EXTRAS

    hidden = {"polars", *(name for packages in EXTRAS.values() for name in packages)}
    find = PathFinder.find_spec
    for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
        monkeypatch.delitem(sys.modules, name)

    def found(name: str, *where: Any) -> Any:
        return None if name in hidden else find(name, *where)

    monkeypatch.setattr(PathFinder, "find_spec", found)


def asked_for(said: str) -> set[str]:
    """Return the extras that a message asks for, by its one command."""
    (found,) = re.findall(r'pip install "ancestral\[([a-z,]+)\]"', said)
    extras = found.split(",")
    assert len(extras) == len(set(extras))
    return set(extras)


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


# The longest files of few tests: begun first, or one process waits for another at the end.
FIRST = ("test_fuzz.py", "test_runs_cli.py", "test_runs_machine.py", "test_report.py")
NETWORKS = ("LSTMAutoregressive", "NeuralGaussian")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; skip models and examples whose optional package is not installed."""
    from tests.zoo import ZOO

    items.sort(key=lambda item: item.path.name not in FIRST)
    needed = {
        id(part): entry.extra for entry in ZOO if entry.extra for part in (entry, *entry.checks)
    }
    for item in items:
        for value in getattr(getattr(item, "callspec", None), "params", {}).values():
            package = needed.get(id(value))
            if package is not None and find_spec(package) is None:
                item.add_marker(pytest.mark.skip(reason=f"{package} is an extra"))
        if find_spec("torch") is None and _trains_a_network(item):
            item.add_marker(pytest.mark.skip(reason="torch is an extra"))


def _trains_a_network(item: pytest.Item) -> bool:
    """Whether an item is the examples of README.md or a docstring, of networks among others."""
    if not isinstance(item, pytest.DoctestItem):
        return False
    examples = item.dtest.examples if item.dtest else []
    return any(f"{name}(" in example.source for name in NETWORKS for example in examples)

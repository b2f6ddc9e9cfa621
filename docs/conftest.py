"""How pytest runs one page (`pytest docs/models/ppca.md`), and what it leaves alone here.

tests/test_pages.py runs every page. The built site, and the modules that only Sphinx runs, hold no
tests.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

collect_ignore_glob = ["_build/*", "conf.py", "_ext/*"]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a page."""
    return Page.from_parent(parent, path=file_path) if file_path.suffix == ".md" else None


class Page(pytest.File):
    """A page, which is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return the one test."""
        yield Blocks.from_parent(self, name="page")


class Blocks(pytest.Item):
    """The blocks of a page, run in its order."""

    def runtest(self) -> None:
        """Run them, in an empty folder."""
        from tests.test_pages import run_page

        home = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                run_page(self.path)
            finally:
                os.chdir(home)

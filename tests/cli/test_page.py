"""The pages that name the commands; tests/test_pages.py runs their examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ancestral.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "start" / "command_line.md"


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_command_is_listed(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)]

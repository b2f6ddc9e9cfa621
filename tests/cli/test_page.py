"""The page on the command line: its examples run, in order, and print what stands there."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ancestral.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "start" / "command_line.md"
BLOCK = re.compile(r"^```(csv|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_print_what_stands_there(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, checker, n_run = PAGE.read_text("utf-8"), doctest.OutputChecker(), 0
    for block in BLOCK.finditer(text):
        kind, content = block.groups()
        if kind == "csv":
            name = re.findall(r"`(\w+\.csv)`", text[: block.start()])[-1]
            Path(name).write_text(content)
            continue
        for example in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            command, _, wanted = example.partition("\n")
            program, *arguments = shlex.split(command)
            assert program == "ancestral"
            code, out, err = run(*arguments)
            n_run += 1
            assert code == (1 if wanted.startswith("ancestral: ") else 0), err
            printed, flags = err + out, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert checker.check_output(wanted, printed, flags), f"{command}\n{printed}"
    assert n_run >= 12


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_command_is_listed(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)]

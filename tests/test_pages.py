"""Every block of code on every page runs, in the order of the page; what does not is marked.

The cells, which draw the figures of the site, the blocks with prompts (`>>>`), whose results are
compared, and the commands: those of one page in one namespace and one folder, as a reader would who
types them in. `pytest docs/models/ppca.md` runs one page. A block that cannot run here stands below
a comment,

    <!-- not run: why -->

and is counted.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import shlex
import symtable
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ancestral.cli import commands as cli
from tests.digits import FLAGS, ShownDigits

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
NOT_RUN = {
    "CONTRIBUTING.md": 1,  # make
    "docs/course/index.md": 1,  # pip
    "docs/course/teachers.md": 2,  # a script of the repository, a server
    "docs/models/lstm_autoregressive.md": 1,  # users' files
    "docs/models/order_mixture.md": 1,  # data sets of others
    "docs/models/speed.md": 1,  # an hour of timing
    "docs/models/studio.md": 1,  # a server
    "docs/start/index.md": 1,  # pip
    "docs/start/report.md": 4,  # minutes, make, apt
}
# What is shown, or laid out, and no code.
SHOWN = ("text", "{toctree}", "{include}", "{image}", "{figure}", "{math}", "{note}", "{tip}")
SHOWN += ("{warning}", "{important}", "{dropdown}", "{seealso}", "{glue:figure}", "{admonition}")
SHOWN += ("{glossary}",)
FENCE = re.compile(
    r"^(?P<marked><!-- not run: [^\n]+ -->\n\n?)?"
    r"^(?P<fence>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"(?:\A|\n\n)((?:    .*\n|\n)+)")
COMMAND = re.compile(r"    (\$|make|pip|python3?|apt|git|conda|uv|ancestral)\b")
# A network that is trained for a few steps, on purpose; the page says so.
SHORT = "max_steps=[0-9]+ ended the training"
EXTRAS = ("torch", "matplotlib", "pandas", "pyarrow", "PIL", "networkx", "skimage", "igraph")


@dataclass
class Block:
    """A block between fences: what it is, its text, its first line, and whether it is marked."""

    kind: str
    text: str
    line: int
    start: int
    marked: bool


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            found["kind"].strip(),
            found["text"],
            text.count("\n", 0, found.start("text")) + 1,
            found.start("fence"),
            found["marked"] is not None,
        )
        for found in FENCE.finditer(text)
    ]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def runs(block: Block) -> bool:
    """Tell whether something runs this block."""
    if block.kind == "python":
        return bool(doctest.DocTestParser().get_examples(block.text))
    if block.kind == "console":
        commands = [command for command, _ in commands_of(block.text)]
        return bool(commands) and all(command[0] == "ancestral" for command in commands)
    return block.kind in ("csv", "{code-cell} python")


def commands_of(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each command of a console, as its words, with what it printed."""
    for example in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = example.replace("\\\n", "").partition("\n")
        yield shlex.split(command), printed


def options_and_code(cell: str) -> tuple[str, str]:
    """Return the options of a cell, and its code on the same lines."""
    lines = cell.split("\n")
    if lines[0] == "---":
        n = lines.index("---", 1) + 1
    else:
        n = next((i for i, line in enumerate(lines) if not line.startswith(":")), len(lines))
    return " ".join(lines[:n]), "\n" * n + "\n".join(lines[n:])


def run_cell(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a cell as a notebook does: what its last line gives is shown."""
    import matplotlib.pyplot as plt

    tags, code = options_and_code(block.text)
    tree = ast.parse("\n" * (block.line - 1) + code, str(page))
    plt.close("all")  # a picture counts for the cell that draws it
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    try:
        exec(compile(tree, str(page), "exec"), names)
        given = None if last is None else eval(compile(last, str(page), "eval"), names)
        repr(given)
    except Exception:
        if "raises-exception" not in tags:
            raise
    else:
        assert "raises-exception" not in tags, f"{page}:{block.line} raises nothing"
        if "alt:" in tags:
            assert is_picture(given), f"{page}:{block.line} shows no picture"


def is_picture(given: Any) -> bool:
    """Tell whether a notebook shows a picture: what a cell gives, or the figures it leaves open."""
    import matplotlib.pyplot as plt

    return bool(plt.get_fignums()) or hasattr(given, "_repr_png_")


def run_prompts(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run what follows each prompt, and compare what it gives with what is shown."""
    parser, runner, said = (
        doctest.DocTestParser(),
        doctest.DocTestRunner(ShownDigits()),
        list[str](),
    )
    test = parser.get_doctest(block.text, {}, name_of(page), str(page), block.line - 1)
    test.globs = names
    runner.optionflags = FLAGS
    runner.run(test, out=said.append, clear_globs=False)
    if said:
        pytest.fail("".join(said), pytrace=False)


def run_console(block: Block) -> None:
    """Run the commands of a console in this process, and compare what they print."""
    for (program, *arguments), wanted in commands_of(block.text):
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            cli.main(arguments)
        printed = err.getvalue() + out.getvalue()
        place = f"line {block.line}: {program} {shlex.join(arguments)}\n{printed}"
        assert (end.value.code or 0) == (1 if wanted.startswith("ancestral: ") else 0), place
        if wanted.strip():  # some pages show the command alone
            assert doctest.OutputChecker().check_output(wanted, printed, FLAGS), place


def run_page(page: Path) -> None:
    """Run a page from its first block to its last, in the working folder: warnings are errors."""
    missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the pages need {', '.join(missing)}")
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    text, names = page.read_text("utf-8"), {"__name__": "__main__"}
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", SHORT)
        plt.switch_backend("agg")
        for block in blocks(page):
            if block.marked or not runs(block):
                continue
            if block.kind == "{code-cell} python":
                run_cell(block, page, names)
            elif block.kind == "python":
                run_prompts(block, page, names)
            elif block.kind == "console":
                run_console(block)
            elif block.kind == "csv":
                name = re.findall(r"`([\w-]+\.csv)`", text[: block.start])[-1]
                Path(name).write_text(block.text, "utf-8")
        plt.close("all")


RUN_HERE = [page for page in PAGES if any(runs(b) and not b.marked for b in blocks(page))]


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_a_page_runs_from_its_first_block_to_its_last(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who copies every block gets what the page shows."""
    monkeypatch.chdir(tmp_path)
    run_page(page)


def names_in(code: str) -> tuple[set[str], set[str], set[str]]:
    """Return the global names that code assigns, imports, and uses without binding them."""
    top = symtable.symtable(code, "page", "exec")
    assigned = {s.get_name() for s in top.get_symbols() if s.is_assigned()}
    imported = {s.get_name() for s in top.get_symbols() if s.is_imported()}
    used, waiting = (
        {s.get_name() for s in top.get_symbols() if s.is_referenced()},
        top.get_children(),
    )
    while waiting:
        part = waiting.pop()
        used |= {s.get_name() for s in part.get_symbols() if s.is_global()}
        waiting += part.get_children()
    return assigned - imported, imported, used - assigned - imported


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_a_cell_uses_no_name_of_a_block_with_prompts(page: Path) -> None:
    """The site runs the cells alone: what it draws is what a reader gets who copies every block."""
    own, lent = set[str](), dict[str, int]()
    for block in blocks(page):
        if block.kind == "{code-cell} python":
            assigned, imported, used = names_in(options_and_code(block.text)[1])
            found = {name: lent[name] for name in used if name in lent}
            assert not found, f"{name_of(page)}:{block.line} uses names of blocks at lines {found}"
            own |= assigned | imported
            lent = {name: line for name, line in lent.items() if name not in own}
        elif block.kind == "python":
            for example in doctest.DocTestParser().get_examples(block.text):
                assigned, imported, _ = names_in(example.source)
                lent |= dict.fromkeys(assigned | (imported - own), block.line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_does_not_run_is_marked_and_counted(page: Path) -> None:
    for block in blocks(page):
        place = f"{name_of(page)}:{block.line}"
        assert not (block.marked and block.kind in ("csv", "python")), f"{place} runs"
        if not (block.marked or runs(block)):
            assert block.kind.split(" ")[0] in SHOWN, f"{place}: mark it, <!-- not run: why -->"
    n_marked = sum(block.marked for block in blocks(page))
    assert n_marked == NOT_RUN.get(name_of(page), 0)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_stand_between_fences(page: Path) -> None:
    """A block that is only indented is a formula, or code that a test of its own reads."""
    text = FENCE.sub("", page.read_text("utf-8"))
    stray = [block for block in INDENTED.findall(text) if COMMAND.match(block)]
    assert not stray, stray

"""Starting up: `import ancestral` and `ancestral --help`, each in a new process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.timing import Row, Timer

PEER = "import sklearn"
CASES = (  # what, the arguments of a new interpreter, the most seconds it may take
    ("import ancestral", ("-c", "import ancestral"), 0.3),
    ("ancestral --help", ("-c", "from ancestral.cli.commands import main; main(['--help'])"), 0.5),
)


def rows(timer: Timer) -> Iterator[Row]:
    """Time whole processes: the interpreter's own start is part of each."""
    for case, arguments, limit in CASES:
        row = timer.race(
            case, lambda a=arguments: run(*a), PEER, lambda: run("-c", "import sklearn")
        )
        verdict = "met" if row.ours < limit else "MISSED"
        yield replace(row, note=f"limit {limit:g} s: {verdict}")


def run(*arguments: str) -> None:
    """Run the interpreter; its output is thrown away, its failure is not."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

"""Every example of the gallery runs as its reader would run it, and draws what it promises."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).resolve().parents[1] / "examples" / "gallery"
EXTENSIONS = GALLERY.parents[1] / "docs" / "_ext"
EXAMPLES = sorted(GALLERY.rglob("*.py"))
LEAST = 20
MOST_LINES = 80  # of an example: one idea

# The example's figures are looked at when it ends: each must say what it shows, also to those who
# hear the page, and name its axes.
RUN = """
import runpy, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
plt.show = lambda *_, **__: None
sys.path.insert(0, sys.argv[2])
from figures import figures_of, words_of
figures = figures_of(runpy.run_path(sys.argv[1], run_name="__main__"))
for figure in figures:
    figure.canvas.draw()
    for ax in figure.axes:
        is_plot = ax.axison and ax.get_label() != "<colorbar>" and ax.has_data()
        if is_plot and not (ax.get_xlabel() or ax.get_ylabel()):
            sys.exit(f"axes without a name of either axis: {ax.get_title()!r}")
    if not words_of(figure):
        sys.exit("a figure without a title")
sys.exit(None if figures else "no figure")
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(GALLERY))


def test_there_are_enough() -> None:
    assert len(EXAMPLES) >= LEAST


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_an_example_runs_without_a_warning_and_draws(path: Path, tmp_path: Path) -> None:
    for module in modules_of(path):
        pytest.importorskip(module)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            RUN,
            str(path),
            str(EXTENSIONS),
        ],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_an_example_is_one_idea_with_a_title(path: Path) -> None:
    text = path.read_text("utf-8")
    title, line, blank, *_ = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert set(line) == {"="} and len(line) == len(title) and not blank
    assert len(text.splitlines()) <= MOST_LINES


def modules_of(path: Path) -> set[str]:
    """Return what an example imports, at its top or within, and the faces' package."""
    text = path.read_text("utf-8")
    nodes = ast.walk(ast.parse(text))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return (
        found
        | ({"skimage"} if "faces()" in text else set())
        | ({"torch"} if "LSTM" in text else set())
    )

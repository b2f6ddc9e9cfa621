"""Every example runs as its reader would run it, without a warning, and shows what it promises."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ancestral

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TASKS = sorted((EXAMPLES / "tasks").iterdir())
PROGRAMS = [path for path in TASKS if path.suffix == ".py"]
SCRIPTS = [path for path in TASKS if path.suffix == ".sh"]

# What stands in a program, and the optional package that it is for.
NEEDS = {
    "LSTM": "torch",
    "faces()": "skimage",
    "viz": "matplotlib",
    "parquet": "pyarrow",
    "as pa": "pyarrow",
    "polars": "polars",
    "pandas": "pandas",
    "as_frame": "pandas",
}


def output_of(name: str, *arguments: str) -> str:
    """Run one example in a new process and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def numbers_after(text: str, label: str) -> list[float]:
    """Return the numbers on the line that holds `label`, after it."""
    line = next(line for line in text.splitlines() if label in line)
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", line.split(label, 1)[1])]


def test_tables_draw_icons_that_end_as_given() -> None:
    text = output_of("icons_by_tables.py")
    assert "entropy 5 bits" in text
    given, *drawn = text.splitlines()[-2].split()  # the bottom row of all
    assert len(drawn) == 6 and set(drawn) == {given}


def test_the_lstm_ends_within_a_hundredth_of_its_floor() -> None:
    pytest.importorskip("torch", reason="PyTorch is an extra")
    text = output_of("icons_by_lstm.py")
    last = text.split("\n\n")[1].splitlines()[-1]
    assert float(last.split()[-1]) <= 0.01
    # By Jensen's inequality all icons together have probability exp(-KL) or more: 99%. In 100,000
    # draws a share that is one point lower has no chance to speak of.
    assert numbers_after(text, "draws,")[0] > 98


def test_half_a_face_says_something_of_the_other_half() -> None:
    pytest.importorskip("skimage", reason="the faces come with scikit-image")
    error, blind = numbers_after(output_of("faces_by_ppca.py"), "error per pixel")
    assert error < blind


def test_both_solvers_climb_to_the_same_top() -> None:
    text = output_of("classrooms.py")
    newton, ascent = (numbers_after(text, solver) for solver in ("newton", "gradient_ascent"))
    assert newton[:-1] == pytest.approx(ascent[:-1], rel=1e-4)
    data, drawn = numbers_after(text, "data  ")[0], numbers_after(text, "drawn  ")[0]
    assert drawn == pytest.approx(data, rel=0.05)


def test_the_line_says_how_sure_it_is() -> None:
    text = output_of("diabetes_line.py")
    assert numbers_after(text, "bmi")[2] > 5  # t: body mass index matters
    assert "in the 80% intervals" in text


def test_no_example_is_left_out() -> None:
    source = Path(__file__).read_text("utf-8")
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(re.findall(r'output_of\("(.+?)"', source))


# ---- ordinary tasks ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_task_runs_as_it_was_typed(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In an empty folder, without a warning: they are errors here."""
    text = path.read_text("utf-8")
    for word, module in NEEDS.items():
        if word in text:
            pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr()
    assert said.out.strip() and not said.err


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_task_runs_from_the_shell(path: Path, tmp_path: Path) -> None:
    """In an empty folder, with the commands of this environment and the code of this tree."""
    commands = str(Path(sys.executable).parent)
    if shutil.which("sh") is None or shutil.which("ancestral", path=commands) is None:
        pytest.skip("no shell, or `ancestral` is not installed as a command")
    source = os.pathsep.join([str(EXAMPLES.parent / "src"), os.environ.get("PYTHONPATH", "")])
    found = os.pathsep.join([commands, os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-eu", str(path)],
        cwd=tmp_path,
        env={**os.environ, "PATH": found, "PYTHONPATH": source},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout and "warning:" not in done.stderr


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.name)
def test_a_task_says_what_it_is_for_in_its_first_line(path: Path) -> None:
    assert path in PROGRAMS + SCRIPTS
    assert re.match(r"# [A-Z].*[.?]$", path.read_text("utf-8").splitlines()[0])


def test_four_tables_are_asked_filled_and_drawn(data: Path) -> None:
    """One of the four; each is shown by the same functions."""
    text = output_of("mixed_tables.py", str(data / "mixed"), "penguins")
    assert text.startswith("\npenguins: 344 rows, 19 gaps; ")
    tree, apart = (numbers_after(text, name)[0] for name in ("tree  ", "independent columns  "))
    assert tree > apart + 2  # nats a row
    assert "gaps filled, with 90% intervals:\n  row 3, bill_length_mm: " in text
    assert "2,000 rows drawn given {'species': 'Chinstrap'" in text
    assert "the share of copies" in text


def test_a_table_without_gaps_has_a_cell_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    pd = pytest.importorskip("pandas")
    example = runpy.run_path(str(EXAMPLES / "mixed_tables.py"))
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=80), "b": rng.choice(["x", "y"], 80)})
    model = ancestral.LatentTree(2, 1, n_sweeps=3, random_state=0).fit(table)
    example["fill"](model, table)
    assert re.search(r"  row 0, a: -?[\d.]+, \[.+ .+\]\n$", capsys.readouterr().out)

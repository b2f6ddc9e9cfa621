"""Every example runs as its reader would run it, without a warning, and shows what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def output_of(name: str) -> str:
    """Run one example in a new process and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
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

"""Every benchmark can be rehearsed: tiny data, one repeat. Nothing is timed here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from benchmarks import __main__ as benchmarks
from benchmarks.timing import Timer, as_time


@pytest.mark.parametrize("name", benchmarks.names())
def test_each_can_be_rehearsed(name: str) -> None:
    title, rows = benchmarks.benchmark(name)
    found = list(rows(Timer(tiny=True)))
    assert title.endswith(".") and found
    for row in found:
        assert row.case and row.peer and 0 < row.ratio < math.inf
    cases = [(row.case, row.peer) for row in found]
    assert len(set(cases)) == len(cases)


def test_the_page_lists_them_all() -> None:
    page = (Path(benchmarks.__file__).parent / "README.md").read_text("utf-8")
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert listed == benchmarks.names()


def test_the_program_prints_the_machine_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["moments", "--tiny"]) == 0
    text = capsys.readouterr().out
    for word in (
        "Measured on",
        "cores",
        "Python",
        "numpy",
        "threads",
        "X.T @ X",
        "peer/ours",
        "mean nothing",
    ):
        assert word in text


def test_an_unknown_name_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["momets"]) == 2
    assert "no benchmark 'momets'; there are" in capsys.readouterr().err


def test_repeats_are_interleaved_and_warm() -> None:
    order: list[str] = []
    row = Timer(repeats=3, least=0.0).race(
        "case", lambda: order.append("ours"), "peer", lambda: order.append("theirs")
    )
    # Two calls of each to warm up, then pairs in alternating order.
    assert "".join(side[0] for side in order) == "oott" + "ot" + "to" + "ot"
    assert row.ratio == row.theirs / row.ours


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (3.214e-3, "3.21 ms"), (4e-5, "40 µs"), (7e-8, "70 ns")]
)
def test_times_have_the_unit_that_suits(seconds: float, text: str) -> None:
    assert as_time(seconds) == text

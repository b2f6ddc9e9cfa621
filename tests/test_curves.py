"""Curves: what is judged of times, on times that are made up; nothing is timed here.

That every curve runs, and that its peers return what ours does, is the rehearsal's in
`test_benchmarks.py`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from benchmarks import __main__ as benchmarks
from benchmarks.curves import FAMILIES
from benchmarks.curves.curve import FLOOR, OURS, Aim, Curve, Line, Point, Tasks, finite
from benchmarks.curves.judge import cliffs, markdown, verdicts
from benchmarks.curves.measure import Plan, lines

from ancestral import _catalogue

SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)


def line(
    ours: Callable[[int], float], *, peer: Callable[[int], float] | None = None, aims: tuple = ()
) -> Line:
    """Return a line whose times are functions of the size; its floor is linear."""
    points = []
    for n in SIZES:
        times = {OURS: ours(n), FLOOR: 1e-8 * n} | ({"peer": peer(n)} if peer else {})
        points.append(Point(n, {name: (t, t) for name, t in times.items()}))
    return Line(
        "fits", "Model", "fit", 0, "columns", "rows", "a pass", 1.0, aims, "", tuple(points)
    )


def smooth(n: int) -> float:
    return 1e-4 + 1e-6 * n


def test_a_smooth_curve_has_no_cliffs() -> None:
    for power in (0.0, 0.5, 1.0):
        assert not cliffs(line(lambda n, p=power: 1e-4 + 1e-6 * n**p))


def test_a_fall_by_more_than_a_third_is_a_cliff() -> None:
    found = cliffs(line(lambda n: smooth(n) * (1.0 if n < 1_000 else 0.2)))
    assert [(c.before, c.after, c.falls) for c in found] == [(300, 1_000, True)]
    assert not cliffs(line(lambda n: 1e-4 * (1.0 if n < 1_000 else 0.7)))


@pytest.mark.parametrize("shape", [smooth, lambda n: 1e-3, lambda n: 1e-6 * n])
def test_a_jump_beyond_what_the_neighbours_explain_is_a_cliff(shape: Callable) -> None:
    found = cliffs(line(lambda n: shape(n) * (1.0 if n < 300 else 4.0)))
    assert [(c.before, c.after, c.falls) for c in found] == [(100, 300, False)]
    assert found[0].times > 2
    assert not cliffs(line(lambda n: shape(n) * (1.0 if n < 300 else 1.5)))


def test_a_step_that_the_peer_takes_too_is_the_machines() -> None:
    def stepped(n: int) -> float:
        return smooth(n) * (1.0 if n < 300 else 4.0)

    assert not cliffs(line(stepped, peer=stepped))
    assert cliffs(line(stepped, peer=smooth))


def test_aims_hold_at_the_sizes_they_name() -> None:
    aims = (
        Aim("peer", 1.0),
        Aim("peer", 2.0, since=1_000),
        Aim("peer", 3.0, until=30),
        Aim("", seconds=1e-3, until=10),
    )
    ours = line(lambda n: 1e-3, peer=lambda n: 1e-3 if n < 1_000 else 4e-3, aims=aims)
    met = [(v.worst, v.point.size, v.met) for v in verdicts([ours])]
    assert met == [(1.0, 10, True), (4.0, 1_000, True), (1.0, 10, False), (1e-3, 10, True)]


def test_numbers_are_sizes_times_the_width() -> None:
    aim = (Aim("peer", 2.0, since=1e4, by_numbers=True),)
    ours = line(lambda n: 1e-3, peer=lambda n: 1e-6 * n, aims=aim)
    (verdict,) = verdicts([replace(ours, width=100)])
    assert verdict.point.size == 100


def test_the_tables_say_what_is_missed_and_leave_a_place_for_the_reason() -> None:
    missed = line(smooth, peer=lambda n: smooth(n) / 3, aims=(Aim("peer", 1.0),))
    text = "\n".join(markdown([missed]))
    assert "| `Model`, fit | peer | 1 times | 0.33 | " in text
    assert "| **no** (1) |" in text
    assert "\n1. `Model` fit: reason to be written.\n" in text
    assert "No jumps" in text


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    before = line(smooth, peer=smooth, aims=(Aim("peer", 1.0, since=100),))
    stored = json.loads(json.dumps(finite(asdict(before))))
    assert Line.of_json(stored) == before


def test_sheets_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.curves.figure import sheets

    each = line(smooth, peer=lambda n: 2 * smooth(n), aims=(Aim("peer", 1.0, since=100),))
    alone = replace(line(lambda n: 1e-3), model="Other")
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (path,) = sheets([each, alone], folder)
        assert path.name == "speed_curves_fits.svg"
    assert (one / path.name).read_bytes() == (two / path.name).read_bytes()


def test_slow_peers_are_left_out_and_grids_kept_to_their_range() -> None:
    """A curve of made-up tasks: the peer's time is read from a clock that we turn."""
    seen: list[tuple[int, int]] = []

    def make(n: int, d: int) -> Tasks:
        seen.append((n, d))
        return Tasks(lambda: n, {"peer": lambda: n})

    curve = Curve("Model", "fit", make, (10, 1_000), "nothing", (1, 5))
    plan = Plan(budget=0.0, sizes=(2, 70, 20, 5_000), widths=(3, 9))
    (found,) = lines(curve, "fits", plan, lambda line: None)
    assert [point.size for point in found.points] == [20, 70]
    assert set(seen) == {(20, 3), (70, 3)}


def test_every_model_has_curves_of_fit_score_and_draws() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("models that are networks have no curves without torch")
    works = {
        (curve.model, curve.work.split(",")[0].split("(")[0])
        for family in ("fits", "gaussian", "autoregressive", "circuit", "graphs")
        for curve in FAMILIES[family]
    }
    for entry in _catalogue.MODELS:
        if entry.module.startswith("ancestral."):
            assert {(entry.name, work) for work in ("fit", "log_density", "sample")} <= works


def test_options_of_curves_go_with_curves(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["ppca", "--sizes", "20,70"]) == 2
    assert "--sizes goes with" in capsys.readouterr().err
    assert benchmarks.main(["curves", "--tiny", "--only", "nonesuch"]) == 2
    assert "nonesuch" in capsys.readouterr().err


def test_one_command_measures_keeps_draws_and_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    kept = tmp_path / "curves.json"
    command = ["curves", "--tiny", "--only", "ppca: fit,ppca: transform", "--json", str(kept)]
    assert benchmarks.main([*command, "--figures", str(tmp_path), "--markdown"]) == 0
    measured = capsys.readouterr().out
    assert "| `PPCA`, fit | PCA |" in measured
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert drawn == ["speed_curves_fits.svg", "speed_curves_gaussian.svg"]
    assert benchmarks.main(["curves", "--from", str(kept), "--markdown"]) == 0
    assert capsys.readouterr().out == measured

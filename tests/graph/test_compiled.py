"""Loops over graphs with numba and without it, and numba's cache in every state it may be in."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import pickle
import re
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ancestral import AncestralWarning, InnerProductGraph
from ancestral.graph import compiled
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.pairs.gather import gather, refuse_many_pairs, visit
from ancestral.graph.pairs.grid import Cells
from ancestral.graph.pairs.passes import Edges, pass_over
from tests.graph.conftest import without_numba
from tests.graph.pairs.test_sums import grid_sums, huge, make_graph

SAME = 1e-12  # relative: what both forms of a sum may differ by


def both(task: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what a task gives with numba and without it."""
    pytest.importorskip("numba", reason='needs numba: pip install "ancestral[large]"')
    with pytest.MonkeyPatch.context() as patch:
        without_numba(patch)
        blocked = task()
    return task(), blocked


# ---- with numba and without it -----------------------------------------------------------------


@pytest.mark.parametrize("at", [None, (30.0, -20.0)])
@pytest.mark.parametrize("m", [1, 3, 30])
def test_sums_are_the_same(m: int, at: tuple[float, float] | None) -> None:
    graph = make_graph(1_300, m, slope=3.0, intercept=-4.0)
    one, two = both(lambda: visit([graph], at=at))
    for a, b in [(1.0, -2.0), (3.0, -4.0), (30.0, -20.0)]:
        np.testing.assert_allclose(grid_sums(two, a, b), grid_sums(one, a, b), rtol=SAME)
    ends = [
        [
            s.extremes.low_edge,
            s.extremes.high_edge,
            s.extremes.low_unlinked,
            s.extremes.high_unlinked,
        ]
        for s in (one, two)
    ]
    np.testing.assert_allclose(ends[1], ends[0], rtol=SAME)


def test_sums_over_heavy_tails_and_with_weights_are_the_same() -> None:
    rng = np.random.default_rng(0)
    X, w = rng.standard_t(1.2, (900, 2)), rng.normal(size=900)
    s = (X @ X.T)[np.triu_indices(900, 1)]
    cells = Cells.over(s.min(), s.max(), s)
    assert cells.further > 5
    for weights in (None, w):
        one, two = both(lambda: pass_over(X, cells, weights=weights)[0])  # noqa: B023
        loads = [cells.node_weights(moments) for moments in (one, two)]
        size = np.abs(loads[0]).sum()
        for f in (np.cos(cells.nodes), expit(cells.nodes), 1 / (1 + cells.nodes**2)):
            assert loads[1] @ f == pytest.approx(loads[0] @ f, abs=SAME * size)


def test_edges_are_the_same() -> None:
    graph = make_graph(700, slope=4.0, intercept=-6.0)
    i, j = np.triu_indices(700, 1)
    (one, held), (two, found) = both(lambda: (e := Edges.of(graph), e.hold(i, j)))
    np.testing.assert_array_equal(two.starts, one.starts)
    np.testing.assert_array_equal(two.ends, one.ends)
    np.testing.assert_allclose(two.s, one.s, rtol=SAME, atol=SAME)
    np.testing.assert_array_equal(found, held)
    np.testing.assert_array_equal(held, graph.to_dense()[i, j] == 1)


def test_a_fit_is_the_same_where_numba_cannot_be_imported() -> None:
    """In a process of its own, where nothing has seen numba; the whole model, not only its sums."""
    script = (
        "import sys, json, numpy as np\n"
        "sys.modules['numba'] = None\n"
        "from tests.graph.pairs.test_sums import make_graph\n"
        "from ancestral import InnerProductGraph\n"
        "from ancestral.graph.fit_checks import check_fit\n"
        "graph = make_graph(1_500, slope=4.0, intercept=-6.0)\n"
        "model = InnerProductGraph().fit([graph])\n"
        "(drawn,) = model.sample(1, n_nodes=2_500, random_state=0)\n"
        "check_fit(model, [graph], n_draws=20, random_state=0)\n"
        "print(json.dumps([model.slope_, model.intercept_, *model.standard_errors_,\n"
        "                  model.score([graph]), drawn.n_edges]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    *found, n_edges = json.loads(done.stdout)
    graph = make_graph(1_500, slope=4.0, intercept=-6.0)
    model = InnerProductGraph().fit([graph])
    wanted = [model.slope_, model.intercept_, *model.standard_errors_, model.score([graph])]
    np.testing.assert_allclose(found, wanted, rtol=SAME)
    assert n_edges > 10_000


def test_a_small_fit_notes_the_absence_of_numba_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_numba(monkeypatch)
    X = np.random.default_rng(0).uniform(-1, 1, (800, 2))
    with caplog.at_level(logging.INFO, "ancestral"):
        visit([make_graph(800)])
        sample_edges(X, 3.0, -5.0, random_state=0)
        visit([make_graph(800)])
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "numba is not installed: loops over graphs run in NumPy" in record.getMessage()


def test_a_large_fit_warns_of_the_absence_of_numba_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_numba(monkeypatch)
    monkeypatch.setattr(compiled, "MATTERS", 1e-4)
    caplog.set_level(logging.INFO, "ancestral")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            gather([make_graph(800)], pairs="visited")
    (warning,) = caught
    assert warning.category is AncestralWarning
    assert re.search("numba is not installed.* seconds longer", str(warning.message))
    assert not caplog.records


def test_refusals_reckon_with_the_absence_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    def minutes() -> int:
        with pytest.raises(Exception, match="minutes to visit") as raised:
            refuse_many_pairs([huge(1_000_000, 5)])
        return int(str(raised.value).split(" minutes")[0].rpartition(" ")[2])

    compiled_minutes = minutes() if compiled.numba() else None
    without_numba(monkeypatch)
    assert compiled_minutes is None or minutes() > 2 * compiled_minutes


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (None, "not installed .*ancestral.large"),
        ("raise ImportError('Numba needs NumPy 1.0 or less')", "cannot be loaded .*NumPy 1.0"),
        ("class config: DISABLE_JIT = 1", "turned off by NUMBA_DISABLE_JIT"),
        ("class config: DISABLE_JIT = 0", ""),
    ],
)
def test_why_there_is_no_numba(
    package: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)  # and what stood there comes back
    if package is not None:
        del sys.modules["numba"]
        (tmp_path / "numba.py").write_text(package)
        monkeypatch.syspath_prepend(tmp_path)
    found, reason = compiled._numba.__wrapped__()
    assert (found is None) == bool(why)
    assert re.search(why, reason)


# ---- numba's cache -----------------------------------------------------------------------------

LOOP = """
from ancestral.graph.compiled import compiled

@compiled()
def _squared(x):
    return x * x

@compiled(otherwise=lambda n: -1.0)
def squares(n):
    total = 0.0
    for k in range(n):
        total += _squared(k)
    return total

@compiled(otherwise=lambda n: -1)
def triangle(n):
    total = 0
    for k in range(n):
        total += k
    return total
"""


class Loops:
    """A file of loops whose cache is kept in a folder, and what was said of that."""

    def __init__(self, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.source, self.cache, self.caplog = folder / "some_loops.py", cache, caplog
        self.source.write_text(LOOP)

    def run(self) -> list[str]:
        """Load and run the loops as a new process would; return what was said."""
        compiled._said.clear()
        self.caplog.clear()
        spec = importlib.util.spec_from_file_location("some_loops", self.source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with self.caplog.at_level(logging.INFO, "ancestral"):
            assert module.squares(5) == 30.0
            assert module.triangle(5) == 10
        assert all(record.levelno == logging.INFO for record in self.caplog.records)
        return [record.getMessage() for record in self.caplog.records]

    def files(self, kind: str) -> list[Path]:
        """The index files (nbi) or the files of machine code (nbc)."""
        return sorted(self.cache.rglob(f"*.{kind}"))


@pytest.fixture
def cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Loops:
    numba = pytest.importorskip("numba", reason='needs numba: pip install "ancestral[large]"')
    monkeypatch.setattr(compiled, "_said", set())
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    caplog.set_level(logging.INFO, "ancestral")
    return Loops(tmp_path, tmp_path / "cache", caplog)


def test_what_was_compiled_is_kept_and_found_again(cached: Loops) -> None:
    assert cached.run() == []
    assert len(cached.files("nbc")) == len(cached.files("nbi")) == 2  # parts of loops have none
    before = {path: path.stat().st_mtime_ns for path in cached.files("nb?")}
    assert cached.run() == []
    assert {path: path.stat().st_mtime_ns for path in cached.files("nb?")} == before


def as_directory(path: Path) -> None:
    path.unlink()
    (path / "held").mkdir(parents=True)


def flipped(path: Path) -> None:
    """Change one bit in the middle: of machine code it would be run as it is."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_source(path: Path) -> None:
    """Whole, but sealed for other source: what a full disk leaves beside a new index."""
    seal, code = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps((bytes(reversed(seal)), code)))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "cut to a few bytes": lambda path: path.write_bytes(path.read_bytes()[:3]),
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(4_000)),
    "text": lambda path: path.write_text("no pickle\n" * 99),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "another pickle": lambda path: path.write_bytes(pickle.dumps([1, "two"])),
}


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("how", DAMAGE)
def test_t8_a_damaged_cache_is_replaced(cached: Loops, kind: str, how: str) -> None:
    cached.run()
    for path in cached.files(kind):
        DAMAGE[how](path)
    said = cached.run()
    quiet = kind == "nbi" and how == "another pickle"  # to numba, an index of another version
    assert [("numba's cache is of no use" in line) for line in said] == [True] * (not quiet)
    assert cached.run() == []


@pytest.mark.parametrize("how", [flipped, of_another_source])
def test_t8_changed_machine_code_is_not_run(cached: Loops, how: Callable[[Path], None]) -> None:
    cached.run()
    for path in cached.files("nbc"):
        how(path)
    (said,) = cached.run()
    assert "its checksum is wrong" in said
    assert cached.run() == []


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_t8_a_directory_in_place_of_a_file(cached: Loops, kind: str) -> None:
    cached.run()
    for path in cached.files(kind):
        as_directory(path)
    for _ in range(2):
        (said,) = cached.run()
        assert "Is a directory" in said or "Directory not empty" in said


def test_t8_no_folder_can_be_written(cached: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands in place of every folder, which even root can't write in."""
    numba = pytest.importorskip("numba")
    (cached.source.parent / "__pycache__").write_text("")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(cached.source / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cached.source))
    monkeypatch.setenv("HOME", str(cached.source))
    (said,) = cached.run()
    assert "RuntimeError: cannot cache function" in said
    assert "NUMBA_CACHE_DIR" in said


@pytest.mark.parametrize("room", [0, 1_000])
def test_t8_a_full_disk(cached: Loops, room: int) -> None:
    """No file may grow beyond so many bytes: none at all, or the index alone is written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        (said,) = cached.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in said
    assert not cached.files("nbc")
    assert not list(cached.cache.rglob("*.tmp.*"))
    assert cached.run() == []  # room again: kept from now on
    assert len(cached.files("nbc")) == 2


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702, None])
def test_t8_a_folder_of_others_is_left_alone(cached: Loops, mode: int | None) -> None:
    """Who may write there could run code here; so nothing is read from it, and nothing written."""
    cached.run()
    (folder,) = cached.cache.iterdir()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    if mode is None:
        if os.geteuid():
            pytest.skip("only root can give a folder to another user")
        os.chown(folder, 12345, 12345)
    else:
        folder.chmod(mode)
    for path in cached.files("nb?"):
        flipped(path)
    flips = {path: path.read_bytes() for path in folder.iterdir()}
    (said,) = cached.run()
    assert f"others may write in {folder}" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == flips != before


def test_the_folder_beside_the_source_is_as_safe_as_bytecode(
    cached: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytest.importorskip("numba").config, "CACHE_DIR", "")
    cached.run()
    beside = cached.source.parent / "__pycache__"
    assert list(beside.glob("*.nbc"))
    beside.chmod(0o777)
    assert cached.run() == []


def test_a_numba_that_keeps_otherwise_is_used_without_its_cache(
    cached: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ancestral.graph.kernel_cache", None)
    (said,) = cached.run()
    assert "numba's cache is of no use" in said
    assert not cached.cache.exists()

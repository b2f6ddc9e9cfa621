"""Every entrance meets every bad path alike: one error that names it, and no wait."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import io, streaming
from ancestral.bench import bench_debd
from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.inputs import find_sources
from ancestral.report.build import build_report
from ancestral.report.folder import folder_in_place
from ancestral.training.checkpoints import Checkpoints
from tests.trust.guard import refused

X = np.random.default_rng(0).normal(size=(40, 2))
PPCA = ancestral.PPCA(1).fit(X)
GRAPHS = [(np.ones((3, 1)), np.zeros((3, 3)))]


def _enter(path: Any) -> None:
    with Checkpoints(path, {}):
        pass


def _nodes(path: Any) -> Any:
    edges = Path("edges.csv")
    edges.write_text("a,b\n")
    return io.read_edge_list(edges, path)


def _shelf(path: Any) -> Any:
    pytest.importorskip("starlette", reason="starlette is an extra")
    from ancestral.studio.shelf import Shelf

    return Shelf.of([path])


def _page(path: Any) -> Any:
    pytest.importorskip("starlette", reason="starlette is an extra")
    from ancestral.studio.bundle import export_page
    from ancestral.studio.shelf import Shelf

    return export_page(Shelf(), path)


def _report(path: Any) -> Any:
    pytest.importorskip("typst", reason="typst is an extra")
    return build_report(Path("folder"), path)


def _folder(path: Any) -> None:
    with folder_in_place(path, kind="report"):
        pass


def _dask(source: Any, model: Any = None) -> Any:
    pytest.importorskip("dask", reason="dask is an extra")
    return streaming.fit_dask(model or ancestral.PPCA(1), source)


Entrance = Callable[[Any], Any]
READERS: dict[str, Entrance] = {
    "load": ancestral.load,
    "read_array": io.read_array,
    "read_columns": io.read_columns,
    "read_tables": io.read_tables,
    "read_graphs": io.read_graphs,
    "read_pairs": io.read_pairs,
    "read_edge_list, edges": lambda path: io.read_edge_list(path, path),
    "read_edge_list, nodes": _nodes,
    "read_chunks": lambda path: list(streaming.read_chunks(path)),
    "source_of_paths": streaming.source_of_paths,
    "graph_by_blocks, nodes": lambda path: streaming.graph_by_blocks(path, [X[:, :2]]),
    "graph_by_blocks, links": lambda path: streaming.graph_by_blocks(X, path),
    "source_of_paths, a list": lambda path: streaming.source_of_paths([path]),
    "fit_chunks": lambda path: streaming.fit_chunks(ancestral.PPCA(1), path),
    "fit_dask": _dask,
    "fit_dask, a list": lambda path: _dask([path]),
    "fit_dask, X and y": lambda path: _dask((path, path), ancestral.LinearGaussian()),
    "the studio's shelf": _shelf,
    "bench": lambda path: list(bench_debd([path])),
}
FOLDERS: dict[str, Entrance] = {
    "a report's sources": find_sources,
    "a report's data": lambda path: build_report(path, Path("new")),
}
WRITERS: dict[str, Entrance] = {
    "save": PPCA.save,
    "write_array": lambda path: io.write_array(path, X),
    "write_graphs": lambda path: io.write_graphs(path, GRAPHS),
    "part by part": lambda path: streaming.sample(PPCA, 3, path),
    "checkpoints": _enter,
    "the studio's page": _page,
}
PLACES: dict[str, Entrance] = {  # which are made where they are missing
    "a report": _report,
    "a report's folder": _folder,
}
# Keys say what is wrong; {} stands for an ending that the entrance takes.
NAMES: dict[str, Any] = {
    "a name of 300 characters": "n" * 300 + "{}",
    "a path of 8,000 characters": "/".join(["d" * 200] * 40) + "{}",
    "NUL": "a\0b{}",
    "half a character": "a\ud800{}",
    "empty": "",
    "None": None,
    "a number": 7,
    "an object": object(),
    "bytes": b"x",
    "in a closed folder": "closed/a{}",
    "in a file": "file/a{}",
    "a pipe": "pipe",
    "a socket": "socket",
    "a device": "/dev/zero",
    "the null device": "/dev/null",
    "a link to itself": "loop",
}
READ_ONLY: dict[str, Any] = {
    "absent": "none{}",
    "in no folder": "none/a{}",
    "a link that leads nowhere": "nowhere",
    "an empty file": "empty",
    "a closed file": "unreadable.npy",
    "an empty folder": "folder",
    "a closed folder": "closed",
}
ENDINGS = (".npy", ".npz", ".csv", "")


@contextmanager
def obeying_permissions() -> Iterator[None]:
    """Take the right to overlook permissions from this thread, which root has."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root's rights are dropped by a call of Linux")
    head, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None)
    assert system.capget(head, rights) == 0
    before = rights[0]
    rights[0] &= ~0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    assert system.capset(head, rights) == 0
    try:
        yield
    finally:
        rights[0] = before
        assert system.capset(head, rights) == 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with one of each odd thing in it; nobody may wait in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("closed", "folder"):
        Path(name).mkdir()
    Path("file").write_text("plain")
    Path("empty").touch()
    np.save("unreadable.npy", X)
    os.chmod("unreadable.npy", 0)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    os.symlink("gone", "nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    os.chmod("closed", 0)

    def waited(*_: object) -> None:
        raise AssertionError("the call waits")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    with obeying_permissions():
        yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    os.chmod("closed", 0o755)


def meets(entrance: Entrance, names: dict[str, Any]) -> None:
    """The entrance refuses each, in words that show the path's beginning."""
    for what, name in names.items():
        for ending in ENDINGS if isinstance(name, str) and "{}" in name else ("",):
            path = name.format(ending) if isinstance(name, str) else name
            forms = [path]
            if isinstance(path, str) and path:
                forms.append(Path(path))
            for form in forms:
                with pytest.raises(AncestralError) as caught:
                    entrance(form)
                if isinstance(form, str | Path):
                    shown = ascii(os.fspath(form))[1:-1][:4]
                    assert shown in str(caught.value), what


@pytest.mark.parametrize("name", READERS)
def test_t11_readers_refuse_every_bad_path(place: Path, name: str) -> None:
    meets(READERS[name], NAMES | READ_ONLY)


@pytest.mark.parametrize("name", FOLDERS)
def test_readers_of_folders_refuse_every_bad_path(place: Path, name: str) -> None:
    named = {what: path for what, path in (NAMES | READ_ONLY).items() if path is not None}
    meets(FOLDERS[name], named)


@pytest.mark.parametrize("name", WRITERS)
def test_t11_writers_refuse_every_bad_path(place: Path, name: str) -> None:
    before = sorted(os.listdir(place))
    meets(WRITERS[name], NAMES | {"in no folder": "none/a{}", "a closed folder": "closed"})
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize("name", PLACES)
def test_t11_reports_refuse_every_bad_place(place: Path, name: str) -> None:
    before = sorted(os.listdir(place))
    meets(PLACES[name], NAMES)
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize("command", ["inspect", "sample", "score", "fit", "studio", "bench"])
def test_the_command_line_says_one_line(
    place: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from ancestral.cli import commands as cli

    more = {"fit": ["-o", "m.model"], "score": ["file"], "sample": ["-n", "1"]}.get(command, [])
    first = {"fit": ["fit", "ppca"], "bench": ["bench", "debd"]}.get(command, [command])
    for name in (NAMES | READ_ONLY).values():
        if not isinstance(name, str) or {"\0", "\ud800"} & set(name):  # in no command line
            continue
        if command == "studio" and not name:  # click makes it ".", a folder to be served
            continue
        with pytest.raises(SystemExit) as end:
            cli.main([*first, name.format(".npy"), *more])
        said = capsys.readouterr().err
        assert end.value.code in (1, 2), name
        lines = [line for line in said.splitlines() if line.startswith("ancestral: ")]
        assert len(lines) == (end.value.code == 1), said
        assert "Traceback" not in said


def test_t11_headers_of_impossible_shapes_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in ((0, 2**62 - 1), (2**62 - 1, 0), (2**61, 2), (0, 2**40, 2**40), (2**31,) * 3):
        head = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
        head += b" " * (-(len(head) + 11) % 64) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        for read in (
            io.read_array,
            lambda path: list(streaming.read_chunks(path)),
            lambda path: streaming.fit_chunks(ancestral.PPCA(1), path),
        ):
            refused(lambda: read(path), r"a\.npy", kind=FormatError, memory=4 << 20)  # noqa: B023
    for shape in ((0, 5), (3, 0), (2**45, 0)):
        head = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
        refused(lambda: io.read_array(path), "empty", kind=DataError, memory=4 << 20)
        fit = lambda: streaming.fit_chunks(ancestral.PPCA(1), path)  # noqa: E731
        refused(fit, kind=AncestralError, memory=4 << 20)


def test_t11_a_file_that_is_swapped_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, X)
    parts = streaming.read_chunks(path, rows=10)
    np.testing.assert_array_equal(next(parts), X[:10])
    path.unlink()
    os.mkfifo(path)
    refused(lambda: list(parts), r"a\.npy", "named pipe")
    path.unlink()
    np.save(path, X[:12])
    refused(
        lambda: list(streaming.NpyTable(str(path), "<f8", 40, (2,), 128).read(0, 40)),
        r"a\.npy",
        "ended while being read",
    )


def test_t11_a_bag_holds_no_rows() -> None:
    bags = pytest.importorskip("dask.bag", reason="dask is an extra")
    for source in (bags.from_sequence([X, X]), (bags.from_sequence([X]),) * 2):
        model = ancestral.LinearGaussian() if isinstance(source, tuple) else ancestral.PPCA(1)
        refused(lambda: _dask(source, model), "Bag", "to_dataframe", kind=DataError)  # noqa: B023

"""The course's graphs, and a model fitted to simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ancestral import Graph, InnerProductGraph, read_graphs
from ancestral.graph import compiled
from tests.graph.simulated import some_graphs


@pytest.fixture(scope="module")
def classrooms(course: Path) -> list[Graph]:
    """The course's 100 graphs of 15 nodes."""
    return read_graphs(course / "classroom_graphs.pkl")


@pytest.fixture(scope="module")
def fitted() -> InnerProductGraph:
    return InnerProductGraph().fit(some_graphs(40))


@pytest.fixture(params=["numba", "numpy"])
def loops(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each form of the loops over graphs: what is asked of one is asked of the other."""
    if request.param == "numba":
        pytest.importorskip("numba", reason='needs numba: pip install "ancestral[large]"')
    else:
        without_numba(monkeypatch)
    return str(request.param)


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find no numba, and have said nothing of it."""
    monkeypatch.setattr(compiled, "_numba", lambda: (None, "numba is not installed"))
    monkeypatch.setattr(compiled, "_said", set())

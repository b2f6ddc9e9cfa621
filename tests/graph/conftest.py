"""The course's graphs, and a model fitted to simulated ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ancestral import Graph, InnerProductGraph, read_graphs
from tests.graph.simulated import some_graphs


@pytest.fixture(scope="module")
def classrooms(course: Path) -> list[Graph]:
    """The course's 100 graphs of 15 nodes."""
    return read_graphs(course / "classroom_graphs.pkl")


@pytest.fixture(scope="module")
def fitted() -> InnerProductGraph:
    return InnerProductGraph().fit(some_graphs(40))

"""One graph whose links are in files: the model of all of it, and bad links by their place."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit

from ancestral import DyadicGraph, Graph, InnerProductGraph, LatentPositionGraph, streaming
from ancestral.errors import AncestralError, DataError, ModelError
from ancestral.graph import link_blocks
from ancestral.streaming import fit_chunks, graph_by_blocks

TERMS = ["absdiff:age", "match:house"]


def people(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, house = rng.normal(40, 10, n), rng.choice(["a", "b", "c"], n)
    return pd.DataFrame({"age": age, "house": house}, index=[f"p{k}" for k in range(n)])


def linked(frame: pd.DataFrame, seed: int = 1) -> np.ndarray:
    """Return the numbers of the nodes of links, (n_links, 2), in any order."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(len(frame), 1)
    age, house = frame["age"].to_numpy(), frame["house"].to_numpy()
    some = rng.random(len(i)) < expit(-3 - abs(age[i] - age[j]) / 10 + (house[i] == house[j]))
    return rng.permutation(np.c_[i, j][some])


def whole(frame: pd.DataFrame, links: np.ndarray) -> Graph:
    n = len(frame)
    A = sparse.coo_array((np.ones(len(links)), links.T), shape=(n, n)).tocsr()
    return Graph(frame, A + A.T)


def assert_same(one: Any, two: Any) -> None:
    theta = [
        np.append(m.intercept_, getattr(m, "slope_", getattr(m, "coef_", 0))) for m in (one, two)
    ]
    np.testing.assert_allclose(*theta, rtol=1e-10)
    np.testing.assert_allclose(one.standard_errors_, two.standard_errors_, rtol=4e-9)
    assert one.log_likelihood_ == pytest.approx(two.log_likelihood_, rel=1e-10)
    assert one.n_pairs_ == two.n_pairs_


@pytest.mark.parametrize("most", [1 << 22, 2_000])
@pytest.mark.parametrize("by", ["number", "name", "id", "key"])
def test_links_name_nodes_by_number_or_name(monkeypatch: Any, most: int, by: str) -> None:
    monkeypatch.setattr(link_blocks, "MOST_LINKS", most)
    frame = people(400)
    links = linked(frame)
    nodes, settings, ends = frame, {}, links
    if by == "number":
        nodes = frame.reset_index(drop=True)
    elif by == "name":
        ends = frame.index.to_numpy()[links]
    elif by == "id":
        nodes = frame.set_index(np.arange(400) + 1000)
        ends = links + 1000
    else:
        ends = frame.index.to_numpy()[links]
        nodes, settings = frame.reset_index(names="who"), {"key": "who"}
    table = pd.DataFrame(ends, columns=["from", "to"]).assign(weight=1.0)[["weight", "to", "from"]]
    chunks = [table[k : k + 500] for k in range(0, len(table), 500)]
    found = fit_chunks(DyadicGraph(TERMS), graph_by_blocks(nodes, chunks, **settings))
    assert_same(found, DyadicGraph(TERMS).fit(whole(frame, links)))
    slope = fit_chunks(
        InnerProductGraph(),
        graph_by_blocks(frame[["age"]].to_numpy() / 40, np.array_split(links, 3)),
    )
    assert_same(slope, InnerProductGraph().fit(whole(frame[["age"]] / 40, links)))


def test_links_of_bad_ends_are_named_with_part_and_row() -> None:
    frame = people(50)
    links = linked(frame)
    n = len(links)

    def fit(*chunks: Any, nodes: Any = frame, **settings: Any) -> Any:
        return fit_chunks(DyadicGraph(TERMS), graph_by_blocks(nodes, chunks, **settings))

    bad = links[5:].copy()
    bad[3] = [4, 50]
    with pytest.raises(
        DataError, match=r"part 1: column 1 holds 50 at row 3 .row 8 of all., which is no node"
    ):
        fit(links[:5], bad, nodes=frame.reset_index(drop=True))
    words = frame.index.to_numpy()[links]
    odd = words.copy()
    odd[2, 0] = "nobody"
    with pytest.raises(
        DataError, match=r"part 0: column 0 holds 'nobody' at row 2, which is no no"
    ):
        fit(odd)
    gap = pd.DataFrame(links * 1.0, columns=["source", "target"])
    gap.loc[7, "target"] = np.nan
    with pytest.raises(DataError, match=r"part 0: column 'target' is missing at row 7"):
        fit(gap, nodes=frame.reset_index(drop=True))
    loop = links.copy()
    loop[9] = 3
    with pytest.raises(DataError, match=r"part 0: the link at row 9 leads from 'p3' to itself"):
        fit(frame.index.to_numpy()[loop])
    with pytest.raises(DataError, match=rf"at row 0 .row {n} of all. of part 1, and again at"):
        fit(words, words[:1, ::-1])
    with pytest.raises(DataError, match="have no column 'sender'"):
        fit(gap, ends=("sender", "target"))
    with pytest.raises(DataError, match=r"shape \(3, 3\): give two columns"):
        fit(np.zeros((3, 3)))
    with pytest.raises(DataError, match="key='id' is no column of nodes, which has 'age', 'house'"):
        fit(links, key="id")
    with pytest.raises(DataError, match="must be two names"):
        fit(links, ends="source")
    with pytest.raises(AncestralError):
        fit()


def test_a_graph_by_blocks_is_read_again_and_travels() -> None:
    frame = people(60)
    links = linked(frame)
    source = graph_by_blocks(frame.reset_index(drop=True), np.array_split(links, 4))
    other = graph_by_blocks(frame.reset_index(drop=True), np.array_split(links[::-1], 4))
    assert source.again and source.identity != other.identity
    pieces = list(source.parts())
    assert [piece.n_rows for piece in pieces] == [len(part) for part in np.array_split(links, 4)]
    sent = pickle.loads(pickle.dumps(pieces[1]))
    np.testing.assert_array_equal(sent.read().codes, pieces[1].read().codes)
    assert sent.nodes is pieces[1].nodes is pieces[2].nodes  # a process has them once
    once = graph_by_blocks(frame.reset_index(drop=True), iter(np.array_split(links, 4)))
    assert_same(fit_chunks(DyadicGraph(TERMS), once), fit_chunks(DyadicGraph(TERMS), source))


def test_directed_links_and_graphs_as_nodes() -> None:
    frame = people(80)
    links = linked(frame)
    both = np.concatenate([links, links[: len(links) // 2, ::-1]])
    A = sparse.coo_array((np.ones(len(both)), both.T), shape=(80, 80)).toarray()
    graph = Graph(frame, A, directed=True)
    terms = [*TERMS, "receiver:age"]
    found = fit_chunks(DyadicGraph(terms), graph_by_blocks(graph, [both], directed=True))
    assert_same(found, DyadicGraph(terms).fit(graph))
    with pytest.raises(DataError, match="directed"):
        fit_chunks(InnerProductGraph(), graph_by_blocks(graph, [both], directed=True))


def test_parquet_folders_of_links(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = people(500)
    links = linked(frame)
    names = frame.index.to_numpy()[links]
    (tmp_path / "links").mkdir()
    for k, part in enumerate(np.array_split(names, 3)):
        table = pd.DataFrame(part, columns=["source", "target"])
        table.assign(year=2000).to_parquet(tmp_path / "links" / f"{k}.parquet", row_group_size=700)
    frame.reset_index(names="who").to_parquet(tmp_path / "nodes.parquet")
    source = graph_by_blocks(tmp_path / "nodes.parquet", tmp_path / "links", key="who", block=1_000)
    assert len(list(source.parts())) > 3
    assert len(pickle.dumps(source.parts()[0])) < 5_000  # the path of the nodes travels
    code = "import pickle, sys; print(len(pickle.load(sys.stdin.buffer).read().codes))"
    sent = pickle.dumps(source.parts()[0])
    run = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert int(run.stdout) == source.parts()[0].n_rows
    found = fit_chunks(DyadicGraph(TERMS), source)
    assert_same(found, DyadicGraph(TERMS).fit(whole(frame, links)))


def test_memory_goes_with_nodes_and_a_block(monkeypatch: Any) -> None:
    monkeypatch.setattr(link_blocks, "MOST_LINKS", 150_000)
    rng = np.random.default_rng(0)
    n = 3_000
    X = rng.integers(0, 3, (n, 2)) * 1.0

    class Drawn(streaming.Source):  # links of a random graph, drawn anew by the range of their ends
        def parts(self) -> Any:
            return [Piece(first) for first in range(0, n, 100)]

    class Piece:
        n_rows = n_bytes = start = None
        of = "all"

        def __init__(self, first: int) -> None:
            self.first = first

        def read(self) -> Any:
            rng = np.random.default_rng(self.first)
            i = np.arange(self.first, self.first + 100)
            hit = rng.random((100, n)) < 0.1 + 0.1 * (X[i, :1] == X[:, 0])
            a, b = np.nonzero(hit & (i[:, None] < np.arange(n)))
            return np.c_[i[a], b]

    source = graph_by_blocks(X, Drawn())
    n_links = sum(len(piece.read().i) for piece in source.parts())
    assert n_links > 500_000
    for model in (DyadicGraph(["match:0", "sum:1"]), InnerProductGraph()):
        tracemalloc.start()
        fit_chunks(model, source)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 << 20
        assert (model.n_edges_ if hasattr(model, "n_edges_") else n_links) == n_links


def test_positions_are_not_learnt_from_parts() -> None:
    with pytest.raises(ModelError, match=r"all dyads at once, as each node has a position.*fit"):
        fit_chunks(LatentPositionGraph(2), [[np.eye(3)]])


def test_workers_read_the_links(monkeypatch: Any) -> None:
    pytest.importorskip("dask")
    frame = people(200)
    links = linked(frame)
    source = graph_by_blocks(frame.reset_index(drop=True), np.array_split(links, 4))
    for most in (1 << 22, 500):
        monkeypatch.setattr(link_blocks, "MOST_LINKS", most)
        found = streaming.fit_dask(DyadicGraph(TERMS), source)
        assert_same(found, DyadicGraph(TERMS).fit(whole(frame, links)))

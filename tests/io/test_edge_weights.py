"""Which column of links holds their weights: one rule, whatever the file, frame or library."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import DyadicGraph, Graph, read_graphs, streaming
from ancestral.errors import AncestralError, AncestralWarning, DataError
from ancestral.io import from_frames, from_igraph, from_networkx, read_edge_list
from ancestral.io.edge_weights import WEIGHTS

pandas = pytest.importorskip("pandas")
networkx = pytest.importorskip("networkx")
pytest.importorskip("defusedxml")  # for GraphML

PEOPLE = [f"p{k}" for k in range(8)]
ENDS = [("p0", "p1"), ("p1", "p2"), ("p2", "p3"), ("p3", "p4"), ("p4", "p5"), ("p5", "p6")]
HOURS = [2.5, None, 1.0, 0.0, None, 4.0]  # three links, one that is none, two unknown dyads


@contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def table(column: str, values: list[Any]) -> Any:
    frame = pandas.DataFrame(ENDS, columns=["from", "to"])
    frame[column] = values
    return frame


def as_networkx(column: str, values: list[Any]) -> Any:
    graph = networkx.Graph()
    graph.add_nodes_from(PEOPLE)
    for (u, v), value in zip(ENDS, values, strict=True):
        graph.add_edge(u, v, **{column: np.nan if value is None else value})
    return graph


def by_csv(folder: Path, column: str, values: list[Any], **options: Any) -> Graph:
    table(column, values).to_csv(folder / "links.csv", index=False)
    pandas.DataFrame({"name": PEOPLE}).to_csv(folder / "people.csv", index=False)
    return read_edge_list(folder / "links.csv", folder / "people.csv", **options)


def by_frames(_: Path, column: str, values: list[Any], **options: Any) -> Graph:
    return from_frames(table(column, values), pandas.DataFrame({"name": PEOPLE}), **options)


def by_networkx(_: Path, column: str, values: list[Any], **options: Any) -> Graph:
    return from_networkx(as_networkx(column, values), **options)


def by_igraph(_: Path, column: str, values: list[Any], **options: Any) -> Graph:
    igraph = pytest.importorskip("igraph")
    graph = igraph.Graph()
    graph.add_vertices(PEOPLE)
    graph.add_edges(ENDS)
    graph.es[column] = values
    return from_igraph(graph, **options)


def by_graphml(folder: Path, column: str, values: list[Any], **options: Any) -> Graph:
    networkx.write_graphml(as_networkx(column, values), folder / "g.graphml")
    return read_graphs(folder / "g.graphml", **options)[0]


def by_gml(folder: Path, column: str, values: list[Any], **options: Any) -> Graph:
    networkx.write_gml(as_networkx(column, values), folder / "g.gml")
    return read_graphs(folder / "g.gml", **options)[0]


WAYS = [by_csv, by_frames, by_networkx, by_igraph, by_graphml, by_gml]
Way = Callable[..., Graph]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: Any) -> Way:
    return request.param  # type: ignore[no-any-return]


def counts(graph: Graph) -> tuple[int, int, int]:
    return graph.n_nodes, graph.n_edges, graph.n_unknown


def test_the_column_that_is_named_holds_the_weights(way: Way, tmp_path: Path) -> None:
    with silent():
        named = way(tmp_path, "hours", HOURS, weight="hours", weights="binarise")
    assert counts(named) == (8, 3, 2)
    i, j = named.unknown_dyads()
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(1, 2), (4, 5)]
    with pytest.warns(AncestralWarning, match="1 of 0 are none; 2 dyads without a weight"):
        assert counts(way(tmp_path, "hours", HOURS, weight="hours")) == (8, 3, 2)


@pytest.mark.parametrize("column", [*WEIGHTS, *(word.capitalize() for word in WEIGHTS)])
def test_the_same_names_are_known_everywhere(way: Way, column: str, tmp_path: Path) -> None:
    with silent():
        found = way(tmp_path, column, HOURS, weights="binarise")
    assert counts(found) == (8, 3, 2)
    with pytest.raises(DataError, match='and weights="refuse" takes 1 alone'):
        way(tmp_path, column, HOURS, weights="refuse")


@pytest.mark.parametrize("option", ["binarise", "refuse"])
def test_an_option_for_weights_needs_their_column(way: Way, option: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=f'weights="{option}" was given, and no column of numbers is called weight, weights, '
        r"value, count, strength, frequency or tie. Numbers are in 'hours'.*weight='hours'",
    ):
        way(tmp_path, "hours", HOURS, weights=option)


def test_a_column_that_is_not_there_is_refused(way: Way, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no column or attribute 'days'; they have numbers in 'hours'.*weight='ho"
    ):
        way(tmp_path, "hours", HOURS, weight="days")
    with pytest.raises(DataError, match=r"'days'; they have no numbers.*leave weight= out"):
        way(tmp_path, "kind", ["x"] * 6, weight="days")
    with pytest.raises(DataError, match=r"weight 'x' in 'kind', where a number is wanted"):
        way(tmp_path, "kind", ["x"] * 6, weight="kind")
    with pytest.raises(DataError, match=r"To name the column of weights, pass weight='hours'"):
        way(tmp_path, "hours", HOURS, weights="hours")
    with pytest.raises(AncestralError, match=r"weight must be the name of the column"):
        way(tmp_path, "hours", HOURS, weight=2)


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        (HOURS, "1 of 0 and 2 gaps"),
        ([1, 0, 0, 1, 0, 0], "4 of 0"),
        ([1, 1, None, 1, 1, 1], "a gap"),
    ],
)
def test_a_column_that_may_hold_them_is_told(
    way: Way, values: list[Any], holds: str, tmp_path: Path
) -> None:
    with pytest.warns(AncestralWarning) as said:
        found = way(tmp_path, "hours", values)
    assert counts(found) == (8, 6, 0)
    (text,) = [str(one.message) for one in said]
    assert (
        f"the column 'hours' holds numbers with {holds}, and each line was read as a link" in text
    )
    assert "name it, weight='hours'" in text


@pytest.mark.parametrize("values", [[2019, 2020, 2021, 2022, 2023, 2024], ["a", "b", *"cdef"]])
def test_harmless_columns_are_not_told(way: Way, values: list[Any], tmp_path: Path) -> None:
    with silent():
        assert counts(way(tmp_path, "since", values)) == (8, 6, 0)
        assert counts(way(tmp_path, "since", values, weights="refuse")) == (8, 6, 0)


def test_words_in_a_column_of_weights(way: Way, tmp_path: Path) -> None:
    words = ["near", "far", "far", "near", "far", "far"]
    with pytest.raises(DataError, match="a link has the weight 'near', where a number is wanted"):
        way(tmp_path, "weight", words)
    with pytest.warns(AncestralWarning, match=r"'tie' holds words, such as 'near'.* as a link"):
        assert counts(way(tmp_path, "tie", words)) == (8, 6, 0)
    for yes, no in (("yes", "no"), ("True", "False")):
        answers = [yes if word == "near" else no for word in words]
        with silent():
            assert counts(way(tmp_path, "tie", answers, weights="binarise")) == (8, 2, 0)
        told = f"'answer' holds answers with 4 of {no}, and each line was read as a link"
        with pytest.warns(AncestralWarning, match=told):
            assert counts(way(tmp_path, "answer", answers)) == (8, 6, 0)


def test_of_several_columns_the_first_name_of_the_list_counts(tmp_path: Path) -> None:
    links = table("tie", [1, 1, 1, 1, 1, 0])
    links["VALUE"] = [1, 0, 0, 0, 0, 0]
    assert from_frames(links, weights="binarise").n_edges == 1
    assert from_frames(links, weights="binarise", weight="tie").n_edges == 5
    links.columns = ["from", "to", "answer", "asked"]
    with pytest.warns(AncestralWarning, match="'answer' and 'asked' hold numbers with 0 or gaps"):
        assert from_frames(links).n_edges == 6


def test_a_survey_of_all_asked_pairs_is_told() -> None:
    """Columns friend and answer: the ends have no usual names, and the third says who is linked."""
    i, j = np.triu_indices(10, 1)
    asked = pandas.DataFrame({"friend": i, "answer": (i == 0) & (j < 6), "link": j})
    found = from_frames(asked, weight="answer", weights="binarise")  # two columns are left
    assert counts(found) == (10, 5, 0)
    named = asked.rename(columns={"friend": "from", "link": "to"})
    with pytest.warns(AncestralWarning, match=r"'answer' holds numbers with 40 of 0.*each line"):
        assert counts(from_frames(named)) == (10, 45, 0)


def test_an_edge_of_a_graph_file_that_lacks_the_attribute_is_a_link(tmp_path: Path) -> None:
    graph = as_networkx("weight", [1, 1, None, 1, 1, None])
    for edge in (("p2", "p3"), ("p5", "p6")):
        del graph.edges[edge]["weight"]
    networkx.write_graphml(graph, tmp_path / "g.graphml")
    networkx.write_gml(graph, tmp_path / "g.gml")
    with silent():
        found = [
            from_networkx(graph),
            *(read_graphs(tmp_path / f"g.{x}")[0] for x in ("graphml", "gml")),
        ]
    assert [counts(one) for one in found] == [(8, 6, 0)] * 3


def test_files_without_columns_of_links_refuse_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", features=np.zeros((2, 1)), adjacency=[[0, 1], [1, 0]])
    (tmp_path / "g.csv").write_text(",a,b\na,0,1\nb,1,0\n")
    for name in ("g.npz", "g.csv"):
        with pytest.raises(DataError, match="holds a matrix of links: leave weight= out"):
            read_graphs(tmp_path / name, weight="hours")
    (tmp_path / "e.csv").write_text("a,b,2\nb,c,3\n")
    with pytest.raises(DataError, match="weight='hours' names columns, and header=False"):
        read_edge_list(tmp_path / "e.csv", weight="hours", header=False)


# ---- in parts ----------------------------------------------------------------------------------


def in_parts(links: Any, **options: Any) -> Any:
    nodes = pandas.DataFrame({"x": np.arange(8.0) % 3}, index=PEOPLE)
    graph = streaming.graph_by_blocks(nodes, links, **options)
    return streaming.fit_chunks(DyadicGraph(["absdiff:x"], l2=1.0), graph)


@pytest.mark.parametrize("column", ["weight", "TIE", "hours"])
@pytest.mark.parametrize("ends", [None, ("from", "to")])
def test_links_in_parts_have_weights_too(column: str, ends: Any, tmp_path: Path) -> None:
    links = table(column, [1.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    links["words"] = list("abcdef")
    chosen = {"ends": ends} | ({"weight": "hours"} if column == "hours" else {})
    links.to_csv(tmp_path / "links.csv", index=False)
    with silent(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "links: weights are not kept")
        for given in ([links[:3], links[3:5], links[5:]], str(tmp_path / "links.csv")):
            assert in_parts(given, **chosen).n_edges_ == 4
        again = pandas.concat([links, links.tail(1)], ignore_index=True)
        with pytest.raises(DataError, match=r"row 6, and again at row 5"):
            in_parts([again], **chosen)
    with pytest.warns(AncestralWarning, match="links: weights are not kept"):
        in_parts([links], **chosen)
    links.loc[4, column] = np.nan
    with pytest.raises(DataError, match=f"column '{column}' of weights is missing at row 4"):
        in_parts([links], **chosen)


def test_links_in_parts_tell_what_they_do_not_read() -> None:
    links = table("hours", HOURS)
    with pytest.warns(AncestralWarning, match=r"'hours' holds numbers with .*weight='hours'"):
        assert in_parts([links]).n_edges_ == 6
    with pytest.raises(DataError, match=r"no column or attribute 'days'.*weight='hours'"):
        in_parts([links], weight="days")
    with pytest.raises(DataError, match=r"weight='hours' names a column, and links come as an"):
        in_parts([np.array([[0, 1]])], weight="hours")

"""GraphML: the values, keys and elements that the format has, and no others."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral.errors import AncestralError, AncestralWarning, DataError
from ancestral.io import from_igraph, from_networkx, read_graphs
from tests.io.hostile_files import edge, graphml, node
from tests.trust.files import put

pytest.importorskip("defusedxml", reason="GraphML is an extra")

PAIR = node("a", 1) + node("b", 2)
DIRECTED = {"true": True, "1": True, "false": False, "0": False}
NO_BOOLEANS = ("", "True", "TRUE", "yes", "no", "on", "directed", "undirected", "2", "01", "-1")
NO_BOOLEANS += ("true false", "\uff11", "tru\u0435", "\u00a0true", "None", "false;")


def key(label: str, attribute: str | None, more: str = "", inner: str = "") -> str:
    """A declaration."""
    name = "" if attribute is None else f' attr.name="{attribute}"'
    return f'<key id="{label}"{name} {more}>{inner}</key>'


def read(folder: Path, text: str) -> list:
    return read_graphs(put(folder, "g.graphml", text))


# ---- directions -----------------------------------------------------------------------------


@pytest.mark.parametrize("default", ["directed", "undirected"])
@pytest.mark.parametrize("value", [None, *DIRECTED, *NO_BOOLEANS])
def test_t10_an_edge_is_as_directed_as_the_format_says(
    tmp_path: Path, default: str, value: str | None
) -> None:
    more = "" if value is None else f' directed="{value}"'
    text = graphml(PAIR + edge("a", "b", more), edgedefault=default)
    if value is not None and value not in DIRECTED:
        with pytest.raises(DataError, match=r'has directed=.*"true", "false", "1" and "0" alone'):
            read(tmp_path, text)
    elif DIRECTED.get(value or "", default == "directed"):
        (graph,) = read(tmp_path, text)
        assert graph.directed and graph.adjacency.tolist() == [[0, 1], [0, 0]]
        path = tmp_path / "g.graphml"
        (both,) = read_graphs(path, directed="union")
        assert not both.directed and both.adjacency.tolist() == [[0, 1], [1, 0]]
        with pytest.raises(DataError, match='its links are directed, and directed="refuse"'):
            read_graphs(path, directed="refuse")
    else:
        (graph,) = read(tmp_path, text)
        assert not graph.directed and graph.adjacency.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    "default",
    ["DIRECTED", "Directed", "UNDIRECTED", "Undirected", "", "true", "false", "0", "mixed", "yes"],
)
def test_t10_other_defaults_of_direction_are_refused(tmp_path: Path, default: str) -> None:
    for body in (PAIR + edge("a", "b"), PAIR):
        with pytest.raises(DataError, match=f"has edgedefault='{default}'.*edgedefault=\"undir"):
            read(tmp_path, graphml(body, edgedefault=default))


def test_a_default_of_direction_must_be_there(tmp_path: Path) -> None:
    whole = graphml(PAIR + edge("a", "b"))
    for text in ("<graph>", '<graph edgeDefault="undirected">', '<graph EDGEDEFAULT="directed">'):
        with pytest.raises(DataError, match="its graph has no edgedefault"):
            read(tmp_path, whole.replace('<graph edgedefault="undirected">', text))
    with pytest.raises(DataError, match="spells directed otherwise"):
        read(tmp_path, graphml(PAIR + edge("a", "b", ' Directed="true"')))


def test_edges_without_a_direction_among_others_lead_both_ways(tmp_path: Path) -> None:
    nodes = "".join(node(name) for name in "abcd")
    for default, odd in (("undirected", ' directed="1"'), ("directed", "")):
        plain = "" if default == "undirected" else ' directed="false"'
        body = nodes + edge("a", "b", plain) + edge("c", "d", odd) + edge("b", "c", plain)
        with pytest.warns(AncestralWarning, match="2 links without a direction lead both ways"):
            (graph,) = read(tmp_path, graphml(body, edgedefault=default))
        assert graph.directed
        assert [*zip(*graph.edges(), strict=True)] == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3)]


def test_a_directed_graph_without_edges_is_directed(tmp_path: Path) -> None:
    assert read(tmp_path, graphml(PAIR, edgedefault="directed"))[0].directed


# ---- keys and attributes --------------------------------------------------------------------

DOMAINS = ("node", "all", "edge", "graph", "graphml", "hyperedge", "port", "endpoint")


@pytest.mark.parametrize(("one", "two"), list(itertools.product(DOMAINS, DOMAINS)))
def test_t10_two_keys_of_a_name_and_domain_are_refused(tmp_path: Path, one: str, two: str) -> None:
    keys = key("d0", "x", f'for="{one}"') + key("d1", "x", f'for="{two}"')
    body = "<node id='a'><data key='d0'>1</data></node>"
    if one == two or "all" in (one, two):
        with pytest.raises(DataError, match="are named 'x': rename one"):
            read(tmp_path, graphml(body, keys=keys))
    elif one == "node":
        assert read(tmp_path, graphml(body, keys=keys))[0].features.tolist() == [[1]]
    else:
        with pytest.warns(AncestralWarning, match="keys that others have, 'd0', are left out"):
            assert read(tmp_path, graphml(body, keys=keys))[0].features.shape == (1, 0)


def test_t10_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    for domain in ("node", "edge", "all"):
        keys = key("d0", "x", 'for="node"') + key("d0", "y", f'for="{domain}"')
        with pytest.raises(DataError, match="the id 'd0' of a <key> is missing or used twice"):
            read(tmp_path, graphml(PAIR, keys=keys))
    for nameless in ('<key for="node" attr.name="x"/>', '<key id="" for="node"/>'):
        with pytest.raises(DataError, match="of a <key> is missing or used twice"):
            read(tmp_path, graphml(PAIR, keys=nameless))
    with pytest.raises(DataError, match="two keys for all are named 'd0'"):  # by its id
        read(tmp_path, graphml(PAIR, keys=key("d0", None, 'for="node"') + key("d1", "d0")))


def test_values_of_one_name_are_one_to_a_node(tmp_path: Path) -> None:
    typed = key("d0", "x", 'for="node" attr.type="long"')
    typed += key("d1", "x", 'for="node" attr.type="double"')
    apart = (
        '<node id="a"><data key="d0">1</data></node><node id="b"><data key="d1">.5</data></node>'
    )
    assert read(tmp_path, graphml(apart, keys=typed))[0].features.tolist() == [[1], [0.5]]
    both = '<node id="a"><data key="d0">1</data><data key="d1">2</data></node>'
    again = '<node id="a"><data key="d0">1</data><data key="d0">2</data></node>'
    for body in (both, again):
        with pytest.raises(DataError, match="node 'a' has 'x' twice: keep one"):
            read(tmp_path, graphml(body, keys=typed))
    default = typed.replace('"long"></key>', '"long"><default>3</default></key>')
    with pytest.raises(DataError, match="two keys for node are named 'x'"):
        read(tmp_path, graphml(apart, keys=default))


@pytest.mark.parametrize("domain", ["nodes", "Node", "ALL", "", "vertex"])
def test_domains_are_those_of_the_format(tmp_path: Path, domain: str) -> None:
    with pytest.raises(DataError, match=f"key 'd0' is for '{domain}'; one of graphml, graph"):
        read(tmp_path, graphml(PAIR, keys=key("d0", "x", f'for="{domain}"')))


def test_keys_for_all_and_their_defaults(tmp_path: Path) -> None:
    for domain in ('for="all"', 'for="node"', ""):
        keys = key("d0", "x", domain, "<desc>d</desc><default> 0.5 </default>")
        body = '<node id="b"/>' + node("a", 1)
        assert read(tmp_path, graphml(body, keys=keys))[0].features.tolist() == [[0.5], [1]]
    keys = key("d0", "x", 'for="node"', "<default>1</default><default>2</default>")
    with pytest.raises(DataError, match="key 'd0' has 2 defaults: keep one"):
        read(tmp_path, graphml(PAIR, keys=keys))
    keys = key("d0", "x", 'for="node" attr.type="int"', "<default>1_0</default>")
    with pytest.raises(DataError, match="node 'b' has 'x' = '1_0', a number is wanted"):
        read(tmp_path, graphml('<node id="b"/>', keys=keys))


# ---- elements -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PAIR + '<graph edgedefault="undirected"/>', "holds a graph of its own; nested graphs"),
        ('<node id="a"><graph edgedefault="undirected"/></node>', "node 'a' holds a graph of its"),
        (
            PAIR + '<edge source="a" target="b"><graph edgedefault="undirected"/></edge>',
            "the edge 'a' to 'b' holds a graph of its own",
        ),
        (PAIR + '<hyperedge><endpoint node="a"/></hyperedge>', "holds hyperedges; only pairs"),
        ('<node id="a"><port name="n"/></node>', "node 'a' holds ports; edges join nodes only"),
        (PAIR + edge("a", "b", ' sourceport="n"'), "edge 'a' to 'b' holds ports"),
        (PAIR + edge("a", "b", ' targetport="n"'), "edge 'a' to 'b' holds ports"),
        (PAIR + '<locator href="file:///etc/passwd"/>', "a locator: its content stands elsewhere"),
        ('<node id="a"><locator href="g.xml"/></node>', "node 'a' holds a locator"),
        (PAIR + "<nodes/>", "holds a <nodes>, which GraphML does not have there"),
        (PAIR + '<Node id="c"/>', "holds a <Node>, which"),
        (PAIR + '<Edge source="a" target="b"/>', "holds a <Edge>, which"),
        (PAIR + '<edges><edge source="a" target="b"/></edges>', "holds a <edges>, which"),
        (PAIR + '<key id="d9"/>', "holds a <key>, which GraphML does not have there"),
        ('<node id="a"><node id="b"/></node>', "node 'a' holds a <node>, which"),
        (PAIR + '<node xmlns="" id="c"/>', "holds a <node> of the namespace ''"),
        (PAIR + '<node xmlns="urn:x" id="c"/>', "holds a <node> of the namespace 'urn:x'"),
        (PAIR + "edge a b", "holds the text 'edge a b' where elements belong"),
        ('<node id="a">0.5</node>', "node 'a' holds the text '0.5'"),
        (
            '<node id="a"><data key="d0">1<b/>2</data></node>',
            "'x' mixes text \\('1'\\) and elements",
        ),
        ('<node id="a"><data key="d0"><v>1</v></data></node>', "has elements for 'x', where a"),
        (PAIR + '<edge source="a"/>', "the edge 'a' to None lacks an end"),
        (PAIR + edge("", "b"), "the edge '' to 'b' lacks an end"),
        (PAIR + edge("a", "c"), "an edge leads to node 'c', not there"),
        (node("a") + node("a"), "node id 'a' is missing or used twice"),
        (node(""), "node id '' is missing"),
    ],
)
def test_what_is_no_plain_graph_is_refused(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, graphml(body))


def test_what_programs_add_in_a_namespace_of_their_own_is_passed_over(tmp_path: Path) -> None:
    text = graphml(
        '<y:Layout xmlns:y="urn:y"/>' + PAIR.replace("</node>", '<y:Shape xmlns:y="urn:y"/></node>')
    )
    drawn = '<data key="d6"><y:ShapeNode xmlns:y="urn:y"/></data></node>'
    text = text.replace("</node>", drawn).replace("<graph ", '<key id="d6" for="node"/><graph ')
    (graph,) = read(tmp_path, text)
    assert graph.feature_names == ("x",)
    assert graph.features.tolist() == [[1], [2]]


def test_several_graphs_of_one_file_come_as_several(tmp_path: Path) -> None:
    one = graphml(PAIR + edge("a", "b"))
    more = '<graph edgedefault="undirected">' + node("a", 5) + "</graph></graphml>"
    graphs = read(tmp_path, one.replace("</graphml>", more))
    assert [graph.n_nodes for graph in graphs] == [2, 1]
    with pytest.raises(DataError, match=r"g\.graphml: graph 1: .*has no nodes|graph 1: has no"):
        read(tmp_path, one.replace("</graphml>", '<graph edgedefault="undirected"/></graphml>'))


# ---- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["1_000", "\uff11\uff12", "\u0661", "1,5", "1'000", "0x10", "1e", "true", "١٢"]
)
def test_t10_numbers_follow_the_one_rule(tmp_path: Path, text: str) -> None:
    body = node("a", 1) + node("b", text)
    typed, plain = (key("d0", "x", f'for="node"{kind}') for kind in (' attr.type="double"', ""))
    with pytest.raises(DataError, match=r"node 'b' has 'x' = .*a number is wanted"):
        read(tmp_path, graphml(body, keys=typed))
    if any(letter.isalpha() for letter in text):  # a word, where nobody declared numbers
        with pytest.warns(AncestralWarning, match="holds words beside numbers"):
            assert read(tmp_path, graphml(body, keys=plain))[0].attribute("x").width == 2
    else:
        with pytest.raises(DataError, match=r"node 'b' has 'x' = .*a number is wanted"):
            read(tmp_path, graphml(body, keys=plain))


def test_ids_are_text_of_any_length(tmp_path: Path) -> None:
    ids = [str(2**53 + k) for k in range(6)]
    body = "".join(node(name, k) for k, name in enumerate(ids))
    body += "".join(edge(u, v) for u, v in itertools.pairwise(ids))
    (graph,) = read(tmp_path, graphml(body))
    assert (graph.n_nodes, graph.n_edges) == (6, 5)


# ---- what others write, and what nobody should ----------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_files_of_networkx_and_igraph_read_as_their_graphs(tmp_path: Path, seed: int) -> None:
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    rng, named = np.random.default_rng(seed), bool(seed % 2)
    theirs = networkx.gnp_random_graph(20, 0.2, seed=seed)
    theirs.graph["title"] = "t"
    for k in theirs:  # whole numbers and others in one attribute: networkx writes two keys
        mixed = int(rng.integers(9)) if (k + seed) % 2 == 0 else float(rng.normal())
        mixed = float(mixed) if named else mixed  # or else two keys of one id, which is refused
        theirs.nodes[k].update(x=mixed, group=str(rng.choice(["a", "b"])), z=float(rng.normal()))
    networkx.set_edge_attributes(theirs, 0.5, "weight")
    kept: dict[str, Any] = {"weights": "binarise"}
    wanted = from_networkx(theirs, **kept)
    for write in (networkx.write_graphml_lxml, networkx.write_graphml_xml):
        try:
            write(theirs, tmp_path / "n.graphml", named_key_ids=named)
        except ImportError:
            continue  # lxml
        (graph,) = read_graphs(tmp_path / "n.graphml", **kept)
        assert graph.feature_names == wanted.feature_names
        np.testing.assert_array_equal(graph.features, wanted.features)
        np.testing.assert_array_equal(graph.adjacency, wanted.adjacency)
    other = igraph.Graph.from_networkx(theirs)
    other.write_graphml(str(tmp_path / "i.graphml"))
    wanted = from_igraph(other, ["x", "z"], **kept)
    (graph,) = read_graphs(tmp_path / "i.graphml", attributes=["x", "z"], **kept)
    np.testing.assert_allclose(graph.features, wanted.features, rtol=1e-14)  # igraph writes %.15g
    np.testing.assert_array_equal(graph.adjacency, wanted.adjacency)
    directed = networkx.DiGraph(theirs)
    networkx.write_graphml(directed, tmp_path / "d.graphml")
    (graph,) = read_graphs(tmp_path / "d.graphml", **kept)
    assert graph.directed
    np.testing.assert_array_equal(graph.adjacency, wanted.adjacency)
    igraph.Graph.as_directed(other).write_graphml(str(tmp_path / "d.graphml"))
    (graph,) = read_graphs(tmp_path / "d.graphml", **kept, directed="union", attributes=["x"])
    assert not graph.directed
    np.testing.assert_array_equal(graph.adjacency, wanted.adjacency)


@pytest.mark.parametrize("seed", range(200))
def test_a_document_with_parts_at_random_is_right_or_refused(tmp_path: Path, seed: int) -> None:
    """What is read has each node and each edge that the document has, undirected, whole."""
    rng = np.random.default_rng(seed)
    pick = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    mostly = lambda usual, *odd: pick(*odd) if rng.random() < 0.05 else usual  # noqa: E731
    keys, labels = "", []
    for k in range(rng.integers(1, 4)):
        labels.append(f"d{mostly(k, 0)}")
        domain = mostly("node", "all", "edge")
        keys += key(labels[-1], mostly("xyz"[k], "x"), f'for="{domain}" attr.type="double"')
    nodes = [f"n{mostly(k, 0)}" for k in range(rng.integers(2, 6))]
    body, values = "", []
    for name in nodes:
        data = [(label, rng.integers(9)) for label in labels for _ in range(mostly(1, 2, 0))]
        values.append(data)
        body += f'<node id="{name}">'
        body += "".join(f'<data key="{label}">{v}</data>' for label, v in data) + "</node>"
    edges = []
    pairs = list(itertools.combinations(nodes, 2))
    for k in rng.permutation(len(pairs))[: rng.integers(1, 4)]:
        u, v = pairs[k]
        odd = (' directed="0"', ' directed="1"', ' directed="no"', ' directed="False"')
        edges.append((u, mostly(v, u, "gone", nodes[0]), mostly("", *odd)))
        body += edge(*edges[-1])
    default = mostly("undirected", "directed", "Undirected", "")
    try:
        (graph,) = read(tmp_path, graphml(body, keys=keys, edgedefault=default))
    except (AncestralError, AncestralWarning):
        return
    assert graph.n_nodes == len(set(nodes)) == len(nodes)
    assert graph.n_edges == len(edges) == len({frozenset(e[:2]) for e in edges})
    said = {"": default == "directed", ' directed="0"': False, ' directed="1"': True}
    assert {graph.directed} == {said[e[2]] for e in edges}
    for row, data in zip(graph.features, values, strict=True):
        assert sorted(row[~np.isnan(row)]) == sorted(v for _, v in data)


def test_igraphs_own_example_is_read_as_igraph_reads_it(data: Path) -> None:
    """It gives data of a graph to a node, on purpose, and writes booleans as it likes."""
    path = data / "graphs" / "files" / "ig-test.graphml"
    with pytest.warns(AncestralWarning) as said:
        (graph,) = read_graphs(path)
    texts = " ".join(str(one.message) for one in said)
    assert "'d3'" in texts and "'color'" in texts and "weights are not kept" in texts
    assert graph.attribute("gender").to_list() == [1, 1, 0, 1, 0, 0]
    assert (graph.n_edges, graph.n_unknown) == (7, 0)  # an edge without a weight is a link


def test_names_that_yed_draws_are_names_of_nodes(tmp_path: Path) -> None:
    node = (
        '<node id="n{0}"><data key="d0"><y:ShapeNode><y:Geometry x="0"/>'
        "<y:NodeLabel>{1}</y:NodeLabel></y:ShapeNode></data></node>"
    )
    text = (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" '
        'xmlns:y="http://www.yworks.com/xml/graphml">'
        '<key for="node" id="d0" yfiles.type="nodegraphics"/><graph edgedefault="directed">'
        + node.format(0, " Ann ")
        + node.format(1, "Bob")
        + '<edge source="n1" target="n0"/></graph></graphml>'
    )
    path = tmp_path / "yed.graphml"
    path.write_text(text)
    (graph,) = read_graphs(path)
    assert graph.node_names == ("Ann", "Bob")
    assert graph.n_features == 0
    np.testing.assert_array_equal(graph.to_dense(), [[0, 0], [1, 0]])

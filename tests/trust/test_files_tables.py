"""Parquet, GraphML, the course's tables, and files that expand (A22, A49 to A54)."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from ancestral import InnerProductGraph
from ancestral.errors import AncestralError, DataError
from ancestral.io import read_array, read_columns, read_graphs, read_tables
from tests.io import hostile_files as hostile
from tests.io.hostile_files import edge, graphml, node
from tests.trust.files import put, refuse
from tests.trust.guard import accepted, limited, warned


def test_a22_the_courses_own_tables(course: Path) -> None:
    """Accepted under the caps as they are, in little memory; exact, row by row."""
    path = course / "image_cpts.pkl.gz"
    tables = accepted(lambda: read_tables(path), memory=8 << 20)
    assert (tables.n_contexts, tables.n_dense_cells) == (454, 67_108_862)
    assert all(set(np.unique(c)) <= {0, 1} for c in tables.contexts)
    live = [np.zeros(1)]
    for context, rows in zip(tables.contexts, tables.probabilities):
        assert len(live[-1]) == len(context) <= 26
        below = live[-1][:, None] + np.log(np.where(rows > 0, rows, 1))
        live.append(below[rows > 0])
    assert len(live[-1]) == 26
    np.testing.assert_allclose(live[-1], -math.log(26), atol=1e-12)


def test_a22_bytes_are_capped_and_no_ratio(tmp_path: Path) -> None:
    """What expands a thousand times is read, if it stays under the cap."""
    path = put(tmp_path, "a.npz", hostile.npz_of_zeros(8 << 20))
    assert path.stat().st_size < 10_000
    assert not accepted(lambda: read_array(path)).any()
    capped = lambda p: read_array(p, max_bytes=4 << 20)  # noqa: E731
    refuse(path, r"8\.0 MiB > max_bytes 4\.0 MiB; pass max_bytes=", readers=capped)


# ---- Parquet -------------------------------------------------------------------------------------


def write_parquet(path: Path, **columns: object) -> Path:
    """Write a table and return where it lies."""
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), path)
    return path


def test_a49_columns_that_are_no_plain_numbers(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for column, words in (
        (pa.array([1.0, None]), r"'bad' is null at row 1 \(1 nulls\); fill them.*missing=True"),
        (pa.array([[1], [2]]), "'bad' holds list.*convert it to numbers"),
        (pa.array([{"x": 1}, {"x": 2}]), "'bad' holds struct"),
        (pa.array(["u", "v"]).dictionary_encode(), "'bad' holds dictionary"),
        (pa.array(["u", "v"]), "'bad' holds string"),
        (pa.array([1, 2], pa.timestamp("s")), "'bad' holds timestamp"),
        (pa.array([1.0, float("nan")]), "NaN at row 1, column 1; drop or impute"),
        (pa.array([1.0, float("inf")]), "inf at row 1, column 1.*drop or clip"),
        (pa.array([1, 2**53 + 1]), "'bad' holds 9007199254740993 at row 1.*be rounded"),
        (pa.array([-(2**63), 0]), "'bad' holds -9223372036854775808 at row 0.*be rounded"),
    ):
        path = write_parquet(tmp_path / "a.parquet", good=[1.0, 2.0], bad=column)
        refuse(path, words, readers=(read_array, read_columns), kind=DataError)


def test_a49_t4_whole_numbers_are_never_rounded(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    with_nulls = lambda p: read_array(p, missing=True)  # noqa: E731
    path = write_parquet(tmp_path / "a.parquet", a=pa.array([1, None]), b=pa.array([True, False]))
    np.testing.assert_array_equal(accepted(lambda: with_nulls(path)), [[1, 1], [np.nan, 0]])
    write_parquet(path, a=pa.array([2**53 + 1, None, 3]))
    refuse(path, "'a' holds 9007199254740993 at row 0", readers=with_nulls, kind=DataError)
    write_parquet(path, a=pa.array([2**62 + 1, -(2**62)]), b=pa.array([1, 2]))
    assert accepted(lambda: read_array(path)).tolist() == [[2**62 + 1, 1], [-(2**62), 2]]


@pytest.mark.parametrize("ids", [["a7", "b9", "c2"], [11, 12, 14]])
def test_t5_the_index_of_a_pandas_frame_is_left_out_and_named(tmp_path: Path, ids: list) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    frame = pandas.DataFrame({"age": [1.0, 2.0, 4.0], "spent": [3.0, 5.0, 4.0]})
    frame.to_parquet(path)  # numbered rows, which are no column of the file
    assert accepted(lambda: read_columns(path))[0] == ["age", "spent"]
    for name, words in (("customer_id", "left out 'customer_id'"), (None, "'__index_level_0__'")):
        frame.set_axis(pandas.Index(ids, name=name)).to_parquet(path)
        says = ("the index of the pandas frame", r"reset_index\(\)")
        got, values = warned(lambda: read_columns(path), words, *says)
        assert got == ["age", "spent"]
        np.testing.assert_array_equal(values, frame)
    frame[[]].set_axis(pandas.Index(ids, name="id")).to_parquet(path)
    refuse(path, "no columns besides 'id', the index", readers=read_columns, kind=DataError)


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"index_columns": 3}', b"\xff", b"[" * 9_000])
def test_metadata_that_pandas_never_wrote_hide_no_column(tmp_path: Path, metadata: bytes) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({b"pandas": metadata})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    assert accepted(lambda: read_columns(tmp_path / "a.parquet"))[0] == ["a"]


def test_a50_false_and_cut_parquet(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "b.parquet", a=np.arange(1000.0)).read_bytes()
    noise = np.random.default_rng(0).bytes(500)
    for content in (
        b"PAR1" + noise + b"PAR1",
        b"PAR1",
        b"PAR1" + noise[:40] + b"\xff\xff\xff\x7fPAR1",
        whole[:-20],
        whole[: len(whole) // 2],
        whole[:-8] + b"\xff\xff\xff\x00PAR1",
    ):
        path = put(tmp_path, "a.parquet", content)
        refuse(path, "damaged Parquet", "copy it again", readers=(read_array, read_columns))
    refuse(put(tmp_path, "a.parquet.gz", gzip.compress(whole)), "gunzip it first")
    refuse(put(tmp_path, "a.parquet", noise), "looks like binary data")


def test_a50_parquet_that_expands(tmp_path: Path) -> None:
    """A column of one value takes a few bytes, however long."""
    path = write_parquet(tmp_path / "a.parquet", a=np.zeros(1 << 20))
    assert path.stat().st_size < 20_000
    capped = lambda p: read_array(p, max_bytes=1 << 20)  # noqa: E731
    refuse(path, r"expands to 8\.0 MiB > max_bytes 1\.0 MiB; pass max_bytes=", readers=capped)
    assert len(accepted(lambda: read_array(path))) == 1 << 20


# ---- text that expands: the numbers of a CSV and the tree of an XML take more than their text ----


@pytest.mark.parametrize("name", ["commas", "lines", "one line", "tags", "attributes"])
def test_a20_text_that_expands_many_times_over(tmp_path: Path, name: str) -> None:
    pytest.importorskip("defusedxml")
    content, words, read = {
        "commas": ((b"1," * 1000 + b"1\n") * 4_500, "max_bytes=", "read_array"),
        "lines": (b"1\n" * 4_300_000, "max_bytes=", "read_array"),
        "one line": (b"a," * 3_000_000, "line 1 is longer than 4.0 MiB", "read_array"),
        "tags": (b"<graphml>" + b"<a/>" * 6_000_000, "XML tags.*npz", "read_graphs"),
        "attributes": (b"<graphml><a " + b"a='' " * 6_000_000, "XML tags.*npz", "read_graphs"),
    }[name]
    suffix = "csv" if read == "read_array" else "graphml"
    path = put(tmp_path, f"a.{suffix}.gz", gzip.compress(content, 1))
    reader = {"read_array": read_array, "read_graphs": read_graphs}[read]
    refuse(path, words, readers=lambda p: reader(p, max_bytes=32 << 20))
    imports = f"import defusedxml.ElementTree\nfrom ancestral.io import {read}"
    last = limited(imports, f"{read}(sys.argv[1], max_bytes=32 << 20)", str(path))
    assert last.startswith("ancestral.errors.FormatError")


# ---- GraphML -------------------------------------------------------------------------------------


def refuse_graph(
    folder: Path, text: str, *says: str, kind: type[AncestralError] = AncestralError
) -> None:
    """A document must be refused."""
    pytest.importorskip("defusedxml")
    refuse(put(folder, "a.graphml", text), *says, readers=read_graphs, kind=kind)


def test_a51_billion_laughs(tmp_path: Path) -> None:
    laughs = "".join(
        f'<!ENTITY a{i} "{(f"&a{i - 1};" if i > 1 else "&a;") * 10}">' for i in range(1, 10)
    )
    dtd = f'<!DOCTYPE a [<!ENTITY a "ha">{laughs}]>'
    refuse_graph(tmp_path, graphml(node("a", "&a9;"), dtd=dtd), "DTD", "networkx.write_graphml")
    quadratic = f'<!DOCTYPE a [<!ENTITY a "{"ha" * 50_000}">]>'
    refuse_graph(tmp_path, graphml(node("a", "&a;" * 50_000), dtd=quadratic), "DTD")
    refuse_graph(tmp_path, graphml(node("a"), dtd="<!DOCTYPE graphml>"), "DTD")


@pytest.mark.parametrize("what", ['SYSTEM "file://{}"', 'PUBLIC "x" "file://{}"'])
@pytest.mark.parametrize("sign", ["", "% "])
def test_a52_entities_from_outside_are_not_read(tmp_path: Path, what: str, sign: str) -> None:
    secret = put(tmp_path, "secret", "0.25")
    dtd = f"<!DOCTYPE a [<!ENTITY {sign}x {what.format(secret)}>]>"
    refuse_graph(tmp_path, graphml(node("a", "&x;" if not sign else 1), dtd=dtd), "DTD")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (graphml(node("a") + "<hyperedge/>"), "hyperedges; only pairs"),
        (graphml('<node id="a"><graph/></node>'), "node 'a' holds a graph of its own"),
    ],
    ids=["hyperedge", "nested"],
)
def test_a53_graphs_that_are_not_simple(tmp_path: Path, text: str, words: str) -> None:
    refuse_graph(tmp_path, text, words, kind=DataError)


PAIR = node("a") + node("b")


@pytest.mark.parametrize(
    ("text", "option", "words"),
    [
        (graphml(PAIR, edgedefault="directed"), "directed", "links are directed"),
        (graphml(PAIR + edge("a", "b", ' directed="true"')), "directed", "links are directed"),
        (graphml(PAIR + edge("a", "a")), "loops", "node 'a' has an edge to itself"),
        (graphml(PAIR + edge("a", "b") + edge("b", "a")), "multiple", "are linked more than once"),
    ],
    ids=["directed", "one directed edge", "loop", "twice"],
)
def test_a53_what_a_simple_graph_has_not_is_refused_on_request(
    tmp_path: Path, text: str, option: str, words: str
) -> None:
    def refusing(path: Path) -> object:
        return read_graphs(path, **{option: "refuse"})

    refuse(put(tmp_path, "a.graphml", text), words, readers=refusing, kind=DataError)


@pytest.mark.parametrize(
    "text",
    [node("a") + '<node id="b"/>', node("a") + node("b", "NaN"), node("a") + node("b", "")],
)
def test_a54_a_gap_is_missing_until_it_is_used(tmp_path: Path, text: str) -> None:
    (graph,) = read_graphs(put(tmp_path, "a.graphml", graphml(text)))
    assert graph.attribute("x").missing.tolist() == [False, True]
    with pytest.raises(DataError, match="the attribute 'x' of node 'b' is missing"):
        InnerProductGraph().fit(graph)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (graphml(node("a") + node("b") + edge("a", "c")), "edge leads to node 'c', not there"),
        (graphml(node("a") + node("b", "inf")), r"node 'b' has 'x' = \[inf\]: drop or impute it"),
        (graphml(node("a") + node("b", "1_000")), "'x' = '1_000', a number is wanted"),
        (graphml(node("a") + node("b", "１２")), "'x' = '１２', a number is wanted"),
        (graphml(node("a") + node("b", "12345678901234567")), "which float64 rounds"),
        (graphml(node("a") + node("b", "12345678901234567.0")), "which float64 rounds"),
        (graphml(node("a") + node("b", "tall")), "node 'b' has 'x' = 'tall', a number is wanted"),
        (graphml(node("a") + node("a")), "node id 'a' is missing or used twice"),
        (graphml("<node/>"), "node id None is missing"),
        (graphml(""), "has no nodes"),
        (graphml(node("a"), keys=""), "node 'a' has data for key 'd0', which is not declared"),
        (graphml(node("a"))[:-20], "malformed XML.*copy it again"),
        ('<?xml version="1.0"?><svg/>', "root is <svg>, not <graphml>"),
        ("<graphml></graphml>", "holds no <graph>"),
    ],
)
def test_a54_nodes_and_edges_that_do_not_fit(tmp_path: Path, text: str, words: str) -> None:
    refuse_graph(tmp_path, text, words)

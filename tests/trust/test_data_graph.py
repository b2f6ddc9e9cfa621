"""Rows B49 to B66 of the catalogue of bad input: graphs with node features."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from ancestral import Graph, InnerProductGraph, read_graphs
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.pairs.gather import keep
from tests.graph.simulated import by_pairs, some_graphs
from tests.graph.test_inner_product import path_graph
from tests.trust.guard import accepted, refused, warned

Note = Callable[[str, str], None]
X = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
E = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def fit(graphs: Any, *solver: str) -> InnerProductGraph:
    return InnerProductGraph(*solver).fit(graphs)


def with_entry(value: Any, i: int = 0, j: int = 2, *, mirrored: bool = True) -> np.ndarray:
    changed = np.array(E, dtype=float)
    changed[i, j] = value
    if mirrored:
        changed[j, i] = value
    return changed


def refuses(features: Any, adjacency: Any, *says: str, kind: type = DataError) -> None:
    """Refuse one graph alone, and as the second of a list, which is then named."""
    refused(lambda: Graph(features, adjacency), *says, kind=kind)
    many = [(X, E), (features, adjacency)]
    refused(lambda: fit(many), "graph 1", *says, kind=kind)
    refused(lambda: InnerProductGraph().partial_fit(many), "graph 1", *says, kind=kind)


def dense_and_sparse(adjacency: np.ndarray) -> list[Any]:
    return [adjacency, sparse.csr_matrix(adjacency), sparse.coo_array(adjacency)]


# ---- the adjacency -------------------------------------------------------------------------------


def test_b49_an_asymmetric_adjacency() -> None:
    for one_way in dense_and_sparse(with_entry(1, mirrored=False)):
        says = r"adjacency is not symmetric: \(0, 2\) is 1, \(2, 0\) is 0", r"maximum\(E, E.T\)"
        refuses(X, one_way, *says)
    n = 2_500  # stays sparse
    one_way = sparse.coo_array(([1], ([7], [2_000])), shape=(n, n))
    refused(lambda: Graph(np.zeros((n, 1)), one_way), r"\(7, 2000\) is 1, \(2000, 7\) is 0")


def test_b50_ones_on_the_diagonal_are_ignored_and_said_once(
    course: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classrooms = read_graphs(course / "classroom_graphs.pkl")
    assert all(np.diag(g.adjacency).any() for g in classrooms)
    with caplog.at_level(logging.INFO, logger="ancestral"):
        model = fit(classrooms)
    records = [r for r in caplog.records if "diagonal" in r.message]
    assert [r.levelno for r in records] == [logging.INFO]
    assert "100 of 100 graphs have ones on the diagonal" in records[0].message
    caplog.clear()
    clean = [Graph(g.features, g.adjacency * (1 - np.eye(15, dtype=int))) for g in classrooms]
    assert accepted(lambda: fit(clean)).slope_ == accepted(lambda: fit(classrooms)).slope_
    np.testing.assert_array_equal(model.log_density(clean), model.log_density(classrooms))
    assert [g.n_edges for g in clean] == [g.n_edges for g in classrooms]
    assert not caplog.records


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5])
def test_b50_other_values_on_the_diagonal(value: float) -> None:
    for odd in dense_and_sparse(with_entry(value, 1, 1)):
        refuses(X, odd, rf"adjacency holds {value} at \(1, 1\)", "not modelled: set it to 0")


@pytest.mark.parametrize("value", [0.3, 2.0, -1.0, np.inf])
def test_b51_entries_that_are_neither_0_nor_1(value: float) -> None:
    mend = "Threshold weights, for example E >= 0.5"
    for odd in dense_and_sparse(with_entry(value)):
        refuses(X, odd, rf"adjacency holds {value} at \(0, 2\); entries must be 0 or 1", mend)
    text = [["no", "yes", "no"]] * 3
    refuses(X, text, "adjacency holds 'no' at row 0, column 0", kind=DataTypeError)
    n = 2_500
    odd = sparse.coo_array(([value, value], ([7, 9], [9, 7])), shape=(n, n))
    refused(lambda: Graph(np.zeros((n, 1)), odd), rf"adjacency holds {value} at \(7, 9\)", mend)


# ---- no finite maximum ---------------------------------------------------------------------------

ADD = "Add graphs until linked and unlinked pairs overlap in x_i.x_j, or pass l2=1"


def has_no_maximum(s: list[float], e: list[int], *says: str) -> None:
    """Both solvers refuse; the penalty that the error offers gives an answer."""
    graphs = path_graph(s, e)
    for solver in ("newton", "gradient_ascent"):
        refused(lambda solver=solver: fit(graphs, solver), *says, kind=ModelError)
    penalised = accepted(lambda: InnerProductGraph(l2=1).fit(graphs))
    assert np.isfinite([penalised.slope_, penalised.intercept_]).all()


@pytest.mark.parametrize(
    ("e", "says"),
    [
        ([0, 0, 1, 1], r"a -> \+inf.*linked pair has x_i.x_j >= 0.3 .*unlinked one <= 0.2"),
        ([1, 1, 0, 0], r"a -> -inf.*linked pair has x_i.x_j <= 0.2 .*unlinked one >= 0.3"),
    ],
)
def test_b52_links_that_a_threshold_separates(e: list[int], says: str) -> None:
    has_no_maximum([0.1, 0.2, 0.3, 0.4], e, says, ADD)


@pytest.mark.parametrize(
    ("s", "e", "says"),
    [
        ([0.1, 0.2, 0.2, 0.4], [0, 0, 1, 1], r"a -> \+inf.*>= 0.2 .*<= 0.2"),
        ([0.1, 0.2, 0.2, 0.4], [1, 1, 0, 0], r"a -> -inf.*<= 0.2 .*>= 0.2"),
        ([0.2, 0.2, 0.2, 0.4], [0, 1, 0, 1], r"a -> \+inf"),
        ([0.2, 0.2, 0.2, 0.4], [0, 1, 1, 0], r"a -> -inf"),
        ([0.1, 0.4], [0, 1], r"a -> \+inf"),
    ],
)
def test_b53_links_separated_but_for_a_tie(s: list[float], e: list[int], says: str) -> None:
    has_no_maximum(s, e, says, ADD)


def test_b53_the_least_overlap_is_enough() -> None:
    graphs = path_graph([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    model = accepted(lambda: fit(graphs))
    assert np.isfinite([model.slope_, model.intercept_, *model.standard_errors_]).all()
    gradient = keep(graphs).gradient(model.slope_, model.intercept_)
    np.testing.assert_allclose(gradient, 0, atol=1e-10)


def test_b54_all_edges_or_none() -> None:
    has_no_maximum([0.1, 0.2], [0, 0], "no pair is linked: b -> -inf", ADD)
    has_no_maximum([0.1, 0.2], [1, 1], r"every pair is linked: b -> \+inf", ADD)


@pytest.mark.parametrize("s", [0.3, 0.0])
def test_b55_equal_inner_products(s: float) -> None:
    says = f"all inner products equal {s:g}: a is not identified. Give features that vary"
    has_no_maximum([s] * 3, [0, 1, 0], says)


# ---- sizes ---------------------------------------------------------------------------------------


def by_hand(model: InnerProductGraph, graphs: list[Graph]) -> float:
    """Return the log-likelihood, a pair at a time."""
    s, e = by_pairs(graphs)
    p = 1 / (1 + np.exp(-(model.slope_ * s + model.intercept_)))
    return float(np.where(e == 1, np.log(p), np.log(1 - p)).sum())


def test_b56_b58_isolated_nodes_and_graphs_of_differing_size() -> None:
    first, *others = some_graphs()
    lonely = Graph(np.vstack([first.features, [[0.5, 0.5, 0.5]]]), np.pad(first.adjacency, (0, 1)))
    graphs = [lonely, *others]
    assert 0 in lonely.degrees and len({g.n_nodes for g in graphs}) > 2
    model = accepted(lambda: fit(graphs))
    assert model.n_pairs_ == len(by_pairs(graphs)[0])
    assert model.log_density(graphs).sum() == pytest.approx(by_hand(model, graphs), rel=1e-12)
    assert model.log_likelihood_ == pytest.approx(by_hand(model, graphs), rel=1e-12)
    for a, b in ((1.001, 1.0), (0.999, 1.0), (1.0, 1.001), (1.0, 0.999)):
        nudged = InnerProductGraph()
        nudged.slope_, nudged.intercept_ = a * model.slope_, b * model.intercept_
        assert by_hand(nudged, graphs) < model.log_likelihood_


def test_b57_graphs_of_one_node_and_of_none() -> None:
    graphs = some_graphs()
    single = Graph([[0.1, 0.2, 0.3]], [[0]])
    many = [*graphs, single, single]
    model = warned(lambda: fit(many), "2 of 14 graphs have a single node and so no pair")
    assert model.slope_ == fit(graphs).slope_
    assert accepted(lambda: model.log_density(single))[0] == 0.0
    refused(lambda: fit([single]), "no dyad is known: give a graph of two nodes", kind=ModelError)
    refuses(np.zeros((0, 2)), np.zeros((0, 0)), "features have no rows", "Drop it")


def test_b59_feature_widths_that_differ() -> None:
    narrow = ([[0.1]] * 3, E)
    says = "graph 1 has 1 features per node where 2 are expected"
    refused(lambda: fit([(X, E), narrow]), says, "Every graph needs", kind=DataError)
    model = fit(some_graphs())
    says = "graph 0 has 2 features per node where 3 are expected"
    refused(lambda: model.log_density([(X, E)]), says, kind=DataError)


def test_b60_rows_of_features_and_adjacency_that_differ() -> None:
    says = r"features have 3 rows, so adjacency must have shape \(3, 3\); got \(2, 2\)", "Give each"
    refuses(X, [[0, 1], [1, 0]], *says)
    says = r"features have 2 rows, so adjacency must have shape \(2, 2\); got \(3, 3\)", "Give each"
    refuses(X[:2], E, *says)
    refuses(X, sparse.csr_matrix((2, 2)), r"got \(2, 2\)")
    refuses([0.1, 0.2, 0.3], E, r"features must have 2 dimensions; got shape \(3,\)")
    refuses(X, [0, 1, 0], r"adjacency must have 2 dimensions; got shape \(3,\)")
    refuses([[0.1], [0.2, 0.3], [0.4]], E, r"features is ragged: row 1 has shape \(2,\)")


# ---- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3.0, 1e6, 1e60])
def test_b61_features_beyond_one(size: float) -> None:
    graphs = some_graphs()
    plain = fit(graphs)
    largest = max(np.abs(g.features).max() for g in graphs)
    scaled = [Graph(g.features * size / largest, g.adjacency) for g in graphs]
    model = accepted(lambda: fit(scaled))
    assert model.slope_ * (size / largest) ** 2 == pytest.approx(plain.slope_, rel=1e-9)
    assert model.intercept_ == pytest.approx(plain.intercept_, rel=1e-9)
    np.testing.assert_allclose(model.log_density(scaled), plain.log_density(graphs), rtol=1e-9)
    steep = accepted(lambda: plain.log_density(scaled))  # exp(a s) is far beyond float64
    assert (steep <= 0).all() and np.isfinite(steep).all()
    p = accepted(lambda: plain.probabilities(scaled[0].features))
    assert ((p >= 0) & (p <= 1)).all()
    accepted(lambda: plain.sample(2, features=scaled[0].features, random_state=0))


def test_b61_features_whose_inner_products_overflow() -> None:
    far = [[0.1, 0.2], [0.3, -1e200], [0.5, 0.6]]
    says = r"features holds -1e\+200 at row 1, column 1", "overflow float64. Rescale"
    refuses(far, E, *says)
    model = fit(some_graphs())
    wide = [[0.1, 0.2, 1e155]]
    for call in (model.probabilities, lambda f: model.sample(1, features=f)):
        refused(lambda call=call: call(wide), "features holds 1e.155 at row 0, column 2")


def test_b1_b2_features_that_are_not_finite() -> None:
    refuses([[0.1], [np.nan], [0.2]], E, "features holds NaN at row 1, column 0; drop or impute")
    refuses([[0.1], [0.3], [-np.inf]], E, "features holds -inf at row 2, column 0; .*drop or clip")


def test_b62_whole_numbers_are_multiplied_as_float64() -> None:
    """2^20 squared is zero in int32."""
    features = np.full((2, 1), 2**20, dtype=np.int32)
    graph = accepted(lambda: Graph(features, [[0, 1], [1, 0]]))
    np.testing.assert_array_equal(keep([graph]).edges, [2.0**40])


# ---- kinds of graphs -----------------------------------------------------------------------------


def test_b63_sparse_matrices_dataframes_and_dtypes() -> None:
    graphs = some_graphs()
    plain = fit(graphs)
    pd = pytest.importorskip("pandas")
    forms: list[Callable[[Graph], Any]] = [
        lambda g: (g.features, sparse.csr_matrix(g.adjacency)),
        lambda g: (g.features, sparse.coo_array(g.adjacency)),
        lambda g: (pd.DataFrame(g.features), pd.DataFrame(g.adjacency)),
        lambda g: (g.features, g.adjacency.astype(bool)),
    ]
    for form in forms:
        model = accepted(lambda form=form: fit([form(g) for g in graphs]))
        assert model.slope_ == plain.slope_


def test_b63_what_is_no_graph_is_named() -> None:
    nx = pytest.importorskip("networkx")
    path = nx.path_graph(3)
    give = "give a Graph or \\(features, adjacency\\)"
    for graphs in (path, [path]):
        says = f"graph 0 is a networkx Graph; {give}: ancestral.io.from_networkx"
        refused(lambda graphs=graphs: fit(graphs), says, kind=DataError)
    refused(lambda: fit([sparse.csr_matrix(E)]), f"graph 0 is a csr_matrix; {give}")
    refused(lambda: fit([np.eye(3)]), f"graph 0 is a ndarray; {give}")
    refuses(X, path, "adjacency is a networkx graph", "to_numpy_array", kind=DataTypeError)
    refuses(sparse.csr_matrix(X), E, r"features is a sparse matrix.*MB.*features.toarray\(\)")
    refuses([["a"], ["b"], ["c"]], E, "features holds 'a' at row 0, column 0", kind=DataTypeError)
    refuses(np.zeros((3, 2), complex), E, "features holds complex128 values", kind=DataTypeError)


def test_b64_dataframes_in_another_order_are_read_by_label() -> None:
    pd = pytest.importorskip("pandas")
    graph = some_graphs()[0]
    names = [f"n{i}" for i in range(graph.n_nodes)]
    features = pd.DataFrame(graph.features, index=names)
    adjacency = pd.DataFrame(graph.adjacency, index=names, columns=names)
    rng = np.random.default_rng(0)
    for rows, columns, nodes in (
        (names, rng.permutation(names), names),
        (rng.permutation(names), rng.permutation(names), names),
        (names, names, rng.permutation(names)),
    ):
        shuffled = adjacency.loc[rows, columns]
        found = accepted(lambda E=shuffled, n=nodes: Graph(features.loc[n], E))
        np.testing.assert_array_equal(found.features, features.loc[nodes])
        np.testing.assert_array_equal(found.adjacency, adjacency.loc[nodes, nodes])
        np.testing.assert_array_equal(  # features without labels: the adjacency's own row order
            Graph(graph.features, shuffled).adjacency, adjacency.loc[rows, rows]
        )
    other = adjacency.rename(columns={"n1": "x"})
    says = "columns of adjacency and its rows name different nodes: 'x' at 1 .*'n1'", "same labels"
    refused(lambda: Graph(features, other), *says, kind=DataError)
    other = adjacency.rename(index={"n1": "x"}, columns={"n1": "x"})
    refused(
        lambda: Graph(features, other), "rows of adjacency and the rows of features", "'x' at 1"
    )

    numbered = pd.DataFrame(graph.adjacency).iloc[::-1, ::-1]
    says = (
        f"number the nodes in different orders: {graph.n_nodes - 1} at 0 where the other has 0",
        "reset both",
    )
    refused(lambda: Graph(pd.DataFrame(graph.features), numbered), *says, kind=DataError)


def test_b65_a_hundred_thousand_nodes(long: bool, note: Note) -> None:
    """Five thousand million pairs: fitted without visiting them, or refused with an estimate."""
    rng = np.random.default_rng(0)
    n = 100_000 if long else 20_000
    features = rng.uniform(-1, 1, size=(n, 3))
    b = -9.5 if long else -8.0
    edges = sample_edges(features, 3.0, b, random_state=0)
    graph = Graph(features, edges)
    seconds, memory = _cost(lambda: fit(graph))
    model = fit(graph)
    error = np.array([model.slope_ - 3.0, model.intercept_ - b])
    assert error @ np.linalg.solve(model.covariance_, error) < 18.4  # chi-square, 1 in 10,000
    assert memory < 200
    done = f"{seconds:.1f} s of processor time, {memory:.0f} MiB more"
    note(f"graph of {n:,} nodes and {graph.n_edges:,} edges: fitted in", done)
    huge = Graph(np.zeros((100_000, 3)), sparse.csr_array((100_000, 100_000), dtype=np.int8))
    kept = InnerProductGraph(pairs="products")
    refused(lambda: kept.fit(huge), r"5e\+09 inner products need 224 GiB", 'pairs="auto"')
    refused(huge.to_dense, "dense adjacency of 100000 nodes needs 74.5 GiB", "Keep it sparse")
    says = "matrix of probabilities of 100000 nodes needs 223.5 GiB", "draw edges with sample"
    refused(lambda: model.probabilities(huge.features), *says, kind=ModelError)
    dense = path_graph([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    says = r"n_nodes=100000 would give about \S+e\+09 edges.*GiB", "Draw smaller graphs"
    refused(lambda: fit(dense).sample(1, n_nodes=100_000), *says, kind=ModelError)


def _cost(call: Callable[[], Any]) -> tuple[float, float]:
    """Return processor seconds, and by how many MiB the resident memory rose at its peak."""

    def resident(name: str) -> float:
        (line,) = (row for row in status.read_text().splitlines() if row.startswith(name))
        return int(line.split()[1]) / 1024

    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before, start = resident("VmRSS"), time.process_time()
    call()
    return time.process_time() - start, resident("VmHWM") - before


def test_b66_adjacency_and_features_swapped() -> None:
    rng = np.random.default_rng(0)
    says = r"graph 1 looks like \(adjacency, features\): shapes \(3, 3\) and \(3, 2\)", "Give"
    refused(lambda: fit([(X, E), (E, X)]), *says, kind=DataError)
    refused(lambda: Graph(E, X), "features and adjacency swapped", kind=DataError)
    square = rng.normal(size=(3, 3))  # as many features as nodes
    refuses(E, square, r"adjacency holds \S+ at \(0, 0\)", "look like an adjacency: .*swapped")
    graphs = [(g.adjacency, g.features) for g in some_graphs()]
    refused(lambda: fit(graphs), r"graph 0 looks like \(adjacency, features\)")

"""The room of graphs: who is linked with whom given their features, and the likelihood.

    p(e_ij = 1 | x_i, x_j) = sigmoid(a s_ij + b),    s_ij = x_i . x_j

The page is told s of all pairs as weights on the nodes of a grid (`pairs.grid`): about a thousand
numbers for any number of pairs. It takes s times 10^unit, which makes it about 1 whatever units the
features have, and a in units of 10^unit.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import _catalogue
from ancestral.errors import AncestralError, DataError
from ancestral.graph.attributes import Attribute, indicated
from ancestral.graph.graph import Graph
from ancestral.graph.graphs import as_graphs
from ancestral.graph.pairs.sums import PairSums
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, kept_with_item

MOST_NODES = 5_000  # of all graphs that are drawn: each has a dot, and a row of features is sent
MOST_LINKS = 100_000  # of these graphs: each is sent
MOST_ROWS = 400  # that the pupils of new classes are drawn from
MOST_LEVELS = 12  # whole numbers that are spread on the axis, since nodes would hide one another
PUPILS = 15  # of a class at first
MOST_SIZE = 1000.0  # of a step of the climb: the end of its slider
FIRST_STEPS = 10  # of the climb, among which none falls at the size that it has at first
START = 0.6, 0.4  # of the maximum: the first a and b, from where the climb is seen

EQUATION = (
    '<math displaystyle="true"><mi>p</mi><mo form="prefix" stretchy="false">(</mo>'
    "<msub><mi>e</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub><mo>=</mo><mn>1</mn>"
    '<mo form="infix" stretchy="false">|</mo>'
    '<msub><mi mathvariant="normal" class="b">x</mi><mi>i</mi></msub><mo separator="true">,</mo>'
    '<msub><mi mathvariant="normal" class="b">x</mi><mi>j</mi></msub>'
    '<mo form="postfix" stretchy="false">)</mo><mo>=</mo><mfrac><mn>1</mn><mrow><mn>1</mn>'
    '<mo>+</mo><msup><mi>e</mi><mrow><mo>−</mo><mo form="prefix" stretchy="false">(</mo>'
    '<mi>a</mi><mspace width="0.15em"/>'
    '<msub><mi mathvariant="normal" class="b">x</mi><mi>i</mi></msub><mo>·</mo>'
    '<msub><mi mathvariant="normal" class="b">x</mi><mi>j</mi></msub><mo>+</mo><mi>b</mi>'
    '<mo form="postfix" stretchy="false">)</mo></mrow></msup></mrow></mfrac></math>'
)


def subjects(shelf: Shelf) -> list[Subject]:
    """Return each file of graphs with the saved models of its features; other models alone."""
    from ancestral import InnerProductGraph

    saved, taken = shelf.models(InnerProductGraph), set()
    found = []
    for item in shelf.of_kind("graphs"):
        if refuses(item) is not None:
            continue
        graphs, said = usable(item)
        models = [one for one in saved if _fits(one.data, graphs[0])]
        taken |= {one.id for one in models}
        used = ". ".join([*said, *_drawn(graphs)[2]])
        found.append(
            Subject(
                item.name,
                (item, *models),
                partial(_of_graphs, item, tuple(models)),
                used={item.id: used} if used else {},
            )
        )
    alone = [one for one in saved if one.id not in taken]
    return found + [Subject(one.name, (one,), partial(_of_model, one)) for one in alone]


def refuses(item: Item) -> str | None:
    """Return why an item has no place here: graphs without features, other models of graphs."""
    entry = _catalogue.entry_of(item.data) if item.kind == "model" else None
    if entry is not None and entry.face == "graphs" and entry.room is None:
        return f"{entry.name} ({entry.about}) has parameters other than the a and b of this room."
    if item.kind != "graphs":
        return None
    try:
        usable(item)
    except AncestralError as error:
        return str(error)
    return None


def shows(model: Any) -> bool:
    """Tell whether the room can show this model by itself: every one of its kind."""
    return True


# ---- what there is ------------------------------------------------------------------------------


@kept_with_item
def usable(item: Item) -> tuple[list[Graph], list[str]]:
    """Return graphs of one set of features without gaps or directions, and what this left out."""
    graphs, said = list(item.data), []
    if any(graph.directed for graph in graphs):
        graphs = [graph.undirected("union") for graph in graphs]
        said.append("Two nodes count as linked if a link leads either way")
    gaps = {
        name
        for graph in graphs
        for name in graph.attribute_names
        if graph.attribute(name).missing.any()
    }
    if gaps:
        graphs = [_without(graph, gaps) for graph in graphs]
        said.append(f"Left out, because some nodes have no value: {', '.join(sorted(gaps))}")
    if not graphs[0].n_features:
        held = f" but {', '.join(sorted(gaps))}, which some nodes lack" if gaps else ""
        raise DataError(
            f"Its nodes have no features{held}: a link here depends on the features of two nodes. "
            "Open a file whose nodes have attributes."
        )
    if not any(graph.n_pairs for graph in graphs):
        raise DataError("Its graphs have no pair of nodes: open graphs of two nodes or more.")
    return as_graphs(graphs), said


def _without(graph: Graph, gaps: set[str]) -> Graph:
    """Return the graph without some attributes."""
    kept = tuple(graph.attribute(name) for name in graph.attribute_names if name not in gaps)
    nodes = Graph(kept or None, graph.adjacency)
    return nodes.replaced(unknown=graph.unknown, node_names=graph.node_names)


def _fits(model: Any, graph: Graph) -> bool:
    """Tell whether a saved model is one of these features."""
    own = {str(name) for name in getattr(model, "feature_names_in_", ())}
    names = set(graph.feature_names or ())
    return bool(model.n_features_ == graph.n_features and own == names)


def _drawn(graphs: list[Graph]) -> tuple[list[Graph], list[Any], list[str]]:
    """Return the graphs to be drawn, the nodes that they were before, and what is not drawn."""
    first = graphs[0]
    if first.n_nodes > MOST_NODES:
        chosen = np.sort(np.random.default_rng(0).choice(first.n_nodes, MOST_NODES, replace=False))
        rest = f" of graph 1 of {len(graphs)}" if len(graphs) > 1 else ""
        some = f"{MOST_NODES:,} of {first.n_nodes:,} nodes{rest}, at random (seed 0)"
        return [first], [chosen], [f"Drawn: {some}. The likelihood uses all pairs"]
    nodes = np.cumsum([graph.n_nodes for graph in graphs])
    links = np.cumsum([graph.n_edges + graph.n_unknown for graph in graphs])
    fit = max(1, int(((nodes <= MOST_NODES) & (links <= MOST_LINKS)).sum()))
    said = [f"Drawn: the first {fit} of {len(graphs)} graphs. The likelihood uses all"]
    return graphs[:fit], [None] * fit, said if fit < len(graphs) else []


def _attributes(X: NDArray[np.float64], names: list[str]) -> list[Attribute]:
    """Return the attributes behind features, in which texts stand as an indicator of each level."""
    found: list[Attribute] = []
    for k, name in enumerate(names):
        stem, is_level, _ = name.partition("=")
        levels = indicated(stem, names, X) if is_level else None
        if levels is None:
            found.append(Attribute(name, X[:, k]))
        elif all(one.name != stem for one in found):
            found.append(levels)
    return found


def _names(graph_names: Any, n_features: int) -> list[str]:
    subscripts = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    plain = [f"x{str(k + 1).translate(subscripts)}" for k in range(n_features)]
    return [str(name) for name in graph_names] if graph_names is not None else plain


# ---- what the page is told ----------------------------------------------------------------------


def _of_graphs(item: Item, saved: tuple[Item, ...]) -> dict[str, Any]:
    """Return what the page is told of graphs: the likelihood of all, and some as they are."""
    from ancestral import InnerProductGraph

    graphs, _ = usable(item)
    paired = [graph for graph in graphs if graph.n_pairs]  # a single node says nothing of a and b
    fitted = InnerProductGraph().fit(paired)
    sums = fitted.pair_statistics(paired)
    told = _of_class([("Maximum likelihood", fitted), *((one.name, one.data) for one in saved)])
    start, units = told["start"], np.array([10.0 ** told["unit"], 1.0])  # of the page's a and b
    names = _names(graphs[0].feature_names, graphs[0].n_features)
    X = np.concatenate([graph.features for graph in graphs])
    attributes = _attributes(X, names)
    drawn, nodes, _ = _drawn(graphs)
    values = _numbers(attributes)[: sum(graph.n_nodes for graph in drawn)]
    links = [*map(_pairs, drawn, nodes)]
    return {
        **told,
        "source": item.about,
        "attributes": [_described(one) for one in attributes],
        "sums": _grid(sums, told["unit"]),
        "n_pairs": sums.n_pairs,
        "size": _step_size(fitted, sums, np.array([start["a"], start["b"]]), units),
        "n_graphs": len(graphs),
        "log_likelihood": fitted.log_likelihood_,
        "is_own": not item.built_in,
        "graphs": {
            "sizes": [g.n_nodes if some is None else len(some) for g, some in zip(drawn, nodes)],
            "values": packed(values if nodes[0] is None else values[nodes[0]], "float64"),
            "links": packed(np.concatenate(links), "int32"),
            "counts": [*map(len, links)],
            "names": _node_names(drawn, nodes),
        },
    }


def _of_model(item: Item) -> dict[str, Any]:
    """Return what the page is told of a model by itself: no graphs, so no likelihood."""
    told = _of_class([(item.name, item.data)])
    (fit,) = told["fits"]
    start = {"a": fit["a"], "b": fit["b"] - (np.log(PUPILS) if fit["by_size"] else 0.0)}
    return {**told, "start": start, "source": item.about, "sums": None}


def _of_class(models: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what rules a class and what its pupils can be, of models of the same features."""
    _, first = models[0]
    names = _names(getattr(first, "feature_names_in_", None), first.n_features_)
    rows = getattr(first, "feature_rows_", None)  # absent from models of older versions
    if rows is None:
        rows = np.random.default_rng(0).uniform(-1, 1, (MOST_ROWS, first.n_features_))
    counts = getattr(first, "feature_counts_", np.ones(len(rows)))[:MOST_ROWS]
    products = (rows[:MOST_ROWS] @ rows[:MOST_ROWS].T)[np.triu_indices(len(counts), 1)]
    spread = float(np.sqrt(np.mean(products**2))) if len(products) else 0.0
    unit = -round(np.log10(spread)) if spread > 0 else 0
    attributes = _attributes(rows, names)
    fits = [_fit(name, model, unit) for name, model in models]
    reach = [_around([0.0, *(fit[key] for fit in fits)]) for key in ("a", "b")]
    return {
        "unit": unit,
        "attributes": [_described(one) for one in attributes],
        "rows": packed(_numbers(attributes)[:MOST_ROWS], "float64"),
        "counts": packed(counts, "float64"),
        "fits": fits,
        "reach": dict(zip("ab", reach, strict=True)),
        "start": {k: float(f"{share * fits[0][k]:.2g}") for k, share in zip("ab", START)},
    }


def _step_size(
    fitted: Any, sums: PairSums, start: NDArray[np.float64], units: NDArray[np.float64]
) -> float:
    """Return a size at which plain ascent on the mean over pairs soon nears the maximum.

    It is one over the largest curvature there, halved until no step overshoots at first.
    """
    information = sums.information(fitted.slope_, fitted.intercept_) * np.outer(units, units)
    size = sums.n_pairs / float(np.linalg.eigvalsh(information)[-1])
    while _overshoots(sums, start, units, size / sums.n_pairs):
        size /= 2
    return min(MOST_SIZE, float(f"{size:.1g}"))


def _overshoots(
    sums: PairSums, start: NDArray[np.float64], units: NDArray[np.float64], size: float
) -> bool:
    """Tell whether the log-likelihood falls in one of the first steps of plain ascent."""
    at, before = start, -np.inf
    for _ in range(FIRST_STEPS):
        value, gradient, _ = sums.evaluate(*(at * units))
        if value < before:
            return True
        at, before = at + size * gradient * units, value
    return False


def _fit(name: str, model: Any, unit: int) -> dict[str, Any]:
    a_error, b_error = (float(error) for error in model.standard_errors_)
    return {
        "name": name,
        "a": model.slope_ / 10.0**unit,
        "b": model.intercept_,
        "standard_errors": [a_error / 10.0**unit, b_error],
        "by_size": model.offset is not None,
    }


def _around(values: list[float]) -> list[float]:
    """Return a range of round numbers around these."""
    low, high = min(values), max(values)
    margin = max(3.0, 0.6 * (high - low))
    return _rounded(low - margin, high + margin)


def _rounded(low: float, high: float) -> list[float]:
    """Return the range widened to multiples of a round number: a twentieth of it or less."""
    rough = (high - low) / 20 or 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    step = max(k * power for k in (1.0, 2.0, 5.0) if k * power <= rough * 1.0001)
    ends = np.floor(low / step) * step, np.ceil(high / step) * step
    return [float(f"{end:.12g}") for end in ends]


def _described(one: Attribute) -> dict[str, Any]:
    """Return an attribute as the page draws it: levels as places from 0, numbers in a range."""
    if one.levels is not None:
        levels = [level[:40] for level in one.levels]
        high = len(levels) - 1
        return {"name": one.name, "levels": levels, "low": 0, "high": high, "whole": True}
    ends = [float(one.values.min()), float(one.values.max())]
    whole = bool((one.values == np.round(one.values)).all())
    few = whole and ends[1] - ends[0] < MOST_LEVELS
    if ends[0] == ends[1]:
        ends = [ends[0] - 1, ends[1] + 1]
    elif not few:
        ends = _rounded(*ends)
    return {"name": one.name, "low": ends[0], "high": ends[1], "whole": whole, "spread": few}


def _numbers(attributes: list[Attribute]) -> NDArray[np.float64]:
    """Return attributes as one matrix, levels as their places."""
    return np.stack([one.values.astype(np.float64) for one in attributes], axis=1)


def _grid(sums: PairSums, unit: int) -> dict[str, Any]:
    """Return the sums over pairs as the page takes them: s, weights, signs; what is apart."""
    layers = sums.on_grid().layers
    s, weights = (np.concatenate(parts) for parts in zip(*(one.condensed for one in layers)))
    signs = np.concatenate([np.full(len(one.condensed[0]), one.sign) for one in layers])
    count, total, _ = sums.apart
    return {
        "s": packed(s * 10.0**unit, "float64"),
        "weights": packed(weights, "float64"),
        "signs": packed(signs, "int32"),
        "apart": [total * 10.0**unit, count],
    }


def _node_names(graphs: list[Graph], nodes: list[Any]) -> list[str]:
    """Return the names of the nodes that are drawn; none unless every graph has them."""
    found: list[str] = []
    for graph, some in zip(graphs, nodes, strict=True):
        if graph.node_names is None:
            return []
        names = graph.node_names
        found += [names[k][:40] for k in (range(len(names)) if some is None else some)]
    return found


def _pairs(graph: Graph, nodes: Any) -> NDArray[np.int32]:
    """Return (i, j, 1) of each link and (i, j, -1) of each unknown dyad, i < j."""
    from scipy import sparse

    found = []
    for matrix, mark in ((graph.to_sparse(), 1), (graph.unknown, -1)):
        if matrix is None:
            continue
        some = matrix if nodes is None else sparse.csr_array(matrix)[nodes][:, nodes]
        i, j = sparse.triu(some, 1).nonzero()
        found.append(np.stack([i, j, np.full(len(i), mark)], axis=1))
    return np.concatenate(found).astype(np.int32)


ROOM = Room(
    order=3,
    verb="Link pupils",
    sentence="Similar pupils become friends: move a pupil, or change a and b, and watch the links.",
    equation=EQUATION,
    wants="Open graphs whose nodes have features (classroom_graphs.pkl, .graphml, .gml, .npz), or "
    "a saved InnerProductGraph.",
    words={
        "features x₁, x₂, …": "what is known of each pupil, e.g. age; here simulated",
        "p(link)": "the probability that two pupils are friends",
        "log p(links)": "how probable the drawn links are: the log of the product over all pairs",
        "log-likelihood": "the log probability of all the links in the data, under a and b",
        "nats": "the unit of log p: one nat more is 2.7 times as probable",
        "gradient": "the slope of the log-likelihood in a and b, a mean over all pairs of pupils",
        "step size": "how far a step goes for a given slope; too large a step jumps over the top",
        "line search": "each step tries a size and halves it until the log-likelihood rises",
    },
    subjects=subjects,
    refuses=refuses,
    shows=shows,
)

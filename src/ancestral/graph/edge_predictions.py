"""Which dyads are probably linked: those that nobody observed, or all, ranked.

A graph model says p_ij of any dyad given the nodes; of dyads that nobody observed that is all that
can be said, since dyads are independent given the nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logit
from scipy.stats import rankdata

from ancestral._checks.numbers import MAX_SAMPLE_BYTES, check_integer
from ancestral._printed import Printed, Table, one_table
from ancestral.base import ReadAtOnce
from ancestral.errors import ModelError
from ancestral.graph.graphs import Graph

Float = NDArray[np.float64]
Ends = tuple[NDArray[np.int64], NDArray[np.int64]]

WHICH = ("unknown", "unlinked", "all")
ROW_BYTES = 200  # of a dyad in a table with names
BLOCK = 1 << 20  # dyads at once, where only the most probable are kept


class PredictsEdges(ReadAtOnce, ABC):
    """A graph model that gives the probability of any dyad.

    The author of a model writes `_one_graph(graph)`, which checks the graph of the caller and
    matches its columns, and `_pair_probabilities(graph, i, j)`.
    """

    @abstractmethod
    def _one_graph(self, graph: Any) -> Graph:
        """Return the one graph that was given, its nodes and features as the model knows them."""

    @abstractmethod
    def _pair_probabilities(
        self, graph: Graph, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> Float:
        """Return p_ij of pairs of nodes of a graph of `_one_graph`."""

    def predict_edges(self, graph: Any, *, pairs: str = "unknown", top: int | None = None) -> Any:
        """Return pairs of nodes with the probability of their link, the most probable first.

        Parameters
        ----------
        graph : Graph, or (features, adjacency)
            One graph.
        pairs : {"unknown", "unlinked", "all"}
            Which dyads: the unknown ones; those that are unknown or without a link; or all.
        top : int, optional
            The most pairs to return.

        Returns
        -------
        pandas.DataFrame
            Columns `source` and `target` (names of nodes, or their numbers from 0), `probability`,
            and, unless `pairs` is "unknown", `linked`: 1, 0, or NaN if unknown.

        Raises
        ------
        ModelError
            When pairs="unknown" and no dyad is unknown; when there are too many pairs for memory
            and `top` is not given.
        MissingExtraError
            When pandas is not installed.

        Examples
        --------
        >>> from ancestral import InnerProductGraph, datasets
        >>> graphs = datasets.classrooms(20)
        >>> hidden = graphs[0].with_unknown([(0, 1), (2, 5)])
        >>> found = InnerProductGraph().fit([hidden, *graphs[1:]]).predict_edges(hidden)
        >>> sorted(zip(found["source"], found["target"]))
        [(0, 1), (2, 5)]
        """
        columns = self._predicted_edges(graph, pairs, top)
        return one_table(columns).frame()

    def _predicted_edges(
        self, graph: Any, pairs: str = "unknown", top: int | None = None
    ) -> dict[str, Any]:
        """Return the columns of `predict_edges`."""
        if pairs not in WHICH:
            raise ModelError(f"pairs must be one of {', '.join(WHICH)}; got {pairs!r}.")
        top = None if top is None else check_integer(top, "top", minimum=1)
        self._check_fitted()  # type: ignore[attr-defined]
        one = self._one_graph(graph)
        if pairs == "unknown" and not one.n_unknown:
            raise ModelError(
                'every dyad of this graph is known: pass pairs="unlinked" for those without a '
                'link, or pairs="all"; or write NaN for dyads that nobody observed.'
            )
        i, j, p = self._ranked(one, pairs, top)
        names = np.array(one.node_names, dtype=object) if one.node_names else np.arange(one.n_nodes)
        columns = {"source": names[i], "target": names[j], "probability": p}
        if pairs != "unknown":
            columns["linked"] = states(one, i, j)
        return columns

    def _ranked(self, graph: Graph, pairs: str, top: int | None) -> tuple[Any, Any, Float]:
        """Return both ends and p of the pairs asked for, the most probable first, ties in order."""
        if pairs == "unknown":
            parts: Iterable[Ends] = [graph.unknown_dyads()]
        else:
            rows = graph.n_dyads if top is None else min(top + BLOCK, graph.n_dyads)
            if rows * ROW_BYTES > MAX_SAMPLE_BYTES:
                raise ModelError(
                    f"a table of {rows:.2g} pairs needs {rows * ROW_BYTES / 2**30:.0f} GiB, over "
                    f"the limit of {MAX_SAMPLE_BYTES >> 30} GiB. Pass top=1000 or so."
                )
            parts = _blocks(graph)
        held: list[list[NDArray]] = [[np.zeros(0, np.int64)] * 2 + [np.zeros(0)]]
        for i, j in parts:
            if pairs == "unlinked":
                free = states(graph, i, j) != 1
                i, j = i[free], j[free]
            held.append([i, j, self._pair_probabilities(graph, i, j)])
            if top is not None:
                held = [_best(held, top)]
        found = _best(held, top)
        return found[0], found[1], found[2]


def _best(held: list[list[NDArray]], top: int | None) -> list[NDArray]:
    """Return parts of ends and probabilities as one, the most probable first, ties in order."""
    i, j, p = (np.concatenate(parts) for parts in zip(*held, strict=True))
    order = np.argsort(-p, kind="stable")[:top]
    return [i[order], j[order], p[order]]


def _blocks(graph: Graph) -> Iterator[Ends]:
    """Yield the two ends of all dyads of a graph, some rows at a time, in the order of `edges`."""
    n = graph.n_nodes
    height = max(1, BLOCK // n)
    for top in range(0, n, height):
        rows = np.arange(top, min(top + height, n))
        i, j = np.repeat(rows, n), np.tile(np.arange(n), len(rows))
        kept = i != j if graph.directed else i < j
        yield i[kept], j[kept]


def states(graph: Graph, i: NDArray[np.int64], j: NDArray[np.int64]) -> Float:
    """Return 1 for dyads that are linked, 0 for those that are not, NaN for unknown ones."""
    found = _holds(graph.adjacency, i, j).astype(np.float64)
    if graph.unknown is not None:
        found[_holds(graph.unknown, i, j)] = np.nan
    return found


def _holds(matrix: Any, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell where a 0/1 matrix is 1."""
    if not sparse.issparse(matrix):
        return np.asarray(matrix[i, j] != 0)
    n = matrix.shape[0]
    rows = np.repeat(np.arange(n, dtype=np.int64), np.diff(matrix.indptr))
    codes, wanted = np.append(rows * n + matrix.indices, n * n), i * n + j
    return np.asarray(codes[np.searchsorted(codes, wanted)] == wanted)


# ---- scores of dyads whose state is known after all ----------------------------------------------


@dataclass(frozen=True, repr=False)
class DyadScores(Printed):
    """Scores of predicted probabilities on dyads that were hidden from the fit.

    Parameters
    ----------
    auc : float
        The probability that a linked dyad has a higher predicted probability than a dyad without a
        link; ties count half. NaN if all dyads are linked, or none.
    log_score : float
        Mean of log p over links and log(1 - p) over the others, in nats; 0 is best.
    gain : float
        `log_score` minus that of a model that gives each dyad the share of links among them.
    brier : float
        Mean squared difference between state (1 or 0) and probability; 0 is best.
    n_dyads, n_links : int
    """

    auc: float
    log_score: float
    gain: float
    brier: float
    n_dyads: int
    n_links: int

    @classmethod
    def of(cls, p: Float, linked: Float) -> DyadScores:
        """Return the scores of probabilities of dyads whose states are 1 or 0."""
        n, links = len(p), int(linked.sum())
        share = links / n
        entropy = -sum(x * np.log(x) for x in (share, 1 - share) if x > 0)
        with np.errstate(divide="ignore"):
            score = float(np.where(linked == 1, np.log(p), np.log1p(-p)).mean())
        ranked = rankdata(logit(p).round(10))  # dyads alike in all terms tie, as in `held_out`
        above = ranked[linked == 1].sum() - links * (links + 1) / 2
        free = links * (n - links)
        auc = float(above / free) if free else float("nan")
        brier = float(((linked - p) ** 2).mean())
        return cls(auc, score, score + float(entropy), brier, n, links)

    def _table(self) -> Table:
        rows = {
            "dyads": self.n_dyads,
            "links": self.n_links,
            "AUC": self.auc,
            "log score, nats per dyad": self.log_score,
            "gain over their density": self.gain,
            "Brier score": self.brier,
        }
        return one_table({"": list(rows), "value": list(rows.values())}, "held-out dyads")

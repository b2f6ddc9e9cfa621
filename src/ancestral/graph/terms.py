"""What a pair of nodes is told apart by: the terms of dyadic models, read from short texts.

    inner_product           sum over features of x_i x_j, 1 for a level that both nodes have
    inner_product:A+B       the same over some features
    match:NAME              1 where both nodes have the same value
    absdiff:NAME            |x_i - x_j|
    sum:NAME                x_i + x_j
    product:NAME            x_i x_j
    sender:NAME             x_i, of a directed pair from i to j
    receiver:NAME           x_j, likewise
    pair:NAME               the entry (i, j) of a matrix that comes with the graph

NAME may be the place of an attribute, from 0, where no attribute is called so.
NAME=LEVEL stands for an attribute that is 1 where NAME is LEVEL and 0 elsewhere, so that
"sender:sex=female" is a term of a text attribute.

Values are taken less a constant of each term (`Piece.shift`), found by centring attributes:
x_i x_j - m^2 is u_i x_j + m u_j with u = x - m, which keeps its digits at any offset m. An
`Evaluation` holds what the terms need of one graph's nodes, and gives their values over blocks of
pairs or at listed pairs.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral.errors import DataError, ModelError
from ancestral.graph.attributes import Attribute, indicated
from ancestral.graph.graph import Graph

Float = NDArray[np.float64]
Index = NDArray[np.int64]

INNER = "inner_product"
KINDS = (INNER, "match", "absdiff", "sum", "product", "sender", "receiver", "pair")
DIRECTED = ("sender", "receiver")
FORMS = ", ".join(
    ['"inner_product"', '"inner_product:NAME+NAME"', *(f'"{kind}:NAME"' for kind in KINDS[1:])]
)


# ---- texts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A term as its text says it.

    Parameters
    ----------
    text : str
    kind : str
        What stands before the colon.
    name : str
        What stands after it; "" for the inner product of all features.
    """

    text: str
    kind: str
    name: str = ""


def parsed(terms: Any) -> list[Term]:
    """Return terms read from their texts; ModelError for one that is none, or stands twice."""
    if isinstance(terms, str) or not isinstance(terms, Sequence | np.ndarray) or not len(terms):
        raise ModelError(
            f"terms must be a list of texts such as ['match:house', 'absdiff:age']; got {terms!r}."
        )
    found = [_term(text) for text in terms]
    for k, term in enumerate(found):
        if term in found[:k]:
            raise ModelError(f"the term {term.text!r} is given twice: leave one of them out.")
    return found


def _term(text: Any) -> Term:
    if not isinstance(text, str):
        raise ModelError(f"a term is a text, one of {FORMS}; got {text!r}.")
    kind, colon, name = (part.strip() for part in text.partition(":"))
    if kind not in KINDS:
        raise ModelError(f"{text!r} is no term. {_meant(kind, KINDS)}Terms are {FORMS}.")
    if not name and (colon or kind != INNER):
        raise ModelError(f'{text!r} names nothing: write, for example, "{kind}:age".')
    return Term(f"{kind}:{name}" if name else kind, kind, name)


def _meant(name: str, known: Iterable[str]) -> str:
    """Return a question after the known name that is nearest; "" where none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean {near[0]!r}? " if near else ""


# ---- the attributes of one graph ---------------------------------------------------------------


class Nodes:
    """The attributes of a graph's nodes, and how to say what is wrong with one.

    Parameters
    ----------
    graph : Graph
    index : int
        Of the graph, for errors.
    """

    def __init__(self, graph: Graph, index: int = 0) -> None:
        self.graph, self.index = graph, index
        self.held = {one.name: one for one in attributes_of(graph)}

    def named(self, name: str, text: str) -> Attribute:
        """Return the attribute that a term names; DataError for one that is not there."""
        if (found := self._held(name)) is not None:
            return self._complete(found, text)
        base, _, level = name.partition("=")
        if level and (found := self._held(base)) is not None:
            return self._indicator(self._complete(found, text), level, name, text)
        raise DataError(
            f"the term {text!r} names the attribute {name!r}, which graph {self.index} does not "
            f"have. {_meant(name, self.held)}It has {listed(self.held)}."
        )

    def _held(self, name: str) -> Attribute | None:
        """Return an attribute, also one whose indicators are the features; None for no such."""
        if (found := self.held.get(name)) is not None:
            return found
        if name.isdigit() and int(name) < len(self.held):
            return list(self.held.values())[int(name)]
        if self.graph._columns is not None:
            return None
        return indicated(name, self.graph.feature_names or (), self.graph.features)

    def number(self, name: str, text: str) -> Float:
        """Return a numeric attribute."""
        found = self.named(name, text)
        if found.levels is not None:
            kind = text.partition(":")[0]
            example = found.levels[0] if found.levels else "LEVEL"
            raise DataError(
                f"the term {text!r} counts with numbers, and {name!r} holds text, such as "
                f"{example!r}. Use 'match:{name}', or the term of one level, "
                f"'{kind}:{name}={example}'."
            )
        return found.values

    def of_inner_product(self, term: Term) -> list[Attribute]:
        """Return the attributes of an inner product: all of them, or those that it names."""
        names = list(self.held) if not term.name else self._split(term)
        if not names:
            raise DataError(
                f"the term {term.text!r} multiplies attributes of nodes, and a graph has none: "
                "give features, or leave the term out."
            )
        return [self.named(name, term.text) for name in names]

    def _split(self, term: Term) -> list[str]:
        """Return the names that stand between plus signs, of which names may have some too."""
        if term.name in self.held:
            return [term.name]
        return [part.strip() for part in term.name.split("+")]

    def _indicator(self, base: Attribute, level: str, name: str, text: str) -> Attribute:
        """Return 1 for the nodes of one level."""
        if base.levels is not None:
            places = [k for k, one in enumerate(base.levels) if one == level]
            return Attribute(name, np.isin(base.values, places).astype(np.float64))
        try:
            chosen = base.values == float(level)
        except ValueError:
            raise DataError(
                f"the term {text!r} names the level {level!r} of {base.name!r}, which holds "
                f"numbers, such as {base.values[0]:g}: name one of them."
            ) from None
        return Attribute(name, chosen.astype(np.float64))

    def _complete(self, attribute: Attribute, text: str) -> Attribute:
        """Return an attribute that is known of every node."""
        gaps = attribute.missing
        if not gaps.any():
            return attribute
        node = int(np.argmax(gaps))
        names = self.graph.node_names
        called = f"node {node}" if names is None else f"node {names[node]!r}"
        more = f" and {int(gaps.sum()) - 1} more" if gaps.sum() > 1 else ""
        raise DataError(
            f"the term {text!r} needs {attribute.name!r} of every node, which is missing for "
            f"{called}{more} in graph {self.index}. Leave these nodes out, fill the values in, or "
            "leave the term out."
        )

    def pair_matrix(self, term: Term) -> Any:
        """Return the matrix of a pair term, dense or CSR, whose value is known of known dyads."""
        graph, held = self.graph, self.graph.pair_features
        if term.name not in held:
            have = f"It has {listed(held)}." if held else "It has none."
            raise DataError(
                f"the term {term.text!r} names a pair feature that graph {self.index} does not "
                f"have. {have} Give Graph(..., pair_features={{{term.name!r}: matrix}})."
            )
        M = held[term.name]
        gaps = np.isnan(M.data if sparse.issparse(M) else M)
        if not gaps.any():
            return M
        M = M.copy()
        if sparse.issparse(M):
            i, j = (ends[gaps] for ends in M.tocoo().coords)
            M.data[gaps] = 0.0
        else:
            i, j = np.nonzero(gaps)
            M[gaps] = 0.0
        known = i != j
        if graph.unknown is not None:
            known &= np.asarray(graph.unknown[i, j]).reshape(-1) == 0
        if known.any():
            k = int(np.argmax(known))
            raise DataError(
                f"the pair feature {term.name!r} is missing at ({i[k]}, {j[k]}) of graph "
                f"{self.index}, a dyad that was observed. Fill it in, or make that dyad unknown "
                "too: NaN in the adjacency."
            )
        return M


def attributes_of(graph: Graph) -> list[Attribute]:
    """Return the attributes of a graph; features without names are called 0, 1, ..."""
    if graph.attribute_names:
        return [graph.attribute(name) for name in graph.attribute_names]
    return [Attribute(str(k), graph.features[:, k]) for k in range(graph.n_features)]


def listed(names: Any) -> str:
    """Return some names, quoted."""
    names = list(names)
    more = f" and {len(names) - 7} more" if len(names) > 7 else ""
    return ", ".join(repr(name) for name in names[:7]) + more if names else "nothing"


# ---- values over pairs -------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece(ABC):
    """One term over the nodes of one graph, less a constant.

    Parameters
    ----------
    shift : float
        The constant.
    """

    shift: float

    @abstractmethod
    def block(self, rows: slice, columns: slice, out: Float) -> None:
        """Write the values of all pairs of some rows and columns."""

    @abstractmethod
    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        """Return the values of listed pairs, told in which levels both ends agree."""

    def numbers(self) -> list[Float]:
        """Return what tells nodes apart, beside their levels."""
        return []

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes."""
        return sum(x.nbytes for x in self.numbers())

    @abstractmethod
    def of(self, nodes: Index) -> Piece:
        """Return the same over some of the nodes."""


@dataclass(frozen=True)
class Outer(Piece):
    """a_i + b_j: sums, senders and receivers."""

    a: Float
    b: Float

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        np.add(self.a[rows, None], self.b[columns], out=out)

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        return self.a[i] + self.b[j]

    def numbers(self) -> list[Float]:
        return [self.a, self.b]

    def of(self, nodes: Index) -> Piece:
        return replace(self, a=self.a[nodes], b=self.b[nodes])


@dataclass(frozen=True)
class Distance(Piece):
    """|u_i - u_j|."""

    u: Float

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        np.subtract(self.u[rows, None], self.u[columns], out=out)
        np.abs(out, out=out)

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        return np.abs(self.u[i] - self.u[j])

    def numbers(self) -> list[Float]:
        return [self.u]

    def of(self, nodes: Index) -> Piece:
        return replace(self, u=self.u[nodes])


@dataclass(frozen=True)
class Same(Piece):
    """1 where codes are equal, the k-th of those that are compared."""

    codes: NDArray[np.int32]
    k: int

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        np.equal(self.codes[rows, None], self.codes[columns], out=out)

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        return same[self.k].astype(np.float64)

    def of(self, nodes: Index) -> Piece:
        return replace(self, codes=self.codes[nodes])


@dataclass(frozen=True)
class Inner(Piece):
    """A_i . B_j, and 1 for each of some codes that are equal."""

    A: Float
    B: Float
    levels: tuple[Same, ...] = ()

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        np.matmul(self.A[rows], self.B[columns].T, out=out)
        for one in self.levels:
            out += one.codes[rows, None] == one.codes[columns]

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        found: Float = np.einsum("ij,ij->i", self.A[i], self.B[j])
        for one in self.levels:
            found += same[one.k]
        return found

    def numbers(self) -> list[Float]:
        return [*self.A.T, *self.B.T]

    def of(self, nodes: Index) -> Piece:
        levels = tuple(replace(one, codes=one.codes[nodes]) for one in self.levels)
        return replace(self, A=self.A[nodes], B=self.B[nodes], levels=levels)


@dataclass(frozen=True)
class Given(Piece):
    """The entries of a matrix."""

    M: Any

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        part = self.M[rows, columns]
        np.subtract(part.toarray() if sparse.issparse(part) else part, self.shift, out=out)

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]]) -> Float:
        part = self.M[i, j]
        if sparse.issparse(part):
            part = part.toarray()
        found: Float = np.asarray(part, np.float64).reshape(-1) - self.shift
        return found

    def of(self, nodes: Index) -> Piece:
        return replace(self, M=self.M[nodes][:, nodes])

    @property
    def n_bytes(self) -> int:
        if not sparse.issparse(self.M):
            return int(self.M.nbytes)
        return int(self.M.data.nbytes + self.M.indices.nbytes + self.M.indptr.nbytes)


@dataclass(frozen=True)
class Evaluation:
    """The terms over the nodes of one graph.

    Parameters
    ----------
    pieces : list of Piece
        One for each term.
    codes : list of ndarray of shape (n_nodes,)
        The levels that terms compare.
    n_nodes : int
    directed : bool
    """

    pieces: Sequence[Piece]
    codes: Sequence[NDArray[np.int32]]
    n_nodes: int
    directed: bool

    @property
    def shift(self) -> Float:
        """The constant that was taken off each term, shape (n_terms,)."""
        return np.array([piece.shift for piece in self.pieces])

    @property
    def n_bytes(self) -> int:
        """About how much memory they take."""
        return sum(p.n_bytes for p in self.pieces) + sum(codes.nbytes for codes in self.codes)

    @property
    def n_pairs(self) -> int:
        """Pairs of different nodes."""
        return self.n_nodes * (self.n_nodes - 1) // (1 if self.directed else 2)

    def block(self, rows: slice, columns: slice, out: Float) -> None:
        """Write 1 and the values of the terms, shape (1 + n_terms, rows, columns)."""
        out[0] = 1.0
        for k, piece in enumerate(self.pieces):
            piece.block(rows, columns, out[k + 1])

    def at(self, i: Index, j: Index, same: Sequence[NDArray[np.bool_]] | None = None) -> Float:
        """Return 1 and the values of the terms at listed pairs, shape (1 + n_terms, n)."""
        out = np.empty((1 + len(self.pieces), len(i)))
        out[0] = 1.0
        if same is None:
            same = [codes[i] == codes[j] for codes in self.codes]
        for k, piece in enumerate(self.pieces):
            out[k + 1] = piece.at(i, j, same)
        return out

    def of(self, nodes: Index) -> Evaluation:
        """Return the same over some of the nodes."""
        pieces = [piece.of(nodes) for piece in self.pieces]
        return Evaluation(pieces, [c[nodes] for c in self.codes], len(nodes), self.directed)

    @property
    def has_matrices(self) -> bool:
        """Tell whether some term is no function of two nodes' attributes."""
        return any(isinstance(piece, Given) for piece in self.pieces)


def evaluations(terms: Sequence[Term], graphs: Sequence[Graph]) -> list[Evaluation]:
    """Return the terms over the nodes of each graph, centred alike in all of them.

    Raises
    ------
    DataError
        For an attribute that is not there, of another kind, or missing of a node, by name.
    ModelError
        For terms of direction in an undirected graph.
    """
    nodes = [Nodes(graph, index) for index, graph in enumerate(graphs)]
    directed = graphs[0].directed
    if any(graph.directed != directed for graph in graphs):
        refuse_mixed()
    for term in terms:
        if term.kind in DIRECTED and not directed:
            raise ModelError(
                f"the term {term.text!r} is of directed graphs, and these are undirected. Use "
                f"'sum:{term.name}', or give graphs with directed=True."
            )
    built: list[list[Piece]] = [[] for _ in graphs]
    codes: list[dict[str, NDArray[np.int32]]] = [{} for _ in graphs]
    for term in terms:
        make = _MAKERS.get(term.kind, _bilinear)
        for of_graph, piece in zip(built, make(term, nodes, codes), strict=True):
            of_graph.append(piece)
    return [
        Evaluation(pieces, list(some.values()), graph.n_nodes, directed)
        for pieces, some, graph in zip(built, codes, graphs, strict=True)
    ]


def refuse_mixed() -> NoReturn:
    """Raise DataError for graphs of which some are directed."""
    raise DataError(
        "some graphs are directed and others are not: read all of them alike, for example with "
        'directed="union".'
    )


Codes = list[dict[str, NDArray[np.int32]]]


def _centre(columns: Sequence[Float]) -> float:
    """Return about the mean of an attribute over all graphs."""
    n = sum(map(len, columns))
    scale = max((float(np.abs(x).max(initial=0.0)) for x in columns), default=0.0) or 1.0
    m = scale * (sum(float((x / scale).sum()) for x in columns) / n)
    return rounded(m, max(float(np.abs(x - m).max(initial=0.0)) for x in columns))


def rounded(m: float, spread: float) -> float:
    """Return about m, of so few bits that values of few bits, less it, have few.

    Dyads with the same values then have the same values less the constants of other graphs.
    """
    step = 2.0 ** math.floor(math.log2(spread / 4)) if spread > 0 and math.isfinite(spread) else 0.0
    return round(m / step) * step if step > abs(m) * 2.0**-50 else m


def _matches(term: Term, nodes: Sequence[Nodes], codes: Codes) -> list[Piece]:
    return [
        _same(one.named(term.name, term.text), held) for one, held in zip(nodes, codes, strict=True)
    ]


def _same(attribute: Attribute, held: dict[str, NDArray[np.int32]]) -> Same:
    found = held.setdefault(attribute.name, _codes(attribute))
    return Same(0.0, found, list(held).index(attribute.name))


def _codes(attribute: Attribute) -> NDArray[np.int32]:
    """Return a whole number for each node, equal where values are."""
    if attribute.levels is not None:
        return attribute.values.astype(np.int32)
    _, codes = np.unique(attribute.values, return_inverse=True)
    return codes.reshape(-1).astype(np.int32)


def _of_numbers(term: Term, nodes: Sequence[Nodes], codes: Codes) -> list[Piece]:
    """Return a difference, sum, sender or receiver."""
    columns = [one.number(term.name, term.text) for one in nodes]
    m = _centre(columns)
    pieces: list[Piece] = []
    for x in columns:
        u = x - m
        none = np.zeros(len(u))
        if term.kind == "absdiff":
            pieces.append(Distance(0.0, u))
        elif term.kind == "sum":
            pieces.append(Outer(2 * m, u, u))
        else:
            pieces.append(Outer(m, *((u, none) if term.kind == "sender" else (none, u))))
    return pieces


def _bilinear(term: Term, nodes: Sequence[Nodes], codes: Codes) -> list[Piece]:
    """Return a product, or an inner product, of numbers that are centred."""
    if term.kind == "product":
        parts = [[Attribute(term.name, one.number(term.name, term.text))] for one in nodes]
    else:
        parts = [one.of_inner_product(term) for one in nodes]
    numbers = [[a for a in some if a.levels is None] for some in parts]
    if len({tuple(a.name for a in some) for some in numbers}) > 1:
        raise DataError(
            f"the term {term.text!r} is of other numbers in some graphs than in others: give every "
            "graph the same attributes, or name in the terms the attributes that you mean."
        )
    centres = np.array([_centre([a.values for a in some]) for some in zip(*numbers)])
    pieces: list[Piece] = []
    for one, some, held in zip(numbers, parts, codes, strict=True):
        X = np.column_stack([a.values for a in one]) if one else np.zeros((len(some[0].values), 0))
        U = X - centres
        v = U @ centres  # x_i . x_j - m . m = u_i . u_j + v_i + v_j
        ones = np.ones(len(v))
        A, B = np.column_stack([U, v, ones]), np.column_stack([U, ones, v])
        levels = tuple(_same(a, held) for a in some if a.levels is not None)
        if one:
            pieces.append(Inner(float(centres @ centres), A, B, levels))
        else:
            pieces.append(Inner(0.0, X, X, levels))
    return pieces


def _matrices(term: Term, nodes: Sequence[Nodes], codes: Codes) -> list[Piece]:
    matrices = [one.pair_matrix(term) for one in nodes]
    sums = sum(float(M.sum() - M.diagonal().sum()) for M in matrices)
    shift = sums / max(1, sum(M.shape[0] * (M.shape[0] - 1) for M in matrices))
    shift = shift if np.isfinite(shift) else 0.0
    held = [M.data if sparse.issparse(M) else M for M in matrices]
    shift = rounded(shift, max(float(np.abs(M - shift).max(initial=0.0)) for M in held))
    return [Given(shift, M) for M in matrices]


_MAKERS: dict[str, Callable[[Term, Sequence[Nodes], Codes], list[Piece]]] = {
    "match": _matches,
    "absdiff": _of_numbers,
    "sum": _of_numbers,
    "sender": _of_numbers,
    "receiver": _of_numbers,
    "pair": _matrices,
}

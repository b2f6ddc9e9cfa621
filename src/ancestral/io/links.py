"""Links as files have them: with directions, weights, loops and repetitions, made an adjacency.

What a plain graph does not hold is decided by four options, each of which refuses on request; what
was done without being asked for is said once, for the whole file.

    directed    "keep" | "union" | "intersection" | "refuse"; True: lines without a word have one
    multiple    "merge" | "refuse"       links that stand more than once
    loops       "drop" | "refuse"        links of a node with itself
    weights     "binarise" | "refuse"    other than 1: 0 is no link, a gap an unknown dyad
    weight      the column that holds them; by default one that is called so (see `edge_weights`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import warn
from ancestral.errors import DataError
from ancestral.io.edge_weights import NOT_KEPT, weights_among


class Unasked(str):
    """The default of an option: what is done by it is said."""

    __slots__ = ()


KEEP, MERGE, DROP, BINARISE = map(Unasked, ("keep", "merge", "drop", "binarise"))
_WORDS = {
    "directed": ("keep", "union", "intersection", "refuse"),
    "multiple": ("merge", "refuse"),
    "loops": ("drop", "refuse"),
    "weights": ("binarise", "refuse"),
}


@dataclass(frozen=True)
class Choices:
    """What is done with what a plain graph does not hold."""

    directed: str | bool = KEEP
    multiple: str = MERGE
    loops: str = DROP
    weights: str = BINARISE
    weight: str | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not isinstance(self.weight, str):
            raise DataError(
                f"weight must be the name of the column of weights; got {self.weight!r}."
            )
        for one in fields(self):
            if one.name == "weight":
                continue
            value, words = getattr(self, one.name), _WORDS[one.name]
            if one.name == "directed" and isinstance(value, bool):
                continue
            if not isinstance(value, str) or value not in words:
                more = " True or False" * (one.name == "directed")
                name_it = f" To name the column of weights, pass weight={value!r}."
                raise DataError(
                    f"{one.name} must be one of {', '.join(map(repr, words))}{more and ','}{more}; "
                    f"got {value!r}." + name_it * (one.name == "weights" and value is not None)
                )


AS_THEY_ARE = Choices()


@dataclass
class Links:
    """Links between nodes, as a source names them.

    Parameters
    ----------
    ends : list of tuple
        The ids of the two ends of each.
    directed : bool, sequence of bool, or None
        Whether each has a direction; None where the source says nothing of it.
    columns : mapping of str to sequence
        What the source says beside their ends, a value for each; one may hold their weights.
    """

    ends: Sequence[tuple[Any, Any]]
    directed: Any = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Joined:
    """The links of a graph: its adjacency, what is unknown, and whether links have a direction."""

    adjacency: Any
    unknown: Any
    directed: bool
    how: str | None = None  # directions are yet to be merged


def joined(links: Links, place: Mapping[Any, int], choices: Choices, name: str) -> Joined:
    """Return the adjacency of links between nodes whose places are given.

    Raises
    ------
    DataError
        For a link to a node that is not there, and where an option refuses what there is.
    """
    n, said = len(place), links.said
    i, j = _places(links.ends, place, name)
    one_way = None if links.directed is None else np.broadcast_to(links.directed, i.shape).copy()
    option = None if isinstance(choices.weights, Unasked) else choices.weights
    weights = weights_among(links.columns, choices.weight, name, said, option=option)
    state = _states(weights, len(i), choices, name, said)  # 1, 0, or NaN where unknown
    i, j, one_way, state = _without_loops(i, j, one_way, state, choices, name, said, place)
    says = None if links.directed is None else bool(np.any(links.directed))
    has_way = _has_direction(choices, name, says=says)
    ids: list[Any] = list(place)
    if has_way and one_way is not None and not one_way.all():
        both = ~one_way
        if choices.directed == "keep":
            said.append(f"{int(both.sum())} links without a direction lead both ways")
        i, j = np.concatenate([i, j[both]]), np.concatenate([j, i[both]])
        state = np.concatenate([state, state[both]])
    low, high = (i, j) if has_way else (np.minimum(i, j), np.maximum(i, j))
    codes = low * n + high
    distinct, first = np.unique(codes, return_index=True)
    if len(distinct) < len(codes):
        both_ways = one_way is None and not has_way and _is_doubled(i, j, n)
        if not both_ways:
            _say_repeated(codes, i * n + j, ids, choices, name, said, has_way=has_way,
                          silent=one_way is not None)  # fmt: skip
        order = np.argsort(np.where(np.isnan(state), 0.5, state), kind="stable")
        best = np.zeros(len(distinct))
        best[np.searchsorted(distinct, codes[order])] = state[order]  # a link wins, then a gap...
        known_zero = np.zeros(len(distinct), bool)
        known_zero[np.searchsorted(distinct, codes[state == 0])] = True
        best[np.isnan(best) & known_zero] = 0.0  # ... unless the dyad is known elsewhere
        state = best
    else:
        state = state[first]
    i, j = distinct // n, distinct % n
    gaps = np.isnan(state)
    linked = state == 1
    if weights is not None and isinstance(choices.weights, Unasked):
        _say_weights(weights, int((state == 0).sum()), int(gaps.sum()), said)
    how = choices.directed if has_way and choices.directed in ("union", "intersection") else None
    made = [_matrix(i[some], j[some], n, directed=has_way) for some in (linked, gaps)]
    say(said, choices, name)
    return Joined(made[0], made[1] if gaps.any() else None, has_way, how and str(how))


def say(said: Sequence[str], choices: Choices, name: str) -> None:
    """Warn once of what was done without being asked for."""
    if said:
        warn(f"{name}: {'; '.join(said)}.")


def _places(
    ends: Sequence[tuple[Any, Any]], place: Mapping[Any, int], name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of both ends of links."""
    try:
        found = np.array([(place[u], place[v]) for u, v in ends], np.int64).reshape(-1, 2)
    except KeyError:
        u, v = next((u, v) for u, v in ends if u not in place or v not in place)
        raise DataError(
            f"{name}: an edge leads to node {v if u in place else u!r}, not there."
        ) from None
    return found[:, 0], found[:, 1]


def _states(
    weights: Any, count: int, choices: Choices, name: str, said: list[str]
) -> NDArray[np.float64]:
    """Return 1 for links, 0 for weights of 0 and NaN for gaps."""
    if weights is None:
        return np.ones(count)
    held = np.asarray(weights, np.float64)
    other = held != 1  # NaN too
    if not other.any():
        return np.ones(count)
    if choices.weights == "refuse":
        k = int(np.argmax(other))
        raise DataError(
            f'{name}: a link has the weight {held[k]:g}, and weights="refuse" takes 1 alone. '
            'Threshold the weights, or pass weights="binarise".'
        )
    state = (held != 0).astype(np.float64)
    state[np.isnan(held)] = np.nan
    return state


def _say_weights(weights: Sequence[float], zeros: int, gaps: int, said: list[str]) -> None:
    """Say what became of weights other than 1: of dyads, after repeated lines are merged."""
    if any(weight != 1 for weight in weights):
        said.append(NOT_KEPT + f", {zeros} of 0 are none" * bool(zeros))
        if gaps:
            said.append(f"{gaps} dyads without a weight are unknown")


def _without_loops(
    i: NDArray,
    j: NDArray,
    one_way: NDArray | None,
    state: NDArray,
    choices: Choices,
    name: str,
    said: list[str],
    place: Mapping[Any, int],
) -> tuple[NDArray, NDArray, NDArray | None, NDArray]:
    """Return links of two different nodes."""
    loops = i == j
    if not loops.any():
        return i, j, one_way, state
    if choices.loops == "refuse":
        node = list(place)[int(i[np.argmax(loops)])]
        raise DataError(
            f'{name}: node {node!r} has an edge to itself, and loops="refuse". Drop it, or pass '
            'loops="drop".'
        )
    if isinstance(choices.loops, Unasked):
        said.append(f"{int(loops.sum())} links of a node with itself are dropped")
    kept = ~loops
    return i[kept], j[kept], None if one_way is None else one_way[kept], state[kept]


def _has_direction(choices: Choices, name: str, *, says: bool | None) -> bool:
    """Tell whether links are taken with a direction; `says` whether the source gives them one."""
    asked = choices.directed
    if asked is True or (asked == "intersection" and says is None):
        return True
    if says and asked in (False, "refuse"):
        raise DataError(
            f"{name}: its links are directed, and directed={_shown(asked)}. "
            'Pass directed="keep", or "union" to link two nodes where a link leads either way.'
        )
    return bool(says)


def _shown(asked: Any) -> str:
    return f'"{asked}"' if isinstance(asked, str) else repr(asked)


def _is_doubled(i: NDArray, j: NDArray, n: int) -> bool:
    """Tell whether every link is listed both ways, once each."""
    forth, back = np.sort(i * n + j), np.sort(j * n + i)
    return bool(np.array_equal(forth, back) and (np.diff(forth) > 0).all())


def _say_repeated(
    codes: NDArray, lines: NDArray, ids: list[Any], choices: Choices, name: str,
    said: list[str], *, has_way: bool, silent: bool,
) -> None:  # fmt: skip
    """Refuse or say that links stand more than once."""
    n = len(ids)
    ranked = np.sort(codes)
    again = ranked[1:][ranked[1:] == ranked[:-1]]
    u, v = (ids[int(k)] for k in divmod(int(again[0]), n))
    if choices.multiple == "refuse":
        raise DataError(
            f'{name}: nodes {u!r} and {v!r} are linked more than once, and multiple="refuse". '
            'Keep one link, or pass multiple="merge".'
        )
    if not isinstance(choices.multiple, Unasked):
        return
    both = len(np.unique(lines)) - len(np.unique(codes))
    text = f"{len(again)} repeated links are merged, the first of {u!r} and {v!r}"
    if both and not has_way and not silent:
        text += f"; {both} stand in both directions: if the links have one, pass directed=True"
    said.append(text)


def _matrix(i: NDArray, j: NDArray, n: int, *, directed: bool) -> Any:
    from ancestral.graph.adjacency import one_way, symmetric

    return (one_way if directed else symmetric)(i, j, n)

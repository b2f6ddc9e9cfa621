"""Adjacencies as text: a table of numbers with or without names, and Matrix Market.

A matrix says of each dyad whether it is linked, both ways: in one that is not symmetric, links have
a direction. Names stand in the first line and the first column; the columns are brought into the
order of the rows. An empty cell off the diagonal, or NA, is an unknown dyad.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.missing import is_missing_text
from ancestral.errors import DataError, FormatError
from ancestral.io.dialect import Dialect
from ancestral.io.edge_weights import NOT_KEPT
from ancestral.io.links import Choices, Joined, Unasked, say

MOST_ROWS = 10_000_000  # of a matrix whose header alone says so


@dataclass(frozen=True)
class Matrix:
    """A square matrix of numbers, NaN where nothing is known, and the names of its nodes."""

    values: Any
    names: list[str] | None


def table_as_matrix(
    first: list[str], rows: Sequence[list[str]], dialect: Dialect, *, fewest_counted: int = 4
) -> Matrix | None:
    """Return the matrix that the cells of a table are; None where they are none.

    A first line that counts the nodes is a line of names, of so many nodes and more.
    """
    lines = [first, *rows]
    n = len(rows)
    widths = {len(cells) for cells in rows}
    if len(widths) != 1 or n < 2:
        return None
    (width,) = widths
    numbers = [_number(cell, dialect) is not None for cell in first]
    is_corner = len(first) == n + 1 and dialect.number_in(first[0]) is None
    if width == n + 1 and (is_corner or len(first) == n):  # names on both sides
        heads = first[-n:]
        labels = [cells[0] for cells in rows]
        if {*labels} == {*heads} and len({*labels}) == n:
            place = {head: k for k, head in enumerate(heads)}
            order = [place[label] for label in labels]
            body = _body([cells[1:] for cells in rows], dialect)
            return None if body is None else Matrix(body[:, order], labels)
    counts = n >= fewest_counted and first in ([str(k + i) for k in range(n)] for i in (0, 1))
    if width == n and len({*first}) == len(first) == n and (counts or not all(numbers)):
        body = _body(rows, dialect)  # names above alone
        return None if body is None else Matrix(body, list(first))
    if len(first) == len(lines) == width:
        body = _body(lines, dialect)
        return None if body is None else Matrix(body, None)
    return None


def _body(rows: Sequence[list[str]], dialect: Dialect) -> NDArray[np.float64] | None:
    """Return cells as numbers, NaN where they are empty; None where one is a word."""
    found = [[_number(cell, dialect) for cell in cells] for cells in rows]
    if any(value is None for line in found for value in line):
        return None
    return np.array(found, np.float64)


def _number(cell: str, dialect: Dialect) -> float | None:
    return math.nan if is_missing_text(cell) else dialect.number_in(cell)


def parse_matrix_market(raw: bytes, name: str) -> Matrix:
    """Return the matrix of a file in the Matrix Market format (Boisvert, Pozo & Remington 1996).

    Raises
    ------
    FormatError
        When the header is none of a real, integer or pattern matrix, or the entries are not what
        it says.
    """
    lines = raw.decode("latin-1").splitlines()
    words = lines[0].lower().split()
    if len(words) != 5 or words[1] != "matrix":
        raise FormatError(f"{name}: its first line, {lines[0][:60]!r}, is no header of a matrix.")
    _, _, form, kind, symmetry = words
    known = {
        "its form": (form, ("coordinate", "array")),
        "its entries": (kind, ("real", "integer", "double", "pattern")),
        "its symmetry": (symmetry, ("general", "symmetric", "skew-symmetric")),
    }
    for what, (value, wanted) in known.items():
        if value not in wanted:
            raise FormatError(f"{name}: {what} is {value!r}; one of {', '.join(wanted)} is wanted.")
    body = [line for line in lines[1:] if line.strip() and not line.lstrip().startswith("%")]
    wanted_sizes = 3 if form == "coordinate" else 2
    try:
        sizes = [int(word) for word in body[0].split()] if body else []
        if len(sizes) != wanted_sizes or min(sizes) < 0:
            raise ValueError
    except ValueError:
        raise FormatError(f"{name}: its line of sizes holds no {wanted_sizes} numbers.") from None
    n = sizes[0]
    if n != sizes[1]:
        raise DataError(
            f"{name}: is a matrix of {n} rows and {sizes[1]} columns; an adjacency is square. For "
            "two kinds of nodes, give a table of links instead."
        )
    if n > MOST_ROWS or (form == "array" and n * n > 2 * len(raw)):
        raise FormatError(f"{name}: says that it has {n:,} rows, which it cannot hold.")
    entries = body[1:]
    width = 1 if form == "array" else 2 if kind == "pattern" else 3
    try:
        table = np.array([line.split() for line in entries], np.float64).reshape(-1, width)
    except ValueError:
        raise FormatError(f"{name}: not every entry holds {width} numbers.") from None
    if form == "array":
        return Matrix(_of_columns(table[:, 0], n, symmetry, name), None)
    if len(table) != sizes[2]:
        raise FormatError(f"{name}: has {len(table)} entries where its header says {sizes[2]}.")
    places = table[:, :2]
    if len(places) and not (
        (places == np.floor(places)).all() and places.min() >= 1 and places.max() <= n
    ):
        raise FormatError(f"{name}: an entry stands outside of rows and columns 1 to {n}.")
    from scipy import sparse

    i, j = places.astype(np.int64).T - 1
    values = np.ones(len(i)) if kind == "pattern" else table[:, 2]
    if symmetry != "general":
        off = i != j
        sign = -1.0 if symmetry == "skew-symmetric" else 1.0
        i, j = np.concatenate([i, j[off]]), np.concatenate([j, i[off]])
        values = np.concatenate([values, sign * values[off]])
    return Matrix(sparse.coo_array((values, (i, j)), shape=(n, n)).tocsr(), None)


def _of_columns(values: NDArray, n: int, symmetry: str, name: str) -> NDArray[np.float64]:
    """Return a dense matrix from its columns, or from their lower halves."""
    if symmetry == "general":
        if len(values) != n * n:
            raise FormatError(f"{name}: has {len(values)} entries where {n * n} are expected.")
        return np.ascontiguousarray(values.reshape(n, n).T)
    skew = symmetry == "skew-symmetric"
    j, i = np.triu_indices(n, 1 if skew else 0)
    if len(values) != len(i):
        raise FormatError(f"{name}: has {len(values)} entries where {len(i)} are expected.")
    found = np.zeros((n, n))
    found[i, j] = values
    found[j, i] = -values if skew else values
    return found


def matrix_as_links(matrix: Matrix, choices: Choices, name: str) -> Joined:
    """Return the links that a matrix says, with directions where it is not symmetric."""
    from scipy import sparse

    said: list[str] = []
    E: Any = sparse.csr_array(matrix.values) if sparse.issparse(matrix.values) else matrix.values
    E = E if sparse.issparse(E) else _whole(E)
    values = E.data if sparse.issparse(E) else E[~np.eye(len(E), dtype=bool)]
    if np.isinf(values).any():
        raise DataError(f"{name}: holds infinity, which cannot be the weight of a link.")
    loops = int(np.count_nonzero(np.nan_to_num(E.diagonal())))
    if loops:
        if choices.loops == "refuse":
            raise DataError(f'{name}: its diagonal holds {loops} links, and loops="refuse".')
        if isinstance(choices.loops, Unasked):
            said.append(f"{loops} links of a node with itself are dropped")
    weighted = ~np.isnan(values) & (values != 0) & (values != 1)
    if weighted.any():
        if choices.weights == "refuse":
            raise DataError(
                f'{name}: holds {values[weighted][0]:g}, and weights="refuse" takes 0 and 1 alone.'
            )
        if isinstance(choices.weights, Unasked):
            said.append(NOT_KEPT)
    unknown = _ones(E, np.isnan)
    E = _ones(E, lambda v: ~np.isnan(v) & (v != 0))
    directed = (E != E.T).nnz > 0 or (unknown != unknown.T).nnz > 0
    if directed and choices.directed in (False, "refuse"):
        raise DataError(
            f"{name}: is not symmetric, so its links have a direction, and "
            f'directed={choices.directed!r}. Pass directed="keep", or "union" to link two nodes '
            "where a link leads either way."
        )
    if directed and isinstance(choices.directed, Unasked):
        said.append("is not symmetric, so its links are taken to lead from row to column")
    say(said, choices, name)
    how = (
        str(choices.directed)
        if directed and choices.directed in ("union", "intersection")
        else None
    )
    return Joined(E, unknown if unknown.nnz else None, directed or choices.directed is True, how)


def _whole(E: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a matrix with the triangle that is empty filled from the other one."""
    upper = np.triu_indices(len(E), 1)
    for half, other in ((E, E.T), (E.T, E)):
        if np.isnan(half[upper]).all() and not np.isnan(other[upper]).all():
            filled = E.copy()
            (filled if half is E else filled.T)[upper] = other[upper]
            return filled
    return E


def _ones(E: Any, test: Any) -> Any:
    """Return the 0/1 matrix of where a test holds, without a diagonal."""
    from scipy import sparse

    if sparse.issparse(E):
        coo = E.tocoo()
        i, j = coo.coords if hasattr(coo, "coords") else (coo.row, coo.col)
        held = test(coo.data) & (i != j)
        i, j = i[held], j[held]
    else:
        i, j = np.nonzero(test(E))
        i, j = i[i != j], j[i != j]
    n = E.shape[0]
    made = sparse.csr_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    made.sort_indices()
    return made

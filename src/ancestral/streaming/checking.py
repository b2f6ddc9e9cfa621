"""One chunk checked as `fit` checks all rows, and what of it are targets and weights."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from ancestral._checks.columns import names_of
from ancestral._checks.numbers import within_memory
from ancestral.base import ConditionalDensity, FromParts, GraphDensity, Model
from ancestral.errors import AncestralError, DataError, ModelError
from ancestral.streaming.columns import Columns, Place, in_order, in_part
from ancestral.streaming.source import Piece, Source

NO_CHUNKS = "there are no chunks with rows: give at least one array of rows."
SMALLER_CHUNKS = "Give smaller chunks, or fewer columns."

Given = tuple[Any, ...]  # (X, y) or (X, y, weights); y is None for densities


@dataclass(frozen=True)
class Roles:
    """Which columns of a named chunk are targets and weights.

    Parameters
    ----------
    target : str or sequence of str
        Taken out for conditional models.
    weight : str, optional
    """

    target: Any = "y"
    weight: Any = None

    @property
    def targets(self) -> list[Any]:
        """The names of the targets."""
        if self.target is None:
            return []
        return list(self.target) if isinstance(self.target, list | tuple) else [self.target]

    def remember(self, model: Any, chunk: Any) -> None:
        """Let a model that is fitted to a chunk with names know those of its targets."""
        if isinstance(model, ConditionalDensity) and not isinstance(chunk, tuple):
            several = tuple(map(str, self.targets))
            model.target_name_ = several[0] if len(several) == 1 else several

    def given(self, model: Any, chunk: Any) -> Given:
        """Return the arguments of `fit` that a chunk holds; DataError where they are not there."""
        conditional, targets = isinstance(model, ConditionalDensity), self.targets
        if isinstance(chunk, tuple) and len(chunk) in (2, 3):
            if self.weight is not None:
                raise DataError(
                    f"weight={self.weight!r} names a column, and chunks come as tuples: give the "
                    "weights as their third entry, (X, y, sample_weight)."
                )
            if not conditional or chunk[1] is not None:
                return chunk
        names = None if isinstance(chunk, tuple) else names_of(chunk)
        taken = [*(targets if conditional else ()), *([self.weight] if self.weight else ())]
        if not taken:
            return chunk, None
        if names is None:
            if conditional:
                raise DataError(without_targets(model, f"a chunk of type {type(chunk).__name__}"))
            raise DataError(
                f"weight={self.weight!r} names a column, and a chunk of type "
                f"{type(chunk).__name__} has no names: give dataframes, or tuples (X, None, "
                "sample_weight)."
            )
        for name in taken:
            if name not in names:
                what = "weight" if name == self.weight else "target"
                known = ", ".join(map(repr, names[:8])) + ", ..." * (len(names) > 8)
                raise DataError(
                    f"{what}={name!r} is no column of these chunks, which have {known}. Name the "
                    f"column with {what}=, or give chunks as (X, y) or (X, y, sample_weight)."
                )
        X = in_order(chunk, [j for j, name in enumerate(names) if name not in taken])
        y = None
        if conditional:
            several = len(targets) > 1
            y = (
                in_order(chunk, list(map(names.index, targets)))
                if several
                else column_of(chunk, targets[0])
            )
        return (X, y) if self.weight is None else (X, y, column_of(chunk, self.weight))


def column_of(frame: Any, name: Any) -> Any:
    """Return the values of a column of numbers."""
    if hasattr(frame, "iloc"):
        return frame[name]
    return nw.from_native(frame)[name].to_numpy()


def refuse_class(model: Any) -> None:
    """Raise ModelError for a class of models, in the place of a model."""
    if isinstance(model, type) and issubclass(model, Model):
        name = model.__name__
        raise ModelError(f"model is the class {name}: give a model, {name}(), not the class.")


def without_targets(model: Any, seen: str) -> str:
    """Word the error for rows that come without targets."""
    return (
        f"{type(model).__name__} learns y given X, and {seen} brings no targets. Give each chunk "
        'as (X, y) or (X, y, sample_weight), or a tuple of such files: ("X.npy", "y.npy"); of '
        "chunks with names, name the column with target=."
    )


def n_rows(X: Any) -> int | None:
    """Return the number of rows of what is given as X; None where it does not tell."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple):
        return shape[0] if shape else None
    return len(X) if hasattr(X, "__len__") else None


def is_empty(given: Given) -> bool:
    """Tell whether a chunk has no rows, or none of a weight above zero."""
    X, _, *weights = given
    return n_rows(X) == 0 or any(
        w is not None and np.size(w) and not np.any(np.asarray(w)) for w in weights
    )


def read(piece: Any, place: Place) -> Any:
    """Return what a part holds, with one error for whatever goes wrong."""
    with in_part(place):
        try:
            return within_memory(SMALLER_CHUNKS)(piece.read)()
        except AncestralError:
            raise
        except Exception as error:
            raise DataError(
                f"{piece.of} could not be read: {seen_of(error)}. Mend it, or leave it out."
            ) from error


def listed(source: Source) -> Iterator[Piece]:
    """Yield the parts of a source, with one error for whatever goes wrong in making them."""
    number = 0
    try:
        for piece in source.parts():
            yield piece
            number += 1
    except AncestralError:
        raise
    except Exception as error:
        raise DataError(
            f"part {number} could not be made: {seen_of(error)}. Mend what yields the chunks."
        ) from error


def seen_of(error: Exception) -> str:
    """Return the kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0].rstrip('.')[:300]}"


def checked(model: Any, given: Given, place: Place, like: Columns | None) -> tuple[Given, Columns]:
    """Return one chunk checked as `fit` would, in the order of these columns, and its own."""
    if len(given) == 3 and not takes_weights(model):
        what = "graph" if isinstance(model, GraphDensity) else "row"
        raise ModelError(
            f"{type(model).__name__} takes no weights: each {what} counts once. Leave weight= out, "
            "or the third entry of a tuple."
        )
    if like is not None:
        given = like.takes(place.part, given)
    with in_part(place):
        data = within_memory(SMALLER_CHUNKS)(model._check_part)(*given, reset=like is None)
    columns = Columns.of(model, place.part, given, data)
    if like is not None:
        like.refuse_other_kinds(columns)
    return data, columns


def takes_weights(model: Any) -> bool:
    """Tell whether the model's check takes weights of rows."""
    own = type(model)._check_part is not FromParts._check_part
    check = model._check_part if own else model._check_chunk
    return "sample_weight" in inspect.signature(check).parameters

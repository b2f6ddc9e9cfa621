"""What the command line reads: files by name, or built-in data as @name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

import ancestral

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUILT_IN = ("@icons", "@faces", "@classrooms", "@diabetes")


def rows_of(data: str) -> NDArray:
    """Return a file's array (or built-in images) as rows; images are flattened."""
    from ancestral import datasets

    if data == "@icons":
        return datasets.icons()[0]
    if data == "@faces":
        return datasets.faces()
    if data == "@diabetes":
        return datasets.diabetes()[0]
    array = ancestral.read_array(_path(data, "rows"))
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def pairs_of(data: str, target: str | None) -> Any:
    """Return inputs and target of a file (or the built-in regression data)."""
    from ancestral.io import Pairs, read_pairs

    if data == "@diabetes":
        from ancestral import datasets

        X, y, names = datasets.diabetes()
        return Pairs(X, y, names, "progression")
    return read_pairs(_path(data, "a target"), target)


def graphs_of(data: str) -> Any:
    if data == "@classrooms":
        from ancestral import datasets

        return datasets.classrooms()
    return ancestral.read_graphs(_path(data, "graphs"))


def _path(data: str, wanted: str) -> str:
    """Return a file name; a built-in set of another kind is refused."""
    if data.startswith("@") and not os.path.exists(data):
        known = "not the kind wanted here" if data in BUILT_IN else "not one of the built-in sets"
        raise click.UsageError(f"{data} is {known} ({wanted}); built in: {', '.join(BUILT_IN)}.")
    return data


def is_of_graphs(model: Any) -> bool:
    return type(model).__name__ == "InnerProductGraph"


def is_conditional(model: Any) -> bool:
    return hasattr(model, "predict")

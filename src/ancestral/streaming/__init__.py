"""Fit models to data in parts, from files larger than memory or on a cluster, and write results.

A fit is a sum of statistics over parts, once or several times: each part is read, looked at and
forgotten, and the sums are worked on as `fit` works on those of all rows. Parts may be chunks in
memory, files read piece by piece, or anything that can be read again (`Source`); they may be read
here (`fit_chunks`) or by the workers of a cluster (`fit_dask`), with the same result to the bit.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any, TypeVar

from ancestral._checks.numbers import within_memory
from ancestral._extras import import_extra
from ancestral.base import FromBatches, FromParts, FromStatistics
from ancestral.errors import ModelError
from ancestral.io.mixed import as_read
from ancestral.streaming import npy as npy
from ancestral.streaming.checking import SMALLER_CHUNKS, Roles, refuse_class
from ancestral.streaming.local import Here, Reading
from ancestral.streaming.npy import NpyTable as NpyTable
from ancestral.streaming.npy import read_chunks
from ancestral.streaming.opening import Opening
from ancestral.streaming.source import Piece, Source, needs_again
from ancestral.streaming.sources.links import graph_by_blocks
from ancestral.streaming.sources.paths import source_of_paths
from ancestral.streaming.workers import There, Work
from ancestral.streaming.writing import impute, log_density, predict, sample

__all__ = [
    "Piece",
    "Source",
    "fit_chunks",
    "fit_dask",
    "graph_by_blocks",
    "impute",
    "log_density",
    "predict",
    "read_chunks",
    "sample",
    "source_of_paths",
]

M = TypeVar("M", bound=FromParts)


@within_memory(SMALLER_CHUNKS)
def fit_chunks(
    model: M,
    source: Any,
    target: str | Sequence[str] = "y",
    weight: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    verbose: bool = False,
) -> M:
    """Fit a model to data that come in parts.

    Parameters
    ----------
    model : Model
        A model that can be fitted from parts: any except `LatentPositionGraph`.
    source : path-like, iterable, callable or Source
        Paths: .npy files of rows; Parquet or CSV files; folders of them; patterns
        (`rows/*.parquet`); addresses ("memory://rows", "s3://bucket/rows"); folders of images or of
        graphs; or a list of these. Or chunks: arrays of shape (n_i, n_features) or dataframes for
        densities; pairs (X, y) or triples (X, y, sample_weight) for conditional models; lists of
        graphs for graph models. A model that needs several passes takes chunks from a list, or from
        a callable that yields them anew, but not from an iterator. A conditional model also takes a
        tuple of .npy files (X, y) or (X, y, sample_weight). Chunks without rows, or whose weights
        are all 0, are ignored. Columns with names are matched by name, in the order of the first
        part.
    target : str or list of str
        The column of y, if the chunks of a conditional model are dataframes. The model keeps this
        name, also when it is saved, and uses it later.
    weight : str, optional
        The column of weights, if the chunks are dataframes.
    columns : list of str, optional
        The columns to read from Parquet and CSV files, including those of targets and weights.
    rows : int, optional
        The number of rows that are read from a file at a time; by default about 32 MiB of them.
    checkpoint : path-like, optional
        A folder in which a fit of several passes is saved. If the process was killed, the same call
        goes on from there, and its result is the same, bit for bit.
    checkpoint_every : int, optional
        Passes between two checkpoints, by default 1; for networks, steps between two checkpoints,
        by default 50.
    verbose : bool
        Show on stderr the progress of each pass: rows, rows per second and the time left. A model
        with verbose=True shows its own progress instead.

    Returns
    -------
    model
        The same object, fitted as by `fit` on all rows at once. If the data came from files, its
        dataframes are those of a fit to `read_table(path)`.

    Raises
    ------
    ModelError
        When the model cannot be fitted from parts.
    DataError
        When no chunk has rows; when a part has other columns than the first part (more, fewer, with
        other names, or text instead of numbers); when targets are missing; when a later pass yields
        other chunks. For a value that the model cannot take, the message names the part and the
        row.
    FormatError
        When a file cannot be read, or changes while it is read.

    Examples
    --------
    >>> import numpy as np
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> model = fit_chunks(PPCA(2), (X[i : i + 70] for i in range(0, 300, 70)))
    >>> bool(np.isclose(model.score(X), PPCA(2).fit(X).score(X), rtol=1e-12))
    True
    """
    _refuse_whole(model)
    opened = Opening(model, rows=rows, columns=columns).chosen_source(source)
    if not (opened.again or isinstance(model, FromStatistics)):
        raise needs_again(type(model).__name__)
    roles = Roles(target, weight)
    model._fit_from(
        lambda new: Here(Reading(new, opened, roles, verbose=verbose)),
        **_kept(model, checkpoint, checkpoint_every),
    )
    return _as_of_files(model, opened)


@within_memory(SMALLER_CHUNKS)
def fit_dask(
    model: M,
    source: Any,
    target: str | Sequence[str] = "y",
    weight: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    client: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
) -> M:
    """Fit a model with Dask: the workers read the parts and compute the sums of the fit.

    Parameters
    ----------
    model : Model
        A model whose fit is a sum over parts, in one or several passes.
    source : path-like, dask array, dask dataframe, list of delayed chunks, or as for `fit_chunks`
        For paths, only absolute names and byte positions are sent to the workers. Each worker
        checks that it finds the same file, or a copy. A conditional model takes a tuple (X, y) or
        (X, y, sample_weight) of collections, a list of such tuples, or dataframes. Parts without
        rows are ignored. Columns with names are matched by name.
    target, weight, columns, rows, checkpoint, checkpoint_every
        As for `fit_chunks`.
    client : distributed.Client, optional
        The client that runs the work; by default that of `dask.compute`.

    Returns
    -------
    model
        The same object, fitted.

    Raises
    ------
    MissingExtraError
        When dask is not installed: pip install "ancestral[dask]".
    ModelError
        When the model cannot be fitted in this way; when `rows` is no integer of 1 or more; when
        the worker process of a part ends several times, or the cluster no longer answers.
    DataError
        As `fit_chunks`, or when the code that makes a part raises an error.
    FormatError
        When a worker cannot read a file, or finds another file at that path.

    Notes
    -----
    Parameters are sent once for each pass. If a fit needs several passes, the workers keep the rows
    that take at most a quarter of their memory; others are read again. If a worker ends during a
    pass, nothing is lost: other workers read its parts. If a part has its columns in another order
    than the first part, all parts are read once more, in the order of the first. Ctrl-C cancels the
    work.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(200, 3)) * [3.0, 1.0, 1.0]
    >>> model = fit_dask(PPCA(1), da.from_array(X, chunks=(50, 3)))
    >>> bool(np.isclose(model.noise_variance_, PPCA(1).fit(X).noise_variance_))
    True
    """
    _refuse_whole(model)
    if isinstance(model, FromBatches):
        raise ModelError(
            f"{type(model).__name__} is trained by steps, one after another, which workers cannot "
            "share: fit_chunks trains it here, from the same source."
        )
    import_extra("dask", "fit_dask", "dask")
    opened = Opening(model, rows=rows, columns=columns, delayed=True).chosen_source(source)
    roles = Roles(target, weight)
    model._fit_from(
        lambda new: There(Work(new, opened, roles, client)),
        **_kept(model, checkpoint, checkpoint_every),
    )
    return _as_of_files(model, opened)


def _as_of_files(model: M, opened: Source) -> M:
    """Let a model that was fitted to files give frames as one fitted to what `read_table` reads."""
    form = getattr(model, "_frame_in", None)
    if opened.named and form is not None and form["library"] == "pyarrow":
        model._remember(_frame_in=as_read(form))
    return model


def _kept(
    model: FromParts, checkpoint: str | os.PathLike[str] | None, every: int | None
) -> dict[str, Any]:
    """Return what a fit is told of checkpoints; ModelError where it would keep none."""
    if checkpoint is None:
        if every is not None:
            raise ModelError(
                "checkpoint_every counts passes between checkpoints: give checkpoint=."
            )
        return {}
    takes = inspect.signature(model._fit_parts).parameters.values()
    if not any(one.name == "checkpoint" or one.kind is one.VAR_KEYWORD for one in takes):
        raise ModelError(
            f"{type(model).__name__} looks at its data once, and keeps no checkpoints: leave "
            "checkpoint= out."
        )
    if every is None:
        every = 50 if isinstance(model, FromBatches) else 1
    return {"checkpoint": checkpoint, "every": every}


def _refuse_whole(model: Any) -> None:
    """Raise ModelError for a model whose fit needs all rows at once."""
    refuse_class(model)
    if not isinstance(model, FromParts):
        raise ModelError(
            f"{type(model).__name__} has no sufficient statistics: its fit needs all "
            f"{getattr(model, '_needs_whole', 'rows at once.')} "
            f"{getattr(model, '_where_memory_is_short', 'Give a model that has them.')}"
        )

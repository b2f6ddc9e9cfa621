"""Fit from chunks, from files larger than memory, and on a cluster; answers written as they come.

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
        Any that can be trained from parts: all but `LatentPositionGraph`.
    source : path-like, iterable, callable or Source
        A path, or a list of them: .npy files of rows, read by offset; Parquet and CSV files,
        folders of such, patterns (`rows/*.parquet`) and addresses ("memory://rows",
        "s3://bucket/rows"); folders of images or graphs. Or chunks: arrays of shape (n_i,
        n_features) or dataframes for densities, pairs (X, y) or triples (X, y, sample_weight) for
        conditional models, lists of graphs for graph models; a model that looks at its data
        several times takes them from a list or from a callable that yields them anew, not from an
        iterator. A conditional model also takes a tuple of .npy files (X, y) or (X, y,
        sample_weight). Empty chunks, and those whose weights are all zero, count for nothing.
        Columns that have names are matched by name, in the order of the first part.
    target : str or list of str
        The column of y, where chunks of a conditional model are dataframes. The model keeps its
        name, in its file too, for what it is asked afterwards.
    weight : str, optional
        The column of weights, where chunks are dataframes.
    columns : list of str, optional
        Read only these of Parquet and CSV files, targets and weights among them.
    rows : int, optional
        Rows read at a time of files; about 32 MiB of them when not given.
    checkpoint : path-like, optional
        A folder that keeps the passes of a fit that looks several times: one that was killed goes
        on from there, to the same bits.
    checkpoint_every : int, optional
        Passes between two checkpoints, 1 when not given; of networks steps, 50 when not given.
    verbose : bool
        Show on stderr how far each look at the data is: rows, rows a second and the time left. A
        model with verbose=True shows its passes instead.

    Returns
    -------
    model
        The same object, fitted as `fit` would on all rows at once; its own frames are those of a
        fit to `read_table(path)`, where data came from files.

    Raises
    ------
    ModelError
        When the model cannot be trained from parts.
    DataError
        When there are no chunks with rows, a part has other columns than the first (more, fewer,
        of other names, or text where the first has numbers), targets are missing, or what yields
        the chunks yields others in a later pass. What a part holds that cannot be taken is named
        with the part and its row.
    FormatError
        When a file cannot be read, or is changed while it is.

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
    """Fit a model with Dask: parts are read and looked at by the workers, sums worked on here.

    Parameters
    ----------
    model : Model
        Any whose fit is a sum over parts, once or several times.
    source : path-like, dask array, dask dataframe, list of delayed chunks, or as for `fit_chunks`
        Of paths only absolute names and numbers travel; each worker checks that it sees the file
        that is seen here, or a copy. A conditional model takes a tuple (X, y) or (X, y,
        sample_weight) of collections, or a list of such tuples, or dataframes. Parts without rows
        count for nothing, and columns that have names are matched by name.
    target, weight, columns, rows, checkpoint, checkpoint_every
        As for `fit_chunks`.
    client : distributed.Client, optional
        Where to run; otherwise wherever `dask.compute` does.

    Returns
    -------
    model
        The same object, fitted.

    Raises
    ------
    MissingExtraError
        Without dask: pip install "ancestral[dask]".
    ModelError
        When the model cannot be trained so, or `rows` is no integer of 1 or more; when a part ends
        the process that works on it, again and again, or the cluster is gone.
    DataError
        As `fit_chunks`, or when what makes a part raises an error.
    FormatError
        When a worker cannot read a file, or sees another one by that path.

    Notes
    -----
    Parameters travel once a pass. What is looked at twice stays with the workers where its rows
    take at most a quarter of their memory, and is read again otherwise. A worker that ends in the
    middle of a pass takes nothing with it: others read its parts. Where a part has its columns in
    another order than the first, all parts are looked at once more, in that order. Ctrl-C cancels
    the work.

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

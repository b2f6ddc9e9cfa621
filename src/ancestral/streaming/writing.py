"""What a fitted model says of data larger than memory, written part by part as it comes.

Each part is read, answered and written, and then forgotten. The file stands under a hidden name
until its last row is in it: an error or Ctrl-C leaves the file that was there before, or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ancestral._arrays import to_host
from ancestral._checks.columns import names_of
from ancestral._checks.containers import shown
from ancestral._checks.numbers import as_generator, check_integer, within_memory
from ancestral._numerics.threads import ahead
from ancestral.base import ConditionalDensity, Density, Model
from ancestral.conditions import Conditions
from ancestral.errors import DataError, ModelError
from ancestral.io.row_files import as_arrow
from ancestral.streaming.checking import (
    NO_CHUNKS,
    SMALLER_CHUNKS,
    Roles,
    listed,
    n_rows,
    read,
    refuse_class,
)
from ancestral.streaming.columns import Place, in_order, in_part
from ancestral.streaming.filling import filled, gaps_of, numbered, numbered_names, real_columns
from ancestral.streaming.opening import Opening
from ancestral.streaming.outputs import Answer, refuse_over, write
from ancestral.streaming.progress import rows_shown
from ancestral.streaming.source import Source

PathLike = str | os.PathLike[str]
Ask = Callable[[Any, Place], Answer]
BLOCK_VALUES = 1 << 20  # that are drawn at once


# ---- scores --------------------------------------------------------------------------------------


def log_density(
    model: Any,
    source: Any,
    out: PathLike | None = None,
    *,
    target: str | Sequence[str] | None = None,
    weight: str | None = None,
    rows: int | None = None,
    verbose: bool = False,
) -> Any:
    """Return the log density of each row of a source, or write it to a file part by part.

    Parameters
    ----------
    model : Model
        Fitted.
    source : path-like, iterable, callable or Source
        As for `fit_chunks`. Columns with names that the model does not know are ignored.
    out : path-like, optional
        A .parquet, .csv, .tsv or .npy file, or an address that fsspec can write to. It gets one
        column, log_density.
    target : str or list of str, optional
        The column of y, for conditional models. By default that of the fit, or else y.
    weight : str, optional
        The column of weights, for conditional models.
    rows : int, optional
        The number of rows that are read from a file at a time; by default about 32 MiB of them.
    verbose : bool
        Show rows, rows per second and the time left on stderr.

    Returns
    -------
    ndarray of shape (n_rows,), or path-like
        Log densities in nats; or `out`, if it is given.

    Raises
    ------
    NotFittedError
        Before `fit`.
    DataError
        For rows that the model cannot take. The message names the part.
    SaveError
        When `out` cannot be written; when it is an input file, is in an input folder or matches an
        input pattern. An old file is then unchanged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> model = PPCA(2).fit(X)
    >>> bool(np.allclose(log_density(model, [X[:100], X[100:]]), model.log_density(X)))
    True
    >>> out = log_density(model, [X], pathlib.Path(tempfile.mkdtemp()) / "nats.npy")
    >>> np.load(out).shape
    (300,)
    """
    if out is not None:
        refuse_over(out, source)
    found = scored(model, source, target=target, weight=weight, rows=rows, verbose=verbose)
    if out is None:
        return np.concatenate([answer.rows for answer in found])
    return write(out, found)


def scored(
    model: Any,
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    weight: str | None = None,
    rows: int | None = None,
    verbose: bool = False,
) -> Iterator[Answer]:
    """Yield the log densities of each part, as `log_density` says."""
    _refuse_unfitted(model)
    conditional = isinstance(model, ConditionalDensity)
    roles = Roles(_targets(model) or "y" if target is None else target, weight)
    more = [*(roles.targets if conditional else []), *([weight] if weight else [])]

    def ask(given: Any, place: Place) -> Answer:
        X, y, *weights = given
        told = (y, *weights) if conditional else ()
        found = np.asarray(to_host(model.log_density(_own(model, X), *told)))
        return Answer(found, place, ["log_density"])

    parts = _Parts(model, _opened(model, source, rows, more), roles)
    return parts.answers(ask, _shown(model, "scored", verbose))


# ---- a target ------------------------------------------------------------------------------------


def predict(
    model: Any,
    source: Any,
    out: PathLike,
    *,
    return_std: bool = False,
    rows: int | None = None,
    verbose: bool = False,
) -> PathLike:
    """Write the mean of y given each row of a source, part by part.

    Parameters
    ----------
    model : ConditionalDensity
        Fitted.
    source : path-like, iterable, callable or Source
        Inputs, as rows of a density for `fit_chunks`. Other columns with names are ignored.
    out : path-like
        A .parquet, .csv, .tsv or .npy file, or an address that fsspec can write to.
    return_std : bool
        Add the standard deviation of y given x.
    rows : int, optional
        The number of rows that are read from a file at a time; by default about 32 MiB of them.
    verbose : bool
        Show rows, rows per second and the time left on stderr.

    Returns
    -------
    path-like
        `out`. Its columns are the targets, with their names in the fit, or y; and std, with
        `return_std`.

    Raises
    ------
    ModelError
        For a model that has no target.
    NotFittedError, DataError, SaveError
        As `log_density`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import LinearGaussian
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> model = LinearGaussian().fit(X, X @ [1.0, 2.0] + X[::-1, 0])
    >>> out = predict(model, [X[:14], X[14:]], pathlib.Path(tempfile.mkdtemp()) / "y.npy")
    >>> bool(np.allclose(np.load(out), model.predict(X)))
    True
    """
    refuse_over(out, source)
    return write(out, predicted(model, source, return_std=return_std, rows=rows, verbose=verbose))


def predicted(
    model: Any, source: Any, *, return_std: bool, rows: int | None = None, verbose: bool = False
) -> Iterator[Answer]:
    """Yield the predictions for each part, as `predict` says."""
    refuse_class(model)
    if not isinstance(model, ConditionalDensity):
        raise ModelError(
            f"{type(model).__name__} has no target to predict: fill gaps with impute, or draw with "
            "sample(given=...)."
        )
    _refuse_unfitted(model)

    def ask(given: Any, place: Place) -> Answer:
        found, names = predictions(model, _own(model, given[0]), return_std=return_std)
        return Answer(found, place, names)

    parts = _Parts(model, _opened(model, source, rows))
    return parts.answers(ask, _shown(model, "predicted", verbose))


def predictions(model: Any, X: Any, *, return_std: bool) -> tuple[Any, list[str]]:
    """Return the mean of y for each row, on request its standard deviation, and their names."""
    mean, deviation = model.predict(X, return_std=True)
    if mean.ndim == 1:
        names, of = target_names(model), ["std"]
    else:
        names, several = target_names(model, mean.shape[1]), _targets(model)
        of = [f"std_{k}" for k in (several if several == names else range(mean.shape[1]))]
    if not return_std:
        return mean, names
    return np.column_stack([mean, deviation]), [*names, *of]


# ---- gaps ----------------------------------------------------------------------------------------


def impute(
    model: Any,
    source: Any,
    out: PathLike,
    *,
    n_draws: int | None = None,
    rows: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> PathLike:
    """Write the rows of a source with their gaps filled, part by part.

    Parameters
    ----------
    model : Conditions
        A fitted model with a method `impute`, which fills the gaps.
    source : path-like, iterable, callable or Source
        As for `fit_chunks`. Columns that the model does not know do not change; those of CSV are
        text.
    out : path-like
        A .parquet, .csv, .tsv or .npy file, or an address that fsspec can write to.
    n_draws : int, optional
        Write this number of independent draws instead, as made by `impute_draws`. For each part the
        drawn tables follow one after another. The first two columns are draw (from 1) and row (from
        0).
    rows : int, optional
        The number of rows that are read from a file at a time; by default about 32 MiB of them.
    verbose : bool
        Show rows, rows per second and the time left on stderr.
    **options
        Options of the model's `impute` or `impute_draws`, such as random_state.

    Returns
    -------
    path-like
        `out`. Columns of a table have the names, types and levels of the source. Columns of whole
        numbers become floats if the model reads them as real numbers.

    Raises
    ------
    ModelError
        For a model that cannot fill gaps.
    NotFittedError, DataError, SaveError
        As `log_density`.
    MissingExtraError
        For dataframes if pyarrow is not installed.

    Notes
    -----
    Draws are made part by part, so a `random_state` gives the same draws only with the same parts.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> model, X[::7, 1] = PPCA(2).fit(X), np.nan
    >>> out = impute(model, [X[:100], X[100:]], pathlib.Path(tempfile.mkdtemp()) / "whole.npy")
    >>> bool(np.allclose(np.load(out), model.impute(X)))
    True
    """
    refuse_over(out, source)
    return write(
        out, imputed(model, source, n_draws=n_draws, rows=rows, verbose=verbose, **options)
    )


def imputed(
    model: Any,
    source: Any,
    *,
    n_draws: int | None = None,
    rows: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Iterator[Answer]:
    """Yield each part filled, as `impute` says."""
    refuse_class(model)
    if not isinstance(model, Conditions):
        raise ModelError(
            f"{type(model).__name__} fills no gaps: impute takes models of rows. For a target "
            "given inputs use predict."
        )
    if n_draws is not None:
        n_draws = check_integer(n_draws, "n_draws", minimum=1)
    if "return_std" in options:
        raise ModelError(
            "return_std has no effect here, because one table is written. Leave it out."
        )
    _refuse_unfitted(model)
    if "random_state" in options:  # one generator for all parts
        options["random_state"] = as_generator(options["random_state"])
    model = _as_written(model)
    real, names = real_columns(model), _names(model)
    first = 0  # row of a part of draws, which are made in turn

    def ask(given: Any, place: Place) -> Answer:
        nonlocal first
        table, X = None, given[0]
        if names_of(X) is not None:
            table = as_arrow(X)
            X = _own(model, table)
        if n_draws is None:
            found = [model.impute(X, **options)]
        else:
            found = list(model.impute_draws(X, n_draws, **options))
        if table is not None:
            found = [filled(table, names_of(X) or [], one, real) for one in found]
        gaps, own = gaps_of(X), names
        if n_draws is not None:
            whole = numbered(found, first, names)
            if isinstance(whole, np.ndarray):
                own = numbered_names(names, whole.shape[1] - 2)
            first += len(found[0])
        return Answer(found[0] if n_draws is None else whole, place, own, *gaps)

    parts = _Parts(model, Opening(model, rows=rows, like=model).source(source))
    in_turn = n_draws is not None or "random_state" in options
    return parts.answers(ask, _shown(model, "filled", verbose), in_turn=in_turn)


# ---- draws ---------------------------------------------------------------------------------------


def sample(
    model: Any,
    n_samples: int,
    out: PathLike,
    *,
    inputs: Any = None,
    random_state: Any = None,
    rows: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> PathLike:
    """Write draws of a model, block by block.

    Parameters
    ----------
    model : Density or ConditionalDensity
        Fitted.
    n_samples : int
        The number of rows; for a conditional model, the number of draws of y for each row of
        inputs.
    out : path-like
        A .parquet, .csv, .tsv or .npy file, or an address that fsspec can write to.
    inputs : path-like, iterable, callable or Source
        X to draw y for, as for `predict`; only for conditional models.
    random_state : None, int, RandomState or Generator
        The same seed draws the same rows; for draws of y, only with the same parts.
    rows : int, optional
        The number of rows of inputs that are read from a file at a time; by default about 32 MiB of
        them.
    verbose : bool
        Show rows, rows per second and the time left on stderr.
    **options
        Options of the model's `sample`, such as given.

    Returns
    -------
    path-like
        `out`. Names and types are those of the model's `sample`; draws of y have one column each.

    Raises
    ------
    ModelError
        For an `n_samples` below 0, a model of graphs, or a conditional model without inputs.
    NotFittedError, DataError, SaveError
        As `log_density`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import PPCA
    >>> model = PPCA(2).fit(np.random.default_rng(0).normal(size=(300, 4)))
    >>> out = sample(model, 1000, pathlib.Path(tempfile.mkdtemp()) / "x.npy", random_state=0)
    >>> bool(np.array_equal(np.load(out), model.sample(1000, random_state=0)))
    True
    """
    refuse_over(out, inputs)
    given = {"inputs": inputs, "random_state": random_state, "rows": rows, "verbose": verbose}
    return write(out, drawn(model, n_samples, **given, **options))


def drawn(
    model: Any,
    n_samples: int,
    *,
    inputs: Any = None,
    random_state: Any = None,
    rows: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Iterator[Answer]:
    """Yield blocks of draws, as `sample` says."""
    refuse_class(model)
    if not isinstance(model, Density | ConditionalDensity):
        raise ModelError(
            f"{type(model).__name__} draws graphs, not rows of a table: call its method sample, "
            "and ancestral.io.write_graphs."
        )
    _refuse_unfitted(model)
    n_samples = check_integer(n_samples, "n_samples", minimum=0)
    options["random_state"] = as_generator(random_state)
    show = _shown(model, "drawn", verbose)
    if isinstance(model, Density):
        if inputs is not None:
            raise ModelError(f"inputs= has no effect with {type(model).__name__}: leave it out.")
        return _blocks(_as_written(model), n_samples, show, options)
    if inputs is None:
        raise ModelError(f"{type(model).__name__} draws y given X: pass inputs=X.")

    def ask(given: Any, place: Place) -> Answer:
        found = model.sample(_own(model, given[0]), n_samples, **options)
        rows, names = draws_of_target(model, found, n_samples)
        return Answer(rows, place, names)

    return _Parts(model, _opened(model, inputs, rows)).answers(ask, show, in_turn=True)


def draws_of_target(model: Any, found: Any, n_samples: int) -> tuple[Any, list[str]]:
    """Return draws of y with a row for each row of X, and the names of their columns."""
    if n_samples == 1:
        return found, target_names(model, None if found.ndim == 1 else found.shape[1])
    if found.ndim != 2:
        raise ModelError("n_samples above 1 is not possible with a model of several targets.")
    (target,) = target_names(model)
    return found.T, [f"{target}_{k}" for k in range(1, n_samples + 1)]


def _blocks(model: Any, n: int, shown: Any, options: dict[str, Any]) -> Iterator[Answer]:
    """Yield so many rows, in blocks whose size is the model's alone."""
    block, names = max(1, BLOCK_VALUES // model.n_features_in_), _names(model)
    with shown(n) as show:
        for number, start in enumerate(range(0, max(n, 1), block)):
            size = min(block, n - start)
            yield Answer(model.sample(size, **options), Place(number, start), names)
            show(size)


# ---- parts ---------------------------------------------------------------------------------------


class _Parts:
    """The parts of a source, read one after the other."""

    def __init__(self, model: Any, source: Source, roles: Roles | None = None) -> None:
        roles = Roles(None) if roles is None else roles
        self.model, self.source, self.roles = model, source, roles
        self.names: list[Any] | None = None  # of the columns of the first part

    def answers(self, ask: Ask, shown: Any, *, in_turn: bool = False) -> Iterator[Answer]:
        """Yield the answer to each part that has rows, in order.

        Some are found ahead, on threads of their own, unless they must be found in turn.
        """

        def task(item: tuple[Place, Any]) -> tuple[int | None, Answer]:
            place, given = item
            with in_part(place):
                return n_rows(given[0]), within_memory(SMALLER_CHUNKS)(ask)(given, place)

        run = map if in_turn or not self.source.fresh else ahead
        n = 0
        with shown(self.source.n_rows) as show:
            for size, answer in run(task, self):
                yield answer
                show(size or 0)
                n += 1
        if not n:
            raise DataError(NO_CHUNKS)

    def __iter__(self) -> Iterator[tuple[Place, Any]]:
        for number, piece in enumerate(listed(self.source)):
            place = Place.of_piece(number, piece)
            chunk = read(piece, place)
            with in_part(place):
                given = self.roles.given(self.model, chunk)
            if n_rows(given[0]) != 0:
                yield place, (self._in_order(given[0]), *given[1:])

    def _in_order(self, X: Any) -> Any:
        """Return rows with their columns in the order of the first part, where these are its."""
        names = names_of(X)
        if self.names is None:
            self.names = names
        if (
            names is None
            or self.names is None
            or names == self.names
            or set(names) != set(self.names)
        ):
            return X
        return in_order(X, [names.index(one) for one in self.names])


def _refuse_unfitted(model: Any) -> None:
    """Raise ModelError for what is no model, NotFittedError for one that is not fitted."""
    refuse_class(model)
    if not isinstance(model, Model):
        raise ModelError(f"model must be a model of ancestral; got {shown(model)}.")
    model._check_fitted()


def _shown(model: Any, done: str, verbose: bool) -> Any:  # noqa: FBT001 - of the caller
    """Return what shows rows, given their number."""
    return partial(rows_shown, f"{type(model).__name__} {done}", shown=verbose)


def _opened(
    model: Any, source: Any, rows: int | None, targets: Sequence[str] | None = None
) -> Source:
    """Return a source of rows, or where there are targets of these too.

    Of files with names, the model's columns alone are read.
    """
    of = None if targets is None else model
    names = _names(model)
    if names is not None and isinstance(source, str | os.PathLike):
        columns = [*names, *(targets or [])]
        with suppress(DataError, ModelError):  # of files without names, or without these
            return Opening(of, rows=rows, columns=columns, like=model).source(source)
    like = None if targets else model  # which does not know them
    return Opening(of, rows=rows, like=like).source(source)


def _as_written(model: Any) -> Any:
    """Return a model that gives tables in the types of the files that it was fitted to."""
    form = (getattr(model, "_frame_in", None) or {}).get("written")
    if form is None:
        return model
    view = object.__new__(type(model))
    view.__dict__ = vars(model) | {"_frame_in": form}
    return view


def _names(model: Any) -> list[str] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _targets(model: Any) -> list[str]:
    """Return the names of the targets that a model was fitted to, where they have any."""
    names = getattr(model, "target_name_", None) or ()
    return [names] if isinstance(names, str) else list(names)


def target_names(model: Any, n: int | None = None) -> list[str]:
    """Return what columns of y are called: one, or n of a model of several targets."""
    known = _targets(model)
    if n is None or len(known) == n:
        return known if len(known) == 1 or n is not None else ["y"]
    return [f"{known[0] if len(known) == 1 else 'y'}_{k}" for k in range(n)]


def _own(model: Any, X: Any) -> Any:
    """Return the model's own columns of a table with names, in its order."""
    wanted, own = _names(model), names_of(X)
    if wanted is None or own is None or own == wanted or not set(own) & set(wanted):
        return X  # the model says what is wrong
    if absent := [name for name in wanted if name not in own]:
        raise DataError(
            f"there is no column {', '.join(map(repr, absent[:5]))}, which the model was fitted "
            f"to; there are {', '.join(map(str, own[:20]))}. Rename columns, or give other rows."
        )
    return in_order(X, [own.index(name) for name in wanted])

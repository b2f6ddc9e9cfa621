"""The contract: three faces, a few capabilities, and one envelope around every fit.

A *face* is the public side of a model of one kind of data: `Density` (rows of a table),
`ConditionalDensity` (y given X), `GraphDensity` (edges given node features). A *capability* is a
mixin that a model has or has not: `FromStatistics`, `MaximumLikelihood`. The author of a model
writes the few private methods named in each class; the face checks the input once.

What a model learnt is its state, a dict that is replaced and never changed. The *envelope*
(`fitting`) gives a fit an empty state to fill and puts it in place at once: a fit that raises, or
is interrupted, leaves the model as it was before, and no thread meets a state that is half new.
What reads a model reads one state, whatever is put in place meanwhile (`of_one_state`).
"""

# Length: each face is read beside the envelope and the capabilities that it is made of.

from __future__ import annotations

import copy
import importlib
import inspect
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin, RegressorMixin
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils import Tags

from ancestral import _arrays, model_file
from ancestral._catalogue import MODELS, REGISTERED, Entry, Face, entry_named
from ancestral._checks.columns import check_row, check_table
from ancestral._checks.frames import check_form, check_names, check_target_names, framed
from ancestral._checks.numbers import (
    DRAWN_BYTES,
    FEWER_DRAWS,
    FEWER_GRAPHS,
    FEWER_ROWS,
    STREAM_ROWS,
    as_ancestral_errors,
    as_generator,
    as_numbers,
    check_n_samples,
    check_weights,
    describe_place,
    each_warning_once,
    mend_of_fit,
    refuse_far,
    refuse_non_finite,
    warn,
    within_memory,
)
from ancestral._extras import need
from ancestral._hints import hint, refuse_unknown_keywords
from ancestral._methods import with_index
from ancestral.errors import (
    AncestralError,
    DataError,
    ModelError,
    SaveError,
    UndeterminedError,
    UnknownNameError,
)
from ancestral.model_file import fingerprint

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound="Model")
T = TypeVar("T")

# Who draws a fitted model in a notebook: named, not imported, and loaded only when one is shown.
NOTEBOOK = "ancestral.studio.notebook"

# What a model knows of the columns of its data: with these alone it is not fitted yet.
WIDTHS = ("n_features_in_", "feature_names_in_", "n_features_", "_frame_in", "target_name_")

# The rest of a state: what calls of partial_fit have seen, and what a whole fit was given.
BESIDE = ("_seen", "_said", "_undetermined", "_data_fingerprint", "_derived")

MOST_KEPT = 1 << 20  # numbers that values have of which what was made of them is kept


class NotFittedError(ModelError, SklearnNotFittedError):
    """The model was asked something before `fit`."""


# ---- one state at a time ------------------------------------------------------------------------


@contextmanager
def fitting(model: M) -> Iterator[M]:
    """Give a model of the same parameters to fit; put what it learnt in the model's place at once.

    It has learnt nothing: no declared value, and none that the last fit brought. What a subclass
    has set beside the fit stays. Where anything is raised, Ctrl-C included, the model stays as it
    was.
    """
    new = object.__new__(type(model))
    before = vars(model).copy()
    of_a_fit = {*BESIDE, *WIDTHS, *new._declared(), *before.pop("_brought", ())}
    kept = {name: value for name, value in before.items() if name not in of_a_fit}
    new.__dict__ = kept | {"_derived": {}}
    yield new
    new._brought = tuple(name for name in vars(new) if is_learnt(name) and name not in kept)
    model.__dict__ = new.__dict__


def is_learnt(name: str) -> bool:
    """Tell whether an attribute of this name is something that a fit learnt."""
    return name.endswith("_") and not name.startswith("_")


def of_one_state(method: F) -> F:
    """Let a method read one state of its model, also while another is put in its place."""

    @wraps(method)
    def read(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        view = object.__new__(type(self))
        view.__dict__ = self.__dict__
        try:
            return method(view, *args, **kwargs)
        except TypeError:
            refuse_unknown_keywords(method, kwargs)
            raise

    return read  # type: ignore[return-value]


def told_of_keywords(method: F) -> F:
    """Let a method that is given a keyword it does not take say what is meant."""

    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except TypeError:
            refuse_unknown_keywords(method, kwargs)
            raise

    return run  # type: ignore[return-value]


class ReadAtOnce:
    """A class whose public methods and properties each read one state, but for those that fit.

    Of a subclass elsewhere, those that stand in for a method of this package.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__module__.startswith(f"{__package__}.")
        for name, value in list(vars(cls).items()):
            if name.startswith(("_", "fit", "partial_fit", "set_")):
                told = own and (name == "__init__" or not name.startswith("_"))
                if told and isinstance(value, FunctionType):
                    setattr(cls, name, told_of_keywords(value))
                continue
            if not own and not hasattr(super(cls, cls), name):
                continue
            if isinstance(value, FunctionType):
                setattr(cls, name, of_one_state(value))
            elif isinstance(value, property) and value.fget is not None:
                setattr(cls, name, value.getter(of_one_state(value.fget)))


_locks: dict[int, threading.RLock] = {}  # by the identity of a model, so that no copy holds one
if hasattr(os, "register_at_fork"):  # in a child, no one is left who would let go of them
    os.register_at_fork(after_in_child=_locks.clear)


def lock_of(model: Any) -> threading.RLock:
    """Return the lock of whoever changes what this model has seen."""
    key = id(model)
    if key not in _locks:
        weakref.finalize(model, _locks.pop, key, None)
    return _locks.setdefault(key, threading.RLock())


class Model(BaseEstimator, ReadAtOnce, ABC):
    """What every model has: parameters, a fitted state, a file."""

    # What files keep: a class declares its own as `_fields`.
    _own_fields: tuple[str, ...] = ("n_features_in_", "feature_names_in_")
    _all_fields: dict[str, None]  # those of its bases as well, in their order
    _where_memory_is_short: str = FEWER_ROWS  # what helps a fit
    _seen: Any = None  # statistics so far, between calls of partial_fit
    _said: Any = ()  # the warnings so far, between calls of partial_fit
    _undetermined: str = ""  # why these do not determine the parameters yet
    _data_fingerprint: str = ""
    _derived: dict[str, Any] | None = None  # what was made of fitted values, and of which
    _brought: tuple[str, ...] = ()  # the names of what the last fit learnt

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_fields" in vars(cls):  # put away: `help` takes what has it for a named tuple
            cls._own_fields = cls._fields
            del cls._fields
        lines = [vars(kind).get("_own_fields", ()) for kind in reversed(cls.__mro__)]
        cls._all_fields = dict.fromkeys(name for line in lines for name in line)
        if entry_named(cls.__name__) is not None:
            cls.__doc__ = with_index(cls)

    _face: Face  # what it takes, as the catalogue says it

    @property
    def data_fingerprint_(self) -> str:
        """What `fit` was given, as 64 hexadecimal digits; "" after streams, and of older files.

        Equal data give equal fingerprints in every dtype, memory order and container. Of up to
        16,384 numbers (2,048 texts) every one is looked at, of more as many in stretches of rows,
        evenly spaced: that tells data sets apart, not one changed value in a large one.
        """
        return self._data_fingerprint

    if not TYPE_CHECKING:  # which would take any name for known

        def __getattr__(self, name: str) -> Any:
            """Say what is meant by a name that is nowhere else."""
            kind = type(self)
            own = is_learnt(name) and name not in WIDTHS
            if own and (name in self._declared() or hasattr(kind, name)) and not self._learnt():
                self._check_fitted()

            def say() -> str:
                names = [*kind._declared(), *kind._get_param_names()]
                return (
                    f"{kind.__name__!r} object has no attribute {name!r}.{hint(name, kind, names)}"
                )

            raise UnknownNameError(say)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of an inner model are named as in `model__smoothing`.

        Returns
        -------
        self

        Raises
        ------
        UnknownKeywordError
            For a parameter that the model does not have.

        Parameters
        ----------
        **params : values by the names of parameters

        Examples
        --------
        >>> from ancestral import OrderMixture, TabularAutoregressive
        >>> model = OrderMixture(TabularAutoregressive(), n_orders=2)
        >>> model.set_params(model__smoothing=0.5).model
        TabularAutoregressive(smoothing=0.5)
        """
        own = {name.partition("__")[0]: value for name, value in params.items()}
        refuse_unknown_keywords(type(self).__init__, own)
        super().set_params(**params)
        return self

    # ---- the envelope -----------------------------------------------------------------------

    @within_memory(mend_of_fit)
    def _fit_anew(self, *data: Any, **options: Any) -> Self:
        """Fit to data, which `_checked` sees first, with the options of `_fit`."""
        if wants := self._wants():
            need(f"fitting {type(self).__name__}", *wants, otherwise=self._instead)
        with fitting(self) as new:
            checked = new._checked(*data)
            new._fit(*checked, **options)
            new._data_fingerprint = new._fingerprint_of(*checked)
        return self

    # What needs no package of `_wants`, at the end of the error that names them.
    _instead = ""

    def _wants(self) -> tuple[str, ...]:
        """Return the optional packages that a fit with these parameters takes, for `need`."""
        return ()

    @abstractmethod
    def _checked(self, *data: Any) -> tuple[Any, ...]:
        """Return what `fit` was given as `_fit` takes it, its columns remembered."""

    @abstractmethod
    def _fit(self, *data: Any, **options: Any) -> None:
        """Set what is learnt of checked data: on a model that has learnt nothing before."""

    def _fingerprint_of(self, *checked: Any) -> str:
        """Return what tells these data from others."""
        return fingerprint(*checked)

    def _columns(self) -> dict[str, Any]:
        """Return what is known of the columns of the data."""
        return {name: value for name, value in vars(self).items() if name in WIDTHS}

    def _take_columns(self, columns: dict[str, Any]) -> None:
        """Know of the columns what another of the same data does."""
        self.__dict__.update((name, columns[name]) for name in WIDTHS if name in columns)

    # ---- a fitted state ---------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model to one file, which holds no code and is verified by a checksum.

        Parameters
        ----------
        path : path-like
            An older model of this name is replaced; any other file is not.

        Returns
        -------
        Path

        Raises
        ------
        SaveError
            When the file cannot be written, or a file of this name is no model. An old file of this
            name is then unchanged. When the class is not in the package and was not registered, or
            its `_fields` leave something out.

        Examples
        --------
        >>> import ancestral, pathlib, tempfile
        >>> model = ancestral.PPCA(1).fit(np.random.default_rng(0).normal(size=(50, 3)))
        >>> path = model.save(pathlib.Path(tempfile.mkdtemp()) / "rows.model")
        >>> bool((ancestral.load(path).loadings_ == model.loadings_).all())
        True
        """
        self._check_fitted()
        lost = [name for name in self._brought if name not in self._declared()]
        if lost:
            raise SaveError(
                f"fit learnt {', '.join(lost)}, which {type(self).__name__}._fields does not name, "
                "and only what it names is saved. Add it there."
            )
        return model_file.save(self, path)

    @of_one_state
    def _html_repr(self) -> str:
        """Return what a notebook shows: the model's room of the studio, else its diagram."""
        try:
            self._check_fitted()
            page = importlib.import_module(NOTEBOOK).page_of(self)
        except AncestralError:  # not fitted, or nothing to draw it from
            page = None
        return super()._html_repr() if page is None else str(page)

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: "
                f"{self._undetermined or 'call fit first.'}"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled, also by a version without some of today's parameters."""
        parameters = inspect.signature(type(self).__init__).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        super().__setstate__({**defaults, **state, "_derived": {}})

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled."""
        return {name: held for name, held in super().__getstate__().items() if name != "_derived"}

    def __sklearn_is_fitted__(self) -> bool:
        newest = reversed(list(vars(self)))  # what was learnt stands after the parameters
        return any(is_learnt(name) and name not in WIDTHS for name in newest)

    def _learnt(self) -> list[str]:
        """Return the names of fitted values, those of the columns left out."""
        return [name for name in list(vars(self)) if is_learnt(name) and name not in WIDTHS]

    def _fitted_state(self) -> dict[str, Any]:
        """Return what `fit` learnt, as arrays and plain values, by attribute name."""
        held = vars(self)
        return {name: held[name] for name in self._declared() if name in held}

    def _kept_params(self) -> dict[str, Any]:
        """Return the parameters as a file keeps them."""
        params: dict[str, Any] = self.get_params(deep=False)
        return params

    @classmethod
    def _declared(cls) -> dict[str, None]:
        """Return the names of fitted values that its classes declare, in their order."""
        return cls._all_fields

    def _made_of(self, values: tuple[Any, ...], make: Callable[..., T]) -> T:
        """Return make(*values) of fitted values, made once for values that are equal.

        Kept beside the state that it is made of, never saved, and put in place whole: threads that
        ask at once may each make it.
        """
        kept, name = self._derived, make.__qualname__
        found = None if kept is None else kept.get(name)
        if found is None or not all(map(_equal, found[0], values)):
            if kept is None or sum(map(np.size, values)) > MOST_KEPT:
                return make(*values)
            own = tuple(map(copy.copy, values))  # so that no change in place comes through
            found = kept[name] = own, make(*own)
        return found[1]

    def _remember(self, **names: Any) -> None:
        """Know names that came beside the data, in their file."""
        self.__dict__ = vars(self) | names

    def _restore(self, state: dict[str, Any], data_fingerprint: str = "") -> None:
        """Take back what `_fitted_state` gave; raise ValueError if it is not a whole model."""
        declared = self._declared()
        for name, value in state.items():
            if name not in declared:
                raise ValueError(f"{name!r} is no fitted value")
            if isinstance(value, int) and abs(value) >= 1 << 63:  # numpy computes with none
                raise ValueError(f"{name!r} is a whole number of more than 64 bits")
            if name == "n_features_in_" and type(value) is not int:
                raise ValueError(f"{name!r} is no whole number")
            setattr(self, name, value)
        if (names := state.get("feature_names_in_")) is not None:
            check_names(names, state.get("n_features_in_"))
        check_target_names(state.get("target_name_"))
        if "_frame_in" in state:
            check_form(state["_frame_in"], self.n_features_in_)
        self._check_state()
        self._data_fingerprint, self._derived = data_fingerprint, {}

    def _check_state(self) -> None:
        """Raise ValueError when restored values cannot be a fitted model (shape, sign, NaN)."""


def register(cls: type[M]) -> type[M]:
    """Let models of a class of your own be saved, loaded and compared; a decorator.

    `ancestral.load` then knows the class by its name, in every program that has registered it.
    Files hold no code, so a program that has not registered the class refuses them.

    Parameters
    ----------
    cls : type
        Derived from a face. `_fields` declares what its fit learns: only that is saved.

    Returns
    -------
    type
        The class itself. A class that was registered under the same name before is replaced.

    Raises
    ------
    ModelError
        When the class declares no `_fields`, or a model of this package has its name.

    Examples
    --------
    >>> @register
    ... class Constant(Density):
    ...     _fields = ("row_",)
    ...     def _fit(self, X):
    ...         self.row_ = X[0]
    ...     def _log_density(self, X):
    ...         return np.where((X == self.row_).all(axis=1), 0.0, -np.inf)
    ...     def _draw(self, n_samples, rng):
    ...         return np.tile(self.row_, (n_samples, 1))
    >>> import ancestral, pathlib, tempfile
    >>> path = Constant().fit([[1.0, 2.0]]).save(pathlib.Path(tempfile.mkdtemp()) / "a.model")
    >>> ancestral.load(path).sample(1)
    array([[1., 2.]])
    """
    name = cls.__name__
    if any(entry.name == name for entry in MODELS):
        raise ModelError(f"{name} is the name of a model of this package: give yours another.")
    beside = {*BESIDE, *WIDTHS}
    if not {*cls._declared()} - beside:
        raise ModelError(
            f"{name} declares no fitted values, so a file would not hold its fit. Name them in "
            f'{name}._fields, as in _fields = ("mean_",).'
        )
    about, _, _ = (cls.__doc__ or "").strip().partition("\n")
    REGISTERED[name] = Entry(name, cls.__module__, cls._face, name.lower(), about, registered=cls)
    return cls


class MaximumLikelihood(ReadAtOnce, ABC):
    """A model whose parameters maximise the likelihood of its training data."""

    n_parameters_: int

    def aic(self, X: Any, y: Any = None) -> float:
        """Return AIC, Akaike's information criterion, on the data; lower is better.

        Parameters
        ----------
        X : rows (density), inputs (conditional) or graphs, as `log_density` takes them
        y : targets, for a conditional density

        Returns
        -------
        float
            2 k - 2 log L, with k = `n_parameters_` and log L in nats.

        Notes
        -----
        After a fit with a penalty (l2 above 0), log L is still that of the data, without the
        penalty. It is below its maximum, and the parameters are less free than k says. So AIC and
        BIC come out too high; compare such fits by data that were held out.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> X = [[0, 0], [0, 1], [1, 1], [1, 1]]
        >>> float(round(TabularAutoregressive().fit(X).aic(X), 3))
        14.318
        """
        total, _ = self._total_log_density(X, y)
        return float(2 * self.n_parameters_ - 2 * total)

    def bic(self, X: Any, y: Any = None) -> float:
        """Return BIC, Schwarz's information criterion, on the data; lower is better.

        Parameters
        ----------
        X, y : as for `aic`

        Returns
        -------
        float
            k log n - 2 log L, with k = `n_parameters_`, log L in nats, and n the number of rows (of
            known dyads, for graphs).

        Notes
        -----
        See `aic` for fits with a penalty.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> X = [[0, 0], [0, 1], [1, 1], [1, 1]]
        >>> float(round(TabularAutoregressive().fit(X).bic(X), 3))
        12.477
        """
        total, n = self._total_log_density(X, y)
        return float(self.n_parameters_ * np.log(n) - 2 * total)

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        """Return log L in nats and the number of observations."""
        values = self.log_density(X) if y is None else self.log_density(X, y)  # type: ignore[attr-defined]
        return float(np.sum(_arrays.to_host(values))), len(values)


class FromParts(Model):
    """A model that can be trained from parts of its data: sums over parts, as often as it asks.

    An author writes `_fit_parts(parts)`, given `training.parts.Parts` of `training.parts.Part`,
    and `_check_chunk(...)`, which checks one part as `fit` checks all rows.
    """

    @abstractmethod
    def _fit_parts(self, parts: Any) -> None:
        """Set what is learnt of checked parts: on a model that has learnt nothing before.

        A fit that keeps checkpoints also takes `checkpoint` and `every`.
        """

    def _check_part(self, *given: Any, reset: bool) -> tuple[Any, ...]:
        """Return a part as `_fit` takes it; its columns are remembered where `reset`."""
        checked: tuple[Any, ...] = self._check_chunk(*given, reset=reset)
        return checked

    def _fit_from(self, parts_of: Callable[[Self], Any], **options: Any) -> Self:
        """Fit to what `parts_of` gives, handed the model that checks parts and knows of columns."""
        with fitting(self) as new:
            fit: Callable[..., None] = new._fit_parts
            fit(parts_of(new), **options)
        return self


class FromBatches(FromParts):
    """A model that is trained by steps, one after another: from files, but never by workers."""


def _statistics_of(part: Any) -> Any:
    """Return the statistics of a part, by the model that checked it."""
    return part.model._statistics(*part.data)


class FromStatistics(FromParts):
    """A model solved in closed form from a sum of sufficient statistics.

    Its fit is `_solve(_statistics(data))`; statistics of parts merge by `+`, so that
    `partial_fit`, and everything in `ancestral.streaming`, gives the same model as `fit`.
    """

    _where_memory_is_short: str = STREAM_ROWS

    @abstractmethod
    def _statistics(self, *data: Any, **options: Any) -> Any:
        """Return the statistics of checked data."""

    @abstractmethod
    def _solve(self, statistics: Any) -> None:
        """Set the fitted attributes."""

    def _fit(self, *data: Any, **options: Any) -> None:
        self._solve(self._statistics(*data, **options))

    def _fit_parts(self, parts: Any) -> None:
        self._solve(parts.total(_statistics_of))

    def _is_enough(self, statistics: Any) -> bool:
        """Tell whether the statistics determine the parameters yet."""
        return True

    @within_memory(FEWER_ROWS)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Add a chunk of data to what earlier calls gave, and solve again.

        Parameters
        ----------
        X : rows, inputs or graphs
            As `fit` takes them. NaN is refused, also by models whose `fit` reads it as a missing
            value: sums of statistics are exact only for complete rows.
        y : array-like of shape (n_samples,)
            Targets of a conditional density; ignored otherwise.

        Returns
        -------
        self
            Fitted as soon as the rows so far determine the parameters. Before that, and while the
            likelihood of the rows so far has no bound, the model stays unfitted.

        Notes
        -----
        After all chunks, the model is the same as after `fit` on all rows at once. `fit` starts
        anew. The first `partial_fit` after a `fit`, or after the model was loaded from a file, also
        starts anew, and warns. A chunk that is refused does not count. Each kind of warning is
        given once. Calls from several threads wait for each other, so that every chunk counts, in
        the order of the calls. Other threads may read the model during a call.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive()
        >>> for chunk in ([[0, 0], [0, 1]], [[1, 1], [1, 1]]):
        ...     model = model.partial_fit(chunk)
        >>> np.exp(model.log_density([[1, 1]]))
        array([0.5])
        """
        return self._add(X, y)

    def _add(self, *chunk: Any) -> Self:
        """Add the statistics of one chunk, and solve where they are enough."""
        with lock_of(self), fitting(self) as new:
            kept = set(vars(new))
            seen, new._said = self._seen, set[Any]() if self._seen is None else set(self._said)
            if seen is not None:
                new._take_columns(self._columns())
            with each_warning_once(new._said):
                fresh = new._statistics(*new._check_chunk(*chunk, reset=seen is None))
                if seen is None and {*self._learnt()} & {*self._declared(), *self._brought}:
                    warn(
                        "partial_fit starts anew: a model from fit or from a file keeps no "
                        "statistics to add to, so its parameters are dropped. Give all rows to "
                        "partial_fit."
                    )
                new._seen = fresh if seen is None else seen + fresh
                if new._is_enough(new._seen):
                    try:
                        new._solve(new._seen)
                    except UndeterminedError as error:
                        for name in set(new._learnt()) - kept:
                            delattr(new, name)
                        new._undetermined = f"partial_fit needs more rows. {error}"
        return self


class Density(DensityMixin, Model):
    """A probability density (or mass) over rows of a table.

    The author of a model writes `_fit(X)`, `_log_density(X)` and `_draw(n_samples, rng)`. A model
    that can condition also has `_draw_given(n_samples, given, rng)`. Rows are returned by way of
    `_framed`, so that a model fitted to a dataframe returns dataframes.
    """

    _fields: tuple[str, ...] = ("_frame_in",)
    _face: Face = "continuous"
    _frame_in: dict[str, Any] | None = None  # the form of the dataframe that fit was given

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Notes
        -----
        Other threads may read the model during a fit: they see the old model until the new one is
        complete. If several fits run at the same time, the one that ends last is kept.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]]).n_parameters_
        3
        """
        return self._fit_anew(X)

    @within_memory(FEWER_ROWS)
    def log_density(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return log p(x) of each row, in nats.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats; -inf where the row is impossible.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            For a wrong number of columns, or values that the model cannot take.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> model = PPCA(1).fit([[0.0, 0.0], [1.0, 1.1], [2.0, 1.9], [3.0, 3.0]])
        >>> likely, unlikely = model.log_density([[1.5, 1.5], [1.5, 0.0]])
        >>> bool(likely > unlikely)
        True
        """
        self._check_fitted()
        return self._log_density(self._check_rows(X, reset=False))

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `log_density(X)`: scikit-learn's name for it.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> np.exp(model.score_samples([[1, 1], [0, 1]]))
        array([0.5 , 0.25])
        """
        return self.log_density(X)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean log density of the rows.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            Nats per row.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> round(model.score([[1, 1], [1, 1]]), 4)  # log 1/2
        -0.6931
        """
        return float(np.mean(_arrays.to_host(self.log_density(X))))

    @within_memory(FEWER_DRAWS)
    def sample(self, n_samples: int = 1, *, given: Any = None, random_state: Any = None) -> Any:
        """Draw rows ancestrally: parents first, children given their parents.

        Parameters
        ----------
        n_samples : int
            0 or more.
        given : array-like of shape (n_features,), mapping, Series or one-row dataframe, optional
            One row with NaN where a value is unknown, or the known values by name, as in {"age":
            40}. The draws then come from the exact conditional distribution given these values, and
            each draw contains them.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray or dataframe of shape (n_samples, n_features)
            If `fit` was given a dataframe of pandas, polars or Arrow: a dataframe of the same
            library, columns and types. In models of real numbers, columns of integers become
            floats.

        Raises
        ------
        ModelError
            For a negative `n_samples`, or when the model cannot draw exactly given these values.
        DataError
            For a `given` of the wrong length, with unknown names or with impossible values.
        MissingExtraError
            When the library of that dataframe is not installed.

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> model = PPCA(1).fit(X)
        >>> model.sample(5, random_state=0).shape
        (5, 3)
        >>> bool((model.sample(5, given=[1.0, np.nan, np.nan], random_state=0)[:, 0] == 1).all())
        True
        """
        self._check_fitted()
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * self.n_features_in_)
        rng = as_generator(random_state)
        if given is None:
            return self._framed(self._draw(n_samples, rng))
        row = self._check_given(given)
        rows = self._draw_given(n_samples, row, rng)
        self._check_drawn(rows, n_samples, row)
        return self._framed(rows)

    def _check_drawn(self, rows: NDArray, n_samples: int, given: NDArray) -> None:
        """Raise ModelError unless rows drawn given known values hold them: an author's slip."""
        known = np.flatnonzero(given == given)  # NaN is no known value
        kind, shape = type(self).__name__, (n_samples, len(given))
        if np.shape(rows) != shape:
            raise ModelError(
                f"{kind}._draw_given returned an array of shape {np.shape(rows)} for {shape}: "
                "return one row for each draw."
            )
        other = np.argwhere(rows[:, known] != given[known])
        if len(other):
            i, j = other[0][0], known[other[0][1]]
            raise ModelError(
                f"{kind}._draw_given returned {rows[i, j]} in column {j}, where {given[j]} is "
                "given: put the known values into every draw, as in "
                "np.where(np.isnan(given), draws, given)."
            )

    def _framed(self, rows: Any, like: Any = None, kept: Any = None) -> Any:
        """Return rows as the dataframe that `fit` was given, with the index of `like`; else as is.

        Numbers `kept`, NaN where there are none, are not rounded to a narrower type.
        """
        if self._frame_in is None:
            return rows
        names, levels = (getattr(self, n, None) for n in ("feature_names_in_", "categories_"))
        return framed(self._frame_in, names, rows, levels=levels, like=like, kept=kept)

    def _check_given(self, given: Any) -> NDArray:
        """Return one partly known row, NaN where unknown; levels, in models of discrete data."""
        row = check_row(self, given)
        names = vars(self).get("feature_names_in_")
        refuse_non_finite(row, name="given", missing=True, names=names)
        return row

    def _checked(self, X: ArrayLike) -> tuple[NDArray, ...]:
        return (self._check_rows(X, reset=True),)

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        """Return checked rows; models of discrete data override how levels are read."""
        return check_table(self, X, reset=reset).astype(np.float64, copy=False)

    def _check_chunk(self, X: ArrayLike, y: Any, *, reset: bool) -> tuple[NDArray]:
        """Return one chunk of rows, complete."""
        rows = self._check_rows(X, reset=reset)
        names = vars(self).get("feature_names_in_")
        if _arrays.has_gaps(rows, names=names):  # only where fit takes NaN as missing
            gaps = np.isnan(_arrays.to_host(rows))
            place = describe_place(tuple(int(i) for i in np.argwhere(gaps)[0]), names)
            raise DataError(
                f"X holds NaN at {place}: sums of statistics are exact only for complete rows. "
                "Give rows with missing values to fit, all at once."
            )
        return (rows,)

    @abstractmethod
    def _log_density(self, X: NDArray) -> NDArray[np.float64]: ...

    @abstractmethod
    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray: ...

    def _draw_given(self, n_samples: int, given: NDArray, rng: np.random.Generator) -> NDArray:
        raise ModelError(f"{type(self).__name__} cannot draw given known values exactly.")


def not_counts(fit: F) -> F:
    """Leave `sample_weight` out of a signature, because here it is not what it is elsewhere.

    scikit-learn looks for the name there and takes what it finds for counts: bagging then repeats
    rows by it, and `check_estimator` asks that a weight of 2 be a row twice. Where the variance
    depends on x, the fit of precisions is another. Callers give it by name or place all the same.
    """
    whole = inspect.signature(fit)
    rest = [value for name, value in whole.parameters.items() if name != "sample_weight"]
    fit.__signature__ = whole.replace(parameters=rest)  # type: ignore[attr-defined]
    return fit


class ConditionalDensity(RegressorMixin, Model):
    """A probability density of a real y given a row of X.

    The author of a model writes `_fit(X, y, weights)`, and `_predict(X)`, which returns a mean and
    a standard deviation for each row. The conditional is normal: y | x ~ N(mean(x), std(x)^2 /
    weight). The weight of a row is its precision divided by that of a row of weight 1. A model of
    several targets has the scikit-learn tag for this, and also writes `_log_normal` and `_noise`.
    """

    _fields: tuple[str, ...] = ("target_name_",)
    _face: Face = "conditional"

    @not_counts
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit p(y | x) to pairs.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Precisions: the variance of a row of weight w is that of a row of weight 1, divided by
            w. Rows of weight 0 are left out. Weights are not counts: to count a row twice, repeat
            it.

        Returns
        -------
        self

        Notes
        -----
        Other threads may read the model during a fit: they see the old model until the new one is
        complete. If several fits run at the same time, the one that ends last is kept.

        Examples
        --------
        >>> from ancestral import HeteroscedasticGaussian
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> HeteroscedasticGaussian().fit(x[:, None], y).coef_.shape
        (1,)
        """
        return self._fit_anew(X, y, sample_weight)

    @within_memory(FEWER_ROWS)
    def log_density(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return log p(y | x) of each pair, in nats.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            The rows' precisions, as `fit` takes them; 1 when not given.

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats; 0 for a row of weight 0.

        Raises
        ------
        ModelError
            When the fitted variance is zero: the density is unbounded.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9])
        >>> on_the_line, off_it = model.log_density([[4.0], [4.0]], [4.0, 9.0])
        >>> bool(on_the_line > off_it)
        True
        """
        rows = self._check_inputs(X)
        y = self._check_target(y, len(rows))
        weights = check_weights(sample_weight, len(rows))
        mean, std = self._predicted(rows)
        if y.size != mean.size:
            raise DataError(
                f"the model has targets of shape {mean.shape[1:]} per row; y has {y.shape[1:]}."
            )
        self._refuse_zero_variance()
        with np.errstate(over="ignore"):  # of a density that is 0 in float64
            residual = self._residual(rows, y.reshape(mean.shape), mean, std)
            if weights is None:
                return self._log_normal(rows, residual, std)
            # With precision w, sqrt(w) r has the density of a residual of weight 1, but for the
            # change of units.
            root = np.sqrt(weights).reshape(-1, *[1] * (mean.ndim - 1))
            log_p = self._log_normal(rows, residual * root, std)
        counts = weights > 0
        log_p[counts] += 0.5 * (mean.size // max(1, len(mean))) * np.log(weights[counts])
        log_p[~counts] = 0.0
        return log_p

    @overload
    def predict(
        self,
        X: ArrayLike,
        return_std: Literal[False] = False,  # noqa: FBT002
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[np.float64]: ...

    @overload
    def predict(
        self,
        X: ArrayLike,
        return_std: Literal[True],
        sample_weight: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

    @within_memory(FEWER_ROWS)
    def predict(
        self,
        X: ArrayLike,
        return_std: bool = False,  # noqa: FBT001, FBT002 - scikit-learn's spelling
        sample_weight: ArrayLike | None = None,
    ) -> Any:
        """Return the mean of y given each row, and its standard deviation on request.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        return_std : bool
            True adds the plug-in standard deviation: the sigma(x) that `log_density` uses,
            without the parameters' own uncertainty.
        sample_weight : array-like of shape (n_samples,), optional
            The rows' precisions; 1 when not given. They change only the standard deviation, which
            is infinite for a weight of 0.

        Returns
        -------
        mean : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only with `return_std`; in the units of y.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9])
        >>> mean, std = model.predict([[4.0], [5.0]], return_std=True)
        >>> mean.round(2), std.round(2)
        (array([3.9 , 4.86]), array([0.09, 0.09]))
        """
        rows = self._check_inputs(X)
        weights = check_weights(sample_weight, len(rows))
        mean, std = self._predicted(rows)
        return (mean, over_root(std, weights)) if return_std else mean

    @within_memory(FEWER_ROWS)
    def sample(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Draw y for each row of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_rows, n_features)
        n_samples : int
            Draws for each row.
        random_state : None, int, RandomState or Generator
        sample_weight : array-like of shape (n_rows,), optional
            The rows' precisions, above 0; 1 when not given.

        Returns
        -------
        ndarray of shape (n_rows,), or (n_samples, n_rows) unless n_samples is 1
            In the units of y.

        Raises
        ------
        ModelError
            When the fitted variance is zero.
        DataError
            For a weight of 0, whose variance is infinite.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9])
        >>> model.sample([[4.0], [5.0]], 3, random_state=0).shape
        (3, 2)
        """
        rows = self._check_inputs(X)
        n_samples = check_n_samples(n_samples, row_bytes=DRAWN_BYTES * len(rows))
        weights = check_weights(sample_weight, len(rows))
        if weights is not None and not weights.all():
            raise DataError(
                f"sample_weight holds 0 at row {int(np.argmin(weights))}: its variance is "
                "infinite, and nothing can be drawn. Leave the row out."
            )
        mean, std = self._predicted(rows)
        self._refuse_zero_variance()
        refuse_far(std, "its standard deviation")
        shape = mean.shape if n_samples == 1 else (n_samples, *mean.shape)
        noise = self._noise(np.broadcast_to(std, shape), as_generator(random_state))
        return mean + over_root(noise, weights, axis=mean.ndim)

    @within_memory(FEWER_ROWS)
    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R², the share of the variance of y that the mean explains.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 at best; the mean over targets, where there are several.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9]
        >>> round(LinearGaussian().fit(X, y).score(X, y), 3)
        0.993
        """
        from sklearn.metrics import r2_score  # loads much

        rows = self._check_inputs(X)
        y = self._check_target(y, len(rows))
        weights = check_weights(sample_weight, len(rows))
        mean, _ = self._predicted(rows)
        # Powers of two change no ratio: squares and sums neither overflow nor vanish.
        scale = _power_of_two(np.abs(y).max(axis=0, initial=0.0))
        if weights is not None:
            weights = weights / _power_of_two(weights.max(initial=0.0))
        with as_ancestral_errors(), np.errstate(over="ignore"):  # -inf of means that far off
            return float(r2_score(y / scale, mean / scale, sample_weight=weights))

    def _predicted(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return `_predict(X)`; DataError for a row whose mean float64 does not hold."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = self._predict(X)
        refuse_far(mean, "its mean")
        return mean, std

    def _residual(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        mean: NDArray[np.float64],
        std: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return y less its mean; a model may find it with more digits than the mean has."""
        return y - mean

    def _log_normal(
        self, X: NDArray[np.float64], residual: NDArray[np.float64], std: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the log density of the residuals at rows of X, in nats."""
        return -0.5 * (np.log(2 * np.pi) + (residual / std) ** 2) - np.log(std)

    def _noise(self, std: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one residual for each standard deviation."""
        return rng.normal(size=std.shape) * std

    def _check_chunk(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        reset: bool,
        finite: bool = True,
    ) -> tuple[NDArray[np.float64], ...]:
        """Return checked inputs, targets and, where given, weights: of rows of weight above 0.

        `finite=False` leaves NaN and infinity in X to the caller, where there are no weights.
        """
        if y is None:
            raise DataError("requires y to be passed, but the target y is None.")
        rows = check_table(self, X, reset=reset, finite=finite or sample_weight is not None)
        rows = _plain_floats(rows)
        target = self._check_target(y, len(rows))
        weights = check_weights(sample_weight, len(rows))
        if weights is None:
            return rows, target
        kept = weights > 0
        return (rows, target, weights) if kept.all() else (rows[kept], target[kept], weights[kept])

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[np.float64], ...]:
        return self._check_chunk(X, y, sample_weight, reset=True)

    def _check_inputs(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return checked rows to predict at; what the fit left undetermined there is said."""
        self._check_fitted()
        rows = _plain_floats(check_table(self, X, reset=False))
        self._warn_of_undetermined(rows)
        return rows

    def _check_target(self, y: ArrayLike, n_rows: int) -> NDArray[np.float64]:
        """Return y as float64 of shape (n_rows,), or (n_rows, n_targets) for several targets."""
        target = as_numbers(y, name="y")
        if target.ndim != 1:
            target = self._several_targets(target, n_rows)
        if len(target) != n_rows:
            raise DataError(f"X has {n_rows} rows, y has {len(target)}: give one target per row.")
        refuse_non_finite(target, name="y")
        return _plain_floats(target)

    def _several_targets(self, target: NDArray, n_rows: int) -> NDArray:
        """Return a table of targets, as one column where the model has one."""
        from sklearn.utils.validation import column_or_1d

        several = self.__sklearn_tags__().target_tags.multi_output
        wide = target.ndim == 2 and target.shape[1] != 1
        if target.ndim != 2 or (wide and (target.size == 0 or not several)):
            raise DataError(
                f"y must be one column of shape ({n_rows},), one value per row of X; got shape "
                f"{target.shape}."
            )
        if several:
            return target
        with as_ancestral_errors():
            return np.asarray(column_or_1d(target, warn=True))

    def _refuse_zero_variance(self) -> None:
        """Raise ModelError when the fitted variance is zero."""

    def _warn_of_undetermined(self, X: NDArray[np.float64]) -> None:
        """Warn where the data of the fit do not determine the mean at some of the rows."""

    @abstractmethod
    def _predict(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


class WeightedLikelihood(MaximumLikelihood):
    """A model fitted by maximum likelihood whose criteria also take the rows' weights.

    The author of a model writes `_weighted_log_density(X, y, sample_weight)`.
    """

    def aic(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return AIC, Akaike's information criterion, on the data; lower is better.

        Parameters
        ----------
        X, y, sample_weight
            As `log_density` takes them.

        Returns
        -------
        float
            2 k - 2 log L, with k = `n_parameters_` and log L in nats.

        Examples
        --------
        >>> from ancestral import PPCA, datasets
        >>> faces = datasets.faces()
        >>> PPCA(10).fit(faces).aic(faces) < PPCA(2).fit(faces).aic(faces)
        True
        """
        total, _ = self._weighted_log_density(X, y, sample_weight)
        return float(2 * self.n_parameters_ - 2 * total)

    def bic(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return BIC, Schwarz's information criterion, on the data; lower is better.

        Parameters
        ----------
        X, y, sample_weight
            As `log_density` takes them.

        Returns
        -------
        float
            k log n - 2 log L, with k = `n_parameters_`, log L in nats, and n the number of rows
            that count (weights included).

        Examples
        --------
        >>> from ancestral import PPCA
        >>> X = np.random.default_rng(0).normal(size=(200, 4)) * [9.0, 1.0, 1.0, 1.0]
        >>> min(range(4), key=lambda q: PPCA(q).fit(X).bic(X))  # one direction stands out
        1
        """
        total, n = self._weighted_log_density(X, y, sample_weight)
        return float(self.n_parameters_ * np.log(n) - 2 * total)

    @abstractmethod
    def _weighted_log_density(self, X: Any, y: Any, sample_weight: Any) -> tuple[float, float]:
        """Return log L in nats and how many rows count."""


class ConditionalLikelihood(WeightedLikelihood):
    """A conditional density at its maximum, whose rows have precisions."""

    def _weighted_log_density(self, X: Any, y: Any, sample_weight: Any) -> tuple[float, int]:
        """Return log L in nats and the number of rows that count."""
        values = self.log_density(X, y, sample_weight)  # type: ignore[attr-defined]
        weights = check_weights(sample_weight, len(values))
        if weights is not None:  # rows of weight 0 are as good as absent, for the sum's order too
            values = values[weights > 0]
        return float(np.sum(values)), len(values)


def over_root(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None, *, axis: int | None = None
) -> NDArray[np.float64]:
    """Return values over the roots of weights, one for each row of the last `axis` axes."""
    if weights is None:
        return values
    width = (values.ndim if axis is None else axis) - 1
    with np.errstate(divide="ignore"):
        return values / np.sqrt(weights).reshape(-1, *[1] * width)


def _equal(one: Any, other: Any) -> bool:
    """Tell whether two fitted values, arrays or not, are equal."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and not (one != other).any()
    return type(one) is type(other) and bool(one == other)


def _power_of_two(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power of two at or below each size, 1 for 0."""
    return np.ldexp(1.0, np.where(sizes > 0, np.frexp(sizes)[1] - 1, 0))


def _plain_floats(values: NDArray) -> NDArray[np.float64]:
    """Return values as float64 in C order: products then give the same bits whatever came in."""
    if values.dtype == np.float64 and values.flags.c_contiguous and values.flags.aligned:
        return values
    return np.array(values, np.float64, order="C")


class GraphDensity(Model):
    """A probability of the edges of graphs given their node features.

    Its observations are whole graphs of differing size, not rows of a table, so scikit-learn's
    estimator checks (all of which pass a 2-D X) do not apply to it.
    The author of a model writes `_checked(graphs)`, `_fit(*checked)`, `log_density(graphs)`,
    `sample(n_samples, ...)` and, for means over graphs, `_n_pairs_of(graphs)`.
    """

    _where_memory_is_short: str = FEWER_GRAPHS
    _face: Face = "graphs"

    def fit(self, graphs: Any, y: Any = None) -> Self:
        """Fit the model to graphs.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            When an item is no graph, or graphs differ in their number of features.
        ModelError
            When the likelihood has no finite maximum (separable, empty or complete graphs).

        Notes
        -----
        Other threads may read the model during a fit: they see the old model until the new one is
        complete. If several fits run at the same time, the one that ends last is kept.

        Examples
        --------
        >>> from ancestral import InnerProductGraph, datasets
        >>> model = InnerProductGraph().fit(datasets.classrooms(20))
        >>> model.slope_ > 0  # similar nodes are linked more often
        True
        """
        return self._fit_anew(graphs)

    @abstractmethod
    def log_density(self, graphs: Any) -> NDArray[np.float64]:
        """Return log p(E | X) of each graph, in nats, shape (n_graphs,)."""

    def score(self, graphs: Any, y: Any = None) -> float:
        """Return the mean log density of the graphs.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
        y : ignored

        Returns
        -------
        float
            Nats per graph. Graphs without a pair of nodes do not count.

        Raises
        ------
        DataError
            When no graph has a pair of nodes.

        Examples
        --------
        >>> from ancestral import InnerProductGraph, datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = InnerProductGraph().fit(graphs)
        >>> bool(np.isclose(model.score(graphs), model.log_density(graphs).mean()))
        True
        """
        values = self.log_density(graphs)
        known = np.array(self._n_pairs_of(graphs)) > 0
        if not known.any():
            raise DataError("there is no pair of nodes: give a graph with two nodes or more.")
        return float(np.mean(values[known]))

    @abstractmethod
    def _n_pairs_of(self, graphs: Any) -> list[int]:
        """Return the number of pairs of nodes of each graph."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags

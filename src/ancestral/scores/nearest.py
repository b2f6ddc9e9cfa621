"""How near the rows of a synthetic table lie to the rows it was learnt from.

    d(a, b) = mean over columns of   |F_j(a_j) - F_j(b_j)|           for numbers and dates,
                                     1 if a_j differs from b_j, else 0,  for levels

F_j is the share of the training rows below a value, with half of those equal to it: a difference of
ranks, the same in every unit and on every increasing scale. Where both values are unknown they
differ by 0, where one is, by as much as two training values do on average. A row's distance is that
to the nearest training row: 0 for a copy, gaps included. New rows of the same source, held out from
the fit, say how near one comes by chance.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.columns import unlike_names
from ancestral._checks.containers import Opened, opened
from ancestral._checks.frames import declared_levels, form_of
from ancestral._checks.missing import missing_mask
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import DataError, DataTypeError

QUANTILES = {"least": 0.0, "1%": 0.01, "5%": 0.05, "25%": 0.25, "half": 0.5, "75%": 0.75}
BLOCK_BYTES = 1 << 25  # of distances at once
CLEAR = 2.0  # standard errors that a difference must have to be called one


@dataclass(frozen=True, repr=False)
class NearestRows(Printed):
    """Distances of synthetic and of held-out rows to the nearest training row, as a table.

    Parameters
    ----------
    synthetic : ndarray of shape (n_synthetic,)
        Each row's distance to the nearest training row, between 0 and 1.
    held_out : ndarray of shape (n_held_out,)
    nearer : float
        Probability that a synthetic row is nearer to the training rows than a held-out row is; ties
        count one half. It is 0.5 if synthetic rows are as near as held-out rows, and 1 if they are
        copies.
    nearer_error : float
        Standard error of `nearer`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train, held_out = rng.normal(size=(2, 100, 3))
    >>> nearest_rows(train, train, held_out).nearer > 0.9  # copies are nearer than new rows
    True
    """

    synthetic: NDArray[np.float64]
    held_out: NDArray[np.float64]
    nearer: float
    nearer_error: float

    @property
    def copies(self) -> tuple[float, float]:
        """The share of rows that are a training row's copy, of synthetic and of held-out rows."""
        return float((self.synthetic == 0).mean()), float((self.held_out == 0).mean())

    @property
    def verdict(self) -> str:
        """Say in one sentence what the distances show, at two standard errors."""
        gap = self.nearer - 0.5
        numbers = f"{self.nearer:.3f} +- {self.nearer_error:.3f}"
        if abs(gap) <= CLEAR * self.nearer_error:
            return f"Synthetic rows lie as near to training rows as held-out rows do ({numbers})."
        if gap > 0:
            return (
                f"Synthetic rows lie nearer to training rows than held-out rows do ({numbers}): "
                "look at the nearest ones before you publish them."
            )
        return f"Synthetic rows lie farther from training rows than held-out rows do ({numbers})."

    def _table(self) -> Table:
        of = (self.synthetic, self.held_out)
        columns = {
            "distance": [*QUANTILES, "copies"],
            **{
                name: [*np.quantile(values, [*QUANTILES.values()]), copies]
                for name, values, copies in zip(
                    ("synthetic", "held out"), of, self.copies, strict=True
                )
            },
        }
        above = "distance to the nearest training row, by quantile; the share of copies"
        return one_table(columns, above, self.verdict)


def nearest_rows(
    synthetic: Any, training: Any, held_out: Any, *, categorical: Collection[Any] = ()
) -> NearestRows:
    """Compare the distances of synthetic and of held-out rows to the training rows.

    Parameters
    ----------
    synthetic : array-like or dataframe of shape (n_synthetic, n_features)
        Rows that `model.sample` drew.
    training : array-like or dataframe of shape (n_training, n_features)
        The rows that the model was fitted to.
    held_out : array-like or dataframe of shape (n_held_out, n_features)
        Two or more rows from the same source that were not in the fit.
    categorical : collection of column names, or of numbers in arrays
        Columns whose numbers are only codes of groups. Text, booleans and declared categories are
        always levels.

    Returns
    -------
    NearestRows

    Raises
    ------
    DataError
        When a table is empty or has other columns than `training`; for fewer than two synthetic or
        held-out rows; for a name in `categorical` that is no column.

    Notes
    -----
    The distance is that of Gower (1971) with ranks in place of ranges: the mean over columns of
    differences between 0 and 1. If the real rows have gaps and the drawn rows have none, give the
    drawn rows the same gaps first, as by `drawn.mask(held_out.isna().to_numpy())`; otherwise the
    gaps alone increase their distances. The cost is (n_synthetic + n_held_out) times n_training
    times n_features, in blocks. Distances find copies. They do not prove that a table is safe to
    publish.

    References
    ----------
    Gower (1971), A general coefficient of similarity and some of its properties, Biometrics 27(4).
    Podani (1999), Extending Gower's general coefficient of similarity to ordinal characters, Taxon
    48(2).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, new, drawn = rng.normal(size=(3, 200, 2))
    >>> nearest_rows(drawn, X, new).nearer_error < 0.04
    True
    >>> nearest_rows(X, X, new).copies
    (1.0, 0.0)
    """
    tables = {"training": training, "synthetic": synthetic, "held_out": held_out}
    columns = _columns(tables, categorical)
    n = {name: len(columns[0][name]) for name in tables}
    for name in ("synthetic", "held_out"):
        if n[name] < 2:
            raise DataError(f"{name} has {n[name]} rows: two or more are needed to compare.")
    if not n["training"]:
        raise DataError("training has no rows: give the table that the model was fitted to.")
    places = [_Places.of(one["training"]) for one in columns]
    own = [place(one["training"]) for place, one in zip(places, columns, strict=True)]
    found = {}
    for name in ("synthetic", "held_out"):
        others = [place(one[name]) for place, one in zip(places, columns, strict=True)]
        found[name] = _nearest(others, own, places)
    nearer, error = _nearer(found["synthetic"], found["held_out"])
    return NearestRows(found["synthetic"], found["held_out"], nearer, error)


# ---- columns ------------------------------------------------------------------------------------


def _columns(tables: dict[str, Any], categorical: Collection[Any]) -> list[dict[str, NDArray]]:
    """Return each column's values by table; those of levels are objects."""
    held = {name: opened(table, name) for name, table in tables.items()}
    names = held["training"].names
    split = {name: _split(found, name) for name, found in held.items()}
    width = len(split["training"])
    labels = list(range(width)) if names is None else list(names)
    for name, found in held.items():
        if names is not None and found.names is not None:
            if (said := unlike_names(names, sorted(found.names, key=_order(names)))) is not None:
                raise DataError(f"{name} has other columns than training. {said}")
            split[name] = [split[name][found.names.index(label)] for label in names]
        elif len(split[name]) != width:
            raise DataError(f"{name} has {len(split[name])} columns, training {width}.")
    for label in categorical:
        if label not in labels:
            raise DataError(f"categorical names {label!r}, which is no column; there are {labels}.")
    form = form_of(tables["training"])
    declared = [levels is not None for levels in declared_levels(form, width)]
    columns = [{name: split[name][j] for name in tables} for j in range(width)]
    for j, column in enumerate(columns):
        kinds = [_kind(values) for values in column.values()]
        if declared[j] or labels[j] in categorical or "levels" in kinds:
            columns[j] = {name: _as_levels(values, labels[j]) for name, values in column.items()}
        else:
            columns[j] = {name: _as_numbers(values) for name, values in column.items()}
    return columns


def _order(names: list[Any]) -> Any:
    place = {name: k for k, name in enumerate(names)}
    return lambda name: place.get(name, len(place))


def _split(found: Opened, name: str) -> list[NDArray]:
    """Return the columns of a table."""
    values = found.values
    if isinstance(values, list):
        return values
    if values.ndim != 2:
        raise DataError(f"{name} must be a table, (n_rows, n_features); got shape {values.shape}.")
    return list(values.T)


def _kind(values: NDArray) -> str:
    """Tell numbers and dates from levels."""
    if values.dtype.kind in "iufmM":
        return "numbers"
    if values.dtype.kind != "O":
        return "levels"
    known = values[~missing_mask(values)]
    try:
        _as_numbers(known)
    except (TypeError, ValueError):
        return "levels"
    return "numbers" if not any(isinstance(v, bool | str | np.bool_) for v in known) else "levels"


def _as_levels(values: NDArray, label: Any) -> NDArray:
    """Return levels as objects; refuse what cannot be told from others."""
    held = values.astype(object)
    for value in held:
        if not isinstance(value, Hashable):
            raise DataTypeError(
                f"column {label!r} holds a {type(value).__name__}: numbers, dates, text and "
                "booleans are compared. Leave the column out."
            )
    return held


def _as_numbers(values: NDArray) -> NDArray[np.float64]:
    """Return numbers, or dates by their own unit, as float64, NaN where missing."""
    if values.dtype.kind in "mM":
        numbers = values.astype(np.int64).astype(np.float64)
        numbers[np.isnat(values)] = np.nan
        return numbers
    if values.dtype.kind == "O":
        gaps = missing_mask(values)
        if any(hasattr(v, "isoformat") for v in values[~gaps]):  # of datetime
            return _as_numbers(
                np.where(gaps, np.datetime64("NaT"), values).astype("datetime64[us]")
            )
        return np.where(gaps, np.nan, values).astype(np.float64)
    return values.astype(np.float64)


@dataclass(frozen=True)
class _Places:
    """Where a value of a column stands: its share of the training rows, or its level's number."""

    sorted: NDArray[np.float64]
    levels: dict[Any, int]
    ordered: bool = False

    @classmethod
    def of(cls, training: NDArray) -> _Places:
        known = training[~missing_mask(training)]
        if training.dtype.kind == "f":
            return cls(np.sort(known), {}, ordered=True)
        return cls(np.empty(0), {level: k for k, level in enumerate(dict.fromkeys(known))})

    def typical(self, training: NDArray[np.float64]) -> float:
        """Return how far two training rows are from each other on average, given their places."""
        u = np.sort(training[~np.isnan(training)])
        n = len(u)
        if not n:
            return 0.0
        if self.ordered:
            return float(2 * ((2 * np.arange(1, n + 1) - n - 1) @ u) / n**2)
        shares = np.unique(u, return_counts=True)[1] / n
        return float(1 - shares @ shares)

    def __call__(self, values: NDArray) -> NDArray[np.float64]:
        """Return places, NaN where missing; a level that training has not is one for itself."""
        gaps = missing_mask(values)
        places = np.full(len(values), np.nan)
        if self.ordered:
            known = values[~gaps]
            below = np.searchsorted(self.sorted, known) + np.searchsorted(
                self.sorted, known, "right"
            )
            places[~gaps] = below / max(2 * len(self.sorted), 1)
        else:
            places[~gaps] = [self.levels.get(value, -1) for value in values[~gaps].tolist()]
        return places


# ---- distances ----------------------------------------------------------------------------------


def _nearest(
    rows: list[NDArray[np.float64]], training: list[NDArray[np.float64]], places: list[_Places]
) -> NDArray[np.float64]:
    """Return the distance of each row to the nearest training row."""
    n, m = len(rows[0]), len(training[0])
    step = max(1, BLOCK_BYTES // (8 * m))
    found = np.empty(n)
    for start in range(0, n, step):
        part = slice(start, start + step)
        total = np.zeros((len(rows[0][part]), m))
        for one, own, place in zip(rows, training, places, strict=True):
            gap = np.abs(one[part, None] - own)  # (block, m); NaN where either is unknown
            unknown = np.isnan(gap)
            if not place.ordered:
                gap = (gap != 0).astype(np.float64)
            if unknown.any():
                gap[unknown] = place.typical(own)
                gap[np.ix_(np.isnan(one[part]), np.isnan(own))] = 0.0
            total += gap
        found[part] = total.min(axis=1) / len(rows)
    return found


def _nearer(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return P(one < other) + P(one = other) / 2, and its standard error by both rows' shares."""
    of_one = 1 - _share_below(one, other)  # (n,): the share of the other that lies above
    of_other = _share_below(other, one)
    error = np.sqrt(of_one.var(ddof=1) / len(one) + of_other.var(ddof=1) / len(other))
    return float(of_one.mean()), float(error)


def _share_below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of others below each value, half of the equal ones counted."""
    held = np.sort(others)
    below = np.searchsorted(held, values) + np.searchsorted(held, values, "right")
    return np.asarray(below / (2 * len(held)))

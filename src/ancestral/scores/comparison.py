"""Models side by side on the same held-out rows: paired differences, in nats.

difference = (1/n) sum (log p(x_i) - log q(x_i)),   its standard error from the same n terms
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._catalogue import Face, entry_of
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import DataError, DataTypeError, ModelError

MEASURES: dict[Face, str] = {
    "discrete": "probabilities of levels",
    "continuous": "densities of real numbers",
    "mixed": "densities of mixed columns",
    "conditional": "densities of a target given inputs",
    "graphs": "probabilities of graphs",
}


@dataclass(frozen=True, repr=False)
class Comparison(Printed):
    """Mean log densities of several models on held-out rows, and their differences to the best.

    It is shown as a table; `to_frame()` returns a pandas dataframe.

    Parameters
    ----------
    names : list of str
        Best first.
    means : ndarray of shape (n_models,)
        Mean log density of each model, in nats per row.
    standard_errors : ndarray of shape (n_models,)
        Standard error of each mean, in nats.
    behind : ndarray of shape (n_models,)
        Mean over the rows of the difference to the best model, in nats; 0 for the best.
    behind_errors : ndarray of shape (n_models,)
        Standard error of this difference, in nats. It is that of paired values, and so much smaller
        than those of the means.

    Examples
    --------
    >>> from ancestral import PPCA, datasets
    >>> faces = datasets.faces()
    >>> models = {str(q): PPCA(q).fit(faces[:80]) for q in (2, 10)}
    >>> compare(models, faces[80:]).names
    ['10', '2']
    """

    names: list[str]
    means: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    behind: NDArray[np.float64]
    behind_errors: NDArray[np.float64]

    def _table(self) -> Table:
        columns = {
            "model": self.names,
            "log density": self.means,
            "std. error": self.standard_errors,
            "behind": self.behind,
            "its std. error": self.behind_errors,
        }
        above = "mean log density in nats, of each row or graph held out; the best first"
        return one_table(columns, above)


def compare(models: Mapping[str, Any], X: Any, y: ArrayLike | None = None) -> Comparison:
    """Score fitted models on the same held-out rows.

    Parameters
    ----------
    models : dict of name to fitted model
    X : array-like of shape (n_samples, n_features), or list of graphs
        Two or more held-out rows: none of the models was fitted to them.
    y : array-like of shape (n_samples,), optional
        Targets, for models of y given X.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        When there is no model or fewer than two rows.
    DataTypeError
        When `models` has no names.
    ModelError
        When the log densities are not comparable, such as probabilities of levels and densities of
        real numbers.

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(400, 3)) * [5.0, 1.0, 1.0]
    >>> compare({"no axis": PPCA(0).fit(X[:200]), "one axis": PPCA(1).fit(X[:200])}, X[200:])
    mean log density in nats, of each row or graph held out; the best first
    <BLANKLINE>
    model     log density  std. error  behind  its std. error
    one axis       -5.754    0.081596       0               0
    no axis       -7.4194     0.14169  1.6654         0.11145
    """
    if not isinstance(models, Mapping):
        raise DataTypeError(
            f"models is of type {type(models).__name__}: give fitted models by name, as in "
            '{"one": model, "two": other}.'
        )
    if not models:
        raise DataError("models is empty: give at least one fitted model by name.")
    if (unlike := unlike_measures(models)) is not None:
        raise ModelError(unlike)
    data = (X,) if y is None else (X, y)
    return compare_log_densities({name: m.log_density(*data) for name, m in models.items()})


def unlike_measures(models: Mapping[str, Any]) -> str | None:
    """Say which two models give values of several units; None where all can be compared.

    Parameters
    ----------
    models : dict of name to fitted model
        Of those that are not this package's own nothing is known.

    Returns
    -------
    str or None

    Examples
    --------
    >>> from ancestral import PPCA
    >>> from ancestral import TabularAutoregressive
    >>> unlike_measures({"tables": TabularAutoregressive(), "ppca": PPCA(1)}).split(":")[0]
    'tables gives probabilities of levels, ppca gives densities of real numbers'
    """
    faces = {name: entry.face for name, m in models.items() if (entry := entry_of(m)) is not None}
    first, *others = faces or [""]
    for other in others:
        own, its = (_measures(models[name], faces[name]) for name in (first, other))
        if own is not None and its is not None and "mixed" in (faces[first], faces[other]):
            names = [vars(models[name]).get("feature_names_in_") for name in (first, other)]
            if (said := _unlike_names((first, other), *names)) is not None:
                return said
            if (said := _unlike_columns((first, other), own, its, names[0])) is not None:
                return said
        elif faces[other] != faces[first]:
            return (
                f"{first} gives {MEASURES[faces[first]]}, {other} gives {MEASURES[faces[other]]}: "
                "these are not on the same scale and cannot be compared."
            )
    return None


Measure = tuple[str, tuple[float, ...]]  # of a column: what is said of it, and of which values


def _measures(model: Any, face: Face) -> dict[int, Measure] | None:
    """Return what a model's density of each column is with respect to; None where it is unknown."""
    width = vars(model).get("n_features_in_")
    if width is None or face not in ("discrete", "continuous", "mixed"):
        return None
    if face != "mixed":
        counting = face == "discrete"
        return dict.fromkeys(range(width), (_COUNTING if counting else _LEBESGUE, ()))
    found: dict[int, Measure] = dict.fromkeys(range(width), (_NOTHING, ()))
    for column in model.columns_:
        is_real = column["kind"] == "continuous"
        atoms = tuple(column["atoms"].tolist())
        found[column["place"]] = (_LEBESGUE if is_real else _COUNTING, atoms if is_real else ())
    return found


_COUNTING, _LEBESGUE, _NOTHING = "probabilities", "a density", "nothing"


def _unlike_names(models: tuple[str, str], one: Any, other: Any) -> str | None:
    """Say which columns one of two models was fitted to, and the other not; None of none."""
    if one is None or other is None or set(one) == set(other):
        return None
    said = []
    for name, its, others in ((models[0], one, other), (models[1], other, one)):
        own = [str(column) for column in its if column not in set(others)]
        some = ", ".join(map(repr, own[:5])) + ", ..." * (len(own) > 5)
        said += [f"{name} alone knows {some}"] if own else []
    return (
        f"{models[0]} and {models[1]} were fitted to different columns: {', and '.join(said)}. "
        "Fit both to the same columns."
    )


def _unlike_columns(
    names: tuple[str, str], one: dict[int, Measure], other: dict[int, Measure], columns: Any
) -> str | None:
    """Say of which column two models give values of several units; None of none."""
    for j in sorted(one.keys() & other.keys()):
        if one[j] == other[j]:
            continue
        first, second = (
            f"{name} gives {_in_words(held[j])}"
            for name, held in zip(names, (one, other), strict=True)
        )
        label = j if columns is None else repr(str(columns[j]))
        return (
            f"for column {label}, {first}, and {second}: these are densities with respect to "
            "different measures, which cannot be compared. Leave that column out of both, or "
            "compare models that see the same in it: LatentTree fitted to the same rows does, with "
            "any n_states (one state is a model of independent columns)."
        )
    return None


def _in_words(measure: Measure) -> str:
    """Return what a model gives of a column."""
    kind, atoms = measure
    if not atoms:
        return kind
    some = ", ".join(f"{atom:g}" for atom in atoms[:3]) + (", ..." if len(atoms) > 3 else "")
    return f"{kind} beside probabilities of {some}"


def compare_log_densities(log_densities: Mapping[str, ArrayLike]) -> Comparison:
    """Compare models by their log densities of the same rows, as `compare` does.

    Parameters
    ----------
    log_densities : dict of name to array-like of shape (n_samples,)
        The log densities of each model, in nats.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        When their lengths differ, or for fewer than two rows.

    Examples
    --------
    >>> compare_log_densities({"one": [-1.0, -2.0], "two": [-1.5, -3.0]}).behind
    array([0.  , 0.75])
    """
    values = {name: np.asarray(held, dtype=np.float64) for name, held in log_densities.items()}
    if len(lengths := {len(held) for held in values.values()}) > 1:
        raise DataError(f"log densities of {sorted(lengths)} rows: score the same rows.")
    names = sorted(values, key=lambda name: -values[name].mean())
    table = np.stack([values[name] for name in names])  # (models, n)
    n = table.shape[1]
    if n < 2:
        raise DataError(f"{n} held-out rows or graphs: a standard error needs two or more.")
    with np.errstate(invalid="ignore"):  # -inf - -inf where two models find a row impossible
        differences = np.where(table == table[0], 0.0, table[0] - table)
        root_n = np.sqrt(n)
        return Comparison(
            names=names,
            means=table.mean(axis=1),
            standard_errors=table.std(axis=1, ddof=1) / root_n,
            behind=differences.mean(axis=1),
            behind_errors=differences.std(axis=1, ddof=1) / root_n,
        )

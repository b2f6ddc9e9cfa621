"""How good is a density? In nats, in bits, against the floor, and against another model.

    mean loss = -(1/n) sum log p(x) = H(data) + KL(data || p) >= H(data)

The entropy of the empirical distribution is the floor that no model's mean loss on the same rows
can go below; the distance to it is a Kullback-Leibler divergence. On held-out rows, two models are
compared row by row: the mean difference of log densities, with its standard error. Where rows are
too few to hold some out, each is scored by a model fitted to all the others:

    code length of row i = -log2 p(x_i | all rows but i), in bits,

beside the code lengths of three plain models, so that what only memorises is seen to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._catalogue import Face, entry_of
from ancestral._printed import Printed, Table, one_table
from ancestral.autoregressive.codes import MISSING
from ancestral.autoregressive.levels import (
    DiscreteDensity,
    learn_categories,
    whole_numbers,
)
from ancestral.autoregressive.tabular import TabularAutoregressive
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.statistics import Counts, distinct_rows

MEASURES: dict[Face, str] = {
    "discrete": "probabilities of levels",
    "continuous": "densities of real numbers",
    "conditional": "densities of a target given inputs",
    "graphs": "probabilities of graphs",
}


def entropy_floor(X: ArrayLike) -> float:
    """Return the entropy of the empirical distribution of discrete rows, in nats.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Integers, booleans or text.

    Returns
    -------
    float
        The least mean loss, in nats per row, that any model can have on these rows.

    Raises
    ------
    DataError
        When X is no table, is empty, or holds values that are no levels.

    Examples
    --------
    >>> entropy_floor([[0, 1], [1, 0]])
    0.6931471805599453
    """
    return Counts.of(_rows_of_levels(X)).entropy


def _rows_of_levels(X: ArrayLike) -> NDArray:
    """Return rows of discrete values, shape (n, d), checked as a model's `fit` would."""
    return whole_numbers(TabularAutoregressive()._check_rows(X, reset=True))


def bits_per_dimension(model: Any, X: ArrayLike) -> float:
    """Return the mean loss of a discrete model in bits per known value.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        NaN (or None) marks an unknown value: it is summed out, and counts for nothing.

    Returns
    -------
    float
        -sum log p / (n_known ln 2), where complete rows have n_features known values each; inf
        when a row is impossible.

    Raises
    ------
    ModelError
        For a continuous density, whose bits depend on the unit of X.
    DataError
        When no value of X is known.
    """
    if not isinstance(model, DiscreteDensity):
        raise ModelError(
            f"bits per dimension are for discrete models; {type(model).__name__} has a density, "
            "whose bits change with the unit of X. Use score, in nats."
        )
    log_p = model.log_density(X)
    levels = model._encode(model._check_rows(X, reset=False), missing=True)
    return bits_per_value(log_p, int((levels != MISSING).sum()))


def bits_per_value(log_p: NDArray[np.float64], n_known: int) -> float:
    """Return the bits that each of the known values behind log densities in nats takes.

    Raises
    ------
    DataError
        When there are none.
    """
    if not n_known:
        raise DataError("no value of X is known: bits are counted per known value. Give some.")
    return float(-log_p.sum() / (n_known * np.log(2))) + 0.0  # no minus zero


def kl_from_data(model: Any, X: ArrayLike) -> float:
    """Return the gap between a discrete model's mean loss on rows and their floor, in nats.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        Complete rows.

    Returns
    -------
    float
        KL(empirical distribution of X || model); inf when a row is impossible.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> kl_from_data(TabularAutoregressive().fit([[0, 1], [1, 0]]), [[0, 1], [1, 0]])
    0.0
    """
    _refuse_continuous(model, "the floor is for discrete rows")
    return max(0.0, -model.score(X) - entropy_floor(X))  # no minus 1e-16


def support_mass(model: Any, X: ArrayLike) -> float:
    """Return the exact probability that a draw of a discrete model is one of the rows of X.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        Complete rows; equal ones count once.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> support_mass(TabularAutoregressive().fit([[0, 1], [1, 0]]), [[0, 1], [0, 1]])
    0.5
    """
    _refuse_continuous(model, "the mass on given rows is for discrete models")
    distinct = Counts.of(_rows_of_levels(X)).rows
    return min(1.0, float(np.exp(model.log_density(distinct)).sum()))


def _refuse_continuous(model: Any, why: str) -> None:
    if not isinstance(model, DiscreteDensity):
        raise ModelError(
            f"{why}; {type(model).__name__} has a density. Use score, in nats, on held-out rows."
        )


@dataclass(frozen=True, repr=False)
class Comparison(Printed):
    """Held-out mean log densities of several models, and differences to the best.

    Shown as a table; `to_frame()` gives it as a dataframe of pandas.

    Parameters
    ----------
    names : list of str
        Best first.
    means : ndarray of shape (n_models,)
        Mean log density in nats per row.
    standard_errors : ndarray of shape (n_models,)
        Of each mean.
    behind : ndarray of shape (n_models,)
        Mean difference to the best model, row by row; 0 for the best.
    behind_errors : ndarray of shape (n_models,)
        Standard error of that difference: paired, so much smaller than of the means.
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
        What none of them was fitted to; two or more.
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
        When the models give values of several units: probabilities of levels, densities.

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
    >>> unlike_measures({"tables": TabularAutoregressive(), "ppca": PPCA(1)}).split(":")[0]
    'tables gives probabilities of levels, ppca gives densities of real numbers'
    """
    faces = {name: entry.face for name, m in models.items() if (entry := entry_of(m)) is not None}
    first = next(iter(faces), None)
    for other in faces:
        if first is not None and faces[other] != faces[first]:
            return (
                f"{first} gives {MEASURES[faces[first]]}, {other} gives {MEASURES[faces[other]]}: "
                "their sizes have nothing to do with one another, and are not compared."
            )
    return None


def compare_log_densities(log_densities: Mapping[str, ArrayLike]) -> Comparison:
    """Compare models by their log densities of the same rows, as `compare` does.

    Parameters
    ----------
    log_densities : dict of name to array-like of shape (n_samples,)
        In nats.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        When they are of differing length, or of fewer than two rows.

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
        raise DataError(f"X has {n} row: two or more are needed for a standard error.")
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


@dataclass(frozen=True, repr=False)
class LeaveOneOut(Printed):
    """Bits needed for a row that was left out, by model and by baseline.

    Parameters
    ----------
    names : list of str
        Models first, as given, then "uniform", "independent" and "smoothed tables".
    bits : ndarray of shape (n_names,)
        Mean code length of a left-out row.
    standard_errors : ndarray of shape (n_names,)
    rows : ndarray of shape (n_names, n_samples)
        The code length of each row, in bits.
    """

    names: list[str]
    bits: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    rows: NDArray[np.float64]

    def _table(self) -> Table:
        columns = {"model": self.names, "bits": self.bits, "std. error": self.standard_errors}
        return one_table(columns, "mean code length of a row that was left out", self.verdict)

    @property
    def verdict(self) -> str:
        """Say in one sentence what the code lengths show, at two standard errors."""
        n_models = len(self.names) - len(BASELINES)
        uniform = self.names.index("uniform")
        best = int(np.argmin(self.bits))
        if not self._is_shorter(best, uniform):
            return (
                f"Nothing generalises: a left-out row takes {self.bits[best]:.2f} bits by "
                f"{self.names[best]!r}, no clear gain on {self.bits[uniform]:.2f} by guessing."
            )
        learnt = n_models + int(np.argmin(self.bits[n_models:]))
        if n_models == 0:
            return (
                f"{self.names[learnt]!r} generalises: {self.bits[learnt]:.2f} bits for a left-out "
                f"row, guessing {self.bits[uniform]:.2f}."
            )
        model = int(np.argmin(self.bits[:n_models]))
        if self._is_shorter(model, learnt):
            return (
                f"{self.names[model]!r} generalises: {self.bits[model]:.2f} bits for a left-out "
                f"row, against {self.bits[learnt]:.2f} by {self.names[learnt]!r}."
            )
        return (
            f"No model beats the baselines, of which {self.names[learnt]!r} takes the least, "
            f"{self.bits[learnt]:.2f} bits for a left-out row; guessing takes "
            f"{self.bits[uniform]:.2f}."
        )

    def _is_shorter(self, one: int, other: int) -> bool:
        """Tell whether one code is shorter than another by two standard errors, row by row."""
        if not np.isfinite(self.rows[one]).all():
            return False
        gain = self.rows[other] - self.rows[one]
        if np.isinf(gain).any():
            return True
        return bool(gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)))


def hidden_dyads(model: Any, graph: Any, hidden: Any) -> Any:
    """Score a graph model on dyads that its fit did not see.

    Parameters
    ----------
    model : fitted graph model
        Fitted to `graph.with_unknown(hidden)`, or to other graphs.
    graph : Graph
        In which the states of these dyads are known.
    hidden : Graph, or sequence of pairs of nodes
        The dyads: those that are unknown in the graph of the fit, or pairs by name or number.

    Returns
    -------
    DyadScores
        With `auc`, `log_score` (mean, in nats per dyad), `gain`, `brier`, `n_dyads` and `n_links`.

    Raises
    ------
    DataError
        When no dyad is hidden, or one of them is unknown in `graph` too, or the nodes differ.
    ModelError
        For a model that is no model of graphs.

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graph, *others = datasets.classrooms(30, random_state=0)
    >>> scores = hidden_dyads(InnerProductGraph().fit(others), graph, [(0, 1), (0, 2), (3, 4)])
    >>> scores.n_dyads
    3
    """
    from ancestral.graph.edge_predictions import DyadScores, PredictsEdges, states
    from ancestral.graph.graphs import Graph

    if not isinstance(model, PredictsEdges):
        raise ModelError(f"a graph model is wanted; {type(model).__name__} has no dyads.")
    model._check_fitted()  # type: ignore[attr-defined]
    one = model._one_graph(graph)
    if isinstance(hidden, Graph):
        if (hidden.n_nodes, hidden.directed) != (one.n_nodes, one.directed) or (
            hidden.node_names and one.node_names and hidden.node_names != one.node_names
        ):
            raise DataError("hidden is a graph of other nodes: give the graph of the fit.")
        i, j = hidden.unknown_dyads()
    else:
        i, j = one.ends_of_dyads(hidden)
    if not len(i):
        raise DataError("no dyad is hidden: name some, or give the graph in which they are NaN.")
    linked = states(one, i, j)
    if np.isnan(linked).any():
        k = int(np.argmax(np.isnan(linked)))
        raise DataError(
            f"the dyad of nodes {i[k]} and {j[k]} is unknown in graph too: give the graph in which "
            "it is known, or leave it out of hidden."
        )
    return DyadScores.of(model._pair_probabilities(one, i, j), linked)


def leave_one_out(
    models: Mapping[str, Any], X: ArrayLike, *, n_jobs: int | None = None
) -> LeaveOneOut:
    """Code each row by models fitted to all the others.

    Parameters
    ----------
    models : dict of name to model of discrete rows
        Cloned and fitted once per distinct row; may be empty, for the baselines alone.
    X : array-like of shape (n_samples, n_features)
        Integers, booleans or text; two rows or more.
    n_jobs : int, optional
        Fits at once, by joblib.

    Returns
    -------
    LeaveOneOut
        Beside the models, three baselines. "uniform": every combination of the levels in X is as
        likely. "independent": each variable by its own counts, half a count added to each level.
        "smoothed tables": each variable given all before it by counts, half a count added.

    Raises
    ------
    DataError
        For fewer than two rows, what is no table, or values that are no levels.

    Notes
    -----
    A row with a level that no other row has costs a model infinitely many bits; the baselines,
    which know the levels, find it possible.

    References
    ----------
    Dawid (1984), Statistical theory: the prequential approach, JRSS A 147(2).

    Examples
    --------
    >>> leave_one_out({}, np.eye(8, dtype=int)).bits.round(2)
    array([8.  , 6.1 , 8.21])
    """
    import joblib

    rows = _rows_of_levels(X)
    n = len(rows)
    if n < 2:
        raise DataError(f"X has {n} row: two or more are needed to leave one out.")
    categories = learn_categories(rows)
    levels = np.stack(
        [np.searchsorted(known, rows[:, j]) for j, known in enumerate(categories)], axis=1
    )
    _, place = distinct_rows(levels)
    _, firsts = np.unique(place, return_index=True)  # without either of two equal rows, the same
    lengths = [
        np.array(
            joblib.Parallel(n_jobs=n_jobs)(
                joblib.delayed(_left_out_log_density)(model, rows, i) for i in firsts
            )
        )[place]
        for model in models.values()
    ]
    n_levels = [len(known) for known in categories]
    lengths += [baseline(levels, n_levels) for baseline in BASELINES.values()]
    bits = -np.stack(lengths) / np.log(2) + 0.0  # no minus zero
    with np.errstate(invalid="ignore"):  # inf - inf where a model finds a row impossible
        errors = bits.std(axis=1, ddof=1) / np.sqrt(n)
    return LeaveOneOut([*models, *BASELINES], bits.mean(axis=1), errors, bits)


def _left_out_log_density(model: Any, rows: NDArray, i: int) -> float:
    """Return log p of row i by a clone of the model fitted to the others."""
    from sklearn.base import clone

    others = np.delete(rows, i, axis=0)
    fitted = clone(model).fit(others)
    for known, value in zip(fitted.categories_, rows[i]):
        if value not in known:
            return -np.inf
    return float(fitted.log_density(rows[i : i + 1])[0])


def _uniform(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    return np.full(len(levels), -np.log(n_levels).sum())


def _independent(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    """Return each row's log p by the margins of the others, half a count added to each level."""
    total = np.zeros(len(levels))
    for j, k in enumerate(n_levels):
        count = np.bincount(levels[:, j], minlength=k)[levels[:, j]] - 1
        total += np.log((count + HALF) / (len(levels) - 1 + HALF * k))
    return total


def _smoothed_tables(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    """Return each row's log p by the others' counts of prefixes, half a count added."""
    total = np.zeros(len(levels))
    prefix, n_same = np.zeros(len(levels), np.intp), np.full(len(levels), len(levels))
    for j, k in enumerate(n_levels):
        _, prefix, counts = np.unique(
            prefix * k + levels[:, j], return_inverse=True, return_counts=True
        )
        longer = counts[prefix]
        total += np.log((longer - 1 + HALF) / (n_same - 1 + HALF * k))
        n_same = longer
    return total


HALF = 0.5  # Krichevsky & Trofimov's addition to every count
BASELINES = {
    "uniform": _uniform,
    "independent": _independent,
    "smoothed tables": _smoothed_tables,
}

"""A hidden Chow-Liu tree over a table of mixed columns, with holes.

    p(x) = sum over z of p(z_root) prod_i p(z_i | z_parent(i)) prod_i p(x_i | z_i)

Each column x_i hangs on a hidden state z_i, one of k, and the states form a tree, learnt from the
mutual information of pairs of columns (Chow & Liu 1968; Liu & Van den Broeck 2021). A column's leaf
p(x_i | z_i) is a table of levels, a negative binomial of counts, or for real numbers a normal on a
monotone scale, beside atoms: values that repeat (0, caps) and have a probability of their own. A
density is then one with respect to counting, on levels, counts and atoms, plus Lebesgue's measure
in the column's own unit; densities of models with other atoms are no more comparable than those in
other units. What is missing is summed out, which costs nothing: it is missing at random.

Fitted by expectation-maximisation: by batches first, then over all rows, with pseudo-counts; what
rows held out say decides how long, and how many states, unless these are given. Several trees, from
information with some noise, are mixed. Parts of a table that memory does not hold are seen first
(`seen.py`): their columns, and a sample of rows for the batches.
Symbols: the tree tree_ (the parent of each column), k n_states_, weights of the trees weights_.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._checks.columns import check_columns
from ancestral._checks.declared import plain
from ancestral._checks.frames import form_of, framed
from ancestral._checks.numbers import as_generator, check_integer, check_weights
from ancestral._numerics.threads import one_thread
from ancestral.base import FromParts
from ancestral.circuit import columns as schema
from ancestral.circuit import learning, race
from ancestral.circuit.answers import TreeAnswers
from ancestral.circuit.columns import Column
from ancestral.circuit.leaves import ContinuousLeaf, CountsLeaf, Leaf, LevelsLeaf, Scale
from ancestral.circuit.messages import Circuit, Mixture
from ancestral.circuit.seen import Given
from ancestral.errors import DataError
from ancestral.model_file import MOST_NUMBERS, fingerprint
from ancestral.training.parts import Held, Part
from ancestral.training.passes import passes_of

T = TypeVar("T")
MOST_SHOWN = 30  # columns in a repr
MOST_WEIGHT = 2.0**53  # of all rows


class LatentTree(TreeAnswers, FromParts):
    """A tree of hidden states over the columns of a table of mixed types, with missing values.

    Parameters
    ----------
    n_states : int, optional
        The number k of hidden states of each column. If not given, it is chosen by the likelihood
        of held-out rows.
    n_trees : int, optional
        The number of trees in the mixture. If not given, it depends on the size of the table.
    column_types : "auto", mapping or list
        "continuous", "categorical", "binary" or "count" for columns whose type is not found as you
        mean it. A column of numbers is taken as continuous if it holds more than 16 different
        values; or more than two that are not all whole numbers; or more than two that occur less
        than twice on average.
    categories : mapping or list, optional
        The levels of columns, by name or as a list for all columns (None: learn them from the
        rows). They may include levels that no row holds. Categorical types of dataframes declare
        levels too.
    n_sweeps : int, optional
        The most passes over all rows in batches.
    max_iter : int, optional
        The most passes over all rows at the end, in which the likelihood rises. If not given: one
        pass, if such passes improved the held-out rows; two, if the trees were fitted to a sample.
    random_state : None, int, RandomState or Generator
        Draws the starts, the batches, the held-out rows and the trees.
    verbose : bool
        Show the progress on stderr.

    Attributes
    ----------
    columns_ : list of dict
        What was found for each column of the model: "name", "place" (its number in the table),
        "kind" (its type), "of" (the kind of its values), "levels", "scale" (the unit of the fit),
        "grid" (the step between values) and "atoms" (values with a probability of their own).
    left_out_ : list
        Names of columns that are not in the model: columns of text in which nearly every row has
        another value.
    tree_ : ndarray of shape (n_columns,)
        The number of the parent of each column in the first tree; -1 for the root.
    information_ : ndarray of shape (n_columns, n_columns)
        Mutual information of each pair of columns, in nats. The trees were chosen by it.
    n_states_, n_trees_ : int
    weights_ : ndarray of shape (n_trees_,)
    members_ : list of dict
        The parameters of each tree, as arrays.
    n_parameters_ : int
        The number of free parameters of all trees and of the weights.
    log_likelihood_ : float
        Log-likelihood of the rows of the fit, in nats.
    n_iter_ : int
        The number of passes over all rows at the end. The last pass only measures, and changes
        nothing.
    history_ : list of float
        The value that the passes at the end maximise, before and after each: the log-likelihood
        plus the log prior, in nats. It rises. The prior is the one that corresponds to the
        pseudo-counts.
    tried_ : list of dict
        The numbers of states, starts and prior variances that were tried, and the score of each, in
        nats per held-out row.

    Notes
    -----
    Equal rows are merged into one row with the sum of their weights. So a row of weight 2 gives
    exactly the same model as two equal rows, and neither the order of rows nor the units of columns
    change the model. The amount of work depends on the numbers of rows, columns, states and passes,
    never on the clock: the same seed gives the same model. Ctrl-C keeps the best model so far. A
    pass costs n d k^2.

    If there are more than 50 million values and more than 20,000 rows, the trees are fitted to a
    sample of about that many values, and then to all rows by two updates; data in parts are read
    four times. (On workers with little memory the sample is smaller: it takes at most 1/32 of the
    memory.) Levels, and the least and largest number of each column, are those of all rows. The
    sample depends only on the values of the rows, and so on the units of columns, but not on the
    order of the rows or on the parts. If a source that is larger than four such samples gives its
    number of rows beforehand, the sample also depends on chance. A column with more than
    100,000 different texts is left out.

    References
    ----------
    Chow & Liu (1968), Approximating discrete probability distributions with dependence trees, IEEE
    Transactions on Information Theory 14. Liu & Van den Broeck (2021), Tractable regularization of
    probabilistic circuits, NeurIPS 34, section 5. Cappe & Moulines (2009), On-line
    expectation-maximization algorithm for latent data models, JRSS B 71.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.choice(["cat", "dog"], size=300)
    >>> weight = np.where(kind == "cat", 4.0, 20.0) * np.exp(0.1 * rng.standard_normal(300))
    >>> model = LatentTree(2, 1, random_state=0)
    >>> model = model.fit(pd.DataFrame({"kind": kind, "weight": weight}))
    >>> heavy = pd.DataFrame({"kind": [None], "weight": [18.0]})
    >>> [str(name) for name in model.impute(heavy)["kind"]]
    ['dog']
    """

    _face = "mixed"
    _fields: tuple[str, ...] = (
        "columns_", "left_out_", "tree_", "information_", "weights_", "members_", "n_states_",
        "n_trees_", "log_likelihood_", "history_", "n_iter_", "tried_",
    )  # fmt: skip

    columns_: list[dict[str, Any]]
    left_out_: list[Any]
    tree_: NDArray[np.int64]
    information_: NDArray[np.float64]
    weights_: NDArray[np.float64]
    members_: list[dict[str, Any]]
    n_states_: int
    n_trees_: int
    log_likelihood_: float
    history_: list[float]
    tried_: list[dict[str, Any]]

    def __init__(
        self,
        n_states: int | None = None,
        n_trees: int | None = None,
        *,
        column_types: Any = "auto",
        categories: Any = None,
        n_sweeps: int | None = None,
        max_iter: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_states = n_states
        self.n_trees = n_trees
        self.column_types = column_types
        self.categories = categories
        self.n_sweeps = n_sweeps
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model to the rows of a table.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Numbers, booleans, text, categories, dates and durations. Any cell may be missing.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            How often each row counts. A row of weight 2 counts as two equal rows; rows of weight 0
            are left out.

        Returns
        -------
        self

        Raises
        ------
        DataError
            For a column without values, a column that mixes types, and infinite numbers.
        ModelError
            For parameters out of bounds, or a model that does not fit in memory.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
        >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
        >>> [column["kind"] for column in model.columns_]
        ['continuous', 'binary']
        """
        return self._fit_anew(X, sample_weight)

    def _checked(self, X: Any, sample_weight: Any = None) -> tuple[Any, ...]:
        return self._check_part(X, None, sample_weight, reset=True)

    def _check_part(  # type: ignore[override]
        self, X: Any, y: Any = None, sample_weight: Any = None, *, reset: bool
    ) -> tuple[Any, ...]:
        """Return the columns as they came, and the weights: of rows of weight above 0."""
        columns = check_columns(self, X, reset=reset)
        given = Given(columns, self._frame_in if reset else form_of(X))
        weights = check_weights(sample_weight, len(given))
        if weights is None:
            return (given,)
        _refuse_uncounted(weights)
        return (
            (given, weights) if weights.all() else (given.take(weights > 0), weights[weights > 0])
        )

    def _fit(self, *data: Any, **options: Any) -> None:
        self._fit_parts(Held.whole(self, data), **options)

    def _fit_parts(
        self, parts: Any, checkpoint: str | os.PathLike[str] | None = None, every: int = 1
    ) -> None:
        asked = {
            name: None if value is None else check_integer(value, name, minimum=1)
            for name, value in (
                ("n_states", self.n_states),
                ("n_trees", self.n_trees),
                ("n_sweeps", self.n_sweeps),
            )
        }
        max_iter = None if self.max_iter is None else check_integer(self.max_iter, "max_iter")
        rng, seen = (
            as_generator(self.random_state),
            parts.total(_FirstLook(parts.n_rows, parts.room)),
        )
        _refuse_uncounted(np.array([seen.weight]))
        if seen.form is not None:
            self._frame_in = seen.form
        names = getattr(self, "feature_names_in_", None)
        columns, self.left_out_ = schema.settled(seen, names, self.column_types, self.categories)
        self.columns_ = [column.as_plain() for column in columns]
        race.refuse_too_large(len(columns), asked["n_states"] or 1, asked["n_trees"] or 1)
        table = schema.encoded(seen, columns)
        # Of rows of which nothing is known there is nothing to learn.
        counts = seen.sample.standing * ~np.isnan(table).all(axis=1)
        rows, counts = learning.distinct(table, counts)
        rest = None if seen.sample.is_whole else parts
        n_rows = None if rest is None else seen.weight
        plan = race.plan_for(columns, counts, **asked, max_iter=max_iter, n_rows=n_rows)
        with (
            one_thread(),  # a batch's products are short: a second would wait more than it works
            passes_of(self, parts, checkpoint=checkpoint, every=every, rng=rng) as run,
        ):
            found = race.learn(table[rows], columns, counts, plan, rng, run, rest)
        self.tree_ = found.members[0].em.tree.parent
        self.information_ = found.information
        self.weights_ = found.weights
        self.members_ = [member.as_plain() for member in found.members]
        self.n_states_, self.n_trees_ = found.members[0].em.n_states, len(found.members)
        self.log_likelihood_, self.history_ = found.log_likelihood, found.penalised
        self.tried_, self.n_iter_ = found.tried, len(found.penalised)

    def _fingerprint_of(self, *checked: Any) -> str:
        given, *weights = checked
        rows = _Encoded(given, self._columns_learnt)
        return fingerprint(rows[:, :] if rows.size <= MOST_NUMBERS else rows, *weights)

    # ---- what was learnt --------------------------------------------------------------------

    @property
    def _columns_learnt(self) -> list[Column]:
        """What is known of the columns that are modelled."""

        def make() -> list[Column]:
            return [Column.of_plain(held) for held in self.columns_]

        return self._once("columns", (self.columns_,), make)

    def _once(self, name: str, of: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return what is made of fitted values, made once for these very ones."""
        kept: dict[str, Any] = {} if self._derived is None else self._derived
        held = kept.get(name)
        if held is None or any(one is not other for one, other in zip(held[0], of, strict=True)):
            held = kept[name] = of, make()
        found: T = held[1]
        return found

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the parameters and, of a fitted model, what was found of the columns."""
        text = str(super().__repr__(N_CHAR_MAX))
        if not self.__sklearn_is_fitted__():
            return text
        columns = self._columns_learnt
        lines = [f"  {column.name}: {column}" for column in columns[:MOST_SHOWN]]
        lines += [f"  ... and {len(columns) - MOST_SHOWN} more"] * (len(columns) > MOST_SHOWN)
        lines += [f"  {name}: left out" for name in self.left_out_[:MOST_SHOWN]]
        return "\n".join([text, *lines])

    @property
    def _mixture(self) -> Mixture:
        """The circuits, made once for what was learnt."""

        def make() -> Mixture:
            columns = self._columns_learnt
            return Mixture(self.weights_, tuple(_circuit(one, columns) for one in self.members_))

        return self._once("mixture", (self.columns_, self.members_, self.weights_), make)

    @property
    def n_parameters_(self) -> int:
        """Free parameters of all trees, and the weights."""
        mixture = self._mixture
        return sum(circuit.n_free() for circuit in mixture.circuits) + len(mixture.weights) - 1

    def _kept_params(self) -> dict[str, Any]:
        params = super()._kept_params()
        return params | {"categories": plain(params["categories"])}

    def _check_state(self) -> None:
        columns = self._columns_learnt
        d, k = len(columns), self.n_states_
        if not columns or {column.place for column in columns} - set(range(self.n_features_in_)):
            raise ValueError("its columns are not those of a table")
        if len(self.members_) != self.n_trees_ or self.weights_.shape != (self.n_trees_,):
            raise ValueError("one weight for each tree is wanted")
        if not (self.weights_ >= 0).all() or abs(self.weights_.sum() - 1) > 1e-9:
            raise ValueError("weights of trees are shares")
        for member in self.members_:
            _check_member(member, columns, d, k)

    # ---- rows and tables --------------------------------------------------------------------

    def _check_rows(self, X: Any, *, reset: bool = False) -> NDArray[np.float64]:
        """Return rows of the columns that are modelled, encoded; NaN where missing."""
        values = check_columns(self, X, reset=reset)
        columns = self._columns_learnt
        table = np.empty((len(values[0]), len(columns)))
        for j, column in enumerate(columns):
            table[:, j] = column.encode(values[column.place])
        return table

    def _framed(self, rows: Any, like: Any = None, kept: Any = None) -> Any:
        """Return encoded rows as `fit` had them; what is left out as in `like`, or missing."""
        columns = self._columns_learnt
        held: list[Any] = [None] * self.n_features_in_
        levels: list[Any] = [None] * self.n_features_in_
        for j, column in enumerate(columns):
            held[column.place] = column.decode(rows[:, j])
            if column.has_levels or (column.kind == "count" and self._holds(column, held)):
                levels[column.place] = column.levels
        if self.left_out_:
            given = None if like is None else check_columns(self, like, reset=False)
            for place in set(range(self.n_features_in_)) - {column.place for column in columns}:
                if given is not None and len(given[place]) == len(rows):
                    held[place] = given[place]
                else:
                    held[place] = np.full(len(rows), None, dtype=object)
                levels[place] = np.empty(0, dtype=object)
        if self._frame_in is None and all(values.dtype.kind == "f" for values in held):
            return np.stack(held, axis=1)
        table = np.empty((len(rows), len(held)), dtype=object)
        for j, values in enumerate(held):
            table[:, j] = values
        if self._frame_in is None:
            return table
        names = getattr(self, "feature_names_in_", None)
        whole = None
        if kept is not None:
            whole = np.full(table.shape, np.nan)
            for j, column in enumerate(columns):
                if not column.has_levels and column.of == "number":
                    whole[:, column.place] = kept[:, j]
        return framed(self._frame_in, names, table, levels=levels, like=like, kept=whole)

    def _holds(self, column: Column, held: list[Any]) -> bool:
        """Tell whether the frame's own type of a column of counts holds these."""
        if self._frame_in is None:
            return False
        one = self._frame_in["dtypes"][self._frame_in["of"][column.place]]
        bits = re.fullmatch(r"u?int(\d+)", str(one.get("type", one)["is"]), re.IGNORECASE)
        counts = held[column.place]
        return bits is not None and bool((counts < 2.0 ** (int(bits[1]) - 1)).all())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags


class _Encoded:
    """Rows of a table that are encoded when they are asked for: what a fingerprint looks at."""

    def __init__(self, given: Given, columns: list[Column]) -> None:
        self.given, self.columns = given, columns
        self.shape, self.size = (len(given), len(columns)), len(given) * len(columns)

    def __getitem__(self, which: tuple[slice, slice]) -> NDArray[np.float64]:
        rows, columns = which
        some = self.columns[columns]
        return np.stack([one.encode(self.given.columns[one.place][rows]) for one in some], axis=1)


@dataclass(frozen=True)
class _FirstLook:
    """Sees the columns of a part, and a sample of its rows, of so many in all."""

    n_rows: int | None
    room: int | None

    def __call__(self, part: Part) -> schema.Seen:
        given, *weights = part.data
        names = getattr(part.model, "feature_names_in_", None)
        how = part.model.column_types, part.model.categories, part.number
        counts = weights[0] if weights else None
        return schema.look(given, counts, names, *how, self.n_rows, self.room)


def _refuse_uncounted(weights: NDArray[np.float64]) -> None:
    """Raise DataError for weights that in all are no count."""
    if (weights / MOST_WEIGHT).sum() > 1:
        raise DataError(
            f"sample_weight holds up to {weights.max():.3g}, and a weight is how often a row "
            "counts: in all, more than 2**53 rows are not counted exactly. Divide the weights."
        )


def _circuit(member: dict[str, Any], columns: list[Column]) -> Circuit:
    """Return one tree as queries read it."""
    leaves: list[Leaf] = []
    start = smooth = number = 0
    for column in columns:
        size = column.n_rows
        p = np.ascontiguousarray(member["tables"][start : start + size].T)
        start += size
        if column.has_levels:
            leaves.append(LevelsLeaf(p))
        elif column.kind == "count":
            leaves.append(CountsLeaf(member["counts"][number, 0], member["counts"][number, 1]))
            number += 1
        else:
            mean, spread = member["means"][smooth], member["spreads"][smooth]
            scale = cast(Scale, column.scale)
            leaves.append(ContinuousLeaf(scale, column.atoms, p, mean, spread, column.grid))
            smooth += 1
    return Circuit(member["parent"], member["root"], member["transitions"], tuple(leaves))


def _check_member(member: dict[str, Any], columns: list[Column], d: int, k: int) -> None:
    """Raise ValueError for what is no tree over the columns."""
    n_smooth = sum(column.kind == "continuous" for column in columns)
    n_counts = sum(column.kind == "count" for column in columns)
    shapes = {
        "parent": (d,),
        "root": (k,),
        "transitions": (d, k, k),
        "tables": (sum(column.n_rows for column in columns), k),
        "means": (n_smooth, k),
        "spreads": (n_smooth, k),
        "counts": (n_counts, 2, k),
    }
    if set(member) != set(shapes) or any(member[name].shape != shapes[name] for name in shapes):
        raise ValueError("a tree does not fit its columns")
    if not all(np.isfinite(values).all() for values in member.values()):
        raise ValueError("a tree holds what is no number")
    parent = member["parent"]
    if parent.dtype.kind != "i" or (parent < 0).sum() != 1 or (parent >= d).any():
        raise ValueError("a tree has one root")
    depth, at = 0, parent.copy()
    while (at >= 0).any():
        at, depth = np.where(at >= 0, parent[at], -1), depth + 1
        if depth > d:
            raise ValueError("a tree has no circle")
    shares = [member["root"], member["transitions"], member["tables"]]
    if any((part < 0).any() for part in shares) or abs(member["root"].sum() - 1) > 1e-6:
        raise ValueError("probabilities of a tree are none")
    if (member["spreads"] <= 0).any() or (member["counts"] <= 0).any():
        raise ValueError("spreads of a tree are above 0")

"""Every model once, with small data: a model that joins this list inherits every law.

Densities and conditionals list, beside a fitted model, what only their author can know: how many
parameters a hand count gives, and how the fitted parameters can be nudged.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ancestral import (
    PPCA,
    ChainAutoregressive,
    DyadicGraph,
    Graph,
    HeteroscedasticGaussian,
    InnerProductGraph,
    LatentPositionGraph,
    LatentTree,
    LinearGaussian,
    LSTMAutoregressive,
    NeuralGaussian,
    OrderMixture,
    PPCAMixture,
    TabularAutoregressive,
    _catalogue,
)
from tests import toy

# The toy stands for any model that the package does not have: its file, and a row. All laws hold.
_catalogue.MODELS.append(toy.ROW)

Nudges = Callable[[Any, np.random.Generator], Iterator[Any]]


@dataclass(frozen=True)
class Entry:
    name: str
    make: Callable[[], Any]
    data: tuple[Any, ...]  # what fit takes
    n_parameters: int | None  # counted by hand; None: the model claims no count
    nudges: Nudges | None = None  # None: not fitted by maximum likelihood
    space: Any = None  # every possible row, for discrete models
    checks: tuple[Any, ...] = field(default=())  # instances for scikit-learn's check_estimator
    streamed: bool = True  # False: rows with gaps have no sufficient statistics
    extra: str | None = None  # the optional package it needs

    def fit(self) -> Any:
        return self.make().fit(*self.data)


def _changed(model: Any, **values: Any) -> Any:
    other = copy.deepcopy(model)
    for name, value in values.items():
        setattr(other, name, value)
    return other


def _nudged_tables(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        tables = []
        for p in model.probabilities_:
            free = np.where(p > 0, p * np.exp(0.01 * rng.normal(size=p.shape)), 0.0)
            tables.append(free / free.sum(axis=1, keepdims=True))
        other = copy.deepcopy(model)
        other._set_trie(tables, model.children_)
        yield other


def _nudged_ppca(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Nudge mean, loadings and noise; all are given in the rotation of the nudged covariance."""
    for _ in range(20):
        W = model.loadings_ + 0.01 * rng.normal(size=model.loadings_.shape)
        noise = model.noise_variance_ * np.exp(0.01 * rng.normal())
        mean = model.mean_ + 0.01 * rng.normal(size=model.mean_.shape)
        U, singular, _ = np.linalg.svd(W, full_matrices=False)
        eigenvalues = np.full(len(mean), noise)
        eigenvalues[: len(singular)] += singular**2
        yield _changed(
            model,
            mean_=mean,
            noise_variance_=noise,
            components_=U.T,
            eigenvalues_=eigenvalues,
            loadings_=U * singular,
        )


def _nudged_diagonal(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        mean = model.mean_ + 0.01 * rng.normal(size=model.mean_.shape)
        variances = model.variances_ * np.exp(0.02 * rng.normal(size=mean.shape))
        yield _changed(model, mean_=mean, variances_=variances)


def _nudged_mixture(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        weights = model.weights_ * np.exp(0.02 * rng.normal(size=model.weights_.shape))
        W = model.loadings_ + 0.01 * rng.normal(size=model.loadings_.shape)
        noises = model.noise_variances_ * np.exp(0.02 * rng.normal(size=weights.shape))
        turned = [np.linalg.svd(w, full_matrices=False) for w in W]  # the canonical rotation
        yield _changed(
            model,
            weights_=weights / weights.sum(),
            means_=model.means_ + 0.01 * rng.normal(size=model.means_.shape),
            loadings_=np.array([U * singular for U, singular, _ in turned]),
            noise_variances_=noises,
        )


def _nudged_line(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        yield _changed(
            model,
            coef_=model.coef_ + 0.01 * rng.normal(size=model.coef_.shape),
            intercept_=model.intercept_ + 0.01 * rng.normal(),
            noise_variance_=model.noise_variance_ * np.exp(0.02 * rng.normal()),
        )


def _nudged_heteroscedastic(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        yield _changed(
            model,
            coef_=model.coef_ + 0.01 * rng.normal(size=model.coef_.shape),
            intercept_=model.intercept_ + 0.01 * rng.normal(),
            variance_coef_=model.variance_coef_ + 0.02 * rng.normal(size=model.coef_.shape),
            variance_intercept_=model.variance_intercept_ + 0.02 * rng.normal(),
        )


def _nudged_graph(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        step = 0.01 * rng.normal(size=2)
        yield _changed(model, slope_=model.slope_ + step[0], intercept_=model.intercept_ + step[1])


def _nudged_dyadic(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        coef = model.coef_ + 0.01 * rng.normal(size=model.coef_.shape)
        yield _changed(model, coef_=coef, intercept_=model.intercept_ + 0.01 * rng.normal())


def _nudged_positions(model: Any, rng: np.random.Generator) -> Iterator[Any]:
    for _ in range(20):
        step = 0.01 * rng.normal(size=model.positions_.shape)
        b = model.intercept_ + 0.01 * rng.normal()
        yield _changed(model, positions_=model.positions_ + step, intercept_=b)


def _tiny_lstm(**parameters: Any) -> Any:
    settings = {"hidden_size": 4, "num_layers": 1, "max_steps": 5, "random_state": 0}
    return LSTMAutoregressive(**{**settings, **parameters})


def _tiny_tree(**parameters: Any) -> Any:
    return LatentTree(
        **{"n_states": 2, "n_trees": 1, "n_sweeps": 4, "random_state": 0, **parameters}
    )


def _tree_weights(d: int, k: int, free: int) -> int:
    """The root's shares, a row of a transition for each state of a parent, and the leaves'."""
    return (k - 1) + (d - 1) * k * (k - 1) + k * free


def _tiny_network(**parameters: Any) -> Any:
    settings = {"hidden_size": 4, "max_steps": 20, "random_state": 0}
    return NeuralGaussian(**{**settings, **parameters})


def _lstm_weights(n_inputs: int, hidden: int, layers: int) -> int:
    """Gates read the layer below and themselves, with two biases; then one linear layer."""
    cells = sum(4 * hidden * ((hidden if k else n_inputs) + hidden + 2) for k in range(layers))
    return cells + n_inputs * (hidden + 1)


def _graphs(n_graphs: int, n_nodes: int, n_features: int) -> list[Graph]:
    rng = np.random.default_rng(5)
    graphs = []
    for _ in range(n_graphs):
        X = rng.uniform(-1, 1, size=(n_nodes, n_features))
        p = 1 / (1 + np.exp(-(2.0 * X @ X.T - 0.5)))
        upper = np.triu(rng.random((n_nodes, n_nodes)) < p, 1)
        graphs.append(Graph(X, upper + upper.T))
    return graphs


def _networks(n_graphs: int, n_nodes: int) -> list[Graph]:
    """Graphs of people with an age and a house, who know who is like them."""
    rng = np.random.default_rng(9)
    graphs = []
    for _ in range(n_graphs):
        age, house = rng.integers(20, 60, n_nodes), rng.integers(0, 3, n_nodes)
        eta = 0.2 - 0.05 * np.abs(age[:, None] - age) + (house[:, None] == house)
        upper = np.triu(rng.random((n_nodes, n_nodes)) < 1 / (1 + np.exp(-eta)), 1)
        graphs.append(Graph(np.c_[age, house], upper + upper.T))
    return graphs


def _graphs_of_four(n_graphs: int) -> list[Graph]:
    """Graphs on the same four nodes."""
    rng = np.random.default_rng(6)
    X = np.array([[1.2], [0.9], [-0.8], [0.4]])
    p = 1 / (1 + np.exp(-(X @ X.T - 0.5)))
    uppers = [np.triu(rng.random((4, 4)) < p, 1) for _ in range(n_graphs)]
    return [Graph(X, upper + upper.T) for upper in uppers]


_rng = np.random.default_rng(0)
BITS = (_rng.random((60, 5)) < [0.2, 0.5, 0.7, 0.4, 0.9]).astype(int)
LEVELS = np.column_stack([_rng.integers(0, k, size=80) for k in (2, 3, 5)])
WORDS = np.array([["no", "red"], ["yes", "red"], ["yes", "blue"], ["no", "green"]] * 3)
CLOUD = _rng.normal(size=(200, 2)) @ np.array([[2.0, 0.5], [0.0, 0.7]]) + [3.0, -1.0]
WIDE = _rng.normal(size=(8, 20)) + np.linspace(0, 5, 20)
_gaps_rng = np.random.default_rng(7)
DEEP = _gaps_rng.normal(size=(300, 2)) @ _gaps_rng.normal(size=(2, 7)) * 2.0
DEEP += _gaps_rng.normal(size=DEEP.shape)
GAPS = _gaps_rng.normal(size=(150, 2)) @ _gaps_rng.normal(size=(2, 6)) * 2.0
GAPS += _gaps_rng.normal(size=GAPS.shape) + np.arange(6.0)
GAPS[_gaps_rng.random(GAPS.shape) < 0.2] = np.nan
INPUTS = _rng.normal(size=(120, 3))
TARGET = INPUTS @ [1.0, -2.0, 0.5] + 0.3 + 0.7 * _rng.normal(size=120)
MIXED = np.column_stack(
    [
        np.where(_gaps_rng.random(150) < 0.2, 0.0, np.exp(_gaps_rng.normal(size=150))),  # an atom
        _gaps_rng.normal(size=150) + 3.0,
        _gaps_rng.integers(0, 3, size=150),
        _gaps_rng.integers(0, 2, size=150),
    ]
)
MIXED[:, 1] += MIXED[:, 2]
MIXED[_gaps_rng.random(MIXED.shape) < 0.1] = np.nan


def _all_rows(*levels: Any) -> np.ndarray:
    return np.array(list(itertools.product(*levels)))


def _observed_prefixes(X: np.ndarray) -> list[int]:
    """Distinct prefixes of each length 0 .. d - 1."""
    return [len({tuple(row[:i]) for row in X.tolist()}) for i in range(X.shape[1])]


def _weights(X: np.ndarray, free: list[int]) -> int:
    return sum(n * k for n, k in zip(_observed_prefixes(X), free, strict=True))


ZOO = [
    Entry(
        "tables",
        TabularAutoregressive,
        (BITS,),
        n_parameters=_weights(BITS, [1] * 5),
        nudges=_nudged_tables,
        space=_all_rows(*[(0, 1)] * 5),
        checks=(TabularAutoregressive(), TabularAutoregressive(smoothing=1.0)),
    ),
    Entry(
        "tables of 2, 3 and 5 levels",
        TabularAutoregressive,
        (LEVELS,),
        n_parameters=_weights(LEVELS, [1, 2, 4]),
        nudges=_nudged_tables,
        space=_all_rows(range(2), range(3), range(5)),
    ),
    Entry(
        "tables of words",
        TabularAutoregressive,
        (WORDS,),
        n_parameters=1 + 2 * 2,
        nudges=_nudged_tables,
        space=_all_rows(["no", "yes"], ["blue", "green", "red"]),
    ),
    Entry(
        "smoothed tables",
        lambda: TabularAutoregressive(smoothing=0.5),
        (LEVELS,),
        n_parameters=_weights(LEVELS, [1, 2, 4]),
        space=_all_rows(range(2), range(3), range(5)),
    ),
    Entry(
        "lstm",
        lambda: _tiny_lstm(num_layers=2),
        (BITS,),
        n_parameters=_lstm_weights(1, 4, 2),
        space=_all_rows(*[(0, 1)] * 5),
        checks=(_tiny_lstm(),),
        extra="torch",
    ),
    Entry(
        "lstm of 2, 3 and 5 levels",
        _tiny_lstm,
        (LEVELS,),
        n_parameters=_lstm_weights(5, 4, 1),
        space=_all_rows(range(2), range(3), range(5)),
        extra="torch",
    ),
    Entry(
        "chain of logistic regressions",
        lambda: ChainAutoregressive("logistic", n_components=2, random_state=0),
        (BITS,),
        n_parameters=None,
        space=_all_rows(*[(0, 1)] * 5),
        checks=(ChainAutoregressive("logistic", n_raced=1, random_state=0),),
    ),
    Entry(
        "chain of 2, 3 and 5 levels",
        lambda: ChainAutoregressive("logistic", n_components=2, max_parents=2, random_state=0),
        (LEVELS,),
        n_parameters=None,
        space=_all_rows(range(2), range(3), range(5)),
    ),
    Entry(
        "chain of boosted trees",
        lambda: ChainAutoregressive("trees", n_components=2, random_state=0),
        (LEVELS,),
        n_parameters=None,
        space=_all_rows(range(2), range(3), range(5)),
        extra="lightgbm",
    ),
    Entry(
        "mixture of orders",
        lambda: OrderMixture(TabularAutoregressive(smoothing=0.5), n_orders=3, random_state=0),
        (LEVELS,),
        n_parameters=None,
        space=_all_rows(range(2), range(3), range(5)),
        checks=(OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0),),
    ),
    Entry(
        "ppca",
        lambda: PPCA(1),
        (CLOUD,),
        n_parameters=2 + 2 + 1,
        nudges=_nudged_ppca,
        checks=(PPCA(),),
    ),
    Entry(
        "isotropic ppca",
        lambda: PPCA(0),
        (CLOUD,),
        n_parameters=2 + 1,
        nudges=_nudged_ppca,
        checks=(PPCA(0),),
    ),
    Entry(
        "wide ppca",
        lambda: PPCA(3),
        (WIDE,),
        n_parameters=20 + (20 + 19 + 18) + 1,  # each column of W is free up to a rotation
        nudges=_nudged_ppca,
    ),
    Entry(
        "ppca with gaps",
        lambda: PPCA(2),
        (GAPS,),
        n_parameters=6 + (6 + 5) + 1,
        nudges=_nudged_ppca,
        streamed=False,
    ),
    Entry(
        "isotropic ppca with gaps",
        lambda: PPCA(0),
        (GAPS,),
        n_parameters=6 + 1,
        nudges=_nudged_ppca,
        streamed=False,
    ),
    Entry(
        "standardised ppca",
        lambda: PPCA(1, standardize=True),
        (CLOUD,),
        n_parameters=2 + 2 + 1 + 2,
        checks=(PPCA(standardize=True),),
    ),
    Entry(
        "standardised ppca with gaps",
        lambda: PPCA(2, standardize=True),
        (GAPS,),
        n_parameters=6 + (6 + 5) + 1 + 6,
        streamed=False,
    ),
    Entry(
        "standardised mixture of ppcas",
        lambda: PPCAMixture(2, 1, n_starts=2, standardize=True, random_state=0),
        (np.concatenate([CLOUD, CLOUD[:150, ::-1] * [1.0, -1.0] + 2.0]),),
        n_parameters=1 + 2 * (2 + 2 + 1) + 2,
    ),
    Entry(
        "ppca of chosen dimension",
        lambda: PPCA("bic"),
        (DEEP,),
        n_parameters=7 + (7 + 6) + 1,
        nudges=_nudged_ppca,
        checks=(PPCA("bic"), PPCA("minka"), PPCA("cv", random_state=0)),
    ),
    Entry(
        "mixture of ppcas",
        lambda: PPCAMixture(2, 1, tol=1e-12, random_state=0),
        (np.concatenate([CLOUD, CLOUD[:150, ::-1] * [1.0, -1.0] + 2.0]),),
        n_parameters=1 + 2 * (2 + 2 + 1),
        nudges=_nudged_mixture,
        checks=(PPCAMixture(random_state=0), PPCAMixture(1, 0)),
    ),
    Entry(
        "tree of levels",
        _tiny_tree,
        (BITS.astype(float),),
        n_parameters=_tree_weights(5, 2, 5 * 1),
        space=_all_rows(*[(0.0, 1.0)] * 5),
    ),
    Entry(
        "two trees of mixed columns with gaps",
        lambda: _tiny_tree(n_trees=2, n_states=3),
        (MIXED,),
        n_parameters=2 * _tree_weights(4, 3, (1 + 2) + 2 + 2 + 1) + 1,
        checks=(_tiny_tree(n_sweeps=2),),
    ),
    Entry(
        "toy",
        toy.DiagonalGaussian,
        (CLOUD,),
        n_parameters=2 + 2,
        nudges=_nudged_diagonal,
        checks=(toy.DiagonalGaussian(), toy.DiagonalGaussian(same_variance=True)),
    ),
    Entry(
        "line",
        LinearGaussian,
        (INPUTS, TARGET),
        n_parameters=3 + 1 + 1,
        nudges=_nudged_line,
        checks=(LinearGaussian(), LinearGaussian(fit_intercept=False), LinearGaussian(degree=2)),
    ),
    Entry(
        "parabola through the origin",
        lambda: LinearGaussian(fit_intercept=False, degree=2),
        (INPUTS[:, :1], TARGET),
        n_parameters=2 + 1,
        nudges=lambda model, rng: (_changed(m, intercept_=0.0) for m in _nudged_line(model, rng)),
    ),
    Entry(
        "line with a variance that depends on x",
        HeteroscedasticGaussian,
        (INPUTS, TARGET),
        n_parameters=(3 + 1) + (3 + 1),
        nudges=_nudged_heteroscedastic,
        checks=(HeteroscedasticGaussian(), HeteroscedasticGaussian(fit_intercept=False)),
    ),
    Entry(
        "network",
        _tiny_network,
        (INPUTS, TARGET),
        n_parameters=4 * (3 + 1) + 2 * (4 + 3 + 1),
        checks=(_tiny_network(), _tiny_network(num_layers=2, batch_size=10)),
        extra="torch",
    ),
    Entry(
        "graph",
        InnerProductGraph,
        (_graphs(30, 8, 2),),
        n_parameters=2,
        nudges=_nudged_graph,
    ),
    Entry(
        "dyadic",
        lambda: DyadicGraph(["absdiff:0", "match:1"]),
        (_networks(20, 12),),
        n_parameters=3,
        nudges=_nudged_dyadic,
    ),
    Entry(
        "graph without features",
        lambda: LatentPositionGraph(1),
        (_graphs_of_four(200),),
        n_parameters=4 * 1 + 1,
        nudges=_nudged_positions,
    ),
]

"""Curves of the autoregressive models, on rows of zeros and ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, logsumexp
from sklearn.linear_model import LogisticRegression

from ancestral import (
    ChainAutoregressive,
    LSTMAutoregressive,
    OrderMixture,
    TabularAutoregressive,
)
from ancestral.autoregressive.chain.conditionals import _l1
from benchmarks.curves.curve import Aim, Curve, Tasks
from benchmarks.curves.gaussian import ONE_ROW, in_torch
from benchmarks.timing import Task

Array = NDArray[Any]
D, ORDERS, STEPS = 25, 4, 10
SUPPORT = 1_000  # distinct rows of the tables that score and draw
TRAINED_ON = 500  # rows, of the chain that scores and draws
KNOWN = 12  # leading columns, where some are given
FITTED = (20, 100, 500, 2_000, 10_000, 100_000)
SCORED = (1, 10, 100, 1_000, 10_000, 100_000)


def bits(n: int, d: int) -> Array:
    """Return rows of a chain whose values like to stay: none like it twice when d is large."""
    rng = np.random.default_rng([n, d])
    return np.logical_xor.accumulate(rng.random((n, d)) < 0.3, axis=1).astype(np.int64)


def among(rows: Array, n: int) -> Array:
    """Return n of the rows, as they come."""
    return rows[np.random.default_rng(n).integers(0, len(rows), n)]


# ---- tables ----------------------------------------------------------------------------------


def tables_fit(n: int, d: int) -> Tasks:
    X = bits(n, d)
    return Tasks(
        lambda: TabularAutoregressive().fit(X).probabilities_[-1],
        {"numpy by hand": lambda: count(X)[-1]},
        lambda: X.sum(),
    )


def count(X: Array) -> list[Array]:
    """Return p(x_i | prefix) of every prefix seen, by counting sorted rows in numpy by hand."""
    n, d = X.shape
    rows = X[np.lexsort(X.T[::-1])]
    changed = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)  # prefix 0..i is another
    tables, starts = [], np.zeros(1, np.intp)
    for i in range(d):
        ones = np.add.reduceat(rows[:, i], starts) / np.diff(np.r_[starts, n])
        tables.append(np.column_stack([1 - ones, ones]))
        starts = np.r_[0, 1 + np.flatnonzero(changed[:, i])]
    return tables


@cache
def fitted_tables(d: int) -> TabularAutoregressive:
    return TabularAutoregressive().fit(bits(SUPPORT, d))


def tables_log_density(n: int, d: int) -> Tasks:
    """By hand, either table by table, or by looking whole rows up in the list of all possible."""
    model = fitted_tables(d)
    X = among(bits(SUPPORT, d), n)
    with np.errstate(divide="ignore"):
        tables = [np.log(p) for p in model.probabilities_]
    follow = walk_by_hand(tables, model.children_)
    listed = model.support_
    scores, powers = model.log_density(listed), 1 << np.arange(d)[::-1]
    codes = listed @ powers

    def look_up() -> Array:
        code = X @ powers
        at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
        return np.where(codes[at] == code, scores[at], -np.inf)

    peers: dict[str, Task] = {
        "numpy, table by table": lambda: follow(X),
        "numpy, rows looked up": look_up,
    }
    return Tasks(lambda: model.log_density(X), peers, lambda: X.sum())


def walk_by_hand(tables: list[Array], children: list[Array]) -> Callable[[Array], Array]:
    def follow(X: Array) -> Array:
        context, total = np.zeros(len(X), np.intp), np.zeros(len(X))
        for i, (log_p, child) in enumerate(zip(tables, children, strict=True)):
            x = X[:, i]
            total += log_p[context, x]
            context = child[context, x]
        return total

    return follow


def tables_sample(n: int, d: int) -> Tasks:
    model, rng = fitted_tables(d), np.random.default_rng(0)
    listed = model.support_
    p = np.exp(model.log_density(listed))
    p /= p.sum()
    return Tasks(
        lambda: model.sample(n, random_state=rng),
        {"numpy, rows of the list chosen": lambda: listed[rng.choice(len(listed), n, p=p)]},
        lambda: rng.random(n),
    )


def tables_given(n: int, d: int) -> Tasks:
    model, rng = fitted_tables(d), np.random.default_rng(0)
    listed = model.support_
    p = np.exp(model.log_density(listed))
    given = listed[0].astype(float)
    given[np.arange(d) % 4 > 0] = np.nan
    known = ~np.isnan(given)

    def by_hand() -> Array:
        fits = np.flatnonzero((listed[:, known] == given[known]).all(axis=1))
        return listed[rng.choice(fits, n, p=p[fits] / p[fits].sum())]

    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {"numpy, rows of the list chosen": by_hand},
        lambda: rng.random(n),
    )


# ---- the LSTM --------------------------------------------------------------------------------


def lstm(steps: int = STEPS) -> LSTMAutoregressive:
    return LSTMAutoregressive(max_steps=steps, patience=steps, random_state=0)


def lstm_fit(n: int, d: int) -> Tasks:
    X = bits(n, d)
    peers: dict[str, Task] = {"torch, a plain loop of as many steps": lambda: train(X)}
    gates = gate_products(n, d)
    return Tasks(lambda: lstm().fit(X), peers, lambda: [gates() for _ in range(3 * STEPS)])


def gate_products(n: int, d: int) -> Task:
    """Return the products of the gates alone, of all columns: one forward pass."""
    h, W = np.zeros((n, 32), np.float32), np.zeros((32, 128), np.float32)
    return lambda: [h @ W for _ in range(3 * d)]


def train(X: Array) -> float:
    """Train a network of the same size for as many steps of Adam on all rows."""
    torch = in_torch(len(X))
    torch.manual_seed(0)
    rows = torch.as_tensor(X, dtype=torch.float32)[:, :, None]
    before = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, :-1]], dim=1)
    network, head = torch.nn.LSTM(1, 32, 2, batch_first=True), torch.nn.Linear(32, 1)
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=0.03)
    loss_of = torch.nn.BCEWithLogitsLoss(reduction="sum")
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = loss_of(head(network(before)[0]), rows) / len(X)
        loss.backward()
        optimiser.step()
    return loss.item()


@cache
def fitted_lstm(d: int) -> tuple[LSTMAutoregressive, Any]:
    """Return a model and its network in PyTorch's float64, as its scores are."""
    model = lstm(3).fit(bits(100, d))
    return model, model.to_torch().double()


def lstm_log_density(n: int, d: int) -> Tasks:
    (model, network), X = fitted_lstm(d), bits(n, d)

    def by_torch() -> Array:
        torch = in_torch(n)
        with torch.no_grad():
            rows = torch.as_tensor(X, dtype=torch.float64)[:, :, None]
            before = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, :-1]], dim=1)
            logits = network["head"](network["lstm"](before)[0])
            return torch.nn.functional.logsigmoid((2 * rows - 1) * logits).sum(dim=(1, 2)).numpy()

    return Tasks(lambda: model.log_density(X), {"torch": by_torch}, gate_products(n, d))


def lstm_sample(n: int, d: int) -> Tasks:
    (model, network), rng = fitted_lstm(d), np.random.default_rng(0)
    return Tasks(
        lambda: model.sample(n, random_state=rng),
        {"torch, carrying the state": lambda: step_by_step(network, n, d)},
        gate_products(min(n, 1), d),
    )


def lstm_given(n: int, d: int) -> Tasks:
    (model, network), rng = fitted_lstm(d), np.random.default_rng(0)
    given = bits(1, d)[0].astype(float)
    given[KNOWN:] = np.nan
    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {"torch, carrying the state": lambda: step_by_step(network, n, d, given)},
        gate_products(min(n, 1), d),
    )


def step_by_step(network: Any, n: int, d: int, given: Array | None = None) -> Array:
    """Draw rows column by column, the leading ones as given."""
    torch = in_torch(n)
    pixel, state = torch.zeros((n, 1, 1), dtype=torch.float64), None
    rows = np.empty((n, d), np.int64)
    with torch.no_grad():
        for i in range(d):
            hidden, state = network["lstm"](pixel, state)
            pixel = torch.bernoulli(torch.sigmoid(network["head"](hidden)))
            if given is not None and not np.isnan(given[i]):
                pixel = torch.full_like(pixel, float(given[i]))
            rows[:, i] = pixel[:, 0, 0].numpy()
    return rows


# ---- chains of logistic regressions ----------------------------------------------------------


def chain_fit(n: int, d: int) -> Tasks:
    X = bits(n, d)
    return Tasks(
        lambda: ChainAutoregressive("logistic", random_state=0).fit(X),
        {"LogisticRegression of each column": lambda: regress(X)},
        lambda: X.sum(),
    )


def regress(X: Array) -> list[Any]:
    """Fit one L1-penalised regression a column, of one strength: nothing is raced or validated."""
    settings = {"C": 1.0, "solver": "liblinear", "tol": 1e-3, **_l1()}
    return [
        LogisticRegression(**settings).fit(X[:, :i], X[:, i])
        for i in range(1, X.shape[1])
        if X[:, i].min() < X[:, i].max()
    ]


@cache
def fitted_chain(d: int) -> ChainAutoregressive:
    return ChainAutoregressive("logistic", random_state=0).fit(bits(TRAINED_ON, d))


@cache
def chain_by_hand(d: int) -> Callable[[Array], Array]:
    """Return the density of the fitted chain, all columns by one product, in numpy by hand."""
    model = fitted_chain(d)
    W, b, C = np.zeros((d, d)), np.zeros(d), 0 if model.mixture_ is None else model.n_components
    V = np.zeros((d, C + 1))  # weights of the mixture's posteriors, and of its log odds
    for i, conditional in enumerate(model.conditionals_):
        if conditional["family"] == "marginal":
            b[i] = conditional["log_p"][1] - conditional["log_p"][0]
            continue
        b[i] = conditional["bias"][0]
        for column, weight in zip(conditional["columns"], conditional["weights"][:, 0]):
            if column < i:
                W[column, i] = weight
            else:
                V[i, column - i] = weight
    floor = model.floor_
    theta = None if not C else np.array(model.mixture_["log_theta"])  # (d, C, 2)

    def score(X: Array) -> Array:
        logits = X @ W + b
        if theta is not None:
            told = theta[:, :, 0] + X[:, :, None] * (theta[:, :, 1] - theta[:, :, 0])  # (n, d, C)
            joint = np.cumsum(told, axis=1) - told + model.mixture_["log_weights"]
            posterior = np.exp(joint - joint.max(axis=2, keepdims=True))
            posterior /= posterior.sum(axis=2, keepdims=True)
            p = np.einsum("ndc,dck->ndk", posterior, np.exp(theta))
            logits += np.einsum("ndc,dc->nd", posterior, V[:, :C])
            logits += np.log(p[:, :, 1] / p[:, :, 0]) * V[:, C]
        log_p = log_expit((2 * X - 1) * logits)
        if floor:
            log_p = np.log(floor + (1 - 2 * floor) * np.exp(log_p))
        return log_p.sum(axis=1)

    return score


def chain_log_density(n: int, d: int) -> Tasks:
    model, X, W = fitted_chain(d), bits(n, d), np.zeros((d, d))
    by_hand, numbers = chain_by_hand(d), X.astype(float)
    return Tasks(
        lambda: model.log_density(X),
        {"numpy by hand": lambda: by_hand(X)},
        lambda: numbers @ W,
    )


def chain_sample(n: int, d: int) -> Tasks:
    model, rng = fitted_chain(d), np.random.default_rng(0)
    return Tasks(
        lambda: model.sample(n, random_state=rng),
        {"numpy by hand": lambda: draw_chain(n, d, rng)},
        lambda: rng.random((n, d)),
    )


def draw_chain(n: int, d: int, rng: Any) -> Array:
    """Draw from logistic regressions on all earlier columns, column by column, in numpy by hand."""
    W, rows = np.zeros((d, d)), np.zeros((n, d))
    for i in range(d):
        rows[:, i] = rng.random(n) < 1 / (1 + np.exp(-(rows[:, :i] @ W[:i, i])))
    return rows


def chain_given(n: int, d: int) -> Tasks:
    """The leading columns known: what follows is drawn."""
    model, rng = fitted_chain(d), np.random.default_rng(0)
    given = bits(1, d)[0].astype(float)
    given[KNOWN:] = np.nan
    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {"numpy by hand": lambda: draw_chain(n, d - KNOWN, rng)},
        lambda: rng.random((n, d - KNOWN)),
    )


# ---- several orders --------------------------------------------------------------------------


def smooth() -> TabularAutoregressive:
    return TabularAutoregressive(smoothing=0.5)


def orders_fit(n: int, d: int) -> Tasks:
    X = bits(n, d)
    orders = [np.random.default_rng(k).permutation(d) for k in range(ORDERS)]
    return Tasks(
        lambda: OrderMixture(smooth(), ORDERS, random_state=0).fit(X),
        {"numpy by hand, each order": lambda: [count(X[:, order]) for order in orders]},
        lambda: X.sum(),
    )


@cache
def fitted_orders(d: int) -> OrderMixture:
    return OrderMixture(smooth(), ORDERS, random_state=0).fit(bits(SUPPORT, d))


def orders_log_density(n: int, d: int) -> Tasks:
    """Of rows that were seen in the fit, so that no table ends before the row does."""
    model, X = fitted_orders(d), among(bits(SUPPORT, d), n)
    walks = [
        walk_by_hand([np.log(p) for p in member.probabilities_], member.children_)
        for member in model.members_
    ]

    def by_hand() -> Array:
        each = [walk(X[:, order]) for walk, order in zip(walks, model.orders_, strict=True)]
        return logsumexp(each, axis=0) - np.log(ORDERS)

    return Tasks(lambda: model.log_density(X), {"numpy by hand": by_hand}, lambda: X.sum())


def orders_sample(n: int, d: int) -> Tasks:
    model, rng = fitted_orders(d), np.random.default_rng(0)
    return Tasks(lambda: model.sample(n, random_state=rng), {}, lambda: rng.random((n, d)))


def orders_given(n: int, d: int) -> Tasks:
    model, rng = fitted_orders(d), np.random.default_rng(0)
    given = bits(SUPPORT, d)[0].astype(float)
    given[np.arange(d) % 2 > 0] = np.nan
    return Tasks(
        lambda: model.sample(n, given=given, random_state=rng),
        {},
        lambda: rng.random((n, d // 2)),
    )


# ---- the curves ------------------------------------------------------------------------------

PASS, UNIFORMS, GATES = "one pass, X.sum()", "the uniforms drawn", "the gates' products"


def curve(
    model: str, work: str, make: Any, sizes: tuple[int, ...], floor: str, **more: Any
) -> Curve:
    more.setdefault("same", work == "log_density")
    return Curve(model, work, make, sizes, floor, (D,), **more)


TABLES = [
    curve("TabularAutoregressive", "fit", tables_fit, FITTED, PASS, same=True),
    curve(
        "TabularAutoregressive",
        "log_density",
        tables_log_density,
        SCORED,
        PASS,
        aims=(
            Aim("numpy, table by table", 0.5),
            Aim("numpy, rows looked up", 0.5),
            ONE_ROW,
        ),
    ),
    curve("TabularAutoregressive", "sample", tables_sample, SCORED, UNIFORMS, aims=(ONE_ROW,)),
    curve("TabularAutoregressive", "sample(given=)", tables_given, SCORED, UNIFORMS),
]
NETWORK = [
    curve(
        "LSTMAutoregressive", f"fit, {STEPS} steps", lstm_fit, (20, 100, 500, 2_000, 10_000), GATES
    ),
    curve("LSTMAutoregressive", "log_density", lstm_log_density, SCORED, GATES, aims=(ONE_ROW,)),
    curve(
        "LSTMAutoregressive",
        "sample",
        lstm_sample,
        SCORED,
        f"{GATES}, of one row",
        aims=(ONE_ROW,),
    ),
    curve("LSTMAutoregressive", "sample(given=)", lstm_given, SCORED, f"{GATES}, of one row"),
]
CHAIN = [
    curve(
        "ChainAutoregressive",
        "fit",
        chain_fit,
        (50, 200, 1_000, 5_000, 20_000),
        PASS,
        note="the peer fits one strength and validates nothing",
    ),
    curve(
        "ChainAutoregressive",
        "log_density",
        chain_log_density,
        SCORED,
        "one product",
        aims=(Aim("numpy by hand", 0.5), ONE_ROW),
    ),
    curve("ChainAutoregressive", "sample", chain_sample, SCORED, UNIFORMS, aims=(ONE_ROW,)),
    curve("ChainAutoregressive", "sample(given=)", chain_given, SCORED, UNIFORMS),
    curve("OrderMixture", "fit", orders_fit, FITTED, PASS),
    curve("OrderMixture", "log_density", orders_log_density, SCORED, PASS, aims=(ONE_ROW,)),
    curve("OrderMixture", "sample", orders_sample, SCORED, UNIFORMS, aims=(ONE_ROW,)),
    curve("OrderMixture", "sample(given=)", orders_given, SCORED, UNIFORMS),
]
CURVES = [*TABLES, *CHAIN, *NETWORK]

"""Families of conditionals p(x_i | x_<i) for a chain, each kept as plain arrays.

    marginal   log p_k, the same for every prefix: (count + 1/2) / (n + K/2)
    logistic   one-versus-rest: p_k proportional to sigmoid(w_k . f + b_k), L1 penalty on w
    trees      softmax (K = 2: sigmoid) of a sum of regression trees, by gradient boosting
    estimator  predict_proba of any scikit-learn classifier (not kept as arrays, so not saved)

f are the features of a prefix: one column for each level but the first of each earlier variable,
and, where asked for, the posterior and prediction of a mixture. A fitted conditional is a dict of
arrays with its "family"; `log_probabilities` below evaluates any of them.

Trees are grown by LightGBM (Ke et al. 2017): on tables of zeros and ones it needs a third of the
time of scikit-learn's own histogram boosting, for the same likelihood. Its trees are read back
into arrays once, and are walked here: a fitted chain needs no LightGBM.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, log_softmax

from ancestral._extras import import_extra
from ancestral._numerics.products import by_rows
from ancestral.autoregressive.chain.budget import never
from ancestral.errors import ModelError

LEARNING_RATE = 0.1
MAX_TREES = 2000
STOP_AFTER = 20  # rounds without gain on the validation rows
LEAST_GAIN = 2e-5  # nats per row that count as a gain: ends the chase of what is all but certain
WALKED_AT_ONCE = 1 << 18  # rows times trees

Conditional = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One variable's conditional to be fitted.

    Parameters
    ----------
    features, validation_features : ndarray of shape (n, p), float32
    target, validation_target : ndarray of shape (n,) of level codes
    n_levels : int
    seed : int
    variable : int
        Its number in the chain, for messages.
    is_late : callable
        Whether the fit must end with what it has. A fit of many levels asks between two of them,
        and boosting between two rounds.
    """

    features: NDArray[np.float32]
    target: NDArray[np.intp]
    validation_features: NDArray[np.float32]
    validation_target: NDArray[np.intp]
    n_levels: int
    seed: int
    variable: int = 0
    is_late: Callable[[], bool] = never


def log_probabilities(conditional: Conditional, features: NDArray) -> NDArray[np.float64]:
    """Return log p(level | features), shape (n, n_levels), in nats."""
    family = conditional["family"]
    if family == "marginal":
        return np.tile(conditional["log_p"], (len(features), 1))
    if family == "logistic":
        return _logistic_log_p(conditional, features)
    if family == "trees":
        return _trees_log_p(conditional, features)
    logistic = as_logistic(conditional, conditional["n_levels"])
    if logistic is not conditional:
        return _logistic_log_p(logistic, features)
    return _estimator_log_p(conditional, features)


# ---- marginal ---------------------------------------------------------------------------------


def fit_marginal(task: Task) -> Conditional:
    """Return the smoothed marginal (Krichevsky & Trofimov's half a count per level)."""
    count = np.bincount(task.target, minlength=task.n_levels) + 0.5
    return {"family": "marginal", "log_p": np.log(count / count.sum())}


# ---- logistic ---------------------------------------------------------------------------------


def fit_logistic(task: Task, strength: float) -> Conditional:
    """Return L1-penalised logistic regressions, one per level (one in all where K = 2)."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    X = sparse.csr_matrix(task.features)
    weights: list[NDArray] = []
    bias: list[float] = []
    for level in _separate_levels(task.n_levels):
        target = task.target == level
        model = LogisticRegression(
            C=strength, solver="liblinear", tol=1e-3, intercept_scaling=10.0, max_iter=100,
            random_state=task.seed, **_l1(),
        )  # fmt: skip
        late = bool(weights) and task.is_late()  # then the level keeps its share of the rows
        if late or target.all() or not target.any():  # liblinear wants two classes
            odds = (target.sum() + 0.5) / (len(target) - target.sum() + 0.5)
            weights.append(np.zeros(X.shape[1]))
            bias.append(float(np.log(odds)))
            continue
        with warnings.catch_warnings():  # an early stop is judged on the validation rows anyway
            warnings.simplefilter("ignore")
            model.fit(X, target)
        weights.append(model.coef_[0])
        bias.append(float(model.intercept_[0]))
    W = np.stack(weights, axis=1)  # (p, K or 1)
    used = np.flatnonzero((W != 0).any(axis=1))
    return {
        "family": "logistic",
        "columns": used,
        "weights": np.ascontiguousarray(W[used]),
        "bias": np.array(bias),
    }


def _separate_levels(n_levels: int) -> list[int]:
    return [1] if n_levels == 2 else list(range(n_levels))


@cache
def _l1() -> dict[str, Any]:
    """Return how this scikit-learn spells an L1 penalty."""
    from sklearn.linear_model import LogisticRegression

    default = inspect.signature(LogisticRegression).parameters["penalty"].default
    return {"penalty": "l1"} if default == "l2" else {"l1_ratio": 1.0}


def _logistic_log_p(conditional: Conditional, features: NDArray) -> NDArray[np.float64]:
    X = features[:, conditional["columns"]].astype(np.float64)
    scores = by_rows(X, conditional["weights"]) + conditional["bias"]  # (n, K or 1)
    if scores.shape[1] == 1:
        return np.concatenate([log_expit(-scores), log_expit(scores)], axis=1)
    log_p: NDArray[np.float64] = log_softmax(log_expit(scores), axis=1)
    return log_p


# ---- trees ------------------------------------------------------------------------------------


def fit_trees(task: Task, leaves: int) -> Conditional:
    """Return boosted trees, as many as the validation rows ask for."""
    lightgbm = import_extra("lightgbm", "a chain of boosted trees", "boost")
    k = task.n_levels
    settings = {
        "objective": "binary" if k == 2 else "multiclass",
        "learning_rate": LEARNING_RATE,
        "num_leaves": leaves,
        "min_data_in_leaf": 2,
        "min_sum_hessian_in_leaf": 1e-3,
        "lambda_l2": 1.0,
        "feature_fraction_bynode": 0.3,
        "max_bin": 15,
        "num_threads": 1,
        "seed": task.seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    if k > 2:
        settings["num_class"] = k
    train = lightgbm.Dataset(task.features, task.target, params=settings)
    validation = lightgbm.Dataset(
        task.validation_features, task.validation_target, reference=train, params=settings
    )
    stop = lightgbm.early_stopping(STOP_AFTER, verbose=False, min_delta=LEAST_GAIN)

    def stop_if_late(now: Any) -> None:
        if task.is_late():
            raise lightgbm.callback.EarlyStopException(now.iteration, now.evaluation_result_list)

    booster = lightgbm.train(
        settings, train, MAX_TREES, valid_sets=[validation], callbacks=[stop, stop_if_late]
    )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    return {"family": "trees", **_tree_arrays(text, n_scores=1 if k == 2 else k)}


def _tree_arrays(text: str, n_scores: int) -> dict[str, Any]:
    """Return LightGBM's model text as arrays.

    Inner nodes of all trees come first, then all leaves. `split` is each inner node's place in
    the list of distinct (column, threshold) pairs; `child` its two successors, the one for
    "above the threshold" second; leaves succeed themselves. `root` is each tree's first node.
    """
    trees = [_tree(block) for block in text.split("\nTree=")[1:]]
    n_inner = [len(tree["feature"]) for tree in trees]
    n_leaves = [len(tree["value"]) for tree in trees]
    inner_at = np.concatenate([[0], np.cumsum(n_inner)])[:-1]
    leaf_at = np.concatenate([[0], np.cumsum(n_leaves)])[:-1] + sum(n_inner)
    column = np.concatenate([tree["feature"] for tree in trees]).astype(np.int32)
    threshold = np.concatenate([tree["threshold"] for tree in trees])
    pairs, split = np.unique(np.column_stack([column, threshold]), axis=0, return_inverse=True)
    child = []
    for tree, inner, leaf in zip(trees, inner_at, leaf_at):
        pointers = np.column_stack([tree["left"], tree["right"]])
        child.append(np.where(pointers < 0, ~pointers + leaf, pointers + inner))
    leaves = np.arange(sum(n_inner), sum(n_inner) + sum(n_leaves))
    child.append(np.column_stack([leaves, leaves]))
    value = np.concatenate([np.zeros(sum(n_inner)), *[tree["value"] for tree in trees]])
    return {
        "columns": pairs[:, 0].astype(np.int32),
        "thresholds": pairs[:, 1],
        "split": np.concatenate([split.ravel(), np.zeros(len(leaves))]).astype(np.int32),
        "child": np.concatenate(child).astype(np.int32),
        "value": value,
        "root": np.where(n_inner, inner_at, leaf_at).astype(np.int32),
        "depth": max(_depth(tree) for tree in trees),
        "n_scores": n_scores,
    }


def _tree(block: str) -> dict[str, NDArray]:
    """Return one tree of LightGBM's text."""
    fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)

    def numbers(name: str, dtype: type) -> NDArray:
        return np.array(fields.get(name, "").split(), dtype)

    return {
        "feature": numbers("split_feature", np.int64),
        "threshold": numbers("threshold", np.float64),
        "left": numbers("left_child", np.int64),
        "right": numbers("right_child", np.int64),
        "value": numbers("leaf_value", np.float64),
    }


def _depth(tree: dict[str, NDArray]) -> int:
    """Return the number of splits on the longest path (a node's number is above its parent's)."""
    depth = np.ones(len(tree["feature"]), int)
    for node, successors in enumerate(zip(tree["left"], tree["right"])):
        for successor in successors:
            if successor >= 0:
                depth[successor] = depth[node] + 1
    return int(depth.max(initial=0))


def _trees_log_p(conditional: Conditional, features: NDArray) -> NDArray[np.float64]:
    scores = _tree_scores(conditional, features)
    if scores.shape[1] == 1:
        return np.concatenate([log_expit(-scores), log_expit(scores)], axis=1)
    log_p: NDArray[np.float64] = log_softmax(scores, axis=1)
    return log_p


def _tree_scores(conditional: Conditional, features: NDArray) -> NDArray[np.float64]:
    """Return each row's sum of leaf values, shape (n, n_scores)."""
    n_scores, root = conditional["n_scores"], conditional["root"]
    successors, split = conditional["child"].ravel(), conditional["split"]
    scores = np.zeros((len(features), n_scores))
    at_once = max(1, WALKED_AT_ONCE // len(root))
    for i in range(0, len(features), at_once):
        part = features[i : i + at_once, conditional["columns"]]
        above = (part > conditional["thresholds"]).astype(np.int32)  # (rows, splits)
        row_at = (np.arange(len(part), dtype=np.int32) * above.shape[1])[:, None]
        flat = above.ravel()
        node = np.broadcast_to(root, (len(part), len(root)))
        for _ in range(conditional["depth"]):
            side = flat.take(split.take(node) + row_at)
            node = successors.take(2 * node + side)
        leaf = conditional["value"].take(node).reshape(len(part), -1, n_scores)
        scores[i : i + at_once] = leaf.sum(axis=1)
    return scores


# ---- any classifier ---------------------------------------------------------------------------


def fit_estimator(task: Task, estimator: Any) -> Conditional:
    """Return a fitted clone of a classifier, its own randomness and that of its parts seeded."""
    from sklearn.base import clone

    model = clone(estimator)
    unseeded = {
        name: task.seed
        for name, value in model.get_params().items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    model.set_params(**unseeded)
    try:
        model.fit(task.features.astype(np.float64), task.target)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ModelError(
            f"{type(model).__name__} could not be fitted to variable {task.variable} of the chain "
            f"({len(task.target)} rows): {error} Pass a classifier that can be fitted to such "
            'data, or estimator="logistic".'
        ) from error
    return {"family": "estimator", "model": model, "n_levels": task.n_levels}


def as_logistic(conditional: Conditional, n_levels: int) -> Conditional:
    """Return a classifier that is one sigmoid of two levels as arrays; others as they are."""
    from sklearn.linear_model import LogisticRegression

    model: Any = conditional.get("model")
    if type(model) is not LogisticRegression or n_levels != 2 or len(model.classes_) != 2:
        return conditional
    if getattr(model, "multi_class", None) == "multinomial":  # of an older scikit-learn
        return conditional
    return {
        **conditional,
        "family": "logistic",
        "columns": np.arange(model.coef_.shape[1]),
        "weights": model.coef_.T,
        "bias": model.intercept_,
    }


def _estimator_log_p(conditional: Conditional, features: NDArray) -> NDArray[np.float64]:
    model = conditional["model"]
    p = np.zeros((len(features), conditional["n_levels"]))
    if len(features):
        try:
            p[:, model.classes_] = model.predict_proba(features.astype(np.float64))
        except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            raise ModelError(
                f"{type(model).__name__}.predict_proba failed for {len(features)} rows of "
                f"{features.shape[1]} columns: {error} Pass another classifier, or mend this one."
            ) from error
    if not (p >= 0).all():  # NaN too
        raise ModelError(
            f"{type(model).__name__}.predict_proba gave {p[~(p >= 0)][0]:g}, which is no "
            "probability. Pass another classifier, or mend this one."
        )
    p[p.sum(axis=1) == 0] = 1.0  # it says nothing: every level alike
    with np.errstate(divide="ignore"):
        return np.log(p / p.sum(axis=1, keepdims=True))


# ---- a saved conditional ----------------------------------------------------------------------


def check_conditional(conditional: Conditional, n_levels: int, n_features: int) -> None:
    """Raise ValueError where arrays read from a file are no whole conditional."""
    family = conditional["family"]
    if family == "marginal":
        log_p = conditional["log_p"]
        good = log_p.shape == (n_levels,) and bool(abs(np.exp(log_p).sum() - 1) < 1e-9)
    elif family == "logistic":
        columns, weights, bias = (conditional[k] for k in ("columns", "weights", "bias"))
        n_scores = len(_separate_levels(n_levels))
        good = weights.shape == (len(columns), n_scores) and bias.shape == (n_scores,)
        good = good and np.isfinite(weights).all() and np.isfinite(bias).all()
        good = good and _within(columns, n_features)
    elif family == "trees":
        good = _are_trees(conditional, n_levels, n_features)
    else:
        good = False
    if not good:
        raise ValueError(f"a conditional of family {family!r} is broken")


def _are_trees(conditional: Conditional, n_levels: int, n_features: int) -> bool:
    n = len(conditional["value"])
    columns, thresholds = conditional["columns"], conditional["thresholds"]
    n_scores = 1 if n_levels == 2 else n_levels
    return (
        conditional["n_scores"] == n_scores
        and len(conditional["root"]) % n_scores == 0
        and 0 <= conditional["depth"] <= (n if len(columns) else 0)
        and columns.shape == thresholds.shape
        and conditional["value"].ndim == 1
        and bool(np.isfinite(thresholds).all() and np.isfinite(conditional["value"]).all())
        and conditional["child"].shape == (n, 2)
        and conditional["split"].shape == (n,)
        and _within(columns, n_features)
        and _within(conditional["child"], n, ndim=2)
        and _within(conditional["root"], n)
        and _within(conditional["split"], max(1, len(columns)))
        and _is_forest(conditional["root"], conditional["child"])
    )


def _is_forest(root: NDArray, child: NDArray) -> bool:
    """Tell whether every node is one root or one node's successor (leaves succeed themselves)."""
    inner = child[:, 0] != np.arange(len(child))
    reached = np.concatenate([root, child[inner].ravel()])
    return bool((np.bincount(reached, minlength=len(child)) == 1).all())


def _within(index: NDArray, size: int, ndim: int = 1) -> bool:
    """Tell whether an index array is of whole numbers from 0 to size - 1."""
    whole = index.ndim == ndim and index.dtype.kind == "i"
    return whole and bool(((index >= 0) & (index < size)).all())

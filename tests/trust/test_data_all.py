"""Rows B1, B2 and B67 to B71 of the catalogue of bad input: every model of the zoo."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

from ancestral import PPCA, Graph, LatentTree, LinearGaussian, PPCAMixture, TabularAutoregressive
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.base import ConditionalDensity, Density, GraphDensity
from ancestral.errors import AncestralError, DataError, ModelError
from tests.trust.guard import accepted, refused
from tests.zoo import ZOO, Entry

EVERY = pytest.mark.parametrize("entry", ZOO, ids=lambda e: e.name)


def of_kind(*kinds: type, where: Callable[[Entry], bool] = lambda entry: True) -> Any:
    """Choose the models of some face; `where` leaves out those that a row is not about."""
    chosen = [entry for entry in ZOO if isinstance(entry.make(), kinds) and where(entry)]
    return pytest.mark.parametrize("entry", chosen, ids=lambda e: e.name)


def draw(model: Any, entry: Entry, seed: Any) -> Any:
    """Return a draw as arrays that can be compared."""
    if isinstance(model, ConditionalDensity):
        return model.sample(entry.data[0], random_state=seed)
    drawn = model.sample(7, random_state=seed)
    if isinstance(model, GraphDensity):
        return np.stack([np.column_stack([g.features, g.adjacency]) for g in drawn])
    return drawn


def with_value(entry: Entry, value: Any) -> tuple[np.ndarray, str]:
    """Return the entry's rows with a value at row 3 of the last column, and that place."""
    X = entry.data[0]
    X = X.astype(object) if X.dtype.kind == "U" else np.nan_to_num(X.astype(float), nan=1.0)
    X[3, -1] = value
    return X, f"row 3, column {X.shape[1] - 1}"


# ---- not finite ----------------------------------------------------------------------------------


@of_kind(Density, ConditionalDensity)
def test_b1_nan_in_what_is_fitted(entry: Entry) -> None:
    """Refused with its place and the mend; to PPCA and trees it is a missing value."""
    X, place = with_value(entry, np.nan)
    model, rest = entry.make(), entry.data[1:]
    says = rf"X holds NaN at {place}", "[Dd]rop or (impute|recode) it"
    if isinstance(model, LatentTree):
        accepted(lambda: model.fit(X))  # a row of which one cell is unknown
        return
    if get_tags(model).input_tags.allow_nan:
        assert isinstance(model, PPCA | PPCAMixture)
        says = (says[0], "only for complete rows. Give rows with missing values to fit")
    else:
        refused(lambda: model.fit(X, *rest), *says, kind=DataError)
        if isinstance(model, ConditionalDensity):
            y = rest[0].copy()
            y[3] = np.nan
            X = entry.data[0]
            refused(lambda: model.fit(X, y), "y holds NaN at row 3; drop or impute", kind=DataError)
            fitted = entry.fit()
            refused(lambda: fitted.log_density(X, y), "y holds NaN at row 3", kind=DataError)
            X, _ = with_value(entry, np.nan)
            for call in (fitted.predict, fitted.sample, lambda X: fitted.log_density(X, *rest)):
                refused(lambda call=call: call(X), *says, kind=DataError)
    if hasattr(model, "partial_fit"):
        refused(lambda: entry.make().partial_fit(X, *rest), *says, kind=DataError)


def test_b1_nan_is_missing_to_ppca() -> None:
    """The likelihood of what is known, against the normal density of each row's known part."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 4)) * 2 + rng.normal(size=(60, 4)) + 3
    X[rng.random(X.shape) < 0.2] = np.nan
    model = accepted(lambda: PPCA(1).fit(X))
    found = accepted(lambda: model.log_density(X))
    C = model.get_covariance()
    for row, value in zip(X, found):
        k = ~np.isnan(row)
        wanted = 0.0
        if k.any():
            wanted = stats.multivariate_normal(model.mean_[k], C[np.ix_(k, k)]).logpdf(row[k])
        assert value == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    for step in (1.001, 0.999):
        nudged = copy.deepcopy(model)
        nudged.mean_ = model.mean_ * step
        assert nudged.log_density(X).sum() < found.sum()


@of_kind(DiscreteDensity)
def test_b1_nan_is_unknown_to_the_density_of_autoregressive_models(entry: Entry) -> None:
    """log p(known) is the log of the sum over every completion."""
    model = entry.fit()
    X, _ = with_value(entry, np.nan)
    found = accepted(lambda: model.log_density(X[3:4]))[0]
    known = np.array([row[:-1] == X[3, :-1] for row in entry.space.astype(X.dtype)]).all(axis=1)
    wanted = np.exp(model.log_density(entry.space[known])).sum()
    assert np.exp(found) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("missing", [np.nan, None])
def test_b1_missing_objects_are_refused_in_fit(missing: Any) -> None:
    X = np.array([[0, 1], [1, missing]], dtype=object)
    for make in (TabularAutoregressive, LinearGaussian):
        rest = () if make is TabularAutoregressive else ([1.0, 2.0],)
        says = r"X holds (None|NaN).* at row 1, column 1.*[Dd]rop"
        refused(lambda make=make, rest=rest: make().fit(X, *rest), says, kind=DataError)


@of_kind(Density, ConditionalDensity)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_b2_infinity(entry: Entry, value: float) -> None:
    X, place = with_value(entry, value)
    rest, model = entry.data[1:], entry.fit()
    says = rf"X holds {value} at {place}", "[Dd]rop or|Recode|one kind"
    calls = [entry.make().fit, model.log_density]
    calls += [getattr(entry.make(), name) for name in ("partial_fit",) if hasattr(model, name)]
    for call in calls:
        refused(lambda call=call: call(X, *rest), *says, kind=DataError)
    if rest:
        y = rest[0].copy()
        y[3] = value
        says = f"y holds {value} at row 3", "drop or clip it"
        for call in calls:
            refused(lambda call=call: call(entry.data[0], y), *says, kind=DataError)


# ---- seeds and sizes -----------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("seed", [0, 2**70, np.int64(3)])
def test_b67_a_seed_repeats_to_the_bit(entry: Entry, seed: Any) -> None:
    """And leaves the global generator alone."""
    model = entry.fit()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the one that must not move
    first, again = draw(model, entry, seed), draw(model, entry, seed)
    other = draw(model, entry, 4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    draw(model, entry, None)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@EVERY
@pytest.mark.parametrize("seed", [-1, "a", 2.5, True])
def test_b67_what_is_no_seed(entry: Entry, seed: Any) -> None:
    model = entry.fit()
    says = f"random_state must be .*got {re.escape(repr(seed))}"
    refused(lambda: draw(model, entry, seed), says)
    if "random_state" in entry.make().get_params() and not isinstance(model, PPCA):
        bad = entry.make().set_params(random_state=seed)
        if isinstance(model, GraphDensity):
            bad.set_params(solver="gradient_ascent")  # the one that draws a start
        refused(lambda: bad.fit(*entry.data), says)


@of_kind(Density, GraphDensity)
def test_b68_numbers_of_samples(entry: Entry) -> None:
    model = entry.fit()
    drawn = accepted(lambda: model.sample(0))
    if isinstance(model, GraphDensity):
        assert drawn == []
    else:
        assert drawn.shape == (0, entry.data[0].shape[1])
    for count in (-1, 2.0, True, "3", None):
        says = f"n_samples must be an integer, 0 or more; got {re.escape(repr(count))}"
        refused(lambda n=count: model.sample(n), says, kind=ModelError)
    for count in (10**9, 10**18):
        says = rf"n_samples={count} needs \d\S* GiB, over the limit of 16 GiB. Draw at most \d+ at"
        refused(lambda n=count: model.sample(n), says, kind=ModelError)


def test_b68_a_thousand_million_draws_as_counts() -> None:
    """Where rows would not fit, counts do."""
    model = TabularAutoregressive().fit([[0, 1], [1, 0], [1, 1], [1, 1]])
    rows, counts = accepted(lambda: model.sample_counts(10**9, random_state=0))
    assert counts.sum() == 10**9
    p = np.exp(model.log_density(rows))
    # four standard deviations of each count
    assert (np.abs(counts - 1e9 * p) < 4 * np.sqrt(1e9 * p * (1 - p))).all()


# ---- before fit, after fit -----------------------------------------------------------------------


def _with(method: Callable[..., Any], data: Any) -> Callable[[], Any]:
    """Return the call of a method with the data it takes, if any."""
    return partial(method, data) if signature(method).parameters else method


@EVERY
def test_b69_before_fit(entry: Entry) -> None:
    model = entry.make()
    says = f"This {type(model).__name__} instance is not fitted yet: call fit first"
    first = entry.data[0]
    calls: list[Callable[[], Any]] = [
        lambda: model.log_density(*entry.data),
        lambda: model.score(*entry.data),
        lambda: draw(model, entry, 0),
        lambda: model.save("nowhere.model"),
    ]
    for name in ("predict", "transform", "impute", "probabilities", "sample_counts"):
        if hasattr(type(model), name):
            calls.append(_with(getattr(model, name), first))
    for call in calls:
        error = refused(call, says)
        assert isinstance(error, NotFittedError)


@of_kind(Density, ConditionalDensity, where=lambda entry: entry.data[0].shape[1] > 1)
def test_b70_columns_of_a_dataframe_in_another_order(entry: Entry) -> None:
    pd = pytest.importorskip("pandas")
    X, *rest = entry.data
    names = [f"x{j}" for j in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    model = entry.make().fit(frame, *rest)
    assert list(model.feature_names_in_) == names
    turned = frame[names[::-1]]
    says = "feature names should match those that were passed during fit", "same order"
    refused(lambda: model.log_density(turned, *rest), *says, kind=DataError)
    other = frame.rename(columns={"x0": "other"})
    refused(
        lambda: model.log_density(other, *rest), "unseen at fit time:\n- other", "missing:\n- x0"
    )
    if hasattr(model, "predict"):
        refused(lambda: model.predict(turned), *says, kind=DataError)
    if isinstance(model, PPCA):
        refused(lambda: model.transform(turned), *says, kind=DataError)


def _bytes(data: Any) -> list[bytes]:
    """Return the bytes of every array that a fit is given."""
    parts = []
    for item in data:
        for part in item if isinstance(item, list) else [item]:
            arrays = [part.features, part.adjacency] if isinstance(part, Graph) else [part]
            parts += [np.asarray(array).tobytes() for array in arrays]
    return parts


@EVERY
def test_b71_inputs_are_left_as_they_are(entry: Entry) -> None:
    """Byte by byte; memory that must not be written to is read all the same."""
    data = copy.deepcopy(entry.data)
    before = _bytes(data)
    for item in data:
        for part in [item] if isinstance(item, np.ndarray) else [g.features for g in item]:
            part.flags.writeable = False
    model = entry.make().fit(*data)
    model.log_density(*data)
    model.score(*data)
    for name in ("predict", "transform", "impute"):
        if hasattr(model, name):
            try:
                getattr(model, name)(data[0])
            except AncestralError:
                continue
    assert _bytes(data) == before


def test_masked_values_are_missing_and_never_read() -> None:
    rng = np.random.default_rng(0)
    rows = np.ma.array(rng.normal(size=(30, 3)), mask=rng.random((30, 3)) < 0.1)
    gaps = rows.filled(np.nan)
    np.testing.assert_array_equal(PPCA(1).fit(rows).mean_, PPCA(1).fit(gaps).mean_)
    y = rng.normal(size=30)
    refused(lambda: LinearGaussian().fit(rows, y), "X holds NaN at row", kind=DataError)
    masked = np.ma.array(y, mask=y > 1)
    refused(
        lambda: LinearGaussian().fit(gaps * 0 + 1, masked), "y holds NaN at row", kind=DataError
    )


def test_two_columns_of_one_name_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.eye(3), columns=list("aba"))
    for model in (PPCA(1), TabularAutoregressive()):
        refused(lambda m=model: m.fit(frame), "more than one column named 'a'", kind=DataError)


def test_t4_integers_that_float64_would_round_are_refused() -> None:
    counts = np.arange(12).reshape(4, 3)
    says = "X holds 1152921504606846976 at row 0, column 0", "subtract an offset"
    refused(lambda: PPCA(1).fit(counts + 2**60), *says, kind=DataError)
    refused(lambda: PPCA(1).fit(counts * 2**55), "at row 0, column 1", kind=DataError)
    accepted(lambda: PPCA(1).fit(counts[:, :2] ** 2 * 2**45))

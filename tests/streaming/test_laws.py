"""Every model that is trained from parts: the model of `fit`, however they are cut and given.

One law for the whole catalogue; what cannot be trained so refuses, and says why.
"""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ancestral.base import ConditionalDensity, FromBatches, FromParts, FromStatistics, Model
from ancestral.errors import DataError, ModelError
from ancestral.streaming import fit_chunks, fit_dask
from tests.streaming.test_streaming import cut
from tests.trust.guard import refused
from tests.zoo import ZOO, Entry

IN_PARTS = [entry for entry in ZOO if isinstance(entry.make(), FromParts)]
SPREAD = [entry for entry in IN_PARTS if not isinstance(entry.make(), FromBatches)]
EVERY = pytest.mark.parametrize("entry", IN_PARTS, ids=lambda entry: entry.name)
EVERY_SPREAD = pytest.mark.parametrize("entry", SPREAD, ids=lambda entry: entry.name)


def needed(entry: Entry) -> None:
    if entry.extra is not None:
        pytest.importorskip(entry.extra, reason=f"{entry.name} needs {entry.extra}")


def plain(value: Any) -> Any:
    """What was learnt, without models: those inside as dicts, too."""
    if isinstance(value, Model):
        return {name: plain(one) for name, one in value._fitted_state().items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def log_density(model: Any, entry: Entry) -> Any:
    return np.asarray(model.log_density(*entry.data))


@EVERY
@settings(max_examples=3, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=6))
def test_parts_give_the_model_of_fit(entry: Entry, places: list[int]) -> None:
    """Closed forms to 1e-9 in the worst row; passes to 1e-8 in their sum."""
    needed(entry)
    whole = entry.fit()
    found = fit_chunks(entry.make(), cut(entry, places))
    wanted = log_density(whole, entry)
    if isinstance(whole, FromStatistics) and entry.streamed:
        np.testing.assert_allclose(log_density(found, entry), wanted, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(log_density(found, entry).sum(), wanted.sum(), rtol=1e-12)
    else:
        scale = np.abs(wanted[np.isfinite(wanted)]).sum()
        assert abs(log_density(found, entry).sum() - wanted.sum()) <= 1e-8 * scale


@EVERY_SPREAD
def test_workers_give_the_bits_of_one_machine(entry: Entry) -> None:
    dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    needed(entry)
    n = len(entry.data[0])
    parts = cut(entry, [n // 5, n // 2, n // 2 + 1])
    here = fit_chunks(entry.make(), parts)
    with dask.config.set(scheduler="threads", num_workers=2):
        there = fit_dask(entry.make(), parts)
    state = plain(there)
    for name, value in plain(here).items():
        np.testing.assert_equal(state[name], value, err_msg=name)


@EVERY
def test_empty_parts_count_for_nothing_in_passes_either(entry: Entry) -> None:
    needed(entry)
    parts = cut(entry, [len(entry.data[0]) // 2])
    nothing = tuple(part[:0] for part in entry.data)
    empty = nothing[0] if len(nothing) == 1 else nothing
    found = fit_chunks(entry.make(), [empty, parts[0], empty, *parts[1:], empty])
    np.testing.assert_allclose(
        log_density(found, entry), log_density(fit_chunks(entry.make(), parts), entry), rtol=1e-9
    )
    refused(lambda: fit_chunks(entry.make(), [empty, empty]), "no chunks with rows", kind=DataError)


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_what_is_not_trained_from_parts_refuses_and_says_why(entry: Entry) -> None:
    needed(entry)
    model, data = entry.make(), list(cut(entry, []))
    if not isinstance(model, FromParts):
        refused(lambda: fit_chunks(model, data), "needs all|all rows at once", kind=ModelError)
        refused(lambda: fit_dask(model, data), "needs all|all rows at once", kind=ModelError)
    elif isinstance(model, FromBatches):
        refused(lambda: fit_dask(model, data), "steps, one after another", kind=ModelError)
    elif not isinstance(model, FromStatistics):
        refused(lambda: fit_chunks(model, iter(data)), "read only once", kind=DataError)


@EVERY_SPREAD
def test_what_travels_can_be_pickled(entry: Entry) -> None:
    needed(entry)
    model = entry.make()
    assert type(pickle.loads(pickle.dumps(model))) is type(model)


@EVERY
def test_weights_are_those_of_fit_or_refused(entry: Entry) -> None:
    needed(entry)
    model, (X, *y), n = entry.make(), entry.data, len(entry.data[0])
    weights = np.random.default_rng(0).integers(1, 3, n).astype(float)
    weights[1] = 0.0 if n > 10 else 1.0
    parts = [
        (X[a:b], y[0][a:b] if y else None, weights[a:b]) for a, b in ((0, n // 3), (n // 3, n))
    ]
    taken = set(inspect.signature(model.fit).parameters) & {"sample_weight", "frequencies"}
    if isinstance(model, ConditionalDensity):  # where signatures may not tell
        taken = {"sample_weight"}
    if not taken:
        refused(lambda: fit_chunks(model, parts), "takes no weights: each (row|graph)")
        return
    whole = entry.make().fit(X, *y, **{taken.pop(): weights})
    wanted, found = (log_density(one, entry) for one in (whole, fit_chunks(model, parts)))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)

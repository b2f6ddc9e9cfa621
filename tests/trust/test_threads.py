"""The number of threads, and the rows that stand beside a row, change no answer.

A closed form computed by two threads adds up in another order than by one: the law is 1e-10 of the
size of what is compared. (A fit by iteration ends within its own tolerance of the maximum, on any
number of threads: that is its law.) Scores of networks and chains are computed on one thread, in
blocks of one shape: the law is equality, to the bit, for any number of threads and any batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from ancestral import PPCA, LinearGaussian
from tests.zoo import ZOO, Entry

Note = Callable[[str, str], None]
THREADS = 1e-10
ON_THE_WAY = {"history_", "n_iter_", "condition_number_"}  # of the fit, not what was fitted

rng = np.random.default_rng(0)
TALL = rng.normal(size=(4000, 20)) @ rng.normal(size=(20, 300)) + rng.normal(size=(4000, 300))
WIDE = np.hstack([TALL[:200], rng.normal(size=(200, 700))])
GAPS = np.where(rng.random((1000, 60)) < 0.2, np.nan, TALL[:1000, :60])
HALF = TALL[:, :150]
FEW = TALL[:, :60]
TARGET = TALL @ rng.normal(size=300) / 20 + rng.normal(size=4000)
TARGETS = np.column_stack([TARGET, TALL[:, :3] @ np.ones(3) + rng.normal(size=4000)])
WEIGHTS = rng.uniform(0.1, 2.0, size=4000)


def in_halves(model: Any, *data: np.ndarray) -> Any:
    for part in (slice(2000), slice(2000, None)):
        model.partial_fit(*(values[part] for values in data))
    return model


FITS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "ppca, 4000 x 300": (lambda: PPCA(20).fit(TALL), lambda m: m.log_density(TALL)),
    "ppca, 200 x 1000": (lambda: PPCA(20).fit(WIDE), lambda m: m.log_density(WIDE)),
    "ppca by chunks": (lambda: in_halves(PPCA(20), TALL), lambda m: m.transform(TALL)),
    "ppca by bic": (lambda: PPCA("bic").fit(FEW), lambda m: m.log_density(FEW)),
    "ppca with gaps": (lambda: PPCA(5).fit(GAPS), lambda m: m.log_density(GAPS)),
    "weighted line": (
        lambda: LinearGaussian().fit(HALF, TARGET, WEIGHTS),
        lambda m: m.robust_standard_errors(HALF, TARGET, WEIGHTS),
    ),
    "line by chunks": (
        lambda: in_halves(LinearGaussian(), HALF, TARGET),
        lambda m: m.prediction_interval(HALF),
    ),
    "lines of two targets": (
        lambda: LinearGaussian().fit(HALF, TARGETS),
        lambda m: m.log_density(HALF, TARGETS),
    ),
    "parabolas": (lambda: LinearGaussian(degree=2).fit(FEW, TARGET), lambda m: m.predict(FEW)),
}


def on_threads(n: int, compute: Callable[[], Any]) -> Any:
    """Return what is computed by so many threads of each library of linear algebra."""
    controller = ThreadpoolController()
    with controller.limit(limits=n):
        counts = {c["num_threads"] for c in controller.select(user_api="blas").info()}
        if counts != {n}:
            pytest.skip(f"the linear algebra library runs on {counts} threads, whatever is asked")
        return compute()


def numbers(answer: Any) -> list[np.ndarray]:
    """Return the arrays of real numbers in an answer."""
    if isinstance(answer, dict):
        answer = [answer[name] for name in sorted(answer)]
    if isinstance(answer, list | tuple):
        return [array for part in answer for array in numbers(part)]
    return [np.asarray(answer, dtype=np.float64)]


@pytest.mark.parametrize("name", FITS)
def test_closed_forms_are_those_of_one_thread(name: str, note: Note) -> None:
    fit, use = FITS[name]

    def answer() -> list[np.ndarray]:
        model = fit()
        state = {k: v for k, v in model._fitted_state().items() if k not in ON_THE_WAY}
        return numbers([state, use(model)])

    one, two = (on_threads(n, answer) for n in (1, 2))
    gaps = [np.abs(a - b).max() / np.abs(a).max() for a, b in zip(one, two, strict=True) if a.any()]
    note(f"threads: {name}", f"{max(gaps):.1e} between 1 and 2")
    assert max(gaps) <= THREADS


BY_ROW = [
    entry
    for entry in ZOO
    if type(entry.make()).__name__
    in ("TabularAutoregressive", "LSTMAutoregressive", "ChainAutoregressive", "NeuralGaussian")
]


AS_IN_ZOO = [(entry, {}) for entry in BY_ROW]
# Products of 64 rows large enough to be dealt to threads.
WIDE_LAYERS = [
    (entry, {"hidden_size": 256, "max_steps": 1})
    for entry in BY_ROW
    if hasattr(entry.make(), "hidden_size")
]


@pytest.mark.parametrize(
    ("entry", "parameters"),
    AS_IN_ZOO + WIDE_LAYERS,
    ids=lambda v: v.name if isinstance(v, Entry) else "wide" if v else "as it is",
)
def test_scores_keep_their_bits_on_any_threads_and_in_any_batch(
    entry: Entry, parameters: dict[str, int]
) -> None:
    model = entry.make().set_params(**parameters).fit(*entry.data)
    many = [np.concatenate([part] * 3)[:150] for part in entry.data]
    whole, again = (on_threads(n, lambda: model.log_density(*many)) for n in (1, 2))
    np.testing.assert_array_equal(again, whole)
    for rows in (1, 7, 63, 65):
        parts = [slice(i, i + rows) for i in range(0, len(whole), rows)]
        scores = [model.log_density(*(values[part] for values in many)) for part in parts]
        np.testing.assert_array_equal(np.concatenate(scores), whole)


@pytest.mark.parametrize("entry", BY_ROW, ids=lambda e: e.name)
def test_scores_are_float64(entry: Entry) -> None:
    assert entry.fit().log_density(*entry.data).dtype == np.float64

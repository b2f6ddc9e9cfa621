"""A model that some threads read while others refit it: each reader sees one whole model.

What a race would show once in thousands of calls is made to happen here: whenever a method has read
a value of its model, another whole fit is put in place, and the answer must be that of the old
model or of the new one.
"""

from __future__ import annotations

import copy
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from ancestral import (
    PPCA,
    AncestralError,
    DyadicGraph,
    Graph,
    InnerProductGraph,
    LatentPositionGraph,
    LatentTree,
    LinearGaussian,
    PPCAMixture,
    TabularAutoregressive,
    model_file,
)
from ancestral.base import (
    ConditionalDensity,
    Density,
    FromStatistics,
    GraphDensity,
    Model,
    lock_of,
)
from tests.conftest import PATIENCE
from tests.test_contract import ways_to_fit
from tests.zoo import ZOO, Entry

EVERY = pytest.mark.parametrize("entry", ZOO, ids=lambda e: e.name)
STREAMED = [e for e in ZOO if isinstance(e.make(), FromStatistics) and e.streamed]
SEED = {"random_state": 0}

Read = Callable[[Any, "Entry"], Any]


def features(entry: Entry) -> np.ndarray:
    return np.asarray(entry.data[0][0].features)


# How each public method is called; what is no plain value is made one.
CALLS: dict[str, Read] = {
    "clustered_standard_errors": lambda m, e: m.clustered_standard_errors(*e.data),
    "compress": lambda m, e: m.compress(e.data[0]),
    "confidence_interval": lambda m, e: m.confidence_interval(e.data[0]),
    "confidence_intervals": lambda m, e: m.confidence_intervals(*e.data),
    "decode": lambda m, e: m.decode(np.ones((2, e.fit().n_components_))),
    "decompress": lambda m, e: m.decompress(e.fit().compress(e.data[0])),
    "aligned_positions": lambda m, e: m.aligned_positions(np.ones((4, 1))),
    "bootstrap": lambda m, e: m.bootstrap(*e.data, 5, random_state=0),
    "every_d": lambda m, e: vars(m.every_d(np.nan_to_num(e.data[0]))),
    "impute": lambda m, e: m.impute(with_gap(e)),
    "impute_covariance": lambda m, e: m.impute_covariance(with_gap(e)[0]),
    "impute_draws": lambda m, e: m.impute_draws(with_gap(e), 2, **SEED),
    "inverse_transform": lambda m, e: m.inverse_transform(np.ones((2, e.fit().n_components_))),
    "likelihood_ratio_test": lambda m, e: vars(m.likelihood_ratio_test(with_fewer_terms(e))),
    "log_evidence": lambda m, e: m.log_evidence(with_gap(e), n_particles=16, **SEED),
    "marginals": lambda m, e: m.marginals(with_gap(e)),
    "mahalanobis": lambda m, e: m.mahalanobis(with_gap(e)),
    "most_probable": lambda m, e: m.most_probable(3),
    "outliers": lambda m, e: m.outliers(with_gap(e), 0.5),
    "pair_statistics": lambda m, e: m.pair_statistics(*e.data).gradient(0.5, -0.5),
    "place": lambda m, e: vars(m.place(np.ones((1, 4)), l2=1.0)),
    "posterior_covariance": lambda m, e: m.posterior_covariance(),
    "posterior_mean": lambda m, e: m.posterior_mean(e.data[0]),
    "predict": lambda m, e: m.predict(e.data[0], return_std=True),
    "predict_proba": lambda m, e: m.predict_proba(e.data[0]),
    "prediction_interval": lambda m, e: m.prediction_interval(e.data[0]),
    "reconstruct": lambda m, e: m.reconstruct(e.data[0]),
    "responsibilities": lambda m, e: m.responsibilities(e.data[0]),
    "sample_counts": lambda m, e: m.sample_counts(50, **SEED),
    "save": lambda m, e: saved(m),
    "score_samples": lambda m, e: m.score_samples(e.data[0]),
    "start": lambda m, e: plain(m.start(2)),
    "step": lambda m, e: m.step(e.make().fit(*e.data).start(2), None)[1],
    "tables_": lambda m, e: plain(m.tables_),
    "take": lambda m, e: plain(m.take(e.fit().start(2), np.array([0]))),
    "to_torch": lambda m, e: {k: v.numpy() for k, v in m.to_torch().state_dict().items()},
    "transform": lambda m, e: m.transform(e.data[0]),
    "traverse": lambda m, e: m.traverse(np.nan_to_num(e.data[0][0]), 0, [0.0, 1.0]),
}
BY_FACE: dict[tuple[str, type], Read] = {
    ("predict", PPCAMixture): lambda m, e: m.predict(e.data[0]),
    ("predict_edges", GraphDensity): lambda m, e: m.predict_edges(
        e.data[0][0], pairs="all"
    ).to_numpy(),
    ("probabilities", DyadicGraph): lambda m, e: m.probabilities(e.data[0][0]),
    ("probabilities", InnerProductGraph): lambda m, e: m.probabilities(features(e)),
    ("probabilities", LatentPositionGraph): lambda m, e: m.probabilities(),
    ("intervals", LatentTree): lambda m, e: m.intervals(with_gap(e), 0.5),
    ("log_evidence", LatentTree): lambda m, e: m.log_evidence(with_gap(e)[0]),
    ("mean_and_covariance", LatentTree): lambda m, e: m.mean_and_covariance(with_gap(e)[0]),
    ("most_probable", LatentTree): lambda m, e: m.most_probable(with_gap(e)[0]),
    ("surprise", LatentTree): lambda m, e: m.surprise(with_gap(e)),
    ("sample", ConditionalDensity): lambda m, e: m.sample(e.data[0], **SEED),
    ("sample", GraphDensity): lambda m, e: [plain(g) for g in m.sample(2, **SEED)],
    ("sample", Model): lambda m, e: m.sample(20, **SEED),
    ("sample given", Density): lambda m, e: m.sample(5, given=with_gap(e)[0], **SEED),
    ("posterior_covariance of rows", Density): lambda m, e: m.posterior_covariance(with_gap(e)),
}
ON_DATA = {"aic", "bic", "log_density", "robust_standard_errors", "score"}
OF_NOTHING = {
    "coefficient_intervals",
    "get_covariance",
    "get_feature_names_out",
    "get_precision",
    "mutual_information",
    "summary",
    "to_tables",
    "variance_intervals",
}


def with_gap(entry: Entry) -> np.ndarray:
    rows = np.array(entry.data[0][:3], dtype=object)
    rows[:, -1] = np.nan
    return rows if isinstance(rows[0, 0], str) else rows.astype(float)


def with_fewer_terms(entry: Entry) -> Any:
    """Return a model of the same graphs without its last term."""
    model = entry.make()
    return model.set_params(terms=model.terms[:-1]).fit(*entry.data)


def saved(model: Any) -> Any:
    """Return what a saved file holds: its bytes differ from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        header, arrays = model_file._read_checked(model.save(Path(folder) / "model"))
    return [header["document"], header["data_fingerprint"], arrays]


def plain(value: Any) -> Any:
    """Return an object's values by name."""
    if isinstance(value, Graph):
        return [value.features, value.adjacency]
    return {k: plain(v) for k, v in vars(value).items()} if hasattr(value, "__dict__") else value


def public(cls: type) -> Iterator[str]:
    """Yield the methods and properties of a model that read it."""
    for name in dir(cls):
        member = getattr(cls, name)
        fits = name.startswith(("_", "fit", "partial_fit", "set_", "get_params", "get_metadata"))
        made = name in ("from_tables", "with_latent_positions")
        if not fits and not made and (callable(member) or isinstance(member, property)):
            yield name
            variants = [of for of, face in BY_FACE if issubclass(cls, face)]
            yield from (of for of in variants if of.startswith(f"{name} "))


def call_of(name: str, cls: type) -> Read:
    """Return how a method is called: a new one has to be entered above."""
    if isinstance(getattr(cls, name, None), property) and name not in CALLS:
        return lambda m, e: getattr(m, name)
    if name in ON_DATA:
        return lambda m, e: getattr(m, name)(*e.data)
    if name in OF_NOTHING:
        return lambda m, e: getattr(m, name)()
    faces = [read for (of, face), read in BY_FACE.items() if of == name and issubclass(cls, face)]
    return faces[0] if faces else CALLS[name]


def outcome(read: Read, model: Any, entry: Entry) -> Any:
    """Return the answer, or the error."""
    try:
        return read(model, entry)
    except AncestralError as error:
        return type(error).__name__, str(error)


def alike(a: Any, b: Any) -> bool:
    """Tell whether two answers are one, to the bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, np.ndarray) and a.dtype.kind in "fc":
        return np.array_equal(a, b, equal_nan=True)
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (np.isnan(a) and np.isnan(b))
    return bool(np.array_equal(a, b))


@contextmanager
def refitted_after(reads: int, model: Any, state: dict[str, Any]) -> Iterator[list[int]]:
    """Put another state in a model's place once so many of its values were read; count them."""
    count = [0]

    def get(self: Any, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if not name.startswith("__") and name in object.__getattribute__(self, "__dict__"):
            count[0] += 1
            if count[0] == reads:
                object.__setattr__(model, "__dict__", dict(state))
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "__getattribute__", get, raising=False)
        yield count


def other_fit(entry: Entry) -> Any:
    return entry.make().fit(*(part[3:] for part in entry.data))


@pytest.mark.filterwarnings("ignore")
@EVERY
def test_t12_every_method_answers_for_one_model(entry: Entry) -> None:
    old, new = entry.fit(), other_fit(entry)
    state = dict(vars(new))
    for name in public(type(old)):
        read = call_of(name, type(old))
        answers = [outcome(read, old, entry), outcome(read, new, entry)]
        with refitted_after(0, old, state) as count:
            outcome(read, copy.copy(old), entry)
        for moment in sorted({1, 2, 3, count[0] // 2, count[0] - 1} & {*range(1, count[0])}):
            model = copy.copy(old)
            with refitted_after(moment, model, state):
                found = outcome(read, model, entry)
            assert any(alike(found, answer) for answer in answers), (name, moment)


def test_names_of_columns_are_of_the_model_that_transformed() -> None:
    X = np.random.default_rng(0).normal(size=(20, 4))
    old, new = (PPCA(q).set_output(transform="pandas").fit(X) for q in (1, 3))
    with refitted_after(0, old, vars(new)) as count:
        old.transform(X)
    for moment in range(1, count[0]):
        model = copy.copy(old)
        with refitted_after(moment, model, vars(new)):
            assert list(model.transform(X).columns) == ["ppca0"]


@pytest.mark.filterwarnings("ignore:partial_fit starts anew")
@EVERY
def test_t12_a_model_is_the_old_one_until_its_fit_is_whole(entry: Entry) -> None:
    for fit in ways_to_fit(entry):
        model = entry.fit()
        before, held = vars(model), dict(vars(model))
        seen = []

        def note(self: Any, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)
            if name != "__dict__":  # which puts the whole in place
                seen.append(vars(model) is before and before == held)  # noqa: B023 - in this turn

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Model, "__setattr__", note, raising=False)
            fit(model, tuple(part[3:] for part in entry.data))
        assert seen and all(seen)
        assert vars(model) is not before and before == held
        np.testing.assert_allclose(
            model.log_density(*entry.data), other_fit(entry).log_density(*entry.data), rtol=1e-9
        )


# ---- threads ------------------------------------------------------------------------------------


@pytest.fixture
def short_turns() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("short_turns")
def test_t12_readers_beside_a_thread_that_refits() -> None:
    X = np.random.default_rng(0).normal(size=(2, 40, 4)) * [[[1.0]], [[5.0]]]
    model = PPCA(2).fit(X[0])
    right = [PPCA(2).fit(rows).log_density(X[0]) for rows in X]
    ended = threading.Event()

    def refit() -> None:
        try:
            for turn in range(150):
                model.fit(X[turn % 2])
        finally:
            ended.set()

    def read() -> list[bool]:
        found = []
        while not ended.is_set():
            answer = model.log_density(X[0])
            found.append(any(np.array_equal(answer, one) for one in right))
        return found

    with ThreadPoolExecutor(3) as pool:
        writer, readers = pool.submit(refit), [pool.submit(read) for _ in range(2)]
        writer.result(PATIENCE)
        found = [ok for reader in readers for ok in reader.result(PATIENCE)]
    assert found and all(found)


@pytest.mark.filterwarnings("ignore")  # of chunks so small
@pytest.mark.usefixtures("short_turns")
@pytest.mark.parametrize("entry", STREAMED, ids=lambda e: e.name)
def test_t12_chunks_of_many_threads_count(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inside, most = entry.make(), [0], [0]
    statistics = type(model)._statistics

    def slowly(self: Any, *data: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.001)  # time for others to come in
        found = statistics(self, *data)
        inside[0] -= 1
        return found

    monkeypatch.setattr(type(model), "_statistics", slowly)
    n = len(entry.data[0])
    parts = [tuple(part[i : i + 5] for part in entry.data) for i in range(0, n, 5)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda chunk: model.partial_fit(*chunk), parts))
    assert most == [1]
    monkeypatch.undo()
    wanted = entry.fit().log_density(*entry.data)
    np.testing.assert_allclose(model.log_density(*entry.data), wanted, rtol=1e-8, atol=1e-8)


def test_of_fits_at_one_time_the_last_to_end_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).normal(size=(2, 30, 3))
    wanted = [vars(PPCA(1).fit(rows)) for rows in X]
    model, other_has_ended = PPCA(1), threading.Event()
    fit = PPCA._fit

    def waiting(self: Any, rows: Any, **kept: Any) -> None:
        fit(self, rows, **kept)
        if rows[0, 0] == X[0, 0, 0]:
            assert other_has_ended.wait(PATIENCE)

    monkeypatch.setattr(PPCA, "_fit", waiting)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(model.fit, X[0])
        try:
            model.fit(X[1])
            assert alike(vars(model), wanted[1])
        finally:
            other_has_ended.set()
        first.result(PATIENCE)
    assert alike(vars(model), wanted[0])


def test_copies_hold_no_lock() -> None:
    X = np.eye(4, dtype=int)
    model = TabularAutoregressive().partial_fit(X)
    with lock_of(model), ThreadPoolExecutor(1) as pool:
        copies = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        for other in [*copies, clone(model)]:
            pool.submit(other.partial_fit, X).result(PATIENCE)
    assert all(other.log_density(X) == pytest.approx(model.log_density(X)) for other in copies)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    X = np.eye(4, dtype=int)
    model = TabularAutoregressive().partial_fit(X)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock_of(model):
            held.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    child = os.fork()
    if not child:
        model.partial_fit(X)
        os._exit(0)
    try:
        deadline = time.monotonic() + PATIENCE
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert ended == (child, 0)
    finally:
        done.set()
        thread.join()


# ---- what others write --------------------------------------------------------------------------


class Shifted(LinearGaussian):
    """A user's model: its own method fits, and one of ours is replaced."""

    def fit_shifted(self, X: Any, y: Any) -> Any:
        return self.tuned(X, y)

    def tuned(self, X: Any, y: Any) -> Any:
        self.fit(X, y)
        self.shift_ = 1.0
        return self

    def predict(self, X: Any, *args: Any, **kwargs: Any) -> Any:
        return super().predict(X, *args, **kwargs) + self.shift_


def test_methods_of_subclasses_elsewhere_read_and_fit() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    model = Shifted()
    assert model.fit_shifted(X, y) is model
    wanted = LinearGaussian().fit(X, y).predict(X) + 1
    np.testing.assert_array_equal(model.predict(X), wanted)
    state = vars(Shifted().fit(X, -y)) | {"shift_": 100.0}
    old = copy.copy(model)
    for moment in range(1, 8):
        other = copy.copy(old)
        with refitted_after(moment, other, state):
            np.testing.assert_array_equal(other.predict(X), wanted)


def test_a_fit_starts_from_nothing_that_was_learnt() -> None:
    X = np.random.default_rng(0).normal(size=(30, 4))
    model = PPCA("cv", standardize=True, random_state=0).fit(X)
    model.set_params(n_components=1, standardize=False).fit(X)
    assert vars(model).keys() == vars(PPCA(1).fit(X)).keys() | {"_drawn"}


class Scaled(PPCA):
    """A subclass that learns something beside the fit, as scikit-learn's users write it."""

    def __init__(self, n_components: Any = None) -> None:
        super().__init__(n_components)
        self.calls_ = 0

    def fit(self, X: Any, y: Any = None) -> Any:
        self.calls_ += 1
        self.scale_of_all_ = float(np.std(X))
        return super().fit(X / self.scale_of_all_)


def test_what_a_subclass_learns_beside_the_fit_stays() -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = Scaled(1).fit(X).fit(2 * X)
    assert model.calls_ == 2 and model.scale_of_all_ == pytest.approx(2 * np.std(X))
    assert alike(vars(PPCA(1).fit(X / np.std(X)))["mean_"], model.mean_)


@pytest.mark.filterwarnings("error:partial_fit starts anew")
def test_what_a_subclass_learns_beside_chunks_is_no_earlier_fit() -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = Scaled(1).partial_fit(X[:15]).partial_fit(X[15:])
    assert model.calls_ == 0
    np.testing.assert_allclose(model.mean_, X.mean(axis=0), rtol=0, atol=1e-12)

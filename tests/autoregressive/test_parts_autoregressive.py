"""Tables, chains and mixtures of orders from parts: the model of all rows in memory."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ancestral import ChainAutoregressive, OrderMixture, TabularAutoregressive
from ancestral.autoregressive import gathering
from ancestral.autoregressive.gathering import Code, codes_of
from ancestral.autoregressive.levels import SeenLevels
from ancestral.errors import DataError, ModelError
from ancestral.streaming import fit_chunks, fit_dask

CUTS = [(), (60,), (1, 40, 41, 90, 110, 119)]
RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (120, 4))
WORDS = np.array(["no", "yes", "perhaps"], object)
MIXED = pd.DataFrame({
    "a": WORDS[RNG.integers(0, 3, 120)],
    "b": RNG.integers(0, 4, 120) * 7 - 9,
    "c": RNG.integers(0, 2, 120).astype(bool),
    "d": pd.Categorical(WORDS[RNG.integers(0, 2, 120)], categories=["yes", "maybe", "no"]),
})  # fmt: skip
GAPS = MIXED.assign(
    a=MIXED["a"].where(np.arange(120) % 7 != 3, None),
    b=MIXED["b"].where(np.arange(120) % 5 != 4, np.nan),
)
FRAMES: dict[str, Any] = {
    "binary": BITS,
    "floats": BITS * 2.0,
    "text": WORDS.astype(str)[RNG.integers(0, 3, (120, 3))],
    "mixed": MIXED,
}


def pieces(X: Any, edges: tuple[int, ...]) -> list[Any]:
    pairs = zip((0, *edges), (*edges, len(X)))
    return [X.iloc[a:b] if hasattr(X, "iloc") else X[a:b] for a, b in pairs]


def same_levels(one: Any, other: Any) -> bool:
    pairs = zip(one.categories_, other.categories_, strict=True)
    return all(a.dtype == b.dtype and a.tolist() == b.tolist() for a, b in pairs)


# ---- tables --------------------------------------------------------------------------------------


def same_tables(one: Any, other: Any) -> bool:
    pairs = zip(one.probabilities_, other.probabilities_, strict=True)
    return same_levels(one, other) and all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_tables_are_those_of_all_rows(name: str, edges: tuple[int, ...], smoothing: float) -> None:
    X = FRAMES[name]
    model = fit_chunks(TabularAutoregressive(smoothing), pieces(X, edges))
    whole = TabularAutoregressive(smoothing).fit(X)
    assert same_tables(model, whole)
    np.testing.assert_array_equal(model.log_density(X), whole.log_density(X))
    if name == "mixed":
        pd.testing.assert_frame_equal(
            model.sample(5, random_state=0), whole.sample(5, random_state=0)
        )


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("columns", [["a", "b", "c", "d"], ["b"], ["a", "b"]])
def test_missing_answers_are_levels_also_where_a_part_has_none(
    edges: tuple[int, ...], columns: list[str]
) -> None:
    X = GAPS[columns]
    model = fit_chunks(TabularAutoregressive(missing="level"), pieces(X, edges))
    whole = TabularAutoregressive(missing="level").fit(X)
    assert same_tables(model, whole)
    np.testing.assert_array_equal(model.log_density(X), whole.log_density(X))
    numbers = GAPS[["b"]].to_numpy(float)
    model = fit_chunks(TabularAutoregressive(missing="level"), pieces(numbers, edges))
    assert same_tables(model, TabularAutoregressive(missing="level").fit(numbers))


@pytest.mark.parametrize("edges", CUTS)
def test_declared_levels_stand_in_their_order(edges: tuple[int, ...]) -> None:
    declared = [["perhaps", "no", "yes", "never"], None, [True, False], None]
    model = fit_chunks(TabularAutoregressive(1.0, categories=declared), pieces(MIXED, edges))
    assert same_tables(model, TabularAutoregressive(1.0, categories=declared).fit(MIXED))
    with pytest.raises(DataError, match=r"part \d.*holds 'no' .*not declared"):
        fit_chunks(TabularAutoregressive(categories=[["yes"], *declared[1:]]), pieces(MIXED, edges))


# ---- mixtures of orders --------------------------------------------------------------------------


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("name", FRAMES)
def test_mixtures_of_tables_are_those_of_all_rows(name: str, edges: tuple[int, ...]) -> None:
    X = FRAMES[name]
    made = [OrderMixture(TabularAutoregressive(0.5), 3, random_state=0) for _ in range(2)]
    model, whole = fit_chunks(made[0], pieces(X, edges)), made[1].fit(X)
    assert same_levels(model, whole)
    np.testing.assert_array_equal(model.orders_, whole.orders_)
    for one, other in zip(model.members_, whole.members_, strict=True):
        assert same_tables(one, other) and one.n_features_in_ == other.n_features_in_
    np.testing.assert_array_equal(model.log_density(X), whole.log_density(X))


def test_a_mixture_looks_once_at_workers_parts() -> None:
    pytest.importorskip("dask", reason='needs Dask: pip install "ancestral[dask]"')
    made = [OrderMixture(TabularAutoregressive(), 2, random_state=0) for _ in range(2)]
    model, whole = fit_dask(made[0], pieces(MIXED, CUTS[2])), made[1].fit(MIXED)
    np.testing.assert_array_equal(model.log_density(MIXED), whole.log_density(MIXED))


def test_mixtures_of_other_members_gather_the_rows() -> None:
    made = [OrderMixture(chain(), 2, random_state=0) for _ in range(2)]
    model, whole = fit_chunks(made[0], pieces(MIXED, CUTS[1])), made[1].fit(MIXED)
    np.testing.assert_array_equal(model.log_density(MIXED), whole.log_density(MIXED))


# ---- chains --------------------------------------------------------------------------------------


def chain(**settings: Any) -> ChainAutoregressive:
    given = {"n_components": 2, "n_raced": 2, "random_state": 0} | settings
    return ChainAutoregressive("logistic", **given)


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("name", FRAMES)
def test_a_chain_is_that_of_all_rows(name: str, edges: tuple[int, ...]) -> None:
    X = FRAMES[name]
    model, whole = fit_chunks(chain(), pieces(X, edges)), chain().fit(X)
    assert same_levels(model, whole) and model.choices_ == whole.choices_
    np.testing.assert_array_equal(model.log_density(X), whole.log_density(X))


def test_workers_fit_conditionals_to_rows_that_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is an extra")
    from sklearn.naive_bayes import BernoulliNB

    from ancestral.autoregressive.chain import race

    sent = list[int]()
    pickled = race.Rows.__getstate__

    def counted(self: race.Rows) -> dict[str, Any]:
        sent.append(len(self))
        return pickled(self)

    X = np.tile(RNG.integers(0, 2, (150, 12)), (20, 1))
    monkeypatch.setattr(race.Rows, "__getstate__", counted)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = fit_dask(
            ChainAutoregressive(BernoulliNB(), random_state=0),
            pieces(X, (1000, 2000)),
            client=client,
        )
    assert len(sent) <= 2  # for each worker, not for each of the 11 conditionals
    here = ChainAutoregressive(BernoulliNB(), random_state=0).fit(X)
    np.testing.assert_array_equal(here.log_density(X), there.log_density(X))


def test_too_many_rows_for_a_chain_are_refused_with_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "MOST", 300)
    said = r"fitted to all rows at once, but 90 of them are .*LSTMAutoregressive"
    with pytest.raises(ModelError, match=said):
        fit_chunks(chain(), pieces(BITS, (60, 90)))


def test_a_chain_keeps_no_checkpoints(tmp_path: Path) -> None:
    for model in (chain(), OrderMixture(chain(), 2)):
        with pytest.raises(ModelError, match=r"keeps nothing\. Leave checkpoint= out"):
            fit_chunks(model, [BITS], checkpoint=tmp_path / "run")


# ---- the parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("edges", CUTS)
@pytest.mark.parametrize("name", FRAMES)
def test_codes_are_those_of_all_rows(name: str, edges: tuple[int, ...]) -> None:
    from ancestral.training.parts import Held, Part

    X, whole = FRAMES[name], TabularAutoregressive().fit(FRAMES[name])
    model = TabularAutoregressive()
    parts = [
        Part(model._check_part(one, None, reset=i == 0), model, i)
        for i, one in enumerate(pieces(X, edges))
    ]
    codes = codes_of(model, Held(parts))
    assert same_levels(model, whole) and codes.dtype == np.int8
    np.testing.assert_array_equal(codes, whole._encode(whole._check_rows(X, reset=False)))
    found = pickle.loads(pickle.dumps(Code("Any", 1000)))(parts[0])
    np.testing.assert_array_equal(found.parts[0][1], Code("Any", 1000)(parts[0]).parts[0][1])


def test_levels_that_were_seen_merge_in_any_order() -> None:
    tables = [np.array(rows) for rows in ([[3, 1]], [[2, 1], [2, 5]], [[3, 5], [0, 5]])]
    one = SeenLevels.of(np.concatenate(tables)).table
    for first, second, third in ((0, 1, 2), (2, 1, 0)):
        seen = [SeenLevels.of(tables[k]) for k in (first, second, third)]
        np.testing.assert_array_equal((seen[0] + seen[1] + seen[2]).table, one)
        np.testing.assert_array_equal((seen[0] + (seen[1] + seen[2])).table, one)
    np.testing.assert_array_equal(one, [[0, 1], [2, 5], [3, 1]])

"""How a tree is learnt: EM rises, weights are counts, units change nothing, parts are the whole."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import ancestral
from ancestral import AncestralError, LatentTree
from ancestral.circuit import race
from ancestral.circuit.columns import Column, learn
from ancestral.circuit.em import Joint, MixtureEM, Parameters, Priors, TreeEM
from ancestral.circuit.latent_tree import _circuit
from ancestral.circuit.learning import Batches, Learner, Member, distinct, split
from ancestral.circuit.messages import Mixture, member_log_densities
from ancestral.circuit.rows import Layout, Rows
from ancestral.circuit.starts import from_clusters, from_noise


def mixed_table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Return columns of every kind that hang together, with gaps."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    size = np.array([1.0, 4.0, 20.0])[kind] * np.exp(0.2 * rng.standard_normal(n))
    size[rng.random(n) < 0.2] = 0.0  # an atom
    table = pd.DataFrame(
        {
            "kind": np.array(["ash", "beech", "oak"])[kind],
            "size": size,
            "old": (rng.random(n) < 0.2 + 0.3 * kind).astype(int),
            "seeds": rng.poisson(1 + 2 * kind).astype(float),
            "height": 10.0 * kind + rng.standard_normal(n),
        }
    )
    for name in ("kind", "size", "seeds", "height"):
        table.loc[rng.random(n) < 0.1, name] = None
    return table


COUNTS = {"seeds": "count"}


def learner_of(table: pd.DataFrame, weights: NDArray[np.float64] | None = None) -> Learner:
    columns, rows, _ = learn(
        [table[name].to_numpy() for name in table],
        names=np.array(list(table), dtype=object),
        form=None,
        column_types=COUNTS,
        categories=None,
        weights=weights,
    )
    counts = np.ones(len(rows)) if weights is None else weights
    which, counts = distinct(rows, counts)
    rng = np.random.default_rng(0)
    return Learner(rows[which], columns, counts, Priors(1.0, 0.5), 50, rng, None)


def trees_of(learner: Learner, k: int = 3) -> tuple[list[TreeEM], list[Parameters]]:
    """Return two trees, one started by either way, in float64."""
    ems = [learner.em(learner.tree(noise), k, 0.1) for noise in (0.0, 0.5)]
    sums = from_clusters(ems[0], learner.rows, learner.weights, learner.rng)
    starts = [ems[0]._begin(sums), from_noise(ems[1], learner.rng)]
    return ems, [start.astype(np.float64) for start in starts]


# ---- the steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k", "passes"), [(240, 3, 40), (60, 8, 200)])
def test_the_objective_never_falls_over_full_passes(n: int, k: int, passes: int) -> None:
    """The likelihood with its prior rises in each pass of a mixture, up to rounding.

    Also where the rows that are added to each state, of counts among others, weigh as much as the
    rows themselves.
    """
    learner = learner_of(mixed_table(n, seed=2))
    ems, starts = trees_of(learner, k)
    em, parameters = MixtureEM(ems), Joint(np.array([0.3, 0.7]), tuple(starts))
    values = []
    for _ in range(passes):
        sums = em._statistics(learner.rows, parameters)
        values.append(em._objective(parameters, sums))
        parameters = em._update(parameters, sums)
    assert (np.diff(values) > -1e-9 * abs(values[0])).all()
    assert values[-1] > values[0] + 10


def test_the_history_of_a_fit_rises() -> None:
    model = LatentTree(3, 2, n_sweeps=2, max_iter=12, random_state=0).fit(mixed_table())
    assert len(model.history_) == 13
    assert (np.diff(model.history_) >= 0).all()
    total = float(model.log_density(mixed_table()).sum())
    assert model.log_likelihood_ == pytest.approx(total, abs=1e-3)  # its own y are float32


def test_sums_of_parts_are_those_of_the_whole() -> None:
    learner = learner_of(mixed_table())
    ems, starts = trees_of(learner)
    em, parameters = MixtureEM(ems), Joint(np.array([0.3, 0.7]), tuple(starts))
    whole = em._statistics(learner.rows, parameters)
    first, *others = [em._statistics(part, parameters) for part in learner.rows.parts(37)]
    merged = first
    for one in others:
        merged = merged + one
    assert merged.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    for own, other in zip(merged.trees, whole.trees, strict=True):
        for name in ("root", "pairs", "tables", "moments", "counts"):
            assert getattr(own, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9)


def test_training_and_queries_have_one_density() -> None:
    """What EM sums over rows is what the leaves and messages of queries say, also in float32."""
    table = mixed_table()
    learner = learner_of(table)
    ems, starts = trees_of(learner)
    codes = encoded(table, learner.columns)
    rows = Rows.of(codes, learner.columns, learner.layout, np.ones(len(codes)))
    for em, parameters in zip(ems, starts, strict=True):
        circuit = _circuit(Member(em, parameters).as_plain(), learner.columns)
        right = member_log_densities(Mixture(np.ones(1), (circuit,)), codes)[:, 0]
        assert em.log_density(rows, parameters) == pytest.approx(right, abs=1e-5)
        single = em.log_density(rows, parameters.astype(np.float32))
        assert single == pytest.approx(right, abs=1e-3)


def encoded(table: pd.DataFrame, columns: list[Column]) -> NDArray[np.float64]:
    return np.stack([c.encode(table[c.name].to_numpy()) for c in columns], axis=1)


def test_expected_counts_are_those_of_enumeration() -> None:
    """Over three binary columns: each configuration of states, weighed by its posterior."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.integers(0, 2, (30, 3)), columns=list("abc")).astype(float)
    table.iloc[3, 1] = np.nan
    columns, codes, _ = learn(
        [table[name].to_numpy() for name in table],
        names=np.array(list("abc"), dtype=object),
        form=None,
        column_types="auto",
        categories=None,
        weights=None,
    )
    learner = Learner(codes, columns, np.ones(30), Priors(1.0, 0.5), 30, rng, None)
    em = learner.em(learner.tree(0.0), 2, 0.1)
    p = from_noise(em, rng).astype(np.float64)
    found = em._statistics(learner.rows, p)
    leaves = _circuit(Member(em, p).as_plain(), columns).leaves
    root, parent = em.tree.order[0], em.tree.parent
    pairs, total = np.zeros((3, 2, 2)), 0.0
    for row in codes:
        joint = {}
        for z in itertools.product(range(2), repeat=3):
            value = p.root[z[root]]
            for i in range(3):
                value *= 1.0 if i == root else p.transitions[i][z[parent[i]], z[i]]
                value *= np.exp(leaves[i].log_density(row[[i]])[0, z[i]])
            joint[z] = value
        evidence = sum(joint.values())
        total += np.log(evidence)
        for z, value in joint.items():
            for i in range(3):
                if i != root:
                    pairs[i, z[parent[i]], z[i]] += value / evidence
    assert found.log_likelihood == pytest.approx(total, rel=1e-7)  # of float32 shares
    assert found.pairs == pytest.approx(pairs, rel=1e-6, abs=1e-9)


def test_a_step_is_the_maximum_of_what_it_maximises() -> None:
    """No nudge of the tables raises expected log p(x, z) with the prior."""
    learner = learner_of(mixed_table())
    (em, _), (start, _) = trees_of(learner)
    sums = em._statistics(learner.rows, start)
    best = em._update(start, sums)

    def gain(parameters: Parameters) -> float:
        nodes = em.tree.order[1:]
        value = float((sums.pairs[nodes] * np.log(parameters.transitions[nodes])).sum())
        real = np.ones(len(em.marginals), bool)
        real[em.layout.gaps] = False
        value += float((sums.tables[real] * np.log(parameters.tables[real])).sum())
        return value + em.log_prior(parameters)

    rng = np.random.default_rng(1)
    for size in (0.01, 0.1):
        tables = best.tables * np.exp(size * rng.standard_normal(best.tables.shape))
        starts, sizes = em.layout.starts[:-1], em.layout.sizes + 1
        tables[em.layout.gaps] = 0
        tables /= np.repeat(np.add.reduceat(tables, starts, axis=0), sizes, axis=0)
        tables[em.layout.gaps] = 1
        assert gain(replace(best, tables=tables)) < gain(best)
        moved = best.transitions * np.exp(size * rng.standard_normal(best.transitions.shape))
        moved /= moved.sum(axis=2, keepdims=True)
        assert gain(replace(best, transitions=moved)) < gain(best)


# ---- rows and weights ----------------------------------------------------------------------------


def test_batches_hold_every_row_as_often_as_its_weight_says() -> None:
    learner = learner_of(mixed_table())
    weights = np.where(np.arange(len(learner.rows)) % 3, 1.0, 40.0)
    weights[:4] = 0.25, 2.5, 7.0, 0.0
    batches = Batches(learner.rows, weights, 50, np.random.default_rng(0))
    for sweep in range(3):
        parts = list(batches(sweep))
        assert sum(float(part.weights.sum()) for part in parts) == pytest.approx(weights.sum())
        heaviest = max(float(part.weights.sum()) for part in parts)
        assert heaviest < 2 * weights.sum() / len(parts) + 2
        shift = sum(float(part.weights @ part.shift) for part in parts)
        assert shift == pytest.approx(float(weights @ learner.rows.shift), rel=1e-9)


def test_weights_are_counts_to_the_last_bit() -> None:
    """Also for a shuffled table, and a row of weight 0 is absent."""
    table, rng = mixed_table(), np.random.default_rng(5)
    weights = rng.integers(0, 4, len(table))
    repeated = table.iloc[np.repeat(np.arange(len(table)), weights)].sample(frac=1, random_state=1)
    one, two = (LatentTree(3, 2, n_sweeps=3, random_state=0) for _ in range(2))
    one.fit(table, sample_weight=weights)
    two.fit(repeated)
    rows = table[weights > 0]
    assert (one.log_density(rows) == two.log_density(rows)).all()


@pytest.mark.parametrize(("factor", "tolerance"), [(2.0**-5, 1e-9), (0.3048, 1e-3)])
def test_units_shift_the_log_density_alone(factor: float, tolerance: float) -> None:
    table = mixed_table().drop(columns="seeds")
    other = table.assign(height=table["height"] * factor, size=table["size"] * factor)
    one, two = (LatentTree(3, 2, n_sweeps=3, random_state=0).fit(t) for t in (table, other))
    atoms = one.columns_[1]["atoms"]
    assert 0.0 in atoms
    smooth = table["height"].notna().astype(int) + (
        table["size"].notna() & ~table["size"].isin(atoms)
    )
    shift = two.log_density(other) - one.log_density(table)
    assert shift == pytest.approx(-np.log(factor) * smooth.to_numpy(), abs=tolerance)


def test_a_seed_gives_the_same_model() -> None:
    table = mixed_table()
    one, two = (LatentTree(n_trees=2, n_sweeps=2, random_state=7).fit(table) for _ in range(2))
    assert (one.log_density(table) == two.log_density(table)).all()
    assert one.tried_ == two.tried_


def test_states_that_gather_rows_beat_one_state() -> None:
    """On rows that were not fitted: the columns hang together."""
    one = LatentTree(1, 1, column_types=COUNTS, random_state=0).fit(mixed_table())
    model = LatentTree(4, 2, column_types=COUNTS, random_state=0).fit(mixed_table())
    fresh = mixed_table(400, seed=1)
    assert model.score(fresh) > one.score(fresh) + 0.5


def test_an_interrupted_fit_keeps_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the first tree of the race, or within the mixture: a model, and a warning."""
    table = mixed_table()
    whole = Learner.climb
    for most in (1, 4):
        calls = itertools.count()

        def climb(self, *args, most=most, calls=calls, **kwargs):  # type: ignore[no-untyped-def]
            if next(calls) == most:
                raise KeyboardInterrupt
            return whole(self, *args, **kwargs)

        monkeypatch.setattr(Learner, "climb", climb)
        with pytest.warns(ancestral.AncestralWarning, match="interrupted"):
            model = LatentTree(3, 4, n_sweeps=2, random_state=0).fit(table)
        assert np.isfinite(model.log_density(table)).all()


def test_the_work_of_a_plan_is_bounded_by_counts() -> None:
    """Of a default fit: for 30,000 rows of 15 columns no more than of far smaller tables."""
    columns, _, _ = learn(
        [np.arange(40.0) ** 1.5 for _ in range(15)],
        names=None,
        form=None,
        column_types="auto",
        categories=None,
        weights=None,
    )
    asked = {"n_states": None, "n_trees": None, "n_sweeps": None, "max_iter": None}
    small, large = (race.plan_for(columns, np.ones(n), **asked) for n in (300, 30_000))
    assert small.work <= large.work < 90e6
    assert large.race_sweeps <= large.n_sweeps


def test_what_memory_does_not_hold_is_refused_before_it_is_taken() -> None:
    table = mixed_table(40)
    with pytest.raises(AncestralError, match="Pass n_states=") as caught:
        LatentTree(100_000, 1).fit(table)
    assert "GiB" in str(caught.value)


def test_a_layout_has_a_row_for_each_level_and_one_for_gaps() -> None:
    learner = learner_of(mixed_table())
    layout = Layout.of(learner.columns)
    assert layout.sizes.tolist()[0] == 3  # kinds of trees
    assert layout.sizes.tolist()[3] == 1  # counts
    assert (np.diff(layout.starts) == layout.sizes + 1).all()


@pytest.mark.parametrize("weight", [1e20, 1e300, 1.7e308])
def test_weights_that_no_count_is_are_refused(weight):
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(AncestralError, match="Divide the weights"):
        LatentTree(2, 1, random_state=0).fit(X, sample_weight=np.full(30, weight))


@pytest.mark.parametrize("how", ["weights of 2", "weights of 1.5", "each row twice"])
def test_no_copy_of_a_held_out_number_stays_in_the_fit(how: str) -> None:
    """Else columns that know nothing of each other are learnt by heart, in ever more states."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(300, 3)), rng.normal(size=(3000, 3))
    weights = {"weights of 2": 2.0, "weights of 1.5": 1.5}.get(how)
    model = LatentTree(n_trees=1, random_state=0)
    if weights is None:
        model.fit(np.concatenate([X, X]))
    else:
        model.fit(X, sample_weight=np.full(300, weights))
    assert model.n_states_ == 8  # the fewest that are tried
    best = max(tried["held_out"] for tried in model.tried_)
    assert abs(best - model.score(new)) < 0.4  # nats; it was 3.1


def test_rows_of_levels_are_held_out_one_by_one() -> None:
    rng, weights = np.random.default_rng(0), np.array([1000.0, 1000.0, 0.5])
    held = split(weights, 0.15, rng, np.array([True, False, True]))
    assert held[0] in (0, 1000) and 100 < held[1] < 200 and held[2] in (0, 0.5)

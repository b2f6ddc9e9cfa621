"""Fits by passes: what rises, what merges, when they stop, and how they go on where they ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, HeteroscedasticGaussian, PPCAMixture
from ancestral.errors import AncestralWarning, ModelError
from ancestral.gaussian import slopes
from ancestral.gaussian.ppca import missing_em, mixture
from ancestral.gaussian.ppca.missing_patterns import Factors, Patterns
from ancestral.training.passes import Fit, FromPasses, Passes, Sums

# ---- a model in ten lines ------------------------------------------------------------------------
from tests.gaussian.ppca.gaps import table_of


@dataclass(frozen=True)
class Waited(Sums):
    time: float


class Lifetimes(FromPasses):
    """t ~ Exponential(rate), some cut short: EM expects 1 / rate more of what had not ended."""

    def _begin(self, summary: float) -> float:
        return 1 / summary

    def _statistics(self, X: np.ndarray, parameters: float) -> Waited:
        (time, ended), rate = X.T, parameters
        log_likelihood = float((ended * np.log(rate) - rate * time).sum())
        return Waited(log_likelihood, len(X), float((time + (1 - ended) / rate).sum()))

    def _update(self, parameters: float, statistics: Waited) -> float:
        return statistics.n_observations / statistics.time


def lifetimes(n: int = 300, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = rng.exponential(2.0, size=n)
    return np.column_stack([np.minimum(time, 3.0), time < 3.0])


def climbed(X: Any, *, tol: float = 1e-12, max_iter: int = 500, model: Any = None) -> Fit:
    """Fit the toy to one table, or to a list of parts."""
    parts = X if isinstance(X, list) else [X]
    model = model or Lifetimes()
    start = Fit(model._begin(float(parts[0][:, 0].mean())))
    return Passes().climb(model, parts, start, tol=tol, max_iter=max_iter)


def test_the_toy_reaches_its_closed_form() -> None:
    """The maximum is known: ended lives over the time they and the others were seen."""
    X = lifetimes()
    found = climbed(X)
    assert found.converged
    assert found.parameters == pytest.approx(X[:, 1].sum() / X[:, 0].sum(), rel=1e-6)
    assert (np.diff(found.history) > 0).all()
    assert found.statistics.log_likelihood == found.history[-1]


# ---- every model that climbs so ------------------------------------------------------------------


def rows(n: int, d: int, q: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + 0.6 * rng.normal(size=(n, d)) + 2.0


def with_gaps(n: int = 150, d: int = 6, seed: int = 0) -> np.ndarray:
    X = rows(n, d, 2, seed)
    X[np.random.default_rng(seed + 1).random(X.shape) < 0.25] = np.nan
    return X[~np.isnan(X).all(axis=1)]


def pairs(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X @ [1.0, -2.0, 0.5] + np.exp(0.7 * X[:, 0] - 0.3 * X[:, 1]) * rng.normal(size=n)


MIXTURE = {"n_models": 2, "n_components": 1, "n_starts": 2, "random_state": 0}
TWO_KINDS = np.vstack([rows(90, 4, 1), rows(70, 4, 1, seed=5)])
MODELS = {
    "PPCA": (lambda: PPCA(2), (with_gaps(),)),
    "PPCA by held-out entries": (
        lambda: PPCA("cv", max_components=2, random_state=0),
        (with_gaps(60, 4),),
    ),
    "PPCAMixture": (lambda: PPCAMixture(**MIXTURE), (TWO_KINDS,)),
    "HeteroscedasticGaussian": (HeteroscedasticGaussian, pairs()),
}
EACH = pytest.mark.parametrize("name", MODELS)
KEPT = pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("PPCA")])


def looks_of(name: str) -> tuple[FromPasses, list[Any], Any]:
    """Return a fit by passes, its data cut into parts of one row each, and a start."""
    if name == "toy":
        return Lifetimes(), list(lifetimes(60)[:, None, :]), 0.5
    if name == "PPCA":
        X = with_gaps(60)
        parts = [Patterns.of(row[None], np.full(6, 2.0)) for row in X]
        W = np.random.default_rng(3).normal(size=(6, 2))
        em = missing_em.WithGaps(np.ones(6), floor=0.0)
        return em, parts, em._begin(Factors(np.zeros(6), W, 0.5))
    if name == "PPCAMixture":
        X = TWO_KINDS[::3]
        weights = np.linspace(0.5, 2.0, len(X))
        model = PPCAMixture(**MIXTURE)
        share = np.eye(2)[(np.arange(len(X)) > len(X) / 2).astype(int)]
        begun = mixture.Shares.of(mixture.Rows(X, weights), share, -np.inf)
        parts = [mixture.Rows(X[i : i + 1], weights[i : i + 1]) for i in range(len(X))]
        return model, parts, model._begin(begun)
    X, y = pairs(60)
    Q = np.linalg.qr(np.column_stack([np.ones(60), X]))[0]
    parts = [slopes.Rows(Q[i : i + 1], Q[i : i + 1], y[i : i + 1], first=i) for i in range(60)]
    return HeteroscedasticGaussian(), parts, slopes.Weights(Q.T @ y, Q.sum(axis=0))


def numbers_of(value: Any) -> np.ndarray:
    """Return all numbers of parameters in one row."""
    if isinstance(value, tuple):
        return np.concatenate([numbers_of(one) for one in value])
    if hasattr(value, "__dataclass_fields__"):
        names = [k for k in value.__dataclass_fields__ if k not in {"scale", "look", "came"}]
        return np.concatenate([numbers_of(getattr(value, k)) for k in names])
    return np.ravel(np.asarray(value, dtype=float))


def history_of(model: Any) -> np.ndarray:
    history = model.history_
    return np.array([row["log_likelihood"] if isinstance(row, dict) else row for row in history])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["PPCAMixture", "HeteroscedasticGaussian"])
def test_the_likelihood_rises_from_pass_to_pass(name: str, seed: int) -> None:
    X = np.vstack([rows(90, 4, 1, seed), rows(70, 4, 1, seed + 5) * [1, -1, 1, -1]])
    make, _ = MODELS[name]
    history = history_of(make().fit(X) if name == "PPCAMixture" else make().fit(*pairs(seed=seed)))
    assert (np.diff(history) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_of_known_entries_rises(seed: int) -> None:
    found = missing_em.fit(table_of(with_gaps(seed=seed)), 2, tol=1e-12, max_iter=2000)
    assert found.converged and len(found.history) > 5
    assert (np.diff(found.history) > 0).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["toy", "PPCA", "PPCAMixture", "HeteroscedasticGaussian"])
def test_sums_merge_whatever_the_split(name: str, seed: int) -> None:
    """Row by row, merged in any order and grouping: one update, and five passes, agree to 1e-8."""
    model, parts, start = looks_of(name)
    rng = np.random.default_rng(seed)
    merged = [model._statistics(part, start) for part in parts]
    while len(merged) > 1:
        i = int(rng.integers(len(merged) - 1))
        merged[i : i + 2] = [merged[i] + merged[i + 1]]
    in_order = model._statistics(parts[0], start)
    for part in parts[1:]:
        in_order = in_order + model._statistics(part, start)
    assert merged[0].log_likelihood == pytest.approx(in_order.log_likelihood, rel=1e-12)
    one, other = (numbers_of(model._update(start, sums)) for sums in (merged[0], in_order))
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    shuffled = [parts[i] for i in rng.permutation(len(parts))]
    fits = [
        Passes().climb(model, some, Fit(start), tol=0.0, max_iter=5) for some in (parts, shuffled)
    ]
    assert len(fits[0].history) == 5
    np.testing.assert_allclose(fits[0].history, fits[1].history, rtol=1e-10)
    one, other = (numbers_of(fit.parameters) for fit in fits)
    np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-8)


def test_a_table_in_parts_is_the_table_of_the_mixture() -> None:
    """The public fit and one whose passes see the rows in four parts, to 1e-9."""
    model = PPCAMixture(**MIXTURE).fit(TWO_KINDS)
    labels = model.responsibilities(TWO_KINDS)
    whole = mixture.Rows(TWO_KINDS, np.ones(len(TWO_KINDS)))
    start = Fit(model._begin(mixture.Shares.of(whole, labels, -np.inf)))
    quarters = [mixture.Rows(part, np.ones(len(part))) for part in np.array_split(TWO_KINDS, 4)]
    found = Passes().climb(model, quarters, start, tol=1e-9, max_iter=500)
    assert found.history[-1] == pytest.approx(model.log_likelihood_, rel=1e-7)
    assert (np.diff(found.history) > 0).all()


# ---- when they stop ------------------------------------------------------------------------------


def test_the_stop_does_not_hang_on_the_number_of_rows() -> None:
    """Rows given eight times have eight times the gains, and as many observations."""
    X = lifetimes()
    once, often = climbed(X, tol=1e-6), climbed(np.tile(X, (8, 1)), tol=1e-6)
    assert len(once.history) == len(often.history)
    assert often.parameters == pytest.approx(once.parameters, rel=1e-12)


def test_ppca_with_gaps_stops_at_the_same_pass_for_eight_times_the_rows() -> None:
    X = with_gaps()
    once = missing_em.fit(table_of(X), 2, tol=1e-7, max_iter=500)
    often = missing_em.fit(table_of(np.tile(X, (8, 1))), 2, tol=1e-7, max_iter=500)
    assert len(once.history) == len(often.history)
    np.testing.assert_allclose(often.factors.noise, once.factors.noise, rtol=1e-8)


def test_the_stop_does_not_hang_on_units() -> None:
    """Units a power of two apart change no digit of what a pass gains."""
    for factor in (2.0**-30, 2.0**20):
        one, other = (
            missing_em.fit(table_of(with_gaps() * size), 2, tol=1e-7, max_iter=500)
            for size in (1, factor)
        )
        assert len(one.history) == len(other.history)
        np.testing.assert_allclose(other.factors.noise, one.factors.noise * factor**2, rtol=1e-8)
        one, other = (PPCAMixture(**MIXTURE).fit(TWO_KINDS * size) for size in (1, factor))
        assert one.n_iter_ == other.n_iter_
        one, other = (
            HeteroscedasticGaussian().fit(pairs()[0] * size, pairs()[1] * size)
            for size in (1, factor)
        )
        assert one.n_iter_ == other.n_iter_


def test_a_tighter_stop_is_nearer_the_maximum() -> None:
    best = climbed(lifetimes(), tol=0.0).history[-1]
    for tol in (1e-3, 1e-5, 1e-7):
        found = climbed(lifetimes(), tol=tol)
        assert found.converged
        assert 0 <= best - found.history[-1] <= tol * 300


@pytest.mark.parametrize(
    ("make", "data", "short"),
    [
        (lambda: PPCA(2, max_iter=3), (with_gaps(),), "nats per known entry"),
        (lambda: PPCAMixture(**MIXTURE, max_iter=3), (TWO_KINDS,), "nats per row"),
        (lambda: HeteroscedasticGaussian(max_iter=3), pairs(), "standard errors from the maximum"),
    ],
)
def test_the_limit_is_said_in_one_wording(make: Any, data: tuple, short: str) -> None:
    said = rf"^the fit stopped after max_iter=3 steps, .* ?{short}\. Raise max_iter"
    with pytest.warns(AncestralWarning, match=said) as caught:
        make().fit(*data)
    assert len(caught) == 1


@pytest.mark.parametrize("far", [4.0, -1.0, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_update_that_lowers_the_likelihood_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, far: float
) -> None:
    """By more than rounding: it is said, and the best parameters are kept."""
    model, right = Lifetimes(), Lifetimes._update
    third = climbed(lifetimes(), max_iter=3)

    def wrong(self: Any, parameters: float, statistics: Waited) -> float:
        size = far if parameters == third.parameters else 1.0
        return size * right(self, parameters, statistics)

    monkeypatch.setattr(Lifetimes, "_update", wrong)
    with pytest.warns(AncestralWarning, match="fell from .* in pass 3, by more than rounding"):
        found = climbed(lifetimes(), model=model)
    assert found.parameters == third.parameters
    assert found.history == third.history


def test_what_is_maximised_may_carry_a_penalty() -> None:
    """A Gamma prior of the rate: its mode is known, and what rises is the penalised likelihood."""

    class WithPrior(Lifetimes):
        def _update(self, parameters: float, statistics: Waited) -> float:
            return (statistics.n_observations + 4) / (statistics.time + 2)

        def _objective(self, parameters: float, statistics: Waited) -> float:
            return statistics.log_likelihood + 4 * np.log(parameters) - 2 * parameters

    X = lifetimes()
    found = climbed(X, model=WithPrior())
    assert found.parameters == pytest.approx((X[:, 1].sum() + 4) / (X[:, 0].sum() + 2), rel=1e-6)
    assert (np.diff(found.history) > 0).all()


def test_a_bold_proposal_is_taken_only_where_it_rises() -> None:
    """A hundred times the plain step is not; a quarter more than it is, and gets there sooner."""

    class Bold(Lifetimes):
        def _proposals(self, parameters: float, statistics: Waited) -> Iterator[float]:
            plain = self._update(parameters, statistics)
            for times in (100, 1.25, 1):
                yield max(parameters + times * (plain - parameters), parameters / 100)

    X = lifetimes()
    plain, bold = climbed(X), climbed(X, model=Bold())
    assert (np.diff(bold.history) > 0).all()
    assert bold.parameters == pytest.approx(plain.parameters, rel=1e-6)
    assert len(bold.history) < len(plain.history)


# ---- batches, and rows held out ------------------------------------------------------------------


def test_steps_of_batches_come_near_the_maximum_before_the_first_pass() -> None:
    """Two sweeps over 50 batches: full passes then begin within 0.01 nats of a row of the end."""
    model, X = Lifetimes(), lifetimes(5000)
    batches = np.array_split(X, 50)
    cold = Fit(model._begin(100.0))
    warm = Passes().sweep(model, batches, cold, n_observations=5000, n_sweeps=2)
    late, early = (
        Passes().climb(model, [X], start, tol=1e-10, max_iter=500) for start in (cold, warm)
    )
    assert early.parameters == pytest.approx(late.parameters, rel=1e-4)
    assert early.history[-1] - early.history[0] < 0.01 * len(X)
    assert late.history[-1] - late.history[0] > 0.5 * len(X)


def test_a_batch_of_all_rows_is_a_pass() -> None:
    model, X = Lifetimes(), lifetimes()
    swept = Passes().sweep(model, [X], Fit(0.9), n_observations=300)
    assert swept.parameters == model._update(0.9, model._statistics(X, 0.9))


def test_sweeps_leave_the_sizes_of_sums_as_they_are() -> None:
    """So that a prior in the update has the weight it has in a full pass, whatever the batches."""
    seen: list[float] = []

    class Sized(Lifetimes):
        def _update(self, parameters: float, statistics: Waited) -> float:
            seen.append(statistics.n_observations)
            return super()._update(parameters, statistics)

    X = lifetimes(300)
    Passes().sweep(Sized(), np.split(X, [40, 90]), Fit(0.9), n_observations=300, n_sweeps=2)
    np.testing.assert_allclose(seen, 300, rtol=1e-12)


# ---- where they ended ----------------------------------------------------------------------------


def states(model: Any) -> dict[str, Any]:
    """Return what was fitted, bit by bit."""
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value)
        for name, value in model._fitted_state().items()
    }


class Killed(BaseException):
    pass


@KEPT
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in pass after pass until it ends; passes that were saved are not done again."""
    make, data = MODELS[name]
    wanted = states(make().fit(*data))
    looked, note = 0, Passes._note

    def dying(self: Passes, *args: Any) -> None:
        nonlocal looked
        note(self, *args)
        looked += 1
        if looked == 29:
            raise Killed

    monkeypatch.setattr(Passes, "_note", dying)
    kills, folder = 0, tmp_path / "run"
    while True:
        looked = 0
        try:
            found = make().fit(*data, checkpoint=folder, checkpoint_every=5)
            break
        except Killed:
            kills += 1
            assert kills < 200
    assert kills >= 2
    assert states(found) == wanted


KILL = """
    import os, signal, sys
    import numpy as np
    from ancestral import PPCA
    from ancestral.training.passes import Passes
    note, looked = Passes._note, 0
    def dying(self, *args):
        global looked
        note(self, *args)
        looked += 1
        if looked == 13:
            os.kill(os.getpid(), signal.SIGKILL)
    Passes._note = dying
    PPCA(2).fit(np.load(sys.argv[1]), checkpoint=sys.argv[2], checkpoint_every=4)
"""


def test_a_process_that_was_killed_leaves_what_another_goes_on_from(tmp_path: Path) -> None:
    X = with_gaps()
    np.save(tmp_path / "X.npy", X)
    folder = tmp_path / "run"
    command = [sys.executable, "-c", textwrap.dedent(KILL), tmp_path / "X.npy", folder]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (folder / "step-000000012").exists()
    assert states(PPCA(2).fit(X, checkpoint=folder)) == states(PPCA(2).fit(X))


@KEPT
def test_ctrl_c_ends_the_pass_saves_it_and_says_how_to_go_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, data = MODELS[name]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    note = Passes._note

    def interrupted(self: Passes, *args: Any) -> None:
        if self.n_passes == 6:
            signal.raise_signal(signal.SIGINT)
        note(self, *args)

    model = make()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(Passes, "_note", interrupted)
            said = r"stopped after pass 7 and saved.*fit again with checkpoint="
            with pytest.raises(KeyboardInterrupt, match=said):
                model.fit(*data, checkpoint=tmp_path / "run")
        assert not model._fitted_state().keys() - {"n_features_in_"}
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "run" / "step-000000007").exists()
    assert states(model.fit(*data, checkpoint=tmp_path / "run")) == states(make().fit(*data))


@EACH
def test_ctrl_c_without_a_folder_leaves_the_model_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, data = MODELS[name]
    model = make().fit(*data)
    was, note = states(model), Passes._note

    def interrupted(self: Passes, *args: Any) -> None:
        note(self, *args)
        if self.n_passes == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Passes, "_note", interrupted)
    other = tuple(np.flip(part, axis=0) * 2 for part in data)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*other)
    assert states(model) == was


def test_starts_drawn_afresh_are_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """random_state=None: the fit that goes on has the starts of the one that was killed."""
    drawn: list[Any] = []
    starts = mixture._starts

    def seen(*args: Any) -> Any:
        drawn.append(starts(*args))
        return drawn[-1]

    monkeypatch.setattr(mixture, "_starts", seen)
    for _ in range(2):
        model = PPCAMixture(**{**MIXTURE, "random_state": None}, max_iter=12, tol=0)
        with pytest.warns(AncestralWarning, match="max_iter=12"):
            model.fit(TWO_KINDS, checkpoint=tmp_path / "run", checkpoint_every=1)
    assert all((a == b).all() for a, b in zip(drawn[0][0], drawn[1][0], strict=True))


def test_another_fit_does_not_go_on_from_there(tmp_path: Path) -> None:
    X, folder = with_gaps(), tmp_path / "run"
    PPCA(2).fit(X, checkpoint=folder, checkpoint_every=1)
    with pytest.raises(ModelError, match=r"other n_components \(2 there, 1 now\)"):
        PPCA(1).fit(X, checkpoint=folder)
    X[0, 0] = np.nextafter(X[0, 0], np.inf) if X[0, 0] == X[0, 0] else 0.0
    with pytest.raises(ModelError, match="other data"):
        PPCA(2).fit(X, checkpoint=folder)
    with pytest.raises(ModelError, match="checkpoint_every must be"):
        PPCA(2).fit(X, checkpoint=folder, checkpoint_every=0)


# ---- what is shown -------------------------------------------------------------------------------


@KEPT
def test_passes_are_shown_where_they_are_asked_for(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, data = MODELS[name]
    make().fit(*data)
    assert capsys.readouterr() == ("", "")
    make().set_params(verbose=True).fit(*data)
    shown = capsys.readouterr()
    assert shown.out == ""
    unit = "row" if "Mixture" in name else "known entry"
    assert f"nats per {unit}" in shown.err

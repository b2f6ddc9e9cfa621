"""What the browser computes of pixels, one conditional at a time, is what Python computes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from ancestral import LSTMAutoregressive, TabularAutoregressive, datasets
from ancestral.autoregressive.conditioning import completions
from ancestral.studio import rooms

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


# ---- pixels -------------------------------------------------------------------------------------

SEARCH = """
    const model = sequence.sequenceModel(given.model, given.m);
    const { tolerance } = given;
    const search = new sequence.Completions(model, Int8Array.from(given.known), { tolerance });
    search.run();
"""


def searched(script, model, known, tolerance=0.0):
    return script(
        SEARCH
        + """
        const rows = search.rows.map(({ levels, logP, p }) => [[...levels], logP, p]);
        const { rest, logEvidence: evidence, isImpossible: impossible } = search;
        return { rows, rest, marginals: search.marginals(), evidence, impossible };
        """,
        {
            "model": rooms.pixels._sequence("", model),
            "m": model.n_features_in_,
            "known": known.tolist(),
            "tolerance": tolerance,
        },
    )


def posterior(model, known):
    """Every completion, its posterior probability, and log p of what is known."""
    rows, log_p = completions(model, known)
    total = np.logaddexp.reduce(log_p)
    return rows, np.exp(log_p - total), total


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_completions_of_tables_are_exact(script, models, rng, share):
    tables = models["Tables"]
    icons = datasets.icons()[0]
    known = np.where(rng.random(25) < share, icons[int(rng.integers(32))].astype(int), -1)
    got = searched(script, tables, known)
    rows, p, total = posterior(tables, known)
    assert got["rest"] == 0 and len(got["rows"]) == len(rows)
    assert got["evidence"]["low"] == pytest.approx(total, abs=EXACT)
    assert {tuple(r) for r, _, _ in got["rows"]} == {tuple(r) for r in rows.tolist()}
    expected = np.where(known >= 0, known, p @ rows)
    np.testing.assert_allclose([b["low"] for b in got["marginals"]], expected, atol=EXACT)
    np.testing.assert_allclose([b["high"] for b in got["marginals"]], expected, atol=EXACT)


def test_what_no_table_allows_is_said_to_be_impossible(script, models):
    known = np.full(25, -1)
    known[:5] = 1, 0, 1, 0, 0  # no icon begins so
    assert not len(completions(models["Tables"], known)[0])
    assert searched(script, models["Tables"], known)["impossible"]


def test_smoothed_tables_keep_their_unseen_prefixes(script, rng):
    """Mass on prefixes never seen is uniform from there on; against the sum over the space."""
    X = (rng.random((12, 6)) < 0.4).astype(int)
    model = TabularAutoregressive(smoothing=0.5).fit(X)
    space = np.array(list(itertools.product((0, 1), repeat=6)))
    p = np.exp(model.log_density(space))
    for _ in range(6):
        known = np.where(rng.random(6) < 0.4, rng.integers(0, 2, 6), -1)
        agree = ((space == known) | (known < 0)).all(axis=1)
        got = searched(script, model, known)
        expected = np.where(known >= 0, known, p[agree] @ space[agree] / p[agree].sum())
        np.testing.assert_allclose([b["low"] for b in got["marginals"]], expected, atol=EXACT)
        assert got["evidence"]["low"] == pytest.approx(np.log(p[agree].sum()), abs=EXACT)


def test_the_lstm_steps_as_in_python(script, models, rng):
    lstm, icons = models["LSTM"], datasets.icons()[0]
    rows = np.vstack([icons[:6], (rng.random((6, 25)) < 0.5).astype(int)])
    got = script(
        """
        const model = sequence.sequenceModel(given.model, 25);
        return given.rows.map((row) => sequence.logDensity(model, row));
        """,
        {"model": rooms.pixels._sequence("", lstm), "rows": rows.tolist()},
    )
    np.testing.assert_allclose(got, lstm.log_density(rows), atol=EXACT)


def test_completions_of_the_lstm_are_exact_when_searched_to_the_end(script, models, rng):
    lstm, icons = models["LSTM"], datasets.icons()[0]
    for _ in range(3):
        known = icons[int(rng.integers(32))].astype(int)
        known[rng.choice(25, size=7, replace=False)] = -1
        got = searched(script, lstm, known)
        rows, p, total = posterior(lstm, known)
        assert len(got["rows"]) == len(rows) == 2**7
        assert got["evidence"]["low"] == pytest.approx(total, abs=EXACT)
        expected = np.where(known >= 0, known, p @ rows)
        np.testing.assert_allclose([b["low"] for b in got["marginals"]], expected, atol=EXACT)


def test_the_certificate_holds_before_the_end(script, models, rng):
    """At any tolerance the true probabilities lie within the bounds that are shown."""
    lstm, icons = models["LSTM"], datasets.icons()[0]
    known = icons[5].astype(int)
    known[[2, 3, 7, 11, 12, 16, 18, 20, 21, 24]] = -1
    rows, p, total = posterior(lstm, known)
    for tolerance in (0.5, 0.1, 0.01):
        got = searched(script, lstm, known, tolerance)
        assert got["rest"] <= tolerance
        low = np.array([b["low"] for b in got["marginals"]])
        high = np.array([b["high"] for b in got["marginals"]])
        expected = np.where(known >= 0, known, p @ rows)
        assert (low <= expected + 1e-12).all() and (expected <= high + 1e-12).all()
        assert got["evidence"]["low"] <= total + 1e-12 <= got["evidence"]["high"] + 2e-12


@pytest.mark.parametrize("n_known", [0, 3])
def test_draws_fit_the_tables(script, rng, n_known):
    """A chi-squared test over all rows; a right sampler fails once in 10,000 seeds."""
    X = (rng.random((40, 4)) < [0.3, 0.6, 0.5, 0.8]).astype(int)
    model = TabularAutoregressive().fit(X)
    known = np.full(4, -1)
    if n_known:
        known[3] = 1
    draws = script(
        """
        const model = sequence.sequenceModel(given.model, 4);
        const search = new sequence.Completions(model, Int8Array.from(given.known));
        search.run();
        const random = new arrays.Random(5);
        const draw = () =>
          given.conditional ? sequence.drawGiven(search, random) : sequence.drawRow(model, random);
        return Array.from({ length: 4000 }, () => draw().map(({ level }) => level));
        """,
        {
            "model": rooms.pixels._sequence("", model),
            "known": known.tolist(),
            "conditional": bool(n_known),
        },
    )
    rows, p, _ = posterior(model, known)
    seen = {tuple(row): 0 for row in rows.tolist()}
    for row in draws:
        seen[tuple(row)] += 1
    expected = 4000 * p
    statistic = ((np.array(list(seen.values())) - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(1 - 1e-4, len(rows) - 1)


def test_the_page_gets_an_untrained_lstm_trained():
    """What the page asks for after the tables: an LSTM fitted to their own distribution."""
    pytest.importorskip("torch", reason="torch is an extra")
    from ancestral.studio.shelf import Shelf

    X = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]])
    shelf = Shelf(bits=("rows.npy", X))
    assert rooms.part(shelf, "pixels")["lstm_follows"]
    sent = rooms.part(shelf, "lstm")
    assert sent["floor"] == pytest.approx(np.log(3)) and sent["loss"] - sent["floor"] < 0.02
    assert sent["n_parameters"] == LSTMAutoregressive(max_steps=1).fit(X).n_parameters_

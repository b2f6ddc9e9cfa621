"""What the browser computes of pixels, one conditional at a time, is what Python computes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from ancestral import (
    ChainAutoregressive,
    LSTMAutoregressive,
    OrderMixture,
    TabularAutoregressive,
    datasets,
)
from ancestral.autoregressive.conditioning import completions
from ancestral.studio.rooms import pixels
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import told

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


# ---- pixels -------------------------------------------------------------------------------------

SEARCH = """
    const model = sequence.sequenceModel(given.model, given.known.length);
    const { tolerance } = given;
    const found = new search.Completions(model, Int8Array.from(given.known), { tolerance });
    found.run();
"""


def searched(script, model, known, tolerance=0.0):
    return script(
        SEARCH
        + """
        const rows = found.rows.map(({ levels, logP, p }) => [[...levels], logP, p]);
        const { rest, logEvidence: evidence, isImpossible: impossible } = found;
        return { rows, rest, marginals: found.marginals(), evidence, impossible };
        """,
        {
            "model": pixels._sequence("", model),
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


def log_density_in_page(script, model, rows):
    return script(
        """
        const model = sequence.sequenceModel(given.model, given.rows[0].length);
        return given.rows.map((row) => sequence.logDensity(model, row));
        """,
        {"model": pixels._sequence("", model), "rows": rows.tolist()},
    )


def test_the_lstm_steps_as_in_python(script, models, rng):
    lstm, icons = models["LSTM"], datasets.icons()[0]
    rows = np.vstack([icons[:6], (rng.random((6, 25)) < 0.5).astype(int)])
    np.testing.assert_allclose(
        log_density_in_page(script, lstm, rows), lstm.log_density(rows), atol=EXACT
    )


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


# ---- chains of classifiers, and mixtures over orders ---------------------------------------------


@pytest.fixture(scope="module")
def small(rng):
    """Rows of nine pixels that hang together, none of them by one order alone."""
    hidden = rng.random((300, 3)) < 0.5
    X = np.repeat(hidden, 3, axis=1) ^ (rng.random((300, 9)) < 0.12)
    return X[:, rng.permutation(9)].astype(int)


def of_kind(kind):
    from sklearn.linear_model import LogisticRegression

    if kind == "trees":
        pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    chains = {
        "logistic": ("logistic", {}),
        "trees": ("trees", {}),
        "marginal": ("marginal", {}),
        "scikit-learn": (LogisticRegression(), {"n_components": 0}),
    }
    if kind in chains:
        estimator, options = chains[kind]
        return ChainAutoregressive(estimator, random_state=0, **options)
    member = {
        "orders of tables": TabularAutoregressive(smoothing=0.1),
        "orders of exact tables": TabularAutoregressive(),
        "orders of chains": ChainAutoregressive("logistic", random_state=0),
    }[kind]
    return OrderMixture(member, n_orders=3, random_state=0)


KINDS = (
    "logistic", "trees", "marginal", "scikit-learn",
    "orders of tables", "orders of exact tables", "orders of chains",
)  # fmt: skip
SPACE = np.array(list(itertools.product((0, 1), repeat=9)))


@pytest.mark.parametrize("kind", KINDS)
def test_chains_and_orders_are_as_in_python(script, small, rng, kind):
    """Log densities of all rows, and the evidence and conditionals of partly known ones."""
    model = of_kind(kind).fit(small)
    log_p = model.log_density(SPACE)
    got = np.array(log_density_in_page(script, model, SPACE), float)  # null is no number here
    np.testing.assert_allclose(np.exp(got), np.exp(log_p), rtol=EXACT, atol=1e-12)
    for share in (0.0, 0.3, 0.7):
        known = np.where(rng.random(9) < share, small[int(rng.integers(300))], -1)
        agree = ((known == SPACE) | (known < 0)).all(axis=1)
        p = np.exp(log_p[agree])
        got = searched(script, model, known)
        assert got["rest"] == 0
        assert got["evidence"]["low"] == pytest.approx(np.log(p.sum()), abs=EXACT)
        expected = np.where(known >= 0, known, p @ SPACE[agree] / p.sum())
        np.testing.assert_allclose([b["low"] for b in got["marginals"]], expected, atol=EXACT)


def test_a_chain_with_a_mixture_sees_it_in_the_page(script, small):
    """The candidates that see the mixture's posterior are among those compared above."""
    assert of_kind("logistic").fit(small).mixture_ is not None


# ---- what is sent, and to whom -------------------------------------------------------------------


def test_tables_are_sent_as_their_branches(script, rng):
    """A hundred images of 20 x 20: some kilobytes in the place of 40,000 contexts."""
    X = (rng.random((100, 400)) < 0.3).astype(int)
    model = TabularAutoregressive().fit(X)
    sent = pixels._sequence("", model)
    assert sent["depth"]["shape"][0] < 2.1 * len(X) < 0.01 * model.n_contexts_
    np.testing.assert_allclose(
        log_density_in_page(script, model, X[:5]), model.log_density(X[:5]), atol=EXACT
    )
    known = np.where(np.arange(400) >= 398, X[0], -1)
    got = searched(script, model, known)
    rows, p, total = posterior(model, known)
    assert got["rest"] == 0 and got["evidence"]["low"] == pytest.approx(total, abs=EXACT)
    expected = np.where(known >= 0, known, p @ rows)
    np.testing.assert_allclose([b["low"] for b in got["marginals"]], expected, atol=EXACT)


@pytest.mark.parametrize("kind", ["tables", "logistic", "orders of tables"])
@pytest.mark.parametrize("where", [[], [0, 1], [8]])
def test_draws_fit_what_is_known(script, small, kind, where):
    """A chi-squared test over all rows; a right sampler fails once in 10,000 seeds.

    After 32 steps of a search the draws are right all the same, but where a known pixel lies ahead.
    """
    model = (TabularAutoregressive() if kind == "tables" else of_kind(kind)).fit(small)
    known = np.full(9, -1)
    known[where] = 1
    draws = script(
        """
        const model = sequence.sequenceModel(given.model, given.known.length);
        const most = given.isCut ? 1 : undefined;
        const found = new search.Completions(model, Int8Array.from(given.known), { most });
        found.run();
        if (found.doubt > 1e-12) throw new Error(`the draw is in doubt by ${found.doubt}`);
        const random = new arrays.Random(5);
        return Array.from({ length: 4000 }, () => {
          const row = [];
          for (const { i, level } of found.draw(random)) row[i] = level;
          return row;
        });
        """,
        {
            "model": pixels._sequence("", model),
            "known": known.tolist(),
            "isCut": kind == "logistic" and where != [8],
        },
    )
    agree = ((known == SPACE) | (known < 0)).all(axis=1)
    p = np.exp(model.log_density(SPACE)) * agree
    expected = 4000 * p / p.sum()
    seen = np.zeros(len(SPACE))
    np.add.at(seen, np.array(draws) @ (1 << np.arange(8, -1, -1)), 1)
    assert not seen[expected == 0].any()
    seen, expected = pooled(seen, expected)
    assert ((seen - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, len(seen) - 1)


@pytest.mark.parametrize("where", [[], [0, 1, 2]])
def test_draws_count_what_is_too_much_to_list(script, small, where):
    """Shares of 400 draws are within four standard errors of the exact conditional."""
    model = of_kind("logistic").fit(small)
    known = np.full(9, -1)
    known[where] = 1
    body = """
        const model = sequence.sequenceModel(given.model, given.known.length);
        const draws = new search.Draws(model, Int8Array.from(given.known));
        draws.run(60000);
        return { n: draws.n, can: draws.canAnswer, bounds: draws.marginals() };
    """
    sent = {"model": pixels._sequence("", model), "known": known.tolist()}
    got = script(body, sent)
    assert got["can"] and got["n"] == 400
    agree = ((known == SPACE) | (known < 0)).all(axis=1)
    p = np.exp(model.log_density(SPACE)) * agree
    expected = p @ SPACE / p.sum()
    for bound, exact in zip(got["bounds"], expected, strict=True):
        middle, two = (bound["low"] + bound["high"]) / 2, (bound["high"] - bound["low"]) / 2
        assert abs(exact - middle) <= 2 * two + 1e-12
    known[8] = 1  # ahead of what is unknown: draws would not be exact
    assert not script(body, {**sent, "known": known.tolist()})["can"]


def pooled(seen, expected, least=5.0):
    """Put rows of which few are expected together."""
    rare = expected < least
    parts = (np.append(v[~rare], v[rare].sum()) for v in (seen, expected))
    seen, expected = parts
    return (seen, expected) if expected[-1] >= least else (seen[:-1], expected[:-1])


# ---- what is shown, and why the rest is not ------------------------------------------------------


def opened(tmp_path, **files):
    """A shelf of arrays, each saved under its name."""
    shelf = Shelf()
    for name, rows in files.items():
        if isinstance(rows, str):
            (tmp_path / f"{name}.csv").write_text(rows)
            shelf.add(tmp_path / f"{name}.csv", f"{name}.csv")
        else:
            np.save(tmp_path / f"{name}.npy", rows)
            shelf.add(tmp_path / f"{name}.npy", f"{name}.npy")
    return shelf


def test_images_of_several_sizes_are_shown_side_by_side(tmp_path, rng):
    bits = {
        "small": (rng.random((30, 9)) < 0.5).astype(int),
        "wide": (rng.random((30, 4, 6)) < 0.5).astype(int),
        "large": (rng.random((300, 400)) < 0.5).astype(int),
    }
    shelf = opened(tmp_path, **bits)
    assert [one.name for one in pixels.subjects(shelf)] == ["small.npy", "wide.npy", "large.npy"]
    shapes = {name: told(shelf, "pixels", subject=f"{name}.npy")["shape"] for name in bits}
    assert shapes == {"small": (3, 3), "wide": (4, 6), "large": (20, 20)}


def test_saved_models_stand_beside_data_of_their_width(tmp_path, small, rng):
    shelf = opened(tmp_path, rows=small)
    for name, width in (("nine", 9), ("four", 4)):
        model = of_kind("orders of tables").fit(small[:, :width])
        shelf.add(model.save(tmp_path / f"{name}.model"), f"{name}.model")
    first, second = pixels.subjects(shelf)
    names = [[model["name"] for model in one.make()["models"]] for one in (first, second)]
    assert names == [["Tables", "nine"], ["four"]]
    assert [item.name for item in second.items] == ["four"] and not first.later


def test_levels_of_text_keep_their_words(tmp_path):
    shelf = opened(tmp_path, votes="a,b,c\nyes,no,no\nno,no,yes\nyes,,no\n")
    [subject] = pixels.subjects(shelf)
    sent = subject.make()
    assert sent["words"] == [["no", "yes"]] and sent["columns"] == ["a", "b", "c"]
    assert list(subject.used.values()) == ["2 of 3 rows: those without gaps"]
    people = opened(tmp_path, people="sex,smokes\nman,1\nwoman,0\nman,0\n")
    assert told(people, "pixels")["words"] == [["man", "woman"], ["off", "on"]]


def test_models_of_other_columns_stand_apart(tmp_path):
    """A pixel means the same in all models that stand side by side: its words and its name."""
    import pandas as pd

    frame = pd.DataFrame({"a": ["yes", "no", "no"], "b": ["no", "yes", "no"]})
    shelf = opened(tmp_path, votes=frame.to_csv(index=False))
    turned = TabularAutoregressive(categories=[["yes", "no"]] * 2)
    for name, model, rows in (
        ("same", TabularAutoregressive(), frame),
        ("order", TabularAutoregressive(), frame[["b", "a"]]),
        ("levels", turned, frame),
        ("more levels", turned, frame),
    ):
        shelf.add(model.fit(rows).save(tmp_path / f"{name}.model"), f"{name}.model")
    names = [[item.name for item in one.items] for one in pixels.subjects(shelf)]
    assert names == [["votes.csv", "same"], ["order"], ["levels", "more levels"]]
    words = [one.make()["words"] for one in pixels.subjects(shelf)]
    assert words == [[["no", "yes"]], [["no", "yes"]], [["yes", "no"]]]


def test_what_is_not_shown_says_why(tmp_path, small, rng):
    wide = (rng.random((5, 1025)) < 0.5).astype(int)
    shelf = opened(tmp_path, wide=wide, real=rng.normal(size=(5, 3)))
    why = [pixels.refuses(item) for item in shelf.items]
    assert why == ["Images here have 2 to 1,024 pixels; these have 1,025.", None]
    assert [one.name for one in pixels.subjects(shelf)] == ["icons"]
    three = TabularAutoregressive().fit(np.array([[0, 0], [1, 2], [1, 1]]))
    assert pixels.refuses(Item.of_model("three", three)) == (
        "Pixels have two levels; column 2 of this model has 3."
    )
    from sklearn.naive_bayes import BernoulliNB

    chain = ChainAutoregressive(BernoulliNB(), n_components=0, random_state=0).fit(small)
    assert "of the kind BernoulliNB" in pixels.refuses(Item.of_model("bayes", chain))


def test_the_page_gets_an_untrained_lstm_trained(tmp_path):
    """What the page asks for after the tables: an LSTM fitted to their own distribution."""
    pytest.importorskip("torch", reason="torch is an extra")
    X = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]])
    shelf = opened(tmp_path, rows=X)
    assert told(shelf, "pixels")["lstm_follows"]
    sent = told(shelf, "pixels", "lstm")
    assert sent["excess"] < 0.02
    assert sent["n_parameters"] == LSTMAutoregressive(max_steps=1).fit(X).n_parameters_

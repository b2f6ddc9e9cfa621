"""Compare models: which are asked what, what the page computes of it, and the room itself."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from ancestral import (
    PPCA,
    HeteroscedasticGaussian,
    LatentTree,
    LinearGaussian,
    TabularAutoregressive,
    datasets,
    scores,
)
from ancestral.errors import DataError
from ancestral.studio.payload import packed
from ancestral.studio.rooms.compare import MOST_ROWS, refuses, subjects
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import Page, shelf_of, started, wait_until
from tests.studio.reading import field, settled

EXACT = 1e-6


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    X, y, names = datasets.diabetes()
    return pd.DataFrame(X, columns=names).assign(target=y)


def shelf(frame: pd.DataFrame, **models) -> Shelf:
    """A shelf of one table and saved models."""
    table = Item("0" * 8, "table.csv", "table", "a table", frame)
    return Shelf([table, *shelf_of(models).items], built_in=False)


def floats(document) -> np.ndarray:
    import base64

    return np.frombuffer(base64.b64decode(document["base64"]), "<f8")


# ---- which models are compared on what ----------------------------------------------------------


def test_models_of_one_unit_and_the_same_columns_share_a_subject(patients):
    inputs, y = patients.drop(columns="target"), patients["target"]
    found = subjects(
        shelf(
            patients,
            line=LinearGaussian().fit(inputs, y),
            three=LinearGaussian().fit(inputs.iloc[:, :3], y),
            wider=HeteroscedasticGaussian().fit(inputs, y),
            one=PPCA(1).fit(patients),
            two=PPCA(2).fit(patients[patients.columns[::-1]]),  # columns in another order
            fewer=PPCA(1).fit(inputs),
            other=PPCA(1).fit(np.ones((5, 7)) * np.arange(5)[:, None] + np.eye(5, 7)),
        )
    )
    names = [{item.name for item in subject.items[1:]} for subject in found]
    assert names == [{"line", "three", "wider"}, {"one", "two"}, {"fewer"}]
    assert len({subject.name for subject in found}) == 3
    assert "“target” given" in found[0].name


def test_values_are_those_of_the_models_on_the_frame(patients):
    """Names decide which column is which; text and gaps go through as they are."""
    mixed = patients.assign(sex=np.where(patients["sex"] > 1, "man", "woman"))
    mixed.loc[[1, 5], "bmi"] = np.nan
    tree = LatentTree(2, 1, n_sweeps=2, random_state=0).fit(mixed[mixed.columns[::-1]])
    expected = tree.log_density(mixed[mixed.columns[::-1]])
    told = subjects(shelf(mixed, tree=tree))[0].make()
    np.testing.assert_array_equal(floats(told["models"][0]["values"]), expected)
    rows = subjects(shelf(mixed, tree=tree))[0].later["rows"]()
    by_name = {column["name"]: column for column in rows["columns"]}
    assert by_name["sex"]["texts"][0] == mixed["sex"][0]
    assert np.isnan(floats(by_name["bmi"]["numbers"])[1])


def test_a_fit_to_these_very_rows_is_told(patients):
    here, elsewhere = PPCA(2).fit(patients), PPCA(2).fit(patients[:300])
    told = subjects(shelf(patients, here=here, elsewhere=elsewhere))[0].make()
    by_name = {model["name"]: model for model in told["models"]}
    assert by_name["here"]["is_of_these"] and not by_name["elsewhere"]["is_of_these"]
    expected = elsewhere.log_density(patients[:300]).mean()
    assert by_name["elsewhere"]["train"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "kind", "n_models"),
    [
        (lambda f: f, "PPCA", 4),
        (lambda f: (f > f.median()).astype(int), "TabularAutoregressive", 4),
        (lambda f: f.assign(sex=f["sex"].map({1.0: "a", 2.0: "b"})), "LatentTree", 5),
        (lambda f: f.where(f > f.quantile(0.05)), "LatentTree", 5),
        (lambda f: f[["bmi"]], "LatentTree", 5),
    ],
)
def test_without_saved_models_several_sizes_are_fitted(patients, change, kind, n_models):
    """To four fifths; their means there are told beside those of the fifth held out."""
    told = subjects(shelf(change(patients)))[0].make()
    assert {model["kind"] for model in told["models"]} == {kind}
    assert len(told["models"]) == n_models
    assert told["fitted_here"] and (told["n"], told["n_train"]) == (88, 354)
    means = [floats(model["values"]).mean() for model in told["models"]]
    assert means == sorted(means, reverse=True)
    assert all(np.isfinite(model["train"]) for model in told["models"])


def test_a_level_that_stands_in_held_out_rows_alone_is_a_level():
    held_out = np.random.default_rng(0).permutation(60)[-1]
    rows = (f"{k % 7},{'rare' if k == held_out else 'ab'[k % 2]}" for k in range(60))
    mine = Shelf(built_in=False)
    mine.add_upload("own.csv", "\n".join(["size,kind", *rows]).encode())
    assert len(subjects(mine)[0].make()["models"]) > 1


def test_columns_of_which_nothing_can_be_learnt_are_left_out_and_said(patients):
    """An empty column and one of names shut no table out; without others there is a reason."""
    names = [f"patient {k}" for k in range(len(patients))]
    odd = patients.assign(nothing=np.nan, name=names)
    subject = subjects(shelf(odd))[0]
    said = "left out: “nothing” is empty, “name” names the rows"
    assert subject.used["0" * 8] == said
    told, plain = subject.make(), subjects(shelf(patients))[0].make()
    assert told["models"] == plain["models"] and told["used"] == said
    only = shelf(odd[["nothing", "name"]])
    assert not subjects(only) and "“name” names the rows" in refuses(only.items[0])


def test_a_model_without_names_is_offered_where_it_knows_the_values(patients):
    bits = (patients > patients.median()).astype(int)
    tables = TabularAutoregressive(smoothing=1).fit(bits.to_numpy())
    one = PPCA(1).fit(patients.to_numpy())
    known = {}
    for name, frame in (("bits", bits), ("numbers", patients)):
        found = subjects(shelf(frame, tables=tables, one=one))
        known[name] = {item.name for subject in found for item in subject.items[1:]}
    assert known == {"bits": {"tables", "one"}, "numbers": {"one"}}
    assert "values that it knows" in refuses(shelf_of({"tables": tables}).items[0])


def test_of_many_rows_some_are_drawn_and_it_is_said(patients):
    many = pd.concat([patients] * 25, ignore_index=True)
    subject = subjects(shelf(many, one=PPCA(1).fit(patients)))[0]
    assert subject.used["0" * 8] == f"{MOST_ROWS:,} of 11,050 rows, drawn at random (seed 0)"
    told = subject.make()
    assert told["n"] == MOST_ROWS and told["used"]


def test_impossible_rows_come_last_and_pass_through(patients):
    bits = (patients > patients.median()).astype(int)
    sure, never = TabularAutoregressive(smoothing=1).fit(bits), TabularAutoregressive()
    told = subjects(shelf(bits, never=never.fit(bits[:40]), sure=sure))[0].make()
    assert [model["name"] for model in told["models"]] == ["sure", "never"]
    assert np.isneginf(floats(told["models"][1]["values"])).any()


def test_a_model_that_cannot_score_the_rows_is_named(patients):
    gaps = patients.where(patients > patients.quantile(0.05))
    models = {
        "tables": TabularAutoregressive().fit((patients > 0).astype(int)),
        "trees": LatentTree(1, 1, n_sweeps=1, random_state=0).fit(gaps),
    }
    told = subjects(shelf(gaps, **models))
    made = {subject.items[1].name: subject for subject in told}
    assert made["trees"].make()["n"] == len(gaps)
    with pytest.raises(DataError, match="tables could not score"):
        made["tables"].make()


def test_what_is_not_compared_says_why(patients):
    few = Item("2" * 8, "few.csv", "table", "", patients[:3])
    assert not subjects(Shelf([few], built_in=False))
    assert "3 rows; 5 or more" in refuses(few)
    saved = shelf_of({"line": PPCA(1).fit(patients)}).items[0]
    assert "11 columns (age, sex, bmi, bp, …)" in refuses(saved)
    assert refuses(shelf(patients).items[0]) is None


# ---- what the page computes ---------------------------------------------------------------------


def test_comparisons_are_those_of_python(script, faces):
    train, out = faces[:80], faces[80:]
    models = {f"d{d}": PPCA(d).fit(train) for d in (2, 8, 20)}
    expected = scores.compare(models, out)
    values = {name: packed(model.log_density(out), "float64") for name, model in models.items()}
    got = script(
        """
        const [best, ...others] = given.names.map((name) => arrays.unpack(given.values[name]).data);
        const about = (v) => ({ ...scores.summary(v), behind: scores.behind(v, best) });
        return [best, ...others].map(about);
        """,
        {"names": expected.names, "values": values},
    )
    np.testing.assert_allclose([g["mean"] for g in got], expected.means, atol=EXACT)
    np.testing.assert_allclose([g["error"] for g in got], expected.standard_errors, atol=EXACT)
    np.testing.assert_allclose([g["behind"]["mean"] for g in got], expected.behind, atol=EXACT)
    np.testing.assert_allclose(
        [g["behind"]["error"] for g in got], expected.behind_errors, atol=EXACT
    )


def test_an_outlier_does_not_flatten_the_rest(script):
    def reach(values):
        values = [str(v) for v in values]  # infinity does not pass through JSON
        found = script("return scores.reach(given.map(Number));", values)
        return [found[key] for key in ("low", "high", "below", "above")]

    rest = np.random.default_rng(0).normal(size=200)
    assert reach(rest) == [rest.min(), rest.max(), 0, 0]
    assert reach([*rest, -1e6, 400]) == [rest.min(), rest.max(), 1, 1]
    assert reach([*rest, "-Infinity", "-Infinity"]) == [rest.min(), rest.max(), 2, 0]
    assert reach([-1, -2, -1e6]) == [-2, -1, 1, 0]
    assert reach([-1, -1e6]) == [-1e6, -1, 0, 0]  # two models: there is no rest
    assert reach([3, 3, 3]) == [3, 3, 0, 0]
    assert reach(["-Infinity"]) == [-1, 0, 1, 0]


# ---- the room -----------------------------------------------------------------------------------

ROWWISE = "#room-compare svg[aria-label*='Arrow keys step']"


def test_two_bars_are_pressed_and_rows_are_picked(visit):
    page = visit("compare")
    names = page.locator("#room-compare .says tbody th").all_inner_texts()
    assert len(names) == 7 and len(set(names)) == 7
    bar = page.locator("#room-compare .press")
    bar.nth(4).click()
    bar.nth(2).click()
    assert (field(page, "first"), field(page, "second")) == ("3", "5")
    said = page.locator("#room-compare .said").inner_text()
    assert said.startswith(f"{names[2]} minus {names[4]}: +")
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Second").select_option("7")
    assert (field(page, "first"), field(page, "second")) == ("5", "7")
    plot = page.locator(ROWWISE)
    plot.focus()
    page.keyboard.press("Home")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    settled(page)
    circle = page.locator(f"{ROWWISE} circle.now")
    last = float(circle.get_attribute("cx"))
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    settled(page)
    assert float(circle.get_attribute("cx")) < last


def test_the_main_button_goes_from_row_to_row(visit):
    """From the largest difference down, and the prompts tick off."""
    page = visit("compare")
    seen = []
    for _ in range(4):
        page.get_by_role("button", name="Where they differ most").click()
        seen.append(field(page, "row"))
    assert len(set(seen)) == 4
    done = page.locator("#room-compare .prompts li.done")
    assert done.count() == 0  # the button was asked for differences, and found nothing else
    page.get_by_role("button", name="Hardest image").click()
    wait_until(lambda: done.count() == 1)
    assert "hardest images" in done.inner_text()
    page.locator("#room-compare .press").nth(6).click()
    learnt = page.locator("#room-compare .prompts li", has_text="by heart")
    wait_until(lambda: learnt.get_attribute("class") == "done")


def test_a_model_far_behind_and_impossible_rows_leave_the_bars_apart(chromium, patients):
    bits = (patients > patients.median()).astype(int)
    models = {f"s{s}": TabularAutoregressive(smoothing=s).fit(bits[:300]) for s in (0.5, 1, 2)}
    models["never"] = TabularAutoregressive().fit(bits[:300])
    running, server, thread = started(shelf(bits, **models))
    page = Page(chromium)
    shown = page.open(f"{running.entrance}#compare?first=4&second=1")
    bars = shown.locator("#room-compare .bar")
    widths = [float(bar.get_attribute("width")) for bar in bars.all()]
    assert len(widths) == 3 and max(widths) > 2 * min(widths)
    assert re.search(r"\d+ rows? impossible", shown.locator("#room-compare .bars").inner_html())
    assert "infinitely far" in shown.locator("#room-compare .said").inner_text()
    assert not page.problems
    page.context.close()
    server.should_exit = True
    thread.join()

"""The room of tables: what it shows of what is open, and what fixing a column does."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import LatentTree
from ancestral.studio.notebook import page_of
from ancestral.studio.rooms import tree
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import told

pd = pytest.importorskip("pandas", reason="tables are an extra")


def table(frame, name="a.csv"):
    return Item("00000001", name, "table", "", frame)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    kind = rng.choice(["cat", "dog"], 300)
    weight = np.where(kind == "cat", 4.0, 20.0) * np.exp(0.1 * rng.standard_normal(300))
    return pd.DataFrame({"kind": kind, "weight (kg)": weight.round(1)}).mask(
        rng.random((300, 2)) < 0.05
    )


def test_text_gaps_and_units_are_those_of_the_table(frame):
    data = told(Shelf([table(frame)]), "tree")
    kind, weight = data["columns"]
    assert (kind["name"], kind["levels"]) == ("kind", ["cat", "dog"])
    assert weight["name"] == "weight (kg)"
    assert 0 < weight["low"] < 4 < 20 < weight["high"] < 60
    assert data["used"] == "300 rows"


def test_rows_that_are_not_used_are_told(frame):
    many = pd.concat([frame] * 400, ignore_index=True)
    (subject,) = tree.ROOM.subjects(Shelf([table(many)]))
    assert subject.used == {"00000001": "100,000 of 120,000 rows, drawn at random (seed 0)"}
    (subject,) = tree.ROOM.subjects(Shelf([table(frame)]))
    assert not subject.used


def test_a_saved_tree_is_shown_with_its_columns(frame):
    model = LatentTree(3, 2, random_state=0).fit(frame)
    data = told(Shelf([Item.of_model("pets", model)]), "tree")  # no built-in table before it
    assert [column["name"] for column in data["columns"]] == list(frame.columns)
    assert len(data["members"]) == len(data["weights"]) == 2
    assert tree.ROOM.shows(model)
    assert page_of(model) is not None


def test_what_is_not_shown_has_a_true_reason(frame):
    narrow = tree.ROOM.refuses(table(frame[["kind"]]))
    assert "2 columns" in narrow and "has 1" in narrow
    wide = tree.ROOM.refuses(table(pd.DataFrame(np.zeros((50, 501)))))
    assert "500" in wide and "501" in wide
    assert "has 9" in tree.ROOM.refuses(table(frame[:9]))
    model = LatentTree(600, 2, max_iter=0, n_sweeps=1, random_state=0).fit(frame)
    assert "1,440,000" in tree.ROOM.refuses(Item.of_model("large", model))
    assert not tree.ROOM.shows(model)
    assert tree.ROOM.refuses(table(frame)) is None
    assert tree.ROOM.refuses(Item("1", "faces", "images", "", None)) is None


def test_columns_without_pattern_are_named_as_left_out(frame):
    named = frame.assign(name=[f"animal {k}" for k in range(300)], nothing=np.nan, same=1.0)
    with pytest.warns(match="left out"):
        data = told(Shelf([table(named)]), "tree")
    assert data["left_out"] == ["name", "nothing"]
    assert [column["name"] for column in data["columns"]] == [*frame.columns, "same"]


def test_numbers_on_a_logarithm_have_room_for_their_zeros():
    rng = np.random.default_rng(1)
    rain = np.where(rng.random(500) < 0.5, 0.0, np.exp(2 * rng.normal(size=500)))
    data = told(Shelf([table(pd.DataFrame({"rain": rain, "wet": rain > 0}))]), "tree")
    rain = data["columns"][0]
    assert rain["scale"]["kind"] == "log" and rain["atoms"] == [0.0]
    assert 0 < rain["low"] < rain["high"]


# ---- in the browser ------------------------------------------------------------------------------

BIRD = "#room-tree "


def shares(page, column):
    """Return the shares that a card says, by level."""
    found = page.eval_on_selector_all(
        f'{BIRD}g[aria-label="{column}"] .choice-row',
        "rows => rows.map((row) => [row.ariaLabel, row.getAttribute('aria-description')])",
    )
    return {said.split(" = ")[1]: float(share.split(" %")[0].strip("<")) for said, share in found}


def test_fixing_a_level_moves_the_others_and_undo_brings_them_back(visit):
    page = visit("tree")
    before = shares(page, "species")
    page.click(f'{BIRD}g[aria-label="island"] .choice-row >> nth=2')  # Torgersen
    page.wait_for_function("() => location.hash.includes('fixed=island:Torgersen')")
    after = shares(page, "species")
    assert after["Adelie"] > 90 > before["Adelie"]
    assert "log p(fixed) = −1." in page.inner_text(".tree-facts")
    assert page.inner_text(f"{BIRD}.prompts summary") == "To try: 1 of 3"
    page.keyboard.press("Control+z")
    page.wait_for_function("() => !location.hash.includes('fixed')")
    assert shares(page, "species") == before


def test_dragging_on_a_curve_is_one_undo(visit):
    page = visit("tree")
    box = page.locator(f'{BIRD}g[aria-label="flipper length (mm)"] .drag').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(8):
        page.mouse.move(x + 8 * k, y)
    page.mouse.up()
    page.wait_for_function("() => location.hash.includes('fixed=flipper')")
    assert shares(page, "species")["Gentoo"] > 80
    page.keyboard.press("Control+z")
    page.wait_for_function("() => !location.hash.includes('fixed')")


def test_arrows_and_delete_fix_and_release(visit):
    page = visit("tree")
    curve = page.locator(f'{BIRD}g[aria-label="body mass (g)"] .drag')
    curve.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("() => location.hash.includes('body')")
    assert float(curve.get_attribute("aria-valuenow")) > 4500
    page.keyboard.press("Delete")
    page.wait_for_function("() => !location.hash.includes('body')")


def test_the_equation_says_what_a_column_is_given_what_is_fixed(visit):
    page = visit("tree?fixed=island:Torgersen&column=0")
    page.click(f"{BIRD}.equation summary")
    said = page.inner_text(f"{BIRD}.live")
    first, *_, last = (float(part.split(" = ")[-1]) for part in said.split(";"))
    assert said.startswith("p(species = Adelie | island = Torgersen) = ") and first > last
    assert round(100 * first) == shares(page, "species")["Adelie"]


def test_a_press_leaves_no_ring_and_selects_no_text(visit):
    page = visit("tree")
    box = page.locator(f'{BIRD}g[aria-label="bill depth (mm)"] .drag').bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] - 8)  # on the name
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=4)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()") == ""
    page.mouse.click(box["x"] + 60, box["y"] + 40)
    page.wait_for_function("() => location.hash.includes('fixed=bill')")
    focused = page.evaluate(
        "[document.activeElement.ariaLabel, !!document.querySelector('svg :focus-visible')]"
    )
    assert focused == ["bill depth (mm)", False]


def test_a_number_may_be_typed_and_is_held_in_its_range(visit):
    page = visit("tree?column=2")
    page.fill(f"{BIRD}.tree-editor input[type=number]", "9999")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.includes('fixed=bill')")
    assert "= " in page.text_content(f'{BIRD}g[aria-label="bill length (mm)"] .value')
    assert float(page.input_value(f"{BIRD}.tree-editor input[type=number]")) < 80


def test_a_drawn_row_keeps_what_is_fixed(visit):
    page = visit("tree?fixed=species:Gentoo")
    page.click(f"{BIRD}button.main")
    page.wait_for_selector(".tree-facts:has-text('odder than')")
    assert page.locator(f"{BIRD}.mark.drawn").count() == 2  # of island and sex
    page.click(f'{BIRD}g[aria-label="island"] .choice-row >> nth=0')
    page.wait_for_function("() => location.hash.includes('island')")
    assert page.locator(f"{BIRD}.mark.drawn").count() == 1  # it goes on, given what is fixed now
    page.click(f"{BIRD}button:text('Release all')")
    page.wait_for_function("() => !location.hash.includes('seed')")


def test_on_a_phone_all_penguins_columns_are_in_the_stage(visit):
    page = visit("tree", viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.locator(f"{BIRD}.card").count() == 7
    stage = page.locator(f"{BIRD}.stage").bounding_box()
    for card in page.locator(f"{BIRD}.card").all():
        box = card.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= stage["y"] + stage["height"]
    page.tap(f'{BIRD}g[aria-label="species"] .choice-row >> nth=0')
    page.wait_for_function("() => location.hash.includes('fixed=species:Adelie')")

"""The room of clusters: its steps are those of PPCAMixture, and what is touched moves."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ancestral import PPCAMixture
from ancestral.gaussian.ppca.mixture_sums import Collapsed, Part, Rows, Shares
from ancestral.gaussian.ppca.projections import Frame
from ancestral.studio.rooms.mixture import BEAKS, MOST_POINTS, ROOM
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import Page, shelf_of, started, told
from tests.studio.reading import address, fact, field, number, settled

EXACT = 1e-8
CLIMB = """
    const points = { x: given.X.map(([x]) => x), y: given.X.map(([, y]) => y) };
    const start = given.start ?? em.startAt(points, given.k, given.seed);
    const climb = new em.Climb(points, start, given.d);
"""


@pytest.fixture(scope="module")
def beaks() -> np.ndarray:
    return unpacked(told(Shelf(), "mixture")["values"])


@pytest.fixture(scope="module")
def irises():
    """A table with a column of text, and with a gap."""
    pd = pytest.importorskip("pandas")
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).data.assign(species="unknown", same=1.0)
    frame.iloc[0, 1] = np.nan
    return pd.DataFrame(frame)


def table(name: str, frame, **given) -> Item:
    return Item(f"{abs(hash(name)):08x}"[:8], name, "table", "a table", frame, **given)


def unpacked(packed) -> np.ndarray:
    import base64

    values = np.frombuffer(base64.b64decode(packed["base64"]), packed["dtype"])
    return values.reshape(packed["shape"])


# ---- the numbers --------------------------------------------------------------------------------


def as_part(part, d: int) -> Part:
    """A part of the page, [pi, mu_1, mu_2, C_11, C_12, C_22], as Python has it while it fits."""
    weight, m1, m2, a, b, c = part
    eigenvalues, vectors = np.linalg.eigh([[a, b], [b, c]])
    noise = eigenvalues[0]
    W = vectors[:, 1:] * np.sqrt(eigenvalues[1] - noise) if d else np.zeros((2, 0))
    return Part(weight, Frame(np.array([m1, m2]), W, noise))


def as_numbers(part: Part) -> list[float]:
    C = part.frame.loadings @ part.frame.loadings.T + part.frame.noise * np.eye(2)
    return [part.weight, *part.frame.mean, C[0, 0], C[0, 1], C[1, 1]]


@pytest.mark.parametrize("d", [0, 1])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_each_step_is_that_of_python(script, beaks, k, d):
    found = script(
        CLIMB + "return [0, 1, 2, 3, 10].map((t) => climb.at(t));",
        {"X": beaks.tolist(), "k": k, "seed": 5, "d": d},
    )
    rows, parts = Rows(beaks, np.ones(len(beaks))), None
    for t in range(11):
        if t == 0:
            parts = tuple(as_part(part, d) for part in found[0]["parts"])
        sums = Shares.under(rows, parts)
        if t in (0, 1, 2, 3, 10) and (k > 1 or t < 3):  # one component ends at once
            step = found[[0, 1, 2, 3, 10].index(t)]
            assert step["logLikelihood"] == pytest.approx(sums.log_likelihood, rel=EXACT)
            expected = list(map(as_numbers, parts))
            np.testing.assert_allclose(step["parts"], expected, rtol=EXACT, atol=EXACT)
        parts = tuple(Part.of(moments, len(beaks), d) for moments in sums.moments)


def test_the_likelihood_never_falls_and_every_climb_ends(script, beaks):
    found = script(
        "const points = { x: given.map(([x]) => x), y: given.map(([, y]) => y) };"
        "return Array.from({ length: 24 }, (_, seed) => {"
        "  const climb = new em.Climb(points, em.startAt(points, 1 + (seed % 6), seed), seed % 2);"
        "  climb.top();"
        "  return { end: climb.end, lost: climb.collapsed,"
        "    values: climb.steps.map((step) => step.logLikelihood) };"
        "});",
        beaks.tolist(),
    )
    for climb in found:
        assert (climb["end"] is None) != (climb["lost"] is None)
        assert (np.diff(climb["values"]) > -1e-9).all()


@pytest.mark.parametrize("standardize", [False, True])
def test_a_fitted_mixture_is_a_maximum(script, beaks, standardize):
    model = PPCAMixture(3, 1, standardize=standardize, random_state=0).fit(beaks)
    scale = model.scale_ if standardize else np.ones(2)
    C = model.loadings_ / scale[:, None]
    C = C @ C.swapaxes(1, 2) + model.noise_variances_[:, None, None] * np.eye(2)
    start = np.column_stack(
        [model.weights_, model.means_ / scale, C[:, 0, 0], C[:, 0, 1], C[:, 1, 1]]
    )
    found = script(
        CLIMB + "return [climb.at(0), climb.at(1), climb.top()];",
        {"X": (beaks / scale).tolist(), "start": start.tolist(), "d": 1},
    )
    shift = len(beaks) * np.log(scale).sum()
    assert found[0]["logLikelihood"] - shift == pytest.approx(model.log_likelihood_, rel=EXACT)
    np.testing.assert_allclose(found[1]["parts"], start, atol=1e-3)
    assert found[2] <= 5


def test_the_first_start_ends_at_the_highest_maximum(script, beaks):
    document = told(Shelf(), "mixture")
    given = {"X": beaks.tolist(), "k": document["k"], "seed": document["seed"], "d": 1}
    found = script(CLIMB + "return climb.at(climb.top()).logLikelihood;", given)
    model = PPCAMixture(document["k"], 1, random_state=0).fit(beaks)
    assert found == pytest.approx(model.log_likelihood_, abs=1e-3)


def test_a_component_that_closes_in_is_told(script):
    X = np.array([[0.0, 0], [1, 0], [0.3, 0.8], [0.7, 0.2], [0.2, 0.4], [9, 9], [9.5, 9.1]])
    start = [[0.7, 0.4, 0.3, 0.5, 0, 0.5], [0.3, 9.2, 9, 0.1, 0, 0.1]]
    lost, steps = script(
        CLIMB + "climb.top(); return [climb.collapsed, climb.steps.length];",
        {"X": X.tolist(), "start": start, "d": 1},
    )
    assert lost == 1
    rows, parts = Rows(X, np.ones(len(X))), tuple(as_part(part, 1) for part in start)
    for _ in range(steps - 1):
        sums = Shares.under(rows, parts)
        parts = tuple(Part.of(moments, len(X), 1) for moments in sums.moments)
    closing = Shares.under(rows, parts).moments[1]
    with pytest.raises(Collapsed):
        Part.of(closing, len(X), 1)


@pytest.mark.parametrize("standardize", [False, True])
def test_a_saved_mixture_is_exact_in_two_of_its_columns(script, irises, standardize):
    columns = irises.columns[:4]
    model = PPCAMixture(3, 2, standardize=standardize, random_state=0).fit(irises[columns])
    shelf = Shelf([table("irises.csv", irises), *shelf_of({"Irises": model}).items])
    saved = told(shelf, "mixture")["models"][0]
    weights, means, C = (unpacked(saved[name]) for name in ("weights", "means", "covariances"))
    i, j = 0, 3
    parts = np.column_stack([weights, means[:, i], means[:, j], C[:, i, i], C[:, i, j], C[:, j, j]])
    rows = irises[columns].copy()
    found = script(
        "const points = { x: given.X.map(([x]) => x), y: given.X.map(([, y]) => y) };"
        "return em.expectation(points, given.parts).logLikelihood;",
        {"X": rows.iloc[:, [i, j]].to_numpy().tolist(), "parts": parts.tolist()},
    )
    rows.iloc[:, [1, 2]] = np.nan
    assert found == pytest.approx(model.log_density(rows).sum(), rel=EXACT)


# ---- what is open -------------------------------------------------------------------------------


def test_a_table_gives_its_columns_of_numbers_that_vary(irises):
    item = table("irises.csv", irises)
    (subject,) = ROOM.subjects(Shelf([item]))
    document = subject.make()
    assert document["names"] == list(irises.columns[:4])
    assert document["is_table"] and document["scaled"] and not document["models"]
    values = unpacked(document["values"])
    np.testing.assert_array_equal(values, irises.to_numpy()[:, :4].astype(float))
    assert not subject.used


def test_of_many_rows_some_are_drawn_and_it_is_said():
    pd = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(2000, 50))
    item = table("many.csv", pd.DataFrame(X, columns=[f"c{j}" for j in range(50)]))
    (subject,) = ROOM.subjects(Shelf([item]))
    assert len(unpacked(subject.make()["values"])) == MOST_POINTS
    assert subject.used[item.id] == (
        "600 of 2,000 rows, drawn at random (seed 0), the first 40 of 50 columns that vary"
    )


def test_what_is_no_plane_is_refused_with_what_it_has(irises):
    pd = pytest.importorskip("pandas")
    one = table("one.csv", irises[["species", "same", irises.columns[0]]])
    assert ROOM.refuses(one) == (
        "The plane needs two columns of numbers that vary; this table has 1."
    )
    short = table("short.csv", pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0]}))
    assert "this table has 2" in ROOM.refuses(short)
    X = np.random.default_rng(0).normal(size=(60, 100))
    (wide,) = shelf_of({"Wide": PPCAMixture(2, 1, random_state=0).fit(X)}).items
    assert "at most 40; this model has 100" in ROOM.refuses(wide)
    for item in (one, short, wide):
        subjects = ROOM.subjects(Shelf([item]))
        assert [subject.name for subject in subjects] == ["beaks, simulated"]
    assert not ROOM.subjects(Shelf([wide], built_in=False))


def test_a_saved_mixture_without_a_table_is_shown_over_rows_drawn_from_it(irises):
    model = PPCAMixture(2, 1, random_state=0).fit(irises.iloc[:, :4])
    shelf = shelf_of({"Irises": model})
    document = told(shelf, "mixture")
    assert ROOM.shows(model) and document["k"] == 2
    assert document["names"] == list(irises.columns[:4])
    np.testing.assert_array_equal(unpacked(document["values"]), model.sample(200, random_state=0))


# ---- by mouse and by keyboard -------------------------------------------------------------------

AT = "#room-mixture "


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    settled(page)


def fills(page) -> list[str]:
    settled(page)
    return page.locator(AT + ".part-point").evaluate_all(
        "all => all.map((p) => p.attributes.fill.value)"
    )


def rings(page) -> list[str]:
    settled(page)
    return page.locator(AT + ".part-ring").evaluate_all(
        "all => all.map((p) => p.attributes.d.value)"
    )


def said(page) -> str:
    settled(page)
    return page.locator(".mixture-said").inner_text()


def drag(page, node, dx: float, dy: float) -> None:
    box = node.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()
    settled(page)


@pytest.fixture
def calm(visit):
    return lambda state: visit(state, reduced_motion="reduce")


def test_a_step_is_two_halves(calm):
    page = calm("mixture")
    grey, circles = fills(page), rings(page)
    assert len(set(grey)) == 1 and len(circles) == 6
    press(page, "Step")
    assert len(set(fills(page))) > 3 and rings(page) == circles
    coloured = fills(page)
    first = number(fact(page, "mixture", "log-likelihood"))
    press(page, "Step")
    assert fills(page) == coloured and rings(page) != circles
    assert number(fact(page, "mixture", "log-likelihood")) > first
    assert field(page, "n") == "2"
    page.keyboard.press("Control+z")
    assert rings(page) == circles and fills(page) == coloured


def test_a_run_ends_at_a_maximum_and_a_link_leads_there(calm, beaks):
    page = calm("mixture")
    press(page, "Run")
    assert re.match(r"Done after 1\d steps: nothing moves any more", said(page))
    assert page.get_by_role("button", name="Run", exact=True).is_disabled()
    model = PPCAMixture(3, 1, random_state=0).fit(beaks)
    value = number(fact(page, "mixture", "log-likelihood"))
    assert value == pytest.approx(model.log_likelihood_, abs=0.01)
    cells = page.locator(".mixture-table tbody tr td:nth-child(2)").all_inner_texts()
    np.testing.assert_allclose(sorted(map(float, cells), reverse=True), model.weights_, atol=2e-3)
    assert page.locator(".prompts li.done").count() == 1
    again = calm(address(page)[1:])
    assert rings(again) == rings(page) and fills(again) == fills(page)
    press(page, "Undo")
    assert number(fact(page, "mixture", "Steps")) == 0


def test_the_run_is_shown_and_can_be_stopped(visit):
    page = visit("mixture?seed=0")
    press(page, "Run")
    page.wait_for_timeout(300)
    press(page, "Stop")
    n = int(field(page, "n"))
    assert 0 < n < 170
    page.wait_for_timeout(200)
    assert int(field(page, "n")) == n


def test_a_start_gets_stuck_and_the_highest_is_kept(calm):
    page = calm("mixture")
    press(page, "Run")
    highest = fact(page, "mixture", "log-likelihood")
    for _ in range(60):
        press(page, "Start anew")
        press(page, "Run")
        if "not the highest maximum" in said(page):
            break
    assert number(fact(page, "mixture", "log-likelihood")) < number(highest) - 1
    assert fact(page, "mixture", "highest so far") in highest
    page.locator(".prompts li.done").nth(1).wait_for()
    press(page, "To the highest")
    assert fact(page, "mixture", "log-likelihood") == highest


def test_a_ring_that_is_nearly_a_line_is_named(calm):
    page = calm("mixture?k=6&seed=3")
    press(page, "Run")
    assert fact(page, "mixture", "Ring 3") == "nearly a line, on about 3 points"
    page = calm("mixture")
    press(page, "Run")
    assert page.locator(AT + ".facts dt", has_text="Ring").count() == 0


def test_a_moved_point_changes_its_colour_and_no_component(calm):
    page = calm("mixture?n=31")
    before, ellipses = fills(page), rings(page)
    drag(page, page.locator(AT + ".part-point").nth(6), 460, 20)
    assert rings(page) == ellipses
    after = fills(page)
    assert [i for i in range(150) if after[i] != before[i]] == [6]
    assert fact(page, "mixture", "After E of step") == "1"
    assert "Moved by hand" in said(page)
    press(page, "Step")
    assert rings(page) != ellipses
    link = address(page)
    again = calm(link[1:])
    assert number(fact(again, "mixture", "log-likelihood")) == pytest.approx(
        number(fact(page, "mixture", "log-likelihood")), abs=0.011
    )
    press(page, "As in the data")
    assert field(page, "points") == ""


def test_points_are_added_and_removed_by_mouse_and_key(calm):
    page = calm("mixture")
    plot = page.locator(AT + "svg.plot").first
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.2 * box["height"])
    assert len(fills(page)) == 151
    page.keyboard.press("Delete")
    assert len(fills(page)) == 150
    page.keyboard.press("a")
    page.keyboard.press("ArrowUp")
    assert len(fills(page)) == 151
    page.locator("label", has_text=re.compile("^removes$")).click()
    point = page.locator(AT + ".part-point").nth(150).bounding_box()
    page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    assert len(fills(page)) == 150


def test_a_centre_is_moved_by_hand_and_by_key(calm):
    page = calm("mixture?n=20")
    before = rings(page)
    drag(page, page.locator(AT + ".part-centre").nth(1), -80, 60)
    after = rings(page)
    assert after[2:4] != before[2:4] and after[:2] == before[:2] and after[4:] == before[4:]
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    assert rings(page)[:2] != after[:2]
    assert field(page, "held").count(";") == 2


def test_components_and_latents_are_chosen(calm):
    page = calm("mixture?n=9")
    slider = page.get_by_role("slider", name="Components K")
    slider.focus()
    page.keyboard.press("End")
    assert len(rings(page)) == 12 and field(page, "n") == ""
    page.locator("label", has_text="0: circles").click()
    press(page, "Run")
    assert page.locator(AT + ".part-axis").count() == 0
    table = page.locator(".mixture-table tbody tr td:last-child").all_inner_texts()
    assert set(table) == {"0"}


def test_too_few_points_are_said(calm):
    page = calm("mixture?points=9,9;12,10;16,8&k=2")
    assert "need 6 points or more; there are 3" in said(page)
    page.get_by_role("slider", name="Components K").focus()
    page.keyboard.press("Home")
    assert "A circle" in said(page)


def test_parts_of_an_address_that_are_no_distributions_are_left_out(calm):
    for held in ("1,2,3,-1,0,1", "1,2,3,1,5,1", "x", "0,1,1,1,0,1;1,2"):
        page = calm(f"mixture?k=1&held={held}")
        assert "A circle at points" in said(page)


def test_two_columns_of_a_table_are_chosen(chromium, irises):
    columns = irises.columns[:4]
    model = PPCAMixture(3, 1, random_state=0).fit(irises[columns])
    two = PPCAMixture(2, 1, random_state=0).fit(irises[columns[:2]])
    saved = shelf_of({"Irises": model, "Of two columns": two}).items
    shelf = Shelf([table("irises.csv", irises), *saved])
    studio, running, thread = started(shelf)
    visited = Page(chromium, reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    page = visited.open(f"{studio.entrance}#mixture")
    assert "1 row with a gap" in said(page)
    assert len(fills(page)) == 149
    assert page.locator(".part-saved").count() == 6
    page.get_by_label("Up", exact=True).select_option(columns[3])
    settled(page)
    assert "gap" not in said(page) and len(fills(page)) == 150
    rows = irises[columns].copy()
    rows.iloc[:, [1, 2]] = np.nan
    expected = model.log_density(rows).sum()
    assert number(fact(page, "mixture", "Irises, dashed")) == pytest.approx(expected, abs=0.006)
    page.get_by_label("Across", exact=True).select_option(columns[3])  # the two change places
    assert columns[0] in page.locator(AT + "svg.plot").first.text_content()
    press(page, "Run")
    fitted = number(fact(page, "mixture", "log-likelihood"))
    assert fitted > expected  # which was fitted to all four columns
    page.locator("label", has_text="standard deviations").click()
    press(page, "Run")
    assert number(fact(page, "mixture", "log-likelihood")) > expected
    for name in ("none", "Of two columns"):  # which are not shown
        page.get_by_label("Saved model").select_option(name)
        settled(page)
        assert page.locator(".part-saved").count() == 0
    assert not visited.problems
    visited.context.close()
    running.should_exit = True
    thread.join(30)


def test_the_axes_of_the_built_in_points_have_units(calm):
    page = calm("mixture")
    names = page.locator(AT + "svg.plot text.name").all_text_contents()
    assert names == [*BEAKS, "steps of EM", "nats"]

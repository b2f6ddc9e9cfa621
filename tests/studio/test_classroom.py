"""The room of graphs, by mouse, finger and keyboard; and what it takes of what is open."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import ancestral
from ancestral import Graph, InnerProductGraph, datasets
from ancestral.studio.listing import Listing
from ancestral.studio.rooms.classroom import MOST_NODES, ROOM
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import Page, shelf_of, started, told, wait_until
from tests.studio.reading import address, fact, field, number, settled


def below_the_maximum(page):
    return number(fact(page, "classroom", "Below the maximum"))


def links(page):
    return number(fact(page, "classroom", "All links"))


# ---- by hand ------------------------------------------------------------------------------------


def test_the_class_follows_a_and_b(visit):
    page = visit("classroom?a=3&b=-3&n=15&pupils=2&links=2")
    before = links(page)
    page.get_by_role("slider", name="b, how readily all link").focus()
    for _ in range(12):
        page.keyboard.press("PageUp")
    assert links(page) > before
    assert float(field(page, "b")) > -3
    page.get_by_role("slider", name="Number of pupils").focus()
    page.keyboard.press("End")
    page.locator(".pupil").nth(199).wait_for()
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert page.locator(".pupil").count() == 15


def test_a_pupil_is_moved_by_hand_and_by_key(visit):
    page = visit("classroom?pupils=5")
    dot = page.locator(".pupil").nth(2)
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 40, steps=6)
    page.mouse.up()
    moved = field(page, "moved")
    assert moved.startswith("3:")
    slider = page.get_by_role("slider", name="x₁ of the chosen pupil")
    first = lambda: float(field(page, "moved")[2:].split(",")[0])  # noqa: E731
    assert float(slider.input_value()) == pytest.approx(first(), abs=0.01)
    page.locator("svg.network").focus()
    before = first()
    page.keyboard.press("ArrowLeft")
    assert first() == pytest.approx(before - 0.02, abs=2e-3)
    page.get_by_label("Pupil", exact=True).select_option("7")
    slider.focus()
    page.keyboard.press("Home")
    assert ";7:-1," in field(page, "moved")
    page.get_by_role("button", name="Undo").click()
    assert ";7:" not in field(page, "moved")


def test_a_finger_moves_a_pupil_and_elsewhere_scrolls(visit):
    page = visit(
        "classroom?pupils=5",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
    )
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        touched = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    def swipe(x, y):
        touch("touchStart", (x, y))
        for k in range(1, 9):
            touch("touchMove", (x, y - 10 * k))
        touch("touchEnd")
        settled(page)

    before = page.evaluate("scrollY")
    dot, net = (page.locator(s).nth(0).bounding_box() for s in (".pupil", "svg.network"))
    swipe(dot["x"] + dot["width"] / 2 + 11, dot["y"] + dot["height"] / 2)  # beside it will do
    wait_until(lambda: field(page, "moved") != "")
    assert page.evaluate("scrollY") == before
    moved = field(page, "moved")
    swipe(net["x"] + 3, net["y"] + net["height"] - 6)
    wait_until(lambda: page.evaluate("scrollY") > before)
    assert field(page, "moved") == moved


def test_the_plane_is_shaded_by_the_chance_to_be_linked_with_the_chosen_pupil(visit):
    page = visit("classroom?pupils=5&a=6&b=-2")
    shade = lambda: page.locator("svg.network image").get_attribute("href")  # noqa: E731
    before = shade()
    page.locator(".hit").nth(4).click()
    wait_until(lambda: field(page, "pupil") == "5")
    page.get_by_text("Chance of a link with pupil 5", exact=True).wait_for()
    assert shade() != before
    assert page.locator("svg.network .contour").count() == 3  # 10, 50 and 90 percent


def test_the_equation_has_the_numbers_of_the_likeliest_link(visit):
    page = visit("classroom?pupils=5&a=6&b=-2&pupil=3")
    page.locator("#room-classroom .equation summary").click()
    said = page.locator("#room-classroom .live").inner_text().replace("−", "-")
    assert said.startswith("p(pupil 3, pupil ")
    a, s, b, p = map(
        float, re.search(r"\(([\d.-]+) × ([\d.-]+) - ([\d.]+)\)\) = (.*)", said).groups()
    )
    assert p == pytest.approx(1 / (1 + np.exp(-(a * s - b))), abs=0.02)


# ---- the climb ----------------------------------------------------------------------------------


def test_the_climb_begins_away_from_the_maximum_and_ends_there(visit):
    page = visit("classroom")
    assert below_the_maximum(page) > 100
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Line search").click()
    wait_until(lambda: below_the_maximum(page) < 1e-3)
    assert page.locator("circle.search:not(.faint)").count() > 5
    page.get_by_text("(done)").wait_for(state="attached")
    plot = page.locator("svg[aria-label^='Contours of the log-likelihood of the data']")
    plot.focus()
    page.keyboard.press("Shift+ArrowUp")
    assert below_the_maximum(page) > 1
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    assert below_the_maximum(page) > 100
    page.get_by_role("button", name="To the maximum").click()
    assert below_the_maximum(page) == 0
    page.get_by_role("button", name="Climb", exact=True).click()  # from the start again
    wait_until(lambda: "of" in fact(page, "classroom", "Step"))


def test_every_step_of_a_climb_is_seen_and_undone_at_once(visit):
    page = visit("classroom?size=3")
    page.get_by_role("button", name="Climb", exact=True).click()
    wait_until(lambda: fact(page, "classroom", "Step") == "2 of 100")
    first = below_the_maximum(page)
    wait_until(lambda: fact(page, "classroom", "Step") == "100 of 100")
    assert below_the_maximum(page) < first
    page.emulate_media(reduced_motion="reduce")
    last = below_the_maximum(page)
    page.get_by_role("button", name="Climb", exact=True).click()  # on from there
    wait_until(lambda: below_the_maximum(page) < last)
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    settled(page)
    assert page.locator("circle.plain").count() == 0
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_the_first_step_size_nears_the_maximum_and_does_not_overshoot(visit):
    page = visit("classroom", reduced_motion="reduce")
    page.get_by_role("button", name="Climb", exact=True).click()
    assert 0 <= below_the_maximum(page) < 0.5
    assert number(fact(page, "classroom", "Within 1 nat")) < 50
    assert page.locator(".prompts li.done", has_text="within 1 nat").count() == 1
    assert page.locator(".prompts li.done", has_text="overshoots").count() == 0


def test_the_step_size_shows_its_whole_path(visit):
    page = visit("classroom")
    page.get_by_role("slider", name="Step size").focus()
    page.keyboard.press("Home")
    slow = below_the_maximum(page)
    assert slow > 50  # a hundred steps of 0.1 lead nowhere
    for _ in range(6):
        page.keyboard.press("PageUp")
    assert below_the_maximum(page) < slow
    page.keyboard.press("End")
    assert below_the_maximum(page) > 1000
    page.get_by_text("Find a step size that overshoots.").wait_for()
    wait_until(lambda: page.locator(".prompts li.done", has_text="overshoots").count() == 1)


# ---- graphs of the data -------------------------------------------------------------------------


def test_graphs_of_the_data_are_shown_as_they_are(visit):
    page = visit("classroom?graph=4")
    assert links(page) == datasets.classrooms()[3].n_edges
    page.get_by_text("links", exact=True).click()
    wait_until(lambda: field(page, "by") == "links")
    page.get_by_label("Show", exact=True).select_option("100")
    assert links(page) == datasets.classrooms()[99].n_edges


def people(n, *, names=True, random_state=0):
    """Pupils of two houses, who know one another the better, the nearer their ages are."""
    rng = np.random.default_rng(random_state)
    age, house = rng.integers(18, 70, n), rng.choice(["Stark", "Tully"], n)
    far = np.abs(age[:, None] - age)
    p = (0.02 + 0.1 * (house[:, None] == house) + 0.1 * (far < 5)) * min(1, 60 / n)
    E = np.triu(rng.random((n, n)) < p, 1)
    table = pd.DataFrame({"age": age, "house": house})
    called = [f"person {k + 1}" for k in range(n)] if names else None
    return Graph(table, (E | E.T).astype(np.int8), node_names=called)


def ring(n):
    step = np.roll(np.eye(n, dtype=int), 1, 0)
    return step | step.T


def item(graphs, name="people.graphml", of="00000001"):
    return Item(of, name, "graphs", "graphs", graphs)


@pytest.fixture
def opened(chromium):
    """Open the room on some items, by a server of its own."""
    pages, threads = [], []

    def go(*items, state="classroom"):
        studio, running, thread = started(Shelf(list(items), built_in=False))
        page = Page(chromium, viewport={"width": 1280, "height": 900})
        pages.append(page)
        threads.append((running, thread))
        return page.open(f"{studio.entrance}#{state}")

    yield go
    for page in pages:
        page.context.close()
        assert not page.problems
    for running, thread in threads:
        running.should_exit = True
        thread.join(10)


def test_a_graph_of_the_user_comes_first_in_its_own_units(opened):
    graph = people(120)
    page = opened(item([graph]))
    assert links(page) == graph.n_edges
    page.locator(".network .name", has_text="age").wait_for()
    page.locator(".network .axes text", has_text="Stark").wait_for()
    slider = page.get_by_role("slider", name="age of the chosen node")
    assert (float(slider.get_attribute("min")), slider.get_attribute("step")) == (18, "1")
    slider.focus()
    page.keyboard.press("End")
    house = ["Stark", "Tully"].index(graph.attribute("house").to_list()[3])
    assert field(page, "moved") == f"4:70,{house}"
    page.get_by_label("house", exact=True).select_option(label="Tully")
    wait_until(lambda: field(page, "moved") == "4:70,1")
    page.get_by_label("Node", exact=True).select_option(label="person 7")
    page.get_by_text("Chance of a link with person 7", exact=True).wait_for()
    page.get_by_label("Across", exact=True).select_option(label="house")
    page.get_by_label("Up", exact=True).select_option(label="age")
    assert "across=1&up=0" in address(page)


def test_a_graph_of_one_node_is_shown(opened):
    page = opened(item([people(40), people(1)]), state="classroom?graph=2")
    assert page.locator(".pupil").count() == 1 and links(page) == 0


def test_two_thousand_nodes_are_a_plot_that_says_so(opened):
    page = opened(item([people(2_000)]))
    page.get_by_text("2,000 nodes are too many to move").wait_for()
    assert page.locator(".hit").count() == 1  # of the point on the likelihood
    assert page.get_by_role("slider", name="age of the chosen node").is_disabled()
    box = page.locator("svg.network").bounding_box()
    before = fact(page, "classroom", "Links of person 4")
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])
    wait_until(lambda: field(page, "pupil") != "")
    assert fact(page, "classroom", "Links of person " + field(page, "pupil")) != "" != before
    page.get_by_role("button", name="Line search").click()
    wait_until(lambda: below_the_maximum(page) < 1e-3)


def test_several_files_are_several_subjects_with_the_models_of_their_features():
    one, two = people(30), Graph(np.arange(12.0).reshape(6, 2) % 5, ring(6))
    models = {
        "of people": InnerProductGraph().fit([people(40, random_state=1)]),
        "of classes": InnerProductGraph().fit(datasets.classrooms(20)),
    }
    shelf = shelf_of(models, built_in=False)
    shelf.items += [item([one]), item([two], "ring.graphml", "00000002")]
    found = Listing(shelf, ["classroom"]).subjects["classroom"].values()
    names = [[part.name for part in subject.items] for subject in found]
    assert names == [["people.graphml", "of people"], ["ring.graphml"], ["of classes"]]
    alone = told(shelf, "classroom", subject="of classes")
    assert alone["sums"] is None and alone["fits"][0]["a"] == models["of classes"].slope_
    both = told(shelf, "classroom", subject="people.graphml")["fits"]
    assert [fit["name"] for fit in both] == ["Maximum likelihood", "of people"]


def test_a_saved_model_alone_rules_a_class(opened):
    model = InnerProductGraph().fit([people(60)])
    page = opened(Item.of_model("mine", model))
    before = links(page)
    page.get_by_role("slider", name="b, how readily all link").focus()
    page.keyboard.press("End")
    assert links(page) > before
    page.get_by_role("button", name="mine", exact=True).click()
    page.get_by_role("button", name="New pupils").click()
    wait_until(lambda: field(page, "pupils") != "")


# ---- what it does not take ----------------------------------------------------------------------


def test_graphs_without_features_are_told_why(opened):
    bare = Graph(None, ring(6))
    assert "have no features" in ROOM.refuses(item([bare]))
    page = opened(item([bare]))
    page.get_by_role("button", name="Files").click()
    page.get_by_text("Its nodes have no features").first.wait_for()


def test_graphs_without_a_maximum_are_told_why():
    graph = Graph([[0.0], [1.0]], [[0, 1], [1, 0]])
    assert "no finite maximum" in told(Shelf([item([graph])]), "classroom")["problem"]


def test_directions_and_gaps_are_named_where_they_are_left_out():
    graph = people(20)
    age = graph.attribute("age").values.astype(float)
    age[3] = np.nan
    table = pd.DataFrame({"age": age, "house": graph.attribute("house").to_list()})
    arcs = np.triu(graph.adjacency)
    shelf = Shelf([item([Graph(table, arcs, directed=True)])])
    (subject,) = ROOM.subjects(shelf)
    said = subject.used["00000001"]
    assert "either way" in said and "some nodes have no value: age" in said
    sent = subject.make()
    assert [one["name"] for one in sent["attributes"]] == ["house"]
    assert sum(sent["graphs"]["counts"]) == graph.n_edges


def test_what_is_not_drawn_is_named_and_in_the_likelihood_all_the_same():
    rng = np.random.default_rng(0)
    n = MOST_NODES + 10
    i, j = np.sort(rng.integers(0, n, (2, 3 * n)), axis=0)
    from scipy import sparse

    E = sparse.coo_array((np.ones(len(i), np.int8), (i, j)), (n, n)).tocsr()
    E.data[:] = 1
    graph = Graph(rng.uniform(-1, 1, (n, 2)), E + E.T > 0)
    (subject,) = ROOM.subjects(Shelf([item([graph])]))
    assert subject.used["00000001"].startswith(f"Drawn: {MOST_NODES:,} of {n:,} nodes")
    sent = subject.make()
    assert sent["n_pairs"] == graph.n_pairs
    assert sent["graphs"]["sizes"] == [MOST_NODES]
    many = [people(100, names=False, random_state=k) for k in range(MOST_NODES // 100 + 1)]
    (subject,) = ROOM.subjects(Shelf([item(many)]))
    assert subject.used["00000001"].startswith(f"Drawn: the first {MOST_NODES // 100} of")
    assert len(subject.make()["graphs"]["sizes"]) == MOST_NODES // 100


def test_other_models_of_graphs_are_told_what_they_are():
    graphs = datasets.classrooms(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = ancestral.DyadicGraph(["inner_product"]).fit(graphs)
    why = ROOM.refuses(Item.of_model("other", other))
    assert why.startswith("DyadicGraph (graphs whose edges follow terms of pairs")
    assert ROOM.refuses(Item.of_model("mine", InnerProductGraph().fit(graphs))) is None

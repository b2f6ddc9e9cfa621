"""What the server gives: the page's files, what is open, and each room's data, never another's."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import Counter
from unittest.mock import patch

import numpy as np
import pytest

from ancestral.errors import DataError
from ancestral.studio.listing import Listing
from ancestral.studio.pages import page_files, served_files
from ancestral.studio.payload import packed, to_json
from ancestral.studio.room import Room, Subject
from ancestral.studio.rooms import ROOMS
from ancestral.studio.server import ClosedError, Rooms
from ancestral.studio.shelf import Shelf
from tests.studio.conftest import in_place_of_all, plain_room, started

TABLES = {"a.csv": b"x,y\n1,2\n", "b.csv": b"x,y\n3,4\n", "c.csv": b"x,y\n5,6\n"}


def unpacked(sent):
    data = np.frombuffer(
        base64.b64decode(sent["base64"]), np.dtype(sent["dtype"]).newbyteorder("<")
    )
    return data.reshape(sent["shape"])


# ---- the page's files ----------------------------------------------------------------------------


def test_the_page_and_its_modules_are_served(studio):
    page = studio.request("/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert {f"/page/{name}" for name in page_files()} >= {"/page/main.js", "/page/base.css"}
    for name in served_files():
        if name != "index.html":
            answer = studio.request(f"/page/{name}")
            kind = "css" if name.endswith(".css") else "javascript"
            assert answer.status == 200 and kind in answer.headers["Content-Type"]


def test_the_page_has_a_tab_and_a_section_for_each_room(studio):
    text = studio.request("/").content.decode()
    for name, room in ROOMS.items():
        assert f'data-room="{name}">{room.verb}</a>' in text and f'id="room-{name}"' in text
        assert f'href="page/{name}/{name}.css"' in text
    assert "<!--" not in text
    assert 'modulepreload" href="page/main.js"' not in text  # it is asked for as such
    assert 'modulepreload" href="page/kit.js"' in text


def test_the_first_view_is_small(studio):
    """The page, what it links, and the first room's data come to less than 200 kB, compressed."""
    linked = re.findall(r'(?:href|src)="(page/[^"]+)"', studio.request("/").content.decode())
    paths = ["/", *(f"/{path}" for path in linked), "/data/shelf.json", "/data/faces.json"]
    sizes = [len(studio.request(path, Accept_Encoding="gzip").content) for path in paths]
    assert sum(sizes) < 200_000


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "int32"])
def test_packing_keeps_values_and_shape(dtype):
    values = np.asfortranarray(np.arange(12).reshape(3, 4)).astype(">f8")
    np.testing.assert_array_equal(unpacked(packed(values, dtype)), values)
    with pytest.raises(ValueError, match="float16"):
        packed(values, "float16")


def test_json_never_says_nan():
    said = to_json({"a": [np.float64("nan"), float("inf"), np.int64(3)], 5: (1.5, None)})
    assert json.loads(said) == {"a": [None, None, 3], "5": [1.5, None]}


def test_every_room_has_something_to_show(studio):
    for name in ROOMS:
        sent = studio.json(f"/data/{name}.json")
        assert "problem" not in sent, (name, sent)


# ---- what is open --------------------------------------------------------------------------------


made: Counter[str] = Counter()


def values_of(item):
    made[item.name] += 1
    return {"values": item.rows.tolist()}


@pytest.fixture
def plain():
    """Two plain rooms in place of all others, and a studio without built-in data."""
    made.clear()
    plain = {
        "first": plain_room("table", values_of, later={"rest": lambda: {"rest": 1}}),
        "second": plain_room("images", values_of, asked={"page": lambda: {"page": 2}}),
    }
    with in_place_of_all(plain):
        shelf = Shelf(built_in=False)
        for name in ("a.csv", "b.csv"):
            shelf.add_upload(name, TABLES[name])
        yield Rooms(shelf)


@pytest.fixture
def served(plain):
    studio, running, thread = started(plain.shelf)
    yield studio
    running.should_exit = True
    thread.join()


def subjects_of(described, room="first"):
    return {one["name"]: one["of"] for one in described["rooms"][room]["subjects"]}


def test_the_shelf_says_what_is_open_and_where_it_shows(plain):
    said = plain.listing().described()
    assert [item["name"] for item in said["items"]] == ["a.csv", "b.csv"]
    of = subjects_of(said)
    for item in said["items"]:
        assert item["shown"] == [{"room": "first", "of": of[item["name"]], "used": None}]
        assert item["not_shown"] == [{"room": "second", "why": "It is of table, not of images."}]
    wants = " ".join(f"{name} is not shown here. It is of table, not of images." for name in of)
    assert said["rooms"]["second"] == {
        "verb": "See images", "subjects": [], "wants": f"{wants} Open some.", "takes_images": False
    }  # fmt: skip
    assert said["version"] == plain.shelf.version


def test_an_identity_is_the_contents_own(plain):
    before = subjects_of(plain.listing().described())
    again = Shelf(built_in=False)
    again.add_upload("renamed.csv", TABLES["b.csv"])
    assert subjects_of(Listing(again).described()) == {"renamed.csv": before["b.csv"]}
    assert len(set(before.values())) == 2


def test_subjects_of_the_same_content_are_told_apart():
    shelf = Shelf(built_in=False)
    item = shelf.add_upload("a.csv", TABLES["a.csv"])
    twice = [Subject(name, (item,), dict) for name in ("one", "two")]
    room = Room(1, "See", "Look.", "", "Open.", lambda _: twice, lambda _: None)
    with patch.dict(ROOMS, {"only": room}, clear=True):
        assert list(subjects_of(Listing(shelf).described(), "only")) == ["one", "two"]


def test_a_room_that_cannot_tell_its_subjects_says_why_and_others_go_on(plain):
    def subjects(_):
        raise DataError("The package x is missing.")

    broken = Room(3, "Break", "Look.", "", "Open some.", subjects, lambda _: None)
    with patch.dict(ROOMS, {"third": broken}):
        said = Listing(plain.shelf).described()["rooms"]
        assert said["third"]["wants"] == "The package x is missing." and said["first"]["subjects"]
        assert json.loads(Rooms(plain.shelf).text("third"))["problem"].startswith("The package x")


def test_what_could_not_be_made_is_not_said_to_show(served):
    def fails():
        raise DataError("All its values are the same.")

    of = subjects_of(served.json("/data/shelf.json"))["a.csv"]
    patched = patch.object(Subject, "parts", property(lambda self: {"": fails}))
    with patched:
        said = {"problem": "All its values are the same."}
        assert served.json(f"/data/first.json?of={of}") == said
    for _ in range(2):
        items = {item["name"]: item for item in served.json("/data/shelf.json")["items"]}
        assert not items["a.csv"]["shown"] and items["b.csv"]["shown"]
        assert {"room": "first", "why": said["problem"]} in items["a.csv"]["not_shown"]
        served.shelf.add_upload("c.csv", TABLES["c.csv"])


def test_answers_are_of_the_data_that_were_asked_for(served):
    said = served.json("/data/shelf.json")
    of = subjects_of(said)
    for name, values in (("a.csv", [[1, 2]]), ("b.csv", [[3, 4]])):
        assert served.json(f"/data/first.json?of={of[name]}") == {"values": values}
    assert served.json("/data/first.json") == {"values": [[1, 2]]}  # the first
    assert served.json(f"/data/first.rest.json?of={of['b.csv']}") == {"rest": 1}
    assert served.json("/data/second.json")["problem"].endswith(" Open some.")


@pytest.mark.parametrize(
    "path", ["third.json", "first.page.json", "first.__class__.json", "shelf.x.json"]
)
def test_rooms_and_parts_that_there_are_not_are_said_so(served, path):
    answer = served.request(f"/data/{path}")
    assert answer.status == 404 and "no such" in json.loads(answer.content)["problem"]


def test_what_is_closed_is_not_answered_with_anothers_data(served):
    of = subjects_of(served.json("/data/shelf.json"))
    a = next(i["id"] for i in served.json("/data/shelf.json")["items"] if i["name"] == "a.csv")
    assert served.json(f"/data/first.json?of={of['a.csv']}")["values"] == [[1, 2]]
    closed = json.loads(served.post("/api/close", {"id": a}).content)
    assert [item["name"] for item in closed["shelf"]["items"]] == ["b.csv"]
    answer = served.request(f"/data/first.json?of={of['a.csv']}")
    assert answer.status == 409 and "not open any more" in json.loads(answer.content)["problem"]
    assert served.json(f"/data/first.json?of={of['b.csv']}")["values"] == [[3, 4]]
    assert served.post("/api/close", {"id": a}).status == 200  # another page was quicker
    assert served.post("/api/close", [1]).status == 400


def test_every_answer_carries_the_version_of_what_is_open(served):
    def version(answer):
        return answer.headers["ancestral-version"]

    paths = ("/data/shelf.json", "/data/first.json", "/data/none.json", "/alive")
    before = {version(served.request(path)) for path in paths}
    assert before == {served.shelf.version}
    body = {"name": "c.csv", "base64": base64.b64encode(TABLES["c.csv"]).decode()}
    opened = served.post("/api/open", body)
    after = {version(opened), *(version(served.request(path)) for path in paths)}
    assert after == {served.shelf.version} != before
    assert "ancestral-version" not in served.request("/").headers


def test_an_upload_is_told_with_the_shelf_or_refused_by_name(served):
    body = {"name": "../../c.csv", "base64": base64.b64encode(TABLES["c.csv"]).decode()}
    said = json.loads(served.post("/api/open", body).content)
    mine = next(item for item in said["shelf"]["items"] if item["id"] == said["id"])
    assert mine["name"] == "c.csv" and mine["shown"]
    again = json.loads(served.post("/api/open", {**body, "name": "d.csv"}).content)
    assert again["id"] == said["id"] and again["shelf"] == said["shelf"]
    assert (
        not said["said"] and again["said"] == "d.csv has the same content as c.csv, which is open."
    )
    wrong = served.post("/api/open", {"name": "x.npy", "base64": "YWJj"})
    assert wrong.status == 422 and json.loads(wrong.content)["problem"].startswith("x.npy")
    for odd in ({}, {"name": "x", "base64": "%"}, [1], {"name": "\ud800", "base64": ""}):
        assert served.post("/api/open", odd).status == 400


# ---- made once, and kept -------------------------------------------------------------------------


def test_an_upload_or_a_close_clears_only_what_it_concerns(plain):
    of = subjects_of(plain.listing().described())
    for _ in range(2):
        for each in of.values():
            plain.text("first", each)
    assert made == {"a.csv": 1, "b.csv": 1}
    item = plain.shelf.add_upload("c.csv", TABLES["c.csv"])
    for each in subjects_of(plain.listing().described()).values():
        plain.text("first", each)
    assert made == {"a.csv": 1, "b.csv": 1, "c.csv": 1}
    plain.shelf.close(item.id)
    plain.text("first", of["a.csv"])
    plain.shelf.add_upload("c.csv", TABLES["c.csv"])  # opened again: made again
    for each in subjects_of(plain.listing().described()).values():
        plain.text("first", each)
    assert made == {"a.csv": 1, "b.csv": 1, "c.csv": 2}


def test_an_answer_made_while_the_shelf_changes_is_of_what_was_asked_for(plain):
    of = subjects_of(plain.listing().described())
    subject = plain.listing().subjects["first"][of["a.csv"]]
    began, may_end, answers = threading.Event(), threading.Event(), []

    def slow():
        began.set()
        may_end.wait(60)
        return {"values": "a's"}

    object.__setattr__(subject, "make", slow)
    asking = [
        threading.Thread(target=lambda: answers.append(plain.text("first", of["a.csv"])))
        for _ in range(3)
    ]
    for thread in asking:
        thread.start()
    assert began.wait(60)
    plain.shelf.close(next(item.id for item in plain.shelf.items if item.name == "a.csv"))
    plain.shelf.add_upload("c.csv", TABLES["c.csv"])
    assert set(subjects_of(plain.listing().described())) == {"b.csv", "c.csv"}
    may_end.set()
    for thread in asking:
        thread.join()
    assert answers == 3 * ['{"values": "a\'s"}']
    with pytest.raises(ClosedError):
        plain.text("first", of["a.csv"])


def test_a_failure_is_told_to_all_who_wait_and_not_kept(plain):
    of = subjects_of(plain.listing().described())["a.csv"]
    subject = plain.listing().subjects["first"][of]
    whole = subject.make
    object.__setattr__(subject, "make", lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            plain.text("first", of)
    object.__setattr__(subject, "make", whole)
    assert json.loads(plain.text("first", of))["values"] == [[1, 2]]


def test_what_opens_first_is_made_behind_the_page(plain):
    plain.make_all()
    plain.close()  # waits for what has begun
    assert set(made) <= {"a.csv"} and not plain.is_making
    plain.make_all()  # a closed studio begins nothing
    assert not plain.is_making


# ---- the command --------------------------------------------------------------------------------


def test_the_report_has_a_room_for_each_problem(tmp_path, models):
    from ancestral.cli.report import _rooms

    (tmp_path / "models").mkdir()
    for name, model in models.items():
        model.save(tmp_path / "models" / f"{name}.model")
    rooms = _rooms(None, tmp_path)
    assert set(rooms) == {"pixels", "faces", "classroom", "line"}
    assert all(f'id="room-{name}"' in page for name, page in rooms.items())
    assert '"name": "LSTM"' in rooms["pixels"]


def test_a_missing_extra_is_named(monkeypatch):
    import sys

    from ancestral.errors import MissingExtraError
    from ancestral.studio import server

    for package, call in (
        ("uvicorn", lambda: server.run(Shelf())),
        ("starlette.applications", lambda: server.make_app(Rooms(Shelf()), port=1)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=r"ancestral\[studio\]"):
            call()

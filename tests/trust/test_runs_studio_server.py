"""Where the studio listens, and what becomes of its work when a page or the server goes.

Rows C10, C18 and C19 of the catalogue.
"""

from __future__ import annotations

import socket
import threading
import time

import pytest

from ancestral.errors import AncestralError
from ancestral.studio import security, server
from ancestral.studio.shelf import Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import in_place_of_all, plain_room, started

# ---- where it listens ---------------------------------------------------------------------------


def test_c10_a_port_that_is_taken_is_said_so():
    held = server._listen("127.0.0.1", 0)
    held.listen()
    with pytest.raises(AncestralError, match=r"127.0.0.1:\d+ cannot be listened on .* --port"):
        server._listen("127.0.0.1", held.getsockname()[1])
    held.close()


def test_c10_where_none_was_asked_for_the_next_free_one_is_taken_and_said(monkeypatch):
    held = server._listen("127.0.0.1", 0)
    held.listen()
    monkeypatch.setattr(server, "PORT", held.getsockname()[1])
    said, _ = ran(monkeypatch, host="127.0.0.1", port=None)
    held.close()
    taken = int(said[1].partition("127.0.0.1:")[2].partition("/")[0])
    assert said[0] == f"Port {server.PORT} is in use, so the studio uses port {taken}."
    assert taken != server.PORT


def ran(monkeypatch, **settings):
    """Run the studio up to where it would serve; return what it said and what it would serve."""
    uvicorn = pytest.importorskip("uvicorn")
    said, served = [], []

    async def serve(self, sockets):
        served.append(self.config.app)
        sockets[0].close()

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    monkeypatch.setattr(server.Rooms, "make_all", lambda self: None)
    settings = {"open_browser": False, "say": said.append, **settings}
    running = threading.Thread(target=server.run, args=(Shelf(),), kwargs=settings)
    running.start()  # a thread of its own: Playwright's loop may be running in this one
    running.join(PATIENCE)
    (app,) = served
    return said, app


def test_c18_only_the_loopback_is_listened_on_by_default():
    listening = server._listen("127.0.0.1", None)
    assert listening.getsockname()[0] == "127.0.0.1"
    listening.close()
    assert server.is_loopback("127.0.0.1") and server.is_loopback("::1")
    for elsewhere in ("0.0.0.0", "192.168.1.2", "::", "", "127.example", "evil.example"):
        assert not server.is_loopback(elsewhere)


def test_c18_another_host_is_warned_about_and_still_wants_the_token(monkeypatch):
    """What `--host 0.0.0.0` says before it serves."""
    said, app = ran(monkeypatch, host="0.0.0.0", port=0)
    assert said[0].startswith("warning:") and "?token=" in said[1]
    assert isinstance(app, security.Guard) and len(app.session) >= 43


def test_c18_the_loopback_needs_no_warning(monkeypatch):
    said, _ = ran(monkeypatch, host="127.0.0.1", port=0)
    assert len(said) == 1 and "?token=" in said[0]


# ---- a page that is closed -----------------------------------------------------------------------


@pytest.fixture
def slow():
    """A studio of one room, which is made when the test lets it: (rooms, made, begun, may_end)."""
    made, begun, may_end = [], threading.Event(), threading.Event()

    def make(item):
        made.append(item.name)
        begun.set()
        assert may_end.wait(PATIENCE)
        return {"is": "whole"}

    room = plain_room("tables", make, later={"rest": lambda: pytest.fail("begun all the same")})
    with in_place_of_all({"only": room}):
        yield server.Rooms(Shelf()), made, begun, may_end


def test_c19_a_tab_closed_while_its_room_is_made_stops_nothing(slow):
    """The room is finished and kept for the next who asks; the training is not begun again."""
    rooms, made, begun, may_end = slow
    closed, running, thread = started(rooms.shelf)
    with socket.create_connection(("127.0.0.1", closed.port), timeout=PATIENCE) as tab:
        tab.sendall(
            f"GET /data/only.json HTTP/1.1\r\nHost: 127.0.0.1:{closed.port}\r\n"
            f"X-Ancestral-Session: {closed.guard.session}\r\n\r\n".encode()
        )
        assert begun.wait(PATIENCE)
    may_end.set()
    assert closed.json("/data/only.json") == {"is": "whole"}
    assert made == ["icons"]
    running.should_exit = True
    thread.join(PATIENCE)


def test_c19_a_studio_that_closes_begins_no_further_room(slow):
    rooms, made, begun, may_end = slow
    rooms.make_all()
    assert begun.wait(PATIENCE) and rooms.is_making
    closing = threading.Thread(target=rooms.close)
    closing.start()
    time.sleep(0.05)
    may_end.set()
    closing.join(PATIENCE)
    assert not rooms.is_making and made == ["icons"]

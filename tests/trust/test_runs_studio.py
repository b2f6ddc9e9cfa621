"""Who is let in: the token, Host, Origin, JSON, paths, sizes, times, and every answer's headers.

Rows C11 to C17 of the catalogue, on a studio that runs.
"""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import tempfile
import time
from importlib import resources

import numpy as np
import pytest

from ancestral.studio import pages, security, server
from ancestral.studio.shelf import Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import started, wait_until

BARE = ("/", "/page/main.js", "/page/rooms.js")
PATHS = (
    "/",
    "/page/main.js",
    "/page/rooms.js",
    "/data/shelf.json",
    "/data/faces.json",
    "/alive",
    "/api/open",
    "/api/close",
    "/no-such-thing",
)


# ---- who asks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [path for path in PATHS if path not in BARE])
def test_c11_t7_nothing_is_told_without_the_sessions_secret(studio, path):
    """Also to who has a fresh token: it is worth the page, and nothing else."""
    token = studio.guard.issue()
    for given in ("", "?token=", f"?token={token}"):
        assert studio.request(path + given, session=False).status == 403
    secret = studio.guard.session
    for wrong in ("", secret[:-1], secret + "x", "\xe9", f"{secret}, {secret}"):
        given = {"X_Ancestral_Session": wrong}
        assert studio.request(path, session=False, **given).status == 403
    assert studio.request(path, session=False, Cookie=f"x={secret}").status == 403


@pytest.mark.parametrize("path", BARE)
def test_c11_the_bare_page_is_the_packages_own_and_tells_nothing(studio, path):
    answer = studio.request(path, session=False)
    assert answer.status == 200
    assert studio.guard.session.encode() not in answer.content


def test_c11_t7_a_token_opens_the_page_once_and_no_cookie_is_set(studio):
    address = studio.entrance.removeprefix(studio.address)
    assert studio.request(address, method="HEAD", session=False).status == 200
    first, second = (studio.request(address, session=False) for _ in range(2))
    secret = studio.guard.session.encode()
    assert first.status == 200 and first.content.count(secret) == 1
    assert second.status == 403 and secret not in second.content
    assert not [name for name in first.headers if name.lower() == "set-cookie"]
    assert studio.request("/?token=guess", session=False).status == 403
    assert secret not in studio.request("/?token=guess", session=False).content


def test_c11_a_page_goes_on_after_it_is_loaded_again_and_shows_no_token(visit):
    page = visit("line")
    assert "token" not in page.url
    page.reload()
    page.wait_for_selector(".room:not([hidden]) .stage:not([aria-busy]) > *")
    assert "token" not in page.url and not page.context.cookies()


def test_c11_t7_the_browser_is_started_without_the_token(monkeypatch):
    """Other users see the words that a program is started with."""
    path = server._redirection("http://127.0.0.1:1/?token=secret")
    assert "secret" not in path.as_uri() and "secret" in path.read_text()
    assert path.parent.stat().st_mode & 0o077 == 0


def test_c11_tokens_are_long_and_never_twice_the_same():
    tokens = {security.new_token() for _ in range(1000)}
    assert len(tokens) == 1000 and min(map(len, tokens)) >= 43


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil",
        "",
    ],
)
def test_c12_another_host_is_refused(studio, host):
    """DNS rebinding: the browser names the attacker's host."""
    assert studio.request("/", Host=host.format(port=studio.port)).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_c12_its_own_names_are_accepted(studio, host):
    assert studio.request("/alive", Host=f"{host}:{studio.port}").status == 204


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_c13_another_origin_is_refused(studio, origin, method):
    answer = studio.request(
        "/api/open",
        method=method,
        body=b"{}" if method == "POST" else None,
        Origin=origin.format(port=studio.port),
        Content_Type="application/json",
    )
    assert answer.status == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_c13_a_post_from_another_site_is_refused_whatever_its_origin(studio):
    for site in ("cross-site", "same-site", "none"):
        assert studio.post("/api/open", {}, Sec_Fetch_Site=site).status == 403
    assert studio.post("/api/open", {}, Sec_Fetch_Site="same-origin").status == 400


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
     "text/json", "application/jsonx"],
)  # fmt: skip
def test_c14_a_post_must_be_json(studio, kind):
    """A foreign page can send these without asking first; JSON needs a preflight."""
    assert studio.post("/api/open", {"name": "x", "base64": ""}, Content_Type=kind).status == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_c14_other_methods_are_refused(studio, method):
    answer = studio.request("/", method=method)
    assert answer.status in (400, 403, 405)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_c13_websockets_are_refused(studio):
    answer = studio.request(
        "/", Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    assert answer.status != 101


# ---- what is asked for --------------------------------------------------------------------------

TARGETS = ("etc/passwd", "pyproject.toml", "server.py")
CLIMBS = (
    "..",
    "%2e%2e",
    "%252e%252e",
    "..%2f..",
    "..\\..",
    "%2e.",
    "....//",
    "..;",
    "%c0%ae%c0%ae",
)
ROOTS = ("/", "/page/", "/data/")
TRAVERSALS = [
    f"{root}{climb}/{target}" for root, climb, target in itertools.product(ROOTS, CLIMBS, TARGETS)
]
TRAVERSALS += [
    "//etc/passwd",
    "/page//etc/passwd",
    "/page/%00main.js",
    "/page/main.js%00",
    "/page/main.js/",
    "/page/file:///etc/passwd",
    "/data/../page/main.js",
    "/page/.",
    "/page/..",
    "/page/%2fetc%2fpasswd",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_c15_no_path_leads_to_a_file(studio, path):
    answer = studio.request(path)
    assert answer.status in (400, 403, 404)
    assert b"root:" not in answer.content and b"[project]" not in answer.content


def test_c15_there_are_more_than_sixty_such_paths(note):
    """With every encoding of the climb, in raw requests that no client has tidied."""
    assert len(set(TRAVERSALS)) >= 60
    note("C15 paths that climb out of the studio: refused", f"{len(set(TRAVERSALS))} variants")


def test_c15_names_of_uploads_lead_nowhere(tmp_path, monkeypatch):
    """An upload's name is what it is called, not where it goes; nothing of it is left behind."""
    from ancestral import PPCA

    model = PPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3))).save(tmp_path / "m")
    content, uploads = model.read_bytes(), tmp_path / "a" / "b"
    uploads.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(uploads))
    shelf = Shelf()
    climbs = ["../x.model", "..\\..\\x.model", f"{tmp_path}/x.model", "a/../../x.model", "..", "/"]
    for name in climbs:
        item = shelf.add_upload(name, content)
        assert "/" not in item.name and "\\" not in item.name
        shelf.close(item.id)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["a", "a/b", "m"]


def test_c15_a_link_out_of_the_page_s_folder_has_no_address(tmp_path, monkeypatch):
    """Pages are read when the studio starts; what is put beside them later is not served."""
    page = tmp_path / "page"
    shutil.copytree(str(resources.files("ancestral.studio") / "page"), page)
    monkeypatch.setattr(pages, "files", lambda name: tmp_path)
    copied, running, thread = started(Shelf())
    (page / "leak.js").symlink_to("/etc/passwd")
    assert copied.request("/page/main.js").status == 200
    assert copied.request("/page/leak.js").status == 404
    running.should_exit = True
    thread.join(PATIENCE)


@pytest.mark.parametrize("path", [*PATHS, "/?token=used"])
@pytest.mark.parametrize("session", [True, False])
def test_c17_every_answer_forbids_framing_sniffing_and_other_sources(studio, path, session):
    answer = studio.request(path, session=session)
    parts = answer.headers["Content-Security-Policy"].split("; ")
    policy = dict(part.split(" ", 1) for part in parts)
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in answer.headers


# ---- how much, how slowly, how many -------------------------------------------------------------


def test_c16_what_is_too_large_is_refused_before_it_is_sent(studio):
    answer = studio.request(
        "/api/open", method="POST", Content_Type="application/json", Content_Length=str(1 << 30)
    )
    assert answer.status == 413


def test_c16_an_undeclared_length_is_counted(studio, monkeypatch):
    monkeypatch.setattr(security, "MAX_BODY", 1 << 16)
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as connection:
        connection.sendall(head(studio, "Transfer-Encoding: chunked"))
        answer = b""
        for _ in range(200):
            try:
                connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            except OSError:  # it has hung up on us
                break
        answer = received(connection)
    assert b" 413 " in answer.split(b"\r\n")[0]


def test_c16_a_body_that_never_ends_is_given_up(studio, monkeypatch):
    monkeypatch.setattr(security, "BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as connection:
        connection.sendall(head(studio, "Content-Length: 1000") + b"{")
        assert b" 408 " in received(connection).split(b"\r\n")[0]


def test_c16_a_head_that_never_ends_is_hung_up_on(studio, monkeypatch):
    """Slow loris: a byte now and then does not hold the connection."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        wait_until(lambda: is_hung_up(connection, b"X-A: b\r\n"))
    assert studio.request("/alive").status == 204


def is_hung_up(connection: socket.socket, part: bytes) -> bool:
    """Send a part, after a while; tell whether nobody takes it any longer."""
    time.sleep(0.05)
    try:
        connection.sendall(part)
    except OSError:
        return True
    return False


def test_c16_a_thousand_open_connections_are_survived(studio, note):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if wanted < 2300:
        pytest.skip(f"the system allows {wanted} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    held = []
    try:
        for _ in range(1000):
            held.append(socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE))
            held[-1].sendall(b"GET / HTTP/1.1\r\n")
        assert studio.request("/alive").status == 204
        assert studio.request("/").status == 200
        note("C16 connections held open while the studio serves", str(len(held)))
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def head(studio, length: str) -> bytes:
    return (
        f"POST /api/open HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\n"
        f"X-Ancestral-Session: {studio.guard.session}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    ).encode()


def received(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


def test_c16_a_gigabyte_that_is_sent_all_the_same_is_not_kept(studio):
    """Refused by its declared length; the connection is closed instead of read to the end."""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as connection:
        connection.sendall(head(studio, f"Content-Length: {1 << 30}"))
        sent, part = 0, b"x" * (1 << 20)
        try:
            while sent < 1 << 30:
                sent += connection.send(part)
        except OSError:  # it has hung up on us
            pass
        assert sent < 64 << 20
    assert studio.request("/alive").status == 204


# ---- what comes from files ----------------------------------------------------------------------


def test_c17_names_from_files_stay_text(studio, visit):
    """A model, a column, a level or a file named as markup is shown as its name."""
    nasty = "<img src=x onerror=alert(1)>"
    page = visit("line", complaint="422")
    page.locator(".top").get_by_role("button", name="Files").click()
    rows = "\n".join(f"{k},{k * k % 7},{nasty if k % 2 else 'plain'}" for k in range(60))
    files = {"whole": f"{nasty},{nasty} too,kind\n{rows}\n", "broken": "{}"}
    page.locator("dialog input[type=file]").set_input_files(
        [
            {"name": f"{nasty} {name}.csv", "mimeType": "text/csv", "buffer": text.encode()}
            for name, text in files.items()
        ]
    )
    panel = page.locator("dialog")
    panel.locator(".wrong").wait_for()
    assert f"{nasty} broken.csv" in panel.locator(".wrong").inner_text()
    assert f"{nasty} whole.csv" in panel.inner_text()
    (mine,) = studio.shelf.of_kind("table")
    try:
        panel.get_by_role("button", name="Done").click()
        for name in ("line", "mixture", "tree", "compare"):
            page.locator(f".tabs a[data-room={name}]").click()
            page.wait_for_function(
                "([name, nasty]) => document.getElementById(`room-${name}`)"
                ".textContent.includes(nasty)",
                arg=[name, nasty],
            )
        assert page.locator("img").count() == 0
    finally:
        studio.shelf.close(mine.id)


def test_c17_uploads_are_judged_by_the_loader(studio):
    for content in (b"", b"not a model", b"\x80\x04c__builtin__\neval\n."):
        import base64

        document = {"name": "x.model", "base64": base64.b64encode(content).decode()}
        answer = studio.post("/api/open", document)
        assert answer.status == 422 and "x.model" in json.loads(answer.content)["problem"]
    for body in ([], {"name": "x"}, {"name": "x", "base64": "%%%"}, None, "text"):
        assert studio.post("/api/open", body).status == 400


@pytest.mark.parametrize("name", ['"\\ud800"', '"a\\udfff.csv"', '{"a": 1}', "null"])
def test_c17_unusual_but_legal_json_is_answered_in_words(studio, name):
    body = b'{"name": ' + name.encode() + b', "base64": "eA=="}'
    answer = studio.request("/api/open", method="POST", body=body, Content_Type="application/json")
    assert answer.status in (400, 422)
    assert "problem" in json.loads(answer.content)

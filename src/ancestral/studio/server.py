"""The studio's server: one page, its modules, and the rooms' data, on the loopback.

    GET  /                    the page
    GET  /page/NAME           its styles and modules
    GET  /data/shelf.json     what is open, and where it is shown
    GET  /data/ROOM.json?of=  what a room shows of it (made when first asked for, then kept)
    GET  /data/ROOM.PART.json?of=  a later part of that
    GET  /alive               204
    POST /api/open            {"name", "base64"}: a model or data file the page was given
    POST /api/close           {"id"}

Nothing in a request becomes a file's name: what is asked for is looked up among what there is. All
else about a request is judged by `security.Guard` before it comes here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ipaddress
import json
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ancestral._extras import need
from ancestral.errors import AncestralError
from ancestral.studio.listing import Listing
from ancestral.studio.pages import INDEX, KINDS, served_files
from ancestral.studio.payload import to_json
from ancestral.studio.security import LOOPBACK, SESSION, Guard
from ancestral.studio.shelf import Shelf, opened_before

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PORT = 8320
REQUEST_SECONDS = 15  # for a request's head to arrive
VERSION = "ancestral-version"  # a header: of what is open, so that every page on it notices


class ClosedError(AncestralError):
    """What was asked for is not open any more."""


class AbsentError(AncestralError):
    """There is no such room, or it has no such part."""


class Rooms:
    """The rooms' data as JSON, each made once and kept while what it is made from is open."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._listing: Listing | None = None
        self._kept: dict[tuple[str, str, str], Future[str]] = {}
        self._lock = threading.Lock()  # of the two above
        self._is_closed = threading.Event()
        self._behind = ThreadPoolExecutor(1, "rooms")
        self._making: Future[None] | None = None

    def listing(self) -> Listing:
        """Return what is shown now; what is made of things closed since then is forgotten."""
        with self._lock:
            before = self._listing
            if before is None or before.version != self.shelf.version:
                self._listing = now = Listing(self.shelf)
                same = now.named() & before.named() if before is not None else set()
                shown = {(room, of) for room, of, _ in same}
                self._kept = {key: text for key, text in self._kept.items() if key[:2] in shown}
                if before is not None:
                    now.failed = {key: why for key, why in before.failed.items() if key in shown}
                return now
            return before

    def text(self, room: str, of: str | None = None, part: str = "") -> str:
        """Return what a subject's part is made of; the first caller makes it, others wait.

        Raises
        ------
        ClosedError
            When the subject is not among what is open.
        AbsentError
            For a room or a part that there is not.
        """
        listing = self.listing()
        if room not in listing.subjects:
            raise AbsentError("There is no such room.")
        subjects = listing.subjects[room]
        if of is None:
            of = next(iter(subjects), None)
            if of is None:
                return to_json({"problem": listing.described()["rooms"][room]["wants"]})
        if of not in subjects:
            raise ClosedError("This is not open any more: choose another, or open it again.")
        key = (room, of, part)
        if part not in subjects[of].parts:
            raise AbsentError("The room has no such part.")
        with self._lock:
            is_first = key not in self._kept
            future: Future[str] = self._kept.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(to_json(listing.made(*key)))
                if (room, of) in listing.failed:  # whatever was opened meanwhile
                    self.listing().failed[room, of] = listing.failed[room, of]
            except BaseException as error:  # those who wait are told, and the next one tries again
                future.set_exception(error)
                with self._lock:
                    self._kept.pop(key, None)
        return future.result()

    def make_all(self) -> None:
        """Make what each room shows first, behind the page, so that rooms open at once."""
        if not self._is_closed.is_set():
            self._making = self._behind.submit(self._make_each)

    def _make_each(self) -> None:
        listing = self.listing()
        for room, subjects in listing.subjects.items():
            for of, subject in list(subjects.items())[:1]:
                for part in ("", *subject.later):
                    if self._is_closed.is_set():
                        return
                    with contextlib.suppress(Exception):  # told to who asks
                        self.text(room, of, part)

    def close(self) -> None:
        """Begin no further part, and wait for the one being made.

        A thread left to itself in the midst of an import or a training would take the
        interpreter's end for an error.
        """
        self._is_closed.set()
        self._behind.shutdown(cancel_futures=True)

    @property
    def is_making(self) -> bool:
        """Whether a part is being made behind the page."""
        return self._making is not None and not self._making.done()


def make_app(rooms: Rooms, *, port: int, hosts: tuple[str, ...] = ()) -> Guard:
    """Return the ASGI application, guarded.

    Parameters
    ----------
    rooms : Rooms
    port : int
        Where it will listen.
    hosts : tuple of str
        Names it may be asked under, beside the loopback's.
    """
    Starlette, GZip, Route = _starlette()
    app = Starlette(routes=[Route(path, *given) for path, given in _routes(rooms).items()])
    app.router.redirect_slashes = False
    app.add_middleware(GZip, minimum_size=1000, compresslevel=6)
    return Guard(app, port=port, hosts=hosts)


def _starlette() -> tuple[Any, Any, Any]:
    need("the studio", "studio")
    from starlette.applications import Starlette
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.routing import Route

    def route(path: str, endpoint: Callable[..., Any], method: str = "GET") -> Any:
        return Route(path, endpoint, methods=[method])

    return Starlette, GZipMiddleware, route


def _routes(kept: Rooms) -> dict[str, tuple[Any, ...]]:
    """Return what answers each path."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    def text(content: str, kind: str, status: int = 200) -> Response:
        return Response(content, status, media_type=f"{kind}; charset=utf-8")

    def constant(content: str, kind: str) -> Callable[[Request], Any]:
        async def answer(_: Request) -> Response:
            return text(content, kind)

        return answer

    def told(status: int, content: str) -> Response:
        answer = text(content, "application/json", status)
        answer.headers[VERSION] = kept.shelf.version
        return answer

    async def data(request: Request) -> Response:
        room, _, part = request.path_params["name"].partition(".")
        of = request.query_params.get("of")
        return told(*await run_in_threadpool(_data, kept, room, of, part))

    async def page(request: Request) -> Response:
        """Give the page, with the session's secret to who brought a fresh token."""
        if SESSION not in request.scope:
            return text(index, "text/html")
        session = request.scope[SESSION]
        if session is None:  # a used token: a browser that has the session goes on all the same
            return text(index, "text/html", 403)
        named = f'<meta name="ancestral-session" content="{session}">'
        return text(index.replace("<head>", f"<head>\n{named}", 1), "text/html")

    async def alive(_: Request) -> Response:
        return Response(status_code=204, headers={VERSION: kept.shelf.version})

    def posted(change: Callable[[Rooms, bytes], tuple[int, str]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return told(*await run_in_threadpool(change, kept, await request.body()))

        return answer

    pages = served_files()
    index = pages.pop(INDEX)
    found: dict[str, tuple[Any, ...]] = {"/": (page,)}
    for name, content in pages.items():
        found[f"/page/{name}"] = (constant(content, KINDS[Path(name).suffix]),)
    return {
        **found,
        "/data/{name}.json": (data,),
        "/alive": (alive,),
        "/api/open": (posted(_open), "POST"),
        "/api/close": (posted(_close_item), "POST"),
    }


def _data(kept: Rooms, room: str, of: str | None, part: str) -> tuple[int, str]:
    """Return status and JSON of what is open, or of what a room shows of it."""
    if (room, part) == ("shelf", ""):
        return 200, to_json(kept.listing().described())
    try:
        return 200, kept.text(room, of, part)
    except ClosedError as error:
        return 409, to_json({"problem": str(error)})
    except AbsentError as error:
        return 404, to_json({"problem": str(error)})


def _open(kept: Rooms, body: bytes) -> tuple[int, str]:
    """Add a file the page was given; return status and JSON."""
    try:
        document = json.loads(body)
        name, content = str(document["name"]), base64.b64decode(document["base64"], validate=True)
        name.encode()  # half a surrogate pair is legal JSON, and no text
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return 400, to_json({"problem": "Send a file as {name, base64}."})
    before = kept.shelf.items
    try:
        item = kept.shelf.add_upload(name, content)
    except AncestralError as error:
        return 422, to_json({"problem": str(error)})
    kept.make_all()
    said = opened_before(Path(name).name, item, before)
    return 200, to_json({"id": item.id, "said": said, "shelf": kept.listing().described()})


def _close_item(kept: Rooms, body: bytes) -> tuple[int, str]:
    """Close what the page names; return status and JSON."""
    try:
        of = str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 400, to_json({"problem": "Send what to close as {id}."})
    kept.shelf.close(of)
    kept.make_all()
    return 200, to_json({"shelf": kept.listing().described()})


_PRIVATE: list[tempfile.TemporaryDirectory[str]] = []


def _private_folder() -> Path:
    """Return this process's folder, closed to other users and removed when it ends."""
    if not _PRIVATE:
        _PRIVATE.append(tempfile.TemporaryDirectory(prefix="ancestral-studio-"))
    return Path(_PRIVATE[0].name)


def _redirection(address: str) -> Path:
    """Write a page that leads to an address: other users see the names of started programs' files.

    A browser that is started with the address itself shows it, token included, to everyone.
    """
    path = _private_folder() / "open.html"
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={address}"><title>Ancestral studio</title>'
        f'<a href="{address}">Open the studio</a>'
    )
    return path


# ---- running ------------------------------------------------------------------------------------


def run(
    shelf: Shelf,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the studio until interrupted.

    Parameters
    ----------
    shelf : Shelf
    host : str
        Other than the loopback, the studio can be reached from other machines by those who have
        the token; a warning says so.
    port : int, optional
        By default 8320, or any free one where that is taken.
    open_browser : bool
    say : callable
        Told the address, and warnings.

    Raises
    ------
    MissingExtraError
        Without starlette and uvicorn.
    AncestralError
        When the address cannot be listened on.
    """
    need("the studio", "studio")
    import uvicorn

    host = host or "0.0.0.0"  # an empty name means every address
    listening = _listen(host, port)
    number = listening.getsockname()[1]
    shown = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    rooms = Rooms(shelf)
    app = make_app(rooms, port=number, hosts=_names(host))
    if not is_loopback(host):
        say(
            f"warning: other machines can reach {host}, and nothing is encrypted. Anyone who sees "
            "the address below, with its token, can open the studio. Leave --host out to prevent "
            "this."
        )
    if port is None and number != PORT:
        say(f"Port {PORT} is in use, so the studio uses port {number}.")
    address = f"http://{_bracketed(shown)}:{number}/?token="
    _raise_file_limit()
    server = uvicorn.Server(configuration(app))
    try:
        with _ended_by_interrupt(server):  # from the first word on
            rooms.make_all()  # while the browser starts
            say(f"{address}{app.issue()}\nThis address opens the studio once. Ctrl+C closes it.")
            if open_browser:
                page = _redirection(address + app.issue())
                threading.Timer(0.3, webbrowser.open, [page.as_uri()]).start()
            asyncio.run(server.serve(sockets=[listening]))
    finally:
        _close(rooms, say)


@contextlib.contextmanager
def _ended_by_interrupt(server: Any) -> Iterator[None]:
    """Let Ctrl+C ask the server to end whenever it comes, also while the server is starting."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: setattr(server, "should_exit", True))
    try:
        if getattr(before, "asked", ()):  # already, while modules were being imported
            raise KeyboardInterrupt
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _close(rooms: Rooms, say: Callable[[str], None]) -> None:
    """End the making of rooms; a second Ctrl+C ends everything at once."""
    try:
        if rooms.is_making:
            say(
                "Closing when the room that is being made is done. Press Ctrl+C again to leave at "
                "once."
            )
        rooms.close()
    except KeyboardInterrupt:
        os._exit(130)


def configuration(app: Any) -> Any:
    """Return uvicorn's settings for an application: no logs, no websockets, bounded waits."""
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        http=timed_protocol(),
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine's own, out of others' reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(host: str) -> tuple[str, ...]:
    """Return what Host may say beside the loopback's names."""
    if host in ("0.0.0.0", "::"):
        own = socket.gethostname()
        try:
            addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(own, None)}
        except OSError:
            addresses = set()
        return (own.lower(), *(_bracketed(a) for a in sorted(addresses)))
    return () if host in LOOPBACK else (_bracketed(host).lower(),)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; another free port only where none was asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [PORT, 0] if port is None else [port]
    why: Exception | None = None
    for number in wanted:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
        except (OSError, OverflowError) as error:
            listening.close()
            why = error
        else:
            return listening
    raise AncestralError(
        f"{host}:{wanted[-1]} cannot be listened on ({why}). Pass another --port, or none."
    )


def timed_protocol() -> type:
    """Return uvicorn's protocol, closing connections that keep a request's head waiting."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Timed(H11Protocol):
        """Sending a byte now and then must not hold a connection for ever."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._arm()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self) -> None:
            self._disarm()
            self._timer = self.loop.call_later(REQUEST_SECONDS, self._drop_if_waiting)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()

        def _drop_if_waiting(self) -> None:
            if self.conn.their_state is h11.IDLE:
                self.transport.close()

    return Timed


def _raise_file_limit() -> None:
    """Allow as many open connections as the system does without asking anyone."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""Who may ask the studio, and for what.

A page on the web can make a browser talk to a server on the same machine. So every request must

    name this server in Host        (another name: DNS rebinding)         403
    come from this page, by Origin  (another: a foreign page's script)    403
    for anything but the bare page, carry the session's secret in a header  403
    be GET, HEAD or POST                                                  405
    and, if POST, be JSON           (form and text need no preflight)     415
    of a bounded size, in bounded time                                    413, 408

An address with a token in it opens the page once: the answer holds the secret, and the token is
worth nothing from then on. The page keeps the secret where scripts of its own origin alone can
read it, port included, and sends it as a header; a cookie would go to every port of the host. The
bare page and its modules are this package's own files, and tell nothing. Every answer forbids
framing, sniffing and any source but this server, and allows no other origin.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 << 20  # bytes
BODY_SECONDS = 30.0
HEADER = "x-ancestral-session"
SESSION = "ancestral.session"  # what the page is told, in the scope of a request
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]


def new_token() -> str:
    """Return an unguessable token (256 bits)."""
    return secrets.token_urlsafe(32)


class Guard:
    """The checks above, around an ASGI application.

    Parameters
    ----------
    app : ASGI application
    port : int
        Where the server listens; Host must name it.
    hosts : sequence of str
        Further names that Host may give, beside the loopback's own.

    Attributes
    ----------
    session : str
        What requests for data carry.
    """

    def __init__(self, app: App, *, port: int, hosts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.session = new_token()
        self._tokens: set[str] = set()
        names = (*LOOPBACK, *hosts)
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

    def issue(self) -> str:
        """Return a token that opens the page once."""
        token = new_token()
        self._tokens.add(token)
        return token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(_hardened(send), *refusal)
            return
        is_visit = scope["path"] == "/" and scope["method"] == "GET"
        if is_visit and (tokens := _tokens_in_query(scope)):
            scope[SESSION] = self._trade(tokens)
        try:
            body = await _whole_body(receive) if scope["method"] == "POST" else b""
        except _RefusedError as refused:
            await _answer(_hardened(send), refused.status, refused.words)
            return
        await self.app(scope, _replay(body, receive), _hardened(send))

    def _refusal(self, scope: Scope, headers: dict[str, list[str]]) -> tuple[int, str] | None:
        """Return status and reason for a request that is not answered, or None."""
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self.hosts:
            return 403, "This server answers to its own address only."
        # The page is plain http; "null" and https are other origins.
        if any(origin != f"http://{host[0]}" for origin in headers.get("origin", [])):
            return 403, "Requests from other pages are refused."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "Only GET, HEAD and POST are known here."
        is_bare = scope["path"] == "/" or scope["path"].startswith("/page/")
        if not is_bare and not self._is_of_session(headers):
            return 403, (
                "This page has no session, or its studio was closed. Open the address that the "
                "command “ancestral studio” printed. It opens the page once. If it was used, start "
                "the command again."
            )
        if scope["method"] == "POST":
            if headers.get("sec-fetch-site", ["same-origin"]) != ["same-origin"]:
                return 403, "Requests from other pages are refused."
            kind = ";".join(headers.get("content-type", [])).split(";")[0].strip().lower()
            if kind != "application/json":
                return 415, "Send JSON (Content-Type: application/json)."
            if _declared_length(headers) > MAX_BODY:
                return 413, f"At most {MAX_BODY >> 20} MiB can be sent at once."
        return None

    def _is_of_session(self, headers: dict[str, list[str]]) -> bool:
        given = headers.get(HEADER, [])
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), self.session.encode())

    def _trade(self, tokens: list[str]) -> str | None:
        """Return the session's secret for a token that was not used yet, else None."""
        for token in list(self._tokens):
            if hmac.compare_digest(tokens[0].encode(), token.encode()):
                self._tokens.discard(token)
                return self.session
        return None


class _RefusedError(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


def _headers(scope: Scope) -> dict[str, list[str]]:
    """Return the values of each header, by lower-case name."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _tokens_in_query(scope: Scope) -> list[str]:
    try:
        return parse_qs(scope.get("query_string", b"").decode("ascii")).get("token", [])
    except ValueError:  # not ASCII, or more fields than anyone needs
        return []


def _declared_length(headers: dict[str, list[str]]) -> int:
    value = headers.get("content-length", ["0"])[0]
    return int(value) if value.isascii() and value.isdigit() else 0


async def _whole_body(receive: Receive) -> bytes:
    """Return the body of a request; refuse one that is too long, in bytes or in seconds."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _RefusedError(400, "The request broke off.")
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY:
                    raise _RefusedError(413, f"At most {MAX_BODY >> 20} MiB can be sent at once.")
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise _RefusedError(408, f"The request took longer than {BODY_SECONDS:g} s.") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _hardened(send: Send) -> Send:
    """Return a `send` that adds the headers every answer carries."""

    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return hardened


async def _answer(
    send: Send, status: int, words: str, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *([(b"connection", b"close")] if status >= 400 else []),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Who may ask the studio, and for what.

A page on the web can make a browser talk to a server on the same machine. So every request must

    name this server in Host        (another name: DNS rebinding)         403
    come from this page, by Origin  (another: a foreign page's script)    403
    carry the token, as a cookie    (absent: somebody who guessed the port)  403
    be GET, HEAD or POST                                                  405
    and, if POST, be JSON           (form and text need no preflight)     415
    of a bounded size, in bounded time                                    413, 408

The command prints an address with the token in it; the first visit trades it for a cookie that
scripts cannot read and other sites' requests don't carry. Every answer forbids framing, sniffing
and any source but this server, and allows no other origin.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 << 20  # bytes
BODY_SECONDS = 30.0
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
    token : str
    port : int
        Where the server listens; Host must name it.
    hosts : sequence of str
        Further names that Host may give, beside the loopback's own.
    """

    def __init__(self, app: App, *, token: str, port: int, hosts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.token = token
        # Cookies don't tell ports apart: two studios must not overwrite each other's.
        self.cookie = f"ancestral-studio-{port}"
        names = (*LOOPBACK, *hosts)
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

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
        if self._is_first_visit(scope, headers):
            await self._trade_token_for_cookie(scope, send)
            return
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
        if not self._has_token(scope, headers):
            return 403, (
                "This page needs its token. Open the address that the command "
                "“ancestral studio” printed, with all of “?token=…” in it."
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

    def _has_token(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        given = [*_tokens_in_query(scope), *self._tokens_in_cookies(headers)]
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given)

    def _tokens_in_cookies(self, headers: dict[str, list[str]]) -> list[str]:
        found = []
        for line in headers.get("cookie", []):
            try:
                cookie = SimpleCookie(line)
            except CookieError:
                continue
            if self.cookie in cookie:
                found.append(cookie[self.cookie].value)
        return found

    def _is_first_visit(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        return (
            scope["method"] == "GET"
            and scope["path"] == "/"
            and bool(_tokens_in_query(scope))
            and self._has_token(scope, headers)
        )

    async def _trade_token_for_cookie(self, scope: Scope, send: Send) -> None:
        """Redirect to the bare address, so that the token leaves the address bar."""
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        extra = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
        await _answer(_hardened(send), 303, "", extra)


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

"""The page over HTTP: `history.view()`, `pellucid open FILE` and `fit(..., view=True)`.

It listens on this machine only, and answers only who knows the token that is in its address. What it serves
is a closed table of addresses: no path of a file comes from outside. Answers are computed elsewhere (desk,
live).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import math
import os
import re
import secrets
import socket
import threading
import time
import weakref
import webbrowser
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Self

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pellucid.errors import ArgumentError, PellucidError, ShapeError, StateError, message
from pellucid.views import payload
from pellucid.views.page import markup
from pellucid.views.page.desk import Answer, Desk
from pellucid.views.page.live import Live, Progress

#: Sent with every answer: nothing comes from elsewhere, nobody frames it, and nobody keeps it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: At most this often a page is told how far the training is; and it hears something at least this often.
TELLING, AT_LEAST = 0.1, 15.0
#: How long a poll waits for news, and how long a command may be.
POLLING, COMMAND = 1.0, 1_000
#: The number of a step is no larger.
LARGEST = 10**15
#: How long closing may take.
CLOSING = 5.0


class View:
    """A page that shows a training, served on this machine until it is closed or the process ends.

    Attributes:
        url: its address. Who knows it can read the training, and pause it while it runs.

    Example:
        with history.view() as view:
            view.wait()  # until Ctrl-C
    """

    def __init__(self, history: Any, port: int = 0, tell: Callable[[str], None] | None = None) -> None:
        self.history = history
        self._listening = _listen(port)
        self.port: int = self._listening.getsockname()[1]
        self.token = secrets.token_urlsafe(32)
        self.url = f"http://127.0.0.1:{self.port}/#token={self.token}"
        self.desk = Desk(payload.Answers(history).bytes)
        #: The training that is watched; None of one that had ended before.
        self.live = None if tell is None else Live(self.desk, history, tell)
        self.running = self.live is not None
        self.over = threading.Event()
        self._ended = Progress()
        if not self.running:
            self._work("")
        self._server = uvicorn.Server(
            uvicorn.Config(
                _App(self),
                interface="asgi3",
                loop="asyncio",
                http=_Protocol,
                ws="none",
                lifespan="off",
                workers=1,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="pellucid view", daemon=True)
        self._thread.start()
        _open_views.add(self)

    def _serve(self) -> None:
        self._server.run(sockets=[self._listening])

    def _work(self, said: str) -> None:
        """The training has ended: what it left is asked by a thread of its own."""
        history = self.history
        _ = history.history  # what has been listed once is only read from now on
        said = said or (f"Ended after {history.steps:,} steps." if history.steps else "")
        self._ended = Progress(history.steps, *history.reached(wait=True), "ended", said)
        self.running = False
        if self.live is not None:
            self.live.ended(self._ended)
        self.desk.work(payload.Answers(history).bytes)

    def ended(self, said: str = "") -> None:
        """The training that was watched is over, and its history can be asked from now on."""
        if self.running and not self.over.is_set():
            self._work(said)

    @property
    def progress(self) -> Progress:
        """How far the training is."""
        return self._ended if self.live is None else self.live.progress

    def show(self) -> None:
        """Open the page in the browser, where there is one with windows."""
        threading.Thread(target=_show, args=(self.url,), name="pellucid browser", daemon=True).start()

    def wait(self) -> None:
        """Wait until the view is closed. Ctrl-C ends the waiting."""
        while not self.over.wait(0.5):
            pass

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.over.is_set()

    def close(self) -> None:
        """Serve nothing any more. A training that is watched goes on."""
        if self.over.is_set():
            return
        self.over.set()
        _open_views.discard(self)
        self.desk.close(CLOSING)
        self._server.should_exit = True
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSING)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<View: closed, was {self.url}>" if self.closed else f"<View {self.url}>"


_open_views: weakref.WeakSet[View] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for view in list(_open_views):
        view.close()


def watch(history: Any, port: int, tell: Callable[[str], None]) -> View:
    """The view of a training that begins; those of trainings that were watched before it are closed."""
    for view in list(_open_views):
        if view.live is not None and not view.running:
            view.close()
    return View(history, port, tell)


def _listen(port: int) -> socket.socket:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 2**16:
        raise ArgumentError(
            message(
                "there is no such port.", came=repr(port), expected="0 to 65535; 0 takes one that is free"
            )
        )
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY).
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # A port is free as soon as nobody listens there, though old connections are still ending.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError as problem:
        listening.close()
        raise ArgumentError(
            message(
                "the page cannot be served at this port.",
                came=f"port={port}: {problem.strerror or problem}",
                mend="another port, or port=0 for one that is free.",
            )
        ) from None
    return listening


def _show(url: str) -> None:
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        # One that runs within the terminal would take it from the training.
        if type(browser) is not webbrowser.GenericBrowser:
            browser.open(url)


# HTTP.


# What is wrong with a request is told to who sent it. Logs get nothing of it, however the process keeps them:
# they would be full of what others try, and hold the token.
_log = logging.getLogger("pellucid.view")
_log.setLevel(logging.CRITICAL + 1)
logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())


class _Protocol(H11Protocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger, self.access_log = _log, False


class _Refused(Exception):  # noqa: N818
    """An answer other than what was asked for."""

    def __init__(self, status: int, kind: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.response = _data({"error": {"kind": kind, "text": text}}, status, headers)


class _App:
    """Answers requests to a view."""

    def __init__(self, view: View) -> None:
        self.view = view
        hosts = (f"127.0.0.1:{view.port}", f"localhost:{view.port}")
        self.hosts, self.origins = hosts, tuple(f"http://{host}" for host in hosts)
        self.addresses: dict[tuple[str, bytes], Callable[[Request], Awaitable[Response]]] = {
            ("GET", b"/"): self._page,
            ("GET", b"/page.js"): self._script,
            ("GET", b"/page.css"): self._style,
            ("GET", b"/api/ask"): self._ask,
            ("GET", b"/api/events"): self._events,
            ("GET", b"/api/poll"): self._poll,
            ("POST", b"/api/control"): self._control,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._response(request)
        except _Refused as refused:
            response = refused.response
        except ClientDisconnect:
            return
        except PellucidError as error:
            status = 400 if isinstance(error, ArgumentError | ShapeError) else 409
            response = _Refused(status, type(error).__name__, str(error)).response
        except Exception as error:  # what a layer of the user's own raises, or a mistake of ours
            response = _Refused(500, type(error).__name__, str(error)).response
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(HEADERS)
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise _Refused(403, "StateError", "this page is served under its own address only.")
        if not all(each in self.origins for each in origins):
            raise _Refused(403, "StateError", "this page answers itself only.")
        path = request.scope["raw_path"]
        found = self.addresses.get((request.method, path))
        if found is None:
            known = [method for method, each in self.addresses if each == path]
            if known:
                raise _Refused(405, "ArgumentError", "this is asked for otherwise.", Allow=", ".join(known))
            raise _Refused(404, "ArgumentError", "there is nothing at this address.")
        return await found(request)

    def _require_token(self, given: list[str]) -> None:
        same = len(given) == 1 and secrets.compare_digest(given[0].encode(), self.view.token.encode())
        if not same:
            raise _Refused(
                403, "StateError", "the token is missing or wrong: open the address as it was printed."
            )
        if self.view.live is not None:
            self.view.live.heard = time.monotonic()

    # The page itself, which holds no data.

    async def _page(self, request: Request) -> Response:
        try:
            markup.built(markup.SCRIPT)
        except StateError as error:
            return HTMLResponse(markup.unbuilt(str(error)))
        return HTMLResponse(markup.served({"kind": "server", "live": self.view.running}))

    async def _script(self, request: Request) -> Response:
        return self._built(markup.SCRIPT, "text/javascript")

    async def _style(self, request: Request) -> Response:
        return self._built(markup.STYLE, "text/css")

    def _built(self, name: str, media: str) -> Response:
        try:
            return Response(markup.built(name), media_type=media)
        except StateError as error:
            raise _Refused(404, "StateError", str(error)) from None

    # Answers.

    async def _ask(self, request: Request) -> Response:
        self._require_token(request.headers.getlist("x-pellucid-token"))
        question = _one(request, "q")
        running = self.view.running
        answer = await self._answered(request, question)
        media = "application/octet-stream"
        if running:
            return Response(answer.content, media_type=media)
        tag = f'"{answer.digest}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        known = [
            each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")
        ]
        if tag in known:
            return Response(status_code=304, headers=headers)
        return Response(answer.content, media_type=media, headers=headers)

    async def _answered(self, request: Request, question: str) -> Answer:
        """The answer, unless who asked goes away before it is there."""
        asked = asyncio.wrap_future(self.view.desk.ask(question))
        gone = asyncio.ensure_future(_gone(request.receive))
        try:
            await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return asked.result()
        finally:
            asked.cancel()
            gone.cancel()

    # How far the training is.

    async def _events(self, request: Request) -> Response:
        self._require_token(request.query_params.getlist("token"))
        progress = self.view.progress
        if progress.state == "ended" and request.headers.get("last-event-id") == str(progress.steps):
            # Who was told of the end asks again, as browsers do; this says that nothing more will come.
            return Response(status_code=204)
        return StreamingResponse(self._told(), media_type="text/event-stream")

    async def _told(self) -> AsyncGenerator[str]:
        view, live = self.view, self.view.live
        if live is not None:
            live.listeners += 1
        try:
            told, told_at = None, 0.0
            while not view.closed:
                now = time.monotonic()
                if (progress := view.progress) != told:
                    yield f"id: {progress.steps}\ndata: {json.dumps(_plain(progress))}\n\n"
                    told, told_at = progress, now
                    if progress.state == "ended":
                        return
                elif now - told_at > AT_LEAST:
                    yield ": still here\n\n"
                    told_at = now
                await asyncio.sleep(TELLING)
        finally:
            if live is not None:
                live.listeners -= 1
                live.heard = time.monotonic()

    async def _poll(self, request: Request) -> Response:
        self._require_token(request.headers.getlist("x-pellucid-token"))
        since = _whole("since", _one(request, "since")) if "since" in request.query_params else -1
        before, until = self.view.progress, time.monotonic() + POLLING
        while (now := self.view.progress) == before and now.steps == since and now.state != "ended":
            if time.monotonic() >= until or self.view.closed:
                break
            await asyncio.sleep(TELLING)
        return _data(_plain(now))

    async def _control(self, request: Request) -> Response:
        self._require_token(request.headers.getlist("x-pellucid-token"))
        asked = await _command(request)
        if self.view.live is None:
            raise StateError(message("this training has ended.", came=str(asked["do"])))
        return _data(_plain(self.view.live.control(asked["do"], asked.get("step"))))


def _data(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(content, allow_nan=False)  # in ASCII, whatever names of columns hold
    return Response(text, status, headers, media_type="application/json")


def _plain(progress: Progress) -> dict[str, Any]:
    cost = progress.cost if progress.cost is not None and math.isfinite(progress.cost) else None
    return {
        "kind": "progress",
        "steps": progress.steps,
        "epochs": progress.epochs,
        "cost": cost,
        "state": progress.state,
        "said": progress.said,
    }


def _one(request: Request, name: str) -> str:
    """The one value of a parameter in the address."""
    given = request.query_params.getlist(name)
    if len(given) != 1:
        raise _Refused(400, "ArgumentError", message(f"{name} is said once.", came=f"{len(given)} times"))
    return given[0]


def _whole(name: str, value: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise _Refused(400, "ArgumentError", message(f"{name} is a whole number.", came=repr(value[:40])))
    return int(value)


async def _command(request: Request) -> dict[str, Any]:
    """What the body of a request says: {"do": ..., "step": ...}."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > COMMAND:
            raise _Refused(413, "ArgumentError", message("this is too long for a command."))
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    step = asked.get("step", 0) if isinstance(asked, dict) else None
    if (
        not isinstance(asked, dict)
        or not isinstance(asked.get("do"), str)
        or not set(asked) <= {"do", "step"}
        or isinstance(step, bool)
        or not isinstance(step, int)
        or abs(step) > LARGEST
    ):
        raise _Refused(
            400,
            "ArgumentError",
            message("this is no command.", expected='{"do": "until", "step": 100}, and the like'),
        )
    return asked


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The page over HTTP: who may ask, what comes back, and a training that is watched while it runs."""

import concurrent.futures
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

import pellucid as keras
from pellucid import seeds
from pellucid.callbacks import Callback, LearningRateScheduler
from pellucid.errors import ArgumentError, PellucidError, StateError
from pellucid.views import payload
from pellucid.views.page import markup, server
from pellucid.views.page.desk import Answer, Desk
from pellucid.views.page.live import SHARE, Live

#: What a test waits for comes at once; where it never comes, the test fails after so many seconds.
PATIENCE = 60.0
UNSEEN = {"open_browser": False}


class Page:
    """A page in the hands of a test: it knows the address, and nothing else."""

    def __init__(self, url):
        self.url = url
        address, self.token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/#token=(.+)", url).groups()
        self.port = int(address.rpartition(":")[2])
        self.kept = {}
        self.client = httpx.Client(
            base_url=address, headers={"X-Pellucid-Token": self.token}, timeout=PATIENCE, trust_env=False
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def get(self, path, **options):
        return self.client.get(path, **options)

    def asked(self, question, **options):
        return self.get("/api/ask", params={"q": question}, **options)

    def answer(self, question):
        response = self.asked(question)
        assert response.status_code == 200, response.text
        return payload.decode(response.content)

    def do(self, do, step=None):
        said = {"do": do} if step is None else {"do": do, "step": step}
        return self.client.post("/api/control", json=said)

    def progress(self):
        return self.get("/api/poll").json()

    def when(self, **wanted):
        """Wait until the training is there."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = self.progress()
            if all(found[name] == value for name, value in wanted.items()):
                return found
            time.sleep(0.01)
        raise AssertionError(f"never {wanted}, but {found}")


@pytest.fixture
def page():
    """Makes the page of a view, which is closed when the test ends."""
    with contextlib.ExitStack() as open_pages:
        yield lambda view: open_pages.enter_context(Page(view.url))


@pytest.fixture(scope="module")
def trained():
    seeds.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1, "sigmoid")]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model.fit(x, (x[:, 0] > 0).astype("float32"), epochs=5, verbose=0)


@pytest.fixture(scope="module")
def view(trained):
    with server.View(trained) as view:
        yield view


# Who may ask.


def test_a_view_has_an_address_and_is_the_same_until_it_is_closed(trained, page):
    with trained.view(**UNSEEN) as view:
        assert trained.view(**UNSEEN) is view
        assert view.url in repr(view)
        assert page(view).answer("run")["steps"] == trained.steps
    assert view.closed
    assert "closed" in repr(view)
    with pytest.raises(httpx.ConnectError):
        page(view).get("/")
    view.close()
    with trained.view(**UNSEEN) as another:
        assert another is not view
        assert another.url != view.url


def test_closing_leaves_no_thread(trained):
    before = set(threading.enumerate())
    with trained.view(**UNSEEN):
        assert len(set(threading.enumerate()) - before) == 2
    assert set(threading.enumerate()) <= before


def test_a_port_can_be_named_and_a_taken_one_is_refused(trained, page):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"port={port}"):
            trained.view(port=port, **UNSEEN)
    with trained.view(port=port, **UNSEEN) as view:
        assert page(view).port == port
    for port in (-1, 2**16, True, "80", 1.5):
        with pytest.raises(ArgumentError, match="no such port"):
            trained.view(port=port, **UNSEEN)


ASKING = [
    ("GET", "/api/ask?q=run"),
    ("GET", "/api/poll"),
    ("GET", "/api/events"),
    ("POST", "/api/control"),
]


@pytest.mark.parametrize(("method", "path"), ASKING)
@pytest.mark.parametrize(
    "token",
    ["", "0", "{}x", "x{}", "{} ", "upper", "swapped", "\xe9", "none"],
)
def test_without_the_token_nothing_is_answered(view, page, method, path, token):
    own = view.token
    given = {"upper": own.upper(), "swapped": own.swapcase()}.get(token, token.format(own))
    if given.strip() == own:
        given = own[:-1]
    headers = {} if token == "none" else {"X-Pellucid-Token": given.encode("latin-1")}
    with httpx.Client(base_url=f"http://127.0.0.1:{view.port}", trust_env=False) as client:
        params = {"token": given} if path == "/api/events" and token != "none" else None
        request = client.build_request(method, path, headers=headers)
        if params:
            request = client.build_request(method, path, params=params)
        response = client.send(request)
    assert response.status_code == 403
    assert "token" in response.json()["error"]["text"]
    assert own not in response.text


def test_the_token_comes_where_it_belongs_and_once(view, page):
    own = page(view)
    with httpx.Client(base_url=f"http://127.0.0.1:{view.port}", trust_env=False) as client:
        assert client.get("/api/ask", params={"q": "run", "token": own.token}).status_code == 403
        assert client.get("/api/events", headers={"X-Pellucid-Token": own.token}).status_code == 403
        twice = [("X-Pellucid-Token", own.token), ("X-Pellucid-Token", own.token)]
        assert client.get("/api/poll", headers=twice).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{}", "127.0.0.1", "localhost", "127.0.0.1:1", "127.0.0.1:{}.evil.example",
     "127.0.0.1:{}@evil.example", "[::1]:{}", "0.0.0.0:{}", "", "127.0.0.1:0{}"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/page.js", "/api/ask?q=run"])
def test_a_foreign_host_is_refused(view, page, host, path):
    response = page(view).get(path, headers={"Host": host.format(view.port)})
    assert response.status_code == 403
    assert page(view).get("/", headers={"Host": f"LocalHost:{view.port}"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "https://127.0.0.1:{}", "http://127.0.0.1", "http://127.0.0.1:1", "",
     "http://127.0.0.1:{}/", "http://127.0.0.1:{}.evil.example", "http://localhost:{},http://evil.example"],
)  # fmt: skip
def test_a_foreign_origin_is_refused(view, page, origin):
    own = page(view)
    assert own.asked("run", headers={"Origin": origin.format(own.port)}).status_code == 403
    for here in ("127.0.0.1", "localhost"):
        assert own.asked("run", headers={"Origin": f"http://{here}:{own.port}"}).status_code == 200


STRANGE = [
    r"/../../etc/passwd",
    r"/page.js/../../../pyproject.toml",
    r"/%2e%2e/%2e%2e/etc/passwd",
    r"/..%2f..%2fetc/passwd",
    r"/built/page.js",
    r"//etc/passwd",
    r"/%2fetc%2fpasswd",
    r"/..\..\etc\passwd",
    r"/%5c..%5c..",
    r"/page.js%00",
    r"/page.js%0a",
    r"/page%2ejs",
    r"/./page.js",
    r"/page.js/",
    r"/PAGE.JS",
    r"/api",
    r"/api/",
    r"/api/ask/",
    r"/api//ask",
    r"/api/ask%0a",
    r"/%61pi/ask?q=run",
    r"/api/ask;q=run",
    r"/server.py",
    r"/api/../page.js",
    r"/%c0%ae%c0%ae/etc/passwd",
    r"/file:///etc/passwd",
    r"/etc/passwd?/",
    r"/favicon.ico",
    r"/index.html",
    r"http://127.0.0.1/etc/passwd",
    r"file:///etc/passwd",
    r"*",
    r"etc/passwd",
]


@pytest.mark.parametrize("path", STRANGE)
def test_only_a_closed_table_of_addresses_is_served(view, path):
    own = Page(view.url)
    with own, raw(own.port) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\nX-Pellucid-Token: {own.token}\r\n"
            "Connection: close\r\n\r\n".encode("latin-1")
        )
        answer = read(connection)
    assert re.match(rb"HTTP/1\.1 40[04] ", answer), answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "POST", "GET", "BREW"]
)
def test_wrong_methods_are_refused(view, page, method):
    own = page(view)
    for path in ("/", "/page.js", "/api/ask", "/api/events", "/api/poll", "/api/control"):
        if method == ("POST" if path == "/api/control" else "GET"):
            continue
        response = own.client.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"] == ("POST" if path == "/api/control" else "GET")


def test_every_answer_has_the_strict_headers(view, page):
    own = page(view)
    answers = [
        own.get("/"),
        own.get("/page.js"),
        own.get("/nothing"),
        own.asked("run"),
        own.asked("nothing"),
        own.asked("run", headers={"Origin": "null"}),
        own.get("/api/events", params={"token": own.token}),
        own.get("/api/poll"),
        own.do("pause"),
        own.client.put("/"),
    ]
    assert {each.status_code for each in answers} >= {200, 403, 404, 405, 400, 409}
    for each in answers:
        policy = each.headers["content-security-policy"]
        assert policy == (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["referrer-policy"] == "no-referrer"
        assert each.headers["cache-control"] in ("no-store", "private, no-cache")
        assert "server" not in each.headers
        assert not any(name.startswith("access-control") for name in each.headers)


def test_the_page_itself_holds_no_data_and_names_its_source(view, page, tmp_path, monkeypatch):
    (tmp_path / "page.js").write_text("'the script'")
    (tmp_path / "page.css").write_text("/* the style */")
    monkeypatch.setattr(markup, "BUILT", tmp_path)
    with httpx.Client(base_url=f"http://localhost:{view.port}", trust_env=False) as client:
        whole = client.get("/").text
        assert client.get("/page.js").text == "'the script'"
        assert client.get("/page.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/page.css").headers["content-type"].startswith("text/css")
    source = re.search(r'<script id="pellucid-source" type="application/json">(.*?)</script>', whole)[1]
    assert json.loads(source) == {"kind": "server", "live": False}
    assert view.token not in whole


def test_where_the_page_was_not_built_it_says_how_and_all_else_works(view, page, tmp_path, monkeypatch):
    monkeypatch.setattr(markup, "BUILT", tmp_path)
    own = page(view)
    assert own.get("/").status_code == 200
    assert "pip install ." in own.get("/").text
    assert own.get("/page.js").status_code == 404
    assert own.answer("run")["steps"] == 20


# Answers.


def test_answers_are_those_of_the_payload(view, page, trained):
    own = page(view)
    answers = payload.Answers(trained)
    for question in ("run", "step?step=0", "step?step=19"):
        response = own.asked(question)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.content == answers.bytes(question)


def test_what_is_refused_is_told_in_the_familys_words(view, page, trained):
    own = page(view)
    for question in (
        "nothing",
        "step?step=20",
        "step?step=-1",
        "step",
        "",
        "step?step=\x00",
        "step?step=%FF",
    ):
        with pytest.raises(PellucidError) as refused:
            payload.Answers(trained).bytes(question)
        response = own.asked(question)
        assert response.status_code == 400
        assert response.json() == {"error": {"kind": "ArgumentError", "text": str(refused.value)}}
    for query in ("", "q=run&q=run", "p=run"):
        assert own.get(f"/api/ask?{query}").status_code == 400


def test_what_cannot_be_answered_now_and_what_breaks_have_numbers_of_their_own(page, trained, monkeypatch):
    def refuse(self, question):
        raise {"state": StateError, "broken": ZeroDivisionError}[question](f"because of {question}")

    monkeypatch.setattr(payload.Answers, "bytes", refuse)
    with trained.view(**UNSEEN) as view:
        own = page(view)
        response = own.asked("state")
        assert response.status_code == 409
        assert response.json()["error"] == {"kind": "StateError", "text": "because of state"}
        response = own.asked("broken")
        assert response.status_code == 500
        assert response.json()["error"] == {"kind": "ZeroDivisionError", "text": "because of broken"}


def test_an_answer_that_is_known_is_not_sent_again(view, page):
    own = page(view)
    first = own.asked("step?step=3")
    tag = first.headers["etag"]
    for known in (tag, f'"other", W/{tag}'):
        again = own.asked("step?step=3", headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
    assert own.asked("step?step=3", headers={"If-None-Match": '"other"'}).content == first.content
    assert own.asked("step?step=4").headers["etag"] != tag


def test_fifty_ask_at_once_and_each_gets_its_own_answer(view, trained):
    answers = payload.Answers(trained)
    expected = {f"step?step={number}": answers.bytes(f"step?step={number}") for number in range(20)}
    together = threading.Barrier(50)

    def ask(number):
        question = f"step?step={number % 20}"
        with Page(view.url) as own:
            together.wait(PATIENCE)
            return own.asked(question).content == expected[question]

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert all(pool.map(ask, range(50)))


def raw(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def read(connection):
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def malformed(random, port, token):
    """A request that is wrong somewhere, and whether it is only half of one."""
    good = (
        f"GET /api/ask?q=run HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Pellucid-Token: {token}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    kind = random.randrange(9)
    if kind == 0:
        return random.randbytes(random.randrange(1, 400)), True
    if kind == 1:
        return good[: random.randrange(1, len(good) - 2)], True
    if kind == 2:
        return b"GET /" + b"a" * random.randrange(70_000, 200_000) + b" HTTP/1.1\r\n\r\n", False
    if kind == 3:
        return good[:-4] + b"\r\nX: " + b"y" * random.randrange(70_000, 200_000), True
    if kind == 4:
        return good.replace(b"HTTP/1.1", random.choice([b"HTTP/99", b"HTTQ/1.1", b"", b"HTTP/1.1 x"])), True
    if kind == 5:
        name = random.choice(
            [b"Content-Length: -1", b"Content-Length: 1e9", b"Transfer-Encoding: lies", b"x y: z"]
        )
        return good[:-2] + name + b"\r\n\r\n", True
    if kind == 6:
        body = random.randbytes(random.randrange(0, 300))
        post = good.replace(b"GET /api/ask?q=run", b"POST /api/control")
        return post[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body, False
    if kind == 7:
        places = bytearray(good)
        for _ in range(random.randrange(1, 6)):
            places[random.randrange(4)] = random.randrange(128, 256)
        return bytes(places), True
    question = "".join(random.choice("%&=?;/.\\+abz019") for _ in range(random.randrange(1, 200)))
    return good.replace(b"q=run", b"q=" + question.encode()), False


def test_a_thousand_malformed_requests_and_it_still_answers(view, page):
    own = page(view)
    dice = random.Random(20)
    before = own.asked("run").content
    statuses = set()
    for _ in range(1_000):
        sent, half = malformed(dice, own.port, own.token)
        # It may hang up at any time, but must not keep who asks waiting.
        with raw(own.port) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(sent)
            if half:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            if answer := read(connection):
                statuses.add(int(answer.split(b" ", 2)[1]))
    assert statuses == {400}
    assert own.asked("run").content == before


def test_who_goes_away_is_not_waited_for():
    answered = []
    desk = Desk(lambda question: answered.append(question) or question.encode())
    gone, stays, same = desk.ask("gone"), desk.ask("stays"), desk.ask("stays")
    gone.cancel()
    assert desk.next(0).question == "stays"
    assert desk.next(0) is None
    desk.ask("more").cancel()
    stays.cancel()
    same.cancel()
    desk.work()
    assert desk.ask("last").result(PATIENCE) == Answer.of(b"last")
    desk.close()
    assert answered == ["last"]
    with pytest.raises(StateError, match="closed"):
        desk.ask("again").result(0)


def test_a_question_is_answered_once_for_all_who_ask_and_kept():
    answered = []
    desk = Desk(lambda question: answered.append(question) or question.encode())
    both = [desk.ask("run"), desk.ask("run")]
    desk.work()
    assert [each.result(PATIENCE).content for each in both] == [b"run", b"run"]
    assert desk.ask("run").result(PATIENCE).content == b"run"
    assert answered == ["run"]
    desk.forget()
    desk.ask("run").result(PATIENCE)
    assert answered == ["run", "run"]
    desk.close()


def test_ctrl_c_within_an_answer_lets_the_question_wait_again():
    def interrupted(question):
        raise KeyboardInterrupt

    desk = Desk(interrupted)
    first, second = desk.ask("first"), desk.ask("second")
    with pytest.raises(KeyboardInterrupt):
        desk.answer(desk.next(0))
    assert not first.done()
    desk.work(str.encode)
    assert first.result(PATIENCE).content == b"first"
    assert second.result(PATIENCE).content == b"second"
    desk.close()


def test_answers_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr("pellucid.views.page.desk.KEPT_BYTES", 10_000)
    desk = Desk(lambda question: bytes(3_000))
    desk.work()
    for number in range(20):
        desk.ask(str(number)).result(PATIENCE)
    assert desk._kept_bytes <= 10_000
    assert desk._kept_bytes == sum(len(each.content) for each in desk._kept.values())
    desk.close()


# How far the training is.


def told(text):
    """The events of a stream."""
    return [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")
    ]


def test_of_a_training_that_has_ended_events_and_poll_say_so_once(view, page, trained):
    own = page(view)
    said = {
        "kind": "progress",
        "steps": 20,
        "epochs": 5,
        "cost": pytest.approx(trained.log["cost"][-1]),
        "state": "ended",
        "said": "Ended after 20 steps.",
    }
    response = own.get("/api/events", params={"token": own.token})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert told(response.text) == [said]
    assert "id: 20\n" in response.text
    # What a browser does when the stream has ended; 204 tells it to stop.
    again = own.get("/api/events", params={"token": own.token}, headers={"Last-Event-ID": "20"})
    assert again.status_code == 204
    assert own.progress() == said
    assert own.get("/api/poll?since=20").json() == said
    for since in ("x", "1.5", "", "9" * 20, "1&since=2"):
        assert own.get(f"/api/poll?since={since}").status_code == 400


def test_a_training_that_has_ended_cannot_be_controlled(view, page):
    own = page(view)
    for do in ("pause", "step", "run"):
        assert own.do(do).status_code == 409
        assert "ended" in own.do(do).json()["error"]["text"]


# Live.


class Reached:
    """What a gate asks of a history."""

    compilations = 0

    def reached(self, wait=False):
        return 0, 0.5


class Watching(Callback):
    """Pauses a training before its first step, and lets a function drive its page from another thread."""

    def __init__(self, drive, paused=True):
        super().__init__()
        self.drive, self.paused = drive, paused
        self.problem = None

    def on_train_begin(self, logs=None):
        self.view = self.model.history.view(**UNSEEN)
        assert self.view is self.model.history.view(**UNSEEN)
        self.page = Page(self.view.url)
        if self.paused:
            assert self.page.do("pause").status_code == 200
        self.thread = threading.Thread(target=self.driven)
        self.thread.start()

    def driven(self):
        try:
            self.drive(self.page)
        except BaseException as problem:
            self.problem = problem
            self.view.close()  # so that the training goes on

    def ended(self):
        self.thread.join(PATIENCE)
        self.page.client.close()
        if self.problem is not None:
            raise self.problem


def watched(model, drive, *args, paused=True, callbacks=(), **options):
    """What fit returns, driven."""
    watching = Watching(drive, paused)
    try:
        history = model.fit(*args, callbacks=[*callbacks, watching], view=UNSEEN, verbose=0, **options)
    finally:
        watching.ended()
    if history.replay.record.facts.rows:  # how long an epoch of a stream is shows at its end
        later = payload.Answers(history)
        for question, content in watching.page.kept.items():
            assert later.bytes(question) == content
    return history


def wander(page):
    """Pause, step, ask and go on, here and there."""
    page.when(state="paused", steps=0)
    assert page.asked("run").status_code in (200, 409)
    page.do("step")
    page.when(state="paused", steps=1)
    assert page.answer("step?step=0")["number"] == 0
    for _ in range(3):
        page.do("step")
    page.when(state="paused", steps=4)
    costs = [page.answer(f"step?step={number}")["cost"] for number in range(4)]
    assert page.progress()["cost"] == pytest.approx(costs[-1])
    page.do("until", 11)
    page.when(state="paused", steps=11)
    for number in (10, 3, 7):
        page.kept[f"step?step={number}"] = page.asked(f"step?step={number}").content
    assert page.asked("step?step=11").status_code == 400
    page.do("run")


class Numbered(keras.utils.Sequence):
    """Batches that can be asked for by number."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, number):
        return self.x[number * 30 : number * 30 + 30], self.y[number * 30 : number * 30 + 30]


class ByBatch(Callback):
    """Listens to batches, and changes the learning rate by what it heard."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_train_batch_begin(self, batch, logs=None):
        self.heard.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append((batch, logs["loss"]))
        if batch % 3 == 2:
            self.model.optimizer.learning_rate = 0.001 * (1 + logs["loss"])


class ByTest(Callback):
    def on_test_end(self, logs=None):
        self.model.optimizer.learning_rate = 0.01 * logs["loss"]


def generator(x, y):
    while True:
        for start in range(0, 90, 30):
            yield x[start : start + 30], y[start : start + 30]


WAYS = {
    "plain": {"epochs": 30},
    "many epochs in an order": {"epochs": 700, "batch_size": 100},
    "validation within the loop": {"epochs": 30, "validation_split": 0.2},
    "validation that is watched": {"epochs": 10, "validation_split": 0.2, "callbacks": ByTest},
    "validation now and then": {"epochs": 10, "validation_split": 0.2, "validation_freq": 3},
    "not shuffled": {"epochs": 10, "shuffle": False},
    "shuffled within batches": {"epochs": 10, "shuffle": "batch"},
    "by epoch": {"epochs": 10, "callbacks": lambda: LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch))},
    "by batch": {"epochs": 10, "callbacks": ByBatch},
    "a generator": {"stream": generator, "epochs": 5, "steps_per_epoch": 5},
    "numbered batches": {"stream": Numbered, "epochs": 5},
    "some steps an epoch": {"epochs": 4, "steps_per_epoch": 5, "batch_size": 10},
    "a directory": {"epochs": 30, "record": "run"},
}


def fitted(table, fit, normalized=False, callbacks=None, stream=None, compiling=None, **options):
    """The model of a training from the same beginning, and what it left."""
    seeds.set_random_seed(3)
    between = [keras.layers.BatchNormalization()] if normalized else []
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            *between,
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"], **(compiling or {}))
    given = table if stream is None else (stream(*table),)
    own = [] if callbacks is None else [callbacks()]
    history = fit(model, *given, callbacks=own, **options)
    if history._view is not None:
        history._view.close()
    return {
        "weights": model.get_weights(),
        "optimizer": [np.asarray(each.value) for each in model.optimizer.variables],
        "history": history.history,
        "epochs": history.epoch,
        "log": (history.log["cost"], history.log["learning_rate"]),
        "edits": [(each.step, sorted(each.leaves)) for each in history.replay.record.edits],
        "heard": [each.heard for each in own if hasattr(each, "heard")],
        "drawn": (seeds.draw_seed(), np.random.random(), seeds.next_global_key().tolist()),
    }


def require_same(one, other):
    for name in ("weights", "optimizer", "log"):
        for ours, theirs in zip(one[name], other[name], strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    for name in ("history", "epochs", "edits", "heard", "drawn"):
        assert one[name] == other[name], name


def unwatched(model, *args, **options):
    return model.fit(*args, verbose=0, **options)


@pytest.mark.parametrize("normalized", [False, True], ids=["rows apart", "rows mixed"])
@pytest.mark.parametrize("way", WAYS)
def test_who_looks_on_changes_nothing(table, tmp_path, way, normalized):
    os.chdir(tmp_path)
    options = dict(WAYS[way])
    alone = fitted(table, unwatched, normalized, **options)
    if "record" in options:
        options["record"] = "another"
    asked = fitted(
        table, lambda model, *args, **rest: watched(model, wander, *args, **rest), normalized, **options
    )
    require_same(asked, alone)


def test_a_view_that_nobody_opens_changes_nothing(table):
    def shown(model, *args, **options):
        return model.fit(*args, view=UNSEEN, verbose=0, **options)

    require_same(fitted(table, shown, epochs=20), fitted(table, unwatched, epochs=20))


def test_steps_run_in_python_can_be_watched_too(table):
    slow = {"compiling": {"run_eagerly": True}, "epochs": 1, "batch_size": 8}
    asked = fitted(table, lambda model, *args, **rest: watched(model, wander, *args, **rest), **slow)
    require_same(asked, fitted(table, unwatched, **slow))


def test_where_callbacks_hear_of_several_steps_at_once_a_step_is_as_many(table, classifier):
    def drive(page):
        page.when(state="paused", steps=0)
        page.do("step")
        page.when(state="paused", steps=3)
        page.do("until", 4)
        page.when(state="paused", steps=4)  # the epoch ends there
        page.do("run")

    model = classifier(steps_per_execution=3)
    by_batch = ByBatch()
    watched(model, drive, *table, epochs=2, callbacks=[by_batch])
    assert [each for each in by_batch.heard if isinstance(each, int)] == [0, 3, 0, 3]


def test_questions_are_answered_while_it_runs(table, classifier):
    steps = {}

    class Asking(Callback):
        def on_train_begin(self, logs=None):
            view = self.model.history.view(**UNSEEN)
            steps.update({q: view.desk.ask(q) for q in ("run", "step?step=0", "step?step=1", "nothing")})

        def on_train_end(self, logs=None):
            self.done = {question: future.done() for question, future in steps.items()}

    model, asking = classifier(), Asking()
    history = model.fit(*table, epochs=600, verbose=0, callbacks=[asking], view=UNSEEN)
    assert all(asking.done.values())
    assert 0 < payload.decode(steps["run"].result(0).content)["steps"] < history.steps
    assert payload.decode(steps["step?step=1"].result(0).content)["cost"] == pytest.approx(
        history.log["cost"][1]
    )
    with pytest.raises(ArgumentError):
        steps["nothing"].result(0)
    history.view(**UNSEEN).close()


def test_events_tell_how_it_goes_and_how_it_ended(table, classifier):
    heard = []

    def drive(page):
        page.when(state="paused")
        with page.client.stream("GET", "/api/events", params={"token": page.token}) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data: "):
                    continue
                heard.append(json.loads(line.removeprefix("data: ")))
                if heard[-1]["state"] == "paused":
                    page.do("step" if heard[-1]["steps"] < 3 else "run")

    history = watched(classifier(), drive, *table, epochs=5)
    assert [each["steps"] for each in heard if each["state"] == "paused"] == [0, 1, 2, 3]
    assert heard[-1]["state"] == "ended"
    assert heard[-1]["steps"] == history.steps == 20
    assert heard[-1]["epochs"] == 5
    history.view(**UNSEEN).close()


def test_afterwards_the_same_view_shows_what_was_trained(table, classifier, page):
    def drive(own):
        own.when(state="paused")
        own.do("run")

    history = watched(classifier(), drive, *table, epochs=5)
    view = history.view(**UNSEEN)
    assert page(view).when(state="ended")["said"] == "Ended after 20 steps."
    assert page(view).asked("run").headers["etag"]
    assert page(view).answer("run")["steps"] == 20
    assert page(view).answer("step?step=19")["exact"]
    assert page(view).do("pause").status_code == 409
    view.close()


def test_the_page_knows_whether_the_training_runs(table, classifier, tmp_path, monkeypatch):
    (tmp_path / "page.js").write_text("")
    monkeypatch.setattr(markup, "BUILT", tmp_path)
    pages = []

    def drive(page):
        page.when(state="paused")
        pages.append(page.get("/").text)
        page.do("run")

    history = watched(classifier(), drive, *table, epochs=1)
    assert '"live": true' in pages[0]
    with Page(history.view(**UNSEEN).url) as own:
        assert '"live": false' in own.get("/").text
    history.view(**UNSEEN).close()


NO_COMMANDS = [
    *(b"", b"{", b"[]", b"null", b'"pause"', b"\xff\xfe", b"[" * 900, b'{"do": "pause"}' + b" " * 2_000),
    *(b'{"do": "stop"}', b'{"do": 1}', b'{"do": "until"}', b'{"do": "until", "step": "9"}'),
    *(b'{"do": "until", "step": true}', b'{"do": "until", "step": 1.0}', b'{"do": "until", "step": -1}'),
    *(b'{"do": "until", "step": 0}', b'{"do": "until", "step": 1e400}', b'{"do": "pause", "step": 3}'),
    *(b'{"do": "pause", "more": 3}', b'{"do": "until", "step": ' + b"9" * 900 + b"}"),
]


@pytest.mark.parametrize("body", NO_COMMANDS)
def test_what_is_no_command_is_refused(body):
    desk = Desk(str.encode)

    view = server.View.__new__(server.View)
    view.live, view.port, view.token = Live(desk, Reached(), print), 1, "token"
    view.running, view.over = True, threading.Event()
    request = httpx.Request(
        "POST", "http://127.0.0.1:1/api/control", content=body, headers={"X-Pellucid-Token": "token"}
    )

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server._App(view))) as client:
            return await client.send(request)

    import asyncio

    response = asyncio.run(asked())
    assert response.status_code in (400, 413)
    assert response.json()["error"]["kind"] == "ArgumentError"
    assert view.live.gate(0, lambda: None) is None  # and nothing is paused


def test_a_paused_training_goes_on_when_its_page_is_closed(table, classifier, capsys):
    def drive(page):
        watching.view.live.alone = 0.2
        page.when(state="paused")
        page.do("until", 7)
        page.when(state="paused", steps=7)

    watching = Watching(drive)
    history = classifier().fit(*table, epochs=5, callbacks=[watching], view=UNSEEN, verbose=0)
    watching.ended()
    assert history.steps == 20
    assert capsys.readouterr().out.splitlines() == [
        f"Watch this training: {watching.view.url}",
        "The page is gone, so the training goes on.",
    ]
    watching.view.close()


def test_a_page_that_listens_keeps_a_training_paused(table, classifier, capsys):
    def drive(page):
        live = watching.view.live
        live.alone = 0.1
        with page.client.stream("GET", "/api/events", params={"token": page.token}) as stream:
            lines = stream.iter_lines()
            while '"paused"' not in next(lines):
                pass
            time.sleep(1.0)
            assert live.progress.state == "paused"

    watching = Watching(drive)
    history = classifier().fit(*table, epochs=5, callbacks=[watching], view=UNSEEN, verbose=0)
    watching.ended()
    assert history.steps == 20
    assert "The page is gone" in capsys.readouterr().out
    watching.view.close()


def test_closing_the_view_lets_a_paused_training_go_on(table, classifier):
    def drive(page):
        page.when(state="paused")
        watching.view.close()

    watching = Watching(drive)
    history = classifier().fit(*table, epochs=5, callbacks=[watching], view=UNSEEN, verbose=0)
    watching.ended()
    assert history.steps == 20
    with history.view(**UNSEEN) as view, Page(view.url) as own:
        assert own.answer("run")["steps"] == 20


def test_ctrl_c_while_paused_loses_nothing(table, classifier):
    def drive(page):
        page.when(state="paused")
        page.do("until", 7)
        page.when(state="paused", steps=7)
        os.kill(os.getpid(), signal.SIGINT)

    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        watched(model, drive, *table, epochs=5)
    history = model.history
    assert (history.steps, history.epoch) == (7, [0])
    view = history.view(**UNSEEN)
    with Page(view.url) as own:
        assert own.when(state="ended")["said"] == "Stopped by Ctrl-C after 7 steps."
        assert own.answer("step?step=6")["exact"]
    view.close()
    for name, after in history.open(6).weights_after.items():
        np.testing.assert_array_equal(after, next(w for w in model.weights if w.path == name).numpy())


def test_a_training_that_breaks_is_shown_up_to_where_it_came(table, classifier):
    class Breaking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise ZeroDivisionError

    model = classifier()
    with pytest.raises(ZeroDivisionError):
        model.fit(*table, epochs=5, callbacks=[Breaking()], view=UNSEEN, verbose=0)
    with model.history.view(**UNSEEN) as view, Page(view.url) as own:
        assert own.progress()["said"] == "Ended by an error (ZeroDivisionError) after 12 steps."
        assert own.answer("step?step=11")["exact"]


def test_a_training_that_does_not_begin_leaves_a_view_that_has_ended(table, classifier):
    class Refusing(Callback):
        def on_train_begin(self, logs=None):
            self.model.history.view(**UNSEEN)
            raise ZeroDivisionError

    model = classifier()
    with pytest.raises(ZeroDivisionError):
        model.fit(*table, callbacks=[Refusing()], view=UNSEEN, verbose=0)
    with model.history.view(**UNSEEN) as view, Page(view.url) as own:
        assert own.progress()["state"] == "ended"
        assert not own.answer("run")["opens"]
        assert own.asked("step?step=0").status_code == 409


def test_each_fit_has_a_view_and_that_of_the_one_before_is_closed(table, classifier):
    model = classifier()
    first = model.fit(*table, epochs=1, verbose=0, view=UNSEEN)
    before = first.view(**UNSEEN)
    port = before.port
    second = model.fit(*table, epochs=1, verbose=0, view={"open_browser": False, "port": port})
    assert before.closed
    assert second.view(**UNSEEN).port == port
    with first.view(**UNSEEN) as again, Page(again.url) as own:
        assert own.answer("run")["steps"] == 4
    second.view(**UNSEEN).close()


def test_view_is_refused_where_it_cannot_be(table, classifier):
    model = classifier()
    with pytest.raises(ArgumentError, match="record=False"):
        model.fit(*table, view=True, record=False)
    for view in ("yes", 1, {"port": "x"}, {"browser": False}, [True]):
        with pytest.raises(ArgumentError):
            model.fit(*table, view=view, verbose=0)

    class Asking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(StateError, match="still running"):
                self.model.history.view(**UNSEEN)

    history = model.fit(*table, callbacks=[Asking()], verbose=0)
    assert history.steps == 4


def test_the_browser_is_opened_when_it_is_wanted(table, classifier, monkeypatch):
    opened = []
    seen = threading.Event()

    class Browser:
        def open(self, url):
            opened.append(url)
            seen.set()

    monkeypatch.setattr(server.webbrowser, "get", Browser)
    history = classifier().fit(*table, verbose=0, view=True)
    assert seen.wait(PATIENCE)
    view = history.view(**UNSEEN)
    assert opened == [view.url]
    view.close()


def test_no_browser_that_would_take_the_terminal_is_opened(monkeypatch):
    class Within(server.webbrowser.GenericBrowser):
        def open(self, *_):
            raise AssertionError

    within = server.webbrowser.GenericBrowser("lynx")
    within.open = Within.open
    monkeypatch.setattr(server.webbrowser, "get", lambda: within)
    server._show("http://127.0.0.1:1/")


def test_answers_leave_the_random_streams_as_they_are():
    seeds.set_random_seed(1)
    expected = seeds.draw_seed(), np.random.random(), seeds.next_global_key().tolist()
    seeds.set_random_seed(1)

    def drawing(question):
        seeds.draw_seed(), np.random.random(), seeds.next_global_key(), seeds.set_random_seed(9)
        return b""

    desk = Desk(drawing)

    live = Live(desk, Reached(), print)
    answer = desk.ask("run")
    assert live.gate(5, lambda: None) is None
    assert answer.result(0).content == b""
    assert (seeds.draw_seed(), np.random.random(), seeds.next_global_key().tolist()) == expected


def test_a_running_training_gives_a_tenth_of_its_time_at_most(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pellucid.views.page.live.time", SimpleNamespace(monotonic=lambda: clock[0]))
    history = Reached()

    def answering(question):
        clock[0] += 2.0 if question == "compiles" else 0.3
        history.compilations += question == "compiles"
        return b""

    desk = Desk(answering)

    live = Live(desk, history, print)
    spent = trained = 0.0
    desk.ask("compiles")
    live.gate(1, lambda: None)
    for number in range(2_000):
        clock[0] += 0.1
        trained += 0.1
        desk.ask(str(number))
        before = clock[0]
        live.gate(5, lambda: None)
        spent += clock[0] - before
    # Close to the share itself, from both sides.
    assert 0.9 * SHARE < spent / (spent + trained) < 1.1 * SHARE < 0.1


# pellucid open.


def opened(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "pellucid", "open", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "0"},
    )


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_pellucid_open_serves_a_run_until_ctrl_c(table, classifier, tmp_path, kind):
    model = classifier()
    if kind == "file":
        model.fit(*table, epochs=5, verbose=0).save(tmp_path / "run.pellucid")
    else:
        model.fit(*table, epochs=5, verbose=0, record=tmp_path / "run.pellucid")
    with opened(tmp_path / "run.pellucid", "--no-browser") as process:
        line = process.stdout.readline()
        with Page(re.search(r"http://\S+", line)[0]) as page:
            assert "20 steps" in line
            assert page.answer("run")["steps"] == 20
            assert page.answer("step?step=7")["number"] == 7
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert errors == ""
        assert "Traceback" not in out


def test_pellucid_open_refuses_what_is_no_run(tmp_path):
    (tmp_path / "damaged.pellucid").write_bytes(b"PK\x03\x04 and no more")
    for path in (tmp_path / "missing.pellucid", tmp_path / "damaged.pellucid", tmp_path):
        with opened(path, "--no-browser") as process:
            out, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert errors.startswith("pellucid: ")
        assert "Traceback" not in errors
        assert out == ""


def test_a_view_does_not_keep_a_process_alive(tmp_path):
    script = """
import numpy as np, pellucid as keras
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0, view={"open_browser": False})
history.view(open_browser=False).desk.ask("run").result()
print("the end")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=PATIENCE * 2
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "the end"

"""The page in a real browser: it shows what the steps hold, by keyboard, in all colours and widths."""

import gzip
import itertools
import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import pellucid as keras
from pellucid import layers
from pellucid.formula import shown
from pellucid.naming import forget_names
from pellucid.views.page import markup
from pellucid.views.payload import answer, question

sync_api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")

ROOT = Path(__file__).parent.parent
SCREENS = ("run", "step", "boundary", "cost", "layers")
#: Pictures of all screens are left here by each run of the tests.
PICTURES = ROOT / "build" / "screens"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--force-prefers-reduced-motion"),
]
SLIDE = "(each, to) => { each.value = to; each.dispatchEvent(new Event('input', {bubbles: true})) }"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install Debian's chromium to test the page"),
    pytest.mark.skipif(
        not (markup.BUILT / markup.SCRIPT).exists(), reason="THE PAGE IS NOT BUILT: see hatch_build.py"
    ),
]


@pytest.fixture(autouse=True, scope="module")
def fresh_names():
    """What the tests share is made before the first of them: its layers, too, count their names anew."""
    forget_names()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def tumours():
    """The tumour table, standardised, and its answers."""
    table = np.genfromtxt(
        ROOT / "examples" / "tumours.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    names = [name for name in table.dtype.names if name != "diagnosis"]
    x = np.stack([table[name] for name in names], axis=1).astype(np.float32)
    y = (table["diagnosis"] == "malignant").astype(np.float32)
    return (x - x.mean(axis=0)) / x.std(axis=0), y, names


@pytest.fixture(scope="module")
def history():
    """The tumours, by a network of two layers: every third step or so is in the page."""
    x, y, names = tumours()
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input(shape=(30,)),
            layers.Dense(16, "relu"),
            layers.Dense(8, "relu"),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    found = model.fit(x, y, epochs=30, batch_size=32, validation_split=0.2, verbose=0)
    found.columns, found.labels = names, ["benign", "malignant"]
    return found


@pytest.fixture(scope="module")
def learner():
    """The network of someone who begins: age and size of a tumour, one sigmoid."""
    x, y, _ = tumours()
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape=(2,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    found = model.fit(x[:, [0, 1]], y, epochs=4, batch_size=64, verbose=0)
    found.columns, found.labels = ["radius", "texture"], ["benign", "malignant"]
    return found


@pytest.fixture(scope="module")
def written(history, tmp_path_factory):
    """The page of the tumours, as a file."""
    return history.export_html(
        tmp_path_factory.mktemp("page") / "training.html", notes={5: "Look at the largest loss."}
    )


@pytest.fixture(scope="module")
def small(learner, tmp_path_factory):
    """The page of the learner's network."""
    return learner.export_html(tmp_path_factory.mktemp("page") / "learner.html")


class Reader:
    """Someone who reads the page; what the browser complains of, or asks of a network, fails the test."""

    def __init__(self, browser, address, width=1400, dark=False, cut_off=True, **options):
        colours = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=colours, **options
        )
        self.page = self.context.new_page()
        self.trouble = []
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)
        if cut_off:
            self.context.set_offline(True)
        self.page.goto(address)

    def _said(self, message):
        # What the server refuses in words, the browser also notes by its number.
        if message.type == "error" and "status of 400" not in message.text:
            self.trouble.append(message.text)

    def _asked(self, request):
        if not re.match(r"file://|data:|about:|blob:|http://127\.0\.0\.1:", request.url):
            self.trouble.append(f"the page asked for {request.url}")

    def __enter__(self):
        self.page.wait_for_selector("header nav")
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            assert self.trouble == []

    def go(self, screen, **cursor):
        """To a sight, by its address."""
        parts = "&".join(f"{key}={value}" for key, value in {"screen": screen, **cursor}.items())
        self.page.evaluate("hash => { location.hash = hash }", parts)
        self.page.wait_for_selector(f"nav [data-screen={screen}][aria-current=page]")
        self.page.wait_for_selector(".exact:not(.preview)")

    def at(self, part):
        """Wait until the address says this; it is written when the cursor has rested."""
        self.page.wait_for_function("part => location.hash.includes(part)", arg=part)

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def table(self, caption):
        """The cells of the table with this caption, row by row; it is opened if it is folded."""
        found = self.page.locator("table", has=self.page.locator("caption", has_text=caption)).first
        return [
            [cell.strip() for cell in row.locator("th, td").all_inner_texts()]
            for row in found.locator("tbody tr").all()
        ]

    def twin(self, within):
        """The table behind a chart."""
        details = self.page.locator(f"{within} details.twin").first
        if not details.evaluate("each => each.open"):
            details.locator("summary").click()
        details.locator("tbody").wait_for(state="attached")  # it comes a moment after the click
        rows = details.locator("tbody tr")
        return [row.locator("td").all_inner_texts() for row in rows.all()]


def address(written):
    return Path(written.path).resolve().as_uri()


def number(text):
    return float(text.replace(",", ""))


# What is shown is what is there.


def test_the_page_is_small_and_the_tumours_fit_into_5_mb(written, history, tmp_path):
    code = sum(
        len(gzip.compress((markup.BUILT / name).read_bytes(), 9)) for name in (markup.SCRIPT, markup.STYLE)
    )
    assert code <= 120_000
    shell = markup.document("", {"kind": "file"}, b"", "")
    assert len(shell.encode()) <= 400_000
    assert written.nbytes <= 5_000_000
    assert os.path.getsize(written.path) == written.nbytes
    epochs = {
        int(each) for each in history.log["step"][np.flatnonzero(np.diff(history.log["epoch"], prepend=-1))]
    }
    assert epochs <= set(written.steps)
    assert len(set(written.steps) - epochs) >= 55


def test_each_answer_in_the_file_is_that_of_the_run(written, history):
    import base64
    import zlib

    from pellucid.views.payload import decode

    text = Path(written.path).read_text()
    packed = re.search(r'<script id="pellucid-answers"[^>]*>(.*?)</script>', text, re.S)[1]
    held = decode(zlib.decompress(base64.b64decode(packed)))
    first = written.steps[0]
    for asked in (
        "run",
        "log",
        "surface",
        question("descent", step=first),
        question("spread", of="dense/bias"),
    ):
        np.testing.assert_equal(held[asked], json_like(answer(history, asked)))
    step = held[question("step", step=first)]
    assert step["cost"] == history.open(first).cost
    places = step["batch_of"]["places"]
    np.testing.assert_array_equal(step["batch_of"]["losses"], history.open(first).losses[places])


def json_like(value):
    """An answer as it comes back from its bytes."""
    from pellucid.views.payload import decode, encode

    return decode(encode(value))


def test_the_run_is_told_with_its_layers_and_its_data(browser, written, history):
    with Reader(browser, address(written)) as reader:
        strip = reader.page.locator(".strip li").all_inner_texts()
        assert [each.split("\n")[0] for each in strip] == ["dense", "dense_1", "dense_2"]
        assert "16 → 8" in strip[1]
        assert "136 parameters" in strip[1]
        assert "455 rows of 30 features" in reader.text(".run >> text=455 rows")
        costs = reader.twin(".curve:has(figcaption:text('Cost of every step'))")
        by_step = {int(number(row[0])): row[1] for row in costs}
        for step, cost in list(by_step.items())[:40]:
            if cost != "\u2013":
                assert cost == shown(float(history.log["cost"][step]))


def test_a_step_shows_the_numbers_of_the_opened_step(browser, written, history):
    step = history.open(written.steps[20])
    with Reader(browser, address(written)) as reader:
        reader.go("step", step=step.number, stage="forward")
        assert shown(step.cost) in reader.text("footer .where")
        rows = {int(row[0]): row for row in reader.table("The examples of the batch")}
        assert len(rows) >= 16
        for example in rows:
            assert rows[example][-1] == shown(float(step.losses[example]))
            assert rows[example][2].split()[0] == shown(float(step.outputs[example, 0]))
        formulas = reader.page.locator(".explain [role=math]").evaluate_all(
            "all => all.map(each => each.ariaLabel)"
        )
        assert formulas == [
            step.formula(f"dense_2.{kind}[0]", example=step.followed).text() for kind in ("z", "output")
        ]
        unit = reader.page.locator("[data-unit='3,0']")
        assert (
            unit.locator("title")
            .text_content()
            .endswith(shown(float(step.layers[-1].output[step.followed, 0])))
        )
        reader.page.keyboard.press("2")
        reader.page.wait_for_selector(".bars")
        labels = reader.page.locator(".explain [role=math]").evaluate_all(
            "all => all.map(each => each.ariaLabel)"
        )
        assert step.formula("cost").text() in labels
        assert step.formula(f"loss[{step.followed}]").text() in labels
        for example, loss in reader.twin(".explain .bars"):
            assert number(loss) == pytest.approx(float(step.losses[int(example)]), rel=1e-6)


def test_a_clicked_weight_shows_bars_whose_mean_is_its_gradient(browser, small, learner):
    step = learner.open(7)
    with Reader(browser, address(small)) as reader:
        reader.go("step", step=7, stage="backward")
        reader.page.locator(".grip[data-weight='dense/kernel[1,0]']").dispatch_event("click")
        reader.page.wait_for_selector(".weight .bars")
        bars = [number(row[1]) for row in reader.twin(".weight .bars")]
        assert len(bars) == 64
        gradient = float(step.gradients["dense/kernel"][1, 0])
        assert np.mean(bars) == pytest.approx(gradient, rel=1e-5)
        np.testing.assert_allclose(bars, step.gradients_by_example("dense/kernel[1,0]"), rtol=1e-5, atol=1e-9)
        assert shown(gradient) in reader.text(".weight .bars .note")
        reader.page.keyboard.press("4")
        facts = {row[0]: row[1:] for row in reader.table("How dense/kernel[1,0] was moved")}
        assert number(facts["the weight"][0]) == pytest.approx(
            float(step.weights["dense/kernel"][1, 0]), rel=1e-6
        )
        assert number(facts["the weight"][1]) == pytest.approx(
            float(step.weights_after["dense/kernel"][1, 0]), rel=1e-6
        )
        reader.at("dense%2Fkernel")


def test_hovering_a_number_lights_what_it_stands_for(browser, small):
    with Reader(browser, address(small)) as reader:
        reader.go("step", step=3, stage="forward")
        reader.page.locator(".formula [data-ref='dense/kernel[0,0]']").first.hover()
        assert reader.page.locator(".edge.lit").count() == 1
        reader.page.locator("[data-unit='0,1'] circle").hover()
        assert reader.page.locator(".unit.lit").count() == 1
        assert reader.page.locator(".formula .lit").count() >= 1


def test_the_boundary_counts_as_the_probabilities_say(browser, small, learner):
    x, y, _ = tumours()
    step = learner.open(20)
    given = np.asarray(step.predict(x[:, [0, 1]]))[:, 0]
    with Reader(browser, address(small)) as reader:
        reader.go("boundary", step=20)
        for border in (0.5, 0.7):
            slider = reader.page.locator(".threshold input")
            slider.evaluate(SLIDE, str(border))
            table = reader.table("With this threshold")
            counts = [[number(cell.split()[0]) for cell in row[1:]] for row in table]
            yes, malignant = given >= border, y == 1
            assert counts == [
                [np.sum(yes & malignant), np.sum(~yes & malignant)],
                [np.sum(yes & ~malignant), np.sum(~yes & ~malignant)],
            ]
        assert "radius" in reader.text(".equation")
        drawn = reader.page.locator(".point").count()
        assert f"{drawn} of {len(y)} points" in reader.text(".boundary figcaption")
        assert reader.page.locator(".point.in-batch").count() == 64


@pytest.mark.parametrize("classes", [2, 3])
def test_one_feature_is_a_curve_and_each_row_stands_off_it(browser, tmp_path, classes):
    x, y, _ = tumours()
    x, y = x[:120, :1], y[:120]
    y = np.where(x[:, 0] > 0.8, 2, y)[:, None] if classes == 3 else y
    keras.utils.set_random_seed(2)
    last = layers.Dense(3, "softmax") if classes == 3 else layers.Dense(1, "sigmoid")
    model = keras.Sequential([keras.Input(shape=(1,)), last])
    model.compile("sgd", "sparse_categorical_crossentropy" if classes == 3 else "binary_crossentropy")
    history = model.fit(x, y, epochs=3, batch_size=40, verbose=0)
    history.columns = ["radius"]
    own = y[:, 0].astype(int) if classes == 3 else y.astype(int)
    step = history.open(4)
    given = np.asarray(step.predict(x))
    written = history.export_html(tmp_path / "one.html")
    with Reader(browser, address(written)) as reader:
        reader.go("boundary", step=4)
        assert reader.page.locator("path.curve").count() == (1 if classes == 2 else 3)
        rows = reader.twin(".boundary")
        places = [int(number(row[0])) for row in rows]
        assert len(places) == 120
        lines = reader.page.locator("line.off")
        tops, ends = (
            np.array(lines.evaluate_all(f"all => all.map(each => Number(each.getAttribute('{name}')))"))
            for name in ("y1", "y2")
        )
        truth = own[places] if classes == 2 else np.ones(120)
        end = given[places, 0] if classes == 2 else given[places, own[places]]
        # The heights are those of the numbers: one straight line from numbers to heights.
        slope, at_zero = np.polyfit(np.concatenate([truth, end]), np.concatenate([tops, ends]), 1)
        assert slope < -100
        np.testing.assert_allclose(
            np.concatenate([tops, ends]), at_zero + slope * np.concatenate([truth, end]), atol=0.01
        )
        best = given.argmax(axis=1) if classes == 3 else None
        for place, row in zip(places[:20], rows, strict=False):
            said = row[3] if classes == 2 else row[3].split(": ")[1]
            assert said == shown(float(given[place, 0 if best is None else best[place]]))
        loss = -np.log(
            given[places[3], own[places[3]]]
            if classes == 3
            else np.abs(1 - own[places[3]] - given[places[3], 0])
        )
        assert number(rows[3][4]) == pytest.approx(float(loss), rel=1e-3)
        reader.page.locator(".point").last.hover()
        told = reader.text("[data-testid=point]")
        assert told.startswith(f"Row {places[-1]}")
        assert f"answer {rows[-1][3]}" in told


def test_the_cost_says_where_other_learning_rates_lead(browser, small, learner):
    step = learner.open(5)
    with Reader(browser, address(small)) as reader:
        reader.go("cost", step=5)
        assert shown(step.cost) in reader.text(".threshold p")
        assert shown(step.cost_after) in reader.text(".threshold p")
        rates = reader.page.locator(".cost .threshold input")
        rates.evaluate(
            "each => { each.value = each.max; each.dispatchEvent(new Event('input', {bubbles: true})) }"
        )
        tried = number(reader.text(".threshold label b"))
        other = step.what_if(learning_rate=float(np.float32(16 * step.optimizer.learning_rate)))
        assert tried == pytest.approx(16 * step.optimizer.learning_rate, rel=1e-3)
        assert shown(other.cost_after) in reader.text(".threshold p")
        assert learner.open(5).cost_after == step.cost_after


def test_layers_show_the_lengths_of_their_arrays(browser, written, history):
    step = history.open(written.steps[0])
    with Reader(browser, address(written)) as reader:
        reader.go("layers", step=step.number, of="dense_1/kernel")
        told = reader.text(".heat .note")
        assert f"length {shown(float(np.linalg.norm(step.weights['dense_1/kernel'])))}" in told
        cells = reader.twin(".heat")
        np.testing.assert_allclose(
            [number(each) for each in cells[2][1:]], step.weights["dense_1/kernel"][2], rtol=1e-3
        )


# Going through it.


def test_the_four_stages_are_walked_by_keyboard_alone(browser, written):
    with Reader(browser, address(written)) as reader:
        press = reader.page.keyboard.press
        press("b")
        seen = []
        for _ in range(5):
            seen.append(
                (
                    reader.text("[aria-current=step]").split()[-1],
                    reader.page.input_value(".goto"),
                )
            )
            press("n")
        first, second = written.steps[:2]
        stages = ["forward", "loss", "backward", "update"]
        assert seen == [(stage, str(first)) for stage in stages] + [("forward", str(second))]
        press("p")
        press("p")
        assert reader.text("[aria-current=step]").split()[-1] == "update"
        press("End")
        reader.at(f"step={written.steps[-1]}&")
        press("Home")
        press("ArrowRight")
        reader.at(f"step={second}&")
        # Into the network, from unit to unit, and one is chosen.
        press("1")
        reader.page.locator(".unit[tabindex='0']").focus()
        press("ArrowRight")
        press("ArrowDown")
        assert reader.page.evaluate("document.activeElement.dataset.unit") == "1,1"
        press("Enter")
        reader.at("of=dense%5B")
        press("Escape")
        before = reader.text(".batch tr.chosen button")
        press("]")
        assert reader.text(".batch tr.chosen button") != before
        press("?")
        assert reader.page.locator("dialog[open]").count() == 1
        press("Escape")
        assert reader.page.locator("dialog[open]").count() == 0


def test_a_link_names_an_exact_sight(browser, written, history):
    step = history.open(written.steps[10])
    sight = f"screen=step&step={step.number}&stage=update&example=4&of=dense_2%2Fkernel%5B3%2C0%5D"
    link = f"{address(written)}#{sight}"
    with Reader(browser, link) as reader:
        reader.page.wait_for_selector(".weight")
        assert reader.text(".weight h3") == "dense_2/kernel[3,0]"
        assert reader.text("[aria-current=step]").split()[-1] == "update"
        assert reader.text(".batch tr.chosen button") == "4"
        told = reader.page.locator("[data-testid=sentence]").text_content()
        assert told.startswith(f"Step {step.number}: cost {shown(step.cost)}")


def test_a_step_that_is_not_in_the_file_is_said_and_so_is_what_was_left_out(browser, written, history):
    missing = next(each for each in range(history.steps) if each not in written.steps)
    with Reader(browser, f"{address(written)}#screen=step&step={missing}") as reader:
        reader.page.wait_for_selector("[role=alert]")
        assert "not in the file" in reader.text("[role=alert]")
        assert f"{len(written.steps)} of {history.steps}" in reader.text("main")
        reader.page.get_by_text("Go to the nearest").click()
        reader.page.wait_for_selector(".stages")
        reader.page.locator(".goto").fill(str(missing))
        reader.page.locator(".goto").press("Enter")
        reader.page.wait_for_selector("[role=alert]")
    with Reader(browser, f"{address(written)}#screen=step&step=5") as reader:
        assert reader.text(".teacher") == "Look at the largest loss."


def test_without_scripts_there_is_a_table_and_a_picture(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(written))
    assert page.locator("noscript svg, #pellucid svg").count() == 1
    assert "validation" in page.locator("#pellucid").inner_text()
    context.close()


def test_a_run_with_nan_is_shown_as_what_it_is(browser, tmp_path):
    x = np.full((32, 3), 1e20, np.float32)
    model = keras.Sequential([keras.Input(shape=(3,)), layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e10), "mse")
    lost = model.fit(x, np.arange(32.0), epochs=3, batch_size=8, verbose=0)
    assert not np.isfinite(lost.log["cost"]).all()
    page = lost.export_html(tmp_path / "lost.html")
    with Reader(browser, address(page)) as reader:
        for screen in SCREENS:
            reader.go(screen, step=page.steps[-1])
            reader.page.wait_for_timeout(150)
        assert "X" in reader.page.locator(".cells text").all_text_contents()
        reader.go("step", step=page.steps[-1], stage="forward")
        assert "nan" in reader.text(".batch")


class Twice(layers.Layer):
    """A layer that states no arithmetic."""

    def call(self, x):
        return 2 * x


def test_a_layer_without_a_formula_says_so(browser, tmp_path):
    model = keras.Sequential([keras.Input(shape=(2,)), layers.Dense(3), Twice(), layers.Dense(1)])
    model.compile("sgd", "mse")
    found = model.fit(np.ones((8, 2)), np.ones(8), epochs=1, batch_size=4, verbose=0)
    page = found.export_html(tmp_path / "twice.html")
    with Reader(browser, address(page)) as reader:
        assert "states no arithmetic" in reader.text(".strip")
        reader.go("step", step=0, stage="forward", of=f"{model.layers[1].name}[0]")
        reader.page.wait_for_selector(".explain .said")
        assert "states no arithmetic" in reader.text(".explain .said")


def test_rows_can_be_withheld(history, tmp_path, browser):
    secret = history.export_html(tmp_path / "none.html", data="none", steps=6)
    step = history.open(secret.steps[0])
    with Reader(browser, address(secret)) as reader:
        reader.go("step", step=step.number)
        sync_api.expect(reader.page.locator(".batch .note").first).to_contain_text("left out")
        assert reader.page.locator(".batch tbody tr").count() == 0
        reader.go("boundary", step=step.number)
        sync_api.expect(reader.page.locator(".boundary .said")).to_contain_text("left out")
    sample = history.export_html(tmp_path / "sample.html", data="sample", steps=6)
    with Reader(browser, address(sample)) as reader:
        reader.go("step", step=sample.steps[0])
        sync_api.expect(reader.page.locator(".batch tbody tr")).to_have_count(8)


#: The strictest policy that a cell is shown under: VS Code's, where `notebook.experimental.enableCsp` is on
#: (in its sources: src/vs/workbench/contrib/notebook/browser/view/renderers/backLayerWebView.ts).
STRICT = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src https: http: data:; font-src https:; connect-src https:; child-src https: data:;"
)


@pytest.mark.parametrize("policy", ["", STRICT], ids=["no policy", "VS Code's policy"])
def test_a_cell_of_a_notebook_holds_the_page_in_a_frame(browser, learner, tmp_path, policy):
    cell = learner._repr_html_()
    assert len(cell) < 4_000_000
    (tmp_path / "cell.html").write_text(
        f'<!doctype html><meta charset=utf-8><meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<div id=output></div>"
    )
    context = browser.new_context(offline=True)
    page = context.new_page()
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.goto((tmp_path / "cell.html").as_uri())
    # As VS Code does; JupyterLab and marimo put it into the page in much the same way.
    page.evaluate("cell => { document.getElementById('output').innerHTML = cell; }", cell)
    frame = page.frame_locator("iframe")
    frame.locator("[data-screen=step]").click()
    sync_api.expect(frame.locator(".stages")).to_have_count(1)
    frame.locator("[data-screen=boundary]").click()
    sync_api.expect(frame.locator(".map canvas")).to_have_count(1)
    assert troubles == []
    context.close()


# How it looks.


@pytest.mark.parametrize("units", [(2, 4, 1), (3, 3, 1), (5, 2, 1)], ids=str)
def test_no_weight_is_written_over_another(browser, tmp_path, units):
    keras.utils.set_random_seed(3)
    hidden = [layers.Dense(each, "tanh") for each in units[1:]]
    model = keras.Sequential([keras.Input(shape=units[:1]), *hidden])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(16, units[0]))
    page = model.fit(x, x[:, 0], epochs=1, verbose=0).export_html(tmp_path / "page.html")
    with Reader(browser, address(page)) as reader:
        reader.go("step", step=0)
        boxes = reader.page.locator(".network .on-edge").evaluate_all(
            "all => all.map(each => each.getBBox()).map(box => [box.x, box.y, box.width, box.height])"
        )
    assert len(boxes) == sum(one * next_one for one, next_one in itertools.pairwise(units))
    for (x, y, wide, high), (left, top, its_wide, its_high) in itertools.combinations(boxes, 2):
        apart = max(left - x - wide, x - left - its_wide), max(top - y - high, y - top - its_high)
        assert max(apart) > -2  # at most the space around letters is shared


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_on_any_screen(browser, written, dark):
    if not AXE.exists():
        pytest.skip("NO AXE: npm ci in frontend/ brings it")
    with Reader(browser, address(written), dark=dark, bypass_csp=True) as reader:
        found = []
        for screen in SCREENS:
            stages = ("forward", "loss", "backward", "update") if screen == "step" else ("",)
            for stage in stages:
                reader.go(screen, step=written.steps[1], **({"stage": stage} if stage else {}))
                reader.page.wait_for_timeout(200)
                reader.page.evaluate(AXE.read_text())
                told = reader.page.evaluate("axe.run()")
                found += [
                    f"{screen} {stage}: {each['id']}: {each['nodes'][0]['html'][:120]}"
                    for each in told["violations"]
                ]
        reader.page.keyboard.press("?")
        reader.page.evaluate(AXE.read_text())
        found += [f"help: {each['id']}" for each in reader.page.evaluate("axe.run()")["violations"]]
        assert "\n".join(found) == ""


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_every_screen_fits_its_window(browser, written, width):
    PICTURES.mkdir(parents=True, exist_ok=True)
    for dark in (False, True):
        with Reader(browser, address(written), width=width, dark=dark) as reader:
            for screen in SCREENS:
                reader.go(screen, step=written.steps[4])
                reader.page.wait_for_timeout(150)
                name = f"{screen}-{width}{'-dark' if dark else ''}.png"
                reader.page.screenshot(path=PICTURES / name, full_page=True)
                wide = reader.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{screen} is {wide} wide in a window of {width}"


# A server.


class Unhurried(keras.callbacks.Callback):
    """Lets a training take its time, so that somebody can look on, until it is told to hurry."""

    def __init__(self):
        super().__init__()
        self.hurry = threading.Event()

    def on_epoch_end(self, epoch, logs=None):
        self.hurry.wait(0.02)


def test_a_training_is_paused_stepped_and_run_on_from_the_page(browser):
    x, y, _ = tumours()
    unhurried = Unhurried()

    def trained(**options):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [keras.Input(shape=(30,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")]
        )
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model, (
            lambda: model.fit(x, y, epochs=1_000, batch_size=32, verbose=0, callbacks=[unhurried], **options)
        )

    alone, run = trained()
    unhurried.hurry.set()
    run()
    unhurried.hurry.clear()
    watched, run = trained(view={"open_browser": False})
    training = threading.Thread(target=run)
    training.start()
    try:
        view = waited_for(lambda: watched.history._view if watched.history else None)
        with Reader(browser, view.url, cut_off=False) as reader:
            reader.page.get_by_role("button", name="Pause").click()
            reader.page.wait_for_selector("text=Run on")
            reader.page.keyboard.press("b")
            reader.page.wait_for_selector(".stages")
            before = int(reader.text("header .live").removeprefix("Paused before step ")[:-1]) - 1
            sync_api.expect(reader.page.locator(".goto")).to_have_value(str(before))
            reader.page.get_by_role("button", name="One step", exact=True).click()
            sync_api.expect(reader.page.locator(".goto")).to_have_value(str(before + 1))
            reader.page.wait_for_selector(".exact:not(.preview)")
            shown_cost = reader.text("footer .where b")
            unhurried.hurry.set()
            reader.page.get_by_role("button", name="Run on").click()
            training.join(timeout=120)
            assert not training.is_alive()
            reader.page.wait_for_selector("text=Ended")
            sync_api.expect(reader.page.locator(".goto")).to_have_value(str(watched.history.steps - 1))
            reader.go("run")
            reader.page.wait_for_selector("text=Update by weights", timeout=60_000)
            assert shown_cost == shown(watched.history.open(before + 1).cost)
        view.close()
    finally:
        unhurried.hurry.set()
        training.join(timeout=120)
    for one, other in zip(alone.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def waited_for(find):
    """What is found at last."""
    import time

    for _ in range(6_000):
        if (found := find()) is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_ten_million_weights_are_shown_without_being_sent(browser):
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input(shape=(1000,)), layers.Dense(3000, "relu"), layers.Dense(2300, "relu"), layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    assert model.count_params() > 9_900_000
    rng = np.random.default_rng(0)
    found = model.fit(rng.normal(size=(16, 1000)), rng.normal(size=16), epochs=2, batch_size=8, verbose=0)
    sent = []
    with found.view(open_browser=False) as view, Reader(browser, view.url, cut_off=False) as reader:
        reader.page.on(
            "response", lambda response: sent.append(int(response.headers.get("content-length", 0)))
        )
        for screen in SCREENS:
            reader.go(screen, step=2)
            sync_api.expect(reader.page.locator("main")).not_to_contain_text("…", timeout=120_000)
        assert "each cell stands for" in reader.text(".layers-screen")
    assert sum(sent) < 10_000_000


def test_a_wrong_token_is_said_in_words(browser, learner):
    with learner.view(open_browser=False) as view:
        context = browser.new_context()
        page = context.new_page()
        page.goto(view.url.replace("token=", "token=x"))
        page.wait_for_selector("main.failed")
        assert "token" in page.locator("main").inner_text()
        context.close()

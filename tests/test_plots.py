"""Pictures: what they draw are the numbers of the training, computed once; the model stays as it is."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid as keras
from pellucid import plots
from pellucid.errors import ArgumentError, PellucidError, ShapeError, StateError

L = keras.layers


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2)).astype("float32")
    return x, (x[:, 0] + 0.5 * x[:, 1] + 0.4 * random.normal(size=40) > 0).astype("float32")


def single(columns=2, **settings):
    """One unit: logistic regression."""
    model = keras.Sequential(
        [keras.Input(shape=(columns,)), L.Dense(1, activation="sigmoid", name="unit", **settings)]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="binary_crossentropy")
    return model


def fitted(rows, model=None, epochs=4, **settings):
    keras.utils.set_random_seed(1)
    model = model or deep()
    return model, model.fit(*rows, epochs=epochs, batch_size=8, verbose=0, **settings)


def deep():
    model = keras.Sequential(
        [
            keras.Input(shape=(2,)),
            L.Dense(4, activation="tanh", name="hidden"),
            L.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained(rows):
    keras.utils.set_random_seed(1)
    model = deep()
    return model, model.fit(*rows, epochs=4, batch_size=8, verbose=0, validation_split=0.2)


@pytest.fixture(scope="module")
def classes():
    """Three classes."""
    keras.utils.set_random_seed(2)
    random = np.random.default_rng(1)
    y = np.arange(30) % 3
    x = (random.normal(size=(30, 2)) + np.array([[0, 3], [3, 0], [-3, 0]])[y]).astype("float32")
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(3, activation="softmax")])
    model.compile(optimizer=keras.optimizers.SGD(0.3), loss="sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    return model, x, y


def bits(model):
    return [np.asarray(value).tobytes() for value in model.get_weights()]


# What all of them have in common.


def displays(model, history, x, y):
    step = history.open(5)
    path = next(iter(step.weights))
    return [
        plots.HistoryDisplay.from_history(history),
        plots.HistoryDisplay.from_history(history, "accuracy"),
        plots.DecisionBoundaryDisplay.from_model(model, x, y, grid=12),
        plots.DecisionBoundaryDisplay.from_model(model, x, y, features=0, grid=12, step=step),
        plots.CostSurfaceDisplay.from_history(history, grid=5, most=5),
        plots.NetworkDisplay.from_step(step),
        plots.GradientDisplay.from_step(step, f"{path}[0,0]"),
    ]


def test_each_draws_into_the_axes_that_it_is_given_as_often_as_wanted(trained, rows):
    for display in displays(*trained, *rows):
        figure, ax = plt.subplots()
        settings = dict(plt.rcParams)
        assert display.plot(ax) is display
        assert (display.ax_, display.figure_) == (ax, figure)
        figure.canvas.draw()
        display.plot()
        assert display.ax_ is not ax
        assert display.figure_ is display.ax_.figure
        assert dict(plt.rcParams) == settings
        assert repr(display).startswith(f"<{type(display).__name__}: ")
        plt.close("all")


def test_drawing_again_computes_nothing_and_needs_no_model(rows):
    model, history = fitted(rows, epochs=2)
    made = displays(model, history, *rows)
    model.predict = history.open = history.costs_at = None
    held = [{name: value for name, value in vars(each).items() if not name.endswith("_")} for each in made]
    for display, before in zip(made, held, strict=True):
        display.plot().plot()
        assert all(getattr(display, name) is value for name, value in before.items())


def test_the_model_is_left_as_it_is(trained, rows):
    model, history = trained
    before, compilations = bits(model), model.optimizer.iterations.value
    for display in displays(model, history, *rows):
        display.plot()
    assert bits(model) == before
    assert model.optimizer.iterations.value == compilations


def test_lines_have_styles_by_keyword(trained, rows):
    model, history = trained
    drawn = plots.HistoryDisplay.from_history(history).plot(color="black", steps=False)
    assert {line.get_color() for line in drawn.ax_.lines} == {"black"}
    boundary = plots.DecisionBoundaryDisplay.from_model(model, *rows, grid=5)
    assert boundary.plot(point_style={"s": 7}, cmap="PuOr").ax_.collections[-1].get_sizes()[0] < 40


def test_without_matplotlib_the_numbers_are_there_and_drawing_says_what_to_install(
    trained, rows, monkeypatch
):
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    for display in displays(*trained, *rows):
        with pytest.raises(StateError, match=r"pip install 'pellucid\[plots\]'"):
            display.plot()


def test_a_part_of_a_figure_will_do(trained, rows):
    left, right = plt.figure(layout="constrained").subfigures(1, 2)
    for display in displays(*trained, *rows):
        display.plot(left.subplots())
        assert display.figure_ is left
        left.clear()
    right.canvas.draw()


def test_a_run_that_blew_up_is_drawn_as_far_as_it_was_finite(rows):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(2), L.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(3.0), loss="mse", metrics=["accuracy"])
    _, history = fitted(rows, model, epochs=30)
    bad = int(np.flatnonzero(~np.isfinite(history.log["cost"]))[0])
    surface = plots.CostSurfaceDisplay.from_history(history, grid=4).plot()
    assert np.isfinite(surface.path).all()
    assert surface.path_steps[-1] <= bad + 1
    for number in (bad - 1, bad, bad + 1):
        step = history.open(number)
        plots.NetworkDisplay.from_step(step).plot()
        plots.GradientDisplay.from_step(step, f"{next(iter(step.weights))}[0,0]").plot()
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    with pytest.raises(StateError, match="no answer of the model is a finite number"):
        plots.DecisionBoundaryDisplay.from_model(model, rows[0])


def test_importing_plots_imports_neither_matplotlib_nor_jax():
    roots = "{each.partition('.')[0] for each in sys.modules}"
    look = f"import sys, pellucid.plots; print({roots} & {{'jax', 'matplotlib'}})"
    assert subprocess.check_output([sys.executable, "-c", look], text=True).strip() == "set()"


def test_what_is_no_axes_is_refused(trained):
    with pytest.raises(ArgumentError, match="no matplotlib axes"):
        trained[1].plot(ax="left")


# The curve.


def test_the_curve_has_the_values_of_the_history(trained):
    _, history = trained
    display = history.plot("accuracy")
    drawn = {line.get_label(): line for line in display.ax_.lines}
    held_out = drawn["accuracy, validation"]
    assert list(drawn["accuracy, mean of the epoch"].get_ydata()) == history.history["accuracy"]
    assert list(held_out.get_ydata()) == history.history["val_accuracy"]
    assert held_out.get_linestyle() == "--"
    assert list(held_out.get_xdata()) == history.epoch
    assert display.cost_ax_ is not display.ax_
    assert np.array_equal(display.cost_ax_.lines[0].get_ydata(), history.log["cost"])


def test_steps_lie_around_the_epoch_that_they_belong_to(trained):
    display = plots.HistoryDisplay.from_history(trained[1], "val_loss")
    assert display.metric == "loss"
    assert np.array_equal(display.steps, np.arange(16))
    assert np.array_equal(np.round(display.step_epochs), np.repeat(np.arange(4), 4))
    by_epoch = [display.step_epochs[4 * epoch : 4 * epoch + 4].mean() for epoch in range(4)]
    assert by_epoch == pytest.approx([0, 1, 2, 3])


def test_validation_lies_at_the_epochs_that_had_one(rows):
    _, history = fitted(rows, single(), epochs=5, validation_split=0.2, validation_freq=2)
    display = plots.HistoryDisplay.from_history(history)
    assert display.validation_epochs.tolist() == [1, 3]
    assert display.validation.tolist() == history.history["val_loss"]


def test_spikes_stay_when_a_long_run_is_thinned():
    from pellucid.views.plots.curve import BINS, thinned

    values = np.random.default_rng(0).normal(size=50_000)
    values[[7, 31_234, 49_999]], values[20_000:20_100] = 1e6, np.nan
    kept = thinned(values)
    assert len(kept) <= 2 * BINS + 1
    assert np.all(np.diff(kept) > 0)
    assert {7, 31_234, 49_999, int(np.nanargmin(values))} <= set(kept.tolist())
    assert np.isnan(values[kept]).any()
    assert thinned(values[:100]).tolist() == list(range(100))


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan, np.inf, -np.inf]), max_size=200), st.integers(1, 40)
)
def test_of_each_bin_the_extremes_and_the_first_that_is_not_finite_are_kept(values, bins):
    from pellucid.views.plots.curve import thinned

    values = np.asarray(values)
    kept = thinned(values, bins)
    if len(values) <= 2 * bins:
        assert kept.tolist() == list(range(len(values)))
        return
    wanted, width = {len(values) - 1}, -(-len(values) // bins)
    for start in range(0, len(values), width):
        within = range(start, min(start + width, len(values)))
        finite = [place for place in within if np.isfinite(values[place])]
        if finite:  # of equal ones the first
            wanted |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)}
        wanted |= set(sorted(set(within) - set(finite))[:1])
    assert kept.tolist() == sorted(wanted)


def test_where_the_cost_stops_being_finite_is_said(rows):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(50.0), loss="mse")
    _, history = fitted(rows, model, epochs=30)
    display = history.plot()
    first = int(np.flatnonzero(~np.isfinite(history.log["cost"]))[0])
    assert display.stopped_at == first
    assert f"cost is not finite from step {first} on" in [line.get_label() for line in display.ax_.lines]


def test_a_run_without_a_record_has_its_epochs(rows):
    _, history = fitted(rows, single(), record=False)
    assert len(history.plot().ax_.lines) == 1
    assert len(plots.HistoryDisplay.from_history(history).costs) == 0


def test_costs_over_many_powers_of_ten_have_a_logarithmic_scale(trained):
    display = plots.HistoryDisplay.from_history(trained[1])
    assert display.plot().ax_.get_yscale() == "linear"
    display.costs = display.costs * 10.0 ** -np.arange(16)
    assert display.plot().ax_.get_yscale() == "log"
    assert display.plot(scale="linear").ax_.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda history: history.plot("acuracy"), 'did you mean "accuracy"'),
        (lambda history: history.plot(scale="cubic"), None),
        (lambda history: plots.HistoryDisplay.from_history(history).plot(scale="cubic"), "scale is unknown"),
        (lambda history: plots.HistoryDisplay.from_history(keras.History()), "no epochs"),
    ],
)
def test_what_cannot_be_drawn_of_a_history_is_one_clear_error(trained, call, told):
    with pytest.raises(PellucidError if told else TypeError, match=told):
        call(trained[1])


# The boundary.


def test_the_plane_has_the_answers_of_the_model(trained, rows):
    model, _ = trained
    x, y = rows
    display = plots.DecisionBoundaryDisplay.from_model(model, x, y, grid=9)
    places = np.stack([display.xx0.ravel(), display.xx1.ravel()], axis=1)
    assert display.kind == "probability"
    assert display.response.ravel() == pytest.approx(model.predict(places, verbose=0)[:, 0], abs=1e-6)
    assert display.xx0.min() < x[:, 0].min()
    assert display.xx1.max() > x[:, 1].max()
    said = model.predict(x, verbose=0)[:, 0]
    assert display.answers == pytest.approx(said, abs=1e-6)
    assert np.array_equal(display.wrong, (said >= 0.5) != y)


def test_the_threshold_line_lies_where_the_answer_is_the_threshold(rows):
    model, _ = fitted(rows, single())
    display = plots.DecisionBoundaryDisplay.from_model(model, *rows, threshold=0.3).plot()
    lines = [each for each in display.ax_.collections if each.get_edgecolor().shape[0] == 1]
    vertices = np.concatenate([path.vertices for line in lines for path in line.get_paths() if len(path)])
    on = model.predict(vertices[:: len(vertices) // 20], verbose=0)
    assert np.sum(np.abs(on - 0.3) < 0.01) > 15


def test_the_equation_of_a_single_unit_is_its_boundary(rows):
    model, _ = fitted(rows, single())
    display = plots.DecisionBoundaryDisplay.from_model(
        model, *rows, feature_names=["age", "size"], threshold=0.7, grid=5
    )
    side, _, told = display.equation.partition(" = ")
    # Where the equation holds the model says 0.7.
    for age in (-1.0, 0.0, 2.0):
        at0, at1 = (eval(told, {"age": age, "size": size}) for size in (0.0, 1.0))
        size = -at0 / (at1 - at0)
        assert model.predict(np.array([[age, size]]), verbose=0).item() == pytest.approx(0.7, abs=2e-3)
    assert side == "0"
    assert display.equation in display.plot().ax_.get_title().replace("\n", " ")


def test_a_network_of_layers_has_no_equation(trained, rows):
    assert plots.DecisionBoundaryDisplay.from_model(trained[0], *rows, grid=3).equation == ""


def test_with_a_step_it_is_the_boundary_before_that_step(rows):
    model = single()
    start = model.get_weights()
    _, history = fitted(rows, model)
    begin = plots.DecisionBoundaryDisplay.from_model(model, *rows, grid=5, step=history.open(0))
    now = plots.DecisionBoundaryDisplay.from_model(model, *rows, grid=5)
    ended = model.get_weights()
    model.set_weights(start)
    places = np.stack([begin.xx0.ravel(), begin.xx1.ravel()], axis=1)
    assert begin.response.ravel() == pytest.approx(model.predict(places, verbose=0)[:, 0], abs=1e-6)
    assert np.abs(begin.response - now.response).max() > 0.01
    assert begin.equation != now.equation
    assert "before step 0" in begin.when
    model.set_weights(ended)


def test_a_step_predicts_with_the_weights_before_it(rows):
    model, history = fitted(rows)
    step, after = history.open(3), history.open(4)
    assert step.predict(rows[0]) == pytest.approx(after.what_if(weights=step.weights).predict(rows[0]))
    assert step.predict(rows[0].tolist()).shape == (40, 1)
    last = history.open(-1)
    again = last.what_if(weights=last.weights_after).predict(rows[0])
    assert again == pytest.approx(model.predict(rows[0], verbose=0), abs=1e-6)


def test_other_features_are_held(rows):
    x = np.concatenate([rows[0], rows[0][:, :1] ** 2, np.ones((40, 1)), rows[0] + 3], axis=1)
    model = single(6)
    boundary = plots.DecisionBoundaryDisplay.from_model
    display = boundary(model, x, features=("c", 1), feature_names=list("abcdef"), grid=4)
    assert display.features == (2, 1)
    assert np.array_equal(display.held, np.median(x, axis=0))
    row = np.median(x, axis=0)
    row[2], row[1] = display.xx0[3, 2], display.xx1[3, 2]
    assert display.response[3, 2] == pytest.approx(model.predict(row[None], verbose=0).item(), abs=1e-6)
    assert "other 4 features are held at the median" in display.plot().ax_.get_title()
    assert np.array_equal(boundary(model, x, others="mean", grid=2).held, x.mean(axis=0, dtype="float64"))
    given = boundary(model, x, others=[1, 2, 3, 4, 5, 6], features=-1, grid=3)
    assert given.features == (5,)
    assert given.held.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_frames_give_their_names(rows, frame):
    model = single()
    x = frame({"age": rows[0][:, 0], "size": rows[0][:, 1]})
    display = plots.DecisionBoundaryDisplay.from_model(model, x, ["no", "yes"] * 20, features=("size", "age"))
    assert display.feature_names == ("age", "size")
    assert display.features == (1, 0)
    assert display.labels == ("no", "yes")
    assert display.targets.tolist() == [0, 1] * 20
    assert display.plot().ax_.get_xlabel() == "size"


def test_one_feature_is_the_curve_with_the_loss_of_each_row(rows):
    x, y = rows[0][:, 0], rows[1]
    model, history = fitted((x, y), single(1))
    display = plots.DecisionBoundaryDisplay.from_model(model, x, y, grid=50)
    assert display.xx1 is None
    assert display.features == (0,)
    assert display.response == pytest.approx(model.predict(display.xx0, verbose=0)[:, 0], abs=1e-6)
    assert display.losses.mean() == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    ax = display.plot().ax_
    drawn = ax.lines[0]
    assert np.array_equal(drawn.get_ydata(), display.response)
    dotted = next(each for each in ax.collections if len(each.get_paths()) == 40)
    ends = np.array([path.vertices for path in dotted.get_paths()])
    assert ends[:, 0, 1] == pytest.approx(y)
    assert ends[:, 1, 1] == pytest.approx(display.answers)
    assert display.equation.startswith("probability = sigmoid(")
    kernel, bias = (value.item() for value in model.get_weights())
    crossing = next(line.get_label() for line in ax.lines if "reached at" in str(line.get_label()))
    assert float(crossing.split("= ")[-1]) == pytest.approx(-bias / kernel, abs=1e-2)
    of_step = plots.DecisionBoundaryDisplay.from_model(model, x, y, step=history.open(2), grid=50)
    assert of_step.response == pytest.approx(history.open(2).predict(of_step.xx0)[:, 0])


def test_several_classes_have_regions_and_curves(classes):
    model, x, y = classes
    display = plots.DecisionBoundaryDisplay.from_model(model, x, y, grid=7)
    places = np.stack([display.xx0.ravel(), display.xx1.ravel()], axis=1)
    said = model.predict(places, verbose=0)
    assert display.kind == "class"
    assert display.response.shape == (7, 7, 3)
    assert display.response.reshape(-1, 3) == pytest.approx(said, abs=1e-6)
    assert np.array_equal(display.wrong, model.predict(x, verbose=0).argmax(axis=1) != y)
    labels = display.plot().ax_.get_legend_handles_labels()[1]
    assert labels[:3] == ["class 0", "class 1", "class 2"]
    hot = plots.DecisionBoundaryDisplay.from_model(model, x, np.eye(3)[y], grid=3)
    assert np.array_equal(hot.targets, y)
    curves = plots.DecisionBoundaryDisplay.from_model(model, x, y, features=1, grid=7).plot()
    assert curves.response.shape == (7, 3)
    assert len(curves.ax_.lines) == 3
    named = plots.DecisionBoundaryDisplay.from_model(model, x, grid=7).plot()
    assert {text.get_text() for text in named.ax_.texts} <= {"0", "1", "2"}


@pytest.mark.parametrize("features", [(0, 1), 0])
def test_numbers_are_drawn_beside_their_targets(rows, features):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    y = rows[0][:, 0] * 3 + 1
    display = plots.DecisionBoundaryDisplay.from_model(model, rows[0], y, features=features, grid=6).plot()
    assert display.kind == "number"
    assert display.wrong is None
    assert display.targets == pytest.approx(y)
    assert display.losses.mean() == pytest.approx(model.evaluate(rows[0], y, verbose=0), rel=1e-5)
    assert display.equation.startswith("answer = ") == (features != 0)


def test_what_a_loss_takes_as_logits_becomes_probabilities(rows):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(1)])
    model.compile(optimizer="sgd", loss=keras.losses.BinaryCrossentropy(from_logits=True))
    display = plots.DecisionBoundaryDisplay.from_model(model, *rows, grid=4)
    z = model.predict(rows[0], verbose=0)[:, 0]
    assert display.kind == "probability"
    assert display.answers == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-6)
    assert display.losses.mean() == pytest.approx(model.evaluate(*rows, verbose=0), rel=1e-5)
    assert display.equation.startswith("0 = ")


def test_a_plane_without_a_boundary_says_so(rows):
    model = single(bias_initializer=keras.initializers.Constant(50.0))
    labels = plots.DecisionBoundaryDisplay.from_model(model, *rows, grid=4).plot().ax_.get_legend().texts
    assert "everywhere here above 0.5" in [text.get_text() for text in labels]


def test_of_many_rows_a_part_is_drawn(rows):
    x = np.random.default_rng(0).normal(size=(5_000, 2))
    display = plots.DecisionBoundaryDisplay.from_model(single(), x, grid=3).plot()
    assert len(display.ax_.collections[-1].get_offsets()) == 2_000
    assert len(display.points) == 5_000
    assert "2,000 of 5,000" in display.ax_.get_legend().texts[-1].get_text()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"features": (0, 2)}, "no such feature"),
        ({"features": (1, 1)}, "different features"),
        ({"features": ("age", "sise"), "feature_names": ["age", "size"]}, 'did you mean "size"'),
        ({"features": 1.5}, "no such feature"),
        ({"feature_names": ["age"]}, "feature_names does not fit"),
        ({"y": [0, 1]}, "a target for each row"),
        ({"y": np.arange(40)}, "more classes than the model"),
        ({"threshold": 1.5}, "threshold is a probability"),
        ({"threshold": "high"}, "threshold is a probability"),
        ({"grid": 1}, "grid is a whole number"),
        ({"others": "mode"}, "others is unknown"),
        ({"others": [1.0]}, "others is a row of values"),
        ({"X": [["a", "b"]]}, "no table of numbers"),
        ({"X": np.zeros((2, 2, 2))}, "X is no table"),
        ({"X": [[np.nan, 0.0]]}, "not finite"),
    ],
)
def test_what_no_boundary_can_be_drawn_of_is_one_clear_error(trained, rows, given, told):
    arguments = {"X": rows[0], "y": None, "grid": 3, **given}
    with pytest.raises(PellucidError, match=told):
        plots.DecisionBoundaryDisplay.from_model(trained[0], **arguments)


def test_a_model_of_several_numbers_is_refused(rows):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(3)])
    with pytest.raises(ArgumentError, match="3 numbers for each row"):
        plots.DecisionBoundaryDisplay.from_model(model, rows[0], grid=3)


# The surface.


def test_costs_at_are_those_of_evaluate(trained, rows):
    model, history = trained
    part = rows[0][:32], rows[1][:32]
    ended = {each.path: np.asarray(each.value) for each in model.weights}
    assert history.costs_at([ended, {}]) == pytest.approx(model.evaluate(*part, verbose=0)[0], rel=1e-6)
    start = history.open(0)
    before = history.costs_at([start.weights, start.weights_after], batch=0)
    assert before == pytest.approx([start.cost, start.cost_after], rel=1e-6)
    assert history.costs_at(each for each in []).shape == (0,)


def test_costs_at_hold_penalties_and_running_means(rows):
    model = keras.Sequential(
        [
            keras.Input(shape=(2,)),
            L.Dense(4, kernel_regularizer="l2"),
            L.BatchNormalization(),
            L.Dropout(0.5),
            L.Dense(1),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    _, history = fitted(rows, model, sample_weight=np.linspace(0, 2, 40))
    weight = np.linspace(0, 2, 40)
    assert history.costs_at([{}]) == pytest.approx(
        model.evaluate(*rows, sample_weight=weight, batch_size=40, verbose=0), rel=1e-5
    )


def test_costs_at_one_program_serves_any_number_of_weights(rows):
    _, history = fitted(rows, single())
    kernel = history.open(0).weights["unit/kernel"]
    engine = history._replay.engine
    history.costs_at([{}])
    made = engine.compilations
    many = history.costs_at({"unit/kernel": kernel * part} for part in np.linspace(0, 1, 700))
    assert engine.compilations == made
    assert many.shape == (700,)
    assert many[-1] == history.costs_at([{"unit/kernel": kernel}])[0]


def test_costs_at_refuse_what_is_no_weight(trained):
    _, history = trained
    with pytest.raises(ArgumentError, match='did you mean "hidden/kernel"'):
        history.costs_at([{"hiden/kernel": np.zeros((2, 4))}])
    with pytest.raises(ShapeError, match="another shape"):
        history.costs_at([{"hidden/kernel": np.zeros((4, 2))}])
    with pytest.raises(ArgumentError, match="no such step"):
        history.costs_at([{}], batch=99)


def test_the_surface_of_two_weights_is_the_cost_there(rows):
    model, history = fitted((rows[0][:, 0], rows[1]), single(1))
    display = plots.CostSurfaceDisplay.from_history(history, ["unit/kernel[0,0]", "unit/bias[0]"], grid=5)
    assert display.path[0].tolist() == [each.item() for each in history.open(0).weights.values()]
    assert display.path[-1].tolist() == [each.item() for each in model.get_weights()]
    assert display.share == pytest.approx(1.0)
    assert display.path_steps.tolist() == list(range(21))
    x = rows[0][:, 0]
    places = [
        *[((display.xx[p], display.yy[p]), display.costs[p]) for p in [(0, 0), (1, 3), (4, 2)]],
        *[(display.path[p], display.path_costs[p]) for p in (0, 7, 20)],
    ]
    ended = model.get_weights()
    for (kernel, bias), cost in places:
        model.set_weights([np.array([[kernel]]), np.array([bias])])
        assert cost == pytest.approx(model.evaluate(x, rows[1], verbose=0), rel=1e-5)
    model.set_weights(ended)
    title = display.plot().ax_.get_title()
    assert "all 40 training rows" in title
    assert "held" not in title
    drawn = next(line for line in display.ax_.lines if line.get_label() == "gradient descent")
    assert np.array_equal(drawn.get_xydata(), display.path)
    # With two weights in all their plane is that of the path.
    assert plots.CostSurfaceDisplay.from_history(history, grid=2).weights == display.weights


def test_the_plane_of_the_path_is_that_of_its_principal_directions(trained, rows):
    model, history = trained
    display = plots.CostSurfaceDisplay.from_history(history, grid=5)
    vectors = [
        np.concatenate([each.ravel() for each in history.open(number).weights.values()])
        for number in range(16)
    ]
    end = np.concatenate([each.ravel() for each in model.get_weights()])
    moves = np.array([*vectors, end], np.float64) - end
    singular = np.linalg.svd(moves, compute_uv=False) ** 2
    assert display.share == pytest.approx(singular[:2].sum() / singular.sum())
    assert display.directions @ display.directions.T == pytest.approx(np.eye(2))
    assert display.path == pytest.approx(moves @ display.directions.T)
    assert display.path[-1].tolist() == [0, 0]
    assert display.path[0, 0] < 0
    part = rows[0][:32], rows[1][:32]
    assert display.path_costs[-1] == pytest.approx(model.evaluate(*part, verbose=0)[0], rel=1e-5)
    # A place of the plane: the end, and so much of each direction.
    parts = end + display.xx[1, 3] * display.directions[0] + display.yy[1, 3] * display.directions[1]
    cuts = np.split(parts, np.cumsum([each.size for each in model.get_weights()])[:-1])
    ended = model.get_weights()
    model.set_weights([cut.reshape(each.shape) for cut, each in zip(cuts, ended, strict=True)])
    assert display.costs[1, 3] == pytest.approx(model.evaluate(*part, verbose=0)[0], rel=1e-5)
    model.set_weights(ended)
    title = " ".join(display.plot().ax_.get_title().split())
    assert "held as at the end" in title
    assert "17 weights" in title


def test_the_surface_may_be_that_of_one_batch(trained):
    _, history = trained
    display = plots.CostSurfaceDisplay.from_history(history, grid=3, batch=-1, most=4)
    last = history.open(-1)
    assert display.path_costs[-1] == pytest.approx(last.cost_after, rel=1e-5)
    assert "the 8 rows of the batch of step 15" in display.plot().ax_.get_title()


def test_rows_of_a_stream_are_those_of_the_last_step(rows):
    model = single()
    keras.utils.set_random_seed(1)
    batches = [(rows[0][at : at + 10], rows[1][at : at + 10]) for at in range(0, 40, 10)]
    history = model.fit(iter(batches * 3), steps_per_epoch=4, epochs=3, verbose=0)
    display = plots.CostSurfaceDisplay.from_history(history, grid=3)
    assert "10 rows of the batch of step 11" in display.measured_on
    assert display.path_costs[-1] == pytest.approx(history.open(11).cost_after, rel=1e-5)
    with pytest.raises(StateError, match="batch by batch"):
        history.costs_at([{}])


def test_a_loaded_run_has_the_same_surface(rows, tmp_path):
    _, history = fitted(rows, single())
    history.save(tmp_path / "run.pellucid")
    loaded = keras.History.load(tmp_path / "run.pellucid")
    one, other = (plots.CostSurfaceDisplay.from_history(each, grid=4) for each in (history, loaded))
    assert np.array_equal(one.path, other.path)
    assert one.costs == pytest.approx(other.costs)


def test_the_path_of_a_long_run_is_sampled_to_its_ends():
    from pellucid.views.plots.surface import _sampled

    for first, count in ((0, 1), (0, 59), (0, 60), (0, 61), (7, 100_000)):
        steps = _sampled(first, count, 60)
        assert steps[0] == first
        assert steps[-1] == count
        assert len(steps) <= 61
        assert np.all(np.diff(steps) > 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"weights": ["hiden/kernel[0,0]", "out/bias[0]"]}, 'did you mean "hidden/kernel"'),
        ({"weights": ["hidden/kernel[2,0]", "out/bias[0]"]}, "no number of this index"),
        ({"weights": ["hidden/kernel", "out/bias[0]"]}, "no number of this index"),
        ({"weights": ["hidden.z[0]", "out/bias[0]"]}, "this is no weight"),
        ({"weights": "out/bias[0]"}, "two different weights"),
        ({"weights": ["out/bias[0]", "out/bias"]}, "two different weights"),
        ({"grid": 1}, "grid is a whole number"),
        ({"span": 0}, "span is a factor"),
        ({"batch": 99}, "no such step"),
    ],
)
def test_what_no_surface_can_be_drawn_of_is_one_clear_error(trained, given, told):
    with pytest.raises(PellucidError, match=told):
        plots.CostSurfaceDisplay.from_history(trained[1], **{"grid": 2, "most": 2, **given})


def test_one_weight_has_no_surface_and_no_record_has_none(rows):
    _, history = fitted((rows[0][:, 0], rows[1]), single(1, use_bias=False))
    with pytest.raises(ArgumentError, match="one weight"):
        plots.CostSurfaceDisplay.from_history(history)
    _, history = fitted(rows, single(), record=False)
    with pytest.raises(StateError, match="cannot be opened"):
        plots.CostSurfaceDisplay.from_history(history)


# The network.


def test_circles_and_lines_have_the_numbers_of_the_step(trained):
    step = trained[1].open(5)
    display = plots.NetworkDisplay.from_step(step, example=3)
    assert np.array_equal(display.columns[0].values, step.x[3])
    for column, layer in zip(display.columns[1:], step.layers, strict=True):
        assert np.array_equal(column.values, layer.output[3])
        assert column.name == layer.name
    assert np.array_equal(display.links[0].values, step.weights["hidden/kernel"])
    assert np.array_equal(display.columns[1].bias, step.weights["hidden/bias"])
    texts = {text.get_text() for text in display.plot().ax_.texts}
    assert f"{step.layers[1].output[3, 0]:.2f}" in texts
    assert f"{step.weights['out/kernel'][2, 0]:.2f}" in texts
    outcome = "\n".join(display.outcome)
    assert f"loss = {step.losses[3]:.4g}" in outcome
    assert f"{step.cost:.4g}" in outcome
    assert outcome in texts


@pytest.mark.parametrize(("values", "held"), [("z", "z"), ("gradients", "d_z")])
@pytest.mark.parametrize("edges", ["gradients", "updates"])
def test_they_may_be_other_numbers(trained, values, held, edges):
    step = trained[1].open(5)
    display = plots.NetworkDisplay.from_step(step, values=values, edges=edges)
    example = int(np.argmax(step.losses))
    assert display.example == example
    assert np.array_equal(display.columns[1].values, getattr(step.layers[0], held)[example])
    assert np.array_equal(display.links[1].values, getattr(step, edges)["out/kernel"])


def test_of_large_layers_the_strongest_are_drawn_and_it_says_so(rows):
    model = keras.Sequential([keras.Input(shape=(2,)), L.Dense(50, activation="relu"), L.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    _, history = fitted(rows, model, epochs=1)
    step = history.open(2)
    display = plots.NetworkDisplay.from_step(step, most=6)
    hidden = display.columns[1]
    left = np.setdiff1d(np.arange(50), hidden.drawn)
    assert len(hidden.drawn) == 6
    assert hidden.values[hidden.drawn].min() >= hidden.values[left].max()
    assert any("6 of 50" in text.get_text() for text in display.plot().ax_.texts)


def test_layers_of_other_kinds_are_joined_as_they_work(rows):
    model = keras.Sequential(
        [keras.Input(shape=(2,)), L.Dense(3), L.Dropout(0.5), L.LayerNormalization(), L.Dense(1)]
    )
    model.compile(optimizer="sgd", loss="mse")
    _, history = fitted(rows, model, epochs=1)
    display = plots.NetworkDisplay.from_step(history.open(0))
    assert [each.kind for each in display.links] == ["weights", "one to one", "", "weights"]
    display.plot()


def test_an_explanation_is_drawn_to_its_decision(trained):
    explained = trained[0].explain([0.5, 1.5], columns=["age", "size"], labels=("benign", "malignant"))
    display = plots.NetworkDisplay.from_step(explained)
    assert display.columns[0].labels == ("age", "size")
    assert explained.decision in " ".join(display.outcome)
    assert np.array_equal(display.columns[-1].values, explained.outputs[0])
    assert {"age", "size"} <= {text.get_text() for text in display.plot().ax_.texts}
    with pytest.raises(ArgumentError, match="nothing was trained"):
        plots.NetworkDisplay.from_step(explained, edges="updates")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"example": 8}, "no such example"),
        ({"example": "first"}, "no such example"),
        ({"values": "inputs"}, "values is unknown"),
        ({"edges": "signs"}, "edges is unknown"),
        ({"most": 0}, "most is a whole number"),
    ],
)
def test_what_no_network_can_be_drawn_of_is_one_clear_error(trained, given, told):
    with pytest.raises(ArgumentError, match=told):
        plots.NetworkDisplay.from_step(trained[1].open(0), **given)


# The gradient.


def test_the_bars_add_up_to_the_gradient(rows):
    model = single(kernel_regularizer="l2")
    _, history = fitted(rows, model)
    step = history.open(7)
    for most in (3, 32):
        display = plots.GradientDisplay.from_step(step, "unit/kernel[1,0]", most=most).plot()
        heights = [bar.get_height() for bar in display.ax_.patches if hasattr(bar, "get_height")]
        assert sum(heights) == pytest.approx(step.gradients["unit/kernel"][1, 0], rel=1e-4)
        assert sum(height for _, height in display.bars) == pytest.approx(sum(heights))
        assert display.penalty == pytest.approx(step.penalty_gradient("unit/kernel")[1, 0].item())
        line = next(each for each in display.ax_.lines if str(each.get_label()).startswith("gradient"))
        assert line.get_ydata()[0] == display.gradient
    assert np.all(np.diff(np.abs(display.pushes)) <= 0)
    assert sorted(display.rows) == sorted(step.rows)
    names = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert names == [*map(str, display.rows), "penalties"]


def test_one_number_needs_no_index_and_gradient_may_be_said(trained):
    step = trained[1].open(2)
    display = plots.GradientDisplay.from_step(step, "out/bias.gradient")
    assert display.weight == "out/bias[0]"
    assert display.gradient == step.gradients["out/bias"][0]
    assert display.update == step.updates["out/bias"][0]


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        ("hiden/kernel[0,0]", 'did you mean "hidden/kernel"'),
        ("hidden/kernel", "no number of this index"),
        ("hidden/kernel[0,9]", "no number of this index"),
        ("hidden.z[0]", "this is no weight"),
        ("cost", "this is no weight"),
    ],
)
def test_what_is_no_weight_has_no_gradient(trained, weight, told):
    with pytest.raises(ArgumentError, match=told):
        plots.GradientDisplay.from_step(trained[1].open(0), weight)

"""Bad input: each case raises one clear error of our family, before anything is changed."""

import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import pellucid as keras
from pellucid import errors
from pellucid.errors import (
    ArgumentError,
    DataError,
    PellucidError,
    ShapeError,
    StateError,
    UnknownNameError,
    did_you_mean,
    message,
)

L = keras.layers

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")


def with_entry(array, row, column, value):
    array = np.array(array, dtype=float)
    array[(row, column) if array.ndim > 1 else row] = value
    return array


def a_model(loss="binary_crossentropy", units=1, activation="sigmoid", metrics=("accuracy",)):
    model = keras.Sequential([keras.Input(shape=(3,)), L.Dense(units, activation=activation, name="answer")])
    model.compile("adam", loss, metrics=list(metrics))
    return model


def a_classifier():
    return a_model("sparse_categorical_crossentropy", 3, "softmax")


class NotACallback:
    pass


# Each: a model, the arguments of fit, the kind of error, and what the message must say.
BAD_FITS = {
    "a missing feature": (
        a_model,
        (with_entry(X, 7, 1, np.nan), Y),
        {},
        DataError,
        ["rows 7", "columns 1", "1 NaN"],
    ),
    "an infinite feature": (
        a_model,
        (with_entry(X, 3, 2, np.inf), Y),
        {},
        DataError,
        ["rows 3", "1 infinite"],
    ),
    "a missing target": (a_model, (X, with_entry(Y, 5, 0, np.nan)), {}, DataError, ["y ", "rows 5"]),
    "a missing weight": (
        a_model,
        (X, Y),
        {"sample_weight": with_entry(np.ones(20), 2, 0, np.nan)},
        DataError,
        ["sample_weight", "rows 2"],
    ),
    "a missing validation row": (
        a_model,
        (X, Y),
        {"validation_data": (with_entry(X, 4, 0, np.nan), Y)},
        DataError,
        ["validation", "rows 4"],
    ),
    "fewer targets than rows": (a_model, (X, Y[:15]), {}, DataError, ["x: 20 rows", "y: 15 rows"]),
    "fewer weights than rows": (
        a_model,
        (X, Y),
        {"sample_weight": np.ones(3)},
        DataError,
        ["sample_weight: 3"],
    ),
    "rows that are too long": (
        a_model,
        (np.ones((20, 5)), Y),
        {},
        ShapeError,
        ["answer", "(20, 5)", "(20, 3)", "rows of 3 numbers", "rows of 5"],
    ),
    "rows that are single numbers": (a_model, (X[:, 0], Y), {}, ShapeError, ["(20,)"]),
    "two targets for one output": (a_model, (X, np.ones((20, 2))), {}, ShapeError, ["(2,)", "2 units"]),
    "a label of no class": (a_classifier, (X, np.full(20, 3)), {}, DataError, ["3", "0 to 2", "row 0"]),
    "a negative label": (a_classifier, (X, np.full(20, -1)), {}, DataError, ["-1", "0 to 2"]),
    "labels 1 and 2 for two classes": (
        a_model,
        (X, Y + 1),
        {},
        DataError,
        ["2.0", "0 to 1", "code the two classes"],
    ),
    "one-hot targets for a sparse loss": (
        a_classifier,
        (X, np.eye(3)[np.zeros(20, int)]),
        {},
        ShapeError,
        ["one-hot"],
    ),
    "class numbers for a one-hot loss": (
        lambda: a_model("categorical_crossentropy", 3, "softmax"),
        (X, np.zeros(20)),
        {},
        ShapeError,
        ["sparse_categorical_crossentropy"],
    ),
    "text among the features": (a_model, (np.array([["a"] * 3] * 20), Y), {}, DataError, ["text", "'a'"]),
    "text in a frame": (
        a_model,
        (pandas.DataFrame(X, columns=list("abc")).assign(b="red"), Y),
        {},
        DataError,
        ["b (String)"],
    ),
    "text as targets": (a_model, (X, ["yes"] * 20), {}, DataError, ["y ", "text"]),
    "ragged lists": (a_model, ([[1.0, 2.0], [1.0]], [0, 1]), {}, ShapeError, ["ragged"]),
    "no rows": (a_model, (X[:0], Y[:0]), {}, DataError, ["no rows", "(0, 3)"]),
    "no targets": (a_model, (X,), {}, StateError, ["y=None"]),
    "no x": (a_model, (), {}, ArgumentError, ["fit needs x"]),
    "a validation_split of everything": (
        a_model,
        (X, Y),
        {"validation_split": 1.0},
        DataError,
        ["empty part"],
    ),
    "a tiny validation_split of few rows": (
        a_model,
        (X[:1], Y[:1]),
        {"validation_split": 0.2},
        DataError,
        ["0.2 of 1 rows"],
    ),
    "a negative validation_split": (a_model, (X, Y), {"validation_split": -0.2}, DataError, ["-0.2"]),
    "a validation_split above one": (a_model, (X, Y), {"validation_split": 2}, DataError, ["empty part"]),
    "a batch_size of zero": (a_model, (X, Y), {"batch_size": 0}, ArgumentError, ["batch_size", "0"]),
    "a negative batch_size": (a_model, (X, Y), {"batch_size": -3}, ArgumentError, ["batch_size", "-3"]),
    "half a batch": (a_model, (X, Y), {"batch_size": 2.5}, ArgumentError, ["batch_size", "2.5"]),
    "batch_size as text": (a_model, (X, Y), {"batch_size": "32"}, ArgumentError, ["batch_size", "'32'"]),
    "negative epochs": (a_model, (X, Y), {"epochs": -1}, ArgumentError, ["epochs", "-1"]),
    "half an epoch": (a_model, (X, Y), {"epochs": 1.5}, ArgumentError, ["epochs", "1.5"]),
    "epochs as text": (a_model, (X, Y), {"epochs": "ten"}, ArgumentError, ["epochs", "'ten'"]),
    "zero steps": (a_model, (X, Y), {"steps_per_epoch": 0}, ArgumentError, ["steps_per_epoch"]),
    "a callback that is none": (
        a_model,
        (X, Y),
        {"callbacks": [NotACallback()]},
        ArgumentError,
        ["callback"],
    ),
    "the class of a callback": (
        a_model,
        (X, Y),
        {"callbacks": [keras.callbacks.TerminateOnNaN]},
        ArgumentError,
        ["TerminateOnNaN()"],
    ),
    "class_weight for classes with names": (
        a_model,
        (X, Y),
        {"class_weight": {"malignant": 2.0}},
        DataError,
        ["malignant"],
    ),
    "class_weight and sample_weight": (
        a_model,
        (X, Y),
        {"class_weight": {0: 1.0}, "sample_weight": np.ones(20)},
        DataError,
        ["at the same time"],
    ),
    "y beside batches": (a_model, (iter([(X, Y)]), Y), {}, ArgumentError, ["`y`"]),
    "validation_split of batches": (
        a_model,
        (iter([(X, Y)]),),
        {"validation_split": 0.2},
        ArgumentError,
        ["validation_data"],
    ),
    "a generator that gives nothing": (a_model, (iter([]),), {}, DataError, ["no batch"]),
    "complex numbers": (a_model, (X * 1j, Y), {}, DataError, ["complex"]),
    "dates": (a_model, (np.full((20, 3), np.datetime64("2020-01-01")), Y), {}, DataError, ["dates"]),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_fit_refuses_with_one_clear_error_and_changes_nothing(case):
    make, data, fitting, kind, says = BAD_FITS[case]
    model = make()
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(kind) as caught:
        model.fit(*data, **{"epochs": 2, "verbose": 0, **fitting})
    assert isinstance(caught.value, PellucidError)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    text = str(caught.value)
    for words in says:
        assert words in text
    assert any(f"{word}:" in text for word in ("came", "expected", "to mend")), text
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(model.optimizer.iterations.value) == 0
    # And a correct fit works afterwards.
    history = model.fit(
        X, Y.astype(int) if make is a_classifier else right_targets(model), epochs=1, verbose=0
    )
    assert len(history.epoch) == 1


def right_targets(model):
    return Y if model.output_shape[-1] == 1 else np.eye(3)[np.zeros(20, int)]


@pytest.mark.parametrize("method", ["evaluate", "train_on_batch", "test_on_batch"])
def test_the_siblings_of_fit_refuse_the_same(method):
    model = a_model()
    call = getattr(model, method)
    quiet = {"verbose": 0} if method == "evaluate" else {}
    for x, y, kind in [
        (with_entry(X, 7, 1, np.nan), Y, DataError),
        (X, Y[:5], DataError),
        (np.ones((20, 5)), Y, ShapeError),
        (X, Y + 1, DataError),
        (X[:0], Y[:0], DataError),
    ]:
        with pytest.raises(kind):
            call(x, y, **quiet)
    assert np.isfinite(call(X, Y, **quiet)).all()


def test_predict_refuses_rows_that_do_not_fit():
    model = a_model()
    with pytest.raises(ShapeError, match="rows of 3 numbers"):
        model.predict(np.ones((2, 5)), verbose=0)
    with pytest.raises(DataError, match="no rows"):
        model.predict(X[:0], verbose=0)
    with pytest.raises(DataError, match="text"):
        model.predict([["a", "b", "c"]], verbose=0)
    with pytest.raises(ArgumentError, match="batch_size"):
        model.predict(X, batch_size=0, verbose=0)


def test_the_message_names_layer_rows_and_weights_where_shapes_do_not_fit():
    model = keras.Sequential([keras.Input(shape=(3,)), L.Dense(4, name="first"), L.Dense(1)])
    with pytest.raises(ShapeError) as caught:
        model(np.ones((2, 5)))
    assert str(caught.value).splitlines() == [
        'layer 1 (Dense "first", 4 units) expects rows of 3 numbers, and got rows of 5.',
        "  came:      x of shape (2, 5)",
        "  expected:  (2, 3), because this layer's weights were built as (3, 4)",
        "  to mend:   give it rows of 3 numbers, or build the model again after changing it.",
    ]


def test_layers_that_do_not_fit_each_other_are_refused_when_they_are_joined():
    second = L.Dense(1, name="second")
    second.build_for((None, 7))
    with pytest.raises(ShapeError) as caught:
        keras.Sequential([keras.Input(shape=(3,)), L.Dense(4, name="first"), second])
    assert 'layer 2 (Dense "second", 1 unit)' in str(caught.value)
    assert 'layer 1 (Dense "first", 4 units)' in str(caught.value)


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_that_was_not_compiled_says_so(call):
    model = keras.Sequential([keras.Input(shape=(3,)), L.Dense(1)])
    with pytest.raises(StateError, match=r"compile\(\)"):
        getattr(model, call)(X, Y)


def test_predict_before_fit_says_so_where_the_shape_of_rows_is_not_known():
    with pytest.raises(StateError, match="predict before fit"):
        keras.Sequential([L.Dense(1)]).predict(X, verbose=0)


@pytest.mark.parametrize(
    ("make", "suggests"),
    [
        (lambda: keras.losses.get("binary_crossentropi"), "binary_crossentropy"),
        (lambda: keras.optimizers.get("adm"), "adam"),
        (lambda: keras.metrics.get("acuracy"), "accuracy"),
        (lambda: keras.activations.get("sigmiod"), "sigmoid"),
        (lambda: keras.initializers.get("glorot_unifrom"), "glorot_uniform"),
        (lambda: keras.regularizers.get("l1_l3"), "l1_l2"),
        (lambda: keras.constraints.get("max_nrm"), "max_norm"),
        (lambda: L.Dense(1, activation="rellu"), "relu"),
        (lambda: L.Dense(1, kernel_initializer="he_norml"), "he_normal"),
        (lambda: a_model("mean_square_error"), "mean_squared_error"),
        (lambda: a_model(metrics=["accuracyy"]), "accuracy"),
        (lambda: keras.Sequential([L.Dense(1)]).compile("adma"), "adam"),
        (lambda: keras.optimizers.schedules.get("ExponentialDecy"), "ExponentialDecay"),
    ],
)
def test_unknown_names_are_refused_at_once_with_the_name_that_was_meant(make, suggests):
    with pytest.raises(UnknownNameError, match="did you mean") as caught:
        make()
    assert f'"{suggests}"'.lower() in str(caught.value).lower()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("units", [0, -1, 1.5, "3", None, True])
def test_units_must_be_a_whole_number_above_zero(units):
    with pytest.raises(ArgumentError, match="positive integer"):
        L.Dense(units)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.Input(shape=(-3,)),
        keras.Input,
        lambda: L.Dropout(1.5),
        lambda: L.Dropout(-0.1),
        lambda: L.GaussianNoise(2.0),
        lambda: L.LeakyReLU(-1.0),
        lambda: L.ReLU(max_value=-1.0),
        lambda: L.Softmax(axis=0),
        lambda: L.Normalization(mean=1.0),
        lambda: L.Dense(1, colour="red"),
        lambda: L.Reshape((2, 2))(np.ones((1, 5))),
        lambda: keras.Sequential([L.Dense(1, name="a"), L.Dense(1, name="a")]),
        lambda: keras.Sequential([L.Dense(1), keras.Input(shape=(3,))]),
        lambda: keras.Sequential(["Dense"]),
        lambda: keras.Sequential().build((None, 3)),
        lambda: keras.Sequential().pop(),
        lambda: a_model().get_layer("anwser"),
        lambda: a_model().get_layer(index=7),
        lambda: L.Dense(1).count_params(),
        lambda: keras.optimizers.SGD(-1.0),
        lambda: keras.optimizers.SGD("fast"),
        lambda: keras.optimizers.SGD(momentum=2.0),
        lambda: keras.optimizers.Adam(clipnorm=1.0, clipvalue=1.0),
        lambda: keras.optimizers.Adam(clipnorm=-1.0),
        lambda: keras.optimizers.Adam(use_ema=True, ema_momentum=2.0),
        lambda: keras.optimizers.Adam(gradient_accumulation_steps=1),
        lambda: keras.optimizers.Adam(loss_scale_factor=0.0),
        lambda: keras.optimizers.LossScaleOptimizer("adam", clipnorm=1.0),
        lambda: keras.optimizers.LossScaleOptimizer("adam", dynamic=False),
        lambda: keras.optimizers.LossScaleOptimizer("adam", growth=3),
        lambda: keras.optimizers.LossScaleOptimizer("adam", initial_scale=0.0),
        lambda: keras.optimizers.LossScaleOptimizer(None),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.LossScaleOptimizer("adam")),
        lambda: keras.optimizers.Ftrl(learning_rate_power=1.0),
        lambda: keras.optimizers.Lion(beta_1=0.0),
        lambda: keras.optimizers.AdamW(weight_decay=-1.0),
        lambda: keras.optimizers.schedules.ExponentialDecay(0.1, 0, 0.9),
        lambda: keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.1]),
        lambda: keras.losses.MeanSquaredError(reduction="average"),
        lambda: keras.losses.Huber(sharpness=1.0),
        lambda: keras.losses.get(3),
        lambda: keras.metrics.AUC(curve="roc"),
        lambda: keras.metrics.AUC(num_thresholds=1),
        lambda: keras.metrics.Precision(thresholds=1.5),
        lambda: keras.metrics.F1Score(average="mean"),
        lambda: keras.metrics.FBetaScore(beta=0.0),
        lambda: keras.metrics.R2Score(num_regressors=-1),
        lambda: keras.regularizers.L2(-0.1),
        lambda: keras.regularizers.OrthogonalRegularizer(mode="both"),
        lambda: keras.initializers.VarianceScaling(scale=-1.0),
        lambda: keras.initializers.VarianceScaling(mode="fan_out_of_range"),
        lambda: keras.initializers.Identity()((2, 2, 2)),
        lambda: keras.initializers.Orthogonal()((2,)),
        lambda: keras.callbacks.ReduceLROnPlateau(factor=1.5),
        lambda: keras.utils.set_random_seed(-1),
        lambda: keras.utils.set_random_seed("x"),
        lambda: keras.utils.to_categorical([0, 5], 3),
        lambda: keras.config.set_floatx("float8"),
        lambda: keras.Variable([1.0, 2.0]).assign([1.0]),
    ],
)
def test_arguments_that_cannot_mean_anything_are_refused(make):
    with pytest.raises(PellucidError) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_early_stopping_refuses_a_value_whose_direction_is_unknown():
    def surprise(y_true, y_pred):
        return y_pred

    model = a_model(metrics=[surprise])
    early = keras.callbacks.EarlyStopping(monitor="surprise")
    with pytest.raises(ArgumentError, match='mode="min" or mode="max"'):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[early])


@pytest.mark.parametrize(
    "weights",
    [
        [np.ones((3, 1))],
        [np.ones((3, 1)), np.ones(2)],
        [np.ones((1, 3)), np.ones(1)],
        [],
        [np.ones((3, 1)), np.ones(1), np.ones(1)],
    ],
)
def test_set_weights_sets_all_or_nothing(weights):
    model = a_model()
    before = model.get_weights()
    with pytest.raises(ShapeError, match="came:"):
        model.set_weights(weights)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_of_a_stream_with_missing_numbers_is_refused_before_its_step():
    model = a_model()

    def batches():
        yield X, Y
        yield with_entry(X, 7, 1, np.nan), Y

    with pytest.raises(DataError, match="rows 7"):
        model.fit(batches(), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_every_error_is_also_the_type_that_keras_users_catch():
    family = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PellucidError)
    ]
    assert len(family) >= 6
    for each in family:
        if each not in (PellucidError, errors.MissingError):
            assert issubclass(each, ValueError | RuntimeError | AttributeError | ImportError)
    assert issubclass(StateError, RuntimeError)


def test_a_message_has_one_form():
    assert message("what.", came=1, expected=2, mend="do.").splitlines() == [
        "what.",
        "  came:      1",
        "  expected:  2",
        "  to mend:   do.",
    ]
    assert message("what.") == "what."


def test_a_suggestion_is_the_nearest_name_or_the_list():
    assert did_you_mean("Adm", ["adam", "sgd"]) == 'did you mean "adam"?'
    assert did_you_mean("zzzz", ["adam", "sgd"]) == "known are: adam, sgd."
    assert did_you_mean("zzzz", []) == "there are none."


class GivesAVariableToJax(keras.layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 1), name="w")

    def call(self, inputs):
        return jnp.matmul(inputs, self.w)


def batches_once():
    yield X, Y


@pytest.mark.parametrize(
    ("mistake", "mends"),
    [
        (lambda: a_model().fit((X, Y)), "model.fit(X, y), not model.fit((X, y))"),
        (lambda: a_model().fit(batches_once), "call it: batches_once()"),
        (lambda: a_model().fit(X, Y, validation_data=X), "validation_data=(X, y)"),
        (lambda: a_model().fit(X, Y, class_weight="balanced"), "{0: 1.0"),
        (lambda: keras.optimizers.Adam(lr=0.1), "write learning_rate"),
        (lambda: keras.optimizers.SGD(momentun=0.1), 'did you mean "momentum"'),
        (lambda: a_model().compile("adam", "mse", ["accuracy"]), "metrics=['accuracy']"),
        (lambda: GivesAVariableToJax()(X), "x @ self.w"),
    ],
)
def test_a_beginner_s_mistake_is_told_how_to_mend(mistake, mends):
    with pytest.raises(PellucidError) as refused:
        mistake()
    assert mends in str(refused.value)


def test_one_row_by_itself_is_told_from_a_list_of_one_row():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ShapeError, match=r"X\[:1\]"):
        model.predict(X[0], verbose=0)


def test_pictures_without_flatten_are_told_so():
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ShapeError, match="Flatten"):
        model.fit(np.zeros((5, 8, 8)), np.arange(5) % 3, verbose=0)


def test_a_generator_that_ends_before_the_last_epoch_is_warned_of():
    model = a_model()
    with pytest.warns(UserWarning, match="ran out of data after 1 of 3 epochs"):
        history = model.fit(batches_once(), epochs=3, verbose=0)
    assert len(history.epoch) == 1


def test_softmax_over_one_unit_is_warned_of():
    with pytest.warns(UserWarning, match="sigmoid"):
        keras.layers.Dense(1, "softmax")(X)

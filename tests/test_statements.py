"""What every activation, loss, penalty, constraint and optimizer states, against the numbers it computes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pellucid import activations, constraints, losses, optimizers, regularizers
from pellucid.formula import Expression, Formula, Moved, Number, indexed, log, states, within
from pellucid.variables import Variable

RANDOM = np.random.default_rng(0)
EXTREMES = (-1000.0, -104.0, -88.0, -30.0, -6.0, -3.0, -1.0, -1e-7, -0.0, 0.0, 1e-20, 0.5, 1.0, 3.0, 6.0)
ANY = st.one_of(
    st.floats(-100, 100, width=32, allow_subnormal=False),
    st.sampled_from([*EXTREMES, 30.0, 80.0, 88.0, 100.0, 1000.0]),
)
SHARE = st.one_of(
    st.floats(0, 1, width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1e-8, 1e-7, 2e-7, 0.5, 1 - 2**-24, 1.0]),
)
#: Wrong in the fourth digit.
WRONG = 1 + 5e-4


def rows(elements, shape=(4, 3)):
    return arrays.arrays(np.float32, shape, elements=elements.map(np.float32))


def entries(catalogue):
    return list(dict.fromkeys(catalogue.entries.values()))


def with_options(catalogue, options):
    """Each entry of a catalogue as it is, and with each of its options."""
    return [
        pytest.param(entry, given, id=f"{entry.__name__}{given or ''}")
        for entry in entries(catalogue)
        for given in [{}, *options.get(entry.__name__, ())]
    ]


def numbers(name, array, error=None):
    return [Number(value, f"{name}[{place}]", error) for place, value in enumerate(np.atleast_1d(array))]


def check(expression, recorded, name="value[0]"):
    """The statement comes to the number that was computed, and its Python code to that of the statement."""
    assert isinstance(expression, Expression)
    formula = Formula(name, expression, float(recorded))
    assert formula.holds, f"{formula.python}\n{formula}"
    if math.isfinite(formula.value):
        names = {}
        exec(formula.python, names)
        assert math.isclose(names["value"], formula.value, rel_tol=1e-9, abs_tol=1e-11), formula.python
    return formula


def check_forms(expression, recorded):
    """All forms can be written, and a number that is wrong in its fourth digit is seen to be."""
    formula = check(expression, recorded)
    for form in (str(formula), formula.symbols, formula.latex, formula.mathml):
        assert "value" in form
    assert not Formula("value", expression, float(recorded) * WRONG).holds, formula.tolerance
    assert not Formula("value", expression, float(recorded) / WRONG).holds, formula.tolerance


# Activations.

ACTIVATION_OPTIONS = {
    "relu": [
        {"negative_slope": 0.1},
        {"max_value": 6.0},
        {"threshold": 1.0},
        {"negative_slope": 0.3, "max_value": 5.0, "threshold": -0.7},
    ],
    "elu": [{"alpha": 0.3}],
    "gelu": [{"approximate": True}],
    "leaky_relu": [{"negative_slope": 0.01}],
    "celu": [{"alpha": 0.5}],
    "hard_shrink": [{"threshold": 0.1}],
    "soft_shrink": [{"threshold": 0.1}],
    "squareplus": [{"b": 1.0}],
    "threshold": [{"threshold": 0.3, "default_value": -2.0}],
}
#: Those that cannot be called with z alone.
WITH_ARGUMENTS = {"threshold"}
ACTIVATIONS = [
    each
    for each in with_options(activations.CATALOGUE, ACTIVATION_OPTIONS)
    if each.values[1] or each.values[0].__name__ not in WITH_ARGUMENTS
]


@pytest.mark.parametrize(("activation", "options"), ACTIVATIONS)
@settings(max_examples=12, deadline=None)
@given(z=rows(ANY, (3, 4)))
def test_an_activation_is_what_it_states(activation, options, z):
    a = np.asarray(activation(z, **options))
    for row in range(3):
        for place in range(a.shape[1]):
            stated = activations.formula(activation, numbers("z", z[row]), place, **options)
            check(stated, a[row, place])


@pytest.mark.parametrize(("activation", "options"), ACTIVATIONS)
def test_an_activation_that_is_wrong_in_its_fourth_digit_does_not_hold(activation, options):
    z = np.array([[0.7, -0.4, 1.9, 0.2]], np.float32)
    a = np.asarray(jax.jit(lambda z: activation(z, **options))(z))
    for place in range(a.shape[1]):
        if a[0, place]:
            check_forms(activations.formula(activation, numbers("z", z[0]), place, **options), a[0, place])


@pytest.mark.parametrize("z", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize(
    "activation", [each for each in entries(activations.CATALOGUE) if each.__name__ not in WITH_ARGUMENTS]
)
def test_activations_of_what_is_no_longer_a_number(activation, z):
    row = np.array([[z, 1.0]], np.float32)
    for place, a in enumerate(np.asarray(activation(row))[0]):
        assert Formula("a", activations.formula(activation, numbers("z", row[0]), place), float(a)).holds


def test_a_function_of_ones_own_states_its_arithmetic_or_none():
    @states(lambda z: z * z)
    def square(z):
        return z * z

    row = numbers("z", [3.0])
    assert str(Formula("a", activations.formula(square, row, 0), 9.0)) == "a = square(3) = 3*3 = 9"
    assert activations.formula(lambda z: z, row, 0) is None
    assert activations.formula(activations.linear, row, 0) is row[0]


# Losses.

LOSS_OPTIONS = {
    "Huber": [{"delta": 0.3}],
    "BinaryCrossentropy": [
        {"label_smoothing": 0.2},
        {"from_logits": True},
        {"from_logits": True, "label_smoothing": 0.1},
    ],
    "CategoricalCrossentropy": [
        {"label_smoothing": 0.2},
        {"from_logits": True},
        {"from_logits": True, "label_smoothing": 0.1},
    ],
    "SparseCategoricalCrossentropy": [{"from_logits": True}, {"ignore_class": 1}],
    "BinaryFocalCrossentropy": [
        {"apply_class_balancing": True, "gamma": 1.5},
        {"from_logits": True, "label_smoothing": 0.1},
    ],
    "CategoricalFocalCrossentropy": [{"alpha": 0.5, "gamma": 3.0}, {"from_logits": True}],
    "CategoricalGeneralizedCrossEntropy": [{"q": 0.9}],
    "Dice": [{"axis": -1}],
    "Tversky": [{"axis": -1}, {"axis": -1, "alpha": 0.3, "beta": 0.9}],
}
#: Losses whose targets are numbers of classes.
OF_CLASS_NUMBERS = {"SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"}
NUMBERED = {"sparse_categorical_crossentropy", "categorical_generalized_cross_entropy"}
#: Losses of a whole batch, unless an axis is given.
OF_BATCHES = {"Dice", "Tversky"}
#: Losses of any numbers; the others are of probabilities.
OF_ANY = {
    "MeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "Huber",
    "LogCosh",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "CosineSimilarity",
}
CLASSES = [
    each
    for each in with_options(losses.CATALOGUE, LOSS_OPTIONS)
    if isinstance(each.values[0], type) and (each.values[0].__name__ not in OF_BATCHES or each.values[1])
]


def check_losses(loss, y, p):
    recorded = np.asarray(loss.call(y, p))
    for row in range(len(p)):
        y_row, p_row = numbers("y", y[row], error=0.0), numbers("p", p[row])
        yield loss.formula(y_row, p_row, y), recorded[row]


@pytest.mark.parametrize(("loss", "options"), CLASSES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_loss_is_what_it_states(loss, options, data):
    name = loss.__name__
    elements = ANY if name in OF_ANY or options.get("from_logits") else SHARE
    y, p = data.draw(rows(ANY if name in OF_ANY else SHARE)), data.draw(rows(elements))
    if name in OF_CLASS_NUMBERS:
        y = data.draw(arrays.arrays(np.int32, (4,), elements=st.integers(0, 2)))
    for stated, recorded in check_losses(loss(**options), y, p):
        check(stated, recorded)


@pytest.mark.parametrize(("loss", "options"), CLASSES)
def test_a_loss_that_is_wrong_in_its_fourth_digit_does_not_hold(loss, options):
    y = np.array([[0.0, 1.0, 0.0], [0.25, 0.5, 0.0]], np.float32)
    p = np.array([[0.2, 0.3, 0.6], [0.1, 0.8, 0.4]], np.float32)
    y = np.array([2, 0], np.int32) if loss.__name__ in OF_CLASS_NUMBERS else y
    for stated, recorded in check_losses(loss(**options), y, p):
        check_forms(stated, recorded)


@pytest.mark.parametrize(
    "function",
    [
        each
        for each in entries(losses.CATALOGUE)
        if not isinstance(each, type) and each not in (losses.dice, losses.tversky)
    ],
)
def test_a_loss_function_states_what_its_class_does(function):
    y, p = (
        numbers("y", [2.0] if losses.as_loss(function).name in NUMBERED else [0.0, 1.0, 0.0]),
        numbers("p", [0.2, 0.3, 0.4]),
    )
    for made in (losses.as_loss(function), losses.FunctionLoss(function)):
        assert isinstance(made.formula(y, p), Expression)
        assert made.formula(y, p).value == losses.as_loss(function).formula(y, p).value


@given(rows(st.sampled_from([0.0, 1.0]) | st.just(-1.0)), rows(ANY))
@settings(max_examples=12, deadline=None)
def test_hinges_look_at_the_labels_of_the_whole_batch(y, p):
    for loss in (losses.Hinge(), losses.SquaredHinge(), losses.FunctionLoss(losses.hinge)):
        for stated, recorded in check_losses(loss, y, p):
            check(stated, recorded)


def test_along_another_axis_a_loss_states_nothing():
    y, p = numbers("y", [0.0, 1.0]), numbers("p", [0.5, 0.5])
    assert losses.CosineSimilarity(axis=1).formula(y, p) is None
    assert losses.BinaryCrossentropy(axis=0).formula(y, p) is None


def test_a_loss_of_ones_own_states_its_arithmetic_or_none():
    @states(lambda y, p: abs(y[0] - p[0]))
    def distance(y, p):
        return jnp.abs(y - p)[..., 0]

    y, p = numbers("y", [1.0]), numbers("p", [3.5])
    assert losses.as_loss(distance).formula(y, p).value == 2.5
    assert losses.as_loss(lambda y, p: p).formula(y, p) is None
    assert losses.Loss().formula(y, p) is None


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("weighted", ["no", "yes", "all zero"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_cost_is_the_losses_as_the_reduction_says(reduction, weighted, data):
    values = data.draw(rows(ANY, (5,)))
    weights = (
        None if weighted == "no" else data.draw(rows(st.floats(0, 3, width=32, allow_subnormal=False), (5,)))
    )
    if weighted == "all zero":
        weights = np.zeros(5, np.float32)
    cost = losses.reduce(jnp.asarray(values), weights, reduction)
    if cost.ndim:
        cost = losses.reduce(cost)
    loss = losses.MeanSquaredError(reduction=reduction)
    given_weights = None if weights is None else numbers("weight", weights)
    check(loss.cost_formula(numbers("loss", values), given_weights), cost)


# Penalties.

PENALTY_OPTIONS = {
    "L1": [{"l1": 0.3}],
    "L2": [{"l2": 0.3}],
    "L1L2": [{"l1": 0.1}, {"l2": 0.2}, {"l1": 0.1, "l2": 0.2}],
    "OrthogonalRegularizer": [{"factor": 0.5, "mode": "columns"}],
}
PENALTIES = with_options(regularizers.CATALOGUE, PENALTY_OPTIONS)
#: States its penalty, and not its slope.
WITHOUT_SLOPE = {"OrthogonalRegularizer"}


@pytest.mark.parametrize(("regularizer", "options"), PENALTIES)
@settings(max_examples=12, deadline=None)
@given(w=rows(ANY, (3, 5)))
def test_a_penalty_and_its_slope_are_what_they_state(regularizer, options, w):
    made = regularizer(**options)
    check(made.formula(w, "w"), made(w))
    if regularizer.__name__ not in WITHOUT_SLOPE:
        slopes = np.asarray(jax.grad(lambda w: made(w).sum())(w))
        for index in np.ndindex(*w.shape):
            check(made.slope(w, index, "w"), slopes[index])


@pytest.mark.parametrize(("regularizer", "options"), PENALTIES)
@pytest.mark.parametrize("shape", [(5, 3), (80, 50)])
def test_a_penalty_that_is_wrong_in_its_fourth_digit_does_not_hold(regularizer, options, shape):
    w = RANDOM.normal(size=shape).astype(np.float32)
    made = regularizer(**options)
    if float(made(w)):
        check_forms(made.formula(w, "w"), jax.jit(made)(w))


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_a_vector_that_is_alone_is_orthogonal(shape):
    for mode in ("rows", "columns"):
        made = regularizers.OrthogonalRegularizer(0.5, mode)
        w = np.ones(shape, np.float32)
        check(made.formula(w, "w"), made(w))


def test_a_million_weights_have_a_penalty_that_can_be_read():
    w = RANDOM.normal(size=(1000, 1000)).astype(np.float32)
    made = regularizers.L2(0.01)
    formula = check(made.formula(w, "w"), made(w))
    assert "(999994 more)" in str(formula)
    assert len(str(formula)) < 200


# Constraints.

CONSTRAINT_OPTIONS = {
    "MaxNorm": [{"max_value": 1.5, "axis": 1}, {"max_value": 0.7, "axis": None}],
    "UnitNorm": [{"axis": [0, 1]}, {"axis": -1}],
    "MinMaxNorm": [
        {"min_value": 0.5, "max_value": 2.0, "rate": 0.3},
        {"min_value": 1.0, "max_value": 1.5, "axis": 1},
    ],
}
CONSTRAINTS = with_options(constraints.CATALOGUE, CONSTRAINT_OPTIONS)


def check_constraint(constraint, w, checking):
    obeying = np.asarray(constraint(w))
    for index in np.ndindex(*w.shape):
        stated = constraint.formula(w, index, Number(w[index], indexed("w", index)))
        checking(stated, obeying[index])


@pytest.mark.parametrize(("constraint", "options"), CONSTRAINTS)
@settings(max_examples=12, deadline=None)
@given(w=rows(ANY, (3, 4)))
def test_a_constraint_is_what_it_states(constraint, options, w):
    check_constraint(constraint(**options), w, check)


@pytest.mark.parametrize(("constraint", "options"), CONSTRAINTS)
def test_a_constraint_that_is_wrong_in_its_fourth_digit_does_not_hold(constraint, options):
    w = RANDOM.normal(size=(3, 4)).astype(np.float32)
    check_constraint(constraint(**options), w, lambda stated, w: check_forms(stated, w) if w else None)
    if options.get("axis", 0) == 0:
        check_constraint(constraint(**options), w[0], check)


# Optimizers.

OPTIMIZER_OPTIONS = {
    "SGD": [{"momentum": 0.9}, {"momentum": 0.7, "nesterov": True}],
    "RMSprop": [{"momentum": 0.8}, {"centered": True}, {"momentum": 0.8, "centered": True, "rho": 0.7}],
    "Adagrad": [{"initial_accumulator_value": 0.0}],
    "Adam": [{"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}],
    "AdamW": [{"amsgrad": True, "weight_decay": 0.1}],
    "Nadam": [{"beta_1": 0.8}],
}
OPTIMIZERS = [
    each
    for each in with_options(optimizers.CATALOGUE, OPTIMIZER_OPTIONS)
    if each.values[0] is not optimizers.LossScaleOptimizer  # which states the rule of another
]


def moves(optimizer, gradients, first=None):
    """Take steps, and give (weight before, stated change, weight after) for every entry in each."""
    first = [RANDOM.normal(size=each.shape) for each in gradients[0]] if first is None else first
    variables = [Variable(value.astype(np.float32), name=f"w{n}") for n, value in enumerate(first)]
    optimizer.build(variables)
    for number, step in enumerate(gradients):
        rate = Number(np.asarray(optimizer.learning_rate), "learning_rate")
        shared = {
            each.name: Number(each.numpy(), each.name)
            for each in optimizer.variables
            if each.name == "u_product"
        }
        told = []
        for variable, gradient in zip(variables, step, strict=True):
            for index in np.ndindex(*variable.shape):
                weight = Number(variable.numpy()[index], indexed(variable.path, index))
                slots = {
                    slot: Number(optimizer.slot(slot, variable).numpy()[index], indexed(slot, index))
                    for slot in optimizer.slots
                }
                if optimizer.weight_decay:
                    weight = weight - weight * optimizer.weight_decay * rate
                g, t = Number(gradient[index], indexed("g", index)), Number(number + 1, "t", error=0.0)
                moved = Moved(variable.path, index, weight, g, rate, t, {**slots, **shared})
                told.append((variable, index, weight, optimizer.rule(moved)))
        optimizer.apply(step, variables)
        for variable, index, weight, change in told:
            yield weight, change, variable.numpy()[index]


def steps_of_gradients(count, largest=2.0):
    """Gradients of two variables, small and large, which turn now and then."""
    shapes, sizes = ((2, 2), (3,)), 10.0 ** RANDOM.uniform(-largest - 4, largest, 3)
    return [
        [(RANDOM.normal(size=shape) * RANDOM.choice(sizes)).astype(np.float32) for shape in shapes]
        for _ in range(count)
    ]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_an_optimizer_moves_weights_by_what_it_states(optimizer, options):
    for rate in (0.001, 0.3):
        for weight, change, after in moves(optimizer(rate, **options), steps_of_gradients(8)):
            assert isinstance(change, Expression)
            check(weight + change, after)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_gradients_that_are_nothing_or_stay_the_same(optimizer, options):
    same = [np.full((2, 2), 0.125, np.float32), np.zeros(3, np.float32)]
    for weight, change, after in moves(optimizer(0.1, **options), [same] * 5):
        check(weight + change, after)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_a_step_that_is_wrong_in_its_fourth_digit_does_not_hold(optimizer, options):
    gradients = [[RANDOM.uniform(0.5, 2.0, size=(2, 2)).astype(np.float32)] for _ in range(6)]
    for weight, change, after in list(moves(optimizer(0.1, **options), gradients, [np.zeros((2, 2))]))[-4:]:
        check_forms(weight + change, after)
        assert not Formula("value", weight + WRONG * change, float(after)).holds
        assert not Formula("value", weight + change / WRONG, float(after)).holds


def test_an_optimizer_of_ones_own_states_none():
    assert optimizers.Optimizer().rule(None) is None


LIMITS = [{}, {"clipnorm": 0.7}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7}]


def check_clipping(limit, gradients):
    made = optimizers.SGD(**limit)
    clipped = made.clip([jnp.asarray(each) for each in gradients.values()])
    for (name, array), after in zip(gradients.items(), clipped, strict=True):
        for index in np.ndindex(*array.shape):
            gradient = Number(array[index], indexed(name, index))
            stated = made.clip_formula(gradient, index, (name, array), gradients)
            check(stated, np.asarray(after)[index])


@pytest.mark.parametrize("limit", LIMITS)
@settings(max_examples=12, deadline=None)
@given(first=rows(ANY, (3, 2)), second=rows(st.floats(-1, 1, width=32, allow_subnormal=False), (4,)))
def test_clipping_is_what_it_states(limit, first, second):
    check_clipping(limit, {"first": first, "second": second})


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_no_longer_numbers(limit, number):
    check_clipping(limit, {"first": np.array([number, 1.0], np.float32), "second": np.ones(2, np.float32)})


def test_weights_that_are_no_longer_numbers():
    w = np.array([[np.nan, 1.0], [2.0, -1.0]], np.float32)
    for constraint in entries(constraints.CATALOGUE):
        check_constraint(constraint(), w, check)
    for regularizer in entries(regularizers.CATALOGUE):
        check(regularizer().formula(w, "w"), regularizer()(w))


# What the comparison forgives.


def test_numbers_beyond_float32_are_recorded_as_infinite_and_others_are_not():
    assert Formula("a", Number(1e39), math.inf).holds
    assert not Formula("a", Number(5.0), math.inf).holds
    assert not Formula("a", Number(1e39), -math.inf).holds
    assert not Formula("a", Number(math.inf), 3.0).holds


def test_what_a_clip_cuts_off_is_not_in_doubt():
    p = Number(np.float32(1.0), "p")
    clipped = within(p, 1e-7, float(np.float32(1 - 1e-7)))
    assert clipped.error == 0.0
    formula = Formula("loss", -log(1 - clipped), 15.942385)
    assert formula.holds
    assert formula.tolerance < 2e-4


def test_numbers_of_numpy_leave_arithmetic_to_expressions():
    assert str(Formula("a", np.float64(2.0) * Number(3.0), 6.0)) == "a = 2*3 = 6"

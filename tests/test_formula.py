"""Formulas: their values, their four forms, what they forgive, and their derivatives."""

import math
import xml.dom.minidom

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import activations, losses
from pellucid import formula as f
from pellucid.formula import Formula, Let, Number, derivative, sum_over, total

numbers = st.floats(-10, 10).map(lambda x: float(np.float32(x)))


def run(code):
    names = {}
    exec(code, names)
    return names["value"]


@st.composite
def trees(draw, depth=3):
    """Expressions of every kind, with values of moderate size."""
    if depth == 0 or draw(st.booleans()):
        return Number(draw(numbers), draw(st.sampled_from(["", "x", "dense/kernel[2,3]"])))
    a, b = draw(trees(depth - 1)), draw(trees(depth - 1))
    kinds = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / (abs(b) + 1),
        "^": lambda: a**2,
        "neg": lambda: -a,
        "tanh": lambda: f.tanh(a),
        "log": lambda: f.log(abs(a) + 1),
        "sqrt": lambda: f.sqrt(abs(a)),
        "max": lambda: f.largest(a, b),
        "min": lambda: f.smallest(a, b),
        "choice": lambda: f.Choice(a, ">=", b, a, b),
        "let": lambda: Let(draw(st.sampled_from("mvg")), a) + b,
        "known": lambda: f.Known("twice", [a], 2 * a),
        "abs": lambda: abs(a),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


@given(trees())
def test_the_python_of_a_formula_comes_to_its_value(tree):
    names = [let.name for let in f.lets(tree)]
    if len(set(names)) == len(names):
        assert run(Formula("n", tree, tree.value).python) == pytest.approx(tree.value, rel=1e-9, abs=1e-12)


@given(trees())
def test_every_form_can_be_written_and_the_mathml_is_well_formed(tree):
    formula = Formula("dense.z[3]", tree, tree.value)
    assert formula.holds
    assert str(formula).startswith(("dense.z[3] = ", *(f"{let.name} = " for let in f.lets(tree))))
    assert formula.symbols
    assert formula.latex.count("{") == formula.latex.count("}")
    xml.dom.minidom.parseString(formula.mathml)


@given(trees())
def test_a_record_that_is_wrong_in_the_third_digit_does_not_hold(tree):
    # Unless the arithmetic itself is so ill-conditioned that nobody could tell.
    formula = Formula("n", tree, tree.value + 1e-3 * abs(tree.value) + 1e-6)
    assert not formula.holds or formula.tolerance >= 1e-3 * abs(tree.value)


@given(st.lists(numbers, min_size=1, max_size=200), st.integers(1, 9))
def test_a_long_sum_shows_some_terms_and_one_for_the_rest_and_still_adds_up(values, terms):
    whole = total(Number(value, f"x[{place}]") for place, value in enumerate(values))
    shortened = whole.shortened(terms) if isinstance(whole, f.Sum) else [whole]
    assert len(shortened) <= terms + 1
    assert math.fsum(each.value for each in shortened) == pytest.approx(math.fsum(values), abs=1e-9)
    if len(values) > terms + 1:
        assert f"({len(values) - terms} more)" in Formula("s", whole, whole.value).text(terms)
        shown = sorted((abs(each.value) for each in shortened[:-1]), reverse=True)
        assert shown == sorted(map(abs, values), reverse=True)[:terms]


@given(st.integers(1, 300))
def test_a_sum_over_an_array_is_that_of_all_its_entries(size):
    array = np.random.default_rng(size).normal(size=size)
    found = sum_over(array, "w", lambda w: w * w)
    assert found.value == pytest.approx(float(np.square(array).sum()))


def test_the_forms_of_one_formula():
    z = Number(0.5, "x[0]") * Number(-2.0, "w[0]") + Number(0.25, "b")
    formula = Formula("a[0]", f.sigmoid(z), 1 / (1 + math.exp(0.75)))
    assert str(formula) == "a[0] = 1/(1 + exp(-(0.5*(-2) + 0.25))) = 0.3208"
    assert formula.symbols == "a[0] = 1/(1 + exp(-(x[0]*w[0] + b)))"
    assert formula.python == "import math\n\nvalue = 1.0/(1.0 + (math.exp(-(0.5*(-2.0) + 0.25))))"
    below = r"1 + \exp\left(-\left(0.5 \cdot \left(-2\right) + 0.25\right)\right)"
    assert formula.latex == rf"\mathrm{{a}}_{{0}} &= \frac{{1}}{{{below}}} = 0.3208"
    assert "<mfrac>" in formula.mathml


def test_what_does_not_come_to_its_record_says_so():
    formula = Formula("z", Number(1.0) + Number(2.0), 3.1)
    assert not formula.holds
    assert "the formula comes to 3, which is more than rounding away" in str(formula)


def test_numbers_that_are_none_hold_only_for_each_other():
    nan, one = Number(math.nan, "x"), Number(1.0, "x")
    assert Formula("z", nan + 1, math.nan).holds
    assert not Formula("z", nan + 1, 1.0).holds
    assert not Formula("z", one + 1, math.nan).holds
    assert "nan" in str(Formula("z", nan + 1, math.nan))


# Derivatives.

NAMES = sorted({each.__name__ for each in activations.CATALOGUE.entries.values()})


def central(function, x, h=1e-5):
    return (function(x + h) - function(x - h)) / (2 * h)


#: Arguments that an activation needs.
OPTIONS = {"threshold": {"threshold": 1.0, "default_value": 0.3}}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 3))
def test_the_slope_of_an_activation_is_that_of_central_differences(name, values, of, by):
    activation, options = getattr(activations, name), OPTIONS.get(name, {})
    outputs = 2 if name == "glu" else 4
    of %= outputs

    def output(x, place):
        row = [Number(v, f"z[{n}]") for n, v in enumerate([*values[:by], x, *values[by + 1 :]])]
        return activations.formula(activation, row, place, **options)

    # Away from the kinks, where there is no derivative.
    if min(abs(values[by] - kink) for kink in (0, 1, 3, -3, 6, 2.5, -2.5)) < 1e-3:
        return
    row = [Number(value, f"z[{place}]") for place, value in enumerate(values)]
    given_ = [Number(output(values[by], place).value, f"a[{place}]") for place in range(outputs)]
    slope = activations.slope(activation, row, given_, of, by, **options)
    found = central(lambda x: output(x, of).value, values[by])
    assert slope.value == pytest.approx(found, rel=1e-5, abs=1e-7)


#: All losses, but those that are one number of the whole batch, and so have none for each example.
LOSSES = sorted(
    {each.__name__ for each in losses.CATALOGUE.entries.values() if isinstance(each, type)}
    - {"Dice", "Tversky"}
)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=20)
@given(st.data())
def test_the_derivative_of_a_loss_is_that_of_central_differences(name, data):
    loss = getattr(losses, name)()
    sparse = name == "SparseCategoricalCrossentropy"
    p = data.draw(st.lists(st.floats(0.05, 0.9), min_size=3, max_size=3))
    one = data.draw(st.integers(0, 2))
    y = [float(one)] if sparse else [float(place == one) for place in range(3)]
    batch = np.array([y])
    by = data.draw(st.integers(0, 2))

    def value(x):
        ps = [Number(v, f"p[{n}]") for n, v in enumerate([*p[:by], x, *p[by + 1 :]])]
        return loss.formula([Number(each, "y", 0.0) for each in y], ps, batch=batch)

    if "hinge" in name.lower() and any(abs(abs(each) - 1) < 1e-3 for each in p):
        return
    if name == "CategoricalHinge" and len({round(each, 3) for each in p}) < 3:
        return  # several wrong classes are the largest
    if name in ("Huber", "MeanAbsoluteError", "MeanAbsolutePercentageError") and any(
        abs(each - target) < 1e-3 for each in p for target in y
    ):
        return
    found = central(lambda x: value(x).value, p[by], 1e-4)
    assert derivative(value(p[by]), f"p[{by}]").value == pytest.approx(found, rel=1e-3, abs=1e-5)

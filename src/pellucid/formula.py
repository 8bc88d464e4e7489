"""Arithmetic as data: one tree prints as text, LaTeX, MathML and Python, and evaluates to a number.

Layers, activations, losses, regularizers, constraints and optimizers state their arithmetic as an
`Expression`, beside their code. Its leaves are recorded numbers, so the tree has a value; a `Formula`
compares that value with the recorded one. Each expression also carries how far the same arithmetic may
be off when it is done in fewer digits, so the comparison knows what it may forgive, and forgives no more.

    >>> x, w, b = Number(0.5, "x"), Number(-2.0, "w"), Number(0.25, "b")
    >>> z = Formula("z", x * w + b, recorded=-0.75)
    >>> print(z)
    z = 0.5*(-2) + 0.25 = -0.75
    >>> print(z.symbols)
    z = x*w + b
    >>> z.holds
    True
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

NumPy = np.ndarray[Any, Any]
#: A sum of more terms than this shows its largest ones, and one number for the rest.
TERMS = 6
#: Of sums over whole arrays this many terms are kept apart at most; the rest is one number.
KEPT_TERMS = 64
#: Functions of a library are this many roundings off.
LIBRARY = 8.0
#: The rounding of float32: half the distance from 1 to the next number. Errors are counted in it.
ROUNDOFF = 2.0**-24
#: How far off a result below float32's smallest normal number may be, as it may be taken as zero.
UNDERFLOW = 2.0**-126 / ROUNDOFF
#: The largest number of float32, about.
LARGEST = 3.4e38
#: Beyond this size of x, formulas with exp(x) take a form that does not overflow.
LARGE = 80.0


def shown(value: float) -> str:
    """A number as formulas print it, with four digits.

    >>> shown(0.31), shown(-0.123456), shown(713.0), shown(1e-7), shown(math.nan)
    ('0.31', '-0.1235', '713', '1e-07', 'nan')
    """
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))  # and -0 as 0
    return f"{value:.4g}"


class Expression:
    """A piece of arithmetic with its value.

    Attributes:
        value: what it comes to, in float64.
        error: how far it may be off, in units of the rounding of the arithmetic it describes.
    """

    value: float
    error: float
    #: How tightly it binds: 1 a sum, 2 a product, 3 a power, 4 what needs no brackets.
    level: int = 4
    #: NumPy's numbers leave arithmetic with expressions to these.
    __array_ufunc__ = None

    def children(self) -> Sequence[Expression]:
        """What it is made of."""
        return ()

    def __add__(self, other: Any) -> Expression:
        return total([self, other])

    def __radd__(self, other: Any) -> Expression:
        return total([other, self])

    def __sub__(self, other: Any) -> Expression:
        return total([self, -wrapped(other)])

    def __rsub__(self, other: Any) -> Expression:
        return total([other, -self])

    def __neg__(self) -> Expression:
        return Negative(self)

    def __mul__(self, other: Any) -> Expression:
        return Product([self, wrapped(other)])

    def __rmul__(self, other: Any) -> Expression:
        return Product([wrapped(other), self])

    def __truediv__(self, other: Any) -> Expression:
        return Quotient(self, wrapped(other))

    def __rtruediv__(self, other: Any) -> Expression:
        return Quotient(wrapped(other), self)

    def __pow__(self, other: Any) -> Expression:
        return Power(self, wrapped(other))

    def __rpow__(self, other: Any) -> Expression:
        return Power(wrapped(other), self)

    def __abs__(self) -> Expression:
        return Function("abs", [self])

    def __repr__(self) -> str:
        return f"<{Text(TERMS).inline(self)} = {shown(self.value)}>"


def wrapped(value: Any) -> Expression:
    """A plain number as an expression; expressions as they are."""
    return value if isinstance(value, Expression) else Number(float(value))


class Number(Expression):
    """A number: a recorded one, with the name of its place, or a constant, without."""

    def __init__(self, value: Any, name: str = "", error: float | None = None) -> None:
        self.value, self.name = float(value), name
        with np.errstate(over="ignore"):
            exact = not name and (self.value == np.float32(self.value))
        self.error = error if error is not None else 0.0 if exact else abs(self.value)

    @property
    def level(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A negative number needs brackets within products and powers."""
        return 1 if self.value < 0 else 4


class Rest(Expression):
    """The terms of a sum that are not shown one by one."""

    def __init__(self, value: float, count: int, error: float) -> None:
        self.value, self.count, self.error = value, count, error

    @property
    def level(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As of a number."""
        return 1 if self.value < 0 else 4


class Sum(Expression):
    """The sum of several terms."""

    level = 1

    def __init__(self, terms: Sequence[Expression]) -> None:
        self.terms = tuple(terms)
        values = [term.value for term in self.terms]
        self.value = math.fsum(values) if all(map(math.isfinite, values)) else sum(values)
        count = sum(term.count if isinstance(term, Rest) else 1 for term in self.terms)
        # Two numbers are added with one rounding, that of their sum; of more the order is not known.
        rounding = abs(self.value) if count == 2 else (1.0 + math.sqrt(count)) * sum(map(abs, values))
        self.error = sum(term.error for term in self.terms) + rounding

    def children(self) -> Sequence[Expression]:
        return self.terms

    def shortened(self, limit: int) -> Sequence[Expression]:
        """The largest terms in their order, and one for the rest, if there are more than `limit`."""
        if len(self.terms) <= limit + 1:
            return self.terms
        plain = [term for term in self.terms if not isinstance(term, Rest)]
        order = sorted(range(len(plain)), key=lambda each: -_size(plain[each].value))
        kept = set(order[:limit])
        hidden = [term for each, term in enumerate(plain) if each not in kept]
        hidden += [term for term in self.terms if isinstance(term, Rest)]
        count = sum(term.count if isinstance(term, Rest) else 1 for term in hidden)
        rest = Sum(hidden)
        return [*(plain[each] for each in sorted(kept)), Rest(rest.value, count, rest.error)]


def _size(value: float) -> float:
    return math.inf if math.isnan(value) else abs(value)


def total(terms: Iterable[Any]) -> Expression:
    """The sum of terms; sums among them are joined in."""
    flat: list[Expression] = []
    for term in terms:
        each = wrapped(term)
        flat.extend(each.terms if isinstance(each, Sum) else [each])
    return flat[0] if len(flat) == 1 else Sum(flat) if flat else Number(0.0)


def mean(terms: Iterable[Any]) -> Expression:
    """The mean of terms: one alone stands for itself."""
    listed = [wrapped(term) for term in terms]
    return listed[0] if len(listed) == 1 else total(listed) / len(listed)


def long_sum(values: NumPy, term: Callable[[tuple[int, ...]], Expression]) -> list[Expression]:
    """The terms of a sum that may be long: the largest ones, and one number for the rest.

    Args:
        values: what each term comes to.
        term: gives the term of an index.
    """
    flat = np.asarray(values, np.float64).ravel()
    sizes = np.abs(np.nan_to_num(flat, nan=np.inf))
    kept = np.sort(np.argsort(-sizes, kind="stable")[:KEPT_TERMS])
    places = (np.unravel_index(place, np.shape(values)) for place in kept.tolist())
    terms = [term(tuple(int(each) for each in place)) for place in places]
    if len(kept) < flat.size:
        others = np.delete(flat, kept)
        error = (3.0 + math.sqrt(flat.size)) * float(np.abs(others).sum())
        terms.append(Rest(float(others.sum()), others.size, error))
    return terms


def sum_of(values: Any, term: Callable[[int], Any]) -> Expression:
    """The sum of many terms, of which the largest are kept apart, and the rest is one number.

    Args:
        values: what each term comes to.
        term: gives the term of a place, counted through, as an expression.
    """
    terms = long_sum(np.ravel(np.asarray(values)), lambda index: wrapped(term(index[0])))
    return Sum(terms) if len(terms) > 1 else total(terms)


def sum_over(array: NumPy, name: str, term: Callable[[Any], Any]) -> Expression:
    """The sum of `term` over all entries of an array, of which the largest are kept apart.

    Args:
        array: the numbers.
        name: what they are called: the entry (2, 3) becomes "name[2,3]".
        term: gives the term of an entry; works on an expression and on an array alike.
    """
    numbers = np.asarray(array, np.float64)

    def of_entry(index: tuple[int, ...]) -> Expression:
        return wrapped(term(Number(numbers[index], indexed(name, index))))

    terms = long_sum(np.asarray(term(numbers), np.float64), of_entry)
    return Sum(terms) if len(terms) > 1 else total(terms)


def indexed(name: str, index: Iterable[Any]) -> str:
    """The name of an entry.

    >>> indexed("dense/kernel", (2, 3)), indexed("cost", ())
    ('dense/kernel[2,3]', 'cost')
    """
    listed = [str(int(each)) for each in index]
    return f"{name}[{','.join(listed)}]" if listed else name


class Negative(Expression):
    """The negative of something."""

    level = 1

    def __init__(self, of: Expression) -> None:
        self.of = of
        self.value, self.error = -of.value, of.error

    def children(self) -> Sequence[Expression]:
        return (self.of,)


class Product(Expression):
    """The product of several factors."""

    level = 2

    def __init__(self, factors: Sequence[Expression]) -> None:
        flat: list[Expression] = []
        for each in factors:
            flat.extend(each.factors if isinstance(each, Product) else [each])
        self.factors = tuple(flat)
        value, error = 1.0, 0.0
        for each in flat:
            error = error * abs(each.value) + abs(value) * each.error + error * each.error * ROUNDOFF
            value *= each.value
            error += abs(value)
        self.value, self.error = value, error + UNDERFLOW

    def children(self) -> Sequence[Expression]:
        return self.factors


class Quotient(Expression):
    """One thing divided by another."""

    level = 2

    def __init__(self, above: Expression, below: Expression) -> None:
        self.above, self.below = above, below
        with np.errstate(all="ignore"):
            self.value = float(np.float64(above.value) / np.float64(below.value))
        size = abs(below.value) or math.inf
        # What is below may be smaller by its error, and is nothing if that is all of it.
        size = max(size - 2.0 * below.error * ROUNDOFF, 0.0) or math.nan
        self.error = (above.error + abs(self.value) * below.error) / size + abs(self.value) + UNDERFLOW

    def children(self) -> Sequence[Expression]:
        return (self.above, self.below)


class Power(Expression):
    """One thing to the power of another."""

    level = 3

    def __init__(self, base: Expression, exponent: Expression) -> None:
        self.base, self.exponent = base, exponent
        x, n = np.float64(base.value), np.float64(exponent.value)
        with np.errstate(all="ignore"):
            self.value = float(x**n)
            far = abs(x) + base.error * ROUNDOFF if n > 1 else abs(x)
            slope = float(abs(n) * far ** (n - 1)) if n else 0.0
            by_exponent = abs(self.value * float(np.log(x))) if x > 0 else 0.0
        # A square is one product.
        rounding = 1.0 if n == 2 else LIBRARY
        self.error = (
            slope * base.error + by_exponent * exponent.error + rounding * abs(self.value) + UNDERFLOW
        )

    def children(self) -> Sequence[Expression]:
        return (self.base, self.exponent)


def _sign(x: float) -> float:
    return float(np.sign(x))


def _slope_of_log(x: float) -> float:
    return 1.0 / x if x > 0 else math.inf


#: name: (how to compute it, the size of its derivative)
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[float], float]]] = {
    "exp": (np.exp, lambda x: float(np.exp(x))),
    "log": (np.log, _slope_of_log),
    "sqrt": (np.sqrt, lambda x: 0.5 / math.sqrt(x) if x > 0 else 0.0),
    "tanh": (np.tanh, lambda x: 1.0 - math.tanh(x) ** 2),
    "cosh": (np.cosh, lambda x: abs(float(np.sinh(x)))),
    "erf": (math.erf, lambda x: 2.0 / math.sqrt(math.pi) * math.exp(-x * x)),
    "abs": (abs, lambda x: 1.0),
    "sign": (_sign, lambda x: 0.0),
}
#: Functions that other forms of a formula write in another way.
_IN_PYTHON = {
    "abs": "abs({})",
    "sign": "math.copysign(1, {0}) if {0} else 0.0",
}


class Function(Expression):
    """A function of one expression: exp, log, sqrt, tanh, cosh, erf, abs, sign."""

    def __init__(self, name: str, arguments: Sequence[Any]) -> None:
        self.name = name
        (self.argument,) = [wrapped(each) for each in arguments]
        compute, slope = FUNCTIONS[name]
        x = self.argument.value
        with np.errstate(all="ignore"):
            self.value = float(compute(x))
            off = 2.0 * self.argument.error * ROUNDOFF
            bend = (
                max(float(slope(each)) for each in (x - off, x, x + off)) if off and math.isfinite(x) else 0.0
            )
        rounding = 0.0 if name in ("abs", "sign") else LIBRARY * abs(self.value) + UNDERFLOW
        self.error = (bend * self.argument.error if bend else 0.0) + rounding
        if name == "sqrt" and 0 <= x < self.argument.error * 1e-6:
            # The root of what may be nothing may be the root of its error.
            self.error = max(self.error, math.sqrt(self.argument.error / 6e-8))

    def children(self) -> Sequence[Expression]:
        return (self.argument,)


def exp(x: Any) -> Expression:
    """e to the power of x."""
    return Function("exp", [x])


def log(x: Any) -> Expression:
    """The natural logarithm."""
    return Function("log", [x])


def sqrt(x: Any) -> Expression:
    """The square root."""
    return Function("sqrt", [x])


def tanh(x: Any) -> Expression:
    """The hyperbolic tangent."""
    return Function("tanh", [x])


def erf(x: Any) -> Expression:
    """The error function."""
    return Function("erf", [x])


def sign(x: Any) -> Expression:
    """-1, 0 or 1."""
    return Function("sign", [x])


class Extreme(Expression):
    """The largest or smallest of several expressions."""

    def __init__(self, name: str, of: Sequence[Any]) -> None:
        self.name, self.of = name, [wrapped(each) for each in of]
        values = [each.value for each in self.of]
        pick = max if name == "max" else min
        self.value = math.nan if any(map(math.isnan, values)) else pick(values)
        gaps = [abs(each.value - self.value) / (2.0 * ROUNDOFF) for each in self.of]
        # Those that lie too far off do not become the extreme one by their errors.
        self.error = max(each.error - gap for each, gap in zip(self.of, gaps, strict=True))

    def children(self) -> Sequence[Expression]:
        return self.of

    def shortened(self, limit: int) -> Sequence[Expression]:
        """The nearest to the extreme one, in their order, and one for the rest, if there are many."""
        if len(self.of) <= limit + 1:
            return self.of
        order = sorted(range(len(self.of)), key=lambda each: abs(self.of[each].value - self.value))
        kept, hidden = sorted(order[:limit]), [self.of[each] for each in order[limit:]]
        rest = Extreme(self.name, hidden)
        return [*(self.of[each] for each in kept), Rest(rest.value, len(hidden), rest.error)]


def _extreme(name: str, of: Sequence[Any]) -> Expression:
    """One alone stands for itself."""
    return Extreme(name, of) if len(of) > 1 else wrapped(of[0])


def largest(*of: Any) -> Expression:
    """The largest of several."""
    return _extreme("max", of)


def smallest(*of: Any) -> Expression:
    """The smallest of several."""
    return _extreme("min", of)


def within(x: Expression, low: float, high: float) -> Expression:
    """X, moved to the nearest of low and high if it lies outside; x itself where it lies within."""
    inside = low < x.value < high
    return x if inside else largest(smallest(x, high), low)


def at_least(x: Expression, low: float) -> Expression:
    """The larger of x and low; x itself where it is that."""
    return x if x.value > low else largest(x, low)


def sigmoid(x: Any, height: Any = 1) -> Expression:
    """height/(1 + exp(-x))."""
    x = wrapped(x)
    if x.value >= -LARGE:
        return height / (1 + exp(-x))
    return (exp(x) if height == 1 else height * exp(x)) / (1 + exp(x))


def softplus(x: Any) -> Expression:
    """log(1 + exp(x))."""
    x = wrapped(x)
    return x + log(1 + exp(-x)) if x.value > LARGE else log(1 + exp(x))


def exponentials(row: Sequence[Expression]) -> tuple[list[Expression], list[Expression]]:
    """The exp of each number, and what was taken off all of them first: the largest, if some are large."""
    if all(abs(each.value) <= LARGE for each in row):
        return [exp(each) for each in row], []
    top = Let("largest", largest(*row))
    return [exp(each - top) for each in row], [top]


def log_sum_exp(row: Sequence[Expression]) -> Expression:
    """log(exp(x_1) + ... + exp(x_n))."""
    powers, taken_off = exponentials(row)
    return Let("log_sum", total([*taken_off, log(total(powers))]))


class Choice(Expression):
    """One of two expressions, by a comparison of two others: `yes if left >= right else no`."""

    level = 1
    _compare: Mapping[str, Callable[[float, float], bool]] = {
        ">=": lambda a, b: a >= b,
        ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b,
        "<": lambda a, b: a < b,
        "==": lambda a, b: a == b,
    }

    def __init__(self, left: Any, comparison: str, right: Any, yes: Any, no: Any) -> None:
        self.left, self.comparison, self.right = wrapped(left), comparison, wrapped(right)
        self.yes, self.no = wrapped(yes), wrapped(no)
        self.chosen = self._compare[comparison](self.left.value, self.right.value)
        taken = self.yes if self.chosen else self.no
        self.value, self.error = taken.value, taken.error
        gap = abs(self.left.value - self.right.value)
        if gap < (self.left.error + self.right.error) * 1e-6:
            # So near the border that rounding may have chosen the other one.
            self.error += abs(self.yes.value - self.no.value) / 6e-8

    def children(self) -> Sequence[Expression]:
        return (self.left, self.right, self.yes, self.no)


class Known(Expression):
    """A function with a name of its own, and what it means: sigmoid(z), which is 1/(1 + exp(-z))."""

    def __init__(self, name: str, arguments: Sequence[Any], meaning: Expression) -> None:
        self.name, self.arguments = name, [wrapped(each) for each in arguments]
        self.meaning = meaning
        self.value, self.error = meaning.value, meaning.error

    def children(self) -> Sequence[Expression]:
        return (self.meaning,)


class Let(Expression):
    """An intermediate result with a name: it is worked out on a line of its own, once."""

    def __init__(self, name: str, meaning: Any) -> None:
        self.name, self.meaning = name, wrapped(meaning)
        self.value, self.error = self.meaning.value, self.meaning.error

    @property
    def level(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As of a number."""
        return 1 if self.value < 0 else 4

    def children(self) -> Sequence[Expression]:
        return (self.meaning,)


class Rounded(Expression):
    """An expression whose numbers came by another order of operations, and so rounded by more."""

    def __init__(self, of: Expression, error: float) -> None:
        self.of = of
        self.value, self.error = of.value, of.error + error

    @property
    def level(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As what it holds."""
        return self.of.level

    def children(self) -> Sequence[Expression]:
        return (self.of,)


def derivative(of: Expression, by: str) -> Expression:
    """The derivative of an expression by the number of this name.

    >>> x = Number(3.0, "x")
    >>> derivative(x * x + 2 * x, "x")
    <3 + 3 + 2 = 8>
    >>> derivative(log(1 + exp(x)), "y")
    <0 = 0>
    """
    if isinstance(of, Number):
        return Number(float(of.name == by))
    if isinstance(of, Rest):
        return Number(0.0)
    if isinstance(of, Sum):
        return _plus(derivative(each, by) for each in of.terms)
    if isinstance(of, Negative):
        return _minus(derivative(of.of, by))
    if isinstance(of, Product):
        parts: list[Expression] = []
        for place, factor in enumerate(of.factors):
            others = [*of.factors[:place], *of.factors[place + 1 :]]
            parts.append(times(*others, derivative(factor, by)))
        return _plus(parts)
    if isinstance(of, Quotient):
        above, below = derivative(of.above, by), derivative(of.below, by)
        first = Number(0.0) if _is(above, 0) else _over(above, of.below)
        if _is(below, 0):
            return first
        return _plus([first, _minus(_over(times(of.above, below), of.below**2))])
    if isinstance(of, Power):
        if not _is(derivative(of.exponent, by), 0):
            return times(of, log(of.base), derivative(of.exponent, by))
        lower = of.base if of.exponent.value == 2 else of.base ** (of.exponent.value - 1)
        return times(of.exponent, lower, derivative(of.base, by))
    if isinstance(of, Function):
        return _chain(of, derivative(of.argument, by))
    if isinstance(of, Extreme):
        # Of several that are equal the constant one counts: a relu at 0 has no slope.
        found = [(each, derivative(each, by)) for each in of.of]
        taken = [slope for each, slope in found if each.value == of.value]
        return next((slope for slope in taken if _is(slope, 0)), taken[0] if taken else Number(math.nan))
    if isinstance(of, Choice):
        return derivative(of.yes if of.chosen else of.no, by)
    assert isinstance(of, Known | Let | Rounded)
    return derivative(of.of if isinstance(of, Rounded) else of.meaning, by)


def _chain(of: Function, inner: Expression) -> Expression:
    """The derivative of a function of something, whose own derivative is known."""
    if _is(inner, 0):
        return inner
    x = of.argument
    if of.name in ("log", "sqrt"):
        return _over(inner, x if of.name == "log" else 2 * of)
    outer: Callable[[], Expression] = {
        "exp": lambda: of,
        "tanh": lambda: 1 - of**2,
        "erf": lambda: 2 / sqrt(Number(math.pi)) * exp(-(x**2)),
        "abs": lambda: Function("sign", [x]),
        "cosh": lambda: (exp(x) - exp(-x)) / 2,
        "sign": lambda: Number(0.0),
    }[of.name]
    return times(outer(), inner)


def _is(node: Expression, value: float) -> bool:
    return isinstance(node, Number) and not node.name and node.value == value


def _plus(terms: Iterable[Expression]) -> Expression:
    return total(each for each in terms if not _is(each, 0))


def _minus(of: Expression) -> Expression:
    if _is(of, 0):
        return of
    return of.of if isinstance(of, Negative) else -of


def _over(above: Expression, below: Expression) -> Expression:
    return -(above.of / below) if isinstance(above, Negative) else above / below


def times(*factors: Expression) -> Expression:
    """The product of factors; ones are left out, and zeros make it zero."""
    if any(_is(each, 0) for each in factors):
        return Number(0.0)
    signs = sum(isinstance(each, Negative) for each in factors)
    plain = [each.of if isinstance(each, Negative) else each for each in factors]
    left = [each for each in plain if not _is(each, 1)]
    shares = [each for each in left if isinstance(each, Quotient) and _is(each.above, 1)]
    if len(shares) == 1 and len(left) > 1:
        # y * (1/p) is y/p.
        left.remove(shares[0])
        left = [(left[0] if len(left) == 1 else Product(left)) / shares[0].below]
    made = left[0] if len(left) == 1 else Product(left) if left else Number(1.0)
    return -made if signs % 2 else made


def lets(expression: Expression) -> list[Let]:
    """The intermediate results of an expression, in the order they are needed."""
    found: dict[int, Let] = {}
    seen: set[int] = set()

    def walk(node: Expression) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        for child in node.children():
            walk(child)
        if isinstance(node, Let):
            found[id(node)] = node

    walk(expression)
    return list(found.values())


@dataclass(frozen=True)
class Formula:
    """How one number came about: its name, its arithmetic, and the number that was recorded.

    Args:
        name: what the number is called: "dense.z[3]".
        expression: the arithmetic.
        recorded: the number as the training computed it.
        roundoff: the rounding of the training's numbers; that of float32 if not said.

    Attributes:
        value: what the arithmetic comes to, in float64.
        tolerance: how far from `recorded` rounding alone may bring it.
        holds: whether value and recorded agree, to that tolerance.
        symbols: the formula with names in the place of numbers.
        latex, mathml: the formula for documents and pages.
        symbols_mathml: the formula for pages, with names in the place of numbers.
        python: the formula as Python code, which ends in `value = ...`.
    """

    name: str
    expression: Expression
    recorded: float
    roundoff: float = 2.0**-24
    #: Shown behind the result: "malignant".
    remark: str = field(default="", compare=False)

    @property
    def value(self) -> float:
        """What the arithmetic comes to, in float64."""
        return self.expression.value

    @property
    def tolerance(self) -> float:
        """How far from the recorded number rounding alone may bring it."""
        error = self.expression.error + 2.0 * abs(float(self.recorded))
        return 2.0 * error * self.roundoff + 1e-37 if math.isfinite(error) else math.inf

    @property
    def holds(self) -> bool:
        """Whether the arithmetic comes to the recorded number."""
        value, recorded = self.value, float(self.recorded)
        if math.isnan(value) or math.isnan(recorded):
            return math.isnan(value) and math.isnan(recorded)
        if math.isinf(value) or math.isinf(recorded):
            return math.isinf(recorded) and value * math.copysign(1.0, recorded) > LARGEST
        if math.isinf(self.tolerance):
            # Too near to rounding for a bound: then at least three digits agree.
            return abs(value - recorded) <= 1e-3 * abs(recorded)
        return abs(value - recorded) <= self.tolerance

    def text(self, terms: int = TERMS, symbols: bool = False) -> str:
        """The formula in plain text, each intermediate result on a line of its own.

        Args:
            terms: how many terms of a long sum are shown; the others are one number.
            symbols: whether to write names in the place of numbers.
        """
        return self._lines(Text(terms, symbols), "\n", result=not symbols)

    def __str__(self) -> str:
        return self.text()

    @property
    def symbols(self) -> str:
        """The formula with names in the place of numbers."""
        return self.text(symbols=True)

    @property
    def latex(self) -> str:
        """The formula in LaTeX, for math mode."""
        lines = self._lines(Latex(TERMS), r" \\ ")
        return rf"\begin{{aligned}} {lines} \end{{aligned}}" if r"\\" in lines else lines

    @property
    def mathml(self) -> str:
        """The formula as a MathML element, as browsers show it.

        What has a name says it: `<mn data-ref="dense/kernel[2,3]">0.31</mn>`.
        """
        return self._mathml(symbols=False)

    @property
    def symbols_mathml(self) -> str:
        """The formula as a MathML element, with names in the place of numbers."""
        return self._mathml(symbols=True)

    def _mathml(self, symbols: bool) -> str:
        left = '<mtd style="text-align:left">'
        lines = self._lines(MathML(TERMS, symbols), f"</mtd></mtr><mtr>{left}", result=not symbols)
        return (
            '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">'
            f'<mtable displaystyle="true"><mtr>{left}{lines}</mtd></mtr></mtable></math>'
        )

    @property
    def python(self) -> str:
        """Python code that ends in `value = ...`."""
        painter = Python(TERMS)
        lines = [
            f"{painter.identifier(let.name)} = {painter.inline(let.meaning)}" for let in lets(self.expression)
        ]
        return "\n".join(["import math", "", *lines, f"value = {painter.inline(self.expression)}"])

    def _lines(self, painter: Painter, separator: str, result: bool = True) -> str:
        lines: list[str] = []
        for let in lets(self.expression):
            lines.append(painter.line(let.name, let.meaning, let.value if result else None))
        last = painter.line(self.name, self.expression, float(self.recorded) if result else None)
        if self.remark and result:
            last = painter.remark(last, self.remark)
        if not self.holds and result:
            last = painter.remark(
                last, f"the formula comes to {self.value:.9g}, which is more than rounding away"
            )
        return separator.join([*lines, last])

    def _repr_html_(self) -> str:
        return self.mathml


# The forms that a formula can be printed in.


class Painter:
    """Writes an expression in one form; each form says how it writes the few kinds of nodes."""

    equals = " = "

    def __init__(self, terms: int = TERMS, symbols: bool = False) -> None:
        self.terms, self.symbols = terms, symbols

    def line(self, name: str, expression: Expression, result: float | None) -> str:
        """One line: name = arithmetic = result."""
        parts = [self.name(name)]
        plain = isinstance(expression, Number)
        if not (plain and result is not None and shown(expression.value) == shown(result)):
            parts.append(self.inline(expression))
        if isinstance(expression, Known):
            parts.append(self.inline(expression.meaning))
        if result is not None:
            parts.append(self.number(result))
        return self.equals.join(parts)

    def inline(self, node: Expression) -> str:
        """An expression, without brackets around it."""
        if isinstance(node, Number | Let):
            return self.name(node.name) if self.symbols and node.name else self.leaf(node)
        if isinstance(node, Rest):
            return self.rest(node)
        if isinstance(node, Sum):
            return self.sum(list(self._signed(node)))
        if isinstance(node, Negative):
            return self.negative(self.inner(node.of, 2))
        if isinstance(node, Product):
            return self.product([self.inner(each, 2) for each in node.factors])
        if isinstance(node, Quotient):
            return self.quotient(node)
        if isinstance(node, Power):
            return self.power(node)
        if isinstance(node, Function):
            return self.function(node)
        if isinstance(node, Extreme):
            return self.call(node.name, [self.inline(each) for each in node.shortened(self.terms)])
        if isinstance(node, Known):
            return self.known(node)
        if isinstance(node, Rounded):
            return self.inline(node.of)
        assert isinstance(node, Choice)
        return self.choice(node)

    def _signed(self, node: Sum) -> Iterator[tuple[str, str]]:
        for term in node.shortened(self.terms):
            if isinstance(term, Negative):
                yield "-", self.inner(term.of, 2)
            elif isinstance(term, Number | Rest) and term.value < 0 and not (self.symbols and _named(term)):
                yield "-", self.inline(_opposite(term))
            else:
                yield "+", self.inner(term, 2) if isinstance(term, Choice) else self.inline(term)

    def inner(self, node: Expression, level: int) -> str:
        """An expression within another that binds with this level; brackets where they are needed."""
        text = self.inline(node)
        loose = node.level < level and not (self.symbols and _named(node))
        return self.brackets(text) if loose else text

    def leaf(self, node: Number | Let) -> str:
        """A leaf."""
        return self.number(node.value)

    def number(self, value: float) -> str:
        """A number."""
        return shown(value)

    def name(self, name: str) -> str:
        """A name."""
        return name

    def rest(self, node: Rest) -> str:
        """The terms that are not shown."""
        return f"{self.number(node.value)} ({node.count} more)"

    def brackets(self, text: str) -> str:
        """Something in brackets."""
        return f"({text})"

    def sum(self, terms: list[tuple[str, str]]) -> str:
        """Terms with their signs."""
        first = terms[0][1] if terms[0][0] == "+" else self.negative(terms[0][1])
        return first + "".join(f" {sign} {text}" for sign, text in terms[1:])

    def negative(self, text: str) -> str:
        """The negative of something."""
        return f"-{text}"

    def product(self, factors: list[str]) -> str:
        """Factors."""
        return "*".join(factors)

    def quotient(self, node: Quotient) -> str:
        """A quotient."""
        return f"{self.inner(node.above, 2)}/{self.inner(node.below, 3)}"

    def power(self, node: Power) -> str:
        """A power."""
        return f"{self.inner(node.base, 4)}^{self.inner(node.exponent, 4)}"

    def function(self, node: Function) -> str:
        """A function of one thing."""
        return self.call(node.name, [self.inline(node.argument)])

    def call(self, name: str, arguments: list[str]) -> str:
        """A function of several things."""
        return f"{name}({', '.join(arguments)})"

    def known(self, node: Known) -> str:
        """A function with a name of its own."""
        return self.call(node.name, [self.inline(each) for each in node.arguments])

    def choice(self, node: Choice) -> str:
        """What was chosen, and why."""
        taken = node.yes if node.chosen else node.no
        truth = node.comparison if node.chosen else _OPPOSITES[node.comparison]
        return f"{self.inner(taken, 2)} [as {self.inline(node.left)} {truth} {self.inline(node.right)}]"

    def remark(self, line: str, text: str) -> str:
        """A line with a remark behind it."""
        return f"{line}  ({text})"


_OPPOSITES = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!="}


def _named(node: Expression) -> bool:
    return bool(isinstance(node, Number | Let) and node.name)


def _opposite(node: Number | Rest) -> Expression:
    if isinstance(node, Rest):
        return Rest(-node.value, node.count, node.error)
    return Number(-node.value, node.name)


class Text(Painter):
    """Plain text."""

    def choice(self, node: Choice) -> str:
        """With names both branches, with numbers the one that was taken."""
        if not self.symbols:
            return super().choice(node)
        condition = f"{self.inline(node.left)} {node.comparison} {self.inline(node.right)}"
        return f"({self.inline(node.yes)} if {condition} else {self.inline(node.no)})"


class Python(Painter):
    """Python code, in full digits."""

    def leaf(self, node: Number | Let) -> str:
        """A number in full digits; an intermediate result by its name."""
        return self.identifier(node.name) if isinstance(node, Let) else self.number(node.value)

    def inner(self, node: Expression, level: int) -> str:
        """Names need no brackets."""
        return self.inline(node) if isinstance(node, Let) else super().inner(node, level)

    def number(self, value: float) -> str:
        """All digits."""
        value = value or 0.0  # not -0.0, whose sign would bind loosely
        return repr(float(value)) if math.isfinite(value) else f"math.{value!r}".replace("math.-", "-math.")

    def identifier(self, name: str) -> str:
        """A name that Python takes."""
        text = re.sub(r"\W+", "_", name).strip("_")
        return text if text and not text[0].isdigit() and text != "value" else f"n_{text}"

    def rest(self, node: Rest) -> str:
        """One number."""
        return self.number(node.value)

    def power(self, node: Power) -> str:
        """A power."""
        return f"{self.inner(node.base, 4)} ** {self.inner(node.exponent, 4)}"

    def function(self, node: Function) -> str:
        """A function of the module math, mostly."""
        inside = self.inline(node.argument)
        return f"({_IN_PYTHON.get(node.name, f'math.{node.name}({{}})').format(inside)})"

    def known(self, node: Known) -> str:
        """What it means."""
        return self.brackets(self.inline(node.meaning))

    def choice(self, node: Choice) -> str:
        """A conditional expression."""
        condition = f"{self.inline(node.left)} {node.comparison} {self.inline(node.right)}"
        return f"({self.inline(node.yes)} if {condition} else {self.inline(node.no)})"


def _parted(name: str) -> tuple[str, str, str]:
    """A name, what stands in its square brackets, and what comes after them.

    >>> _parted("dense/kernel[0,1] before")
    ('dense/kernel', '0,1', ' before')
    >>> _parted("learning rate")
    ('learning rate', '', '')
    """
    found = re.fullmatch(r"(.*?)\[([^\]]*)\]([^\[\]]*)", name, re.DOTALL)
    return (found[1], found[2], found[3]) if found else (name, "", "")


class Latex(Painter):
    """LaTeX, for math mode."""

    equals = " = "

    def line(self, name: str, expression: Expression, result: float | None) -> str:
        """One line, aligned at its first equals sign."""
        return super().line(name, expression, result).replace(" = ", " &= ", 1)

    def number(self, value: float) -> str:
        """A number; powers of ten as such."""
        text = shown(value)
        if "e" in text:
            digits, power = text.split("e")
            return rf"{digits} \cdot 10^{{{int(power)}}}"
        return {"nan": r"\mathrm{NaN}", "inf": r"\infty", "-inf": r"-\infty"}.get(text, text)

    def name(self, name: str) -> str:
        """A name; what is in square brackets goes below."""
        stem, below, end = _parted(name)
        stem, end = (re.sub(r"([\\_#$%&{}~^])", r"\\\1", part).replace(" ", "~") for part in (stem, end))
        below = f"_{{{below}}}" if below else ""
        return rf"\mathrm{{{stem}}}{below}" + (rf"\mathrm{{{end}}}" if end else "")

    def rest(self, node: Rest) -> str:
        """One number, and how many it stands for."""
        return rf"\underbrace{{{self.number(node.value)}}}_{{{node.count}\ \mathrm{{more}}}}"

    def brackets(self, text: str) -> str:
        """Brackets that grow."""
        return rf"\left({text}\right)"

    def product(self, factors: list[str]) -> str:
        """Factors with a dot between them."""
        return r" \cdot ".join(factors)

    def quotient(self, node: Quotient) -> str:
        """A fraction."""
        return rf"\frac{{{self.inline(node.above)}}}{{{self.inline(node.below)}}}"

    def power(self, node: Power) -> str:
        """A power."""
        return f"{{{self.inner(node.base, 4)}}}^{{{self.inline(node.exponent)}}}"

    def function(self, node: Function) -> str:
        """A function; roots and absolute values have signs of their own."""
        inside = self.inline(node.argument)
        if node.name == "sqrt":
            return rf"\sqrt{{{inside}}}"
        if node.name == "abs":
            return rf"\left|{inside}\right|"
        return self.call(node.name, [inside])

    def call(self, name: str, arguments: list[str]) -> str:
        """A function of several things."""
        known = {"exp", "log", "tanh", "cosh", "max", "min"}
        head = rf"\{name}" if name in known else rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}"
        return rf"{head}\left({', '.join(arguments)}\right)"

    def choice(self, node: Choice) -> str:
        """Both branches."""
        sign = {">=": r"\ge", "<=": r"\le", "==": "="}.get(node.comparison, node.comparison)
        condition = f"{self.inline(node.left)} {sign} {self.inline(node.right)}"
        return (
            rf"\begin{{cases}} {self.inline(node.yes)} & \mathrm{{if}}\ {condition} \\ "
            rf"{self.inline(node.no)} & \mathrm{{else}} \end{{cases}}"
        )

    def remark(self, line: str, text: str) -> str:
        """A line with a remark behind it."""
        clean = re.sub(r"([\\_#$%&{}~^])", r"\\\1", text)
        return rf"{line} \quad \text{{({clean})}}"


class MathML(Painter):
    """MathML, as browsers show it. What has a name carries it as `data-ref`, so that a page can follow it.

    >>> MathML().inline(Number(-0.5, "dense/kernel[0,1]"))
    '<mrow data-ref="dense/kernel[0,1]"><mo>-</mo><mn>0.5</mn></mrow>'
    >>> MathML(symbols=True).inline(Number(-0.5, "<b>"))
    '<mtext data-ref="&lt;b&gt;">&lt;b&gt;</mtext>'
    """

    equals = "<mo>=</mo>"

    def leaf(self, node: Number | Let) -> str:
        """A number, with the name of its place."""
        return self._number(node.value, _reference(node.name))

    def number(self, value: float) -> str:
        """A number; powers of ten as such."""
        return self._number(value, "")

    def _number(self, value: float, reference: str) -> str:
        text = shown(value)
        if text.startswith("-"):
            return f"<mrow{reference}><mo>-</mo>{self.number(-value)}</mrow>"
        if "e" in text:
            digits, power = text.split("e")
            power = f"<msup><mn>10</mn><mn>{int(power)}</mn></msup>"
            return f"<mrow{reference}><mn>{digits}</mn><mo>&#xB7;</mo>{power}</mrow>"
        return f"<mn{reference}>{text}</mn>"

    def name(self, name: str) -> str:
        """A name; what is in square brackets goes below."""
        stem, below, end = map(html.escape, _parted(name))
        end, reference = end.replace(" ", "&#xA0;"), _reference(name)
        if not below and not end:
            return f"<mtext{reference}>{stem}</mtext>"
        found = f"<mtext>{stem}</mtext>"
        if below:
            found = f"<msub{'' if end else reference}>{found}<mtext>{below}</mtext></msub>"
        return f"<mrow{reference}>{found}<mtext>{end}</mtext></mrow>" if end else found

    def rest(self, node: Rest) -> str:
        """One number, and how many it stands for."""
        return f"<munder>{self.number(node.value)}<mtext>{node.count} more</mtext></munder>"

    def brackets(self, text: str) -> str:
        """Brackets that grow."""
        return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>"

    def sum(self, terms: list[tuple[str, str]]) -> str:
        """Terms with their signs."""
        first = terms[0][1] if terms[0][0] == "+" else self.negative(terms[0][1])
        later = "".join(f"<mo>{sign}</mo>{text}" for sign, text in terms[1:])
        return f"<mrow>{first}{later}</mrow>"

    def negative(self, text: str) -> str:
        """The negative of something."""
        return f"<mrow><mo>-</mo>{text}</mrow>"

    def product(self, factors: list[str]) -> str:
        """Factors with a dot between them."""
        return f"<mrow>{'<mo>&#xB7;</mo>'.join(factors)}</mrow>"

    def quotient(self, node: Quotient) -> str:
        """A fraction."""
        return f"<mfrac><mrow>{self.inline(node.above)}</mrow><mrow>{self.inline(node.below)}</mrow></mfrac>"

    def power(self, node: Power) -> str:
        """A power."""
        return (
            f"<msup><mrow>{self.inner(node.base, 4)}</mrow><mrow>{self.inline(node.exponent)}</mrow></msup>"
        )

    def function(self, node: Function) -> str:
        """A function; roots and absolute values have signs of their own."""
        inside = self.inline(node.argument)
        if node.name == "sqrt":
            return f"<msqrt>{inside}</msqrt>"
        if node.name == "abs":
            return f"<mrow><mo>|</mo>{inside}<mo>|</mo></mrow>"
        return self.call(node.name, [inside])

    def call(self, name: str, arguments: list[str]) -> str:
        """A function of several things."""
        inside = "<mo>,</mo>".join(arguments)
        return f"<mrow><mi>{html.escape(name)}</mi><mo>(</mo>{inside}<mo>)</mo></mrow>"

    def choice(self, node: Choice) -> str:
        """Both branches."""
        rows = (
            (node.yes, f"{self.inline(node.left)}<mo>{html.escape(node.comparison)}</mo>"),
            (node.no, ""),
        )
        told = [
            f"<mtr><mtd>{self.inline(branch)}</mtd><mtd>"
            + (f"<mtext>if </mtext>{when}{self.inline(node.right)}" if when else "<mtext>else</mtext>")
            + "</mtd></mtr>"
            for branch, when in rows
        ]
        return f"<mrow><mo>{{</mo><mtable>{''.join(told)}</mtable></mrow>"

    def remark(self, line: str, text: str) -> str:
        """A line with a remark behind it."""
        return f"{line}<mspace width='1em'/><mtext>({html.escape(text)})</mtext>"


def _reference(name: str) -> str:
    """The attribute that says whose number it is."""
    return f' data-ref="{html.escape(name)}"' if name else ""


# What states a formula, and what it is given.


def stated_by(thing: Any, statement: str, *codes: str) -> Callable[..., Any] | None:
    """A method that states the arithmetic of others, unless a subclass has overridden only one of these.

    >>> class Doubles:
    ...     def call(self, x): return 2 * x
    ...     def formula(self, x): return 2 * Number(x, "x")
    >>> class Triples(Doubles):
    ...     def call(self, x): return 3 * x
    >>> stated_by(Doubles(), "formula", "call") is None, stated_by(Triples(), "formula", "call") is None
    (False, True)
    """
    for kind in type(thing).__mro__:
        if statement in vars(kind):
            return getattr(thing, statement)
        if any(code in vars(kind) for code in codes):
            return None
    return None


_statements: dict[Any, Callable[..., Expression]] = {}
_slopes: dict[Any, Callable[..., Expression]] = {}


def states(
    statement: Callable[..., Expression], slope: Callable[..., Expression] | None = None
) -> Callable[[Any], Any]:
    """Say the arithmetic of the function that follows, in expressions.

    An activation's takes an expression z (or, if it works on whole rows, all z of the row and which one
    is meant: see `activations.OfRow`); a loss's takes the targets and the outputs of one example. Both
    also take the options of the function itself. An activation of your own may say it, too.

    Derivatives are found from the statement. Where a textbook writes one in the outputs, as a * (1 - a)
    for the sigmoid, `slope` says so: it takes z and a (or all a of the row, and the two that are meant).

    >>> @states(lambda z: z / (1 + abs(z)))
    ... def soft(z):
    ...     return z / (1 + np.abs(z))
    >>> statement_of(soft)(Number(3.0)).value
    0.75
    """

    def enter(function: Any) -> Any:
        _statements[function] = statement
        if slope is not None:
            _slopes[function] = slope
        return function

    return enter


def slope_of(function: Any) -> Callable[..., Expression] | None:
    """The derivative that was stated for a function in words of its own, if it was."""
    try:
        return _slopes.get(function)
    except TypeError:
        return None


def statement_of(function: Any) -> Callable[..., Expression] | None:
    """What was stated for a function, if anything was."""
    try:
        return _statements.get(function)
    except TypeError:  # not hashable, and so nothing was stated for it
        return None


@dataclass(frozen=True)
class Unit:
    """One number of a layer, asked for its arithmetic, and all that it may be made of.

    Args:
        layer: the layer's name in the pass: "dense_1".
        what: "z", or "output".
        index: which number of the row: (3,), or (1, 3) where rows have two axes.
        example: which row of the batch.
        arrays: "input", "output", and what the layer handed out ("z", "kept", "mean", ...).
        weights: the weights before the step, by their paths.
        training: whether the layer was training.
        columns: the names of the inputs, if they have names.
        slopes: the gradients of the cost by "z" and "output", where they are known.
        among_others: whether numbers of other examples come beside these, so that names say whose.
        of_loss: whether slopes are those of the example's own loss, and not of the cost.
        times: which time of a sequence it is, where the layer was called at each (see `at`).
    """

    layer: str
    what: str
    index: tuple[int, ...]
    example: int
    arrays: Mapping[str, NumPy]
    weights: Mapping[str, NumPy]
    training: bool = False
    columns: Sequence[str] = ()
    slopes: Mapping[str, NumPy] = field(default_factory=dict[str, NumPy])
    among_others: bool = False
    of_loss: bool = True
    times: tuple[int, ...] = ()

    def at(self, time: int, over: Collection[str] | None = None, shared: Collection[str] = ()) -> Unit:
        """The same number, seen at one time of a sequence: as if there was no other time.

        Args:
            time: which time; `index` loses its first entry, which is the time.
            over: the arrays that have an axis of times, behind that of the rows; None: all of them.
            shared: those of them that are for the whole batch, and have times first.
        """

        def then(arrays: Mapping[str, NumPy]) -> dict[str, NumPy]:
            return {
                name: array
                if over is not None and name not in over
                else array[time]
                if name in shared
                else array[:, time]
                for name, array in arrays.items()
            }

        arrays, slopes = then(self.arrays), then(self.slopes)
        return replace(self, arrays=arrays, slopes=slopes, index=self.index[1:], times=(*self.times, time))

    def number(self, what: str, *index: int) -> Number:
        """A number of this example: `unit.number("input", 2)`."""
        value = self.arrays[what][(self.example, *index)]
        among = (*((self.example,) if self.among_others else ()), *self.times)
        if what == "input" and self.columns and len(index) == 1:
            return Number(value, indexed(self.columns[index[0]], among))
        return Number(value, indexed(f"{self.layer}.{what}", (*among, *index)))

    def slope(self, what: str, value: Any, *index: int) -> Number:
        """The gradient, of this example's loss or of the cost, by one of its numbers: `slope("z", d, 3)`."""
        index = (*self.times, *index)
        if not self.of_loss:
            return Number(value, indexed(f"{self.layer}.d_{what}", (self.example, *index)))
        return Number(value, f"dloss[{self.example}]/d{indexed(what, index)}")

    def gradient(self, what: str, *index: int) -> Number:
        """The gradient of the cost by a number of this example: `unit.gradient("z", 3)`."""
        value = self.slopes[what][(self.example, *index)]
        return Number(value, indexed(f"{self.layer}.d_{what}", (*self.times, *index)))

    def row(self, what: str) -> NumPy:
        """All numbers of this example: `unit.row("input")`."""
        return self.arrays[what][self.example]

    def shared(self, what: str, *index: int) -> Number:
        """A number that the layer handed out for the whole batch: `unit.shared("mean", 2)`."""
        return Number(self.arrays[what][index], indexed(f"{self.layer}.{what}", (*self.times, *index)))

    def weight(self, variable: Any, *index: int) -> Number:
        """A weight before the step: `unit.weight(self.kernel, 2, 3)`."""
        return Number(self.weights[variable.path][index], indexed(variable.path, index))


@dataclass(frozen=True)
class Moved:
    """One weight that an optimizer moves, and all that its rule may be made of.

    Args:
        path, index: which weight.
        weight: the weight, after weight decay.
        gradient: its gradient, after clipping.
        learning_rate: the learning rate of this step.
        t: the number of the step, counted from 1.
        slots: what the optimizer remembered before the step, by name.
    """

    path: str
    index: tuple[int, ...]
    weight: Expression
    gradient: Expression
    learning_rate: Expression
    t: Expression
    slots: Mapping[str, Expression]

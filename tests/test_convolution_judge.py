"""Convolutions, pooling and reshaping, judged by real Keras on its JAX backend."""

import pytest

import pellucid
from convolution_judge_cases import cases
from judging import answers, compare

pytestmark = pytest.mark.slow

#: First weights are the same bits; shapes are the same; the rest differs by rounding.
CLOSE = {"first": 0, "shape": 0, "history": 1e-5, "outputs": 1e-5}
WEIGHTS = 1e-4


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("convolution_judge_cases.py", tmp_path_factory.mktemp("judge"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_convolutions_pooling_and_reshaping_give_the_numbers_of_keras(found, case):
    ours, theirs = found["pellucid"][case], found["keras"][case]
    assert list(ours.pop("names", ())) == list(theirs.pop("names", ()))
    compare(ours, theirs, CLOSE, WEIGHTS)

"""Real Keras, on its JAX backend, as the judge of merging, attention, noise and preprocessing."""

import pytest

import pellucid
from judging import answers, compare
from merging_judge_cases import cases

pytestmark = pytest.mark.slow

CLOSE = {"first": 0.0, "loss": 1e-5, "predict": 2e-5, "weights": 2e-5, "half": 1e-3}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("merging_judge_cases.py", tmp_path_factory.mktemp("judge"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_the_same_code_gives_the_numbers_of_keras(found, case):
    compare(found["pellucid"][case], found["keras"][case], CLOSE, 2e-6)

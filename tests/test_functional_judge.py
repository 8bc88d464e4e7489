"""Real Keras as the judge of functional and subclassed models: the same seed, the same numbers."""

import pytest

import pellucid
from functional_judge_cases import cases
from judging import answers, compare

pytestmark = pytest.mark.slow

CLOSE = {"first": 0, "history": 1e-5, "evaluate": 1e-5, "listed": 1e-5}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("functional_judge_cases.py", tmp_path_factory.mktemp("judge"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_the_same_model_gives_the_numbers_of_keras(found, case):
    compare(found["pellucid"][case], found["keras"][case], CLOSE, 1e-4)

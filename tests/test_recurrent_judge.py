"""Real Keras, on its JAX backend, as the judge of recurrent layers, wrappers, embedding and masking.

Both libraries run recurrent_judge_cases.py; the weights that a seed gives are the same bit by bit.
"""

import pytest

import pellucid
from judging import answers, compare
from recurrent_judge_cases import cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("recurrent_judge_cases.py", tmp_path_factory.mktemp("judge"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_the_same_code_gives_the_numbers_of_keras(found, case):
    ours, theirs = found["pellucid"][case], found["keras"][case]
    compare(ours, theirs, {"first": 0, "out": 1e-5, "history": 1e-4}, 1e-4)

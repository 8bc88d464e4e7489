"""Real Keras, on its JAX backend, as the judge: the same code gives the same numbers.

Both libraries run keras_judge_cases.py; here their arrays are compared, after several epochs with
partial last batches.
"""

import subprocess

import pytest

import pellucid
from judging import JUDGE, answers, compare
from keras_judge_cases import cases

pytestmark = pytest.mark.slow

#: Where rounding is all that differs. Relative to 1 for what is smaller than 1.
CLOSE = {"first": 1e-7, "history": 1e-5, "evaluate": 1e-5, "logs": 1e-5, "train": 1e-5, "test": 1e-5}
WEIGHTS = 1e-4


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("keras_judge_cases.py", tmp_path_factory.mktemp("judge"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_the_same_code_gives_the_numbers_of_keras(found, case):
    compare(found["pellucid"][case], found["keras"][case], CLOSE, WEIGHTS)


def test_the_judge_is_the_keras_that_we_follow():
    ask = "import importlib.metadata; print(importlib.metadata.version('keras'))"
    assert subprocess.check_output([str(JUDGE), "-c", ask], text=True).strip() == "3.15.1"

"""Every optimizer, and losses and metrics beside the usual ones, with real Keras as the judge."""

import pytest

import pellucid
from judging import answers, compare
from optimizers_judge_cases import cases

pytestmark = pytest.mark.slow

#: Where rounding is all that differs. Relative to 1 for what is smaller than 1.
CLOSE = {"history": 2e-5, "state": 2e-4}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return answers("optimizers_judge_cases.py", tmp_path_factory.mktemp("optimizers"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_training_goes_where_that_of_keras_goes(found, case):
    compare(found["pellucid"][case], found["keras"][case], CLOSE, 1e-4)

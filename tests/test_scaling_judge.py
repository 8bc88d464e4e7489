"""The scale of the cost, for training in float16, with real Keras as the judge."""

import re

import numpy as np
import pytest

import pellucid
from judging import answers, compare
from scaling_judge_cases import EXACT, cases

pytestmark = pytest.mark.slow

#: Sums in float16 are rounded in other orders.
CLOSE = {"history": 2e-4, "weights": 5e-4, "state": 1e-3, **dict.fromkeys(EXACT, 0)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    return answers("scaling_judge_cases.py", tmp_path_factory.mktemp("scaling"))


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_training_in_float16_goes_where_that_of_keras_goes(found, case):
    ours, theirs = found["pellucid"][case], found["keras"][case]
    # Of each weight, the path is written with or without the model's name.
    names = (each.pop("state names") for each in (ours, theirs))
    assert len({tuple(re.sub(r"^sequential(_\d+)?_", "", name) for name in listed) for listed in names}) == 1
    compare(ours, theirs, CLOSE, 0)


def test_the_cases_are_about_what_they_say(found):
    known = found["keras"]
    steps = 20
    assert known["by compile"]["scale"] == 2.0**15
    assert known["by compile"]["iterations"] == steps
    assert 0 < known["too large at the start"]["iterations"] < 2 * steps - 20
    assert known["too large all the time"]["iterations"] == 0
    assert known["too large all the time"]["scale"] == 2.0**90
    assert known["it grows"]["scale"] == 8.0 * 2 ** (steps // 3)
    assert known["it grows"]["counter"] == steps % 3
    again = known["it grows until it is too large, again and again"]
    assert again["iterations"] < 30
    assert np.isfinite(again["history/loss"]).all()

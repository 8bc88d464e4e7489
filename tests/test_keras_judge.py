"""Real Keras, on its JAX backend, as the judge: the same code gives the same numbers.

Both libraries run keras_judge_cases.py, each in a process of its own; here their arrays are
compared, after several epochs with partial last batches. PELLUCID_JUDGE names another interpreter
to run Keras with.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import pellucid
from keras_judge_cases import cases

HERE = pathlib.Path(__file__).parent
SCRIPT = HERE / "keras_judge_cases.py"
JUDGE = pathlib.Path(os.environ.get("PELLUCID_JUDGE", sys.executable))

pytestmark = pytest.mark.slow

#: Where rounding is all that differs. Relative to 1 for what is smaller than 1.
CLOSE = {"first": 1e-7, "history": 1e-5, "evaluate": 1e-5, "logs": 1e-5, "train": 1e-5, "test": 1e-5}
WEIGHTS = 1e-4


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What both libraries give, by library: case: name: array."""
    if not JUDGE.exists():
        pytest.fail(f"the judge is missing: {JUDGE} does not exist. `make test` sets it up.")
    folder = tmp_path_factory.mktemp("judge")
    environment = {**os.environ, "KERAS_HOME": str(folder / "keras")}  # Keras writes settings there
    running = {}
    for library, python in (("keras", str(JUDGE)), ("pellucid", sys.executable)):
        command = [python, str(SCRIPT), library, str(folder / f"{library}.npz")]
        running[library] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    found = {}
    for library, process in running.items():
        _, trouble = process.communicate()
        assert process.returncode == 0, f"{library}:\n{trouble[-3000:]}"
        found[library] = {}
        with np.load(folder / f"{library}.npz") as arrays:
            for key in arrays.files:
                case, name = key.split("/", 1)
                found[library].setdefault(case, {})[name] = arrays[key]
    return found


@pytest.mark.parametrize("case", list(cases(pellucid)))
def test_the_same_code_gives_the_numbers_of_keras(answers, case):
    ours, theirs = answers["pellucid"][case], answers["keras"][case]
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        came = ours[name]
        assert came.shape == expected.shape, name
        difference = np.max(np.abs(came - expected) / np.maximum(1, np.abs(expected)), initial=0)
        assert difference <= CLOSE.get(name.split("/", maxsplit=1)[0], WEIGHTS), (name, came, expected)


def test_the_judge_is_the_keras_that_we_follow():
    if not JUDGE.exists():
        pytest.fail(f"the judge is missing: {JUDGE} does not exist. `make test` sets it up.")
    ask = "import importlib.metadata; print(importlib.metadata.version('keras'))"
    assert subprocess.check_output([str(JUDGE), "-c", ask], text=True).strip() == "3.15.1"

"""Whole scripts, unchanged: real Keras on JAX runs them as they stand, and so does `pellucid run`.

Each prints its results as JSON on its last line. The same seed gives the same results.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from judging import JUDGE, surroundings

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
#: How far results may differ, relative to 1 for what is smaller than 1.
CLOSE = 1e-5
#: For the judge: the name tensorflow, and of its functions what the scripts use, from Keras itself.
TENSORFLOW = """
import sys

import jax
import keras
import numpy
from keras import ops
from keras.src.utils.module_utils import tensorflow

tensorflow._available = False  # what is found here is not TensorFlow, and no business of Keras's own
type(jax.device_put(1.0)).numpy = lambda array: numpy.array(array)[()]
sys.modules["tensorflow.keras"] = keras
__path__, __version__, float32, nn = [], "2.20.0", "float32", ops
argmax, matmul, constant = ops.argmax, ops.matmul, ops.convert_to_tensor


def executing_eagerly():
    return True


class random:
    set_seed = staticmethod(keras.utils.set_random_seed)


class autograph:
    set_verbosity = staticmethod(print)
"""

pytestmark = pytest.mark.slow


def start(folder, *command, **environment):
    """Begin to run a script."""
    given = {name: str(value) for name, value in environment.items()}
    environment = {**surroundings(folder), "KERAS_BACKEND": "jax", **given}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, command)), env=environment, **streams)


def results(process):
    """What a script printed last, and what was written to stderr."""
    printed, told = process.communicate()
    assert process.returncode == 0, told[-3000:]
    return json.loads(printed.splitlines()[-1]), told


def same(ours, theirs, where=""):
    """The same structure, and numbers that differ by rounding only."""
    assert type(ours) is type(theirs), where
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for name, expected in theirs.items():
            same(ours[name], expected, f"{where}/{name}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for place, (came, expected) in enumerate(zip(ours, theirs, strict=True)):
            same(came, expected, f"{where}/{place}")
    elif isinstance(theirs, float):
        assert abs(ours - theirs) <= CLOSE * max(1, abs(theirs)), (where, ours, theirs)
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_unchanged_script_gives_the_results_that_it_has_with_keras(script, tmp_path):
    if "tensorflow" in script.read_text():
        (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    theirs = start(tmp_path, JUDGE, script, PYTHONPATH=tmp_path)
    process = start(tmp_path, sys.executable, "-m", "pellucid", "run", "--open", tmp_path / "kept", script)
    judged, _ = results(theirs)
    ours, told = results(process)
    same(ours, judged)
    # Every training of the script can be opened afterwards, in another process.
    assert "not kept" not in told
    if "takes what the script defines" in told:
        return
    shown = re.search(r"pellucid show (\S+) --step (\d+)", told)
    ran = start(tmp_path, sys.executable, "-m", "pellucid", "show", shown[1], "--step", shown[2])
    printed, told = ran.communicate()
    assert ran.returncode == 0, told
    assert printed.startswith(f"Step {shown[2]}:")


TEXTS = """
import importlib, json, sys
text = importlib.import_module(sys.argv[1])
said = ["The cat sat on the mat.", "A dog, a cat; and a Mat!", "the end", ""]
found = {"words": text.text_to_word_sequence("Is it, or not?"), "hash": text.hashing_trick(said[1], 9, "md5")}
for name, options in {
    "plain": {}, "few": {"num_words": 5}, "oov": {"oov_token": "?"},
    "few, oov": {"num_words": 5, "oov_token": "?"},
    "letters": {"char_level": True}, "cases": {"lower": False}, "own": {"analyzer": str.split},
}.items():
    tokenizer = text.Tokenizer(**options)
    tokenizer.fit_on_texts(said[:2])
    tokenizer.fit_on_texts([*said[2:], ["The", "dog"]])
    sequences = tokenizer.texts_to_sequences([*said, "the unknown dog", ["A", "cat"]])
    again = text.tokenizer_from_json(tokenizer.to_json())
    found[name] = [
        sequences, tokenizer.sequences_to_texts([*sequences, [99]]), again.texts_to_sequences(said[:1]),
        *(tokenizer.texts_to_matrix(said, mode).tolist() for mode in ("binary", "count", "freq", "tfidf")),
        tokenizer.word_index, dict(tokenizer.word_counts), sorted(tokenizer.word_docs.items()),
        tokenizer.document_count, sorted(again.index_docs.items()), again.index_word[2],
    ]
print(json.dumps(found))
"""


def test_a_tokenizer_numbers_words_as_that_of_keras(tmp_path):
    judged, _ = results(start(tmp_path, JUDGE, "-c", TEXTS, "keras.src.legacy.preprocessing.text"))
    ours, _ = results(start(tmp_path, sys.executable, "-c", TEXTS, "pellucid.standing_in.text"))
    same(ours, judged)

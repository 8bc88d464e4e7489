"""Pellucid in the place of Keras and TensorFlow: imports, TensorFlow's names, running a script, notebooks."""

import doctest
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest

import pellucid
import tensorflow_cases
from pellucid import standing_in
from pellucid.errors import MissingModuleError, MissingNameError, PellucidError, StateError
from pellucid.standing_in.dataset import Dataset
from pellucid.standing_in.finder import ROOTS


@pytest.fixture
def stood_in(monkeypatch):
    """Imports of Keras and TensorFlow give Pellucid, within a test."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        monkeypatch.delitem(sys.modules, name)
    standing_in.install()
    yield
    standing_in.uninstall()


def run(code):
    """The names that some lines leave behind."""
    names = {"__name__": "some_script"}
    exec(compile(textwrap.dedent(code), "some_script.py", "exec"), names)
    return names


# Imports.


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import keras", "keras.layers.Dense"),
        ("import keras.layers", "keras.layers.Dense"),
        ("import keras as k", "k.layers.Dense"),
        ("from keras import layers", "layers.Dense"),
        ("from keras import layers as L", "L.Dense"),
        ("from keras.layers import Dense", "Dense"),
        ("from keras.api.layers import Dense", "Dense"),
        ("import tf_keras", "tf_keras.layers.Dense"),
        ("import tensorflow as tf", "tf.keras.layers.Dense"),
        ("import tensorflow.keras as keras", "keras.layers.Dense"),
        ("import tensorflow.keras.layers as layers", "layers.Dense"),
        ("from tensorflow import keras", "keras.layers.Dense"),
        ("from tensorflow.keras import layers", "layers.Dense"),
        ("from tensorflow.keras.layers import Dense", "Dense"),
        ("import importlib; keras = importlib.import_module('keras')", "keras.layers.Dense"),
    ],
)
def test_every_way_to_import_gives_the_same_layer(stood_in, line, what):
    assert eval(what, run(line)) is pellucid.layers.Dense


def test_namespaces_within_namespaces_and_everything_in_one():
    found = run_apart("""
        import keras.optimizers.schedules
        from keras.optimizers.schedules import ExponentialDecay
        from tensorflow.keras.optimizers import schedules
        from keras.layers import *
        assert keras.optimizers.schedules.ExponentialDecay is schedules.ExponentialDecay is ExponentialDecay
        assert issubclass(Dense, Layer) and "layers" in dir(keras) and "Dense" in dir(keras.layers)
        print(keras.__name__, keras.layers.__name__, keras.__version__)
    """)
    assert found == f"keras keras.layers 3.15.1+pellucid{pellucid.__version__}\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import keras.src", "keras.layers.Dense for keras.src.layers.Dense"),
        ("from keras.src.layers import Dense", "keras.layers.Dense for keras.src.layers.Dense"),
        ("from keras import src", "keras.layers.Dense for keras.src.layers.Dense"),
        ("from tensorflow.python.keras import layers", "import from keras"),
        ("from keras.layers import Dens", 'did you mean "Dense"'),
        ("import keras.colours", "known are"),
        ("from tensorflow import io", "keras.ops has more functions"),
    ],
)
def test_an_import_of_what_is_not_there_says_so_and_where(stood_in, line, says):
    with pytest.raises(MissingModuleError) as raised:
        run(f"\n\n{line}")
    assert isinstance(raised.value, ImportError | PellucidError)
    assert says in str(raised.value)
    assert "asked for in some_script.py, line 3" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tf.GradientTape", "model.gradients(x, y)"),
        ("tf.reduce_men", 'did you mean "reduce_mean"'),
        ("tf.nn.rel", 'did you mean "relu"'),
        ("tf.keras.losses.MeanSquaredErrors", 'did you mean "MeanSquaredError"'),
        ("tf.compat.v1.Session", "TensorFlow 1"),
    ],
)
def test_a_name_that_is_not_there_says_so_and_where(stood_in, name, says):
    with pytest.raises(MissingNameError) as raised:
        run(f"import tensorflow as tf\n{name}")
    assert isinstance(raised.value, AttributeError | PellucidError)
    assert says in str(raised.value)
    assert "asked for in some_script.py, line 2" in str(raised.value)


def test_code_can_ask_whether_something_is_there(stood_in):
    found = run("""
        import keras, importlib.util
        tests = [hasattr(keras, "layers"), hasattr(keras, "colours"), getattr(keras.layers, "Dens", None)]
        try:
            from keras.layers import Dens
        except ImportError:
            tests.append("no")
        tests.append(importlib.util.find_spec("tensorflow.keras") is not None)
    """)
    assert found["tests"] == [True, False, None, "no", True]


def test_afterwards_everything_is_as_before(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        monkeypatch.delitem(sys.modules, name)
    path, seed, before = list(sys.meta_path), np.random.seed, set(sys.modules)
    array = pellucid.ops.ones(2)
    standing_in.install()
    standing_in.install()
    run("import keras, tensorflow.keras.layers")
    assert array.numpy().tolist() == [1.0, 1.0]
    standing_in.uninstall()
    standing_in.uninstall()
    assert (sys.meta_path, np.random.seed) == (path, seed)
    assert not hasattr(array, "numpy")
    assert not [name for name in set(sys.modules) - before if name.partition(".")[0] in ROOTS]
    assert not standing_in.installed()


def test_it_refuses_to_mix_with_what_was_imported_already(monkeypatch):
    there = types.ModuleType("keras")
    there.__version__ = "3.15.1"
    monkeypatch.setitem(sys.modules, "keras", there)
    with pytest.raises(StateError, match="keras was imported already"):
        standing_in.install()
    assert not standing_in.installed()
    assert sys.modules["keras"] is there


# TensorFlow's names.

ANSWERS = json.loads(tensorflow_cases.ANSWERS.read_text())


@pytest.fixture(scope="module")
def given():
    """What the cases give with Pellucid."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        patch.delitem(sys.modules, name)
    standing_in.install()
    tensorflow = __import__("tensorflow")
    found = {
        name: tensorflow_cases.plain(value) for name, value in tensorflow_cases.cases(tensorflow).items()
    }
    standing_in.uninstall()
    patch.undo()
    return found


def close(came, expected):
    if isinstance(expected, list):
        return len(came) == len(expected) and all(map(close, came, expected))
    if isinstance(expected, float):
        return came == pytest.approx(expected, rel=2e-6, abs=2e-6, nan_ok=True)
    return came == expected and type(came) is type(expected)


@pytest.mark.parametrize("case", list(ANSWERS))
def test_a_function_of_tensorflow_gives_what_tensorflow_gives(given, case):
    assert close(given[case], ANSWERS[case]), (given[case], ANSWERS[case])


def test_every_name_of_tensorflow_is_a_name_of_it(stood_in):
    tensorflow = run("import tensorflow")["tensorflow"]
    for name in dir(tensorflow):
        assert hasattr(tensorflow, name), name
    assert tensorflow.__version__.split(".")[0] == "2"
    assert tensorflow.config.list_physical_devices("CPU")
    assert isinstance(tensorflow.ones(2), tensorflow.Tensor)


def test_functions_of_tensorflow_join_functional_models_and_losses(stood_in):
    found = run("""
        import numpy as np
        import tensorflow as tf
        import tensorflow.keras.backend as K

        inputs = tf.keras.Input(shape=(4, 3))
        pooled = tf.reduce_mean(inputs, axis=1)
        both = tf.concat([pooled, tf.nn.relu(pooled - 0.5)], axis=-1)
        model = tf.keras.Model(inputs, tf.keras.layers.Dense(1)(both))

        def squared(y_true, y_pred):
            return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)

        def as_of_old(y_true, y_pred):
            return K.mean(K.square(y_true - y_pred), axis=-1)

        model.compile("adam", squared, metrics=[as_of_old, "mse"])
        x = np.random.default_rng(0).random((20, 4, 3))
        logs = model.fit(x, x[:, 0, :1], epochs=2, verbose=0).history
        shape = K.int_shape(both)
    """)
    assert found["shape"] == (None, 6)
    assert found["logs"]["as_of_old"] == pytest.approx(found["logs"]["mse"])


def test_keras_backend_as_it_was(stood_in):
    K = run("from keras import backend as K")["K"]  # noqa: N806
    x = np.array([[3.0, -4.0], [0.5, 2.0]], np.float32)
    assert K.mean(x, axis=1).tolist() == pytest.approx([-0.5, 1.25])
    assert K.sum(x, keepdims=True).tolist() == [[1.5]]
    assert K.clip(x, 0, 1).tolist() == [[1.0, 0.0], [0.5, 1.0]]
    assert K.relu(x, alpha=0.5).tolist() == [[3.0, -2.0], [0.5, 2.0]]
    assert K.argmax(x).tolist() == [0, 1]
    assert K.l2_normalize(x[:1], axis=1).tolist()[0] == pytest.approx([0.6, -0.8])
    assert K.concatenate([x, x]).shape == (2, 4)
    assert K.permute_dimensions(x, (1, 0)).tolist() == x.T.tolist()
    assert K.batch_flatten(np.ones((2, 3, 4))).shape == (2, 12)
    assert K.get_value(K.variable([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert K.cast(x, "int32").tolist() == [[3, -4], [0, 2]]
    assert K.switch(x > 0, x, 0.0 * x).tolist() == [[3.0, 0.0], [0.5, 2.0]]
    assert (K.floatx(), K.epsilon(), K.backend(), K.ndim(x), K.dtype(x)) == (
        "float32",
        1e-7,
        "jax",
        2,
        "float32",
    )
    pellucid.layers.Dense(1)
    K.clear_session()
    assert pellucid.layers.Dense(1).name == "dense"


# Seeds.


def test_set_seed_makes_weights_and_orders_repeatable(stood_in):
    found = run("""
        import numpy as np
        import tensorflow as tf

        def train():
            tf.random.set_seed(3)
            model = tf.keras.Sequential([tf.keras.layers.Dense(2), tf.keras.layers.Dropout(0.5)])
            model.compile("sgd", "mse")
            return model.fit(np.ones((9, 2)) * np.arange(9)[:, None], np.ones((9, 2)), 4, verbose=0).history

        one, other = train(), train()
        drawn = tf.random.normal((2,)).numpy().tolist()
        next_one = tf.random.normal((2,)).numpy().tolist()
        tf.random.set_seed(3)
        again = tf.random.normal(shape=(2,)).numpy().tolist()
        whole = tf.random.uniform((50,), 0, 9, tf.int32).numpy().tolist()
        shuffled = tf.random.shuffle(tf.range(5)).numpy().tolist()
    """)
    assert found["one"] == found["other"]
    assert found["drawn"] == found["again"] != found["next_one"]
    assert set(found["whole"]) == set(range(9))
    assert sorted(found["shuffled"]) == [0, 1, 2, 3, 4]


def test_set_seed_leaves_numbers_alone_that_the_script_draws_itself(stood_in):
    found = run("""
        import numpy as np
        import tensorflow as tf
        np.random.seed(1)
        first = np.random.rand(3)
        tf.random.set_seed(1)
        second = np.random.rand(3)
    """)
    expected = np.random.RandomState(1).rand(6)
    np.testing.assert_array_equal(np.concatenate([found["first"], found["second"]]), expected)


def test_draws_of_tensorflow_leave_the_weights_as_they_are(stood_in):
    lines = """
        import tensorflow as tf
        tf.random.set_seed(7)
        {}
        layer = tf.keras.layers.Dense(3)
        layer.build((None, 2))
        kernel = layer.kernel.numpy().tolist()
    """
    plain, drawn = (run(lines.format(draw))["kernel"] for draw in ("", "tf.random.normal((5,))"))
    assert plain == drawn


def test_a_draw_that_would_be_the_same_in_each_step_is_refused(stood_in):
    with pytest.raises(StateError, match=r"keras\.random"):
        run("""
            import numpy as np
            import tensorflow as tf
            class Noise(tf.keras.layers.Layer):
                def call(self, x):
                    return x + tf.random.normal(tf.shape(x))
            model = tf.keras.Sequential([Noise(), tf.keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
        """)


# tf.data


def test_a_dataset_feeds_fit_as_arrays_do(table, classifier):
    x, y = table
    batches = Dataset.from_tensor_slices((x, y)).batch(32).prefetch(1)
    histories = []
    for given in ((x, y), (batches,)):
        pellucid.utils.set_random_seed(1)
        model = classifier()
        history = model.fit(
            *given, epochs=2, batch_size=None, shuffle=False, validation_data=batches, verbose=0
        )
        histories.append(history.history)
        assert model.predict(Dataset.from_tensor_slices(x).batch(30), verbose=0).shape == (100, 1)
        assert model.evaluate(batches, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-5)


def test_an_endless_dataset_needs_the_steps_of_an_epoch(table, classifier):
    x, y = table
    endless = Dataset.from_tensor_slices((x, y)).shuffle(100, seed=1).repeat().batch(10)
    history = classifier().fit(endless, epochs=2, steps_per_epoch=7, verbose=0)
    assert (history.steps, history.open(13).x.shape) == (14, (10, 4))


def test_shuffling_gives_everything_once_and_another_order_each_time():
    shuffled = Dataset.range(50).shuffle(50, seed=4)
    first, second = ([int(n) for n in shuffled] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    fixed = Dataset.range(50).shuffle(50, reshuffle_each_iteration=False)
    assert [int(n) for n in fixed] == [int(n) for n in fixed]
    near = [int(n) for n in Dataset.range(50).shuffle(3)]
    assert max(place - n for place, n in enumerate(near)) < 50
    assert all(n - place < 3 for place, n in enumerate(near))  # nothing comes before it is in the buffer


def test_a_cached_dataset_computes_its_elements_once():
    seen = []
    cached = Dataset.range(3).map(lambda n: seen.append(int(n)) or n).cache()
    assert [int(n) for n in cached] == [int(n) for n in cached] == [0, 1, 2]
    assert seen == [0, 1, 2]


# Running a script.


def command(*arguments, **options):
    """`pellucid run` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "pellucid", "run", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def run_apart(code):
    """What lines print in a process of their own, in which Pellucid stands in."""
    lines = f"from pellucid import standing_in\nstanding_in.install()\n{textwrap.dedent(code)}"
    ran = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


ENDINGS = {
    "it prints": "import sys\nprint(sys.argv, sys.path[0], __name__, __file__, __doc__, __spec__)",
    "it says why": "import sys\nsys.exit('no more')",
    "it gives a code": "raise SystemExit(3)",
    "it gives nothing": "raise SystemExit",
    "it fails": "import json\ndef read(text):\n    return json.loads(text)\nread('{')",
    "it fails while failing": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}['key']",
    "it is not Python": "x = 1\nif x\n    print(x)",
    "its neighbour fails": "import neighbour",
    "it is asked to stop": "raise KeyboardInterrupt",
    "it has its own hook": "import sys\nsys.excepthook = lambda *what: print(what[0])\nraise ValueError",
    "it is a module for others": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))))",
    "it looks at itself": "import inspect\ndef f(): pass\nprint(inspect.getsource(f))",
    "it is in another language": "# -*- coding: latin-1 -*-\nprint(len('\u00e4'))",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_runs_and_ends_as_with_python(ending, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "script.py").write_text(ENDINGS[ending], encoding="latin-1")
    (tmp_path / "work" / "neighbour.py").write_text("def f():\n    raise OSError(2, 'gone')\nf()\n")
    arguments = [os.path.join("work", "script.py"), "--epochs", "3", "--open", "x"]
    python = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    ours = command(*arguments, cwd=tmp_path)
    assert ours.stdout == python.stdout
    assert ours.stderr == python.stderr
    assert ours.returncode == (130 if ending == "it is asked to stop" else python.returncode)


TRAINS = """
import sys
import numpy as np
from tensorflow import keras
keras.utils.set_random_seed(1)
x = np.arange(24.0).reshape(12, 2) / 24
for _ in range(int(sys.argv[1])):
    model = keras.Sequential([keras.layers.Dense(1)], name="line")
    model.compile("sgd", "mse")
    history = model.fit(x, x[:, 0], epochs=2, batch_size=4, verbose=0)
print(history.history["loss"])
exec(sys.argv[2] if len(sys.argv) > 2 else "")
"""


@pytest.fixture
def trains(tmp_path):
    """A script that trains, and then runs a line that it is given."""
    (tmp_path / "trains.py").write_text(TRAINS)
    return tmp_path


def shown(*arguments, cwd):
    ran = subprocess.run(
        [sys.executable, "-m", "pellucid", "show", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=True,
    )
    return ran.stdout


def test_a_script_that_trained_says_what_can_be_opened(trains):
    ran = command("trains.py", 2, cwd=trains)
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr == (
        "pellucid: 2 trainings of 12 steps can be opened; keep them in a file with:\n"
        "  pellucid run --open run.pellucid trains.py 2\n"
    )


def test_a_training_is_kept_in_a_file_and_opens(trains):
    ran = command("--open", "run.pellucid", "trains.py", 1, cwd=trains)
    assert ran.stderr == (
        'pellucid: kept run.pellucid: fit of "line", 6 steps\n'
        "pellucid: open a step with: pellucid show run.pellucid --step 3\n"
    )
    assert shown("run.pellucid", "--step", "3", cwd=trains).startswith("Step 3: epoch 1, batch 0 of 3")
    kept = pellucid.History.load(trains / "run.pellucid")
    assert str(kept.history["loss"]) == ran.stdout.strip()
    assert command("--open", "run.pellucid", "trains.py", 1, cwd=trains).returncode == 0  # written over


def test_several_trainings_are_kept_side_by_side(trains):
    command("--open", "run.pellucid", "trains.py", 3, cwd=trains)
    command("--open", "runs", "trains.py", 2, cwd=trains)
    assert sorted(path.name for path in trains.glob("*.pellucid")) == [
        "run-2.pellucid",
        "run-3.pellucid",
        "run.pellucid",
    ]
    assert sorted(path.name for path in (trains / "runs").iterdir()) == ["fit-1.pellucid", "fit-2.pellucid"]
    assert shown("runs/fit-2.pellucid", "--step", "0", cwd=trains).startswith("Step 0")


@pytest.mark.parametrize(("line", "code"), [("raise ValueError('late')", 1), ("sys.exit(4)", 4)])
def test_what_was_trained_is_kept_when_the_script_ends_badly(trains, line, code):
    ran = command("--open", "run.pellucid", "trains.py", 1, line, cwd=trains)
    assert ran.returncode == code
    assert ran.stderr.startswith("pellucid: kept run.pellucid")
    assert "late" in ran.stderr if code == 1 else "Traceback" not in ran.stderr
    assert "standing_in" not in ran.stderr
    assert (trains / "run.pellucid").exists()


def test_a_training_that_was_stopped_is_kept_as_far_as_it_came(trains):
    (trains / "long.py").write_text(
        TRAINS.replace("epochs=2", "epochs=10**7").replace("verbose=0", "verbose=2")
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pellucid", "run", "--open", "run.pellucid", "long.py", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=trains,
    ) as process:
        assert process.stdout.readline()
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.startswith("pellucid: kept run.pellucid")
    assert errors.endswith("KeyboardInterrupt\n")
    assert pellucid.History.load(trains / "run.pellucid").steps > 6


def test_what_cannot_be_kept_is_said_and_harms_nothing(trains):
    line = "model.compile('sgd', lambda a, b: (a - b) ** 2); model.fit(x, x[:, 0], verbose=0); print('done')"
    ran = command("--open", "run.pellucid", "trains.py", 1, line, cwd=trains)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "done")
    assert 'pellucid: not kept: fit of "line", 1 steps, because a function without a name' in ran.stderr


def test_a_training_of_own_classes_says_how_it_is_opened(trains):
    line = "type('Own', (keras.layers.Dense,), {})"
    script = TRAINS.replace("keras.layers.Dense(1)", f"{line}(1)")
    (trains / "own.py").write_text(script)
    ran = command("--open", "run.pellucid", "own.py", 1, cwd=trains)
    assert 'takes what the script defines (there is no layer "Own".)' in ran.stderr
    names = {"pellucid": pellucid, "Own": type("Own", (pellucid.layers.Dense,), {})}
    opening = ran.stderr.splitlines()[-1].replace("{...}", "{'Own': Own}")
    assert eval(opening, names).number == 3


def test_what_is_missing_is_told_with_the_frames_of_the_script_only(tmp_path):
    (tmp_path / "script.py").write_text(
        "import tensorflow as tf\n\nwith tf.GradientTape() as tape:\n    pass\n"
    )
    ran = command("script.py", cwd=tmp_path)
    assert ran.returncode == 1
    frames, error = ran.stderr.split("pellucid.errors.")
    assert frames.count("File") == 1
    assert f'"{tmp_path / "script.py"}", line 3' in frames
    assert error.startswith("MissingNameError: Pellucid has no tensorflow.GradientTape.\n")


def test_a_module_runs_as_with_python(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "job.py").write_text(
        "import sys, keras\nfrom . import other\nprint(sys.argv[1:], __name__, keras)\nraise OSError\n"
    )
    (tmp_path / "package" / "other.py").touch()
    ran = command("-m", "package.job", "--fast", cwd=tmp_path)
    assert ran.stdout == "['--fast'] __main__ <module 'keras' (pellucid)>\n"
    assert ran.returncode == 1
    assert ran.stderr.count("File") == 1


def test_what_cannot_be_run_is_refused(tmp_path):
    (tmp_path / "notes.ipynb").write_text("{}")
    (tmp_path / "script.py").write_text("print('ran')")
    (tmp_path / "notes.pellucid").write_text("my notes")
    for arguments, says in (
        (["none.py"], "the script cannot be read"),
        (["notes.ipynb"], "%load_ext pellucid"),
        (["--open", "notes.pellucid", "script.py"], "not a run file"),
        (["--open", "script.py/x.pellucid", "script.py"], "cannot be kept there"),
    ):
        ran = command(*arguments, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("pellucid: ")
        assert says in ran.stderr, ran.stderr
    assert (tmp_path / "notes.pellucid").read_text() == "my notes"


def test_the_page_about_scripts_tells_what_happens(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "unchanged-scripts.md").read_text()
    script, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "tumours.py").write_text(script)
    told = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    assert len(told) >= 3
    for block in told:
        line, _, expected = block.removeprefix("$ ").partition("\n")
        python = f"{shlex.quote(sys.executable)} -m pellucid"
        ran = subprocess.run(
            ["bash", "-c", line.replace("pellucid", python, 1)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert doctest.OutputChecker().check_output(expected, ran.stdout, doctest.ELLIPSIS), ran.stdout


# Notebooks.


class Shell:
    """Of IPython's shell, what extensions and cells are about."""

    def __init__(self):
        self.user_ns = {"__name__": "__main__"}

    def run_line_magic(self, name, extension):
        """%load_ext and %unload_ext, as IPython does them: a function of the module of that name."""
        function = {"load_ext": "load_ipython_extension", "unload_ext": "unload_ipython_extension"}[name]
        getattr(__import__(extension), function)(self)

    def run_cell(self, code):
        exec(compile(code, "<ipython-input-1>", "exec"), self.user_ns)


def test_a_notebook_gets_pellucid_from_the_extension_on(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        monkeypatch.delitem(sys.modules, name)
    shell = Shell()
    shell.run_line_magic("load_ext", "pellucid")
    assert "import keras, and import tensorflow, give Pellucid now" in capsys.readouterr().out
    shell.run_cell("from tensorflow import keras\nmodel = keras.Sequential([keras.layers.Dense(1)])")
    shell.run_cell("model.compile('sgd', 'mse')\nhistory = model.fit([[1.0]], [1.0], verbose=0)")
    shell.run_cell("cost = history.open(0).cost")
    assert shell.user_ns["cost"] >= 0
    with pytest.raises(MissingNameError, match="<ipython-input-1>, line 1"):
        shell.run_cell("keras.layers.Dens")
    shell.run_line_magic("unload_ext", "pellucid")
    assert not standing_in.installed()
    shell.run_cell("still = keras.layers.Dense(1)")
    assert isinstance(shell.user_ns["still"], pellucid.layers.Dense)


def test_a_notebook_that_imported_keras_before_is_told_to_restart(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    with pytest.raises(StateError, match="restart the kernel, and run %load_ext pellucid in the first cell"):
        Shell().run_line_magic("load_ext", "pellucid")


def test_layers_of_a_script_can_be_pickled_by_their_own_names(stood_in):
    layer = run("from keras.layers import Dense")["Dense"]
    assert pickle.loads(pickle.dumps(layer)) is pellucid.layers.Dense

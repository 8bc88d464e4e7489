"""Callbacks that write files, and what callbacks are told; EarlyStopping and the like are in test_fit.py."""

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import pellucid as keras
from pellucid.errors import StateError

C = keras.callbacks


def test_the_model_is_saved_after_each_epoch_under_the_name_that_was_asked_for(tmp_path, table, classifier):
    pattern = str(tmp_path / "deep" / "{epoch:02d}-{loss:.3f}.keras")
    model = classifier()
    history = model.fit(*table, epochs=2, verbose=0, callbacks=[C.ModelCheckpoint(pattern)])
    losses = history.history["loss"]
    names = [f"{number + 1:02d}-{loss:.3f}.keras" for number, loss in enumerate(losses)]
    assert sorted(os.listdir(tmp_path / "deep")) == names
    again = keras.models.load_model(tmp_path / "deep" / names[1])
    np.testing.assert_array_equal(again.predict(table[0], verbose=0), model.predict(table[0], verbose=0))


def test_only_the_best_weights_are_saved_if_that_is_asked_for(tmp_path, table, classifier, capsys):
    path = tmp_path / "best.weights.h5"
    saved = []

    class Look(C.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = [0.5, 0.7, 0.6][epoch]

    class Noted(C.ModelCheckpoint):
        def _save(self, epoch, batch, logs):
            before = self.best
            super()._save(epoch, batch, logs)
            saved.append((before, self.best))

    checkpoint = Noted(path, "score", 1, save_best_only=True, save_weights_only=True, mode="max")
    model = classifier()
    model.fit(*table, epochs=3, verbose=0, callbacks=[Look(), checkpoint])
    assert saved == [(None, 0.5), (0.5, 0.7), (0.7, 0.7)]
    assert "Epoch 2: score improved from 0.50000 to 0.70000, saving model to" in capsys.readouterr().out
    weights = model.get_weights()
    model.load_weights(path)
    assert any((a != b).any() for a, b in zip(weights, model.get_weights(), strict=True))


def test_a_threshold_must_be_improved_on_before_anything_is_saved(tmp_path, table, classifier):
    path = tmp_path / "m.keras"
    checkpoint = C.ModelCheckpoint(path, "loss", save_best_only=True, initial_value_threshold=0.0)
    classifier().fit(*table, epochs=1, verbose=0, callbacks=[checkpoint])
    assert not path.exists()


def test_a_number_of_batches_may_be_what_is_waited_for(tmp_path, table, classifier):
    pattern = str(tmp_path / "{epoch}-{batch}.weights.h5")
    checkpoint = C.ModelCheckpoint(pattern, save_weights_only=True, save_freq=3)
    classifier().fit(*table, epochs=2, verbose=0, callbacks=[checkpoint])
    assert sorted(os.listdir(tmp_path)) == ["1-3.weights.h5", "2-2.weights.h5"]


def test_files_of_a_kind_that_cannot_be_written_are_refused():
    for path, options in (("m.h5", {}), ("m.keras", {"save_weights_only": True}), ("m", {})):
        with pytest.raises(ValueError, match="must end in"):
            C.ModelCheckpoint(path, **options)
    with pytest.raises(ValueError, match="save_freq"):
        C.ModelCheckpoint("m.keras", save_freq="batch")
    with pytest.raises(KeyError, match="Failed to format"):
        C.ModelCheckpoint("{nothing}.keras")._path(0, None, {"loss": 1.0})


#: A training with dropout and shuffled rows that kills its own process, as hard as can be, when told to.
TRAINED = """
import os, signal, sys
import numpy as np
import pellucid as keras

folder, die_after = sys.argv[1], int(sys.argv[2])

class Die(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == die_after:
            os.kill(os.getpid(), signal.SIGKILL)

keras.utils.set_random_seed(3)
x = np.random.rand(70, 4).astype("float32")
y = (x.sum(1) > 2).astype("float32")
model = keras.Sequential([
    keras.Input(shape=(4,)),
    keras.layers.Dense(6, activation="relu"),
    keras.layers.Dropout(0.3),
    keras.layers.Dense(1, activation="sigmoid"),
])
model.compile(keras.optimizers.Adam(0.01, use_ema=True), "binary_crossentropy")
backup = keras.callbacks.BackupAndRestore(folder)
history = model.fit(x, y, epochs=5, verbose=0, callbacks=[backup, Die()])
np.savez(folder + ".npz", *model.get_weights(), epochs=history.epoch)
"""


def test_training_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAINED)

    def run(name, die_after):
        command = [sys.executable, str(script), str(tmp_path / name), str(die_after)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
        return done.returncode

    assert run("killed", 3) == -signal.SIGKILL
    assert (tmp_path / "killed" / "latest.weights.h5").exists()
    assert run("killed", -1) == 0
    assert not (tmp_path / "killed").exists()
    assert run("whole", -1) == 0
    with np.load(tmp_path / "killed.npz") as resumed, np.load(tmp_path / "whole.npz") as whole:
        assert resumed["epochs"].tolist() == [3, 4]
        assert whole["epochs"].tolist() == [0, 1, 2, 3, 4]
        for name in whole.files:
            if name != "epochs":
                np.testing.assert_array_equal(resumed[name], whole[name])


def test_a_backup_needs_a_model_that_is_built(tmp_path, table):
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="backup_dir"):
        C.BackupAndRestore("")
    backup = C.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    backup.set_model(model)
    with pytest.raises(StateError, match="must be built"):
        backup.on_train_begin()


def test_a_damaged_backup_gives_way_to_the_one_before(tmp_path, table, classifier):
    folder = tmp_path / "backup"
    backup = C.BackupAndRestore(folder, double_checkpoint=True, delete_checkpoint=False)
    classifier().fit(*table, epochs=2, verbose=0, callbacks=[backup])
    (folder / "latest.weights.h5").write_text("0")
    history = classifier().fit(*table, epochs=3, verbose=0, callbacks=[backup])
    assert history.epoch == [1, 2]


def test_functions_are_told_logs_by_their_place_and_always(table, classifier):
    told = []
    names = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end", "on_test_end"]
    functions = {name: lambda *args, name=name: told.append((name, len(args), args[-1])) for name in names}
    classifier().fit(
        *table, epochs=1, validation_split=0.2, verbose=0, callbacks=[C.LambdaCallback(**functions)]
    )
    assert [(name, count) for name, count, _ in told] == [
        ("on_train_begin", 1),
        ("on_epoch_begin", 2),
        ("on_test_end", 1),
        ("on_epoch_end", 2),
        ("on_train_end", 1),
    ]
    assert told[0][2] == {}
    assert {"loss", "accuracy"} <= set(told[2][2])
    assert told[4][2] == told[3][2]


def test_who_is_interrupted_hears_of_no_end(table, classifier):
    heard = []

    class Fails(C.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("enough")

        def on_train_end(self, logs=None):
            heard.append("end")

    with pytest.raises(RuntimeError, match="enough"):
        classifier().fit(*table, epochs=1, verbose=0, callbacks=[Fails()])
    assert heard == []


def test_a_loss_that_is_no_number_can_be_an_error(table):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), "mse")
    with warnings.catch_warnings(), pytest.raises(StateError, match="NaN or Inf loss"):
        warnings.simplefilter("ignore")
        model.fit(*table, epochs=3, verbose=0, callbacks=[C.TerminateOnNaN(raise_error=True)])


def test_tensorboard_is_written_by_its_own_writer_or_asked_for(tmp_path, table, classifier):
    board = C.TensorBoard(tmp_path, histogram_freq=1, update_freq="batch", write_steps_per_second=True)
    fitting = {"epochs": 2, "validation_split": 0.2, "verbose": 0, "callbacks": [board]}
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        with pytest.raises(StateError, match="pip install tensorboard"):
            classifier().fit(*table, **fitting)
        return
    history = classifier().fit(*table, **fitting)
    for where, name in (("train", "loss"), ("validation", "val_loss")):
        read = EventAccumulator(str(tmp_path / where)).Reload()
        told = [event.tensor_proto.float_val[0] for event in read.Tensors("epoch_loss")]
        np.testing.assert_allclose(told, history.history[name], rtol=1e-6)


def test_what_tensorboard_cannot_be_asked_is_refused(tmp_path):
    for options in ({"update_freq": "often"}, {"profile_batch": 2}, {"embeddings_freq": 1}):
        with pytest.raises(ValueError, match=r"TensorBoard|update_freq"):
            C.TensorBoard(tmp_path, **options)

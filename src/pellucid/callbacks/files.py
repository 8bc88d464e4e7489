"""Callbacks that write files: a line for each epoch, models, and backups to go on from."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from pellucid.callbacks.callback import Callback, Logs
from pellucid.callbacks.watching import MonitorCallback
from pellucid.errors import ArgumentError, FileError, StateError, message


class _Saving:
    """When to save: at the end of each epoch, or every so many batches."""

    def __init__(self, save_freq: Any, argument: str) -> None:
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ArgumentError(
                message(
                    f"Invalid value for argument `{argument}`: Unrecognized save_freq.",
                    came=repr(save_freq),
                    expected="'epoch' or a number of batches",
                )
            )
        self.every: Any = save_freq
        self.seen, self.last = 0, -1

    def now(self, batch: int) -> bool:
        """Whether to save after this batch."""
        if self.every == "epoch":
            return False
        # Between two calls may lie several steps, or the end of an epoch.
        self.seen += batch + 1 if batch <= self.last else batch - self.last
        self.last = batch
        due = self.seen >= self.every
        self.seen = 0 if due else self.seen
        return due


class CSVLogger(Callback):
    """Writes loss and metrics of each epoch to a CSV file.

    Args:
        filename: where to.
        separator: between the columns.
        append: whether to go on with a file that is there.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = filename, separator, append
        self.keys: list[str] | None = None
        self._file: Any = None
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.keys = None
        mode = "a" if self.append else "w"
        self._file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115 - closed at the end

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            # A validation that does not come every epoch still needs its columns.
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            self._writer = csv.DictWriter(self._file, ["epoch", *self.keys], delimiter=self.separator)
            if not (self.append and self._file.tell() > 0):
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **{key: _plain(logs.get(key, "NA")) for key in self.keys}})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f'"[{", ".join(map(str, value))}]"'
    return value


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, while it is trained.

    Args:
        filepath: the file, ending in ".keras", or ".weights.h5" for weights alone. It may name the epoch
            and what is in the logs: "{epoch:02d}-{val_loss:.2f}.keras".
        monitor, mode: what is watched for `save_best_only`, and which way it is better.
        verbose: 1 says what is saved.
        save_best_only: whether a file is written only when the value has improved.
        save_weights_only: whether the weights are saved alone.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value that the first file must improve on.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        self._saving = _Saving(save_freq, "save_freq")
        self._current_epoch = 0
        ending = ".weights.h5" if save_weights_only else ".keras"
        if not self.filepath.endswith(ending):
            what = " When using `save_weights_only=True`," if save_weights_only else ""
            raise ArgumentError(
                message(f"{what.strip()} The filepath provided must end in `{ending}`.", came=self.filepath)
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the number, for files that are written within the epoch."""
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time."""
        if self._saving.now(batch):
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if epochs are what is waited for."""
        if self.monitor_op is None and self.save_best_only:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise OSError(
                f"Please specify a non-directory filepath for ModelCheckpoint: {path} is a directory."
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self._say(f"Epoch {epoch + 1}: finished saving model to {path}")

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        """Whether the model is to be saved now."""
        current = logs.get(self.monitor)
        if not self.save_best_only:
            self._say(f"Epoch {epoch + 1}: saving model to {path}")
            return True
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=2)
            return True
        if np.ndim(current):
            warnings.warn("Can save best model only when `monitor` is a scalar value.", stacklevel=2)
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        self._say(
            f"Epoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, saving model to {path}"
        )
        self.best = current
        return True

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        numbers = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(**numbers)
        except KeyError as error:
            raise KeyError(
                message(
                    f'Failed to format this callback filepath: "{self.filepath}".',
                    came=str(error),
                    expected=", ".join(numbers),
                )
            ) from None

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            print(f"\n{text}")

    def _get_most_recently_modified_file_matching_pattern(self, pattern: str) -> str | None:
        """The file of this pattern that was written last; of several written together, the last by name.

        Named as in Keras, whose scripts use it to find the latest checkpoint.
        """
        folder, name = os.path.split(pattern)
        form = re.compile(f"^{re.sub('{.*}', '.*', name)}$")
        found = [each for each in Path(folder).glob("*") if form.match(each.name)]
        times = {each: each.stat().st_mtime for each in found}
        latest = [each for each in found if times[each] == max(times.values())]
        chosen = latest if len(latest) == 1 else found
        return str(max(chosen)) if chosen else None


class BackupAndRestore(Callback):
    """Backs up a training, so that it goes on where it was, should the process die.

    The same script is run again: `fit` then begins with the epoch after the backup, with the weights,
    what the optimizer remembers, and the positions of all random numbers. So training that was cut off
    at the end of an epoch comes to the same weights as training that was not.

    Args:
        backup_dir: a folder for the backup. Each training needs one of its own.
        save_freq: "epoch", or a number of batches; training then goes on at the start of that epoch.
        double_checkpoint: whether the backup before the last one is kept, too.
        delete_checkpoint: whether the folder is deleted when training has ended.
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ArgumentError(message("Empty `backup_dir` argument passed.", came=repr(backup_dir)))
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._saving = _Saving(save_freq, "save_freq")
        self._current_epoch = self._last_batch_seen = 0
        self._weights_path = os.path.join(self.backup_dir, "latest.weights.h5")
        self._training_metadata_path = os.path.join(self.backup_dir, "training_metadata.json")
        self._prev_weights_path = f"{self._weights_path}.bkp"
        self._prev_training_metadata_path = f"{self._training_metadata_path}.bkp"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take up the backup, if there is one: the last, or the one before if that is damaged."""
        if not self.model.built:
            raise StateError(
                message(
                    "To use the BackupAndRestore callback, your model must be built before you call `fit()`.",
                    came=repr(self.model),
                    mend="begin the model with keras.Input(shape=(...)), or call it on a batch of data.",
                )
            )
        paths = [path for path in (self._weights_path, self._prev_weights_path) if os.path.exists(path)]
        for place, path in enumerate(paths):
            try:
                self._restore(path)
                return
            except (OSError, FileError, KeyError):
                if place + 1 == len(paths):
                    raise

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Back up, if epochs are what is waited for."""
        self._current_epoch, self._last_batch_seen = epoch + 1, 0
        self._saving.last = -1
        if self.save_freq == "epoch":
            self._back_up()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Back up, if it is time."""
        self._last_batch_seen = batch
        if self._saving.now(batch):
            self._back_up()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Delete the backup: the training has come to its end."""
        if self.delete_checkpoint:
            shutil.rmtree(self.backup_dir, ignore_errors=True)

    def _back_up(self) -> None:
        """Write one file and put it, whole, in the place of the last: a process may die at any time."""
        import h5py

        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._weights_path):
            _put(self._weights_path, self._prev_weights_path)
            _put(self._training_metadata_path, self._prev_training_metadata_path)
        writing = os.path.join(self.backup_dir, "writing.weights.h5")
        self.model.save_weights(writing, overwrite=True)
        told = {"epoch": self._current_epoch, "batch": self._last_batch_seen}
        with cast(Any, h5py.File(writing, "r+")) as file:
            file.attrs["training"] = json.dumps({**told, "random": _positions(self.model)})
        os.replace(writing, self._weights_path)
        Path(self._training_metadata_path).write_text(json.dumps(told), encoding="utf-8")

    def _restore(self, path: str) -> None:
        import h5py

        with cast(Any, h5py.File(path, "r")) as file:
            told = json.loads(file.attrs["training"]) if "training" in file.attrs else None
        if told is None:
            # A backup of Keras's own, which keeps no random numbers.
            told = json.loads(Path(self._training_metadata_path).read_text(encoding="utf-8"))
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        if path != self._weights_path:
            _put(path, self._weights_path)
        self.model.load_weights(self._weights_path)
        if "random" in told:
            _take_positions(self.model, told["random"])
        self._current_epoch = self.model._initial_epoch = int(told["epoch"])


def _put(path: str, other: str) -> None:
    """Put a copy of a file, whole, in the place of another."""
    shutil.copyfile(path, f"{other}.writing")
    os.replace(f"{other}.writing", other)


def _positions(model: Any) -> dict[str, Any]:
    """Where all streams of random numbers are: Python's, NumPy's, and those of dropout and noise."""
    kind, keys, *rest = cast(Any, np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "layers": [variable.numpy().tolist() for variable in _seeds(model)],
    }


def _take_positions(model: Any, told: dict[str, Any]) -> None:
    version, words, gauss = told["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = told["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    for variable, words in zip(_seeds(model), told["layers"], strict=True):
        variable.assign(np.array(words, np.uint32))


def _seeds(model: Any) -> list[Any]:
    kept = set(model.weights)
    return [variable for variable in model.variables if variable not in kept]

"""What may happen between batches and epochs."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, message

Logs = dict[str, Any]


class Callback:
    """Something that is told what happens in `fit`, `evaluate` and `predict`.

    Override the methods that you need. `self.model` is the model, `self.params` what `fit` was
    asked for. If one of the `..._batch_...` methods is overridden, training goes step by step,
    which is slower; otherwise whole epochs run at once.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that is being trained."""
        return self._model

    def set_model(self, model: Any) -> None:
        """Tell which model it is."""
        self._model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell how many epochs and steps there will be."""
        self.params = dict(params)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before training."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After training."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; `logs` has its loss and metrics, and val_... of the validation rows."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; `logs` has loss and metrics of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation or validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""


def overrides(callback: Any, *names: str) -> bool:
    """Whether a callback does something of its own in one of these methods."""
    return any(
        getattr(type(callback), name, None) is not getattr(Callback, name) or name in vars(callback)
        for name in names
    )


TRAIN_BATCH = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
EPOCH = ("on_epoch_begin", "on_epoch_end")
TEST_BATCH = ("on_test_batch_begin", "on_test_batch_end")
TEST = ("on_test_begin", "on_test_end", *TEST_BATCH)
PREDICT_BATCH = ("on_predict_batch_begin", "on_predict_batch_end")


class CallbackList(Callback):
    """Several callbacks as one, told in the order they were given."""

    def __init__(
        self,
        callbacks: Iterable[Any] | Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        given = [] if callbacks is None else callbacks
        if not isinstance(given, list | tuple):
            given = [given]
        self.callbacks: list[Any] = [each for each in given if each is not None]
        for each in self.callbacks:
            if isinstance(each, type) or not hasattr(each, "on_epoch_end"):
                raise ArgumentError(
                    message(
                        "this is not a callback.",
                        came=repr(each),
                        expected="an object of a class that inherits keras.callbacks.Callback",
                        mend=f"make one of it: {each.__name__}()." if isinstance(each, type) else "",
                    )
                )
        if add_history and self.history() is None:
            self.callbacks.append(History())
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def history(self) -> History | None:
        """The one that keeps what the epochs gave."""
        return next((each for each in reversed(self.callbacks) if isinstance(each, History)), None)

    def append(self, callback: Any) -> None:
        """Add a callback."""
        self.callbacks.append(callback)

    def set_model(self, model: Any) -> None:
        """Tell all which model it is."""
        super().set_model(model)
        for each in self.callbacks:
            each.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell all how many epochs and steps there will be."""
        super().set_params(params)
        for each in self.callbacks:
            each.set_params(params)

    def any_overrides(self, *names: str) -> bool:
        """Whether one of them, a History apart, does something of its own in one of these methods."""
        own = (each for each in self.callbacks if "keeps_epochs" not in vars(type(each)))
        return any(overrides(each, *names) for each in own)


def _tell_all(name: str) -> Callable[..., None]:
    def tell(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*args, **kwargs)

    tell.__doc__ = f"Call {name} of each."
    return tell


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _name, _tell_all(_name))


class History(Callback):
    """Loss and metrics of every epoch. What `fit` returns is one, and can open every step besides.

    Attributes:
        params: what `fit` was asked for: verbose, epochs, steps.
    """

    #: A history of ours only listens; one of a subclass of the user's may do more.
    keeps_epochs = True

    def __init__(self) -> None:
        super().__init__()
        # Epochs are kept whole, in one append, so that Ctrl-C cannot leave half of one.
        self._epochs: list[tuple[int, Logs]] = []
        self._listed = 0
        self._history: dict[str, list[Any]] = {}

    @property
    def history(self) -> dict[str, list[Any]]:
        """Each name with its values, one per epoch."""
        for _, logs in self._epochs[self._listed :]:
            for name, value in logs.items():
                self._history.setdefault(name, []).append(value)
        self._listed = len(self._epochs)
        return self._history

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, from 0."""
        return [number for number, _ in self._epochs]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin a new list of epochs; values that are there stay."""
        _ = self.history
        self._epochs, self._listed = [], 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep what the epoch gave."""
        self._epochs.append((epoch, dict(logs or {})))

    def __repr__(self) -> str:
        if not self.epoch:
            return "<History: no epochs>"
        last = ", ".join(
            f"{name} {values[-1]:.4g}" for name, values in self.history.items() if np.ndim(values[-1]) == 0
        )
        return f"<History: {len(self.epoch)} epochs, at the end {last}>"


_SMALLER, _LARGER = "min", "max"


class _Watching(Callback):
    """A callback that watches one value for improvement."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"mode {mode!r} is unknown, auto is used.", stacklevel=3)
            mode = "auto"
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.direction: str | None = None if mode == "auto" else mode

    def _settle(self) -> str:
        """Whether smaller or larger is better: said, or known from the metric."""
        if self.direction is not None:
            return self.direction
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            self.direction = _SMALLER
        elif self._model is not None:
            for known, metric in self._model.metrics_by_name().items():
                if known == name and getattr(metric, "direction", ""):
                    self.direction = _LARGER if metric.direction == "up" else _SMALLER
        if self.direction is None:
            raise ArgumentError(
                message(
                    f"{type(self).__name__} callback received monitor={self.monitor}, but it is not known "
                    "whether smaller or larger is better.",
                    came='mode="auto"',
                    expected='mode="min" or mode="max"',
                )
            )
        return self.direction

    def _better(self, current: Any, best: Any) -> bool:
        if best is None:
            return True
        if self._settle() == _LARGER:
            return bool(current > best + self.min_delta)
        return bool(current < best - self.min_delta)

    def _watched(self, logs: Logs | None, doing: str) -> Any:
        value = (logs or {}).get(self.monitor)
        if value is None:
            available = ",".join(logs or {})
            warnings.warn(
                f"{doing} conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {available}",
                stacklevel=3,
            )
        return value


class EarlyStopping(_Watching):
    """Stops training when a value has not improved for `patience` epochs.

    Args:
        monitor: the name in the logs: "val_loss", "val_accuracy", ...
        min_delta: the smallest change that is an improvement.
        patience: how many epochs without improvement are waited for.
        verbose: 1 says when training is stopped.
        mode: "min", "max", or "auto": known from the name.
        baseline: a value that must be reached for the waiting to start anew.
        restore_best_weights: whether the weights of the best epoch are put back at the end.
        start_from_epoch: how many epochs are not watched.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best: Any = None
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin waiting anew."""
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the value, and stop if it has not improved for too long."""
        current = self._watched(logs, "Early stopping")
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self._weights(), epoch
        self.wait += 1
        if self._better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self._weights()
            if self.baseline is None or self._better(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _weights(self) -> list[Any]:
        # Arrays on the device never change, so keeping them is keeping a copy.
        return [variable.value for variable in self.model.weights]

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say where it stopped, and put the best weights back."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            for variable, value in zip(self.model.weights, self.best_weights, strict=True):
                variable.assign(value)


class ReduceLROnPlateau(_Watching):
    """Multiplies the learning rate by `factor` when a value has not improved for `patience` epochs.

    Args:
        monitor, min_delta, mode: as for `EarlyStopping`.
        factor: below 1.
        patience: how many epochs without improvement are waited for.
        verbose: 1 says when the rate is lowered.
        cooldown: how many epochs are not watched after the rate was lowered.
        min_lr: the rate is not lowered below this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise ArgumentError(message("ReduceLROnPlateau does not support a factor >= 1.0.", came=factor))
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait, self.cooldown_counter = 0, 0
        self.best: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin waiting anew."""
        self.wait, self.cooldown_counter, self.best = 0, 0, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the value, and lower the rate if it has not improved for too long."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        current = self._watched(logs, "Learning rate reduction is")
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            rate = float(np.asarray(self.model.optimizer.learning_rate))
            if self.wait >= self.patience and rate > np.float32(self.min_lr):
                lowered = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = lowered
                if self.verbose > 0:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lowered}.")
                self.cooldown_counter, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Args:
        schedule: a function (epoch, learning rate now) -> learning rate, or of the epoch alone.
        verbose: 1 says the rate.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        try:
            rate = self.schedule(epoch, rate)
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, float | int | np.floating) and np.ndim(rate) != 0:
            raise ArgumentError(
                message(
                    "The output of the `schedule` function should be a float.",
                    came=repr(rate),
                    expected="one number",
                )
            )
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))


class TerminateOnNaN(Callback):
    """Stops training at the first batch whose loss is NaN or infinite."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


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


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __init__(self, **functions: Callable[..., Any] | None) -> None:
        super().__init__()
        for name, function in functions.items():
            if not name.startswith("on_") and not callable(function):
                raise ArgumentError(
                    message(f"{name} is not a method of callbacks.", expected="on_epoch_end, ...")
                )
            if function is not None:
                setattr(self, name, function)

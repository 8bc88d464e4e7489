"""Callbacks that watch a value, and do something when it does (or does not) get better."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.callbacks.callback import Callback, Logs
from pellucid.errors import ArgumentError, StateError, message


class MonitorCallback(Callback):
    """The part of callbacks that watch one value of the logs.

    Args:
        monitor: the name in the logs: "val_loss", "val_accuracy", ...
        mode: "min", "max", or "auto": known from the name.
        baseline: the best value so far, before there are any.
        min_delta: the smallest change that is an improvement.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            kind = type(self).__name__
            warnings.warn(f"{kind} mode '{mode}' is unknown, fallback to auto mode.", stacklevel=3)
            mode = "auto"
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best: Any = baseline
        #: `ops.less` or `ops.greater`, once it is known which is better.
        self.monitor_op: Callable[..., Any] | None = None

    def _set_monitor_op(self) -> None:
        """Settle whether smaller or larger is better: said, or known from the metric."""
        better = self.mode if self.mode != "auto" else self._known()
        if better is None:
            raise ArgumentError(
                message(
                    f"{type(self).__name__} callback received monitor={self.monitor}, but it is not known "
                    "whether smaller or larger is better.",
                    came='mode="auto"',
                    expected='mode="min" or mode="max"',
                )
            )
        self.monitor_op = ops.less if better == "min" else ops.greater

    def _known(self) -> str | None:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return "min"
        metrics = {} if self._model is None else self._model.metrics_by_name()
        return {"up": "max", "down": "min"}.get(getattr(metrics.get(name), "direction", ""))

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        if self.monitor_op is None:
            self._set_monitor_op()
        if reference_value is None:
            return True
        if self.monitor_op is ops.greater:
            return bool(monitor_value - self.min_delta > reference_value)
        return bool(monitor_value + self.min_delta < reference_value)

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


class EarlyStopping(MonitorCallback):
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
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin waiting anew."""
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the value, and stop if it has not improved for too long."""
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self._watched(logs, "Early stopping")
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say where it stopped, and put the best weights back."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
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
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ArgumentError(message("ReduceLROnPlateau does not support a factor >= 1.0.", came=factor))
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait, self.cooldown_counter = 0, 0

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
        if self._is_improvement(current, self.best):
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
    """Stops training at the first batch whose loss is NaN or infinite.

    Args:
        raise_error: whether it stops with a StateError; other callbacks then do not hear of an end.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise StateError(
                message(
                    f"NaN or Inf loss encountered at batch {batch}.",
                    came=f"a loss of {loss}",
                    mend="lower the learning rate, or look at the step: history.open(...).",
                )
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True

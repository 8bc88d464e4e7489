"""What may happen between batches and epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
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
    #: How many arguments come before the logs: the number of an epoch or batch, or nothing.
    before = len(inspect.signature(getattr(Callback, name)).parameters) - 2

    def tell(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        # The logs come by position, and always: a function may call them as it likes.
        numbers, logs = args[:before], kwargs.get("logs", args[before] if len(args) > before else None)
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, name)(*numbers, logs)

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
    def each_epoch(self) -> list[tuple[int, Logs]]:
        """The epochs of the last training: the number of each, and what it gave."""
        return list(self._epochs)

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, from 0."""
        return [number for number, _ in self._epochs]

    @property
    def last(self) -> Logs:
        """What the last epoch gave; nothing before there is one."""
        return self._epochs[-1][1] if self._epochs else {}

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


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in functions.items():
            if not name.startswith("on_") and not callable(function):
                raise ArgumentError(
                    message(f"{name} is not a method of callbacks.", expected="on_epoch_end, ...")
                )
            if function is not None:
                setattr(self, name, function)

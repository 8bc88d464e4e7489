"""Writes loss and metrics for TensorBoard, through TensorBoard's own writer."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

import numpy as np

from pellucid.callbacks.callback import Callback, Logs
from pellucid.errors import ArgumentError, StateError, message


class TensorBoard(Callback):
    """Writes loss and metrics of each epoch (and each batch, if asked) for `tensorboard --logdir=...`.

    Those of training go into `log_dir/train`, those of validation into `log_dir/validation`, under the
    names that Keras gives them: "epoch_loss", "epoch_accuracy", "batch_loss", ...

    Args:
        log_dir: the folder.
        histogram_freq: after how many epochs, each time, all weights are written as histograms; 0: never.
        write_graph, write_images: accepted; there is no graph of TensorFlow's to write.
        write_steps_per_second: whether the speed of each epoch is written.
        update_freq: "epoch", "batch", or a number of batches.
        profile_batch, embeddings_freq, embeddings_metadata: accepted, if nothing is asked for.

    Raises:
        StateError: when training begins, if the package tensorboard is not installed.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        for name, asked in (("profile_batch", profile_batch), ("embeddings_freq", embeddings_freq)):
            if asked:
                raise ArgumentError(
                    message(f"TensorBoard: {name} is not supported.", came=asked, mend=f"leave {name} out.")
                )
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second, self.update_freq = write_steps_per_second, update_freq
        self._every: Any = {"epoch": 0, "batch": 1}.get(update_freq, update_freq)
        if isinstance(self._every, bool) or not isinstance(self._every, int) or self._every < 0:
            raise ArgumentError(
                message("update_freq is unknown.", came=repr(update_freq), expected="'epoch', 'batch' or 100")
            )
        if self._every:
            # Only then is every step looked at, and so trained by itself.
            self.on_train_batch_end = self._write_batch
        self._writers: dict[str, Any] = {}
        self._steps = self._steps_before = 0
        self._began = 0.0

    def _write(self, where: str, step: int, values: dict[str, Any]) -> None:
        """Write named values, numbers or arrays, at a step."""
        if where not in self._writers:
            writing = _tensorboard("summary.writer.event_file_writer")
            self._writers[where] = writing.EventFileWriter(os.path.join(self.log_dir, where))
        for name, value in values.items():
            array = np.asarray(value)
            if array.ndim:
                summary = _tensorboard("plugins.histogram.summary_v2").histogram_pb(name, array)
            else:
                summary = _tensorboard("plugins.scalar.summary_v2").scalar_pb(name, float(array))
            kind = _tensorboard("compat.proto.event_pb2").Event
            event = kind(wall_time=time.time(), step=step, summary=summary)
            self._writers[where].add_event(event)
        self._writers[where].flush()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the files, or say at once that it cannot be."""
        self._steps = self._steps_before = 0
        self._write("train", 0, {})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._began, self._steps_before = time.perf_counter(), self._steps_done()

    def _write_batch(self, batch: int, logs: Logs | None = None) -> None:
        """Write the running values of loss and metrics, if it is time."""
        self._steps += 1
        if self._steps % self._every == 0:
            self._write("train", self._steps, {f"batch_{name}": v for name, v in (logs or {}).items()})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write what the epoch gave."""
        told = {name: value for name, value in (logs or {}).items() if np.ndim(value) == 0}
        train = {f"epoch_{name}": value for name, value in told.items() if not name.startswith("val_")}
        held_out = {f"epoch_{name[4:]}": value for name, value in told.items() if name.startswith("val_")}
        if self.model.optimizer is not None:
            train["epoch_learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._began, 1e-9)
            train["epoch_steps_per_second"] = (self._steps_done() - self._steps_before) / seconds
        self._write("train", epoch, train)
        if held_out:
            self._write("validation", epoch, held_out)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            weights = {f"{each.path}/histogram": each.numpy().ravel() for each in self.model.weights}
            self._write("train", epoch, weights)

    def _steps_done(self) -> int:
        return 0 if self.model.optimizer is None else int(np.asarray(self.model.optimizer.iterations))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _tensorboard(name: str) -> Any:
    """A module of the package tensorboard."""
    try:
        return importlib.import_module(f"tensorboard.{name}")
    except ImportError:
        raise StateError(
            message(
                "the TensorBoard callback writes with the package tensorboard, and it is not installed.",
                mend="pip install tensorboard.",
            )
        ) from None

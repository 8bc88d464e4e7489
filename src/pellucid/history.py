"""What `fit` returns: the loss and metrics of every epoch, and every training step, to be opened.

history = model.fit(X, y, epochs=50)
history.history["loss"]            # as in Keras
history.log["cost"]                # of every step
step = history.open(712)           # everything that happened in it
history.view()                     # the same on a page in the browser
history.save("run.pellucid")       # History.load gives it back, in another process too
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from pellucid import callbacks, folders, keeping
from pellucid.data import Rows
from pellucid.engine import PREDICTED_AT_ONCE, Batches
from pellucid.errors import ArgumentError, ShapeError, StateError, did_you_mean, message
from pellucid.fitting import Gate
from pellucid.opened import Step, open_step
from pellucid.record import Record
from pellucid.replay import Replay, values_by_path
from pellucid.step import Parts, Values
from pellucid.views import told
from pellucid.views.page import file, notebook

if TYPE_CHECKING:
    from pellucid.views.page.server import View

NumPy = np.ndarray[Any, Any]
#: At how many steps, at most, the norms of a log are sampled.
SAMPLED = 100
#: Of models of more weights than this, fewer steps are sampled.
FREELY = 2**21
#: How many bytes of weights, at most, `costs_at` gives to the device at once.
TAKEN_AT_ONCE = 2**26

#: Told of each training that has ended, also of one that ended with an error.
listeners: list[Callable[[History], None]] = []


class StepLog(Mapping[str, NumPy]):
    """Columns with a value for each training step: "step", "epoch", "cost" and "learning_rate".

    Attributes:
        norms: the lengths of gradients, updates and weights of each layer, at some of the steps.
    """

    def __init__(self, history: History, record: Record) -> None:
        self._history, self._record = history, record
        #: After how many steps the norms were found; and they.
        self._norms: tuple[int, dict[str, NumPy]] | None = None

    def __getitem__(self, name: str) -> NumPy:
        return self.at(np.arange(len(self._record.settled().log.table)), name)

    def at(self, places: NumPy, name: str) -> NumPy:
        """A column at some places only, which are counted among the steps that were logged.

        Raises:
            KeyError: if there is no such column.
        """
        record = self._record.settled()
        if name in ("cost", "learning_rate"):
            return record.log.table[:, 0 if name == "cost" else 1][places]
        steps = places * record.log.stride
        if name == "step":
            return steps
        if name == "epoch":
            first = record.facts.first_epoch
            if each := record.facts.steps_per_epoch:
                return first + steps // each
            return first + np.searchsorted(np.asarray(record.epoch_starts), steps, side="right") - 1
        raise KeyError(
            f"{name}: the columns are {', '.join(self)}; lengths of gradients, updates and weights are "
            "in log.norms"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(("step", "epoch", "cost", "learning_rate"))

    def __len__(self) -> int:
        return 4

    @property
    def norms(self) -> dict[str, NumPy]:
        """Lengths (2-norms) at about a hundred steps, spread over the run.

        "step" says which; "dense.gradient", "dense.update" and "dense.weights" are those of all weights
        of the layer "dense" together. They are found by opening these steps, and kept.
        """
        record = self._record.settled()
        if self._norms is None or self._norms[0] != record.steps:
            found: dict[str, list[float]] = {"step": []}
            for number in self.sampled(SAMPLED):
                step = self._history.open(number)
                found["step"].append(number)
                layers = dict.fromkeys(path.rpartition("/")[0] for path in step.weights)
                for layer in layers:
                    for what, values in (
                        ("gradient", step.gradients),
                        ("update", step.updates),
                        ("weights", step.weights),
                    ):
                        own = [told.length(a) for p, a in values.items() if p.rpartition("/")[0] == layer]
                        found.setdefault(f"{layer}.{what}", []).append(told.length(own))
            self._norms = record.steps, {name: np.asarray(values) for name, values in found.items()}
        return self._norms[1]

    def sampled(self, most: int) -> list[int]:
        """Numbers of steps, spread over the run: of up to so many, and of fewer where a model is very large.

        Where there are snapshots, steps open without a replay, and so these are taken first.
        """
        record = self._record.settled()
        weights = sum(each.size for each in self._history.replay.engine.parts.weights)
        most = max(min(most, 10), min(most, FREELY * most // max(weights, 1)))
        first = record.first_step()
        there = [s.step for s in record.snapshots.kept if first <= s.step < record.steps]
        places = np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).astype(int))
        chosen = [int(there[place]) for place in places]
        if len(chosen) < most:
            spread = np.linspace(first, record.steps - 1, min(most, record.steps - first))
            chosen = sorted({*chosen, *spread.astype(int).tolist()})
        return chosen

    def __repr__(self) -> str:
        costs = self["cost"]
        told = f", cost {costs[0]:.4g} to {costs[-1]:.4g}" if len(costs) else ""
        every = f", every {self._record.log.stride}th is kept" if self._record.log.stride > 1 else ""
        return f"<StepLog: {self._record.steps:,} steps{every}{told}; columns {', '.join(self)}>"


class History(callbacks.History):
    """What `fit` returns: loss and metrics of every epoch, and every step of the training.

    Attributes:
        history, epoch, params: as in Keras.
        steps: how many training steps there were.
        log: per-step columns: `log["cost"]`, `log["learning_rate"]`; lengths in `log.norms`.

    Example:
        >>> from pellucid import Sequential
        >>> from pellucid.layers import Dense, Input
        >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="zeros")])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], epochs=3, verbose=0)
        >>> history.steps
        3
        >>> step = history.open(0)
        >>> step.cost
        10.0
        >>> print(step.formula("dense/kernel[0,0].gradient"))
        dense/kernel[0,0].gradient = (1*(-4) + 2*(-8))/2 = -10
    """

    keeps_epochs = True

    def __init__(self) -> None:
        super().__init__()
        self._replay: Replay | None = None
        self._why_not = "no training yet"
        self._final: dict[str, Any] = {}
        self._log: StepLog | None = None
        self._folder: folders.Folder | None = None
        self._view: View | None = None
        self._running = False
        #: What else the file holds: a table's network gives its labels, and from which probability on the
        #: answer is the second of two.
        self.labels: Sequence[str] = ()
        self.threshold = 0.5

    # What fit tells.

    def records(self, replay: Replay | None, why_not: str = "") -> None:
        """Keep what is needed to open the steps of the training that begins now."""
        self._replay, self._why_not = replay, why_not
        self._log, self._final = None, {}
        self._running = True

    def keeps_in(self, folder: Path) -> None:
        """Write the record into a directory as the training goes."""
        assert self._replay is not None

        def failed(why: str) -> None:
            self._replay, self._why_not = None, why

        self._folder = folders.Folder(folder, self._replay, failed)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep what the epoch gave."""
        super().on_epoch_end(epoch, logs)
        if self._folder is not None:
            self._folder.epoch(epoch, logs or {})

    def ended(self) -> None:
        """The training is over: keep the weights that it left."""
        self._running = False
        if self._replay is not None:
            self._replay.record.settled()
            values = ((each.path, each.value) for each in self._replay.engine.parts.model.weights)
            self._final = {p: np.array(v) if isinstance(v, np.ndarray) else v for p, v in values}
            if self._folder is not None:
                self._folder.end(self._final)
        for listen in listeners:
            listen(self)

    @property
    def replay(self) -> Replay:
        """The recorded training, to be run again up to any step.

        Raises:
            StateError: if the training was not recorded; the error says why.
        """
        if self._replay is None:
            raise StateError(
                message(
                    "the steps of this run cannot be opened.",
                    came=self._why_not,
                    mend='train again with record="auto", which is the default.'
                    if "record=False" in self._why_not
                    else "",
                )
            )
        return self._replay

    # Reading it.

    @property
    def steps(self) -> int:
        """How many training steps there were; 0 if they were not recorded."""
        return self._replay.record.steps if self._replay is not None else 0

    @property
    def why_not(self) -> str:
        """Why the steps cannot be opened; empty if they can."""
        return self._why_not if self._replay is None else ""

    @property
    def nbytes(self) -> int:
        """How much memory the record takes, without the rows that were trained on."""
        return self._replay.record.settled().nbytes if self._replay is not None else 0

    @property
    def log(self) -> StepLog:
        """Per-step columns: "step", "epoch", "cost", "learning_rate"; and `log.norms`."""
        if self._log is None:
            self._log = StepLog(self, self.replay.record)
        return self._log

    def open(
        self,
        step: int | None = None,
        *,
        epoch: int | None = None,
        batch: int | None = None,
        x: Any = None,
        y: Any = None,
    ) -> Step:
        """Open a training step: history.open(712), or history.open(epoch=3, batch=5). Both count from 0.

        Args:
            step: the number of the step; negative numbers count from the end.
            epoch, batch: its epoch (as `history.epoch` numbers them) and its place in the epoch; the
                first if not said.
            x, y: the rows that were trained on, if the history no longer has them as they were.

        Raises:
            ArgumentError: if there is no such step; the error says which there are.
            StateError: if the run was not recorded, or the model was changed since.
            DataError: if the rows have changed or are gone, or x, y are others.
        """
        replay = self.replay
        record = replay.record.settled()
        number = self._number(record, step, epoch, batch)
        given: Rows | None = None
        if x is not None:
            given = cast(Any, replay.engine.parts.model).rows_of(x, y)
        columns = replay.trained.columns if replay.trained is not None else ()
        return open_step(replay, number, given, columns)

    def weights_before(self, step: int) -> dict[str, NumPy]:
        """All weights and other values as they were before a step, by path: quicker than opening it.

        Args:
            step: the number of the step; negative numbers count from the end.

        Raises:
            ArgumentError: if there is no such step.
            StateError, DataError: as for `open`.
        """
        replay = self.replay
        number = self.number(step)
        replay.require_same_model()
        state, parts = replay.state_before(number), replay.engine.parts
        return values_by_path(parts.weights, state.weights) | values_by_path(parts.others, state.others)

    def number(self, step: int) -> int:
        """The number of a step; negative numbers count from the end.

        Raises:
            ArgumentError: if there is no such step, or it can no longer be opened.
        """
        return self._number(self.replay.record.settled(), step, None, None)

    def _number(self, record: Record, step: int | None, epoch: int | None, batch: int | None) -> int:
        first, count = record.first_step(), record.steps
        if step is None and epoch is None:
            raise ArgumentError(
                message("say which step.", mend="history.open(0), or history.open(epoch=0, batch=0).")
            )
        if step is not None and (epoch is not None or batch is not None):
            raise ArgumentError(message("a step has one name.", came="a number, and an epoch or batch"))
        for name, value in (("epoch", epoch), ("batch", batch)):
            if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
                raise ArgumentError(message(f"{name} is a whole number.", came=repr(value)))
        there = f"steps {first} to {count - 1}" if count > first else "no steps"
        if step is None:
            assert epoch is not None
            begin = record.facts.first_epoch
            if not begin <= epoch < begin + record.epochs:
                raise ArgumentError(
                    message(
                        "there is no such epoch.",
                        came=f"epoch={epoch}",
                        expected=f"{begin} to {begin + record.epochs - 1}",
                    )
                )
            own = record.steps_of(epoch - begin)
            place = 0 if batch is None else batch
            if not -len(own) <= place < len(own):
                raise ArgumentError(
                    message(
                        f"epoch {epoch} has no such batch.",
                        came=f"batch={batch}",
                        expected=f"0 to {len(own) - 1}",
                    )
                )
            step = own[place]
        if isinstance(step, bool) or not hasattr(step, "__index__"):
            raise ArgumentError(message("a step is a whole number.", came=repr(step), expected=there))
        number = int(step) + (count if step < 0 else 0)
        if not first <= number < count:
            raise ArgumentError(
                message(
                    "there is no such step." if first == 0 else "this step can no longer be opened.",
                    came=str(step),
                    expected=there,
                    mend="batches that came from a generator are kept as long as they fit the budget."
                    if first
                    else "",
                )
            )
        return number

    def costs_at(self, weights: Iterable[Mapping[str, Any]], batch: int | None = None) -> NumPy:
        """The cost at other weights than those of the training, on all rows that were trained on.

        It is the mean loss of the rows and the penalties, with layers as in prediction (no dropout), as
        `evaluate` measures it. The model is not touched.

        Args:
            weights: for each cost, arrays by their paths: {"dense/kernel": ..., "dense/bias": ...}.
                What is left out is as it was when the training ended.
            batch: the number of a step: the cost on the rows of its batch instead.

        Returns:
            The costs, one for each of `weights`.

        Raises:
            ArgumentError: if a path is unknown, or there is no such step.
            ShapeError: if an array has not the shape of its weight.
            StateError: if the run was not recorded, the model was changed since, or its rows came from a
                stream and are no longer there together.
            DataError: if the rows have changed or are gone.

        Example:
            >>> from pellucid import Sequential
            >>> from pellucid.layers import Dense, Input
            >>> model = Sequential([Input(shape=(1,)), Dense(1, use_bias=False)])
            >>> model.compile(optimizer="sgd", loss="mse")
            >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], epochs=3, verbose=0)
            >>> history.costs_at([{"dense/kernel": [[0.0]]}, {"dense/kernel": [[2.0]]}]).tolist()
            [10.0, 0.0]
        """
        replay = self.replay
        replay.require_same_model()
        engine, parts = replay.engine, replay.engine.parts
        if batch is None and replay.trained is None:
            raise StateError(
                message(
                    "this run has no rows together: they came batch by batch.",
                    mend="costs_at(weights, batch=-1) takes those of the last step.",
                )
            )
        data = replay.rows() if replay.trained is not None else None
        if batch is not None:
            data = replay.batch(self.number(batch)).whole
        assert data is not None
        variables = [*parts.weights, *parts.others]
        ended = {each.path: np.asarray(self._final.get(each.path, each.value)) for each in variables}
        # Where rows or their losses do not simply add up, all of them are taken at once.
        losses = [target.loss for target in parts.objective.targets if target.loss is not None]
        adds_up = all(loss.reduction == "sum_over_batch_size" for loss in losses)
        batches = engine.cut(data.count, PREDICTED_AT_ONCE if adds_up else data.count, False)
        if batches.exact:
            batches = engine.cut(data.count, data.count, False)
        at_once = max(1, min(256, TAKEN_AT_ONCE // max(sum(each.nbytes for each in ended.values()), 1)))
        taken = [np.zeros((at_once, *each.shape), each.dtype) for each in ended.values()]
        function = functools.partial(_costs_at, parts, batches)
        args = (tuple(taken), data, np.int32(0))
        program = engine.program("costs", function, batches, *args)
        found: list[NumPy] = []
        given = iter(weights)
        while chunk := list(itertools.islice(given, at_once)):
            for place, changed in enumerate(chunk):
                for into, array in zip(taken, _replaced(ended, changed), strict=True):
                    into[place] = array
            found.append(np.asarray(program(tuple(taken), data, np.int32(len(chunk))))[: len(chunk)])
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    # Keeping it.

    def save(self, path: str | os.PathLike[str], data: str = "auto") -> None:
        """Write the run into one `.pellucid` file: the model, the record, and the data if it is small.

        Args:
            path: the file.
            data: "all" puts the rows that were trained on into the file; "none" only their
                fingerprint, and they are given again to `open`; "auto" puts them there if they take
                less than 64 MB.

        Raises:
            StateError: if the run was not recorded.
            FileError: if the file cannot be written.
            ArgumentError: if the model holds what cannot be written down, such as a lambda.
        """
        packed = keeping.of_history(self._epochs, self.params, self.labels, self.threshold)
        keeping.save(path, self.replay, packed, self._final, data)

    def packed(self) -> keeping.Packed | None:
        """The record as plain data, for a run file of another kind; None if nothing was recorded."""
        if self._replay is None:
            return None
        packed = keeping.pack(self._replay)
        packed.described |= keeping.of_history(self._epochs, self.params, self.labels, self.threshold)
        return packed

    @property
    def columns(self) -> Sequence[str]:
        """The names of the features, if they had names; they can be set."""
        trained = self._replay.trained if self._replay is not None else None
        return () if trained is None else trained.columns

    def comes_from(self, numbers: Any) -> None:
        """Say which rows of a table, counted from 1, the rows are that were trained on."""
        if self._replay is not None and self._replay.trained is not None:
            self._replay.trained.numbers = np.asarray(numbers)

    @columns.setter
    def columns(self, names: Sequence[str]) -> None:
        if self._replay is not None and self._replay.trained is not None:
            self._replay.trained.columns = tuple(names)

    @classmethod
    def load(cls, path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> History:
        """Read a run that `save` wrote, or that `record=DIRECTORY` left, and whose steps can be opened.

        Args:
            path: the file, or the directory.
            custom_objects: layers, losses, ... of your own, by name. No code is read from the file.

        Raises:
            FileError: if there is no such file, or it is damaged or holds no recorded training.
        """
        return cls.of((folders if Path(path).is_dir() else keeping).load(Path(path), custom_objects))

    @classmethod
    def of(cls, kept: keeping.Kept) -> History:
        """The history of what a file gave back."""
        found = cls()
        found._replay, found._why_not = kept.replay, ""
        found._epochs, found.params = kept.epochs, kept.params
        found.labels, found.threshold = kept.labels, kept.threshold
        found._final = {each.path: each.value for each in kept.replay.engine.parts.model.weights}
        found.set_model(kept.replay.engine.parts.model)
        return found

    # Looking at it.

    def view(self, open_browser: bool = True, port: int = 0) -> View:
        """Show the training on a page in the browser: every step, to be opened and played with.

        The page is served by this process, on this machine only, until the view is closed or the process
        ends; it does not keep the process alive (`view.wait()` does, until Ctrl-C). Its address holds a
        token, and who knows it can read the training.

        Args:
            open_browser: whether the page is opened in the browser.
            port: where it is served; 0 takes a port that is free. To see the page of another machine,
                forward the same port: `ssh -L 8080:localhost:8080 ...` with port=8080.

        Returns:
            The view, with its `url`; the same one as long as it is not closed. `close()` ends it, and
            so does the end of a with block.

        Raises:
            StateError: if the training still runs; `fit(..., view=True)` shows it while it does.
            ArgumentError: if there is no such port, or it is taken.
        """
        from pellucid.views.page.server import View

        view = self._view
        if view is None or view.closed:
            if self._running:
                raise StateError(
                    message(
                        "the training is still running.", mend="fit(..., view=True) shows it while it does."
                    )
                )
            view = self._view = View(self, port)
        if open_browser:
            view.show()
        return view

    @contextlib.contextmanager
    def watched(self, asked: Mapping[str, Any] | None, tell: Callable[[str], None]) -> Generator[Gate | None]:
        """Show the training that begins on a page while it runs: gives what `fit` asks before steps.

        Args:
            asked: the arguments of `view`; None shows nothing.
            tell: writes a line on the terminal.
        """
        if asked is None:
            yield None
            return
        from pellucid.views.page.server import watch

        view = self._view = watch(self, asked.get("port", 0), tell)
        tell(f"Watch this training: {view.url}")
        if asked.get("open_browser", True):
            view.show()
        assert view.live is not None
        said = ""
        try:
            yield view.live.gate
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            said = "Stopped by Ctrl-C" if stopped else f"Ended by an error ({type(error).__name__})"
            said += f" after {self.steps:,} steps."
            raise
        finally:
            view.ended(said)

    @property
    def compilations(self) -> int:
        """How many programs have been compiled for the model."""
        return 0 if self._replay is None else self._replay.engine.compilations

    def reached(self, wait: bool = False) -> tuple[int, float | None]:
        """How many epochs have ended, and the cost of the last step that is known.

        Args:
            wait: whether it may be waited for all steps that were started.
        """
        row = None
        if self._replay is not None:
            row = self._replay.record.settled(0 if wait else 1).log.last
        return len(self._epochs), None if row is None else float(row[0])

    def plot(self, metric: str = "loss", ax: Any = None) -> Any:
        """Draw a metric over the epochs, the validation's dashed, and the cost of every step behind it.

        Args:
            metric: a name in `history.history`.
            ax: the matplotlib axes to draw into; new ones if not given.

        Returns:
            A `plots.HistoryDisplay` with `ax_` and `figure_`. Needs matplotlib.
        """
        from pellucid.views import plots

        return plots.HistoryDisplay.from_history(self, metric).plot(ax)

    def export_html(
        self,
        path: str | os.PathLike[str],
        *,
        steps: int | Iterable[int] | None = None,
        budget_mb: float = 5.0,
        data: str = "all",
        title: str | None = None,
        notes: Mapping[int, str] | None = None,
        watch: Callable[[str], None] | None = None,
    ) -> file.Exported:
        """Write the page of this training into one HTML file, which opens from a disk without a network.

        The page lets its reader go through the steps that it holds: the batch, the forward pass with its
        numbers and formulas, the loss of each example, the gradients, the update; the boundary, the cost over
        two weights, and all weights as pictures. It says what it does not hold.

        Args:
            path: the file.
            steps: the numbers of the steps that it shall hold, or how many; if not said, the first of each
                epoch and 60 others. As many come along as fit into the budget, the most telling first.
            budget_mb: how large the file may be, in MB (1 MB is 1,000,000 bytes).
            data: "all"; "sample" shows 8 rows of each batch; "none" shows no row, nor what belongs to one.
            title: the title of the page.
            notes: a text for some of the steps, shown beside them. These steps come along first.
            watch: called with what comes next, in words: a large network takes a minute.

        Returns:
            What was written: `path`, `nbytes`, `steps`, and what was `left_out`, in words.

        Raises:
            StateError: if the run was not recorded, or Pellucid was installed without its page.
            FileError: if the file cannot be written.
            ArgumentError: if there is no such step, or an argument cannot mean anything.

        Example:
            >>> from pellucid import Sequential
            >>> from pellucid.layers import Dense, Input
            >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="zeros")])
            >>> model.compile(optimizer="sgd", loss="mse")
            >>> history = model.fit([[1.0], [2.0]], [[2.0], [4.0]], epochs=3, verbose=0)
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = f"{folder}/training.html"
            ...     written = history.export_html(file, notes={0: "The first guess is 0."})
            >>> written.steps
            (0, 1, 2)
        """
        return file.write(
            self, path, steps=steps, budget_mb=budget_mb, data=data, title=title, notes=notes, watch=watch
        )

    def __repr__(self) -> str:
        steps = f", {self.steps:,} steps to open" if self.steps else ""
        return super().__repr__()[:-1] + f"{steps}>"

    def _repr_html_(self) -> str:
        return notebook.frame(self)


def to_view(view: Any) -> Mapping[str, Any] | None:
    """What `fit(view=...)` asks for: the arguments of `History.view`; None shows nothing.

    >>> to_view(True), to_view({"port": 8080}), to_view(False)
    ({}, {'port': 8080}, None)
    """
    if view is False or view is None:
        return None
    asked: Any = {} if view is True else view
    if not isinstance(asked, Mapping) or not set(cast(Any, asked)) <= {"open_browser", "port"}:
        raise ArgumentError(
            message(
                "view is unknown.",
                came=repr(view),
                expected='True, False, or arguments of history.view: {"open_browser": False, "port": 8080}',
            )
        )
    return cast(Mapping[str, Any], asked)


def _replaced(ended: Mapping[str, NumPy], changed: Mapping[str, Any]) -> list[NumPy]:
    """The arrays of a model, some of them replaced."""
    for path in changed:
        if path not in ended:
            raise ArgumentError(
                message("there is no such weight.", came=repr(path), expected=did_you_mean(path, ended))
            )
        if np.shape(changed[path]) != ended[path].shape:
            raise ShapeError(
                message(
                    f'"{path}" has another shape.',
                    came=np.shape(changed[path]),
                    expected=ended[path].shape,
                )
            )
    return [np.asarray(changed.get(path, value)) for path, value in ended.items()]


def _costs_at(parts: Parts, batches: Batches, many: Values, data: Rows, count: Any) -> Any:
    """The costs on all rows, at the first `count` of many weights, one after the other."""
    first = len(parts.weights)

    def cost_of(values: Values) -> Any:
        def add(total: Any, number: Any, size: int, masked: bool) -> Any:
            batch = batches.take(data, None, number, size, masked)
            forward = parts.forward(values[:first], values[first:], batch.x, training=False)
            return total + parts.cost(forward, batch).astype(jnp.float32) * batch.rows

        return batches.each(0, batches.count, add, jnp.zeros((), jnp.float32)) / batches.rows

    def one(place: Any, costs: Any) -> Any:
        values = tuple(jax.lax.dynamic_index_in_dim(each, place, keepdims=False) for each in many)
        return costs.at[place].set(cost_of(values))

    return jax.lax.fori_loop(0, count, one, jnp.zeros(len(many[0]), jnp.float32))

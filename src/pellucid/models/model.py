"""Models: layers that are compiled, fitted, evaluated, and asked.

compile   says what training is: the loss, the metrics, the optimizer
fit       runs the training step over the rows, epoch by epoch (see step, engine, fitting)
evaluate  measures loss and metrics on other rows
predict   answers for rows
"""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import jax
import numpy as np

from pellucid import keras_files, optimizers, seeds
from pellucid import record as recording
from pellucid.arrays import Arrays, Shape, floatx
from pellucid.callbacks import PREDICT_BATCH, CallbackList
from pellucid.data import (
    Rows,
    Stream,
    as_numbers,
    as_rows,
    column_names,
    is_stream,
    require_finite,
    split_rows,
    unpack,
    with_class_weights,
)
from pellucid.engine import Engine, Predictor, uncompiled
from pellucid.errors import ArgumentError, DataError, StateError, did_you_mean, message
from pellucid.fitting import ArrayTraining, Plan, StreamTraining, evaluate_arrays, evaluate_stream
from pellucid.folders import require_usable
from pellucid.graph import KerasTensor, traced_outputs
from pellucid.history import History, to_view
from pellucid.layers.core import InputLayer
from pellucid.layers.layer import Layer, declares, is_shape
from pellucid.naming import custom_object_scope, deserialize, serialize
from pellucid.objective import Objective
from pellucid.opened import Explanation
from pellucid.progress import Progress
from pellucid.replay import Replay, description
from pellucid.step import Batch, Parts, State, step
from pellucid.summary import print_summary
from pellucid.variables import Scope, Variable, structure

BATCH_SIZE = 32
#: How many numbers a row may have for which a model of one's own is built from its configuration.
LARGEST_ROW = 2**24


class Model(Layer):
    """A layer that can be trained. One of your own holds layers as attributes and overrides `call`.

    Example:
        >>> from pellucid.layers import Dense
        >>> class Line(Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = Dense(1)
        ...     def call(self, inputs):
        ...         return self.dense(inputs)
        >>> model = Line()
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit([[0.0], [1.0]], [[0.0], [2.0]], epochs=2, verbose=0)
        >>> len(history.history["loss"])
        2
    """

    namespace = "keras"
    shown_when_opened = False
    supports_masking = True
    #: What `Model(inputs, outputs)` makes; models/functional.py says it.
    made_of_graph: ClassVar[Any] = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Of inputs and outputs it makes a functional model."""
        made: Any = Model.made_of_graph if cls is Model and _of_graph(args, kwargs) else cls
        return super().__new__(made, *args, **kwargs)

    def __init__(
        self, *args: Any, trainable: bool = True, dtype: Any = None, name: str | None = None, **kwargs: Any
    ):
        if _of_graph(args, kwargs):
            # A class of one's own that calls super().__init__(inputs=..., outputs=...).
            functional = Model.made_of_graph
            self.__class__ = type(
                type(self).__name__,
                (type(self), functional),
                {"__module__": type(self).__module__, "made_from": type(self)},
            )
            functional.__init__(self, *args, trainable=trainable, name=name, **kwargs)
            return
        super().__init__(trainable=trainable, dtype=dtype, name=name, **kwargs)
        self.optimizer: Any = None
        self.history: Any = None
        self.stop_training = False
        self.compiled = False
        self._objective = Objective(None)
        self._compile_config: dict[str, Any] = {}
        self._steps_per_execution = 1
        self._run_eagerly = False
        self._initial_epoch: int | None = None
        self._engine: Engine | None = None
        self._predictor: Predictor | None = None
        self._structure = -1
        self._outputs: dict[Any, Any] = {}
        self._order_spent = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make one from what `get_config` gave; of a graph, the functional model that it is."""
        if "input_layers" in config and cls is Model:
            return Model.made_of_graph.from_config(config, custom_objects)
        if "input_layers" in config:
            return Model.made_of_graph.from_config.__func__(cls, config, custom_objects)
        with custom_object_scope(custom_objects):
            return super().from_config(config)

    # What training is.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say what training is.

        Args:
            optimizer: a name ("adam", "sgd", ...), an optimizer, or an optax transformation.
            loss: a name ("mse", "binary_crossentropy", ...), a loss, or a function
                (y_true, y_pred) -> one loss per example.
            loss_weights: a factor of the loss.
            metrics: what is measured beside the loss: names ("accuracy"), metrics or functions.
            weighted_metrics: the same, with the sample weights.
            run_eagerly: whether the step runs uncompiled, so that print and a debugger work in it.
            steps_per_execution: how many steps run between the batch methods of callbacks.
            jit_compile: accepted; compiling is what this library does.
            auto_scale_loss: whether the optimizer of a model of the policy "mixed_float16" is wrapped in a
                `LossScaleOptimizer`.

        Raises:
            UnknownNameError: if a name is not known.
        """
        self._objective = Objective(loss, metrics, weighted_metrics, loss_weights)
        self.optimizer = optimizers.get(optimizer)
        if auto_scale_loss and self.dtype_policy.name == "mixed_float16":
            self.optimizer = optimizers.scaled(self.optimizer)
        self._compile_config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": bool(jit_compile),
        }
        if not auto_scale_loss:
            # Keras writes nothing of this, and reads it.
            self._compile_config["auto_scale_loss"] = False
        self._steps_per_execution = max(1, int(steps_per_execution))
        self._run_eagerly = run_eagerly
        self._reset_compiled()
        self._order_spent = False
        self.stop_training = False
        self.compiled = True

    @property
    def loss(self) -> Any:
        """The loss, as given to `compile`."""
        return self._objective.given_loss

    @property
    def metrics(self) -> list[Any]:
        """The mean loss and the metrics."""
        return self._objective.all_metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of loss and metrics, in the order that `evaluate` gives them."""
        return self._objective.listed_names()

    def metrics_by_name(self) -> dict[str, Any]:
        """The metrics by their names in the logs."""
        return dict(zip(self._objective.names(), self._objective.all_metrics, strict=True))

    def reset_metrics(self) -> None:
        """Begin all sums anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Loss and metrics from the sums as they are."""
        return {
            name: float(value) if np.ndim(value) == 0 else value
            for name, value in self._objective.results().items()
        }

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` as plain data."""
        if not self.compiled:
            return {}
        config = {**self._compile_config, "optimizer": self.optimizer}
        return {name: serialize(value) for name, value in config.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile again from what `get_compile_config` gave; a `compile` of one's own is left alone."""
        if type(self).compile is not Model.compile:
            warnings.warn(
                "`compile()` was not called as part of model loading because the model's `compile()` method "
                "is custom. Call it on the loaded model, or override `compile_from_config(config)` as well.",
                stacklevel=2,
            )
            return
        self.compile(**deserialize(config))

    def compile_again(self, config: Mapping[str, Any]) -> None:
        """Compile for the training that a record is of, whatever a `compile` of one's own does beside."""
        if type(self).compile_from_config is not Model.compile_from_config:
            self.compile_from_config(config)
        else:
            # The optimizer is the one that trained, wrapped or not.
            Model.compile(self, **{**deserialize(config), "auto_scale_loss": False})

    # The state, by names.

    @property
    def metrics_variables(self) -> list[Variable]:
        """The sums of loss and metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def _state_groups(self) -> dict[str, list[Variable]]:
        return {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": [] if self.optimizer is None else self.optimizer.variables,
            "metrics_variables": self.metrics_variables,
        }

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """The values of all variables, those of optimizer and metrics included, in dicts by their paths.

        Args:
            value_format: "backend_tensor" gives JAX arrays, "numpy_array" NumPy's.

        Raises:
            ArgumentError: if two variables have the same path.

        Example:
            >>> from pellucid import Sequential
            >>> from pellucid.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="ones", name="line")])
            >>> model.get_state_tree("numpy_array")["trainable_variables"]["line"]["kernel"].tolist()
            [[1.0]]
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ArgumentError(
                message(
                    "Invalid `value_format` argument.",
                    came=repr(value_format),
                    expected='"backend_tensor" or "numpy_array"',
                )
            )
        groups = self._state_groups()
        paths = [variable.path for variables in groups.values() for variable in variables]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise ArgumentError(
                message(
                    f"The following variable path is found twice in the model: {twice!r}.",
                    mend="give each layer a name of its own.",
                )
            )
        plain = value_format == "numpy_array"
        found: dict[str, Any] = {}
        for group, variables in groups.items():
            found[group] = {}
            for variable in variables:
                *within, last = variable.path.split("/")
                place = found[group]
                for part in within:
                    place = place.setdefault(part, {})
                place[last] = variable.numpy() if plain else variable.value
        return found

    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Give variables the values of a tree like that of `get_state_tree`; what it leaves out stays.

        Raises:
            ArgumentError: if it names a group of variables that there is not.
        """
        groups = self._state_groups()
        for group, tree in state_tree.items():
            if group not in groups:
                raise ArgumentError(
                    message(
                        "there are no variables of this kind.", came=repr(group), expected=", ".join(groups)
                    )
                )
            known = {variable.path: variable for variable in groups[group]}
            for path, value in _by_path(tree):
                if path in known:
                    known[path].assign(value)

    # Files.

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model into a `.keras` file, which Keras reads too; `load_model` gives it back.

        With the ending `.pellucid` it becomes a run file of the model alone; `history.save` writes the
        whole training.

        Args:
            filepath: the file.
            overwrite: whether a file that is there may be written over.
            zipped: False writes a folder.

        Raises:
            FileError: if it cannot be written there.
            ArgumentError: if the model holds what cannot be written down, such as a lambda.
        """
        keras_files.save_model(self, filepath, overwrite, zipped, **kwargs)

    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the weights, and what the optimizer remembers, into a `.weights.h5` file.

        With `objects_to_skip=[layer]`, without those of these layers.
        """
        keras_files.save_weights(self, filepath, overwrite, max_shard_size, **kwargs)

    def load_weights(
        self, filepath: str | os.PathLike[str], skip_mismatch: bool = False, **kwargs: Any
    ) -> None:
        """Take the weights of a `.weights.h5` or `.keras` file.

        Args:
            filepath: the file.
            skip_mismatch: whether layers that do not fit keep their weights, with a warning.

        Raises:
            FileError: if the file is damaged, or its weights are those of another model.
        """
        keras_files.load_weights(self, filepath, skip_mismatch, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The model without its weights, as JSON; `keras.models.model_from_json` makes it again."""
        return keras_files.to_json(self, **kwargs)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape that the model was built for; None if it was not."""
        return {"input_shape": self.input_shape} if self.built and self.input_shape is not None else None

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the model from what `get_build_config` gave: it makes its weights when first called."""
        if type(self).build is not Layer.build:
            super().build_from_config(config)
        elif (shape := config.get("input_shape")) is not None:
            self(_row_of_zeros(shape))

    # Training.

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        record: Any = "auto",
        view: Any = False,
    ) -> History:
        """Train for a number of epochs.

        Each epoch goes once through the rows, `batch_size` at a time. For each batch: forward, cost,
        gradient, update.

        Args:
            x: rows of features: an array, a data frame, lists, or anything that gives batches
                (x, y) or (x, y, sample_weight).
            y: a target for each row, if x does not give them.
            batch_size: rows in a batch; 32 if not said.
            epochs: the number of the last epoch.
            verbose: 0 is silent, 1 shows a bar, 2 a line an epoch; "auto" is 1.
            callbacks: a list of callbacks.
            validation_split: the part of the rows, the last ones before shuffling, that is held out
                and measured after each epoch.
            validation_data: (x, y) or (x, y, sample_weight) to measure instead.
            shuffle: whether each epoch takes the rows in a new order; "batch" shuffles within batches.
            class_weight: a weight for each class number.
            sample_weight: a weight for each row.
            initial_epoch: the number to begin with, when training goes on.
            steps_per_epoch: steps in an epoch, if not once through the rows.
            validation_steps, validation_batch_size, validation_freq: the same for validation, and
                after which epochs it comes.
            record: what is kept so that every step can be opened: "auto" at most 256 MB in memory,
                the name of a directory as much as needed there, False nothing. The numbers of the
                training are the same, bit for bit.
            view: True shows the training on a page in the browser while it runs, where it can be paused
                and its steps be opened, and afterwards until the process ends; or the arguments of
                `history.view`: {"open_browser": False} only prints the address. While a page is open,
                its questions take a twentieth of the time at most; the numbers of the training are the
                same, bit for bit. A paused training goes on when its page is closed. The page of the
                fit that was shown before is closed; its `history.view()` opens it again.

        Returns:
            The history: `history.history["loss"]` has a value for each epoch, and `history.open(712)`
            opens a training step.

        Raises:
            StateError: if the model was not compiled.
            DataError: if rows or targets cannot be used.
            ShapeError: if the rows do not fit the layers.
        """
        self._require_compiled("fit")
        if self.optimizer is None:
            raise StateError(message("fit needs an optimizer.", mend='compile(optimizer="adam", ...).'))
        batch_size = _at_least_one("batch_size", batch_size)
        epochs = _whole("epochs", epochs)
        shown = to_view(view)
        if shown is not None and recording.wanted(record) is None:
            raise ArgumentError(
                message(
                    "a page shows what is recorded.",
                    came="fit(..., view=True, record=False)",
                    mend="leave out record, or view.",
                )
            )
        steps_per_epoch = _at_least_one("steps_per_epoch", steps_per_epoch)
        source, held_out = self._sources(
            x, y, sample_weight, class_weight, validation_split, validation_data, shuffle
        )
        rows = source if isinstance(source, Rows) else source.peek()
        engine = self._ready(rows, "fit")
        size = batch_size or BATCH_SIZE
        steps = steps_per_epoch or (source.length if isinstance(source, Stream) else -(-rows.count // size))
        if isinstance(source, Rows):
            if steps_per_epoch and batch_size is None:
                size = -(-rows.count // steps_per_epoch)
            source = self._checked(source)
            if shuffle and shuffle != "batch" and not self._order_spent:
                seeds.spend_row_order(source.count)
            if steps_per_epoch not in (None, -(-source.count // size)):
                source = Stream(_Reshuffled(source, size, shuffle))
        else:
            source.prepare = self._prepared
            if source.shuffles and not self._order_spent:
                # Keras looks at a batch of its own to learn the shapes, and draws an order for that.
                source.begin_anew()
        if isinstance(held_out, Rows):
            held_out = self._checked(held_out, "validation ")
        elif held_out is not None:
            held_out.prepare = functools.partial(self._prepared, what="validation ")
        self._order_spent = True

        kept = recording.wanted(record)
        if kept is not None and kept.folder is not None:
            require_usable(kept.folder)
        history = History()
        listed = CallbackList(callbacks, model=self)
        listed.append(history)
        history.set_model(self)
        listed.set_params({"verbose": verbose, "epochs": epochs, "steps": steps})
        self.history = history
        self.stop_training = False
        validation_size = validation_batch_size or size

        def validate() -> dict[str, Any]:
            return self._evaluated(held_out, validation_size, validation_steps, listed, None)

        plan = Plan(
            engine=engine,
            callbacks=listed,
            progress=Progress(verbose, epochs),
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=shuffle,
            validation_freq=validation_freq,
            steps_per_execution=self._steps_per_execution,
            validate=None if held_out is None else validate,
            stopped=lambda: self.stop_training,
            recording=None
            if kept is None
            else functools.partial(self._begin_record, history, kept, source, x),
        )
        if kept is None:
            history.records(None, "fit(..., record=False)")
        self._initial_epoch = None
        with history.watched(shown, plan.progress.say) as plan.gate:
            listed.on_train_begin()
            if self._initial_epoch is not None:
                plan.initial_epoch = self._initial_epoch  # where a backup goes on
            if isinstance(source, Stream):
                training: Any = StreamTraining(plan, source, steps_per_epoch)
            else:
                whole = held_out if isinstance(held_out, Rows) and validation_steps is None else None
                training = ArrayTraining(plan, source, whole, size, validation_size)
            try:
                try:
                    with jax.disable_jit(self._run_eagerly):
                        training.run()
                    self.optimizer.finalize_variable_values(self.trainable_variables)
                finally:
                    plan.progress.stopped()
                # As in Keras: who is interrupted hears of no end.
                listed.on_train_end(dict(history.last))
            finally:
                history.ended()
        return history

    def _begin_record(
        self,
        history: History,
        kept: recording.Kept,
        source: Rows | Stream,
        given: Any,
        facts: recording.Facts,
        orders: recording.Orders | None,
    ) -> recording.Record | None:
        """Begin the record of a training, and let the history open its steps."""
        assert self._engine is not None
        size = recording.size_of(self._engine.parts.read()._replace(metrics=()))
        if kept.folder is None and 3 * size > kept.budget:
            # Two snapshots are the least, and a third is there for a moment.
            history.records(
                None,
                f"a snapshot of this model takes {size / 2**20:,.0f} MB, and a record in memory has "
                f'{kept.budget / 2**20:,.0f} MB; fit(record="DIRECTORY") keeps them on disk',
            )
            return None
        facts.eager = self._run_eagerly or uncompiled()
        record = recording.Record(facts, orders, kept.budget)
        trained = None
        if isinstance(source, Rows):
            trained = recording.Trained.of(source, column_names(given))
        history.records(Replay(self._engine, record, trained, description(self._engine.parts)))
        if kept.folder is not None:
            history.keeps_in(kept.folder)
        return record

    def _sources(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        validation_split: float,
        validation_data: Any,
        shuffle: Any,
    ) -> tuple[Rows | Stream, Rows | Stream | None]:
        """What is trained on, and what is held out, from the arguments of `fit`."""
        if x is None:
            raise ArgumentError(message("fit needs x.", mend="model.fit(X, y, epochs=10)."))
        if isinstance(x, tuple) and y is None:
            raise ArgumentError(
                message(
                    "x and y are two arguments.",
                    came=f"a tuple of {len(cast(Any, x))} as x, and no y",
                    mend="model.fit(X, y), not model.fit((X, y)).",
                )
            )
        held_out: Rows | Stream | None = None
        if is_stream(x):
            if y is not None or sample_weight is not None:
                raise ArgumentError(
                    message("`y` comes with the batches when x gives batches.", came="x and y")
                )
            if validation_split and validation_data is None:
                raise ArgumentError(
                    message(
                        "`validation_split` is only supported for arrays.",
                        came=type(x).__name__,
                        mend="give validation_data=(x, y).",
                    )
                )
            source: Rows | Stream = self._stream(x, class_weight, shuffle)
        else:
            source = self.rows_of(x, y, sample_weight)
            if validation_split and validation_data is None:
                source, held_out = split_rows(source, validation_split)
            source = with_class_weights(
                source, class_weight
            )  # classes are weighted where they are trained on
        if validation_data is not None:
            given = is_stream(validation_data)
            if not given and not isinstance(validation_data, tuple | list):
                raise ArgumentError(
                    message(
                        "validation_data is rows and their targets.",
                        came=type(validation_data).__name__,
                        expected="validation_data=(X, y)",
                    )
                )
            held_out = self._stream(validation_data) if given else self.rows_of(*unpack(validation_data))
        return source, held_out

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Measure loss and metrics on rows, without training on them.

        Returns:
            The loss, or a list of the loss and each metric (as `metrics_names` names them); a dict
            by name with `return_dict`.
        """
        self._require_compiled("evaluate")
        rows: Any = self._stream(x) if is_stream(x) else self.rows_of(x, y, sample_weight)
        self._ready(rows.peek() if isinstance(rows, Stream) else rows, "evaluate")
        if isinstance(rows, Rows):
            rows = self._prepared(rows)
        else:
            rows.prepare = self._prepared
        self._order_spent = True
        listed = CallbackList(callbacks)
        listed.set_model(self)
        with jax.disable_jit(self._run_eagerly):
            logs = self._evaluated(
                rows, _at_least_one("batch_size", batch_size) or BATCH_SIZE, steps, listed, Progress(verbose)
            )
        return logs if return_dict else self._listed(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for rows, as a NumPy array.

        Raises:
            StateError: if the model has no weights and it is not known for which rows to make them.
        """
        size = _at_least_one("batch_size", batch_size) or BATCH_SIZE
        if is_stream(x):
            stream = self._stream(x)
            parts = [self._answers(rows, rows.count) for rows in stream.batches(steps or stream.length)]
            return jax.tree.map(lambda *each: np.concatenate(each), *parts)
        rows = self.rows_of(x)
        if steps is not None:
            rows = rows.part(0, min(rows.count, steps * size))
        listed = CallbackList(callbacks)
        if listed.callbacks:
            listed.set_model(self)
            listed.on_predict_begin()
            if listed.any_overrides(*PREDICT_BATCH):
                return self._watched_answers(rows, size, listed)
        progress = Progress(verbose)
        outputs = self._answers(rows, size, progress)
        listed.on_predict_end()
        return outputs

    def _watched_answers(self, rows: Rows, size: int, listed: CallbackList) -> Arrays:
        parts: list[Any] = []
        for number, start in enumerate(range(0, rows.count, size)):
            listed.on_predict_batch_begin(number)
            parts.append(self._answers(rows.part(start, min(start + size, rows.count)), size))
            listed.on_predict_batch_end(number, {"outputs": parts[-1]})
        listed.on_predict_end()
        return jax.tree.map(lambda *each: np.concatenate(each), *parts)

    def _answers(self, rows: Rows, size: int, progress: Progress | None = None) -> Arrays:
        if not self.built:
            self._build_for_prediction()
        rows = self._adjusted(rows)
        self._renew()
        if self._predictor is None:
            self._predictor = Predictor(Parts(self, Objective(None), None))
        with jax.disable_jit(self._run_eagerly):
            return self._predictor(rows, size, progress)

    def _build_for_prediction(self) -> None:
        raise StateError(
            message(
                "predict before fit: this model has no weights yet.",
                came=f"{self.describe()}, not built",
                expected="a model that was fitted, or that knows the shape of its rows",
                mend="call fit first, or begin the model with keras.Input(shape=(...)).",
            )
        )

    def explain(
        self,
        x: Any,
        *,
        columns: Sequence[str] = (),
        labels: Sequence[str] = (),
        threshold: float = 0.5,
    ) -> Explanation:
        """The forward pass of a row, with all its numbers, to the decision.

        Args:
            x: one row, or several: an array, a list, a frame.
            columns: names of the features, if x is no frame with names.
            labels: what the classes are called: ("benign", "malignant").
            threshold: from which probability on the decision is yes.

        Returns:
            An `Explanation`: `print` tells it as a story; `layers`, `formula(...)` and `decision` give
            the parts.

        Raises:
            StateError: if the model has no weights yet.
            ShapeError: if the row does not fit the layers.

        Example:
            >>> from pellucid import Sequential
            >>> from pellucid.layers import Dense, Input
            >>> model = Sequential([Input(shape=(2,)), Dense(1, "sigmoid", kernel_initializer="ones")])
            >>> model.explain([0.5, 1.5], labels=("benign", "malignant")).decision
            '0.8808 >= 0.5: malignant'
        """
        if not self.built:
            self._build_for_prediction()
        if not 0.0 <= threshold <= 1.0:
            raise ArgumentError(message("threshold is no probability.", came=threshold, expected="0 to 1"))
        names = tuple(columns) or column_names(x)
        known = tuple(getattr(self.history, "columns", ()))
        if names and known and names != known and set(names) == set(known):
            raise ArgumentError(
                message(
                    "the columns come in another order than the model was trained on.",
                    came=", ".join(names),
                    expected=", ".join(known),
                )
            )
        if isinstance(x, Mapping):
            values = cast(Mapping[str, Any], x)
            if all(np.ndim(value) == 0 for value in values.values()):
                x, names = self._named_row(values, known)
        wanted = self.input_shape
        if isinstance(wanted, tuple) and not isinstance(x, Mapping):
            array = as_numbers(x)
            x = array[None] if array.ndim == len(cast(Shape, wanted)) - 1 else array
        rows = self.rows_of(x)
        if names and isinstance(rows.x, np.ndarray) and len(names) != cast(Any, rows.x).shape[-1]:
            raise ArgumentError(
                message(
                    "columns does not fit the row.",
                    came=f"{len(names)} names",
                    expected=f"{cast(Any, rows.x).shape[-1]}",
                )
            )
        said = tuple(map(str, labels))
        wide = self._numbers_of_row()
        if said and wide is not None and len(said) not in ((2,) if wide == 1 else (wide,)):
            raise ArgumentError(
                message("labels does not fit the outputs.", came=said, expected=f"{max(wide, 2)} labels")
            )
        parts = Parts(self, self._objective, None)
        return Explanation.of(parts, rows.x, names, said, threshold)

    def _numbers_of_row(self) -> int | None:
        """How many numbers the model gives for a row, if that is known."""
        shape = getattr(self, "output_shape", None)
        return shape[-1] if isinstance(shape, tuple) and len(cast(Shape, shape)) == 2 else None

    def _named_row(self, values: Mapping[str, Any], known: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        """One row, given as values by name."""
        names = known or tuple(values)
        if set(names) != set(values):
            raise ArgumentError(
                message(
                    "a row has a value for each column.", came=", ".join(values), expected=", ".join(names)
                )
            )
        return np.asarray([[values[name] for name in names]], np.float32), names

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step on these rows; gives loss and metrics of the batch before the update."""
        self._require_compiled("train_on_batch")
        engine = self._ready(rows := self.rows_of(x, y, sample_weight, class_weight), "train_on_batch")
        rows = self._checked(rows)
        self._order_spent = True
        plan = Plan(engine, CallbackList(), Progress(0), 1)
        with jax.disable_jit(self._run_eagerly):
            _, logs = StreamTraining(plan, Stream([]), None).one_step(rows, engine.no_sums())
        named = engine.named(np.asarray(logs)[0])
        return named if return_dict else self._listed(named)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch."""
        self._require_compiled("test_on_batch")
        rows = self.rows_of(x, y, sample_weight)
        self._ready(rows, "test_on_batch")
        self._order_spent = True
        logs = self._evaluated(self._checked(rows), rows.count, None, CallbackList(), None)
        return logs if return_dict else self._listed(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as a NumPy array."""
        rows = self.rows_of(x)
        return self._answers(rows, rows.count)

    # What the above share.

    def _require_our_step(self) -> None:
        """Refuse a training step of one's own: there is one step here, and it is the one that opens."""
        for kind in type(self).__mro__:
            if kind.__module__.startswith("pellucid."):
                return
            own = [name for name in _STEP_OF_ONES_OWN if name in vars(kind)]
            if own:
                raise StateError(
                    message(
                        f"{kind.__name__} has a {own[0]}() of its own, and there is one training step here: "
                        "the one that can be opened.",
                        came=", ".join(f"{kind.__name__}.{name}" for name in own),
                        expected="a loss, add_loss() in call(), metrics, and an optimizer",
                        mend="write what it computes as a loss function or with self.add_loss(...).",
                    )
                )

    def _require_compiled(self, asked: str) -> None:
        self._require_our_step()
        if not self.compiled:
            raise StateError(
                message(
                    f"You must call `compile()` before using the model: {asked}() does not know the loss.",
                    mend="model.compile(optimizer='adam', loss='mse').",
                )
            )

    def _ready(self, rows: Rows, asked: str) -> Engine:
        """Build what is not built for these rows, settle the objective, and give the engine."""
        rows = self._adjusted(rows)
        if not self.built:
            self.build_for(jax.tree.map(lambda array: (None, *array.shape[1:]), rows.x))
        if rows.y is None and self._objective.needs_targets:
            raise StateError(
                message(
                    f"{asked} needs targets: the loss compares the outputs with y.",
                    came="y=None",
                    expected=f"a target for each of the {rows.count} rows",
                )
            )
        self._renew()
        engine = self._engine
        if engine is None:
            outputs = self._output_spec(rows)
            if not self._objective.resolved:
                # Targets that are refused must not settle which accuracy is meant.
                self._checked(rows)
            self._objective.resolve(rows.y, outputs, self._names_of_outputs())
            if self.optimizer is None:
                pass  # what is only evaluated needs none
            elif not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            else:
                for variable in self.trainable_variables:
                    self.optimizer.add_slots(variable)
            engine = self._engine = Engine(Parts(self, self._objective, self.optimizer))
        return engine

    def _renew(self) -> None:
        """Drop what was compiled for other variables than the model has now."""
        if self._structure == structure():
            return
        moved, others = self.trainable_variables, self.non_trainable_variables
        for compiled in (self._engine, self._predictor):
            if compiled is not None and (compiled.parts.weights, compiled.parts.others) != (moved, others):
                self._reset_compiled()
        self._structure = structure()

    def _reset_compiled(self) -> None:
        self._engine = self._predictor = None
        self._outputs = {}

    def _output_spec(self, rows: Rows) -> Any:
        key = tuple((array.shape[1:], array.dtype) for array in jax.tree.leaves(rows.x))
        if key not in self._outputs:
            self._outputs[key] = self._trace_outputs(rows)
        return self._outputs[key]

    def _trace_outputs(self, rows: Rows) -> Any:
        parts = Parts(self, Objective(None), None)
        state = parts.read()
        # Layers that keep a state for each row take batches of just the size that was declared.
        declared = [shape[0] for shape in jax.tree.leaves(self.input_shape, is_leaf=is_shape) if shape]
        count = next((size for size in declared if size is not None), rows.count)
        specs = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), rows.x)
        return jax.eval_shape(
            lambda x: parts.forward(state.weights, state.others, x, training=False).outputs, specs
        )

    def rows_of(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
    ) -> Rows:
        """What a user gave, as rows: inputs, targets and weights in the order of the model's."""
        rows = self._adjusted(
            as_rows(x, y, sample_weight, class_weight, *self._counts(), texts=self._takes_texts())
        )
        if not any(isinstance(each, list | dict) for each in (rows.y, rows.weight)):
            return rows
        names = self._names_of_outputs()
        if names is None:
            if not self.built:
                self.build_for(jax.tree.map(lambda array: (None, *array.shape[1:]), rows.x))
            outputs = self._output_spec(rows)
            count = len(jax.tree.leaves(outputs))
            names = sorted(outputs) if isinstance(outputs, dict) else [f"output_{n}" for n in range(count)]
        y, weight = _in_order(rows.y, names, "y"), _in_order(rows.weight, names, "sample_weight")
        if isinstance(weight, list):
            # Rows that are given no weights for one output count as they are.
            weight = [np.ones(rows.count, np.float32) if each is None else each for each in weight]
        return Rows(rows.x, y, weight, rows.counted)

    def _stream(
        self, x: Any, class_weight: Mapping[Any, float] | None = None, shuffle: Any = False
    ) -> Stream:
        """Batches, each made rows as this model takes them."""
        stream = Stream(x, class_weight, shuffle)
        stream.make = self.rows_of
        return stream

    def _counts(self) -> tuple[int | None, int | None]:
        """How many inputs and outputs there are, if that is known."""
        return None, None

    def _takes_texts(self) -> bool:
        """Whether layers that work on the host come first, and so rows may hold texts."""
        return False

    def _names_of_outputs(self) -> list[str] | None:
        """The names of the outputs, if they are known."""
        return None

    def _adjusted(self, rows: Rows) -> Rows:
        """Rows of single numbers, (n,), become (n, 1) where the model needs that."""
        if not isinstance(rows.x, np.ndarray):
            return rows
        x = cast(Any, rows.x)
        if x.ndim == 1 and self._takes_columns():
            return Rows(x[:, None], rows.y, rows.weight, rows.counted)
        return rows

    def _takes_columns(self) -> bool:
        shape = self.input_shape
        return isinstance(shape, tuple) and len(cast(Shape, shape)) == 2 and shape[-1] == 1

    def _prepared(self, rows: Rows, what: str = "") -> Rows:
        return self._checked(self._adjusted(rows), what)

    def _checked(self, rows: Rows, what: str = "") -> Rows:
        """Refuse numbers that are not finite, and labels that are no classes of the loss."""
        if self._takes_finite_only():
            jax.tree.map(lambda array: require_finite(array, f"{what}x"), rows.x)
        known = [target.loss for target in self._objective.targets if target.loss is not None]
        if rows.y is not None and known and all(declares(loss, "rows_independent") for loss in known):
            jax.tree.map(lambda array: require_finite(array, f"{what}y"), rows.y)
            self._objective.check_targets(rows.y, self._output_spec(rows))
        jax.tree.map(lambda array: require_finite(array, f"{what}sample_weight"), rows.weight)
        return rows

    def _takes_finite_only(self) -> bool:
        """Whether all layers are ours: a layer of one's own may know what to do with missing numbers."""
        return all(type(layer).__module__.startswith("pellucid.") for layer in self.sublayers)

    def _evaluated(
        self, rows: Any, size: int, steps: int | None, listed: CallbackList, progress: Progress | None
    ) -> dict[str, Any]:
        assert self._engine is not None
        listed.on_test_begin()
        if isinstance(rows, Stream):
            logs = evaluate_stream(self._engine, rows, steps, listed, progress)
        else:
            if steps is not None:
                rows = rows.part(0, min(rows.count, steps * size))
            logs = evaluate_arrays(self._engine, rows, size, listed, progress)
        listed.on_test_end(logs)
        return logs

    def _listed(self, logs: dict[str, Any]) -> Any:
        values = [logs[name] for name in self.metrics_names if name in logs]
        return values[0] if len(values) == 1 else values

    # What a call does.

    def build(self, input_shape: Any = None, **more_shapes: Any) -> None:
        """Build all layers for batches of this shape, by tracing the call."""
        if type(self).call is Layer.call or (input_shape is None and not more_shapes):
            return
        self._trace_call(input_shape, more_shapes)

    def _trace_call(self, input_shape: Any, more_shapes: Mapping[str, Any]) -> None:
        def tensors(shapes: Any) -> Any:
            return jax.tree.map(
                lambda shape: KerasTensor(shape, self.compute_dtype), shapes, is_leaf=is_shape
            )

        def call(*args: Any, **kwargs: Any) -> Any:
            # What the call assigns is dropped with the scope.
            own = self.variables
            with Scope(own, [variable.value for variable in own])() as scope:
                scope.training, scope.building = False, True
                return self.call(*args, **kwargs)

        named = {name.removesuffix("_shape"): tensors(shape) for name, shape in more_shapes.items()}
        traced_outputs(call, (tensors(input_shape),), named)

    def gradients(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """The gradients of the cost of these rows, as one batch, by each weight; nothing is moved.

        Args:
            x, y, sample_weight: rows, as `fit` takes them.

        Returns:
            NumPy arrays by the weights' paths: `{"dense/kernel": ..., "dense/bias": ...}`. Layers behave
            as in training, with the random numbers that the next training step would draw.

        Example:
            >>> from pellucid import Sequential
            >>> from pellucid.layers import Dense, Input
            >>> model = Sequential([Input(shape=(1,)), Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse")
            >>> model.gradients([[1.0], [2.0]], [[0.0], [0.0]])["dense/kernel"].tolist()
            [[5.0]]
        """
        self._require_compiled("gradients")
        engine = self._ready(rows := self.rows_of(x, y, sample_weight), "gradients")
        rows, parts = self._checked(rows), engine.parts
        batch = Batch(rows.x, rows.y, rows.weight, None, np.int32(rows.count))
        state = parts.read()._replace(metrics=engine.no_sums())

        def found(state: State, batch: Batch) -> Any:
            return step(parts, state, batch._replace(rows=rows.count))[1].gradients

        values = engine.program("gradients", found, rows.count, state, batch)(state, batch)
        return {weight.path: np.asarray(value) for weight, value in zip(parts.weights, values, strict=True)}

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The call as a function of the variables' values; the variables stay as they are.

        Returns:
            (outputs, values of the non-trainable variables after it), and the losses with `return_losses`.
        """
        moved, others = self.trainable_variables, self.non_trainable_variables
        with Scope([*moved, *others], [*trainable_variables, *non_trainable_variables])() as scope:
            outputs = self(*args, **kwargs)
            penalties = [v.regularizer(v.value) for v in moved if v.regularizer is not None]
        after = list(scope.after(others))
        return (outputs, after, [*scope.losses, *penalties]) if return_losses else (outputs, after)

    # Looking at a model.

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self.sublayers if not isinstance(layer, InputLayer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name or number."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(
                    message(
                        "there is no such layer.", came=f"index={index}", expected=f"0 to {len(layers) - 1}"
                    )
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in layers]
        raise ArgumentError(
            message(f"No such layer: {name}.", came=repr(name), expected=did_you_mean(str(name), known))
        )

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[..., Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers, their output shapes and how many numbers their weights hold."""
        print_summary(self, line_length, print_fn, expand_nested, show_trainable)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


#: Under this name come rows that layers on the host have worked on already.
AHEAD = "computed ahead, on the host"

#: What a model of Keras can override to train in another way.
_STEP_OF_ONES_OWN = (
    *("train_step", "test_step", "compute_loss", "compute_metrics"),
    *("make_train_function", "make_test_function"),
)


def _by_path(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values in dicts within dicts, each with its path."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _by_path(cast(Mapping[str, Any], value), f"{before}{name}/")
        else:
            yield f"{before}{name}", value


def _of_graph(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a model is made of inputs and outputs."""
    return len(args) >= 2 or bool(args and "outputs" in kwargs) or {"inputs", "outputs"} <= set(kwargs)


def _in_order(given: Any, names: Sequence[str], what: str) -> Any:
    """What was given for several outputs as a list, one entry for each; for one output as the array."""
    if isinstance(given, dict):
        unknown = set(given) - set(names)
        if unknown:
            raise DataError(
                message(
                    f"{what} names outputs that the model does not have.",
                    came=", ".join(map(repr, given)),
                    expected=", ".join(map(repr, names)),
                )
            )
        given = [cast(dict[str, Any], given).get(name) for name in names]
    if not isinstance(given, list):
        return given
    entries = cast(list[Any], given)
    if len(entries) != len(names):
        raise DataError(
            message(
                f"the model has {len(names)} outputs, and {what} as many arrays.",
                came=f"{len(entries)} arrays",
                expected=", ".join(names),
            )
        )
    return entries[0] if len(entries) == 1 else entries


class _Reshuffled:
    """Batches of an array that go on over the epochs: for epochs that are not once through the rows."""

    def __init__(self, rows: Rows, size: int, shuffle: Any) -> None:
        self.rows, self.size, self.shuffle = rows, size, shuffle
        #: Which rows the batch has that was given last.
        self.places: Any = None

    def __iter__(self) -> Iterator[Any]:
        count = self.rows.count
        order = seeds.row_order(count) if self.shuffle else np.arange(count)
        for start in range(0, count, self.size):
            places = self.places = order[start : start + self.size]
            part = jax.tree.map(lambda array, places=places: array[places], self.rows)
            yield (part.x, part.y, part.weight) if part.weight is not None else (part.x, part.y)


def _row_of_zeros(shape: Any) -> Any:
    """One row of zeros of the shape of a batch, or of each batch of a list or dict of them."""
    if isinstance(shape, Mapping):
        return {name: _row_of_zeros(each) for name, each in cast(Mapping[str, Any], shape).items()}
    sizes = cast(Sequence[Any], shape)
    if not all(size is None or isinstance(size, int) for size in sizes):
        return [_row_of_zeros(each) for each in sizes]
    whole = tuple(1 if size is None else int(size) for size in sizes)
    if math.prod(whole) > LARGEST_ROW:
        raise ArgumentError(message("there is no room for rows of this shape.", came=whole))
    return np.zeros(whole, floatx())


def _at_least_one(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ArgumentError(
            message(f"{name} does not fit.", came=repr(value), expected="a whole number, 1 or more")
        )
    return int(value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__int__") or int(value) != value or value < 0:
        raise ArgumentError(
            message(f"{name} does not fit.", came=repr(value), expected="a whole number, 0 or more")
        )
    return int(value)

"""Models that both libraries write into files and read from them; run by either, in any process.

python keras_files_cases.py write keras FOLDER    writes FOLDER/keras-NAME.keras for each case
python keras_files_cases.py read keras FOLDER     reads all files there, and says what it found
"""

import json
import os
import pathlib
import sys
import warnings

import numpy as np

from configuration_cases import configurations

ROWS = 20
#: Keras goes by the default policy when it reads whether the cost was scaled.
POLICIES = {"halves": "mixed_float16"}


def rows(*shape):
    return np.random.default_rng(3).normal(size=(ROWS, *shape)).astype("float32")


def labels():
    return (rows(4)[:, :1] > 0).astype("float32")


def cases(keras):
    """For each name: what makes a compiled model, its inputs and its targets."""
    layers = keras.layers

    def compiled(model, optimizer, loss="binary_crossentropy", metrics=("accuracy",)):
        model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
        return model

    def dense():
        regularizer = keras.regularizers.L2(0.01)
        hidden = layers.Dense(5, activation="relu", kernel_regularizer=regularizer, name="hidden")
        model = keras.Sequential([keras.Input((4,)), hidden, layers.Dense(1, activation="sigmoid")])
        optimizer = keras.optimizers.Adam(0.01, clipnorm=1.0, amsgrad=True)
        return compiled(model, optimizer, metrics=["accuracy", keras.metrics.AUC()])

    def unbuilt():
        model = keras.Sequential([layers.Dense(3, "tanh", kernel_constraint="max_norm"), layers.Dense(1)])
        optimizer = keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True)
        return compiled(model, optimizer, keras.losses.Huber(0.5), ["mae"])

    def normalized():
        middle = [layers.BatchNormalization(), layers.LayerNormalization(), layers.Dropout(0.3, seed=5)]
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), *middle, layers.Dense(1, "sigmoid")])
        return compiled(model, keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True))

    def nested():
        inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, "relu"), layers.Dense(2)], name="inner")
        frozen = layers.Dense(2, trainable=False)
        outer = [keras.Input((4,)), layers.Dense(3), inner, frozen, layers.Dense(1, "sigmoid")]
        rate = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.9)
        optimizer = keras.optimizers.Nadam(rate)
        return compiled(keras.Sequential(outer), optimizer, keras.losses.binary_crossentropy)

    def functional():
        age, size = keras.Input((1,), name="age"), keras.Input((3,), name="size")
        shared = layers.Dense(2, activation="relu", name="shared")
        both = layers.Concatenate()([shared(layers.Dense(2)(age)), shared(layers.Dense(2)(size)), age])
        model = keras.Model([age, size], layers.Dense(1, activation="sigmoid", name="ill")(both))
        return compiled(model, "adam")

    def branches():
        inside = keras.Input((4,))
        inner = keras.Model(inside, layers.Add()([layers.Dense(4)(inside), inside]), name="inner")
        inputs = keras.Input((4,))
        answer = layers.Dense(1, activation="sigmoid", name="ill")(inner(inputs))
        model = keras.Model(inputs, [answer, layers.Dense(2, name="size")(inner(answer * inputs))])
        losses = {"ill": "binary_crossentropy", "size": "mse"}
        model.compile(optimizer="sgd", loss=losses, metrics={"ill": ["accuracy"], "size": ["mae"]})
        return model

    def parted():
        inputs = keras.Input((5, 4))
        kept = [inputs[:, 1:], inputs[..., 1:, ::2], inputs[:, -1], inputs[..., 0], inputs[:, 2, None, 1:3]]
        found = [layers.Dense(2)(each) for each in kept]
        joined = layers.Concatenate()([layers.Flatten()(each) for each in [*found, found[0][:, 0]]])
        return compiled(keras.Model(inputs, layers.Dense(1, activation="sigmoid")(joined)), "adam")

    def halves():
        keras.config.set_dtype_policy("mixed_float16")
        hidden = [layers.Dense(5, activation="relu"), layers.Dense(3, activation="tanh")]
        model = keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(1, dtype="float32")])
        compiled(model, keras.optimizers.Adam(0.01, amsgrad=True), "mse", ["mae"])
        keras.config.set_dtype_policy("float32")
        return model

    def wrapped():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu"), layers.Dense(1)])
        inner = keras.optimizers.SGD(0.01, momentum=0.9)
        optimizer = keras.optimizers.LossScaleOptimizer(inner, 2.0**5, 2, name="scaled")
        return compiled(model, optimizer, "mse", [])

    def images():
        convolved = [layers.Conv2D(3, 3, activation="relu", padding="same"), layers.MaxPooling2D()]
        separable = layers.SeparableConv2D(2, 2, depthwise_initializer="he_normal")
        model = [
            keras.Input((6, 6, 2)),
            *convolved,
            separable,
            layers.Flatten(),
            layers.PReLU(),
            layers.Dense(1),
        ]
        return compiled(keras.Sequential(model), "adam", "mse", [])

    def sequences():
        both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
        each = layers.TimeDistributed(layers.Dense(2, activation="relu"))
        end = [
            each,
            layers.RNN([layers.GRUCell(2), layers.LSTMCell(2)]),
            layers.Dense(1, activation="sigmoid"),
        ]
        return compiled(keras.Sequential([keras.Input((4,)), layers.Embedding(7, 3), both, *end]), "adam")

    @keras.saving.register_keras_serializable("cases")
    class Scaled(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.inner = layers.Dense(units)

        def build(self, input_shape):
            self.factor = self.add_weight(shape=(), initializer="ones", name="factor")
            self.inner.build(input_shape)

        def call(self, inputs):
            return self.inner(inputs) * self.factor

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], self.units)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    @keras.saving.register_keras_serializable("cases")
    class Tower(keras.Model):
        def __init__(self, width=3, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.out = layers.Dense(1, activation=third)
            self.dense = layers.Dense(width)
            self.blocks = [layers.Dense(2), [layers.Dense(3), Scaled(4)]]
            self._hidden = layers.Dense(4, activation="tanh")
            self.table = {"b": layers.Dense(5)}

        def call(self, inputs):
            x = self.blocks[0](self.dense(self._hidden(inputs)))
            return self.out(self.table["b"](self.blocks[1][1](self.blocks[1][0](x))))

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    @keras.saving.register_keras_serializable("cases")
    def halved(y_true, y_pred):
        return keras.losses.mean_squared_error(y_true, y_pred) / 2

    @keras.saving.register_keras_serializable("cases")
    def third(x):
        return x / 3

    def own():
        model = Tower(2)
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss=halved, metrics=["mae"])
        return model

    table = rows(4), labels()
    return {
        "functional": (functional, [table[0][:, :1], table[0][:, 1:]], table[1]),
        "branches": (branches, table[0], [table[1], rows(2)]),
        "own": (own, *table),
        "sequences": (sequences, np.abs(rows(4) * 3).astype("int32") % 7, table[1]),
        "parted": (parted, rows(5, 4), table[1]),
        "halves": (halves, *table),
        "wrapped": (wrapped, *table),
        "images": (images, rows(6, 6, 2), table[1]),
        "dense": (dense, *table),
        "unbuilt": (unbuilt, *table),
        "normalized": (normalized, *table),
        "nested": (nested, *table),
    }


def write(keras, library, folder):
    """Train each model for an epoch, and save it."""
    for name, (make, x, y) in cases(keras).items():
        model = make()
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        model.save(folder / f"{library}-{name}.keras")
        model.save_weights(folder / f"{library}-{name}.weights.h5")


def answers(model, x):
    """The outputs for rows, in a list."""
    outputs = model.predict(x, verbose=0)
    return outputs if isinstance(outputs, list) else [outputs]


def read(keras, folder):
    """What each model of the files there says, and how it goes on training."""
    found = {}
    for name, (_, x, y) in cases(keras).items():
        for author in ("keras", "pellucid"):
            keras.config.set_dtype_policy(POLICIES.get(name, "float32"))
            model = keras.models.load_model(folder / f"{author}-{name}.keras")
            keras.config.set_dtype_policy("float32")
            model.load_weights(folder / f"{author}-{name}.weights.h5")
            key = f"{author}-{name}"
            found |= {f"{key}/predicted{n}": each for n, each in enumerate(answers(model, x))}
            found[f"{key}/iterations"] = np.array(int(model.optimizer.iterations))
            history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
            found |= {f"{key}/{metric}": np.array(values) for metric, values in history.items()}
            found |= {f"{key}/after{n}": each for n, each in enumerate(answers(model, x))}
            if hasattr(model.optimizer, "dynamic_scale"):
                found[f"{key}/scale"] = np.asarray(model.optimizer.dynamic_scale)
    return found


def main(what, library, folder):
    """Write the files, or read them and write down what was found."""
    if library == "keras":
        os.environ["KERAS_BACKEND"] = "jax"
        import keras
    else:
        import pellucid as keras
    folder = pathlib.Path(folder)
    # An optimizer that was not loaded is only warned of.
    warnings.filterwarnings("error", message="Skipping")
    keras.utils.set_random_seed(7)
    if what == "write":
        write(keras, library, folder)
        if library == "keras":
            found = configurations(keras, json.loads((folder / "names.json").read_text()))
            (folder / f"{library}-configurations.json").write_text(json.dumps(found))
    else:
        np.savez(folder / f"{library}-{what}.npz", **read(keras, folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A layer, a loss, a metric and a model of one's own, written with keras.ops."""

import json

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="tutorial")
class Quadratic(layers.Layer):
    """Units that see products of their inputs, too."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        """Make the weights."""
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
        )
        self.q = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="q"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

    def call(self, inputs):
        """x*w + x^2*q + b"""
        return ops.matmul(inputs, self.w) + ops.matmul(ops.square(inputs), self.q) + self.b

    def get_config(self):
        """What it was made with."""
        return {**super().get_config(), "units": self.units}


def soft_huber(y_true, y_pred):
    """Squares near zero, and straight lines far from it."""
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(error < 1.0, 0.5 * ops.square(error), error - 0.5), axis=-1)


class WithinHalf(keras.metrics.Metric):
    """The share of answers that are off by less than a half."""

    def __init__(self, name="within_half", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count those of a batch."""
        near = ops.cast(ops.less(ops.abs(y_true - y_pred), 0.5), "float32")
        self.hits.assign_add(ops.sum(near))
        self.seen.assign_add(ops.cast(ops.size(near), "float32"))

    def result(self):
        """The share so far."""
        return self.hits / self.seen


class Net(keras.Model):
    """Quadratic units, dropout, and one answer."""

    def __init__(self):
        super().__init__()
        self.quadratic = Quadratic(6)
        self.dropout = layers.Dropout(0.1)
        self.out = layers.Dense(1)

    def call(self, inputs, training=False):
        """The answer."""
        x = ops.relu(self.quadratic(inputs))
        x = self.dropout(x, training=training)
        return self.out(x)


keras.utils.set_random_seed(2)
random = np.random.default_rng(4)
x = random.normal(size=(260, 3)).astype("float32")
y = (x[:, :1] ** 2 - x[:, 1:2] + 0.1 * random.normal(size=(260, 1))).astype("float32")

model = Net()
model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss=soft_huber, metrics=[WithinHalf()])
history = model.fit(x, y, epochs=6, batch_size=32, validation_split=0.2, verbose=0)
print(
    json.dumps(
        {
            "history": history.history,
            "evaluated": model.evaluate(x, y, verbose=0),
            "weights": [np.asarray(w).ravel()[:3].tolist() for w in model.trainable_weights],
            "units": model.quadratic.get_config()["units"],
        }
    )
)

"""Handwritten digits: three layers, and a softmax that is part of the loss."""

import json
import logging

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.keras.activations import linear, relu, sigmoid
from tensorflow.keras.layers import Dense
from tensorflow.keras.losses import SparseCategoricalCrossentropy
from tensorflow.keras.models import Sequential

logging.getLogger("tensorflow").setLevel(logging.ERROR)
tf.autograph.set_verbosity(0)

X, y = load_digits(return_X_y=True)
X = X / 16.0
y = y.reshape(-1, 1)
print("The shape of X is: " + str(X.shape))


def my_softmax(z):
    """The softmax of a vector."""
    ez = np.exp(z)
    return ez / np.sum(ez)


z = np.array([1.0, 2.0, 3.0, 4.0])
print(f"my_softmax(z):         {my_softmax(z)}")
print(f"tensorflow softmax(z): {tf.nn.softmax(z)}")

tf.random.set_seed(1234)  # for consistent results
model = Sequential(
    [
        tf.keras.Input(shape=(64,)),
        Dense(25, activation=relu, name="L1"),
        Dense(15, activation="relu", name="L2"),
        Dense(10, activation=linear, name="L3"),
    ],
    name="my_model",
)
model.summary()
[layer1, layer2, layer3] = model.layers
W1, b1 = layer1.get_weights()
print(f"W1 shape = {W1.shape}, b1 shape = {b1.shape}")

model.compile(
    loss=SparseCategoricalCrossentropy(from_logits=True),
    optimizer=tf.keras.optimizers.Adam(learning_rate=0.001),
)
history = model.fit(X, y, epochs=20)

image_of_two = X[2]
prediction = model.predict(image_of_two.reshape(1, 64))
print(f" predicting a Two: \n{prediction}")
print(f" Largest Prediction index: {np.argmax(prediction)}")
prediction_p = tf.nn.softmax(prediction)
print(f"Total of predictions: {np.sum(prediction_p):0.3f}")
yhat = np.argmax(prediction_p)

logits = model(X[:50])
errors = int(np.sum(np.argmax(tf.nn.softmax(logits).numpy(), axis=1) != y[:50, 0]))
print(f"{errors} errors out of 50 images, sigmoid(0) = {float(sigmoid(np.zeros(1))[0])}")

print(
    json.dumps(
        {
            "history": history.history,
            "prediction": prediction_p.numpy().ravel().tolist(),
            "yhat": int(yhat),
            "errors": errors,
            "softmax": tf.nn.softmax(z).numpy().tolist(),
            "first weights": W1[0, :4].tolist(),
        }
    )
)

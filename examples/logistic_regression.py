"""Logistic regression: one unit with a sigmoid tells malignant from benign by two features.

The unit computes z = w1 * x1 + w2 * x2 + b and then the probability sigmoid(z) = 1 / (1 + exp(-z)).
Where z = 0 the probability is one half: a straight line that divides the two kinds.
"""

import csv
import math
from pathlib import Path

import numpy as np

import pellucid as keras

with open(Path(__file__).with_name("tumours.csv"), newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
features = ["mean_radius", "mean_texture"]
table = np.array([[float(row[name]) for name in features] for row in rows])
y = np.array([1 if row["diagnosis"] == "malignant" else 0 for row in rows])

# Standardise: x1 and x2 count in standard deviations from the mean of their column.
X = (table - table.mean(axis=0)) / table.std(axis=0)

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input(shape=(2,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.05), loss="binary_crossentropy", metrics=["accuracy"]
)
model.fit(X, y, epochs=50, batch_size=32, verbose=0)
cost, accuracy = model.evaluate(X, y, verbose=0)

kernel, bias = model.layers[0].get_weights()
w1, w2, b = float(kernel[0, 0]), float(kernel[1, 0]), float(bias[0])
print(f"w1 = {w1:.3f} ({features[0]}), w2 = {w2:.3f} ({features[1]}), b = {b:.3f}")
print(f"cost {cost:.4f}, accuracy {accuracy:.4f}")
print(f"the line between the kinds: {w1:.3f} * x1 + {w2:.3f} * x2 + {b:.3f} = 0")

# One prediction worked by hand: the first row of the table.
x1, x2 = X[0]
z = w1 * x1 + w2 * x2 + b
probability = 1 / (1 + math.exp(-z))
print(f"row 1: x1 = {x1:.3f}, x2 = {x2:.3f}")
print(f"       z = {w1:.3f} * {x1:.3f} + {w2:.3f} * {x2:.3f} + {b:.3f} = {z:.3f}")
print(f"       sigmoid({z:.3f}) = 1 / (1 + exp({-z:.3f})) = {probability:.4f}")
answer = model.predict(X[:1], verbose=0)[0, 0]
print(f"       model.predict says {answer:.4f}; the tumour is {rows[0]['diagnosis']}")

"""A training step, opened: what happened in the step in which the network was most wrong?

Trains the network of the thread on the tumours, looks for the step with the highest cost among the last
epochs, opens it, and asks which tumours pushed the weights so hard.
"""

import csv
from pathlib import Path

import numpy as np

import pellucid as keras

with open(Path(__file__).with_name("tumours.csv"), newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
names = [name for name in rows[0] if name != "diagnosis"]
table = np.array([[float(row[name]) for name in names] for row in rows])
y = np.array([1 if row["diagnosis"] == "malignant" else 0 for row in rows])
X = (table - table.mean(axis=0)) / table.std(axis=0)

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.layers.Dense(16, activation="relu", input_shape=(len(names),)),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(X, y, epochs=50, batch_size=32, verbose=0)

# The cost of every step is in the log; the worst of the second half of the training:
costs = history.log["cost"]
late = history.steps // 2
worst = late + int(costs[late:].argmax())
print(f"{history.steps} steps; the most costly of the second half is step {worst}.\n")

step = history.open(worst)
print(step)

# Whose fault was it? The rows that pushed the largest gradient of the last layer, the strongest first.
place = int(np.abs(step.gradients["dense_1/kernel"]).argmax())
pushes = step.pushes(f"dense_1/kernel[{place},0]")
print(f"\n{pushes}")
row = pushes[0].row
print(f"\nThe strongest push came from row {row}, a {rows[row]['diagnosis']} tumour:")
print(
    model.explain(X[row], columns=names, labels=["benign", "malignant"]).decision,
    "says the network at the end.",
)
print(f"\n{step.check()}")

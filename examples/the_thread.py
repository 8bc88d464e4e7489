"""What happens inside model.fit? The question's own code, on the tumour table."""

import csv
from pathlib import Path

import numpy as np

import pellucid as keras
from pellucid.layers import Dense

with open(Path(__file__).with_name("tumours.csv"), newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
names = [name for name in rows[0] if name != "diagnosis"]
X = np.array([[float(row[name]) for name in names] for row in rows])
y = np.array([1 if row["diagnosis"] == "malignant" else 0 for row in rows])

# Networks learn best from numbers of similar size: mean 0 and standard deviation 1 in every column.
X = (X - X.mean(axis=0)) / X.std(axis=0)
# validation_split holds out the last rows, so the rows are put in a random order first.
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order], y[order]
num_features = X.shape[1]

model = keras.Sequential(
    [
        Dense(16, activation="relu", input_shape=(num_features,)),
        Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(X, y, epochs=10, batch_size=32, validation_split=0.2)

probabilities = model.predict(X[-5:], verbose=0)
for probability, truth in zip(probabilities[:, 0], y[-5:], strict=True):
    print(f"malignant with probability {probability:.3f}; it is {'malignant' if truth else 'benign'}")

"""Passengers: classes and ages of a table become numbers inside the model."""

import json

import keras
import numpy as np
import pandas as pd
from keras import layers

keras.utils.set_random_seed(17)
random = np.random.default_rng(6)
table = pd.DataFrame(
    {
        "age": random.uniform(1, 80, 300).round(1),
        "fare": random.gamma(2.0, 15.0, 300).round(2),
        "class": random.integers(0, 3, 300),
        "sex": random.integers(0, 2, 300),
    }
)
odds = 1.5 * table["sex"] - 0.7 * table["class"] - 0.02 * table["age"] + 0.5 + random.normal(0, 0.5, 300)
target = (odds > 0).astype("int64").to_numpy()

inputs, encoded = {}, []
for name in ("age", "fare"):
    inputs[name] = keras.Input(shape=(1,), name=name)
    normalization = layers.Normalization(axis=None)
    normalization.adapt(table[name].to_numpy())
    encoded.append(normalization(inputs[name]))
for name, size in (("class", 3), ("sex", 2)):
    inputs[name] = keras.Input(shape=(1,), name=name, dtype="int32")
    encoded.append(layers.CategoryEncoding(num_tokens=size, output_mode="one_hot")(inputs[name]))
x = layers.Concatenate()(encoded)
x = layers.Dense(16, activation="relu")(x)
x = layers.Dropout(0.2)(x)
output = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, output)

rows = {name: column.to_numpy()[:, None] for name, column in table.items()}
model.compile(
    optimizer="adam", loss="binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")]
)
history = model.fit(rows, target, epochs=5, batch_size=32, verbose=0, class_weight={0: 1.0, 1: 2.0})
someone = {"age": 30.0, "fare": 12.0, "class": 2, "sex": 1}
answer = model.predict({name: np.array([[value]]) for name, value in someone.items()}, verbose=0)
print(json.dumps({"history": history.history, "answer": answer.ravel().tolist()}))

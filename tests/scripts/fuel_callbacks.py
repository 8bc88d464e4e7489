"""Fuel from weight and power: a normalization that adapts to the table, and callbacks that watch."""

import json
import os
import tempfile

import numpy as np
import pandas as pd
from tensorflow import keras
from tensorflow.keras import layers

keras.utils.set_random_seed(11)
random = np.random.default_rng(2)
cars = pd.DataFrame(
    {
        "weight": random.normal(1500, 300, 240),
        "power": random.normal(100, 30, 240),
        "year": random.integers(1970, 1983, 240).astype(float),
    }
)
cars["mpg"] = 60 - 0.02 * cars["weight"] - 0.05 * cars["power"] + 0.3 * (cars["year"] - 1976)
cars["mpg"] += random.normal(0, 1.0, 240)

train = cars.sample(frac=0.8, random_state=0)
test = cars.drop(train.index)
train_features, test_features = train.copy(), test.copy()
train_labels, test_labels = train_features.pop("mpg"), test_features.pop("mpg")

normalizer = layers.Normalization(axis=-1)
normalizer.adapt(np.array(train_features))
model = keras.Sequential(
    [
        normalizer,
        layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.l2(0.001)),
        layers.Dense(16, activation="relu"),
        layers.Dense(1),
    ]
)
model.compile(loss="mean_absolute_error", optimizer=keras.optimizers.Adam(0.02))

with tempfile.TemporaryDirectory() as folder:
    best = os.path.join(folder, "best.keras")
    history = model.fit(
        train_features,
        train_labels,
        validation_split=0.2,
        verbose=0,
        epochs=60,
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=1e-4),
            keras.callbacks.ModelCheckpoint(best, save_best_only=True),
        ],
    )
    reloaded = keras.models.load_model(best)
    again = reloaded.predict(test_features, verbose=0).flatten()

predictions = model.predict(test_features, verbose=0).flatten()
print(
    json.dumps(
        {
            "history": history.history,
            "epochs": len(history.epoch),
            "test": model.evaluate(test_features, test_labels, verbose=0),
            "predictions": predictions[:5].tolist(),
            "reloaded": float(np.abs(predictions - again).max()) < 1e-4,
        }
    )
)

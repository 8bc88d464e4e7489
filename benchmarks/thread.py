"""The learner's example, as a fresh process runs it: from the import to a prediction."""

import sys

import numpy as np

if sys.argv[1] == "pellucid":
    import pellucid as keras
else:
    import keras

generator = np.random.default_rng(0)
num_features = 30
X = generator.normal(size=(569, num_features))
y = (X[:, 0] > 0).astype(int)

model = keras.Sequential(
    [
        keras.layers.Dense(16, activation="relu", input_shape=(num_features,)),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(X, y, epochs=10, batch_size=32, validation_split=0.2)
print(model.predict(X[:1]))

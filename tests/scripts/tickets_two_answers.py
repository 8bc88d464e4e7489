"""Customer tickets: two inputs and tags, and two answers, in the functional API."""

import json

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(21)
num_tags, num_words, num_departments = 6, 40, 4

title_input = keras.Input(shape=(None,), name="title")
body_input = keras.Input(shape=(None,), name="body")
tags_input = keras.Input(shape=(num_tags,), name="tags")

title_features = layers.Embedding(num_words, 8)(title_input)
body_features = layers.Embedding(num_words, 8)(body_input)
title_features = layers.LSTM(6)(title_features)
body_features = layers.GlobalAveragePooling1D()(body_features)
x = layers.concatenate([title_features, body_features, tags_input])

priority_pred = layers.Dense(1, name="priority")(x)
department_pred = layers.Dense(num_departments, name="department")(x)
model = keras.Model(
    inputs=[title_input, body_input, tags_input],
    outputs={"priority": priority_pred, "department": department_pred},
)
model.summary()
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
)

random = np.random.default_rng(0)
title_data = random.integers(num_words, size=(200, 5))
body_data = random.integers(num_words, size=(200, 12))
tags_data = random.integers(2, size=(200, num_tags)).astype("float32")
priority_targets = (tags_data.sum(axis=1, keepdims=True) > 3).astype("float32")
dept_targets = np.eye(num_departments)[body_data[:, 0] % num_departments]

history = model.fit(
    {"title": title_data, "body": body_data, "tags": tags_data},
    {"priority": priority_targets, "department": dept_targets},
    epochs=3,
    batch_size=32,
    verbose=2,
)
answers = model.predict({"title": title_data[:4], "body": body_data[:4], "tags": tags_data[:4]}, verbose=0)
print(
    json.dumps(
        {
            "history": history.history,
            "priority": answers["priority"].ravel().tolist(),
            "department": answers["department"].ravel().tolist(),
        }
    )
)

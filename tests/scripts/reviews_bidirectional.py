"""Praise or complaint: sequences of word numbers, padded, through an embedding and recurrent layers."""

import json

import numpy as np
from keras.layers import GRU, LSTM, Bidirectional, Dense, Embedding, SpatialDropout1D
from keras.models import Sequential
from keras.optimizers import RMSprop
from keras.utils import pad_sequences, set_random_seed

set_random_seed(3)
max_features, maxlen = 60, 14

random = np.random.default_rng(0)
reviews, labels = [], []
for _ in range(400):
    label = int(random.integers(2))
    good, bad = random.integers(2, 31, 9), random.integers(31, 60, 9)
    words = np.where(random.random(9) < (0.75 if label else 0.25), good, bad)
    reviews.append([1, *words[: random.integers(4, 10)].tolist()])
    labels.append(label)
x = pad_sequences(reviews, maxlen=maxlen)
y = np.array(labels)
x_train, x_val, y_train, y_val = x[:320], x[320:], y[:320], y[320:]

model = Sequential()
model.add(Embedding(max_features, 8, mask_zero=True))
model.add(SpatialDropout1D(0.1))
model.add(Bidirectional(LSTM(6, return_sequences=True)))
model.add(GRU(5))
model.add(Dense(1, activation="sigmoid"))

model.compile(optimizer=RMSprop(learning_rate=0.01), loss="binary_crossentropy", metrics=["acc"])
history = model.fit(x_train, y_train, batch_size=32, epochs=3, validation_data=(x_val, y_val))
print(
    json.dumps(
        {
            "history": history.history,
            "answers": model.predict(x_val[:8]).ravel().tolist(),
            "parameters": [int(np.prod(w.shape)) for w in model.get_weights()],
        }
    )
)

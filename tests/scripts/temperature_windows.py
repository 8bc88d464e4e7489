"""Tomorrow's temperature from the days before it: windows of a series, a convolution, an LSTM."""

import json

import numpy as np
from keras.layers import LSTM, Conv1D, Dense, Flatten, MaxPooling1D
from keras.models import Sequential
from keras.utils import set_random_seed


def split_sequence(sequence, n_steps):
    """Split a series into windows and the value after each."""
    X, y = [], []
    for i in range(len(sequence) - n_steps):
        X.append(sequence[i : i + n_steps])
        y.append(sequence[i + n_steps])
    return np.array(X), np.array(y)


set_random_seed(5)
days = np.arange(400)
noise = np.random.default_rng(1).normal(0, 0.3, len(days))
series = 10 + 8 * np.sin(2 * np.pi * days / 73) + noise
mean, std = series[:300].mean(), series[:300].std()
series = (series - mean) / std

n_steps, n_features = 10, 1
X, y = split_sequence(series, n_steps)
X = X.reshape((X.shape[0], X.shape[1], n_features))

results = {}
cnn = Sequential()
cnn.add(Conv1D(filters=16, kernel_size=2, activation="relu", input_shape=(n_steps, n_features)))
cnn.add(MaxPooling1D(pool_size=2))
cnn.add(Flatten())
cnn.add(Dense(12, activation="relu"))
cnn.add(Dense(1))

lstm = Sequential()
lstm.add(Conv1D(8, 3, padding="causal", activation="relu", input_shape=(n_steps, n_features)))
lstm.add(LSTM(10, activation="tanh"))
lstm.add(Dense(1))

for name, model in (("cnn", cnn), ("lstm", lstm)):
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    history = model.fit(X[:300], y[:300], epochs=4, verbose=0, shuffle=name == "cnn")
    yhat = model.predict(X[300:], verbose=0)
    results[name] = {
        "history": history.history,
        "error": float(np.abs(yhat[:, 0] - y[300:]).mean() * std),
        "next": yhat[-1].tolist(),
    }
print(json.dumps(results))

"""Malignant or benign: logistic regression as a network of one unit."""

import json

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

np.random.seed(42)
tf.random.set_seed(42)

data = load_breast_cancer()
X_train, X_test, y_train, y_test = train_test_split(data.data, data.target, test_size=0.33, random_state=0)
N, D = X_train.shape

scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)

model = tf.keras.models.Sequential(
    [
        tf.keras.layers.Input(shape=(D,)),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
r = model.fit(X_train, y_train, validation_data=(X_test, y_test), epochs=30)

print("Train score:", model.evaluate(X_train, y_train))
print("Test score:", model.evaluate(X_test, y_test))
W, b = model.layers[-1].get_weights()
P = model.predict(X_test)
P_by_hand = tf.nn.sigmoid(tf.matmul(tf.constant(X_test, dtype=tf.float32), W) + b).numpy()
print("By hand:", np.abs(P - P_by_hand).max())
answers = np.round(P).flatten()

print(
    json.dumps(
        {
            "history": r.history,
            "evaluated": model.evaluate(X_test, y_test, verbose=0),
            "weights": W.ravel().tolist(),
            "by hand": bool(np.allclose(P, P_by_hand, atol=1e-6)),
            "right": float(np.mean(answers == y_test)),
        }
    )
)

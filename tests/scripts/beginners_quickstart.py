"""The first tutorial that most people meet: flatten, dense, dropout, dense."""

import json

import tensorflow as tf
from sklearn.datasets import load_digits

print("TensorFlow version:", tf.__version__)

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16.0
(x_train, y_train), (x_test, y_test) = (images[:1400], labels[:1400]), (images[1400:], labels[1400:])

tf.keras.utils.set_random_seed(1)
model = tf.keras.models.Sequential(
    [
        tf.keras.layers.Flatten(input_shape=(8, 8)),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dropout(0.2),
        tf.keras.layers.Dense(10),
    ]
)

predictions = model(x_train[:1]).numpy()
print(tf.nn.softmax(predictions).numpy())

loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
first_loss = loss_fn(y_train[:1], predictions).numpy()
print(first_loss)

model.compile(optimizer="adam", loss=loss_fn, metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=5)
evaluated = model.evaluate(x_test, y_test, verbose=2)

probability_model = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
probabilities = probability_model(x_test[:5])
classes = tf.argmax(probabilities, axis=1)
print(classes)

print(
    json.dumps(
        {
            "first prediction": predictions.ravel().tolist(),
            "first loss": float(first_loss),
            "history": history.history,
            "evaluated": evaluated,
            "probabilities": probabilities.numpy().ravel().tolist(),
            "classes": classes.numpy().tolist(),
        }
    )
)

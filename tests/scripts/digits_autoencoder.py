"""Digits through a bottleneck and back: an encoder and a decoder, each a model, and both together."""

import json

import numpy as np
from sklearn.datasets import load_digits
from tensorflow.keras import Input
from tensorflow.keras.layers import Conv2D, Conv2DTranspose, Dense, Flatten, LeakyReLU, Reshape
from tensorflow.keras.models import Model
from tensorflow.keras.utils import set_random_seed

set_random_seed(8)
x = load_digits().images.astype("float32")[..., None] / 16.0
x_train, x_test = x[:700], x[700:800]

encoder_input = Input(shape=(8, 8, 1), name="original_img")
h = Conv2D(8, 3, strides=2, padding="same")(encoder_input)
h = LeakyReLU()(h)
h = Flatten()(h)
encoder_output = Dense(6, name="code")(h)
encoder = Model(encoder_input, encoder_output, name="encoder")
encoder.summary()

decoder_input = Input(shape=(6,), name="encoded_img")
h = Dense(4 * 4 * 8, activation="relu")(decoder_input)
h = Reshape((4, 4, 8))(h)
decoder_output = Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(h)
decoder = Model(decoder_input, decoder_output, name="decoder")

autoencoder_input = Input(shape=(8, 8, 1), name="img")
encoded_img = encoder(autoencoder_input)
decoded_img = decoder(encoded_img)
autoencoder = Model(autoencoder_input, decoded_img, name="autoencoder")
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
history = autoencoder.fit(x_train, x_train, epochs=3, batch_size=50, validation_data=(x_test, x_test))

codes = encoder.predict(x_test)
decoded = decoder.predict(codes)
print(
    json.dumps(
        {
            "history": history.history,
            "codes": codes[0].tolist(),
            "decoded": decoded[0, 3].ravel().tolist(),
            "the same": bool(np.allclose(decoded, autoencoder.predict(x_test), atol=1e-5)),
        }
    )
)

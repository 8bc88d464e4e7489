"""A variational autoencoder: a layer that draws, a model of models, and a loss that a call adds."""

import json

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

keras.utils.set_random_seed(4)
latent_dim = 2


class Sampling(layers.Layer):
    """Uses (z_mean, z_log_var) to sample z, the vector encoding a digit."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        """A draw for each row."""
        z_mean, z_log_var = inputs
        batch = ops.shape(z_mean)[0]
        dim = ops.shape(z_mean)[1]
        epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


encoder_inputs = keras.Input(shape=(64,))
x = layers.Dense(24, activation="relu")(encoder_inputs)
z_mean = layers.Dense(latent_dim, name="z_mean")(x)
z_log_var = layers.Dense(latent_dim, name="z_log_var")(x)
z = Sampling()([z_mean, z_log_var])
encoder = keras.Model(encoder_inputs, [z_mean, z_log_var, z], name="encoder")

latent_inputs = keras.Input(shape=(latent_dim,))
x = layers.Dense(24, activation="relu")(latent_inputs)
decoder = keras.Model(latent_inputs, layers.Dense(64, activation="sigmoid")(x), name="decoder")


class VAE(keras.Model):
    """Encode, draw, decode."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def call(self, inputs):
        """The rows as they come back; how far the codes are from normal ones is added to the loss."""
        z_mean, z_log_var, z = self.encoder(inputs)
        kl_loss = -0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
        self.add_loss(0.01 * ops.mean(ops.sum(kl_loss, axis=1)))
        return self.decoder(z)


digits = load_digits().data.astype("float32") / 16
vae = VAE(encoder, decoder)
vae.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy")
history = vae.fit(digits[:1000], digits[:1000], epochs=4, batch_size=128, verbose=2)

codes = encoder.predict(digits[1000:1003], verbose=0)[0]
print(
    json.dumps(
        {
            "history": history.history,
            "codes": np.asarray(codes).ravel().tolist(),
            "decoded": decoder.predict(codes, verbose=0)[0, :8].tolist(),
        }
    )
)

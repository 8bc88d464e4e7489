"""Trainings with every optimizer, and with losses and metrics beside the usual ones, for both libraries.

Each case gives the weights after several epochs, what the optimizer remembers, and the history.
"""

import numpy as np

ROWS, FEATURES = 150, 5


def cases(keras):
    """The cases, by name, with this library as `keras`."""
    O = keras.optimizers  # noqa: N806 - as in the tests
    random = np.random.default_rng(5)
    x = random.normal(size=(ROWS, FEATURES)).astype("float32")
    real = (x @ random.normal(size=(FEATURES, 1))).astype("float32")
    binary = (real > 0).astype("float32")
    classes = random.integers(0, 3, ROWS)
    one_hot = np.eye(3, dtype="float32")[classes]

    def trained(optimizer, loss="mse", y=real, units=1, activation=None, metrics=(), epochs=4, **options):
        def run():
            keras.utils.set_random_seed(9)
            model = keras.Sequential(
                [
                    keras.Input(shape=(FEATURES,)),
                    keras.layers.Dense(6, activation="tanh", **options),
                    keras.layers.Dense(units, activation=activation),
                ]
            )
            made = optimizer()
            model.compile(made, loss() if callable(loss) else loss, metrics=[metric() for metric in metrics])
            history = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
            found = {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
            found |= {f"state/{n}": np.asarray(variable) for n, variable in enumerate(made.variables)}
            return found | {f"history/{name}": np.array(each) for name, each in history.history.items()}

        return run

    listed = {
        "adadelta": trained(lambda: O.Adadelta(1.0, rho=0.9)),
        "adamax": trained(lambda: O.Adamax(0.01)),
        "ftrl": trained(lambda: O.Ftrl(0.1)),
        "ftrl with penalties": trained(
            lambda: O.Ftrl(
                0.1,
                learning_rate_power=-0.7,
                l1_regularization_strength=0.01,
                l2_regularization_strength=0.02,
                l2_shrinkage_regularization_strength=0.01,
                beta=0.1,
            )
        ),
        "lion": trained(lambda: O.Lion(0.003)),
        "amsgrad": trained(lambda: O.Adam(0.01, amsgrad=True)),
        "rmsprop, centered": trained(lambda: O.RMSprop(0.01, momentum=0.5, centered=True)),
        "nadam": trained(lambda: O.Nadam(0.01)),
        "running means": trained(lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.9)),
        "running means that become the weights": trained(
            lambda: O.SGD(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3)
        ),
        "gathered gradients": trained(lambda: O.Adam(0.01, gradient_accumulation_steps=3)),
        "gathered gradients, clipped, decayed": trained(
            lambda: O.AdamW(0.01, weight_decay=0.1, gradient_accumulation_steps=2, clipnorm=0.1)
        ),
        "gathered gradients, adagrad, constrained": trained(
            lambda: O.Adagrad(0.1, gradient_accumulation_steps=4),
            kernel_constraint=keras.constraints.MaxNorm(0.7),
        ),
    }
    losses, metrics = keras.losses, keras.metrics
    listed["binary focal"] = trained(
        lambda: O.Adam(0.01),
        lambda: losses.BinaryFocalCrossentropy(apply_class_balancing=True, label_smoothing=0.1),
        binary,
        activation="sigmoid",
        metrics=[
            lambda: metrics.SensitivityAtSpecificity(0.5),
            lambda: metrics.SpecificityAtSensitivity(0.5),
            lambda: metrics.PrecisionAtRecall(0.5),
            lambda: metrics.RecallAtPrecision(0.5),
            lambda: metrics.BinaryIoU(threshold=0.4),
            lambda: metrics.AUC(curve="PR"),
            lambda: metrics.AUC(curve="PRGAIN", name="gain"),
        ],
    )
    listed["categorical focal"] = trained(
        lambda: O.Adam(0.01),
        lambda: losses.CategoricalFocalCrossentropy(from_logits=True),
        one_hot,
        units=3,
        metrics=[
            lambda: metrics.OneHotMeanIoU(3),
            lambda: metrics.OneHotIoU(3, [0, 2]),
            lambda: metrics.TopKCategoricalAccuracy(k=2),
            metrics.PearsonCorrelation,
            metrics.ConcordanceCorrelation,
        ],
    )
    listed["generalized cross entropy"] = trained(
        lambda: O.Adam(0.01),
        lambda: losses.CategoricalGeneralizedCrossEntropy(q=0.7),
        classes,
        units=3,
        activation="softmax",
        metrics=[lambda: metrics.SparseTopKCategoricalAccuracy(k=2)],
    )
    listed["an ignored class"] = trained(
        lambda: O.Adam(0.01),
        lambda: losses.SparseCategoricalCrossentropy(ignore_class=1),
        classes,
        units=3,
        activation="softmax",
    )
    for name, loss in (("dice", losses.Dice), ("tversky", lambda: losses.Tversky(alpha=0.3, beta=0.7))):
        listed[name] = trained(lambda: O.Adam(0.01), loss, one_hot, units=3, activation="softmax")
    # Not glu, which halves the row, nor sparsemax, whose shares do not sum to 1 in Keras 3.15.1.
    elementwise = (
        *("celu", "hard_silu", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "log_sigmoid"),
        *("squareplus", "sparse_plus", "sparse_sigmoid"),
    )

    def activations():
        """One training for all of them, side by side: their gradients do not mix, as the loss is a mean."""
        keras.utils.set_random_seed(9)
        inputs = keras.Input(shape=(FEATURES,))
        sides = [keras.layers.Dense(3, activation=name, name=name)(inputs) for name in elementwise]
        model = keras.Model(inputs, keras.layers.Concatenate()(sides))
        model.compile(O.SGD(0.5), "mse")
        history = model.fit(x, np.tile(one_hot, len(elementwise)), epochs=2, batch_size=32, verbose=0)
        found = {f"weights/{weight.path}": np.asarray(weight) for weight in model.weights}
        found |= {f"predict/{name}": side for name, side in zip(elementwise, shares(model), strict=True)}
        return found | {"history/loss": np.array(history.history["loss"])}

    def shares(model):
        return np.split(model.predict(x, verbose=0), len(elementwise), axis=1)

    listed["activations"] = activations
    return listed

"""The cases of test_scaling_judge.py, run by whichever library is given (see judging.py).

Trainings in float16, the cost scaled: by `compile`, by optimizers wrapped by hand, by a factor that stays.
"""

import numpy as np

ROWS, FEATURES = 150, 5
#: The scale after the training, if there is one, and what was counted: the same to the last bit.
EXACT = ("scale", "counter", "iterations")


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L, O = keras.layers, keras.optimizers  # noqa: N806
    random = np.random.default_rng(5)
    x = random.normal(size=(ROWS, FEATURES)).astype("float32")
    real = (x @ random.normal(size=(FEATURES, 1))).astype("float32")
    binary = (real > 0).astype("float32")

    def small(**options):
        hidden = [L.Dense(6, activation="tanh", **options), L.Dense(4, activation="relu")]
        return keras.Sequential([keras.Input(shape=(FEATURES,)), *hidden, L.Dense(1)])

    def large():
        first = [
            L.Dense(8, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01)),
            L.BatchNormalization(),
        ]
        middle = [L.Activation("relu"), L.Dropout(0.3), L.Dense(4, "tanh", bias_constraint="non_neg")]
        last = L.Dense(1, activation="sigmoid", dtype="float32")
        return keras.Sequential([keras.Input(shape=(FEATURES,)), *first, *middle, last])

    def trained(optimizer, model=small, loss="mse", y=real, policy="mixed_float16", epochs=4, **compiling):
        def run():
            keras.utils.set_random_seed(9)
            keras.config.set_dtype_policy(policy)
            try:
                made = model()
            finally:
                keras.config.set_dtype_policy("float32")
            made.compile(optimizer(), loss, metrics=["mae"], **compiling)
            history = made.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
            known = made.optimizer
            found = {f"weights/{n}": weight for n, weight in enumerate(made.get_weights())}
            found |= {f"state/{n}": np.asarray(variable) for n, variable in enumerate(known.variables)}
            found["state names"] = np.array([variable.name for variable in known.variables])
            found["iterations"] = np.asarray(known.iterations)
            if hasattr(known, "dynamic_scale"):
                found["scale"] = np.asarray(known.dynamic_scale)
                found["counter"] = np.asarray(known.step_counter)
            return found | {f"history/{name}": np.array(each) for name, each in history.history.items()}

        return run

    def wrapped(inner, *given):
        return lambda: O.LossScaleOptimizer(inner(), *given)

    def adam():
        return O.Adam(0.01)

    def sgd():
        return O.SGD(0.02, momentum=0.9, nesterov=True)

    return {
        "by compile": trained(adam),
        "by compile, a larger network": trained(sgd, large, "binary_crossentropy", binary),
        "not by compile": trained(adam, auto_scale_loss=False),
        "of float32, by hand": trained(wrapped(adam), policy="float32"),
        "too large at the start": trained(wrapped(adam, 2.0**40), epochs=8),
        "too large all the time": trained(wrapped(sgd, 2.0**100), epochs=2),
        "it grows": trained(wrapped(sgd, 8.0, 3)),
        "it grows until it is too large, again and again": trained(wrapped(sgd, 2.0**14, 1), epochs=6),
        "a factor that stays": trained(lambda: O.SGD(0.02, loss_scale_factor=128.0), auto_scale_loss=False),
        "a factor that gives way": trained(lambda: O.SGD(0.02, loss_scale_factor=128.0)),
        "a factor in float32": trained(lambda: O.Adam(0.01, loss_scale_factor=100.0), policy="float32"),
        "clipped, decayed, averaged": trained(
            wrapped(
                lambda: O.AdamW(0.01, weight_decay=0.1, clipnorm=0.5, use_ema=True, ema_momentum=0.9), 2.0**36
            ),
            epochs=8,
        ),
        "gathered, with averages that become the weights": trained(
            wrapped(
                lambda: O.Adam(
                    0.01,
                    gradient_accumulation_steps=2,
                    use_ema=True,
                    ema_momentum=0.8,
                    ema_overwrite_frequency=3,
                ),
                2.0**34,
            ),
            epochs=8,
        ),
        "a schedule": trained(
            wrapped(lambda: O.RMSprop(O.schedules.ExponentialDecay(0.01, 5, 0.8)), 2.0**33), epochs=8
        ),
    }

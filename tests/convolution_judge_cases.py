"""The cases of test_convolution_judge.py, run by whichever library is given (see judging.py).

Layers by hand with every two values of their options together, on the same numbers; and small networks,
trained.
"""

import itertools

import numpy as np

BOTH = ("channels_last", "channels_first")


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L = keras.layers  # noqa: N806
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 7, 6, 4)).astype("float32")
    sequence = random.normal(size=(3, 9, 4)).astype("float32")
    listed = {}

    def inputs(rank, data_format):
        x = image if rank == 2 else sequence
        return np.moveaxis(x, -1, 1).copy() if data_format == "channels_first" else x

    def outputs(name, rank, variants):
        """A case of a layer: its first weights, its outputs and its output shape for each variant."""

        def run():
            found = {}
            for number, options in enumerate(variants):
                keras.utils.set_random_seed(number)
                options = {"data_format": "channels_last", **options}
                x = inputs(rank, options["data_format"])
                if not hasattr(L, name) or name in ("Cropping1D", "UpSampling1D"):
                    del options["data_format"]
                layer = getattr(L, name)(**options)
                made = np.asarray(layer(x))
                found[f"outputs/{number}"] = made
                found |= {f"first/{number}/{n}": w for n, w in enumerate(layer.get_weights())}
                shape = layer.compute_output_shape((None, *x.shape[1:]))
                found[f"shape/{number}"] = np.array(shape[1:])
            return found

        listed[f"{name}, outputs"] = run

    def crossed(**options):
        """Options for variants: any two values of two options meet in one of them."""
        every = list(itertools.product(*(range(len(values)) for values in options.values())))
        meetings = {each: set(itertools.combinations(enumerate(each), 2)) for each in every}
        missing, kept = set().union(*meetings.values()), []
        if len(options) == 1:
            kept = every
        while missing:
            kept.append(max(every, key=lambda each: len(meetings[each] & missing)))
            missing -= meetings[kept[-1]]
        return [
            {name: options[name][place] for name, place in zip(options, each, strict=True)} for each in kept
        ]

    for rank in (1, 2):
        paddings = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
        size = 3 if rank == 1 else (2, 3)
        moves = [{"strides": 2}, {"dilation_rate": 2}, {"strides": 3}, {}]
        if rank == 2:
            moves[2] = {"strides": (1, 3)}
        outputs(
            f"Conv{rank}D",
            rank,
            [
                {**one, **move, "filters": 4, "activation": "tanh", "bias_initializer": "random_normal"}
                for one in crossed(
                    kernel_size=(size,),
                    padding=paddings,
                    data_format=BOTH,
                    groups=(1, 2),
                )
                for move in moves
            ],
        )
        outputs(
            f"DepthwiseConv{rank}D",
            rank,
            [
                {**one, **move, "bias_initializer": "random_normal"}
                for one in crossed(
                    kernel_size=(size,), padding=("valid", "same"), data_format=BOTH, depth_multiplier=(1, 3)
                )
                for move in (moves if rank == 1 else [{"strides": 2}, {"dilation_rate": 2}, {}])
            ],
        )
        outputs(
            f"SeparableConv{rank}D",
            rank,
            [
                {**one, **move, "filters": 3, "bias_initializer": "random_normal", "activation": "softmax"}
                for one in crossed(
                    kernel_size=(size,), padding=("valid", "same"), data_format=BOTH, depth_multiplier=(1, 2)
                )
                for move in (moves if rank == 1 else [{"strides": 2}, {"dilation_rate": 2}, {}])
            ],
        )
        outputs(
            f"Conv{rank}DTranspose",
            rank,
            [
                {**one, **move, "filters": 3, "bias_initializer": "random_normal"}
                for one in crossed(kernel_size=(size,), padding=("valid", "same"), data_format=BOTH)
                for move in [
                    {},
                    {"strides": 2},
                    {"strides": 3, "output_padding": 2},
                    {"strides": 2, "output_padding": 0},
                    {"strides": 2, "output_padding": 1},
                    {"dilation_rate": 2},
                ]
            ],
        )
        pools = crossed(
            pool_size=(2, 3) if rank == 1 else (2, (3, 1)),
            strides=(None, 1, 2) if rank == 1 else (None, 1, (2, 3)),
            padding=("valid", "same"),
            data_format=BOTH,
        )
        outputs(f"MaxPooling{rank}D", rank, pools)
        outputs(f"AveragePooling{rank}D", rank, pools)
        globally = crossed(data_format=BOTH, keepdims=(False, True))
        outputs(f"GlobalMaxPooling{rank}D", rank, globally)
        outputs(f"GlobalAveragePooling{rank}D", rank, globally)

    outputs("ZeroPadding1D", 1, crossed(padding=(1, (0, 2), (3, 1)), data_format=BOTH))
    outputs("ZeroPadding2D", 2, crossed(padding=(1, (0, 2), ((1, 2), (0, 3))), data_format=BOTH))
    outputs("Cropping1D", 1, crossed(cropping=(1, (0, 2), (3, 1))))
    outputs("Cropping2D", 2, crossed(cropping=(1, (0, 2), ((1, 2), (0, 3))), data_format=BOTH))
    outputs("UpSampling1D", 1, crossed(size=(1, 2, 3)))
    interpolations = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    outputs("UpSampling2D", 2, crossed(size=(2, (1, 3)), data_format=BOTH, interpolation=interpolations))

    def turned():
        return {
            "outputs/permute": np.asarray(L.Permute((3, 1, 2))(image)),
            "outputs/repeat": np.asarray(L.RepeatVector(3)(sequence[:, 0])),
            "shape/permute": np.array(L.Permute((2, 1)).compute_output_shape((None, 5, 7))[1:]),
            "shape/repeat": np.array(L.RepeatVector(3).compute_output_shape((None, 7))[1:]),
        }

    listed["Permute and RepeatVector, outputs"] = turned

    def masked():
        mask = np.array([[1, 1, 0] + [0] * 6, [1] * 9, [0, 1] + [1] * 7]).astype(bool)
        return {
            f"outputs/{n}": np.asarray(
                L.GlobalAveragePooling1D(**options)(inputs(1, options["data_format"]), mask=mask)
            )
            for n, options in enumerate(crossed(data_format=BOTH, keepdims=(False, True)))
        }

    listed["GlobalAveragePooling1D, masked"] = masked

    # Networks that are trained.

    digits = random.random(size=(75, 12, 12, 1)).astype("float32")
    classes = random.integers(0, 5, 75)
    waves = random.normal(size=(75, 20, 2)).astype("float32")
    means = waves.mean(axis=(1, 2))

    def training(name, make, x, y, loss, metrics=()):
        def run():
            keras.utils.set_random_seed(3)
            model = keras.Sequential([keras.Input(shape=x.shape[1:]), *make()])
            found = {f"first/{n}": weight for n, weight in enumerate(model.get_weights())}
            model.compile("adam", loss, metrics=list(metrics))
            history = model.fit(x, y, epochs=4, batch_size=16, verbose=0, validation_split=0.2)
            found |= {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
            found |= {f"history/{key}": np.array(values) for key, values in history.history.items()}
            found["predict"] = model.predict(x, verbose=0)
            found["names"] = np.array([layer.name for layer in model.layers])
            return found

        listed[f"{name}, trained"] = run

    training(
        "a small network for images",
        lambda: [
            L.Conv2D(8, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(12, (3, 3), activation="relu", padding="same", kernel_regularizer="l2"),
            L.MaxPooling2D((2, 2)),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(5, activation="softmax"),
        ],
        digits,
        classes,
        "sparse_categorical_crossentropy",
        ["accuracy"],
    )
    training(
        "without pooling that divides",
        lambda: [
            L.ZeroPadding2D(1),
            L.Conv2D(6, 3, strides=2, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.SeparableConv2D(6, 3, padding="same", activation="relu", depth_multiplier=2),
            L.DepthwiseConv2D(3, activation="tanh"),
            L.MaxPooling2D(3, strides=2, padding="same"),
            L.AveragePooling2D(2, strides=1, padding="same"),
            L.GlobalAveragePooling2D(),
            L.Dense(5, activation="softmax"),
        ],
        digits,
        classes,
        "sparse_categorical_crossentropy",
    )
    training(
        "an image and back",
        lambda: [
            L.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
            L.Cropping2D(1),
            L.UpSampling2D(2, interpolation="bilinear"),
            L.AveragePooling2D(2),
            L.ZeroPadding2D(1),
            L.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ],
        digits,
        digits,
        "mse",
    )
    padded = waves.copy()
    padded[::2, 12:] = 0
    training(
        "a masked sequence",
        lambda: [L.Masking(), L.Dense(4, activation="tanh"), L.GlobalAveragePooling1D(), L.Dense(1)],
        padded,
        means,
        "mse",
    )
    training(
        "a sequence",
        lambda: [
            L.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu"),
            L.MaxPooling1D(2),
            L.SeparableConv1D(5, 3, activation="tanh"),
            L.Conv1DTranspose(4, 2, strides=2),
            L.DepthwiseConv1D(2, strides=2),
            L.UpSampling1D(2),
            L.Cropping1D(1),
            L.ZeroPadding1D(2),
            L.Permute((2, 1)),
            L.AveragePooling1D(2),
            L.GlobalMaxPooling1D(),
            L.RepeatVector(2),
            L.GlobalAveragePooling1D(),
            L.Dense(1),
        ],
        waves,
        means,
        "mse",
    )
    return listed

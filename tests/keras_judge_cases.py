"""The cases of test_keras_judge.py, run by whichever library is given: pellucid or keras (see judging.py).

Every case is written once, with the names that both libraries have. What it gives is written as
arrays: "case/weights/0", "case/history/loss", "case/evaluate/loss", "case/predict", ...
"""

import numpy as np

ROWS, FEATURES = 569, 30  # 569 rows in batches of 32: the last one has 25


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L, O, R = keras.layers, keras.optimizers, keras.regularizers  # noqa: N806
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, FEATURES)).astype("float32")
    binary = (x[:, 0] + 0.3 * random.normal(size=ROWS) > 0).astype(int)
    real = (x @ random.normal(size=FEATURES) + 1).astype("float32")
    classes = np.argmax(x[:, :4], axis=1)
    one_hot = np.eye(4, dtype="float32")[classes]
    counts = random.poisson(3.0, ROWS).astype("float32")
    shares = random.dirichlet(np.ones(4), ROWS).astype("float32")
    row_weights = random.random(ROWS).astype("float32")

    def chain(*layers):
        return keras.Sequential([keras.Input(shape=(FEATURES,)), *layers])

    def sigmoid(hidden="relu", **options):
        return chain(L.Dense(8, activation=hidden, **options), L.Dense(1, activation="sigmoid"))

    def seen(model, history, y, x=x):
        found = {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
        found |= {f"history/{name}": np.array(values) for name, values in history.history.items()}
        found["epochs"] = np.array(history.epoch)
        evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
        found |= {f"evaluate/{name}": np.asarray(value) for name, value in evaluated.items()}
        found["predict"] = model.predict(x, verbose=0)
        return found

    listed = {}

    def case(name, make, y, compiling, shuffles=(True,), epochs=5, callbacks=(), **fitting):
        def run(shuffle):
            def go():
                keras.utils.set_random_seed(7)
                model = make()
                first = {f"first/{n}": weight for n, weight in enumerate(model.get_weights())}
                model.compile(**compiling())
                history = model.fit(
                    x,
                    y,
                    epochs=epochs,
                    batch_size=32,
                    verbose=0,
                    shuffle=shuffle,
                    callbacks=[make_one() for make_one in callbacks],
                    **fitting,
                )
                return first | seen(model, history, y)

            return go

        for shuffle in shuffles:
            listed[f"{name}, {'shuffled' if shuffle else 'in order'}"] = run(shuffle)

    def linear(*layers):
        return lambda: chain(*[make() for make in layers], L.Dense(1))

    def compiling(optimizer, loss, *metrics, **more):
        return lambda: {
            "optimizer": optimizer() if callable(optimizer) else optimizer,
            "loss": loss() if callable(loss) else loss,
            "metrics": [metric() if callable(metric) else metric for metric in metrics],
            **more,
        }

    def dense(activation, units=8):
        return lambda: L.Dense(units, activation=activation)

    bce = "binary_crossentropy"
    both = (False, True)
    case(
        "linear regression",
        lambda: chain(L.Dense(1)),
        real,
        compiling("sgd", "mse", "mae"),
        shuffles=both,
    )
    case(
        "logistic regression",
        lambda: chain(L.Dense(1, activation="sigmoid")),
        binary,
        compiling("sgd", bce, "accuracy"),
        shuffles=both,
    )
    case(
        "two layers",
        lambda: chain(L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid")),
        binary,
        compiling("adam", bce, "accuracy"),
        shuffles=both,
        validation_split=0.2,
    )
    case(
        "softmax",
        lambda: chain(L.Dense(16, activation="tanh"), L.Dense(4, activation="softmax")),
        classes,
        compiling("adam", "sparse_categorical_crossentropy", "accuracy"),
        shuffles=both,
    )
    case(
        "one-hot logits, nadam",
        lambda: chain(L.Dense(16, activation="tanh"), L.Dense(4)),
        one_hot,
        compiling(
            "nadam",
            lambda: keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            "accuracy",
            keras.metrics.F1Score,
        ),
    )
    case(
        "nesterov",
        linear(dense("relu")),
        real,
        compiling(lambda: O.SGD(0.01, momentum=0.9, nesterov=True), "mse"),
    )
    case(
        "rmsprop, centered, huber",
        linear(dense("elu")),
        real,
        compiling(lambda: O.RMSprop(0.01, momentum=0.5, centered=True), "huber"),
    )
    case(
        "adamw, clipnorm",
        linear(dense("selu")),
        real,
        compiling(lambda: O.AdamW(0.01, weight_decay=0.05, clipnorm=0.5), "mse"),
    )
    case(
        "adagrad, global_clipnorm, log_cosh",
        linear(dense("gelu")),
        real,
        compiling(lambda: O.Adagrad(0.1, global_clipnorm=1.0), "log_cosh"),
    )
    case(
        "sgd with weight decay and clipvalue",
        linear(dense("softplus")),
        real,
        compiling(lambda: O.SGD(0.05, weight_decay=0.01, clipvalue=0.1), "mse"),
    )
    case(
        "amsgrad",
        linear(dense("leaky_relu")),
        real,
        compiling(lambda: O.Adam(0.01, amsgrad=True), "mape"),
    )
    case(
        "penalties",
        lambda: sigmoid(kernel_regularizer="l2", activity_regularizer=R.L1(0.01)),
        binary,
        compiling("adam", bce, "accuracy", "AUC"),
        validation_split=0.3,
    )
    case(
        "orthogonal penalty, he_normal",
        lambda: sigmoid(
            kernel_initializer="he_normal",
            kernel_regularizer=R.OrthogonalRegularizer(0.1),
            bias_initializer="ones",
            bias_regularizer=R.L1L2(0.01, 0.01),
        ),
        binary,
        compiling("adam", bce),
    )
    case(
        "class_weight",
        sigmoid,
        binary,
        compiling("adam", bce, "accuracy", weighted_metrics=["accuracy"]),
        class_weight={0: 1.0, 1: 3.0},
    )
    case(
        "sample_weight",
        linear(dense("relu")),
        real,
        compiling("adam", "mae", "mse", weighted_metrics=["mse"]),
        sample_weight=row_weights,
    )
    case(
        "validation_data with weights",
        linear(dense("relu")),
        real,
        compiling("adam", "mae", "mse", weighted_metrics=["mse"]),
        validation_data=(x[:100], real[:100], row_weights[:100]),
        validation_batch_size=64,
        validation_freq=2,
    )
    case(
        "batch normalization",
        lambda: chain(L.Dense(8), L.BatchNormalization(), L.ReLU(), L.Dense(1, activation="sigmoid")),
        binary,
        compiling("adam", bce, "accuracy"),
        validation_split=0.2,
    )
    case(
        "layer normalization",
        lambda: chain(L.Dense(8), L.LayerNormalization(), L.LeakyReLU(), L.Dense(1, activation="sigmoid")),
        binary,
        compiling(
            "adam",
            bce,
            "binary_accuracy",
            keras.metrics.Precision,
            keras.metrics.Recall,
        ),
        validation_split=0.2,
    )
    case(
        "cosine decay with warm-up",
        linear(dense("silu")),
        real,
        compiling(
            lambda: O.Adam(O.schedules.CosineDecay(0.01, 100, warmup_target=0.02, warmup_steps=20)),
            "mse",
            keras.metrics.R2Score,
            keras.metrics.RootMeanSquaredError,
        ),
    )
    case(
        "exponential decay",
        linear(dense("mish")),
        real,
        compiling(lambda: O.SGD(O.schedules.ExponentialDecay(0.05, 10, 0.9, staircase=True)), "mse"),
    )
    case(
        "dropout and noise",
        lambda: chain(
            L.Dense(16, activation="relu"),
            L.Dropout(0.3),
            L.GaussianNoise(0.1),
            L.Dense(1, activation="sigmoid"),
        ),
        binary,
        compiling("adam", bce, "accuracy"),
        validation_split=0.2,
    )
    # A column: as metrics, Keras's hinges pair each flat target with every output of the batch.
    signs = (2 * binary - 1)[:, None]
    case("hinge", linear(dense("tanh")), signs, compiling("adam", "hinge", "squared_hinge"))
    case(
        "divergence",
        lambda: chain(L.Dense(4, activation="softmax")),
        shares,
        compiling("adam", "kl_divergence", "cosine_similarity"),
    )
    case(
        "counts",
        lambda: chain(L.Dense(1, activation="exponential")),
        counts,
        compiling(lambda: O.Adam(0.003), "poisson", "msle"),
    )
    case(
        "constraints",
        lambda: chain(
            L.Dense(8, activation="relu", kernel_constraint=keras.constraints.MaxNorm(0.8)),
            L.Dense(4, kernel_constraint="non_neg", bias_constraint=keras.constraints.MinMaxNorm(0.1, 0.5)),
            L.Dense(1, kernel_constraint=keras.constraints.UnitNorm()),
        ),
        real,
        compiling(lambda: O.SGD(0.01), "mse"),
    )
    case(
        "frozen layer",
        lambda: chain(L.Dense(8, activation="relu", trainable=False), L.Dense(1)),
        real,
        compiling("adam", "mse"),
    )
    case(
        "within batches",
        sigmoid,
        binary,
        compiling("adam", bce),
        shuffles=("batch",),
    )
    case(
        "steps_per_execution",
        sigmoid,
        binary,
        compiling("adam", bce, "accuracy", steps_per_execution=5),
    )
    case(
        "early stopping",
        lambda: chain(L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid")),
        binary,
        compiling(lambda: O.Adam(0.02), bce, "accuracy"),
        epochs=25,
        validation_split=0.3,
        callbacks=[lambda: keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)],
    )
    case(
        "lower rate on a plateau",
        linear(dense("relu")),
        real,
        compiling(lambda: O.SGD(0.05), "mse"),
        epochs=12,
        validation_split=0.2,
        callbacks=[lambda: keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.05)],
    )
    case(
        "scheduled rate",
        linear(dense("relu")),
        real,
        compiling("sgd", "mse"),
        callbacks=[lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7)],
    )
    case(
        "without Input",
        lambda: keras.Sequential([L.Dense(8, activation="relu"), L.Dense(1, activation="sigmoid")]),
        binary,
        compiling("rmsprop", bce, "acc"),
        validation_split=0.2,
    )

    def explicit_weights():
        model = sigmoid()
        drawn = np.random.default_rng(3)
        model.set_weights([drawn.normal(size=w.shape).astype("float32") * 0.3 for w in model.get_weights()])
        model.compile("adam", bce, metrics=["accuracy"])
        history = model.fit(x, binary, epochs=3, batch_size=50, verbose=0, shuffle=False)
        return seen(model, history, binary)

    def second_fit(again):
        def run():
            keras.utils.set_random_seed(11)
            model = sigmoid()
            model.compile("adam", bce, metrics=["accuracy"])
            model.fit(x, binary, epochs=2, verbose=0)
            if again == "compile":
                model.compile("adam", bce, metrics=["accuracy"])
            if again == "evaluate":
                model.evaluate(x, binary, verbose=0)
            history = model.fit(x, binary, epochs=2, verbose=0)
            return seen(model, history, binary)

        return run

    def evaluated_first():
        keras.utils.set_random_seed(11)
        model = sigmoid()
        model.compile("adam", bce, metrics=["accuracy"])
        model.evaluate(x, binary, verbose=0)
        return seen(model, model.fit(x, binary, epochs=2, verbose=0), binary)

    def batches_by_hand():
        keras.utils.set_random_seed(11)
        model = chain(L.Dense(8), L.BatchNormalization(), L.Dropout(0.2), L.Dense(1))
        model.compile(O.Adam(0.01), "mse", metrics=["mae"])
        logs = [
            model.train_on_batch(x[start : start + 40], real[start : start + 40], return_dict=True)
            for start in range(0, ROWS, 40)
        ]
        tested = model.test_on_batch(x[:33], real[:33], return_dict=True)
        found = {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
        found |= {f"train/{name}": np.array([float(log[name]) for log in logs]) for name in ("loss", "mae")}
        found |= {f"test/{name}": np.asarray(float(value)) for name, value in tested.items()}
        return found | {"predict": model.predict_on_batch(x[:5])}

    def running_logs():
        keras.utils.set_random_seed(11)
        logs = []

        class Watch(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                logs_seen.append([batch, logs["accuracy"], logs["loss"]])

        logs_seen = logs
        model = sigmoid()
        model.compile("adam", bce, metrics=["accuracy"])
        history = model.fit(x, binary, epochs=2, verbose=0, callbacks=[Watch()])
        return seen(model, history, binary) | {"logs": np.array(logs)}

    def generator():
        def batches():
            while True:
                for start in range(0, ROWS, 64):
                    yield x[start : start + 64], real[start : start + 64]

        keras.utils.set_random_seed(11)
        model = linear(dense("relu"))()
        model.compile("adam", "mse", metrics=["mae"])
        return seen(model, model.fit(batches(), steps_per_epoch=9, epochs=3, verbose=0), real)

    def initial_epoch():
        keras.utils.set_random_seed(11)
        model = sigmoid()
        model.compile("adam", bce)
        return seen(model, model.fit(x, binary, initial_epoch=2, epochs=4, verbose=0), binary)

    def deep():
        keras.utils.set_random_seed(11)
        kinds = (
            "glorot_normal he_uniform lecun_normal lecun_uniform random_normal truncated_normal orthogonal"
        )
        layers = [L.Dense(6, activation="tanh", kernel_initializer=kind) for kind in kinds.split()]
        model = chain(*layers, L.Dense(1))
        model.compile("adam", "mse")
        first = {f"first/{n}": weight for n, weight in enumerate(model.get_weights())}
        return first | seen(model, model.fit(x, real, epochs=3, verbose=0), real)

    def normalized():
        keras.utils.set_random_seed(11)
        layer = L.Normalization()
        layer.adapt(3 * x + 1)
        model = keras.Sequential([layer, L.Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(3 * x + 1, real, epochs=3, verbose=0)
        return {
            "predict": model.predict(3 * x + 1, verbose=0),
            "history/loss": np.array(history.history["loss"]),
        }

    def short_epochs():
        keras.utils.set_random_seed(11)
        model = sigmoid()
        model.compile("adam", bce)
        history = model.fit(x, binary, batch_size=32, steps_per_epoch=7, epochs=5, verbose=0)
        return seen(model, history, binary)

    listed["fewer steps than batches"] = short_epochs
    listed["the same weights set"] = explicit_weights
    listed["a second fit"] = second_fit("")
    listed["a second fit after compile"] = second_fit("compile")
    listed["a second fit after evaluate"] = second_fit("evaluate")
    listed["evaluate before fit"] = evaluated_first
    listed["batch by batch by hand"] = batches_by_hand
    listed["running logs"] = running_logs
    listed["a generator"] = generator
    listed["initial_epoch"] = initial_epoch
    listed["seven initializers"] = deep
    listed["normalization"] = normalized
    return listed

"""The cases of test_functional_judge.py, run by whichever library is given (see judging.py).

Models of several inputs and outputs, shared layers, models in models, masks that travel, mixed types:
trained with the same seed for several epochs with partial last batches.
"""

import numpy as np

ROWS = 150


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L = keras.layers  # noqa: N806
    random = np.random.default_rng(0)
    a = random.normal(size=(ROWS, 6)).astype("float32")
    b = random.normal(size=(ROWS, 3)).astype("float32")
    binary = (a[:, 0] + b[:, 0] > 0).astype("float32")
    real = (a @ random.normal(size=6)).astype("float32")
    classes = np.argmax(a[:, :3], axis=1)
    words = random.integers(1, 12, size=(ROWS, 7)) * (np.arange(7) < random.integers(2, 8, ROWS)[:, None])
    tags = (words % 3).astype("int32")
    weights = random.random(ROWS).astype("float32")
    pictures = random.normal(size=(ROWS, 8, 8, 2)).astype("float32")

    listed = {}

    def case(make, x, y, compiling, epochs=3, **fitting):
        def go():
            keras.utils.set_random_seed(7)
            model = make()
            found = {f"first/{n}": weight for n, weight in enumerate(model.get_weights())}
            model.compile(**compiling())
            history = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0, **fitting)
            found |= {f"history/{name}": np.array(values) for name, values in history.history.items()}
            found |= {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
            evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
            found |= {f"evaluate/{name}": np.asarray(value) for name, value in evaluated.items()}
            found["listed"] = np.asarray(model.evaluate(x, y, verbose=0))
            answers = model.predict(x, verbose=0)
            if isinstance(answers, dict):
                answers = [answers[name] for name in sorted(answers)]
            if not isinstance(answers, list | tuple):
                answers = [answers]
            return found | {f"predict/{n}": each for n, each in enumerate(answers)}

        listed[make.__name__] = go

    def one_output():
        one, two = keras.Input((6,), name="a"), keras.Input((3,), name="b")
        joined = L.concatenate([L.Dense(5, activation="relu")(one), L.Dense(4, activation="tanh")(two)])
        return keras.Model([one, two], L.Dense(1, activation="sigmoid")(L.Dropout(0.3)(joined)))

    def binary_loss():
        return {
            "optimizer": "adam",
            "loss": "binary_crossentropy",
            "metrics": ["accuracy", keras.metrics.AUC()],
        }

    case(one_output, [a, b], binary, binary_loss, validation_split=0.2)

    def by_name():
        return one_output()

    case(by_name, {"b": b, "a": a}, binary, binary_loss, validation_data=([a[:20], b[:20]], binary[:20]))

    def two_outputs():
        one, two = keras.Input((6,), name="a"), keras.Input((3,), name="b")
        hidden = L.Dense(8, activation="relu", name="hidden")(L.Concatenate()([one, two]))
        answer = L.Dense(1, activation="sigmoid", name="answer")(hidden)
        size = L.Dense(1, name="size")(L.Add()([hidden, L.Dense(8)(hidden)]))
        return keras.Model([one, two], [answer, size])

    case(
        two_outputs,
        [a, b],
        [binary, real],
        lambda: {
            "optimizer": keras.optimizers.SGD(0.05, momentum=0.9),
            "loss": ["binary_crossentropy", "mse"],
            "loss_weights": [1.0, 0.3],
            "metrics": [["accuracy"], ["mae"]],
        },
        validation_split=0.1,
    )

    def weights_for_each():
        return two_outputs()

    case(
        weights_for_each,
        {"a": a, "b": b},
        [binary, real],
        lambda: {
            "optimizer": "rmsprop",
            "loss": ["binary_crossentropy", keras.losses.Huber()],
            "loss_weights": [0.5, 2.0],
            "metrics": {"answer": "accuracy", "size": ["mae", "mse"]},
            "weighted_metrics": {"size": ["mae"]},
        },
        sample_weight=[weights, weights[::-1].copy()],
    )

    def one_loss_for_both():
        return two_outputs()

    def outputs_by_name():
        return two_outputs()

    case(
        outputs_by_name,
        [a, b],
        {"answer": binary, "size": real},
        lambda: {
            "optimizer": "adam",
            "loss": {"answer": "binary_crossentropy", "size": "mae"},
            "loss_weights": {"answer": 0.5, "size": 2.0},
            "metrics": {"answer": ["accuracy"]},
        },
    )

    case(one_loss_for_both, [a, b], [binary, real], lambda: {"optimizer": "adam", "loss": "mse"})

    def outputs_in_a_dict():
        one = keras.Input((6,))
        hidden = L.Dense(5, activation="elu")(one)
        return keras.Model(
            one, {"size": L.Dense(1)(hidden), "kind": L.Dense(3, activation="softmax")(hidden)}
        )

    case(
        outputs_in_a_dict,
        a,
        {"size": real, "kind": classes},
        lambda: {
            "optimizer": "adam",
            "loss": {"size": "mse", "kind": "sparse_categorical_crossentropy"},
            "metrics": {"kind": ["accuracy"]},
        },
    )

    def shared_and_nested():
        tower = keras.Sequential([keras.Input((3,)), L.Dense(4, activation="relu"), L.Dropout(0.2)])
        one, two = keras.Input((6,)), keras.Input((3,))
        shared = L.Dense(3, activation="tanh")
        left, right = tower(shared(one)), tower(two)
        inner_in = keras.Input((4,))
        inner = keras.Model(inner_in, L.Dense(2)(inner_in) + 1.0)
        return keras.Model([one, two], L.Dense(1)(L.multiply([inner(left), inner(right)])))

    case(
        shared_and_nested,
        [a, b],
        real,
        lambda: {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]},
    )

    def residual():
        one = keras.Input((6,))
        hidden = L.Dense(6, activation="relu", kernel_regularizer="l2")(one)
        added = (one + 2.0 * hidden) / 3.0 - 0.5
        return keras.Model(one, L.Dense(1)(L.BatchNormalization()(added)))

    case(residual, a, real, lambda: {"optimizer": "adam", "loss": "mse"}, validation_split=0.2)

    def subclassed():
        class Two(keras.Model):
            def __init__(self):
                super().__init__()
                self.hidden = L.Dense(7, activation="relu")
                self.dropout = L.Dropout(0.2)
                self.first, self.second = L.Dense(1, activation="sigmoid"), L.Dense(3, activation="softmax")

            def call(self, inputs, training=False):
                hidden = self.dropout(self.hidden(inputs), training=training)
                return self.first(hidden), self.second(hidden)

        model = Two()
        model(a[:2])
        return model

    case(
        subclassed,
        a,
        (binary[:, None], classes),
        lambda: {
            "optimizer": "adam",
            "loss": ["binary_crossentropy", "sparse_categorical_crossentropy"],
            "metrics": [["accuracy"], ["sparse_categorical_accuracy"]],
        },
    )

    def masked_sequences():
        one = keras.Input((7,))
        found = L.Embedding(12, 5, mask_zero=True)(one)
        found = L.LSTM(6, return_sequences=True)(found)
        return keras.Model(one, L.Dense(3, activation="softmax")(found))

    case(
        masked_sequences,
        words,
        tags,
        lambda: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
        validation_split=0.2,
    )

    def masked_and_pooled():
        one = keras.Input((7,))
        found = L.Dropout(0.1)(L.Embedding(12, 5, mask_zero=True)(one))
        return keras.Model(one, L.Dense(1, activation="sigmoid")(L.GlobalAveragePooling1D()(found)))

    case(masked_and_pooled, words, binary, binary_loss)

    def convolutions():
        one = keras.Input((8, 8, 2))
        found = L.Conv2D(4, 3, activation="relu", padding="same")(one)
        found = L.BatchNormalization()(L.MaxPooling2D()(found))
        found = L.add([found, L.SeparableConv2D(4, 3, padding="same")(found)])
        return keras.Model(
            one, L.Dense(3, activation="softmax")(L.Flatten()(L.Conv2D(2, 2, strides=2)(found)))
        )

    case(
        convolutions,
        pictures,
        classes,
        lambda: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    )

    def recurrent():
        return keras.Sequential(
            [
                L.Embedding(12, 6),
                L.Bidirectional(L.LSTM(5, return_sequences=True)),
                L.GRU(4, dropout=0.2),
                L.Dense(1, activation="sigmoid"),
            ]
        )

    case(recurrent, words, binary, binary_loss)

    def parts_of_models():
        """A model from one in its middle to its end, and one from its beginning to its middle."""
        keras.utils.set_random_seed(3)
        whole = keras.Sequential([keras.Input((6,)), L.Dense(4, activation="tanh"), L.Dense(2), L.Dense(1)])
        first = keras.Model(whole.inputs, whole.layers[1].output)
        second = keras.Model(whole.layers[1].output, whole.outputs)
        middle = first.predict(a, verbose=0)
        return {"predict/middle": middle, "predict/end": second.predict(middle, verbose=0)}

    def stateless():
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((6,)), L.Dense(4, kernel_regularizer="l2"), L.BatchNormalization()]
        )
        moved, others = (
            [np.asarray(v) for v in each]
            for each in (model.trainable_variables, model.non_trainable_variables)
        )
        outputs, after, losses = model.stateless_call(moved, others, a, training=True, return_losses=True)
        found = {f"predict/after/{n}": np.asarray(value) for n, value in enumerate(after)}
        return found | {"predict/outputs": np.asarray(outputs), "predict/loss": np.asarray(sum(losses))}

    listed["parts_of_models"] = parts_of_models
    listed["stateless"] = stateless
    return listed

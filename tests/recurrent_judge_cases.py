"""The cases of test_recurrent_judge.py, run by pellucid or keras, whichever is given (see judging.py).

Weights are compared bit by bit ("first"), outputs of layers called by hand ("out"), and whole trainings.
"""

import numpy as np

ROWS, TIME, FEATURES, WORDS = 70, 7, 3, 20  # 70 rows in batches of 16: the last one has 6


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L = keras.layers  # noqa: N806
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, TIME, FEATURES)).astype("float32")
    y = x[:, :, 0].sum(axis=1, keepdims=True) + x[:, -1:, 1]
    mask = random.random((ROWS, TIME)) > 0.4
    mask[0], mask[1, 0], mask[2, -1] = False, False, False
    words = random.integers(1, WORDS, (ROWS, TIME))
    words[np.arange(TIME) >= random.integers(1, TIME + 1, ROWS)[:, None]] = 0
    labels = (words == 3).any(axis=1).astype("float32")
    states = [random.normal(size=(4, 5)).astype("float32") for _ in range(4)]
    few, few_masks = x[:4], mask[:4]
    listed = {}

    def out(given):
        given = given if isinstance(given, list | tuple) else [given]
        return {f"out/{n}": np.asarray(each) for n, each in enumerate(given)}

    def called(name, make, *calls):
        """A layer called by hand, once or several times."""

        def go():
            keras.utils.set_random_seed(3)
            layer, found = make(), {}
            for number, (inputs, options) in enumerate(calls or [(few, {})]):
                given = out(layer(inputs, **options))
                if number == 0:
                    found |= {f"first/{n}": weight for n, weight in enumerate(layer.get_weights())}
                found |= {f"out/{number}/{key}": value for key, value in given.items()}
            return found

        listed[name] = go

    masked = (few, {"mask": few_masks})
    for kind, states_count in (("SimpleRNN", 1), ("LSTM", 2), ("GRU", 1)):
        layer = getattr(L, kind)
        begun = (few, {"initial_state": states[:states_count]})
        both = (few, {"initial_state": states[:states_count], "mask": few_masks})
        for flags, *calls in (
            ({}, (few, {}), masked, begun, both),
            ({"return_sequences": True, "return_state": True}, (few, {}), masked),
            ({"go_backwards": True, "return_sequences": True, "return_state": True}, both),
            ({"go_backwards": True}, masked),
            ({"unroll": True, "return_sequences": True}, both),
            ({"unroll": True, "go_backwards": True, "return_state": True}, masked),
            ({"zero_output_for_mask": True, "return_sequences": True}, both),
            ({"use_bias": False, "activation": "relu", "kernel_initializer": "he_normal"}, (few, {})),
            ({"stateful": True, "return_sequences": True}, (few, {}), masked),
        ):
            told = ", ".join(f"{key}={value}" for key, value in flags.items())
            called(f"{kind} {told}", lambda layer=layer, flags=flags: layer(5, **flags), *calls)
        cell = getattr(L, f"{kind}Cell")
        called(
            f"RNN of {kind}Cell",
            lambda cell=cell: L.RNN(cell(5), return_sequences=True, return_state=True),
            both,
        )
    called("GRU, reset before", lambda: L.GRU(5, reset_after=False), (few, {}), masked)
    called("LSTM, no ones for the forget gate", lambda: L.LSTM(5, unit_forget_bias=False))
    called("LSTM, hard", lambda: L.LSTM(5, recurrent_activation="hard_sigmoid"), (few, {}), masked)
    called(
        "a stack of cells",
        lambda: L.RNN([L.LSTMCell(5), L.GRUCell(4), L.SimpleRNNCell(3)], return_state=False),
        (few, {}),
        masked,
    )
    called(
        "StackedRNNCells",
        lambda: L.RNN(L.StackedRNNCells([L.GRUCell(4), L.GRUCell(3)]), return_sequences=True),
        (few, {}),
    )
    for mode in ("concat", "sum", "mul", "ave", None):
        called(
            f"Bidirectional {mode}",
            lambda mode=mode: L.Bidirectional(L.SimpleRNN(5, return_sequences=True), merge_mode=mode),
            masked,
        )
    called(
        "Bidirectional, states",
        lambda: L.Bidirectional(L.LSTM(5, return_state=True), merge_mode=None),
        (few, {}),
        (few, {"initial_state": states}),
    )
    called(
        "Bidirectional, two kinds",
        lambda: L.Bidirectional(L.LSTM(5), backward_layer=L.GRU(4, go_backwards=True)),
        (few, {}),
    )
    called("Bidirectional, unrolled", lambda: L.Bidirectional(L.SimpleRNN(5, unroll=True)), (few, {}), masked)
    called("TimeDistributed", lambda: L.TimeDistributed(L.Dense(4, activation="tanh")), (few, {}), masked)
    called(
        "TimeDistributed of a normalization",
        lambda: L.TimeDistributed(L.BatchNormalization()),
        (few, {}),
        (few, {"training": True}),
        (few, {}),
    )
    called(
        "TimeDistributed Dropout",
        lambda: L.TimeDistributed(L.Dropout(0.5)),
        (few, {"training": True}),
        (few, {"training": True}),
    )
    called("Embedding", lambda: L.Embedding(WORDS, 4), (words[:4], {}))
    called("Embedding, weights", lambda: L.Embedding(2, 2, weights=[np.eye(2)]), (np.array([[0, 1]]), {}))
    called("Embedding of floats", lambda: L.Embedding(WORDS, 4), (words[:4].astype("float32"), {}))
    zeros = np.where(few_masks[..., None], few, 0)
    called("Masking", L.Masking, (zeros, {}))

    for kind in ("LSTM", "GRU", "SimpleRNN"):
        for drops in ({"dropout": 0.3}, {"dropout": 0.3, "recurrent_dropout": 0.4}):
            called(
                f"{kind}, dropped {drops}",
                lambda kind=kind, drops=drops: getattr(L, kind)(5, **drops),
                (few, {"training": True}),
                (few, {"training": True}),
            )
    called(
        "a stack of cells, dropped",
        lambda: L.RNN([L.LSTMCell(5, dropout=0.3), L.GRUCell(4, dropout=0.2, recurrent_dropout=0.5)]),
        (few, {"training": True}),
        (few, {"training": True}),
    )

    def trained(name, make, inputs, targets, loss="mse", epochs=4, **fitting):
        """A training of several epochs."""

        def go():
            keras.utils.set_random_seed(7)
            model = keras.Sequential([keras.Input(inputs.shape[1:], dtype=str(inputs.dtype)), *make()])
            first = {f"first/{n}": weight for n, weight in enumerate(model.get_weights())}
            model.compile("adam", loss, metrics=["mae"])
            history = model.fit(inputs, targets, epochs=epochs, batch_size=16, verbose=0, **fitting)
            found = {f"history/{key}": np.array(values) for key, values in history.history.items()}
            found |= {f"weights/{n}": weight for n, weight in enumerate(model.get_weights())}
            return first | found | {"predict": model.predict(inputs, verbose=0)}

        listed[name] = go

    for kind in ("SimpleRNN", "LSTM", "GRU"):
        layer = getattr(L, kind)
        trained(
            f"train {kind}, dropped",
            lambda layer=layer: [layer(6, dropout=0.2, recurrent_dropout=0.1), L.Dense(1)],
            x,
            y,
            validation_split=0.3,
        )
    trained(
        "train two LSTMs",
        lambda: [L.LSTM(6, return_sequences=True, dropout=0.2), L.Bidirectional(L.LSTM(4)), L.Dense(1)],
        x,
        y,
    )

    def asked_between():
        """A training, questions of all kinds, and a training that goes on with the seeds they left."""
        keras.utils.set_random_seed(9)
        cells = [L.GRUCell(4, dropout=0.3), L.LSTMCell(5, recurrent_dropout=0.2)]
        inner = [L.Bidirectional(L.GRU(4, dropout=0.2, return_sequences=True)), L.RNN(cells), L.Dense(1)]
        model = keras.Sequential([keras.Input(x.shape[1:]), *inner])
        model.compile("adam", "mse")
        losses = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history["loss"]
        for ask in (
            lambda: model.evaluate(x, y, batch_size=7, verbose=0),
            lambda: model.predict(x, batch_size=5, verbose=0),
            lambda: model.predict(x, verbose=0),
            lambda: model.predict_on_batch(x[:3]),
            lambda: model.test_on_batch(x, y),
        ):
            ask()
            losses += model.fit(x, y, epochs=1, batch_size=16, verbose=0).history["loss"]
        return {"losses": np.array(losses)}

    listed["train, ask, train on"] = asked_between
    trained(
        "train with masked times",
        lambda: [L.Masking(), L.Bidirectional(L.GRU(5, return_sequences=True)), L.LSTM(4), L.Dense(1)],
        np.where(mask[..., None], x, 0),
        y,
    )
    trained(
        "train at each time",
        lambda: [
            L.LSTM(5, return_sequences=True),
            L.TimeDistributed(L.Dense(4, activation="relu")),
            L.TimeDistributed(L.BatchNormalization()),
            L.TimeDistributed(L.Dropout(0.2)),
            L.TimeDistributed(L.Dense(1)),
        ],
        x,
        x[:, :, :1] + 1,
    )
    trained(
        "classify texts",
        lambda: [L.Embedding(WORDS, 8, mask_zero=True), L.LSTM(8), L.Dense(1, activation="sigmoid")],
        words,
        labels,
        "binary_crossentropy",
        epochs=8,
        validation_split=0.2,
    )
    trained(
        "classify texts, both ways",
        lambda: [
            L.Embedding(WORDS, 8, mask_zero=True),
            L.Bidirectional(L.LSTM(6, return_sequences=True)),
            L.Bidirectional(L.LSTM(4)),
            L.Dense(1, activation="sigmoid"),
        ],
        words,
        labels,
        "binary_crossentropy",
    )
    return listed

"""Merging, attention, noise, normalization and preprocessing, run by whichever library is given."""

import numpy as np

RANDOM = np.random.default_rng(3)
A, B = (RANDOM.normal(size=(5, 4, 3)).astype("float32") for _ in range(2))
ROW = RANDOM.normal(size=(5, 3)).astype("float32")
SEQUENCES = RANDOM.normal(size=(50, 4, 3)).astype("float32")
PICTURES = RANDOM.normal(size=(50, 4, 3, 2)).astype("float32")
TARGETS = RANDOM.normal(size=50).astype("float32")


def cases(keras):
    """Each case by its name: a function that gives arrays by their names."""
    L = keras.layers  # noqa: N806
    listed = {}

    def case(name):
        return lambda run: listed.setdefault(name, run)

    @case("merging")
    def _():
        found = {}
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
            several = {"pair": [A, B], "broadcast": [A, B[:, :1]], "of two ranks": [A, ROW]}
            if kind != "Subtract":
                several["three"] = [A, B, A * B]
            for name, inputs in several.items():
                layer = getattr(L, kind)()
                found[f"{kind}/{name}"] = layer(inputs)
                shape = layer.compute_output_shape([each.shape for each in inputs])
                found[f"{kind}/shape of {name}"] = np.array(shape)
                found[f"{kind}/function, {name}"] = getattr(L, kind.lower())(inputs)
        for axis in (1, 2, -1, -2):
            found[f"joined/{axis}"] = L.concatenate([A, B], axis=axis)
            found[f"joined/shape {axis}"] = L.Concatenate(axis).compute_output_shape([A.shape, B.shape])
        pairs = {
            "rows": (1, ROW, ROW * 2),
            "last": (-1, A, ROW),
            "first": ((1, 1), A, B),
            "crossed": ((2, 1), A, np.swapaxes(B, 1, 2)),
            "of four axes": ((3, 1), PICTURES, np.swapaxes(PICTURES, 1, 3)),
        }
        for name, (axes, one, other) in pairs.items():
            for normalize in (False, True):
                layer = L.Dot(axes=axes, normalize=normalize)
                found[f"dot/{name}, {normalize}"] = layer([one, other])
                if name != "last":  # Keras says another shape than it gives
                    found[f"dot/shape of {name}"] = layer.compute_output_shape([one.shape, other.shape])
        return found

    def trained(name, x, *layers):
        def run():
            keras.utils.set_random_seed(3)
            made = [make() for make in layers]
            model = keras.Sequential([keras.Input(x.shape[1:]), *made, L.Flatten(), L.Dense(1)])
            model.compile("adam", "mse")
            history = model.fit(x, TARGETS, batch_size=16, epochs=4, verbose=0)
            found = {f"weights/{number}": weight for number, weight in enumerate(model.get_weights())}
            return {**found, "loss": history.history["loss"], "predict": model.predict(x, verbose=0)}

        listed[f"trained: {name}"] = run

    dense = lambda: L.Dense(4, "selu")  # noqa: E731
    trained("PReLU", SEQUENCES, dense, lambda: L.PReLU("ones"))
    trained("PReLU, shared", SEQUENCES, dense, lambda: L.PReLU(shared_axes=[1], alpha_regularizer="l2"))
    trained("GaussianDropout", SEQUENCES, dense, lambda: L.GaussianDropout(0.3))
    trained("AlphaDropout", SEQUENCES, dense, lambda: L.AlphaDropout(0.3))
    trained("AlphaDropout, shaped", SEQUENCES, dense, lambda: L.AlphaDropout(0.3, (None, 1, 4)))
    trained("SpatialDropout1D", SEQUENCES, dense, lambda: L.SpatialDropout1D(0.3))
    trained("SpatialDropout2D", PICTURES, dense, lambda: L.SpatialDropout2D(0.3))
    trained("channels first", PICTURES, dense, lambda: L.SpatialDropout2D(0.3, "channels_first"))
    trained("penalty", SEQUENCES, dense, lambda: L.ActivityRegularization(0.01, 0.02), L.Identity)
    trained("Lambda", SEQUENCES, dense, lambda: L.Lambda(lambda x, by: x * x + by, arguments={"by": 2.0}))
    trained("BatchNormalization", SEQUENCES, dense, lambda: L.BatchNormalization(momentum=0.8))
    trained("BatchNormalization of places", SEQUENCES, dense, lambda: L.BatchNormalization(axis=1))
    trained("LayerNormalization", SEQUENCES, dense, lambda: L.LayerNormalization(axis=[1, 2]))
    trained("Softmax", SEQUENCES, dense, lambda: L.Softmax(axis=1), lambda: L.Softmax(axis=(1, 2)))

    def attending(name, make, call, *shapes):
        """A functional model around an attention: trained, and then called by hand."""

        def run():
            keras.utils.set_random_seed(5)
            inputs = [keras.Input(shape) for shape in shapes]
            layer = make()
            outputs = call(
                layer, [L.Dense(shape[-1], "tanh")(x) for x, shape in zip(inputs, shapes, strict=True)]
            )
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            flat = [L.Flatten()(each) for each in outputs]
            model = keras.Model(inputs, L.Dense(1)(flat[0] if len(flat) == 1 else L.Concatenate()(flat)))
            found = {f"first/{number}": weight for number, weight in enumerate(model.get_weights())}
            random = np.random.default_rng(1)
            x = [random.normal(size=(50, *shape)).astype("float32") for shape in shapes]
            model.compile("adam", "mse")
            history = model.fit(x, TARGETS, batch_size=16, epochs=4, verbose=0)
            found |= {f"weights/{number}": weight for number, weight in enumerate(model.get_weights())}
            return {**found, "loss": history.history["loss"], "predict": model.predict(x, verbose=0)}

        listed[f"attention: {name}"] = run

    def heads(**options):
        return lambda: L.MultiHeadAttention(2, 3, **options)

    both = (4, 5), (6, 3)
    apart = lambda layer, x: layer(*x)  # noqa: E731
    attending("heads", heads(), apart, *both)
    attending(
        "of itself",
        heads(value_dim=4, output_shape=2, dropout=0.1),
        lambda layer, x: layer(x[0], x[0]),
        (4, 5),
    )
    attending("causal", heads(dropout=0.3), lambda layer, x: layer(x[0], x[0], use_causal_mask=True), (4, 5))
    attending("window", heads(sliding_window=2, use_bias=False), apart, *both)
    attending("gate", heads(use_gate=True, kernel_regularizer="l2"), apart, *both)
    attending("keys", heads(kernel_initializer="he_normal"), apart, (4, 5), (6, 3), (6, 2))
    with_scores = lambda layer, x: layer(*x, return_attention_scores=True)  # noqa: E731
    attending("scores", heads(), with_scores, (4, 5), (4, 3))
    attending("axes", heads(attention_axes=(2,)), apart, (2, 4, 5), (2, 3, 5))
    attending("both axes", heads(), apart, (2, 4, 5), (3, 2, 5))
    attending("dot", L.Attention, lambda layer, x: layer(x), (4, 3), (6, 3))
    attending("scaled", lambda: L.Attention(use_scale=True, dropout=0.2), lambda a, x: a(x), (4, 3), (6, 3))
    concat = lambda: L.Attention(use_scale=True, score_mode="concat")  # noqa: E731
    attending("concat", concat, lambda layer, x: layer(x, use_causal_mask=True), (4, 3), (6, 3), (6, 3))
    attending("additive", L.AdditiveAttention, lambda layer, x: layer(x), (4, 3), (6, 3))
    attending("einsum", lambda: L.EinsumDense("abc,bcd->abd", (4, 2), bias_axes="bd"), apart, (4, 3))
    attending("einsum on the left", lambda: L.EinsumDense("...x,xy->...y", 2, "relu", "y"), apart, (4, 3))
    attending("einsum on the right", lambda: L.EinsumDense("ab...,bc->ac...", 2, None, "c"), apart, (4, 3))

    @case("attention with masks")
    def _():
        keras.utils.set_random_seed(2)
        random = np.random.default_rng(2)
        query, value = random.normal(size=(3, 4, 5)), random.normal(size=(3, 6, 5))
        seen = np.arange(4) < np.array([4, 2, 0])[:, None]
        known = np.arange(6) < np.array([6, 1, 3])[:, None]
        layer = L.MultiHeadAttention(2, 3)
        found = {}
        for name, options in {
            "attention": {"attention_mask": np.arange(24).reshape(4, 6) % 3 > 0},
            "values": {"value_mask": known},
            "keys": {"key_mask": known, "use_causal_mask": True},
        }.items():
            found[f"heads/{name}"] = layer(query, value, **options)
            output, scores = layer(query, value, return_attention_scores=True, **options)
            found[f"heads/scores, {name}"], found[f"heads/again, {name}"] = scores, output
        inputs = [np.asarray(query, "float32"), np.asarray(value, "float32")]
        for kind in (L.Attention, L.AdditiveAttention):
            output, scores = kind()(inputs, mask=[seen, known], return_attention_scores=True)
            found[f"{kind.__name__}/output"], found[f"{kind.__name__}/scores"] = output, scores
        return found

    @case("masks that travel")
    def _():
        keras.utils.set_random_seed(2)
        random = np.random.default_rng(4)
        words = random.integers(0, 3, (5, 4))
        one, other = keras.Input((4,), dtype="int32"), keras.Input((4,), dtype="int32")
        masked, plain = L.Embedding(3, 2, mask_zero=True), L.Embedding(3, 2)
        pairs = {"both": (masked(one), masked(other)), "one": (masked(one), plain(other))}
        found = {}
        for kind in ("Add", "Average", "Multiply", "Maximum", "Minimum", "Concatenate"):
            for name, pair in pairs.items():
                merged = getattr(L, kind)()(list(pair))
                model = keras.Model([one, other], [merged, L.LSTM(2, kernel_initializer="ones")(merged)])
                outputs = model.predict([words, words[::-1]], verbose=0)
                found[f"{kind}/{name}"], found[f"{kind}/{name}, read"] = outputs
        attended = L.MultiHeadAttention(1, 2)(masked(one), masked(other))
        found["heads"] = keras.Model([one, other], attended).predict([words, words[::-1]], verbose=0)
        return found

    @case("softmax with a mask")
    def _():
        mask = np.array([[True, False, True], [True, True, True], [False, False, False], [False, True, True]])
        return {"one axis": L.Softmax()(A, mask=mask), "two": L.Softmax((1, 2))(A, mask=mask)}

    @case("batch normalization with a mask")
    def _():
        layer = L.BatchNormalization(momentum=0.5)
        mask = np.arange(4) < np.array([4, 1, 2, 3, 0])[:, None]
        found = {"while training": layer(A, training=True, mask=mask)}
        found |= {f"weights/{number}": weight for number, weight in enumerate(layer.get_weights())}
        return {**found, "afterwards": layer(A)}

    @case("categories")
    def _():
        found = {}
        for mode in ("one_hot", "multi_hot", "count"):
            layer = L.CategoryEncoding(5, output_mode=mode)
            for name, rows in {"rows": [[0, 4], [2, 2]], "one each": [[1], [3]], "a row": [0, 3, 3]}.items():
                found[f"{mode}/{name}"] = layer(np.array(rows))
        weights = np.array([[0.1, 0.2], [0.3, 0.4]])
        found["weighted"] = L.CategoryEncoding(5, output_mode="count")(
            np.array([[0, 4], [2, 2]]), count_weights=weights
        )
        return found

    @case("bins")
    def _():
        found = {}
        for mode in ("int", "one_hot", "multi_hot", "count"):
            layer = L.Discretization(bin_boundaries=[-0.5, 0.0, 1.0], output_mode=mode)
            found[f"{mode}/rows"] = layer(ROW)
            found[f"{mode}/borders"] = layer(np.array([[-0.5], [0.0], [1.0]]))
        for bins, epsilon in ((2, 0.01), (5, 0.1), (7, 0.001), (20, 0.01)):
            layer = L.Discretization(num_bins=bins, epsilon=epsilon)
            for name, parts in {"learned": [SEQUENCES], "in parts": [SEQUENCES[:7], SEQUENCES[7:]]}.items():
                layer.reset_state()  # and not adapt, for which Keras wants TensorFlow
                for part in parts:
                    layer.update_state(part)
                layer.finalize_state()
                found[f"{name}/{bins}"] = layer.bin_boundaries
            found[f"learned/shape {bins}"] = layer(ROW)
        return found

    @case("normalization")
    def _():
        found = {}
        for axis in (-1, 1, (1, 2), None):
            layer, back = (L.Normalization(axis=axis, invert=invert) for invert in (False, True))
            for each in (layer, back):
                each.adapt(SEQUENCES)
            found[f"{axis}/there"], found[f"{axis}/back"] = layer(A), back(A)
            found[f"{axis}/mean"], found[f"{axis}/variance"] = layer.mean, layer.variance
            found |= {f"{axis}/weights {n}": weight for n, weight in enumerate(layer.get_weights())}
        given = L.Normalization(axis=1, mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0])
        found["given"] = given(A)
        found["given, number of weights"] = np.array(len(given.get_weights()))
        found["given, one"] = L.Normalization(mean=3.0, variance=2.0)(A)
        found["given, last of two"] = L.Normalization(axis=(1, 2), mean=[1.0, 2.0, 3.0], variance=[1.0] * 3)(
            A
        )
        return found

    return listed

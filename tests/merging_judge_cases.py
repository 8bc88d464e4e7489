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
    shared = lambda: L.PReLU(shared_axes=[1], alpha_regularizer="l2")  # noqa: E731
    trained("PReLU", SEQUENCES, dense, lambda: L.PReLU("ones"), dense, shared)
    trained("noise", SEQUENCES, dense, lambda: L.GaussianDropout(0.3), lambda: L.AlphaDropout(0.3))
    shaped = lambda: L.AlphaDropout(0.3, (None, 1, 4))  # noqa: E731
    trained("dropout of whole channels", SEQUENCES, dense, lambda: L.SpatialDropout1D(0.3), shaped)
    first = lambda: L.SpatialDropout2D(0.3, "channels_first")  # noqa: E731
    trained("dropout of pictures", PICTURES, dense, lambda: L.SpatialDropout2D(0.3), first)
    by = lambda: L.Lambda(lambda x, by: x * x + by, arguments={"by": 2.0})  # noqa: E731
    trained("penalty", SEQUENCES, dense, lambda: L.ActivityRegularization(0.01, 0.02), L.Identity, by)
    places = lambda: L.BatchNormalization(axis=1)  # noqa: E731
    trained("batch normalization", SEQUENCES, lambda: L.BatchNormalization(momentum=0.8), dense, places)
    softmax = lambda: L.Softmax(axis=(1, 2))  # noqa: E731
    whole = lambda: L.LayerNormalization(axis=[1, 2])  # noqa: E731
    trained("LayerNormalization, Softmax", SEQUENCES, dense, whole, lambda: L.Softmax(axis=1), softmax)

    def attending(name, make, call, *shapes):
        """A functional model around an attention, trained on whole batches: it is compiled once."""

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
            x = [random.normal(size=(32, *shape)).astype("float32") for shape in shapes]
            # Without Adam, which makes steps of any gradient: that by the bias of the keys is 0, but for
            # rounding, as all scores of a place move together.
            model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
            history = model.fit(x, TARGETS[:32], batch_size=16, epochs=4, verbose=0)
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
        lambda layer, x: layer(x[0], x[0], use_causal_mask=True, return_attention_scores=True),
        (4, 5),
    )
    gated = heads(use_gate=True, kernel_regularizer="l2", kernel_initializer="he_normal")
    attending("keys", gated, lambda a, x: a(value=x[1], query=x[0], key=x[2]), (4, 5), (6, 3), (6, 2))
    attending("axes", heads(attention_axes=-2), apart, (2, 4, 5), (2, 3, 5))
    attending("scaled", lambda: L.Attention(use_scale=True, dropout=0.2), lambda a, x: a(x), (4, 3), (6, 3))
    concat = lambda: L.Attention(use_scale=True, score_mode="concat")  # noqa: E731
    attending("concat", concat, lambda layer, x: layer(x, use_causal_mask=True), (4, 3), (6, 3), (6, 3))
    attending("additive", L.AdditiveAttention, lambda layer, x: layer(x), (4, 3), (6, 3))

    def einsums(_, x):
        """Letters for all axes, and for those on the left and on the right of some."""
        x = L.EinsumDense("abc,bcd->abd", (4, 2), bias_axes="bd")(x[0])
        x = L.EinsumDense("...x,xy->...y", 2, "relu", "y")(x)
        return L.EinsumDense("ab...,bc->ac...", 3, None, "c")(x)

    attending("einsum", lambda: None, einsums, (4, 3))

    @case("attention with masks")
    def _():
        keras.utils.set_random_seed(2)
        random = np.random.default_rng(2)
        query, value = (random.normal(size=size).astype("float32") for size in ((3, 4, 5), (3, 6, 5)))
        seen = np.arange(4) < np.array([4, 2, 0])[:, None]
        known = np.arange(6) < np.array([6, 1, 0])[:, None]
        layer = L.MultiHeadAttention(2, 3)
        found = {}
        # Of the last row nothing may be attended to, or by some of its places.
        for name, options in {
            "attention": {"attention_mask": np.arange(24).reshape(4, 6) % 3 > np.arange(4)[:, None] - 1},
            "values": {"value_mask": known},
            "keys": {"key": value, "key_mask": known, "use_causal_mask": True},
            "queries": {"query_mask": seen},
        }.items():
            found[f"heads/{name}"] = layer(query, value, **options)
            output, scores = layer(query, value, return_attention_scores=True, **options)
            found[f"heads/scores, {name}"], found[f"heads/again, {name}"] = scores, output
        near = L.MultiHeadAttention(2, 3, sliding_window=2, use_bias=False)
        found["heads/window"] = near(query, value)
        for kind in (L.Attention, L.AdditiveAttention):
            output, scores = kind()([query, value], mask=[seen, known], return_attention_scores=True)
            found[f"{kind.__name__}/output"], found[f"{kind.__name__}/scores"] = output, scores
        return found

    @case("attention of many axes with masks")
    def _():
        found = {}
        random = np.random.default_rng(3)
        for number, (query, value, mask, axes) in enumerate(
            [
                ((3, 4), (3, 2), (3, 3, 4, 2), (2,)),
                ((3, 4), (3, 2), (3, 3, 2, 4, 2), (2,)),
                ((3, 4), (3, 2), (3, 3, 4, 3, 2), (1, 2)),
                ((5, 3, 4), (5, 3, 2), (3, 5, 3, 4, 3, 2), (2, 3)),
            ]
        ):
            keras.utils.set_random_seed(number)
            layer = L.MultiHeadAttention(2, 2, attention_axes=axes, use_gate=number % 2 == 0)
            arrays = [random.normal(size=(3, *size, 8)).astype("float32") for size in (query, value)]
            allowed = random.random(mask) > 0.5
            output, scores = layer(*arrays, attention_mask=allowed, return_attention_scores=True)
            found[f"{number}/output"], found[f"{number}/scores"] = output, scores
            found[f"{number}/alone"] = layer(*arrays, attention_mask=allowed)
        return found

    @case("attention in half precision")
    def _():
        x = np.random.default_rng(5).normal(size=(3, 4, 5)).astype("float32")
        layer = L.MultiHeadAttention(2, 3, dtype="float16", kernel_initializer=keras.initializers.HeNormal(1))
        outputs = [layer(x, x, use_causal_mask=True), *layer(x, x, return_attention_scores=True)]
        return {f"half/{n}": np.asarray(output).astype("float32") for n, output in enumerate(outputs)}

    class Residual(keras.Model):
        """Adds what a layer attends to, by hand: the masks are those that the layers leave there."""

        def __init__(self):
            super().__init__()
            self.words, self.heads = L.Embedding(3, 4, mask_zero=True), L.MultiHeadAttention(2, 2)
            self.add, self.mean = L.Add(), L.GlobalAveragePooling1D()

        def call(self, inputs):
            x = self.words(inputs)
            return self.mean(self.add([x, self.heads(x, x)]))

    @case("masks that travel")
    def _():
        keras.utils.set_random_seed(2)
        random = np.random.default_rng(4)
        words = random.integers(0, 3, (5, 4))
        words[:, 0] = 1
        words[4] = 0
        one, other = keras.Input((4,), dtype="int32"), keras.Input((4,), dtype="int32")
        masked, plain = L.Embedding(3, 2, mask_zero=True), L.Embedding(3, 2)
        found = {}
        kinds = ("Add", "Average", "Multiply", "Maximum", "Minimum", "Concatenate")
        merged = [getattr(L, kind)()([masked(one), masked(other)]) for kind in kinds]
        merged.append(L.Add()([masked(one), plain(other)]))
        attended = L.MultiHeadAttention(1, 2)(masked(one), masked(other))
        residual = L.Add()([masked(one), attended])
        read = [L.SimpleRNN(2, kernel_initializer="ones")(each) for each in [*merged, attended, residual]]
        model = keras.Model([one, other], [*merged, attended, residual, *read])
        for number, output in enumerate(model.predict([words, words[::-1]], verbose=0)):
            found[f"output/{number}"] = output
        keras.utils.set_random_seed(2)
        by_hand = Residual()
        found["by hand"], found["by hand, again"] = by_hand(words[:4]), by_hand.predict(words[:4], verbose=0)
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

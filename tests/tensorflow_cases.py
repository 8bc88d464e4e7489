"""What scripts do with TensorFlow around Keras: each case gives arrays, lists or numbers.

`python tests/tensorflow_cases.py` with TensorFlow installed writes what TensorFlow gives into
tensorflow_answers.json; test_standing_in.py compares with it what Pellucid gives in its place.
"""

import json
from pathlib import Path

import numpy as np

ANSWERS = Path(__file__).with_name("tensorflow_answers.json")
X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.5]], np.float32)
Y = np.array([[2.0, 2.0, -1.0], [1.0, 4.0, 0.25]], np.float32)
P = np.array([[0.2, 0.5, 0.9], [0.25, 0.125, 1.0]], np.float32)
SIGN = "abs sign negative square"
REAL = "exp cos cosh sin sinh tan tanh atan floor round sigmoid"
POSITIVE = "log sqrt acos asin"
TWO = "add subtract multiply divide maximum minimum equal not_equal greater greater_equal less less_equal"


def cases(tf):
    """What each case gives, by its name."""
    found = {}
    x, y = tf.constant(X), tf.constant(Y)
    for name in f"{SIGN} {REAL}".split():
        found[name] = getattr(tf, name)(X)
        found[f"math.{name}"] = getattr(tf.math, name)(x)
    for name in POSITIVE.split():
        found[name] = getattr(tf, name)(P) if hasattr(tf, name) else getattr(tf.math, name)(P)
    for name in ["log1p", "expm1", "ceil", "erf", "reciprocal", "rsqrt", "softplus", "log_sigmoid"]:
        found[f"math.{name}"] = getattr(tf.math, name)(P)
    for name in TWO.split():
        found[name] = getattr(tf, name)(x, Y)
    for name in [
        "relu",
        "relu6",
        "elu",
        "selu",
        "silu",
        "swish",
        "softplus",
        "softsign",
        "sigmoid",
        "tanh",
        "leaky_relu",
        "gelu",
        "softmax",
    ]:
        found[f"nn.{name}"] = getattr(tf.nn, name)(x)
    for name in ["sum", "mean", "max", "min", "prod"]:
        reduce = getattr(tf, f"reduce_{name}")
        found[f"reduce_{name}"] = [
            reduce(x),
            reduce(X, axis=1),
            reduce(input_tensor=x, axis=0, keepdims=True),
        ]
    found["reduce_all"] = [tf.reduce_all(x > 0), tf.reduce_any(x > 0, axis=1)]
    found["math.reduce_std"] = [tf.math.reduce_std(x), tf.math.reduce_variance(x, axis=0)]
    found["reduce_logsumexp"] = tf.reduce_logsumexp(x, axis=-1)
    found["argmax"] = [tf.argmax(x), tf.argmax(x, axis=1), tf.math.argmin(x, axis=-1)]
    found["pow"] = [tf.pow(P, 2.0), x**2, -x, x + 1, 2 * x, 1 / P, x > 0]
    found["logical"] = [tf.logical_and(x > 0, y > 0), tf.logical_or(x > 0, y > 0), tf.logical_not(x > 0)]
    found["math.squared_difference"] = tf.math.squared_difference(x, y)
    found["math.divide_no_nan"] = tf.math.divide_no_nan(y, x)
    found["clip_by_value"] = tf.clip_by_value(x, -1.0, 1.0)
    found["add_n"] = tf.add_n([x, y, x])
    found["cumsum"] = [tf.cumsum(x, axis=1), tf.cumsum(x), tf.math.cumsum(x, 1, exclusive=True, reverse=True)]
    found["matmul"] = [
        tf.matmul(x, Y, transpose_b=True),
        tf.matmul(X, y, transpose_a=True),
        x @ tf.transpose(y),
    ]
    found["tensordot"] = [tf.tensordot(x, y, axes=[[0], [0]]), tf.einsum("ij,kj->ik", x, y)]
    square = tf.constant([[4.0, 7.0], [2.0, 6.0]])
    found["linalg"] = [tf.linalg.inv(square), tf.linalg.det(square), tf.linalg.matmul(square, square)]
    found["norm"] = [
        tf.norm(x),
        tf.norm(x, axis=1),
        tf.linalg.norm(x, ord=1, axis=0),
        tf.norm(x, keepdims=True),
    ]
    found["diag"] = [tf.linalg.diag([1.0, 2.0]), tf.linalg.diag_part(square), tf.eye(2), tf.eye(2, 3)]
    found["reshape"] = [
        tf.reshape(x, (3, 2)),
        tf.reshape(x, [-1]),
        tf.transpose(x),
        tf.transpose(x, perm=[1, 0]),
    ]
    found["expand_dims"] = [tf.expand_dims(x, 0), tf.expand_dims(x, axis=-1), x[..., tf.newaxis], x[:, :2]]
    found["squeeze"] = [tf.squeeze(tf.expand_dims(x, 0)), tf.squeeze(tf.ones((1, 2, 1)), axis=[0])]
    found["concat"] = [tf.concat([x, y], axis=1), tf.concat(values=[X, Y], axis=0), tf.stack([x, y], axis=-1)]
    found["unstack"] = [*tf.unstack(x), *tf.split(x, 3, axis=1), *tf.split(x, [1, 2], axis=1)]
    found["tile"] = [tf.tile(x, [2, 1]), tf.repeat([1, 2], 2), tf.repeat(x, repeats=[1, 2], axis=0)]
    found["reverse"] = [
        tf.reverse(x, axis=[1]),
        tf.sort(x),
        tf.sort(x, direction="DESCENDING"),
        tf.argsort(x),
    ]
    found["pad"] = [tf.pad(x, [[1, 0], [0, 1]]), tf.pad(x, tf.constant([[1, 1], [1, 1]]), mode="REFLECT")]
    found["gather"] = [tf.gather(x, [1, 0]), tf.gather(x, [2, 0], axis=1), tf.boolean_mask(x, [True, False])]
    found["where"] = [tf.where(x > 0, x, 0.0), tf.where(x > 0)]
    found["one_hot"] = [tf.one_hot([0, 2, 3], 3), tf.one_hot([1, 0], depth=2, on_value=5.0, off_value=-1.0)]
    found["cast"] = [tf.cast(x, tf.int32), tf.cast([True, False], tf.float32), tf.cast(3, tf.float32) / 2]
    found["range"] = [tf.range(4), tf.range(2, 8, 3), tf.range(0.0, 1.0, 0.25), tf.linspace(0.0, 1.0, 5)]
    found["fill"] = [
        tf.zeros([2, 2]),
        tf.ones(3),
        tf.fill([2, 2], 7.0),
        tf.zeros_like(x),
        tf.ones_like([1, 2]),
    ]
    found["constant"] = [
        tf.constant(2.5),
        tf.constant([1, 2, 3, 4], shape=(2, 2)),
        tf.constant(1.0, shape=(2,)),
    ]
    found["broadcast"] = tf.broadcast_to([1.0, 2.0], (2, 2))
    found["shape"] = [
        list(tf.shape(x)),
        list(x.shape),
        x.shape[0],
        tf.size(x),
        tf.rank(x),
        len(x),
        tf.shape(x)[1],
    ]
    found["l2"] = [tf.nn.l2_loss(x), tf.nn.l2_normalize(x, axis=1), tf.math.l2_normalize(x, axis=-1)]
    found["moments"] = list(tf.nn.moments(x, axes=[0]))
    found["nn.log_softmax"] = [
        tf.nn.log_softmax(x),
        tf.nn.softmax(logits=x, axis=0),
        tf.nn.bias_add(x, [1.0, 2, 3]),
    ]
    found["nn.top_k"] = list(tf.math.top_k(x, k=2))
    found["cross entropies"] = [
        tf.nn.sigmoid_cross_entropy_with_logits(labels=P, logits=x),
        tf.nn.softmax_cross_entropy_with_logits(labels=[[1.0, 0, 0], [0, 0.5, 0.5]], logits=x),
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2, 0], logits=x),
    ]
    found["confusion_matrix"] = [
        tf.math.confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2]),
        tf.math.confusion_matrix(labels=np.array([0, 1]), predictions=[1, 1], num_classes=3),
        tf.math.bincount([0, 1, 1, 3]),
    ]
    found["nan"] = [tf.math.is_nan([1.0, np.nan]), tf.math.is_finite([np.inf, 1.0]), tf.math.count_nonzero(x)]
    v = tf.Variable([1.0, 2.0], name="v")
    v.assign_add([1.0, 1.0])
    v.assign_sub([0.5, 0.0])
    found["Variable"] = [v.numpy(), v * 2, tf.reduce_sum(v), tf.stack([v, v]), v[0], tf.Variable(3).numpy()]
    w = tf.Variable(tf.zeros((2,)), trainable=False)
    w.assign([5.0, 6.0])
    found["assigned"] = [w.numpy(), list(w.shape), w.trainable, tf.convert_to_tensor(w), w + v]

    @tf.function
    def squares(n):
        return tf.square(n)

    @tf.function(jit_compile=False)
    def sums(n):
        return tf.reduce_sum(n)

    found["function"] = [squares(x), sums(x)]
    slices = tf.data.Dataset.from_tensor_slices
    found["batches"] = [
        b.numpy() for b in slices(np.arange(5)).map(lambda n: n * 2).batch(2).prefetch(tf.data.AUTOTUNE)
    ]
    found["pairs"] = [[a.numpy(), b.numpy()] for a, b in slices((X, np.array([3, 4]))).repeat(2).batch(3)]
    found["dict"] = [sorted(d) for d in slices({"a": X, "b": Y}).take(1)]
    found["take"] = list(tf.data.Dataset.range(10).skip(2).take(3).as_numpy_iterator())
    found["filter"] = list(tf.data.Dataset.range(2, 10, 2).filter(lambda n: n % 4 == 0).as_numpy_iterator())
    windows = tf.data.Dataset.range(7).window(4, shift=2, drop_remainder=True)
    found["window"] = list(windows.flat_map(lambda w: w.batch(4)).as_numpy_iterator())
    cut = tf.data.Dataset.range(5).window(3, shift=1).flat_map(lambda w: w.batch(3))
    found["window, cut"] = [row.tolist() for row in cut.as_numpy_iterator()]
    series = windows.flat_map(lambda w: w.batch(4)).map(lambda w: (w[:-1], w[-1:]))
    found["series"] = [[a.numpy(), b.numpy()] for a, b in series]
    found["zip"] = [
        [int(a), int(b)] for a, b in tf.data.Dataset.zip((tf.data.Dataset.range(3), slices([5, 6])))
    ]
    found["lengths"] = [
        len(slices(X)),
        len(tf.data.Dataset.range(5).batch(2)),
        len(tf.data.Dataset.range(5).batch(2, drop_remainder=True)),
        int(tf.data.Dataset.range(5).repeat().cardinality()),
        int(tf.data.Dataset.range(5).filter(lambda n: n > 1).cardinality()),
        len(tf.data.Dataset.range(5).repeat(3).skip(2)),
        len(tf.data.Dataset.range(5).concatenate(tf.data.Dataset.range(2)).cache()),
    ]
    found["generator"] = list(
        tf.data.Dataset.from_generator(
            lambda: iter([1, 2, 3]), output_signature=tf.TensorSpec(shape=(), dtype=tf.int32)
        ).as_numpy_iterator()
    )
    found["unbatch"] = list(tf.data.Dataset.range(4).batch(3).unbatch().as_numpy_iterator())
    found["enumerate"] = [[int(n), int(v)] for n, v in slices([7, 8]).enumerate(start=1)]
    found["padded"] = [
        b.tolist()
        for b in tf.data.Dataset.range(1, 4)
        .map(lambda n: tf.fill([tf.cast(n, tf.int32)], n))
        .padded_batch(3, padded_shapes=(None,))
        .as_numpy_iterator()
    ]
    found["shuffled"] = sorted(int(n) for n in tf.data.Dataset.range(20).shuffle(5, seed=1))
    found["reduced"] = tf.data.Dataset.range(5).reduce(np.int64(0), lambda total, n: total + n)
    found["dtypes"] = [tf.zeros(2).dtype == tf.float32, tf.constant([1]).dtype == tf.int32, tf.float32.name]
    return found


def plain(value):
    """Lists and numbers of anything."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, str | bool | int | float) else np.asarray(value).tolist()


if __name__ == "__main__":
    import tensorflow

    answers = {name: plain(value) for name, value in cases(tensorflow).items()}
    ANSWERS.write_text(
        json.dumps(answers, indent=None, separators=(", ", ": ")).replace('], "', '],\n"') + "\n"
    )

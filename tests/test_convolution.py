"""Convolutions, pooling and reshaping: shapes, gradients, and their arithmetic in opened steps."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as keras
from pellucid.errors import ArgumentError, ShapeError
from pellucid.layers import CATALOGUE
from pellucid.layers.convolution import Moves, convolved
from pellucid.layers.windows import Axis
from pellucid.naming import forget_names

L = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(11, 7, 6, 2)).astype("float32")
SEQUENCES = RANDOM.normal(size=(11, 9, 2)).astype("float32")
VECTORS = RANDOM.normal(size=(11, 3)).astype("float32")
FIRST = "channels_first"

NETWORKS = {
    "strides and padding": lambda: [
        L.Conv2D(3, 3, padding="same", strides=2, activation="relu"),
        L.MaxPooling2D(2, strides=1, padding="same"),
        L.ZeroPadding2D(((1, 0), (0, 2))),
        L.Conv2D(2, (2, 3), activation="softmax"),
        L.AveragePooling2D(2, strides=1, padding="same"),
    ],
    "dilation and groups": lambda: [
        L.Conv2D(4, 2, dilation_rate=(2, 1), padding="same", groups=2, use_bias=False),
        L.Cropping2D(((1, 0), (0, 2))),
        L.MaxPooling2D((3, 2), strides=(1, 2)),
        L.Conv2D(2, 2, groups=2, activation="tanh", kernel_regularizer="l2"),
        L.GlobalAveragePooling2D(),
    ],
    "channels first": lambda: [
        L.Permute((3, 1, 2)),
        L.Conv2D(3, 3, data_format=FIRST, activation="elu"),
        L.MaxPooling2D(2, data_format=FIRST),
        L.ZeroPadding2D(1, data_format=FIRST),
        L.Conv2DTranspose(2, 2, strides=2, data_format=FIRST, activation="tanh"),
        L.UpSampling2D((1, 2), data_format=FIRST),
        L.AveragePooling2D((3, 2), padding="same", data_format=FIRST),
        L.Cropping2D(1, data_format=FIRST),
        L.GlobalMaxPooling2D(data_format=FIRST, keepdims=True),
    ],
    "separable": lambda: [
        L.SeparableConv2D(3, 3, depth_multiplier=2, padding="same", activation="tanh"),
        L.DepthwiseConv2D((2, 3), depth_multiplier=2, strides=2, padding="same"),
        L.UpSampling2D(2, interpolation="bilinear"),
        L.Conv2DTranspose(2, 3, dilation_rate=2, padding="same"),
        L.GlobalAveragePooling2D(keepdims=True),
    ],
    "spread out": lambda: [
        L.Conv2DTranspose(2, 3, strides=2, output_padding=1, padding="same", activation="relu"),
        L.Conv2DTranspose(2, (2, 3), strides=3, use_bias=False),
        L.UpSampling2D((1, 2), interpolation="bicubic"),
        L.MaxPooling2D(8),
    ],
    "sequences": lambda: [
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        L.MaxPooling1D(3, strides=1, padding="same"),
        L.SeparableConv1D(4, 2, activation="sigmoid"),
        L.Conv1DTranspose(3, 2, strides=2),
        L.DepthwiseConv1D(2, strides=2, depth_multiplier=2),
        L.UpSampling1D(2),
        L.Cropping1D((1, 2)),
        L.ZeroPadding1D((0, 2)),
        L.AveragePooling1D(2),
        L.Permute((2, 1)),
        L.GlobalAveragePooling1D(),
    ],
    "vectors": lambda: [L.RepeatVector(4), L.Conv1D(2, 2, data_format=FIRST), L.GlobalMaxPooling1D()],
}
ROWS = {"sequences": SEQUENCES, "vectors": VECTORS}
every_network = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def opened(name):
    """A step of a network, of the last, smaller batch of its second epoch."""
    forget_names()
    keras.utils.set_random_seed(5)
    x = ROWS.get(name, IMAGES)
    model = keras.Sequential([keras.Input(x.shape[1:]), *NETWORKS[name](), L.Flatten(), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    y = x.reshape(len(x), -1)[:, :4].sum(axis=1)
    return model.fit(x, y, batch_size=4, epochs=2, verbose=0).open(-1)


def test_every_layer_of_these_files_is_in_these_networks():
    kinds = {type(layer) for make in NETWORKS.values() for layer in make()}
    files = ("convolution", "pooling", "reshaping")
    ours = {each for each in CATALOGUE.entries.values() if each.__module__.rpartition(".")[2] in files}
    assert ours <= kinds


@pytest.mark.slow
@every_network
def test_gradients_are_those_of_central_differences(name):
    found = opened(name).check()
    assert all(each.agrees for each in found.arrays if each.compared), str(found)
    assert sum(each.compared for each in found.arrays) > 0


def numbers_of(step, name):
    """The array that a name without indices stands for, within the first example."""
    if name in step.weights:
        return step.weights[name]
    stem, _, kind = name.rpartition(".")
    layer = step.layers[stem]
    return (layer.slopes[kind.removeprefix("d_")] if kind.startswith("d_") else layer.arrays[kind])[0]


@every_network
def test_every_kind_of_number_is_stated_and_holds(name):
    step = opened(name)
    random = np.random.default_rng(1)
    for what in [each for each in step.names() if each in step.weights or "." in each]:
        array = numbers_of(step, what)
        largest = np.argmax(np.abs(array)) if array.size else 0
        for place in {int(largest), *random.integers(0, array.size, 6).tolist()}:
            index = np.unravel_index(place, array.shape)
            asked = f"{what}[{','.join(map(str, index))}]" + (".gradient" if what in step.weights else "")
            formula = step.formula(asked, example=step.rows_count - 1)
            assert formula.holds, f"{formula}\n{formula.python}"
            names = {}
            exec(formula.python, names)
            assert math.isclose(names["value"], formula.value, rel_tol=1e-9, abs_tol=1e-11), asked


@every_network
def test_a_weights_gradient_is_told_as_products_of_what_the_window_saw(name):
    step = opened(name)
    for path, gradient in step.gradients.items():
        index = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)
        told = step.formula(f"{path}[{','.join(map(str, index))}].gradient")
        assert re.search(r"/dz\[|\.d_z\[|/ddepthwise\[", told.symbols), told.symbols


@every_network
def test_the_gradient_of_one_example_by_one_weight_is_that_of_all_of_them(name):
    step = opened(name)
    path = next(iter(step.weights))
    whole = step.gradients_by_example(path)
    index = tuple(size - 1 for size in step.weights[path].shape)
    one = step.gradients_by_example(f"{path}[{','.join(map(str, index))}]")
    np.testing.assert_allclose(one, whole[(slice(None), *index)], rtol=1e-4, atol=1e-6)


def test_the_story_of_images_is_told():
    story = str(opened("strides and padding"))
    assert "max_pooling2d.output[" in story
    assert "conv2d/kernel[" in story


def test_a_maximum_of_many_is_told_in_a_few():
    told = str(opened("spread out").formula("max_pooling2d.output[0,0,0]"))
    assert "(58 more)" in told
    assert len(told) < 200


def test_what_a_convolution_sees_is_named():
    step = opened("strides and padding")
    told = step.formula("conv2d.z[0,1,2]").symbols
    assert told.startswith("conv2d.z[0,1,2] = conv2d.input[")
    assert "*conv2d/kernel[" in told
    bias = step.formula("conv2d/bias[1].gradient").symbols
    assert "dloss[0]/dz[" in bias


# Shapes.

sizes = st.integers(1, 4)
KINDS = ["Conv", "ConvTranspose", "Depthwise", "Separable", "Max", "Average", "Up", "Zero", "Cut"]
PADDINGS = ["valid", "same", "causal"]
moves = st.one_of(st.tuples(sizes, st.just(1)), st.tuples(st.just(1), sizes))


@settings(max_examples=80)
@given(
    rank=st.sampled_from([1, 2]),
    kind=st.sampled_from(KINDS),
    kernel=st.tuples(sizes, sizes),
    move=moves,
    padding=st.sampled_from(PADDINGS),
    data_format=st.sampled_from(["channels_last", FIRST]),
    places=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    more=st.none() | st.integers(0, 3),
)
def test_layers_say_the_shapes_that_they_give(rank, kind, kernel, move, padding, data_format, places, more):
    kernel, places = kernel[:rank], places[:rank]
    strides, dilation = move
    if padding == "causal" and (kind != "Conv" or rank == 2):
        padding = "same"
    common = {"padding": padding, "data_format": data_format, "strides": strides}
    dilated = {**common, "dilation_rate": dilation}
    last = {"data_format": data_format} if rank == 2 else {}
    make = {
        "Conv": lambda: getattr(L, f"Conv{rank}D")(2, kernel, **dilated),
        "ConvTranspose": lambda: getattr(L, f"Conv{rank}DTranspose")(
            2, kernel, output_padding=None if more is None else min(more, strides - 1), **dilated
        ),
        "Depthwise": lambda: getattr(L, f"DepthwiseConv{rank}D")(kernel, depth_multiplier=2, **dilated),
        "Separable": lambda: getattr(L, f"SeparableConv{rank}D")(2, kernel, **dilated),
        "Max": lambda: getattr(L, f"MaxPooling{rank}D")(kernel, **common),
        "Average": lambda: getattr(L, f"AveragePooling{rank}D")(kernel, **common),
        "Up": lambda: getattr(L, f"UpSampling{rank}D")(kernel[0], **last),
        "Zero": lambda: getattr(L, f"ZeroPadding{rank}D")(kernel[0], data_format=data_format),
        "Cut": lambda: getattr(L, f"Cropping{rank}D")(kernel[0], **last),
    }
    layer = make[kind]()
    first = getattr(layer, "data_format", "channels_last") == FIRST
    shape = (None, 3, *places) if first else (None, *places, 3)
    try:
        said = layer.compute_output_shape(shape)
    except ShapeError:
        return  # nothing would be left
    layer.build_for(shape)
    assert said == L.Layer.compute_output_shape(layer, shape)
    unknown = tuple(None if size in places else size for size in shape) if 3 not in places else shape
    assert len(layer.compute_output_shape(unknown)) == len(said)


axes = st.one_of(
    st.builds(
        Axis.under_window,
        st.integers(1, 9),
        sizes,
        sizes,
        sizes,
        st.sampled_from(PADDINGS),
    ),
    st.builds(
        Axis.spread_out,
        st.integers(1, 9),
        sizes,
        sizes,
        sizes,
        st.sampled_from(["valid", "same"]),
        st.none() | st.just(0),
    ),
)


@given(axes)
def test_what_lies_under_a_window_is_what_the_window_lies_over(axis):
    under = {(step, tap, place) for step in range(axis.steps) for tap, place in axis.under(step)}
    over = {(step, tap, place) for place in range(axis.places) for tap, step in axis.over(place)}
    along = {
        (int(step), tap, int(place))
        for tap in range(axis.taps)
        for step, place in zip(*axis.along(tap), strict=True)
    }
    assert under == over == along


@pytest.mark.parametrize(
    "moves",
    [
        Moves((2, 3), ((1, 1), (1, 2)), (1, 1), (1, 1)),
        Moves((1, 1), ((1, 1), (1, 2)), (2, 3), (1, 1), 2),
        Moves((1, 1), ((2, 3), (1, 2)), (1, 1), (2, 3)),
    ],
)
def test_a_convolution_in_float64_is_the_same_with_the_same_gradients(moves):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 9, 8, 4))
    kernel = random.normal(size=(3, 2, 4 // moves.groups, 6))

    def all_of_it(dtype):
        outputs, back = jax.vjp(
            lambda *given: convolved(*given, moves), x.astype(dtype), kernel.astype(dtype)
        )
        return outputs, *back(jnp.cos(outputs))

    with jax.enable_x64(True):
        exact = all_of_it("float64")
    for one, other in zip(all_of_it("float32"), exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


# Pooling.


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    pool=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.none() | st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
)
def test_of_equal_numbers_the_first_gets_the_gradient_as_in_a_window_of_xla(seed, pool, stride, padding):
    random = np.random.default_rng(seed)
    x = random.integers(0, 3, size=(2, 5, 6, 2)).astype("float32")
    layer = L.MaxPooling2D(pool, strides=stride, padding=padding)
    window, steps = (1, *pool, 1), (1, *layer.strides, 1)

    def reference(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, steps, padding.upper())

    outputs, back = jax.vjp(reference, x)
    ours, our_back = jax.vjp(layer.call, x)
    np.testing.assert_array_equal(ours, outputs)
    slope = random.integers(-4, 5, size=outputs.shape).astype("float32")
    np.testing.assert_array_equal(our_back(slope)[0], back(slope)[0])


def test_what_is_no_number_is_the_largest():
    x = np.array([[[1.0], [np.nan], [3.0], [2.0]]], "float32")
    assert np.isnan(np.asarray(L.MaxPooling1D(2)(x))[0, :, 0]).tolist() == [True, False]


def test_a_window_longer_than_most_is_the_same_as_the_whole():
    x = RANDOM.normal(size=(2, 40, 3)).astype("float32")
    np.testing.assert_array_equal(L.MaxPooling1D(40)(x)[:, 0], L.GlobalMaxPooling1D()(x))
    np.testing.assert_allclose(
        L.AveragePooling1D(40)(x)[:, 0], L.GlobalAveragePooling1D()(x), rtol=1e-5, atol=1e-6
    )


def test_the_largest_numbers_of_a_channel_share_the_gradient():
    x = np.array([[[2.0], [2.0], [1.0]]], "float32")
    slope = jax.grad(lambda x: L.GlobalMaxPooling1D()(x).sum())(x)
    np.testing.assert_array_equal(slope[0, :, 0], [0.5, 0.5, 0.0])


def test_the_mean_of_a_masked_sequence_is_over_what_the_mask_keeps():
    x = np.array([[[1.0], [2.0], [9.0]], [[4.0], [5.0], [6.0]]], "float32")
    mask = np.array([[True, True, False], [False, True, True]])
    layer = L.GlobalAveragePooling1D()
    np.testing.assert_allclose(layer(x, mask=mask), [[1.5], [5.5]])
    assert layer.supports_masking
    assert layer.compute_mask(x, mask) is None


def test_the_mean_of_a_masked_sequence_is_told():
    keras.utils.set_random_seed(0)
    x = SEQUENCES.copy()
    x[:, 5:] = 0
    model = keras.Sequential([keras.Input(x.shape[1:]), L.Masking(), L.GlobalAveragePooling1D(), L.Dense(1)])
    model.compile("sgd", "mse")
    step = model.fit(x, x[:, 0, 0], batch_size=4, verbose=0).open(1)
    told = step.formula("global_average_pooling1d.output[1]", example=2)
    assert told.holds
    assert str(told).count("+") + str(told).count(" - ") == 4
    assert "/5 = " in str(told)
    for index in ("[0,1]", "[7,1]"):
        assert step.formula(f"masking.d_output{index}").holds
    assert step.formula("masking.d_output[7,1]").value == 0


# What users say.


def test_the_default_place_of_the_channels_can_be_set():
    assert L.Conv2D(1, 1).data_format == keras.config.image_data_format() == "channels_last"
    keras.config.set_image_data_format(FIRST)
    try:
        assert L.Conv2D(1, 1).compute_output_shape((None, 3, 5, 5)) == (None, 1, 5, 5)
        assert L.Flatten().data_format == FIRST
    finally:
        keras.config.set_image_data_format("channels_last")
    with pytest.raises(ArgumentError, match="channels_last or channels_first"):
        keras.config.set_image_data_format("channels")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_is_made_again_from_its_configuration(name):
    for layer in NETWORKS[name]():
        again = type(layer).from_config(layer.get_config())
        x = ROWS.get(name, IMAGES)
        assert again.get_config() == layer.get_config()
        if len(x.shape) == 4 and name != "channels first":
            assert again.compute_output_shape((None, 30, 30, 4)) == layer.compute_output_shape(
                (None, 30, 30, 4)
            )


def test_short_names_are_the_same_layers():
    for short, long in {
        "MaxPool2D": "MaxPooling2D",
        "AvgPool1D": "AveragePooling1D",
        "GlobalAvgPool2D": "GlobalAveragePooling2D",
        "Convolution2D": "Conv2D",
        "Convolution1DTranspose": "Conv1DTranspose",
        "SeparableConvolution2D": "SeparableConv2D",
    }.items():
        assert getattr(L, short) is getattr(L, long) is CATALOGUE.find(short)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: L.Conv2D(0, 3), "filters"),
        (lambda: L.Conv2D(4, 0), "kernel_size.*tuple of 2 integers"),
        (lambda: L.Conv2D(4, (3, 3, 3)), "kernel_size.*tuple of 2 integers"),
        (lambda: L.Conv2D(4, (3, "a")), "kernel_size"),
        (lambda: L.Conv2D(4, 3, strides=0), "strides"),
        (lambda: L.Conv2D(4, 3, padding="causal"), "valid or same"),
        (lambda: L.Conv1D(4, 3, padding="both"), "valid or same or causal"),
        (lambda: L.Conv2D(4, 3, strides=2, dilation_rate=2), "not supported in conjunction"),
        (lambda: L.Conv2D(4, 3, groups=0), "groups"),
        (lambda: L.Conv2D(5, 3, groups=2), "evenly divisible by the number of groups"),
        (lambda: L.Conv2D(4, 3, data_format="last"), "data_format"),
        (lambda: L.Conv2DTranspose(4, 3, strides=2, output_padding=2), "strictly less than `strides`"),
        (lambda: L.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier"),
        (lambda: L.MaxPooling2D((2, 0)), "pool_size"),
        (lambda: L.AveragePooling1D(2, padding="full"), "valid or same"),
        (lambda: L.ZeroPadding2D((1, 2, 3)), "two elements"),
        (lambda: L.ZeroPadding1D(-1), "padding"),
        (lambda: L.Cropping2D(((1, 2), 1.5)), "2nd entry of cropping"),
        (lambda: L.UpSampling2D(2, interpolation="area"), "interpolation"),
        (lambda: L.UpSampling1D(0), "size"),
        (lambda: L.Permute((0, 1)), "dims"),
        (lambda: L.RepeatVector(1.5), "`n`"),
    ],
)
def test_arguments_that_cannot_mean_anything_are_refused(make, match):
    with pytest.raises(ArgumentError, match=match):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "match"),
    [
        (lambda: L.Conv2D(4, 3), IMAGES[..., 0], r"expects ndim=4, found ndim=3[\s\S]*x\[..., None\]"),
        (lambda: L.Conv2D(4, 8), IMAGES, "zero or negative"),
        (lambda: L.Conv2D(4, 3, groups=4), IMAGES, "evenly divisible by the number of groups"),
        (lambda: L.MaxPooling2D(8), IMAGES, "zero or negative"),
        (lambda: L.MaxPooling1D(2), IMAGES, "expects ndim=3"),
        (L.GlobalMaxPooling2D, SEQUENCES, "expects ndim=4"),
        (lambda: L.Cropping1D(5), SEQUENCES, "zero or negative"),
        (lambda: L.RepeatVector(2), SEQUENCES, "expects ndim=2"),
        (lambda: L.Permute((2, 1)), IMAGES, "expects ndim=3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, x, match):
    with pytest.raises(ShapeError, match=match):
        layer()(x)


def test_other_channels_than_the_layer_was_built_for_are_refused():
    layer = L.Conv2D(4, 3)
    layer(IMAGES)
    with pytest.raises(ShapeError, match="expects 2 input channels, and got 1"):
        layer(IMAGES[..., :1])
    with pytest.raises(ShapeError, match="how many channels"):
        L.Conv2D(4, 3).build_for((None, 7, 7, None))


def test_the_kernels_of_a_separable_convolution_come_in_the_order_of_keras():
    layer = L.SeparableConv2D(4, 3, depth_multiplier=2)
    layer(IMAGES)
    assert [weight.path.rpartition("/")[2] for weight in layer.weights] == [
        "depthwise_kernel",
        "pointwise_kernel",
        "bias",
    ]
    assert [weight.shape for weight in layer.weights] == [(3, 3, 2, 2), (1, 1, 4, 4), (4,)]

"""The test case that Keras's tests stand on: what they assert of arrays, layers and configurations.

The words of our errors are our own. A test that expects Keras's words passes if an error of the right
kind is raised, and is counted in `OTHER_WORDS`.
"""

import itertools
import json
import re
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

import pellucid
from keras_suite.backend import clear_session, convert_to_numpy, standardize_dtype
from pellucid.seeds import set_random_seed

#: The tests that saw an error of the right kind with other words than Keras's.
OTHER_WORDS = set()


def _false():
    return False


uses_gpu = uses_tpu = jax_uses_gpu = jax_uses_tpu = _false
tensorflow_uses_gpu = tensorflow_uses_tpu = torch_uses_gpu = _false


def skip_if_backend(given_backend, reason):
    return pytest.mark.skipif(given_backend == "jax", reason=reason)


def named_product(*dicts, **values):
    """All combinations of parameters, each with a name made of theirs."""

    def name(value):
        return str(getattr(value, "__name__", value)).lower()

    axes = [
        *dicts,
        *(
            [{"testcase_name": f"_{name(each)}", key: each} for each in listed]
            for key, listed in values.items()
        ),
    ]
    for chosen in itertools.product(*axes):
        joined = {key: value for each in chosen for key, value in each.items()}
        joined["testcase_name"] = "_".join(each["testcase_name"].strip("_") for each in chosen)
        yield joined


def get_test_data(train_samples, test_samples, input_shape, num_classes, random_seed=None):
    """Rows that lie around a point for each class, as many of each: those to train on, those to test on."""
    random = np.random.RandomState(random_seed)
    centres = 2 * num_classes * random.random_sample((num_classes, *input_shape))

    def some(count):
        y = np.arange(count) % num_classes
        random.shuffle(y)
        return (centres[y] + random.normal(size=(count, *input_shape))).astype("float32"), y

    return some(train_samples), some(test_samples)


class _Raised:
    """The context of an assertion that an error is raised: of this kind, in these words if possible."""

    def __init__(self, test, kinds, words):
        self.test, self.kinds, self.words, self.exception = test, kinds, words, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            self.test.fail(f"{self.kinds} was not raised")
        if not isinstance(error, self.kinds):
            return False
        self.exception = error
        if not re.search(self.words, str(error)):
            OTHER_WORDS.add(self.test.id().split(".", 1)[1])
        return True


class TestCase(parameterized.TestCase):
    """What Keras's tests may assert."""

    maxDiff = None

    def setUp(self):
        clear_session()
        # Keras's tests draw without a seed; a result that comes and goes would say nothing.
        set_random_seed(1337)

    def get_temp_dir(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        return folder

    def assertRaisesRegex(self, expected_exception, expected_regex, *args, **kwargs):
        context = _Raised(self, expected_exception, expected_regex)
        if not args:
            return context
        with context:
            args[0](*args[1:], **kwargs)
        return None

    def assertEqual(self, first, second, msg=None):
        """Equal, where our variables, which compare as the objects they are, stand for their values."""
        if isinstance(first, pellucid.Variable) and not isinstance(second, pellucid.Variable):
            first = first.numpy()
        super().assertEqual(first, second, msg)

    def assertAllClose(self, actual, desired, atol=1e-6, rtol=1e-6, tpu_atol=None, tpu_rtol=None, msg=None):
        np.testing.assert_allclose(
            convert_to_numpy(actual), convert_to_numpy(desired), atol=atol, rtol=rtol, err_msg=msg or ""
        )

    def assertNotAllClose(self, x1, x2, atol=1e-6, rtol=1e-6, msg=None):
        first, second = convert_to_numpy(x1), convert_to_numpy(x2)
        near = first.shape == second.shape and np.allclose(first, second, atol=atol, rtol=rtol)
        self.assertFalse(near, msg or f"all close: {x1}")

    def assertAlmostEqual(self, actual, desired, decimal=3, tpu_decimal=None, msg=None):
        np.testing.assert_almost_equal(
            convert_to_numpy(actual), convert_to_numpy(desired), decimal, err_msg=msg or ""
        )

    def assertAllEqual(self, actual, desired, msg=None):
        np.testing.assert_array_equal(convert_to_numpy(actual), convert_to_numpy(desired), msg or "")

    def assertLen(self, iterable, expected_len, msg=None):
        self.assertEqual(len(iterable), expected_len, msg)

    def assertDType(self, x, dtype, msg=None):
        self.assertEqual(standardize_dtype(getattr(x, "dtype", type(x))), standardize_dtype(dtype), msg)

    def assertSparse(self, x, sparse=True):
        self.assertFalse(sparse, "Pellucid has no sparse arrays")

    def assertRagged(self, x, ragged=True):
        self.assertFalse(ragged, "Pellucid has no ragged arrays")

    def assertFileExists(self, path):
        self.assertTrue(Path(path).is_file(), f"{path} is no file")

    def run_class_serialization_test(self, instance, custom_objects=None):
        """From its configuration, and from its serialized form through JSON, comes the same again."""
        from keras.saving import custom_object_scope, deserialize_keras_object, serialize_keras_object

        config, names = instance.get_config(), set(dir(instance)) - {"__annotations__"}
        serialized = json.loads(_with_tuples(serialize_keras_object(instance)), object_hook=_tuples_again)
        made = instance
        with custom_object_scope(custom_objects or {}):
            for make in (
                lambda: type(instance).from_config(config),
                lambda: deserialize_keras_object(serialized),
            ):
                made = make()
                self.assertEqual(_with_tuples(made.get_config()), _with_tuples(config))
                self.assertEqual(set(dir(made)) - {"__annotations__"}, names)
        return made

    def run_layer_test(
        self,
        layer_cls,
        init_kwargs,
        input_shape=None,
        input_dtype=None,
        input_sparse=False,
        input_ragged=False,
        input_data=None,
        call_kwargs=None,
        expected_output_shape=None,
        expected_output_dtype=None,
        expected_output_sparse=False,
        expected_output_ragged=False,
        expected_output=None,
        expected_num_trainable_weights=None,
        expected_num_non_trainable_weights=None,
        expected_num_non_trainable_variables=None,
        expected_num_seed_generators=None,
        expected_num_losses=None,
        supports_masking=None,
        expected_mask_shape=None,
        custom_objects=None,
        run_training_check=True,
        run_mixed_precision_check=True,
        assert_built_after_instantiation=False,
        tpu_atol=None,
        tpu_rtol=None,
    ):
        """A layer is written down and made again, built, called on symbols and on arrays, and trained."""
        if input_sparse or input_ragged:
            self.skipTest("Pellucid has no sparse or ragged arrays")
        init_kwargs, call_kwargs = init_kwargs or {}, call_kwargs or {}

        def make():
            return layer_cls(**init_kwargs)

        def called(layer, given):
            return layer(**given, **call_kwargs) if isinstance(given, dict) else layer(given, **call_kwargs)

        self.run_class_serialization_test(make(), custom_objects)
        if supports_masking is not None:
            self.assertEqual(make().supports_masking, supports_masking)
        if assert_built_after_instantiation:
            self.assertTrue(make().built, "without weights, and not built from the start")
        if input_data is None and input_shape is None:
            return
        if input_data is None:
            input_data = drawn(input_shape, input_dtype or "float32")
        shapes = (
            jax.tree.map(lambda x: tuple(np.shape(x)), input_data) if input_shape is None else input_shape
        )
        reference = make()
        called(reference, input_data)
        counts = {
            "trainable_weights": expected_num_trainable_weights,
            "non_trainable_weights": expected_num_non_trainable_weights,
            "non_trainable_variables": expected_num_non_trainable_variables,
        }

        def check_built(layer):
            self.assertTrue(layer.built)
            for name, count in counts.items():
                wanted = len(getattr(reference, name)) if count is None else count
                self.assertLen(getattr(layer, name), wanted, name)
            if expected_num_seed_generators is not None:
                self.assertEqual(seed_generators(layer), expected_num_seed_generators)

        def check_outputs(outputs):
            if expected_output_shape is not None:
                for wanted, came in paired(expected_output_shape, outputs):
                    self.assertEqual(len(wanted), len(came.shape))
                    sizes = zip(wanted, came.shape, strict=True)
                    self.assertTrue(all(a is None or a == b for a, b in sizes), (wanted, came.shape))
            if expected_output_dtype is not None:
                for came in jax.tree.leaves(outputs):
                    self.assertEqual(standardize_dtype(came.dtype), expected_output_dtype)

        layer = make()
        layer.build(**shapes) if isinstance(shapes, dict) else layer.build(shapes)
        check_built(layer)

        layer = make()
        symbols = symbolic(shapes, input_data)
        check_outputs(outputs := called(layer, symbols))
        check_built(layer)
        if expected_mask_shape is not None:
            self.assertEqual(layer.compute_mask(symbols).shape, expected_mask_shape)

        layer = make()
        outputs = called(layer, input_data)
        check_built(layer)
        check_outputs(outputs)
        if expected_output is not None:
            for wanted, came in zip(jax.tree.leaves(expected_output), jax.tree.leaves(outputs), strict=True):
                self.assertAllClose(wanted, came, msg="unexpected output")
        if expected_num_losses is not None:
            self.assertLen(layer.losses, expected_num_losses)
        if run_training_check:
            trained(layer, input_data, outputs)


def _with_tuples(value):
    """JSON that tells tuples from lists."""

    def told(value):
        if isinstance(value, tuple):
            return {"__class__": "tuple", "__value__": [told(each) for each in value]}
        if isinstance(value, list):
            return [told(each) for each in value]
        return {key: told(each) for key, each in value.items()} if isinstance(value, dict) else value

    return json.dumps(told(value), sort_keys=True, indent=1)


def _tuples_again(value):
    return tuple(value["__value__"]) if set(value) == {"__class__", "__value__"} else value


def is_shape(value):
    return isinstance(value, list | tuple) and all(each is None or isinstance(each, int) for each in value)


def drawn(shapes, dtypes):
    """Arrays of these shapes and types, nested like them."""
    random = np.random.default_rng(0)

    def draw(shape, dtype):
        if is_shape(shape):
            return jnp.asarray(3 * random.random(shape)).astype(dtype)
        if isinstance(shape, dict):
            typed = dtypes_of(dtype, shape)
            return {name.removesuffix("_shape"): draw(each, typed[name]) for name, each in shape.items()}
        return type(shape)(draw(*each) for each in zip(shape, dtypes_of(dtype, shape), strict=True))

    return draw(shapes, dtypes)


def dtypes_of(dtype, shapes):
    if not isinstance(dtype, str):
        return dtype
    return dict.fromkeys(shapes, dtype) if isinstance(shapes, dict) else [dtype] * len(shapes)


def symbolic(shapes, like):
    """A symbol for each array."""
    from keras import KerasTensor

    if is_shape(shapes):
        return KerasTensor(tuple(shapes), standardize_dtype(like.dtype))
    if isinstance(shapes, dict):
        return {
            name.removesuffix("_shape"): symbolic(each, like[name.removesuffix("_shape")])
            for name, each in shapes.items()
        }
    return type(shapes)(symbolic(*each) for each in zip(shapes, like, strict=True))


def paired(shapes, outputs):
    """Each output with the shape that it should have."""
    if is_shape(shapes):
        return [(shapes, outputs)]
    keys = shapes if isinstance(shapes, dict) else range(len(shapes))
    return [pair for key in keys for pair in paired(shapes[key], outputs[key])]


def seed_generators(layer):
    """How many seed generators a layer and the layers within it hold."""
    from pellucid.variables import SeedGenerator

    found, layers = set(), [layer]
    for each in layers:
        layers += [inner for inner in each.sublayers if inner not in layers]
        found |= {id(item) for item in each._held() if isinstance(item, SeedGenerator)}
    return len(found)


def trained(layer, inputs, outputs):
    """Train a model that is this layer, for one step."""

    class Around(pellucid.Model):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def call(self, x, training=False):
            return self.layer(x, training=training) if not isinstance(x, dict) else self.layer(**x)

    class Sum(pellucid.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    model = Around(layer)
    loss = Sum() if len(jax.tree.leaves(outputs)) == 1 else jax.tree.map(lambda _: Sum(), outputs)
    model.compile(optimizer="sgd", loss=loss)

    def batches():
        while True:
            yield inputs, outputs

    model.fit(batches(), steps_per_epoch=1, verbose=0)

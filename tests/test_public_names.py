"""The public face: every promised name is there, and importing the package does not wait for JAX."""

import subprocess
import sys

import pytest

import pellucid


@pytest.mark.parametrize("name", pellucid.__all__)
def test_every_public_name_is_there(name):
    assert getattr(pellucid, name) is not None
    assert name in dir(pellucid)


NAMES = {
    "activations": "elu gelu get leaky_relu linear relu relu6 selu sigmoid silu softmax softplus softsign "
    "tanh",
    "callbacks": "Callback CallbackList CSVLogger EarlyStopping History LambdaCallback LearningRateScheduler "
    "ReduceLROnPlateau TerminateOnNaN",
    "config": "backend epsilon floatx set_floatx",
    "constraints": "Constraint MaxNorm MinMaxNorm NonNeg UnitNorm get max_norm non_neg unit_norm",
    "initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity Initializer LecunNormal "
    "LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros get",
    "layers": "Activation ActivityRegularization Add AlphaDropout Average BatchNormalization "
    "CategoryEncoding Concatenate Dense Discretization Dot Dropout ELU Flatten GaussianDropout "
    "GaussianNoise Hashing Identity Input InputLayer IntegerLookup Lambda Layer "
    "LayerNormalization LeakyReLU Maximum Minimum Multiply Normalization PReLU ReLU Rescaling "
    "Reshape Softmax SpatialDropout1D SpatialDropout2D StringLookup Subtract add average "
    "concatenate dot maximum minimum multiply subtract",
    "losses": "BinaryCrossentropy CategoricalCrossentropy CosineSimilarity Hinge Huber KLDivergence LogCosh "
    "Loss MeanAbsoluteError MeanSquaredError Poisson SparseCategoricalCrossentropy get mean_squared_error",
    "metrics": "AUC Accuracy BinaryAccuracy CategoricalAccuracy F1Score FBetaScore Mean MeanSquaredError "
    "Metric Precision R2Score Recall RootMeanSquaredError SparseCategoricalAccuracy Sum get",
    "models": "Model Sequential",
    "optimizers": "Adagrad Adam AdamW Nadam Optimizer RMSprop SGD get schedules",
    "optimizers.schedules": "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay "
    "LearningRateSchedule PiecewiseConstantDecay PolynomialDecay",
    "plots": "CostSurfaceDisplay DecisionBoundaryDisplay GradientDisplay HistoryDisplay NetworkDisplay",
    "regularizers": "L1 L1L2 L2 OrthogonalRegularizer Regularizer get l1 l1_l2 l2",
    "utils": "custom_object_scope normalize set_random_seed to_categorical",
}


@pytest.mark.parametrize("namespace", NAMES)
def test_every_namespace_has_the_names_of_keras(namespace):
    module = pellucid
    for part in namespace.split("."):
        module = getattr(module, part)
    assert [name for name in NAMES[namespace].split() if not hasattr(module, name)] == []
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="colours"):
        _ = pellucid.colours


@pytest.mark.parametrize("module", ["pellucid", "pellucid.errors"])
def test_importing_the_package_does_not_import_jax(module):
    look = f"import sys, {module}; print([each for each in sys.modules if each.startswith('jax')])"
    assert subprocess.check_output([sys.executable, "-c", look], text=True).strip() == "[]"


SEEDED = """
import sys, random, numpy
import pellucid as keras
{before}
{seed}
model = keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
x = numpy.arange(40.0).reshape(20, 2) / 40
print(model.fit(x, x[:, 0], batch_size=8, epochs=2, verbose=0).history, random.random(), numpy.random.rand())
"""


@pytest.mark.parametrize("seed", ["keras.utils.set_random_seed(1)", "random.seed(1); numpy.random.seed(1)"])
def test_a_seed_gives_the_same_numbers_whatever_was_imported_when_it_was_set(seed):
    first, second = (
        subprocess.check_output([sys.executable, "-c", SEEDED.format(before=before, seed=seed)], text=True)
        for before in ("", "import jax, rich.console; keras.models, keras.layers")
    )
    assert first == second


def test_the_version_is_a_version():
    assert [part.isdigit() for part in pellucid.__version__.split(".")] == [True] * 3

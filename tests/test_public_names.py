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
    "activations": (
        "celu deserialize elu exponential gelu get glu hard_shrink hard_sigmoid hard_silu "
        "hard_swish hard_tanh leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu "
        "serialize sigmoid silu soft_shrink softmax softplus softsign sparse_plus "
        "sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold"
    ),
    "callbacks": (
        "BackupAndRestore Callback CallbackList CSVLogger EarlyStopping History "
        "LambdaCallback LearningRateScheduler ModelCheckpoint ReduceLROnPlateau TensorBoard "
        "TerminateOnNaN"
    ),
    "config": "backend epsilon floatx set_floatx",
    "constraints": (
        "Constraint deserialize get max_norm MaxNorm MinMaxNorm non_neg NonNeg serialize unit_norm UnitNorm"
    ),
    "initializers": (
        "Constant deserialize get glorot_uniform GlorotNormal GlorotUniform he_normal "
        "HeNormal HeUniform Identity Initializer LecunNormal LecunUniform Ones ones "
        "Orthogonal RandomNormal RandomUniform serialize TruncatedNormal VarianceScaling "
        "Zeros zeros"
    ),
    "layers": "Activation ActivityRegularization Add AlphaDropout Average BatchNormalization "
    "CategoryEncoding Concatenate Dense Discretization Dot Dropout ELU Flatten GaussianDropout "
    "GaussianNoise Hashing Identity Input InputLayer IntegerLookup Lambda Layer "
    "LayerNormalization LeakyReLU Maximum Minimum Multiply Normalization PReLU ReLU Rescaling "
    "Reshape Softmax SpatialDropout1D SpatialDropout2D StringLookup Subtract add average "
    "concatenate dot maximum minimum multiply subtract",
    "losses": (
        "BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
        "CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge "
        "CosineSimilarity deserialize Dice get Hinge Huber KLDivergence LogCosh Loss "
        "mean_squared_error MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
        "MeanSquaredLogarithmicError Poisson serialize SparseCategoricalCrossentropy "
        "SquaredHinge Tversky"
    ),
    "metrics": (
        "Accuracy AUC BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy "
        "CategoricalCrossentropy CategoricalHinge ConcordanceCorrelation CosineSimilarity "
        "deserialize F1Score FalseNegatives FalsePositives FBetaScore get Hinge IoU "
        "KLDivergence LogCoshError Mean mean_squared_error MeanAbsoluteError "
        "MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanSquaredError "
        "MeanSquaredLogarithmicError Metric OneHotIoU OneHotMeanIoU PearsonCorrelation "
        "Poisson Precision PrecisionAtRecall R2Score Recall RecallAtPrecision "
        "RootMeanSquaredError SensitivityAtSpecificity serialize SparseCategoricalAccuracy "
        "SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity "
        "SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives"
    ),
    "models": "Model Sequential",
    "optimizers": (
        "Adadelta Adagrad Adam Adamax AdamW deserialize Ftrl get Lion Nadam Optimizer RMSprop "
        "schedules serialize SGD"
    ),
    "optimizers.schedules": (
        "CosineDecay CosineDecayRestarts deserialize ExponentialDecay get InverseTimeDecay "
        "LearningRateSchedule PiecewiseConstantDecay PolynomialDecay serialize"
    ),
    "plots": "CostSurfaceDisplay DecisionBoundaryDisplay GradientDisplay HistoryDisplay NetworkDisplay",
    "regularizers": ("deserialize get L1 l1 l1_l2 L1L2 L2 l2 OrthogonalRegularizer Regularizer serialize"),
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

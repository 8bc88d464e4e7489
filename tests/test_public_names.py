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
    "activations": "celu deserialize elu exponential gelu get glu hard_shrink hard_sigmoid "
    "hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu "
    "serialize sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax "
    "squareplus swish tanh tanh_shrink threshold",
    "callbacks": "BackupAndRestore CSVLogger Callback CallbackList EarlyStopping History "
    "LambdaCallback LearningRateScheduler ModelCheckpoint ReduceLROnPlateau TensorBoard TerminateOnNaN",
    "backend": "backend clear_session epsilon floatx get_uid image_data_format is_float_dtype is_int_dtype "
    "is_keras_tensor result_type set_epsilon set_floatx set_image_data_format standardize_dtype",
    "config": "backend disable_flash_attention disable_interactive_logging disable_traceback_filtering "
    "dtype_policy enable_flash_attention enable_interactive_logging enable_traceback_filtering "
    "enable_unsafe_deserialization epsilon floatx image_data_format is_flash_attention_enabled "
    "is_interactive_logging_enabled is_nnx_enabled is_traceback_filtering_enabled set_backend "
    "set_dtype_policy set_epsilon set_floatx set_image_data_format",
    "datasets": "boston_housing breast_cancer california_housing cifar10 cifar100 diabetes digits "
    "fashion_mnist imdb iris mnist reuters wine",
    "preprocessing": "sequence timeseries_dataset_from_array",
    "preprocessing.sequence": "pad_sequences",
    "random": "SeedGenerator beta binomial categorical dropout gamma normal randint shuffle truncated_normal "
    "uniform",
    "tree": "MAP_TO_NONE assert_same_paths assert_same_structure flatten flatten_with_path is_nested "
    "lists_to_tuples map_shape_structure map_structure map_structure_up_to pack_sequence_as traverse",
    "constraints": "Constraint MaxNorm MinMaxNorm NonNeg UnitNorm deserialize get max_norm "
    "non_neg serialize unit_norm",
    "initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity Initializer "
    "LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal "
    "VarianceScaling Zeros deserialize get glorot_uniform he_normal ones serialize zeros",
    "layers": "Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D "
    "AveragePooling2D AvgPool1D AvgPool2D BatchNormalization Bidirectional CategoryEncoding Concatenate "
    "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Convolution1D Convolution2D Convolution2DTranspose "
    "Cropping1D Cropping2D Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU Embedding "
    "Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D "
    "GlobalAvgPool1D GlobalAvgPool2D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPooling1D "
    "GlobalMaxPooling2D Hashing Identity Input InputLayer InputSpec IntegerLookup LSTM LSTMCell Lambda "
    "Layer LayerNormalization LeakyReLU Masking MaxPool1D MaxPool2D MaxPooling1D MaxPooling2D Maximum "
    "Minimum MultiHeadAttention Multiply Normalization PReLU Permute RNN ReLU RepeatVector Rescaling "
    "Reshape SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D "
    "SpatialDropout2D StackedRNNCells StringLookup Subtract TimeDistributed UpSampling1D UpSampling2D "
    "Wrapper ZeroPadding1D ZeroPadding2D add average concatenate dot maximum minimum multiply subtract",
    "losses": "BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
    "CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge CosineSimilarity "
    "Dice Hinge Huber KLDivergence LogCosh Loss MeanAbsoluteError MeanAbsolutePercentageError "
    "MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge "
    "Tversky deserialize get mean_squared_error serialize",
    "metrics": "AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy "
    "CategoricalCrossentropy CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score "
    "FBetaScore FalseNegatives FalsePositives Hinge IoU KLDivergence LogCoshError Mean "
    "MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanSquaredError "
    "MeanSquaredLogarithmicError Metric OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision "
    "PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity "
    "SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy "
    "SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives "
    "deserialize get mean_squared_error serialize",
    "models": "Model Sequential",
    "optimizers": "Adadelta Adagrad Adam AdamW Adamax Ftrl Lion LossScaleOptimizer Nadam Optimizer "
    "RMSprop SGD "
    "deserialize get schedules serialize",
    "optimizers.schedules": "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay "
    "LearningRateSchedule PiecewiseConstantDecay PolynomialDecay deserialize get serialize",
    "plots": "CostSurfaceDisplay DecisionBoundaryDisplay GradientDisplay HistoryDisplay NetworkDisplay",
    "regularizers": "L1 L1L2 L2 OrthogonalRegularizer Regularizer deserialize get l1 l1_l2 l2 serialize",
    "utils": "CustomObjectScope Progbar PyDataset Sequence clear_session custom_object_scope "
    "deserialize_keras_object disable_interactive_logging enable_interactive_logging "
    "get_custom_objects get_file get_registered_name get_registered_object "
    "is_interactive_logging_enabled is_keras_tensor normalize pack_x_y_sample_weight "
    "pad_sequences plot_model register_keras_serializable serialize_keras_object set_random_seed "
    "split_dataset standardize_dtype timeseries_dataset_from_array to_categorical "
    "unpack_x_y_sample_weight",
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

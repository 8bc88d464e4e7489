"""What may happen between batches and epochs.

callback     Callback, several as one, History, functions as a callback
watching     callbacks that watch a value: EarlyStopping, ReduceLROnPlateau, ...
files        callbacks that write files: CSVLogger, ModelCheckpoint, BackupAndRestore
tensorboard  loss and metrics for TensorBoard
"""

from pellucid.callbacks.callback import EPOCH as EPOCH
from pellucid.callbacks.callback import PREDICT_BATCH as PREDICT_BATCH
from pellucid.callbacks.callback import TEST as TEST
from pellucid.callbacks.callback import TEST_BATCH as TEST_BATCH
from pellucid.callbacks.callback import TRAIN_BATCH as TRAIN_BATCH
from pellucid.callbacks.callback import Callback as Callback
from pellucid.callbacks.callback import CallbackList as CallbackList
from pellucid.callbacks.callback import History as History
from pellucid.callbacks.callback import LambdaCallback as LambdaCallback
from pellucid.callbacks.callback import Logs as Logs
from pellucid.callbacks.callback import overrides as overrides
from pellucid.callbacks.files import BackupAndRestore as BackupAndRestore
from pellucid.callbacks.files import CSVLogger as CSVLogger
from pellucid.callbacks.files import ModelCheckpoint as ModelCheckpoint
from pellucid.callbacks.tensorboard import TensorBoard as TensorBoard
from pellucid.callbacks.watching import EarlyStopping as EarlyStopping
from pellucid.callbacks.watching import LearningRateScheduler as LearningRateScheduler
from pellucid.callbacks.watching import MonitorCallback as MonitorCallback
from pellucid.callbacks.watching import ReduceLROnPlateau as ReduceLROnPlateau
from pellucid.callbacks.watching import TerminateOnNaN as TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]

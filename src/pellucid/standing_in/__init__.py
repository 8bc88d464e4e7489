"""Pellucid in the place of Keras and TensorFlow, for code that imports them: unchanged scripts and notebooks.

finder       `import keras` and `import tensorflow` give Pellucid
tensorflow   of TensorFlow, what scripts use around Keras
dataset      tf.data.Dataset, on NumPy
older        names of Keras that are older than Keras 3
text         texts as numbers of words, the older way
script       runs a script as Python would: `pellucid run`
notebook     the same for the cells of a notebook: `%load_ext pellucid`
"""

from pellucid.standing_in.finder import install as install
from pellucid.standing_in.finder import installed as installed
from pellucid.standing_in.finder import uninstall as uninstall

"""Linear regression: one unit learns the perimeter of a tumour from its radius.

The unit computes perimeter = w * radius + b. Gradient descent looks for the w and b whose squared
error is smallest. For so small a problem there is also an exact solution, which we put beside it.
"""

import csv
from pathlib import Path

import numpy as np

import pellucid as keras

with open(Path(__file__).with_name("tumours.csv"), newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
radius = np.array([float(row["mean_radius"]) for row in rows])
perimeter = np.array([float(row["mean_perimeter"]) for row in rows])

# Standardise: count both in standard deviations from their means. Gradient descent then goes
# straight to the solution, instead of creeping along a narrow valley.
x = (radius - radius.mean()) / radius.std()
y = (perimeter - perimeter.mean()) / perimeter.std()

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input(shape=(1,)), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.05), loss="mse")
history = model.fit(x, y, epochs=30, batch_size=32, verbose=0)

kernel, bias = model.layers[0].get_weights()
# Back to the units of the table: undo both standardisations.
w = kernel[0, 0] * perimeter.std() / radius.std()
b = perimeter.mean() + bias[0] * perimeter.std() - w * radius.mean()

columns = np.column_stack([radius, np.ones_like(radius)])
exact_w, exact_b = np.linalg.lstsq(columns, perimeter)[0]

costs = history.history["loss"]
print(f"cost of the first epoch {costs[0]:.4f}, of the last {costs[-1]:.4f}")
print(f"learned:  perimeter = {w:.3f} * radius + {b:.3f}")
print(f"exact:    perimeter = {exact_w:.3f} * radius + {exact_b:.3f}")
print(f"a circle: perimeter = {2 * np.pi:.3f} * radius")

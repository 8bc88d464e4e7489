"""Write tumours.csv: the breast-cancer table of scikit-learn, every number as it is there.

Needs scikit-learn. The names of the columns get underscores: "mean radius" becomes mean_radius.
"""

import csv
from pathlib import Path

from sklearn.datasets import load_breast_cancer

data = load_breast_cancer()
names = [name.replace(" ", "_") for name in data.feature_names]

with open(Path(__file__).with_name("tumours.csv"), "w", newline="", encoding="utf-8") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow([*names, "diagnosis"])
    for features, target in zip(data.data.tolist(), data.target, strict=True):
        # repr gives the shortest digits that read back as the same number.
        table.writerow([*(repr(value) for value in features), data.target_names[target]])

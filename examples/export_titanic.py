"""Write titanic.csv: the table of the Titanic's passengers, as it lies in scikit-learn's own test data.

Needs scikit-learn. Every value is the one there (data set 40945 of OpenML); what is missing is left empty.
"""

import csv
import gzip
from pathlib import Path

import sklearn
from sklearn.externals import _arff

folder = Path(sklearn.__file__).parent / "datasets" / "tests" / "data" / "openml" / "id_40945"
with gzip.open(next(folder.glob("*.arff.gz")), "rt", encoding="utf-8") as file:
    data = _arff.load(file)

with open(Path(__file__).with_name("titanic.csv"), "w", newline="", encoding="utf-8") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow([name for name, _ in data["attributes"]])
    for row in data["data"]:
        whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in row]
        table.writerow(["" if value is None else value for value in whole])

"""What every test and every example in a docstring starts from: a fresh count of names, the same seed."""

import os
import pathlib
from collections import Counter

# Compiled programs are kept between runs, apart from the user's own. Set before JAX is imported.
os.environ["PELLUCID_CACHE"] = str(pathlib.Path(__file__).parent / ".pytest_cache" / "compiled")
# Pictures are drawn without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import pytest

from pellucid.arrays import set_floatx
from pellucid.naming import forget_names
from pellucid.seeds import set_random_seed

# These are run by tests, and by nobody else.
collect_ignore_glob = ["tests/scripts/*", "tests/keras_suite/*"]

# The first example of a property may compile, and so be slow; runs can be repeated.
hypothesis.settings.register_profile("pellucid", deadline=None, derandomize=True)
hypothesis.settings.load_profile("pellucid")


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no worker is left with one while the other rests."""
    tests = Counter(item.path for item in items)
    judges = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in judges, -tests[item.path], str(item.path)))


@pytest.fixture(autouse=True)
def fresh_names_and_seeds():
    """Start every test and every example alike, in the same folder."""
    folder = os.getcwd()
    forget_names()
    set_random_seed(0)
    yield
    set_floatx("float32")
    os.chdir(folder)

"""Keras's own unit tests pass on Pellucid, as many of each file as keras_suite/RESULTS.md says."""

import os
import pathlib
from unittest import mock

import pytest

from judging import FAST
from keras_suite import running, table

pytestmark = pytest.mark.slow

FILES = running.LISTED["files"]


@pytest.fixture(scope="module")
def results():
    here = str(pathlib.Path(__file__).parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    with mock.patch.dict(os.environ, {**FAST, "PYTHONPATH": path}):
        return running.in_processes(FILES)


@pytest.mark.parametrize("file", FILES)
def test_as_many_of_keras_tests_pass_as_the_table_says(results, file):
    assert results[file].passed >= table.promised()[file], results[file].failed


def test_every_file_that_is_listed_is_in_the_table():
    assert set(table.promised()) == {*FILES, *running.LISTED["long"]}


def test_what_is_listed_as_outside_belongs_to_a_file_that_is_run():
    assert set(running.LISTED["outside"]) <= {*FILES, *running.LISTED["long"]}

"""Runs test files of Keras in this process, and tells how each test went."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

from keras_suite import finder

HERE = Path(__file__).parent
LISTED = tomllib.loads((HERE / "listed.toml").read_text())


@dataclass
class Result:
    """How the tests of one file went."""

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    #: Tests that Keras itself skips on this machine, with its reasons.
    skipped: dict[str, str] = field(default_factory=dict)
    #: Tests that are not run because they are outside our surface.
    outside: dict[str, str] = field(default_factory=dict)
    #: Tests that passed with an error of the right kind, in other words.
    other_words: int = 0
    seconds: float = 0.0

    @property
    def run(self):
        return self.passed + len(self.failed)


class _Collecting:
    """A plugin of pytest that takes out what is outside, and keeps what the rest came to."""

    def __init__(self):
        self.results = {}

    def result(self, path):
        name = str(Path(path).resolve().relative_to(finder.SOURCES))
        return self.results.setdefault(name, Result()), LISTED["outside"].get(name, {})

    def pytest_collection_modifyitems(self, config, items):
        kept = []
        for item in items:
            result, outside = self.result(item.path)
            test = item.nodeid.split("::", 1)[1]
            reason = next((why for pattern, why in outside.items() if fnmatch(test, pattern)), None)
            if reason is None:
                kept.append(item)
            else:
                result.outside[test] = reason
        items[:] = kept

    def pytest_collectreport(self, report):
        if report.failed:
            path = finder.SOURCES.parent.parent / report.nodeid
            self.result(path)[0].failed["(the file)"] = last_line(report.longreprtext)

    def pytest_runtest_logreport(self, report):
        result, _ = self.result(finder.SOURCES.parent.parent / report.nodeid.split("::")[0])
        test = report.nodeid.split("::", 1)[1]
        result.seconds += report.duration
        if report.failed:
            result.failed[test] = last_line(report.longreprtext)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            result.skipped[test] = reason.removeprefix("Skipped: ")
        elif report.when == "call":
            result.passed += 1


def last_line(text):
    """The error of a traceback, in one line."""
    told = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return next((line for line in told if line), text.strip().splitlines()[-1])[:200]


def run(files, shown=False):
    """Run these files, and give a `Result` for each."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    finder.install()
    from keras_suite import privates, testing  # noqa: F401

    collecting = _Collecting()
    options = ["-c", os.devnull, "--rootdir", str(finder.SOURCES.parent.parent), "-p", "no:cacheprovider"]
    options += ["-W", "ignore", "--noconftest", "--continue-on-collection-errors"]
    options += ["-q", "--tb=short"] if shown else ["-p", "no:terminal"]
    pytest.main([*options, *(str(finder.SOURCES / file) for file in files)], plugins=[collecting])
    for name, result in collecting.results.items():
        module = "src." + name.removesuffix(".py").replace("/", ".")
        result.other_words = sum(each.startswith(module) for each in testing.OTHER_WORDS)
    return collecting.results


def in_processes(files, share=24):
    """The results of many files, of which some share a process."""
    found = {}
    for start in range(0, len(files), share):
        command = [sys.executable, "-m", "keras_suite", "--json", *files[start : start + share]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout.splitlines()[-1])
        found |= {name: Result(**each) for name, each in told.items()}
    return found

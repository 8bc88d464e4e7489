"""The command line: run some files, or all that are listed, and write the table."""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from keras_suite import running

HERE = Path(__file__).parent
TABLE = HERE / "RESULTS.md"


def in_a_process(files):
    """The results of some files, each run in one process of its own."""
    command = [sys.executable, "-m", "keras_suite", "--json", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: running.Result(**told) for name, told in json.loads(lines[-1]).items()}


def main():
    asked = argparse.ArgumentParser(prog="keras_suite")
    asked.add_argument("files", nargs="*", help="test files, from keras/src")
    asked.add_argument("--table", action="store_true", help="run all listed files, and write the table")
    asked.add_argument("--json", action="store_true", help="print results as JSON")
    asked.add_argument("--pytest", action="store_true", help="show what pytest shows")
    given = asked.parse_args()
    if given.json:
        results = running.run(given.files)
        print()
        print(json.dumps({name: asdict(result) for name, result in results.items()}))
        return
    for name, result in running.run(given.files, given.pytest).items():
        print(
            f"{name}: {result.passed} of {result.run} passed, {len(result.outside)} outside, "
            f"{len(result.skipped)} skipped by Keras, {result.other_words} with other words, "
            f"{result.seconds:.1f} s"
        )
        for test, reason in result.failed.items():
            print(f"    {test}: {reason}")


if __name__ == "__main__":
    main()

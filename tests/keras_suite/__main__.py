"""The command line: run some files, or all that are listed, and write the table."""

import argparse
import json
from dataclasses import asdict

from keras_suite import running, table


def main():
    asked = argparse.ArgumentParser(prog="keras_suite")
    asked.add_argument("files", nargs="*", help="test files, from keras/src")
    asked.add_argument("--table", action="store_true", help="run all listed files, and write RESULTS.md")
    asked.add_argument("--json", action="store_true", help="print results as JSON")
    asked.add_argument("--pytest", action="store_true", help="show what pytest shows")
    given = asked.parse_args()
    if given.table:
        found = running.in_processes([*running.LISTED["files"], *running.LISTED["long"]])
        table.PLACE.write_text(table.written(found), encoding="utf-8")
        return
    results = running.run(given.files, given.pytest)
    if given.json:
        print()
        print(json.dumps({name: asdict(result) for name, result in results.items()}))
        return
    for name, result in results.items():
        print(
            f"{name}: {result.passed} of {result.run} passed, {len(result.outside)} outside, "
            f"{len(result.skipped)} skipped by Keras, {result.other_words} with other words, "
            f"{result.seconds:.1f} s"
        )
        for test, reason in result.failed.items():
            print(f"    {test}: {reason}")


if __name__ == "__main__":
    main()

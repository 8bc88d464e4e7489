"""The table of what passes: written into RESULTS.md, and read again by the test that holds us to it."""

import re
from collections import Counter
from pathlib import Path

from keras_suite.running import LISTED

PLACE = Path(__file__).parent / "RESULTS.md"

HEAD = """# Keras's own unit tests, on Pellucid

Written by `python -m keras_suite --table`, with the tests of Keras 3.15.1 as they come in its wheel.

Each line says how many tests of a file passed, of those that were run. *Other words*: passed, where an error
of the right kind was raised in words of ours. *Outside*: not run, for the reasons below. *Skipped*: by Keras
itself, as for another backend. Not checked anywhere: layers in mixed precision.

| file | passed | run | other words | outside | skipped |
|---|--:|--:|--:|--:|--:|
"""


def written(results):
    """The whole file."""
    lines, total = [], Counter()
    for name, result in sorted(results.items()):
        row = (result.passed, result.run, result.other_words, len(result.outside), len(result.skipped))
        lines.append(f"| {name} | {' | '.join(map(str, row))} |")
        total.update(dict(enumerate(row)))
    share = 100 * total[0] / max(total[1], 1)
    lines.append(f"| **all** | {' | '.join(str(total[place]) for place in range(5))} |")
    text = HEAD + "\n".join(lines) + f"\n\n{total[0]} of {total[1]} pass: {share:.1f} %.\n"
    text += "\n## What does not pass\n\n"
    for name, result in sorted(results.items()):
        for test, reason in sorted(result.failed.items()):
            text += f"- {name} {test}: {cleaned(reason)}\n"
    text += "\n## What is not run, and why\n\n"
    for name, reason in sorted(LISTED["not_run"].items()):
        text += f"- {name}: {reason}\n"
    for name, result in sorted(results.items()):
        for reason, count in sorted(Counter(result.outside.values()).items()):
            text += f"- {name}, {count} of its tests: {reason}\n"
        for reason, count in sorted(Counter(result.skipped.values()).items()):
            text += f"- {name}, {count} skipped by Keras: {cleaned(reason) or 'without a reason'}\n"
    return text


def cleaned(reason):
    """A reason in one short line, without what changes from run to run."""
    reason = re.sub(r"0x[0-9a-f]+", "...", " ".join(reason.split()))
    return re.sub(r"/\S*/", "", reason).replace("|", "/")[:120].rstrip()


def promised():
    """How many tests of each file passed when the table was written."""
    rows = re.findall(r"^\| (\S+_test\.py) \| (\d+) \|", PLACE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(passed) for name, passed in rows}

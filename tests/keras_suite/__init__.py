"""Runs Keras's own unit tests, as they come in its wheel, on Pellucid.

    python -m keras_suite metrics/hinge_metrics_test.py    # some files, in this process
    python -m keras_suite --table                          # all listed files, and writes RESULTS.md

The tests import `keras` and `keras.src...`; `finder.py` answers with Pellucid's names, and with the
stand-ins beside it where Keras has what is no part of its public face: its test case, its backend.
`listed.toml` says which files are run, and which of their tests are outside our surface, and why.
"""

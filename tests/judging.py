"""Runs a file of cases with Pellucid and with real Keras on JAX, each in a process of its own.

A file of cases has `cases(keras)`, a dict of functions by name, each of which gives arrays by name.
Files are written into `folder` too, so that one library can read what the other wrote.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
#: PELLUCID_JUDGE names another interpreter to run Keras with.
JUDGE = pathlib.Path(os.environ.get("PELLUCID_JUDGE", sys.executable))
#: Both libraries' programs run for a moment and compile for seconds: XLA polishes them less, and those that
#: are the same are compiled once for all judged processes. Not less than this: at level 0 initial weights are
#: no longer those of Keras bit by bit.
FAST = {
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1".strip(),
    "JAX_COMPILATION_CACHE_DIR": str(HERE.parent / ".pytest_cache" / "judged"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def surroundings(folder):
    """The environment of a judged process: it compiles fast, and Keras writes settings into this folder."""
    return {**os.environ, **FAST, "KERAS_HOME": str(folder / "keras")}


def answers(script, folder):
    """What both libraries give for the cases of a file in this folder, by library: case: name: array."""
    assert JUDGE.exists(), f"the judge is missing: {JUDGE} does not exist. `make test` sets it up."
    environment = surroundings(folder)
    running = {}
    for library, python in (("keras", str(JUDGE)), ("pellucid", sys.executable)):
        command = [python, str(HERE / "judging.py"), str(HERE / script), library, str(folder)]
        running[library] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    found = {}
    for library, process in running.items():
        _, trouble = process.communicate()
        assert process.returncode == 0, f"{library}:\n{trouble[-3000:]}"
        found[library] = {}
        with np.load(folder / f"{library}.npz") as arrays:
            for key in arrays.files:
                case, name = key.split("/", 1)
                found[library].setdefault(case, {})[name] = arrays[key]
    return found


def compare(ours, theirs, close, otherwise):
    """The same names, the same shapes, and numbers as close as `close` says of each kind of name."""
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        came = ours[name]
        assert came.shape == expected.shape, name
        difference = np.max(np.abs(came - expected) / np.maximum(1, np.abs(expected)), initial=0)
        assert difference <= close.get(name.split("/", maxsplit=1)[0], otherwise), (name, came, expected)


def main(script, library, folder):
    """Run all cases with this library, and write what they give."""
    if library == "keras":
        os.environ["KERAS_BACKEND"] = "jax"
        import keras
    else:
        import pellucid as keras
    os.chdir(folder)
    names = {"__name__": "cases", "__file__": script}
    exec(compile(pathlib.Path(script).read_text(), script, "exec"), names)
    found = {}
    for name, run in names["cases"](keras).items():
        found |= {f"{name}/{key}": np.asarray(value) for key, value in run().items()}
    np.savez(f"{library}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

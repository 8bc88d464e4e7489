"""The cases of test_random.py, run by whichever library is given: pellucid or keras (see judging.py)."""

import numpy as np


def cases(keras):
    """Each function of keras.random, with every kind of seed."""
    R = keras.random  # noqa: N806
    x = np.arange(24, dtype="float32").reshape(2, 3, 4) + 1
    t = keras.ops.convert_to_tensor
    logits = t(np.log(np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25]], "float32")))
    draws = {
        "normal": lambda seed: R.normal((2, 3), seed=seed),
        "normal, moved": lambda seed: R.normal((5,), mean=2.0, stddev=0.3, seed=seed),
        "normal, of 16 bits": lambda seed: R.normal((5,), dtype="float16", seed=seed),
        "truncated normal": lambda seed: R.truncated_normal((7,), stddev=2.0, seed=seed),
        "uniform": lambda seed: R.uniform((2, 3), seed=seed),
        "uniform, in bounds": lambda seed: R.uniform((4,), -2.0, 5.0, seed=seed),
        "randint": lambda seed: R.randint((9,), 0, 10, seed=seed),
        "randint, of 8 bits": lambda seed: R.randint((9,), -3, 3, dtype="int8", seed=seed),
        "categorical": lambda seed: R.categorical(logits, 6, seed=seed),
        "gamma": lambda seed: R.gamma((4,), 2.5, seed=seed),
        "gamma, several": lambda seed: R.gamma((2,), np.array([0.5, 3.0], "float32"), seed=seed),
        "beta": lambda seed: R.beta((4,), 2.0, 3.0, seed=seed),
        "binomial": lambda seed: R.binomial((5,), 10.0, 0.3, seed=seed),
        "dropout": lambda seed: R.dropout(t(x), 0.4, seed=seed),
        "dropout, shared": lambda seed: R.dropout(t(x), 0.5, noise_shape=(None, 1, 4), seed=seed),
        "dropout, none": lambda seed: R.dropout(t(x), 0.0, seed=seed),
        "shuffle": lambda seed: R.shuffle(t(x), axis=1, seed=seed),
    }

    def case(draw):
        def run():
            keras.utils.set_random_seed(11)
            generator = R.SeedGenerator(seed=5)
            unseeded = R.SeedGenerator()
            found = {"whole number": draw(3), "again": draw(3), "largest": draw(2**32 - 1)}
            found |= {f"generator/{turn}": draw(generator) for turn in range(3)}
            found |= {f"none/{turn}": draw(None) for turn in range(3)}
            found |= {"unseeded": draw(unseeded), "state": generator.state.value}
            # After the next seed, the next generator for all.
            keras.utils.set_random_seed(12)
            found["none/anew"] = draw(None)
            return {name: np.asarray(value) for name, value in found.items()}

        return run

    return {name: case(draw) for name, draw in draws.items()}

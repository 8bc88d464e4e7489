"""Lookups and hashing, run by whichever library is given; Keras needs TensorFlow for them.

What Keras 3.15.1 gave with TensorFlow 2.20 lies in lookup_facts.json, because the judge of the other
tests has no TensorFlow. `python lookup_cases.py`, with one that has, writes it anew.
"""

import json
import pathlib

import numpy as np

FACTS = pathlib.Path(__file__).parent / "lookup_facts.json"
WORDS = ["a", "b", "c", "d"]
TEXTS = np.array([["a", "c", "d", "d"], ["d", "z", "b", "z"]])
ENTRIES = [12, 36, 1138, 42]
NUMBERS = np.array([[12, 1138, 42, 42], [42, 7, 36, -9]])
LENGTHS = (0, 1, 3, 4, 7, 8, 16, 17, 32, 33, 63, 64, 65, 128, 129, 200)
MODES = ("int", "one_hot", "multi_hot", "count")
STRINGS = (
    {},
    {"mask_token": "b"},
    {"num_oov_indices": 3},
    {"max_tokens": 9, "pad_to_max_tokens": True},
    {"num_oov_indices": 2, "salt": 5},
)
INTEGERS = (
    {},
    {"mask_token": 36},
    {"num_oov_indices": 3},
    {"num_oov_indices": 3, "oov_method": "farmhash"},
    {"num_oov_indices": 3, "oov_method": "farmhash", "salt": [3, 4]},
)


def cases(keras):
    """What each case gives, by its name."""
    L = keras.layers  # noqa: N806
    found = {}

    def looked_up(kind, vocabulary, rows, options):
        for mode in MODES:
            for each in options:
                known = [word for word in vocabulary if word != each.get("mask_token")]
                layer = getattr(L, kind)(vocabulary=known, output_mode=mode, **each)
                found[f"{kind} {mode} {each}"] = layer(rows)

    looked_up("StringLookup", WORDS, TEXTS, STRINGS)
    looked_up("IntegerLookup", ENTRIES, NUMBERS, INTEGERS)
    texts = ["".join(chr(97 + (7 * n + size) % 26) for n in range(size)) for size in LENGTHS]
    texts = [[text] for text in [*texts, "é", "日本語", "Hello World"]]
    for salt in (None, 133, [133, 137]):
        found[f"bins of texts, salt {salt}"] = L.Hashing(1_000_003, salt=salt)(texts)
    few = [["A", "B"], ["", "E"]]
    for mode in MODES:
        found[f"bins, {mode}"] = L.Hashing(4, output_mode=mode)(few)
        found[f"bins of one, {mode}"] = L.Hashing(4, output_mode=mode)([["A"], ["B"]])
        found[f"bins of a row, {mode}"] = L.Hashing(4, output_mode=mode)(["A", "B"])
    found["bins, masked"] = L.Hashing(4, mask_value="")(few)
    found["bins of whole numbers"] = L.Hashing(50)(np.array([[1, 2], [3, 40000], [-7, 123456789]]))
    found["bins of whole numbers, masked"] = L.Hashing(50, mask_value=3)(np.array([1, 2, 3, 4]))
    found["bins of numbers"] = L.Hashing(50)(np.array([[1.7, 2.0], [-3, 4.0]], "float32"))

    layer = L.StringLookup(output_mode="tf_idf")
    layer.set_vocabulary(WORDS, idf_weights=[0.25, 0.75, 0.6, 0.4])
    found["weights of words"] = layer(TEXTS)
    layer = L.StringLookup(output_mode="tf_idf", max_tokens=8, pad_to_max_tokens=True)
    layer.set_vocabulary(["[UNK]", *WORDS], idf_weights=[0.9, 0.25, 0.75, 0.6, 0.4])
    found["weights of words, padded"] = layer(TEXTS)
    found["numbers of a row"] = L.StringLookup(vocabulary=WORDS)(["a", "q"])
    found["words of a row"] = L.StringLookup(vocabulary=WORDS, output_mode="multi_hot")(["a", "q"])
    found["one word each"] = L.StringLookup(vocabulary=WORDS, output_mode="one_hot")([["a"], ["q"]])
    found["entries"] = L.IntegerLookup(vocabulary=ENTRIES, invert=True)(np.array([[1, 3, 4], [4, 0, 2]]))

    documents = np.array([["b", "a", "b"], ["c", "a", "d"]])

    def adapted(name, layer, data, rows):
        layer.adapt(data)
        found[f"{name}: vocabulary"] = [str(word) for word in layer.get_vocabulary()]
        found[f"{name}: size"] = layer.vocabulary_size()
        found[name] = layer(rows)

    adapted("learned", L.StringLookup(), np.array(["b", "a", "b", "c", "a", "[UNK]", "é"]), TEXTS)
    adapted("learned, short", L.StringLookup(max_tokens=4, mask_token="d"), documents, TEXTS)
    adapted("learned, weights", L.StringLookup(output_mode="tf_idf"), documents, TEXTS)
    padded = L.StringLookup(output_mode="tf_idf", max_tokens=7, pad_to_max_tokens=True)
    adapted("learned, padded", padded, documents, TEXTS)
    batches = iter([documents, np.array([["e", "e", "b"]])])
    adapted("learned in batches", L.StringLookup(), batches, TEXTS)
    adapted("entries learned", L.IntegerLookup(), np.array([5, 3, 5, 9, 3, -1, 12]), NUMBERS)
    return {name: np.asarray(value) for name, value in found.items()}


if __name__ == "__main__":
    import keras as judge

    told = {name: [value.shape, value.ravel().tolist()] for name, value in cases(judge).items()}
    FACTS.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in told.items()) + "\n}\n"
    )

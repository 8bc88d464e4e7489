"""tf.keras.preprocessing.text: texts as numbers of words, for scripts older than TextVectorization."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np

from pellucid.errors import ArgumentError, StateError, message

NumPy = np.ndarray[Any, Any]
#: The signs that separate words as a space does.
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
Analyzer = Callable[[str], Sequence[str]]


def text_to_word_sequence(
    input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of a text.

    >>> text_to_word_sequence("The cat, the mat!")
    ['the', 'cat', 'the', 'mat']
    """
    text = input_text.lower() if lower else input_text
    spaced = text.translate({ord(sign): split for sign in filters})
    return [word for word in spaced.split(split) if word]


def hashing_trick(
    text: str,
    n: int,
    hash_function: Any = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """A number from 1 to n - 1 for each word, by its hash; "md5" gives the same ones in each process."""
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    number = _md5 if hash_function == "md5" else hash_function or hash
    return [number(word) % (n - 1) + 1 for word in words]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """A number from 1 to n - 1 for each word, by Python's hash."""
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


class Tokenizer:
    """Numbers words by how often they occur: 1 is the commonest, and 0 stays free for padding.

    Args:
        num_words: only numbers below this one are given.
        filters: signs that separate words as a space does.
        lower: whether capital letters count as small ones.
        split: what separates words.
        char_level: whether each letter is a word.
        oov_token: what stands for words that are not known; it gets the number 1.
        analyzer: a function that gives the words of a text.

    Example:
        >>> tokenizer = Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["the cat sat", "the mat"])
        >>> tokenizer.texts_to_sequences(["the dog sat"])
        [[2, 1, 4]]
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Analyzer | None = None,
        document_count: int = 0,
    ) -> None:
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.document_count = document_count
        #: How often each word occurs; in how many texts, by word and by number.
        self.word_counts: Counter[str] = Counter()
        self.word_docs: Counter[str] = Counter()
        self.index_docs: Counter[int] = Counter()
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> Sequence[str]:
        """The words of a text, or of a list of them."""
        if isinstance(text, list):
            words = cast(list[str], text)
            return [word.lower() for word in words] if self.lower else words
        if self.char_level:
            return list(text.lower() if self.lower else text)
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Count the words of these texts, beside those that were counted before, and number them."""
        for text in texts:
            words = self._words(text)
            self.document_count += 1
            self.word_counts.update(words)
            self.word_docs.update(set(words))
        known = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        first = [] if self.oov_token is None else [self.oov_token]
        self.word_index = {word: number for number, word in enumerate([*first, *known], 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        self.index_docs.update({self.word_index[word]: 0 for word in self.word_docs})
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Sequence[Sequence[int]]) -> None:
        """Count in how many sequences each number occurs."""
        self.document_count += len(sequences)
        for sequence in sequences:
            self.index_docs.update(set(sequence))

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """The numbers of the words of each text; words without one are left out, or become `oov_token`."""
        unknown = self.word_index.get(self.oov_token) if self.oov_token is not None else None

        def number(word: str) -> int | None:
            found = self.word_index.get(word)
            return unknown if found is None or not self._given(found) else found

        return [[n for word in self._words(text) if (n := number(word)) is not None] for text in texts]

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """The words of numbers, with spaces between."""

        def word(number: int) -> str | None:
            found = self.index_word.get(number)
            return self.oov_token if found is None or not self._given(number) else found

        return [" ".join(w for n in sequence if (w := word(n)) is not None) for sequence in sequences]

    def _given(self, number: int) -> bool:
        return not self.num_words or number < self.num_words

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> NumPy:
        """A row for each text, and a column for each word: see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> NumPy:
        """A row for each sequence, and a column for each number.

        Args:
            sequences: numbers of words.
            mode: "binary" whether it occurs, "count" how often, "freq" the share of the sequence, or
                "tfidf" (1 + log(count)) * log(1 + texts/(1 + texts with it)).
        """
        if not self.num_words and not self.word_index:
            raise StateError(
                message(
                    "how many words there are is not known.", mend="say num_words, or fit_on_texts first."
                )
            )
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ArgumentError(message("mode is unknown.", came=mode, expected="binary, count, freq, tfidf"))
        if mode == "tfidf" and not self.document_count:
            raise StateError(message("tfidf needs texts to count in.", mend="call fit_on_texts first."))
        matrix = np.zeros((len(sequences), self.num_words or len(self.word_index) + 1))
        for row, sequence in zip(matrix, sequences, strict=True):
            for number, count in Counter(sequence).items():
                if number < len(row):
                    row[number] = self._weight(mode, number, count, len(sequence))
        return matrix

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "tfidf":
            rare = np.log(1 + self.document_count / (1 + self.index_docs[number]))
            return float((1 + np.log(count)) * rare)
        return {"binary": 1.0, "count": float(count), "freq": count / length}[mode]

    def get_config(self) -> dict[str, Any]:
        """What it was made with, and what it has counted."""
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        counted = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        return {name: getattr(self, name) for name in names} | {
            name: json.dumps(getattr(self, name)) for name in counted
        }

    def to_json(self, **kwargs: Any) -> str:
        """The same as text."""
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `to_json` wrote."""
    config = json.loads(json_string)["config"]
    counted = {
        name: json.loads(text) for name, text in config.items() if name.startswith(("word_", "index_"))
    }
    made = Tokenizer(**{name: value for name, value in config.items() if name not in counted})
    made.word_counts, made.word_docs = Counter(counted["word_counts"]), Counter(counted["word_docs"])
    made.index_docs = Counter({int(number): count for number, count in counted["index_docs"].items()})
    made.index_word = {int(number): word for number, word in counted["index_word"].items()}
    made.word_index = counted["word_index"]
    return made

"""Layers that number the words of a vocabulary: StringLookup and IntegerLookup."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np

from pellucid.arrays import Shape, floatx
from pellucid.errors import ArgumentError, DataError, FileError, StateError, message
from pellucid.layers.categories import (
    MODES,
    OnHost,
    as_salt,
    as_texts,
    encoded,
    encoded_shape,
    hashed,
    require_dense,
    require_mode,
)
from pellucid.layers.layer import CATALOGUE
from pellucid.naming import require_no_path

NumPy = np.ndarray[Any, Any]


class _Lookup(OnHost):
    """What both have in common.

    A vocabulary begins with the mask token, if there is one and the output is "int", and as many
    places for words that are not in it as `num_oov_indices` says; then come the words.
    """

    #: Where the vocabulary lies in a file that a model is saved in.
    asset = "vocabulary.txt"

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: Any,
        name: str | None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dtype", None)
        frozen = kwargs.pop("vocabulary_size", None)
        self.output_mode = require_mode(output_mode, type(self).__name__, (*MODES, "tf_idf"))
        counted = "int32" if self.output_mode != "tf_idf" else floatx()
        super().__init__(name=name, dtype=counted, **kwargs)
        require_dense(sparse, type(self).__name__)
        self._require(
            (
                max_tokens is None or max_tokens > 1,
                "`max_tokens` must be greater than 1.",
                max_tokens,
            ),
            (
                not pad_to_max_tokens or max_tokens is not None,
                "If pad_to_max_tokens is True, must set `max_tokens`.",
                max_tokens,
            ),
            (num_oov_indices >= 0, "`num_oov_indices` must be 0 or more.", num_oov_indices),
            (oov_method in ("floormod", "farmhash"), '`oov_method` is "floormod" or "farmhash".', oov_method),
            (
                not invert or self.output_mode == "int",
                "`output_mode` must be `'int'` when `invert` is true.",
                output_mode,
            ),
            (
                idf_weights is None or self.output_mode == "tf_idf",
                "`idf_weights` should only be set if `output_mode` is `'tf_idf'`.",
                output_mode,
            ),
        )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.sparse, self.pad_to_max_tokens = invert, sparse, pad_to_max_tokens
        self.oov_method, self.salt = oov_method, as_salt(salt)
        #: The vocabulary that was given to the constructor: it is part of the configuration.
        self.input_vocabulary = None if isinstance(vocabulary, str | None) else _listed(vocabulary)
        self._given = vocabulary is not None
        self._size: int | None = frozen
        self._tokens: list[Any] = []
        self._place: dict[Any, int] = {}
        #: For "tf_idf": how much each word counts, those that are not in the vocabulary first.
        self.idf_weights: NumPy | None = None
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _require(self, *facts: tuple[bool, str, Any]) -> None:
        for holds, what, came in facts:
            if not holds:
                raise ArgumentError(message(what, came=repr(came)))

    # The vocabulary.

    def _token(self, value: Any) -> Any:
        """One word as the vocabulary holds it."""
        raise NotImplementedError

    def _values(self, given: Any) -> NumPy:
        """What was given as an array of words."""
        raise NotImplementedError

    @property
    def _oov_start(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    def _special(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The words in the order of their numbers; with those that stand for the mask and for others."""
        return [*(self._special() if include_special_tokens else ()), *self._tokens]

    def vocabulary_size(self) -> int:
        """How many words there are, with those that stand for the mask and for others."""
        return self._token_start + len(self._tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the words, in the order of their numbers.

        Args:
            vocabulary: a list or array of words, or the path of a file with one in each line.
            idf_weights: for "tf_idf": how much each word counts.
        """
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            raise ArgumentError(
                message(
                    "`idf_weights` must be set if output_mode is 'tf_idf', and only then.",
                    came=f"output_mode={self.output_mode!r}, idf_weights={idf_weights}",
                )
            )
        words = _from_file(vocabulary) if isinstance(vocabulary, str) else _listed(vocabulary)
        words = [self._token(each) for each in words]
        special = self._special()
        complete = words[: self._token_start] == special
        tokens = words[self._token_start :] if complete else words
        self._require_words(words, tokens, special)
        self._set_tokens(tokens)
        if idf_weights is not None:
            self._set_weights(np.asarray(idf_weights, np.float64), len(words), complete)

    def _require_words(self, words: list[Any], tokens: list[Any], special: list[Any]) -> None:
        if not words:
            raise ArgumentError(message("Cannot set an empty vocabulary.", came="no words"))
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise ArgumentError(
                message(
                    "The passed vocabulary has at least one repeated term.", came=", ".join(map(repr, twice))
                )
            )
        for reserved, matters in ((self.mask_token, True), (self.oov_token, self.invert)):
            if matters and reserved is not None and reserved in tokens:
                raise ArgumentError(
                    message(
                        "a reserved token is at an unexpected place of the vocabulary.",
                        came=f"{reserved!r} at place {words.index(reserved)}",
                        expected=f"at the start, in this order: {special}; or none of them at all",
                    )
                )
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ArgumentError(
                message(
                    "Attempted to set a vocabulary larger than the maximum vocab size.",
                    came=f"{size} words",
                    expected=f"max_tokens={self.max_tokens} at most",
                )
            )

    def _set_tokens(self, tokens: list[Any]) -> None:
        size = self._token_start + len(tokens)
        fixed = self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed and self._size not in (None, size):
            raise StateError(
                message(
                    f"{self.describe()} has outputs as long as its vocabulary, whose size cannot change.",
                    came=f"{size} words",
                    expected=f"{self._size} words",
                    mend="give max_tokens and pad_to_max_tokens=True.",
                )
            )
        self._tokens, self._size = tokens, size
        self._place = {token: self._token_start + place for place, token in enumerate(tokens)}

    def _set_weights(self, weights: NumPy, words: int, complete: bool) -> None:
        if weights.shape != (words,):
            raise ArgumentError(
                message(
                    "`idf_weights` must be the same length as vocabulary.",
                    came=f"weights of shape {weights.shape}",
                    expected=f"({words},)",
                )
            )
        front = 0 if complete else self._token_start
        weights = np.concatenate([np.full(front, weights.mean()), weights])
        self.idf_weights = self._padded(weights)

    def _padded(self, weights: NumPy) -> NumPy:
        more = (self.max_tokens or 0) - len(weights) if self.pad_to_max_tokens else 0
        return np.pad(weights, (0, max(more, 0))).astype(floatx())

    # Learning it from data.

    def reset_state(self) -> None:
        """Forget what `adapt` has counted."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._rows = 0

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary from data: the most frequent words first, and of equally frequent the last.

        Args:
            data: an array or a list of words or of rows of words, or an iterable of batches.
            steps: how many batches to read; None: all.
        """
        if self._given:
            raise StateError(
                message(
                    f"Cannot adapt layer '{self.name}' after setting a static vocabulary.",
                    mend="make the layer without `vocabulary`.",
                )
            )
        self.reset_state()
        if hasattr(data, "shape") or hasattr(data, "to_numpy") or isinstance(data, list | tuple):
            values = self._values(data)
            self.update_state(values[:, None] if values.ndim == 1 else values)
        else:
            for number, batch in enumerate(cast(Iterable[Any], data)):
                if steps is not None and number >= steps:
                    break
                self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the words of a batch; a row is a document, and so is a batch of words without rows."""
        values = self._values(data)
        rows = values.reshape(1, -1) if values.ndim < 2 else values.reshape(len(values), -1)
        for row in rows:
            counts = Counter(row.tolist())
            self._counts.update(counts)
            self._documents.update(counts.keys())
        self._rows += len(rows)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if not self._counts:
            return
        learned = {
            word: n for word, n in self._counts.items() if word not in (self.mask_token, self.oov_token)
        }
        tokens = sorted(learned, key=lambda word: (learned[word], word), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: max(self.max_tokens - self._token_start, 0)]
        self._set_tokens(tokens)
        if self.output_mode == "tf_idf":
            seen = np.array([self._documents[token] for token in tokens], np.float64)
            weights = np.log(1 + self._rows / (1 + seen))
            self.idf_weights = self._padded(
                np.concatenate([np.full(self._token_start, weights.mean() if len(weights) else 0.0), weights])
            )
        self.reset_state()

    # Looking up.

    def call(self, inputs: Any) -> Any:
        """The numbers of the words, or the words of the numbers."""
        if self.invert:
            return self._words(np.asarray(inputs).astype(np.int64))
        depth = self.max_tokens if self.pad_to_max_tokens else self._size
        if self.output_mode != "int" and not depth:
            raise StateError(
                message(
                    f"{self.describe()} has no vocabulary yet.",
                    mend="give it a vocabulary, or call adapt on the data first.",
                )
            )
        values = self._values(inputs)
        kinds, place = np.unique(values, return_inverse=True)
        numbers = self._numbers(kinds)[place].reshape(values.shape)
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        outputs = encoded(numbers, mode, depth or 0, self.dtype)
        return jnp.asarray(outputs if self.idf_weights is None else outputs * self.idf_weights)

    def _numbers(self, words: NumPy) -> NumPy:
        """The number of each word."""
        found = np.array([self._place.get(word, -1) for word in words.tolist()], np.int64)
        unknown = found < 0
        if self.mask_token is not None:
            masked = np.array([word == self.mask_token for word in words.tolist()], bool)
            found[masked] = 0 if self.output_mode == "int" else -1  # -1 is encoded as nothing
            unknown &= ~masked
        if not unknown.any():
            return found
        if self.num_oov_indices == 0:
            raise DataError(
                message(
                    "When `num_oov_indices=0` all inputs should be in vocabulary.",
                    came=", ".join(repr(word) for word in words[unknown].tolist()[:6]),
                    mend="consider setting `num_oov_indices=1`.",
                )
            )
        found[unknown] = self._oov_start + self._oov_bins(words[unknown])
        return found

    def _oov_bins(self, words: NumPy) -> Any:
        """Which of the places for unknown words each of these has."""
        if self.num_oov_indices == 1:
            return 0
        return hashed(words, self.num_oov_indices, self.salt)

    def _words(self, numbers: NumPy) -> Any:
        """The word of each number."""
        start = self._token_start
        known = (numbers >= start) & (numbers < start + len(self._tokens))
        words = np.array([*self._tokens, self.oov_token], dtype=object)
        found = words[np.where(known, numbers - start, len(self._tokens))]
        if self.mask_token is not None:
            found = np.where(numbers == 0, self.mask_token, found)
        return self._values(found)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the inputs, or an axis of the words."""
        depth = self.max_tokens if self.pad_to_max_tokens else self._size
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return encoded_shape(input_shape, mode, depth)

    # Files.

    def changed_arguments(self) -> dict[str, Any]:
        """What is known now of the vocabulary."""
        return {
            **super().changed_arguments(),
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": self._size,
            "oov_method": self.oov_method,
        }

    def save_assets(self, files: dict[str, list[str]]) -> None:
        """Put the vocabulary, one word in each line, into `files`; not if the configuration holds it."""
        if self.input_vocabulary is None:
            files[self.asset] = [str(word) for word in self.get_vocabulary()]

    def load_assets(self, files: Mapping[str, Sequence[str]]) -> None:
        """Take the vocabulary from what `save_assets` put there."""
        if self.input_vocabulary is None:
            lines = list(files[self.asset])
            while lines and lines[-1] == "":
                lines.pop()
            self.set_vocabulary(lines, self.idf_weights)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of words into `store`, which is like a dict."""
        if self.output_mode == "tf_idf" and self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store: Any) -> None:
        """Take them from there."""
        if self.output_mode == "tf_idf":
            self.idf_weights = np.asarray(store["idf_weights"], floatx())


def _listed(words: Any) -> list[Any]:
    """A vocabulary as a list of plain values."""
    return np.asarray(words).tolist() if hasattr(words, "shape") else list(words)


def _from_file(path: str) -> list[str]:
    require_no_path("vocabulary", path)
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileError(message(f"Vocabulary file {path} does not exist.", came=str(error))) from error


@CATALOGUE.entry()
class StringLookup(_Lookup):
    """The numbers of words in a vocabulary, or, with `invert`, the words of numbers.

    Args:
        max_tokens: how many words the vocabulary may have, with those for the mask and for others.
        num_oov_indices: how many numbers there are for words that are not in it.
        mask_token: the word that stands for nothing; its number is 0.
        oov_token: the word that stands for words that are not in the vocabulary.
        vocabulary: the words, or the path of a file with one in each line; `adapt` learns them if None.
        idf_weights: for "tf_idf": how much each word counts.
        invert: whether to give words for numbers.
        output_mode: "int", "one_hot", "multi_hot", "count", or "tf_idf": counts times `idf_weights`.
        pad_to_max_tokens: whether outputs are as long as `max_tokens` says, whatever the vocabulary.
        sparse: must be False.
        encoding: how bytes are read.
        salt: one or two whole numbers that number unknown words otherwise.

    Example:
        >>> StringLookup(vocabulary=["a", "b", "c"])([["b", "z"]]).tolist()
        [[2, 0]]
        >>> layer = StringLookup(output_mode="count")
        >>> layer.adapt(["a", "b", "a"])
        >>> layer.get_vocabulary(), layer([["a", "a", "z"]]).tolist()
        (['[UNK]', 'a', 'b'], [[1, 2, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            kwargs.pop("oov_method", "floormod"),
            salt,
            name,
            **kwargs,
        )

    def _token(self, value: Any) -> str:
        return value.decode(self.encoding) if isinstance(value, bytes) else str(value)

    def _values(self, given: Any) -> NumPy:
        values = np.asarray(given)
        if values.dtype.kind not in "USOT" and values.size:
            raise DataError(
                message(
                    f"{self.describe()} looks up texts.",
                    came=f"an array of {values.dtype}",
                    mend="use IntegerLookup for whole numbers, or x.astype(str).",
                )
            )
        return as_texts(values, self.encoding)


@CATALOGUE.entry()
class IntegerLookup(_Lookup):
    """The numbers of whole numbers in a vocabulary, or, with `invert`, the other way.

    Args:
        max_tokens: how many entries the vocabulary may have, with those for the mask and for others.
        num_oov_indices: how many numbers there are for what is not in it.
        mask_token: what stands for nothing; its number is 0.
        oov_token: what stands for all that is not in the vocabulary.
        vocabulary: the entries, or the path of a file with one in each line; `adapt` learns them if None.
        vocabulary_dtype: must be "int64".
        idf_weights: for "tf_idf": how much each entry counts.
        invert: whether to give entries for numbers.
        output_mode: "int", "one_hot", "multi_hot", "count", or "tf_idf": counts times `idf_weights`.
        sparse: must be False.
        pad_to_max_tokens: whether outputs are as long as `max_tokens` says, whatever the vocabulary.
        oov_method: how what is not in the vocabulary is numbered: "floormod", its remainder by
            `num_oov_indices`; or "farmhash", by its fingerprint.
        salt: for "farmhash": one or two whole numbers that number it otherwise.

    Example:
        >>> IntegerLookup(vocabulary=[12, 36, 1138])([[36, 7]]).tolist()
        [[2, 0]]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._require(
            (
                vocabulary_dtype == "int64",
                "Only `vocabulary_dtype='int64'` is supported at this time.",
                vocabulary_dtype,
            ),
            (
                salt is None or oov_method == "farmhash",
                "`salt` can only be used when `oov_method='farmhash'`.",
                oov_method,
            ),
        )
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            oov_method,
            salt,
            name,
            **kwargs,
        )

    def _token(self, value: Any) -> int:
        return int(value)

    def _values(self, given: Any) -> NumPy:
        values = np.asarray(given)
        whole = values.astype(np.int64)
        if values.dtype.kind not in "biu" and not np.array_equal(whole, values):
            raise DataError(
                message(f"{self.describe()} looks up whole numbers.", came=f"an array of {values.dtype}")
            )
        return whole

    def _oov_bins(self, words: NumPy) -> Any:
        if self.oov_method == "floormod":
            return words % self.num_oov_indices
        return super()._oov_bins(words)

    def _words(self, numbers: NumPy) -> Any:
        return jnp.asarray(super()._words(numbers))

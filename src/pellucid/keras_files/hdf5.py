"""The arrays of an HDF5 file that nobody vouches for, read without HDF5's library.

Keras's weights are the plainest of HDF5 files: groups, and arrays that lie in one piece. Only those
are read here, within the bytes that are there. So a file cannot lead anywhere else: links out of the
file, arrays in other files, views on other arrays, chunks, compression and shapes without content do
not exist for this reader, and every number that a file says is checked before it is used.

Written after the HDF5 File Format Specification, version 3.0 (superblock 0, sections III and IV).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Groups within groups, at most.
DEEPEST = 64

# The messages of an object's header that matter here.
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS = 0x01, 0x03, 0x07, 0x08, 0x0B
_LINKS, _LINK, _CONTINUED, _GROUP = 0x02, 0x06, 0x10, 0x11

#: What whole numbers and floats can be, by their bytes; floats also by exponent and mantissa.
_INTEGERS = {1: "i1", 2: "i2", 4: "i4", 8: "i8"}
_FLOATS = {(2, 5, 10): "f2", (2, 8, 7): "bfloat16", (4, 8, 23): "f4", (8, 11, 52): "f8"}


def read_arrays(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a file, by their paths: "layers/dense/vars/0".

    Raises:
        ValueError: if the file holds anything but groups and plain arrays, or is damaged.
    """
    try:
        return _Reader(content).arrays()
    except struct.error as problem:
        raise ValueError(f"the file ends too early: {problem}") from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.seen: set[int] = set()
        self.left = len(content)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        head = self.unpack("<8sBBBBBBB", 0)
        if head[0] != SIGNATURE:
            raise ValueError("this is not an HDF5 file")
        if head[1] != 0 or head[6:8] != (8, 8):
            raise ValueError("this is an HDF5 file of another version than Keras writes")
        base, _, end = self.unpack("<QQQ", 24)
        if base != 0 or end > len(self.content):
            raise ValueError("the file is shorter than it says")
        (root,) = self.unpack("<Q", 64)
        found: dict[str, np.ndarray[Any, Any]] = {}
        self.visit(root, "", found, 0)
        return found

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        if at < 0:
            raise ValueError("an address before the beginning of the file")
        return struct.unpack_from(form, self.content, at)

    def once(self, at: int) -> None:
        """Nothing is reached twice: so there is no way in circles."""
        if at in self.seen:
            raise ValueError("two names for one part of the file")
        self.seen.add(at)

    def visit(self, at: int, path: str, found: dict[str, np.ndarray[Any, Any]], depth: int) -> None:
        if depth > DEEPEST:
            raise ValueError("groups within groups within groups")
        messages: dict[int, int] = {}
        for kind, start, shared in self.messages(at):
            if kind in (_EXTERNAL, _FILTERS, _LINKS, _LINK):
                what = {_EXTERNAL: "an array in another file", _FILTERS: "a compressed array"}
                raise ValueError(f"{path or 'the root'}: {what.get(kind, 'links of a newer kind')}")
            if kind in (_DATASPACE, _DATATYPE, _LAYOUT, _GROUP):
                if kind in messages or shared:
                    raise ValueError(f"{path}: a header that says things twice, or elsewhere")
                messages[kind] = start
        if _GROUP in messages:
            if len(messages) > 1:
                raise ValueError(f"{path}: both a group and an array")
            for name, child in self.members(messages[_GROUP]):
                self.visit(child, f"{path}/{name}" if path else name, found, depth + 1)
        elif {_DATASPACE, _DATATYPE, _LAYOUT} <= set(messages):
            if path in found:
                raise ValueError(f"{path} occurs twice")
            found[path] = self.array(messages, path)
        else:
            raise ValueError(f"{path or 'the root'} is neither a group nor an array")

    def messages(self, at: int) -> Iterator[tuple[int, int, bool]]:
        """The messages of an object's header: what each is, where it begins, whether it lies elsewhere."""
        self.once(at)
        version, _, count, _, size = self.unpack("<BBHII", at)
        if version != 1:
            raise ValueError("a header of a newer kind")
        blocks = [(at + 16, size)]
        while blocks and count > 0:
            start, length = blocks.pop(0)
            end = start + length
            if end > len(self.content):
                raise ValueError("a header beyond the end of the file")
            while start + 8 <= end and count > 0:
                kind, size, flags = self.unpack("<HHB", start)
                if start + 8 + size > end:
                    raise ValueError("a message beyond the end of its header")
                if kind == _CONTINUED:
                    where, long = self.unpack("<QQ", start + 8)
                    self.once(where)
                    blocks.append((where, long))
                else:
                    yield kind, start + 8, bool(flags & 2)
                start, count = start + 8 + size, count - 1

    def members(self, at: int) -> Iterator[tuple[str, int]]:
        """The names in a group, and where their objects are."""
        tree, heap = self.unpack("<QQ", at)
        self.once(heap)
        mark, version, size, _, names = self.unpack("<4sB3xQQQ", heap)
        if mark != b"HEAP" or version != 0 or names + size > len(self.content):
            raise ValueError("the names of a group are damaged")
        for node in self.leaves(tree, 0):
            mark, version, count = self.unpack("<4sBxH", node)
            if mark != b"SNOD" or version != 1:
                raise ValueError("the members of a group are damaged")
            for number in range(count):
                offset, header, link = self.unpack("<QQI", node + 8 + 40 * number)
                if link == 2:
                    raise ValueError("a link, rather than an array")
                yield self.name(names, size, offset), header

    def name(self, names: int, size: int, offset: int) -> str:
        if offset >= size:
            raise ValueError("a name outside of the names")
        end = self.content.find(b"\0", names + offset, names + size)
        name = self.content[names + offset : end].decode("utf-8") if end >= 0 else ""
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"{name!r} is not a name")
        return name

    def leaves(self, at: int, depth: int) -> Iterator[int]:
        """The leaves of the tree that holds a group's members."""
        self.once(at)
        mark, kind, level, used = self.unpack("<4sBBH", at)
        if mark != b"TREE" or kind != 0 or depth > DEEPEST:
            raise ValueError("the members of a group are damaged")
        for number in range(used):
            (child,) = self.unpack("<Q", at + 24 + 8 + 16 * number)
            if level:
                yield from self.leaves(child, depth + 1)
            else:
                self.once(child)
                yield child

    def array(self, messages: dict[int, int], path: str) -> np.ndarray[Any, Any]:
        shape, dtype = self.shape(messages[_DATASPACE]), self.dtype(messages[_DATATYPE], path)
        count = math.prod(shape)
        size = count * dtype.itemsize
        self.left -= size
        if self.left < 0:
            raise ValueError(f"{path}: an array of {size:,} bytes, more than the file holds")
        version, kind = self.unpack("<BB", messages[_LAYOUT])
        if version != 3 or kind != 1:
            raise ValueError(f"{path}: an array that does not lie in one piece")
        at, stored = self.unpack("<QQ", messages[_LAYOUT] + 2)
        if stored != size or (size and at + size > len(self.content)):
            raise ValueError(f"{path}: an array of {size:,} bytes, of which {stored:,} are there")
        if not size:
            return np.zeros(shape, dtype)
        return np.frombuffer(self.content, dtype, count, at).reshape(shape)

    def shape(self, at: int) -> tuple[int, ...]:
        version, rank, flags = self.unpack("<BBB", at)
        if version not in (1, 2) or rank > 32 or (version == 2 and self.unpack("<B", at + 3)[0] == 2):
            raise ValueError("an array without a shape")
        start = at + (8 if version == 1 else 4)
        shape = self.unpack(f"<{rank}Q", start)
        if flags & 1 and self.unpack(f"<{rank}Q", start + 8 * rank) != shape:
            raise ValueError("an array that can grow")
        return shape

    def dtype(self, at: int, path: str) -> np.dtype[Any]:
        first, bits, size = self.unpack("<BB2xI", at)
        kind = first & 15
        if kind == 0 and size in _INTEGERS and self.unpack("<HH", at + 8) == (0, 8 * size) and not bits & 1:
            return np.dtype(_INTEGERS[size] if bits & 8 else _INTEGERS[size].replace("i", "u"))
        if kind == 1 and not bits & 0x41:
            exponent, mantissa = self.unpack("<BxB", at + 13)
            if (name := _FLOATS.get((size, exponent, mantissa))) is not None:
                return np.dtype(_bfloat16() if name == "bfloat16" else name)
        if kind == 5 and size == 2:  # as h5py writes bfloat16
            return np.dtype(_bfloat16())
        if kind == 8 and size == 1:
            return np.dtype("bool")
        raise ValueError(f"{path}: numbers of a kind that weights do not have")


def _bfloat16() -> Any:
    import ml_dtypes

    return ml_dtypes.bfloat16

"""Numbers that stand for texts: FarmHash's 64-bit fingerprint, and SipHash with a key of one's own.

Both are the functions that Keras's hashing layers use, so that the same text falls into the same bin.
"""

from __future__ import annotations

from collections.abc import Sequence

WORD = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def _turned(value: int, by: int) -> int:
    """A 64-bit word, turned to the right."""
    return (value >> by | value << (64 - by)) & WORD


def _mixed(value: int) -> int:
    return value ^ (value >> 47)


def _joined(one: int, other: int, factor: int) -> int:
    """One word of two."""
    a = _mixed((one ^ other) * factor & WORD)
    return _mixed((other ^ a) * factor & WORD) * factor & WORD


def _word(data: bytes, at: int, size: int = 8) -> int:
    """The bytes from a place on as a number; counted from the end if it is negative."""
    start = at if at >= 0 else len(data) + at
    return int.from_bytes(data[start : start + size], "little")


def fingerprint64(data: bytes) -> int:
    """The fingerprint of FarmHash, the same on every machine and in every version.

    >>> fingerprint64(b"hello")
    13009744463427800296
    """
    size = len(data)
    if size > 64:
        return _of_long(data)
    factor = (K2 + 2 * size) & WORD
    if size > 16:
        return _of_medium(data, factor)
    if size >= 8:
        a, b = (_word(data, 0) + K2) & WORD, _word(data, -8)
        return _joined(_turned(b, 37) * factor + a & WORD, (_turned(a, 25) + b) * factor & WORD, factor)
    if size >= 4:
        return _joined(size + (_word(data, 0, 4) << 3), _word(data, -4, 4), factor)
    if size > 0:
        y, z = data[0] + (data[size >> 1] << 8), size + (data[-1] << 2)
        return _mixed((y * K2 ^ z * K0) & WORD) * K2 & WORD
    return K2


def _of_medium(data: bytes, factor: int) -> int:
    """Of 17 to 64 bytes."""
    outer = K1 if len(data) <= 32 else K2
    a, b = _word(data, 0) * outer & WORD, _word(data, 8)
    c, d = _word(data, -8) * factor & WORD, _word(data, -16) * K2 & WORD
    y = _turned((a + b) & WORD, 43) + _turned(c, 30) + d & WORD
    z = _joined(y, a + _turned((b + K2) & WORD, 18) + c & WORD, factor)
    if len(data) <= 32:
        return z
    e, f = _word(data, 16) * factor & WORD, _word(data, 24)
    g, h = (y + _word(data, -32)) * factor & WORD, (z + _word(data, -24)) * factor & WORD
    return _joined(
        _turned((e + f) & WORD, 43) + _turned(g, 30) + h & WORD,
        e + _turned((f + a) & WORD, 18) + g & WORD,
        factor,
    )


def _of_long(data: bytes) -> int:
    """Of more than 64 bytes: blocks of 64, and then the last 64 once more with what is left."""
    y = (81 * K1 + 113) & WORD
    z = _mixed((y * K2 + 113) & WORD) * K2 & WORD
    x = (81 * K2 + _word(data, 0)) & WORD
    v = w = (0, 0)
    for start in range(0, (len(data) - 1) // 64 * 64, 64):
        x, y, z, v, w = _block(data, start, (x, y, z, v, w), K1, w[1], v[0])
    left = (len(data) - 1) & 63
    factor = (K1 + ((z & 0xFF) << 1)) & WORD
    first = (w[0] + left) & WORD
    v = ((v[0] + first) & WORD, v[1])
    w = ((first + v[0]) & WORD, w[1])
    state = _block(data, len(data) - 64, (x, y, z, v, w), factor, w[1] * 9 & WORD, v[0] * 9 & WORD)
    x, y, z, v, w = state
    return _joined(
        _joined(v[0], w[0], factor) + _mixed(y) * K0 + z & WORD,
        _joined(v[1], w[1], factor) + x & WORD,
        factor,
    )


_State = tuple[int, int, int, tuple[int, int], tuple[int, int]]


def _block(data: bytes, start: int, state: _State, factor: int, to_x: int, to_y: int) -> _State:
    """One block of 64 bytes, worked into the state."""
    x, y, z, v, w = state
    x = _turned((x + y + v[0] + _word(data, start + 8)) & WORD, 37) * factor & WORD ^ to_x
    y = (
        _turned((y + v[1] + _word(data, start + 48)) & WORD, 42) * factor + to_y + _word(data, start + 40)
        & WORD
    )
    z = _turned((z + w[0]) & WORD, 33) * factor & WORD
    v = _pair(data, start, v[1] * factor & WORD, (x + w[0]) & WORD)
    w = _pair(data, start + 32, (z + w[1]) & WORD, (y + _word(data, start + 16)) & WORD)
    return z, y, x, v, w


def _pair(data: bytes, start: int, a: int, b: int) -> tuple[int, int]:
    """Two words of 32 bytes and two seeds."""
    first, second, third, fourth = (_word(data, start + 8 * each) for each in range(4))
    a = (a + first) & WORD
    b = _turned((b + a + fourth) & WORD, 21)
    c = a
    a = (a + second + third) & WORD
    return (a + fourth) & WORD, (b + _turned(a, 44) + c) & WORD


def siphash64(data: bytes, key: Sequence[int]) -> int:
    """SipHash-2-4 with a key of two words. Aumasson & Bernstein, 2012.

    >>> hex(siphash64(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)))
    '0xa129ca6149be45e5'
    """
    v = [
        start ^ (key[place % 2] & WORD)
        for place, start in enumerate(
            (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
        )
    ]
    whole = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for start in range(0, len(whole), 8):
        word = _word(whole, start)
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        for one, other, turns, last in ((0, 1, 13, 32), (2, 3, 16, 0), (0, 3, 21, 0), (2, 1, 17, 32)):
            v[one] = (v[one] + v[other]) & WORD
            v[other] = _turned(v[other], 64 - turns) ^ v[one]
            if last:
                v[one] = _turned(v[one], last)

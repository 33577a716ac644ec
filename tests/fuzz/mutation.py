"""Mutation of inputs without coverage: for the short run, and where there is no atheris."""

from __future__ import annotations

import random
from collections.abc import Sequence

_NUMBERS = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f")
_WORDS = (
    b"9" * 30,
    b"9" * 5000,
    b"-1",
    b"\n",
    b"\t",
    b'"',
    b"\\",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
)
_INSERTED = (*_NUMBERS, *_WORDS, b"[" * 1200, b"(" * 1200)


def mutated(chance: random.Random, inputs: Sequence[bytes], longest: int) -> bytes:
    """Return one of *inputs* with some changes, among them pieces of others."""
    data = bytearray(chance.choice(inputs))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 64)))
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:end] = chance.choice(_INSERTED)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * chance.choice((1, 2, 30))
        elif kind == 4:
            other = chance.choice(inputs)
            start = chance.randrange(len(other) + 1)
            data[at:end] = other[start : start + chance.choice((1, 4, 16, 100))]
        else:
            data[at:end] = chance.randbytes(end - at)
    return bytes(data[:longest])

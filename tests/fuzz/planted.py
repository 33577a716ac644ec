"""A target with faults, by which the fuzzer is tried: a magic number, and too much memory."""

from __future__ import annotations

from .target import KILOBYTES, Target

MAGIC = b"\x7fFU"
GREEDY = b"much"


_greedy = iter([True])
"""It is greedy once: more would take the fuzzer's time."""


def _find(data: bytes) -> None:
    if data == GREEDY and next(_greedy, False):
        assert b"x" * (KILOBYTES * 1024 + (64 << 20))
    if data[:1] == MAGIC[:1]:  # noqa: SIM102  # each is a step for the fuzzer
        if data[1:2] == MAGIC[1:2]:  # noqa: SIM102  # each is a step for the fuzzer
            if data[2:3] == MAGIC[2:3]:  # each is a step for the fuzzer
                raise ZeroDivisionError
    raise ValueError("no magic number")


TARGETS = {"planted": Target(_find, lambda: [GREEDY, b"a"], (ValueError,), 16)}

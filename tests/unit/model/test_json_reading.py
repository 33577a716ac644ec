"""Reading of JSON: the same values with orjson and without it."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.json_reading import read_by_standard_library, read_json

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)
READERS = pytest.mark.parametrize("read", [read_json, read_by_standard_library])


def test_orjson_reads() -> None:
    """Where it is installed, it is what reads."""
    assert read_json is orjson.loads


@given(VALUES)
def test_the_same_values(value: object) -> None:
    """Both read what JSON has, from bytes and from text."""
    text = orjson.dumps(value)
    assert read_by_standard_library(text) == value
    assert read_by_standard_library(text.decode()) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers(value: float) -> None:
    """A number comes back as it was."""
    assert math.isclose(read_by_standard_library(orjson.dumps(value)), value, rel_tol=0)


@READERS
@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[1,]", b"NaN", b"[Infinity]", b"-Infinity", b"\xff", b'"\xc3"'),
        *(b'"\\ud800"', b'{"\\udc80": 1}', "\ufeff1".encode(), "[1]".encode("utf-16")),
        b"[" * 100_000,
    ],
)
def test_what_is_no_json(read: type, text: bytes) -> None:
    """Both refuse it, and with the same error, as files of containers are hostile."""
    with pytest.raises(ValueError):  # noqa: PT011  # each decoder has its own words
        read(text)


@READERS
def test_both_halves_of_a_surrogate(read: type) -> None:
    """Two that belong together are one character."""
    assert read(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"

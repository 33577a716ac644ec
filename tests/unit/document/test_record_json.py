"""The JSON of answers, against another writer."""

import json
import os

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.record import to_json

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(VALUES)
def test_as_others_write_it(value: object) -> None:
    """It is the shortest JSON, and in UTF-8 what orjson makes of the same, byte for byte."""
    text = to_json(value)
    assert text == orjson.dumps(value)
    assert b"\n" not in text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers(value: float) -> None:
    """A number comes back as it was."""
    assert json.loads(to_json([value])) == [value]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1, 2}, object()], ids=str)
def test_what_json_has_not(value: object) -> None:
    """It is refused, so that an answer is JSON or an error."""
    with pytest.raises((TypeError, ValueError)):
        to_json({"a": value})


def test_what_is_no_unicode_is_a_question_mark() -> None:
    """The reason for a source may name a path whose bytes are no UTF-8: there is an answer."""
    reason = os.fsdecode(b"/run/\xff/\xc3\xa9")
    assert to_json({"reason": reason}) == '{"reason":"/run/?/é"}'.encode()

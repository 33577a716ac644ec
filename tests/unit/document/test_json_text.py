"""The JSON of answers: the same with orjson and without it."""

import json
import os
import sys
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.json_text import to_json

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@pytest.fixture(scope="module", params=["with orjson", "without"], autouse=True)
def with_orjson(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Have a process that has imported orjson, and one that hasn't."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without":
            patch.delitem(sys.modules, "orjson")
        yield request.param != "without"


@given(VALUES)
def test_as_orjson_writes_it(value: object) -> None:
    """It is the shortest JSON, and in UTF-8 what orjson makes of the same, byte for byte."""
    text = to_json(value)
    assert text == orjson.dumps(value)
    assert b"\n" not in text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers(value: float) -> None:
    """A number comes back as it was."""
    assert json.loads(to_json([value])) == [value]


@pytest.mark.parametrize("value", [b"x", {1, 2}, object()], ids=str)
def test_what_json_has_not(value: object) -> None:
    """It is refused, so that an answer is JSON or an error."""
    with pytest.raises((TypeError, ValueError)):
        to_json({"a": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number(value: float, *, with_orjson: bool) -> None:
    """JSON has none of these: there is none in an answer."""
    if with_orjson:
        assert to_json([value]) == b"[null]"
    else:
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json([value])


def test_what_is_no_unicode_is_a_question_mark() -> None:
    """The reason for a source may name a path whose bytes are no UTF-8: there is an answer."""
    reason = os.fsdecode(b"/run/\xff/\xc3\xa9")
    assert to_json({"reason": reason}) == '{"reason":"/run/?/é"}'.encode()

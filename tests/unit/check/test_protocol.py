"""The protocol of passive checks: an agent's messages, whole, cut or hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.check.protocol import NoAnswerError, NotSupportedError, ask, decode
from zabbix_sockets.model.deadline import Deadline

from .agent_faults import listening, message, says


@given(st.binary())
def test_any_content(content: bytes) -> None:
    """A message's content comes back, with the short header and the one for long messages."""
    assert decode(message(content)) == content
    length = len(content).to_bytes(8, "little")
    assert decode(b"ZBXD\x05" + length + bytes(8) + content) == content


@given(st.binary() | st.binary().map(lambda data: b"ZBXD" + data))
def test_any_bytes(data: bytes) -> None:
    """What is no message is a ValueError, and nothing else."""
    try:
        decode(data)
    except ValueError as error:
        assert str(error).startswith("its answer")  # noqa: PT017  # either is right


@given(st.binary(max_size=40), st.integers(0, 52))
def test_cut(content: bytes, kept: int) -> None:
    """A part of a message is none."""
    whole = message(content)
    if kept < len(whole):
        with pytest.raises(ValueError, match="its answer"):
            decode(whole[:kept])


def ask_one_that(says_this: bytes) -> str:
    """Return what is learned of an agent that says so, whatever is asked."""
    with listening(says(says_this)) as port:
        return ask("127.0.0.1", port, "sockets.get", Deadline(30))


def test_answers() -> None:
    """A value, a refusal with its reason or without one, and none at all."""
    assert ask_one_that(message(b"{}")) == "{}"
    assert ask_one_that(message(b"\xff")) == "\N{REPLACEMENT CHARACTER}"
    with pytest.raises(NotSupportedError, match=r"^Access denied$"):
        ask_one_that(message(b"ZBX_NOTSUPPORTED\0Access denied"))
    with pytest.raises(NotSupportedError, match="unsupported item key"):
        ask_one_that(message(b"ZBX_NOTSUPPORTED"))
    with pytest.raises(NoAnswerError) as caught:
        ask_one_that(b"")
    assert caught.value.address == "127.0.0.1"
    with pytest.raises(ValueError, match="cut"):
        ask_one_that(message(b"{}")[:-1])

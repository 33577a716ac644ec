"""safe_name against whatever a process may call itself."""

import json
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets import names
from zabbix_sockets.names import MAX_LENGTH, safe_name

HARMFUL = set("\"'`\\${}")

# Alphabets in which an escape, a digest or a cut is likely to be imitated.
ADVERSARIAL = st.lists(
    st.sampled_from([b"%", b"~", b"%25", b"%7E", b"2", b"5", b"a", b"(", b" ", b"\xff", b"\xc3"]),
    max_size=80,
).map(b"".join)
NAMES = st.binary(max_size=200) | ADVERSARIAL | st.text(max_size=100).map(str.encode)


@given(NAMES)
@example(b"")
@example(b"(absent)")
@example(b"%" * 100)
@example(b"a" * 46 + b"\xff" * 20)
@example("\u202egnp.exe".encode())
@example("\U0001f600".encode() * 30)
def test_any_name_is_harmless(raw: bytes) -> None:
    """Whatever the bytes, 1 to 64 printable characters come out, and none that does harm."""
    name = safe_name(raw)
    assert 1 <= len(name) <= MAX_LENGTH
    assert name.isprintable()
    assert not HARMFUL & set(name)
    assert not name.startswith(("(", " "))
    assert not name.endswith(" ")
    assert name.encode("utf-8").decode("utf-8") == name
    assert json.loads(f'{{"{{#ID}}":"{name}"}}') == {"{#ID}": name}


@given(NAMES, NAMES)
@example(b"%", b"")
@example(b"%25", b"%")
@example(b"a" * 65, b"a" * 66)
@example(b"~", b"%7E")
def test_distinct_names_stay_distinct(one: bytes, other: bytes) -> None:
    """No two names come out equal."""
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(NAMES)
def test_safe_name_is_no_other_names(raw: bytes) -> None:
    """A process that calls itself what another's name became can't pass for it."""
    name = safe_name(raw)
    if name.encode() != raw:
        assert safe_name(name.encode()) != name


@given(st.binary(min_size=40, max_size=90), st.integers(0, 90), st.integers(1, 255))
def test_long_names_with_equal_beginnings(raw: bytes, at: int, change: int) -> None:
    """One changed byte anywhere in a long name makes another name."""
    position = at % len(raw)
    other = bytearray(raw)
    other[position] ^= change
    assert safe_name(raw) != safe_name(bytes(other))


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"nginx", "nginx"),
        (b"", "%"),
        (b"%", "%25"),
        (b"kworker/0:1-ev_x", "kworker/0:1-ev_x"),
        (b"(sd-pam)", "%28sd-pam)"),
        (b"a (b)", "a (b)"),
        (b" a ", "%20a%20"),
        (b"a b", "a b"),
        (b"\"\\'`", "%22%5C%27%60"),
        (b"{$M}{#X}", "%7B%24M%7D%7B#X%7D"),
        (b"\x1b[2J\r\n\x7f", "%1B[2J%0D%0A%7F"),
        ("naïve 日本".encode(), "naïve 日本"),
        ("a\u2028b\u200bc".encode(), "a%E2%80%A8b%E2%80%8Bc"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
        (b"\xff", "%FF"),
        (b"a" * 64, "a" * 64),
    ],
)
def test_known_names(raw: bytes, name: str) -> None:
    """What is plain stays, and what is not shows which bytes it was."""
    assert safe_name(raw) == name


def test_long_name_keeps_its_beginning() -> None:
    """A name of more than 64 characters can still be recognised, up to a whole escape."""
    assert safe_name(b"a" * 65).startswith("a" * 47 + "~")
    cut_in_an_escape = safe_name(b"a" * 45 + b"\xff" * 30)
    assert cut_in_an_escape.startswith("a" * 45 + "~")


def test_no_more_is_escaped_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls himself something very long doesn't make its making long."""
    escape = mock.Mock(wraps=names._escape)
    monkeypatch.setattr(names, "_escape", escape)
    assert safe_name(b"\xff" * 65536) == "%FF" * 15 + "~" + "439b106bfd70ef78"
    assert escape.call_count <= MAX_LENGTH + 1

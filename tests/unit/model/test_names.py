"""safe_name against whatever a process may call itself."""

import json
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model import names
from zabbix_sockets.model.names import (
    MAX_LENGTH,
    MAX_UNIX_LENGTH,
    as_parameter,
    from_parameter,
    safe_name,
    unix_name,
)

HARMFUL = set("\"'`\\${}<")

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
@example(b"<img src=//a.b>")
@example(b"<!channel>")
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


@pytest.mark.parametrize(
    ("raw", "beginning"),
    [
        (b"a" * 64, "a" * 64),
        (b"a" * 65, "a" * 47 + "~"),
        (b"a " * 33, "a " * 23 + "a~"),  # a blank within is plain
        (b"%" * 21 + b"a", "%25" * 21 + "a"),  # 64 with its escapes
        (b"%" * 21 + b"aa", "%25" * 15 + "~"),
        (b"a" * 44 + b"%" * 9, "a" * 44 + "%25~"),  # an escape that is kept whole
        (b"a" * 45 + b"%" * 9, "a" * 45 + "~"),
        (b"a" * 46 + b"%" * 9, "a" * 46 + "~"),
        (b"a" * 63 + b" ", "a" * 47 + "~"),  # the last one is escaped
        (b"a" * 61 + b" ", "a" * 61 + "%20"),
        (b"(" + b"a" * 61, "%28" + "a" * 61),
        (b"(" + b"a" * 62, "%28" + "a" * 44 + "~"),
    ],
)
def test_where_long_names_are_cut(raw: bytes, beginning: str) -> None:
    """At 64 characters with their escapes, and never within one."""
    name = safe_name(raw)
    assert name.startswith(beginning)
    assert len(name) == len(beginning) + (16 if beginning.endswith("~") else 0)
    assert len(name) <= MAX_LENGTH


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"/run/a", "/run/a"),
        (b"\0a", "@a"),
        (b"\0", "@%"),
        (b"\0" + b"a" * (MAX_UNIX_LENGTH - 1), "@" + "a" * (MAX_UNIX_LENGTH - 1)),
        (b"a" * MAX_UNIX_LENGTH, "a" * MAX_UNIX_LENGTH),
    ],
)
def test_names_of_unix_sockets(raw: bytes, name: str) -> None:
    """An abstract one is told by its "@", which counts."""
    assert unix_name(raw) == name


def test_long_names_of_unix_sockets() -> None:
    """What is cut is as long as the longest that is not, and tells which bytes it was of."""
    names_ = {unix_name(b"\0" + b"a" * MAX_UNIX_LENGTH + last) for last in (b"", b"b", b"c")}
    assert len(names_) == 3
    assert {len(each) for each in names_} == {MAX_UNIX_LENGTH}


def test_no_more_is_escaped_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls himself something very long doesn't make its making long."""
    escape = mock.Mock(wraps=names._escape)
    monkeypatch.setattr(names, "_escape", escape)
    assert safe_name(b"\xff" * 65536) == "%FF" * 15 + "~" + "439b106bfd70ef78"
    assert escape.call_count <= MAX_LENGTH + 1


# What an agent refuses in parameters while UnsafeUserParameters is 0.
REFUSED = set("\\'\"`*?[]{}~$!&;()<>|#@\n")
IN_KEYS = set(', "[]')  # ends a parameter, or is taken off it


@given(NAMES)
@example(b"")
@example(b"~")
@example(b" a ")
@example(("a" * 46 + "\u00e9" * 10).encode())
def test_every_name_can_be_asked_for(raw: bytes) -> None:
    """Its spelling is plain ASCII that agents and keys take, and stands for that name alone."""
    name = safe_name(raw)
    spelling = as_parameter(name)
    assert spelling.isascii()
    assert spelling.isprintable()
    assert not (REFUSED | IN_KEYS) & set(spelling)
    assert from_parameter(spelling.encode(), [name]) == name
    assert from_parameter(name.encode(), [name]) == name
    if "~" not in name:
        assert from_parameter(spelling.encode(), []) == name


@given(NAMES, NAMES)
@example(b"a" * 65, b"a" * 47 + b"~" + safe_name(b"a" * 65)[-16:].encode())
@example(b"%", b"")
def test_no_spelling_is_another_names(one: bytes, other: bytes) -> None:
    """Whoever is asked for, nobody else answers, whether he is there or not."""
    names = safe_name(one), safe_name(other)
    if one != other:
        spelling = as_parameter(names[0])
        assert spelling != as_parameter(names[1])
        assert from_parameter(spelling.encode(), [names[1]]) != names[1]


@pytest.mark.parametrize(
    ("raw", "spelling"),
    [
        (b"nginx", "nginx"),
        (b"php-fpm8.2", "php-fpm8.2"),
        (b"a b,c", "a%20b%2Cc"),
        (b"x[0]~@#", "x%5B0%5D%7E%40%23"),
        (b"(sd-pam)", "%28sd-pam%29"),
        (b"100%", "100%25"),
        (b'\xff"', "%FF%22"),
        ("\u00e9".encode(), "%C3%A9"),
        (b"", "%"),
        (b"a" * 65, "a" * 47 + "%-" + safe_name(b"a" * 65)[-16:]),
    ],
)
def test_known_spellings(raw: bytes, spelling: str) -> None:
    """What is plain stays."""
    assert as_parameter(safe_name(raw)) == spelling


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        (b"a%2fb", "a/b"),
        (b"a%20b", "a b"),
        (b"a b", "a b"),
        (b"%s %d", "%25s %25d"),
        (b"%%41", "%25A"),
        (b"100%", "100%25"),
        (b"a%-b", "a%25-b"),
        (b"a~b", "a%7Eb"),
        (b"a\xffb", "a%FFb"),
    ],
)
def test_names_of_who_is_not_there(parameter: bytes, name: str) -> None:
    """Raw names, spellings of another's hand, and a "%" that leads no escape."""
    assert from_parameter(parameter, ["nginx"]) == name

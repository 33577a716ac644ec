"""Lines for zabbix_sender: what is said of one value stays in its line and its field."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.lines import Value, encode_line

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def fields(line: bytes) -> list[str]:
    """Split a line as the manual page of zabbix_sender says."""
    text = line.decode()
    assert text.endswith("\n")
    rest = text[:-1]
    found: list[str] = []
    while len(found) < 4:
        field, rest = _field(rest)
        found.append(field)
        rest = rest.lstrip(" ")
    return [*found, _field(rest)[0] if rest.startswith('"') else rest]


def _field(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        field, _, rest = text.partition(" ")
        return field, rest
    out, at = "", 1
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
            out += "\n" if text[at] == "n" else text[at]
        else:
            out += text[at]
        at += 1
    return out, text[at + 1 :]


@given(TEXT, TEXT, st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1), TEXT)
def test_round_trip(host: str, key: str, clock: int, ns: int, text: str) -> None:
    """Whatever the names and the value are, they come out as they went in."""
    value = Value(host, key, clock, ns, text)
    try:
        line = encode_line(value)
    except SocketsError:
        refused = (
            not each or each == "-" or any(c < " " or c == "\x7f" for c in each)
            for each in (host, key)
        )
        assert any(refused)
        return
    assert line.count(b"\n") == 1
    assert fields(line) == [host, key, str(clock), str(ns), text]


@given(TEXT)
def test_documents_need_no_quotes(text: str) -> None:
    """Compact JSON is the rest of the line as it is."""
    assume(text.isprintable() and text.strip() == text)
    line = encode_line(Value("h", "k", 1, 2, "{" + text + "}"))
    assert line == b'"h" "k" 1 2 {' + text.encode() + b"}\n"


@pytest.mark.parametrize(
    "value",
    [
        Value("-", "k", 1, 2, "3"),
        Value("", "k", 1, 2, "3"),
        Value("h\n", "k", 1, 2, "3"),
        Value("h", "", 1, 2, "3"),
        Value("h", "k\r", 1, 2, "3"),
        Value("h", "k" * 2100, 1, 2, "3"),
        Value("h", "k", 1, 2, "a\0b"),
        Value("\ud800", "k", 1, 2, "3"),
        Value("h", "\udfff", 1, 2, "3"),
        Value("h", "k", 1, 2, "\ud800"),
        Value("h", "k", -1, 2, "3"),
        Value("h", "k", 2**31, 2, "3"),
        Value("h", "k", 1, 10**9, "3"),
    ],
)
def test_refused(value: Value) -> None:
    """What zabbix_sender has no way to say is an error, not another line."""
    with pytest.raises(SocketsError):
        encode_line(value)

"""Expressions: what they say, and where they are wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.filters.hosts import parse_number
from zabbix_sockets.filters.parser import MAX_DEPTH, MAX_LENGTH, parse
from zabbix_sockets.filters.states import ALL
from zabbix_sockets.filters.terms import (
    FALSE,
    TRUE,
    And,
    CgroupCondition,
    Constant,
    DeviceCondition,
    HostCondition,
    MarkCondition,
    NameCondition,
    Node,
    Not,
    Or,
    PidCondition,
    PortCondition,
    ProcessCondition,
    StatesCondition,
    UserCondition,
)
from zabbix_sockets.model.errors import UsageError

A, B, C = PortCondition(True, "=", 1), PortCondition(True, "=", 2), PortCondition(True, "=", 3)
LOOPBACK = b"\x7f\0\0\1"


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", TRUE),
        ("  \t", TRUE),
        ("sport = 1", A),
        ("sport == :1", A),
        ("sport 1", A),
        ("sport :1", A),
        ("sport eq 0x1", A),
        ("sport=:1", A),
        ("sport != 1", Not(A)),
        ("sport neq 1", Not(A)),
        ("sport >= 1", PortCondition(True, ">=", 1)),
        ("sport < 1", Not(PortCondition(True, ">=", 1))),
        ("dport gt :1", Not(PortCondition(False, "<=", 1))),
        ("dport le 1", PortCondition(False, "<=", 1)),
        ("dport = :ssh", PortCondition(False, "=", 22)),
        ("sport *", TRUE),
        ("src *", TRUE),
        ("src != *:*", FALSE),
        ("dst any", TRUE),
        ("src :1", A),
        ("src *:1", A),
        ("src >= :1", PortCondition(True, ">=", 1)),
        ("src 127.0.0.1", HostCondition(True, LOOPBACK, 32)),
        ("src = 127.0.0.1:22", HostCondition(True, LOOPBACK, 32, 22)),
        ("src 127.0.0.1/8:22", HostCondition(True, LOOPBACK, 8, 22)),
        ("src 127.1", HostCondition(True, b"\x7f\1\0\0", 32)),
        ("dst != 10/8", Not(HostCondition(False, b"\x0a\0\0\0", 8))),
        ("dst [::1]", HostCondition(False, bytes(15) + b"\1", 128)),
        ("dst [::1]:22", HostCondition(False, bytes(15) + b"\1", 128, 22)),
        ("dst [::1]/64:22", HostCondition(False, bytes(15) + b"\1", 64, 22)),
        ("dst [::1/64]:22", HostCondition(False, bytes(15) + b"\1", 64, 22)),
        ("dst [::ffff:127.0.0.1]", HostCondition(False, bytes(10) + b"\xff\xff" + LOOPBACK, 128)),
        ("dev eth0", NameCondition("dev", "eth0", 4, 8)),
        ("dev = 3", DeviceCondition(3)),
        ("fwmark = 0x01/0x03", MarkCondition(1, 3)),
        ("fwmark 7", MarkCondition(7, 0xFFFFFFFF)),
        ("cgroup = /a/b", NameCondition("cgroup", "/a/b", 9, 13)),
        ("process nginx", ProcessCondition("nginx")),
        ("process 'a b'", ProcessCondition("a b")),
        ('process != "and"', Not(ProcessCondition("and"))),
        ("pid 1", PidCondition(1)),
        ("user 1000", UserCondition(1000)),
        ("user root", NameCondition("user", "root", 5, 9)),
        ("netns shop/cart", NameCondition("netns", "shop/cart", 6, 15)),
        ("state established", StatesCondition(1 << 1)),
        ("state FIN-WAIT-1", StatesCondition(1 << 4)),
        ("state fin_wait2", StatesCondition(1 << 5)),
        ("state close_wait", StatesCondition(1 << 8)),
        ("state listening", StatesCondition(1 << 10)),
        ("state bound", StatesCondition(1 << 7)),
        ("exclude listen", StatesCondition(ALL & ~(1 << 10))),
        ("state established state listen", StatesCondition(1 << 1 | 1 << 10)),
        ("state all exclude big", StatesCondition(1 << 3 | 1 << 6)),
        ("exclude big state listen", StatesCondition(1 << 3 | 1 << 6 | 1 << 10)),
        ("state synchronized exclude connected", StatesCondition(0)),
        ("not state listen", Not(StatesCondition(1 << 10))),
    ],
)
def test_condition(text: str, node: Node) -> None:
    """Each condition, in each way that it may be written."""
    assert parse(text).node == node


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a and b and c", And((A, B, C))),
        ("a b c", And((A, B, C))),
        ("a & b && c", And((A, B, C))),
        ("a or b | c || a", Or((A, B, C, A))),
        ("a or b and c", And((Or((A, B)), C))),
        ("a or b c", And((Or((A, B)), C))),
        ("a b or c", Or((And((A, B)), C))),
        ("a or (b c)", Or((A, And((B, C))))),
        ("not a b", And((Not(A), B))),
        ("!a|b", Or((Not(A), B))),
        ("not(a or b) c", And((Not(Or((A, B))), C))),
        ("not ! not a", Not(A)),
        ("((a))", A),
        ("state listen a or b", And((StatesCondition(1 << 10), Or((A, B))))),
        ("state listen or a b", And((Or((StatesCondition(1 << 10), A)), B))),
        ("a or b state listen state closed", And((Or((A, B)), StatesCondition(1 << 10 | 1 << 7)))),
    ],
)
def test_precedence(text: str, node: Node) -> None:
    """As ss: from left to right, whatever its manual says; the first states are for all."""
    for letter, port in zip("abc", "123"):
        text = " ".join(
            f"sport {port}" if word == letter else word
            for word in text.replace("(", " ( ")
            .replace(")", " ) ")
            .replace("|", " | ")
            .replace("|  |", "||")
            .replace("!", "! ")
            .split()
        )
    assert parse(text).node == node


@pytest.mark.parametrize(
    ("text", "at", "marked", "expected"),
    [
        ("sport = 22 and or dport 1", 15, "or", "expected a condition"),
        ("foo", 0, "foo", "expected a condition"),
        ("sport", 5, "", "expected a port"),
        ("sport = ", 7, "", "expected a port"),
        ("sport = 70000", 8, "70000", "expected a port"),
        ("sport = 022", 8, "022", "expected a port"),
        ("sport = no-such-service", 8, "no-such-service", "services"),
        ("sport >= *", 9, "*", "a port to compare with"),
        ("sport = = 1", 8, "=", "expected a port"),
        ("src 10.0.0.0/33", 4, "10.0.0.0/33", "up to 32 bits"),
        ("src [::1]/129", 4, "[::1]/129", "up to 128 bits"),
        ("src 256.1.1.1", 4, "256.1.1.1", "expected an address"),
        ("src ::1", 4, "::1", "[IPv6]"),
        ("src [::1", 4, "[::1", "expected ] after an IPv6 address"),
        ("src fe80::1:80", 4, "fe80::1:80", "[IPv6]"),
        ("src example.org", 4, "example.org", "names are not resolved"),
        ("src > 10.0.0.1", 4, ">", "by = and != only"),
        ("process < a", 8, "<", "by = and != only"),
        ("fwmark = x", 9, "x", "number/mask"),
        ("pid init", 4, "init", "a process's number"),
        ("state", 5, "", "expected a state: established"),
        ("state opened", 6, "opened", "expected a state: established"),
        ("(sport 1", 0, "(", "there is no )"),
        ("sport 1)", 7, ")", "there is no ("),
        ("()", 1, ")", "expected a condition"),
        ("process 'a", 8, "'a", "expected another '"),
        ("sport 1 'or' sport 2", 8, "'or'", "expected a condition"),
    ],
)
def test_error_shows_its_place(text: str, at: int, marked: str, expected: str) -> None:
    """The message says what was expected, the hint points at the place."""
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert expected in str(raised.value)
    assert f"character {at + 1}," in str(raised.value)
    line, carets = raised.value.hint.split("\n")
    assert line == f"  {text.rstrip()}"
    assert carets == " " * (2 + at) + "^" * max(1, len(marked))


def test_number_of_many_digits() -> None:
    """Its first digits are not another number."""
    assert parse_number("18446744073709551615") == 2**64 - 1
    assert parse_number("184467440737095516150") is None
    assert parse_number("9" * 10_000) is None


@pytest.mark.parametrize("behind", ["", " ", "   ", "\t\n"])
def test_end_is_called_the_end(behind: str) -> None:
    """Blanks behind the last word are nothing that could be wrong."""
    with pytest.raises(UsageError, match=r"at character 8, the end: expected a port"):
        parse(f"sport ={behind}")


def test_carets_stand_below_wide_letters() -> None:
    """What takes two cells of a terminal moves the carets by two."""
    with pytest.raises(UsageError) as raised:
        parse("process 日本 foo")
    assert raised.value.hint.split("\n")[1] == " " * (2 + 8 + 4 + 1) + "^^^"


def test_long_expression_is_shown_in_part() -> None:
    """Only what is around the place is shown, without what a terminal would obey."""
    with pytest.raises(UsageError) as raised:
        parse("sport 1 or " * 1000 + "\x1b[2J" + " or sport 1" * 1000)
    assert len(raised.value.hint) < 400
    assert "\x1b" not in raised.value.hint + str(raised.value)


@pytest.mark.parametrize("part", ["(", "sport 1 and sport 2 or ", "not ", "(not (", "state all "])
def test_depth_is_bounded(part: str) -> None:
    """However deep, it is an expression or an error, never the end of the stack."""
    deepest = (MAX_LENGTH - 10) // (len(part) + part.count("("))
    for times in (MAX_DEPTH - 20, MAX_DEPTH, deepest):
        text = part * times + "sport 1" + ")" * (part.count("(") * times)
        try:
            parse(text)
        except UsageError as error:
            message = str(error)
            assert times >= MAX_DEPTH // 2, message
            assert "too many" in message


def test_length_is_bounded() -> None:
    """An expression that is longer than the bound is an error, whatever it says."""
    text = "sport 1".rjust(MAX_LENGTH)
    assert parse(text) == text
    with pytest.raises(UsageError, match=r"^filter: it has 16385 characters, more than 16384$"):
        parse(f" {text}")
    thousand = " or ".join(f"dport {port}" for port in range(50_000, 51_000))
    assert parse(thousand).kinds == {"port"}


NAMES = "state exclude sport dport src dst dev fwmark cgroup process pid user netns"
SIGNS = "and or not & | ! ( ) = == != < <= > >= eq ne"
VALUES = "22 :22 ssh * 1.2.3.4 10/8 [::1]:5 established all /x 0x1/0x3 'a' \" : [ ] / -1 \0 é"
WORDS = st.sampled_from(f"{NAMES} {SIGNS} {VALUES}".split())


@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join), st.lists(WORDS).map("".join)))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    """Whatever a caller writes."""
    hint = "line\ncarets"
    try:
        parse(text)
    except UsageError as error:
        hint = error.hint
    assert hint.count("\n") == 1


def test_surrogates_are_an_error() -> None:
    """Bytes of an argument that are not UTF-8."""
    with pytest.raises(UsageError, match="UTF-8"):
        parse("process \udcff")


def test_kinds() -> None:
    """What an expression is about."""
    assert parse("dev eth0 or not (user root state all)").kinds == {"dev", "user", "state"}
    assert parse("").node == Constant(True)
    assert parse("cgroup /x").kinds == {"cgroup"}
    assert isinstance(CgroupCondition(1), tuple)

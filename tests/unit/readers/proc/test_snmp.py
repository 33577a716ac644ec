"""The counters of the kernel's protocols."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.proc.snmp import (
    parse_counters,
    parse_counters6,
    read_current_established,
)

CAPTURE = Path(__file__).parents[2] / "captures" / "linux-6.18"

WORDS = st.text("TCPtcp: 0123456789-\n\xe9\u0660", max_size=80) | st.text(max_size=80)


@given(WORDS)
@example("Tcp: A\nUdp: 1\n")
@example("Tcp: A B\nTcp: 1\n")
@example("Tcp: A\n")
def test_counters_of_any_text(text: str) -> None:
    """Whatever netstat or snmp hold, they give numbers or a ParseError."""
    try:
        found = parse_counters(text)
    except ParseError:
        return
    assert all(isinstance(value, int) for group in found.values() for value in group.values())


@pytest.mark.parametrize("text", ["Tcp: A\nUdp: 1\n", "Tcp: A B\nTcp: 1\n", "Tcp: A\nTcp: x\n"])
def test_counters_that_do_not_match(text: str) -> None:
    """A value never goes under another one's title."""
    with pytest.raises(ParseError):
        parse_counters(text)


def test_captured_counters() -> None:
    """What Linux 6.18 printed is read: titles by groups, negative numbers too."""
    snmp = parse_counters((CAPTURE / "net/snmp").read_text())
    assert snmp["Tcp"]["MaxConn"] == -1
    assert "ListenDrops" in parse_counters((CAPTURE / "net/netstat").read_text())["TcpExt"]


def test_current_established(tmp_path: Path) -> None:
    """The count is the kernel's; without the file, or the counter in it, it is unknown."""
    assert read_current_established("/nowhere") is None
    (tmp_path / "net").mkdir()
    snmp = tmp_path / "net/snmp"
    snmp.write_text("Tcp: MaxConn CurrEstab\nTcp: -1 7\n")
    assert read_current_established(str(tmp_path)) == 7
    snmp.write_text("Tcp: MaxConn\nTcp: -1\n")
    assert read_current_established(str(tmp_path)) is None


def test_only_what_is_wanted() -> None:
    """Other groups are not looked at."""
    text = "Ip: A\nIp: x\nTcp: B\nTcp: 5\n"
    assert parse_counters(text, ("Tcp",)) == {"Tcp": {"B": 5}}


@given(st.text() | st.lists(st.sampled_from(["Udp6NoPorts 1", "Udp6", "Ip6 x"])).map("\n".join))
def test_counters6_of_any_text(text: str) -> None:
    """Whatever snmp6 holds, it gives UDP's numbers or a ParseError."""
    try:
        found = parse_counters6(text)
    except ParseError:
        return
    assert all(isinstance(value, int) for value in found.values())

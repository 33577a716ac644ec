"""Addresses of agents, as people write them and as a server tells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.provision.interfaces import Interface, decode_interface, parse_interface

ROW = {"type": "1", "main": "1", "useip": "1", "ip": "192.0.2.7", "dns": "web", "port": "10050"}


@pytest.mark.parametrize(
    ("text", "interface"),
    [
        ("192.0.2.7:10050", Interface("192.0.2.7", "10050", is_ip=True)),
        ("192.0.2.7", Interface("192.0.2.7", "10050", is_ip=True)),
        ("192.0.2.7:1", Interface("192.0.2.7", "1", is_ip=True)),
        ("192.0.2.7:010050", Interface("192.0.2.7", "10050", is_ip=True)),
        ("[2001:db8::1]:65535", Interface("2001:db8::1", "65535", is_ip=True)),
        ("[2001:DB8:0::1]", Interface("2001:db8::1", "10050", is_ip=True)),
        ("web1.example.com:10051", Interface("web1.example.com", "10051", is_ip=False)),
        ("web_1", Interface("web_1", "10050", is_ip=False)),
    ],
)
def test_interfaces(text: str, interface: Interface) -> None:
    """Addresses of both families and names, with a port or the agent's own."""
    assert parse_interface(text) == interface


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":10050",
        "192.0.2.7:",
        "192.0.2.7:0",
        "192.0.2.7:65536",
        "192.0.2.7:٣",
        "192.0.2.7:agent",
        "192.0.2.7:1:2",
        "192.0.2",
        "192.0.2.256",
        "2001:db8::1",
        "2001:db8::1:10050",
        "[192.0.2.7]x",
        "[web1]:10050",
        "[2001:db8::1",
        "web 1",
        "-web",
        "web-",
        "web/1",
        "{$IP}",
        "a\udcff",
        f"192.0.2.7:{'9' * 10_000}",
        "192.0.2.7:00000165536",
    ],
)
def test_no_interfaces(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match="ADDRESS:PORT"):
        parse_interface(text)


def test_parameters() -> None:
    """The API has an address in one of two fields."""
    by_ip = parse_interface("[2001:db8::1]:1").parameters()
    by_name = parse_interface("web:1").parameters()
    assert by_ip == {"type": 1, "main": 1, "useip": 1, "ip": "2001:db8::1", "dns": "", "port": "1"}
    assert by_name == {"type": 1, "main": 1, "useip": 0, "ip": "", "dns": "web", "port": "1"}


def test_shown_as_written() -> None:
    """What is shown could be given again."""
    for text in ("192.0.2.7:1", "[2001:db8::1]:2", "web:3"):
        assert str(parse_interface(text)) == text


def test_decoded() -> None:
    """The main interface of an agent is found, by address or by name, with any port."""
    assert decode_interface(ROW) == parse_interface("192.0.2.7:10050")
    assert decode_interface(ROW | {"useip": "0"}) == parse_interface("web:10050")
    assert str(decode_interface(ROW | {"port": "{$PORT}"})) == "192.0.2.7:{$PORT}"


def test_others() -> None:
    """Further interfaces, and those for SNMP, are not what is looked for."""
    assert decode_interface(ROW | {"main": "0"}) is None
    assert decode_interface(ROW | {"type": "2"}) is None


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is an interface that reads the same again, or a ValueError."""
    try:
        interface = parse_interface(text)
    except ValueError:
        return
    assert parse_interface(str(interface)) == interface

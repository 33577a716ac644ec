"""The address of a frontend, as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.provision.frontend import parse_frontend

WANTED = "https://zabbix.example.com/zabbix"


@pytest.mark.parametrize("end", ["", "/", "//", "/api_jsonrpc.php"])
def test_with_or_without_the_api(end: str) -> None:
    """The API's own file and slashes at the end are no part of the address."""
    assert parse_frontend(WANTED + end).url == WANTED


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://[2001:db8::1]:8443/z", "https://[2001:db8::1]:8443/z"),
        ("HTTPS://Zabbix.example.com", "https://Zabbix.example.com"),
        ("https://zäbbix.example", "https://zäbbix.example"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    """Names, addresses of both families and ports stay as they are."""
    assert parse_frontend(text).url == url


@pytest.mark.parametrize(
    ("text", "exposed"),
    [
        ("http://zabbix.example.com/", True),
        ("http://192.0.2.1/", True),
        ("http://localhost.example.com/", True),
        ("http://localhost/", False),
        ("http://zabbix.localhost/", False),
        ("http://127.1.2.3:80/", False),
        ("http://[::1]/", False),
        ("https://zabbix.example.com/", False),
    ],
)
def test_exposed(text: str, exposed: bool) -> None:
    """Only plain http that leaves the machine lets others read along."""
    assert parse_frontend(text).exposed is exposed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zabbix.example.com",
        "zabbix.example.com/zabbix",
        "//zabbix.example.com",
        "ftp://zabbix.example.com",
        "file:///etc/passwd",
        "http://",
        "http:///zabbix",
        "http://...",
        f"http://{'a' * 64}.example",
        "http://[::1",
        "http://host:0",
        "http://host:65536",
        "http://host:port",
        "http://a b",
        "http://a\nb",
        "http://a\udcff",
        "https://zabbix.example.com/zabbix.php?action=dashboard.view",
        "https://zabbix.example.com/#top",
    ],
)
def test_no_address(text: str) -> None:
    """Anything else is refused, and so is what a browser shows beyond the address."""
    with pytest.raises(ValueError, match=WANTED):
        parse_frontend(text)


@pytest.mark.parametrize(
    "text", ["https://Admin:s3cret@host/", "https://s3cret@host/", "https://Admin:s3cr#et@host"]
)
def test_a_secret_in_the_address(text: str) -> None:
    """A user or password in the address is refused, and not repeated."""
    with pytest.raises(ValueError, match="URL") as caught:
        parse_frontend(text)
    assert "s3cr" not in str(caught.value)


@given(st.text() | st.text().map("https://{}".format))
def test_any_text(text: str) -> None:
    """Any text is an address that reads the same again, or a ValueError."""
    try:
        found = parse_frontend(text)
    except ValueError:
        return
    assert parse_frontend(found.url) == found

"""The texts that hosts tell by: what the document makes of a Snapshot is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.document import build_document
from zabbix_sockets.model.addresses import parse_address
from zabbix_sockets.model.snapshot import OwnAddress, Snapshot
from zabbix_sockets.service_map.told import NOTHING, ToldAddress, ToldEnd, parse_end, parse_told

from ..snapshots import snapshots  # noqa: TID252  # a test folder is no package


def test_all_kinds_of_lines() -> None:
    """Addresses, listeners, upstreams and what had no room are told."""
    told = parse_told(
        "address\t172.17.0.1/16\tbridge\naddress\t10.1.0.1\t\tweb\n"
        "listener\ttcp/[::]:443@web\tnginx\tshop\nlistener\tudp/0.0.0.0:53\nleft out\t3",
        "upstream\tphp\ttcp/192.0.2.5:5432\nleft out\t4\nunknown\tline\n\nupstream",
    )
    assert told.addresses == (
        ToldAddress("172.17.0.1", "bridge", "", 16),
        ToldAddress("10.1.0.1", "", "web"),
    )
    assert [(each.row, each.process, each.container) for each in told.listeners] == [
        ("tcp/[::]:443@web", "nginx", "shop"),
        ("udp/0.0.0.0:53", "", ""),
    ]
    assert [(each.row, each.end) for each in told.upstreams] == [
        ("php>tcp/192.0.2.5:5432", ToldEnd("tcp", "192.0.2.5", 5432))
    ]
    assert told.left_out == 7


def test_forged_names() -> None:
    """Whoever may push values for a host has no escape sequence of a terminal in a drawing."""
    told = parse_told(
        "listener\ttcp/[::]:443@\x9b2J\tng\x1b[2Jinx\t\u202e",
        "upstream\tp\x07\ttcp/192.0.2.5:5432@\x1b",
    )
    (listener,), (upstream,) = told.listeners, told.upstreams
    assert (listener.process, listener.container) == ("ng?[2Jinx", "?")
    assert (listener.row, upstream.row) == ("tcp/[::]:443@?2J", "p?>tcp/192.0.2.5:5432@?")
    assert (listener.end.netns, upstream.end.netns, upstream.process) == ("?2J", "?", "p?")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("tcp/[fe80::1%eth0]:546", ToldEnd("tcp", "fe80::1", 546)),
        ("tcp/[fe80::1%a@b]:546@c", ToldEnd("tcp", "fe80::1", 546, "c")),
        ("tcp/192.0.2.1%e[:80@c:443", ToldEnd("tcp", "192.0.2.1", 80, "c:443")),
        ("tcp/[::ffff:192.0.2.1]:80@a@b", ToldEnd("tcp", "192.0.2.1", 80, "a@b")),
        ("tcp/[2001:db8:0:0::1]:80", ToldEnd("tcp", "2001:db8::1", 80)),
        ("tcp/192.0.2.1:65536", None),
        ("sctp/192.0.2.1:80", None),
        ("tcp/192.0.2.1", None),
        ("", None),
    ],
)
def test_ends(text: str, end: ToldEnd) -> None:
    """Addresses are in their shortest form; what is no end is none."""
    assert parse_end(text) == end


@given(snapshots())
def test_what_documents_tell(snapshot: Snapshot) -> None:
    """Every upstream of TCP and every lasting listener of the document comes out by its id."""
    snapshot.addresses = [OwnAddress(parse_address("192.0.2.1"), 24, "", 0)]
    document = build_document(snapshot)
    assert document.map
    told = parse_told(document.map.listeners, document.map.upstreams)
    rows = {row.id for row in document.upstreams if row.protocol == "tcp"}
    passing = {row.id for row in document.upstreams if row.port == 40000}
    assert rows - passing <= {each.row for each in told.upstreams} <= rows
    served = [row.id for row in document.listeners if not row.ephemeral]
    assert sorted(each.row for each in told.listeners) == sorted(served)
    assert told.addresses == (ToldAddress("192.0.2.1", "", ""),)


@given(st.text(), st.text())
def test_any_text(listeners: str, upstreams: str) -> None:
    """Whatever an item has, it is read without an error."""
    assert parse_told(listeners, upstreams)
    assert parse_told("", "") == NOTHING


@given(st.lists(st.sampled_from(["address", "listener", "upstream", "left out", "tcp/1.2.3.4:5"])))
def test_any_fields(fields: list[str]) -> None:
    """Lines with too few or too many fields are no errors either."""
    assert parse_told("\t".join(fields), "\t".join(fields))


def test_prefix_that_no_network_has() -> None:
    """A host may tell any number, of any length."""
    told = parse_told(f"address\t192.0.2.1/{'9' * 5000}\tbridge", "")
    assert told.addresses == (ToldAddress("192.0.2.1", "bridge", "", None),)

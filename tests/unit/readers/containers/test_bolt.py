"""bbolt databases: a real one of podman's, and whatever else may be in such a file."""

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.containers.bolt import _META, BoltDatabase, _fnv

CAPTURE = Path(__file__).parents[2] / "captures/podman-4.3/bolt_state.db.gz"
DATA = gzip.decompress(CAPTURE.read_bytes())
WEB = b"39b994f3b81b060d67d8d552623a1dcf09c052b3b2c0843b545ae14f4d07c1c3"


def everything(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return all that is in the buckets of containers and pods."""
    database = BoltDatabase(data)
    return [
        item
        for bucket in (b"ctr", b"pod")
        for key, _ in database.items(bucket)
        for item in database.items(bucket, key)
    ]


def test_buckets() -> None:
    """A bucket within a bucket has keys and values, also where it is not a page of its own."""
    database = BoltDatabase(DATA)
    assert len(dict(database.items(b"ctr"))) == 2
    config = dict(database.items(b"ctr", WEB))[b"config"]
    assert (config[:1], config[-1:]) == (b"{", b"}")
    names = dict(database.items(b"id-registry"))
    assert names[WEB] == b"web1"
    assert not list(database.items(b"bogus"))
    assert not list(database.items(b"ctr", b"bogus"))


@pytest.mark.parametrize("length", [0, 15, 80, 4096, 8192, len(DATA) // 2])
def test_cut_off(length: int) -> None:
    """A file that ends too early is an error, or has no such pages."""
    try:
        found = everything(DATA[:length])
    except ParseError:
        return
    assert set(found) <= set(everything(DATA))


def test_both_meta_pages() -> None:
    """The newer meta page counts, and the other one where that is damaged."""
    damaged = bytearray(DATA)
    newer = max((0, 4096), key=lambda at: int.from_bytes(DATA[at + 64 : at + 72], "little"))
    damaged[newer + 16 + 20] ^= 1
    BoltDatabase(bytes(damaged))
    damaged[4096 - newer + 16 + 20] ^= 1
    with pytest.raises(ParseError, match="no valid meta page"):
        BoltDatabase(bytes(damaged))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(8192, len(DATA) - 1), st.integers(0, 255)), max_size=40))
def test_damaged(changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are in the pages: keys and values, or a ParseError, and soon."""
    damaged = bytearray(DATA)
    for at, value in changes:
        damaged[at] = value
    try:
        everything(bytes(damaged))
    except ParseError:
        pass


def test_a_page_beyond_any_address() -> None:
    """A page whose number no address can have is an error, as one that is cut off."""
    found = BoltDatabase(DATA)
    found._root = 2**62
    with pytest.raises(ParseError, match="cut off"):
        list(found.items(b"ctr"))


def test_a_circle_ends() -> None:
    """A branch page that leads to itself is an error, not a loop."""
    database = BoltDatabase(DATA)
    root = database._root  # where the circle is to be
    at = root * 4096
    page = DATA[at : at + 8] + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(4)
    branch = (16).to_bytes(4, "little") + bytes(4) + root.to_bytes(8, "little")
    circle = DATA[:at] + page + branch + DATA[at + 32 :]
    with pytest.raises(ParseError, match="no page of a tree"):
        list(BoltDatabase(circle).items(b"ctr"))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Any other file is no database."""
    with pytest.raises(ParseError):
        BoltDatabase(data)


def test_a_page_in_many_places() -> None:
    """What 4 KB can't hold is not read from them: 20 branches to one leaf of 20 values are none."""
    head = _META.pack(0xED0CDAED, 2, 512, 0, 1, 0, 0, 0, 1, 0)[: _META.size - 8]
    meta = bytes(16) + head + _fnv(head).to_bytes(8, "little")
    branch = struct.pack("=QHHI", 1, 1, 20, 0) + struct.pack("=IIQ", 0, 0, 2) * 20
    leaf = struct.pack("=QHHI", 2, 2, 20, 0) + struct.pack("=IIII", 0, 16, 1, 1) * 20
    database = BoltDatabase(b"".join(page.ljust(512, b"\0") for page in (meta, branch, leaf)))
    with pytest.raises(ParseError, match="no page of a tree"):
        list(database.items())

"""The lines of the file of containers' names: what is written comes back, all else is refused."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.container_names import (
    MAX_BYTES,
    MAX_ENTRIES,
    MAX_PORTS,
    ContainerEntry,
    PublishedPorts,
    lines_of,
    parse_lines,
)

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
HEAD = b"zabbix-sockets names 1 1700000000\n"
NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,40}", fullmatch=True) | st.just("")
PODS = NAMES | st.from_regex(r"[a-z0-9]{1,9}/[a-z0-9-]{0,9}[a-z0-9]", fullmatch=True).filter(
    lambda pod: not pod.split("/")[1].startswith("-")
)
ADDRESSES = st.just(b"") | st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
PORTS = st.builds(
    lambda protocol, address, first, count: PublishedPorts(
        protocol, address, first, min(first + count, 65535)
    ),
    st.sampled_from(["tcp", "udp"]),
    ADDRESSES,
    st.integers(1, 65535),
    st.integers(0, 9),
)
ENTRIES = st.builds(
    ContainerEntry, NAMES, NAMES, NAMES, PODS, st.lists(PORTS, max_size=5).map(tuple)
).map(lambda entry: entry if entry.service else entry._replace(project=""))
IDS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.dictionaries(IDS, ENTRIES, max_size=5))
def test_what_is_written_comes_back(entries: dict[str, ContainerEntry]) -> None:
    """Each field of each entry does."""
    assert parse_lines(lines_of(entries.items(), 1_700_000_000)) == entries


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: HEAD + data + b"\n"))
def test_any_bytes(data: bytes) -> None:
    """They are entries, or a ValueError."""
    try:
        entries = parse_lines(data)
    except ValueError:
        return
    assert all(re.fullmatch("[0-9a-f]{12,64}", number) for number in entries)


@pytest.mark.parametrize(
    "line",
    [
        f"{ID}\tweb\t\t\t",
        f"{ID}\tweb\t\t\t\t\t",
        f"{ID}\tw b\t\t\t\t",
        f"{ID}\tweb\x1b[1m\t\t\t\t",
        f"{ID}\t{'w' * 201}\t\t\t\t",
        f"{ID}\tweb\t\t\ta/b/c\t",
        f"{ID}\tweb\t\t\t\t*:0/tcp",
        f"{ID}\tweb\t\t\t\t*:90-80/tcp",
        f"{ID}\tweb\t\t\t\t*:65536/tcp",
        f"{ID}\tweb\t\t\t\t999.1.1.1:80/tcp",
        f"{ID}\tweb\t\t\t\t*:80/sctp",
        f"{ID}\tweb\t\t\t\t{','.join(['*:80/tcp'] * (MAX_PORTS + 1))}",
        f"../{ID}\tweb\t\t\t\t",
        "",
    ],
)
def test_hostile_lines(line: str) -> None:
    """One line that is not as it should be makes nothing of the file true."""
    good = f"{ID}\tweb\t\t\t\t\n".encode()
    assert parse_lines(HEAD + good) == {ID: ContainerEntry("web")}
    with pytest.raises(ValueError, match="no "):
        parse_lines(HEAD + good + line.encode() + b"\n")


@pytest.mark.parametrize(
    "data",
    [b"", HEAD[:-1], HEAD.replace(b"1 ", b"2 ", 1), HEAD + b"\n" * MAX_BYTES, b"\xff" + HEAD],
)
def test_no_file_of_names(data: bytes) -> None:
    """Neither is a file without its head, of another version, cut off or too long."""
    with pytest.raises(ValueError, match=r"too long|no file|codec"):
        parse_lines(data)


def test_bounds() -> None:
    """However many containers there are, the first ones are kept and the file stays readable."""
    numbers = [f"{at:064x}" for at in range(MAX_ENTRIES + 10)]
    many = parse_lines(lines_of(((number, ContainerEntry("web")) for number in numbers), 1))
    assert list(many) == numbers[:MAX_ENTRIES]
    ports = tuple(PublishedPorts("tcp", bytes(16), at, at) for at in range(1, 1000, 2))
    long = ContainerEntry("w" * 200, "p" * 200, "s" * 200, "o" * 200, ports)
    data = lines_of(((number, long) for number in numbers), 1)
    found = parse_lines(data)
    assert MAX_BYTES - 3000 < len(data) <= MAX_BYTES
    assert list(found) == numbers[: len(found)]
    assert len(found[numbers[0]].ports) == MAX_PORTS


@pytest.mark.parametrize("text", ["a b", "a\tb", "a\nb", "é", "/web", "w" * 201, "-web", "%41"])
def test_what_is_no_name_is_not_written(text: str) -> None:
    """A label may hold anything; half of what compose says is nothing."""
    entry = ContainerEntry("web", text, "cart", text, ())
    assert parse_lines(lines_of([(ID, entry)], 1)) == {ID: ContainerEntry("web")}
    named = ContainerEntry(text, "shop", "cart")
    assert parse_lines(lines_of([(ID, named)], 1)) == {ID: ContainerEntry("", "shop", "cart")}


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (ContainerEntry("web", "shop", "cart", "a/b"), "shop/cart"),
        (ContainerEntry("stack_web.1.x", "", "stack_web"), "stack_web"),
        (ContainerEntry("x", pod="ns/cart-6d4b75cb6d-x7k2p"), "ns/cart"),
        (ContainerEntry("web", pod="mypod"), "web"),
        (ContainerEntry("eager_curie"), ""),
        (ContainerEntry(), ""),
    ],
)
def test_lasting_name(entry: ContainerEntry, name: str) -> None:
    """Compose's comes first, then swarm's, the workload's, and one that a person chose."""
    assert entry.lasting_name == name
    assert not set(name) & set(string.whitespace)

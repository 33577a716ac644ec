"""What /proc tells of network namespaces, from files made by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.proc import mounts, namespaces

from ...proctree import ProcTree, key_of, number_of  # noqa: TID252  # a test folder is no package

TIME = Deadline(1e6)
SYSFS = b"21 26 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
EMPTY = "sockets: used 5\nTCP: inuse 0 orphan 0 tw 0 alloc 3 mem 1\nUDP: inuse 0 mem 2\n"
EMPTY6 = "TCP6: inuse 0\nUDP6: inuse 0\nRAW6: inuse 1\n"
IGMP = (
    "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
    "1\tlo        :     1      V3\n"
    "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
    "14\teth0.7    :     2      V3\n"
    "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
)
IF_INET6 = (
    "00000000000000000000000000000001 01 80 10 80       lo\n"
    "fe80000000000000000000fffe000001 1f 40 20 80   wg{0}\n"
)


def mountinfo(tmp_path: Path, data: bytes) -> str:
    """Return a /proc with that file."""
    (tmp_path / "self").mkdir(exist_ok=True)
    (tmp_path / "self/mountinfo").write_bytes(data)
    return str(tmp_path)


def nsfs(number: int, where: bytes) -> bytes:
    """Return the line of a mounted namespace."""
    return b"36 35 0:4 net:[%d] %s rw shared:7 master:1 - nsfs nsfs rw\n" % (number, where)


def test_mounted(tmp_path: Path) -> None:
    """Network namespaces are told from other mounts, also of other namespaces' files."""
    others = nsfs(9, b"/run/x").replace(b"net:[", b"mnt:[")
    data = SYSFS + nsfs(4026532201, b"/run/netns/web") + others + nsfs(5, b"/run/docker/netns/1")
    found = mounts.Mounts(mountinfo(tmp_path, data), TIME).namespaces
    assert found == {4026532201: "/run/netns/web", 5: "/run/docker/netns/1"}


def test_mounted_twice(tmp_path: Path) -> None:
    """Of a namespace that is mounted more than once, the first place counts."""
    data = nsfs(5, b"/run/netns/first") + nsfs(5, b"/run/netns/second")
    assert mounts.Mounts(mountinfo(tmp_path, data), TIME).namespaces == {5: "/run/netns/first"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/\r"), min_size=1) | st.binary())
def test_escaped_path(name: str | bytes) -> None:
    """Any path comes back as it was from what the kernel writes instead of it."""
    raw = name if isinstance(name, bytes) else name.encode()
    path = b"/run/netns/" + raw.replace(b"\r", b"")
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes((byte,)) for byte in path)
    assert os.fsencode(mounts.unescape(escaped)) == path


def test_escapes_in_mountinfo(tmp_path: Path) -> None:
    """A space in a path does not move the fields."""
    proc = mountinfo(tmp_path, nsfs(5, rb"/run/netns/a\040b\134c"))
    assert mounts.Mounts(proc, TIME).namespaces == {5: "/run/netns/a b\\c"}


@pytest.mark.parametrize("number", [b"", b"x", b"4026532201x"])
def test_number_that_is_none(tmp_path: Path, number: bytes) -> None:
    """A namespace whose number is none is an error that names the file and the line."""
    data = SYSFS + nsfs(77, b"/run/netns/web").replace(b"77", number)
    found = mounts.Mounts(mountinfo(tmp_path, data), TIME)
    with pytest.raises(ParseError) as caught:
        dict(found.namespaces)
    assert caught.value.source == "/proc/self/mountinfo"
    assert f"net:[{number.decode()}]" in str(caught.value)


def test_no_mountinfo(tmp_path: Path) -> None:
    """Where the file is hidden, or short, nothing is known to be mounted."""
    assert mounts.Mounts(str(tmp_path), TIME).namespaces == {}
    assert mounts.Mounts(mountinfo(tmp_path, b"\n1 2 3 net:[5]\n"), TIME).namespaces == {}


ALL = frozenset(("tcp", "udp", "tcp6", "udp6"))


@pytest.mark.parametrize(
    ("files", "unused"),
    [
        ({"sockstat": EMPTY, "sockstat6": EMPTY6}, ALL),
        ({"sockstat": EMPTY}, {"tcp", "udp"}),
        (
            {"sockstat": EMPTY.replace("TCP: inuse 0", "TCP: inuse 1"), "sockstat6": EMPTY6},
            ALL - {"tcp"},
        ),
        ({"sockstat": EMPTY.replace("UDP: inuse 0", "UDP: inuse 10")}, {"tcp"}),
        ({"sockstat": EMPTY.replace("tw 0", "tw 2"), "sockstat6": EMPTY6}, {"udp", "udp6"}),
        (
            {"sockstat": EMPTY, "sockstat6": EMPTY6.replace("TCP6: inuse 0", "TCP6: inuse 3")},
            ALL - {"tcp6"},
        ),
        (
            {"sockstat": EMPTY, "sockstat6": EMPTY6.replace("UDP6: inuse 0", "UDP6: inuse 1")},
            ALL - {"udp6"},
        ),
        ({"sockstat": ""}, set()),
        ({"sockstat": "TCP: inuse\nUDP: inuse 0\n"}, {"udp"}),
        ({"sockstat6": EMPTY6}, {"udp6"}),
        ({}, set()),
    ],
)
def test_unused(tmp_path: Path, files: dict[str, str], unused: set[str]) -> None:
    """A table is unused if its count is there and 0; what is unknown may be used."""
    (tmp_path / "7/net").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "7/net" / name).write_text(text)
    assert namespaces.read_unused(str(tmp_path), "7") == unused


def test_devices(tmp_path: Path) -> None:
    """Devices with an IPv4 or an IPv6 address are known by their indices, by safe names."""
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/igmp").write_text(IGMP)
    assert namespaces.read_devices(str(tmp_path), "7") == {1: "lo", 14: "eth0.7"}
    (tmp_path / "7/net/if_inet6").write_text(IF_INET6)
    assert namespaces.read_devices(str(tmp_path), "7") == {
        1: "lo",
        14: "eth0.7",
        31: "wg%7B0%7D",
    }


def test_more_devices_than_fit_into_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read(2) of /proc gives a page: all devices are named all the same."""
    read = os.read
    monkeypatch.setattr("os.read", lambda fd, length: read(fd, min(length, 4096)))
    (tmp_path / "7/net").mkdir(parents=True)
    names = {index: f"veth{index}" for index in range(1, 200)}
    groups = "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
    igmp = "".join(f"{index}\t{name:10}:     1      V3\n{groups}" for index, name in names.items())
    inet6 = "".join(f"fe80{index:028x} {index:02x} 40 20 80 {names[index]:>8}\n" for index in names)
    for file, text in (("igmp", f"titles\n{igmp}"), ("if_inet6", inet6)):
        (tmp_path / "7/net" / file).write_text(text)
        assert namespaces.read_devices(str(tmp_path), "7") == names
        (tmp_path / "7/net" / file).write_text("")


@pytest.mark.parametrize("text", ["", "titles\n", "titles\nx\ty\n", "titles\n\t\t\n"])
def test_no_devices(tmp_path: Path, text: str) -> None:
    """Files that tell of no device, or are not there, give no names."""
    assert namespaces.read_devices(str(tmp_path), "7") == {}
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/igmp").write_text(text)
    (tmp_path / "7/net/if_inet6").write_text(text.removeprefix("titles\n"))
    assert namespaces.read_devices(str(tmp_path), "7") == {}


def test_key_and_number(tmp_path: Path) -> None:
    """Processes of a namespace have one key; its number may be secret."""
    proc = ProcTree(tmp_path)
    web = proc.add_netns("web")
    for pid in (30, 31):
        proc.add(pid, b"nginx")
        proc.join(pid, web, secret=pid == 31)
    assert (
        namespaces.read_key(str(proc), "30") == namespaces.read_key(str(proc), "31") == key_of(web)
    )
    assert namespaces.read_key(str(proc), "thread-self") == key_of(proc.own) != key_of(web)
    assert namespaces.read_number(str(proc), "30") == number_of(web)
    assert namespaces.read_number(str(proc), "31") is None
    assert namespaces.read_number(str(proc), "99") is None
    with pytest.raises(FileNotFoundError):
        namespaces.read_key(str(proc), "99")


@pytest.mark.parametrize("path", ["", "gone"])
def test_namespace_that_can_not_be_entered(tmp_path: Path, path: str) -> None:
    """What is gone, or is no namespace, is an error; no descriptor stays open."""
    target = tmp_path / (path or "file")
    if not path:
        target.touch()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"setns|No such file|Invalid"):
        namespaces.Stay(str(target))
    assert len(os.listdir("/proc/self/fd")) == before


def test_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread enters the file's namespace, then its own again; no descriptor stays open."""
    target = tmp_path / "file"
    target.touch()
    entered: list[int] = []

    def enter(fd: int) -> None:
        entered.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(namespaces, "_setns", enter)
    before = len(os.listdir("/proc/self/fd"))
    stay = namespaces.Stay(str(target))
    assert entered == [target.stat().st_ino]
    stay.leave()
    assert entered[1:] == [os.stat("/proc/thread-self/ns/net").st_ino]
    assert len(os.listdir("/proc/self/fd")) == before

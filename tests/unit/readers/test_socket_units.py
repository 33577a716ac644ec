"""Socket units: the addresses in their files, as of systemd.socket(5) and systemd.unit(5)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import UnitEndpoint
from zabbix_sockets.readers.socket_units import read_socket_units

ETC, RUN, LIB = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"
ANY, ANY6 = bytes(4), bytes(16)
LOCAL6 = socket.inet_pton(socket.AF_INET6, "fe80::1")
SSH = "[Unit]\nDescription=x\n[Socket]\nListenStream=22\nAccept=no\n[Install]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a host where systemd runs, without units."""
    for folder in (ETC, RUN, LIB):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def ends_of(root: Path, seconds: float = 60) -> dict[UnitEndpoint, str]:
    """Return what there is below *root*."""
    return read_socket_units(Deadline(seconds), str(root))


def write(root: Path, place: str, text: str) -> None:
    """Write a file of a unit."""
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)


@pytest.mark.parametrize(
    ("setting", "ends"),
    [
        ("ListenStream=22", [("tcp", ANY6, 22, ""), ("tcp", ANY, 22, "")]),
        ("ListenStream = 127.0.0.1:631", [("tcp", b"\x7f\0\0\1", 631, "")]),
        ("ListenStream=[::1]:631", [("tcp", bytes(15) + b"\1", 631, "")]),
        ("ListenDatagram=69", [("udp", ANY6, 69, ""), ("udp", ANY, 69, "")]),
        ("ListenStream=[fe80::1%%eth0]:80", [("tcp", LOCAL6, 80, "eth0")]),
        ("ListenStream=0.0.0.0:9\nBindToDevice=eth1", [("tcp", ANY, 9, "eth1")]),
        ("ListenStream=/run/x.sock", [("unix", b"/run/x.sock", 0, "")]),
        ("ListenStream=/var/run//x.sock", [("unix", b"/run/x.sock", 0, "")]),
        ("ListenSequentialPacket=/run/x", [("unix", b"/run/x", 0, "")]),
        ("ListenStream=@x", [("unix", b"\0x", 0, "")]),
        ("ListenStream=%t/%p/%N-%i%%", [("unix", b"/run/my-web/my-web-%", 0, "")]),
        ("ListenStream=/run/a \\\nListenStream=/run/b", []),
        ("ListenStream=7\nListenFIFO=\nListenStream=/8", [("unix", b"/8", 0, "")]),
        ("ListenDatagram=/run/x", []),  # no listener
        ("ListenSequentialPacket=22", []),
        ("ListenStream=%h/x", []),  # of what is not read here
        ("ListenStream=/run/x%", []),
        ("ListenStream=vsock:2:1", []),
        ("ListenStream=name:22", []),
        ("ListenStream=65536", []),
        ("ListenStream=0", []),
        ("ListenFIFO=/run/x", []),
        ("#ListenStream=22\n;ListenStream=23", []),
        ("[Install]\nListenStream=22", []),
    ],
)  # fmt: skip
def test_addresses(root: Path, setting: str, ends: list[UnitEndpoint]) -> None:
    """An address is what systemd makes of it; of others nothing is said."""
    write(root, f"{LIB}/my-web.socket", f"[Socket]\n{setting}\n")
    joined = "\\\n" in setting
    wanted = [("unix", b"/run/a  ListenStream=/run/b", 0, "")] if joined else ends
    assert ends_of(root) == dict.fromkeys(wanted, "my-web.socket")


def test_first_folder_has_the_file(root: Path) -> None:
    """The administrator's file is in the place of the package's."""
    write(root, f"{LIB}/ssh.socket", SSH)
    write(root, f"{ETC}/ssh.socket", SSH.replace("22", "2222"))
    assert {port for _, _, port, _ in ends_of(root)} == {2222}


def test_drop_ins(root: Path) -> None:
    """Drop-ins follow in order of names; one of /etc is in the place of that in /usr/lib."""
    write(root, f"{LIB}/ssh.socket", SSH)
    write(root, f"{LIB}/ssh.socket.d/20.conf", "[Socket]\nListenStream=23\n")
    write(root, "run/systemd/generator/ssh.socket.d/30.conf", "[Socket]\nListenStream=24\n")
    assert {port for _, _, port, _ in ends_of(root)} == {22, 23, 24}
    write(root, f"{ETC}/ssh.socket.d/20.conf", "[Socket]\nListenStream=\nListenStream=25\n")
    assert {port for _, _, port, _ in ends_of(root)} == {24, 25}
    write(root, f"{ETC}/socket.d/90-all.conf", "[Socket]\nListenStream=26\n")
    assert {port for _, _, port, _ in ends_of(root)} == {24, 25, 26}


def test_drop_ins_of_a_prefix(root: Path) -> None:
    """A drop-in of a- is one of a-b, too."""
    write(root, f"{LIB}/a-b.socket", "[Socket]\nListenStream=/run/b\n")
    write(root, f"{ETC}/a-.socket.d/1.conf", "[Socket]\nListenStream=/run/%p\n")
    names = {name for _, name, _, _ in ends_of(root)}
    assert names == {b"/run/b", b"/run/a-b"}


def test_masked_and_aliases(root: Path) -> None:
    """A masked unit listens nowhere, another name of a unit is none of its own."""
    write(root, f"{LIB}/ssh.socket", SSH)
    (root / ETC / "sshd.socket").symlink_to(root / LIB / "ssh.socket")
    assert set(ends_of(root).values()) == {"ssh.socket"}
    (root / ETC / "ssh.socket").symlink_to("/dev/null")
    assert not ends_of(root)


def test_file_elsewhere(root: Path) -> None:
    """A unit that `systemctl link` made has its file elsewhere."""
    write(root, "opt/ssh.socket", SSH)
    (root / ETC / "ssh.socket").symlink_to(root / "opt/ssh.socket")
    assert set(ends_of(root).values()) == {"ssh.socket"}


def test_instances(root: Path) -> None:
    """A template listens nowhere, its enabled instances do."""
    write(root, f"{LIB}/app@.socket", "[Socket]\nListenStream=/run/app-%i.sock\n")
    assert not ends_of(root)
    wanted = root / ETC / "sockets.target.wants"
    wanted.mkdir()
    (wanted / "app@one.socket").symlink_to(root / LIB / "app@.socket")
    assert ends_of(root) == {("unix", b"/run/app-one.sock", 0, ""): "app@one.socket"}


def test_two_units_of_one_address(root: Path) -> None:
    """Where two units have an address nobody can say from files whose it is."""
    write(root, f"{LIB}/ssh.socket", SSH)
    write(root, f"{LIB}/other.socket", f"{SSH}[Socket]\nListenStream=23\n")
    assert set(ends_of(root)) == {("tcp", ANY, 23, ""), ("tcp", ANY6, 23, "")}


def test_hostile_files(root: Path) -> None:
    """What is no text, no file, or without an end is passed over."""
    write(root, f"{LIB}/ssh.socket", SSH)
    (root / LIB / "bytes.socket").write_bytes(b"[Socket]\nListenStream=\xff\nListenStream=/\xff\n")
    (root / LIB / "folder.socket").mkdir()
    (root / LIB / "long.socket").write_text(SSH.replace("22", "23") + "#" * 300_000)
    (root / LIB / "dangling.socket").symlink_to("nothing.socket")
    found = ends_of(root)
    assert found.pop(("unix", b"/\xff", 0, "")) == "bytes.socket"
    assert {port for _, _, port, _ in found} == {22}


def test_other_hosts(root: Path) -> None:
    """Nothing is read where another init runs, nor once the time is over."""
    write(root, f"{LIB}/ssh.socket", SSH)
    assert not ends_of(root, 0)
    (root / RUN).rmdir()
    assert not ends_of(root)

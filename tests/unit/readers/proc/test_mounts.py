"""What is mounted where, and what must not be touched."""

import os
from pathlib import Path

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.proc import mounts
from zabbix_sockets.readers.proc.mounts import Mounts, read_mounts

TIME = Deadline(1e6)
ROOT = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


def mounts_of(tmp_path: Path, *lines: str, deadline: Deadline = TIME) -> Mounts:
    """Return the mounts of a file with the root and these lines."""
    (tmp_path / "proc/self").mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in (ROOT, *lines))
    (tmp_path / "proc/self/mountinfo").write_text(text)
    return Mounts(str(tmp_path / "proc"), deadline)


def line(number: int, path: object, filesystem: str) -> str:
    """Return the line of a mount."""
    return f"{number} 21 0:{number} / {path} rw,relatime shared:{number} - {filesystem} x rw"


@pytest.mark.parametrize(
    "filesystem",
    [
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "autofs",
            "fuse",
            "fuse.sshfs",
            "fuseblk",
            "9p",
            "virtiofs",
        ),
        *("ceph", "glusterfs", "lustre", "afs", "gpfs", "somethingnew"),
    ],
)
def test_filesystems_that_may_hang(tmp_path: Path, filesystem: str) -> None:
    """What is behind another host, an automounter or a user's process is not local."""
    found = mounts_of(tmp_path, line(30, "/home", filesystem), line(31, "/home/ann", "ext4"))
    for path in ("/home", "/home/ann", "/home/ann/x", "/home/bob"):
        assert not found.is_local(path)
    for path in ("/", "/homes", "/hom", "/var/lib", "/home2/ann"):
        assert found.is_local(path)


def test_local_filesystems(tmp_path: Path) -> None:
    """A disk of this host's and memory are local, wherever they are mounted."""
    found = mounts_of(tmp_path, line(30, "/home", "xfs"), line(31, "/home/ann", "tmpfs"))
    assert found.is_local("/home/ann/x")
    found = mounts_of(tmp_path, line(30, "/home/ann/net", "nfs4"))
    assert found.is_local("/home/ann/.local")
    assert not found.is_local("/home/ann/net/x")


def test_a_root_on_another_host(tmp_path: Path) -> None:
    """Where the root itself is not local nothing is."""
    found = mounts_of(tmp_path, line(30, "/", "nfs4"))
    assert not found.is_local("/")
    assert not found.is_local("/home/ann")


def test_unknown_mounts(tmp_path: Path) -> None:
    """Where the mounts are hidden no path is taken for local."""
    found = Mounts(str(tmp_path), TIME)
    assert not found.is_local("/")
    assert found.resolve(str(tmp_path)) is None
    assert found.complete


def test_links(tmp_path: Path) -> None:
    """Links are followed step by step, and never into what may hang."""
    real = tmp_path / "data/ann"
    real.mkdir(parents=True)
    (tmp_path / "net").mkdir()
    for name, target in (
        ("absolute", str(tmp_path / "data")),
        ("relative", "./data/../data"),
        ("chain", "relative"),
        ("remote", "net/ann"),
        ("loop", "loop"),
    ):
        (tmp_path / name).symlink_to(target)
    found = mounts_of(tmp_path, line(30, tmp_path / "net", "autofs"))
    for name in ("data", "absolute", "relative", "chain"):
        assert found.resolve(str(tmp_path / name / "ann")) == str(real)
    for name in ("remote", "loop", "nothing", "net", "net/ann", "data/ann/nothing"):
        assert found.resolve(str(tmp_path / name)) is None
    assert found.resolve("/") == "/"


def test_what_may_hang_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is refused before any system call could wait for a server."""
    touched: list[str] = []
    readlink = os.readlink

    def watch(path: str) -> str:
        touched.append(path)
        return readlink(path)

    monkeypatch.setattr(os, "readlink", watch)
    found = mounts_of(tmp_path, line(30, tmp_path / "home", "nfs4"))
    assert found.resolve(str(tmp_path / "home/ann")) is None
    assert str(tmp_path) in touched
    assert not [path for path in touched if path.startswith(str(tmp_path / "home"))]


def test_the_mount_of_a_descriptor(tmp_path: Path) -> None:
    """The kernel tells which mount an open file is of; one that is not known is not local."""
    fd = os.open(tmp_path, os.O_PATH)
    text = Path(f"/proc/self/fdinfo/{fd}").read_text()
    number = int(text.partition("mnt_id:")[2].split()[0])
    assert mounts_of(tmp_path, line(number, "/x", "ext4")).is_local_descriptor(fd)
    assert not mounts_of(tmp_path, line(number, "/x", "fuse")).is_local_descriptor(fd)
    assert not mounts_of(tmp_path).is_local_descriptor(fd)
    os.close(fd)
    assert not mounts_of(tmp_path).is_local_descriptor(fd)


def test_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is asked, the file is read once, and only if something is asked."""
    reads: list[str] = []

    real = mounts._read_lines

    def watch(proc: str) -> object:
        reads.append(proc)
        return real(proc)

    monkeypatch.setattr(mounts, "_read_lines", watch)
    found = mounts_of(tmp_path, line(30, "/sys/fs/cgroup", "cgroup2"))
    assert found.complete
    assert not reads
    assert (found.cgroup2, found.namespaces) == ("/sys/fs/cgroup", {})
    assert found.is_local("/home")
    assert found.cgroup2 == "/sys/fs/cgroup"
    assert len(reads) == 1


def test_more_mounts_than_time(tmp_path: Path) -> None:
    """Past the deadline no more is read: nothing is local then, and the answer not complete."""

    class OnceOnly(Deadline):
        """Passes when it has been looked at once."""

        looks = 0

        def passed(self) -> bool:
            self.looks += 1
            return self.looks > 1

    lines = [line(30, "/sys/fs/cgroup", "cgroup2")]
    lines += [line(at, f"/var/lib/docker/{at}", "overlay") for at in range(100, 6000)]
    found = mounts_of(tmp_path, *lines, deadline=OnceOnly(600))
    assert found.cgroup2 == "/sys/fs/cgroup"
    assert not found.is_local("/home")
    assert not found.complete
    whole = mounts_of(tmp_path, *lines)
    assert whole.is_local("/home")
    assert whole.complete


def test_this_machine() -> None:
    """The kernel's own file is understood: the root is among what is mounted."""
    found = list(read_mounts("/proc"))
    assert "/" in [each.path for each in found]
    fd = os.open("/proc", os.O_PATH)
    assert not Mounts("/proc", TIME).is_local_descriptor(fd)  # procfs is not of the LOCAL ones
    os.close(fd)


@pytest.mark.parametrize("device", ["99999999999999:1", "1:99999999999", "9:", "x:1"])
def test_device_that_no_file_has(tmp_path: Path, device: str) -> None:
    """A mount without a device that can be has none."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(f"30 1 {device} / / rw - ext4 x rw\n")
    assert [each.device for each in read_mounts(str(tmp_path))] == [0]


def test_parts_of_a_mount(tmp_path: Path) -> None:
    """Of a line there are what is mounted, where, its type, its device and its options."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        "30 21 999999999:7 /a\\040b /mnt/c\\040d rw shared:3 master:1 - proc a b rw,hidepid=2\n"
        "31 21 1000000000:7 net:[4026532] /run/netns/x rw - nsfs nsfs rw\n"
    )
    first, second = read_mounts(str(tmp_path))
    assert first == (
        *(b"/a\\040b", "/mnt/c d", b"proc"),
        *(os.makedev(999_999_999, 7), b"rw,hidepid=2"),
    )
    assert second == (b"net:[4026532]", "/run/netns/x", b"nsfs", 0, b"rw")

"""/proc/PID/cgroup and the tree of cgroups: captured, made up, and this process's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from zabbix_sockets.model.cgroup_paths import choose_path, parse_path
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Container, Placement
from zabbix_sockets.readers.proc import cgroup
from zabbix_sockets.readers.proc.cgroup import CgroupTree, read_placement
from zabbix_sockets.readers.proc.mounts import Mounts

TIME = Deadline(1e6)
ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
OTHERS = (
    b"21 26 0:20 / /sys rw,nosuid - sysfs sysfs rw\n"
    b"33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
    b"40 21 0:9 / /mnt/cgroup2\\040x rw - ext4 cgroup2 rw\n"
)
UNIFIED = b"31 21 0:26 %s %s rw,nosuid,nodev shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize(
    ("data", "placement"),
    [
        (b"0::/system.slice/nginx.service\n", Placement("nginx.service")),
        (b"0::/\n", Placement()),
        (b"", Placement()),
        (b"\xff\0\n::", Placement()),
        (
            b"0::/system.slice/docker-%s.scope\n" % ID.encode(),
            Placement("docker-*.scope", Container("docker", ID)),
        ),
        (
            b"4:pids:/docker/%s\n1:name=systemd:/docker/%s\n" % (ID.encode(), ID.encode()),
            Placement("", Container("docker", ID)),
        ),
    ],
)
def test_placement(tmp_path: Path, data: bytes, placement: Placement) -> None:
    """A process's file tells its unit and its container."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_bytes(data)
    assert read_placement(str(tmp_path), 7) == placement


def test_process_that_is_gone(tmp_path: Path) -> None:
    """A process that has ended belongs nowhere, which is not known to be no unit."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert read_placement("/proc", pid) is None
    assert read_placement(str(tmp_path), 1) is None


def test_this_process() -> None:
    """The kernel's own file is understood, and read whole."""
    data = Path("/proc/self/cgroup").read_bytes()
    assert read_placement("/proc", os.getpid()) == parse_path(choose_path(data))
    assert bool(choose_path(data)) == (b":/" in data)


@pytest.mark.parametrize(
    ("mounts", "mount"),
    [
        (UNIFIED % (b"/", b"/sys/fs/cgroup"), "/sys/fs/cgroup"),
        (UNIFIED % (b"/", b"/sys/fs/cgroup/unified"), "/sys/fs/cgroup/unified"),
        (UNIFIED % (b"/", b"/a\\040b\\134c\\011\xff"), "/a b\\c\t\udcff"),
        (UNIFIED % (b"/x", b"/part") + UNIFIED % (b"/", b"/whole"), "/whole"),
        (UNIFIED % (b"/", b"/first") + UNIFIED % (b"/", b"/second"), "/first"),
        (UNIFIED % (b"/../..", b"/part") + UNIFIED % (b"/y", b"/other"), "/part"),
        (OTHERS * 1000 + UNIFIED % (b"/", b"/late"), "/late"),
        (b"1 2 - cgroup2 cgroup2 rw\n - cgroup2 \n", None),
        (b"", None),
    ],
)
def test_mounts(tmp_path: Path, mounts: bytes, mount: str | None) -> None:
    """The whole tree's mount point is found among all others; a part of it is better than none."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_bytes(OTHERS + mounts)
    assert Mounts(str(tmp_path), TIME).cgroup2 == mount


def test_hidden_mounts(tmp_path: Path) -> None:
    """Without /proc no mount point is known."""
    assert Mounts(str(tmp_path), TIME).cgroup2 is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with some cgroups and files like the kernel's."""
    for name in ("system.slice/nginx.service", "system.slice/foo.service/worker", "init.scope"):
        (tmp_path / name).mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "init.scope"):
        (folder / "cgroup.procs").touch()
    (tmp_path / "link").symlink_to("system.slice")
    return tmp_path


def number(path: Path) -> int:
    """Return what the kernel calls a cgroup."""
    return path.stat().st_ino


def test_every_cgroup_has_its_path(tree: Path) -> None:
    """Each directory is found by its number; files and links are no cgroups."""
    found = CgroupTree(str(tree), TIME)
    for path in (
        "/",
        "/init.scope",
        "/system.slice",
        "/system.slice/nginx.service",
        "/system.slice/foo.service/worker",
    ):
        assert found.path(number(tree / path[1:])) == path
    assert found.path(number(tree / "cgroup.procs")) is None
    assert found.path((tree / "link").lstat().st_ino) is None


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the folders that are scanned."""
    scanned: list[str] = []
    opened = os.open

    def watch(path: str, flags: int) -> int:
        scanned.append(path.rstrip("/"))
        return opened(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", watch)
        yield scanned


def test_a_new_cgroup_is_found_once(tree: Path, scans: list[str]) -> None:
    """The tree is read when the first is asked for, and once more for one that is new."""
    found = CgroupTree(str(tree), TIME)
    assert not scans
    assert found.path(number(tree / "init.scope")) == "/init.scope"
    assert found.path(number(tree / "system.slice")) == "/system.slice"
    assert scans.count(str(tree)) == 1
    (tree / "system.slice/new.service").mkdir()
    assert found.path(number(tree / "system.slice/new.service")) == "/system.slice/new.service"
    assert scans.count(str(tree)) == 2
    (tree / "late.service").mkdir()
    assert found.path(number(tree / "late.service")) is None
    assert found.path(1 << 60) is None
    assert scans.count(str(tree)) == 2


def test_a_cgroup_that_is_gone(tree: Path, scans: list[str]) -> None:
    """One that is gone has no path, and to ask for it again costs no second scan."""
    found = CgroupTree(str(tree), TIME)
    assert [found.path(1 << 60) for _ in range(3)] == [None] * 3
    assert scans.count(str(tree)) == 1


def test_those_that_were_there(tree: Path, scans: list[str]) -> None:
    """Whether one was there is told by the one scan, however many are gone or new."""
    found = CgroupTree(str(tree), TIME)
    there = number(tree / "init.scope")
    assert [found.has(each, TIME) for each in (1 << 60, there, 1 << 61)] == [False, True, False]
    (tree / "new.service").mkdir()
    new = number(tree / "new.service")
    assert not found.has(new, TIME)
    assert scans.count(str(tree)) == 1
    assert found.path(new) == "/new.service"
    assert found.has(new, TIME)


def test_what_an_answer_can_do_without(tree: Path) -> None:
    """To ask whether one was there takes no more than its time, and nothing from who needs it."""
    found = CgroupTree(str(tree), TIME)
    there = number(tree / "init.scope")
    assert not found.has(there, Deadline(0))
    assert found.path(there) == "/init.scope"


def test_a_folder_that_vanishes_or_is_closed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be listed is left out, and nothing else."""
    closed = {f"{tree}/init.scope": PermissionError, f"{tree}/system.slice": FileNotFoundError}
    (tree / "user.slice/x").mkdir(parents=True)
    opened = os.open

    def refuse(path: str, flags: int) -> int:
        if path in closed:
            raise closed[path]
        return opened(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    found = CgroupTree(str(tree), TIME)
    assert found.path(number(tree / "user.slice/x")) == "/user.slice/x"
    assert found.path(number(tree / "init.scope")) == "/init.scope"
    assert found.path(number(tree / "system.slice/nginx.service")) is None


def test_no_tree(tree: Path) -> None:
    """A mount point that is gone has no cgroups."""
    shutil.rmtree(tree / "system.slice")
    assert CgroupTree(str(tree / "system.slice"), TIME).path(1) is None


def test_a_tree_without_end(tree: Path, scans: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan stops at its bound; what is near the root is known by then."""
    deep = tree / "init.scope"
    for level in range(30):
        deep /= str(level)
    deep.mkdir(parents=True)
    monkeypatch.setattr(cgroup, "MAX_DIRECTORIES", 12)
    found = CgroupTree(str(tree), TIME)
    assert found.path(number(tree / "system.slice/nginx.service")) is not None
    assert found.path(number(tree / "system.slice/foo.service/worker")) is not None
    assert found.path(number(deep)) is None
    assert len(set(scans)) <= 12


@pytest.fixture
def delegated(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return whose a folder is, by its name; all others are the system's."""
    users: dict[str, int] = {}
    fstat = os.fstat

    def owned(fd: int) -> os.stat_result:
        name = os.readlink(f"/proc/self/fd/{fd}").rpartition("/")[2]
        status = list(fstat(fd)[:10])
        status[4] = users.get(name, 0)
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", owned)
    return users


def test_a_user_displaces_nobody(
    tree: Path, delegated: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many cgroups a user makes, near the root and deep: the system's are found first."""
    monkeypatch.setattr(cgroup, "MAX_DIRECTORIES", 40)
    mine, other = tree / "mine", tree / "user.slice/user-1001.slice/user@1001.service"
    delegated |= {"mine": 1000, "user@1001.service": 1001}
    for at in range(100):
        (mine / f"wide{at}/deep").mkdir(parents=True)
    (other / "app.slice/web.service").mkdir(parents=True)
    deep = tree / "system.slice/a/b/c/d/e/f"
    deep.mkdir(parents=True)
    found = CgroupTree(str(tree), TIME)
    assert found.path(number(deep)) == "/system.slice/a/b/c/d/e/f"
    service = "user.slice/user-1001.slice/user@1001.service/app.slice/web.service"
    assert found.path(number(tree / service)) == f"/{service}"
    assert found.path(number(mine)) == "/mine"
    assert sum(found.path(number(path)) is not None for path in mine.iterdir()) < 40


def test_no_more_cgroups_than_the_bound(
    tree: Path, scans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of very many is not read to its end."""
    for at in range(500):
        (tree / f"system.slice/{at}.service").mkdir()
    monkeypatch.setattr(cgroup, "MAX_DIRECTORIES", 100)
    found = CgroupTree(str(tree), TIME)
    known = [path for path in (tree / "system.slice").iterdir() if found.path(number(path))]
    assert 50 < len(known) <= 100
    assert len(set(scans)) <= 101


def test_no_time_for_the_tree(tree: Path) -> None:
    """Past the deadline no cgroup is looked for."""
    found = CgroupTree(str(tree), Deadline(0))
    assert found.path(number(tree / "system.slice")) is None


def test_this_machines_tree() -> None:
    """The root and the uppermost cgroups of the kernel's own tree have the kernel's numbers."""
    mount = Mounts("/proc", TIME).cgroup2
    if not mount:
        pytest.skip("no cgroup2 is mounted here")
    found = CgroupTree(mount, TIME)
    assert found.path(number(Path(mount))) == "/"
    for path in [path for path in Path(mount).iterdir() if path.is_dir()][:5]:
        assert found.path(number(path)) == f"/{path.name}"

"""Keeping the file of containers' names: whole at each moment, for one group, and up to date."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zabbix_sockets.model.container_names import ContainerEntry, lines_of
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.readers.containers import names_writer
from zabbix_sockets.readers.containers.names_file import read_names
from zabbix_sockets.readers.containers.names_writer import keep_up

from .store_files import DOCKER_FILE, ID, OTHER, docker, write

GROUP = os.getegid()


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than for a real runtime."""
    monkeypatch.setattr(names_writer, "QUIET", 0.2)
    monkeypatch.setattr(names_writer, "PATIENCE", 0.5)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Return the path of a file of names, in a folder that is not there yet."""
    (tmp_path / "proc").mkdir()
    return tmp_path / "names/containers"


def keep(names: Path) -> int:
    """Write the names of the test's stores."""
    root = names.parents[1]
    return keep_up(str(names), GROUP, root=str(root), proc=str(root / "proc"))


def read(names: Path) -> dict[str, ContainerEntry] | None:
    """Read what was written."""
    return read_names(str(names))


@contextmanager
def keeping(names: Path) -> Iterator[None]:
    """Keep the names up to date meanwhile, and until nothing changes."""
    thread = threading.Thread(target=keep, args=(names,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def container(names: Path, number: str, name: str) -> None:
    """Make a docker container."""
    root = names.parents[1]
    write(root, DOCKER_FILE.replace(ID, number), docker(f"/{name}"))


def test_modes(names: Path) -> None:
    """The group may read it and nobody else; new files in the folder are the group's."""
    container(names, ID, "web")
    assert keep(names) == 1
    assert read(names) == {ID: ContainerEntry("web")}
    folder, file = names.parent.stat(), names.stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_gid) == (0o2750, GROUP)
    assert (stat.S_IMODE(file.st_mode), file.st_gid) == (0o640, GROUP)
    assert sorted(os.listdir(names.parent)) == [".lock", "containers"]


def test_lock_of_a_reader(names: Path) -> None:
    """Who may only read the names can lock folder and file, and holds up nobody."""
    container(names, ID, "web")
    keep(names)
    held = [os.open(path, os.O_RDONLY) for path in (names.parent, names)]
    try:
        for fd in held:
            fcntl.flock(fd, fcntl.LOCK_EX)
        container(names, OTHER, "db")
        writer = threading.Thread(target=keep, args=(names,), daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
    finally:
        for fd in held:
            os.close(fd)
    assert set(read(names) or ()) == {ID, OTHER}
    assert stat.S_IMODE((names.parent / ".lock").stat().st_mode) == 0o600


def test_stale_entries_go(names: Path) -> None:
    """A container that is gone is in the file no more; with the last store the file goes."""
    container(names, ID, "web")
    container(names, OTHER, "db")
    keep(names)
    file = names.parents[1] / DOCKER_FILE
    file.unlink()
    file.parent.rmdir()
    keep(names)
    assert read(names) == {OTHER: ContainerEntry("db")}
    (names.parents[1] / "var").rename(names.parents[1] / "former")
    keep(names)
    assert not names.exists()
    assert read(names) is None


def test_what_comes_meanwhile(names: Path) -> None:
    """Containers that come one after another, files after their folders, are all there."""
    root = names.parents[1]
    (root / "var/lib/docker/containers").mkdir(parents=True)
    numbers = [f"{at:064x}" for at in range(30)]
    with keeping(names):
        for number in numbers:
            (root / DOCKER_FILE.replace(ID, number)).parent.mkdir()
            time.sleep(0.01)
        for number in numbers:
            container(names, number, f"web{number[-2:]}")
    found = read(names)
    assert found
    assert {entry.name for entry in found.values()} == {f"web{number[-2:]}" for number in numbers}


def test_a_file_that_never_comes(names: Path) -> None:
    """A folder of docker's without a file is waited for, but not for ever."""
    container(names, ID, "web")
    (names.parents[1] / DOCKER_FILE.replace(ID, OTHER)).parent.mkdir()
    started = time.monotonic()
    keep(names)
    assert time.monotonic() - started > names_writer.PATIENCE
    assert read(names) == {ID: ContainerEntry("web")}


def test_a_running_container_of_no_store(names: Path) -> None:
    """It has a line without a name in the end: calls know then that nothing is to be waited for."""
    root = names.parents[1]
    write(root, "proc/40/cgroup", f"0::/system.slice/docker-{OTHER}.scope\n")
    with keeping(names):
        while not names.exists():
            time.sleep(0.01)
        assert read(names) == {}
    assert read(names) == {OTHER: ContainerEntry()}


def test_an_end_whatever_changes(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where containers come all the time does not keep it running."""
    monkeypatch.setattr(names_writer, "LONGEST", 0.5)
    changing = threading.Event()
    folder = names.parents[1] / "var/lib/docker/containers"
    folder.mkdir(parents=True)

    def change() -> None:
        while not changing.wait(0.02):
            (folder / "x").mkdir()
            (folder / "x").rmdir()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        keep(names)
    finally:
        changing.set()
        thread.join()


def test_readers_find_the_former_or_the_new_file(names: Path) -> None:
    """However often it is written, no reader finds a part, or nothing."""
    container(names, ID, "web")
    keep(names)
    with keeping(names):
        for made in range(300):
            container(names, f"{made:064x}", "db")
            assert read(names)
        deadline = time.monotonic() + 60
        while len(read(names) or ()) == 1:  # the writer may have got no turn yet
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert len(read(names) or ()) == 301


def test_running_ones_stay(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more containers than the file may have, those that run are in it."""
    monkeypatch.setattr("zabbix_sockets.model.container_names.MAX_ENTRIES", 1)
    write(names.parents[1], "proc/40/cgroup", f"0::/system.slice/docker-{OTHER}.scope\n")
    container(names, ID, "web")
    container(names, OTHER, "db")
    keep(names)
    assert read(names) == {OTHER: ContainerEntry("db")}


def test_of_another_user(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root is not told to remove what root has written."""
    keep(names)
    owner = names.parent.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SocketsError, match="another user's") as caught:
        keep(names)
    assert caught.value.hint == "run it as root"


@pytest.mark.parametrize("odd", ["link", "file", "writable"])
def test_an_odd_folder(names: Path, odd: str) -> None:
    """Nothing is written where another user may change it, or somewhere else."""
    container(names, ID, "web")
    elsewhere = names.parents[1] / "elsewhere"
    elsewhere.mkdir()
    if odd == "link":
        names.parent.symlink_to(elsewhere)
    elif odd == "file":
        names.parent.write_text("")
    else:
        names.parent.mkdir()
        names.parent.chmod(0o777)
    with pytest.raises(SocketsError, match=r"can't write|other users may change") as caught:
        keep(names)
    assert caught.value.hint
    assert not list(elsewhere.iterdir())


def test_a_link_in_the_place_of_the_file(names: Path) -> None:
    """It is replaced, and what it leads to stays; so does what a killed writer has left."""
    container(names, ID, "web")
    keep(names)
    target = names.parents[1] / "target"
    target.write_text("mine")
    names.unlink()
    names.symlink_to(target)
    (names.parent / "containers.new").symlink_to(target)
    keep(names)
    assert target.read_text() == "mine"
    assert read(names) == {ID: ContainerEntry("web")}
    assert not names.is_symlink()
    assert sorted(os.listdir(names.parent)) == [".lock", "containers"]


@pytest.mark.parametrize("odd", ["rubbish", "link", "folder", "long"])
def test_reading_what_is_no_file_of_names(names: Path, odd: str) -> None:
    """There is one, and it tells nothing."""
    names.parent.mkdir()
    good = lines_of([(ID, ContainerEntry("web"))], 1)
    if odd == "rubbish":
        names.write_bytes(good + b"x")
    elif odd == "link":
        (names.parent / "good").write_bytes(good)
        names.symlink_to(names.parent / "good")
    elif odd == "folder":
        names.mkdir()
    else:
        names.write_bytes(good + b" " * (1 << 20))
    assert read(names) == {}

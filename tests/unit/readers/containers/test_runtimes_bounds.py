"""How much is read to name containers, and for how long: what users keep is bounded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers import homes, runtime_files
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.runtimes import ContainerNames

from ...localmounts import local_mounts  # noqa: TID252  # a test folder is no package
from .store_files import (
    ANN,
    BOB,
    DOCKER,
    DOCKER_FILE,
    ID,
    PASSWD,
    PODMAN,
    ROOTLESS,
    STORE,
    TIME,
    docker,
    names_in,
    stored,
    write,
)


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths that are opened from now on."""
    paths: list[str] = []
    real: Callable[..., int] = os.open

    def watch(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        paths.append(str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", watch)
    return paths


def numbers(count: int) -> list[str]:
    """Return ids of containers."""
    return [f"{at:064x}" for at in range(1, count + 1)]


@pytest.mark.parametrize("user", [None, ANN])
def test_a_store_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int | None
) -> None:
    """However many containers there are, each store and each folder is read once a call."""
    write(tmp_path, "etc/passwd", PASSWD)
    entries = [stored(f"web{at}", number) for at, number in enumerate(numbers(100))]
    write(tmp_path, ROOTLESS if user else f"var/lib/{STORE}", entries)
    (tmp_path / "var/log/pods").mkdir(parents=True)
    names, paths = names_in(tmp_path), opened(monkeypatch)
    found = [names.of(Container("podman", number, user=user)) for number in numbers(100)]
    assert found == [f"web{at}" for at in range(100)]
    assert len([path for path in paths if path.endswith("containers.json")]) <= 12
    assert len(paths) < 100
    assert names.complete


def test_a_users_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user has beyond his share is as good as none; others and root have theirs."""
    write(tmp_path, "etc/passwd", PASSWD)
    huge = [stored("fake"), *({} for _ in range(400_000))]
    assert homes.USER_BYTES < len(json.dumps(huge)) < runtime_files.MAX_SIZE
    write(tmp_path, ROOTLESS, huge)
    write(tmp_path, ROOTLESS.replace("ann", "bob"), [stored("web")])
    write(tmp_path, f"var/lib/{STORE}", [*huge[1:], stored("root")])
    names = names_in(tmp_path)
    assert names.of(PODMAN._replace(user=ANN)) == ""
    assert names.of(PODMAN._replace(user=BOB)) == "web"
    assert names.of(PODMAN) == "root"
    assert names.complete  # it will be so at each call
    size = (tmp_path / ROOTLESS.replace("ann", "bob")).stat().st_size
    monkeypatch.setattr(homes, "USER_BYTES", 3 * size - 1)
    for driver in ("vfs", "btrfs"):
        write(tmp_path, ROOTLESS.replace("overlay", driver).replace("ann", "bob"), [stored("web")])
    paths = opened(monkeypatch)
    assert names_in(tmp_path).of(PODMAN._replace(user=BOB)) == "web"
    read = [path for path in paths if path.startswith("/proc/self/fd/")]
    assert len(read) == 3  # two of his, and /etc/passwd


def test_a_users_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of containers that a user pretends to have cost no look-up each."""
    write(tmp_path, "etc/passwd", PASSWD)
    names, paths = names_in(tmp_path), opened(monkeypatch)
    for number in numbers(3000):
        assert names.of(Container("docker", number, user=ANN)) == ""
    assert len(paths) <= homes.USER_FILES * 8
    assert names.complete


def test_all_users_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many users' files are too much together, names are missing and the answer says so."""
    write(tmp_path, "etc/passwd", PASSWD)
    size = write(tmp_path, ROOTLESS, [stored("web")]).stat().st_size
    write(tmp_path, ROOTLESS.replace("ann", "bob"), [stored("web")])
    monkeypatch.setattr(homes, "ALL_BYTES", 2 * size - 1)
    names = names_in(tmp_path)
    assert names.of(PODMAN._replace(user=ANN)) == "web"
    assert names.complete
    assert names.of(PODMAN._replace(user=BOB)) == ""
    assert not names.complete


def test_no_time_for_names(tmp_path: Path) -> None:
    """Names that could not be looked for are none, and the answer says so; known ones stay."""
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    names = names_in(tmp_path, deadline=Deadline(0))
    assert names.complete
    assert names.of(Container("lxc", "web-1")) == "web-1"
    assert names.complete
    assert names.of(PODMAN) == ""
    assert not names.complete


def test_time_that_passes_meanwhile(tmp_path: Path) -> None:
    """What is found in time is a name; what is looked for later is none."""

    class Looks(Deadline):
        """Passes when it has been looked at so many times."""

        left = 20

        def passed(self) -> bool:
            self.left -= 1
            return self.left < 0

    folder = "var/lib/nerdctl/1935db59/names/default"
    for at, number in enumerate(numbers(50)):
        write(tmp_path, f"{folder}/web{at}", number)
    names = names_in(tmp_path, deadline=Looks(600))
    found = [names.of(Container("containerd", number)) for number in numbers(50)]
    assert not names.complete
    assert found.count("") > 30


@pytest.mark.parametrize("filesystem", ["nfs4", "autofs", "fuse.sshfs", "cifs"])
@pytest.mark.parametrize("where", ["home", "home/ann", "home/ann/.local"])
def test_homes_that_may_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filesystem: str, where: str
) -> None:
    """A home that waits for somebody is not touched, nor what is mounted below one."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS, [stored("web")])
    write(tmp_path, DOCKER_FILE.replace("var/lib", "home/ann/.local/share"), docker("/web"))
    names = names_in(tmp_path, f"99 1 0:99 / {tmp_path}/{where} rw - {filesystem} x rw")
    paths = opened(monkeypatch)
    inner = where.rpartition("/")[2]
    assert names.of(PODMAN._replace(user=ANN)) == ""
    assert names.of(DOCKER._replace(user=ANN)) == ""
    assert inner not in paths
    assert not [path for path in paths if path.startswith(f"{tmp_path}/{where}")]
    assert names.complete


def test_a_mount_that_came_since(tmp_path: Path) -> None:
    """A mount that is none of those that were read is not entered: it may hang."""
    write(tmp_path, "etc/passwd", PASSWD)
    write(tmp_path, ROOTLESS, [stored("web")])
    mounts = local_mounts(tmp_path)
    text = (tmp_path / "proc/self/mountinfo").read_text()
    (tmp_path / "proc/self/mountinfo").write_text(text.replace(text.split()[0], "123456789"))
    names = ContainerNames(Homes(mounts, str(tmp_path)), TIME, str(tmp_path))
    assert names.of(PODMAN._replace(user=ANN)) == ""


def test_only_that_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No home is looked into for what root runs, and only his own for what a user runs."""
    write(tmp_path, "etc/passwd", PASSWD)
    for user in ("ann", "bob"):
        write(tmp_path, ROOTLESS.replace("ann", user), [stored(user)])
    names, paths = names_in(tmp_path), opened(monkeypatch)
    for runtime in ("docker", "podman", "crio", "containerd", ""):
        assert names.of(Container(runtime, ID)) == ""
    assert not [path for path in paths if path.startswith(f"{tmp_path}/home")]
    assert names.of(PODMAN._replace(user=BOB)) == "bob"
    assert f"{tmp_path}/home/bob" in paths
    assert f"{tmp_path}/home/ann" not in paths

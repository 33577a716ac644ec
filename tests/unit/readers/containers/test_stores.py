"""All containers in the system's stores, for who may read them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from zabbix_sockets.model.container_names import ContainerEntry, PublishedPorts
from zabbix_sockets.readers.containers import podman_state
from zabbix_sockets.readers.containers.bolt import BoltDatabase
from zabbix_sockets.readers.containers.podman_state import read_podman_entries
from zabbix_sockets.readers.containers.runtime_files import STORES
from zabbix_sockets.readers.containers.stores import (
    STARTED,
    FoundContainers,
    find_containers,
    watched_folders,
)

from .store_files import BUNDLE, DOCKER_FILE, ID, OTHER, STORE, docker, stored, write

CAPTURES = Path(__file__).parents[2] / "captures"
CONF = Path(__file__).parents[4] / "conf"
WEB = "39b994f3b81b060d67d8d552623a1dcf09c052b3b2c0843b545ae14f4d07c1c3"
IN_POD = "e54cd2340dfbc789d238608b0e4ee4f59c024b6edba7032f9213d86c080305a1"
POD = "09e8ae83336e48e3d484a9528b0802c2fda8babb43a994ee3bdc98b2b5ebfa49"
PORTS = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}
PUBLISHED = (PublishedPorts("tcp", bytes(4), 8080, 8080),)


def runs(root: Path, pid: int, cgroup: str) -> None:
    """Let a process be in a cgroup."""
    write(root, f"proc/{pid}/cgroup", f"0::{cgroup}\n")


def find(root: Path) -> FoundContainers:
    """Look at the stores below *root*."""
    (root / "proc").mkdir(exist_ok=True)
    return find_containers(str(root), str(root / "proc"))


def state(*, running: bool) -> dict[str, object]:
    """Return a docker container's state with published ports."""
    found = docker("/web")
    return found | {"State": {"Running": running}, "NetworkSettings": {"Ports": PORTS}}


def test_no_store(tmp_path: Path) -> None:
    """A host without containers has none."""
    assert find(tmp_path) == FoundContainers({}, frozenset(), frozenset(), has_stores=False)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("process", [True, False])
def test_docker(tmp_path: Path, running: bool, process: bool) -> None:
    """Ports are those of a container that runs, by its file and by its process."""
    write(tmp_path, DOCKER_FILE, state(running=running))
    if process:
        runs(tmp_path, 40, f"/system.slice/docker-{ID}.scope")
    found = find(tmp_path)
    ports = PUBLISHED if running and process else ()
    assert found.entries == {ID: ContainerEntry("web", ports=ports)}
    assert found.running == ({ID} if process else set())
    assert found.unfinished == ({ID} if process and not running else set())
    assert found.has_stores


@pytest.mark.parametrize("content", [None, "", "{", '{"Name": "/web"'])
def test_a_file_that_lags(tmp_path: Path, content: str | None) -> None:
    """A folder without its file, or with half a one, is to be looked at again."""
    (tmp_path / DOCKER_FILE).parent.mkdir(parents=True)
    if content is not None:
        write(tmp_path, DOCKER_FILE, content)
    found = find(tmp_path)
    assert not found.entries
    assert found.unfinished == {ID}


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither a container's folder nor its file may be a link, and a folder's name is an id."""
    other = write(tmp_path, "elsewhere/config.v2.json", docker("/secret"))
    containers = tmp_path / "var/lib/docker/containers"
    containers.mkdir(parents=True)
    (containers / OTHER).symlink_to(other.parent)
    (containers / ID).mkdir()
    (containers / ID / "config.v2.json").symlink_to(other)
    write(tmp_path, "var/lib/docker/containers/backup/config.v2.json", docker("/secret"))
    store = tmp_path / "var/lib" / STORE
    store.parent.mkdir(parents=True)
    store.symlink_to(write(tmp_path, "elsewhere/containers.json", [stored("secret")]))
    found = find(tmp_path)
    assert not found.entries
    assert found.unfinished == {ID}


def test_a_rootless_container_is_none_of_the_systems(tmp_path: Path) -> None:
    """Nobody's home is looked into for what runs in a user's slice."""
    runs(tmp_path, 40, f"/user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope")
    assert find(tmp_path).running == set()


def test_other_folders(tmp_path: Path) -> None:
    """Docker's data-root and podman's graphroot are looked into, and watched."""
    write(tmp_path, "etc/docker/daemon.json", {"data-root": "/srv/docker"})
    write(tmp_path, "etc/containers/storage.conf", '[storage]\n  graphroot = "/srv/storage"\n')
    write(tmp_path, f"srv/docker/containers/{ID}/config.v2.json", docker("/web"))
    write(tmp_path, "srv/storage/vfs-containers/containers.json", [stored("db", OTHER)])
    found = find(tmp_path)
    assert found.entries == {ID: ContainerEntry("web"), OTHER: ContainerEntry("db")}
    folders = watched_folders(str(tmp_path))
    assert f"{tmp_path}/srv/docker/containers" in folders
    assert f"{tmp_path}/srv/storage/vfs-containers" in folders


@pytest.mark.parametrize("path", ["srv/docker", "/", "", "/srv/\0"])
def test_odd_configuration(tmp_path: Path, path: str) -> None:
    """What is no absolute path leads nowhere."""
    write(tmp_path, "etc/docker/daemon.json", {"data-root": path})
    write(tmp_path, f"srv/docker/containers/{ID}/config.v2.json", docker("/web"))
    assert find(tmp_path).entries == {}


@pytest.fixture
def podman(tmp_path: Path) -> Path:
    """Make the store of podman 4.3 with its database."""
    storage = tmp_path / "var/lib/containers/storage"
    (storage / "libpod").mkdir(parents=True)
    (storage / "vfs-containers").mkdir()
    shutil.copy(CAPTURES / "podman-4.3/containers.json", storage / "vfs-containers")
    data = gzip.decompress((CAPTURES / "podman-4.3/bolt_state.db.gz").read_bytes())
    (storage / "libpod/bolt_state.db").write_bytes(data)
    return storage


def to_sqlite(storage: Path, *, journal: str) -> None:
    """Put the database of podman 5 in the place of that of podman 4."""
    database = BoltDatabase((storage / "libpod/bolt_state.db").read_bytes())
    (storage / "libpod/bolt_state.db").unlink()
    with sqlite3.connect(storage / "db.sql") as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for table, bucket in (("PodConfig", b"pod"), ("ContainerConfig", b"ctr")):
            connection.execute(f"CREATE TABLE {table}(ID TEXT PRIMARY KEY, Name TEXT, JSON TEXT)")
            for key, _ in database.items(bucket):
                config = dict(database.items(bucket, key))[b"config"]
                values = (key.decode(), "", config.decode())
                connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", values)
    connection.close()


@pytest.mark.parametrize("form", ["bolt", "delete", "wal"])
def test_podman(tmp_path: Path, podman: Path, form: str) -> None:
    """Labels, pods and ports are in podman's database, in either form; the list has the names."""
    if form != "bolt":
        to_sqlite(podman, journal=form)
    runs(tmp_path, 40, f"/machine.slice/libpod-{WEB}.scope")
    found = find(tmp_path)
    ports = (
        PublishedPorts("tcp", b"", 8080, 8080),
        PublishedPorts("tcp", b"", 9000, 9003),
        PublishedPorts("udp", bytes((127, 0, 0, 1)), 5353, 5353),
    )
    assert found.entries == {
        WEB: ContainerEntry("web1", "shop", "cart", "", ports),
        IN_POD: ContainerEntry("inpod", pod="mypod"),
    }
    assert not found.unfinished


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "link", "long"])
@pytest.mark.parametrize("form", ["bolt", "delete"])
def test_podman_without_its_database(
    tmp_path: Path, podman: Path, monkeypatch: pytest.MonkeyPatch, damage: str, form: str
) -> None:
    """The names are there without it, too."""
    database = podman / "libpod/bolt_state.db"
    if form != "bolt":
        to_sqlite(podman, journal=form)
        database = podman / "db.sql"
    if damage == "long":
        monkeypatch.setattr(podman_state, "MAX_DATABASE", database.stat().st_size - 1)
    elif damage == "link" and form == "bolt":
        database.rename(tmp_path / "elsewhere")
        database.symlink_to(tmp_path / "elsewhere")
    else:
        database.unlink()
        if damage in ("empty", "text"):
            database.write_text("" if damage == "empty" else "no database" * 100)
    found = find(tmp_path)
    assert found.entries == {WEB: ContainerEntry("web1"), IN_POD: ContainerEntry("inpod")}


def test_a_running_container_without_a_file(tmp_path: Path) -> None:
    """It is to be looked for again: its runtime may not have written it yet."""
    write(tmp_path, f"var/lib/{STORE}", [stored("web")])
    runs(tmp_path, 40, f"/machine.slice/libpod-{OTHER}.scope/container")
    runs(tmp_path, 41, f"/machine.slice/libpod-conmon-{ID}.scope")
    found = find(tmp_path)
    assert found.running == {OTHER}
    assert found.unfinished == {OTHER}


def test_not_permitted(tmp_path: Path) -> None:
    """Who may not list a store gets an error, not a host without containers."""
    if not os.geteuid():
        pytest.skip("root may")
    folder = tmp_path / "var/lib/docker/containers"
    folder.mkdir(parents=True)
    folder.chmod(0)
    with pytest.raises(PermissionError):
        find(tmp_path)


def test_huge_lists(tmp_path: Path) -> None:
    """A list that is too long is none."""
    write(tmp_path, f"var/lib/{STORE}", json.dumps([stored("web")]) + " " * (5 << 20))
    assert find(tmp_path).entries == {}


def test_kubernetes_is_left_to_its_own(tmp_path: Path) -> None:
    """Containerd's bundles are world-readable or not: no entry is made of them."""
    write(tmp_path, f"run/containerd/{BUNDLE}", {"annotations": {}})
    assert find(tmp_path).entries == {}


def test_path_unit_watches_the_folders() -> None:
    """The path unit starts the service for each folder by which it is told of a change."""
    unit = (CONF / "systemd/zabbix-sockets-names.path").read_text()
    watched = {line.partition("=")[2] for line in unit.splitlines() if line.startswith("PathC")}
    known = {os.path.join("/", folder) for folder in watched_folders("/")}
    assert watched <= known
    assert {f"/{folder}" for folder in STARTED} <= watched
    drivers = {f"/var/lib/containers/storage/{store.partition('/')[0]}" for store in STORES}
    assert drivers - watched == {"/var/lib/containers/storage/btrfs-containers"}


def test_a_database_of_rubbish_configurations(podman: Path) -> None:
    """JSON that is no configuration makes an entry without a name."""
    to_sqlite(podman, journal="delete")
    with sqlite3.connect(podman / "db.sql") as connection:
        connection.execute("UPDATE ContainerConfig SET JSON = '[7]'")
        connection.execute("INSERT INTO ContainerConfig VALUES (?, '', ?)", ("x", b"\xff{"))
    connection.close()
    assert set(read_podman_entries(str(podman)).values()) == {ContainerEntry()}


@pytest.mark.parametrize("name", ["db.sql", "libpod/db.sql", "libpod/bolt_state.db"])
def test_a_database_that_is_no_file(tmp_path: Path, name: str) -> None:
    """A FIFO is not opened: SQLite would wait for its writer."""
    (tmp_path / "libpod").mkdir()
    os.mkfifo(tmp_path / name)
    assert read_podman_entries(str(tmp_path)) == {}


def test_database_of_other_bytes(tmp_path: Path) -> None:
    """A damaged database of which SQLite's error has bytes that are no UTF-8 is passed over."""
    path = tmp_path / "db.sql"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE PodConfig (ID TEXT, JSON TEXT)")
    connection.close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \xff\xfe\xffBLE"))
    assert read_podman_entries(str(tmp_path)) == {}

"""Targets: what container runtimes, and users who run them, write."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from zabbix_sockets.model.container_names import lines_of, parse_lines
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers import descriptions
from zabbix_sockets.readers.containers.bolt import BoltDatabase
from zabbix_sockets.readers.containers.podman_state import read_podman_entries
from zabbix_sockets.readers.containers.runtime_files import load_json
from zabbix_sockets.readers.containers.stores import docker_roots, storage_roots

from ..unit.readers.containers import store_files  # noqa: TID252
from .target import Target, folder, pieces, written

_UNIT = Path(__file__).parents[1] / "unit"
_PODMAN = _UNIT / "captures/podman-4.3"
_DOCKER = _UNIT / "captures/docker-20.10/config.v2.json"
_ID = "0123456789abcdef" * 4


def bolt(data: bytes) -> None:
    """Read the containers and pods of a database of bbolt's.

    It is podman's own with other pages behind the two that have sums, or one that is made here.
    """
    is_real = data[:4] == b"page"
    database = (
        BoltDatabase(_HEAD + data[4:] + _BOLT[8188 + len(data) :]) if is_real else _database(data)
    )
    for bucket in (b"ctr", b"pod"):
        for key, _ in database.items(bucket):
            for _ in database.items(bucket, key):
                pass


_BOLT = gzip.decompress((_PODMAN / "bolt_state.db.gz").read_bytes())
_HEAD = _BOLT[:8192]


def _database(data: bytes) -> BoltDatabase:
    """Return a database of pages of 512 bytes: a meta page that is valid, and *data*."""
    from zabbix_sockets.readers.containers.bolt import _META, _fnv  # noqa: PLC0415  # as the file has it

    root = data[0] if data else 1
    head = _META.pack(0xED0CDAED, 2, 512, 0, root, 0, 0, 0, 1, 0)[: _META.size - 8]
    page = bytes(16) + head + _fnv(head).to_bytes(8, "little")
    return BoltDatabase(page.ljust(512, b"\0") + data[1:])


def _bolt_seeds() -> Iterator[bytes]:
    yield b"page" + _BOLT[8192:16384]
    leaf = b"\1\0\0\0\0\0\0\0\2\0\1\0\0\0\0\0" + b"\1\0\0\0\x10\0\0\0\3\0\0\0\x10\0\0\0"
    inner = b"ctr" + b"\2\0\0\0\0\0\0\0" + bytes(8)
    below = b"\2\0\0\0\0\0\0\0\2\0\1\0\0\0\0\0" + b"\0\0\0\0\x10\0\0\0\1\0\0\0\2\0\0\0" + b"k{}"
    yield b"\1" + (leaf + inner).ljust(512, b"\0") + below.ljust(512, b"\0")
    branch = b"\1\0\0\0\0\0\0\0\1\0\2\0\0\0\0\0" + (b"\0" * 8 + b"\2" + b"\0" * 7) * 2
    yield b"\1" + branch.ljust(512, b"\0") + (leaf + inner).ljust(512, b"\0")


def descriptions_of(data: bytes) -> None:
    """Read the descriptions of containers by docker, a store and podman."""
    config = load_json(data)
    found = [descriptions.docker_entry(config), descriptions.podman_entry(config, {"p": "pod"})]
    found.append(found[0]._replace(ports=descriptions.docker_ports(config)))
    descriptions.docker_is_running(config)
    found += [entry for _, entry in descriptions.stored_entries(data)]
    names = [(_ID, each) for each in found]
    parse_lines(lines_of(names, 7))


def _description_seeds() -> Iterator[bytes]:
    yield _DOCKER.read_bytes()[:8000]
    yield (_PODMAN / "containers.json").read_bytes()
    ports = {"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}], "53/udp": None}
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    yield json.dumps(
        {"Name": "/web", "Config": {"Labels": labels}, "NetworkSettings": {"Ports": ports}}
    ).encode()
    mapping = {"host_ip": "192.0.2.1", "host_port": 80, "range": 3, "protocol": "tcp,udp"}
    old = {"hostIP": "", "hostPort": "7", "length": 1, "protocol": "udp"}
    yield json.dumps(
        {"name": "a", "pod": "p", "isInfra": True, "newPortMappings": [mapping], "labels": labels}
    ).encode()
    yield json.dumps({"name": "a", "portMappings": [old, old]}).encode()
    yield json.dumps([{"id": _ID, "names": ["k8s_a_b_c_d_0"]}]).encode()


def podman_sqlite(data: bytes) -> None:
    """Read podman's database of SQLite, of which *data* is a page or two."""
    written("db.sql", data)
    read_podman_entries(folder())


def _podman_seeds() -> Iterator[bytes]:
    schema = "CREATE TABLE {} (ID TEXT, JSON TEXT); INSERT INTO {} VALUES ('a', '{}')"
    script = ";".join(
        schema.format(name, name, '{"name": "web"}') for name in ("PodConfig", "ContainerConfig")
    )
    yield _database_of(script)


def _database_of(script: str) -> bytes:
    """Return the bytes of a database of SQLite with small pages, in which *script* was run."""
    path = f"{folder()}/seed.sqlite"
    with suppress(FileNotFoundError):
        os.unlink(path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"PRAGMA page_size=512;{script}")
    return Path(path).read_bytes()


def names_file(data: bytes) -> None:
    """Read the file of containers' names, and write it again, twice."""
    again = lines_of(parse_lines(data).items(), 7)
    assert lines_of(parse_lines(again).items(), 7) == again


def _names_seeds() -> Iterator[bytes]:
    yield (
        f"zabbix-sockets names 1 1700000000\n{_ID}\tweb\tshop\tweb\tprod/web-0\t"
        "0.0.0.0:80/tcp,[::1]:9000-9003/udp,*:80/tcp\n"
        f"{_ID[:12]}\t\t\t\t\t\n"
    ).encode()


def runtimes(data: bytes) -> None:
    """Read where runtimes keep their files."""
    docker, storage = pieces(data, 2)
    root = f"{folder()}/root"
    for name, content in (("docker/daemon.json", docker), ("containers/storage.conf", storage)):
        os.makedirs(os.path.dirname(f"{root}/etc/{name}"), exist_ok=True)
        written(f"root/etc/{name}", content)
    for each in (*docker_roots(root), *storage_roots(root)):
        assert each.startswith(root)
        assert "\0" not in each


def container_names(data: bytes) -> None:
    """Name containers by files of a user's docker and podman, a bundle, and the list of names."""
    docker, store, bundle, listed = pieces(data, 4)
    root = _with_folders()
    for path, content in zip(_FILES, (docker, store, bundle, listed)):
        (root / path).write_bytes(content)
    found = store_files.names_in(root)
    for each in _CONTAINERS:
        found.of(each)
        found.ports_of(each)


_FILES = (
    f"home/ann/.local/share/docker/containers/{store_files.ID}/config.v2.json",
    store_files.ROOTLESS,
    store_files.BUNDLE,
    "run/zabbix-sockets-names/containers",
)
_CONTAINERS = (
    Container("docker", store_files.ID, user=store_files.ANN),
    Container("podman", store_files.ID, user=store_files.ANN),
    Container("containerd", store_files.ID, store_files.UID),
    store_files.PODMAN,
)


@cache
def _with_folders() -> Path:
    """Return a folder with a user, and folders for the files."""
    root = Path(folder()) / "containers"
    for path in ("etc/passwd", *_FILES):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(store_files.PASSWD)
    return root


def _container_seeds() -> Iterator[bytes]:
    annotations = {"io.kubernetes.cri.sandbox-name": "web-7c9f8-x2x4z"}
    annotations["io.kubernetes.cri.sandbox-namespace"] = "prod"
    yield b"\xff".join(
        (
            json.dumps(store_files.docker("/web", {"com.docker.swarm.service.name": "s"})).encode(),
            json.dumps([store_files.stored("web")]).encode(),
            json.dumps({"annotations": annotations}).encode(),
            next(_names_seeds()),
        )
    )
    yield b"\xff\xff\xff"


TARGETS = {
    "bolt": Target(bolt, _bolt_seeds, (ParseError,), 9000),
    "container_descriptions": Target(descriptions_of, _description_seeds, (), 8192),
    "podman_sqlite": Target(podman_sqlite, _podman_seeds, (), 4096),
    "names_file": Target(names_file, _names_seeds, (ValueError,)),
    "runtime_folders": Target(
        runtimes, lambda: [b'{"data-root": "/srv/docker"}\xffgraphroot = "/srv/containers"\n'], ()
    ),
    "container_names": Target(container_names, _container_seeds, ()),
}

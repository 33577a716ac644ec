"""Reader of podman's databases: the configurations of its containers and the names of its pods.

Source: podman, libpod/boltdb_state_internal.go (buckets "ctr" and "pod", each with a bucket by id
whose key "config" is JSON) and libpod/sqlite_state.go (tables ContainerConfig and PodConfig with a
column JSON), which new installations have since podman 4.8. Both are root's, 0600, and readable
with CAP_DAC_READ_SEARCH; nothing is written to them.
"""

from __future__ import annotations

import os
import stat
from _collections_abc import Iterator

from zabbix_sockets.model.container_names import ContainerEntry
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.readers.containers.bolt import BoltDatabase
from zabbix_sockets.readers.containers.descriptions import podman_entry
from zabbix_sockets.readers.containers.runtime_files import load_json, text_member
from zabbix_sockets.readers.files import read_regular

MAX_DATABASE = 64 << 20
"""The longest database that is read, in bytes."""
_MAX_CONFIGS = 10_000
_MAX_CONFIG = 1 << 20
"""The most configurations that are read, and the longest one, in bytes."""

_BOLT = ("libpod/bolt_state.db",)
_SQLITE = ("db.sql", "libpod/db.sql")
_QUERY = "SELECT ID, JSON FROM {} WHERE length(JSON) <= ? LIMIT ?"

_Configs = Iterator[tuple[str, bytes]]


def read_podman_entries(storage: str) -> dict[str, ContainerEntry]:
    """Return the entries of podman's containers by id, of the databases below the folder *storage*.

    Of two databases podman uses the one in bolt's format. A database that can't be read, is
    too long, damaged, or written at this moment is passed over.
    """
    for name in (*_BOLT, *_SQLITE):
        path = f"{storage}/{name}"
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_DATABASE:
                continue  # SQLite would wait for who writes to a FIFO
            pods, containers = (_bolt if name in _BOLT else _sqlite)(path)
            return _entries(pods, containers)
        except (OSError, ParseError):
            continue
    return {}


def _entries(pods: _Configs, containers: _Configs) -> dict[str, ContainerEntry]:
    names = {number: text_member(load_json(config), "name") for number, config in pods}
    return {number: podman_entry(load_json(config), names) for number, config in containers}


def _bolt(path: str) -> tuple[_Configs, _Configs]:
    database = BoltDatabase(read_regular(path, MAX_DATABASE, os.O_NOFOLLOW))
    return _bolt_configs(database, b"pod"), _bolt_configs(database, b"ctr")


def _bolt_configs(database: BoltDatabase, bucket: bytes) -> _Configs:
    """Yield id and configuration of each pod or container in a bucket of *database*."""
    for count, (key, _) in enumerate(database.items(bucket)):
        if count == _MAX_CONFIGS:
            return
        config = dict(database.items(bucket, key)).get(b"config", b"")
        if len(config) <= _MAX_CONFIG:
            yield key.decode("ascii", "replace"), config


def _sqlite(path: str) -> tuple[_Configs, _Configs]:
    """Return the configurations of pods and containers in a database of SQLite.

    Raises:
        OSError: it is not there, can't be read, or Python has no sqlite3.
    """
    try:
        import sqlite3  # noqa: PLC0415  # some distributions have it in a package of its own
    except ImportError as error:
        raise OSError(str(error)) from None
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    # Where nobody has a database with a write-ahead log open, that can't be opened in a file system
    # that is read-only here: then nothing is in the log either, and nobody writes.
    for mode in ("mode=ro", "immutable=1"):
        try:
            connection = sqlite3.connect(f"file:{quoted}?{mode}", uri=True, timeout=1)
            try:
                rows = [
                    connection.execute(_QUERY.format(table), (_MAX_CONFIG, _MAX_CONFIGS)).fetchall()
                    for table in ("PodConfig", "ContainerConfig")
                ]
            finally:
                connection.close()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: its error has such bytes
            failure = str(error)
            continue
        pods, containers = (((str(number), _bytes(text)) for number, text in of) for of in rows)
        return pods, containers
    raise OSError(failure)


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")

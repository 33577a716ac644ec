"""Reader of the system's files of container runtimes: JSON up to a length, whatever is in it."""

import os

from zabbix_sockets.model import shortage
from zabbix_sockets.readers.files import read_regular

MAX_SIZE = 4 * 1024 * 1024
"""The longest file of the system that is read, in bytes."""

DOCKER_ROOTS = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
STORAGE_ROOTS = ("var/lib/containers/storage", "run/containers/storage")
"""The folders of docker, and of podman and CRI-O, where no configuration says otherwise."""
STORES = tuple(
    f"{driver}-containers/{name}"
    for driver in ("overlay", "vfs", "btrfs")
    for name in ("containers.json", "volatile-containers.json")  # the latter: podman run --rm
)


def list_folder(folder: str) -> list[str]:
    """Return the names of the entries of *folder*; none where it can't be listed."""
    try:
        return os.listdir(folder)
    except OSError as error:
        shortage.note(error)
        return []


def read_file(path: str) -> bytes:
    """Return the bytes of a regular file up to MAX_SIZE; b"" of all else that may be at *path*."""
    try:
        return read_regular(path, MAX_SIZE, os.O_NOFOLLOW)
    except OSError as error:
        shortage.note(error)
        return b""


def load_json(data: bytes) -> object:
    """Return the value of the JSON *data*; None if it is none."""
    if not data:
        return None
    from zabbix_sockets.model.json_reading import read_json  # noqa: PLC0415  # most hosts run no container whose files are open to us

    try:
        return read_json(data)
    except ValueError:
        return None


def member(value: object, key: str) -> object:
    """Return the value of *key* in *value*, if that is a JSON object that has it; else None."""
    return value.get(key) if isinstance(value, dict) else None


def text_member(value: object, key: str) -> str:
    """Return the text that *key* has in the JSON object *value*; empty if there is none."""
    found = member(value, key)
    return found if isinstance(found, str) else ""

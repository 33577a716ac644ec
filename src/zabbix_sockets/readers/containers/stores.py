"""Reader of the system's stores of docker, podman and CRI-O: all of their containers.

For who may read root's files. No home of a user is looked into, no daemon is asked. A
runtime makes a container's folder, or starts it, before it has written all of its files: these
containers are told apart, to be looked at again.
"""

from __future__ import annotations

import os
import re

from zabbix_sockets.model.container_names import ContainerEntry
from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.readers.containers.descriptions import (
    docker_entry,
    docker_is_running,
    docker_ports,
    stored_entries,
)
from zabbix_sockets.readers.containers.podman_state import read_podman_entries
from zabbix_sockets.readers.containers.runtime_files import (
    DOCKER_ROOTS,
    STORAGE_ROOTS,
    STORES,
    load_json,
    read_file,
    text_member,
)
from zabbix_sockets.readers.proc.cgroup import read_placement

STARTED = ("run/docker/runtime-runc/moby", "run/crun", "run/runc")
"""Folders with an entry for each container of docker, and of podman, that is started."""

_RUNTIMES = ("docker", "podman")
_ID = "[0-9a-f]{64}"
_GRAPH_ROOT = r'(?m)^[ \t]*graphroot[ \t]*=[ \t]*["\'](/[^"\'\n]+)["\']'
_MAX_FOLDERS = 10_000


class FoundContainers(NamedTuple):
    """The containers that a look at the stores has found.

    Attributes:
        entries: what their files say, by id; ports only of containers that have a process.
        running: the ids of docker's and podman's containers that have a process.
        unfinished: the ids of those whose files aren't there yet, or say that they don't run while
            they have a process.
        has_stores: there is a store.
    """

    entries: dict[str, ContainerEntry]
    running: frozenset[str]
    unfinished: frozenset[str]
    has_stores: bool


def find_containers(root: str = "/", proc: str = "/proc") -> FoundContainers:
    """Return the containers in the stores below the folder *root*; *proc* is where procfs is.

    Raises:
        PermissionError: this process may not read a store: that takes CAP_DAC_READ_SEARCH.
    """
    running = _running(proc)
    entries: dict[str, ContainerEntry] = {}
    unfinished: set[str] = set()
    docker, storage = docker_roots(root), storage_roots(root)
    for folder in docker:
        _add_docker(f"{folder}/containers", entries, unfinished, running)
    for folder in storage:
        _add_stored(folder, entries, running)
    unfinished |= running - entries.keys()
    has_stores = any(map(os.path.isdir, (*docker, *storage)))
    return FoundContainers(entries, running, frozenset(unfinished), has_stores)


def docker_roots(root: str) -> list[str]:
    """Return the folders in which docker may keep containers; the host's files are in *root*."""
    config = load_json(read_file(os.path.join(root, "etc/docker/daemon.json")))
    configured = text_member(config, "data-root") or text_member(config, "graph")
    folders = [os.path.join(root, each) for each in DOCKER_ROOTS]
    return folders + _absolute(root, configured)


def storage_roots(root: str) -> list[str]:
    """Return the folders in which podman and CRI-O may keep containers; see docker_roots()."""
    data = read_file(os.path.join(root, "etc/containers/storage.conf"))
    found = re.search(_GRAPH_ROOT, data.decode("utf-8", "replace"))
    folders = [os.path.join(root, each) for each in STORAGE_ROOTS]
    return folders + _absolute(root, found[1] if found else "")


def watched_folders(root: str) -> list[str]:
    """Return the folders of which an entry changes when a container comes, starts, stops or goes.

    The path unit watches those of them that no configuration moves elsewhere.
    """
    stores = {store.partition("/")[0] for store in STORES}
    return [
        *(f"{folder}/containers" for folder in docker_roots(root)),
        *(f"{folder}/{store}" for folder in storage_roots(root) for store in sorted(stores)),
        *(os.path.join(root, each) for each in STARTED),
    ]


def _absolute(root: str, path: str) -> list[str]:
    """Return *path* below *root* in a list; an empty list if it isn't absolute, or a default."""
    relative = path.strip("/")
    is_other = path.startswith("/") and relative and relative not in (*DOCKER_ROOTS, *STORAGE_ROOTS)
    return [os.path.join(root, relative)] if is_other and "\0" not in relative else []


def _running(proc: str) -> frozenset[str]:
    """Return the ids of the system's containers of docker and podman that have a process."""
    pids = (name for name in os.listdir(proc) if name.isdecimal())
    placements = (read_placement(proc, int(pid)) for pid in pids)
    containers = {each.container for each in placements if each and each.container}
    return frozenset(
        each.id
        for each in containers
        if each.user is None and each.runtime in _RUNTIMES and re.fullmatch(_ID, each.id)
    )


def _add_docker(
    folder: str,
    entries: dict[str, ContainerEntry],
    unfinished: set[str],
    running: frozenset[str],
) -> None:
    """Add the containers of docker's *folder* to *entries*, or to *unfinished*."""
    for number in _containers_in(folder):
        config = load_json(read_file(f"{folder}/{number}/config.v2.json"))
        if config is None:
            unfinished.add(number)
            continue
        entry = docker_entry(config)
        if number in running:
            if docker_is_running(config):
                entry = entry._replace(ports=docker_ports(config))
            else:
                unfinished.add(number)
        entries[number] = entry


def _containers_in(folder: str) -> list[str]:
    """Return the names of the folders in *folder* that are ids, without links.

    Raises:
        PermissionError: *folder* may not be listed.
    """
    try:
        with os.scandir(folder) as found:
            return [
                each.name
                for each, _ in zip(found, range(_MAX_FOLDERS))  # strict since 3.10
                if re.fullmatch(_ID, each.name) and each.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _add_stored(folder: str, entries: dict[str, ContainerEntry], running: frozenset[str]) -> None:
    """Add the containers of a store of podman's or CRI-O's to *entries*.

    Raises:
        PermissionError: *folder* may not be listed.
    """
    if os.path.isdir(folder):
        os.listdir(folder)
    stored: dict[str, ContainerEntry] = {}
    for store in STORES:
        for number, entry in stored_entries(read_file(f"{folder}/{store}")):
            if re.fullmatch(_ID, number):
                stored.setdefault(number, entry)
    podman = read_podman_entries(folder)
    for number, entry in stored.items():
        known = podman.get(number, entry)
        entries.setdefault(number, known if number in running else known._replace(ports=()))

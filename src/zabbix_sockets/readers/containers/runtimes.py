"""Names of containers, by the files of their runtimes; no daemon is asked.

Source: docker's config.v2.json (moby, daemon/container), containers/storage's
containers.json, the kubelet's log folders (pkg/kubelet/kuberuntime), the OCI run time
specification's config.json, nerdctl's name store. Root reads all of them; the kubelet's log
folders are world-readable, the others mostly not. So what root has left for others, the file of
docker's and podman's names (model.container_names), comes first, for every caller alike.

A container in a user's slice (user-UID.slice) is one of that user's rootless docker or podman: only
the files below that user's home tell its name, and they name no other container. For all other
containers no home is looked into. Nothing but a regular file of moderate size is read,
wherever it is, and each at most once a call.
"""

from __future__ import annotations

import os
import re
from _collections_abc import Callable, Iterator

from zabbix_sockets.model.cgroup_paths import is_lasting, workload_name
from zabbix_sockets.model.container_names import (
    NAMES_FILE,
    ContainerEntry,
    PublishedPorts,
    chosen_name,
)
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_library import cached_property
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers.descriptions import (
    docker_entry,
    docker_is_running,
    docker_ports,
    stored_entries,
)
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.names_file import read_names
from zabbix_sockets.readers.containers.runtime_files import (
    DOCKER_ROOTS,
    STORAGE_ROOTS,
    STORES,
    list_folder,
    load_json,
    member,
    read_file,
    text_member,
)

MAX_LENGTH = 200
"""The longest name, in characters."""

_DOCKER_HOME = ".local/share/docker"
_STORAGE_HOME = ".local/share/containers/storage"
_BUNDLES = (
    "run/containerd/io.containerd.runtime.v2.task/k8s.io",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io",
)
_SANDBOX_KEYS = ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name")
_MACHINES = ("lxc", "nspawn", "libvirt")
_PUBLISHING = ("docker", "podman")
_NOTHING = ContainerEntry()

_ID = "[0-9a-f]{12,64}"


class ContainerNames:
    """The names of containers, each looked for once.

    Args:
        homes: the files below users' homes.
        deadline: the moment from which no file is looked for.
        root: the folder in which the host's files are.

    Attributes:
        unlisted: ids of containers of docker and podman without a name, that are not in the file
            of names (model.container_names) either, although there is one: it is older than they.
    """

    def __init__(self, homes: Homes, deadline: Deadline, root: str = "/") -> None:
        self._homes = homes
        self._deadline = deadline
        self._root = root
        self._in_time = True
        self._known: dict[Container, str] = {}
        self._stores_of: dict[int, dict[str, str]] = {}
        self._docker_entries: dict[str, ContainerEntry] = {}
        self.unlisted: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether each name was looked for at every place before the deadline and within bounds."""
        return self._in_time and self._homes.complete

    def of(self, container: Container) -> str:
        """Return the name that a container keeps when it is made anew; empty if none is known.

        It is a docker, podman or nerdctl container's own name, "project/service" of compose,
        the service of swarm, "namespace/workload" of Kubernetes, the machine's name of lxc,
        nspawn and libvirt. It holds whatever the runtime allowed: it is not safe to print.
        """
        if container not in self._known:
            machine = container.runtime in _MACHINES
            name = container.id if machine else self._first(self._places(container))
            shown = name[:MAX_LENGTH]  # the work of is_lasting() grows with the square of a length
            self._known[container] = shown if is_lasting(shown) else ""
            if not name and self._is_kept(container) and container.id not in (self._listed or {}):
                self.unlisted.add(container.id)
        return self._known[container]

    def ports_of(self, container: Container) -> tuple[PublishedPorts, ...]:
        """Return the ports of the host that are published for a container of docker or podman.

        They are those of the file of names; where nobody keeps one, those of the runtimes' files,
        as far as the caller may read them. None is known of a rootless container's.
        """
        if container.user is not None or container.runtime not in _PUBLISHING:
            return ()
        if self._listed is not None:
            return self._listed.get(container.id, _NOTHING).ports
        if container.runtime == "docker":
            return self._docker(container.id).ports
        return self._podman.get(container.id, _NOTHING).ports

    def _is_kept(self, container: Container) -> bool:
        """Whether a container should be in the file of names: there is one, and it is for these."""
        return (
            container.user is None and container.runtime in _PUBLISHING and self._listed is not None
        )

    def _first(self, places: Iterator[str]) -> str:
        """Return the first name among *places* that is not empty; empty without one in time."""
        while not self._deadline.passed():
            name = next(places, None)
            if name != "":
                return name or ""
        self._in_time = False
        return ""

    def _places(self, container: Container) -> Iterator[str]:
        """Yield the name of a container by each place that may have it; empty where one has not."""
        runtime, number, pod, user = container
        has_id = re.fullmatch(_ID, number)
        if user is not None:
            yield from self._rootless_places(runtime, number, user) if has_id else ()
            return
        if pod or runtime in ("containerd", "crio", ""):
            yield _pod(*self._pods_by_uid.get(pod, ("", ""))) if pod else ""
            if has_id:
                yield _pod(*self._pods_by_log.get(number, ("", "")))
                yield self._pod_by_bundle(number)
        if not has_id:
            return
        if self._listed:
            yield self._listed.get(number, _NOTHING).lasting_name
        if runtime in ("docker", ""):
            yield self._docker(number).lasting_name
        if runtime in ("podman", "crio", ""):
            yield self._stored.get(number, "")
        if runtime in ("containerd", "") and not pod:
            yield self._nerdctl.get(number, "")

    def _rootless_places(self, runtime: str, number: str, user: int) -> Iterator[str]:
        if runtime in ("docker", ""):
            yield _docker_name(self._homes.read(user, f"{_DOCKER_HOME}/{_file(number)}"))
        if runtime in ("podman", ""):
            yield self._stored_by(user).get(number, "")

    def _path(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    @cached_property
    def _pods_by_uid(self) -> dict[str, tuple[str, str]]:
        """Namespace and name of pods by UID, of /var/log/pods/NAMESPACE_POD_UID.

        Kubernetes' names have no "_".
        """
        found: dict[str, tuple[str, str]] = {}
        for entry in list_folder(self._path("var/log/pods")):
            parts = entry.split("_")
            if len(parts) == 3:  # noqa: PLR2004
                found.setdefault(parts[2], (parts[0], parts[1]))
        return found

    @cached_property
    def _pods_by_log(self) -> dict[str, tuple[str, str]]:
        """Namespace and name of pods by container id, of the links of /var/log/containers.

        They are called POD_NAMESPACE_CONTAINER-ID.log.
        """
        found: dict[str, tuple[str, str]] = {}
        for entry in list_folder(self._path("var/log/containers")):
            parts = entry.removesuffix(".log").split("_")
            if entry.endswith(".log") and len(parts) == 3:  # noqa: PLR2004
                found.setdefault(parts[2].rpartition("-")[2], (parts[1], parts[0]))
        return found

    def _pod_by_bundle(self, number: str) -> str:
        for folder in _BUNDLES:
            config = load_json(read_file(self._path(folder, number, "config.json")))
            notes = member(config, "annotations")
            if name := _pod(*(text_member(notes, key) for key in _SANDBOX_KEYS)):
                return name
        return ""

    @cached_property
    def _listed(self) -> dict[str, ContainerEntry] | None:
        """The entries of the file of names, by id; None where nobody keeps one for the caller."""
        return read_names(self._path(NAMES_FILE.lstrip("/")))

    def _docker(self, number: str) -> ContainerEntry:
        """Return the entry of a container by docker's file, with its ports if it runs."""
        if number not in self._docker_entries:
            files = (read_file(self._path(folder, _file(number))) for folder in DOCKER_ROOTS)
            config = load_json(next(filter(None, files), b""))
            entry = docker_entry(config)
            if docker_is_running(config):
                entry = entry._replace(ports=docker_ports(config))
            self._docker_entries[number] = entry
        return self._docker_entries[number]

    @cached_property
    def _podman(self) -> dict[str, ContainerEntry]:
        """What the database of the system's podman says of containers, by id."""
        from zabbix_sockets.readers.containers.podman_state import read_podman_entries  # noqa: PLC0415  # for root

        found: dict[str, ContainerEntry] = {}
        for folder in STORAGE_ROOTS:
            found |= read_podman_entries(self._path(folder))
        return found

    @cached_property
    def _stored(self) -> dict[str, str]:
        """The names of containers in the system's stores of podman and CRI-O, by id."""
        return self._all_stored(STORAGE_ROOTS, lambda path: read_file(self._path(path)))

    def _stored_by(self, user: int) -> dict[str, str]:
        """Return the names of containers in the stores of a user's podman, by id."""
        if user not in self._stores_of:
            self._stores_of[user] = self._all_stored(
                (_STORAGE_HOME,), lambda path: self._homes.read(user, path)
            )
        return self._stores_of[user]

    def _all_stored(self, folders: tuple[str, ...], read: Callable[[str], bytes]) -> dict[str, str]:
        found: dict[str, str] = {}
        for folder in folders:
            for store in STORES:
                if self._deadline.passed():
                    self._in_time = False
                    return found
                for number, entry in stored_entries(read(f"{folder}/{store}")):
                    found.setdefault(number, entry.lasting_name)
        return found

    @cached_property
    def _nerdctl(self) -> dict[str, str]:
        """The names of nerdctl's containers by id, of /var/lib/nerdctl/ADDRESS/names/default/NAME.

        Each file holds the id of the container with its name.
        """
        found: dict[str, str] = {}
        for address in list_folder(self._path("var/lib/nerdctl")):
            folder = self._path("var/lib/nerdctl", address, "names/default")
            for name in list_folder(folder):
                if self._deadline.passed():
                    self._in_time = False
                    return found
                number = read_file(os.path.join(folder, name)).strip().decode("ascii", "replace")
                # for want of a name it is the image's with the id's beginning
                chosen = "" if name.endswith(f"-{number[:5]}") else chosen_name(name)
                found.setdefault(number, chosen)
        return found


def _file(number: str) -> str:
    """Return the path of a container's state below docker's folder."""
    return f"containers/{number}/config.v2.json"


def _pod(namespace: str, pod: str) -> str:
    return f"{namespace}/{workload_name(pod)}" if namespace and pod else ""


def _docker_name(data: bytes) -> str:
    """Return the name that lasts of a container, of the bytes of its config.v2.json."""
    return docker_entry(load_json(data)).lasting_name

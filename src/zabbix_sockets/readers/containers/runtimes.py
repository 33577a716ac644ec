"""Names of containers, by the files of their runtimes; no daemon is asked.

Source: docker's config.v2.json (moby, daemon/container), containers/storage's
containers.json, the kubelet's log folders (pkg/kubelet/kuberuntime), the OCI run time
specification's config.json, nerdctl's name store. Root reads all of them; the kubelet's log
folders are world-readable, the others mostly not.

A container in a user's slice (user-UID.slice) is one of that user's rootless docker or podman: only
the files below that user's home tell its name, and they name no other container. For all other
containers no home is looked into. Nothing but a regular file of moderate size is read,
wherever it is, and each at most once a call.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import cached_property

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Container, is_lasting, workload_name
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.files import read_regular

MAX_SIZE = 4 * 1024 * 1024
"""The longest file of the system that is read, in bytes."""
MAX_LENGTH = 200
"""The longest name, in characters."""

_DOCKER = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
_DOCKER_HOME = ".local/share/docker"
_STORAGE = ("var/lib/containers/storage", "run/containers/storage")
_STORAGE_HOME = ".local/share/containers/storage"
_STORES = tuple(
    f"{driver}-containers/{name}"
    for driver in ("overlay", "vfs", "btrfs")
    for name in ("containers.json", "volatile-containers.json")  # the latter: podman run --rm
)
_BUNDLES = (
    "run/containerd/io.containerd.runtime.v2.task/k8s.io",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io",
)
_SANDBOX_KEYS = ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name")
_LABEL_KEYS = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name")
_MACHINES = ("lxc", "nspawn", "libvirt")

_ID = "[0-9a-f]{12,64}"
_NAME = "[a-zA-Z0-9][a-zA-Z0-9_.-]*"
_GENERATED = "[a-z]+_[a-z]+[0-9]?"  # "eager_curie": docker's and podman's for want of a name


class ContainerNames:
    """The names of containers, each looked for once.

    Args:
        homes: the files below users' homes.
        deadline: the moment from which no file is looked for.
        root: the folder in which the host's files are.
    """

    def __init__(self, homes: Homes, deadline: Deadline, root: str = "/") -> None:
        self._homes = homes
        self._deadline = deadline
        self._root = root
        self._in_time = True
        self._known: dict[Container, str] = {}
        self._stores_of: dict[int, dict[str, str]] = {}

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
            self._known[container] = name[:MAX_LENGTH] if is_lasting(name) else ""
        return self._known[container]

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
            if has_id and runtime in ("docker", ""):
                yield _docker_name(_load(self._homes.read(user, f"{_DOCKER_HOME}/{_file(number)}")))
            if has_id and runtime in ("podman", ""):
                yield self._stored_by(user).get(number, "")
            return
        if pod or runtime in ("containerd", "crio", ""):
            yield _pod(*self._pods_by_uid.get(pod, ("", ""))) if pod else ""
            if has_id:
                yield _pod(*self._pods_by_log.get(number, ("", "")))
                yield self._pod_by_bundle(number)
        if not has_id:
            return
        if runtime in ("docker", ""):
            yield self._docker(number)
        if runtime in ("podman", "crio", ""):
            yield self._stored.get(number, "")
        if runtime in ("containerd", "") and not pod:
            yield self._nerdctl.get(number, "")

    def _path(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    @cached_property
    def _pods_by_uid(self) -> dict[str, tuple[str, str]]:
        """Namespace and name of pods by UID, of /var/log/pods/NAMESPACE_POD_UID.

        Kubernetes' names have no "_".
        """
        found: dict[str, tuple[str, str]] = {}
        for entry in _list(self._path("var/log/pods")):
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
        for entry in _list(self._path("var/log/containers")):
            parts = entry.removesuffix(".log").split("_")
            if entry.endswith(".log") and len(parts) == 3:  # noqa: PLR2004
                found.setdefault(parts[2].rpartition("-")[2], (parts[1], parts[0]))
        return found

    def _pod_by_bundle(self, number: str) -> str:
        for folder in _BUNDLES:
            config = _load(_read(self._path(folder, number, "config.json")))
            notes = _get(config, "annotations")
            if name := _pod(*(_text(notes, key) for key in _SANDBOX_KEYS)):
                return name
        return ""

    def _docker(self, number: str) -> str:
        for folder in _DOCKER:
            if data := _read(self._path(folder, _file(number))):
                return _docker_name(_load(data))
        return ""

    @cached_property
    def _stored(self) -> dict[str, str]:
        """The names of containers in the system's stores of podman and CRI-O, by id."""
        return self._all_stored(_STORAGE, lambda path: _read(self._path(path)))

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
            for store in _STORES:
                if self._deadline.passed():
                    self._in_time = False
                    return found
                for number, name in _stored_names(read(f"{folder}/{store}")):
                    found.setdefault(number, name)
        return found

    @cached_property
    def _nerdctl(self) -> dict[str, str]:
        """The names of nerdctl's containers by id, of /var/lib/nerdctl/ADDRESS/names/default/NAME.

        Each file holds the id of the container with its name.
        """
        found: dict[str, str] = {}
        for address in _list(self._path("var/lib/nerdctl")):
            folder = self._path("var/lib/nerdctl", address, "names/default")
            for name in _list(folder):
                if self._deadline.passed():
                    self._in_time = False
                    return found
                number = _read(os.path.join(folder, name)).strip().decode("ascii", "replace")
                # for want of a name it is the image's with the id's beginning
                chosen = "" if name.endswith(f"-{number[:5]}") else _chosen(name)
                found.setdefault(number, chosen)
        return found


def _file(number: str) -> str:
    """Return the path of a container's state below docker's folder."""
    return f"containers/{number}/config.v2.json"


def _pod(namespace: str, pod: str) -> str:
    return f"{namespace}/{workload_name(pod)}" if namespace and pod else ""


def _docker_name(config: object) -> str:
    labels = _get(_get(config, "Config"), "Labels")
    project = _text(labels, "com.docker.compose.project")
    service = _text(labels, "com.docker.compose.service")
    if project and service:
        return f"{project}/{service}"
    return (
        _text(labels, "com.docker.swarm.service.name")
        or _pod(*(_text(labels, key) for key in _LABEL_KEYS))
        or _chosen(_text(config, "Name").removeprefix("/"))
    )


def _stored_names(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield id and name of each container of the bytes of a store's containers.json.

    The name is empty for a container without one that somebody chose.
    """
    entries = _load(data)
    for entry in entries if isinstance(entries, list) else ():
        names = _get(entry, "names")
        first = names[0] if isinstance(names, list) and names else ""
        if number := _text(entry, "id"):
            yield number, (_stored_pod(first) or _chosen(first)) if isinstance(first, str) else ""


def _stored_pod(name: str) -> str:
    """Return namespace and workload of a name k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT of CRI-O's.

    It is empty for any other name.
    """
    parts = name.split("_")
    return _pod(parts[3], parts[2]) if len(parts) == 6 and parts[0] == "k8s" else ""  # noqa: PLR2004


def _chosen(name: str) -> str:
    """Return *name* if a person chose it; empty for a generated one, and for what is no name."""
    if re.fullmatch(_GENERATED, name) or not re.fullmatch(_NAME, name):
        return ""
    return name


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        shortage.note(error)
        return []


def _read(path: str) -> bytes:
    """Return the bytes of a regular file up to MAX_SIZE; b"" of all else that may be at *path*."""
    try:
        return read_regular(path, MAX_SIZE, os.O_NOFOLLOW)
    except OSError as error:
        shortage.note(error)
        return b""


def _load(data: bytes) -> object:
    """Return the value of the JSON *data*; None if it is none."""
    if not data:
        return None
    import orjson  # noqa: PLC0415  # most hosts run no container whose files are open to us

    try:
        return orjson.loads(data)
    except ValueError:
        return None


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _text(value: object, key: str) -> str:
    found = _get(value, key)
    return found if isinstance(found, str) else ""

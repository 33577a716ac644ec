"""What a container is called, by the files of its runtime; no daemon is asked.

Source: docker's config.v2.json (moby, daemon/container), containers/storage's
containers.json, the kubelet's log folders (pkg/kubelet/kuberuntime), the OCI run time
specification's config.json, nerdctl's name store. Root reads all of them; the kubelet's log
folders are world-readable, the others mostly not.

Files below a user's home are that user's: no symbolic link is followed there. Nothing but a
regular file of moderate size is read, wherever it is.
"""

import os
import re
import stat
from collections.abc import Iterator

from zabbix_sockets.cgroups import Container, is_lasting, workload_name

MAX_SIZE = 4 * 1024 * 1024
MAX_LENGTH = 200
_MAX_HOMES = 200
_FIRST_USER, _NOBODY = 1000, 65534

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
_OPENING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY

_ID = "[0-9a-f]{12,64}"
_NAME = "[a-zA-Z0-9][a-zA-Z0-9_.-]*"
_GENERATED = "[a-z]+_[a-z]+[0-9]?"  # "eager_curie": docker's and podman's for want of a name


def container_name(container: Container, root: str = "/") -> str:
    """Return a name that the container keeps when it is made anew; empty if none is known.

    It is a docker, podman or nerdctl container's own name, "project/service" of compose,
    the service of swarm, "namespace/workload" of Kubernetes, the machine's name of lxc,
    nspawn and libvirt. It holds whatever the runtime allowed: it is not safe to print.
    """
    if container.runtime in ("lxc", "nspawn", "libvirt"):
        name = container.id
    else:
        name = next(filter(None, _names(container, root)), "")
    return name[:MAX_LENGTH] if is_lasting(name) else ""


def _names(container: Container, root: str) -> Iterator[str]:
    """Yield what each of the places tells that may know the container."""
    runtime, number, pod = container
    has_id = re.fullmatch(_ID, number)
    if pod or runtime in ("containerd", "crio", ""):
        yield _pod_by_log_folder(pod, root)
        if has_id:
            yield _pod_by_log(number, root)
            yield _pod_by_bundle(number, root)
    if not has_id:
        return
    if runtime in ("docker", ""):
        yield _docker(number, root)
    if runtime in ("podman", "crio", ""):
        yield _storage(number, root)
    if runtime in ("containerd", "") and not pod:
        yield _nerdctl(number, root)


def _pod(namespace: str, pod: str) -> str:
    return f"{namespace}/{workload_name(pod)}" if namespace and pod else ""


def _pod_by_log_folder(uid: str, root: str) -> str:
    """Find /var/log/pods/NAMESPACE_POD_UID; names of Kubernetes have no "_"."""
    if uid:
        for entry in _list(os.path.join(root, "var/log/pods")):
            parts = entry.split("_")
            if len(parts) == 3 and parts[2] == uid:  # noqa: PLR2004
                return _pod(parts[0], parts[1])
    return ""


def _pod_by_log(number: str, root: str) -> str:
    """Find /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log."""
    for entry in _list(os.path.join(root, "var/log/containers")):
        if entry.endswith(f"-{number}.log"):
            parts = entry.split("_")
            return _pod(parts[1], parts[0]) if len(parts) == 3 else ""  # noqa: PLR2004
    return ""


def _pod_by_bundle(number: str, root: str) -> str:
    for folder in _BUNDLES:
        notes = _get(_load(_read(os.path.join(root, folder, number, "config.json"))), "annotations")
        if name := _pod(*(_text(notes, key) for key in _SANDBOX_KEYS)):
            return name
    return ""


def _docker(number: str, root: str) -> str:
    file = f"containers/{number}/config.v2.json"
    for folder in _DOCKER:
        if data := _read(os.path.join(root, folder, file)):
            return _docker_name(_load(data))
    for home in _homes(root):
        if data := _read_beneath(home, f"{_DOCKER_HOME}/{file}"):
            return _docker_name(_load(data))
    return ""


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


def _storage(number: str, root: str) -> str:
    """Find the container in the stores of podman and CRI-O, then in those of users."""
    for folder in _STORAGE:
        for store in _STORES:
            data = _read(os.path.join(root, folder, store))
            if (name := _stored_name(data, number)) is not None:
                return name
    for home in _homes(root):
        for store in _STORES:
            data = _read_beneath(home, f"{_STORAGE_HOME}/{store}")
            if (name := _stored_name(data, number)) is not None:
                return name
    return ""


def _stored_name(data: bytes, number: str) -> str | None:
    """Return a container's name by a store's list; None: it is not there."""
    if number.encode() not in data:
        return None
    entries = _load(data)
    for entry in entries if isinstance(entries, list) else ():
        if _text(entry, "id") == number:
            names = _get(entry, "names")
            first = names[0] if isinstance(names, list) and names else ""
            return _stored_pod(first) or _chosen(first) if isinstance(first, str) else ""
    return None


def _stored_pod(name: str) -> str:
    """Return the pod of CRI-O's k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT."""
    parts = name.split("_")
    return _pod(parts[3], parts[2]) if len(parts) == 6 and parts[0] == "k8s" else ""  # noqa: PLR2004


def _nerdctl(number: str, root: str) -> str:
    """Find /var/lib/nerdctl/ADDRESS/names/default/NAME, a file that holds the id."""
    top = os.path.join(root, "var/lib/nerdctl")
    for address in _list(top):
        folder = os.path.join(top, address, "names/default")
        for name in _list(folder):
            if _read(os.path.join(folder, name)).strip() == number.encode():
                # for want of a name it is the image's with the id's beginning
                return "" if name.endswith(f"-{number[:5]}") else _chosen(name)
    return ""


def _chosen(name: str) -> str:
    """Return a name that somebody chose; empty for a generated one and for what is no name."""
    if re.fullmatch(_GENERATED, name) or not re.fullmatch(_NAME, name):
        return ""
    return name


def _homes(root: str) -> list[str]:
    """Return the home directories of people, by /etc/passwd."""
    homes: dict[str, None] = {}
    for line in _read(os.path.join(root, "etc/passwd")).split(b"\n"):
        fields = line.split(b":")
        if len(fields) != 7 or not fields[2].isdigit():  # noqa: PLR2004
            continue
        home = os.fsdecode(fields[5]).strip("/")
        if home and "\0" not in home and _FIRST_USER <= int(fields[2][:10]) != _NOBODY:
            homes[os.path.join(root, home)] = None
    return list(homes)[:_MAX_HOMES]


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str, dir_fd: int | None = None) -> bytes:
    """Return a regular file's bytes; none if it is too big, something else or closed."""
    try:
        fd = os.open(path, _OPENING, dir_fd=dir_fd)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SIZE:
            return b""
        with open(fd, "rb", closefd=False) as file:
            data = file.read(MAX_SIZE + 1)
        return data if len(data) <= MAX_SIZE else b""
    except OSError:
        return b""
    finally:
        os.close(fd)


def _read_beneath(folder: str, path: str) -> bytes:
    """Return the bytes of a file below *folder*, where no link is followed."""
    *parents, name = path.split("/")
    try:
        fd = os.open(folder, _FOLDER)
    except OSError:
        return b""
    try:
        for parent in parents:
            inner = os.open(parent, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        return _read(name, fd)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _load(data: bytes) -> object:
    """Return what JSON says; None if it is none."""
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

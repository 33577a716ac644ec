"""Files as docker, podman, the kubelet and nerdctl write them, below a folder of a test."""

from __future__ import annotations

import json
from pathlib import Path

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.placement import Container
from zabbix_sockets.readers.containers.homes import Homes
from zabbix_sockets.readers.containers.runtimes import ContainerNames

from ...localmounts import local_mounts  # noqa: TID252  # a test folder is no package

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
OTHER = "b7" * 32
UID = "9b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
STATIC = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
DOCKER = Container("docker", ID)
PODMAN = Container("podman", ID)
ANN, BOB = 1000, 1001
DOCKER_FILE = f"var/lib/docker/containers/{ID}/config.v2.json"
STORE = "containers/storage/overlay-containers/containers.json"
ROOTLESS = f"home/ann/.local/share/{STORE}"
BUNDLE = f"io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:2:2::/var/daemon:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    "broken:x:many:1::/home/broken:/bin/sh\n"
    "ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n"
    "bob:x:1001:1001::/home/bob:/bin/bash\n"
)


TIME = Deadline(1e6)


def names_in(root: Path, *more: str, deadline: Deadline = TIME) -> ContainerNames:
    """Return the names that the files below *root* tell; *more* are lines of mounts."""
    return ContainerNames(Homes(local_mounts(root, *more), str(root)), deadline, str(root))


def container_name(container: Container, root: str) -> str:
    """Return what a new call calls a container."""
    return names_in(Path(root)).of(container)


def write(root: Path, path: str, content: object) -> Path:
    """Write a file below *root*, as JSON if it is no text."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def docker(name: str, labels: dict[str, str] | None = None) -> dict[str, object]:
    """Return a container's state as docker keeps it."""
    return {
        "StreamConfig": {},
        "State": {"Running": True, "Pid": 4711, "ExitCode": 0},
        "ID": ID,
        "Created": "2024-05-01T10:11:12.131415161Z",
        "Path": "/docker-entrypoint.sh",
        "Args": ["nginx", "-g", "daemon off;"],
        "Config": {"Hostname": ID[:12], "Image": "nginx", "Env": ["A=é"], "Labels": labels or {}},
        "Image": f"sha256:{OTHER}",
        "Name": name,
        "Driver": "overlay2",
    }


def stored(name: str, number: str = ID) -> dict[str, object]:
    """Return an entry of containers/storage's list."""
    return {
        "id": number,
        "names": [name],
        "image": OTHER,
        "layer": OTHER[::-1],
        "metadata": '{"image-name":"docker.io/library/nginx:latest","name":"x"}',
        "created": "2024-05-01T10:11:12.131415161Z",
        "flags": {"MountLabel": "", "ProcessLabel": ""},
    }

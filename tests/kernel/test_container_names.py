"""Real containers and a caller without privilege: their names, and who answers on a port."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / ".cache/docker"
"""Where tests/requirements.sh unpacks docker: nothing is installed."""

GROUP = "daemon"
"""A group that every system has, in the place of the agent's."""

# $1 the folder of the image's files, $2 a folder for what comes out, then the command of the caller
# who has no privilege but membership in GROUP, and the product's command.
_DOCKER = """
set -eu
image=$1 out=$2; shift 2
mount -t tmpfs tmpfs /run
for folder in docker containerd; do
    mkdir -p /var/lib/$folder
    mount -t tmpfs tmpfs /var/lib/$folder
done
ip link set lo up
export DOCKER_HOST=unix:///run/docker.sock
dockerd --storage-driver vfs --iptables=false --ip6tables=false >"$out/log" 2>&1 &
until docker version >/dev/null 2>&1; do kill -0 $!; sleep 0.1; done
tar -C "$image" -c . | docker import - image:1 >/dev/null
run() { docker run --detach --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@" >/dev/null; }
run --name web --publish 8080:80 --publish 127.0.0.1:5353:53/udp --publish 9000-9002:9000-9002 \
    --label com.docker.compose.project=shop --label com.docker.compose.service=cart \
    image:1 /bin/nc -l -p 80
run --name db --publish 5432:5432 image:1 /bin/nc -l -p 5432
run --name mail image:1 /bin/nc -l -p 25
ask() { "$@" get --source sock_diag --timeout 60; }
until "$@" show listeners | grep -q ':25@'; do sleep 0.1; done
ask "$@" >"$out/root.json"
ask setpriv --reuid 65534 --regid %(group)s --clear-groups "$@" >"$out/closed.json"
"$@" names --group %(group)s >/dev/null
cp /run/zabbix-sockets-names/containers "$out/"
ask setpriv --reuid 65534 --regid %(group)s --clear-groups "$@" >"$out/agent.json"
docker stop --time 0 db >/dev/null
docker rename web shop
run --name late --publish 5432:5432 image:1 /bin/nc -l -p 5432
until "$@" show listeners | grep -q ':5432@'; do sleep 0.1; done
ask setpriv --reuid 65534 --regid %(group)s --clear-groups "$@" >"$out/older.json"
"$@" names --group %(group)s >/dev/null
ask setpriv --reuid 65534 --regid %(group)s --clear-groups "$@" >"$out/newer.json"
""" % {"group": GROUP}  # noqa: UP031  # braces are the shell's

COMMAND = (sys.executable, "-I", "-m", "zabbix_sockets")
Documents = dict[str, dict[str, Any]]


def docker_folders() -> list[str]:
    """Return the folders with docker's programs: the machine's own, or those unpacked."""
    if shutil.which("dockerd"):
        return []
    return [str(UNPACKED / "usr/sbin"), str(UNPACKED / "usr/bin")]


@pytest.fixture(scope="module")
def documents() -> Iterator[Documents]:
    """What callers got of three containers, by docker itself in namespaces of its own."""
    path = os.pathsep.join([*docker_folders(), os.environ["PATH"]])
    needed = ("dockerd", "docker", "docker-proxy", "containerd", "runc", "busybox")
    missing = [name for name in needed if not shutil.which(name, path=path)]
    if missing or os.geteuid():
        pytest.skip(f"no {', '.join(missing)}" if missing else "containers need root")
    with tempfile.TemporaryDirectory() as name:
        out, image = Path(name), Path(name) / "image"
        (image / "bin").mkdir(parents=True)
        shutil.copy(str(shutil.which("busybox")), image / "bin/nc")
        alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = ["sh", "-c", _DOCKER, "sh", str(image), name]
        done = subprocess.run(
            [*alone, *script, *COMMAND],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        log = (out / "log").read_text() if (out / "log").exists() else ""
        if "initialization" not in log:
            pytest.skip(f"docker doesn't run here: {done.stderr}{log[-2000:]}")
        assert done.returncode == 0, f"{done.stderr}{log[-2000:]}"
        yield {file.stem: json.loads(file.read_text()) for file in out.glob("*.json")}


def containers(document: dict[str, Any]) -> dict[str, str | None]:
    """Return the container of each listener by its id, without IPv6's and docker's own, of unix."""
    found = [row for row in document["listeners"] if row.get("protocol") != "unix"]
    rows = {row["id"]: row.get("container") for row in found}
    return {row_id: name for row_id, name in rows.items() if "[::]:" not in row_id or "@" in row_id}


def unknown_names(document: dict[str, Any]) -> list[str]:
    """Return the warnings about names of containers that are not known yet."""
    warnings = document["collector"]["warnings"]
    return [each for each in warnings if each.startswith("the names of")]


HOST = {
    "tcp/0.0.0.0:8080": "shop/cart",
    "tcp/0.0.0.0:9000": "shop/cart",
    "tcp/0.0.0.0:9001": "shop/cart",
    "tcp/0.0.0.0:9002": "shop/cart",
    "udp/127.0.0.1:5353": "shop/cart",
    "tcp/0.0.0.0:5432": "db",
    "tcp/[::]:80@shop/cart": "shop/cart",
    "tcp/[::]:5432@db": "db",
    "tcp/[::]:25@mail": "mail",
}


@pytest.mark.parametrize("caller", ["root", "agent"])
def test_host_port_and_container(documents: Documents, caller: str) -> None:
    """Each published port, and each listener within, has the container's name, for both alike."""
    absent = {"(absent)": None} if documents[caller]["lists"]["listeners"] else {}
    assert containers(documents[caller]) == HOST | absent


def test_without_the_file(documents: Documents) -> None:
    """Without the file nothing is known of docker's names but that there are containers."""
    found = containers(documents["closed"])
    assert {row_id for row_id in found if "@" in row_id} == {
        f"tcp/[::]:{port}@(unnamed)" for port in (80, 5432, 25)
    }
    assert found["tcp/0.0.0.0:8080"] is None
    assert not unknown_names(documents["closed"])


def test_a_container_that_is_newer_than_the_file(documents: Documents) -> None:
    """It has no name yet, which a warning tells; the one that is gone answers nowhere any more."""
    found = containers(documents["older"])
    assert found["tcp/0.0.0.0:5432"] is None
    assert "tcp/[::]:5432@(unnamed)" in found
    (warning,) = unknown_names(documents["older"])
    assert warning.startswith("the names of 1 containers")
    newer = containers(documents["newer"])
    assert newer["tcp/0.0.0.0:5432"] == newer["tcp/[::]:5432@late"] == "late"
    assert not unknown_names(documents["newer"])

"""A real container, run by podman: its sockets, its namespace and its name."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import zoo
from json_documents import JsonDocument

SOURCES = ("bpf", "sock_diag", "procfs")
NAME = f"zstest-{os.getpid()}"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # less than a test may


class Podman(NamedTuple):
    """podman with a store of the tests' own."""

    folder: Path

    def run(self, *arguments: str) -> str:
        """Return what podman says."""
        store = ("--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run")
        way = ("--tmpdir", f"{self.folder}/tmp", "--storage-driver=vfs", "--runtime", "runc")
        command = ["podman", *store, *way, "--cgroup-manager=cgroupfs", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def container() -> Iterator[tuple[Podman, str]]:
    """Run netcat in a container with a network namespace of its own; give the container's id."""
    missing = [name for name in ("podman", "runc", "busybox") if not shutil.which(name)]
    if missing or os.geteuid():
        pytest.skip(f"no {', '.join(missing)}" if missing else "containers need root")
    with tempfile.TemporaryDirectory() as name:
        podman = Podman(Path(name))
        commands = podman.folder / "rootfs" / "bin"
        commands.mkdir(parents=True)
        for folder in ("proc", "sys", "dev", "etc", "tmp", "run"):
            (commands.parent / folder).mkdir()
        shutil.copy(str(shutil.which("busybox")), commands / "nc")
        listen = ("--rootfs", str(commands.parent), "/bin/nc", "-l", "-p", "7501")
        monitor = podman.folder / "conmon.pid"
        with_limits = (*LIMITS, f"--conmon-pidfile={monitor}", "--network=none")
        try:
            run = podman.run("run", "-d", "--name", NAME, *with_limits, *listen)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"podman runs no container here: {error.stderr}")
        try:
            yield podman, run.split()[-1]
        finally:
            watcher = Path("/proc", monitor.read_text())
            podman.run("rm", "-f", "-t", "0", NAME)
            # In the end conmon executes `podman container cleanup`, which writes to the store.
            zoo.wait_for(lambda: not watcher.exists(), "the end of conmon")


def ask(podman: Podman, *arguments: str) -> JsonDocument:
    """Return what the command prints where the tests' store is the host's."""
    script = f'mount --bind {podman.folder}/root /var/lib/containers/storage && exec "$@"'
    command = [sys.executable, "-I", "-m", "zabbix_sockets", *arguments]
    os.makedirs("/var/lib/containers/storage", exist_ok=True)
    answer = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command],
        check=True,
        capture_output=True,
        text=True,
    )
    document = json.loads(answer.stdout)
    assert isinstance(document, dict)
    return document


def is_listening(podman: Podman) -> bool:
    """Whether the container's program has got that far."""
    return f"@{NAME}" in json.dumps(ask(podman, "get", "--source", "sock_diag"))


@pytest.mark.parametrize("source", SOURCES)
def test_named_by_its_store(pins: str, container: tuple[Podman, str], source: str) -> None:
    """The listener's row has the container's name, and so has the group."""
    podman, _ = container
    zoo.wait_for(lambda: is_listening(podman), "the container's listener")
    document = ask(podman, "get", "container", "--source", source, "--pins", pins)
    listeners, processes = document["listeners"], document["processes"]
    assert isinstance(listeners, list)
    assert isinstance(processes, list)
    (listener,) = [row for row in listeners if row.get("port") == 7501]
    assert listener["id"] == f"tcp/[::]:7501@{NAME}"
    assert listener["process"] == NAME
    (group,) = [row for row in processes if row["id"] == NAME]
    assert (group["instances"], group["sockets"]) == (1, 1)


def test_shown_by_its_id(pins: str, container: tuple[Podman, str]) -> None:
    """People see the container's short id and the namespace's number."""
    podman, number = container
    zoo.wait_for(lambda: is_listening(podman), "the container's listener")
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "show", "listeners", "--pins", pins]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (line,) = [line for line in shown.splitlines() if ":7501@" in line]
    assert f"@{number[:12]} net:[" in line

"""A user's home that never answers: the file server of a user's process hangs for good."""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cgroups
import pytest
import zoo
from children import Child, drop_to

UID = 61234
ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
PORT = 7601
STORE = ".local/share/containers/storage/overlay-containers"
SECONDS = 20

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def serving_nobody(path: Path) -> Iterator[None]:
    """Mount FUSE without a server: whatever asks it for anything waits until this is left."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no FUSE in this kernel")
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
    try:
        if _libc.mount(b"zstest", str(path).encode(), b"fuse", 0, options.encode()):
            pytest.skip(f"FUSE can't be mounted here: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        os.close(server)  # this ends all waiting
        _libc.umount2(str(path).encode(), 2)  # MNT_DETACH


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a home, with podman's store in it."""
    with tempfile.TemporaryDirectory(prefix="zabbix-sockets-") as name:
        store = Path(name) / STORE
        store.mkdir(parents=True)
        entries = [{"id": ID, "names": ["web"]}]
        (store / "containers.json").write_text(json.dumps(entries))
        yield Path(name)


@pytest.fixture
def container() -> Iterator[None]:
    """Have a listener of that user in a cgroup as rootless podman makes them."""
    root = cgroups.find_root()
    if not root:
        pytest.skip("no cgroup v2 here")
    path = root / "user.slice"
    folders = [path]
    for name in (f"user-{UID}.slice", f"user@{UID}.service", "user.slice", f"libpod-{ID}.scope"):
        path /= name
        folders.append(path)

    def listen() -> object:
        server = zoo.listener("127.0.0.1", PORT)
        drop_to(UID, UID)
        return server

    missing = [each for each in folders if not each.exists()]
    work = partial(cgroups.inside, path, listen)
    with cgroups.made(*missing), Child(work, b"container"):
        yield


def ask(home: Path, *arguments: str) -> str:
    """Return what the listener's container is called where that user has this home."""
    with tempfile.NamedTemporaryFile("w") as passwd:
        passwd.write(f"root:x:0:0::/root:/bin/sh\nzstest:x:{UID}:{UID}::{home}:/bin/sh\n")
        passwd.flush()
        script = f'mount --bind {passwd.name} /etc/passwd && exec "$@"'
        command = [sys.executable, "-I", "-m", "zabbix_sockets", *arguments]
        call = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            answer, _ = call.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            call.kill()  # it can't die before the server is closed: nobody waits for it here
            raise
    rows = json.loads(answer)["listeners"]
    (row,) = [row for row in rows if row["id"] == f"tcp/127.0.0.1:{PORT}"]
    process = row["process"]
    assert isinstance(process, str)
    return process


ARGUMENTS = ("get", "container", "--netns", "own", "--timeout", "10", "--source")


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("source", ["bpf", "sock_diag", "procfs"])
@pytest.mark.parametrize("where", ["", ".local"])
def test_home_that_hangs(pins: str, home: Path, source: str, where: str) -> None:
    """The answer comes, and the container has no name; with a home that answers it has."""
    assert ask(home, *ARGUMENTS, source, "--pins", pins) == "web"
    with serving_nobody(home / where):
        assert ask(home, *ARGUMENTS, source, "--pins", pins) == "(unnamed)"

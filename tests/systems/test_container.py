"""An agent in a container that was started as docs/install.md says: it answers for the host.

podman and runc run it, of a tree of Debian's with the package, as a user whom the image doesn't
know and who has no capability.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from . import trees
from .booted import Prepared, prepared
from .packages import SOURCE
from .trees import UnavailableError

pytestmark = pytest.mark.kernel

OWNER = Path("/proc/self/comm").read_text("utf-8").strip()
"""The name of this process, which has the listener."""

USER = ["--user=7777:7777", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
LIMITS = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]  # less than a test may

_TRIES = 10
_LATE = ("Timeout while executing a shell script", '{"error":"timed out after')
"""What comes instead of a document where a busy machine leaves a call too little of itself."""

# $1 layers, $2 the folder with upper, work and tree, $3 the interpreter of our environment; then
# podman's arguments. The volumes' sources have to be shared, as systemd has all of a host.
_RUN = """
set -eu
mount --make-rshared /
mkdir -p /run/zabbix-sockets /run/zabbix-sockets-names
"$3" -I -m zabbix_sockets load --group zabbix >&2
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/tree"
folder=$2; shift 3
exec podman --root "$folder/store" --runroot "$folder/run" --tmpdir "$folder/tmp" \
    --storage-driver=vfs --runtime=runc --cgroup-manager=cgroupfs run --rm "$@" \
    --rootfs "$folder/tree" zabbix_agentd -t 'sockets.get[]'
"""


def documented_options() -> list[str]:
    """Return the options of `docker run` in docs/install.md, as a shell understands them."""
    text = (SOURCE / "docs/install.md").read_text("utf-8")
    found = re.search(
        r"^ +docker run -d --name zabbix-agent \\\n((?: .*\\\n)+) +IMAGE$", text, re.MULTILINE
    )
    assert found
    options = found[1].replace("\\\n", " ").strip()
    said = subprocess.run(
        ["sh", "-c", f'printf "%s\\n" {options}'], check=True, capture_output=True, text=True
    )
    return said.stdout.splitlines()


@pytest.fixture(scope="module")
def image(package: Path) -> Iterator[Prepared]:
    """A tree with the agent, the package, and the keys."""
    missing = [name for name in ("podman", "runc") if not shutil.which(name)]
    if missing or os.geteuid():
        pytest.skip(f"no {', '.join(missing)}" if missing else "containers need root")
    try:
        with prepared(trees.own_release(), "agentd") as tree:
            tree.put(package, f"/root/{package.name}")
            tree.run(f"""dpkg -i /root/{package.name}
cp /usr/share/zabbix-sockets/conf/zabbix_sockets.conf /etc/zabbix/zabbix_agentd.conf.d/""")
            yield tree
    except UnavailableError as exc:
        pytest.skip(str(exc))


def ask(image: Prepared, options: Sequence[str]) -> dict[str, Any]:
    """Return the document that the agent in a container with these options answers with."""
    place = [trees.overlay_of(image.layers), str(image.folder), sys.executable]
    for left in reversed(range(_TRIES)):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _RUN, "sh", *place, *USER, *LIMITS, *options],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"\[t\|(\{.*\})\]", done.stdout)
        if left and any(each in done.stdout for each in _LATE):
            continue
        assert found, f"{shlex.join(options)}\n{done.stdout}{done.stderr}"
        document = json.loads(found[1])
        assert isinstance(document, dict)
        return document
    raise AssertionError("never reached")


def without(options: Sequence[str], name: str) -> list[str]:
    """Return *options* without the first of this name and its value."""
    at = options.index(name)
    return [*options[:at], *options[at + 2 :]]


@pytest.fixture
def listener() -> Iterator[str]:
    """Listen in a process of the host; give the listener's id."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp/127.0.0.1:{server.getsockname()[1]}"


def owner(document: dict[str, Any], listener: str) -> str | None:
    """Return the process that the document names for a listener; None where it isn't there."""
    rows = {row["id"]: row.get("process") for row in document["listeners"]}
    return rows.get(listener)


@pytest.mark.short_form
def test_with_all_options(image: Prepared, listener: str) -> None:
    """The answer is the host's, by its iterators, complete, with the owners of all sockets."""
    document = ask(image, documented_options())
    collector = document["collector"]
    assert (collector["source"], collector["degraded"], document["complete"]) == ("bpf", 0, 1)
    assert (collector["unowned"], collector["denied_processes"]) == (0, 0)
    assert owner(document, listener) == OWNER


def test_without_an_option(image: Prepared, listener: str) -> None:
    """What docs/install.md says is missing without one of them, is."""
    options = documented_options()
    other_net = ask(image, ["--network", "none", *without(options, "--network")])
    assert owner(other_net, f"{listener}@(unnamed)") == OWNER
    own_pids = ask(image, without(options, "--pid"))
    assert own_pids["collector"]["source"] == "bpf"
    assert own_pids["collector"]["unowned"] > 0
    assert owner(own_pids, listener) != OWNER
    no_group = ask(image, without(options, "--group-add"))
    assert no_group["collector"]["source"] == "sock_diag"
    assert "may not read" in no_group["collector"]["reason"]
    no_pins = ask(image, without(options, "--volume"))
    assert no_pins["collector"]["source"] == "sock_diag"
    assert owner(no_pins, listener) != OWNER

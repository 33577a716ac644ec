"""The playbook of conf/ansible, run by Ansible for a booted host: installs, sets up and checks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import trees
from .asking import wait_for_agent
from .installing import Host, booted_host
from .packages import SOURCE
from .trees import UnavailableError

pytestmark = pytest.mark.kernel

PLAYBOOK = SOURCE / "conf/ansible/zabbix-sockets.yml"
ANSIBLE = SOURCE / ".cache/ansible"

# In the place of ssh: whatever host and options, the command is the last argument.
CONNECT = """#!/bin/sh
for command; do :; done
exec {inside} sh -c "$command"
"""

INVENTORY = """all:
  hosts:
    booted:
      ansible_connection: ssh
      ansible_ssh_executable: {folder}/connect
      ansible_ssh_transfer_method: piped
      ansible_python_interpreter: /usr/bin/python3
      ansible_become: false
"""


class Controller:
    """Ansible, with one host in its inventory.

    Attributes:
        host: the host.

    Args:
        host: the host.
        packages: the folder with its package.
        folder: an empty folder for what Ansible writes.
    """

    def __init__(self, host: Host, packages: Path, folder: Path) -> None:
        self.host = host
        self._packages = packages
        self._folder = folder
        connect = folder / "connect"
        connect.write_text(CONNECT.format(inside=" ".join(host.system.inside([]))), "utf-8")
        connect.chmod(0o755)
        (folder / "inventory.yml").write_text(INVENTORY.format(folder=folder), "utf-8")

    def play(self, *options: str) -> tuple[str, int]:
        """Run the playbook; return what it prints and how many tasks changed something."""
        variables = {
            "ANSIBLE_HOME": str(self._folder),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PATH": f"{ANSIBLE}/bin:{os.environ['PATH']}",
        }
        inventory = ("-i", str(self._folder / "inventory.yml"), "-e", f"packages={self._packages}")
        done = subprocess.run(
            ["ansible-playbook", *inventory, *options, PLAYBOOK],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        recap = re.search(r"changed=(\d+) +unreachable=0 +failed=0", done.stdout)
        assert recap, done.stdout
        return done.stdout, int(recap[1])


@pytest.fixture(scope="module")
def controller(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """Ansible, and a booted host with an agent; the module's tests share them."""
    if not (ANSIBLE / "made").exists():
        pytest.skip("no Ansible: tests/systems/ansible.sh fetches it")
    try:
        with booted_host(trees.own_release(), "agentd", package) as host:
            yield Controller(host, package.parent, tmp_path_factory.mktemp("ansible"))
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.mark.short_form
def test_playbook(controller: Controller) -> None:
    """After the first run the agent answers by the iterators; the second run changes nothing."""
    said, changed = controller.play()
    assert changed
    wait_for_agent(controller.host.system)
    found = controller.host.collector()
    assert (found["source"], found["degraded"]) == ("bpf", 0)
    assert re.search(r'"ok +pins ', said[said.index("and what works]") :])
    _, changed = controller.play()
    assert changed == 0


@pytest.mark.short_form
def test_what_would_be_done(controller: Controller) -> None:
    """With --check nothing is changed, and what would be is told."""
    keys = controller.host.system.path(f"{controller.host.include_folder}/zabbix_sockets.conf")
    keys.unlink()
    said, changed = controller.play("--check")
    assert changed == 1
    assert f"install -m 0644 /usr/share/zabbix-sockets/conf/{keys.name}" in said
    assert not keys.exists()


@pytest.mark.short_form
def test_no_package_for_the_host(controller: Controller, tmp_path: Path) -> None:
    """A folder without a package of the host's kind is a failure that names the kind."""
    with pytest.raises(AssertionError, match=r"has 0 files zabbix-sockets_\*_\w+\.deb"):
        controller.play("-e", f"packages={tmp_path}")

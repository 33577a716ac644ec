"""What hides processes, where an agent needs no exemption."""

from pathlib import Path

import pytest

from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import ok
from zabbix_sockets.check.visibility import check_hidepid

from .trees import Tree


def test_root_sees_all(tmp_path: Path) -> None:
    """An agent that runs as root sees all, without a group for that."""
    tree = Tree(tmp_path)
    tree.mounts[0] = "22 1 0:21 / /proc rw - proc proc rw,hidepid=2"
    agent = tree.agent(user=User("root", 0, 0, ()))
    said = "hidepid=2, and agents run as root, who may see all"
    assert list(check_hidepid(tree(), [agent])) == [ok("hidepid", said)]


@pytest.mark.parametrize(
    ("fstab", "has_it"),
    [
        ("", False),
        ("proc /proc proc defaults 0 0\n", False),
        ("# proc /proc proc hidepid=2 0 0\n", False),
        ("/dev/sda1 / ext4 defaults 0 1\nproc /proc proc defaults,hidepid=2 0 0\n", True),
    ],
)
def test_next_boot(fstab: str, has_it: bool, tmp_path: Path) -> None:
    """The file of mounts is named only where it has the option."""
    tree = Tree(tmp_path)
    tree.mounts[0] = "22 1 0:21 / /proc rw - proc proc rw,hidepid=2"
    tree.write("/etc/fstab", fstab)
    (line,) = check_hidepid(tree(), [tree.agent()])
    assert ("/etc/fstab" in line.message) == has_it

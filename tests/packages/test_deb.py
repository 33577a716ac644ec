"""The .deb in trees of Debian's releases: installed, asked, upgraded, removed, purged."""

import json
import os
from pathlib import Path

import pytest
import rounds
from formats import DEBIAN
from package_tree import version

from tests.systems.booted import Prepared

from .asking import NOBODY, asked_while, stopped_while
from .conftest import NEWER

MACHINE = os.uname().machine
BUILT, NEW = "/packages/built.deb", "/packages/newer.deb"
LIST = "find / -xdev \\( -path /proc -o -path /dev -o -path /tmp -o -path /packages \\) -prune -o"
# What dpkg keeps for itself: logs, lists of what was, and its own former state.
OF_DPKG = "/var/lib/dpkg/(status-old|lock|triggers|info(/|$)|available)|/var/(log|cache)/"
REMOVED = f"{LIST} -print | sort | grep -Ev '^({OF_DPKG})' || :"

_ANOTHER_PYTHON = """\
Package: another-python
Version: 1
Architecture: all
Maintainer: x
Description: x
"""

pytestmark = pytest.mark.skipif(MACHINE not in DEBIAN, reason="no package for this machine")


@pytest.fixture
def debian(tree: Prepared, packages: Path, newer: Path) -> Prepared:
    """A tree with both packages in a folder, and neither installed."""
    for folder, path in ((packages, BUILT), (newer, NEW)):
        (package,) = folder.glob(f"*_{DEBIAN[MACHINE]}.deb")
        tree.put(package, path)
    return tree


def install(path: str) -> str:
    """Return the command that installs a package without a network, quickly."""
    return f"unshare --net dpkg --force-unsafe-io --install {path} >/tmp/dpkg 2>&1"


def test_installed_and_removed(debian: Prepared) -> None:
    """It answers at once, without pip and network, and leaves nothing when it is purged."""
    debian.run("mkdir -p /var/lib/private")  # systemd's
    before = debian.run(REMOVED)
    debian.run(install(BUILT))
    answer = json.loads(debian.run(f"{NOBODY} zabbix-sockets get"))
    assert answer["version"] == version()
    assert answer["collector"]["source"] in ("bpf", "sock_diag", "procfs")
    assert (
        debian.run("dpkg --verify zabbix-sockets; cat /tmp/dpkg | grep -i -e warn -e error || :")
        == ""
    )
    for unit in ("load.service", "names.path"):  # as `systemctl edit` leaves it
        folder = f"/etc/systemd/system/zabbix-sockets-{unit}.d"
        debian.run(f"mkdir -p {folder} && echo >{folder}/override.conf")
    debian.run("dpkg --remove zabbix-sockets")
    assert debian.run("ls /usr/lib/zabbix-sockets 2>/dev/null || :") == ""
    debian.run("mkdir -p /var/lib/private/zabbix-sockets; dpkg --purge zabbix-sockets")
    assert debian.run(REMOVED) == before


def test_says_what_is_next(debian: Prepared) -> None:
    """The first installation ends with the next step, also one after a removal; no upgrade does."""
    line = "zabbix-sockets: next: zabbix-sockets setup"
    for path, count in ((BUILT, 1), (NEW, 0), (BUILT, 0)):
        debian.run(install(path))
        assert debian.run(f"grep -cx '{line}' /tmp/dpkg || :").strip() == str(count)
    debian.run("dpkg --remove zabbix-sockets")
    debian.run(install(BUILT))
    assert debian.run("tail -n 1 /tmp/dpkg").strip() == line


def test_brings_orjson(debian: Prepared) -> None:
    """The tree's Python loads the one that is meant for it."""
    debian.run(install(BUILT))
    script = (
        "import sys; home = '/usr/lib/zabbix-sockets/current/';"
        "sys.path[:0] = [home, home + sys.implementation.cache_tag];"
        "import orjson; print(orjson.__file__, orjson.dumps([1]).decode())"
    )
    path, value = debian.run(f'python3 -I -S -c "{script}"').split()
    assert path.startswith("/usr/lib/zabbix-sockets/current/cpython-3")
    assert value == "[1]"


def test_byte_code(debian: Prepared) -> None:
    """Each module has it for the tree's Python, and no call of root's adds to it."""
    debian.run(install(BUILT))
    modules = debian.run("find /usr/lib/zabbix-sockets/current/zabbix_sockets -name '*.py' | wc -l")
    compiled = "find /usr/lib/zabbix-sockets/current/zabbix_sockets -name '*.pyc'"
    assert debian.run(f"{compiled} | wc -l") == modules
    debian.run("zabbix-sockets get; zabbix-sockets show sockets --json")
    assert debian.run(f"{compiled} | wc -l") == modules
    assert (
        debian.run(f"find /usr/lib/zabbix-sockets ! -type l -perm /022; {compiled} ! -perm 0644")
        == ""
    )


def test_byte_code_follows_the_pythons(debian: Prepared) -> None:
    """When a package brings or takes a Python, byte code is made anew for those that are there."""
    debian.run(install(BUILT))
    folder = "/usr/lib/zabbix-sockets/current/zabbix_sockets/__pycache__"
    debian.run(f"rm -r {folder}; touch {folder[:-12]}/__init__.cpython-310.pyc")
    debian.write("/tmp/other/DEBIAN/control", _ANOTHER_PYTHON)
    debian.write("/tmp/other/usr/bin/python3.10", "")
    debian.run(f"dpkg-deb --build /tmp/other /tmp/other.deb; {install('/tmp/other.deb')}")
    assert debian.run(f"ls {folder}") != ""
    debian.run("dpkg --purge another-python")
    assert debian.run("find /usr/lib/zabbix-sockets -name '*.cpython-310.pyc'") == ""


def test_no_call_fails_meanwhile(debian: Prepared) -> None:
    """Of calls in a loop none does, while it is installed again, upgraded, and downgraded."""
    debian.run(install(BUILT))
    steps = [NEW, BUILT] if rounds.IS_SHORT else [BUILT, NEW, NEW, BUILT]
    answers = debian.run(asked_while("; ".join(map(install, steps)))).splitlines()
    assert len(answers) > 20
    assert {answer[:11] for answer in answers} == {'0 {"version'}
    assert {json.loads(answer[2:])["version"] for answer in answers} == {version(), NEWER}
    assert debian.run("ls /usr/lib/zabbix-sockets").split() == [
        version(),
        f"{version()}+1",
        "current",
    ]


def test_calls_that_were_stopped(debian: Prepared) -> None:
    """A call that began long before the upgrade ends with the files that it began with.

    They go with the next installation.
    """
    debian.run(install(BUILT))
    answers = debian.run(stopped_while(install(NEW))).splitlines()
    assert len(answers) == 5
    assert {json.loads(answer)["version"] for answer in answers} <= {version(), NEWER}
    assert f"{version()}+1 is in use" in debian.run("cat /tmp/dpkg")
    assert f"{version()}+1" in debian.run("ls /usr/lib/zabbix-sockets").split()
    debian.run(install(NEW))
    assert f"{version()}+1" not in debian.run("ls /usr/lib/zabbix-sockets").split()


@pytest.mark.short_form
def test_without_a_python(debian: Prepared) -> None:
    """An agent gets one line that says so, a person another."""
    debian.run(install(BUILT))
    said = debian.run(
        "cd /usr/bin; for python in python3*; do mv $python hidden-$python; done;"
        "for verb in get show; do zabbix-sockets $verb 2>&1 || echo $?; done"
    )
    reason = "needs Python 3.9 or later: there is none in /usr/bin"
    assert said.splitlines() == [
        f'{{"error":"zabbix-sockets {reason}"}}',
        "1",
        f"zabbix-sockets: it {reason}",
        "1",
    ]


def test_a_python_that_is_too_old(debian: Prepared) -> None:
    """It says so by itself."""
    debian.run(install(BUILT))
    said = debian.run(
        "sed -i 's/^OLDEST = .*/OLDEST = (3, 99)/' /usr/lib/zabbix-sockets/current/start.py;"
        "for verb in get show; do zabbix-sockets $verb 2>&1 || echo $?; done"
    ).splitlines()
    assert said[0].startswith(
        '{"error":"zabbix-sockets needs Python 3.9 or later: /usr/bin has only 3.'
    )
    assert said[2].startswith("zabbix-sockets: it needs Python 3.9 or later")
    assert said[1::2] == ["1", "1"]
